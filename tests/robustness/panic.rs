//! A panic in the middle of a login. Rust's standard library panics where the system has no
//! clock for it (a sandbox that forbids the call), so this needs no hook in the module.

use test_support::Scene;

const ALICE: &str = "HOTP\talice\t-\t00\n";
const CODE: &str = "328482";

#[test]
fn a_panic_denies_the_login_says_so_in_the_log_alone_and_leaves_the_process_alive() {
    let scene = Scene::new().usersfile(ALICE).without_a_clock();
    let process = scene.process_id();
    for _ in 0..3 {
        // The harness sees to it that nothing is printed.
        let outcome = scene.login("alice").types(CODE);
        assert_eq!(outcome.rc, "AUTH_ERR");
        let lines: Vec<_> = outcome
            .log
            .iter()
            .filter(|line| line.level == "crit")
            .collect();
        assert_eq!(lines.len(), 1, "{}", outcome.log_text());
        assert!(lines[0].text.contains("denied: internal error"));
        assert!(!outcome.log_text().contains(CODE));
    }
    assert_eq!(scene.usersfile_now().unwrap(), ALICE);

    let scene = scene.in_real_time();
    let outcome = scene.login("alice").types(CODE);
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    assert_eq!(scene.process_id(), process);
}

#[test]
fn a_panic_gives_the_lock_back() {
    let scene = Scene::new().usersfile(ALICE);
    let args = format!(
        "throttle=1 throttle_dir={}",
        scene.folder().join("throttle").display()
    );
    // The throttle asks for the time when it has locked the user's file.
    let scene = scene.args(&args).without_a_clock();
    assert_eq!(scene.login("alice").types(CODE).rc, "AUTH_ERR");
    let outcome = scene.in_real_time().login("alice").types(CODE);
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
}

#[test]
fn alwaysok_does_not_let_a_panic_in() {
    let scene = Scene::new()
        .usersfile(ALICE)
        .args("alwaysok")
        .without_a_clock();
    assert_eq!(scene.login("alice").types(CODE).rc, "AUTH_ERR");
}
