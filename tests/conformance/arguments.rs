//! The arguments that OATH Toolkit's release lacks: those of its development version, and those
//! that people know from pam_google_authenticator.

use std::fs;
use std::os::unix::fs::MetadataExt;

use test_support::codes::Generator;
use test_support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";
const NOW: u64 = NOON as u64 / 30;

fn token() -> Generator {
    Generator::new(SECRET)
}

/// Alice has a token that counts events, with this PIN in the file.
fn hotp(pin: &str) -> Scene {
    Scene::new().usersfile(format!("HOTP\talice\t{pin}\t{SECRET}\n"))
}

fn totp() -> Scene {
    Scene::new().usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"))
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

/// The control that puts another module before this module on the stack.
fn beside(module: &str) -> String {
    format!("required {module}\nauth required")
}

const PERMIT: &str = "pam_permit.so";
const DENY: &str = "pam_deny.so";

mod usersfile {
    use super::*;

    #[test]
    fn is_an_absolute_path_and_no_other_is_looked_for_below_the_root_folder() {
        let scene = hotp("-");
        let below_root = scene.path().display().to_string();
        let scene = scene.usersfile_option(&format!("usersfile={}", &below_root[1..]));
        let outcome = scene.login("alice").types(token().code(0));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(log.contains("must be an absolute path"), "{log}");
        let outcome = scene.login("bob").types("000000");
        assert_rc(&outcome, "AUTH_ERR");
    }

    #[test]
    fn written_as_for_a_shell_is_denied_with_the_way_to_write_it() {
        for path in ["~/users.oath", "$HOME/users.oath"] {
            let scene = hotp("-").usersfile_option(&format!("usersfile={path}"));
            let outcome = scene.login("alice").types(token().code(0));
            assert_rc(&outcome, "AUTH_ERR");
            let log = outcome.log_text();
            assert!(
                log.contains("write ${HOME} for the home directory"),
                "{log}"
            );
        }
    }

    /// Never "unknown", which many stacks let pass.
    #[test]
    fn with_user_in_the_path_denies_a_name_that_would_lead_to_another_folder() {
        let line = |user: &str| format!("HOTP\t{user}\t-\t{SECRET}\n");
        let scene = Scene::new().usersfile([".", ".."].map(line).concat());
        let option = format!(
            "usersfile={}/below/${{USER}}/users.oath",
            scene.folder().display()
        );
        fs::create_dir(scene.folder().join("below")).unwrap();
        fs::copy(scene.path(), scene.folder().join("below/users.oath")).unwrap();
        let scene = scene.usersfile_option(&option);
        for name in ["..", ".", "../below", "a/b"] {
            let outcome = scene.login(name).types(token().code(0));
            assert_rc(&outcome, "AUTH_ERR");
            let log = outcome.log_text();
            assert!(log.contains("cannot stand in a path"), "{log}");
        }
    }
}

mod an_argument_that_is_none {
    use super::*;

    #[test]
    fn is_ignored_and_named_in_the_log() {
        let scene = hotp("-").args("frobnicate=1 window=5x");
        let outcome = scene.login("alice").types(token().code(0));
        assert_rc(&outcome, "SUCCESS");
        let log = outcome.log_text();
        for argument in ["frobnicate=1", "window=5x"] {
            let named = |line: &str| line.starts_with("warning: ") && line.contains(argument);
            assert!(log.lines().any(named), "{argument}: {log}");
        }
    }
}

mod debug_syslog {
    use super::*;

    #[test]
    fn without_it_an_accepted_login_is_one_line_and_an_unknown_user_no_news() {
        let scene = hotp("-");
        let outcome = scene.login("alice").types(token().code(0));
        assert_eq!(outcome.log.len(), 1, "{outcome:?}");
        assert_eq!(outcome.log[0].level, "info");
        let outcome = scene.login("bob").types("000000");
        assert_rc(&outcome, "USER_UNKNOWN");
        assert_eq!(outcome.log.len(), 1, "{outcome:?}");
        assert_eq!(outcome.log[0].level, "info");
    }

    #[test]
    fn tells_why_there_is_a_question_besides_the_stacked_token() {
        let scene = hotp("-").args("debug_syslog try_first_pass");
        let login = scene.login("alice").stacked("her password");
        let outcome = login.types(token().code(0));
        assert_rc(&outcome, "SUCCESS");
        let log = outcome.log_text();
        assert!(
            log.contains("debug: ") && log.contains("stacked token"),
            "{log}"
        );
    }

    #[test]
    fn logs_more_and_nothing_secret() {
        let scene = hotp("4711").args("debug_syslog digits=6");
        let code = token().code(0);
        let outcome = scene.login("alice").types(format!("4711{code}"));
        assert_rc(&outcome, "SUCCESS");
        let log = outcome.log_text();
        assert!(log.contains("debug: "), "{log}");
        for secret in ["4711", &code, SECRET] {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
    }
}

mod ignore_userfile_password {
    use super::*;

    #[test]
    fn lets_the_pin_field_go_unasked_and_leaves_it_as_it_is() {
        let scene = hotp("4711");
        assert_rc(&scene.login("alice").types(token().code(0)), "AUTH_ERR");
        let scene = scene.args("ignore_userfile_password");
        assert_rc(&scene.login("alice").types(token().code(0)), "SUCCESS");
        let usersfile = scene.usersfile_now().unwrap();
        let expected = format!("HOTP\talice\t4711\t{SECRET}\t0\t");
        assert!(usersfile.starts_with(&expected), "{usersfile}");
    }

    #[test]
    fn hands_on_whatever_was_typed_before_the_code() {
        let scene = hotp("4711").args("ignore_userfile_password digits=6");
        let typed = format!("her password{}", token().code(0));
        let outcome = scene.login("alice").types(typed);
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.authtok.as_deref(), Some("her password"));
    }

    #[test]
    fn asks_for_a_right_code_all_the_same() {
        let scene = hotp("4711").args("ignore_userfile_password");
        assert_rc(&scene.login("alice").types(token().code(99)), "AUTH_ERR");
    }
}

mod allow_replayed_otp_within {
    use super::*;

    const LIMIT: i64 = 60;

    /// The code for the `n`th login.
    type Codes = fn(u64) -> String;

    /// A token of each kind, with its codes.
    fn kinds() -> [(Scene, Codes); 2] {
        const ARGS: &str = "allow_replayed_otp_within=60";
        [
            (hotp("-").args(ARGS), |n| token().code(n)),
            (totp().args(ARGS), |n| token().code(NOW - 2 + n)),
        ]
    }

    /// Tells whether the file was replaced by another, even of the same content.
    fn identity(scene: &Scene) -> (u64, i64, i64) {
        let metadata = fs::metadata(scene.path()).unwrap();
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
    }

    #[test]
    fn the_code_last_accepted_is_good_until_the_limit_and_the_file_is_not_rewritten() {
        for (mut scene, code) in kinds() {
            assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
            let before = identity(&scene);
            // Its use at 30 seconds does not make it good any longer.
            for (after, rc) in [
                (0, "SUCCESS"),
                (30, "SUCCESS"),
                (LIMIT, "SUCCESS"),
                (LIMIT + 1, "AUTH_ERR"),
                (LIMIT + 86_400, "AUTH_ERR"),
            ] {
                scene = scene.at(NOON + after);
                assert_rc(&scene.login("alice").types(code(0)), rc);
                assert_eq!(identity(&scene), before);
            }
        }
    }

    #[test]
    fn no_other_code_is_good_again() {
        for (scene, code) in kinds() {
            assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
            assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
            assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
            assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
        }
    }

    #[test]
    fn a_code_that_was_refused_does_not_become_good() {
        for (scene, code) in kinds() {
            assert_rc(&scene.login("alice").types(code(50)), "AUTH_ERR");
            assert_rc(&scene.login("alice").types(code(50)), "AUTH_ERR");
        }
    }

    #[test]
    fn the_pin_is_asked_for_again() {
        let scene = hotp("4711").args("digits=6 allow_replayed_otp_within=60");
        let code = token().code(0);
        let types = |pin: &str| scene.login("alice").types(format!("{pin}{code}"));
        assert_rc(&types("4711"), "SUCCESS");
        assert_rc(&types("4712"), "AUTH_ERR");
        assert_rc(&types(""), "AUTH_ERR");
        assert_rc(&types("4711"), "SUCCESS");
    }

    #[test]
    fn a_last_time_in_the_future_makes_nothing_good() {
        for (scene, code) in kinds() {
            assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
            for before in [1, 30, 3600] {
                let earlier = scene.twin("earlier").at(NOON - before);
                assert_rc(&earlier.login("alice").types(code(0)), "AUTH_ERR");
            }
        }
    }

    #[test]
    fn without_the_argument_or_with_less_than_a_second_nothing_is_good_again() {
        for (mut scene, code) in kinds() {
            assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
            for args in [
                "",
                "allow_replayed_otp_within=0",
                "allow_replayed_otp_within=-5",
            ] {
                scene = scene.args(args);
                assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
            }
        }
    }

    /// In Berlin the clock goes back from 3:00 to 2:00 at this moment.
    const WINTER_BEGINS: i64 = 1_792_890_000;
    /// And here it goes forward from 2:00 to 3:00.
    const SUMMER_BEGINS: i64 = 1_774_746_000;

    /// Whether the code accepted at one moment is good again at another.
    fn is_good_again(by_time: bool, accepted: i64, again: i64) -> bool {
        let (scene, code) = if by_time {
            (totp(), token().code_at(accepted, 30, 0))
        } else {
            (hotp("-"), token().code(0))
        };
        let scene = scene
            .zone("Europe/Berlin")
            .args("allow_replayed_otp_within=60")
            .at(accepted);
        assert_rc(&scene.login("alice").types(&code), "SUCCESS");
        let scene = scene.at(again);
        scene.login("alice").types(&code).rc == "SUCCESS"
    }

    #[test]
    #[ignore = "needs the package tzdata: run `make test`"]
    fn the_limit_holds_in_the_hour_that_summer_time_repeats() {
        for by_time in [false, true] {
            for accepted in (-3600..=3600).step_by(1800) {
                let accepted = WINTER_BEGINS + accepted + 10;
                for after in [-3600, 61, 3540, 3600, 3660, 7200] {
                    assert!(
                        !is_good_again(by_time, accepted, accepted + after),
                        "accepted at {accepted}, {after} seconds later"
                    );
                }
            }
            // LAST-TIME alone does not tell which of two hours was meant. The time step does.
            for (accepted, is_clear) in [
                (WINTER_BEGINS - 3601, true),
                (WINTER_BEGINS - 3600, by_time),
                (WINTER_BEGINS - 61, by_time),
                (WINTER_BEGINS, by_time),
                (WINTER_BEGINS + 3539, by_time),
                (WINTER_BEGINS + 3600, true),
            ] {
                assert_eq!(
                    is_good_again(by_time, accepted, accepted + 60),
                    is_clear,
                    "accepted at {accepted}"
                );
            }
        }
    }

    #[test]
    #[ignore = "needs the package tzdata: run `make test`"]
    fn the_limit_holds_across_the_hour_that_summer_time_leaves_out() {
        for by_time in [false, true] {
            let accepted = SUMMER_BEGINS - 10;
            assert!(is_good_again(by_time, accepted, accepted + 60));
            assert!(!is_good_again(by_time, accepted, accepted + 61));
            assert!(!is_good_again(by_time, accepted, accepted - 1));
        }
    }

    /// The line of a token by event or by time that was last used with this counter or time step.
    fn used(by_time: bool, counter: u64, last_time: &str) -> (String, String) {
        let token_type = if by_time { "HOTP/T30" } else { "HOTP" };
        let code = token().code(counter);
        let line = format!("{token_type}\talice\t-\t{SECRET}\t{counter}\t{code}\t{last_time}\n");
        (line, code)
    }

    /// As it is after a change of the time zone, if not by an editor.
    #[test]
    #[ignore = "needs the package tzdata: run `make test`"]
    fn a_last_time_that_never_was_makes_nothing_good() {
        for by_time in [false, true] {
            let step = SUMMER_BEGINS as u64 / 30;
            let (line, code) = used(by_time, step, "2026-03-29T02:30:00L");
            for after in [-1800, 0, 30, 1800, 3630] {
                let scene = Scene::new().usersfile(&line).zone("Europe/Berlin");
                let scene = scene.args("allow_replayed_otp_within=60");
                let scene = scene.at(SUMMER_BEGINS + after);
                assert_rc(&scene.login("alice").types(&code), "AUTH_ERR");
            }
        }
    }

    #[test]
    fn a_last_time_far_from_the_time_step_that_was_used_makes_nothing_good() {
        for steps in [6, 120, 360] {
            let (line, code) = used(true, NOW - steps, "2026-01-15T12:00:00L");
            let scene = Scene::new().usersfile(line);
            let scene = scene.args("window=5 allow_replayed_otp_within=60");
            assert_rc(&scene.login("alice").types(code), "AUTH_ERR");
        }
    }

    #[test]
    fn a_code_from_the_edge_of_the_window_is_good_again() {
        for step in [NOW - 5, NOW + 5] {
            let scene = totp().args("window=5 allow_replayed_otp_within=60");
            for _ in 0..2 {
                assert_rc(&scene.login("alice").types(token().code(step)), "SUCCESS");
            }
        }
    }

    #[test]
    fn with_drift_the_code_of_a_phone_that_is_far_off_is_good_again() {
        let ahead = 20;
        let (line, _) = used(true, NOW - 2880 + ahead, "2026-01-14T12:00:00L");
        let scene = Scene::new().usersfile(line);
        let scene = scene.args("window=1 drift allow_replayed_otp_within=60");
        for _ in 0..2 {
            let outcome = scene.login("alice").types(token().code(NOW + ahead));
            assert_rc(&outcome, "SUCCESS");
        }
    }

    #[test]
    fn a_code_that_oath_toolkit_s_module_accepted_is_good_again() {
        let (line, code) = used(true, NOW, "2026-01-15T12:00:00L");
        // That module keeps a sum of distances as COUNTER.
        let line = line.replace(&NOW.to_string(), "0");
        let scene = Scene::new().usersfile(line);
        for (after, rc) in [(30, "SUCCESS"), (600, "SUCCESS"), (601, "AUTH_ERR")] {
            let scene = scene.twin(&format!("after{after}")).at(NOON + after);
            let scene = scene.args("window=5 allow_replayed_otp_within=600");
            assert_rc(&scene.login("alice").types(&code), rc);
        }
    }
}

mod no_usersfile_okay {
    use super::*;

    #[test]
    fn lets_everybody_in_unasked_while_there_is_no_file() {
        let scene = Scene::new().args("no_usersfile_okay");
        let outcome = scene.login("alice").types("000000");
        assert_rc(&outcome, "SUCCESS");
        assert!(outcome.prompts.is_empty());
        assert!(outcome.log_text().contains("warning: "), "{outcome:?}");
    }

    #[test]
    fn denies_if_the_folder_is_missing_as_well() {
        let scene = Scene::new();
        let path = scene.folder().join("missing/users.oath");
        let scene = scene
            .usersfile_option(&format!("usersfile={}", path.display()))
            .args("no_usersfile_okay nullok");
        assert_rc(&scene.login("alice").types("000000"), "AUTH_ERR");
    }

    #[test]
    fn changes_nothing_where_there_is_a_file() {
        let scene = hotp("-").args("no_usersfile_okay");
        assert_rc(&scene.login("alice").types(token().code(99)), "AUTH_ERR");
        assert_rc(&scene.login("bob").types(token().code(0)), "USER_UNKNOWN");
        let scene = scene.usersfile("");
        assert_rc(&scene.login("bob").types(token().code(0)), "USER_UNKNOWN");
    }
}

mod nullok {
    use super::*;

    #[test]
    fn gives_the_say_about_users_without_a_token_to_the_other_modules() {
        for (neighbour, rc) in [(PERMIT, "SUCCESS"), (DENY, "AUTH_ERR")] {
            let scene = hotp("-").control(&beside(neighbour)).args("nullok");
            let outcome = scene.login("bob").types("000000");
            assert_rc(&outcome, rc);
            assert!(outcome.prompts.is_empty());
            let scene = scene.without_usersfile();
            assert_rc(&scene.login("alice").types("000000"), rc);
        }
    }

    #[test]
    fn lets_nobody_in_by_itself() {
        // What libpam makes of a stack in which no module had a say.
        let scene = hotp("-").args("nullok");
        assert_rc(&scene.login("bob").types("000000"), "PERM_DENIED");
    }

    #[test]
    fn is_nothing_to_users_with_a_token() {
        let scene = hotp("-").control(&beside(PERMIT)).args("nullok");
        assert_rc(&scene.login("alice").types(token().code(99)), "AUTH_ERR");
        assert_rc(&scene.login("alice").types(token().code(0)), "SUCCESS");
    }

    #[test]
    fn is_nothing_where_the_file_cannot_be_used() {
        let scene = Scene::new().control(&beside(PERMIT)).args("nullok");
        fs::create_dir(scene.path()).unwrap();
        assert_rc(&scene.login("alice").types("000000"), "AUTH_ERR");
    }

    #[test]
    fn without_it_a_user_without_a_token_is_unknown() {
        let scene = hotp("-").control(&beside(PERMIT));
        assert_rc(&scene.login("bob").types("000000"), "USER_UNKNOWN");
    }
}

mod the_prompt {
    use super::*;

    /// What is asked with these arguments, and whether the answer is shown.
    fn asked(args: &str) -> (String, bool) {
        let scene = hotp("-").args(args);
        let outcome = scene.login("alice").types(token().code(0));
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.prompts.len(), 1);
        (outcome.prompts[0].text.clone(), outcome.prompts[0].echoes())
    }

    const DEFAULT: &str = "One-time password (OATH) for `alice': ";

    #[test]
    fn shows_what_is_typed_only_with_echo_verification_code_or_echo() {
        assert_eq!(asked(""), (DEFAULT.into(), false));
        assert_eq!(asked("echo"), (DEFAULT.into(), true));
        assert_eq!(asked("echo_verification_code"), (DEFAULT.into(), true));
    }

    #[test]
    fn is_the_text_of_authtok_prompt_or_prompt() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim_end();
        for (text, shown) in [
            ("Code: ", "Code: ".to_owned()),
            ("%u@%h, 100%% ", format!("alice@{host}, 100% ")),
            ("%%u %x %", "%u %x %".into()),
            ("%u%u", "alicealice".into()),
            ("", "".into()),
        ] {
            for name in ["authtok_prompt", "prompt"] {
                assert_eq!(asked(&format!("[{name}={text}]")).0, shown);
            }
        }
    }

    #[test]
    fn takes_no_directive_from_the_name_of_a_user() {
        let scene = Scene::new()
            .usersfile(format!("HOTP\t%h%s%n\t-\t{SECRET}\n"))
            .args("[prompt=%u: ]");
        let outcome = scene.login("%h%s%n").types(token().code(0));
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.prompts[0].text, "%h%s%n: ");
    }
}

