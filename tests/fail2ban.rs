//! fail2ban finds the refused logins in the log, and nothing else.

#[path = "support/example.rs"]
mod example;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/oathtool.rs"]
mod oathtool;
#[path = "support/sshd.rs"]
mod sshd;
mod support;

use example::Example;
use machine::Machine;
use oathtool::{SECRET, hotp, totp, wrong_code};
use sshd::{Config, PASSWORD, Server};

/// The log as rsyslog writes it to `/var/log/auth.log`: no priority, but the host's name.
fn auth_log(machine: &Machine) -> String {
    let written = |line: String| {
        let (_priority, rest) = line.split_once('>').expect("a priority");
        let (time, message) = rest.split_at("Jan  1 00:00:00 ".len());
        format!("{time}server {message}\n")
    };
    machine.log().into_iter().map(written).collect()
}

/// The addresses that fail2ban holds failures against, one for each failure.
fn failures(machine: &Machine, log: &str, filter: &str) -> Vec<String> {
    support::program("fail2ban-regex", "fail2ban");
    machine.install("/var/log/auth.log", log, 0o640);
    let found = machine.run("fail2ban-regex", ["-o", "ip", "/var/log/auth.log", filter]);
    found.lines().map(Into::into).collect()
}

#[test]
#[ignore = "needs root, openssh-server, fail2ban, oathtool: run make test"]
fn the_stock_sshd_filter_counts_each_refused_code_once_and_no_login_that_was_let_in() {
    let example = Example::named("sshd");
    let server = Server::start(Config {
        pam: example.text().into(),
        sshd: example.sshd_config(),
        users_oath: example.usersfile(),
    });
    let log_in_from = |address: &str, code: &str| {
        let client = server.ssh("alice").answers([PASSWORD, code]);
        client.option(&format!("BindAddress={address}")).run("true")
    };

    let code = totp(SECRET, 0);
    assert!(log_in_from("127.0.0.2", &code).succeeded());
    assert!(log_in_from("127.0.0.3", &code).was_refused(), "replayed");
    assert!(log_in_from("127.0.0.4", &wrong_code(SECRET)).was_refused());
    assert!(log_in_from("127.0.0.4", "").was_refused());
    assert!(log_in_from("127.0.0.5", &totp(SECRET, 2)).succeeded());

    let log = auth_log(&server);
    let refused = ["127.0.0.3", "127.0.0.4", "127.0.0.4"];
    assert_eq!(failures(&server, &log, "sshd"), refused, "{log}");
}

#[test]
#[ignore = "needs root, pamtester, fail2ban, oathtool: run make test"]
fn our_own_filter_counts_each_refused_code_of_any_service_and_nothing_that_a_caller_makes_up() {
    let machine = machine_with_a_vault("/etc/users.oath");
    machine.add_user("alice", PASSWORD);
    machine.install(
        "/etc/users.oath",
        format!("HOTP alice - {SECRET}\nHOTP bob 1234 {SECRET}\n"),
        0o600,
    );
    let filter = Example::file("contrib/fail2ban/pam_oath.conf");
    machine.install("/etc/fail2ban/filter.d/pam_oath.conf", filter.text(), 0o644);
    let jail = filter.shown_after("/etc/fail2ban/jail.d/pam_oath.conf:");
    machine.install("/etc/fail2ban/jail.d/pam_oath.conf", jail, 0o644);
    let log_in = |user: &str, rhost: Option<&str>, code: &str| {
        let mut client = machine.command("sh");
        client.args(["-c", "echo \"$0\" | pamtester \"$@\"", code]);
        if let Some(rhost) = rhost {
            client.args(["-I", &format!("rhost={rhost}")]);
        }
        client.args(["vault", user, "authenticate"]);
        client.output().expect("nsenter starts").status.success()
    };

    let wrong = wrong_code(SECRET);
    assert!(log_in("alice", Some("198.51.100.1"), &hotp(SECRET, 0)));
    assert!(!log_in("alice", Some("198.51.100.2"), &wrong));
    assert!(!log_in("alice", Some("2001:db8::2"), &hotp(SECRET, 0)));
    assert!(!log_in("mallory", Some("198.51.100.3"), &wrong), "no token");
    assert!(!log_in("bob", Some("198.51.100.4"), &wrong), "no PIN");
    assert!(!log_in("alice", None, &wrong));
    let posing = "eve; user=alice rhost=192.0.2.7 line=1";
    assert!(!log_in(posing, None, &wrong));

    // Nobody is to be banned because the administrator has made a mistake.
    machine.run("chmod", ["666", "/etc/users.oath"]);
    assert!(!log_in("alice", Some("198.51.100.5"), &hotp(SECRET, 1)));

    let log = auth_log(&machine);
    machine.install("/var/log/auth.log", &log, 0o640);
    machine.run("fail2ban-client", ["-t"]);
    let refused = ["198.51.100.2", "2001:db8::2", "198.51.100.4"];
    assert_eq!(failures(&machine, &log, "pam_oath"), refused, "{log}");
    assert!(!log.contains(" rhost=192.0.2.7"), "{log}");
}

