//! `throttle=`: after A failures in a row no answer is checked for A times so many seconds.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use test_support::codes::Generator;
use test_support::small_disk::SmallDisk;
use test_support::strace::Traced;
use test_support::{NOON, Outcome, Scene, released_together};

const SECRET: &str = "3132333435363738393031323334353637383930";
const SECONDS: i64 = 5;

fn code(n: u64) -> String {
    Generator::new(SECRET).code(n)
}

fn wrong() -> String {
    code(1000)
}

fn state_folder(scene: &Scene) -> PathBuf {
    scene.folder().with_file_name("throttle")
}

/// A service that throttles, with more arguments.
fn throttled(args: &str) -> Scene {
    let scene = Scene::new().usersfile(format!("HOTP\talice\t-\t{SECRET}\n"));
    let folder = state_folder(&scene);
    scene.args(&format!(
        "window=20 throttle={SECONDS} throttle_dir={} {args}",
        folder.display()
    ))
}

/// What is remembered, a line for each user's file.
fn state(scene: &Scene) -> Vec<String> {
    let Ok(folder) = fs::read_dir(state_folder(scene)) else {
        return Vec::new();
    };
    folder
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect()
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

/// What was shown besides the prompts.
fn told(outcome: &Outcome) -> Vec<&str> {
    let informed = outcome.prompts.iter();
    let informed = informed.filter(|prompt| prompt.style == pam_sys::PAM_TEXT_INFO);
    informed.map(|prompt| prompt.text.as_str()).collect()
}

#[test]
fn throttle_notice_tells_who_has_to_wait_and_nobody_else() {
    let scene = throttled("throttle_notice");
    assert!(told(&scene.login("alice").types(wrong())).is_empty());
    let outcome = scene.login("alice").types(code(0));
    assert_too_early(&outcome);
    assert_eq!(
        told(&outcome),
        ["Too many failures; try again in 5 seconds."]
    );
    assert!(
        outcome
            .log_text()
            .contains("refused: 1 failure; the next answer is checked in 5 s")
    );
    let styles: Vec<i32> = outcome.prompts.iter().map(|prompt| prompt.style).collect();
    let asked = pam_sys::PAM_PROMPT_ECHO_OFF;
    assert_eq!(styles, [asked, pam_sys::PAM_TEXT_INFO], "after the prompt");
    let silent = scene.login("alice").flags(pam_sys::PAM_SILENT);
    assert!(told(&silent.types(code(0))).is_empty());
    let scene = scene.at(NOON + 4);
    let outcome = scene.login("alice").types(code(0));
    assert_eq!(
        told(&outcome),
        ["Too many failures; try again in 1 second."]
    );
    let scene = scene.at(NOON + 5);
    let outcome = scene.login("alice").types(code(0));
    assert_rc(&outcome, "SUCCESS");
    assert!(told(&outcome).is_empty());

    let scene = throttled("");
    scene.login("alice").types(wrong());
    let outcome = scene.login("alice").types(code(0));
    assert_too_early(&outcome);
    assert!(told(&outcome).is_empty());
}

/// Refused unchecked.
#[track_caller]
fn assert_too_early(outcome: &Outcome) {
    assert_rc(outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("checked in"), "{log}");
}

/// Refused for what was typed.
#[track_caller]
fn assert_checked_and_wrong(outcome: &Outcome) {
    assert_rc(outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("wrong one-time password"), "{log}");
}

#[test]
fn each_failure_in_a_row_makes_the_wait_longer_and_a_success_ends_it() {
    let mut scene = throttled("");
    let mut now = NOON;
    for failures in 1..=4 {
        assert_checked_and_wrong(&scene.login("alice").types(wrong()));
        let wait = failures * SECONDS;
        for early in [0, 1, wait - 1] {
            scene = scene.at(now + early);
            assert_too_early(&scene.login("alice").types(code(0)));
        }
        now += wait;
        scene = scene.at(now);
    }
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    scene = scene.at(now + SECONDS);
    assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
    assert_rc(&scene.login("alice").types(code(2)), "SUCCESS");
}

#[test]
fn an_answer_that_is_not_checked_uses_up_no_code_and_does_not_count() {
    let mut scene = throttled("");
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    let before = (state(&scene), scene.usersfile_now());
    for _ in 0..10 {
        assert_too_early(&scene.login("alice").types(code(0)));
        assert_too_early(&scene.login("alice").types(wrong()));
    }
    assert_eq!((state(&scene), scene.usersfile_now()), before);
    scene = scene.at(NOON + SECONDS);
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
}

#[test]
fn throttle_0_makes_nobody_wait_and_remembers_nothing() {
    for none in ["throttle=0", "throttle=-5"] {
        let scene = throttled(none);
        for _ in 0..3 {
            assert_checked_and_wrong(&scene.login("alice").types(wrong()));
        }
        assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
        assert!(!state_folder(&scene).exists());
    }
}

#[test]
fn nobody_waits_longer_than_an_hour() {
    let mut scene = throttled("throttle=4000");
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    scene = scene.at(NOON + 3599);
    assert_too_early(&scene.login("alice").types(code(0)));
    scene = scene.at(NOON + 3600);
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
}

#[test]
fn of_a_guess_a_second_38_are_checked_in_an_hour() {
    let mut scene = throttled("");
    let mut checked = 0;
    for second in 0..3600 {
        scene = scene.at(NOON + second);
        let outcome = scene.login("alice").types(wrong());
        checked += usize::from(outcome.log_text().contains("wrong one-time password"));
    }
    // The waits are 5, 10, 15 ... seconds.
    assert_eq!(checked, 38);
}

#[test]
fn wrong_pins_and_replayed_codes_count_as_well() {
    let scene = throttled("digits=6").usersfile(format!("HOTP\talice\t4711\t{SECRET}\n"));
    assert_rc(
        &scene.login("alice").types(format!("4712{}", code(0))),
        "AUTH_ERR",
    );
    assert_too_early(&scene.login("alice").types(format!("4711{}", code(0))));

    let scene = throttled("");
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    assert_too_early(&scene.login("alice").types(code(1)));
}

#[test]
fn one_user_does_not_wait_for_another() {
    let usersfile = format!("HOTP\talice\t-\t{SECRET}\nHOTP\tbob\t-\t{SECRET}\n");
    let scene = throttled("").usersfile(usersfile);
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    assert_rc(&scene.login("bob").types(code(0)), "SUCCESS");
    assert_too_early(&scene.login("alice").types(code(0)));
}

#[test]
fn a_login_does_not_wait_for_its_own_stacked_token_and_counts_once() {
    let mut scene = throttled("try_first_pass");
    let stacked =
        |scene: &Scene, typed: &str| scene.login("alice").stacked("her password").types(typed);
    assert_rc(&stacked(&scene, &code(0)), "SUCCESS");
    assert_rc(&stacked(&scene, &wrong()), "AUTH_ERR");
    scene = scene.at(NOON + SECONDS - 1);
    let outcome = stacked(&scene, &code(1));
    assert_too_early(&outcome);
    assert!(outcome.prompts.is_empty());
    scene = scene.at(NOON + SECONDS);
    assert_rc(&stacked(&scene, &code(1)), "SUCCESS");
}

#[test]
fn a_stacked_code_is_a_guess_and_the_one_typed_after_it_another() {
    let mut scene = throttled("try_first_pass");
    let guess = scene.login("alice").stacked(wrong()).types(wrong());
    assert_rc(&guess, "AUTH_ERR");
    assert_eq!(guess.prompts.len(), 1);
    scene = scene.at(NOON + 2 * SECONDS - 1);
    assert_too_early(&scene.login("alice").types(code(0)));
    scene = scene.at(NOON + 2 * SECONDS);
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait() {
    let mut scene = throttled("");
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    scene = scene.at(NOON - 1);
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
}

#[test]
fn forty_eight_guesses_at_once_are_one_guess() {
    let scene = throttled("");
    let outcomes = scene.at_once((0..48).map(|_| scene.login("alice").typing(wrong())));
    one_was_checked(&scene, &outcomes);

    let scene = throttled("");
    let processes: Vec<Scene> = (0..48).map(|n| scene.twin(&format!("oath{n}"))).collect();
    let logins = processes
        .iter()
        .map(|scene| scene.login("alice").typing(wrong()));
    one_was_checked(&scene, &released_together(logins));
}

fn one_was_checked(scene: &Scene, outcomes: &[Outcome]) {
    let with = |text| {
        let logs = outcomes.iter().map(Outcome::log_text);
        logs.filter(|log| log.contains(text)).count()
    };
    assert_eq!(with("wrong one-time password"), 1, "{outcomes:#?}");
    assert_eq!(with("checked in"), 47, "{outcomes:#?}");
    assert_eq!(state(scene), [format!("1 {NOON}\n")]);
}

/// The code of the first line is the last of the guesses, and the hash takes a while.
#[test]
fn guesses_at_once_are_one_guess_also_for_who_has_a_hashed_pin_below() {
    const ROUNDS: usize = 4;
    let lines = format!("HOTP\talice\t-\t{SECRET}\nHOTP\talice\t$6$rounds=300000$salt$\t00\n");
    let is_in = |round: usize| {
        let scene = throttled("").usersfile(&lines);
        let processes: Vec<Scene> = (0..12)
            .map(|n| scene.twin(&format!("oath{round}-{n}")))
            .collect();
        let last = processes.len() - 1;
        let logins = processes.iter().enumerate().map(|(n, scene)| {
            let typed = if n == last { code(0) } else { wrong() };
            scene.login("alice").typing(typed)
        });
        let outcomes = released_together(logins);
        outcomes.iter().any(|outcome| outcome.rc == "SUCCESS")
    };
    // By chance the good code may be the one guess that is checked.
    assert!(
        !(0..ROUNDS).all(is_in),
        "the good code was checked each time"
    );
}

#[test]
fn forty_eight_users_with_good_codes_at_once_all_get_in() {
    let line = |n| format!("HOTP\tuser{n}\t-\t{SECRET}\n");
    let scene = throttled("").usersfile((0..48).map(line).collect::<String>());
    let logins = (0..48).map(|n| scene.login(format!("user{n}")).typing(code(0)));
    for outcome in scene.at_once(logins) {
        assert_rc(&outcome, "SUCCESS");
    }
}

#[test]
fn a_login_that_is_killed_while_it_is_checked_counts() {
    let scene = throttled("");
    // Who holds the usersfile's lock stops the login in the middle of the check.
    let usersfile = File::open(scene.path()).unwrap();
    flock(&usersfile, FlockOperation::LockExclusive).unwrap();
    let process = scene.process_id();
    let counted = format!("1 {NOON}\n");
    let killer = std::thread::spawn({
        let folder = state_folder(&scene);
        move || {
            let is_counted = || {
                let file = fs::read_to_string(folder.join("throttle-alice"));
                file.is_ok_and(|text| text == counted)
            };
            while !is_counted() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let kill = format!("kill -KILL {process}");
            let killed = Command::new("sh").args(["-c", &kill]).status();
            assert!(killed.unwrap().success());
        }
    });
    scene.login("alice").typing(wrong()).dies();
    killer.join().unwrap();
    drop(usersfile);
    assert_too_early(&scene.login("alice").types(code(0)));
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn an_error_of_the_usersfile_does_not_count() {
    let scene = throttled("");
    let calls = {
        let traced = Traced::new(&scene, &[]);
        assert_rc(&traced.scene.login("alice").types(code(0)), "SUCCESS");
        traced.calls_of_the_login()
    };
    let write = calls
        .iter()
        .find(|call| call.is("fsync", ".users.oath.new"));
    fs::remove_dir_all(state_folder(&scene)).unwrap();
    let traced = Traced::new(&scene, &[write.unwrap().but("error=EIO")]);
    let outcome = traced.scene.login("alice").types(code(1));
    assert_rc(&outcome, "AUTH_ERR");
    assert!(outcome.log_text().contains("cannot write"), "{outcome:?}");
    assert_eq!(state(&scene), [""; 0]);
    assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
}

#[test]
fn unknown_users_leave_nothing_behind() {
    let scene = throttled("").control("[success=ok user_unknown=ignore default=die]");
    for name in ["bob", "../x", "", "alice2"] {
        let outcome = scene.login(name).types(wrong());
        assert!(outcome.rc != "SUCCESS", "{outcome:?}");
    }
    assert!(!state_folder(&scene).exists());
}

#[test]
fn the_state_is_roots_alone_and_hostile_names_stay_inside_the_folder() {
    let long = "x".repeat(250);
    let names = [
        "alice",
        "../x",
        "..",
        "/etc/passwd",
        "a%2Fb",
        "EX\\al",
        "żółw",
        &long,
    ];
    let line = |name: &&str| format!("HOTP\t{name}\t-\t{SECRET}\n");
    let scene = throttled("").usersfile(names.iter().map(line).collect::<String>());
    let folder = state_folder(&scene);
    for (n, name) in names.iter().enumerate() {
        assert_checked_and_wrong(&scene.login(name).types(wrong()));
        assert_eq!(state(&scene).len(), n + 1, "{name} has a file of its own");
        assert_too_early(&scene.login(name).types(code(0)));
    }
    assert_eq!(scene.left_behind(), [""; 0]);
    let mut beside: Vec<_> = fs::read_dir(folder.with_file_name(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    beside.sort();
    let expected = ["This", "pam.d", "printed-by-oath", "throttle", "users"];
    assert_eq!(beside, expected);

    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(folder.clone()), 0o700);
    for entry in fs::read_dir(folder).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_name_with_a_line_feed_is_no_users() {
    let scene = throttled("");
    let outcome = scene.login("alice\nbob").types(wrong());
    assert_rc(&outcome, "USER_UNKNOWN");
    assert!(!state_folder(&scene).exists());
}

/// What may be wrong with the folder: each with what the log names.
const WRONG: [(&str, &str); 7] = [
    ("a file", "is not a folder"),
    ("writable by all", "everybody can write"),
    ("writable by all, sticky", "must be root's alone"),
    ("writable by others, sticky", "must be root's alone"),
    ("writable by its group", "must be root's alone"),
    ("somebody else's", "must be root's alone"),
    ("a folder in the file's place", "is not a regular file"),
];

fn make(wrong: &str, scene: &Scene) {
    let folder = state_folder(scene);
    if wrong == "a file" {
        fs::write(folder, "").unwrap();
        return;
    }
    fs::create_dir(&folder).unwrap();
    let mode = |mode| fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    mode(0o700);
    match wrong {
        "writable by all" => mode(0o777),
        "writable by all, sticky" => mode(0o1777),
        "writable by others, sticky" => mode(0o1703),
        "writable by its group" => mode(0o770),
        "somebody else's" => chown(&folder, Some(65534), None).expect("run as root"),
        "a folder in the file's place" => fs::create_dir(folder.join("throttle-alice")).unwrap(),
        _ => unreachable!(),
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_broken_folder_denies_and_the_log_says_why() {
    for (wrong, reason) in WRONG {
        let scene = throttled("");
        make(wrong, &scene);
        let outcome = scene.login("alice").types(code(0));
        let log = outcome.log_text();
        assert_eq!(outcome.rc, "AUTH_ERR", "{wrong}\n{log}");
        assert!(
            log.contains("throttle: ") && log.contains(reason),
            "{wrong}\n{log}"
        );
        assert!(log.contains("err: "), "{log}");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_link_to_the_folder_is_followed_if_it_is_roots() {
    let scene = throttled("");
    let folder = state_folder(&scene);
    let target = folder.with_file_name("elsewhere");
    symlink(&target, &folder).unwrap();
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    assert!(target.join("throttle-alice").exists());

    std::os::unix::fs::lchown(&folder, Some(65534), None).unwrap();
    let outcome = scene.login("alice").types(code(0));
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("symbolic link that is not root's"), "{log}");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_folder_on_a_full_or_read_only_disk_denies() {
    let spoil: [fn(&SmallDisk); 2] = [SmallDisk::fill, SmallDisk::make_read_only];
    for spoil in spoil {
        let scene = throttled("");
        let disk = SmallDisk::over(&state_folder(&scene));
        assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
        spoil(&disk);
        let outcome = scene.login("alice").types(code(1));
        assert_rc(&outcome, "AUTH_ERR");
        assert!(outcome.log_text().contains("throttle: "), "{outcome:?}");
        disk.make_writable();
        assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
    }
}

#[test]
fn a_folder_that_is_no_absolute_path_denies() {
    for folder in ["", "pam_oath"] {
        let scene = throttled(&format!("throttle_dir={folder}"));
        let outcome = scene.login("alice").types(code(0));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(log.contains("must be an absolute path"), "{log}");
    }
}

/// Nobody's usersfile in nobody's folder, for an application that is nobody's.
fn of_nobody(scene: Scene) -> Scene {
    for path in [scene.folder(), scene.path()] {
        chown(path, Some(65534), Some(65534)).unwrap();
    }
    scene.application_of(65534, 65534)
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_process_that_is_not_root_and_cannot_write_there_is_warned_and_not_throttled() {
    let of_root = throttled("");
    fs::create_dir(state_folder(&of_root)).unwrap();
    not_throttled(&of_nobody(of_root));
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_process_that_is_not_root_is_denied_where_something_else_than_rights_is_missing() {
    let on_a_full_disk = throttled("");
    let folder = state_folder(&on_a_full_disk);
    let disk = SmallDisk::over(&folder);
    disk.fill();
    for path in [folder.clone(), folder.join("throttle-alice")] {
        let _ = File::create_new(&path);
        chown(path, Some(65534), Some(65534)).unwrap();
    }
    let scene = of_nobody(on_a_full_disk);
    for answer in [wrong(), code(0)] {
        let outcome = scene.login("alice").types(answer);
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(!log.contains("not throttled"), "{log}");
        assert!(log.contains("throttle: cannot"), "{log}");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_umask_switches_the_throttle_of_a_service_that_is_not_root_off() {
    for umask in ["0200", "0777"] {
        let scene = throttled("");
        chown(scene.folder().parent().unwrap(), Some(65534), Some(65534)).unwrap();
        let with_umask = format!("umask {umask} && exec \"$0\" \"$@\"");
        let scene = of_nobody(scene).started_by(["sh", "-c", &with_umask]);
        assert_checked_and_wrong(&scene.login("alice").types(wrong()));
        assert_too_early(&scene.login("alice").types(code(0)));
        // As a login leaves it that is killed when it has just made it.
        fs::remove_dir_all(state_folder(&scene)).unwrap();
        fs::create_dir(state_folder(&scene)).unwrap();
        fs::set_permissions(state_folder(&scene), Permissions::from_mode(0o000)).unwrap();
        chown(state_folder(&scene), Some(65534), Some(65534)).unwrap();
        assert_checked_and_wrong(&scene.login("alice").types(wrong()));
        assert_too_early(&scene.login("alice").types(code(0)));
    }
}

fn not_throttled(scene: &Scene) {
    for _ in 0..2 {
        let outcome = scene.login("alice").types(wrong());
        assert_checked_and_wrong(&outcome);
        let log = outcome.log_text();
        assert!(
            log.contains("warning: ") && log.contains("not throttled"),
            "{log}"
        );
    }
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
}

/// Of 20 wrong codes in a row the first is checked, and no other.
#[track_caller]
fn assert_only_the_first_is_checked(lines: &str) {
    let scene = throttled("");
    scene.write_usersfile(format!("HOTP\talice\t-\t{SECRET}\n{lines}"));
    scene.login("alice").types(wrong());
    for _ in 1..20 {
        assert_too_early(&scene.login("alice").types(wrong()));
    }
}

#[test]
fn a_malformed_line_below_a_good_one_leaves_the_throttle_on() {
    assert_only_the_first_is_checked("HOTP\talice\t-\tno-secret\n");
}

#[test]
fn more_hashed_pins_than_a_login_computes_leave_the_throttle_on() {
    let hash = "$6$rounds=1000$salt$";
    let more = format!("HOTP\talice\t{hash}\t{SECRET}\n").repeat(9);
    assert_only_the_first_is_checked(&more);
}

#[test]
fn more_tokens_than_a_login_tries_leave_the_throttle_on() {
    let scene = throttled("window=1000 drift");
    scene.write_usersfile(format!("HOTP\talice\t-\t{SECRET}\n").repeat(90));
    let outcome = scene.login("alice").types("000000");
    let log = outcome.log_text();
    assert!(
        log.contains("has more tokens than a login can try"),
        "{log}"
    );
    for _ in 1..20 {
        assert_too_early(&scene.login("alice").types("000000"));
    }
}

#[test]
fn forty_eight_logins_of_one_user_with_good_codes_at_once_all_come_to_an_end() {
    let scene = throttled("window=60");
    let scenes: Vec<Scene> = (0..48).map(|n| scene.twin(&format!("login{n}"))).collect();
    let logins = scenes.iter().zip(0..);
    let outcomes = released_together(logins.map(|(scene, n)| scene.login("alice").typing(code(n))));
    let accepted: Vec<_> = (0..48).filter(|&n| outcomes[n].rc == "SUCCESS").collect();
    assert!(!accepted.is_empty(), "{outcomes:#?}");
    for n in accepted {
        let later = scenes[n]
            .twin(&format!("later{n}"))
            .at(NOON + 7200 * (n as i64 + 1));
        assert_ne!(later.login("alice").types(code(n as u64)).rc, "SUCCESS");
    }
    let scene = scene.twin("next").at(NOON + 7200 * 50);
    assert_rc(&scene.login("alice").types(code(50)), "SUCCESS");
    assert_eq!(state(&scene), Vec::<String>::new());
}

#[test]
fn nothing_is_remembered_after_a_success() {
    let scene = throttled("");
    assert_checked_and_wrong(&scene.login("alice").types(wrong()));
    assert_ne!(state(&scene), Vec::<String>::new());
    let scene = scene.at(NOON + SECONDS);
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    assert_eq!(state(&scene), Vec::<String>::new());
}

#[test]
fn invented_names_leave_nothing_behind_whatever_the_usersfile_is() {
    let usable = |_: &Scene| ();
    let open_to_all =
        |scene: &Scene| fs::set_permissions(scene.path(), Permissions::from_mode(0o666)).unwrap();
    let missing = |scene: &Scene| fs::remove_file(scene.path()).unwrap();
    let a_folder = |scene: &Scene| {
        fs::remove_file(scene.path()).unwrap();
        fs::create_dir(scene.path()).unwrap();
    };
    let states: [&dyn Fn(&Scene); 4] = [&usable, &open_to_all, &missing, &a_folder];
    for make in states {
        let scene = throttled("");
        let journal = scene.folder().with_file_name("journal");
        let throttle = state_folder(&scene);
        let scene = scene.args(&format!(
            "throttle={SECONDS} throttle_dir={} readonly_ok={}",
            throttle.display(),
            journal.display()
        ));
        make(&scene);
        for n in 0..20 {
            let outcome = scene.login(format!("invented{n}")).types(wrong());
            assert_ne!(outcome.rc, "SUCCESS");
        }
        for folder in [throttle, journal] {
            let left = fs::read_dir(&folder).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{}", folder.display());
        }
    }
}

/// While a hash is computed, others of this user's logins need not wait for the throttle's lock.
#[test]
#[ignore = "needs strace: run `make test`"]
fn the_hash_of_a_pin_is_computed_while_the_lock_is_free() {
    const HASH: &str = "$y$j9T$NaGQ5K7F6q7viArcGsqR3/$OOShpijx/yyGeBTTG4AoPpwJGs/Ry3NdP7s.aOfKXV1";
    let scene = throttled("digits=6").usersfile(format!("HOTP\talice\t{HASH}\t{SECRET}\n"));
    let traced = Traced::new(&scene, &[]);
    let typed = format!("1234{}", code(0));
    assert_rc(&traced.scene.login("alice").types(typed), "SUCCESS");
    let calls = traced.calls();
    let is_loaded = |text: &str| text.contains("/libcrypt.so") && !text.contains("ENOENT");
    let hashed = calls
        .iter()
        .position(|call| call.name == "openat" && is_loaded(&call.text))
        .expect("a hash is computed");
    // What a login has nothing in is taken away before its lock is given back.
    let files = calls[..hashed].iter().rev();
    let last = files
        .filter(|call| call.text.contains("/throttle-alice"))
        .find(|call| ["openat", "unlinkat", "close", "flock"].contains(&call.name.as_str()));
    let last = last.expect("a failure is counted first");
    assert!(last.name == "unlinkat" || last.name == "close", "{last:?}");
    let counted = calls[hashed..].iter();
    let counted = counted.filter(|call| call.is("openat", ".throttle-alice.new"));
    assert!(
        counted.count() > 0,
        "a failure is counted again before the check"
    );
}
