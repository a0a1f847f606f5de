//! Every file in `pam.d-examples/`, installed as it stands, with the programs it is for.
//!
//! The one thing done to a file is what its own comments tell an administrator to do.

#[path = "support/machine.rs"]
mod machine;
#[path = "support/oathtool.rs"]
mod oathtool;
#[path = "support/sshd.rs"]
mod sshd;
mod support;

use std::process::Stdio;

use machine::{Machine, PATIENCE};
use oathtool::{SECRET, SECRET_BASE32, totp, wrong_code};
use rexpect::session::{PtySession, spawn_command};
use sshd::{CODE_PROMPT, Config, PASSWORD, PASSWORD_PROMPT, Server};

const SSHD: &str = include_str!("../pam.d-examples/sshd");
const SU: &str = include_str!("../pam.d-examples/su");

/// The lines that an example's comments show, indented, after the sentence that ends in `intro`.
fn shown_after(example: &str, intro: &str) -> String {
    let mut shown: Vec<&str> = example
        .lines()
        .skip_while(|line| !line.ends_with(intro))
        .skip_while(|line| !line.starts_with("#        "))
        .take_while(|line| line.starts_with("#        "))
        .map(|line| line.trim_start_matches(['#', ' ']))
        .collect();
    assert!(
        !shown.is_empty(),
        "the example shows no lines after {intro:?}"
    );
    shown.push("");
    shown.join("\n")
}

/// Puts a `#` before the one line that starts with `start`.
fn comment_out(example: &str, start: &str) -> String {
    assert_eq!(
        example.matches(&format!("\n{start}")).count(),
        1,
        "{start:?}"
    );
    example.replace(&format!("\n{start}"), &format!("\n#{start}"))
}

/// Asks only those for a code who are enrolled, as both examples explain it.
fn only_the_enrolled(example: &str) -> String {
    let with_both = example.replace("\n#auth ", "\nauth ");
    comment_out(&with_both, "auth       required     pam_oath.so")
}

