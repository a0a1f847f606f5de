//! The decision: the tokens of a user, what was typed and the time give a verdict, and what to
//! record. Pure: no file, no clock, no PAM.

#![forbid(unsafe_code)]

use subtle::{Choice, ConstantTimeEq};

use crate::otp::{self, Code, Key};
use crate::pin;
use crate::sys::LocalTime;
use crate::usersfile::format::{Entry, LastUsed, Malformed, MovingFactor};
use crate::usersfile::journal::Journal;
use crate::usersfile::{Rewrite, UserLine};

/// The widest window, in moving factors on each side.
pub const MAX_WINDOW: u32 = 1000;

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
    /// When the attempt is made.
    pub now: Now,
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

/// A moment, and what local times mean where it is.
pub struct Now {
    /// Seconds since 1970.
    pub unix_time: u64,
    /// The same moment on the wall.
    pub local_time: LocalTime,
    /// When the clock on the wall shows a local time, earliest first.
    pub unix_times: fn(LocalTime) -> Vec<u64>,
}

/// A verdict, and the PIN that was typed before the code: for the module that checks it.
pub struct Decision<'a> {
    /// Whether the code is good.
    pub verdict: Verdict,
    /// Empty if there was none.
    pub pin: &'a [u8],
}

/// What a login comes to.
pub enum Verdict {
    /// The code is good, provided that `record` can be written.
    Accepted {
        /// The line of the token, counted from 1.
        line: usize,
        /// What to write; nothing if the code was good again.
        record: Option<Rewrite>,
    },
    /// The code is not good.
    Refused(Refusal),
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
    /// Whether somebody may have guessed: it counts for the throttle.
    pub fn is_of_a_guess(&self) -> bool {
        !matches!(self, Refusal::NoToken | Refusal::MalformedLine { .. })
    }

    /// The line of the usersfile that it is about, counted from 1.
    pub fn line(&self) -> Option<usize> {
        match *self {
            Refusal::NoToken | Refusal::WrongPin => None,
            Refusal::WrongOtp { line }
            | Refusal::Replayed { line }
            | Refusal::LastUsedInFuture { line }
            | Refusal::MalformedLine { line, .. } => Some(line),
        }
    }
}

/// Decides about `attempt` by the user's `lines`, in file order: a PIN that does not fit and a
/// code that is not found go on to the next line; anything else ends the search. What the
/// `journal` holds of a token counts as what its line holds.
pub fn decide<'a>(
    lines: &[UserLine],
    journal: Option<&Journal>,
    attempt: &Attempt<'a>,
) -> Decision<'a> {
    let mut refusal = Refusal::NoToken;
    let mut first_pin = None;
    let mut incomplete = Vec::new();
    for line in lines {
        let entry = line.entry();
        if !entry.is_complete() {
            incomplete.push((line, entry));
            continue;
        }
        let code_length = match attempt.code_length {
            CodeLength::OfToken => CodeLength::Digits(entry.token_type.digits),
            code_length => code_length,
        };
        let (typed_pin, typed_otp) = split(attempt.response, code_length);
        let decided = |verdict| Decision {
            verdict,
            pin: typed_pin,
        };
        first_pin.get_or_insert(typed_pin);
        let line_number = line.number;
        let malformed = |malformed| {
            decided(Verdict::Refused(Refusal::MalformedLine {
                line: line_number,
                malformed,
            }))
        };

        // The PIN decides only when all else is computed, so that the time taken does not tell a
        // wrong PIN from a wrong code.
        let typed = Code::parse(typed_otp);
        let journalled = journal.and_then(|journal| journal.last_used_of(&entry));
        let outcome = examine(&entry, typed.as_ref(), journalled, attempt);
        match pin_fits(&entry, typed_pin, attempt) {
            Err(error) => return malformed(error),
            Ok(fits) if !bool::from(fits) => {
                if refusal == Refusal::NoToken {
                    refusal = Refusal::WrongPin;
                }
                continue;
            }
            Ok(_) => {}
        }
        let used = match outcome {
            Err(error) => return malformed(error),
            Ok(Outcome::NotFound) => {
                refusal = Refusal::WrongOtp { line: line_number };
                continue;
            }
            Ok(Outcome::Replayed) => {
                return decided(Verdict::Refused(Refusal::Replayed { line: line_number }));
            }
            Ok(Outcome::LastUsedInFuture) => {
                let refusal = Refusal::LastUsedInFuture { line: line_number };
                return decided(Verdict::Refused(refusal));
            }
            Ok(Outcome::GoodAgain) => {
                return decided(Verdict::Accepted {
                    line: line_number,
                    record: None,
                });
            }
            Ok(Outcome::Accepted(used)) => used,
        };

        // As in the original, an earlier line of the user that breaks off before its SECRET takes
        // the record. We let it do so only where it stands in the way of the same code from then
        // on: its PIN must fit whatever this line's PIN fits.
        let taken = incomplete.iter().find(|(_, earlier)| {
            earlier.pin == Some(b"+") || earlier.pin.is_some() && earlier.pin == entry.pin
        });
        let (line, entry, counter) = match taken {
            Some((line, entry)) => (*line, entry, used.relative),
            None => (line, &entry, used.counter),
        };
        let time = last_time(&attempt.now.local_time);
        return decided(Verdict::Accepted {
            line: line_number,
            record: Some(Rewrite {
                span: line.span.clone(),
                text: entry.with_last_used(counter, &used.otp, &time),
            }),
        });
    }
    Decision {
        verdict: Verdict::Refused(refusal),
        pin: first_pin.unwrap_or(split(attempt.response, attempt.code_length).0),
    }
}

