//! Checks the fields COUNTER, LAST-OTP and LAST-TIME.

use oath_core::otp::{self, Key, MAX_DIGITS, MIN_DIGITS};
use oath_core::usersfile::format::{Entry, Field, MovingFactor};
use subtle::ConstantTimeEq;

use super::super::finding::{Finding, Severity};
use super::{Context, Line};

/// A counter that no token reaches: one code a second for thirty thousand years.
const LAST_EVENT: u64 = 1 << 40;

impl Line<'_> {
    pub(super) fn check_counter(&self, entry: &Entry, context: &Context) -> Option<Finding> {
        let text = self.field(Field::Counter)?;
        let error = |problem: &str, advice: &str| {
            Some(
                self.finding(context, Severity::Error, problem, advice)
                    .in_field(Field::Counter),
            )
        };
        const RESYNC: &str = "set it with oathctl resync, which asks for two codes in a row";
        let counter = match entry.last_used.counter() {
            Ok(counter) => counter,
            Err(malformed) => {
                return error(
                    &malformed.problem.to_string(),
                    "remove the fields from COUNTER on",
                );
            }
        };
        match entry.token_type.moving_factor {
            MovingFactor::Event if text.starts_with(b"-") => {
                error("is negative, which no counter can be", RESYNC)
            }
            MovingFactor::Event if counter >= LAST_EVENT => {
                error("is larger than any token counts", RESYNC)
            }
            _ => None,
        }
    }

    /// A remark behind the secret, which a login reads as what was last used.
    pub(super) fn remark_behind(&self, context: &Context) -> Option<Finding> {
        let is_remark = self.field(Field::Counter)?.starts_with(b"#");
        is_remark.then(|| {
            self.finding(
                context,
                Severity::Error,
                "is a remark, and no login can read it",
                "put remarks on a line of their own that begins with #",
            )
            .in_field(Field::Counter)
        })
    }

    /// A time step last used that is in the future: the clock was once wrong.
    pub(super) fn check_time_step(
        &self,
        entry: &Entry,
        secret: &[u8],
        context: &Context,
    ) -> Option<Finding> {
        let MovingFactor::Time { period } = entry.token_type.moving_factor else {
            return None;
        };
        let (counter, last) = (entry.last_used.counter().ok()?, entry.last_used.otp()?);
        let now = otp::time_step(context.unix_time, period);
        // The phone that is followed may be ahead by itself; by an hour is more than is followed.
        let followed = match context.drift {
            true => 3600 / u64::from(period),
            false => 0,
        };
        let latest = now.saturating_add(u64::from(context.window) + followed);
        let key = Key::new(entry.token_type.algorithm, secret);
        let is_step = counter > latest && bool::from(key.code(counter, last.digits()).ct_eq(&last));
        is_step.then(|| {
            self.finding(
                context,
                Severity::Error,
                "is a time step in the future, and only later codes are accepted",
                "the clock was ahead when it was used: set the clock, then remove the fields \
                 from COUNTER on",
            )
            .in_field(Field::Counter)
        })
    }

    pub(super) fn check_rest(&self, entry: &Entry, context: &Context) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.field(Field::LastOtp).is_some() && entry.last_used.otp().is_none() {
            findings.push(
                self.finding(
                    context,
                    Severity::Warning,
                    format!("is no code of {MIN_DIGITS} to {MAX_DIGITS} digits"),
                    "remove the fields from COUNTER on, or for HOTP from LAST-OTP on",
                )
                .in_field(Field::LastOtp),
            );
        }
        if let Err(malformed) = entry.last_used.time() {
            findings.push(
                self.finding(
                    context,
                    Severity::Error,
                    malformed.problem.to_string(),
                    "remove the field: the next login writes it anew",
                )
                .in_field(malformed.field),
            );
        }
        if self.fields.len() > Field::LastTime as usize {
            findings.push(self.finding(
                context,
                Severity::Warning,
                format!(
                    "goes on after {}; the next login drops what follows",
                    Field::LastTime
                ),
                "put remarks on a line of their own that begins with #",
            ));
        }
        findings
    }
}
