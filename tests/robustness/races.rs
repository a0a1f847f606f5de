//! Logins at the same moment: each good code opens once, and nobody's login gets lost.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use test_support::codes::Generator;
use test_support::kind::{Kind, Token};
use test_support::strace::{Call, Traced};
use test_support::{
    Login, Module, NOON, Outcome, Scene, released_together, released_together_while,
};

const PROCESSES: usize = 48;
const ROUNDS: u64 = 50;

/// How long a crowd of logins may take: nobody waits longer for the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// A user with a line of his own: every other one has a token that counts events, the rest one
/// that counts time.
#[derive(Clone)]
struct User {
    name: String,
    secret: String,
    by_event: bool,
}

impl User {
    fn number(n: usize) -> User {
        User {
            name: format!("user{n}"),
            secret: format!("{:040x}", n + 1),
            by_event: n % 2 == 0,
        }
    }

    fn line(&self) -> String {
        let User { name, secret, .. } = self;
        let kind = if self.by_event { "HOTP" } else { "HOTP/T30" };
        format!("{kind}\t{name}\t-\t{secret}\n")
    }

    /// The good code that is the `n`th to be used.
    fn code(&self, n: u64) -> String {
        let first = if self.by_event { 0 } else { NOON as u64 / 30 };
        Generator::new(&self.secret).code(first + n)
    }

    /// The beginning of this user's line once that code is recorded.
    fn recorded(&self, n: u64) -> String {
        let moving_factor = if self.by_event {
            n
        } else {
            NOON as u64 / 30 + n
        };
        let line = self.line();
        format!("{}\t{moving_factor}\t{}\t", line.trim_end(), self.code(n))
    }
}

fn users(count: usize) -> Vec<User> {
    (0..count).map(User::number).collect()
}

fn usersfile(users: &[User]) -> String {
    users.iter().map(User::line).collect()
}

/// Processes that log in to the same usersfile.
fn processes(scene: &Scene, count: usize) -> Vec<Scene> {
    (0..count)
        .map(|n| scene.twin(&format!("oath{n}")))
        .collect()
}

fn accepted(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome.rc == "SUCCESS")
        .count()
}

fn log_of(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(Outcome::log_text).collect()
}

#[test]
fn a_totp_code_that_48_processes_try_at_once_is_accepted_once() {
    each_code_is_accepted_once(Token::USERSFILE_TOTP);
    each_code_is_accepted_once(Token::SECRET_FILE_TOTP);
}

#[test]
fn an_hotp_code_that_48_processes_try_at_once_is_accepted_once() {
    each_code_is_accepted_once(Token::USERSFILE_HOTP);
    each_code_is_accepted_once(Token::SECRET_FILE_HOTP);
}

#[test]
fn a_scratch_code_that_48_processes_try_at_once_is_accepted_once() {
    each_code_is_accepted_once(Token::SCRATCH_CODES);
}

/// In memory, and where the disk takes its time.
fn in_both_places(token: Token) -> [Scene; 2] {
    let on_disk = Scene::below(Path::new("/var/tmp"));
    [Scene::new(), on_disk].map(|scene| token.in_scene(scene))
}

fn each_code_is_accepted_once(token: Token) {
    for scene in in_both_places(token) {
        let processes = processes(&scene, PROCESSES);
        for round in 0..ROUNDS {
            let code = token.code(round);
            let logins = processes
                .iter()
                .map(|scene| scene.login("alice").typing(&code));
            let outcomes = released_together(logins);
            assert_eq!(
                accepted(&outcomes),
                1,
                "round {round}\n{}",
                log_of(&outcomes)
            );
            let refused = |outcome: &&Outcome| {
                outcome.rc == "AUTH_ERR" && outcome.log_text().contains(token.refusal())
            };
            let refused = outcomes.iter().filter(refused).count();
            assert_eq!(refused, PROCESSES - 1, "{}", log_of(&outcomes));
            let now = scene.usersfile_now().unwrap();
            assert_eq!(now, token.recorded(0..=round));
        }
        assert_eq!(scene.left_behind(), [""; 0]);
    }
}