/// Splits a response into PIN and code. What is shorter than a code holds none; how long a
/// token's code is only the token can tell.
pub fn split(response: &[u8], code_length: CodeLength) -> (&[u8], &[u8]) {
    match code_length {
        CodeLength::Whole => (b"", response),
        CodeLength::Digits(digits) => match response.len().checked_sub(digits) {
            Some(pin) => response.split_at(pin),
            None => (b"", b""),
        },
        CodeLength::OfToken => (b"", b""),
    }
}

fn pin_fits(entry: &Entry, typed: &[u8], attempt: &Attempt) -> Result<Choice, Malformed> {
    match entry.pin {
        _ if attempt.ignore_pin => Ok(Choice::from(1)),
        Some(field) => pin::fits(field, typed),
        None => Ok(Choice::from(0)),
    }
}

/// What one line says to a code, its PIN aside.
enum Outcome {
    NotFound,
    Replayed,
    LastUsedInFuture,
    Accepted(Used),
    /// The code last accepted, within the time in which that is allowed.
    GoodAgain,
}

/// What is recorded of a code that was accepted.
struct Used {
    /// What our COUNTER holds: the counter, or the time step.
    counter: u64,
    /// What the original's COUNTER holds: for a time step the sum of the distances from now.
    relative: u64,
    otp: Code,
}

/// What a token was last used with, understood.
struct Last {
    counter: u64,
    otp: Option<Code>,
    time: Option<LocalTime>,
}

