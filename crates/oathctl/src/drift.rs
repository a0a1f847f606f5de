//! How far a token is from what the module expects: the phone's clock from this machine's, the
//! token's counter from the one in the file.

use std::cmp::Ordering;

use oath_core::attempt::counted;
use oath_core::login::MAX_WINDOW;
use oath_core::otp::{self, Code, Key};
use oath_core::usersfile::format::{Entry, Malformed, MovingFactor, Token};

/// How many codes or time steps a token is ahead (behind if negative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) steps: i64,
    /// The length of a time step in seconds; none for HOTP.
    pub(crate) period: Option<u32>,
}

impl Drift {
    /// Where what was typed is, if it is a code of this new token.
    pub(crate) fn of_typed(token: &Token, typed: &str, now: u64) -> Option<Drift> {
        let line = token.line();
        let entry = Entry::parse(&line)?;
        Drift::find(&entry, &Code::parse(typed.as_bytes())?, now).ok()?
    }

    /// Where a token's `code` is: within [`MAX_WINDOW`] of the time `now` (seconds since 1970),
    /// or of the counter in the file. A backup code is never ahead or behind.
    pub(crate) fn find(entry: &Entry, code: &Code, now: u64) -> Result<Option<Drift>, Malformed> {
        if entry.backup_codes_left().is_some() {
            return Ok(None);
        }
        let key = Key::new(entry.token_type.algorithm, &entry.secret()?);
        let expected = expected(entry, now)?;
        let window = u64::from(MAX_WINDOW);
        let ahead = (0..=window).filter_map(|n| expected.checked_add(n));
        let [found_ahead] = otp::find(&key, ahead, [Some(code)]);
        let behind = (0..=window).filter_map(|n| expected.checked_sub(n));
        let [found_behind] = otp::find(&key, behind, [Some(code)]);
        let found_behind = found_behind.filter(|_| period(entry).is_some());
        let steps = match (found_ahead, found_behind) {
            (Some(ahead), Some(behind)) if behind < ahead => Some(-(behind as i64)),
            (None, Some(behind)) => Some(-(behind as i64)),
            (Some(ahead), _) => Some(ahead as i64),
            (None, None) => None,
        };
        Ok(steps.map(|steps| Drift {
            steps,
            period: period(entry),
        }))
    }
}

/// The moving factor that a token is expected at: the next counter or the time step.
pub(crate) fn expected(entry: &Entry, now: u64) -> Result<u64, Malformed> {
    Ok(match entry.token_type.moving_factor {
        MovingFactor::Event => entry.token()?.counter,
        MovingFactor::Time { period } => otp::time_step(now, period),
        MovingFactor::BackupCodes { .. } => 0,
    })
}

fn period(entry: &Entry) -> Option<u32> {
    match entry.token_type.moving_factor {
        MovingFactor::Event | MovingFactor::BackupCodes { .. } => None,
        MovingFactor::Time { period } => Some(period),
    }
}

/// "the phone's clock is 3 steps (1 min 30 s) behind"
impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let steps = self.steps.unsigned_abs();
        let direction = if self.steps < 0 { "behind" } else { "ahead" };
        match (self.period, self.steps.cmp(&0)) {
            (Some(_), Ordering::Equal) => f.write_str("the phone's clock is on time"),
            (None, Ordering::Equal) => f.write_str("no code was skipped"),
            (Some(period), _) => {
                let time = duration(steps * u64::from(period));
                let steps = counted(steps, "step");
                write!(f, "the phone's clock is {steps} ({time}) {direction}")
            }
            (None, _) => write!(f, "the token is {} {direction}", counted(steps, "code")),
        }
    }
}

/// `90` is "1 min 30 s".
fn duration(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    parts.join(" ")
}
