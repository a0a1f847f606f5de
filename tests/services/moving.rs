//! The guides in `docs/` for those who come from elsewhere, followed as they stand.

use std::process::Command;

use test_support::example::Example;
use test_support::guide::Guide;
use test_support::machine::Machine;
use test_support::oathtool::SECRET;
use test_support::sshd::{CODE_PROMPT, Config, Server};
use test_support::{Module, NOON, Scene};
use test_support::{oathtool, tool};

/// A code for the base32 secret that some program has made.
fn code_of(base32: &str, args: &[&str]) -> String {
    let mut oathtool = Command::new(test_support::program("oathtool", "oathtool"));
    let output = oathtool.arg("--base32").args(args).arg(base32.trim());
    let output = output.output().expect("oathtool starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("ASCII")
        .trim()
        .into()
}

/// Changes the module back and forth, and tries after each change every code that was good before.
fn assert_no_code_is_good_twice(token_type: &str, code: impl Fn(i64) -> String) {
    let mut scene = Scene::new()
        .usersfile(format!("# ours\n{token_type} alice - {SECRET}\n"))
        .args("window=10");
    let modules = [
        Module::OathToolkit,
        Module::This,
        Module::OathToolkit,
        Module::This,
        Module::This,
        Module::OathToolkit,
        Module::OathToolkit,
        Module::This,
    ];
    let mut used = Vec::new();
    for (number, module) in (0..).zip(modules) {
        scene = scene.module(module).at(NOON + 60 * number);
        for earlier in &used {
            let again = scene.login("alice").types(earlier);
            assert_ne!(
                again.rc,
                "SUCCESS",
                "login {number}: {:?}",
                scene.usersfile_now()
            );
        }
        let code = code(number);
        let login = scene.login("alice").types(&code);
        assert_eq!(
            login.rc,
            "SUCCESS",
            "login {number}: {:?}",
            scene.usersfile_now()
        );
        used.push(code);
    }
}

#[test]
#[ignore = "needs libpam-oath, oathtool: run make test"]
fn from_oath_toolkit_and_back_no_event_code_is_good_twice() {
    let hex_code = |number: i64| oathtool::hotp(SECRET, number as u64);
    assert_no_code_is_good_twice("HOTP", hex_code);
}

#[test]
#[ignore = "needs libpam-oath, oathtool: run make test"]
fn from_oath_toolkit_and_back_no_time_based_code_is_good_twice() {
    assert_no_code_is_good_twice("HOTP/T30", |number| {
        let now = format!("--now=@{}", NOON + 60 * number);
        code_of(oathtool::SECRET_BASE32, &["--totp", &now])
    });
}

#[test]
#[ignore = "needs root: run make test"]
fn the_way_back_to_oath_toolkit_names_the_lines_that_it_does_not_know() {
    let guide = Guide::named("moving-from-oath-toolkit.md");
    let machine = Machine::start();
    let known = format!("HOTP a - {SECRET}\nHOTP/T60/8 b + {SECRET}\nHOTP/E c 1234 00\n# HOTP d\n");
    let long = "00".repeat(33);
    let unknown = format!(
        "HOTP/T45 e - 00\nHOTP/T30/6/SHA256 f - 00\nHOTP g $y$j9T$ 00\n\
         HOTP h - base32:AAAA\nHOTP i - {long}\n"
    );
    machine.install("/etc/users.oath", known + &unknown, 0o600);
    let named = guide.follow(&machine, "awk");
    let users: Vec<&str> = named
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    assert_eq!(users, ["e", "f", "g", "h", "i"], "{named}");
}

#[test]
#[ignore = "needs root, openssh-server, libpam-google-authenticator, oathtool: run make test"]
fn from_google_authenticator_users_keep_their_apps_and_no_code_is_good_again() {
    test_support::program("google-authenticator", "libpam-google-authenticator");
    let guide = Guide::named("moving-from-google-authenticator.md");
    let server = Server::start(Config {
        pam: Config::default().pam.replace(
            "auth required pam_oath.so usersfile=/etc/users.oath",
            "auth required pam_google_authenticator.so",
        ),
        ..Config::default()
    });
    server.run("rm", ["/etc/users.oath"]);
    let enrol = "google-authenticator --time-based --disallow-reuse --force --quiet \
                 --window-size=17 --rate-limit=3 --rate-time=30 --no-confirm";
    server.run("su", ["alice", "-c", enrol]);
    let file = server.read("/home/alice/.google_authenticator");
    let secret = file.lines().next().expect("a secret");
    let log_in = |code: &str| server.ssh("alice").answers([code]).run("true");

    let code = code_of(secret, &["--totp"]);
    assert!(log_in(&code).succeeded());

    let said = guide.follow(&server, "oathctl import");
    assert!(!said.contains(secret), "{said}");
    guide.follow(&server, "sed -i");
    let again = log_in(&code);
    assert!(again.was_refused(), "{again}");
    assert_eq!(again.prompts, [CODE_PROMPT], "{again}");
    assert!(log_in(&code_of(secret, &["--totp", "--now=60 seconds"])).succeeded());

    guide.follow(&server, "rm -f");
    assert!(!server.path("/home/alice/.google_authenticator").exists());
}

#[test]
#[ignore = "needs root: run make test"]
fn from_google_authenticator_no_user_gets_the_token_of_another() {
    let guide = Guide::named("moving-from-google-authenticator.md");
    let machine = Machine::start();
    machine.run("rm", ["-f", "/etc/users.oath"]);
    let file = |secret: &str| format!("{secret}\n\" TOTP_AUTH\n");
    machine.install(
        "/root/.google_authenticator",
        file("MFRGGZDFMZTWQ2LK"),
        0o600,
    );
    for (user, make) in [
        (
            "mallory",
            "ln -s /root/.google_authenticator .google_authenticator",
        ),
        (
            "eve",
            "echo 'otpauth://totp/root?secret=NBSWY3DPEB3W64TM' > .google_authenticator",
        ),
        (
            "alice",
            "printf 'GEZDGNBVGY3TQOJQ\\n\" TOTP_AUTH\\n' > .google_authenticator",
        ),
    ] {
        machine.add_user(user, "correct horse");
        machine.run("su", ["-", user, "-c", make]);
    }
    let share = ["--no-create-home", "--home-dir", "/home/alice", "boss"];
    machine.run("useradd", share);

    let said = guide.follow(&machine, "oathctl import");
    for user in ["root", "mallory", "eve"] {
        let line = format!("{user}: not imported");
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    let usersfile = machine.read("/etc/users.oath");
    let tokens: Vec<&str> = usersfile
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(tokens, ["HOTP/T30/6\talice\t-\t31323334353637383930"]);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn from_authy_ssh_users_get_new_tokens_and_sftp() {
    let guide = Guide::named("moving-from-authy-ssh.md");
    let example = Example::named("sshd-publickey");
    let server = Server::start(Config::default());
    server.authorize_key("alice");
    server.run("rm", ["/etc/users.oath"]);
    server.run("mkdir", [tool::TOOLS]);
    let program = format!("{}/authy-ssh", tool::TOOLS);
    server.install(&program, "#!/bin/sh\necho Authy Token:\n", 0o755);
    let users = "banner=Welcome\napi_key=0123456789\nuser=alice:12345\nuser=root:67890\n";
    server.install(&format!("{program}.conf"), users, 0o600);
    let sshd_config = server.read("/etc/ssh/sshd_config");
    let forced = format!("{sshd_config}\n    ForceCommand {program} login\n");
    server.install("/etc/ssh/sshd_config", forced, 0o644);

    guide.follow(&server, "oathctl add");
    server.install("/etc/pam.d/sshd", example.text(), 0o644);
    server.install(
        "/etc/ssh/sshd_config.d/oath.conf",
        example.sshd_config(),
        0o644,
    );
    guide.follow(&server, "ForceCommand");
    server.wait_for_logs("Server listening on 0.0.0.0 port 22", 2);

    let card = server.read("/root/cards/alice.txt");
    let shown = card.split(|c: char| !c.is_ascii_alphanumeric());
    let secret = shown
        .filter(|word| word.len() >= 26)
        .max_by_key(|word| word.len());
    let secret = secret.unwrap_or_else(|| panic!("no secret in {card}"));
    let code = code_of(secret, &["--totp"]);
    let login = server.ssh("alice").answers([code]).run("echo hi");
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.stdout, "hi\n", "{login}");

    server.install("/root/letter", "Dear Alice\n", 0o600);
    let code = code_of(secret, &["--totp", "--now=60 seconds"]);
    let login = server
        .ssh("alice")
        .answers([code])
        .sftp("put /root/letter letter\n");
    assert!(login.succeeded(), "{login}");
    assert_eq!(server.read("/home/alice/letter"), "Dear Alice\n");

    guide.follow(&server, "rm -rf");
    assert!(!server.path(&program).exists());
}
