//! `readonly_ok=`: a full or read-only disk locks nobody out, and no code is good twice for it.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use test_support::codes::Generator;
use test_support::small_disk::SmallDisk;
use test_support::strace::{Call, Traced};
use test_support::{NOON, Outcome, Scene, released_together_while};

const SECRET: &str = "3132333435363738393031323334353637383930";
const WINDOW: u64 = 10;

fn code(n: u64) -> String {
    Generator::new(SECRET).code(n)
}

fn line() -> String {
    format!("HOTP\talice\t-\t{SECRET}\n")
}

/// What stands in the file once this code of that line is recorded there.
fn recorded(n: u64) -> String {
    let line = line();
    format!(
        "{}\t{n}\t{}\t2026-01-15T12:00:00L\n",
        line.trim_end(),
        code(n)
    )
}

fn journal_folder(scene: &Scene) -> PathBuf {
    scene.folder().with_file_name("journal")
}

fn scene() -> Scene {
    let scene = Scene::new().usersfile(line());
    let folder = journal_folder(&scene);
    scene.args(&format!("window={WINDOW} readonly_ok={}", folder.display()))
}

/// A small disk for the scene's usersfile.
fn disk_under(scene: &Scene, usersfile: &str) -> SmallDisk {
    let disk = SmallDisk::over(&scene.folder());
    scene.write_usersfile(usersfile);
    disk
}

