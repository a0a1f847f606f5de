//! The clock of a token that runs fast or slow: RFC 6238, section 6.

use super::{LastUsed, Search, Unexamined};

/// By how much a change of the time zone may move a clock on the wall, in seconds: whole hours,
/// half hours, quarters.
pub(super) const ZONE_CHANGES: [i128; 3] = [3600, 1800, 900];

impl Search<'_> {
    /// Where the token's clock may stand now, by how far it was off at the last login: the time
    /// step used then, less the one that LAST-TIME lies in.
    ///
    /// LAST-TIME is local time. The time zone may have been changed since, by a whole number of
    /// quarters of an hour, so what is left over of an hour, half an hour and a quarter are
    /// possible as well. For that only the minute and the second count: in the zone of today
    /// LAST-TIME may name an hour that never was. So a token is not lost by a change of zones while
    /// its clock is off by less than half of that: half an hour, or 7 minutes where zones with
    /// quarters come in.
    ///
    /// The window around the server's own clock stays open in any case, for a server whose clock
    /// was wrong and has been set right.
    pub(super) fn steps_by_drift(
        &self,
        last_step: u64,
        last: &LastUsed,
        now: u64,
        period: u32,
    ) -> Result<Vec<u64>, Unexamined> {
        let Some(last_time) = last.time else {
            return Ok(Vec::new());
        };
        // Wide enough for every pair of steps and every period.
        let period = i128::from(period);
        let seconds_off = |time: i128| (i128::from(last_step) - time / period) * period;
        let times = self.unix_times(last_time)?;
        let as_it_reads = times.into_iter().map(|time| seconds_off(time.into()));
        let in_the_hour = i128::from(last_time.minute) * 60 + i128::from(last_time.second);
        let in_any_zone = ZONE_CHANGES.map(|change| nearest_rest(seconds_off(in_the_hour), change));
        Ok(as_it_reads
            .chain(in_any_zone)
            .map(|seconds| (seconds * 2 / period + seconds.signum()) / 2)
            .filter_map(|steps| u64::try_from(i128::from(now) + steps).ok())
            .collect())
    }
}

/// What is left of `number` when the nearest multiple of `unit` is taken away.
fn nearest_rest(number: i128, unit: i128) -> i128 {
    let rest = number.rem_euclid(unit);
    if rest > unit / 2 { rest - unit } else { rest }
}
