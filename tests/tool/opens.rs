//! What `oathctl` opens, writes and executes as root, while a user who controls a folder on the
//! path, or the environment, tries to have something of root's read, changed or blocked.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use test_support::homes::Home;
use test_support::oathctl::{Output, Tool};
use test_support::program;
use test_support::{built_oathctl, homes};

/// A secret of root's that she is after, and one of her own; each in base32 and as the usersfile
/// has it.
const ROOTS: (&str, &str) = ("MFRGGZDFMZTWQ2LK", "6162636465666768696a");
const HERS: (&str, &str) = ("GEZDGNBVGY3TQOJQ", "31323334353637383930");

/// A file as google-authenticator writes it. It names nobody.
fn by_time(secret: (&str, &str)) -> String {
    format!("{}\n\" TOTP_AUTH\n", secret.0)
}

/// The same for a token by event, which the tool's answer tells from the other one.
fn by_event(secret: (&str, &str)) -> String {
    format!("{}\n\" HOTP_COUNTER 5\n", secret.0)
}

/// The home of `daemon`, whose folder and files she may do with as she likes, a file of root's
/// with a secret in it beside the home, and the tool that root runs.
struct Attack {
    home: Home,
    tool: Tool,
}

impl Attack {
    fn new() -> Attack {
        let attack = Attack {
            home: Home::new(),
            tool: Tool::new(),
        };
        fs::write(attack.roots(), by_event(ROOTS)).unwrap();
        fs::set_permissions(attack.roots(), Permissions::from_mode(0o600)).unwrap();
        attack
    }

    fn roots(&self) -> PathBuf {
        self.home.roots("other")
    }

    /// Where she has her file.
    fn hers(&self) -> PathBuf {
        self.home.join(".google_authenticator")
    }

    /// A file of hers that holds this.
    fn writes(&self, text: impl AsRef<[u8]>) -> PathBuf {
        self.home.write(".google_authenticator", text)
    }

