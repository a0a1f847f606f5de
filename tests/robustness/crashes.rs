//! A login that is killed: whatever it was doing, the usersfile is whole, and the next login works.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;

use test_support::codes::Generator;
use test_support::rights::{give_away, rights};
use test_support::strace::{Call, Traced};
use test_support::{Module, NOON, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

/// What kind of token alice has.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    first: u64,
}

const BY_EVENT: Kind = Kind {
    name: "HOTP",
    first: 0,
};
const BY_TIME: Kind = Kind {
    name: "HOTP/T30",
    first: NOON as u64 / 30,
};

impl Kind {
    fn code(self, n: u64) -> String {
        Generator::new(SECRET).code(self.first + n)
    }

    fn usersfile(self) -> String {
        let line = self.line();
        format!("# all users\n\nHOTP\tbob\t-\t00\n{line}\nHOTP\tcarol\t-\t01")
    }

    fn line(self) -> String {
        format!("{}\talice\t-\t{SECRET}", self.name)
    }

    /// The file once the first code is recorded.
    fn recorded(self) -> String {
        let used = format!("\t{}\t{}\t2026-01-15T12:00:00L", self.first, self.code(0));
        self.usersfile()
            .replace(&self.line(), &(self.line() + &used))
    }
}

fn scene() -> Scene {
    Scene::new().args("window=10")
}

fn reset(scene: &Scene, kind: Kind) {
    scene.write_usersfile(kind.usersfile());
    give_away(&scene.path());
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_login_by_hotp_killed_at_any_system_call_leaves_a_whole_file_and_the_next_one_works() {
    kill_at_every_call(BY_EVENT);
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_login_by_totp_killed_at_any_system_call_leaves_a_whole_file_and_the_next_one_works() {
    kill_at_every_call(BY_TIME);
}

fn kill_at_every_call(kind: Kind) {
    let scene = scene();
    reset(&scene, kind);
    let before = rights(&scene.path());
    assert!(
        before.contains("user:1:r--") && before.contains("enrolled"),
        "{before}"
    );
    let calls = calls_of_a_login(&scene, kind);
    assert!(calls.len() > 50, "{calls:#?}");
    // How many of the logins had recorded their code, and how many had left something behind.
    let (mut recorded, mut leftovers) = (0, 0);
    for call in &calls {
        reset(&scene, kind);
        let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
        let death = traced.scene.login("alice").typing(kind.code(0)).dies();
        assert_eq!(death.status.signal(), Some(libc::SIGKILL), "at {call:?}");

        let now = scene.usersfile_now().unwrap();
        let is_recorded = now == kind.recorded();
        assert!(is_recorded || now == kind.usersfile(), "at {call:?}\n{now}");
        assert_eq!(rights(&scene.path()), before, "at {call:?}");
        let left_behind = scene.left_behind();
        assert!(
            left_behind.is_empty() || left_behind == [".users.oath.new"],
            "at {call:?}"
        );
        for name in &left_behind {
            let mode = fs::metadata(scene.folder().join(name)).unwrap().mode();
            assert_eq!(mode & 0o007, 0, "others may open {name} at {call:?}");
        }
        recorded += usize::from(is_recorded);
        leftovers += left_behind.len();

        let second = scene.login("alice").types(kind.code(0));
        let expected = if is_recorded { "AUTH_ERR" } else { "SUCCESS" };
        assert_eq!(second.rc, expected, "at {call:?}\n{}", second.log_text());
        let next = scene.login("alice").types(kind.code(1));
        assert_eq!(next.rc, "SUCCESS", "at {call:?}\n{}", next.log_text());
        assert_eq!(scene.left_behind(), [""; 0], "at {call:?}");
        assert_eq!(rights(&scene.path()), before, "at {call:?}");
    }
    assert!(
        recorded > 0 && recorded < calls.len(),
        "{recorded} were recorded"
    );
    assert!(
        leftovers > 0,
        "nobody was killed while the new file was there"
    );
}

fn calls_of_a_login(scene: &Scene, kind: Kind) -> Vec<Call> {
    let traced = Traced::new(scene, &[]);
    let outcome = traced.scene.login("alice").types(kind.code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    traced.calls_of_the_login()
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn the_new_file_is_never_open_to_group_or_others() {
    let scene = scene().usersfile(BY_EVENT.usersfile());
    let calls = calls_of_a_login(&scene, BY_EVENT);
    let mut seen = 0;
    for call in &calls {
        scene.write_usersfile(BY_EVENT.usersfile());
        let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
        traced.scene.login("alice").typing(BY_EVENT.code(0)).dies();
        let new = scene.folder().join(".users.oath.new");
        if let Ok(metadata) = fs::metadata(&new) {
            assert_eq!(metadata.mode() & 0o077, 0, "at {call:?}");
            fs::remove_file(new).unwrap();
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} were killed while the new file was there");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_leftover_that_the_files_owner_cannot_open_is_removed_all_the_same() {
    let scene = scene().usersfile(BY_EVENT.usersfile());
    let daemon = Some(1);
    for path in [scene.folder(), scene.path()] {
        chown(path, daemon, daemon).unwrap();
    }
    // Root's own: the login goes on with the rights of the folder's owner.
    let leftover = scene.folder().join(".users.oath.new");
    fs::write(&leftover, "").unwrap();
    fs::set_permissions(&leftover, Permissions::from_mode(0o600)).unwrap();
    let outcome = scene.login("alice").types(BY_EVENT.code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn the_new_file_is_on_disk_before_it_takes_the_old_ones_place_and_the_folder_before_the_answer() {
    let scene = scene().usersfile(BY_EVENT.usersfile());
    // Up to the answer, so that whatever is found comes before it.
    let calls = calls_of_a_login(&scene, BY_EVENT);
    let folder = format!("{}>", scene.folder().display());
    let last = |name, about: &str| calls.iter().rposition(|call| call.is(name, about));
    let steps = [
        last("write", ".users.oath.new"),
        last("fsync", ".users.oath.new"),
        last("renameat2", "users.oath"),
        last("unlinkat", ".users.oath.new"),
        last("fsync", &folder),
    ];
    assert!(
        steps.iter().all(Option::is_some) && steps.is_sorted(),
        "{steps:?}\n{calls:#?}"
    );
    let changes = [
        "write",
        "copy_file_range",
        "fchmod",
        "fchown",
        "fsetxattr",
        "ftruncate",
    ];
    let after = &calls[steps[1].unwrap()..];
    assert!(
        !after
            .iter()
            .any(|call| changes.contains(&call.name.as_str())),
        "changed when it was thought to be on disk: {after:#?}"
    );
}

#[test]
#[ignore = "needs the packages libpam-oath and strace: run `make test`"]
fn oath_toolkits_module_lets_nobody_in_any_more_after_some_kills() {
    let scene = scene().module(Module::OathToolkit);
    scene.write_usersfile(BY_EVENT.usersfile());
    let calls = calls_of_a_login(&scene, BY_EVENT);
    let locked_out = calls.iter().filter(|call| {
        for name in scene.left_behind() {
            fs::remove_file(scene.folder().join(name)).unwrap();
        }
        scene.write_usersfile(BY_EVENT.usersfile());
        let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
        traced.scene.login("alice").typing(BY_EVENT.code(0)).dies();
        scene.login("alice").types(BY_EVENT.code(1)).rc != "SUCCESS"
    });
    assert!(locked_out.count() > 0);
}
