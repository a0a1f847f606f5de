//! A login that is killed: whatever it was doing, the usersfile is whole, and the next login works.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;

use test_support::kind::{Kind, Token};
use test_support::rights::{give_away, rights};
use test_support::strace::{Call, Traced};
use test_support::{Module, Scene};

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_login_by_hotp_killed_at_any_system_call_leaves_a_whole_file_and_the_next_one_works() {
    kill_at_every_call(Token::USERSFILE_HOTP);
    kill_at_every_call(Token::SECRET_FILE_HOTP);
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_login_by_totp_killed_at_any_system_call_leaves_a_whole_file_and_the_next_one_works() {
    kill_at_every_call(Token::USERSFILE_TOTP);
    kill_at_every_call(Token::SECRET_FILE_TOTP);
}

#[test]
#[ignore = "needs root, strace, acl and attr: run `make test`"]
fn a_login_by_scratch_code_killed_at_any_system_call_leaves_a_whole_file_and_the_next_one_works() {
    kill_at_every_call(Token::SCRATCH_CODES);
}

fn kill_at_every_call(token: Token) {
    let scene = token.scene().args(token.kind.args_if_given_away());
    let reset = || {
        scene.write_usersfile(token.text());
        give_away(&scene.path());
    };
    reset();
    let before = rights(&scene.path());
    assert!(
        before.contains("user:1:r--") && before.contains("enrolled"),
        "{before}"
    );
    let calls = calls_of_a_login(&scene, token);
    assert!(calls.len() > 50, "{calls:#?}");
    // How many of the logins had recorded their code, and how many had left something behind.
    let (mut recorded, mut leftovers) = (0, 0);
    for call in &calls {
        reset();
        let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
        let death = traced.scene.login("alice").typing(token.code(0)).dies();
        assert_eq!(death.status.signal(), Some(libc::SIGKILL), "at {call:?}");

        let now = scene.usersfile_now().unwrap();
        let is_recorded = now == token.recorded([0]);
        assert!(is_recorded || now == token.text(), "at {call:?}\n{now}");
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

        let second = scene.login("alice").types(token.code(0));
        let expected = if is_recorded { "AUTH_ERR" } else { "SUCCESS" };
        assert_eq!(second.rc, expected, "at {call:?}\n{}", second.log_text());
        let next = scene.login("alice").types(token.code(1));
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

fn calls_of_a_login(scene: &Scene, token: Token) -> Vec<Call> {
    let traced = Traced::new(scene, &[]);
    let outcome = traced.scene.login("alice").types(token.code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    traced.calls_of_the_login()
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn the_new_file_is_never_open_to_group_or_others() {
    for token in Kind::ALL.map(Kind::token) {
        let scene = token.scene();
        let calls = calls_of_a_login(&scene, token);
        let mut seen = 0;
        for call in &calls {
            scene.write_usersfile(token.text());
            let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
            traced.scene.login("alice").typing(token.code(0)).dies();
            let new = scene.folder().join(".users.oath.new");
            if let Ok(metadata) = fs::metadata(&new) {
                assert_eq!(metadata.mode() & 0o077, 0, "at {call:?}");
                fs::remove_file(new).unwrap();
                seen += 1;
            }
        }
        assert!(seen > 10, "{seen} were killed while the new file was there");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_leftover_that_the_files_owner_cannot_open_is_removed_all_the_same() {
    let scene = Token::USERSFILE_HOTP.scene();
    let daemon = Some(1);
    for path in [scene.folder(), scene.path()] {
        chown(path, daemon, daemon).unwrap();
    }
    // Root's own: the login goes on with the rights of the folder's owner.
    let leftover = scene.folder().join(".users.oath.new");
    fs::write(&leftover, "").unwrap();
    fs::set_permissions(&leftover, Permissions::from_mode(0o600)).unwrap();
    let outcome = scene.login("alice").types(Token::USERSFILE_HOTP.code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    assert_eq!(scene.left_behind(), [""; 0]);
}

#[test]
#[ignore = "needs strace: run `make test`"]
fn the_new_file_is_on_disk_before_it_takes_the_old_ones_place_and_the_folder_before_the_answer() {
    for token in Kind::ALL.map(Kind::token) {
        is_on_disk_before_the_answer(token);
    }
}

fn is_on_disk_before_the_answer(token: Token) {
    let scene = token.scene();
    // Up to the answer, so that whatever is found comes before it.
    let calls = calls_of_a_login(&scene, token);
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
    let token = Token::USERSFILE_HOTP;
    let scene = token.scene().module(Module::OathToolkit);
    let calls = calls_of_a_login(&scene, token);
    let locked_out = calls.iter().filter(|call| {
        for name in scene.left_behind() {
            fs::remove_file(scene.folder().join(name)).unwrap();
        }
        scene.write_usersfile(token.text());
        let traced = Traced::new(&scene, &[call.but("signal=KILL")]);
        traced.scene.login("alice").typing(token.code(0)).dies();
        scene.login("alice").types(token.code(1)).rc != "SUCCESS"
    });
    assert!(locked_out.count() > 0);
}