impl Last {
    fn read(last_used: LastUsed) -> Result<Last, Malformed> {
        Ok(Last {
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

    /// Whether it was accepted so short a time ago that it may be accepted again. Of two moments
    /// that LAST-TIME can mean the earlier counts, and one in the future is none.
    fn is_in_grace(&self, attempt: &Attempt) -> bool {
        if attempt.replay_grace == 0 {
            return false;
        }
        let times = self.time.map(attempt.now.unix_times).unwrap_or_default();
        let passed = times
            .first()
            .and_then(|&time| attempt.now.unix_time.checked_sub(time));
        passed.is_some_and(|passed| passed <= attempt.replay_grace)
    }
}

fn examine(
    entry: &Entry,
    typed: Option<&Code>,
    journalled: Option<LastUsed>,
    attempt: &Attempt,
) -> Result<Outcome, Malformed> {
    let secret = entry.secret()?;
    let token = Token {
        key: Key::new(entry.token_type.algorithm, &secret),
        digits: entry.token_type.digits,
        in_file: Last::read(entry.last_used)?,
        journalled: journalled.map(Last::read).transpose()?,
    };
    Ok(match entry.token_type.moving_factor {
        MovingFactor::Event => token.check_event(typed, attempt),
        MovingFactor::Time { period } => token.check_time(period, typed, attempt),
    })
}

/// A token's line, understood.
struct Token {
    key: Key,
    digits: usize,
    in_file: Last,
    journalled: Option<Last>,
}

impl Token {
    /// Whether `typed` is what was used last, by the file or by the journal.
    fn was_last(&self, typed: Option<&Code>) -> bool {
        let journalled = self.journalled.as_ref();
        self.in_file.is_of(typed) || journalled.is_some_and(|last| last.is_of(typed))
    }

    /// The journal's record if it is `ahead` of the file's, else that.
    fn latest(&self, ahead: impl Fn(&Last) -> bool) -> &Last {
        match &self.journalled {
            Some(journalled) if ahead(journalled) => journalled,
            _ => &self.in_file,
        }
    }

    /// HOTP: the search begins at the counter last used, whose code alone is refused.
    fn check_event(&self, typed: Option<&Code>, attempt: &Attempt) -> Outcome {
        let latest = self.latest(|journalled| journalled.counter >= self.in_file.counter);
        let ahead = (0..=u64::from(attempt.window)).map(|n| latest.counter.wrapping_add(n));
        let [found] = otp::find(&self.key, ahead, [typed]);
        if latest.is_of(typed) && latest.is_in_grace(attempt) {
            return Outcome::GoodAgain;
        }
        match (found, typed) {
            _ if self.was_last(typed) => Outcome::Replayed,
            (Some(n), Some(typed)) => {
                let counter = latest.counter.wrapping_add(n as u64);
                Outcome::Accepted(Used {
                    counter,
                    relative: counter,
                    otp: typed.clone(),
                })
            }
            _ => Outcome::NotFound,
        }
    }

    /// TOTP: only a time step later than the last one used is accepted.
    fn check_time(&self, period: u32, typed: Option<&Code>, attempt: &Attempt) -> Outcome {
        let now = otp::time_step(attempt.now.unix_time, period);
        // COUNTER is the time step last used if the secret proves it. If not, the original
        // wrote it.
        let proven_in_file = self.proven_step(&self.in_file);
        let proven_in_journal = self
            .journalled
            .as_ref()
            .and_then(|last| self.proven_step(last));

        let mut steps = Vec::from_iter(around(now, attempt.window));
        if attempt.drift {
            let latest = self.latest(|_| proven_in_journal > proven_in_file);
            if let Some(last_step) = proven_in_file.max(proven_in_journal) {
                for centre in centres(last_step, latest.time, now, period, attempt) {
                    steps.extend(around(centre, attempt.window));
                }
                steps.sort_unstable();
                steps.dedup();
            }
        }

        let in_file = self.in_file.otp.as_ref();
        let in_journal = self.journalled.as_ref().and_then(|last| last.otp.as_ref());
        let codes = [typed, in_file, in_journal];
        let [found, in_file, in_journal] =
            otp::find(&self.key, steps.iter().copied(), codes).map(|n| n.map(|n| steps[n]));

        // What the secret does not prove is looked for in the window, as the original does.
        let in_file = proven_in_file.or(in_file);
        let in_journal = proven_in_journal.or(in_journal);
        let latest = self.latest(|_| in_journal > in_file);
        if latest.is_of(typed) && latest.is_in_grace(attempt) {
            return Outcome::GoodAgain;
        }
        let was_last = self.was_last(typed);
        let (Some(step), Some(typed)) = (found, typed) else {
            return if was_last {
                Outcome::Replayed
            } else {
                Outcome::NotFound
            };
        };
        match in_file.max(in_journal) {
            Some(last) if steps.iter().all(|&step| step < last) => Outcome::LastUsedInFuture,
            Some(last) if step <= last => Outcome::Replayed,
            _ if was_last => Outcome::Replayed,
            _ => {
                let relative = self.in_file.counter.wrapping_add(step.abs_diff(now));
                // A code of another length than the token's own does not prove its time step to
                // the next login, so it is recorded as the original does.
                let proves_step = typed.digits() == self.digits;
                Outcome::Accepted(Used {
                    counter: if proves_step { step } else { relative },
                    relative,
                    otp: typed.clone(),
                })
            }
        }
    }

    fn proven_step(&self, last: &Last) -> Option<u64> {
        let otp = last.otp.as_ref()?;
        let code = self.key.code(last.counter, otp.digits());
        bool::from(code.ct_eq(otp)).then_some(last.counter)
    }
}

/// The time steps of a window in the order in which the original tries them: its centre, then one
/// later, one earlier, two later, two earlier.
fn around(centre: u64, window: u32) -> impl Iterator<Item = u64> {
    let sides = (1..=u64::from(window))
        .flat_map(move |n| [centre.checked_add(n), centre.checked_sub(n)])
        .flatten();
    std::iter::once(centre).chain(sides)
}

/// Where the token's clock may stand now, by how far it was off at the last login (RFC 6238
/// section 6): the time step used then, less the one that LAST-TIME lies in.
///
/// LAST-TIME is local time. Since then summer time may have begun or the time zone changed, both
/// by a whole number of quarters of an hour, so what is left over of an hour, half an hour and a
/// quarter are possible as well. The window around the server's own clock stays open in any
/// case, for a server whose clock was wrong and has been set right.
fn centres(
    last_step: u64,
    last_time: Option<LocalTime>,
    now: u64,
    period: u32,
    attempt: &Attempt,
) -> Vec<u64> {
    const ZONE_CHANGES: [i128; 3] = [3600, 1800, 900];
    let mut centres = Vec::new();
    for time in last_time.map(attempt.now.unix_times).unwrap_or_default() {
        // Wide enough for every pair of steps and every period.
        let steps_off = i128::from(last_step) - i128::from(otp::time_step(time, period));
        let seconds_off = steps_off * i128::from(period);
        let rests = ZONE_CHANGES.map(|change| nearest_rest(seconds_off, change));
        for seconds in [seconds_off].into_iter().chain(rests) {
            let steps = (seconds * 2 / i128::from(period) + seconds.signum()) / 2;
            centres.extend(u64::try_from(i128::from(now) + steps));
        }
    }
    centres
}

/// What is left of `number` when the nearest multiple of `unit` is taken away.
fn nearest_rest(number: i128, unit: i128) -> i128 {
    let rest = number.rem_euclid(unit);
    if rest > unit / 2 { rest - unit } else { rest }
}

/// LAST-TIME for a local time: `%Y-%m-%dT%H:%M:%SL`.
pub fn last_time(now: &LocalTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}L",
        now.year, now.month, now.day, now.hour, now.minute, now.second
    )
}
