//! Random logins, asked of Google's module and of this one at the same moment: the same answer to
//! each, but for the rows of tests/google/table.rs.
//!
//! PAM_OATH_GOOGLE_TRIES sets how many, 300 if it is not set.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::json;
use test_support::codes::Generator;
use test_support::{Module, NOON};

use crate::accounts::{NO_STRING, Setting, Step, World};
use crate::table;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HOST: &str = "192.0.2.7";

#[derive(Clone, Debug)]
struct Attempt {
    file: String,
    mode: &'static str,
    args: Vec<&'static str>,
    clock: i64,
    response: String,
    stacked: Option<String>,
    host: Option<&'static str>,
}

#[test]
#[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
fn random_logins_get_the_same_answer_from_googles_module_but_for_what_the_table_says() {
    let tries = std::env::var("PAM_OATH_GOOGLE_TRIES").map_or(300, |n| n.parse().unwrap());
    let world = RefCell::new(World::new());
    let seen = RefCell::new(BTreeMap::new());
    let config = Config {
        cases: tries,
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&attempt(), |attempt| {
        let (setting, step) = attempt.login();
        let mut world = world.borrow_mut();
        world.prepare(&setting);
        let before = world.file_now(&setting);
        prop_assume!(table::tells(&setting, &step, &before));
        let theirs = world.log_in(&setting, &step, Module::DebiansGoogle);
        *seen.borrow_mut().entry(theirs.rc.clone()).or_insert(0) += 1;
        let expected = table::expected("", &setting, &step, &before, theirs.clone());
        world.prepare(&setting);
        let ours = world.log_in(&setting, &step, Module::Google);
        let difference = ours.difference(&expected);
        prop_assert!(
            difference.is_empty(),
            "expected is Google's, by the table:\n{difference}  theirs: {:#?}\n  ours: {:#?}",
            theirs.log,
            ours.log,
        );
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, attempt)) => panic!("{why}\n{attempt:#?}"),
        Err(abort) => panic!("{abort}"),
    }
    let seen = seen.into_inner();
    for rc in ["SUCCESS", "AUTH_ERR"] {
        let share = seen.get(rc).copied().unwrap_or(0) as f64 / f64::from(tries);
        assert!(
            share > 0.1,
            "hardly ever {rc}, so little was tried: {seen:?}"
        );
    }
}

impl Attempt {
    fn login(&self) -> (Setting, Step) {
        let setting = json!({
            "file": self.file, "mode": self.mode, "args": self.args, "user": "alice",
        });
        let step = json!({
            "clock": self.clock, "responses": [self.response], "rhost": self.host,
            "preset_authtok": self.stacked,
        });
        (
            serde_json::from_value(setting).unwrap(),
            serde_json::from_value(step).unwrap(),
        )
    }
}

/// What is typed, before the file is known.
#[derive(Clone, Debug)]
enum Typed {
    Text(String),
    /// The code so many steps or counts away from the one that is due.
    Code(i64),
    /// One of the file's lines of eight digits.
    ScratchCode(usize),
}

