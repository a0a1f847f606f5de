//! `oathctl split` and `oathctl join`: from one file for all to a file for each user and back, while
//! people log in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use oath_core::usersfile::format::Entry;
use sha2::{Digest, Sha256};
use test_support::codes::Generator;
use test_support::oathctl::{Output, Tool};
use test_support::{Module, NOON, Scene, program, released_together};

/// The secret of the user with this number.
fn secret(n: usize) -> String {
    format!("{:040x}", n + 1)
}

/// A tool over one file for all, and a folder for a file for each.
struct Moving {
    tool: Tool,
    /// A service whose PAM line names the new files.
    new: Scene,
}

impl Moving {
    fn of(text: &str) -> Moving {
        let tool = Tool::new().usersfile(text);
        let new = tool.scene.twin("new");
        let moving = Moving { tool, new };
        fs::create_dir(moving.folder()).unwrap();
        fs::set_permissions(moving.folder(), fs::Permissions::from_mode(0o700)).unwrap();
        let option = format!("usersfile={}/${{USER}}", moving.folder().display());
        let new = moving.tool.scene.twin("new").usersfile_option(&option);
        Moving { new, ..moving }
    }

    fn folder(&self) -> PathBuf {
        self.tool.scene.folder().join("each")
    }

    fn run(&self, command: &str) -> Output {
        self.tool.run([command, self.folder().to_str().unwrap()])
    }

    fn file_of(&self, user: &str) -> String {
        fs::read_to_string(self.folder().join(user)).unwrap()
    }

    /// The answers of the service that names the one file, and of the one that names the others.
    fn log_in(&self, user: &str, code: &str) -> [&'static str; 2] {
        [&self.tool.scene, &self.new].map(|scene| scene.login(user).types(code).rc)
    }
}

#[test]
fn tokens_are_in_use_in_the_new_files_alone_and_what_was_used_stays_used() {
    let token = Generator::new(&secret(0));
    let step = NOON as u64 / 30;
    let text = format!(
        "# ours\n\
         HOTP alice - {alice} 4 {four} 2026-01-15T11:59:30L\n\
         # issuer, for oathctl show: Larch\n\
         HOTP/T30 bob - {alice} {step} {now} 2026-01-15T12:00:00L\n\
         # disabled by oathctl: HOTP alice - 22\n",
        alice = secret(0),
        four = token.code(4),
        now = token.code(step),
    );
    let moving = Moving::of(&text);
    let said = moving.run("split").ok();
    assert!(said.contains("moved the tokens of 2 users"), "{said}");
    assert!(said.contains("denied until usersfile="), "{said}");
    assert!(said.contains("sshd"), "{said}");
    let alice: Vec<&str> = text.lines().filter(|line| line.contains("alice")).collect();
    assert!(
        moving
            .file_of("alice")
            .ends_with(&(alice.join("\n") + "\n"))
    );
    assert!(
        moving
            .file_of("bob")
            .contains("show: Larch\nHOTP/T30 bob -")
    );
    let one_file = moving.tool.usersfile_now();
    assert!(one_file.starts_with("# ours\n") && !one_file.contains(&secret(0)));

    let denied = ["AUTH_ERR", "AUTH_ERR"];
    assert_eq!(moving.log_in("alice", &token.code(4)), denied);
    let in_new = ["AUTH_ERR", "SUCCESS"];
    assert_eq!(moving.log_in("alice", &token.code(5)), in_new);
    assert_eq!(moving.log_in("bob", &token.code(step)), denied);
    let found = moving.tool.run(["check"]);
    assert!(found.stdout.contains("tokens were moved to"), "{found:?}");
    // Nothing is left to do, and nothing is done.
    assert!(moving.run("split").ok().contains("nobody is left"));

    moving.run("join").ok();
    assert_eq!(moving.log_in("alice", &token.code(5)), denied);
    let in_old = ["SUCCESS", "AUTH_ERR"];
    assert_eq!(moving.log_in("alice", &token.code(6)), in_old);
    assert_eq!(moving.log_in("bob", &token.code(step + 1)), in_old);
    assert!(!moving.file_of("alice").contains(&secret(0)));
    moving.run("split").ok();
    assert_eq!(moving.log_in("alice", &token.code(6)), denied);
    assert_eq!(moving.log_in("alice", &token.code(7)), in_new);
}

