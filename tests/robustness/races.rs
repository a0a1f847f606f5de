//! Logins at the same moment: each good code opens once, and nobody's login gets lost.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use test_support::codes::Generator;
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
    each_code_is_accepted_once(&User::number(1));
}

#[test]
fn an_hotp_code_that_48_processes_try_at_once_is_accepted_once() {
    each_code_is_accepted_once(&User::number(0));
}

fn each_code_is_accepted_once(user: &User) {
    let scene = Scene::new().usersfile(user.line()).args("window=60");
    let processes = processes(&scene, PROCESSES);
    for round in 0..ROUNDS {
        let code = user.code(round);
        let logins = processes
            .iter()
            .map(|scene| scene.login(&user.name).typing(&code));
        let outcomes = released_together(logins);
        assert_eq!(
            accepted(&outcomes),
            1,
            "round {round}\n{}",
            log_of(&outcomes)
        );
        let refused = |outcome: &&Outcome| {
            outcome.rc == "AUTH_ERR" && outcome.log_text().contains("used before")
        };
        assert_eq!(outcomes.iter().filter(refused).count(), PROCESSES - 1);
        let now = scene.usersfile_now().unwrap();
        assert!(now.starts_with(&user.recorded(round)), "{now}");
    }
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
fn sixteen_threads_of_one_process_get_one_code_in_once() {
    let user = User::number(0);
    let scene = Scene::new().usersfile(user.line()).args("window=60");
    for round in 0..ROUNDS {
        let outcomes =
            scene.at_once((0..16).map(|_| scene.login(&user.name).typing(user.code(round))));
        assert_eq!(
            accepted(&outcomes),
            1,
            "round {round}\n{}",
            log_of(&outcomes)
        );
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
    let (alice, bob) = (User::number(0), User::number(2));
    let scene = Scene::new()
        .usersfile(alice.line() + &bob.line())
        .in_real_time();
    let mut editor = File::create(scene.path()).unwrap();
    editor.write_all(alice.line().as_bytes()).unwrap();

    let outcomes =
        scene.at_once([&alice, &bob].map(|user| scene.login(&user.name).typing(user.code(0))));
    for outcome in outcomes {
        assert_eq!(outcome.rc, "AUTH_ERR", "{}", outcome.log_text());
        assert!(
            outcome
                .log_text()
                .contains("is being changed by another program")
        );
    }
    editor.write_all(bob.line().as_bytes()).unwrap();
    drop(editor);
    assert_eq!(scene.usersfile_now().unwrap(), alice.line() + &bob.line());
    for user in [alice, bob] {
        assert_eq!(scene.login(&user.name).types(user.code(0)).rc, "SUCCESS");
    }
}

/// What an admin does at the last moment: when the login has looked at the file for the last time
/// before it puts another in its place.
fn edit_at_the_last_moment(edit: impl FnOnce(&Scene, &str)) {
    let alice = User::number(0);
    let scene = Scene::new().usersfile(alice.line());
    let traced = Traced::new(&scene, &[]);
    assert_eq!(
        traced.scene.login(&alice.name).types(alice.code(0)).rc,
        "SUCCESS"
    );
    let calls = traced.calls_of_the_login();
    let replaced = calls
        .iter()
        .position(|call| call.name == "renameat2")
        .unwrap();

    scene.write_usersfile(alice.line());
    let traced = Traced::new(&scene, &[calls[replaced - 1].but("signal=STOP")]);
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
    assert_eq!(now.lines().count(), 2);
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
    // Its mode is the last that the new file is given before the text.
    let traced = Traced::new(&scene, &["fchmod:signal=STOP:when=1".into()]);
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
    let (alice, bob) = (User::number(0), User::number(2));
    let text = alice.line() + &bob.line();
    let scene = Scene::new().usersfile(&text);
    let first = Traced::new(&scene, &["fsync:signal=STOP:when=1".into()]);
    let second = Traced::new(&scene, &[]);
    let mut bobs = Vec::new();
    let alices = first.scene.login(&alice.name).typing(alice.code(0));
    let alices = released_together_while([alices], || {
        first.is_stopped();
        put_in_place(&scene, &text);
        let login = second.scene.login(&bob.name).typing(bob.code(0));
        bobs = released_together_while([login], || {
            second.shows("EEXIST");
            first.goes_on();
        });
    });
    everybody_is_in(&scene, &[alice, bob], 0, &[alices, bobs].concat());
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
    let alice = User::number(0);
    let scene = Scene::new().usersfile(alice.line());
    let moved = scene.folder().join("moved.oath");
    let login = scene.login(&alice.name).typing(alice.code(0));
    let outcome = while_a_login_waits(&scene, login, || {
        fs::rename(scene.path(), &moved).unwrap();
        symlink(&moved, scene.path()).unwrap();
    });
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    assert!(scene.path().is_symlink());
    let now = fs::read_to_string(&moved).unwrap();
    assert!(now.starts_with(&alice.recorded(0)), "{now}");
    assert_eq!(scene.left_behind(), ["moved.oath"]);
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
    let alice = User::number(0);
    let scene = Scene::new().usersfile(alice.line());
    let traced = Traced::new(&scene, &[]);
    let login = traced.scene.login(&alice.name).types(alice.code(0));
    assert_eq!(login.rc, "SUCCESS", "{}", login.log_text());
    let calls = traced.calls_of_the_login();
    let opens =
        |call: &Call| call.is("openat", "\".users.oath.new\"") && call.text.contains("O_WRONLY");
    let opened = calls.iter().position(opens).expect("opened to write on");

    scene.write_usersfile(alice.line());
    let other = scene.folder().join("other");
    fs::write(&other, "not to be written to").unwrap();
    let traced = Traced::new(&scene, &[calls[opened - 1].but("signal=STOP")]);
    let login = traced.scene.login(&alice.name).typing(alice.code(0));
    let outcomes = released_together_while([login], || {
        traced.is_stopped();
        let new = scene.folder().join(".users.oath.new");
        fs::remove_file(&new).unwrap();
        fs::hard_link(&other, &new).unwrap();
        traced.goes_on();
    });
    assert_eq!(accepted(&outcomes), 1, "{}", log_of(&outcomes));
    assert_eq!(fs::read_to_string(other).unwrap(), "not to be written to");
    let now = scene.usersfile_now().unwrap();
    assert!(now.starts_with(&alice.recorded(0)), "{now}");
    assert_eq!(scene.left_behind(), ["other"]);
}
