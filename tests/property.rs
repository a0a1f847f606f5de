//! Random logins, asked of OATH Toolkit's module and of ours: the same answer to each, but for
//! what the table of deliberate differences in README.md says.
//!
//! PAM_OATH_PROPERTY_TRIES sets how many, 2,000 if it is not set.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use support::answer::Answer;
use support::codes::Token;
use support::{Module, NOON, Scene};

#[derive(Clone, Debug)]
struct Attempt {
    usersfile: String,
    args: Vec<&'static str>,
    user: &'static str,
    responses: Vec<Option<String>>,
    stacked: Option<String>,
}

#[test]
#[ignore = "needs the package libpam-oath: run `make test`"]
fn random_logins_get_the_same_answer_from_the_original_and_from_ours() {
    let tries = std::env::var("PAM_OATH_PROPERTY_TRIES").map_or(2_000, |n| n.parse().unwrap());
    let original = Cell::new(Some(Scene::new().module(Module::Original)));
    let ours = Cell::new(Some(Scene::new()));
    let seen = RefCell::new(BTreeMap::new());
    let config = Config {
        cases: tries,
        failure_persistence: None,
        // However many are left out, so many are tried.
        max_global_rejects: u32::MAX,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&attempt(), |attempt| {
        prop_assume!(attempt.is_comparable());
        let theirs = attempt.ask(&original);
        *seen.borrow_mut().entry(theirs.rc.clone()).or_insert(0) += 1;
        let again = attempt.after_a_stacked_token_that_fails(&theirs);
        let mut expected = match &again {
            Some(again) => again.ask(&original),
            None => theirs,
        };
        let mut got = attempt.ask(&ours);
        attempt.translate_time_step(&mut expected, &got);
        if again.is_some() {
            // What the failed token left in PAM_AUTHTOK is not there if it was never tried.
            got.authtok.clone_from(&expected.authtok);
        }
        let difference = got.difference(&expected);
        prop_assert!(
            difference.is_empty(),
            "expected is the original's:\n{difference}"
        );
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, attempt)) => panic!("{why}\n{attempt:#?}"),
        Err(abort) => panic!("{abort}"),
    }
    let seen = seen.into_inner();
    for rc in ["SUCCESS", "AUTH_ERR", "USER_UNKNOWN"] {
        let share = seen.get(rc).copied().unwrap_or(0) as f64 / f64::from(tries);
        assert!(
            share > 0.05,
            "hardly ever {rc}, so little was tried: {seen:?}"
        );
    }
}

impl Attempt {
    fn ask(&self, scene: &Cell<Option<Scene>>) -> Answer {
        let scene_now = scene.take().expect("the scene");
        let scene_now = scene_now
            .usersfile(&self.usersfile)
            .args(&self.args.join(" "));
        let mut login = scene_now
            .login(self.user)
            .answering(self.responses.iter().cloned());
        if let Some(token) = &self.stacked {
            login = login.stacked(token);
        }
        let answer = Answer::of(login.run(), &scene_now);
        scene.set(Some(scene_now));
        answer
    }

    fn has(&self, arg: &str) -> bool {
        self.args.contains(&arg)
    }

    fn lines(&self) -> impl Iterator<Item = Vec<&str>> {
        lines_of(&self.usersfile, self.user)
    }

    /// Whether the two modules are meant to give the same answer, or one that can be told from
    /// the other's.
    fn is_comparable(&self) -> bool {
        let lines: Vec<_> = self.lines().collect();
        let whole = |fields: &Vec<&str>| fields.len() >= 4;
        // Where a line of the user lacks its SECRET, the original loses count and records on a line
        // that may be another than the one that matched. Ours follows it as far as here.
        let same_pin = |fields: &Vec<&str>| {
            let of_all = |pin| lines.iter().all(|other| other.get(2) == Some(pin));
            fields.get(2).is_some_and(|pin| pin == &"+" || of_all(pin))
        };
        let recorded_alike = lines.iter().all(whole)
            || lines.len() <= 2 && lines.iter().all(|fields| whole(fields) || same_pin(fields));
        recorded_alike
            && !lines.iter().any(|fields| {
                self.was_used_beyond_the_window(fields) || self.is_used_in_another_length(fields)
            })
    }

