//! The window of an event token: HOTP, RFC 4226.

use super::{NewUse, Outcome, Search, Unexamined};
use crate::otp;

impl Search<'_> {
    /// The search begins at the counter last used, and goes on for the window (RFC 4226, section
    /// 7.2). Where the secret proves that counter, it is used up, in every length of a code; where
    /// it does not (another program wrote it), the code last used alone is refused, as OATH
    /// Toolkit's module does.
    pub(super) fn hotp(&self) -> Result<Outcome, Unexamined> {
        let latest = match &self.journalled {
            Some(journalled) if !is_behind(journalled.counter, self.in_file.counter) => journalled,
            _ => &self.in_file,
        };
        let is_used_up = [Some(&self.in_file), self.journalled.as_ref()]
            .into_iter()
            .flatten()
            .any(|last| last.counter == latest.counter && self.proven(last).is_some());
        let window = u64::from(self.attempt.window);
        let ahead = (0..=window).map(|n| latest.counter.wrapping_add(n));
        let [found] = otp::find(&self.key, ahead, [self.typed]);
        if latest.is_of(self.typed) && self.is_in_grace(latest, |_| true)? {
            return Ok(Outcome::GoodAgain);
        }
        Ok(match (found, self.typed) {
            _ if self.was_last() => Outcome::Replayed,
            (Some(0), _) if is_used_up => Outcome::Replayed,
            (Some(n), Some(typed)) => {
                let counter = latest.counter.wrapping_add(n as u64);
                Outcome::Good(NewUse {
                    counter,
                    relative: counter,
                    otp: typed.clone(),
                    backup_codes_left: None,
                })
            }
            _ => Outcome::NotFound,
        })
    }
}

/// Whether one counter is behind another, which may have gone on past the largest number to 0.
fn is_behind(one: u64, other: u64) -> bool {
    one.wrapping_sub(other) > u64::MAX / 2
}
