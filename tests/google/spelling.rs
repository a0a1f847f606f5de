//! Other spellings of an account's name, where a name service takes them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use test_support::codes::Generator;
use test_support::spelling::{SPELLINGS, with_spellings};
use test_support::{Module, NOON, Scene};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn totp(options: &str) -> String {
    format!("{SECRET}\n\" TOTP_AUTH\n{options}")
}

fn code() -> String {
    Generator::of_base32(SECRET).code_at(NOON, 30, 0)
}

/// A machine where a name service takes several spellings for alice, with a file of this text.
struct Machine {
    scene: Scene,
    file: PathBuf,
}

impl Machine {
    /// With the file in root's folder, named by the user's name.
    fn new(args: &str) -> Machine {
        let scene = Scene::new().module(Module::Google);
        let home = scene.folder().join("home-of-alice");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(65534), Some(65534)).unwrap();
        let file = scene.folder().join("alice");
        fs::write(&file, totp("\" DISALLOW_REUSE\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let option = format!("secret={}/${{USER}} user=root", scene.folder().display());
        let scene = with_spellings(scene.usersfile_option(&option).args(args), &home);
        Machine { scene, file }
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn every_spelling_of_a_user_with_a_file_is_asked_and_a_code_is_good_once_for_all() {
    for args in ["", "nullok"] {
        for name in SPELLINGS {
            let machine = Machine::new(args);
            let wrong = machine.scene.login(name).types("000000");
            assert_eq!(wrong.rc, "AUTH_ERR", "{args} {name}: {wrong:#?}");
            assert_eq!(wrong.prompts.len(), 1, "{args} {name}: {wrong:#?}");
            let outcome = machine.scene.login(name).types(code());
            assert_eq!(outcome.rc, "SUCCESS", "{args} {name}: {outcome:#?}");
            let log = outcome.log_text();
            assert!(log.contains("accepted; user=alice"), "{log}");
            let used = fs::read_to_string(&machine.file).unwrap();
            assert!(used.contains(&format!("DISALLOW_REUSE {}", NOON / 30)));
            for other in SPELLINGS {
                let outcome = machine.scene.login(other).types(code());
                assert_eq!(outcome.rc, "AUTH_ERR", "{args} {other}: {outcome:#?}");
            }
        }
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn who_has_no_file_is_nullok_by_every_name() {
    let machine = Machine::new("nullok");
    fs::remove_file(&machine.file).unwrap();
    for name in SPELLINGS {
        let outcome = machine.scene.login(name).types("000000");
        assert!(outcome.prompts.is_empty(), "{name}: {outcome:#?}");
        let log = outcome.log_text();
        assert!(
            log.contains("no secret file, and nullok; user=alice"),
            "{log}"
        );
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_spelling_with_a_file_of_its_own_has_that_one() {
    let machine = Machine::new("");
    let other = machine.scene.folder().join("ALICE");
    let other_secret = "HEZDHNBVHY3TQOJQHEZDHNBVHY3TQOJQ";
    fs::write(&other, totp("").replace(SECRET, other_secret)).unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(machine.scene.login("ALICE").types(code()).rc, "AUTH_ERR");
    let its_code = Generator::of_base32(other_secret).code_at(NOON, 30, 0);
    assert_eq!(machine.scene.login("ALICE").types(its_code).rc, "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn failures_count_together_whatever_the_spelling() {
    let machine = Machine::new("");
    let folder = machine.scene.folder().join("throttle");
    let args = format!("throttle=1 throttle_dir={}", folder.display());
    let scene = machine.scene.twin("su").args(&args);
    for (guess, name) in SPELLINGS.iter().enumerate() {
        // Far enough from one another for each to be checked.
        let outcome = scene
            .login(name)
            .at(NOON + 3600 * guess as i64)
            .types("000000");
        assert_eq!(outcome.rc, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(log.contains("wrong one-time password"), "{name}: {log}");
    }
    let soon = NOON + 3600 * (SPELLINGS.len() as i64 - 1);
    for name in SPELLINGS {
        let log = scene.login(name).at(soon).types("000000").log_text();
        assert!(log.contains("5 failures; the next answer"), "{name}: {log}");
    }
}
