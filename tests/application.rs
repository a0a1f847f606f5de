//! What applications do besides a plain login, and what they get.

mod support;

use support::codes::Token;
use support::{NOON, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

fn code() -> String {
    Token::new(SECRET).code_at(NOON, 30, 0)
}

fn scene() -> Scene {
    Scene::new().usersfile(format!("HOTP/T30/6\talice\t-\t{SECRET}\n"))
}

#[test]
fn after_a_success_the_application_may_establish_credentials() {
    assert_eq!(
        scene().login("alice").types(code()).setcred,
        Some("SUCCESS")
    );
}

#[test]
fn a_user_the_application_does_not_know_yet_is_asked_for_the_name() {
    let outcome = scene()
        .unnamed_login()
        .answering([Some("alice"), Some(&code())])
        .run();
    assert_eq!(outcome.rc, "SUCCESS");
    assert_eq!(outcome.prompts.len(), 2);
    assert_eq!(
        outcome.prompts[1].text,
        "One-time password (OATH) for `alice': "
    );
}

#[test]
fn an_error_of_the_conversation_comes_back_as_a_code_that_a_module_may_return() {
    for (rc, name, reason) in [
        (
            pam_sys::PAM_CONV_ERR,
            "AUTH_ERR",
            "the prompt was cancelled",
        ),
        (pam_sys::PAM_BUF_ERR, "AUTH_ERR", "PAM error 5"),
        (pam_sys::PAM_ABORT, "ABORT", "PAM error 26"),
        (pam_sys::PAM_CONV_AGAIN, "INCOMPLETE", "no answer yet"),
    ] {
        let scene = scene();
        let login = scene.login("alice").conversation_fails(rc).types(code());
        assert_eq!(login.rc, name);
        assert!(login.log_text().contains(reason), "{}", login.log_text());
        assert_eq!(scene.login("alice").types(code()).rc, "SUCCESS");
    }
}

#[test]
fn a_conversation_without_an_answer_is_denied() {
    let outcome = scene().login("alice").types_nothing();
    assert_ne!(outcome.rc, "SUCCESS");
    assert_eq!(outcome.prompts.len(), 1);
}

#[test]
fn sixteen_threads_of_one_application_log_in_sixteen_users() {
    let users: Vec<String> = (1..=16).map(|number| format!("user{number}")).collect();
    let line = |user: &String| format!("HOTP/T30/6\t{user}\t-\t{SECRET}\n");
    let scene = Scene::new().usersfile(users.iter().map(line).collect::<String>());
    let outcomes = scene.at_once(users.iter().map(|user| scene.login(user).typing(code())));
    let rcs: Vec<_> = outcomes.iter().map(|outcome| outcome.rc).collect();
    assert_eq!(rcs, ["SUCCESS"; 16]);
    for (user, outcome) in users.iter().zip(&outcomes) {
        assert_eq!(
            outcome.prompts[0].text,
            format!("One-time password (OATH) for `{user}': ")
        );
        let log = outcome.log_text();
        assert!(log.contains(&format!("user={user}")), "{log}");
    }
    assert_eq!(scene.usersfile_now().unwrap().matches(&code()).count(), 16);
}

#[test]
fn a_login_over_and_over_leaves_no_descriptor_open() {
    let scene = scene();
    let open = || {
        let descriptors = format!("/proc/{}/fd", scene.process_id());
        std::fs::read_dir(descriptors).unwrap().count()
    };
    scene.login("alice").types(code());
    let before = open();
    for response in [code(), "000000".into(), "".into()].iter().cycle().take(30) {
        scene.write_usersfile(format!("HOTP/T30/6\talice\t-\t{SECRET}\n"));
        scene.login("alice").types(response);
    }
    assert_eq!(open(), before);
}

#[test]
fn the_remote_host_of_a_refused_login_is_in_the_log() {
    let outcome = scene()
        .login("alice")
        .rhost("192.0.2.7")
        .tty("ssh")
        .types("000000");
    assert_eq!(outcome.rc, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("notice: pam_oath(oath:auth): "), "{log}");
    assert!(
        log.contains("user=alice") && log.contains("rhost=192.0.2.7"),
        "{log}"
    );
}

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn the_time_of_a_login_is_recorded_in_the_local_time_zone() {
    let scene = scene().zone("Asia/Kolkata");
    assert_eq!(scene.login("alice").types(code()).rc, "SUCCESS");
    let line = scene.usersfile_now().unwrap();
    assert!(line.ends_with("\t2026-01-15T17:30:00L\n"), "{line}");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn an_application_that_is_not_root_logs_in_with_a_file_of_its_own() {
    let scene = scene().application_of(65534, 65534);
    for path in [scene.folder(), scene.path()] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    let outcome = scene.login("alice").types(code());
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    assert_eq!(scene.login("alice").types(code()).rc, "AUTH_ERR");
}