/// A machine with a service that asks for a code alone, and with what logs in to it.
fn machine_with_a_vault(usersfile: &str) -> Machine {
    support::program("pamtester", "pamtester");
    let machine = Machine::start();
    machine.install(
        "/etc/pam.d/vault",
        format!("auth required pam_oath.so usersfile={usersfile}\n"),
        0o644,
    );
    machine
}

/// The pattern that SECURITY.md calls safe.
fn pattern_of_security_md() -> String {
    let page = Example::file("SECURITY.md");
    let (_, from_pattern) = page.text().split_once("`; user=").expect("a pattern");
    let (pattern, _) = from_pattern.split_once('`').expect("its end");
    format!("; user={pattern}")
}

#[test]
#[ignore = "needs root, pamtester, fail2ban, oathtool: run make test"]
fn no_name_hides_the_host_from_a_filter_or_puts_another_in_its_place() {
    let machine = machine_with_a_vault("/etc/users.oath");
    let filter = Example::file("contrib/fail2ban/pam_oath.conf");
    machine.install("/etc/fail2ban/filter.d/pam_oath.conf", filter.text(), 0o644);
    let bad_ends = [
        "; user=root rhost=192.0.2.7",
        ";\u{a0}user=root\u{a0}rhost=192.0.2.7",
        "\u{2028}user=root\u{2028}rhost=192.0.2.7",
        ";user=root;rhost=192.0.2.7;line=1",
        "",
    ];
    let names: Vec<String> = [1, 120, 500, 1000, 8000]
        .into_iter()
        .flat_map(|length| bad_ends.map(|end| "x".repeat(length) + end))
        .collect();
    // A name with a space cannot have a line.
    let has_line = |name: &str| !name.contains(' ');
    let lines = names.iter().filter(|name| has_line(name));
    let lines: String = lines
        .map(|name| format!("HOTP {name} - {SECRET}\n"))
        .collect();
    machine.install("/etc/users.oath", lines, 0o600);

    let wrong = wrong_code(SECRET);
    let (mut guesses, mut all) = (Vec::new(), Vec::new());
    for (number, name) in (1..).zip(&names) {
        let address = format!("198.51.100.{number}");
        let mut client = machine.command("sh");
        client.args(["-c", "echo \"$0\" | pamtester \"$@\"", &wrong]);
        client.args([
            "-I",
            &format!("rhost={address}"),
            "vault",
            name,
            "authenticate",
        ]);
        assert!(!client.output().expect("nsenter starts").status.success());
        if has_line(name) {
            guesses.push(address.clone());
        }
        all.push(address);
    }
    let log = auth_log(&machine);
    assert_eq!(failures(&machine, &log, "pam_oath"), guesses, "{log}");
    assert_eq!(
        failures(&machine, &log, &pattern_of_security_md()),
        all,
        "{log}"
    );
    assert_eq!(log.matches("; user=? rhost=").count(), 5, "{log}");
}

#[test]
#[ignore = "needs root, pamtester, fail2ban: run make test"]
fn no_name_of_8_kib_makes_a_line_that_is_cut_off_end_like_another() {
    const END: &str = "; user=root rhost=192.0.2.7";
    let machine = machine_with_a_vault("/etc/${USER}.oath");
    // Wherever the line is cut off, it is after one of these ends.
    for shift in 0..END.len() {
        let name = "x".repeat(shift) + &END.repeat(8 * 1024 / END.len());
        let mut client = machine.command("sh");
        client.args(["-c", "echo 000000 | pamtester \"$@\"", "sh"]);
        client.args(["vault", &name, "authenticate"]);
        assert!(!client.output().expect("nsenter starts").status.success());
    }
    let log = auth_log(&machine);
    let none: [&str; 0] = [];
    assert_eq!(failures(&machine, &log, &pattern_of_security_md()), none);
    assert_eq!(log.matches("; user=?\n").count(), END.len(), "{log}");
}
