//! Web servers with their files in `pam.d-examples/`: password and code in one answer, which a
//! browser sends again with every request.

use test_support::directory;
use test_support::example::Example;
use test_support::machine::Machine;
use test_support::oathtool::{SECRET, totp, wrong_code};

const PASSWORD: &str = "correct horse";

/// How much later than this computer's the web server's clock is.
const CLOCK: &str = "/etc/faketime";

/// A machine with the directory, the service and the usersfile of an example, and without the web
/// server, which `start` starts.
fn machine_for(service: &str, example: &Example) -> Machine {
    test_support::program("curl", "curl");
    let machine = Machine::start();
    directory::start(&machine, PASSWORD);
    machine.install(&format!("/etc/pam.d/{service}"), example.text(), 0o644);
    let folder = example.shown_after("be able to record what was used:");
    machine.run("sh", ["-ec", &folder]);
    let usersfile = format!("/home/oath-{service}/users.oath");
    machine.install(&usersfile, example.usersfile(), 0o600);
    machine.run("chown", ["www-data:", &usersfile]);
    machine.run("mkdir", ["-p", "/run/lock", &format!("/var/log/{service}")]);
    machine
}

/// Runs a web server's own start command, which returns when it listens, with a clock of its own.
fn start_web_server(machine: &Machine, program: &str, args: &[&str]) {
    set_clock(machine, 0);
    let arch = std::env::consts::ARCH;
    let faketime = format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1");
    let there = std::path::Path::new(&faketime).exists();
    assert!(there, "no {faketime}: install libfaketime");
    let output = machine
        .command(program)
        .args(args)
        .env("LD_PRELOAD", faketime)
        .env("FAKETIME_TIMESTAMP_FILE", CLOCK)
        .env("FAKETIME_NO_CACHE", "1")
        .output()
        .expect("nsenter starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn set_clock(machine: &Machine, seconds_ahead: u32) {
    machine.install(CLOCK, format!("+{seconds_ahead}s"), 0o644);
}

/// What the server answers to that many requests at the same moment, all with the same password.
fn statuses(machine: &Machine, password: &str, requests: usize) -> Vec<String> {
    let mut curl = machine.command("curl");
    curl.args(["--silent", "--parallel", "--parallel-immediate", "--user"])
        .arg(format!("alice:{password}"));
    for _ in 0..requests {
        curl.args(["--output", "/dev/null", "http://127.0.0.1/private/"]);
    }
    let output = curl.args(["--write-out", "%{http_code}\n"]).output();
    let printed = String::from_utf8(output.expect("nsenter starts").stdout).expect("ASCII");
    printed.lines().map(Into::into).collect()
}

fn assert_one_code_is_one_session(machine: &Machine) {
    let code = totp(SECRET, 0);
    let both = format!("{PASSWORD}{code}");
    let wrong = wrong_code(SECRET);
    for wrong in [PASSWORD, &code, &format!("{PASSWORD}{wrong}")] {
        assert_eq!(statuses(machine, wrong, 1), ["401"], "{wrong}");
    }

    let log = || machine.log().join("\n");
    assert_eq!(statuses(machine, &both, 20), ["200"; 20], "{}", log());
    let wrong_password = format!("wrong{code}");
    assert_eq!(statuses(machine, &wrong_password, 1), ["401"]);

    set_clock(machine, 3540);
    assert_eq!(statuses(machine, &both, 20), ["200"; 20], "{}", log());
    set_clock(machine, 3660);
    assert_eq!(statuses(machine, &both, 1), ["401"], "{}", log());
    let next = format!("{PASSWORD}{}", totp(SECRET, 3660 / 30));
    assert_eq!(statuses(machine, &next, 20), ["200"; 20], "{}", log());
    assert_eq!(statuses(machine, &both, 1), ["401"], "{}", log());
}

#[test]
#[ignore = "needs root, apache2, slapd and more: run make test"]
fn apache_lets_a_browsers_requests_in_for_an_hour_with_one_code() {
    test_support::program("apache2ctl", "apache2 and libapache2-mod-authnz-pam");
    let example = Example::named("apache2").with_path("/var/lib/", "/home/");
    let machine = machine_for("apache2", &example);
    let page = example.shown_after("/etc/apache2/conf-enabled/oath.conf:");
    machine.install("/etc/apache2/conf-enabled/oath.conf", page, 0o644);
    machine.install("/etc/apache2/sites-enabled/000-default.conf", SITE, 0o644);
    make_page(&machine);
    start_web_server(&machine, "apache2ctl", &["start"]);
    assert_one_code_is_one_session(&machine);
}

#[test]
#[ignore = "needs root, nginx, slapd and more: run make test"]
fn nginx_lets_a_browsers_requests_in_for_an_hour_with_one_code() {
    test_support::program("nginx", "nginx-light and libnginx-mod-http-auth-pam");
    let example = Example::named("nginx").with_path("/var/lib/", "/home/");
    let machine = machine_for("nginx", &example);
    let page = example.shown_after("the \"server\" block of the site:");
    let site = format!("server {{\nlisten 127.0.0.1:80;\nroot /home/www;\n{page}}}\n");
    machine.scratch("/var/lib/nginx");
    machine.run("rm", ["/etc/nginx/sites-enabled/default"]);
    machine.install("/etc/nginx/sites-enabled/page", site, 0o644);
    make_page(&machine);
    // Its workers get no variable that is not named.
    let clock = "env FAKETIME_TIMESTAMP_FILE; env FAKETIME_NO_CACHE;";
    start_web_server(&machine, "nginx", &["-g", clock]);
    assert_one_code_is_one_session(&machine);
}

/// Apache's only site.
const SITE: &str = "\
<VirtualHost *:80>
    DocumentRoot /home/www
    <Directory /home/www>
        Require all granted
    </Directory>
</VirtualHost>
";

fn make_page(machine: &Machine) {
    machine.run("mkdir", ["-p", "/home/www/private"]);
    machine.install("/home/www/private/index.html", "hi\n", 0o644);
}