/// The journals and what is in them.
fn journals(scene: &Scene) -> Vec<(PathBuf, String)> {
    let Ok(folder) = fs::read_dir(journal_folder(scene)) else {
        return Vec::new();
    };
    let paths = folder.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// What is in the journals, all of them together.
fn journal(scene: &Scene) -> String {
    journals(scene).into_iter().map(|(_, text)| text).collect()
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

#[test]
#[ignore = "needs root: run `make test`"]
fn on_a_full_disk_the_login_is_recorded_in_the_journal_until_there_is_room() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.fill();
    recorded_in_the_journal_only(&scene);
    disk.make_writable();
    back_in_the_file(&scene);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn on_a_read_only_disk_the_login_is_recorded_in_the_journal_until_it_can_be_written() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    recorded_in_the_journal_only(&scene);
    disk.make_writable();
    back_in_the_file(&scene);
}

fn recorded_in_the_journal_only(scene: &Scene) {
    for n in [0, 2] {
        let outcome = scene.login("alice").types(code(n));
        assert_rc(&outcome, "SUCCESS");
        let log = outcome.log_text();
        let folder = journal_folder(scene).display().to_string();
        assert!(
            log.contains("warning: ") && log.contains(&folder) && log.contains("users.oath"),
            "{log}"
        );
        for used in 0..=n {
            assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
        }
        assert_eq!(scene.usersfile_now().unwrap(), line());
    }
}

fn back_in_the_file(scene: &Scene) {
    for used in 0..=2 {
        assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
    }
    assert!(!journal(scene).is_empty());
    let outcome = scene.login("alice").types(code(3));
    assert_rc(&outcome, "SUCCESS");
    assert!(!outcome.log_text().contains("warning: "), "{outcome:?}");
    assert_eq!(scene.usersfile_now().unwrap(), recorded(3));
    assert_eq!(journal(scene), "");
    for used in 0..=3 {
        assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn the_journal_is_roots_alone_and_holds_neither_secret_nor_pin() {
    let scene = scene();
    let folder = journal_folder(&scene);
    let scene = scene.args(&format!("digits=6 readonly_ok={}", folder.display()));
    let disk = disk_under(&scene, &format!("HOTP\talice\t4711\t{SECRET}\n"));
    disk.make_read_only();
    let typed = format!("4711{}", code(0));
    assert_rc(&scene.login("alice").types(typed), "SUCCESS");

    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(folder.clone()), 0o700);
    assert_eq!(mode(journals(&scene).remove(0).0), 0o600);
    let text = journal(&scene);
    assert!(text.contains(&code(0)), "{text}");
    assert!(!text.contains(SECRET) && !text.contains("4711"), "{text}");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn without_the_argument_a_read_only_disk_denies() {
    let scene = scene().args("");
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn an_edit_of_the_line_makes_no_code_of_the_journal_good_again() {
    let edits = [
        format!("HOTP\talice\t+\t{SECRET}\n"),
        format!("HOTP/E/6 alice - {SECRET}\r\n"),
        "HOTP alice - base32:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n".to_owned(),
        format!(
            "HOTP\tbob\t-\t00\nHOTP\talice\t-\t{SECRET}\t0\t{}\n",
            code(0)
        ),
    ];
    let scene = scene();
    let disk = disk_under(&scene, &line());
    for edit in edits {
        disk.make_writable();
        scene.write_usersfile(line());
        disk.make_read_only();
        for n in 0..3 {
            assert_rc(&scene.login("alice").types(code(n)), "SUCCESS");
        }
        disk.make_writable();
        scene.write_usersfile(&edit);
        for n in 0..3 {
            assert_rc(&scene.login("alice").types(code(n)), "AUTH_ERR");
        }
        assert_rc(&scene.login("alice").types(code(3)), "SUCCESS");
        fs::remove_dir_all(journal_folder(&scene)).unwrap();
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_pin_that_is_changed_and_changed_back_makes_no_code_of_the_journal_good_again() {
    let scene = scene();
    let disk = disk_under(&scene, "");
    for (n, pin) in ["-", "+", "-"].into_iter().enumerate() {
        disk.make_writable();
        scene.write_usersfile(format!("HOTP\talice\t{pin}\t{SECRET}\n"));
        disk.make_read_only();
        let n = n as u64;
        for used in 0..n {
            assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
        }
        assert_rc(&scene.login("alice").types(code(n)), "SUCCESS");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_rewrite_of_one_line_clears_no_entry_of_another_with_the_same_secret() {
    let scene = scene();
    let folder = journal_folder(&scene).display().to_string();
    let scene = scene.args(&format!("digits=6 readonly_ok={folder}"));
    let line = |pin| format!("HOTP\talice\t{pin}\t{SECRET}\n");
    let disk = disk_under(&scene, &(line("1111") + &line("2222")));
    let types = |pin: &str, n| scene.login("alice").types(format!("{pin}{}", code(n)));
    disk.make_read_only();
    assert_rc(&types("2222", 2), "SUCCESS");
    disk.make_writable();
    assert_rc(&types("1111", 3), "SUCCESS");
    assert_rc(&types("2222", 2), "AUTH_ERR");
    assert_rc(&types("2222", 4), "SUCCESS");
    assert_eq!(journal(&scene), "");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_rewrite_of_one_line_clears_no_entry_of_another_whose_pin_and_secret_read_the_same_together() {
    let scene = scene();
    let folder = journal_folder(&scene).display().to_string();
    let scene = scene.args(&format!("digits=6 readonly_ok={folder}"));
    // The same characters, with the end of the PIN in another place.
    let (pin, secret) = ("11", format!("22{SECRET}"));
    let other_pin = "1122";
    let usersfile = format!("HOTP\talice\t{pin}\t{secret}\nHOTP\talice\t{other_pin}\t{SECRET}\n");
    let disk = disk_under(&scene, &usersfile);
    let typed = |n| format!("{pin}{}", Generator::new(&secret).code(n));
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(typed(0)), "SUCCESS");
    disk.make_writable();
    let other = format!("{other_pin}{}", code(0));
    assert_rc(&scene.login("alice").types(other), "SUCCESS");
    assert_rc(&scene.login("alice").types(typed(0)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(typed(1)), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_login_to_another_usersfile_makes_no_code_of_the_journal_good_again() {
    let scene = scene();
    let other = scene.folder().with_file_name("other.oath");
    fs::write(&other, line()).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = scene
        .twin("elsewhere")
        .usersfile_option(&format!("usersfile={}", other.display()));
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    // What is used here says nothing about the same code there.
    assert_rc(&elsewhere.login("alice").types(code(0)), "SUCCESS");
    assert_rc(&elsewhere.login("alice").types(code(1)), "SUCCESS");
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_code_of_the_journal_is_not_good_again_by_another_path_to_the_same_file() {
    let scene = scene();
    let link = scene.folder().with_file_name("link.oath");
    std::os::unix::fs::symlink(scene.path(), &link).unwrap();
    let by_link = scene
        .twin("by-link")
        .usersfile_option(&format!("usersfile={}", link.display()));
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    for (n, (one, other)) in [(&scene, &by_link), (&by_link, &scene)].iter().enumerate() {
        let code = code(n as u64);
        assert_rc(&one.login("alice").types(&code), "SUCCESS");
        assert_rc(&other.login("alice").types(&code), "AUTH_ERR");
        assert_rc(&one.login("alice").types(&code), "AUTH_ERR");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn an_earlier_time_step_is_not_good_after_a_later_one_that_the_journal_holds_in_another_length() {
    let scene = scene();
    let folder = journal_folder(&scene).display().to_string();
    let scene = scene.args(&format!("window={WINDOW} digits=8 readonly_ok={folder}"));
    // A token of six digits, and a service that takes eight.
    let disk = disk_under(&scene, &format!("HOTP/T30\talice\t-\t{SECRET}\n"));
    disk.make_read_only();
    let types = |offset| {
        let token = Generator::new(SECRET).digits(8);
        scene.login("alice").types(token.code_at(NOON, 30, offset))
    };
    assert_rc(&types(2), "SUCCESS");
    for used in [2, 1, 0, -1] {
        assert_rc(&types(used), "AUTH_ERR");
    }
    assert_rc(&types(3), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_code_is_good_again_that_a_service_without_the_journal_has_passed() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    disk.make_writable();
    let other = scene.twin("elsewhere").args(&format!("window={WINDOW}"));
    assert_rc(&other.login("alice").types(code(4)), "SUCCESS");
    for used in 0..=4 {
        assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
    }
    assert_rc(&scene.login("alice").types(code(5)), "SUCCESS");
}

/// The record is of a code of eight digits from when the line said six, and so has no time step of
/// its own.
#[test]
#[ignore = "needs root: run `make test`"]
fn a_line_that_is_given_more_digits_makes_no_earlier_time_step_good_than_the_journals() {
    let scene = scene();
    let line = |digits| format!("HOTP/T30/{digits}\talice\t-\t{SECRET}\n");
    let disk = disk_under(&scene, &line(6));
    disk.make_read_only();
    let types = |offset| {
        let token = Generator::new(SECRET).digits(8);
        scene.login("alice").types(token.code_at(NOON, 30, offset))
    };
    assert_rc(&types(2), "SUCCESS");
    disk.make_writable();
    scene.write_usersfile(line(8));
    for used in [2, 1, 0, -1] {
        assert_rc(&types(used), "AUTH_ERR");
    }
    assert_rc(&types(3), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_code_is_good_twice_where_the_counter_goes_past_its_largest_number() {
    let scene = scene();
    let line = format!("{}\t-1\n", line().trim_end());
    let disk = disk_under(&scene, &line);
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(2)), "SUCCESS");
    for used in [1, 2, 1, 0, u64::MAX] {
        assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
    }
    assert_rc(&scene.login("alice").types(code(3)), "SUCCESS");
    disk.make_writable();
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_line_that_breaks_off_before_the_token_takes_no_record_away_from_the_journal() {
    let usersfile = format!("HOTP\talice\t+\n{}", line());
    let scene = scene();
    let disk = disk_under(&scene, &usersfile);
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    disk.make_writable();
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
    assert_rc(&scene.login("alice").types(code(1)), "AUTH_ERR");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn forty_eight_logins_with_one_code_on_a_read_only_disk_are_one_login() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    for n in 0..5 {
        let outcomes = scene.at_once((0..48).map(|_| scene.login("alice").typing(code(n))));
        let accepted = outcomes.iter().filter(|outcome| outcome.rc == "SUCCESS");
        assert_eq!(accepted.count(), 1);
    }
}

/// The calls of a login from the first touch of the journal on.
fn calls_of_a_login(scene: &Scene, n: u64) -> Vec<Call> {
    let traced = Traced::new(scene, &[]);
    assert_rc(&traced.scene.login("alice").types(code(n)), "SUCCESS");
    let calls = traced.calls_of_the_login();
    let first = calls.iter().position(|call| call.text.contains("/journal"));
    calls[first.expect("the journal is looked into")..].to_vec()
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn an_error_other_than_no_room_and_read_only_denies() {
    for error in ["EIO", "EACCES", "EPERM", "EMFILE"] {
        let scene = scene();
        let calls = calls_of_a_login(&scene, 0);
        for name in ["openat", "fsync"] {
            let of_new_file = |call: &&Call| call.is(name, ".users.oath.new");
            let call = calls.iter().find(of_new_file).unwrap();
            scene.write_usersfile(line());
            fs::remove_dir_all(journal_folder(&scene)).unwrap();
            let traced = Traced::new(&scene, &[call.but(&format!("error={error}"))]);
            assert_rc(&traced.scene.login("alice").types(code(0)), "AUTH_ERR");
            assert_eq!(journal(&scene), "", "{error} at {}", call.text);
            assert_eq!(scene.usersfile_now().unwrap(), line());
        }
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn where_the_journal_cannot_be_written_either_the_login_is_denied() {
    // Every call of this name fails: the usersfile's and the journal's.
    for wrong in ["fsync:error=ENOSPC", "mkdirat:error=EROFS"] {
        let scene = scene();
        let traced = Traced::new(&scene, &[wrong.into()]);
        let outcome = traced.scene.login("alice").types(code(0));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(log.contains("journal"), "{log}");
        assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn wherever_the_disk_turns_out_to_be_full_no_code_is_good_twice_and_none_gets_lost() {
    let scene = scene();
    let mut journalled = 0;
    for call in calls_of_a_login(&scene, 0) {
        if ![
            "openat",
            "write",
            "fsync",
            "copy_file_range",
            "renameat2",
            "unlinkat",
            "mkdirat",
        ]
        .contains(&call.name.as_str())
        {
            continue;
        }
        scene.write_usersfile(line());
        let _ = fs::remove_dir_all(journal_folder(&scene));
        let traced = Traced::new(&scene, &[call.but("error=ENOSPC")]);
        let first = traced.scene.login("alice").types(code(0));
        journalled += usize::from(!journal(&scene).is_empty());
        let second = scene.login("alice").types(code(0));
        assert!(
            (first.rc == "SUCCESS") != (second.rc == "SUCCESS"),
            "at {}\n{}{}",
            call.text,
            first.log_text(),
            second.log_text()
        );
        assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
        assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    }
    assert!(journalled > 2, "only {journalled} met the usersfile");
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn the_journal_is_on_disk_before_the_answer() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    let calls = calls_of_a_login(&scene, 0);
    let position = |name: &str, about: &str| calls.iter().rposition(|call| call.is(name, about));
    let folder = format!("{}>", journal_folder(&scene).display());
    let steps = [
        position("write", "/journal/.used-"),
        position("fsync", "/journal/.used-"),
        position("renameat2", "used-"),
        position("fsync", &folder),
    ];
    assert!(
        steps.iter().all(Option::is_some) && steps.is_sorted(),
        "{steps:?}\n{calls:#?}"
    );
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn killed_at_any_call_while_the_disk_is_read_only_a_login_leaves_no_code_good_twice() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    let (path, entry) = journals(&scene).remove(0);
    for call in calls_of_a_login(&scene, 1) {
        fs::write(&path, &entry).unwrap();
        killed_at(&scene, &call);
    }
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn killed_at_any_call_when_the_disk_can_be_written_again_a_login_leaves_no_code_good_twice() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    let (path, entry) = journals(&scene).remove(0);
    disk.make_writable();
    let mut between = 0;
    for call in calls_of_a_login(&scene, 1) {
        fs::write(&path, &entry).unwrap();
        scene.write_usersfile(line());
        killed_at(&scene, &call);
        between += usize::from(scene.usersfile_now().unwrap() == recorded(2));
    }
    assert!(between > 0);
}

/// Code 0 was used, code 1 is tried and killed at this call, code 2 follows.
fn killed_at(scene: &Scene, call: &Call) {
    let traced = Traced::new(scene, &[call.but("signal=KILL")]);
    let death = traced.scene.login("alice").typing(code(1)).dies();
    assert_eq!(death.status.signal(), Some(libc::SIGKILL), "at {call:?}");
    let rcs = |n| {
        let outcome = scene.login("alice").types(code(n));
        (outcome.rc, outcome.log_text())
    };
    assert_eq!(rcs(0).0, "AUTH_ERR", "at {call:?}");
    // Nobody was told that it was accepted: it may be good still, but once at most.
    rcs(1);
    assert_eq!(rcs(1).0, "AUTH_ERR", "at {call:?}");
    assert_eq!(rcs(2).0, "SUCCESS", "at {call:?}");
    for n in 0..3 {
        assert_eq!(rcs(n).0, "AUTH_ERR", "at {call:?}");
    }
}

/// What may happen to the usersfile and to alice, who has a token that counts events and one that
/// counts time.
#[derive(Clone, Debug)]
enum Event {
    Fill,
    MakeReadOnly,
    MakeWritable,
    /// The PINs change and other lines come and go, if the disk can be written.
    Edit {
        pin: &'static str,
        comment: bool,
    },
    /// A code so far after the one last used (by event), or so far from now (by time).
    Login {
        by_time: bool,
        offset: i64,
    },
    /// The same, and the process ends before it has cleared the journal.
    CutShort {
        by_time: bool,
        offset: i64,
    },
    /// Some seconds go by.
    Wait(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let offset = -3..(WINDOW as i64 + 3);
    prop_oneof![
        1 => Just(Event::Fill),
        1 => Just(Event::MakeReadOnly),
        2 => Just(Event::MakeWritable),
        2 => (prop_oneof![Just("-"), Just("+")], any::<bool>())
            .prop_map(|(pin, comment)| Event::Edit { pin, comment }),
        6 => (any::<bool>(), offset.clone())
            .prop_map(|(by_time, offset)| Event::Login { by_time, offset }),
        2 => (any::<bool>(), offset)
            .prop_map(|(by_time, offset)| Event::CutShort { by_time, offset }),
        2 => (1i64..100).prop_map(Event::Wait),
    ]
}

/// What should be: for each token the moving factor last used.
#[derive(Default)]
struct Model {
    by_event: Option<u64>,
    by_time: Option<u64>,
}

impl Model {
    /// Whether the code of this moving factor is good now; from then on it is not.
    fn accepts(&mut self, by_time: bool, factor: u64, now: i64) -> bool {
        let (last, good) = if by_time {
            let now = now as u64 / 30;
            (&mut self.by_time, now - WINDOW..=now + WINDOW)
        } else {
            let next = self.by_event.unwrap_or(0);
            (&mut self.by_event, next..=next + WINDOW)
        };
        let accepts = good.contains(&factor) && last.is_none_or(|last| factor > last);
        if accepts {
            *last = Some(factor);
        }
        accepts
    }
}

const TIME_SECRET: &str = "00112233445566778899aabbccddeeff";

fn both_lines() -> String {
    format!("HOTP/E/8\talice\t-\t{SECRET}\nHOTP/T30/8\talice\t-\t{TIME_SECRET}\n")
}

/// Changes what an editor changes, and keeps what was used.
fn edited(usersfile: &str, pin: &str, comment: bool) -> String {
    let comment = if comment { "# HOTP alice\n" } else { "" };
    let lines = usersfile.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| {
        let mut fields: Vec<&str> = line.split('\t').collect();
        fields[2] = pin;
        fields.join("\t") + "\n"
    });
    [comment.to_owned()].into_iter().chain(lines).collect()
}

struct World {
    scene: Option<Scene>,
    disk: SmallDisk,
    model: Model,
    now: i64,
}

impl World {
    fn new() -> World {
        let scene = scene();
        World {
            disk: disk_under(&scene, &both_lines()),
            scene: Some(scene),
            model: Model::default(),
            now: NOON,
        }
    }

    fn reset(&mut self) {
        self.disk.make_writable();
        self.scene().write_usersfile(both_lines());
        let _ = fs::remove_dir_all(journal_folder(self.scene()));
        self.model = Model::default();
        self.now = NOON;
    }

    fn scene(&self) -> &Scene {
        self.scene.as_ref().unwrap()
    }

    fn happens(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Fill => self.disk.fill(),
            Event::MakeReadOnly => self.disk.make_read_only(),
            Event::MakeWritable => self.disk.make_writable(),
            Event::Wait(seconds) => self.now += seconds,
            Event::Edit { pin, comment } => {
                if self.disk.is_writable() {
                    let usersfile = self.scene().usersfile_now().unwrap();
                    let edited = edited(&usersfile, pin, comment);
                    self.scene().write_usersfile(edited);
                }
            }
            Event::Login { by_time, offset } => self.log_in(by_time, offset)?,
            Event::CutShort { by_time, offset } => {
                let journals = journals(self.scene());
                self.log_in(by_time, offset)?;
                if self.disk.is_writable() {
                    for (path, text) in journals {
                        fs::write(path, text).unwrap();
                    }
                }
            }
        }
        Ok(())
    }

    fn log_in(&mut self, by_time: bool, offset: i64) -> Result<(), TestCaseError> {
        let (secret, base) = if by_time {
            (TIME_SECRET, self.now as u64 / 30)
        } else {
            (SECRET, self.model.by_event.unwrap_or(0))
        };
        let Some(factor) = base.checked_add_signed(offset) else {
            return Ok(());
        };
        let scene = self.scene.take().unwrap().at(self.now);
        let code = Generator::new(secret).digits(8).code(factor);
        let outcome = scene.login("alice").types(code);
        self.scene = Some(scene);
        let expected = self.model.accepts(by_time, factor, self.now);
        prop_assert_eq!(outcome.rc == "SUCCESS", expected, "{}", outcome.log_text());
        Ok(())
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn in_any_order_of_events_no_code_is_good_twice_and_no_good_one_is_refused() {
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let world = RefCell::new(World::new());
    let events = proptest::collection::vec(event(), 1..40);
    let result = TestRunner::new(config).run(&events, |events| {
        let mut world = world.borrow_mut();
        world.reset();
        events.iter().try_for_each(|event| world.happens(event))
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn a_login_refused_because_an_editor_came_in_between_clears_nothing() {
    let scene = scene();
    let disk = disk_under(&scene, &line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(5)), "SUCCESS");
    disk.make_writable();
    let before = journal(&scene);

    let calls = calls_of_a_login(&scene, 7);
    // As if that login had not been.
    assert_eq!(journal(&scene), "", "the file is up to date");
    scene.write_usersfile(line());
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(5)), "SUCCESS");
    disk.make_writable();
    assert_eq!(journal(&scene), before);

    let replaced = calls
        .iter()
        .rposition(|call| call.name == "renameat2" && call.text.contains("users.oath"));
    let before_that = &calls[replaced.unwrap() - 1];
    let traced = Traced::new(&scene, &[before_that.but("signal=STOP")]);
    let login = traced.scene.login("alice").typing(code(7));
    let outcomes = released_together_while([login], || {
        traced.is_stopped();
        let other = scene.folder().join("new");
        fs::write(&other, format!("{}\tno number\n", line().trim_end())).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
        fs::rename(&other, scene.path()).unwrap();
        traced.goes_on();
    });
    assert_rc(&outcomes[0], "AUTH_ERR");
    assert!(
        outcomes[0].log_text().contains("field 5 (COUNTER)"),
        "{}",
        outcomes[0].log_text()
    );
    assert_eq!(journal(&scene), before);
    scene.write_usersfile(line());
    assert_rc(&scene.login("alice").types(code(5)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(code(7)), "SUCCESS");
}
