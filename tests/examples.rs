//! The files in `pam.d-examples/` for one computer's own doors, installed as they stand: `su`,
//! `sudo`, `login`, and the screen locker.

#[path = "support/example.rs"]
mod example;
#[path = "support/machine.rs"]
mod machine;
#[path = "support/oathtool.rs"]
mod oathtool;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use example::Example;
use machine::Machine;
use oathtool::{SECRET, totp, wrong_code};
use terminal::Terminal;

const PASSWORD: &str = "correct horse";

fn code_prompt(user: &str) -> String {
    format!("One-time password (OATH) for `{user}': ")
}

/// A machine with alice on it, and a service as its example describes it.
fn machine_with(service: &str, example: &Example) -> Machine {
    let machine = Machine::start();
    machine.add_user("alice", PASSWORD);
    machine.set_password("root", PASSWORD);
    machine.install(&format!("/etc/pam.d/{service}"), example.text(), 0o644);
    machine
}

#[test]
#[ignore = "needs root, oathtool: run make test"]
fn su_asks_for_the_password_and_then_for_a_code() {
    let example = Example::named("su");
    let machine = machine_with("su", &example);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    let become_root = |code: &str| {
        let mut su = Terminal::of(&machine, "alice", "su", ["-", "-c", "id --user --name"]);
        su.answer("Password: ", PASSWORD);
        su.answer(&code_prompt("root"), code);
        su.rest()
    };
    let code = totp(SECRET, 0);

    let shown = become_root(&code);
    assert_eq!(shown, "\r\nroot\r\n", "nothing is shown of the code");
    assert_eq!(become_root(&code), "\r\nsu: Authentication failure\r\n");
    assert_eq!(
        become_root(&wrong_code(SECRET)),
        "\r\nsu: Authentication failure\r\n"
    );
    assert_eq!(
        machine.run("su", ["-", "alice", "-c", "id --user --name"]),
        "alice\n",
        "root is asked for nothing"
    );
}
