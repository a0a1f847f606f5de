//! Where this module differs from Google's, on purpose: for every row of the table what Google's
//! module does and what this one does, with the same file and the same answers.

use serde_json::{Value, json};
use test_support::codes::Generator;
use test_support::strace::Traced;
use test_support::{Module, NOON, Scene};

use crate::accounts::{Setting, Step, World};
use crate::answer::Answer;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn totp(options: &str) -> String {
    format!("{SECRET}\n\" TOTP_AUTH\n{options}")
}

/// The code that the phone shows this many seconds after noon.
fn code(seconds: i64) -> String {
    Generator::of_base32(SECRET).code_at(NOON + seconds, 30, 0)
}

fn hotp_code(counter: u64) -> String {
    Generator::of_base32(SECRET).code(counter)
}

fn login(seconds: i64, typed: impl Into<String>) -> Value {
    json!({"clock": NOON + seconds, "responses": [typed.into()]})
}

/// The same with something more that the harness knows.
fn with(mut login: Value, key: &str, value: Value) -> Value {
    login[key] = value;
    login
}

/// What both modules answer, Google's first.
struct Both {
    theirs: Vec<Answer>,
    ours: Vec<Answer>,
}

impl Both {
    fn of(case: Value, steps: impl IntoIterator<Item = Value>) -> Both {
        let mut case = case;
        if case["user"].is_null() {
            case["user"] = "alice".into();
        }
        if case["args"].is_null() {
            case["args"] = json!([]);
        }
        let setting: Setting = serde_json::from_value(case).unwrap();
        let steps = steps
            .into_iter()
            .map(|step| serde_json::from_value(step).unwrap());
        let steps: Vec<Step> = steps.collect();
        let mut world = World::new();
        let mut ask = |module| {
            world.prepare(&setting);
            let answers = steps
                .iter()
                .map(|step| world.log_in(&setting, step, module));
            answers.collect()
        };
        Both {
            theirs: ask(Module::DebiansGoogle),
            ours: ask(Module::Google),
        }
    }

    #[track_caller]
    fn answer<const N: usize>(&self, theirs: [&str; N], ours: [&str; N]) {
        let rcs = |answers: &[Answer]| answers.iter().map(|a| a.rc.clone()).collect::<Vec<_>>();
        assert_eq!(rcs(&self.theirs), theirs, "Google's: {:#?}", self.theirs);
        assert_eq!(rcs(&self.ours), ours, "ours: {:#?}", self.ours);
    }

    /// The files after the last login.
    fn files(&self) -> (String, String) {
        let last = |answers: &[Answer]| {
            let text = answers.last().and_then(|answer| answer.after.clone());
            String::from_utf8(text.map(|text| text.0).unwrap_or_default()).unwrap()
        };
        (last(&self.theirs), last(&self.ours))
    }

    fn last(&self) -> (&Answer, &Answer) {
        (self.theirs.last().unwrap(), self.ours.last().unwrap())
    }
}

impl Answer {
    fn log_text(&self) -> String {
        self.log.join("\n")
    }
}