#[test]
fn no_code_is_accepted_twice_while_tokens_are_moved_there_and_back() {
    const USERS: usize = 4;
    const JOURNEYS: usize = 6;
    let names: Vec<String> = (0..USERS).map(|n| format!("user{n}")).collect();
    let lines = names.iter().enumerate().map(|(n, name)| {
        let kind = if n % 2 == 0 { "HOTP" } else { "HOTP/T30" };
        format!("{kind}\t{name}\t-\t{}\n", secret(n))
    });
    let moving = Moving::of(&lines.collect::<String>());
    let service = |scene: &Scene, name: String| scene.twin(&name).args("window=900");
    // Two processes for each user and file.
    let scenes: Vec<(usize, bool, Scene)> = (0..4 * USERS)
        .map(|n| {
            let is_new = n % 2 == 0;
            let scene = if is_new {
                &moving.new
            } else {
                &moving.tool.scene
            };
            (n / 4, is_new, service(scene, format!("s{n}")))
        })
        .collect();
    let folder = moving.folder();
    let commands: Vec<_> = ["split", "join"]
        .repeat(JOURNEYS)
        .iter()
        .map(|command| moving.tool.command([command, folder.to_str().unwrap()]))
        .collect();
    let has_arrived = AtomicBool::new(false);
    let code = |user: usize, n: u64| {
        let first = if user % 2 == 0 { 0 } else { NOON as u64 / 30 };
        Generator::new(&secret(user)).code(first + n)
    };
    let mut accepted = [0, 0];
    let mut last = [None; USERS];
    let mut n = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for mut command in commands {
                Output::of(&mut command, "").ok();
            }
            has_arrived.store(true, Ordering::SeqCst);
        });
        while !has_arrived.load(Ordering::SeqCst) {
            let mut times = [0; USERS];
            // Whoever was denied tries the same code again.
            for _ in 0..2 {
                let logins = scenes
                    .iter()
                    .map(|(user, _, scene)| scene.login(&names[*user]).typing(code(*user, n)));
                for ((user, is_new, _), outcome) in scenes.iter().zip(released_together(logins)) {
                    if outcome.rc == "SUCCESS" {
                        times[*user] += 1;
                        last[*user] = Some(n);
                        accepted[usize::from(*is_new)] += 1;
                    }
                }
            }
            assert!(times.iter().all(|&times| times <= 1), "code {n}: {times:?}");
            n += 1;
        }
    });
    assert!(
        accepted.iter().all(|&times| times > 0),
        "{accepted:?} of {n}"
    );
    // All are back, and nobody has lost a counter.
    for (user, name) in names.iter().enumerate() {
        for used in 0..n {
            let answers = moving.log_in(name, &code(user, used));
            let was_accepted = last[user].is_some_and(|last| used <= last);
            assert!(
                !(was_accepted && answers.contains(&"SUCCESS")),
                "{name}: {used}"
            );
        }
        let end = service(&moving.tool.scene, format!("end{user}"));
        assert_eq!(end.login(name).types(code(user, n)).rc, "SUCCESS");
    }
}

/// What `oathctl split` and `join` came to, killed at the `nth` rename, or at the end if there are fewer.
fn killed_at(moving: &Moving, command: &str, nth: usize) -> bool {
    let tool = moving
        .tool
        .command([command, moving.folder().to_str().unwrap()]);
    let mut strace = Command::new(program("strace", "strace"));
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=/^rename"])
        .arg("-e")
        .arg(format!("inject=/^rename:signal=KILL:when={nth}"))
        .arg(tool.get_program())
        .args(tool.get_args());
    Output::of(&mut strace, "").code != 0
}

#[test]
#[ignore = "needs strace: run make test"]
fn killed_at_any_moment_it_goes_on_and_no_code_is_good_again() {
    for (first, command) in [(None, "split"), (Some("split"), "join")] {
        let mut nth = 1;
        loop {
            let token = |user: usize| Generator::new(&secret(user));
            let lines = format!("HOTP alice - {}\nHOTP bob - {}\n", secret(0), secret(1));
            let moving = Moving::of(&lines);
            first.map(|first| moving.run(first).ok());
            let was_killed = killed_at(&moving, command, nth);
            let once = |user: &str, code: &str| {
                let tries = [moving.log_in(user, code), moving.log_in(user, code)];
                let accepted = tries
                    .iter()
                    .flatten()
                    .filter(|rc| **rc == "SUCCESS")
                    .count();
                assert!(accepted <= 1, "{command}, {nth}: {user}: {tries:?}");
                // The file that the PAM configuration still names knows everybody.
                let named = usize::from(command == "join");
                assert_ne!(tries[0][named], "USER_UNKNOWN", "{command}, {nth}");
                accepted
            };
            let before = [("alice", 0), ("bob", 1)].map(|(name, n)| once(name, &token(n).code(0)));
            moving.run(command).ok();
            for (n, name) in ["alice", "bob"].iter().enumerate() {
                assert_eq!(
                    once(name, &token(n).code(0)) + before[n],
                    1,
                    "{command}, {nth}"
                );
                assert_eq!(once(name, &token(n).code(1)), 1, "{command}, {nth}");
            }
            if !was_killed {
                break;
            }
            nth += 1;
        }
        // Two users' files, each prepared and taken into use, and the one file.
        assert!(nth > 4, "{command}: {nth}");
    }
}

