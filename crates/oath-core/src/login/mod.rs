//! The decision: whether a code is good, by a user's tokens, what was typed and the time, and what
//! to record. Pure: values go in and come out, no file, no clock, no library.
//!
//! The order of a user's lines and the limits of a login stand here, the search of an event token's
//! window in [`hotp`], that of a time token's in [`totp`], a set of backup codes in
//! [`backup_codes`], and the clock of a token that runs fast or slow in [`drift`].

#![forbid(unsafe_code)]

mod backup_codes;
mod drift;
mod hotp;
mod totp;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::local_time::{LocalTime, Zone};
use crate::otp::{Code, Key};
use crate::pin::{self, CheckedHashes, Unchecked};
use crate::usersfile::format::{
    Entry, Field, FieldProblem, LastUsedFields, Malformed, MovingFactor,
};

/// The widest window, in moving factors on each side.
pub const MAX_WINDOW: u32 = 1000;
/// How many hashes of PINs a login computes at most.
pub const MAX_HASHES: usize = 8;
/// How many codes a login computes at most. A user who writes her own usersfile could keep a login
/// busy for an hour otherwise.
const MAX_CODES: usize = 1_000_000;

/// How many moments LAST-TIME can mean: two in the hour that the end of summer time repeats.
const READINGS_OF_LAST_TIME: usize = 2;

/// One attempt to log in.
pub struct Attempt<'a> {
    /// What was typed: a code, or a PIN and a code.
    pub response: &'a [u8],
    /// Where in the response the code begins.
    pub code_length: CodeLength,
    /// Whether the PIN field is not looked at.
    pub ignore_pin: bool,
    /// How many moving factors ahead are tried, and for TOTP as many back.
    pub window: u32,
    /// Whether the window also follows the clock of a token that runs fast or slow.
    pub drift: bool,
    /// For how many seconds after LAST-TIME the code last accepted is good again.
    pub replay_grace: u64,
    /// When the attempt is made, in seconds since 1970.
    pub unix_time: u64,
    /// Whether a journal may have to record the code in place of the file.
    pub has_journal: bool,
}

/// How many characters at the end of a response are the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeLength {
    /// All of them: there is no PIN.
    Whole,
    /// So many; what stands before is the PIN.
    Digits(usize),
    /// As many as the token's codes have digits; what stands before is the PIN.
    OfToken,
}

impl CodeLength {
    /// The same, once the token is known.
    fn of(self, entry: &Entry) -> CodeLength {
        match self {
            CodeLength::OfToken => CodeLength::Digits(entry.token_type.digits),
            code_length => code_length,
        }
    }
}

/// A line of the user's.
pub struct Candidate<'a> {
    /// Which line of the usersfile it is, counted from 1.
    pub line: usize,
    /// Its fields.
    pub entry: Entry<'a>,
    /// What a journal says was last used of its token. The later one of this and what the line
    /// says counts.
    pub journalled: Option<LastUsedFields<'a>>,
}

/// What was found out before a decision: see [`Undecided`].
pub struct Known<'a> {
    /// The hashes of PINs that have been computed.
    pub hashes: &'a CheckedHashes,
    /// The zone of LAST-TIME.
    pub zone: Option<&'a Zone>,
}

/// What has to be found out before there can be a decision.
pub enum Undecided<'a> {
    /// The hash of a PIN, by [`CheckedHashes::check`].
    Hash {
        /// The PIN field.
        hash: Zeroizing<Vec<u8>>,
        /// What was typed as the PIN.
        typed: &'a [u8],
    },
    /// The time zone: LAST-TIME has to be read.
    Zone,
}

/// Whether a code is good, and what else an attempt shows.
pub struct Decision<'a> {
    /// How the code was accepted, or why it was refused.
    pub result: Result<Accepted, Refusal>,
    /// The PIN that was typed before the code, for the module that checks it. Empty if there was
    /// none.
    pub pin: &'a [u8],
    /// What was compared before the search ended: whether a refusal counts as a failure for the
    /// throttle, whatever ended it.
    pub compared: Compared,
}

/// A code that is good, provided that `record` can be written.
pub struct Accepted {
    /// The line of the token, counted from 1.
    pub line: usize,
    /// What to record; nothing if the code was good again.
    pub record: Option<Record>,
    /// How many backup codes of the line are left, if it was one.
    pub backup_codes_left: Option<u32>,
}

