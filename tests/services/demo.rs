//! `make demo` and `make demo-google`: what a newcomer sees first.

use std::path::Path;
use std::process::Command;

use test_support::built_oathctl;
use test_support::{Module, program};

/// Runs a demo with this module and with a program that was built beside it.
fn demo(script: &str, module: &Path, tool: &str) -> (bool, String) {
    program("pamtester", "pamtester");
    program("oathtool", "oathtool");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(script)
        .arg(module)
        .arg(Path::new(built_oathctl()).with_file_name(tool))
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
        let (succeeded, printed) = demo("scripts/demo", &Module::This.path(), "oathctl");
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
    for (script, tool) in [
        ("scripts/demo", "oathctl"),
        ("scripts/demo-google", "google-authenticator"),
    ] {
        let (succeeded, printed) = demo(script, Path::new("/nonexistent.so"), tool);
        assert!(!succeeded, "{printed}");
        assert!(printed.contains("this should not happen"), "{printed}");
    }
}

#[test]
#[ignore = "needs libpam-google-authenticator, libpam-wrapper, oathtool and pamtester: run make test"]
fn the_demo_in_place_of_googles_module_uses_each_code_once_there_and_back() {
    program("google-authenticator", "libpam-google-authenticator");
    let module = Path::new(built_oathctl()).with_file_name("libpam_google_authenticator.so");
    let (succeeded, printed) = demo("scripts/demo-google", &module, "google-authenticator");
    assert!(succeeded, "{printed}");
    let answers: Vec<bool> = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pamtester: "))
        .map(|answer| answer == "successfully authenticated")
        .collect();
    let (here, scratch_code) = ([true, false], [true, false]);
    let (with_googles, and_back) = ([false, true], [false, true]);
    let told = [here, scratch_code, with_googles, and_back].concat();
    assert_eq!(answers, told);
}