impl Typed {
    fn at(&self, file: &str, clock: i64) -> String {
        let value = |name: &str| {
            let line = file.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<i64>().ok()
        };
        match self {
            Typed::Text(text) => text.clone(),
            Typed::Code(offset) => {
                let due = value("\" HOTP_COUNTER ").unwrap_or_else(|| {
                    let seconds = value("\" STEP_SIZE ").filter(|seconds| *seconds > 0);
                    clock / seconds.unwrap_or(30) + value("\" TIME_SKEW ").unwrap_or(0)
                });
                let factor = due.saturating_add(*offset).max(0);
                Generator::of_base32(SECRET).code(factor as u64)
            }
            Typed::ScratchCode(n) => {
                let is_code = |line: &&str| line.len() == 8 && line.parse::<u32>().is_ok();
                let codes: Vec<&str> = file.lines().map(str::trim).filter(is_code).collect();
                let code = codes.get(n % codes.len().max(1));
                code.map_or("12345678".into(), |code| code.to_string())
            }
        }
    }
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let mode =
        prop_oneof![30 => Just("0600"), 5 => Just("0400"), 1 => Just("0644"), 1 => Just("0640")];
    let host = prop_oneof![
        8 => Just(Some(HOST)),
        1 => Just(None),
        1 => select(&["10.0.0.1", "a host", "fe80::1%eth0"][..]).prop_map(Some),
    ];
    let login = (response(), option::weighted(0.25, response()));
    (file(), mode, args(), 0..90_i64, login, host).prop_map(
        |(file, mode, args, seconds, (typed, stacked), host)| {
            let clock = NOON + seconds;
            let with_password = |(password, typed): (&str, Typed)| match typed.at(&file, clock) {
                typed if typed == NO_STRING => typed,
                typed => password.to_owned() + &typed,
            };
            let response = with_password(typed);
            let stacked = stacked
                .map(with_password)
                .filter(|stacked| stacked != NO_STRING);
            Attempt {
                file,
                mode,
                args,
                clock,
                response,
                stacked,
                host,
            }
        },
    )
}

fn response() -> impl Strategy<Value = (&'static str, Typed)> {
    let password = prop_oneof![6 => Just(""), 1 => Just("pw"), 1 => Just("pass word 1")];
    let typed = prop_oneof![
        8 => (-3..4_i64).prop_map(Typed::Code),
        2 => (-30..31_i64).prop_map(Typed::Code),
        1 => (-1600..1601_i64).prop_map(Typed::Code),
        3 => (0..4_usize).prop_map(Typed::ScratchCode),
        1 => "[0-9]{0,9}".prop_map(Typed::Text),
        1 => "[ -~]{0,12}".prop_filter("no word for the harness", |text| !text.starts_with('@'))
            .prop_map(Typed::Text),
        1 => Just(Typed::Text(NO_STRING.into())),
    ];
    (password, typed)
}

fn args() -> impl Strategy<Value = Vec<&'static str>> {
    const COMMON: &[&str] = &[
        "nullok",
        "noskewadj",
        "no_increment_hotp",
        "try_first_pass",
        "use_first_pass",
        "forward_pass",
        "echo_verification_code",
        "authtok_prompt=Code, please: ",
        "grace_period=60",
        "grace_period=3600",
        "grace_period=0",
        "allow_readonly",
        "no_strict_owner",
        "allowed_perm=0644",
        "secret=${HOME}/.google_authenticator",
        "debug",
    ];
    const ODD: &[&str] = &[
        "nullok=1",
        "alwaysok",
        "grace_period=x",
        "allowed_perm=9",
        "allowed_perm=",
        "user=nobody-of-that-name",
        "",
        "NULLOK",
        "try_first_pass=no",
    ];
    let argument = prop_oneof![30 => select(COMMON), 1 => select(ODD)];
    vec(argument, 0..4)
}

fn file() -> impl Strategy<Value = String> {
    let secret = prop_oneof![
        30 => Just(SECRET),
        1 => Just("gezdgnbvgy3tqojqgezdgnbvgy3tqojq"),
        1 => Just("GEZD GNBV GY3T-QOJQ GEZDGNBVGY3TQOJQ"),
        1 => select(&["", "GEZDGNB9", "A", "GEZDGNBV=", "\" TOTP_AUTH"][..]),
    ];
    let kind = prop_oneof![
        12 => Just("\" TOTP_AUTH\n".to_owned()),
        4 => counter().prop_map(|counter| format!("\" HOTP_COUNTER {counter}\n")),
        1 => Just(String::new()),
    ];
    let lines = vec(line(), 0..6);
    let codes = vec(
        prop_oneof![8 => "[1-9][0-9]{7}\n", 1 => "0[0-9]{7}\n", 1 => " [1-9][0-9]{7}\n"],
        0..4,
    );
    let ending = prop_oneof![18 => Just("\n"), 1 => Just("\r\n"), 2 => Just("")];
    (
        secret,
        kind,
        lines,
        codes,
        any::<prop::sample::Index>(),
        ending,
    )
        .prop_map(|(secret, kind, mut lines, codes, at, ending)| {
            let at = at.index(lines.len() + 1);
            lines.insert(at, kind);
            let text = format!("{secret}\n{}{}", lines.concat(), codes.concat());
            match ending {
                "" => text.strip_suffix('\n').unwrap_or(&text).to_owned(),
                ending => text.replace('\n', ending),
            }
        })
}