/// What is to be recorded of a code that was accepted.
pub struct Record {
    /// On the line of which candidate, counted from 0.
    pub candidate: usize,
    /// COUNTER: the counter, or the time step.
    pub counter: u64,
    /// LAST-OTP.
    pub otp: Code,
}

/// What of a response was compared with the user's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compared {
    /// Nothing.
    Nothing,
    /// Something that is no code, and so could not be right.
    NoCode,
    /// A code, and the PIN before it.
    Code,
}

/// Why a code was refused. For the log, where it names the line; nothing of what was typed or of
/// the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user has no token.
    #[error("the user has no token")]
    NoToken,
    /// No token of the user has the PIN that was typed.
    #[error("wrong PIN")]
    WrongPin,
    /// What was typed does not end in a code.
    #[error("no one-time password: what was typed does not end in 6 to 8 digits")]
    NoCode,
    /// The PIN fits, but the code is not in the window.
    #[error("wrong one-time password")]
    WrongOtp {
        /// The last line that was tried.
        line: usize,
    },
    /// The code, or a later one, was used before.
    #[error("one-time password used before")]
    Replayed {
        /// The line of the token.
        line: usize,
    },
    /// The time step last used lies after the whole window, so that no code can be good.
    #[error(
        "the time step last used is in the future: if the clock was once ahead, \
         remove the fields from COUNTER on"
    )]
    LastUsedInFuture {
        /// The line of the token.
        line: usize,
    },
    /// A line of the user's that cannot be used.
    #[error("{malformed}")]
    MalformedLine {
        /// The line.
        line: usize,
        /// What is wrong with it.
        malformed: Malformed,
    },
}

impl Refusal {
    /// The line of the usersfile that it is about, counted from 1.
    pub fn line(&self) -> Option<usize> {
        match *self {
            Refusal::NoToken | Refusal::WrongPin | Refusal::NoCode => None,
            Refusal::WrongOtp { line }
            | Refusal::Replayed { line }
            | Refusal::LastUsedInFuture { line }
            | Refusal::MalformedLine { line, .. } => Some(line),
        }
    }
}

/// Decides about `attempt` by the user's lines, in file order: a PIN that does not fit and a code
/// that is not found go on to the next line; anything else ends the search.
///
/// # Errors
/// Something has to be found out first. No code has been compared then: what a guess costs is
/// counted with the decision, and a guess that was compared before would be free.
pub fn decide<'a>(
    candidates: &[Candidate],
    attempt: &Attempt<'a>,
    known: &Known,
) -> Result<Decision<'a>, Undecided<'a>> {
    let readings = readings(candidates, attempt, known)?;
    let mut refusal = Refusal::NoToken;
    let mut compared = Compared::Nothing;
    for reading in &readings {
        let line = candidates[reading.candidate].line;
        let typed = Code::parse(reading.otp);
        let compared_here = match typed {
            Some(_) => Compared::Code,
            None => Compared::NoCode,
        };
        let result = match reading.examine(candidates, typed.as_ref(), attempt, known) {
            Err(Unexamined::Zone) => return Err(Undecided::Zone),
            Err(Unexamined::Malformed(malformed)) => {
                Err(Refusal::MalformedLine { line, malformed })
            }
            Ok(outcome) => {
                compared = compared.max(compared_here);
                match outcome {
                    Outcome::WrongPin => {
                        if refusal == Refusal::NoToken {
                            refusal = Refusal::WrongPin;
                        }
                        continue;
                    }
                    Outcome::NotFound => {
                        refusal = Refusal::WrongOtp { line };
                        continue;
                    }
                    Outcome::Replayed => Err(Refusal::Replayed { line }),
                    Outcome::LastUsedInFuture => Err(Refusal::LastUsedInFuture { line }),
                    Outcome::GoodAgain => Ok(Accepted {
                        line,
                        record: None,
                        backup_codes_left: None,
                    }),
                    Outcome::Good(used) => Ok(Accepted {
                        line,
                        backup_codes_left: used.backup_codes_left,
                        record: Some(record(used, reading.candidate, candidates, attempt)),
                    }),
                }
            }
        };
        return Ok(Decision {
            result,
            pin: reading.pin,
            compared,
        });
    }
    // Where no PIN can be typed, it is the PIN that is missing.
    let has_no_pin = refusal == Refusal::WrongPin && attempt.code_length == CodeLength::Whole;
    if compared == Compared::NoCode && !has_no_pin {
        refusal = Refusal::NoCode;
    }
    Ok(Decision {
        result: Err(refusal),
        pin: match readings.first() {
            Some(reading) => reading.pin,
            None => split(attempt.response, attempt.code_length).0,
        },
        compared,
    })
}