    fn run(&self, args: &[&OsStr]) -> Output {
        let output = limited(&self.tool.command(args)).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn import(&self, file: &Path, more: &[&str]) -> Output {
        let mut args = vec![OsStr::new("import"), file.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        self.run(&args)
    }

    /// Root imports the file for her, and is told this instead; root's files are not even read,
    /// and there is no usersfile afterwards.
    #[track_caller]
    fn assert_refused(&self, file: &Path, reason: &str) {
        let before = self.home.outside();
        let said = self.import(file, &["--user", "daemon"]).fails(1);
        assert!(said.contains(reason), "nothing about {reason:?} in {said}");
        assert_eq!(self.tool.scene.usersfile_now(), None);
        assert_eq!(self.home.outside(), before);
    }

    /// The usersfile's lines without its header.
    fn lines(&self) -> Vec<String> {
        let text = self.tool.scene.usersfile_now().unwrap_or_default();
        let tokens = text.lines().filter(|line| !line.starts_with('#'));
        tokens.map(str::to_owned).collect()
    }
}

// --- Her file leads to another, or to none.

#[test]
#[ignore = "needs root: run make test"]
fn her_own_file_is_read_with_her_rights() {
    let attack = Attack::new();
    let file = attack.writes(by_time(HERS));
    let said = attack.import(&file, &[]).ok();
    assert!(said.contains("daemon: imported as HOTP/T30/6"), "{said}");
    assert_eq!(
        attack.lines(),
        [format!("HOTP/T30/6\tdaemon\t-\t{}", HERS.1)]
    );
}

#[test]
#[ignore = "needs root: run make test"]
fn a_link_to_roots_secret_does_not_give_it_to_her() {
    let attack = Attack::new();
    let link = attack.home.link(".google_authenticator", &attack.roots());
    attack.assert_refused(&link, "is a symbolic link that is not root's");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_link_in_place_of_a_folder_does_not_give_her_roots_secret() {
    let attack = Attack::new();
    let folder = attack.roots().parent().unwrap().to_owned();
    let link = attack.home.link("sub", &folder);
    let reason = "is a symbolic link that is not root's";
    attack.assert_refused(&link.join("other"), reason);
}

#[test]
#[ignore = "needs root: run make test"]
fn a_hard_link_to_roots_secret_does_not_give_it_to_her() {
    let attack = Attack::new();
    fs::hard_link(attack.roots(), attack.hers()).unwrap();
    attack.assert_refused(&attack.hers(), "belongs to uid 0");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_hard_link_in_a_folder_that_everybody_can_write_does_not_give_her_roots_secret() {
    let attack = Attack::new();
    let shared = attack.home.roots("tmp");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    let link = shared.join("file");
    fs::hard_link(attack.roots(), &link).unwrap();
    attack.assert_refused(&link, "has 2 names (hard links)");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_link_to_nothing_or_to_itself_is_refused() {
    let attack = Attack::new();
    for target in [
        Path::new("/nonexistent"),
        Path::new(".google_authenticator"),
    ] {
        let link = attack.home.link(".google_authenticator", target);
        attack.assert_refused(&link, "is a symbolic link that is not root's");
        fs::remove_file(link).unwrap();
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_pipe_a_socket_a_device_or_a_folder_holds_nobody_up() {
    let attack = Attack::new();
    let path = attack.hers();
    let special = |file_type, device| {
        let path = path.clone();
        move || mknodat(CWD, &path, file_type, Mode::from(0o600), device).unwrap()
    };
    let make: [&dyn Fn(); 6] = [
        &special(FileType::Fifo, 0),
        // /dev/zero, /dev/tty and a disk.
        &special(FileType::CharacterDevice, makedev(1, 5)),
        &special(FileType::CharacterDevice, makedev(5, 0)),
        &special(FileType::BlockDevice, makedev(7, 0)),
        &|| drop(UnixListener::bind(&path).unwrap()),
        &|| fs::create_dir(&path).unwrap(),
    ];
    for make in make {
        make();
        attack.home.give(&path, 0o600);
        attack.assert_refused(&path, "is not a regular file");
        let _ = fs::remove_file(&path);
    }
    fs::remove_dir(&path).unwrap();
    attack
        .home
        .link(".google_authenticator", Path::new("/dev/zero"));
    attack.assert_refused(&path, "is a symbolic link that is not root's");
    attack.assert_refused(Path::new("/dev/zero"), "is not a regular file");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_huge_file_is_refused_unread_whosever_it_is() {
    let attack = Attack::new();
    let hers = attack.writes(by_time(HERS));
    File::options()
        .write(true)
        .open(&hers)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    attack.assert_refused(&hers, "may have 128 KiB");
    let roots = File::options().write(true).open(attack.roots()).unwrap();
    roots.set_len(1 << 30).unwrap();
    attack.assert_refused(&attack.roots(), "may have 16 MiB");
}

#[test]
fn standard_input_without_end_is_not_read_for_ever() {
    let tool = Tool::new();
    let mut command = limited(&tool.command(["import", "-", "--user", "root"]));
    command.stdin(File::open("/dev/zero").unwrap());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("16 MiB"), "{said}");
}

/// The same command in 512 MiB of memory. What takes longer than a minute is killed: that long is
/// for ever.
fn limited(inner: &Command) -> Command {
    let mut command = Command::new(program("timeout", "coreutils"));
    command
        .args(["--signal=KILL", "60"])
        .arg(program("prlimit", "util-linux"))
        .arg("--as=536870912")
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Set when the attack is over, also when it fails the test: the thread that disturbs ends then.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_grows_while_it_is_read_is_not_read_to_its_end() {
    let attack = Attack::new();
    let path = attack.writes(by_time(HERS));
    let file = File::options().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                file.set_len(10 << 30).unwrap();
                file.set_len(length).unwrap();
            }
        });
        let _done = Done(&over);
        for _ in 0..150 {
            let output = attack.import(&path, &["--dry-run"]);
            let said = format!("{}{}", output.stdout, output.stderr);
            let is_refused = ["may have 128 KiB", "changed while it was read"]
                .iter()
                .any(|reason| said.contains(reason));
            let is_whole = said.contains("would be imported as HOTP/T30/6");
            assert!(is_whole || is_refused, "{output:?}");
        }
    });
}

#[test]
#[ignore = "needs root: run make test"]
fn what_was_checked_is_what_is_read_however_fast_she_swaps() {
    let attack = Attack::new();
    let file = attack.home.make_folder("folder").join("file");
    attack.home.write("folder/file", by_time(HERS));
    attack.home.link("link", &attack.roots());
    attack.home.write("twin", by_time(HERS));
    fs::write(attack.home.roots("file"), by_event(ROOTS)).unwrap();
    let roots_folder = attack.roots().parent().unwrap().to_owned();
    attack.home.link("folder-link", &roots_folder);
    let folder = attack.home.folder.clone();
    let swap = |one: &str, other: &str| {
        let (one, other) = (folder.join(one), folder.join(other));
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    };
    let before = attack.home.outside();
    let over = AtomicBool::new(false);
    let mut whole = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                swap("twin", "link");
                swap("folder", "folder-link");
            }
        });
        let _done = Done(&over);
        for number in 0..300 {
            let path = if number % 2 == 0 {
                file.clone()
            } else {
                attack.home.join("twin")
            };
            let output = attack.import(&path, &["--dry-run", "--user", "daemon"]);
            assert!(!output.stdout.contains("HOTP/E/6"), "{output:?}");
            whole += usize::from(output.stdout.contains("HOTP/T30/6"));
        }
    });
    assert_ne!(whole, 0, "her own file was there half of the time");
    assert_eq!(attack.home.outside(), before);
}

