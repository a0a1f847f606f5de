//! The window of a time token: TOTP, RFC 6238.

use super::{LastUsed, MAX_WINDOW, NewUse, Outcome, Search, Unexamined};
use crate::otp;

impl Search<'_> {
    /// Only a time step later than the last one used is accepted, whatever the window.
    ///
    /// COUNTER is the time step last used if the secret proves it. If not, it is the sum of
    /// distances that OATH Toolkit's module keeps there, and the step is where LAST-TIME says, or
    /// looked for in the window.
    pub(super) fn totp(&self, period: u32) -> Result<Outcome, Unexamined> {
        let now = otp::time_step(self.attempt.unix_time, period);
        let recorded_in_file = self.recorded_step(Some(&self.in_file), period)?;
        let recorded_in_journal = self.recorded_step(self.journalled.as_ref(), period)?;

        let steps = self.steps(now, period, recorded_in_file.step, recorded_in_journal.step)?;
        let otp_in_file = self.in_file.otp.as_ref();
        let otp_in_journal = self.journalled.as_ref().and_then(|last| last.otp.as_ref());
        let codes = [self.typed, otp_in_file, otp_in_journal];
        let [found, seen_of_file, seen_of_journal] =
            otp::find(&self.key, steps.iter().copied(), codes).map(|n| n.map(|n| steps[n]));
        let in_file = recorded_in_file.or_seen(seen_of_file);
        let in_journal = recorded_in_journal.or_seen(seen_of_journal);
        let latest = self.latest(in_file, in_journal);
        let last_step = in_file.max(in_journal);
        if latest.is_of(self.typed) && self.is_step_in_grace(latest, last_step, period)? {
            return Ok(Outcome::GoodAgain);
        }
        let was_last = self.was_last();
        let (Some(step), Some(typed)) = (found, self.typed) else {
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
                // module does it, and found again by `found_by_time`, unless it is too far off.
                let is_own_length = typed.digits() == self.digits;
                if !is_own_length && step.abs_diff(now) > u64::from(MAX_WINDOW) {
                    return Ok(Outcome::NotFound);
                }
                Outcome::Good(NewUse {
                    counter: if is_own_length { step } else { relative },
                    relative,
                    otp: typed.clone(),
                    backup_codes_left: None,
                })
            }
        })
    }

    /// The steps to be searched: the window around now, and with `drift` those around where the
    /// token's own clock may stand.
    fn steps(
        &self,
        now: u64,
        period: u32,
        in_file: Option<u64>,
        in_journal: Option<u64>,
    ) -> Result<Vec<u64>, Unexamined> {
        let window = u64::from(self.attempt.window);
        let mut steps = Vec::from_iter(around(now, window));
        let last_step = in_file.max(in_journal);
        if let (true, Some(last_step)) = (self.attempt.drift, last_step) {
            let latest = self.latest(in_file, in_journal);
            for centre in self.steps_by_drift(last_step, latest, now, period)? {
                steps.extend(around(centre, window));
            }
            steps.sort_unstable();
            steps.dedup();
        }
        Ok(steps)
    }

    /// The time step of a record: COUNTER if the secret proves it, else where LAST-TIME says.
    fn recorded_step(
        &self,
        last: Option<&LastUsed>,
        period: u32,
    ) -> Result<RecordedStep, Unexamined> {
        let proven = last.and_then(|last| self.proven(last));
        Ok(RecordedStep {
            step: match (proven, last) {
                (None, Some(last)) => self.found_by_time(last, period)?,
                (proven, _) => proven,
            },
            is_proven: proven.is_some(),
        })
    }

    /// The journal's record if its step is later than the file's, else that.
    fn latest(&self, in_file: Option<u64>, in_journal: Option<u64>) -> &LastUsed {
        match &self.journalled {
            Some(journalled) if in_journal > in_file => journalled,
            _ => &self.in_file,
        }
    }

    /// The time step of a code of another length than the token's own, whose COUNTER is a sum of
    /// distances: LAST-TIME is no further from it than that sum, nor than the widest window. Of
    /// several steps that give LAST-OTP it is the nearest.
    ///
    /// A code of the token's own length that COUNTER does not prove was not recorded here.
    fn found_by_time(&self, last: &LastUsed, period: u32) -> Result<Option<u64>, Unexamined> {
        let (Some(otp), Some(time)) = (&last.otp, last.time) else {
            return Ok(None);
        };
        if otp.digits() == self.digits {
            return Ok(None);
        }
        let reach = last.counter.min(u64::from(MAX_WINDOW));
        let mut latest = None;
        for time in self.unix_times(time)? {
            let steps = || around(otp::time_step(time, period), reach);
            let [found] = otp::find(&self.key, steps(), [Some(otp)]);
            latest = latest.max(found.and_then(|n| steps().nth(n)));
        }
        Ok(latest)
    }

    /// Whether the code of a record, of the time step `step` if that is known, may be accepted
    /// again. LAST-TIME tells when it was, and the step bounds that: it was in the window then.
    fn is_step_in_grace(
        &self,
        last: &LastUsed,
        step: Option<u64>,
        period: u32,
    ) -> Result<bool, Unexamined> {
        // With `drift` the window is where the token's clock was. Further off than this, that
        // could be a change of the time zone as well.
        const MAX_SECONDS_OFF: u32 = 1800;
        let off = match self.attempt.drift {
            true => MAX_SECONDS_OFF / period,
            false => 0,
        };
        let reach = u64::from(self.attempt.window.max(off));
        self.is_in_grace(last, |time| {
            step.is_none_or(|step| otp::time_step(time, period).abs_diff(step) <= reach)
        })
    }
}

/// The time step that a record says was last used.
struct RecordedStep {
    step: Option<u64>,
    is_proven: bool,
}

impl RecordedStep {
    /// The later of this and the step at which LAST-OTP was seen in the window, which counts only
    /// if COUNTER proves none.
    fn or_seen(&self, seen: Option<u64>) -> Option<u64> {
        match self.is_proven {
            true => self.step,
            false => self.step.max(seen),
        }
    }
}

/// The time steps of a window in the order in which OATH Toolkit's module tries them: its centre, then one
/// later, one earlier, two later, two earlier.
fn around(centre: u64, window: u64) -> impl Iterator<Item = u64> {
    let sides = (1..=window)
        .flat_map(move |n| [centre.checked_add(n), centre.checked_sub(n)])
        .flatten();
    std::iter::once(centre).chain(sides)
}