/// A response as one complete line reads it.
struct Reading<'a> {
    /// The line's candidate, counted from 0.
    candidate: usize,
    pin: &'a [u8],
    otp: &'a [u8],
    /// Whether the PIN fits; or why the line ends the search.
    pin_fits: Result<Choice, Malformed>,
}

/// The response as every complete line reads it, up to the first that ends the search.
///
/// # Errors
/// Something has to be found out first.
fn readings<'a>(
    candidates: &[Candidate],
    attempt: &Attempt<'a>,
    known: &Known,
) -> Result<Vec<Reading<'a>>, Undecided<'a>> {
    let mut limits = Limits::default();
    let mut readings = Vec::new();
    for (n, candidate) in candidates.iter().enumerate() {
        let entry = &candidate.entry;
        if !entry.is_complete() {
            continue;
        }
        let (pin, otp) = split(attempt.response, attempt.code_length.of(entry));
        let pin_fits = match limits.count(entry, attempt) {
            Ok(()) => pin_fits(entry, pin, attempt, known)?,
            Err(malformed) => Err(malformed),
        };
        if known.zone.is_none() && attempt.reads_last_time(candidate) {
            return Err(Undecided::Zone);
        }
        let ends_search = pin_fits.is_err();
        readings.push(Reading {
            candidate: n,
            pin,
            otp,
            pin_fits,
        });
        if ends_search {
            break;
        }
    }
    Ok(readings)
}

fn pin_fits<'a>(
    entry: &Entry,
    typed: &'a [u8],
    attempt: &Attempt,
    known: &Known,
) -> Result<Result<Choice, Malformed>, Undecided<'a>> {
    let field = match entry.pin {
        _ if attempt.ignore_pin => return Ok(Ok(Choice::from(1))),
        None => return Ok(Ok(Choice::from(0))),
        Some(field) => field,
    };
    match pin::fits(field, typed, known.hashes) {
        Ok(fits) => Ok(Ok(fits)),
        Err(Unchecked::Malformed(malformed)) => Ok(Err(malformed)),
        Err(Unchecked::Hash) => Err(Undecided::Hash {
            hash: Zeroizing::new(field.to_vec()),
            typed,
        }),
    }
}

impl Attempt<'_> {
    /// Whether what LAST-TIME of a token means may matter.
    fn reads_last_time(&self, candidate: &Candidate) -> bool {
        let moving_factor = candidate.entry.token_type.moving_factor;
        if matches!(moving_factor, MovingFactor::BackupCodes { .. }) {
            return false;
        }
        let digits = candidate.entry.token_type.digits;
        let matters = |last_used: &LastUsedFields| {
            let is_of_another_length = || last_used.otp().is_some_and(|otp| otp.digits() != digits);
            last_used.has_time() && (self.drift || self.replay_grace > 0 || is_of_another_length())
        };
        matters(&candidate.entry.last_used) || candidate.journalled.as_ref().is_some_and(matters)
    }
}

/// Splits a response into PIN and code, which may have a space among its digits. What is shorter
/// than a code holds none; how long a token's code is only the token can tell.
pub fn split(response: &[u8], code_length: CodeLength) -> (&[u8], &[u8]) {
    match code_length {
        CodeLength::Whole => (b"", response),
        CodeLength::Digits(digits) => split_at_end(response, Code::length_at_end(response, digits)),
        CodeLength::OfToken => (b"", b""),
    }
}

/// What stands before the code in a response that was refused, if the arguments alone tell. As with
/// OATH Toolkit's module no space is part of the code then: it decides nothing, and is what another
/// module may see.
pub fn pin_of_refused(response: &[u8], code_length: CodeLength) -> Option<&[u8]> {
    match code_length {
        CodeLength::Whole => Some(b""),
        CodeLength::Digits(digits) => Some(split_at_end(response, digits).0),
        CodeLength::OfToken => None,
    }
}