#[test]
fn forty_eight_scratch_codes_typed_at_once_all_open_and_none_is_left() {
    let token = Token::SCRATCH_CODES;
    for scene in in_both_places(token) {
        let processes = processes(&scene, PROCESSES);
        for _ in 0..ROUNDS {
            scene.write_usersfile(token.text());
            let logins = (0..).zip(&processes);
            let logins = logins.map(|(n, scene)| scene.login("alice").typing(token.code(n)));
            let outcomes = released_together(logins);
            assert_eq!(accepted(&outcomes), PROCESSES, "{}", log_of(&outcomes));
            let now = scene.usersfile_now().unwrap();
            assert_eq!(now, token.recorded(0..PROCESSES as u64));
        }
        assert_eq!(scene.left_behind(), [""; 0]);
    }
}

#[test]
fn of_48_who_type_a_wrong_code_at_once_as_many_are_answered_as_the_limit_has_tries() {
    let token = Token::SECRET_FILE_TOTP;
    let scene = token.scene();
    let limited = token.text() + "\n\" RATE_LIMIT 3 30\n";
    scene.write_usersfile(limited);
    let processes = processes(&scene, PROCESSES);
    let logins = processes
        .iter()
        .map(|scene| scene.login("alice").typing("000000"));
    let outcomes = released_together(logins);
    let is_answered = |outcome: &&Outcome| outcome.log_text().contains("wrong one-time password");
    assert_eq!(outcomes.iter().filter(is_answered).count(), 3);
    let now = scene.usersfile_now().unwrap();
    assert_eq!(
        now,
        token.text() + &format!("\n\" RATE_LIMIT 3 30{}\n", format!(" {NOON}").repeat(3))
    );
}

#[test]
fn whoever_waits_at_the_prompt_while_others_log_in_gets_in_with_a_code_of_his_own_alone() {
    for token in [
        Token::USERSFILE_TOTP,
        Token::SECRET_FILE_TOTP,
        Token::SECRET_FILE_HOTP,
        Token::SCRATCH_CODES,
    ] {
        for scene in in_both_places(token) {
            wait_at_the_prompt(token, &scene);
        }
    }
}