/// The line for `/etc/users.oath` that an example shows, with the test's secret.
fn users_oath(example: &str) -> String {
    shown_after(example, "has mode 600:").replace("SECRET", SECRET_BASE32)
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_sshd_example_asks_for_the_password_and_then_for_a_code() {
    let server = Server::start(Config {
        pam: SSHD.into(),
        sshd: shown_after(SSHD, "/etc/ssh/sshd_config.d/oath.conf:"),
        users_oath: users_oath(SSHD),
    });
    let log_in =
        |password: &str, code: &str| server.ssh("alice").answers([password, code]).run("echo hi");
    let code = totp(SECRET, 0);

    let login = log_in(PASSWORD, &code);
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.stdout, "hi\n", "{login}");
    assert_eq!(login.prompts, [PASSWORD_PROMPT, CODE_PROMPT], "{login}");

    for refused in [
        log_in(PASSWORD, &code),
        log_in(PASSWORD, &wrong_code(SECRET)),
    ] {
        assert!(refused.was_refused(), "{refused}");
        assert_eq!(refused.prompts, [PASSWORD_PROMPT, CODE_PROMPT], "{refused}");
    }

    let wrong_password = log_in("wrong", &totp(SECRET, 2));
    assert!(wrong_password.was_refused(), "{wrong_password}");
    assert_eq!(
        wrong_password.prompts,
        [PASSWORD_PROMPT],
        "{wrong_password}"
    );
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_sshd_example_refuses_those_who_are_not_enrolled() {
    let server = Server::start(Config {
        pam: SSHD.into(),
        sshd: shown_after(SSHD, "/etc/ssh/sshd_config.d/oath.conf:"),
        users_oath: users_oath(SSHD).replace("alice", "bob"),
    });
    let login = server.ssh("alice").answers([PASSWORD]).run("echo hi");
    assert!(login.was_refused(), "{login}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_sshd_example_can_ask_for_a_public_key_instead_of_the_password() {
    let lines = shown_after(SSHD, "/etc/ssh/sshd_config.d/oath.conf:");
    let instead = shown_after(
        SSHD,
        "write this as the last line of /etc/ssh/sshd_config.d/oath.conf:",
    );
    let server = Server::start(Config {
        pam: comment_out(SSHD, "@include common-auth"),
        sshd: lines.replace("AuthenticationMethods keyboard-interactive\n", &instead),
        users_oath: users_oath(SSHD),
    });
    server.authorize_key("alice");

    let login = server
        .ssh("alice")
        .answers([totp(SECRET, 0)])
        .run("echo hi");
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.prompts, [CODE_PROMPT], "{login}");
    assert!(
        login
            .client_log
            .contains("Authenticated using \"publickey\" with partial success.")
    );

    let refused = server
        .ssh("alice")
        .answers([wrong_code(SECRET)])
        .run("echo hi");
    assert!(refused.was_refused(), "{refused}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_sshd_example_can_ask_only_those_who_are_enrolled() {
    let server = Server::start(Config {
        pam: only_the_enrolled(SSHD),
        sshd: shown_after(SSHD, "/etc/ssh/sshd_config.d/oath.conf:"),
        users_oath: users_oath(SSHD),
    });
    server.add_user("bob", PASSWORD);

    let bob = server.ssh("bob").answers([PASSWORD]).run("echo hi");
    assert!(bob.succeeded(), "{bob}");
    assert_eq!(bob.prompts.len(), 1, "{bob}");

    let login = server
        .ssh("alice")
        .answers([PASSWORD, &totp(SECRET, 0)])
        .run("echo hi");
    assert!(login.succeeded(), "{login}");
    let refused = server
        .ssh("alice")
        .answers([PASSWORD, &wrong_code(SECRET)])
        .run("echo hi");
    assert!(refused.was_refused(), "{refused}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn the_sshd_example_keeps_root_out_unless_sshd_permits_it() {
    let log_in_as_root = |more: &str| {
        let server = Server::start(Config {
            pam: SSHD.into(),
            sshd: shown_after(SSHD, "/etc/ssh/sshd_config.d/oath.conf:") + more,
            users_oath: users_oath(SSHD).replace("alice", "root"),
        });
        server.set_password("root", PASSWORD);
        server
            .ssh("root")
            .answers([PASSWORD, &totp(SECRET, 0)])
            .run("echo hi")
    };

    let root = log_in_as_root("");
    assert!(root.was_refused(), "{root}");
    let root = log_in_as_root("PermitRootLogin yes\n");
    assert!(root.succeeded(), "{root}");
}

/// A terminal at which alice types `su`.
struct Terminal(PtySession);

impl Terminal {
    fn su(machine: &Machine, args: &[&str]) -> Self {
        // rexpect switches the echo off; a person's terminal has it on until su switches it off.
        let mut su = machine.command_as("alice", "sh");
        su.args(["-c", "stty echo && exec su \"$@\"", "sh"])
            .args(args)
            .stdin(Stdio::inherit());
        let milliseconds = PATIENCE.as_millis().try_into().expect("it fits");
        Self(spawn_command(su, Some(milliseconds)).expect("a terminal"))
    }

    /// Waits for the prompt, types the answer, and returns what the terminal showed before.
    fn answer(&mut self, prompt: &str, answer: &str) -> String {
        let shown = self.0.exp_string(prompt).expect("the prompt");
        self.0.send_line(answer).expect("the terminal takes it");
        shown
    }

    /// What the terminal showed from the last answer until the end.
    fn rest(mut self) -> String {
        self.0.exp_eof().expect("su ends")
    }
}

fn machine_with_su(service: &str) -> Machine {
    let machine = Machine::start();
    machine.add_user("alice", PASSWORD);
    machine.set_password("root", PASSWORD);
    machine.install("/etc/pam.d/su", service, 0o644);
    machine.install("/etc/users.oath", users_oath(SU), 0o600);
    machine
}

#[test]
#[ignore = "needs root, oathtool: run make test"]
fn the_su_example_asks_for_the_password_and_then_for_a_code() {
    let machine = machine_with_su(SU);
    let become_root = |code: &str| {
        let mut terminal = Terminal::su(&machine, &["-", "-c", "id --user --name"]);
        terminal.answer("Password: ", PASSWORD);
        terminal.answer("One-time password (OATH) for `root': ", code);
        terminal.rest()
    };
    let code = totp(SECRET, 0);

    assert_eq!(
        become_root(&code),
        "\r\nroot\r\n",
        "nothing is shown of the code"
    );
    assert_eq!(become_root(&code), "\r\nsu: Authentication failure\r\n");
    assert_eq!(
        become_root(&wrong_code(SECRET)),
        "\r\nsu: Authentication failure\r\n"
    );
}

#[test]
#[ignore = "needs root, oathtool: run make test"]
fn the_su_example_asks_root_for_nothing() {
    let machine = machine_with_su(SU);
    assert_eq!(
        machine.run("su", ["-", "alice", "-c", "id --user --name"]),
        "alice\n"
    );
}

#[test]
#[ignore = "needs root, oathtool: run make test"]
fn the_su_example_can_ask_only_for_those_who_are_enrolled() {
    let machine = machine_with_su(&only_the_enrolled(SU));
    machine.add_user("bob", PASSWORD);

    let mut to_bob = Terminal::su(&machine, &["bob", "-c", "id --user --name"]);
    to_bob.answer("Password: ", PASSWORD);
    assert_eq!(to_bob.rest(), "\r\nbob\r\n");

    let mut to_root = Terminal::su(&machine, &["-c", "id --user --name"]);
    to_root.answer("Password: ", PASSWORD);
    to_root.answer("One-time password (OATH) for `root': ", &wrong_code(SECRET));
    assert_eq!(to_root.rest(), "\r\nsu: Authentication failure\r\n");
}
