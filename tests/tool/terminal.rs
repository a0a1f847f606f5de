//! `oathctl` as a person runs it: on a terminal of its own, with questions, and interrupted.

use std::fs;
use std::path::Path;

use rexpect::process::{Signal, WaitStatus};
use rexpect::session::PtySession;
use test_support::NOON;
use test_support::built_oathctl;
use test_support::codes::Generator;
use test_support::oathctl::Tool;

const SECRET: &str = "3132333435363738393031323334353637383930";

fn alice() -> String {
    format!("HOTP/T30\talice\t-\t{SECRET}\n")
}

/// The exit code of a command that has come to its end.
fn code(terminal: &PtySession) -> i32 {
    match terminal.process().wait().unwrap() {
        WaitStatus::Exited(_, code) => code,
        status => panic!("{status:?}"),
    }
}

/// Whether what is typed is shown.
fn echoes(terminal: &PtySession) -> bool {
    use rustix::termios::{LocalModes, tcgetattr};
    let modes = tcgetattr(terminal.process().get_file_handle().unwrap()).unwrap();
    modes.local_modes.contains(LocalModes::ECHO)
}

fn add(tool: &Tool, more: &[&str]) -> PtySession {
    tool.on_terminal([&["add", "alice", "--force", "--secret", SECRET], more].concat())
}

#[test]
fn add_writes_only_when_the_phone_has_proved_that_it_has_the_secret() {
    let tool = Tool::new();
    let mut terminal = add(&tool, &[]);
    terminal.exp_string("otpauth://totp/").unwrap();
    terminal.exp_string("shows now: ").unwrap();
    assert_eq!(tool.scene.usersfile_now(), None);
    terminal.send_line("000000").unwrap();
    terminal.exp_string("try again").unwrap();
    terminal.exp_string("shows now: ").unwrap();
    terminal
        .send_line(&Generator::new(SECRET).code_at(NOON, 30, -1))
        .unwrap();
    terminal
        .exp_string("alice has a token now, on line 3")
        .unwrap();
    assert_eq!(code(&terminal), 0);
    let line = format!("HOTP/T30/6\talice\t-\t{SECRET}\n");
    assert!(tool.usersfile_now().ends_with(&line));
}

#[test]
fn add_gives_up_after_three_wrong_codes_and_tells_of_a_clock_that_is_off() {
    let tool = Tool::new().usersfile("# none yet\n");
    let mut terminal = add(&tool, &[]);
    for _ in 0..3 {
        terminal.exp_string("shows now: ").unwrap();
        terminal
            .send_line(&Generator::new(SECRET).code_at(NOON, 30, 20))
            .unwrap();
        terminal.exp_string("20 steps (10 min) ahead").unwrap();
    }
    terminal.exp_string("nothing was changed").unwrap();
    assert_eq!(code(&terminal), 1);
    assert_eq!(tool.usersfile_now(), "# none yet\n");
}

#[test]
fn a_code_by_event_that_proved_the_phone_is_used_up() {
    let tool = Tool::new();
    let mut terminal = add(&tool, &["--hotp"]);
    terminal.exp_string("shows now: ").unwrap();
    let token = Generator::new(SECRET);
    terminal.send_line(&token.code(1)).unwrap();
    terminal.exp_string("alice has a token now").unwrap();
    assert_eq!(code(&terminal), 0);
    let login = |counter| tool.scene.login("alice").types(token.code(counter)).rc;
    assert_eq!([0, 1, 2].map(login), ["AUTH_ERR", "AUTH_ERR", "SUCCESS"]);
}

#[test]
fn a_pin_is_asked_for_twice_and_never_shown() {
    let tool = Tool::new().pam("sshd", "digits=6");
    let mut terminal = add(&tool, &["--pin"]);
    let mut screen = terminal.exp_string("New PIN: ").unwrap();
    assert!(!echoes(&terminal));
    terminal.send_line("4711").unwrap();
    screen += &terminal.exp_string("again: ").unwrap();
    assert!(!echoes(&terminal));
    terminal.send_line("4711").unwrap();
    screen += &terminal.exp_string("shows now: ").unwrap();
    assert!(echoes(&terminal));
    assert!(!screen.contains("4711"), "{screen}");
    let now = Generator::new(SECRET).code_at(NOON, 30, 0);
    terminal.send_line(&now).unwrap();
    terminal.exp_string("has a token now").unwrap();
    assert_eq!(code(&terminal), 0);
    let Tool { scene, .. } = tool;
    let scene = scene.args("digits=6");
    assert_eq!(
        scene.login("alice").types(format!("4711{now}")).rc,
        "SUCCESS"
    );
}

#[test]
fn two_pins_that_differ_change_nothing() {
    let tool = Tool::new();
    let mut terminal = add(&tool, &["--pin"]);
    terminal.exp_string("New PIN: ").unwrap();
    terminal.send_line("4711").unwrap();
    terminal.exp_string("again: ").unwrap();
    terminal.send_line("4712").unwrap();
    terminal.exp_string("the PINs differ").unwrap();
    assert_eq!(code(&terminal), 1);
    assert_eq!(tool.scene.usersfile_now(), None);
}

