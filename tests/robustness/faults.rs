//! Whatever the system refuses during a login: it is denied, the file stays as it was, nothing is
//! left behind, and the log says why.

use std::fs::File;
use std::io;

use test_support::kind::{Kind, Token};
use test_support::rights::{give_away, rights};
use test_support::small_disk::SmallDisk;
use test_support::strace::{Call, Traced};
use test_support::{Outcome, Scene, program};

const TOKENS: [Token; 2] = [Token::USERSFILE_HOTP, Token::SECRET_FILE_HOTP];

/// The calls of a login that goes well, from the first touch of the file on.
fn calls_of_a_login(scene: &Scene, token: Token) -> Vec<Call> {
    let traced = Traced::new(scene, &[]);
    let outcome = traced.scene.login("alice").types(token.code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    let calls = traced.calls_of_the_login();
    let others = ["zoneinfo", "socket:", "/proc/"];
    let is_ours = |call: &Call| !others.iter().any(|other| call.text.contains(other));
    calls.into_iter().filter(is_ours).collect()
}

macro_rules! errors {
    ($($call:ident: $($error:ident)*;)*) => {
        [$((stringify!($call), &[$((stringify!($error), libc::$error)),*] as &[_])),*]
    };
}

/// What each call may come back with.
const ERRORS: [(&str, &[(&str, i32)]); 14] = errors! {
    openat: EMFILE ENFILE ENOMEM EIO;
    statx: EIO ENOMEM;
    flock: ENOLCK EIO;
    read: EIO ENOMEM;
    fchown: EDQUOT EPERM EROFS;
    flistxattr: EIO ENOMEM;
    fgetxattr: EIO ENOMEM;
    fsetxattr: ENOSPC EDQUOT EPERM;
    fchmod: EIO EPERM EROFS;
    lseek: EIO;
    copy_file_range: ENOSPC EIO EDQUOT;
    write: ENOSPC EIO EDQUOT;
    fsync: ENOSPC EIO EDQUOT;
    renameat2: ENOSPC EIO EROFS;
};

/// The calls by which all other lines get into the new file.
const COPIES: [&str; 2] = ["lseek", "copy_file_range"];

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn whatever_call_fails_once_the_login_is_denied_with_the_reason_and_the_file_untouched() {
    for token in TOKENS {
        let_every_call_fail(token);
    }
}

fn let_every_call_fail(token: Token) {
    let scene = token.scene().args(token.kind.args_if_given_away());
    give_away(&scene.path());
    let before = rights(&scene.path());
    let calls = calls_of_a_login(&scene, token);
    let position = |name, about| calls.iter().position(|call| call.is(name, about)).unwrap();
    let locked = position("flock", "users.oath>");
    let replaced = position("unlinkat", ".users.oath.new");
    let mut tried = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        let errors = ERRORS.iter().find(|(name, _)| *name == call.name);
        for (name, number) in errors.map_or(&[] as &[_], |(_, errors)| errors) {
            scene.write_usersfile(token.text());
            give_away(&scene.path());
            let mut wrong = vec![call.but(&format!("error={name}"))];
            if call.name == "renameat2" {
                wrong.push(format!("renameat:error={name}"));
            }
            let outcome = Traced::new(&scene, &wrong)
                .scene
                .login("alice")
                .types(token.code(0));
            let what = format!("{name} from {}\n{}", call.text, outcome.log_text());
            let is_recorded = scene.usersfile_now().unwrap() != token.text();
            let may_succeed = n < locked || call.name == "statx" || call.text.contains("LOCK_UN");
            if may_succeed && outcome.rc == "SUCCESS" {
                // The first look may fail, a copy does not depend on a look before it, and a lock
                // that is not released by a call goes when the file is closed.
                assert!(is_recorded, "{what}");
            } else {
                let reason = io::Error::from_raw_os_error(*number).to_string();
                assert_eq!(outcome.rc, "AUTH_ERR", "{what}");
                assert!(outcome.log_text().contains(&reason), "{what}");
                // Whether the disk has it cannot be told then, so the code must not be good again.
                assert_eq!(is_recorded, n > replaced, "{what}");
            }
            assert_eq!(rights(&scene.path()), before, "{what}");
            assert_eq!(scene.left_behind(), [""; 0], "{what}");
            works_from(&scene, token, is_recorded);
            tried.push(call.name.clone());
        }
    }
    // A secret file is written as a whole, so that nothing is copied.
    let is_expected = |name| token.kind == Kind::Usersfile || !COPIES.contains(name);
    for (name, _) in ERRORS.iter().filter(|(name, _)| is_expected(name)) {
        assert!(
            tried.iter().any(|tried| tried == name),
            "{name} was not called"
        );
    }
}