fn split_at_end(response: &[u8], length: usize) -> (&[u8], &[u8]) {
    match response.len().checked_sub(length) {
        Some(before) => response.split_at(before),
        None => (b"", b""),
    }
}

/// What a user's lines may cost a login, whoever wrote them.
#[derive(Default)]
struct Limits {
    codes: usize,
    hashes: usize,
}

impl Limits {
    /// Counts what a line costs, which must not pass [`MAX_CODES`] and [`MAX_HASHES`].
    fn count(&mut self, entry: &Entry, attempt: &Attempt) -> Result<(), Malformed> {
        self.codes += codes_of(entry, attempt);
        self.hashes += usize::from(!attempt.ignore_pin && entry.pin.is_some_and(pin::is_hash));
        let malformed = |field, problem| Err(Malformed { field, problem });
        if self.codes > MAX_CODES {
            return malformed(Field::User, FieldProblem::TooManyTokens);
        }
        if self.hashes > MAX_HASHES {
            let limit = MAX_HASHES;
            return malformed(Field::Pin, FieldProblem::TooManyHashes { limit });
        }
        Ok(())
    }
}

/// How many codes are computed for a token at most.
fn codes_of(entry: &Entry, attempt: &Attempt) -> usize {
    if let MovingFactor::BackupCodes { number } = entry.token_type.moving_factor {
        return number as usize;
    }
    let in_window = |window: u32| 2 * window as usize + 1;
    // With `drift` every time that LAST-TIME can mean has a window of its own, see `drift`.
    let windows = match attempt.drift {
        true => 1 + READINGS_OF_LAST_TIME + drift::ZONE_CHANGES.len(),
        false => 1,
    };
    // See `Search::found_by_time`.
    let by_time = match entry.last_used.otp() {
        Some(otp) if otp.digits() != entry.token_type.digits => {
            READINGS_OF_LAST_TIME * in_window(MAX_WINDOW)
        }
        _ => 0,
    };
    windows * in_window(attempt.window) + by_time
}

/// What one line says to a response.
enum Outcome {
    WrongPin,
    NotFound,
    Replayed,
    LastUsedInFuture,
    Good(NewUse),
    /// The code last accepted, within the time in which that is allowed.
    GoodAgain,
}

/// What is recorded of a code that is good.
struct NewUse {
    /// What COUNTER holds here: the counter, or the time step.
    counter: u64,
    /// What COUNTER holds with OATH Toolkit's module: for a time step the sum of the distances from
    /// now.
    relative: u64,
    otp: Code,
    /// How many of a set of backup codes are left.
    backup_codes_left: Option<u32>,
}

/// Why a line says nothing.
enum Unexamined {
    Malformed(Malformed),
    /// The zone of LAST-TIME has to be known.
    Zone,
}

impl From<Malformed> for Unexamined {
    fn from(malformed: Malformed) -> Self {
        Unexamined::Malformed(malformed)
    }
}

impl Reading<'_> {
    /// Examines the line. The PIN decides only when all else is computed, so that the time taken
    /// does not tell a wrong PIN from a wrong code.
    fn examine(
        &self,
        candidates: &[Candidate],
        typed: Option<&Code>,
        attempt: &Attempt,
        known: &Known,
    ) -> Result<Outcome, Unexamined> {
        let candidate = &candidates[self.candidate];
        let pin_fits = self.pin_fits?;
        let outcome = match Search::new(candidate, typed, attempt, known.zone) {
            Err(malformed) => Err(malformed.into()),
            Ok(search) => match candidate.entry.token_type.moving_factor {
                MovingFactor::Event => search.hotp(),
                MovingFactor::Time { period } => search.totp(period),
                MovingFactor::BackupCodes { number } => Ok(search.backup_codes(number)),
            },
        };
        match (outcome, bool::from(pin_fits)) {
            (Ok(_) | Err(Unexamined::Malformed(_)), false) => Ok(Outcome::WrongPin),
            (outcome, _) => outcome,
        }
    }
}