#[test]
fn what_was_recorded_in_a_journal_comes_along() {
    let moving = Moving::of(&format!("HOTP alice - {}\n", secret(0)));
    let journal = moving.tool.scene.folder().join("journal");
    let args = format!("readonly_ok={}", journal.display());
    let tool = moving.tool.pam("sshd", &args);
    let moving = Moving { tool, ..moving };
    let old = moving.tool.scene.twin("old").args(&args);
    let token = Generator::new(&secret(0));
    assert_eq!(old.login("alice").types(token.code(0)).rc, "SUCCESS");
    // The file as it was before: the journal has what is later, as after a full disk.
    let line = moving.tool.usersfile_now();
    let record = journal_record(&moving, &line, &token.code(3));
    fs::create_dir_all(&journal).unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(journal.join("used-alice"), record).unwrap();
    fs::set_permissions(
        journal.join("used-alice"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert_eq!(old.login("alice").types(token.code(3)).rc, "AUTH_ERR");
    moving.run("split").ok();
    assert!(
        moving
            .file_of("alice")
            .contains(&format!("\t3\t{}\t", token.code(3)))
    );
    assert_eq!(
        moving.log_in("alice", &token.code(3)),
        ["AUTH_ERR", "AUTH_ERR"]
    );
    assert_eq!(
        moving.log_in("alice", &token.code(4)),
        ["AUTH_ERR", "SUCCESS"]
    );
}

/// A line of a journal that says that this code of counter 3 was used.
fn journal_record(moving: &Moving, line: &str, code: &str) -> String {
    let digest = |bytes: &[u8]| oath_core::hex::encode(&Sha256::digest(bytes));
    let entry = Entry::parse(line.trim_end().as_bytes()).unwrap();
    let secret = entry.secret().unwrap();
    let token = digest(&[&0u32.to_be_bytes()[..], &secret].concat());
    let fields: Vec<u8> = entry
        .identity()
        .flat_map(|field| [field, b"\t"].concat())
        .collect();
    let name = digest(moving.tool.scene.path().as_os_str().as_encoded_bytes());
    format!(
        "{token} {} 3 {code} 2026-01-15T12:00:00L {name}\n",
        digest(&fields)
    )
}

#[test]
fn who_cannot_be_moved_is_named_and_stays_where_he_was() {
    let moving = Moving::of(&format!(
        "HOTP alice - {}\nHOTP a/b - {}\nHOTP passwd - {}\nHOTP bob - {}\n",
        secret(0),
        secret(1),
        secret(2),
        secret(3)
    ));
    fs::write(moving.folder().join("passwd"), "root:x:0:0\n").unwrap();
    fs::write(
        moving.folder().join("bob"),
        format!("HOTP bob - {}\n", secret(4)),
    )
    .unwrap();
    for name in ["passwd", "bob"] {
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(moving.folder().join(name), private).unwrap();
    }
    let output = moving.run("split");
    assert_eq!(output.code, 1, "{output:?}");
    for said in [
        "a/b is not moved: ",
        "passwd is not moved: ",
        "bob is not moved: there are tokens in use in",
        "only when nobody is left behind",
    ] {
        assert!(output.stderr.contains(said), "{said}: {output:?}");
    }
    assert_eq!(moving.file_of("passwd"), "root:x:0:0\n");
    let left = moving.tool.usersfile_now();
    for n in 1..4 {
        assert!(left.contains(&secret(n)), "{left}");
    }
    assert_eq!(
        moving.log_in("alice", &Generator::new(&secret(0)).code(0)),
        ["AUTH_ERR", "SUCCESS"]
    );
}

#[test]
fn nobody_elses_folder_is_given_the_tokens_of_all() {
    let moving = Moving::of(&format!("HOTP alice - {}\n", secret(0)));
    let before = moving.tool.usersfile_now();
    fs::set_permissions(moving.folder(), fs::Permissions::from_mode(0o770)).unwrap();
    for command in ["split", "join"] {
        let said = moving.run(command).fails(1);
        assert!(said.contains("is no folder that is root's alone"), "{said}");
    }
    assert_eq!(moving.tool.usersfile_now(), before);
}

#[test]
#[ignore = "needs libpam-oath: run make test"]
fn oath_toolkits_module_denies_whose_tokens_were_moved() {
    let moving = Moving::of(&format!("HOTP alice - {}\n", secret(0)));
    moving.run("split").ok();
    let toolkit = moving
        .tool
        .scene
        .twin("toolkit")
        .module(Module::OathToolkit);
    let rc = toolkit
        .login("alice")
        .types(Generator::new(&secret(0)).code(0))
        .rc;
    assert_eq!(rc, "AUTH_ERR");
}
