//! What applications do besides a plain login, and what they get.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{FlockOperation, flock};
use test_support::codes::Generator;
use test_support::{NOON, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

fn code() -> String {
    Generator::new(SECRET).code_at(NOON, 30, 0)
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
fn a_user_whose_name_cannot_be_asked_for_is_denied_and_asked_nothing_else() {
    let scene = scene();
    let login = scene.unnamed_login();
    let outcome = login.conversation_fails(pam_sys::PAM_CONV_ERR).run();
    assert_ne!(outcome.rc, "SUCCESS");
    assert_eq!(outcome.prompts.len(), 1);
    let log = outcome.log_text();
    assert!(log.contains("user's name"), "{log}");
}

#[test]
fn an_empty_name_is_no_users_and_an_empty_answer_no_name() {
    let scene = scene();
    for outcome in [
        scene.login("").types(code()),
        scene.unnamed_login().types(""),
    ] {
        assert_ne!(outcome.rc, "SUCCESS", "{outcome:#?}");
    }
}

#[test]
fn a_user_who_has_no_account_has_no_home_and_is_unknown() {
    let scene = scene().usersfile_option("usersfile=${HOME}/users.oath");
    let outcome = scene.login("no_such_account").types(code());
    assert_eq!(outcome.rc, "USER_UNKNOWN", "{}", outcome.log_text());
    assert!(outcome.prompts.is_empty());
    let log = outcome.log_text();
    assert!(log.contains("no token in ${HOME}/users.oath"), "{log}");
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
fn a_program_that_the_application_starts_during_a_login_has_no_file_of_the_login() {
    let scene = Scene::new().usersfile(
        ["alice", "bob"]
            .map(|user| format!("HOTP/T30/6\t{user}\t-\t{SECRET}\n"))
            .concat(),
    );
    // Alice's login waits for the lock, with the file open. Bob's asks for his name until then, and
    // starts the program when it asks for his code.
    let usersfile = File::open(scene.path()).unwrap();
    flock(&usersfile, FlockOperation::LockExclusive).unwrap();
    let listed = scene.folder().join("listed");
    let at_each_prompt = "export login=$PPID; \
                          if [ -e waits ]; then \
                            ls -l /proc/self/fd > being-listed && mv being-listed listed; \
                          else \
                            timeout 30 sh -c 'until ls -l /proc/$login/fd | grep -q users.oath; \
                                              do :; done'; \
                            touch waits; \
                          fi";
    let (outcomes, of_the_login) = std::thread::scope(|threads| {
        let logins = threads.spawn(move || {
            let bob = scene.unnamed_login().while_asked(at_each_prompt);
            scene.at_once([
                scene.login("alice").typing(code()),
                bob.answering([Some("bob".into()), Some(code())]),
            ])
        });
        while !listed.exists() && !logins.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let of_the_login = fs::read_to_string(&listed);
        flock(&usersfile, FlockOperation::Unlock).unwrap();
        (logins.join().unwrap(), of_the_login.unwrap())
    });
    let rcs: Vec<_> = outcomes.iter().map(|outcome| outcome.rc).collect();
    assert_eq!(rcs, ["SUCCESS"; 2]);
    let of_the_login: Vec<&str> = of_the_login
        .lines()
        .filter(|line| line.contains("/users") && !line.contains("being-listed"))
        .collect();
    assert_eq!(of_the_login, [""; 0]);
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

#[test]
#[ignore = "needs root: run `make test`"]
fn an_application_that_is_not_root_makes_no_file_of_roots_its_own() {
    let scene = scene().application_of(65534, 65534);
    std::os::unix::fs::chown(scene.folder(), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(scene.path(), Permissions::from_mode(0o604)).unwrap();
    let before = fs::read(scene.path()).unwrap();
    let outcome = scene.login("alice").types(code());
    assert_eq!(outcome.rc, "AUTH_ERR", "{}", outcome.log_text());
    let log = outcome.log_text();
    assert!(log.contains("cannot copy owner and rights"), "{log}");
    assert_eq!(fs::read(scene.path()).unwrap(), before);
    assert_eq!(fs::metadata(scene.path()).unwrap().uid(), 0);
    assert_eq!(scene.left_behind(), [""; 0]);
}
