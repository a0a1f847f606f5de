//! The files in `pam.d-examples/` for one computer's own doors, installed as they stand: `su`,
//! `sudo`, `login`, and the screen locker.

use std::fs;
use std::path::Path;

use test_support::example::Example;
use test_support::machine::Machine;
use test_support::oathtool::{SECRET, totp, wrong_code};
use test_support::terminal::Terminal;

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
fn the_table_that_helps_to_choose_names_each_file_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pam.d-examples");
    let table = Example::named("README.md");
    for file in fs::read_dir(folder).expect("pam.d-examples") {
        let name = file.expect("a file").file_name();
        let name = name.to_str().expect("ASCII");
        let rows = table.text().matches(&format!("[{name}]({name}) |")).count();
        assert_eq!(rows, usize::from(name != "README.md"), "{name}");
    }
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

#[test]
#[ignore = "needs root, sudo, oathtool: run make test"]
fn sudo_asks_for_the_password_and_then_for_a_code() {
    test_support::program("sudo", "sudo");
    let example = Example::named("sudo");
    let machine = machine_with("sudo", &example);
    machine.install("/etc/pam.d/sudo-i", example.text(), 0o644);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    machine.install(
        "/etc/sudoers.d/oath",
        example.shown_after("with \"visudo -f\":"),
        0o440,
    );
    machine.run("usermod", ["--append", "--groups", "sudo", "alice"]);
    let become_root = |way: &str, code: &str| {
        let mut sudo = Terminal::of(&machine, "alice", "sudo", [way, "id", "--user", "--name"]);
        sudo.answer("[sudo] password for alice: ", PASSWORD);
        sudo.answer(&code_prompt("alice"), code);
        // It asks three times before it gives up.
        sudo
    };
    let code = totp(SECRET, 0);

    assert_eq!(become_root("-k", &code).rest(), "\r\nroot\r\n");
    become_root("-k", &code).wait_for("Sorry, try again.");
    become_root("-k", &wrong_code(SECRET)).wait_for("Sorry, try again.");
    become_root("-i", &code).wait_for("Sorry, try again.");
    let shown = become_root("-i", &totp(SECRET, 2)).rest();
    assert!(shown.ends_with("\r\nroot\r\n"), "{shown:?}");
}

#[test]
#[ignore = "needs root, oathtool: run make test"]
fn login_asks_for_the_password_and_then_for_a_code() {
    let example = Example::named("login");
    let machine = machine_with("login", &example);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    let log_in = |code: &str| {
        let mut login = Terminal::of(&machine, "root", "login", []);
        login.answer("login: ", "alice");
        login.answer("Password: ", PASSWORD);
        login.answer(&code_prompt("alice"), code);
        login
    };
    let code = totp(SECRET, 0);

    let mut shell = log_in(&code);
    shell.answer("$ ", "id --user --name; exit");
    let shown = shell.rest();
    assert!(shown.contains("\nalice\r\n"), "{shown:?}");

    log_in(&code).wait_for("Login incorrect");
    log_in(&wrong_code(SECRET)).wait_for("Login incorrect");
}

/// A machine on which alice has enrolled herself, as the screen locker's example tells her.
fn machine_with_locker(service: &str) -> Machine {
    let example = Example::named("screen-locker");
    let machine = machine_with(service, &example);
    let enrol = format!(
        "umask 077; cat > ~/.users.oath <<END\n{}END\n",
        example.usersfile()
    );
    let enrolled = machine
        .command_as("alice", "sh")
        .args(["-ec", &enrol])
        .status();
    assert!(enrolled.expect("nsenter starts").success());
    machine
}

#[test]
#[ignore = "needs root, pamtester, oathtool: run make test"]
fn a_screen_locker_that_runs_as_the_user_checks_the_users_own_file() {
    test_support::program("pamtester", "pamtester");
    let machine = machine_with_locker("i3lock");
    let unlock = |password: &str, code: &str| {
        let args = ["i3lock", "alice", "authenticate"];
        let mut locker = Terminal::of(&machine, "alice", "pamtester", args);
        locker.answer("Password: ", password);
        locker.answer(&code_prompt("alice"), code);
        locker.rest()
    };
    let code = totp(SECRET, 0);
    let opened = "pamtester: successfully authenticated";

    // Who has no token is asked for none.
    machine.add_user("bob", PASSWORD);
    let args = ["i3lock", "bob", "authenticate"];
    let mut locker = Terminal::of(&machine, "bob", "pamtester", args);
    locker.answer("Password: ", PASSWORD);
    let shown = locker.rest();
    assert!(shown.contains(opened), "{shown:?}");

    let shown = unlock(PASSWORD, &code);
    assert!(shown.contains(opened), "{shown:?}");
    for code in [code, wrong_code(SECRET)] {
        let shown = unlock(PASSWORD, &code);
        assert!(!shown.contains(opened), "{shown:?}");
    }
    let owner = machine.run("stat", ["-c", "%U %a", "/home/alice/.users.oath"]);
    assert_eq!(owner, "alice 600\n");
}

#[test]
#[ignore = "needs root, vlock, oathtool: run make test"]
fn vlock_as_the_user_and_as_root_unlocks_with_password_and_code() {
    test_support::program("vlock-main", "vlock");
    let machine = machine_with_locker("vlock");
    // Debian installs it setuid root; a copy runs as who starts it.
    machine.run("cp", ["/usr/sbin/vlock-main", "/tmp/vlock-main"]);
    let unlock = |locker: &str, code: &str| {
        let args = ["USER=alice", "VLOCK_MESSAGE=locked", locker];
        let mut vlock = Terminal::of(&machine, "alice", "env", args);
        vlock.answer("locked", "");
        vlock.answer("Password: ", PASSWORD);
        vlock.answer(&code_prompt("alice"), code);
        vlock
    };
    let code = totp(SECRET, 0);
    unlock("/tmp/vlock-main", &code).rest();
    unlock("/tmp/vlock-main", &code).wait_for("Authentication failure");
    unlock("/usr/sbin/vlock-main", &code).wait_for("Authentication failure");
    unlock("/usr/sbin/vlock-main", &totp(SECRET, 2)).rest();
}