    /// What is typed ends in the code of the counter that the line has used, in another length.
    fn is_used_in_another_length(&self, fields: &[&str]) -> bool {
        let [type_, _, _, secret, counter, last_otp, ..] = fields else {
            return false;
        };
        let Some(counter) = counter_of(counter) else {
            return false;
        };
        let typed = self.responses.iter().flatten().chain(&self.stacked);
        let mut ends = typed.flat_map(|typed| {
            let lengths = (6..=8).filter(|&length| length != last_otp.len());
            lengths.filter_map(|length| typed.get(typed.len().checked_sub(length)?..))
        });
        time_token(type_).is_none()
            && shows(secret, counter, last_otp)
            && ends.any(|code| shows(secret, counter, code))
    }

    /// A time step noted by us that the window does not reach: only ours knows it was used.
    fn was_used_beyond_the_window(&self, fields: &[&str]) -> bool {
        let [type_, _, _, secret, counter, last_otp, ..] = fields else {
            return false;
        };
        let Some((step, digits)) = time_token(type_) else {
            return false;
        };
        let now = NOON as u64 / step;
        // Of a code of another length only ours knows the step, by COUNTER and LAST-TIME.
        let is_of_another_length = (6..=8).contains(&last_otp.len()) && last_otp.len() != digits;
        let is_known_by_time =
            is_of_another_length && (now - 1000..=now + 1000).any(|at| shows(secret, at, last_otp));
        is_known_by_time
            || counter_of(counter).is_some_and(|counter| {
                counter > now + self.window() && shows(secret, counter, last_otp)
            })
    }

    fn window(&self) -> u64 {
        let last = self
            .args
            .iter()
            .rev()
            .find_map(|arg| arg.strip_prefix("window="));
        match last {
            None => 5,
            Some(number) => number
                .trim_start_matches('+')
                .chars()
                .map_while(|c| c.to_digit(10))
                .fold(0, |n, digit| 10 * n + u64::from(digit)),
        }
    }

    /// With `try_first_pass` ours prompts where the original denies because of the stacked token:
    /// the same as if there had been no such token to try.
    fn after_a_stacked_token_that_fails(&self, theirs: &Answer) -> Option<Attempt> {
        let prompts_again = self.stacked.is_some()
            && self.has("try_first_pass")
            && !self.has("use_first_pass")
            && theirs.rc == "AUTH_ERR";
        prompts_again.then(|| {
            let mut again = self.clone();
            again.args.retain(|arg| *arg != "try_first_pass");
            again
        })
    }

    /// Field 5 of a line just written for a TOTP code that has the token's own number of digits is
    /// a sum of window offsets in the original, the code's time step in ours.
    fn translate_time_step(&self, expected: &mut Answer, got: &Answer) {
        let (Some(theirs), Some(ours)) = (&mut expected.after, &got.after) else {
            return;
        };
        let mut before = self.usersfile.split('\n');
        let mut ours = ours.split('\n');
        let lines: Vec<String> = theirs
            .split('\n')
            .map(|line| {
                let ours = ours.next().unwrap_or_default();
                if before.next() == Some(line) {
                    return line.to_owned();
                }
                let mut written: Vec<&str> = line.split('\t').collect();
                if let (Some(ours), [type_, _, _, secret, counter, otp, _]) =
                    (ours.split('\t').nth(4), &mut written[..])
                {
                    let whole_code = time_token(type_).filter(|(_, digits)| otp.len() == *digits);
                    if *secret == "-" {
                        // The line lacked its secret: whose code it was can't be seen in it.
                        *counter = ours;
                    } else if let Some((step, _)) = whole_code {
                        let in_reach = |at: u64| at.abs_diff(NOON as u64 / step) <= self.window();
                        let right = ours
                            .parse()
                            .is_ok_and(|at| in_reach(at) && shows(secret, at, otp));
                        *counter = if right {
                            ours
                        } else {
                            "THE TIME STEP OF THIS CODE"
                        };
                    }
                }
                written.join("\t")
            })
            .collect();
        *theirs = lines.join("\n");
    }
}

/// The user's lines of a type that both modules know, as fields.
fn lines_of<'a>(usersfile: &'a str, user: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let lines = usersfile.split('\n').map(fields);
    lines.filter(move |f| f.get(1) == Some(&user) && TYPES.contains(&f[0]))
}

fn fields(line: &str) -> Vec<&str> {
    line.split([' ', '\t', '\r'])
        .filter(|field| !field.is_empty())
        .collect()
}