// --- Whose file is it, and whose token?

#[test]
#[ignore = "needs root: run make test"]
fn a_file_of_somebody_elses_in_her_folder_is_refused() {
    let attack = Attack::new();
    let file = attack.writes(by_time(HERS));
    chown(&file, Some(homes::account("bin").uid), None).unwrap();
    attack.assert_refused(&file, "belongs to uid");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_others_than_its_owner_can_write_is_refused() {
    let attack = Attack::new();
    let file = attack.writes(by_time(HERS));
    fs::set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
    attack.assert_refused(&file, "is writable by others");
    // What is in a file of root's is believed, so nobody else may write to it.
    fs::set_permissions(attack.roots(), Permissions::from_mode(0o660)).unwrap();
    chown(attack.roots(), None, Some(attack.home.owner.gid)).unwrap();
    attack.assert_refused(&attack.roots(), "is writable by its group");
}

/// Several of the formats that name an account, with a token for root and one for daemon.
fn files_with_a_token_for_root() -> [String; 3] {
    let (root, daemon) = (ROOTS.0, HERS.0);
    let aegis = |name: &str, secret: &str| {
        format!(
            r#"{{"type": "totp", "name": "{name}", "info":
            {{"secret": "{secret}", "algo": "SHA1", "digits": 6, "period": 30}}}}"#
        )
    };
    let pskc = |name: &str, secret: &str| {
        format!(
            r#"<KeyPackage><Key Id="{name}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
            <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/>
            </AlgorithmParameters><Data><Secret><PlainValue>{secret}</PlainValue></Secret>
            <TimeInterval><PlainValue>30</PlainValue></TimeInterval></Data>
            <UserId>{name}</UserId></Key></KeyPackage>"#
        )
    };
    [
        format!("otpauth://totp/root?secret={root}\notpauth://totp/x:daemon@x?secret={daemon}\n"),
        format!(
            r#"{{"version": 1, "db": {{"entries": [{}, {}]}}}}"#,
            aegis("root@host", root),
            aegis("daemon", daemon)
        ),
        format!(
            r#"<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">{}{}
            </KeyContainer>"#,
            pskc("root", "YWJjZGVmZ2hpag=="),
            pskc("daemon", "MTIzNDU2Nzg5MA==")
        ),
    ]
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_of_hers_gives_nobody_else_a_token() {
    for text in files_with_a_token_for_root() {
        for more in [&[][..], &["--force", "--another"]] {
            let attack = Attack::new();
            let file = attack.writes(&text);
            let output = attack.import(&file, more);
            assert_eq!(output.code, 1, "{output:?}");
            let refused = "not imported: it is for root";
            assert!(output.stdout.contains(refused), "{output:?}");
            assert!(output.stdout.contains("belongs to daemon"), "{output:?}");
            let hers = format!("HOTP/T30/6\tdaemon\t-\t{}", HERS.1);
            assert_eq!(attack.lines(), [hers], "{text}");
        }
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_of_hers_in_a_folder_of_roots_does_not_either() {
    let attack = Attack::new();
    for uid in [attack.home.owner.uid, 1_234_567] {
        let file = attack.home.roots("export");
        fs::write(&file, format!("otpauth://totp/root?secret={}\n", ROOTS.0)).unwrap();
        chown(&file, Some(uid), None).unwrap();
        let output = attack.import(&file, &[]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.stdout.contains("not imported: it is for root"),
            "{output:?}"
        );
        assert_eq!(attack.lines(), [""; 0]);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn the_command_line_says_otherwise_and_a_file_of_roots_names_whom_it_likes() {
    let [uris, ..] = files_with_a_token_for_root();
    let attack = Attack::new();
    let file = attack.writes(&uris);
    let said = attack.import(&file, &["--user", "bin", "--another"]).ok();
    assert!(said.contains("line 1: bin: imported"), "{said}");
    assert!(said.contains("line 2: bin: imported"), "{said}");

    let attack = Attack::new();
    fs::write(attack.roots(), uris).unwrap();
    let said = attack.import(&attack.roots(), &[]).ok();
    assert!(said.contains("line 1: root: imported"), "{said}");
    assert!(said.contains("line 2: daemon: imported"), "{said}");
}

// --- What is written.

#[test]
#[ignore = "needs root: run make test"]
fn a_qr_code_is_not_written_through_her_link() {
    let attack = Attack::new();
    let roots_folder = attack.roots().parent().unwrap().to_owned();
    attack.home.link("cards", &roots_folder);
    let before = attack.home.outside();
    let picture = attack.home.join("cards/daemon.png");
    let args = ["add", "daemon", "--no-confirm", "--qr"].map(OsStr::new);
    let said = attack
        .run(&[&args[..], &[picture.as_os_str()]].concat())
        .fails(1);
    assert!(
        said.contains("is a symbolic link that is not root's"),
        "{said}"
    );
    assert_eq!(attack.home.outside(), before);
    assert_eq!(attack.tool.scene.usersfile_now(), None);
}

#[test]
#[ignore = "needs root: run make test"]
fn no_file_of_roots_is_removed_when_she_swaps_the_folder_meanwhile() {
    let attack = Attack::new();
    let roots_folder = attack.roots().parent().unwrap().to_owned();
    let [cards, away] = ["cards", "away"].map(|name| attack.home.join(name));
    fs::write(roots_folder.join("daemon.png"), "of root's").unwrap();
    attack.home.make_folder("cards");
    let before = attack.home.outside();
    let picture = cards.join("daemon.png");
    let args = ["add", "daemon", "--qr"].map(OsStr::new);
    let args = [&args[..], &[picture.as_os_str()]].concat();
    for swap in [true, false] {
        let mut terminal = attack.tool.on_terminal(&args);
        terminal.exp_string("shows now: ").unwrap();
        assert!(picture.exists());
        if swap {
            fs::rename(&cards, &away).unwrap();
            attack.home.link("cards", &roots_folder);
        }
        terminal.send_control('c').unwrap();
        terminal.exp_string("nothing was changed").unwrap();
        terminal.exp_eof().unwrap();
        assert_eq!(attack.home.outside(), before);
        if swap {
            fs::remove_file(&cards).unwrap();
            fs::rename(&away, &cards).unwrap();
            fs::remove_file(&picture).unwrap();
        } else {
            assert!(!picture.exists());
        }
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_qr_code_in_her_folder_is_hers_and_nobody_elses_is_put_there() {
    let attack = Attack::new();
    let picture = attack.home.join("token.png");
    let add = |user: &str| {
        let args = ["add", user, "--no-confirm", "--qr"].map(OsStr::new);
        attack.run(&[&args[..], &[picture.as_os_str()]].concat())
    };
    let said = add("bin").fails(1);
    assert!(said.contains("belongs to daemon"), "{said}");
    assert!(!picture.exists());
    assert_eq!(attack.lines(), [""; 0]);
    add("daemon").ok();
    let metadata = fs::metadata(&picture).unwrap();
    assert_eq!(metadata.uid(), attack.home.owner.uid);
    assert_eq!(metadata.mode() & 0o7777, 0o600);
}

#[test]
#[ignore = "needs root: run make test"]
fn no_umask_decides_who_can_read_what_is_written() {
    for umask in ["0", "0777"] {
        let attack = Attack::new();
        let file = attack.writes(by_time(HERS));
        let usersfile = attack.home.join("users.oath");
        let oathctl = built_oathctl();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), oathctl])
            .args(["import", "--usersfile"])
            .args([&usersfile, &file])
            .output()
            .unwrap();
        assert!(output.status.success(), "umask {umask}: {output:?}");
        assert_eq!(mode(&usersfile), 0o600, "umask {umask}");

        // What an editor leaves beside the copy.
        let editor = "touch \"$0\"~; stat -c %a \"$0\" \"$0\"~ >&2; true";
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), oathctl])
            .args(["edit", "--usersfile"])
            .arg(&usersfile)
            .env_remove("VISUAL")
            .env("EDITOR", format!("sh -c '{editor}'"))
            .output()
            .unwrap();
        assert!(output.status.success(), "umask {umask}: {output:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "600\n600\n",
            "umask {umask}"
        );
    }
}

