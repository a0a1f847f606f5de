//! The decision about a response, by a secret file, what was typed and the time, and what to record
//! in the file. Pure: no file, no clock.

use subtle::{Choice, ConstantTimeEq};

use super::format::{
    Document, Malformed, Name, SCRATCH_CODE_DIGITS, Skewed, list_value, skewed_value,
};
use super::options::Options;
use crate::login::Compared;
use crate::otp::{Algorithm, Code, Key, find, time_step};

/// How many digits a code has.
const DIGITS: usize = 6;
/// How far from the server's time a code is looked for that is not in the window, in time steps:
/// half a day with steps of 30 seconds.
const SKEW_SEARCH: i64 = 1499;
/// How many codes from outside the window, one after the other, show how far a token's clock is
/// ahead.
const SKEWED_CODES: usize = 3;

/// What the password begins with that OpenSSH passes to PAM in place of the one that was typed, for
/// a user whom it will not let in.
const SSHD_PLACEHOLDER: &[u8] = b"\x08\n\r\x7fINCORRECT";

/// One attempt to log in.
pub struct Attempt<'a, 'h> {
    /// What was typed; nothing if there was no answer.
    pub response: &'a [u8],
    /// Whether a password may stand before the code.
    pub may_have_password: bool,
    /// When the attempt is made, in seconds since 1970.
    pub unix_time: u64,
    /// Where the user comes from, if it is a name that can stand in the file.
    pub host: Option<&'h [u8]>,
}

/// Whether a code is good, and what else an attempt shows.
pub struct Decision<'a> {
    /// Whether the code was accepted, or why it was refused.
    pub result: Result<Accepted, Refusal>,
    /// What was typed before the code.
    pub password: &'a [u8],
    /// What was compared: whether a refusal counts as a failure for the throttle.
    pub compared: Compared,
}

impl Decision<'_> {
    /// Nothing was compared.
    pub(super) fn refused(refusal: Refusal) -> Self {
        Decision {
            result: Err(refusal),
            password: b"",
            compared: Compared::Nothing,
        }
    }
}

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A code of the token.
    Code,
    /// A scratch code; so many are left.
    ScratchCode {
        /// How many can still be used.
        left: usize,
    },
}

/// Why a code was refused. Nothing of what was typed or of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to check a code against, see the log line before.
    #[error("the secret file cannot be used")]
    NoSecret,
    /// Nothing was typed.
    #[error("no one-time password: nothing was typed")]
    NoResponse,
    /// What sshd passes on for a user whom it will not let in, whatever is typed.
    #[error(
        "sshd does not let this user in (AllowUsers, PermitRootLogin, ...) \
         and passes on no code"
    )]
    NotFromUser,
    /// What was typed does not end in a code.
    #[error("no one-time password: what was typed does not end in 6 digits")]
    NoCode,
    /// The code is not in the window.
    #[error("wrong one-time password")]
    WrongOtp,
    /// The file says neither TOTP_AUTH nor HOTP_COUNTER, so that only scratch codes are good.
    #[error("the secret file has neither TOTP_AUTH nor HOTP_COUNTER: only scratch codes are good")]
    NoMovingFactor,
    /// The code was used before.
    #[error("one-time password used before")]
    Replayed,
    /// A step that was used lies after the whole window.
    #[error(
        "a time step in DISALLOW_REUSE is in the future: if the clock was once ahead, remove it"
    )]
    LastUsedInFuture,
    /// The code belongs to a time outside the window.
    #[error(
        "the code is {steps} time steps away: two more, one after the other, \
         set the clock of the token right"
    )]
    Skewed {
        /// How far the token's clock is ahead, behind if negative.
        steps: i64,
    },
    /// There were too many tries, see RATE_LIMIT.
    #[error("too many tries (RATE_LIMIT); the next is taken in {wait} seconds")]
    TooManyTries {
        /// Seconds.
        wait: u64,
    },
    /// A field of the file cannot be used.
    #[error("{0}")]
    Malformed(Malformed),
}

impl Refusal {
    /// The line of the file that it is about, counted from 1.
    pub fn line(&self) -> Option<usize> {
        match self {
            Refusal::Malformed(malformed) => Some(malformed.line),
            _ => None,
        }
    }

