//! `google-authenticator`: its options, its questions, and the file it writes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use oath_core::sys;
use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{Options, PtySession, spawn_with_options};
use tempfile::TempDir;
use test_support::codes::Generator;
use test_support::oathctl::Output;
use test_support::{built_oathctl, program};

/// All that would be asked is said, the question for a code as well.
const NO_QUESTION: [&str; 8] = ["-t", "-C", "-f", "-d", "-u", "-w", "3", "-Qnone"];

/// A home directory with nothing in it, in a folder that not everybody may write to.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        let home = Home(TempDir::new().unwrap());
        fs::create_dir(home.folder()).unwrap();
        home
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn path(&self) -> PathBuf {
        self.folder().join(".google_authenticator")
    }

    fn file(&self) -> Option<String> {
        fs::read_to_string(self.path()).ok()
    }

    /// What else is there.
    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| *path != self.path()).collect()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.answering("", arguments)
    }

    /// Runs the command with these lines on standard input.
    fn answering(&self, lines: &str, arguments: &[&str]) -> Output {
        self.run_program(&built(), lines, arguments)
    }

    fn run_program(&self, program: &Path, lines: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("HOME", self.folder())
            .current_dir(self.folder());
        Output::of(&mut command, lines)
    }

    fn on_terminal(&self, arguments: &[&str]) -> PtySession {
        let mut command = Command::new(built());
        command.args(arguments).env("HOME", self.folder());
        let options = Options::new().timeout_ms(Some(30_000));
        spawn_with_options(command, options).unwrap()
    }
}

fn built() -> PathBuf {
    Path::new(built_oathctl()).with_file_name("google-authenticator")
}

fn exit_code(terminal: &PtySession) -> i32 {
    match terminal.process().wait().unwrap() {
        WaitStatus::Exited(_, code) => code,
        status => panic!("{status:?}"),
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs().try_into().unwrap()
}

/// A file's text with letters in place of its secret and its scratch codes.
fn masked(text: &str) -> String {
    let line = |(number, line): (usize, &str)| match line {
        _ if number == 0 => "SECRET\n".to_owned(),
        code if code.bytes().all(|byte| byte.is_ascii_digit()) => {
            assert!(code.len() == 8 && !code.starts_with('0'), "{code}");
            "CODE\n".to_owned()
        }
        option => format!("{option}\n"),
    };
    text.lines().enumerate().map(line).collect()
}

#[test]
fn what_no_option_says_is_asked_for_and_stands_in_the_file() {
    let home = Home::new();
    let output = home.answering("y\ny\ny\ny\ny\n", &["-C"]);
    assert_eq!(output.code, 0, "{output:?}");
    let file = home.file().unwrap();
    assert_eq!(
        masked(&file),
        "SECRET\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 17\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n\
         CODE\nCODE\nCODE\nCODE\nCODE\n"
    );
    // 160 bits, and all of it was shown.
    let secret = file.lines().next().unwrap();
    assert_eq!(secret.len(), 32);
    assert!(
        file.lines()
            .skip(5)
            .all(|code| output.stdout.contains(code))
    );
    assert!(output.stdout.contains(secret));
    let metadata = fs::metadata(home.path()).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o400);
    assert_eq!(home.left_behind(), [] as [PathBuf; 0]);
}

#[test]
fn whoever_says_no_after_all_has_no_file_and_no_error() {
    let home = Home::new();
    let output = home.answering("n\n", &["-t", "-C"]);
    assert_eq!((output.code, home.file()), (0, None), "{output:?}");
}

