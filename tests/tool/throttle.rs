//! `oathctl throttle`: who has to wait, and who is let in again.

use test_support::NOON;
use test_support::oathctl::Tool;

const LINE: &str = "HOTP/T30\talice\t-\t3132333435363738393031323334353637383930\n";

/// A tool beside a service that lets a failure cost five seconds, a second after the last of two
/// failures of alice's.
fn after_two_failures() -> Tool {
    let tool = Tool::new().usersfile(LINE);
    let folder = tool.scene.folder().join("throttle");
    let throttle = format!("throttle=5 throttle_dir={}", folder.display());
    let mut tool = tool.pam("sshd", &throttle);
    tool.scene = tool.scene.args(&throttle);
    for moment in [NOON, NOON + 5] {
        tool = tool.at(moment);
        assert_eq!(tool.scene.login("alice").types("000000").rc, "AUTH_ERR");
    }
    tool.at(NOON + 6)
}

#[test]
fn a_user_who_failed_is_shown_with_the_time_to_wait() {
    let tool = after_two_failures();
    let shown = tool.run(["throttle", "--json"]).json();
    assert_eq!(shown[0]["user"], "alice");
    assert_eq!(shown[0]["failures"], 2);
    assert_eq!(shown[0]["wait"], 9);
    let table = tool.run(["throttle"]).ok();
    assert!(table.contains("alice  2         9 s"), "{table}");
}

#[test]
fn a_user_who_is_cleared_is_let_in_at_once() {
    let tool = after_two_failures();
    tool.run(["throttle", "alice", "--clear"]).ok();
    assert!(tool.run(["throttle"]).ok().contains("nobody"));
    let code = test_support::codes::Generator::new("3132333435363738393031323334353637383930")
        .code_at(NOON, 30, 0);
    assert_eq!(tool.scene.login("alice").types(code).rc, "SUCCESS");
}

#[test]
fn where_no_service_counts_failures_that_is_said() {
    let tool = Tool::new().usersfile(LINE);
    let shown = tool.run(["throttle"]).ok();
    assert_eq!(
        shown,
        "no service has throttle=, so failures are not counted\n"
    );
}

#[test]
fn a_user_who_never_failed_has_nothing_to_show() {
    let tool = after_two_failures();
    assert!(tool.run(["throttle", "bob"]).ok().contains("nobody"));
    assert_eq!(
        tool.run(["throttle", "bob", "--json"]).json(),
        serde_json::json!([])
    );
}