    /// Whether another response may still be taken in the same login: `try_first_pass` asks after a
    /// stacked token that is no good code, and does not after one that is a code of another time, or
    /// where no code would be good.
    pub fn may_ask_again(&self) -> bool {
        match self {
            // Without a counter no code is good; a scratch code is.
            Refusal::Malformed(malformed) => malformed.option == Name::HotpCounter,
            Refusal::Replayed
            | Refusal::LastUsedInFuture
            | Refusal::Skewed { .. }
            | Refusal::TooManyTries { .. } => false,
            _ => true,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Refusal::Malformed(malformed)
    }
}

/// What of a login can be told before the user is asked.
pub enum Beforehand {
    /// The user has to be asked.
    Ask,
    /// A code was asked for at the same host within `grace_period`.
    WithinGrace,
    /// The login is refused, whatever the user types.
    Refused(Refusal),
}

/// What can be told of a login before the user is asked.
pub fn before_the_prompt(
    file: &Document,
    host: Option<&[u8]>,
    unix_time: u64,
    options: &Options,
) -> Beforehand {
    let asked = host.and_then(|host| file.last_asked(host));
    let is_within =
        |asked: u64| asked <= unix_time && unix_time < asked.saturating_add(options.grace_period);
    if asked.is_some_and(is_within) && file.secret().is_some() {
        return Beforehand::WithinGrace;
    }
    match file.rate_limit() {
        Some(Err(malformed)) => Beforehand::Refused(malformed.into()),
        Some(Ok(mut limit)) => match limit.count(unix_time) {
            Ok(()) => Beforehand::Ask,
            Err(wait) => Beforehand::Refused(Refusal::TooManyTries { wait }),
        },
        None => Beforehand::Ask,
    }
}

/// Counts a try for RATE_LIMIT in the file's text. To be recorded before [`decide`] compares anything:
/// a guess whose outcome cannot be written would be free otherwise.
///
/// # Errors
/// [`Refusal::TooManyTries`], or the limit is malformed.
pub fn count_try(file: &mut Document, unix_time: u64) -> Result<(), Refusal> {
    let Some(limit) = file.rate_limit() else {
        return Ok(());
    };
    let mut limit = limit?;
    limit
        .count(unix_time)
        .map_err(|wait| Refusal::TooManyTries { wait })?;
    file.set(Name::RateLimit, &limit.to_value());
    Ok(())
}

/// Decides about `attempt`, and changes the file's text to what is to be recorded.
pub fn decide<'a>(
    file: &mut Document,
    attempt: &Attempt<'a, '_>,
    options: &Options,
) -> Decision<'a> {
    let mut decision = Decision::refused(Refusal::NoSecret);
    let Some(secret) = file.secret() else {
        return decision;
    };
    if attempt.response.is_empty() {
        decision.result = Err(Refusal::NoResponse);
        return decision;
    }
    if attempt.response.starts_with(SSHD_PLACEHOLDER) {
        decision.result = Err(Refusal::NotFromUser);
        return decision;
    }
    decision.compared = Compared::NoCode;
    if let Some((password, code)) = split::<SCRATCH_CODE_DIGITS>(attempt) {
        decision.compared = Compared::Code;
        if file.use_scratch_code(code) {
            let left = file.scratch_codes();
            decision.result = Ok(Accepted::ScratchCode { left });
            decision.password = password;
        }
    }
    if decision.result.is_err() {
        let (password, result) = match split::<DIGITS>(attempt) {
            Some((password, code)) => {
                decision.compared = Compared::Code;
                let key = Key::new(Algorithm::Sha1, &secret);
                (password, check_code(file, &key, code, attempt, options))
            }
            None => (&b""[..], Err(Refusal::NoCode)),
        };
        decision.result = result.map(|()| Accepted::Code);
        decision.password = password;
    }
    if decision.result.is_ok() && options.grace_period > 0 {
        if let Some(host) = attempt.host {
            file.set_last_asked(host, attempt.unix_time);
        }
    }
    decision
}

/// The code of so many digits at the end of a response, and the password before it.
fn split<'a, const N: usize>(attempt: &Attempt<'a, '_>) -> Option<(&'a [u8], &'a [u8; N])> {
    let (password, code) = attempt.response.split_last_chunk::<N>()?;
    let fits = attempt.may_have_password || password.is_empty();
    (fits && code.iter().all(u8::is_ascii_digit)).then_some((password, code))
}