#[test]
fn an_answer_that_is_none_ends_a_script_and_writes_nothing() {
    for lines in ["", "perhaps\n", "y\n", "y\ny\n"] {
        let home = Home::new();
        let output = home.answering(lines, &["-C", "-t"]);
        assert_eq!((output.code, home.file()), (1, None), "{lines:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn quiet_shows_neither_the_secret_nor_a_code() {
    let home = Home::new();
    let output = home.run(&["-t", "-q", "-f", "-d", "-u", "-w", "3"]);
    let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
    assert_eq!(said, (0, "", ""));
    assert!(home.file().is_some());
}

#[test]
#[ignore = "needs the package libpam-google-authenticator: run make test"]
fn the_same_options_make_the_same_file_and_exit_code_as_with_googles_command() {
    let googles = program("google-authenticator", "libpam-google-authenticator");
    let by_time = ["-t", "-C", "-f"];
    let by_counter = ["-c", "-C", "-f"];
    for (first, more) in [
        (&by_time, &["-d", "-u", "-w", "3"][..]),
        (&by_time, &["-D", "-u", "-W"]),
        (&by_time, &["-D", "-r", "10", "-R", "600", "-w", "21"]),
        (&by_time, &["-d", "-r", "1", "-R", "15", "-w", "1", "-q"]),
        (&by_time, &["-d", "-u", "-w", "3", "-S", "60", "-e", "10"]),
        (&by_time, &["-d", "-u", "-w", "3", "-S", "30", "-e", "0"]),
        (&by_time, &["-d", "-u", "-w", "3", "-s", "elsewhere"]),
        (
            &by_time,
            &["--disallow-reuse", "--no-rate-limit", "--window-size=3"],
        ),
        (
            &by_time,
            &[
                "--allow-reuse",
                "--rate-limit=3",
                "--rate-time=30",
                "--minimal-window",
            ],
        ),
        (
            &by_time,
            &[
                "-d",
                "-u",
                "-w",
                "3",
                "-l",
                "alice@host",
                "-i",
                "host",
                "-Q",
                "ANSI",
            ],
        ),
        (&by_counter, &["-u", "-w", "5", "--emergency-codes=3"]),
        (&by_counter, &["-u", "-W", "-S", "10", "--qr-mode=utf8"]),
        // Something is asked, and nobody answers.
        (&by_time, &["-u", "-w", "3"]),
        (&by_time, &["-d", "-u"]),
        (&by_counter, &["-w", "3"]),
        // Command lines that are wrong.
        (&by_time, &["-d", "-u", "-w", "0"]),
        (&by_time, &["-d", "-u", "-w", "22"]),
        (&by_time, &["-d", "-u", "-w", "x"]),
        (&by_time, &["-d", "-w", "3", "-r", "11", "-R", "30"]),
        (&by_time, &["-d", "-w", "3", "-r", "3", "-R", "14"]),
        (&by_time, &["-d", "-w", "3", "-r", "3"]),
        (&by_time, &["-d", "-w", "3", "-R", "30"]),
        (&by_time, &["-d", "-w", "3", "-r", "3", "-R", "30", "-u"]),
        (&by_time, &["-d", "-D", "-u", "-w", "3"]),
        (&by_time, &["-d", "-u", "-w", "3", "-W"]),
        (&by_time, &["-d", "-u", "-w", "3", "-S", "61"]),
        (&by_time, &["-d", "-u", "-w", "3", "-e", "11"]),
        (&by_time, &["-d", "-u", "-w", "3", "-Q", "gif"]),
        (&by_time, &["-d", "-u", "-w", "3", "--fast"]),
        (&by_time, &["-c"]),
        (&by_counter, &["-d", "-u", "-w", "3"]),
        (&by_time, &["--help"]),
    ] {
        let arguments = [first.as_slice(), more].concat();
        let [ours, theirs] = [&built(), &googles].map(|program| {
            let home = Home::new();
            let output = home.run_program(program, "", &arguments);
            let elsewhere = fs::read_to_string(home.folder().join("elsewhere")).ok();
            let files = [home.file(), elsewhere].map(|file| file.as_deref().map(masked));
            (output.code, files)
        });
        assert_eq!(ours, theirs, "{arguments:?}");
    }
}

/// Whether a module lets this process's own user in with a code, by this file.
fn logs_in(module: &Path, file: &Path, code: &str) -> bool {
    let folder = TempDir::new().unwrap();
    let account = sys::account_by_uid(sys::effective_user()).unwrap().unwrap();
    let line = format!(
        "auth required {} secret={}\n",
        module.display(),
        file.display()
    );
    fs::write(folder.path().join("test"), line).unwrap();
    fs::write(folder.path().join("other"), "auth required pam_deny.so\n").unwrap();
    use std::io::Write;
    let mut child = Command::new(program("pamtester", "pamtester"))
        .arg("test")
        .arg(account.name)
        .arg("authenticate")
        .env("LD_PRELOAD", "libpam_wrapper.so")
        .env("PAM_WRAPPER", "1")
        .env("PAM_WRAPPER_SERVICE_DIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
    child.wait().unwrap().success()
}

#[test]
#[ignore = "needs libpam-google-authenticator, libpam-wrapper and pamtester: run make test"]
fn the_file_lets_its_user_in_with_googles_module_and_with_this_one_each_code_once() {
    let ours = Path::new(built_oathctl()).with_file_name("libpam_google_authenticator.so");
    let googles = Path::new("pam_google_authenticator.so");
    for (module, other) in [(ours.as_path(), googles), (googles, &ours)] {
        let home = Home::new();
        assert_eq!(home.run(&NO_QUESTION).code, 0);
        let file = home.file().unwrap();
        let code = Generator::of_base32(file.lines().next().unwrap()).code_at(now(), 30, 0);
        let scratch_code = file.lines().last().unwrap();
        for code in [&code, scratch_code] {
            let answers = [module, other, module].map(|module| logs_in(module, &home.path(), code));
            assert_eq!(answers, [true, false, false], "{}", module.display());
        }
        // By counter, from the first code on.
        let home = Home::new();
        assert_eq!(home.run(&["-c", "-C", "-f", "-u", "-W"]).code, 0);
        let file = home.file().unwrap();
        let token = Generator::of_base32(file.lines().next().unwrap());
        assert!(logs_in(module, &home.path(), &token.code(1)));
        assert!(logs_in(other, &home.path(), &token.code(2)));
    }
}

#[test]
fn a_phone_proves_that_it_has_the_secret_before_anything_is_written() {
    let home = Home::new();
    let mut terminal = home.on_terminal(&["-t", "-f", "-d", "-u", "-w", "3"]);
    let shown = terminal.exp_string("(base32)").unwrap();
    let secret = shown.rsplit("Secret: ").next().unwrap().trim();
    let token = Generator::of_base32(secret);
    terminal.exp_string("go on without): ").unwrap();
    terminal.send_line("12345").unwrap();
    terminal.exp_string("that is not the code").unwrap();
    terminal.exp_string("go on without): ").unwrap();
    terminal.send_line(&token.code_at(now(), 30, 20)).unwrap();
    terminal.exp_string("ahead").unwrap();
    terminal.exp_string("go on without): ").unwrap();
    assert_eq!(home.file(), None);
    let code = token.code_at(now(), 30, 0);
    // As apps show it.
    let code = format!("{} {}", &code[..3], &code[3..]);
    terminal.send_line(&code).unwrap();
    terminal.exp_string("Scratch codes").unwrap();
    terminal.exp_string("written to").unwrap();
    assert_eq!(exit_code(&terminal), 0);
    assert!(home.file().unwrap().starts_with(secret));
}

#[test]
fn at_a_terminal_an_answer_that_is_none_is_asked_for_again() {
    let home = Home::new();
    let mut terminal = home.on_terminal(&["-t", "-d", "-u", "-w", "3"]);
    terminal.exp_string("go on without): ").unwrap();
    terminal.send_line("-1").unwrap();
    terminal.exp_string("Write ").unwrap();
    terminal.exp_string("[y/n] ").unwrap();
    terminal.send_line("perhaps").unwrap();
    terminal.exp_string("answer y or n").unwrap();
    terminal.exp_string("[y/n] ").unwrap();
    terminal.send_line("yes").unwrap();
    terminal.exp_string("written to").unwrap();
    assert_eq!(exit_code(&terminal), 0);
    assert!(home.file().is_some());
}

#[test]
fn ctrl_c_at_a_question_leaves_the_old_file_as_it_was() {
    let home = Home::new();
    fs::write(home.path(), "OLDSECRET\n").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let mut terminal = home.on_terminal(&["-t", "-C"]);
    terminal.exp_string("are lost then. [y/n] ").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("nothing was changed").unwrap();
    let status = terminal.process().wait().unwrap();
    assert!(matches!(status, WaitStatus::Signaled(_, Signal::SIGINT, _)));
    assert_eq!(home.file().as_deref(), Some("OLDSECRET\n"));
    assert_eq!(home.left_behind(), [] as [PathBuf; 0]);
}

#[test]
fn a_file_that_is_there_is_replaced_and_readable_by_its_owner_alone() {
    let home = Home::new();
    fs::write(home.path(), "OLDSECRET\n").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(home.run(&NO_QUESTION).code, 0);
    assert!(!home.file().unwrap().contains("OLDSECRET"));
    let mode = fs::metadata(home.path()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o400);
    assert_eq!(home.left_behind(), [] as [PathBuf; 0]);
}

#[test]
fn a_link_in_the_files_place_is_not_followed() {
    for target_exists in [true, false] {
        let home = Home::new();
        let target = home.folder().join("target");
        if target_exists {
            fs::write(&target, "OLDSECRET\n").unwrap();
        }
        symlink(&target, home.path()).unwrap();
        let output = home.run(&NO_QUESTION);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("symbolic link"), "{output:?}");
        assert_eq!(output.stdout, "", "a secret was shown in vain");
        assert_eq!(target.exists(), target_exists);
        assert!(home.file().is_none_or(|text| text == "OLDSECRET\n"));
    }
}

#[test]
fn without_a_home_directory_nothing_is_shown_and_nothing_written() {
    for home in [Some("/nonexistent"), Some("relative"), Some(""), None] {
        let mut command = Command::new(built());
        command.args(NO_QUESTION).env_remove("HOME");
        if let Some(home) = home {
            command.env("HOME", home);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{home:?}");
        assert!(output.stdout.is_empty(), "{home:?}");
        assert!(!output.stderr.is_empty(), "{home:?}");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn run_by_root_for_a_users_home_the_file_is_the_users() {
    use std::os::unix::fs::chown;
    let account = sys::account_by_name("daemon".as_ref()).unwrap().unwrap();
    let home = Home::new();
    // The owner has to be able to get there.
    fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(home.folder(), Some(account.uid), Some(account.gid)).unwrap();
    let output = home.run(&NO_QUESTION);
    assert_eq!(output.code, 0, "{output:?}");
    let metadata = fs::metadata(home.path()).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (account.uid, account.gid));
}

#[test]
#[ignore = "needs strace: run make test"]
fn killed_at_any_moment_it_leaves_no_file_or_a_whole_one_and_can_be_run_again() {
    let strace = program("strace", "strace");
    let trace = |home: &Home, more: &[&str]| {
        let built = built();
        let command = [&["-qq"], more, &[built.to_str().unwrap()], &NO_QUESTION].concat();
        home.run_program(&strace, "", &command)
    };
    let home = Home::new();
    let trace_of = home.0.path().join("trace");
    trace(&home, &["-o", trace_of.to_str().unwrap()]);
    let calls = fs::read_to_string(&trace_of).unwrap();
    let calls: Vec<&str> = calls
        .lines()
        .filter_map(|line| line.split_once('('))
        .map(|(name, _)| name)
        .collect();
    let last = calls.len();
    let first = calls.iter().rposition(|&name| name == "flock").unwrap() - 8;
    let mut outcomes = [0, 0];
    for at in first..last {
        let name = calls[at];
        let nth = calls[..=at].iter().filter(|&&other| other == name).count();
        let home = Home::new();
        trace(&home, &[&format!("--inject={name}:signal=KILL:when={nth}")]);
        match home.file() {
            None => outcomes[0] += 1,
            Some(text) => {
                outcomes[1] += 1;
                assert_eq!(masked(&text).matches("CODE").count(), 5, "{name} {nth}");
            }
        }
        assert_eq!(home.run(&NO_QUESTION).code, 0, "{name} {nth}");
        assert_eq!(home.left_behind(), [] as [PathBuf; 0], "{name} {nth}");
    }
    // It was killed before and after the file had its name.
    assert!(outcomes.iter().all(|&number| number > 0), "{outcomes:?}");
}