// --- What is executed.

#[test]
#[ignore = "needs root: run make test"]
fn no_folder_on_path_gives_root_another_shell_or_editor() {
    let attack = Attack::new();
    attack.tool.scene.write_usersfile("HOTP\tdaemon\t-\t00\n");
    let bin = attack.home.make_folder("bin");
    let was_run = attack.home.join("was-run");
    for name in ["sh", "editor", "vi"] {
        let script = format!("#!/bin/sh\necho {name} >> {}\n", was_run.display());
        attack.home.write(&format!("bin/{name}"), script);
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let args = ["edit"].map(OsStr::new);
    let mut command = attack.tool.command(args);
    command
        .env("PATH", &path)
        .env("EDITOR", "true")
        .env_remove("VISUAL");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        !was_run.exists(),
        "{}",
        fs::read_to_string(was_run).unwrap()
    );
}

#[test]
#[ignore = "needs root: run make test"]
fn no_folder_on_path_gives_root_another_program_to_ask_of_the_system() {
    let attack = Attack::new();
    let secret = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c4";
    attack
        .tool
        .scene
        .write_usersfile(format!("HOTP/T30/6\tdaemon\t-\t{secret}\n"));
    // A folder of root's that nobody else can write to, by her link: the link can be turned to a
    // folder of hers after any look at it.
    let bin = attack.roots().with_file_name("bin");
    fs::create_dir(&bin).unwrap();
    let was_run = attack.roots().with_file_name("was-run");
    for name in ["sshd", "timedatectl", "chronyc"] {
        let script = format!("#!/bin/sh\necho {name} >> {}\n", was_run.display());
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    let link = attack.home.join("link");
    std::os::unix::fs::symlink(&bin, &link).unwrap();
    let mut command = attack.tool.command(["check"].map(OsStr::new));
    let path = format!("{}:{}", link.display(), bin.display());
    let output = command.env("PATH", path).output().unwrap();
    assert!(output.stdout.starts_with(b"sshd: "), "{output:?}");
    assert!(
        !was_run.exists(),
        "{}",
        fs::read_to_string(was_run).unwrap()
    );
}

// --- What is shown.

#[test]
#[ignore = "needs root: run make test"]
fn no_control_character_in_a_file_name_reaches_roots_terminal() {
    let mut attack = Attack::new();
    attack.tool = attack.tool.in_colour();
    let name = "\x1b]0;title\x07\x1b[2Jexport";
    let file = attack.home.write(name, "nothing of ours");
    let mut terminal = attack
        .tool
        .on_terminal(["import".as_ref(), file.as_os_str()]);
    let screen = terminal.exp_eof().unwrap();
    assert!(screen.contains("is in none of the formats"), "{screen:?}");
    for sequence in ["\x1b]0", "\x1b[2J", "\x07"] {
        assert!(!screen.contains(sequence), "{screen:?}");
    }
}