fn check_code(
    file: &mut Document,
    key: &Key,
    code: &[u8; DIGITS],
    attempt: &Attempt,
    options: &Options,
) -> Result<(), Refusal> {
    let code = Code::parse(code).ok_or(Refusal::NoCode)?;
    match file.hotp_counter() {
        Some(counter) => check_hotp(file, key, &code, counter?),
        None if file.has_totp() => check_totp(file, key, &code, attempt, options),
        None => Err(Refusal::NoMovingFactor),
    }
}

/// Looks for the code among the next counters (RFC 4226, section 7.2). A wrong code changes nothing,
/// whatever `no_increment_hotp` says: anybody could shut the owner out by typing wrong codes.
fn check_hotp(file: &mut Document, key: &Key, code: &Code, counter: u64) -> Result<(), Refusal> {
    let last = counter.saturating_add(u64::from(file.window_size()?) - 1);
    let [found] = find(key, counter..=last, [Some(code)]);
    let found = found.ok_or(Refusal::WrongOtp)?;
    let next = counter.saturating_add(found as u64 + 1);
    file.set(Name::HotpCounter, next.to_string().as_bytes());
    Ok(())
}

/// Looks for the code in the window of time steps (RFC 6238, section 5.2), and if it is not there,
/// learns from it how far the token's clock is off.
fn check_totp(
    file: &mut Document,
    key: &Key,
    code: &Code,
    attempt: &Attempt,
    options: &Options,
) -> Result<(), Refusal> {
    let now = time_step(attempt.unix_time, file.step_size()?) as i64;
    let window = i64::from(file.window_size()?);
    let used = match file.used_steps() {
        None => options.disallow_reuse.then(|| Ok(Vec::new())),
        used => used,
    };
    let middle = now.saturating_add(file.time_skew());
    let first = middle.saturating_sub((window - 1) / 2);
    let last = middle.saturating_add(window / 2);
    if let Some(step) = find_step(key, code, first, last) {
        if let Some(used) = used.transpose()? {
            if is_used(&used, step) {
                return Err(Refusal::Replayed);
            }
            if is_forgotten(&used, step, window) {
                return Err(Refusal::LastUsedInFuture);
            }
            record_step(file, used, step, window);
        }
        return Ok(());
    }
    if options.no_skew_adjustment {
        return Err(Refusal::WrongOtp);
    }
    let step = find_nearest_step(key, code, now).ok_or(Refusal::WrongOtp)?;
    let used = used.transpose()?;
    let is_before = |used: &Vec<i64>| used.iter().any(|&used| step <= used);
    if used.as_ref().is_some_and(is_before) {
        // Whoever has seen used codes could move the window back to them.
        return Err(Refusal::Replayed);
    }
    learn_skew(file, used, step, now, window)
}

/// The step from `first` to `last` that gives the code.
fn find_step(key: &Key, code: &Code, first: i64, last: i64) -> Option<i64> {
    let first = first.max(0);
    let steps = u64::try_from(first).ok()?..=u64::try_from(last).ok()?;
    let [found] = find(key, steps, [Some(code)]);
    Some(first + found? as i64)
}

/// The step that gives the code, of several the one that is nearest: of 2999 codes of six digits two
/// may be the same.
fn find_nearest_step(key: &Key, code: &Code, now: i64) -> Option<i64> {
    let both = |far| [now + far, now - far];
    let steps = || (0..=SKEW_SEARCH).flat_map(both).filter(|&step| step >= 0);
    let [found] = find(key, steps().map(i64::unsigned_abs), [Some(code)]);
    steps().nth(found?)
}

fn is_used(used: &[i64], step: i64) -> bool {
    let matches = |found: Choice, used: &i64| found | used.ct_eq(&step);
    used.iter().fold(Choice::from(0), matches).into()
}

/// Whether a step may have been used and taken from the list since: that is done with the steps that
/// lie a whole window before one that is used. No such step is in the window, unless the clock, or
/// what was learned of the token's, went back.
fn is_forgotten(used: &[i64], step: i64, window: i64) -> bool {
    used.iter().any(|&used| step <= used.saturating_sub(window))
}

