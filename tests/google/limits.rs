//! Limits that the caller of a setuid program sets make no guess free and no used code good.

use test_support::codes::Generator;
use test_support::setuid::{self, called_by};
use test_support::{Module, NOON, Scene};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn totp(options: &str) -> String {
    format!("{SECRET}\n\" TOTP_AUTH\n{options}")
}

fn code() -> String {
    Generator::of_base32(SECRET).code_at(NOON, 30, 0)
}

/// A file of root's, for logins by a setuid program.
fn scene(module: Module, file: &str) -> Scene {
    setuid::scene().module(module).usersfile(file)
}

/// A right scratch code makes the file shorter, a wrong one only adds the try.
#[test]
#[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
fn a_limit_that_lets_only_a_shorter_file_be_written_makes_no_guess_free() {
    let file = totp("\" RATE_LIMIT 1 30 1768470000\n12345678\n");
    let fits_if_right = format!("--fsize={}", file.len() - 1);
    let ignored = r#"trap '' XFSZ; exec "$0" "$@""#;
    let starter = ["sh", "-c", ignored, "prlimit", &fits_if_right];
    for (module, if_right) in [
        (Module::DebiansGoogle, "SUCCESS"),
        (Module::Google, "AUTH_ERR"),
    ] {
        let scene = scene(module, &file);
        let limited = called_by(&scene, "su", &starter);
        for typed in ["87654321", "97654321"] {
            let outcome = limited.login("alice").types(typed);
            assert_eq!(outcome.rc, "AUTH_ERR", "{typed}: {outcome:#?}");
        }
        assert_eq!(scene.usersfile_now().as_ref(), Some(&file));
        let outcome = limited.login("alice").types("12345678");
        assert_eq!(outcome.rc, if_right, "{module:?}: {outcome:#?}");
        if module.is_ours() {
            assert_eq!(scene.usersfile_now().as_ref(), Some(&file));
            // Without the limit each counts.
            let unlimited = called_by(&scene, "sudo", &[]);
            assert_eq!(unlimited.login("alice").types("87654321").rc, "AUTH_ERR");
            let log = unlimited.login("alice").types("12345678").log_text();
            assert!(log.contains("too many tries"), "{log}");
        }
    }
}

/// `allow_readonly` is for files that cannot be written, not for processes that cannot write.
#[test]
#[ignore = "needs root: run `make test`"]
fn limits_make_no_file_read_only() {
    let file = totp("\" DISALLOW_REUSE\n");
    let scene = scene(Module::Google, &file).args("allow_readonly");
    let ignored = r#"trap '' XFSZ; exec "$0" "$@""#;
    let files = (3..=16).map(|count| format!("--nofile={count}:{count}"));
    for (n, limit) in ["--fsize=0:0".to_owned()]
        .into_iter()
        .chain(files)
        .enumerate()
    {
        let starter = ["sh", "-c", ignored, "prlimit", &limit];
        let limited = called_by(&scene, &format!("su{n}"), &starter);
        let rc = limited.login("alice").typing(code()).rc_if_it_lives();
        let now = scene.usersfile_now();
        let is_recorded = now.as_ref() != Some(&file);
        assert!(rc != Some("SUCCESS") || is_recorded, "{limit}: {rc:?}");
        scene.write_usersfile(&file);
    }
}