/// What is recorded of the code that candidate `n` accepted, and on which line.
///
/// As in OATH Toolkit's module, an earlier line of the user that breaks off before its SECRET takes
/// the record. Here it does so only where it stands in the way of the same code from then on: its
/// PIN must fit whatever this line's PIN fits, and the record must get into the file, not into a
/// journal that knows tokens by their secrets. Nor does it take the record of backup codes: their
/// line alone says which are used.
fn record(used: NewUse, n: usize, candidates: &[Candidate], attempt: &Attempt) -> Record {
    let pin = candidates[n].entry.pin;
    let is_set = used.backup_codes_left.is_some();
    let earlier = if is_set { 0 } else { n };
    let broken_off = candidates[..earlier]
        .iter()
        .position(|Candidate { entry, .. }| {
            let fits = entry.pin == Some(b"+") || entry.pin.is_some() && entry.pin == pin;
            fits && !entry.is_complete() && !attempt.has_journal
        });
    Record {
        candidate: broken_off.unwrap_or(n),
        counter: match broken_off {
            Some(_) => used.relative,
            None => used.counter,
        },
        otp: used.otp,
    }
}

/// The search of one token's window for what was typed.
struct Search<'a> {
    key: Key,
    digits: usize,
    in_file: LastUsed,
    journalled: Option<LastUsed>,
    typed: Option<&'a Code>,
    attempt: &'a Attempt<'a>,
    zone: Option<&'a Zone>,
}

impl<'a> Search<'a> {
    fn new(
        candidate: &Candidate,
        typed: Option<&'a Code>,
        attempt: &'a Attempt<'a>,
        zone: Option<&'a Zone>,
    ) -> Result<Search<'a>, Malformed> {
        let entry = &candidate.entry;
        Ok(Search {
            key: Key::new(entry.token_type.algorithm, &entry.secret()?),
            digits: entry.token_type.digits,
            in_file: LastUsed::read(entry.last_used)?,
            journalled: candidate.journalled.map(LastUsed::read).transpose()?,
            typed,
            attempt,
            zone,
        })
    }

    /// Whether what was typed is what was used last, by the file or by the journal.
    fn was_last(&self) -> bool {
        let journalled = self.journalled.as_ref();
        self.in_file.is_of(self.typed) || journalled.is_some_and(|last| last.is_of(self.typed))
    }

    /// COUNTER, if the secret gives LAST-OTP there.
    fn proven(&self, last: &LastUsed) -> Option<u64> {
        let otp = last.otp.as_ref()?;
        let code = self.key.code(last.counter, otp.digits());
        bool::from(code.ct_eq(otp)).then_some(last.counter)
    }

    /// The moments that LAST-TIME can mean.
    fn unix_times(&self, last_time: LocalTime) -> Result<Vec<u64>, Unexamined> {
        self.zone
            .map(|zone| zone.unix_times(last_time))
            .ok_or(Unexamined::Zone)
    }

    /// Whether a code was accepted so short a time ago that it may be accepted again.
    /// `is_possible` tells which moments it can have been accepted at, of those that LAST-TIME can
    /// mean: two in the hour that the end of summer time repeats. If more than one is left, all
    /// must be short enough ago. One in the future is not.
    fn is_in_grace(
        &self,
        last: &LastUsed,
        is_possible: impl Fn(u64) -> bool,
    ) -> Result<bool, Unexamined> {
        let (Some(time), 1..) = (last.time, self.attempt.replay_grace) else {
            return Ok(false);
        };
        let mut times = self.unix_times(time)?;
        times.retain(|&time| is_possible(time));
        let is_recent = |&time: &u64| {
            let passed = self.attempt.unix_time.checked_sub(time);
            passed.is_some_and(|passed| passed <= self.attempt.replay_grace)
        };
        Ok(!times.is_empty() && times.iter().all(is_recent))
    }
}

/// What a token was last used with: COUNTER, LAST-OTP and LAST-TIME, read.
struct LastUsed {
    counter: u64,
    otp: Option<Code>,
    time: Option<LocalTime>,
}

impl LastUsed {
    fn read(last_used: LastUsedFields) -> Result<LastUsed, Malformed> {
        Ok(LastUsed {
            counter: last_used.counter()?,
            otp: last_used.otp(),
            time: last_used.time()?,
        })
    }

