//! The decision: the tokens of a user, what was typed and the time give a verdict, and what to
//! record. Pure: no file, no clock, no PAM.

#![forbid(unsafe_code)]

use subtle::{Choice, ConstantTimeEq};

use zeroize::Zeroizing;

use crate::clock::{self, LocalTime, Zone};
use crate::otp::{self, Code, Key};
use crate::pin::{self, CheckedHashes, Unchecked};
use crate::usersfile::format::{Entry, Field, LastUsed, Malformed, MovingFactor};
use crate::usersfile::journal::Journal;
use crate::usersfile::{Rewrite, UserLine};

/// The widest window, in moving factors on each side.
pub const MAX_WINDOW: u32 = 1000;

/// How many codes a login computes at most. A user who writes her own usersfile could keep a login
/// busy for an hour otherwise.
const MAX_CODES: usize = 1_000_000;
/// How many hashes of PINs a login computes at most.
pub const MAX_HASHES: usize = 8;

/// How many moments LAST-TIME can mean: two in the hour that the end of summer time repeats.
const READINGS_OF_LAST_TIME: usize = 2;

/// By how much a change of the time zone may move a clock on the wall, in seconds: whole hours,
/// half hours, quarters.
const ZONE_CHANGES: [i128; 3] = [3600, 1800, 900];

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

impl Attempt<'_> {
    /// How many codes are computed for a token at most.
    fn codes_of(&self, entry: &Entry) -> usize {
        let in_window = |window: u32| 2 * window as usize + 1;
        // With `drift` every time that LAST-TIME can mean has a window of its own, see `centres`.
        let windows = match self.drift {
            true => 1 + READINGS_OF_LAST_TIME + ZONE_CHANGES.len(),
            false => 1,
        };
        // See `found_by_time`.
        let by_time = match entry.last_used.otp() {
            Some(otp) if otp.digits() != entry.token_type.digits => {
                READINGS_OF_LAST_TIME * in_window(MAX_WINDOW)
            }
            _ => 0,
        };
        windows * in_window(self.window) + by_time
    }
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

/// A moment, and the zone in which LAST-TIME is read and written.
pub struct Now {
    /// Seconds since 1970.
    pub unix_time: u64,
    /// The system's.
    pub zone: Zone,
}

/// A verdict, and the PIN that was typed before the code: for the module that checks it.
pub struct Decision<'a> {
    /// Whether the code is good.
    pub verdict: Verdict,
    /// Empty if there was none.
    pub pin: &'a [u8],
    /// What was compared before the search ended: whether a refusal counts as a failure for the
    /// throttle, whatever ended it.
    pub compared: Compared,
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

/// Why there is no decision.
pub enum Undecided<'a> {
    /// The hash of a PIN has to be computed first, by [`CheckedHashes::check`].
    Hash {
        /// The PIN field.
        hash: Zeroizing<Vec<u8>>,
        /// What was typed as the PIN.
        typed: &'a [u8],
    },
    /// LAST-TIME cannot be read or written.
    Clock(clock::Error),
}

impl From<clock::Error> for Undecided<'_> {
    fn from(error: clock::Error) -> Self {
        Undecided::Clock(error)
    }
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