/// Records a step as used, after these.
fn record_step(file: &mut Document, mut used: Vec<i64>, step: i64, window: i64) {
    used.retain(|&used| used > step.saturating_sub(window));
    used.push(step);
    file.set(Name::DisallowReuse, &list_value(&used));
}

/// Remembers a code from outside the window. With the third of three that follow each other and are
/// as far ahead, give or take a step, TIME_SKEW becomes that, and the code is good.
fn learn_skew(
    file: &mut Document,
    used: Option<Vec<i64>>,
    step: i64,
    now: i64,
    window: i64,
) -> Result<(), Refusal> {
    let skew = step - now;
    let mut seen = file.resetting_time_skew();
    let is_same_code = |last: &Skewed| last.step.checked_add(last.skew) == Some(step);
    if !seen.last().is_some_and(is_same_code) {
        seen.push(Skewed { step: now, skew });
        let too_many = seen.len().saturating_sub(SKEWED_CODES);
        seen.drain(..too_many);
        if is_a_skew(&seen) {
            let sum: i64 = seen.iter().map(|entry| entry.skew).sum();
            file.set(Name::ResettingTimeSkew, b"");
            let mean = (sum / SKEWED_CODES as i64).to_string();
            file.set(Name::TimeSkew, mean.as_bytes());
            if let Some(used) = used {
                record_step(file, used, step, window);
            }
            return Ok(());
        }
        file.set(Name::ResettingTimeSkew, &skewed_value(&seen));
    }
    Err(Refusal::Skewed { steps: skew })
}

