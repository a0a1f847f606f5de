//! What the module would answer, asked of the module's own code.

use pam_oath::login::{self, Attempt, Verdict};
use pam_oath::sys;
use pam_oath::usersfile::UserLine;

use crate::error::Error;

/// Decides as a login does at the time `now`, in seconds since 1970. Nothing is recorded.
pub fn decide(
    lines: &[UserLine],
    pin: &[u8],
    otp: &[u8],
    window: u32,
    now: u64,
) -> Result<Verdict, Error> {
    let local_time =
        sys::local_time(now).ok_or_else(|| Error::failed("the system's clock is out of range"))?;
    let attempt = Attempt {
        pin,
        otp,
        window,
        unix_time: now,
        local_time: &login::last_time(&local_time),
    };
    Ok(login::decide(lines, &attempt))
}