/// The first code is good if it was not recorded, and only then; the second one is good anyway.
fn works_from(scene: &Scene, token: Token, is_recorded: bool) {
    let again = scene.login("alice").types(token.code(0));
    let expected = if is_recorded { "AUTH_ERR" } else { "SUCCESS" };
    assert_eq!(again.rc, expected, "{}", again.log_text());
    let next = scene.login("alice").types(token.code(1));
    assert_eq!(next.rc, "SUCCESS", "{}", next.log_text());
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_file_system_that_knows_no_attributes_or_flushes_no_folder_keeps_nobody_out() {
    for token in TOKENS {
        let scene = token.scene();
        let calls = calls_of_a_login(&scene, token);
        let replaced = calls.iter().position(|call| call.name == "renameat2");
        let flushed = calls[replaced.unwrap()..]
            .iter()
            .find(|call| call.name == "fsync")
            .unwrap();
        for wrong in ["flistxattr:error=EOPNOTSUPP", &flushed.but("error=EINVAL")] {
            scene.write_usersfile(token.text());
            let traced = Traced::new(&scene, &[wrong.into()]);
            let outcome = traced.scene.login("alice").types(token.code(0));
            assert_eq!(outcome.rc, "SUCCESS", "{wrong}: {}", outcome.log_text());
            works_from(&scene, token, true);
        }
    }
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_call_that_a_signal_interrupts_is_made_again() {
    for token in TOKENS {
        let scene = token.scene().args(token.kind.args_if_given_away());
        give_away(&scene.path());
        let calls = calls_of_a_login(&scene, token);
        let can_be_interrupted = [
            "openat",
            "flock",
            "read",
            "copy_file_range",
            "write",
            "fsync",
        ];
        for call in calls
            .iter()
            .filter(|call| can_be_interrupted.contains(&call.name.as_str()))
        {
            scene.write_usersfile(token.text());
            give_away(&scene.path());
            let traced = Traced::new(&scene, &[call.but("error=EINTR")]);
            let outcome = traced.scene.login("alice").types(token.code(0));
            assert_eq!(
                outcome.rc,
                "SUCCESS",
                "at {}\n{}",
                call.text,
                outcome.log_text()
            );
        }
    }
}

#[test]
fn however_few_bytes_the_kernel_copies_at_a_time_every_other_line_is_kept() {
    let token = Token::USERSFILE_HOTP;
    let scene = token.scene().env("SHORT_COPIES", "yes");
    for n in 0..3 {
        let outcome = scene.login("alice").types(token.code(n));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        assert_eq!(scene.usersfile_now().unwrap(), token.recorded([n]));
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn a_file_system_that_cannot_exchange_two_files_has_the_new_one_renamed_over_the_old() {
    for token in TOKENS {
        let scene = token.scene();
        let wrong = ["renameat2:error=EINVAL".into()];
        let outcome = Traced::new(&scene, &wrong)
            .scene
            .login("alice")
            .types(token.code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        assert_eq!(scene.left_behind(), [""; 0]);
        works_from(&scene, token, true);
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn an_old_file_that_cannot_be_removed_is_cleaned_up_by_the_next_login() {
    for token in TOKENS {
        let scene = token.scene();
        let wrong = ["unlinkat:error=EIO".into()];
        let outcome = Traced::new(&scene, &wrong)
            .scene
            .login("alice")
            .types(token.code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        assert_eq!(scene.left_behind(), [".users.oath.new"]);
        works_from(&scene, token, true);
        assert_eq!(scene.left_behind(), [""; 0]);
    }
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn on_a_file_server_that_grants_no_lease_and_locks_for_writers_only_logins_work() {
    for token in TOKENS {
        // NFS as far as a login can tell: what it calls itself, and what it says to these calls. The
        // lease is refused because the file, to be locked, is open to write on.
        let scene = token.scene();
        let wrong = [
            "fstatfs:poke_exit=@arg2=6969000000000000",
            "flock:error=EBADF:when=1+2",
            "renameat2:error=EINVAL",
        ]
        .map(String::from);
        let traced = Traced::new(&scene, &wrong);
        let outcome = traced.scene.login("alice").types(token.code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        let flocks = traced
            .calls_of_the_login()
            .into_iter()
            .filter(|call| call.name == "flock" && !call.text.contains("LOCK_UN"));
        assert_eq!(
            flocks.count(),
            4,
            "each of two files is locked in the second try"
        );
        works_from(&scene, token, true);
    }
}

/// A small disk for the scene's usersfile.
fn disk_under(scene: &Scene, token: Token, limits: &str) -> SmallDisk {
    let disk = SmallDisk::with(limits, &scene.folder());
    scene.write_usersfile(token.text());
    disk
}

#[test]
#[ignore = "needs root: run `make test`"]
fn on_a_full_disk_a_login_is_denied_until_there_is_room() {
    for token in TOKENS {
        let scene = token.scene();
        let disk = disk_under(&scene, token, "size=64k");
        disk.fill();
        denied_and_untouched(
            &scene,
            token,
            &scene.login("alice").types(token.code(0)),
            "No space left on device",
        );
        disk.make_writable();
        works_from(&scene, token, false);
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn on_a_disk_without_a_free_inode_a_login_is_denied() {
    for token in TOKENS {
        let scene = token.scene();
        let _disk = disk_under(&scene, token, "nr_inodes=2");
        denied_and_untouched(
            &scene,
            token,
            &scene.login("alice").types(token.code(0)),
            "No space left on device",
        );
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn on_a_read_only_disk_a_login_is_denied_until_it_can_be_written() {
    for token in TOKENS {
        let scene = token.scene();
        let disk = disk_under(&scene, token, "size=64k");
        disk.make_read_only();
        denied_and_untouched(
            &scene,
            token,
            &scene.login("alice").types(token.code(0)),
            "Read-only file system",
        );
        disk.make_writable();
        works_from(&scene, token, false);
    }
}

#[test]
#[ignore = "needs util-linux: run `make test`"]
fn a_line_too_long_for_the_memory_denies_the_login_and_ends_nobodys_process() {
    let prlimit = program("prlimit", "util-linux").into_os_string();
    let token = Token::USERSFILE_HOTP;
    let scene = token.scene().started_by([prlimit, "--as=268435456".into()]);
    let file = File::options().append(true).open(scene.path()).unwrap();
    file.set_len(1 << 30).unwrap();
    drop(file);
    let outcome = scene.login("alice").types(token.code(0));
    assert_eq!(outcome.rc, "AUTH_ERR");
    assert!(
        outcome.log_text().contains("cannot read"),
        "{}",
        outcome.log_text()
    );
    scene.write_usersfile(token.text());
    works_from(&scene, token, false);
}

fn denied_and_untouched(scene: &Scene, token: Token, outcome: &Outcome, reason: &str) {
    assert_eq!(outcome.rc, "AUTH_ERR");
    assert!(
        outcome.log_text().contains(reason),
        "{}",
        outcome.log_text()
    );
    assert_eq!(scene.usersfile_now().unwrap(), token.text());
    let left_behind = scene.left_behind();
    assert!(
        !left_behind.contains(&".users.oath.new".into()),
        "{left_behind:?}"
    );
}