    fn is_of(&self, typed: Option<&Code>) -> bool {
        match (&self.otp, typed) {
            (Some(otp), Some(typed)) => otp.ct_eq(typed).into(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "3132333435363738393031323334353637383930";

    /// Nothing has been found out.
    fn decide_at_once<'a>(
        lines: &[String],
        attempt: &Attempt<'a>,
    ) -> Result<Decision<'a>, Undecided<'a>> {
        let candidates = Vec::from_iter(lines.iter().zip(1..).map(|(line, number)| Candidate {
            line: number,
            entry: Entry::parse(line.as_bytes()).unwrap(),
            journalled: None,
        }));
        let known = Known {
            hashes: &CheckedHashes::default(),
            zone: None,
        };
        decide(&candidates, attempt, &known)
    }

    fn attempt(response: &[u8], code_length: CodeLength) -> Attempt<'_> {
        Attempt {
            response,
            code_length,
            ignore_pin: false,
            window: 5,
            drift: false,
            replay_grace: 0,
            unix_time: 1_768_478_400,
            has_journal: false,
        }
    }

    fn accepts(lines: &[String], replay_grace: u64) -> Result<bool, &'static str> {
        // RFC 4226, appendix D: counter 0
        let attempt = Attempt {
            replay_grace,
            ..attempt(b"755224", CodeLength::Whole)
        };
        match decide_at_once(lines, &attempt) {
            Ok(decision) => Ok(decision.result.is_ok()),
            Err(Undecided::Hash { .. }) => Err("hash"),
            Err(Undecided::Zone) => Err("zone"),
        }
    }

    #[test]
    fn no_code_is_compared_before_all_that_the_lines_below_need_is_known() {
        let line = format!("HOTP\talice\t-\t{SECRET}");
        let hashed = format!("HOTP\talice\t$6$rounds=1000$salt$\t{SECRET}");
        let used = format!("HOTP\talice\t-\t{SECRET}\t7\t162583\t2026-01-15T12:00:00L");
        let other_length = used.replace("162583", "2162583");
        let lines = |below: &String| [line.clone(), below.clone()];
        assert_eq!(accepts(&lines(&used), 0), Ok(true));
        assert_eq!(accepts(&lines(&hashed), 0), Err("hash"));
        assert_eq!(accepts(&lines(&used), 30), Err("zone"));
        assert_eq!(accepts(&lines(&other_length), 0), Err("zone"));

        // With `drift` LAST-TIME tells where the token's clock may stand.
        let with_drift = Attempt {
            drift: true,
            ..attempt(b"755224", CodeLength::Whole)
        };
        let decision = decide_at_once(&lines(&used), &with_drift);
        assert!(matches!(decision, Err(Undecided::Zone)));

        // What the journal has of a token counts like what the line has.
        let journalled = Candidate {
            line: 1,
            entry: Entry::parse(line.as_bytes()).unwrap(),
            journalled: Some(Entry::parse(used.as_bytes()).unwrap().last_used),
        };
        let attempt = Attempt {
            replay_grace: 30,
            ..attempt(b"755224", CodeLength::Whole)
        };
        let known = Known {
            hashes: &CheckedHashes::default(),
            zone: None,
        };
        let decision = decide(&[journalled], &attempt, &known);
        assert!(matches!(decision, Err(Undecided::Zone)));
    }

    #[test]
    fn what_is_no_code_is_named_so_unless_the_pin_that_is_missing_could_not_be_typed() {
        let line = |pin: &str| [format!("HOTP\talice\t{pin}\t{SECRET}")];
        let refusal = |pin: &str, response, code_length| {
            let attempt = attempt(response, code_length);
            match decide_at_once(&line(pin), &attempt) {
                Ok(Decision { result, .. }) => result.err(),
                Err(_) => None,
            }
        };
        for (pin, response, code_length, expected) in [
            ("-", &b"12345"[..], CodeLength::Whole, Refusal::NoCode),
            ("4711", b"12345", CodeLength::Whole, Refusal::WrongPin),
            ("4711", b"12345", CodeLength::Digits(6), Refusal::NoCode),
            (
                "4711",
                b"0815123456",
                CodeLength::Digits(6),
                Refusal::WrongPin,
            ),
            ("4711", b"123456", CodeLength::Whole, Refusal::WrongPin),
            (
                "-",
                b"123456",
                CodeLength::Whole,
                Refusal::WrongOtp { line: 1 },
            ),
        ] {
            assert_eq!(refusal(pin, response, code_length), Some(expected), "{pin}");
        }
    }
}