/// Decides about `attempt` by the user's `lines`, in file order: a PIN that does not fit and a
/// code that is not found go on to the next line; anything else ends the search. What the
/// `journal` holds of a token counts as what its line holds.
///
/// # Errors
/// Something has to be found out first.
pub fn decide<'a>(
    lines: &[UserLine],
    journal: Option<&Journal>,
    attempt: &Attempt<'a>,
    checked: &CheckedHashes,
) -> Result<Decision<'a>, Undecided<'a>> {
    let mut refusal = Refusal::NoToken;
    let mut first_pin = None;
    let mut incomplete = Vec::new();
    let mut compared = Compared::Nothing;
    let (mut codes, mut hashes) = (0, 0);
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
        first_pin.get_or_insert(typed_pin);
        let line_number = line.number;
        let decided = |verdict, compared| {
            Ok(Decision {
                verdict,
                pin: typed_pin,
                compared,
            })
        };
        let refused = |refusal, compared| decided(Verdict::Refused(refusal), compared);
        let malformed = |malformed, compared| {
            let line = line_number;
            refused(Refusal::MalformedLine { line, malformed }, compared)
        };

        codes += attempt.codes_of(&entry);
        hashes += usize::from(!attempt.ignore_pin && entry.pin.is_some_and(pin::is_hash));
        if codes > MAX_CODES {
            let error = Malformed {
                field: Field::User,
                problem: "has more tokens than a login can try with this window",
            };
            return malformed(error, compared);
        }
        if hashes > MAX_HASHES {
            let error = Malformed {
                field: Field::Pin,
                problem: "is one hash too many; a user may have 8",
            };
            return malformed(error, compared);
        }

        // The PIN decides only when all else is computed, so that the time taken does not tell a
        // wrong PIN from a wrong code.
        let pin_fits = match pin_fits(&entry, typed_pin, attempt, checked) {
            Err(Unchecked::Hash) => {
                return Err(Undecided::Hash {
                    hash: Zeroizing::new(entry.pin.unwrap_or_default().to_vec()),
                    typed: typed_pin,
                });
            }
            Err(Unchecked::Malformed(error)) => return malformed(error, compared),
            Ok(fits) => fits,
        };
        let typed = Code::parse(typed_otp);
        let compared_here = match typed {
            Some(_) => Compared::Code,
            None => Compared::NoCode,
        };
        let journalled = journal.and_then(|journal| journal.last_used_of(&entry));
        let outcome = examine(&entry, typed.as_ref(), journalled, attempt);
        let outcome = match outcome {
            Err(Unexamined::Clock(error)) => return Err(error.into()),
            Err(Unexamined::Malformed(error)) => Err(error),
            Ok(outcome) => Ok(outcome),
        };
        if !bool::from(pin_fits) {
            compared = compared.max(compared_here);
            if refusal == Refusal::NoToken {
                refusal = Refusal::WrongPin;
            }
            continue;
        }
        let used = match outcome {
            Err(error) => return malformed(error, compared),
            Ok(Outcome::NotFound) => {
                compared = compared.max(compared_here);
                refusal = Refusal::WrongOtp { line: line_number };
                continue;
            }
            Ok(Outcome::Replayed) => {
                return refused(Refusal::Replayed { line: line_number }, compared_here);
            }
            Ok(Outcome::LastUsedInFuture) => {
                return refused(
                    Refusal::LastUsedInFuture { line: line_number },
                    compared_here,
                );
            }
            Ok(Outcome::GoodAgain) => {
                let line = line_number;
                return decided(Verdict::Accepted { line, record: None }, compared_here);
            }
            Ok(Outcome::Accepted(used)) => used,
        };

        // As in the original, an earlier line of the user that breaks off before its SECRET takes
        // the record. We let it do so only where it stands in the way of the same code from then
        // on: its PIN must fit whatever this line's PIN fits, and the record must get into the
        // file, not into a journal that knows tokens by their secrets.
        let taken = incomplete.iter().find(|(_, earlier)| {
            let fits =
                earlier.pin == Some(b"+") || earlier.pin.is_some() && earlier.pin == entry.pin;
            fits && journal.is_none()
        });
        let (line, entry, counter) = match taken {
            Some((line, entry)) => (*line, entry, used.relative),
            None => (line, &entry, used.counter),
        };
        let time = attempt.now.zone.local_time(attempt.now.unix_time)?;
        let record = Rewrite {
            span: line.span.clone(),
            text: entry.with_last_used(counter, &used.otp, time),
        };
        let accepted = Verdict::Accepted {
            line: line_number,
            record: Some(record),
        };
        return decided(accepted, compared_here);
    }
    // Where no PIN can be typed, it is the PIN that is missing.
    let has_no_pin = refusal == Refusal::WrongPin && attempt.code_length == CodeLength::Whole;
    if compared == Compared::NoCode && !has_no_pin {
        refusal = Refusal::NoCode;
    }
    Ok(Decision {
        verdict: Verdict::Refused(refusal),
        pin: first_pin.unwrap_or(split(attempt.response, attempt.code_length).0),
        compared,
    })
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

