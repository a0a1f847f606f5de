//! `make demo`: what a newcomer sees first.

use std::process::Command;

use test_support::built_oathctl;
use test_support::{Module, program};

fn demo(module: &std::path::Path) -> (bool, String) {
    program("pamtester", "pamtester");
    program("oathtool", "oathtool");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("scripts/demo")
        .arg(module)
        .arg(built_oathctl())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let left: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

#[test]
#[ignore = "needs libpam-wrapper, oathtool and pamtester: run make test"]
fn the_demo_shows_a_login_a_replay_a_guess_and_what_to_do_next_again_and_again() {
    for _ in 0..2 {
        let (succeeded, printed) = demo(&Module::This.path());
        assert!(succeeded, "{printed}");
        let answers: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pamtester: "))
            .collect();
        let refused = "Authentication failure";
        assert_eq!(answers, ["successfully authenticated", refused, refused]);
        assert_eq!(
            printed.matches("HOTP/T30/6\talice\t-\t").count(),
            2,
            "{printed}"
        );
        assert!(printed.contains("\nWHAT TO DO NEXT\n"), "{printed}");
    }
}

#[test]
#[ignore = "needs libpam-wrapper, oathtool and pamtester: run make test"]
fn the_demo_says_so_if_a_login_does_not_go_as_it_tells() {
    let (succeeded, printed) = demo("/nonexistent/pam_oath.so".as_ref());
    assert!(!succeeded, "{printed}");
}
