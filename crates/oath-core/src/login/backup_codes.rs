//! A set of backup codes, good in any order.

use super::{NewUse, Outcome, Search};
use crate::otp;
use crate::usersfile::format::unused_backup_codes;

impl Search<'_> {
    /// What was used is what the file or the journal says, and no window matters, so that a code
    /// that was skipped stays good and a used one is used up for every service. The code last used
    /// is refused by itself as well: an editor may have set COUNTER back. Neither
    /// `allow_replayed_otp_within` nor a typed length other than the set's makes one good again.
    ///
    /// Two counters may have the same code; it is good once all the same.
    pub(super) fn backup_codes(&self, number: u32) -> Outcome {
        let journalled = self.journalled.as_ref().map_or(0, |last| last.counter);
        let used = self.in_file.counter | journalled;
        let typed = self.typed.filter(|typed| typed.digits() == self.digits);
        let found = otp::find_all(&self.key, number, typed);
        match typed {
            _ if found & used != 0 || self.was_last() => Outcome::Replayed,
            Some(typed) if found != 0 => {
                let used = used | found;
                Outcome::Good(NewUse {
                    counter: used,
                    relative: used,
                    otp: typed.clone(),
                    backup_codes_left: Some(unused_backup_codes(number, used)),
                })
            }
            _ => Outcome::NotFound,
        }
    }
}