#[test]
fn ctrl_c_at_any_question_leaves_terminal_and_files_as_they_were() {
    let picture = "alice.png";
    for (args, question) in [
        (&["add", "bob", "--force", "--pin"][..], "New PIN: "),
        (&["add", "bob", "--force", "--qr", picture], "shows now: "),
        (&["show", "alice"], "[y/N] "),
        (&["verify", "alice"], "of alice: "),
        (&["resync", "alice"], "shows now: "),
    ] {
        let tool = Tool::new().usersfile(alice()).pam("sshd", "digits=6");
        let folder = tool.scene.folder();
        let args = args.iter().map(|&arg| match arg == picture {
            true => folder.join(arg).into_os_string(),
            false => arg.into(),
        });
        let mut terminal = tool.on_terminal(args);
        terminal.exp_string(question).unwrap();
        terminal.send_control('c').unwrap();
        terminal
            .exp_string("interrupted; nothing was changed")
            .unwrap();
        let status = terminal.process().wait().unwrap();
        assert!(
            matches!(status, WaitStatus::Signaled(_, Signal::SIGINT, _)),
            "{question}: {status:?}"
        );
        assert!(echoes(&terminal), "{question}");
        assert_eq!(tool.usersfile_now(), alice(), "{question}");
        assert_eq!(tool.scene.left_behind(), [] as [&str; 0], "{question}");
    }
}

#[test]
fn the_end_of_input_at_a_question_changes_nothing() {
    let tool = Tool::new().usersfile(alice());
    let mut terminal = tool.on_terminal(["add", "bob", "--force"]);
    terminal.exp_string("shows now: ").unwrap();
    terminal.send_control('d').unwrap();
    terminal
        .exp_string("no answer; nothing was changed")
        .unwrap();
    assert_eq!(code(&terminal), 1);
    assert_eq!(tool.usersfile_now(), alice());
}

/// Whether a process of the tool has the file open, as one that waits for its lock does.
fn has_open(file: &Path) -> bool {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let leads_to = |link: &Path, target: &Path| fs::read_link(link).is_ok_and(|to| to == target);
    entries(Path::new("/proc"))
        .map(|process| process.path())
        .filter(|process| leads_to(&process.join("exe"), built_oathctl().as_ref()))
        .flat_map(|process| entries(&process.join("fd")))
        .any(|fd| leads_to(&fd.path(), file))
}

#[test]
fn ctrl_c_ends_the_wait_for_a_lock() {
    use rustix::fs::{FlockOperation, flock};
    let tool = Tool::new().usersfile(alice());
    let file = fs::File::open(tool.scene.path()).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let mut terminal = tool.on_terminal(["disable", "alice"]);
    while !has_open(&tool.scene.path()) {
        std::thread::yield_now();
    }
    terminal.send_control('c').unwrap();
    let screen = terminal.exp_eof().unwrap();
    let status = terminal.process().wait().unwrap();
    assert!(
        matches!(status, WaitStatus::Signaled(_, Signal::SIGINT, _)),
        "{status:?}: {screen}"
    );
    assert_eq!(tool.usersfile_now(), alice());
    assert_eq!(tool.scene.left_behind(), [] as [&str; 0]);
}

#[test]
fn show_asks_for_confirmation() {
    let tool = Tool::new().usersfile(alice());
    let mut terminal = tool.on_terminal(["show", "alice"]);
    terminal
        .exp_string("whoever sees what follows can log in")
        .unwrap();
    terminal.exp_string("[y/N] ").unwrap();
    terminal.send_line("").unwrap();
    let screen = terminal.exp_eof().unwrap();
    assert!(!screen.contains("otpauth"), "{screen}");
    assert_eq!(code(&terminal), 1);

    let mut terminal = tool.on_terminal(["show", "alice"]);
    terminal.exp_string("[y/N] ").unwrap();
    terminal.send_line("yes").unwrap();
    terminal
        .exp_string("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
        .unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(code(&terminal), 0);
}

#[test]
fn a_pin_typed_for_verify_is_not_shown() {
    let tool = Tool::new()
        .usersfile(alice().replace("\t-\t", "\t4711\t"))
        .pam("sshd", "digits=6");
    let mut terminal = tool.on_terminal(["verify", "alice"]);
    terminal.exp_string("one-time password of alice: ").unwrap();
    assert!(!echoes(&terminal));
    let now = Generator::new(SECRET).code_at(NOON, 30, 0);
    terminal.send_line(&format!("4711{now}")).unwrap();
    let screen = terminal.exp_eof().unwrap();
    assert!(
        screen.contains("accepted (line 1)") && !screen.contains("4711"),
        "{screen}"
    );
    assert_eq!(code(&terminal), 0);
}

#[test]
fn resync_asks_for_two_codes_in_a_row() {
    let tool = Tool::new().usersfile(format!("HOTP/E/6\talice\t-\t{SECRET}\n"));
    let token = Generator::new(SECRET);
    let mut terminal = tool.on_terminal(["resync", "alice"]);
    terminal.exp_string("next code of the token: ").unwrap();
    let first = token.code(70);
    let as_shown = format!("{} {}", &first[..3], &first[3..]);
    terminal.send_line(&as_shown).unwrap();
    terminal.exp_string("one after that: ").unwrap();
    terminal.send_line(&token.code(71)).unwrap();
    terminal.exp_string("in step again").unwrap();
    assert_eq!(code(&terminal), 0);
    assert_eq!(
        tool.scene.login("alice").types(token.code(72)).rc,
        "SUCCESS"
    );
}