/// COUNTER as strtoull reads it, which turns negative numbers around and stops at the largest.
fn counter_of(field: &str) -> Option<u64> {
    let number: i128 = field.parse().ok()?;
    let is_too_large = number.unsigned_abs() > u64::MAX.into();
    Some(if is_too_large {
        u64::MAX
    } else {
        number as u64
    })
}

/// The seconds of a step and the digits of this type, if it is one by time.
fn time_token(type_: &str) -> Option<(u64, usize)> {
    let mut parts = type_.strip_prefix("HOTP/T")?.split('/');
    let step = parts.next()?.parse().ok()?;
    Some((
        step,
        parts
            .next()
            .map_or(6, |digits| digits.parse().expect("a known type")),
    ))
}

/// Whether this token shows this code, of 6 to 8 digits, at this time step.
fn shows(secret: &str, step: u64, code: &str) -> bool {
    is_hex(secret)
        && (6..=8).contains(&code.len())
        && Token::new(secret).digits(code.len()).code(step) == code
}

fn is_hex(secret: &str) -> bool {
    secret.len() % 2 == 0 && secret.bytes().all(|c| c.is_ascii_hexdigit())
}

const TYPES: &[&str] = &[
    "HOTP/T30/6",
    "HOTP/T30",
    "HOTP",
    "HOTP/E/6",
    "HOTP/T30/7",
    "HOTP/T30/8",
    "HOTP/T60",
    "HOTP/T60/6",
    "HOTP/T60/7",
    "HOTP/T60/8",
    "HOTP/E",
    "HOTP/E/7",
    "HOTP/E/8",
];
const OTHER_TYPES: &[&str] = &[
    "#",
    "//",
    "hotp",
    "TOTP",
    "HOTP/",
    "HOTP/X",
    "HOTP/E/",
    "HOTP/E/5",
    "HOTP/E/9",
    "HOTP/E/66",
    "HOTP/E/06",
    "HOTP/T",
    "HOTP/T0",
    "HOTP/T30/",
    "HOTP/T30/5",
    "HOTP/T30/9",
    "HOTP/T-30",
    "HOTP/T30/6/",
    "HOTP/T30/6/MD5",
    "HOTP/T86401",
    "HOTP/T30s",
    "xHOTP",
    "#HOTP",
    "HOTP#",
];
const SECRETS: &[&str] = &[
    "3132333435363738393031323334353637383930",
    "abcdefABCDEF0123456789abcdefABCDEF012345",
    "00",
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
];
const BAD_SECRETS: &[&str] = &[
    "zz", "123", "3", "-", "+", "0x11", "11 22", "11-22", "3132zz", "31:32", "ż", "=", "'31'",
];
const PINS: &[&str] = &[
    "pw",
    "1234",
    "123456",
    "--",
    "++",
    "-x",
    "Zażółć",
    "p#w",
    "\"pw\"",
    "0",
];
const ODD_COUNTERS: &[&str] = &[
    "007",
    "-1",
    "+3",
    "x",
    "3x",
    "0x3",
    "3.",
    "",
    "- 5",
    "18446744073709551615",
    "18446744073709551614",
    "18446744073709551616",
    "99999999999999999999999",
    "9223372036854775807",
    "-18446744073709551615",
    "٣",
];
const ODD_LAST_OTPS: &[&str] = &[
    "1",
    "12345",
    "1234567",
    "123456789",
    "abcdef",
    "-",
    "000000",
    "+",
    "٣",
    "12345678901234567890",
];
const LAST_TIMES: &[&str] = &[
    "2026-01-15T11:59:30L",
    "2026-01-15T12:00:00L",
    "2030-01-01T00:00:00L",
    "2026-1-5T1:2:3L",
    "2026-02-31T00:00:00L",
    "0000-01-15T11:59:30L",
    "26-01-15T11:59:30L",
    "2026-01-15T23:59:60L",
    "2026-01-15T23:59:62L",
    "2026-01-15T24:00:00L",
    "2026-13-15T12:00:00L",
    "2026-01-15T12:00:00",
    "2026-01-15T12:00:00Z",
    "2026-01-15T12:00:00LL",
    "2026-01-15T12:00L",
    "2026-01-15",
    "L",
    "x",
    "12026-01-15T11:59:30L",
    "2026-001-15T11:59:30L",
    "2026-01-15t11:59:30L",
    "1969-12-31T23:59:58L",
];
const ARGS: &[&str] = &[
    "window=0",
    "window=1",
    "window=2",
    "window=8",
    "window=20",
    "window=60",
    "window=x",
    "window=",
    "window=+2",
    "window=0x2",
    "window=2.9",
    "window=3s",
    "window",
    "windows=1",
    "Window=0",
    "digits=6",
    "digits=7",
    "digits=8",
    "digits=0",
    "digits=5",
    "digits=9",
    "digits=x",
    "digits=6x",
    "digits=",
    "digits=-6",
    "digits=+6",
    "use_first_pass",
    "try_first_pass",
    "alwaysok",
    "debug",
    "no_usersfile_okay",
    "use_first_passX",
    "try_first_pass=1",
    "alwaysok=0",
    "nulok",
    "user=alice",
    "=",
    "usersfile",
];

