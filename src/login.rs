//! The decision: the tokens of a user, what was typed and the time give a verdict, and what to
//! record. Pure: no file, no clock, no PAM.

#![forbid(unsafe_code)]

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::otp::{self, Code, Key};
use crate::usersfile::format::{Entry, Malformed, MovingFactor};
use crate::usersfile::{Rewrite, UserLine};

/// The widest window, in moving factors on each side.
pub const MAX_WINDOW: u32 = 1000;

/// One attempt to log in.
pub struct Attempt<'a> {
    /// What was typed before the code; empty where the response is a code alone.
    pub pin: &'a [u8],
    /// What was typed as the one-time password.
    pub otp: &'a [u8],
    /// How many moving factors ahead are tried, and for TOTP as many back.
    pub window: u32,
    /// Now, in seconds since 1970.
    pub unix_time: u64,
    /// Now, as LAST-TIME has it.
    pub local_time: &'a str,
}

/// What a login comes to.
pub enum Verdict {
    /// The code is good, provided that `record` can be written.
    Accepted {
        /// The line of the token, counted from 1.
        line: usize,
        /// What to write.
        record: Rewrite,
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
/// code that is not found go on to the next line; anything else ends the search.
pub fn decide(lines: &[UserLine], attempt: &Attempt) -> Verdict {
    let typed = Code::parse(attempt.otp);
    let mut refusal = Refusal::NoToken;
    let mut incomplete = Vec::new();
    for line in lines {
        let entry = line.entry();
        if !entry.is_complete() {
            incomplete.push((line, entry));
            continue;
        }
        let outcome = examine(&entry, typed.as_ref(), attempt);
        // The PIN decides only now, when all else is computed, so that the time taken does not
        // tell a wrong PIN from a wrong code.
        if !bool::from(pin_fits(&entry, attempt.pin)) {
            if refusal == Refusal::NoToken {
                refusal = Refusal::WrongPin;
            }
            continue;
        }
        let number = line.number;
        match outcome {
            Ok(Outcome::NotFound) => refusal = Refusal::WrongOtp { line: number },
            Ok(Outcome::Replayed) => return Verdict::Refused(Refusal::Replayed { line: number }),
            Ok(Outcome::LastUsedInFuture) => {
                return Verdict::Refused(Refusal::LastUsedInFuture { line: number });
            }
            Err(malformed) => {
                return Verdict::Refused(Refusal::MalformedLine {
                    line: number,
                    malformed,
                });
            }
            Ok(Outcome::Accepted(used)) => {
                // As in the original, an earlier line of the user that breaks off before its
                // SECRET takes the record. We let it do so only where it stands in the way of
                // the same code from then on: its PIN must fit whatever this line's PIN fits.
                let taken = incomplete.iter().find(|(_, earlier)| {
                    earlier.pin == Some(b"+") || earlier.pin.is_some() && earlier.pin == entry.pin
                });
                let (line, entry, counter) = match taken {
                    Some((line, entry)) => (*line, entry, used.relative),
                    None => (line, &entry, used.counter),
                };
                let otp = typed.expect("only a code that was typed is found");
                return Verdict::Accepted {
                    line: number,
                    record: Rewrite {
                        span: line.span.clone(),
                        text: entry.with_last_used(counter, &otp, attempt.local_time),
                    },
                };
            }
        }
    }
    Verdict::Refused(refusal)
}

/// Whether the PIN that was typed is the one that the line asks for: `-` for none, `+` for one
/// that another module checks.
fn pin_fits(entry: &Entry, typed: &[u8]) -> Choice {
    match entry.pin {
        None => Choice::from(0),
        Some(b"-") => typed.len().ct_eq(&0),
        Some(b"+") => Choice::from(1),
        Some(pin) => pin.ct_eq(typed),
    }
}

/// What one line says to a code, its PIN aside.
enum Outcome {
    NotFound,
    Replayed,
    LastUsedInFuture,
    Accepted(Used),
}

/// What is recorded of a code that was accepted.
struct Used {
    /// What our COUNTER holds: the counter, or the time step.
    counter: u64,
    /// What the original's COUNTER holds: for a time step the sum of the distances from now.
    relative: u64,
}

fn examine(entry: &Entry, typed: Option<&Code>, attempt: &Attempt) -> Result<Outcome, Malformed> {
    let secret = entry.secret()?;
    let counter = entry.counter()?;
    entry.check_last_time()?;
    let key = Key::new(entry.token_type.algorithm, &secret);
    let last = entry.last_otp();
    let is_last = match (typed, &last) {
        (Some(typed), Some(last)) => bool::from(typed.ct_eq(last)),
        _ => false,
    };
    match entry.token_type.moving_factor {
        MovingFactor::Event => {
            let ahead = (0..=u64::from(attempt.window)).map(|n| counter.wrapping_add(n));
            let [found] = otp::find(&key, ahead, [typed]);
            Ok(match found {
                _ if is_last => Outcome::Replayed,
                None => Outcome::NotFound,
                Some(n) => {
                    let counter = counter.wrapping_add(n as u64);
                    Outcome::Accepted(Used {
                        counter,
                        relative: counter,
                    })
                }
            })
        }
        MovingFactor::Time { period } => {
            let now = otp::time_step(attempt.unix_time, period);
            let steps = around(now, attempt.window);
            let [found, last_found] = otp::find(&key, steps.clone(), [typed, last.as_ref()]);
            // COUNTER is the time step last used if the secret proves it. If not, the original
            // wrote it, and LAST-OTP is looked for in the window, as the original does.
            let last_used = match &last {
                Some(last) if key.code(counter, last.digits()).ct_eq(last).into() => Some(counter),
                _ => last_found.and_then(|n| steps.clone().nth(n)),
            };
            let Some(step) = found.and_then(|n| steps.clone().nth(n)) else {
                return Ok(if is_last {
                    Outcome::Replayed
                } else {
                    Outcome::NotFound
                });
            };
            let latest = now.saturating_add(attempt.window.into());
            match last_used {
                Some(last) if last > latest => return Ok(Outcome::LastUsedInFuture),
                Some(last) if last >= step => return Ok(Outcome::Replayed),
                _ if is_last => return Ok(Outcome::Replayed),
                _ => {}
            }
            let relative = counter.wrapping_add(step.abs_diff(now));
            // A code that was cut shorter (or longer) than the token's own does not prove its
            // time step to the next login, so it is recorded as the original does.
            let proves_step = typed.is_some_and(|typed| typed.digits() == entry.token_type.digits);
            Ok(Outcome::Accepted(Used {
                counter: if proves_step { step } else { relative },
                relative,
            }))
        }
    }
}

/// The time steps of a window in the order in which the original tries them: now, then one later,
/// one earlier, two later, two earlier.
fn around(now: u64, window: u32) -> impl Iterator<Item = u64> + Clone {
    let sides = (1..=u64::from(window))
        .flat_map(move |n| [now.checked_add(n), now.checked_sub(n)])
        .flatten();
    std::iter::once(now).chain(sides)
}

/// Splits a response into PIN and code: with a number of `digits`, the code is the last so many
/// bytes and the PIN what stands before; without, the response is a code alone. What is shorter
/// than `digits` holds no code.
pub fn split(response: &[u8], digits: Option<usize>) -> (&[u8], &[u8]) {
    match digits.map(|digits| response.len().checked_sub(digits)) {
        None => (b"", response),
        Some(Some(pin)) => response.split_at(pin),
        Some(None) => (b"", b""),
    }
}

/// LAST-TIME for a local time: `%Y-%m-%dT%H:%M:%SL`.
pub fn last_time(now: &crate::sys::LocalTime) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}L",
        now.year, now.month, now.day, now.hour, now.minute, now.second
    ))
}