fn pin_fits(
    entry: &Entry,
    typed: &[u8],
    attempt: &Attempt,
    checked: &CheckedHashes,
) -> Result<Choice, Unchecked> {
    match entry.pin {
        _ if attempt.ignore_pin => Ok(Choice::from(1)),
        Some(field) => pin::fits(field, typed, checked),
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

/// Why a line says nothing.
enum Unexamined {
    Malformed(Malformed),
    Clock(clock::Error),
}

impl From<Malformed> for Unexamined {
    fn from(error: Malformed) -> Self {
        Unexamined::Malformed(error)
    }
}

impl From<clock::Error> for Unexamined {
    fn from(error: clock::Error) -> Self {
        Unexamined::Clock(error)
    }
}

/// What is recorded of a code that was accepted.
struct Used {
    /// What our COUNTER holds: the counter, or the time step.
    counter: u64,
    /// What OATH Toolkit's COUNTER holds: for a time step the sum of the distances from now.
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

    /// Whether it was accepted so short a time ago that it may be accepted again. `is_possible`
    /// tells which moments it can have been accepted at, of those that LAST-TIME can mean: two in
    /// the hour that the end of summer time repeats. If more than one is left, all must be short
    /// enough ago. One in the future is not.
    fn is_in_grace(
        &self,
        attempt: &Attempt,
        is_possible: impl Fn(u64) -> bool,
    ) -> Result<bool, clock::Error> {
        let (Some(time), now) = (self.time, attempt.now.unix_time) else {
            return Ok(false);
        };
        if attempt.replay_grace == 0 {
            return Ok(false);
        }
        let mut times = attempt.now.zone.unix_times(time)?;
        times.retain(|&time| is_possible(time));
        let is_recent = |&time: &u64| {
            let passed = now.checked_sub(time);
            passed.is_some_and(|passed| passed <= attempt.replay_grace)
        };
        Ok(!times.is_empty() && times.iter().all(is_recent))
    }
}

fn examine(
    entry: &Entry,
    typed: Option<&Code>,
    journalled: Option<LastUsed>,
    attempt: &Attempt,
) -> Result<Outcome, Unexamined> {
    let secret = entry.secret()?;
    let token = Token {
        key: Key::new(entry.token_type.algorithm, &secret),
        digits: entry.token_type.digits,
        in_file: Last::read(entry.last_used)?,
        journalled: journalled.map(Last::read).transpose()?,
    };
    let outcome = match entry.token_type.moving_factor {
        MovingFactor::Event => token.check_event(typed, attempt),
        MovingFactor::Time { period } => token.check_time(period, typed, attempt),
    };
    Ok(outcome?)
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

    /// HOTP: the search begins at the counter last used. Where the secret proves that counter, it
    /// is used up, in every length of a code; where it does not (another program wrote it), the
    /// code last used alone is refused, as OATH Toolkit's module does.
    fn check_event(
        &self,
        typed: Option<&Code>,
        attempt: &Attempt,
    ) -> Result<Outcome, clock::Error> {
        let latest = self.latest(|journalled| journalled.counter >= self.in_file.counter);
        let is_used_up = [Some(&self.in_file), self.journalled.as_ref()]
            .into_iter()
            .flatten()
            .any(|last| last.counter == latest.counter && self.proven(last).is_some());
        let ahead = (0..=u64::from(attempt.window)).map(|n| latest.counter.wrapping_add(n));
        let [found] = otp::find(&self.key, ahead, [typed]);
        if latest.is_of(typed) && latest.is_in_grace(attempt, |_| true)? {
            return Ok(Outcome::GoodAgain);
        }
        Ok(match (found, typed) {
            _ if self.was_last(typed) => Outcome::Replayed,
            (Some(0), _) if is_used_up => Outcome::Replayed,
            (Some(n), Some(typed)) => {
                let counter = latest.counter.wrapping_add(n as u64);
                Outcome::Accepted(Used {
                    counter,
                    relative: counter,
                    otp: typed.clone(),
                })
            }
            _ => Outcome::NotFound,
        })
    }

    /// TOTP: only a time step later than the last one used is accepted.
    fn check_time(
        &self,
        period: u32,
        typed: Option<&Code>,
        attempt: &Attempt,
    ) -> Result<Outcome, clock::Error> {
        let now = otp::time_step(attempt.now.unix_time, period);
        // COUNTER is the time step last used if the secret proves it. If not, it is the sum of
        // distances that OATH Toolkit's module keeps there.
        let proven_in_file = self.proven(&self.in_file);
        let proven_in_journal = self.journalled.as_ref().and_then(|last| self.proven(last));

        let mut steps = Vec::from_iter(around(now, attempt.window.into()));
        if attempt.drift {
            let latest = self.latest(|_| proven_in_journal > proven_in_file);
            if let Some(last_step) = proven_in_file.max(proven_in_journal) {
                for centre in centres(last_step, latest.time, now, period, attempt)? {
                    steps.extend(around(centre, attempt.window.into()));
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

        // What COUNTER does not prove is where LAST-TIME says, or looked for in the window.
        let in_file = match proven_in_file {
            None => self
                .found_by_time(&self.in_file, period, attempt)?
                .max(in_file),
            proven => proven,
        };
        let in_journal = match (proven_in_journal, &self.journalled) {
            (None, Some(last)) => self.found_by_time(last, period, attempt)?.max(in_journal),
            (proven, _) => proven,
        };
        let latest = self.latest(|_| in_journal > in_file);
        let last_step = in_file.max(in_journal);
        if latest.is_of(typed) && self.is_in_grace(latest, last_step, period, attempt)? {
            return Ok(Outcome::GoodAgain);
        }
        let was_last = self.was_last(typed);
        let (Some(step), Some(typed)) = (found, typed) else {
            return Ok(match was_last {
                true => Outcome::Replayed,
                false => Outcome::NotFound,
            });
        };
        Ok(match last_step {
            Some(last) if steps.iter().all(|&step| step < last) => Outcome::LastUsedInFuture,
            Some(last) if step <= last => Outcome::Replayed,
            _ if was_last => Outcome::Replayed,
            _ => {
                let relative = self.in_file.counter.wrapping_add(step.abs_diff(now));
                // A code of another length than the token's own is recorded as OATH Toolkit's
                // module does it, and found again by `found_by_time`.
                let is_own_length = typed.digits() == self.digits;
                Outcome::Accepted(Used {
                    counter: if is_own_length { step } else { relative },
                    relative,
                    otp: typed.clone(),
                })
            }
        })
    }

    /// COUNTER, if the secret gives LAST-OTP there.
    fn proven(&self, last: &Last) -> Option<u64> {
        let otp = last.otp.as_ref()?;
        let code = self.key.code(last.counter, otp.digits());
        bool::from(code.ct_eq(otp)).then_some(last.counter)
    }

    /// The time step of a code of another length than the token's own, whose COUNTER is a sum of
    /// distances: LAST-TIME is no further from it than that sum, nor than the widest window. Of
    /// several steps that give LAST-OTP it is the nearest.
    ///
    /// A code of the token's own length that COUNTER does not prove was not recorded here.
    fn found_by_time(
        &self,
        last: &Last,
        period: u32,
        attempt: &Attempt,
    ) -> Result<Option<u64>, clock::Error> {
        let (Some(otp), Some(time)) = (&last.otp, last.time) else {
            return Ok(None);
        };
        if otp.digits() == self.digits {
            return Ok(None);
        }
        let reach = last.counter.min(u64::from(MAX_WINDOW));
        let mut latest = None;
        for time in attempt.now.zone.unix_times(time)? {
            let steps = || around(otp::time_step(time, period), reach);
            let [found] = otp::find(&self.key, steps(), [Some(otp)]);
            latest = latest.max(found.and_then(|n| steps().nth(n)));
        }
        Ok(latest)
    }

    /// Whether the code of a `record`, of the time step `step` if that is known, may be accepted
    /// again. LAST-TIME tells when it was, and the step bounds that: it was in the window then.
    fn is_in_grace(
        &self,
        record: &Last,
        step: Option<u64>,
        period: u32,
        attempt: &Attempt,
    ) -> Result<bool, clock::Error> {
        // With `drift` the window is where the token's clock was. Further off than this, that
        // could be a change of the time zone as well.
        const MAX_SECONDS_OFF: u32 = 1800;
        let off = match attempt.drift {
            true => MAX_SECONDS_OFF / period,
            false => 0,
        };
        let reach = u64::from(attempt.window.max(off));
        record.is_in_grace(attempt, |time| {
            step.is_none_or(|step| otp::time_step(time, period).abs_diff(step) <= reach)
        })
    }
}

/// The time steps of a window in the order in which the original tries them: its centre, then one
/// later, one earlier, two later, two earlier.
fn around(centre: u64, window: u64) -> impl Iterator<Item = u64> {
    let sides = (1..=window)
        .flat_map(move |n| [centre.checked_add(n), centre.checked_sub(n)])
        .flatten();
    std::iter::once(centre).chain(sides)
}

/// Where the token's clock may stand now, by how far it was off at the last login (RFC 6238
/// section 6): the time step used then, less the one that LAST-TIME lies in.
///
/// LAST-TIME is local time. The time zone may have been changed since, by a whole number of
/// quarters of an hour, so what is left over of an hour, half an hour and a quarter are possible
/// as well. For that only the minute and the second count: in the zone of today LAST-TIME may
/// name an hour that never was. So a token is not lost by a change of zones while its clock is
/// off by less than half of that: half an hour, or 7 minutes where zones with quarters come in.
///
/// The window around the server's own clock stays open in any case, for a server whose clock was
/// wrong and has been set right.
fn centres(
    last_step: u64,
    last_time: Option<LocalTime>,
    now: u64,
    period: u32,
    attempt: &Attempt,
) -> Result<Vec<u64>, clock::Error> {
    let Some(last_time) = last_time else {
        return Ok(Vec::new());
    };
    // Wide enough for every pair of steps and every period.
    let period = i128::from(period);
    let seconds_off = |time: i128| (i128::from(last_step) - time / period) * period;
    let times = attempt.now.zone.unix_times(last_time)?;
    let as_it_reads = times.into_iter().map(|time| seconds_off(time.into()));
    let in_the_hour = i128::from(last_time.minute) * 60 + i128::from(last_time.second);
    let in_any_zone = ZONE_CHANGES.map(|change| nearest_rest(seconds_off(in_the_hour), change));
    Ok(as_it_reads
        .chain(in_any_zone)
        .map(|seconds| (seconds * 2 / period + seconds.signum()) / 2)
        .filter_map(|steps| u64::try_from(i128::from(now) + steps).ok())
        .collect())
}

/// What is left of `number` when the nearest multiple of `unit` is taken away.
fn nearest_rest(number: i128, unit: i128) -> i128 {
    let rest = number.rem_euclid(unit);
    if rest > unit / 2 { rest - unit } else { rest }
}