mod forward_pass {
    use super::*;

    /// Alice has a token of six digits and one of eight, and another module checks her password.
    fn two_tokens(args: &str) -> Scene {
        let other = other_token();
        Scene::new()
            .usersfile(format!(
                "HOTP/E/6\talice\t+\t{SECRET}\nHOTP/E/8\talice\t+\t{}\n",
                other.0
            ))
            .args(args)
    }

    fn other_token() -> (&'static str, Generator) {
        const OTHER: &str = "00112233445566778899";
        (OTHER, Generator::new(OTHER).digits(8))
    }

    #[test]
    fn splits_the_answer_by_the_digits_of_the_token_that_gave_the_code() {
        let scene = two_tokens("forward_pass");
        for code in [token().code(0), other_token().1.code(0)] {
            let outcome = scene.login("alice").types(format!("s3cret 12{code}"));
            assert_rc(&outcome, "SUCCESS");
            assert_eq!(outcome.authtok.as_deref(), Some("s3cret 12"));
        }
    }

    #[test]
    fn hands_on_nothing_where_the_answer_is_a_code_alone() {
        let scene = two_tokens("forward_pass");
        for code in [token().code(0), other_token().1.code(0)] {
            let outcome = scene.login("alice").types(code);
            assert_rc(&outcome, "SUCCESS");
            assert_eq!(outcome.authtok, None);
        }
    }