/// What a person types.
#[derive(Clone, Debug)]
enum Typed {
    Nothing,
    Text(String),
    /// What the token of one of the user's lines shows, `offset` moving factors from what it should
    /// be by that line, with the line's PIN before it.
    Aimed {
        line: usize,
        offset: i64,
        digits: Option<usize>,
    },
}

impl Typed {
    fn at(self, usersfile: &str, user: &str) -> Option<String> {
        match self {
            Typed::Nothing => None,
            Typed::Text(text) => Some(text),
            Typed::Aimed {
                line,
                offset,
                digits,
            } => {
                let lines: Vec<_> = lines_of(usersfile, user).collect();
                let aimed = lines.get(line % lines.len().max(1));
                aimed
                    .and_then(|fields| aim(fields, offset, digits))
                    .or(Some("000000".into()))
            }
        }
    }
}

fn aim(fields: &[&str], offset: i64, digits: Option<usize>) -> Option<String> {
    let [type_, _, pin, secret, used @ ..] = fields else {
        return None;
    };
    let (now, own_digits) = match time_token(type_) {
        Some((step, digits)) => (NOON as u64 / step, digits),
        None => {
            let used = used.first().and_then(|counter| counter.parse().ok());
            (
                used.unwrap_or(0),
                type_
                    .split('/')
                    .nth(2)
                    .map_or(6, |digits| digits.parse().unwrap()),
            )
        }
    };
    let pin = if ["-", "+"].contains(pin) { "" } else { pin };
    let token = is_hex(secret).then(|| Token::new(secret).digits(digits.unwrap_or(own_digits)))?;
    Some(format!(
        "{pin}{}",
        token.code(now.wrapping_add_signed(offset))
    ))
}

/// A person at a prompt, a usersfile and a PAM line.
fn attempt() -> impl Strategy<Value = Attempt> {
    let responses = vec(
        prop_oneof![40 => response(), 1 => Just(Typed::Nothing)],
        1..3,
    );
    let user = prop_oneof![20 => Just("alice"), 2 => Just("bob"), 1 => Just("carol")];
    let stacked = option::weighted(0.25, response());
    (usersfile(), args(), user, responses, stacked)
        .prop_map(|(usersfile, args, user, responses, stacked)| {
            let typed = |typed: Typed| typed.at(&usersfile, user);
            let responses = responses.into_iter().map(typed).collect();
            let stacked = stacked.and_then(typed);
            Attempt {
                usersfile,
                args,
                user,
                responses,
                stacked,
            }
        })
        // What alwaysok makes of a stacked token that fails, where ours would prompt, is not the
        // original's to tell.
        .prop_filter("alwaysok with try_first_pass", |attempt| {
            !(attempt.has("alwaysok") && attempt.has("try_first_pass"))
        })
}

fn args() -> impl Strategy<Value = Vec<&'static str>> {
    let window = option::weighted(0.5, select(&["window=20", "window=2", "window=0"][..]));
    let digits = option::weighted(0.5, select(&["digits=6", "digits=7", "digits=8"][..]));
    (window, digits, vec(select(ARGS), 0..3))
        .prop_map(|(window, digits, more)| window.into_iter().chain(digits).chain(more).collect())
}

fn usersfile() -> impl Strategy<Value = String> {
    let line = prop_oneof![8 => token_line(), 1 => other_line()];
    (vec(line, 1..5), prop::bool::weighted(0.1)).prop_map(|(lines, unfinished)| {
        let mut text = lines.concat();
        if unfinished {
            text.pop();
        }
        text
    })
}

/// Comments, blank lines and whatever else stands in a file.
fn other_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just(" \t \n".to_owned()),
        Just("\r\n".to_owned()),
        "# [a-z é/]{0,12}\n",
        "[A-Z/]{1,6}[ \t]alice[ \t]-[ \t][0-9a-f]{0,8}\n",
        "[ -~]{0,20}\n",
    ]
}