/// Eight are asked; four others log in meanwhile; then four of the eight type what those have used,
/// and the rest codes of their own.
fn wait_at_the_prompt(token: Token, scene: &Scene) {
    let waiting = processes(scene, 8);
    let gate = |name: &str, n: u64| scene.folder().with_file_name(format!("{name}-{n}"));
    for n in 0..8 {
        for name in ["asked", "answer"] {
            mknodat(CWD, gate(name, n), FileType::Fifo, Mode::from(0o600), 0).unwrap();
        }
    }
    let logins = (0..).zip(&waiting).map(|(n, scene)| {
        let command = format!("echo >../asked-{n}; read line <../answer-{n}");
        scene
            .login("alice")
            .while_asked(&command)
            .typing(token.code(n))
    });
    let mut others = Vec::new();
    let outcomes = released_together_while(logins.collect::<Vec<_>>(), || {
        for n in 0..8 {
            fs::read(gate("asked", n)).unwrap();
        }
        let processes = (0..4).map(|n| scene.twin(&format!("other{n}")));
        let log_in = |(n, scene): (u64, Scene)| scene.login("alice").types(token.code(n));
        others = (0..).zip(processes).map(log_in).collect();
        // In turn, since of codes that count the first would be too late after the second.
        for n in 0..8 {
            let before = scene.usersfile_now();
            fs::write(gate("answer", n), "\n").unwrap();
            while n >= 4 && scene.usersfile_now() == before {
                sleep(Duration::from_millis(1));
            }
        }
    });
    assert_eq!(accepted(&others), 4, "{}", log_of(&others));
    let (too_late, own) = outcomes.split_at(4);
    assert_eq!(accepted(too_late), 0, "{token:?} {}", log_of(too_late));
    assert_eq!(accepted(own), 4, "{token:?} {}", log_of(own));
    assert_eq!(scene.usersfile_now().unwrap(), token.recorded(0..8));
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
fn sixteen_threads_of_one_process_get_one_code_in_once() {
    for token in Kind::ALL.map(Kind::token) {
        let scene = token.scene();
        for round in 0..ROUNDS {
            let code = token.code(round);
            let outcomes = scene.at_once((0..16).map(|_| scene.login("alice").typing(&code)));
            assert_eq!(
                accepted(&outcomes),
                1,
                "round {round}\n{}",
                log_of(&outcomes)
            );
        }
    }
}

#[test]
fn sixteen_users_log_in_from_the_threads_of_one_process() {
    let users = users(16);
    let scene = Scene::new().usersfile(usersfile(&users)).args("window=60");
    for round in 0..10 {
        let logins = users
            .iter()
            .map(|user| scene.login(&user.name).typing(user.code(round)));
        everybody_is_in(&scene, &users, round, &scene.at_once(logins));
    }
}

#[test]
fn sixty_four_users_who_log_in_at_once_all_get_in_past_the_leftover_of_a_crash() {
    let users = users(64);
    let scene = Scene::new().usersfile(usersfile(&users));
    let processes = processes(&scene, users.len());
    for _ in 0..5 {
        scene.write_usersfile(usersfile(&users));
        fs::write(scene.folder().join(".users.oath.new"), "HOTP\tuser0\t").unwrap();
        everybody_gets_in(&scene, &processes, &users);
    }
}

#[test]
fn two_hundred_and_fifty_six_users_who_log_in_at_once_all_get_in_within_ten_seconds() {
    let users = users(256);
    let scene = Scene::new().usersfile(usersfile(&users));
    everybody_gets_in(&scene, &processes(&scene, users.len()), &users);
}

#[test]
fn two_hundred_and_fifty_six_users_who_log_in_at_once_all_get_in_where_the_disk_takes_its_time() {
    let users = users(256);
    let scene = Scene::below(Path::new("/var/tmp")).usersfile(usersfile(&users));
    everybody_gets_in(&scene, &processes(&scene, users.len()), &users);
}

/// Each user logs in from a process of his own, all released together.
fn everybody_gets_in(scene: &Scene, processes: &[Scene], users: &[User]) {
    let logins = processes
        .iter()
        .zip(users)
        .map(|(process, user)| process.login(&user.name).typing(user.code(0)));
    let logins: Vec<Login> = logins.collect();
    let start = Instant::now();
    let outcomes = released_together(logins);
    let taken = start.elapsed();
    everybody_is_in(scene, users, 0, &outcomes);
    assert!(taken < PATIENCE, "it took {taken:?}");
}

fn everybody_is_in(scene: &Scene, users: &[User], round: u64, outcomes: &[Outcome]) {
    assert_eq!(accepted(outcomes), users.len(), "{}", log_of(outcomes));
    let now = scene.usersfile_now().unwrap();
    assert_eq!(now.lines().count(), users.len());
    for (user, line) in users.iter().zip(now.lines()) {
        assert!(line.starts_with(&user.recorded(round)), "{line}");
    }
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
#[ignore = "needs the package libpam-oath: run `make test`"]
fn oath_toolkits_module_keeps_most_of_64_users_out_who_log_in_at_once() {
    let users = users(64);
    let scene = Scene::below(Path::new("/var/tmp"))
        .usersfile(usersfile(&users))
        .module(Module::OathToolkit);
    let processes = processes(&scene, users.len());
    let logins = processes
        .iter()
        .zip(&users)
        .map(|(process, user)| process.login(&user.name).typing(user.code(0)));
    let accepted = accepted(&released_together(logins));
    assert!(accepted < users.len() / 2, "{accepted} of 64");
}

/// How many users log in while somebody works on the file, and how often.
const CROWD: usize = 16;
const EDITS: u64 = 50;

/// What an admin adds in the `n`th edit.
fn new_line(n: u64) -> String {
    format!("HOTP\tnew{n}\t-\t{:040x}\n", 0xadd + n)
}

#[test]
fn a_file_that_is_put_in_place_with_mv_during_logins_loses_no_line_and_denies_nobody() {
    work_during_logins(put_in_place);
}

#[test]
fn a_file_that_is_written_in_place_during_logins_loses_no_line_and_denies_nobody() {
    work_during_logins(|scene, text| {
        let mut file = File::create(scene.path()).unwrap();
        // Between two lines and within one.
        let pieces = text
            .split_inclusive("1")
            .flat_map(|piece| piece.split_inclusive('\n'));
        let pieces: Vec<&str> = pieces.collect();
        for piece in pieces.chunks(pieces.len() / 4) {
            file.write_all(piece.concat().as_bytes()).unwrap();
            sleep(Duration::from_millis(1));
        }
    });
}

fn put_in_place(scene: &Scene, text: &str) {
    let draft = scene.folder().join("users.oath.draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, Permissions::from_mode(0o600)).unwrap();
    fs::rename(&draft, scene.path()).unwrap();
}

/// Somebody adds line after line to the file, each time writing the whole text as `write` does,
/// while a crowd logs in.
fn work_during_logins(write: impl Fn(&Scene, &str)) {
    // In real time a code that counts time may be another one a moment later.
    let users: Vec<User> = users(2 * CROWD).into_iter().step_by(2).collect();
    let scene = Scene::new()
        .usersfile(usersfile(&users))
        .args("window=100")
        .in_real_time();
    let processes = processes(&scene, users.len());
    for round in 0..EDITS {
        let logins: Vec<Login> = processes
            .iter()
            .zip(&users)
            .map(|(process, user)| process.login(&user.name).typing(user.code(round)))
            .collect();
        let outcomes = released_together_while(logins.clone(), || {
            let mut text = scene.usersfile_now().unwrap();
            text += &new_line(round);
            write(&scene, &text);
        });
        for (login, outcome) in logins.into_iter().zip(outcomes) {
            if outcome.rc != "SUCCESS" {
                assert_eq!(outcome.rc, "AUTH_ERR", "{}", outcome.log_text());
                let second = login.run();
                assert_eq!(
                    second.rc,
                    "SUCCESS",
                    "{}{}",
                    outcome.log_text(),
                    second.log_text()
                );
            }
        }
    }
    let now = scene.usersfile_now().unwrap();
    let mut names: Vec<&str> = now
        .lines()
        .map(|line| line.split('\t').nth(1).unwrap())
        .collect();
    let expected = users.iter().map(|user| user.name.clone());
    let mut expected: Vec<String> = expected
        .chain((0..EDITS).map(|n| format!("new{n}")))
        .collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
fn a_file_that_is_half_written_is_neither_believed_nor_replaced() {
    for token in Kind::ALL.map(Kind::token) {
        let scene = token.scene().in_real_time();
        let text = token.text();
        let (half, rest) = text.split_at(text.rfind('\n').unwrap() + 1);
        let mut editor = File::create(scene.path()).unwrap();
        editor.write_all(half.as_bytes()).unwrap();

        let outcomes = scene.at_once([0, 1].map(|n| scene.login("alice").typing(token.code(n))));
        for outcome in outcomes {
            assert_eq!(outcome.rc, "AUTH_ERR", "{}", outcome.log_text());
            assert!(
                outcome
                    .log_text()
                    .contains("is being changed by another program")
            );
        }
        editor.write_all(rest.as_bytes()).unwrap();
        drop(editor);
        assert_eq!(scene.usersfile_now().unwrap(), text);
        for n in [0, 1] {
            let outcome = scene.login("alice").types(token.code(n));
            assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        }
    }
}

/// What an admin does at the last moment: when the login has looked at the file for the last time
/// before it puts another in its place.
fn edit_at_the_last_moment(edit: impl Fn(&Scene, &str)) {
    const ADDED: &str = "\n# added\n";
    for token in Kind::ALL.map(Kind::token) {
        let scene = token.scene();
        let traced = Traced::new(&scene, &[]);
        let first = traced.scene.login("alice").types(token.code(0));
        assert_eq!(first.rc, "SUCCESS", "{}", first.log_text());
        let calls = traced.calls_of_the_login();
        let replaced = calls
            .iter()
            .position(|call| call.name == "renameat2")
            .unwrap();

        scene.write_usersfile(token.text());
        let traced = Traced::new(&scene, &[calls[replaced - 1].but("signal=STOP")]);
        let login = traced.scene.login("alice").typing(token.code(0));
        let outcomes = released_together_while([login], || {
            traced.is_stopped();
            edit(&scene, &(token.text() + ADDED));
            traced.goes_on();
        });
        assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
        let now = scene.usersfile_now().unwrap();
        assert_eq!(now, token.recorded([0]) + ADDED);
        assert_eq!(scene.left_behind(), [""; 0]);
        assert_eq!(
            traced
                .calls()
                .iter()
                .filter(|call| call.name == "renameat2")
                .count(),
            2
        );
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_put_in_place_at_the_last_moment_is_not_replaced_unseen() {
    edit_at_the_last_moment(put_in_place);
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_written_in_place_at_the_last_moment_is_not_replaced_unseen() {
    edit_at_the_last_moment(|scene, text| fs::write(scene.path(), text).unwrap());
}

/// Truncated while it is copied, and written anew: as an editor does it.
#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_cut_off_while_it_is_copied_denies_nobody() {
    let alice = User::number(0);
    let text = alice.line() + &new_line(0);
    let scene = Scene::new().usersfile(&text);
    // The new file's attributes are the last that is looked at before the text.
    let traced = Traced::new(&scene, &["flistxattr:signal=STOP:when=2".into()]);
    let login = traced.scene.login(&alice.name).typing(alice.code(0));
    let outcomes = released_together_while([login], || {
        traced.is_stopped();
        let mut editor = File::create(scene.path()).unwrap();
        traced.goes_on();
        // The copy that came to nothing is gone before the text is there again.
        traced.shows("unlinkat");
        editor.write_all(text.as_bytes()).unwrap();
    });
    assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
    let now = scene.usersfile_now().unwrap();
    assert!(
        now.starts_with(&alice.recorded(0)) && now.ends_with(&new_line(0)),
        "{now}"
    );
    assert_eq!(scene.left_behind(), [""; 0]);
}

/// Where the names of two files cannot be exchanged, nothing gives a file its name back: it has to be
/// seen before.
#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_changed_while_the_new_one_is_written_is_not_replaced_where_names_cannot_be_exchanged() {
    let edits: [fn(&Scene, &str); 2] = [put_in_place, |scene, text| {
        fs::write(scene.path(), text).unwrap();
    }];
    for edit in edits {
        let alice = User::number(0);
        let scene = Scene::new().usersfile(alice.line());
        let wrong = ["fsync:signal=STOP:when=1", "renameat2:error=EINVAL"].map(String::from);
        let traced = Traced::new(&scene, &wrong);
        let login = traced.scene.login(&alice.name).typing(alice.code(0));
        let outcomes = released_together_while([login], || {
            traced.is_stopped();
            edit(&scene, &(alice.line() + &new_line(0)));
            traced.goes_on();
        });
        assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
        let now = scene.usersfile_now().unwrap();
        assert!(
            now.starts_with(&alice.recorded(0)) && now.ends_with(&new_line(0)),
            "{now}"
        );
        assert_eq!(scene.left_behind(), [""; 0]);
    }
}

/// Both have a lock on a usersfile, since another one was put in place in between, but only one of
/// them can make the new file.
#[test]
#[ignore = "needs strace: run `make test`"]
fn a_new_file_that_is_being_written_is_not_taken_for_a_leftover() {
    let users = [User::number(0), User::number(2)];
    let text = usersfile(&users);
    let logins = users.each_ref().map(|user| (&*user.name, user.code(0)));
    let (scene, outcomes) = two_write_at_once(Scene::new(), &text, logins);
    everybody_is_in(&scene, &users, 0, &outcomes);

    let token = Token::SCRATCH_CODES;
    let logins = [0, 1].map(|n| ("alice", token.code(n)));
    let (scene, outcomes) = two_write_at_once(token.scene(), &token.text(), logins);
    assert_eq!(accepted(&outcomes), 2, "{}", log_of(&outcomes));
    assert_eq!(scene.usersfile_now().unwrap(), token.recorded([0, 1]));
}

/// Both have a lock on a file, since another one was put in place in between, but only one of them
/// can make the new file.
fn two_write_at_once(
    scene: Scene,
    text: &str,
    [(one, code), (other, others_code)]: [(&str, String); 2],
) -> (Scene, Vec<Outcome>) {
    let scene = scene.usersfile(text);
    let first = Traced::new(&scene, &["fsync:signal=STOP:when=1".into()]);
    let second = Traced::new(&scene, &[]);
    let mut others = Vec::new();
    let login = first.scene.login(one).typing(code);
    let outcomes = released_together_while([login], || {
        first.is_stopped();
        put_in_place(&scene, text);
        let login = second.scene.login(other).typing(others_code);
        others = released_together_while([login], || {
            second.shows("EEXIST");
            first.goes_on();
        });
    });
    (scene, [outcomes, others].concat())
}

/// What an admin does while a login waits for the lock.
fn while_a_login_waits(scene: &Scene, login: Login, act: impl FnOnce()) -> Outcome {
    let locked = File::open(scene.path()).unwrap();
    flock(&locked, FlockOperation::LockExclusive).unwrap();
    let process = scene.process_id();
    let mut outcomes = released_together_while([login], || {
        let is_open = || {
            fs::read_dir(format!("/proc/{process}/fd"))
                .unwrap()
                .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
                .any(|target| target == scene.path())
        };
        while !is_open() {
            sleep(Duration::from_millis(1));
        }
        act();
        flock(&locked, FlockOperation::Unlock).unwrap();
    });
    outcomes.remove(0)
}

#[test]
fn a_login_that_waited_while_another_was_recorded_is_within_the_grace_of_that() {
    let alice = User::number(0);
    let unix_time = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs() as i64
    };
    let soon = unix_time() + 2;
    let other = Scene::new().usersfile(alice.line()).at(soon);
    assert_eq!(other.login(&alice.name).types(alice.code(0)).rc, "SUCCESS");
    let recorded = other.usersfile_now().unwrap();

    let scene = Scene::new()
        .usersfile(alice.line())
        .args("allow_replayed_otp_within=60")
        .in_real_time();
    let login = scene.login(&alice.name).typing(alice.code(0));
    let outcome = while_a_login_waits(&scene, login, || {
        scene.write_usersfile(&recorded);
        while unix_time() < soon {
            sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:?}");
}

#[test]
fn a_file_that_is_moved_and_linked_to_while_a_login_waits_is_the_one_that_is_replaced() {
    for token in Kind::ALL.map(Kind::token) {
        let scene = token.scene();
        let moved = scene.folder().join("moved.oath");
        let login = scene.login("alice").typing(token.code(0));
        let outcome = while_a_login_waits(&scene, login, || {
            fs::rename(scene.path(), &moved).unwrap();
            symlink(&moved, scene.path()).unwrap();
        });
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        assert!(scene.path().is_symlink());
        assert_eq!(fs::read_to_string(&moved).unwrap(), token.recorded([0]));
        assert_eq!(scene.left_behind(), ["moved.oath"]);
    }
}

/// Truncated and closed, to be written by the next command: as long as that may go on, a user is
/// never unknown, which many stacks let pass.
#[test]
#[ignore = "needs strace: run `make test`"]
fn a_user_is_not_unknown_while_the_file_has_just_been_emptied() {
    let alice = User::number(0);
    let scene = Scene::new().usersfile("");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOON as u64);
    let emptied = File::open(scene.path()).unwrap();
    emptied.set_modified(now).unwrap();
    // It waits for the file to have been at rest.
    let traced = Traced::new(&scene, &["clock_nanosleep:signal=STOP:when=1".into()]);
    let login = traced.scene.login(&alice.name).typing(alice.code(0));
    let outcomes = released_together_while([login], || {
        traced.is_stopped();
        scene.write_usersfile(alice.line());
        traced.goes_on();
    });
    assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
}

/// Somebody who may write to the folder puts another file under the name of the new file, after
/// that has been made and before it is written.
#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_put_in_the_place_of_the_new_file_is_not_written_to() {
    for token in Kind::ALL.map(Kind::token) {
        put_another_in_the_new_files_place(token);
    }
}

fn put_another_in_the_new_files_place(token: Token) {
    let scene = token.scene();
    let traced = Traced::new(&scene, &[]);
    let login = traced.scene.login("alice").types(token.code(0));
    assert_eq!(login.rc, "SUCCESS", "{}", login.log_text());
    let calls = traced.calls_of_the_login();
    let opens =
        |call: &Call| call.is("openat", "\".users.oath.new\"") && call.text.contains("O_WRONLY");
    let opened = calls.iter().position(opens).expect("opened to write on");

    scene.write_usersfile(token.text());
    let other = scene.folder().join("other");
    fs::write(&other, "not to be written to").unwrap();
    let traced = Traced::new(&scene, &[calls[opened - 1].but("signal=STOP")]);
    let login = traced.scene.login("alice").typing(token.code(0));
    let outcomes = released_together_while([login], || {
        traced.is_stopped();
        let new = scene.folder().join(".users.oath.new");
        fs::remove_file(&new).unwrap();
        fs::hard_link(&other, &new).unwrap();
        traced.goes_on();
    });
    assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
    assert_eq!(fs::read_to_string(other).unwrap(), "not to be written to");
    assert_eq!(scene.usersfile_now().unwrap(), token.recorded([0]));
    assert_eq!(scene.left_behind(), ["other"]);
}