mod what_happens_at_the_prompt {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn two_who_type_good_scratch_codes_at_their_prompts_both_get_in() {
        let meanwhile = json!([["login", login(0, "87654321")]]);
        let both = Both::of(
            json!({"file": totp("12345678\n87654321\n")}),
            [with(login(0, "12345678"), "during", meanwhile)],
        );
        both.answer(["AUTH_ERR"], ["SUCCESS"]);
        let (theirs, ours) = both.last();
        assert_eq!(
            (&*theirs.inner[0].rc, &*ours.inner[0].rc),
            ("SUCCESS", "SUCCESS")
        );
        assert_eq!(both.files(), (totp("12345678\n"), totp("")));
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_stranger_who_types_a_wrong_code_does_not_refuse_the_login_that_waits() {
        let meanwhile = json!([["login", login(0, "000000")]]);
        let both = Both::of(
            json!({"file": totp("\" RATE_LIMIT 3 30\n")}),
            [with(login(0, code(0)), "during", meanwhile)],
        );
        both.answer(["AUTH_ERR"], ["SUCCESS"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_secret_that_was_replaced_meanwhile_lets_nobody_in_and_stays_replaced() {
        let file = "@W@/home/alice/.google_authenticator";
        let new = totp("\" DISALLOW_REUSE\n").replace(SECRET, "HEZDHNBVHY3TQOJQHEZDHNBVHY3TQOJQ");
        let replaced = json!([["write at once", file, new, "0600", "alice"]]);
        let both = Both::of(
            json!({"file": totp("\" DISALLOW_REUSE\n")}),
            [with(login(0, code(0)), "during", replaced)],
        );
        both.answer(["SUCCESS"], ["AUTH_ERR"]);
        let (theirs, ours) = both.files();
        assert!(theirs.starts_with(SECRET), "the edit is undone: {theirs}");
        assert_eq!(ours, new);
    }
}

mod disallow_reuse {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn outlives_a_clock_that_goes_back() {
        let both = Both::of(
            json!({"file": totp("\" DISALLOW_REUSE\n")}),
            [
                login(600, code(600)),
                login(0, code(0)),
                login(600, code(600)),
            ],
        );
        both.answer(["SUCCESS"; 3], ["SUCCESS", "AUTH_ERR", "AUTH_ERR"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn keeps_used_codes_from_teaching_another_skew() {
        let used = [0, 30, 60].map(|seconds| login(seconds, code(seconds)));
        let again = [0, 30, 60].map(|seconds| login(3600 + seconds, code(seconds)));
        let both = Both::of(
            json!({"file": totp("\" DISALLOW_REUSE\n")}),
            used.into_iter().chain(again),
        );
        let (s, a) = ("SUCCESS", "AUTH_ERR");
        both.answer([s, s, s, a, a, s], [s, s, s, a, a, a]);
        assert!(!both.files().1.contains("SKEW"), "{}", both.files().1);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn holds_for_the_code_that_ends_the_learning_of_a_skew() {
        let ahead = [0, 30, 60, 60].map(|seconds| login(seconds, code(seconds + 300)));
        let both = Both::of(json!({"file": totp("\" DISALLOW_REUSE\n")}), ahead);
        let (s, a) = ("SUCCESS", "AUTH_ERR");
        both.answer([a, a, s, s], [a, a, s, a]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn where_it_is_not_asked_for_a_code_is_good_again_with_both() {
        let both = Both::of(
            json!({"file": totp("")}),
            [login(0, code(0)), login(0, code(0))],
        );
        both.answer(["SUCCESS"; 2], ["SUCCESS"; 2]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn on_the_line_holds_for_everybody() {
        let both = Both::of(
            json!({"file": totp(""), "args": ["disallow_reuse"]}),
            [login(0, code(0)), login(0, code(0)), login(30, code(30))],
        );
        both.answer(["AUTH_ERR"; 3], ["SUCCESS", "AUTH_ERR", "SUCCESS"]);
    }
}

mod wrong_hotp_codes {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn do_not_shut_the_owner_out() {
        let file = format!("{SECRET}\n\" HOTP_COUNTER 1\n");
        let wrong = (0..4).map(|_| login(0, "000000"));
        let both = Both::of(json!({"file": file}), wrong.chain([login(0, hotp_code(1))]));
        let (s, a) = ("SUCCESS", "AUTH_ERR");
        both.answer([a; 5], [a, a, a, a, s]);
    }
}

mod rate_limit {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn is_not_prolonged_by_tries_that_it_refused() {
        let both = Both::of(
            json!({"file": totp("\" RATE_LIMIT 1 30\n")}),
            [login(0, "000000"), login(20, "000000"), login(31, code(31))],
        );
        let (s, a) = ("SUCCESS", "AUTH_ERR");
        both.answer([a, a, a], [a, a, s]);
    }

    /// Every login has its try to record.
    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn that_cannot_be_recorded_refuses_unless_the_line_says_allow_readonly() {
        let unwritable = json!([["chmod", "@W@/home/alice", "0500"]]);
        for (args, rc) in [
            (json!([]), "AUTH_ERR"),
            (json!(["allow_readonly"]), "SUCCESS"),
        ] {
            let both = Both::of(
                json!({"file": totp("\" RATE_LIMIT 1 30\n"), "then": unwritable, "args": args}),
                [login(0, code(0)), login(0, code(0))],
            );
            both.answer([rc; 2], [rc; 2]);
        }
    }
}

mod a_file_that_is_written_anew {
    use super::*;

    const REUSE: &str = "\" DISALLOW_REUSE\n";

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn keeps_its_mode() {
        let both = Both::of(
            json!({"file": totp(REUSE), "mode": "0640", "args": ["allowed_perm=0640"]}),
            [login(0, code(0))],
        );
        both.answer(["SUCCESS"], ["SUCCESS"]);
        let (theirs, ours) = both.last();
        assert_eq!(theirs.after_stat.as_deref(), Some("0400 alice"));
        assert_eq!(ours.after_stat.as_deref(), Some("0640 alice"));
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn is_what_a_link_leads_to() {
        let real = "@W@/home/alice/real";
        let file = "@W@/home/alice/.google_authenticator";
        let before = json!([
            ["write", real, totp(REUSE), "0600", "alice"],
            ["symlink", file, "real", "alice"],
        ]);
        let both = Both::of(
            json!({"file": null, "before": before, "watch": [real]}),
            [login(0, code(0)), login(0, code(0))],
        );
        both.answer(["SUCCESS", "AUTH_ERR"], ["SUCCESS", "AUTH_ERR"]);
        let (theirs, ours) = both.last();
        assert_eq!(theirs.after_stat.as_deref(), Some("0400 alice"));
        assert_eq!(ours.after_stat.as_deref(), Some("link 0777 alice -> real"));
        assert_eq!(theirs.watch[real].0, Some(totp(REUSE).into()));
        assert_eq!(ours.watch[real].0, ours.after);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn keeps_the_ends_of_its_lines() {
        let both = Both::of(
            json!({"file": totp(REUSE).replace('\n', "\r\n")}),
            [login(0, code(0))],
        );
        both.answer(["SUCCESS"], ["SUCCESS"]);
        let step = NOON / 30;
        let written = totp(&format!("\" DISALLOW_REUSE {step}\n")).replace('\n', "\r\n");
        let (theirs, ours) = both.files();
        assert_eq!(ours, written);
        assert_eq!(
            theirs,
            written.replace(&format!("{step}\r\n"), &format!("{step}\n"))
        );
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn keeps_an_option_that_stands_in_it_twice() {
        let twice = "\" DISALLOW_REUSE 1\n\" DISALLOW_REUSE 2\n";
        let both = Both::of(json!({"file": totp(twice)}), [login(0, code(0))]);
        both.answer(["SUCCESS"], ["SUCCESS"]);
        let (theirs, ours) = both.files();
        let step = NOON / 30;
        assert_eq!(theirs, totp(&format!("\" DISALLOW_REUSE {step}\n")));
        assert_eq!(
            ours,
            totp(&format!("\" DISALLOW_REUSE {step}\n\" DISALLOW_REUSE 2\n"))
        );
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn is_never_longer_than_what_is_read() {
        let start = totp(REUSE);
        let rest = 65536 - start.len() - 3;
        let both = Both::of(
            json!({"file": [[start, 1], ["a", rest], ["\n", 1]]}),
            [login(0, code(0)), login(60, code(60))],
        );
        both.answer(["SUCCESS", "AUTH_ERR"], ["AUTH_ERR", "AUTH_ERR"]);
        let (theirs, ours) = both.files();
        assert!(theirs.len() > 65536 && ours.len() <= 65536);
        let log = both.last().1.log_text();
        assert!(
            log.contains("would become longer than 65536 bytes"),
            "{log}"
        );
    }
}

/// No differences: what an administrator's slip in a file does to a login is as before.
mod malformed_files {
    use super::*;

    /// Both answer alike: that code, and after so many prompts.
    #[track_caller]
    fn both_answer(file: String, stacked: &str, rc: &str, prompts: usize) {
        let case = json!({"file": file, "args": ["try_first_pass"]});
        let login = with(login(0, code(0)), "preset_authtok", json!(stacked));
        let both = Both::of(case, [login]);
        both.answer([rc], [rc]);
        let (theirs, ours) = both.last();
        assert_eq!((theirs.prompts, ours.prompts), (prompts, prompts), "{file}");
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn make_try_first_pass_ask_only_where_another_answer_could_be_good() {
        let skewed = code(30 * 100);
        for option in ["WINDOW_SIZE x", "STEP_SIZE x"] {
            for stacked in [&code(0), "000000", &skewed] {
                both_answer(totp(&format!("\" {option}\n")), stacked, "AUTH_ERR", 0);
            }
        }
        let used = totp("\" DISALLOW_REUSE x\n");
        for (stacked, prompts) in [(&*code(0), 0), ("000000", 1), (&*skewed, 0)] {
            both_answer(used.clone(), stacked, "AUTH_ERR", prompts);
        }
        for counter in ["x", "0", "99999999999999999999"] {
            let file = format!("{SECRET}\n\" HOTP_COUNTER {counter}\n");
            both_answer(file, &hotp_code(1), "AUTH_ERR", 1);
        }
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn with_no_counter_in_hotp_counter_are_for_codes_by_time_if_they_say_totp_auth() {
        for counter in ["x", "0", "-3", ""] {
            let file = totp(&format!("\" HOTP_COUNTER {counter}\n"));
            both_answer(file.clone(), &code(0), "SUCCESS", 0);
            both_answer(file, &hotp_code(1), "SUCCESS", 1);
        }
        let counter = totp("\" HOTP_COUNTER 1x\n");
        both_answer(counter, &hotp_code(1), "SUCCESS", 0);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn with_no_secret_limit_the_tries_all_the_same() {
        let file = totp("\" RATE_LIMIT 2 30\n").replace(SECRET, "!!");
        let tries = (0..3).map(|_| login(0, code(0)));
        let both = Both::of(json!({"file": file}), tries);
        both.answer(["AUTH_ERR"; 3], ["AUTH_ERR"; 3]);
        let prompts = |answers: &[Answer]| answers.iter().map(|a| a.prompts).collect::<Vec<_>>();
        assert_eq!(prompts(&both.theirs), [1, 1, 0]);
        assert_eq!(prompts(&both.ours), [1, 1, 0]);
        assert_eq!(both.files().0, both.files().1);
    }
}

mod grace_period {
    use super::*;

    const ARGS: [&str; 1] = ["grace_period=3600"];

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn begins_whatever_else_is_written() {
        let both = Both::of(
            json!({"file": totp(""), "args": ARGS}),
            [login(0, code(0)), login(10, "000000")],
        );
        both.answer(["SUCCESS", "AUTH_ERR"], ["SUCCESS", "SUCCESS"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn adds_no_line_that_a_host_made_up() {
        let both = Both::of(
            json!({"file": totp("\" DISALLOW_REUSE\n"), "args": ARGS}),
            [
                with(login(0, code(0)), "rhost", json!("x 1\n99998888\n\" X_Y")),
                login(10, "99998888"),
            ],
        );
        both.answer(["SUCCESS", "SUCCESS"], ["SUCCESS", "AUTH_ERR"]);
        assert!(!both.files().1.contains("9999"));
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn does_not_lie_in_the_future() {
        let future = format!("\" LAST0 192.0.2.7 {}\n", NOON + 1_000_000);
        let both = Both::of(
            json!({"file": totp(&future), "args": ARGS}),
            [login(0, "000000")],
        );
        both.answer(["SUCCESS"], ["AUTH_ERR"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn lets_nobody_in_whose_secret_cannot_be_used() {
        let broken = totp(&format!("\" LAST0 192.0.2.7 {NOON}\n")).replace(SECRET, "!!");
        let both = Both::of(json!({"file": broken, "args": ARGS}), [login(0, "000000")]);
        both.answer(["SUCCESS"], ["AUTH_ERR"]);
    }

    /// As where a lost phone's secret is taken out of the file.
    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn that_is_over_when_the_password_comes_lets_nobody_in() {
        let path = "@W@/home/alice/.google_authenticator";
        let file = totp(&format!("\" LAST0 192.0.2.7 {NOON}\n"));
        let args = ["forward_pass", "grace_period=3600"];
        let case = json!({"user": "alice", "file": file, "args": args});
        let over = json!([["write", path, totp(""), "0600", "alice"]]);
        let mut world = World::new();
        let setting: Setting = serde_json::from_value(case).unwrap();
        world.prepare(&setting);
        let step = with(login(0, "password"), "during", over);
        let step: Step = serde_json::from_value(step).unwrap();
        let answer = world.log_in(&setting, &step, Module::Google);
        assert_eq!(answer.rc, "AUTH_ERR", "{answer:#?}");
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn leaves_a_password_for_the_next_module() {
        let args = ["forward_pass", "grace_period=3600"];
        let file = totp(&format!("\" LAST0 192.0.2.7 {NOON}\n"));
        let both = Both::of(json!({"file": file, "args": args}), [login(0, "password")]);
        both.answer(["SUCCESS"], ["SUCCESS"]);
        let (theirs, ours) = both.last();
        assert_eq!(
            (theirs.prompts, theirs.authtok.as_deref()),
            (0, Some("(unset)"))
        );
        assert_eq!(
            (ours.prompts, ours.authtok.as_deref()),
            (1, Some("password"))
        );
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn is_kept_for_a_host_with_a_long_name() {
        let long = |login| with(login, "rhost", json!("a".repeat(200)));
        let both = Both::of(
            json!({"file": totp("\" DISALLOW_REUSE\n"), "args": ARGS}),
            [long(login(0, code(0))), long(login(10, "000000"))],
        );
        both.answer(["SUCCESS", "AUTH_ERR"], ["SUCCESS", "SUCCESS"]);
    }
}

mod what_is_in_the_files_place {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn being_a_named_pipe_denies_at_once() {
        let log_in = |module| {
            let scene = Scene::new()
                .module(module)
                .started_by(["timeout", "--signal=KILL", "3"]);
            let path = scene.path();
            let made = std::process::Command::new("mkfifo")
                .arg(path)
                .status()
                .unwrap();
            assert!(made.success());
            let died = scene.login("alice").typing("000000").rc_if_it_lives();
            died.map(str::to_owned)
        };
        assert_eq!(log_in(Module::DebiansGoogle), None, "it hangs");
        assert_eq!(log_in(Module::Google).as_deref(), Some("AUTH_ERR"));
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn being_a_link_to_nothing_is_no_lack_of_a_file() {
        let file = "@W@/home/alice/.google_authenticator";
        let before = json!([["symlink", file, "nothing", "alice"]]);
        let both = Both::of(
            json!({"file": null, "before": before, "args": ["nullok"]}),
            [login(0, code(0))],
        );
        both.answer(["IGNORE"], ["AUTH_ERR"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn nullok_lets_no_name_pass_that_has_no_account() {
        let args = ["secret=@W@/home/gauth/${USER}", "user=gauth", "nullok"];
        for (user, ours) in [("ghost", "AUTH_ERR"), ("bob", "IGNORE")] {
            let both = Both::of(
                json!({"file": null, "at": format!("@W@/home/gauth/{user}"), "args": args, "user": user}),
                [login(0, code(0))],
            );
            both.answer(["IGNORE"], [ours]);
        }
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn being_named_by_a_user_with_a_slash_denies() {
        let both = Both::of(
            json!({
                "file": totp(""), "at": "@W@/home/gauth/ghost", "owner": "gauth",
                "args": ["secret=@W@/home/gauth/${USER}", "user=gauth"], "user": "../gauth/ghost",
            }),
            [login(0, code(0))],
        );
        both.answer(["SUCCESS"], ["AUTH_ERR"]);
        let log = both.last().1.log_text();
        assert!(
            log.contains("the user's name cannot stand in a path"),
            "{log}"
        );
    }
}

mod what_the_user_is_asked_and_told {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn nobody_is_asked_twice() {
        let both = Both::of(
            json!({"file": totp("")}),
            [json!({"clock": NOON, "responses": ["@NULL", code(0)]})],
        );
        both.answer(["AUTH_ERR"], ["AUTH_ERR"]);
        let (theirs, ours) = both.last();
        assert_eq!((theirs.prompts, ours.prompts), (2, 1));
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_login_is_accepted_when_its_code_is_recorded_and_leaves_no_password_before() {
        let both = Both::of(
            json!({
                "file": totp("\" DISALLOW_REUSE\n"), "args": ["forward_pass"],
                "then": [["chmod", "@W@/home/alice", "0500"]],
            }),
            [login(0, format!("password{}", code(0)))],
        );
        both.answer(["AUTH_ERR"], ["AUTH_ERR"]);
        let (theirs, ours) = both.last();
        assert_eq!(theirs.authtok.as_deref(), Some("password"));
        assert_eq!(ours.authtok.as_deref(), Some("(unset)"));
        assert!(
            theirs.log_text().contains("Accepted"),
            "{}",
            theirs.log_text()
        );
        assert!(!ours.log_text().contains("accepted"), "{}", ours.log_text());
    }
}

mod what_cannot_be_meant {
    use super::*;

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_commented_out_option_is_off() {
        let file = format!("{SECRET}\n# \" TOTP_AUTH\n");
        let both = Both::of(json!({"file": file}), [login(0, code(0))]);
        both.answer(["SUCCESS"], ["AUTH_ERR"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_malformed_field_is_refused_with_file_line_and_field_in_the_log() {
        let files = [
            (totp("\" DISALLOW_REUSE 5x\n"), code(0), "DISALLOW_REUSE", 3),
            (
                format!("{SECRET}\n\" HOTP_COUNTER 0\n"),
                hotp_code(0),
                "HOTP_COUNTER",
                2,
            ),
        ];
        for (file, code, field, line) in files {
            let both = Both::of(json!({"file": file}), [login(0, code)]);
            both.answer(["AUTH_ERR"], ["AUTH_ERR"]);
            let (theirs, ours) = both.last();
            assert!(!theirs.log_text().contains(field), "{}", theirs.log_text());
            let log = ours.log_text();
            let at = format!("line={line}");
            assert!(log.contains(field) && log.contains(&at), "{log}");
            assert!(
                log.contains("@W@/home/alice/.google_authenticator"),
                "{log}"
            );
        }
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_counter_that_overflows_is_not_counted_on() {
        let file = format!("{SECRET}\n\" HOTP_COUNTER 18446744073709551615\n");
        let both = Both::of(
            json!({"file": file.clone()}),
            [login(0, hotp_code(u64::MAX))],
        );
        both.answer(["AUTH_ERR"], ["AUTH_ERR"]);
        let (theirs, ours) = both.files();
        assert!(theirs.contains("HOTP_COUNTER -"), "{theirs}");
        assert_eq!(ours, file);
        let log = both.last().1.log_text();
        assert!(log.contains("HOTP_COUNTER"), "{log}");
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn arguments_are_refused_that_are_no_numbers() {
        let file = json!({"file": totp(""), "mode": "0644", "args": ["allowed_perm=-1"]});
        let user = json!({
            "file": totp(""), "at": "@W@/home/gauth/alice", "owner": "gauth",
            "args": ["secret=@W@/home/gauth/${USER}", "user=20010x"],
        });
        for (case, argument) in [(file, "allowed_perm=-1"), (user, "user=20010x")] {
            let both = Both::of(case, [login(0, code(0))]);
            both.answer(["SUCCESS"], ["AUTH_ERR"]);
            let log = both.last().1.log_text();
            assert!(log.contains(argument), "{log}");
        }
    }
}

mod what_stands_before_a_code {
    use super::*;

    /// 56558455 ends in 558455, which is no code: with HOTP that moves the counter.
    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn a_scratch_code_is_one_before_its_end_is_taken_for_a_code() {
        let hotp = format!("{SECRET}\n\" HOTP_COUNTER 9\n56558455\n");
        let both = Both::of(
            json!({"file": hotp, "args": ["forward_pass"]}),
            [login(0, "pw56558455")],
        );
        both.answer(["SUCCESS"], ["SUCCESS"]);
        let left = |counter| format!("{SECRET}\n\" HOTP_COUNTER {counter}\n");
        assert_eq!(both.files(), (left(10), left(9)));

        let malformed = totp("\" WINDOW_SIZE 0\n56558455\n");
        let both = Both::of(
            json!({"file": malformed, "args": ["forward_pass"]}),
            [login(0, "pw56558455")],
        );
        both.answer(["AUTH_ERR"], ["SUCCESS"]);
    }

    #[test]
    #[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
    fn who_has_a_broken_file_is_asked_whatever_an_earlier_module_left() {
        let both = Both::of(
            json!({"file": "GEZDGNB9\n\" TOTP_AUTH\n", "args": ["try_first_pass"]}),
            [with(login(0, code(0)), "preset_authtok", "123456".into())],
        );
        both.answer(["AUTH_ERR"], ["AUTH_ERR"]);
        let (theirs, ours) = both.last();
        assert_eq!((theirs.prompts, ours.prompts), (0, 1));
    }
}

mod the_process {
    use super::*;

    /// A threaded server makes files meanwhile.
    #[test]
    #[ignore = "needs root, strace and the package libpam-google-authenticator: run `make test`"]
    fn keeps_its_umask() {
        let changes_umask = |module| {
            let scene = Scene::new().module(module);
            scene.write_usersfile(totp("\" DISALLOW_REUSE\n"));
            let traced = Traced::new(&scene, &[]);
            assert_eq!(traced.scene.login("alice").types(code(0)).rc, "SUCCESS");
            let calls = traced.calls_of_the_login();
            calls.iter().any(|call| call.name == "umask")
        };
        assert!(changes_umask(Module::DebiansGoogle));
        assert!(!changes_umask(Module::Google));
    }

    #[test]
    #[ignore = "needs root, strace and the package libpam-google-authenticator: run `make test`"]
    fn killed_while_it_writes_leaves_nothing_that_the_next_login_does_not_clean_up() {
        let left_behind = |module, call: &str| {
            let scene = Scene::new().module(module);
            scene.write_usersfile(totp("\" DISALLOW_REUSE\n"));
            let wrong = format!("{call}:signal=KILL:when=1");
            Traced::new(&scene, &[wrong])
                .scene
                .login("alice")
                .typing(code(0))
                .dies();
            let killed = scene.left_behind().len();
            assert_eq!(scene.login("alice").types(code(30)).rc, "SUCCESS");
            (killed, scene.left_behind().len())
        };
        assert_eq!(left_behind(Module::DebiansGoogle, "fsync"), (1, 1));
        assert_eq!(left_behind(Module::Google, "fsync"), (1, 0));
    }
}