    #[test]
    fn checks_a_pin_that_stands_in_the_file() {
        let scene = hotp("4711").args("forward_pass");
        let code = token().code(0);
        assert_rc(&scene.login("alice").types(&code), "AUTH_ERR");
        assert_rc(
            &scene.login("alice").types(format!("4712{code}")),
            "AUTH_ERR",
        );
        let outcome = scene.login("alice").types(format!("4711{code}"));
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.authtok.as_deref(), Some("4711"));
    }

    #[test]
    fn hands_on_what_stood_before_a_code_that_was_refused() {
        let scene = two_tokens("forward_pass");
        let outcome = scene.login("alice").types("s3cret000000");
        assert_rc(&outcome, "AUTH_ERR");
        assert_eq!(outcome.authtok.as_deref(), Some("s3cret"));
    }

    #[test]
    fn is_nothing_where_digits_says_how_long_a_code_is() {
        // A token of eight digits whose codes are typed with six.
        let scene = Scene::new()
            .usersfile(format!("HOTP/E/8\talice\t+\t{SECRET}\n"))
            .args("forward_pass digits=6");
        let outcome = scene
            .login("alice")
            .types(format!("s3cret{}", token().code(0)));
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.authtok.as_deref(), Some("s3cret"));
    }

    #[test]
    fn refuses_an_answer_shorter_than_a_code() {
        let scene = two_tokens("forward_pass");
        for answer in ["", "1", "12345"] {
            assert_rc(&scene.login("alice").types(answer), "AUTH_ERR");
        }
    }

    #[test]
    fn takes_the_stacked_token_for_such_an_answer() {
        for args in ["forward_pass use_first_pass", "forward_pass try_first_pass"] {
            let scene = two_tokens(args);
            for code in [token().code(0), other_token().1.code(0)] {
                let login = scene.login("alice").stacked(format!("s3cret{code}"));
                let outcome = login.types("nothing");
                assert_rc(&outcome, "SUCCESS");
                assert!(outcome.prompts.is_empty());
                assert_eq!(outcome.authtok.as_deref(), Some("s3cret"));
            }
        }
    }

    #[test]
    fn asks_where_the_stacked_token_is_a_password_and_hands_on_the_one_typed() {
        let scene = two_tokens("forward_pass try_first_pass");
        let login = scene.login("alice").stacked("her password");
        let outcome = login.types(format!("s3cret{}", token().code(0)));
        assert_rc(&outcome, "SUCCESS");
        assert_eq!(outcome.prompts.len(), 1);
        assert_eq!(outcome.authtok.as_deref(), Some("s3cret"));
    }
}

#[test]
fn a_code_in_three_groups_is_named_as_no_code_and_not_as_a_wrong_pin() {
    let scene = hotp("-").args("digits=6");
    let code = token().code(0);
    let spaced = format!("{} {} {}", &code[..2], &code[2..4], &code[4..]);
    let outcome = scene.login("alice").types(&spaced);
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("does not end in 6 to 8 digits"), "{log}");
    assert!(!log.contains("wrong PIN"), "{log}");
    assert_rc(&scene.login("alice").types(&code), "SUCCESS");
}