fn counter() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (1..20_u32).prop_map(|counter| counter.to_string()),
        1 => select(&["0", "-1", "x", "", "5x"][..]).prop_map(str::to_owned),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let step = |reach: i64| (-reach..=reach).prop_map(|offset| NOON / 30 + offset);
    let joined = |numbers: Vec<i64>| {
        let numbers = numbers.iter().map(|number| format!(" {number}"));
        numbers.collect::<String>()
    };
    let number = |most: i64| {
        prop_oneof![
            12 => (1..=most).prop_map(|number| number.to_string()),
            1 => select(&["0", "-1", "101", "x", "", "5x", "17 ", " 5"][..]).prop_map(str::to_owned),
        ]
    };
    let reuse = prop_oneof![
        8 => vec(step(6), 0..4).prop_map(joined),
        1 => vec(step(100), 0..4).prop_map(joined),
        1 => select(&[" x", " 58949280x", " 5 x", "  58949280", " 58949280  58949281", " "][..])
            .prop_map(str::to_owned),
    ];
    let times = vec((-60..90_i64).prop_map(|offset| NOON + offset), 0..5).prop_map(joined);
    let limit = prop_oneof![
        8 => (1..5_i64, select(&[10, 30, 60][..]), times)
            .prop_map(|(tries, seconds, times)| format!("{tries} {seconds}{times}")),
        1 => select(&["", "3", "3 30 ", "0 30", "3 x", "101 30", "3 3601", "3 30 x", " 3 30"][..])
            .prop_map(str::to_owned),
    ];
    let skew = prop_oneof![
        8 => (-5..6_i64).prop_map(|skew| skew.to_string()),
        1 => select(&["x", "", "3x", "+2", "-1499", "100000"][..]).prop_map(str::to_owned),
    ];
    let learned = vec((-4..4_i64, -40..41_i64), 0..4).prop_map(|entries| {
        let entry = |(step, skew): (i64, i64)| format!(" {}{skew:+}", NOON / 30 + step);
        entries.into_iter().map(entry).collect::<String>()
    });
    let last = (
        0..10_u8,
        select(&[HOST, "10.0.0.1", "elsewhere"][..]),
        -4000..100_i64,
    )
        .prop_map(|(n, host, ago)| format!("\" LAST{n} {host} {}\n", NOON + ago));
    prop_oneof![
        3 => number(20).prop_map(|size| format!("\" WINDOW_SIZE {size}\n")),
        1 => number(60).prop_map(|size| format!("\" STEP_SIZE {size}\n")),
        4 => reuse.prop_map(|steps| format!("\" DISALLOW_REUSE{steps}\n")),
        3 => limit.prop_map(|limit| format!("\" RATE_LIMIT {limit}\n")),
        2 => skew.prop_map(|skew| format!("\" TIME_SKEW {skew}\n")),
        3 => learned.prop_map(|entries| format!("\" RESETTING_TIME_SKEW{entries}\n")),
        3 => last,
        1 => select(&["\" LAST1 x\n", "\" LAST0\n", "\" LAST2 192.0.2.7 x\n"][..]).prop_map(str::to_owned),
        1 => select(&["\" UNKNOWN 5\n", "\" TOTP_AUTHX\n", "\n", "\n\n", "# hers\n", "\" totp_auth\n"][..])
            .prop_map(str::to_owned),
    ]
}
