//! `oathctl edit`: with an editor that a test controls: alone, beside another, and while users log
//! in.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use oath_core::usersfile::Usersfile;
use rexpect::session::PtySession;
use test_support::codes::Generator;
use test_support::oathctl::Tool;
use test_support::program;
use test_support::small_disk::SmallDisk;

const SECRET: &str = "3132333435363738393031323334353637383930";

fn by_event(user: &str) -> String {
    format!("HOTP/E/6\t{user}\t-\t{SECRET}\n")
}

/// An editor that signals when it is open, waits until it may go on, and runs a line of shell on
/// the file, `$1`.
struct Editor {
    folder: tempfile::TempDir,
}

impl Editor {
    fn new(script: &str) -> Editor {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for pipe in ["open", "go"] {
            let made = Command::new(program("mkfifo", "coreutils"))
                .arg(path.join(pipe))
                .status();
            assert!(made.unwrap().success());
        }
        let lines = format!(
            "echo \"$1\" > {0}/open\nread go < {0}/go\n{script}\n",
            path.display()
        );
        fs::write(path.join("editor"), lines).unwrap();
        Editor { folder }
    }

    fn command(&self) -> String {
        format!("sh {}", self.folder.path().join("editor").display())
    }

    /// Waits until the editor is open; returns the file that it was given.
    fn is_open(&self) -> PathBuf {
        let name = fs::read_to_string(self.folder.path().join("open")).unwrap();
        Path::new(name.trim_end()).to_owned()
    }

    fn may_go_on(&self) {
        fs::write(self.folder.path().join("go"), "\n").unwrap();
    }
}

fn edit(tool: &Tool, editor: &str) -> PtySession {
    tool.on_terminal_with(["edit"], &[("EDITOR", editor)])
}

#[test]
fn what_was_edited_is_shown_without_secrets_and_is_in_the_file() {
    let text = format!("# users\n{}", by_event("alice"));
    let tool = Tool::new().usersfile(&text);
    let mut terminal = edit(&tool, "sed -i s/alice/bob/");
    let screen = terminal.exp_eof().unwrap();
    assert_eq!(
        screen,
        "- HOTP/E/6 alice - (secret)\r\n+ HOTP/E/6 bob - (secret)\r\n"
    );
    assert_eq!(tool.usersfile_now(), text.replace("alice", "bob"));
    assert_eq!(tool.scene.left_behind(), [] as [&str; 0]);
}

#[test]
fn an_edit_that_takes_the_last_token_of_a_user_warns_as_remove_does() {
    for editor in ["sed -i /alice/d", "sed -i s/^HOTP.E/#HTOP/"] {
        let tool = Tool::new().usersfile(by_event("alice"));
        let mut terminal = edit(&tool, editor);
        let screen = terminal.exp_eof().unwrap();
        assert!(screen.contains("has no token left"), "{editor}: {screen}");
        let tool = Tool::new()
            .usersfile(by_event("alice"))
            .pam("sshd", "nullok");
        let mut terminal = edit(&tool, editor);
        let screen = terminal.exp_eof().unwrap();
        assert!(
            screen.contains("alice has no token now"),
            "{editor}: {screen}"
        );
    }
}

#[test]
fn the_copy_is_the_editor_s_alone_and_goes_when_it_is_done() {
    let tool = Tool::new().usersfile(by_event("alice"));
    // As an editor that keeps a backup does.
    let editor = Editor::new("cp \"$1\" \"$1~\"");
    let mut terminal = edit(&tool, &editor.command());
    let copy = editor.is_open();
    let folder = copy.parent().unwrap().to_owned();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&folder), mode(&copy)), (0o700, 0o600));
    editor.may_go_on();
    assert_eq!(terminal.exp_eof().unwrap(), "nothing was changed\r\n");
    assert!(!folder.exists());
}

#[test]
fn a_second_editor_is_locked_out_and_a_crash_locks_nobody_out() {
    let tool = Tool::new().usersfile(by_event("alice"));
    let editor = Editor::new("true");
    let mut first = edit(&tool, &editor.command());
    let copy = editor.is_open();
    let mut second = edit(&tool, "true");
    second
        .exp_string("is being edited by somebody else")
        .unwrap();
    first
        .process_mut()
        .kill(rexpect::process::Signal::SIGKILL)
        .unwrap();
    assert!(copy.exists());
    let mut third = edit(&tool, "sed -i s/alice/bob/");
    third.exp_string("+ HOTP/E/6 bob").unwrap();
    third.exp_eof().unwrap();
    assert!(!copy.exists());
    assert_eq!(tool.usersfile_now(), by_event("bob"));
}

#[test]
fn what_is_wrong_is_named_and_can_be_edited_again() {
    let tool = Tool::new().usersfile(by_event("alice"));
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("editor");
    // At first a secret of which a digit is lost, then a TYPE nobody knows, then all is well.
    fs::write(
        &script,
        "if grep -q alice \"$1\"; then sed -i 's/alice/bob/; s/0$//' \"$1\"\n\
         elif grep -q HOTP/E \"$1\"; then sed -i 's/3$/30/; s,HOTP/E,HOTP/X,' \"$1\"\n\
         else sed -i s,HOTP/X,HOTP/E, \"$1\"; fi\n",
    )
    .unwrap();
    let mut terminal = edit(&tool, &format!("sh {}", script.display()));
    for problem in [
        "line 1: field 4 (SECRET) has an odd number",
        "line 1: looks like a token's",
    ] {
        terminal.exp_string(problem).unwrap();
        terminal.exp_string("What now?").unwrap();
        terminal.exp_string(": ").unwrap();
        assert_eq!(tool.usersfile_now(), by_event("alice"));
        terminal.send_line("e").unwrap();
    }
    terminal.exp_string("+ HOTP/E/6 bob").unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(tool.usersfile_now(), by_event("bob"));
}

