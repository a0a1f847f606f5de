//! Logins through OpenSSH's own sshd, with its own clients and codes from `oathtool`.

use test_support::oathtool::{SECRET, hotp, totp, wrong_code};
use test_support::sshd::{CODE_PROMPT, Config, Login, Server};

fn assert_let_in(login: &Login) {
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.stdout, "hi\n", "{login}");
    assert_eq!(login.prompts, [CODE_PROMPT], "{login}");
}

fn assert_refused(login: &Login) {
    assert!(login.was_refused(), "{login}");
    assert_eq!(login.stdout, "", "{login}");
    assert_eq!(login.prompts, [CODE_PROMPT], "{login}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn ssh_lets_each_event_code_in_once_and_a_wrong_one_never() {
    let server = Server::start(Config {
        users_oath: format!("HOTP alice - {SECRET}\n"),
        ..Config::default()
    });
    let log_in = |code: &str| server.ssh("alice").answers([code]).run("echo hi");

    assert_let_in(&log_in(&hotp(SECRET, 0)));
    assert_refused(&log_in(&hotp(SECRET, 0)));
    assert_refused(&log_in(&wrong_code(SECRET)));
    assert_let_in(&log_in(&hotp(SECRET, 1)));
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn ssh_lets_each_time_based_code_in_once_and_a_wrong_one_never() {
    let server = Server::start(Config {
        users_oath: format!("HOTP/T30 alice - {SECRET}\n"),
        ..Config::default()
    });
    let log_in = |code: &str| server.ssh("alice").answers([code]).run("echo hi");

    let code = totp(SECRET, 0);
    assert_let_in(&log_in(&code));
    assert_refused(&log_in(&code));
    assert_refused(&log_in(&wrong_code(SECRET)));
    assert_let_in(&log_in(&totp(SECRET, 2)));
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn ssh_asks_for_a_code_after_the_public_key_and_needs_both() {
    let server = Server::start(Config {
        sshd: "KbdInteractiveAuthentication yes\n\
               AuthenticationMethods publickey,keyboard-interactive\n"
            .into(),
        users_oath: format!("HOTP alice - {SECRET}\n"),
        ..Config::default()
    });
    let without_key = server
        .ssh("alice")
        .answers([hotp(SECRET, 0)])
        .run("echo hi");
    assert!(without_key.was_refused(), "{without_key}");
    assert_eq!(without_key.prompts, [""; 0], "{without_key}");

    server.authorize_key("alice");
    let login = server
        .ssh("alice")
        .answers([hotp(SECRET, 0)])
        .run("echo hi");
    assert_let_in(&login);
    let key = login
        .client_log
        .find("Authenticated using \"publickey\" with partial success.");
    let code = login.client_log.find("using \"keyboard-interactive\".");
    assert!(key.is_some() && key < code, "{login}");

    let replayed = server
        .ssh("alice")
        .answers([hotp(SECRET, 0)])
        .run("echo hi");
    assert_refused(&replayed);
    assert!(
        replayed.client_log.contains("with partial success."),
        "{replayed}"
    );
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sftp_puts_and_gets_files_after_a_code() {
    let server = Server::start(Config {
        users_oath: format!("HOTP alice - {SECRET}\n"),
        ..Config::default()
    });
    server.install("/root/letter", "Dear Alice\n", 0o600);
    let transfer = |code: &str| {
        let commands = "put /root/letter letter\nget letter /root/letter-again\n";
        server.ssh("alice").answers([code]).sftp(commands)
    };

    let refused = transfer(&wrong_code(SECRET));
    assert_refused(&refused);
    assert!(!server.path("/home/alice/letter").exists());

    let login = transfer(&hotp(SECRET, 0));
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.prompts, [CODE_PROMPT], "{login}");
    assert_eq!(server.read("/home/alice/letter"), "Dear Alice\n");
    assert_eq!(server.read("/root/letter-again"), "Dear Alice\n");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_log_names_user_and_address_of_each_login_and_never_a_code() {
    let server = Server::start(Config {
        users_oath: format!("HOTP alice - {SECRET}\n"),
        ..Config::default()
    });
    let (right, wrong) = (hotp(SECRET, 0), wrong_code(SECRET));
    for code in [&wrong, &right] {
        server.ssh("alice").answers([code]).run("true");
    }

    let log = server.log();
    let ours = log
        .iter()
        .filter(|line| line.contains("pam_oath(sshd:auth)"));
    let named = ours.filter(|line| line.contains("user=alice") && line.contains("rhost=127.0.0.1"));
    assert_eq!(named.count(), 2, "{log:#?}");
    for secret in [right.as_str(), &wrong, SECRET] {
        assert!(!log.iter().any(|line| line.contains(secret)), "{log:#?}");
    }
}