/// Whether these codes follow each other by one or two steps and are as far ahead, give or take one.
fn is_a_skew(seen: &[Skewed]) -> bool {
    let follow = |pair: &[Skewed]| {
        let distance = pair[1].step.checked_sub(pair[0].step);
        matches!(distance, Some(1 | 2))
    };
    let skews = || seen.iter().map(|entry| entry.skew);
    let (least, most) = (skews().min(), skews().max());
    let differ = least
        .zip(most)
        .and_then(|(least, most)| most.checked_sub(least));
    seen.len() == SKEWED_CODES
        && seen.windows(2).all(follow)
        && differ.is_some_and(|differ| differ <= 1)
        && skews().all(|skew| skew.abs() <= 2 * SKEW_SEARCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    const NOW: u64 = 1_768_478_400;
    const STEP: i64 = NOW as i64 / 30;

    fn totp(options: &str) -> Document {
        let text = format!("{SECRET}\n\" TOTP_AUTH\n{options}");
        Document::new(Zeroizing::new(text.into_bytes()))
    }

    fn hotp(options: &str) -> Document {
        let text = format!("{SECRET}\n{options}");
        Document::new(Zeroizing::new(text.into_bytes()))
    }

    fn code(moving_factor: i64) -> String {
        let key = Key::new(Algorithm::Sha1, b"12345678901234567890");
        key.code(moving_factor as u64, 6).text().as_str().to_owned()
    }

    fn text(file: &Document) -> &str {
        std::str::from_utf8(file.text()).unwrap()
    }

    /// Types this, so many seconds later.
    fn log_in(
        file: &mut Document,
        typed: &str,
        later: u64,
        options: &Options,
    ) -> Result<Accepted, Refusal> {
        let attempt = Attempt {
            response: typed.as_bytes(),
            may_have_password: options.forward_pass,
            unix_time: NOW + later,
            host: Some(b"here"),
        };
        count_try(file, attempt.unix_time)?;
        decide(file, &attempt, options).result
    }

    fn types(file: &mut Document, typed: &str) -> Result<Accepted, Refusal> {
        log_in(file, typed, 0, &Options::default())
    }

    #[test]
    fn of_two_steps_that_give_the_code_the_nearer_is_learned_from() {
        for (far, near) in [(-1403, 599), (-625, -75), (946, -718)] {
            assert_eq!(code(STEP + far), code(STEP + near));
            let mut file = totp("");
            let refused = types(&mut file, &code(STEP + far));
            assert_eq!(refused, Err(Refusal::Skewed { steps: near }));
        }
    }

    #[test]
    fn the_window_reaches_as_far_back_as_forward_and_one_more_forward_if_even() {
        // No search beyond it, which takes its time.
        let options = Options {
            no_skew_adjustment: true,
            ..Options::default()
        };
        for (size, reach) in [
            (1, 0..=0),
            (2, 0..=1),
            (3, -1..=1),
            (4, -1..=2),
            (17, -8..=8),
        ] {
            for offset in -10..=10 {
                let mut file = totp(&format!("\" WINDOW_SIZE {size}\n"));
                let is_in = log_in(&mut file, &code(STEP + offset), 0, &options).is_ok();
                assert_eq!(is_in, reach.contains(&offset), "{size}: {offset}");
            }
        }
    }

    #[test]
    fn a_known_skew_moves_the_window() {
        let mut file = totp("\" TIME_SKEW 10\n");
        assert!(types(&mut file, &code(STEP + 11)).is_ok());
        assert!(types(&mut file, &code(STEP)).is_err());
    }

    #[test]
    fn a_code_is_good_once_where_reuse_is_disallowed_and_older_ones_still_are() {
        let mut file = totp("\" DISALLOW_REUSE\n");
        assert!(types(&mut file, &code(STEP)).is_ok());
        assert_eq!(types(&mut file, &code(STEP)), Err(Refusal::Replayed));
        assert!(types(&mut file, &code(STEP - 1)).is_ok());
        let used = format!("DISALLOW_REUSE {STEP} {}\n", STEP - 1);
        assert!(text(&file).ends_with(&used), "{}", text(&file));
    }

    #[test]
    fn steps_a_whole_window_before_the_code_are_forgotten_and_later_ones_never() {
        let mut file = totp(&format!(
            "\" DISALLOW_REUSE {} {} {}\n",
            STEP - 3,
            STEP - 2,
            STEP + 2
        ));
        assert!(types(&mut file, &code(STEP)).is_ok());
        let used = format!("DISALLOW_REUSE {} {} {STEP}\n", STEP - 2, STEP + 2);
        assert!(text(&file).ends_with(&used), "{}", text(&file));
        let mut file = totp(&format!("\" DISALLOW_REUSE {}\n", STEP + 3));
        assert_eq!(
            types(&mut file, &code(STEP)),
            Err(Refusal::LastUsedInFuture)
        );
        assert!(file.take_changed().is_none());
    }

    #[test]
    fn three_codes_in_a_row_that_are_as_far_ahead_teach_a_skew() {
        let mut file = totp("\" DISALLOW_REUSE\n");
        let options = Options::default();
        for (n, is_good) in [(0, false), (1, false), (2, true)] {
            let result = log_in(&mut file, &code(STEP + n + 10), 30 * n as u64, &options);
            assert_eq!(result.is_ok(), is_good, "{n}");
        }
        assert!(
            text(&file).contains("\" TIME_SKEW 10\n\" RESETTING_TIME_SKEW \n"),
            "{}",
            text(&file)
        );
        let third = log_in(&mut file, &code(STEP + 12), 60, &options);
        assert_eq!(third, Err(Refusal::Replayed), "it is recorded");
    }

    #[test]
    fn codes_too_far_apart_or_ahead_by_another_skew_teach_nothing() {
        // Steps of the server's clock, and how far the token is ahead.
        let sequences = [
            [(0, 10), (1, 10), (4, 10)],
            [(0, 10), (1, 12), (2, 10)],
            [(0, 10), (1, 10), (1, 11)],
        ];
        for sequence in sequences {
            let mut file = totp("");
            for (server, ahead) in sequence {
                let typed = code(STEP + server + ahead);
                let result = log_in(&mut file, &typed, 30 * server as u64, &Options::default());
                assert!(result.is_err(), "{sequence:?}");
            }
            assert_eq!(file.time_skew(), 0, "{sequence:?}");
        }
    }

    #[test]
    fn used_codes_and_codes_before_them_teach_no_skew() {
        for used in [-100, -90] {
            let mut file = totp(&format!("\" DISALLOW_REUSE {}\n", STEP + used));
            assert_eq!(types(&mut file, &code(STEP - 100)), Err(Refusal::Replayed));
            assert!(file.take_changed().is_none());
        }
    }

    #[test]
    fn with_noskewadj_nothing_is_learned() {
        let mut file = totp("");
        let no_skew_adjustment = Options {
            no_skew_adjustment: true,
            ..Options::default()
        };
        let result = log_in(&mut file, &code(STEP + 10), 0, &no_skew_adjustment);
        assert_eq!(result, Err(Refusal::WrongOtp));
        assert!(file.take_changed().is_none());
    }

    #[test]
    fn a_counter_moves_past_the_code_and_by_no_wrong_one() {
        let mut file = hotp("\" HOTP_COUNTER 1\n");
        assert_eq!(types(&mut file, &code(0)), Err(Refusal::WrongOtp));
        assert_eq!(types(&mut file, &code(4)), Err(Refusal::WrongOtp));
        assert!(types(&mut file, &code(3)).is_ok());
        assert_eq!(text(&file), format!("{SECRET}\n\" HOTP_COUNTER 4\n"));
        assert_eq!(types(&mut file, &code(3)), Err(Refusal::WrongOtp));
    }

    #[test]
    fn a_scratch_code_is_good_whatever_the_file_says_besides() {
        for options in [
            "",
            "\" WINDOW_SIZE x\n",
            "\" DISALLOW_REUSE x\n",
            "\" HOTP_COUNTER 0\n",
        ] {
            let mut file = hotp(&format!("{options}12345678\n87654321\n"));
            let accepted = types(&mut file, "12345678");
            assert_eq!(accepted, Ok(Accepted::ScratchCode { left: 1 }), "{options}");
            assert!(types(&mut file, "12345678").is_err());
        }
    }

    #[test]
    fn without_totp_auth_or_a_counter_no_code_is_good() {
        let mut file = hotp("");
        assert_eq!(types(&mut file, &code(STEP)), Err(Refusal::NoMovingFactor));
    }

    #[test]
    fn a_password_may_stand_before_the_code_only_if_the_next_module_gets_it() {
        let typed = format!("hunter2{}", code(STEP));
        assert_eq!(types(&mut totp(""), &typed), Err(Refusal::NoCode));
        let options = Options {
            forward_pass: true,
            ..Options::default()
        };
        let attempt = Attempt {
            response: typed.as_bytes(),
            may_have_password: true,
            unix_time: NOW,
            host: None,
        };
        let mut file = totp("");
        let decision = decide(&mut file, &attempt, &options);
        assert_eq!(decision.password, b"hunter2");
        assert!(decision.result.is_ok());
    }

    #[test]
    fn each_try_counts_for_the_limit_and_a_refused_one_does_not() {
        let mut file = totp("\" RATE_LIMIT 2 30\n");
        assert_eq!(types(&mut file, ""), Err(Refusal::NoResponse));
        assert_eq!(types(&mut file, "000000"), Err(Refusal::WrongOtp));
        let before = text(&file).to_owned();
        assert_eq!(
            types(&mut file, &code(STEP)),
            Err(Refusal::TooManyTries { wait: 31 })
        );
        assert_eq!(text(&file), before);
        let later = log_in(&mut file, &code(STEP + 1), 31, &Options::default());
        assert!(later.is_ok());
    }

    #[test]
    fn grace_begins_with_every_good_code_and_is_told_before_the_prompt() {
        let options = Options {
            grace_period: 60,
            ..Options::default()
        };
        let mut file = totp("");
        assert!(log_in(&mut file, &code(STEP), 0, &options).is_ok());
        assert!(
            text(&file).contains(&format!("\" LAST0 here {NOW}\n")),
            "{}",
            text(&file)
        );
        let is_within = |host: &[u8], time| {
            let told = before_the_prompt(&file, Some(host), time, &options);
            matches!(told, Beforehand::WithinGrace)
        };
        assert!(is_within(b"here", NOW) && is_within(b"here", NOW + 59));
        assert!(!is_within(b"here", NOW + 60) && !is_within(b"there", NOW));
        assert!(!is_within(b"here", NOW - 1), "a time of the future");
        assert!(log_in(&mut totp(""), "000000", 0, &options).is_err());
    }

    #[test]
    fn disallow_reuse_on_the_line_holds_for_a_file_that_does_not_ask_for_it() {
        let options = Options {
            disallow_reuse: true,
            ..Options::default()
        };
        let mut file = totp("");
        assert!(log_in(&mut file, &code(STEP), 0, &options).is_ok());
        assert_eq!(
            log_in(&mut file, &code(STEP), 0, &options),
            Err(Refusal::Replayed)
        );
    }
}