#[test]
fn an_edit_that_is_given_up_or_whose_editor_fails_changes_nothing() {
    let tool = Tool::new().usersfile(by_event("alice"));
    let mut terminal = edit(&tool, "sed -i s/3/x/");
    terminal.exp_string("without saving").unwrap();
    terminal.exp_string(": ").unwrap();
    terminal.send_line("x").unwrap();
    terminal.exp_string("nothing was changed").unwrap();
    terminal.exp_eof().unwrap();

    let mut terminal = edit(&tool, "sed -i s/3/x/");
    terminal.exp_string("without saving").unwrap();
    terminal.exp_string(": ").unwrap();
    terminal.send_control('c').unwrap();
    terminal
        .exp_string("interrupted; nothing was changed")
        .unwrap();
    terminal.exp_eof().unwrap();

    let mut terminal = edit(&tool, "sed -i s/alice/bob/ && false");
    terminal.exp_string("nothing was changed").unwrap();
    terminal.exp_eof().unwrap();
    assert_eq!(tool.usersfile_now(), by_event("alice"));
}

#[test]
fn while_users_log_in_no_counter_goes_back_and_no_login_and_no_edit_is_lost() {
    const ROUNDS: u64 = 12;
    const LOGINS_WHILE_OPEN: u64 = 8;
    let tool = Tool::new().usersfile(format!("# round 0\n{}", by_event("alice")));
    let token = Generator::new(SECRET);
    let mut counter = 0;
    let mut login = || {
        let outcome = tool.scene.login("alice").types(token.code(counter));
        assert_eq!(
            outcome.rc,
            "SUCCESS",
            "counter {counter}: {}",
            outcome.log_text()
        );
        counter += 1;
        counter
    };
    for round in 1..=ROUNDS {
        // A line is changed and one is added.
        let editor = Editor::new(&format!(
            "sed -i 's/# round .*/# round {round}/; $a # note {round}' \"$1\""
        ));
        let mut terminal = edit(&tool, &editor.command());
        editor.is_open();
        for _ in 0..LOGINS_WHILE_OPEN {
            login();
        }
        editor.may_go_on();
        // From here on the logins race with the saving.
        while terminal.process().status() == Some(rexpect::process::WaitStatus::StillAlive) {
            login();
        }
        terminal.exp_eof().unwrap();
        let used = login();
        let text = tool.usersfile_now();
        assert!(text.starts_with(&format!("# round {round}\n")), "{text}");
        for round in 1..=round {
            assert!(text.contains(&format!("# note {round}\n")), "{text}");
        }
        let last = format!("\t{}\t{}\t", used - 1, token.code(used - 1));
        assert!(text.contains(&last), "{text}");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn an_add_that_fails_on_a_full_disk_leaves_no_file_where_there_was_none() {
    let tool = Tool::new();
    let disk = SmallDisk::over(&tool.scene.folder());
    disk.fill();
    let add = ["add", "alice", "--force", "--no-confirm"];
    let said = tool.run(add).fails(1);
    assert!(said.contains("No space left on device"), "{said}");
    // An empty file would make every user unknown.
    assert_eq!(tool.scene.usersfile_now(), None);
    disk.make_writable();
    tool.run(add).ok();
}

/// An error of the tool's own, which does not come from the usersfile.
#[derive(Debug)]
struct Failed;

impl From<oath_core::usersfile::Error> for Failed {
    fn from(error: oath_core::usersfile::Error) -> Failed {
        panic!("{error}")
    }
}

#[test]
fn an_edit_that_fails_takes_away_the_file_it_made_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.oath");
    let fails = || {
        let usersfile = Usersfile::at(path.clone());
        let result = usersfile.edit_or_create(|_| Err::<(), _>(Failed));
        assert!(result.is_err());
    };
    fails();
    assert!(!path.exists());
    // What somebody else has written to the file by then is no longer the edit's own.
    let result = Usersfile::at(path.clone()).edit_or_create(|_| {
        fs::write(&path, "# users\n").unwrap();
        Err::<(), _>(Failed)
    });
    assert!(result.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "# users\n");
    for text in ["", "# users\n"] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        fails();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn an_edit_that_changes_nothing_leaves_the_very_file_in_its_place() {
    let tool = Tool::new().usersfile(by_event("alice"));
    let inode = || fs::metadata(tool.scene.path()).unwrap().ino();
    let before = inode();
    let usersfile = Usersfile::at(tool.scene.path());
    usersfile.edit(|_| Ok::<_, Failed>(())).unwrap();
    assert_eq!(inode(), before);
}

#[test]
fn what_is_no_file_keeps_its_mode_and_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.oath");
    let made = Command::new(program("mkfifo", "coreutils"))
        .args(["-m", "644"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let refused = Usersfile::at(path.clone()).make_private().unwrap_err();
    assert!(
        refused.to_string().contains("is not a regular file"),
        "{refused}"
    );
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o644);
}