/// A line of fields, whole for the most part.
fn token_line() -> impl Strategy<Value = String> {
    let type_ = prop_oneof![12 => common(TYPES), 1 => select(OTHER_TYPES)];
    let user = prop_oneof![
        20 => Just("alice"), 3 => Just("bob"), 1 => select(&["alicex", "alic", "Alice", "-", "ż"][..])
    ];
    let pin = pin();
    let secret = prop_oneof![
        15 => common(SECRETS).prop_map(str::to_owned),
        1 => common(SECRETS).prop_map(str::to_uppercase),
        1 => select(BAD_SECRETS).prop_map(str::to_owned),
    ];
    let counter = prop_oneof![
        4 => (0..12_u64).prop_map(|counter| counter.to_string()),
        1 => (-30..30_i64).prop_map(|offset| (NOON / 30 + offset).to_string()),
        1 => select(ODD_COUNTERS).prop_map(str::to_owned),
    ];
    let last_otp = prop_oneof![8 => code(), 1 => select(ODD_LAST_OTPS).prop_map(str::to_owned)];
    let last_time = prop_oneof![6 => Just(LAST_TIMES[0]), 1 => select(LAST_TIMES)];
    let whole = (type_, user, pin, secret, counter, last_otp, last_time);
    let length = prop_oneof![1 => 1..4_usize, 8 => Just(4), 4 => Just(5), 1 => Just(6), 8 => Just(7), 1 => Just(8)];
    let gap = prop_oneof![20 => Just("\t"), 2 => Just(" "), 1 => Just(" \t  "), 1 => Just("\r")];
    let start = prop_oneof![20 => Just(""), 1 => Just(" "), 1 => Just("\t\t"), 1 => Just("\r")];
    let end = prop_oneof![15 => Just("\n"), 3 => Just("\r\n"), 1 => Just("  \n"), 1 => Just("\r\r\n"), 1 => Just("\t\r\n")];
    (whole, length, gap, start, end).prop_map(|(whole, length, gap, start, end)| {
        let (type_, user, pin, secret, counter, last_otp, last_time) = &whole;
        let fields = [
            type_, *user, pin, secret, counter, last_otp, last_time, "more",
        ];
        format!("{start}{}{end}", fields[..length].join(gap))
    })
}

fn pin() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just("-"), 3 => Just("+"), 3 => Just(PINS[0]), 1 => select(PINS)]
}

/// What is typed: nearly a code, with or without a PIN before it.
fn response() -> impl Strategy<Value = Typed> {
    let pin = prop_oneof![10 => Just(""), 4 => Just(PINS[0]), 1 => select(PINS)];
    let offset = prop_oneof![3 => -2..4_i64, 1 => -30..31_i64];
    let digits = prop_oneof![12 => Just(None), 1 => (6..9_usize).prop_map(Some)];
    let text = prop_oneof![
        15 => (pin, code()).prop_map(|(pin, code)| format!("{pin}{code}")),
        1 => "[0-9]{0,10}",
        1 => "\\PC{0,12}",
        1 => (code(), "[ \r\n\tx]").prop_map(|(code, more)| code + &more),
    ];
    prop_oneof![
        1 => text.prop_map(Typed::Text),
        2 => (0..4_usize, offset, digits)
            .prop_map(|(line, offset, digits)| Typed::Aimed { line, offset, digits }),
    ]
}

/// A code that a token in the usersfile may well show, now or nearly so.
fn code() -> impl Strategy<Value = String> {
    let digits = prop_oneof![8 => Just(6), 1 => Just(7), 1 => Just(8)];
    let moving_factor = prop_oneof![
        4 => (-8..9_i64).prop_map(|offset| (NOON / 30 + offset) as u64),
        1 => (-30..31_i64).prop_map(|offset| (NOON / 30 + offset) as u64),
        2 => (-8..9_i64).prop_map(|offset| (NOON / 60 + offset) as u64),
        3 => 0..20_u64,
        1 => (0..3_u64).prop_map(|less| u64::MAX - less),
    ];
    (common(SECRETS), digits, moving_factor)
        .prop_map(|(secret, digits, factor)| Token::new(secret).digits(digits).code(factor))
}

/// One of these, the first one every other time.
fn common(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![1 => Just(from[0]), 1 => select(from)]
}
