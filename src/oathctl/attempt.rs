//! What the module would answer, asked of the module's own code.

use std::ffi::OsStr;
use std::path::Path;

use pam_oath::login::{self, Decision, Now};
use pam_oath::pam::{self, Options};
use pam_oath::sys;
use pam_oath::throttle::Throttle;
use pam_oath::usersfile::journal::Journal;
use pam_oath::usersfile::{UserLine, Usersfile};

use crate::error::Error;

/// Decides about a response as a login with these options does at the time `now`, in seconds
/// since 1970. Nothing is recorded.
pub fn decide<'a>(
    lines: &[UserLine],
    journal: Option<&Journal>,
    response: &'a [u8],
    options: &Options,
    now: u64,
) -> Result<Decision<'a>, Error> {
    let now = Now {
        unix_time: now,
        local_time: local_time(now)?,
        unix_times: sys::unix_times,
    };
    let attempt = options.attempt(response, now);
    Ok(login::decide(lines, journal, &attempt))
}

/// Why a login of this user would not even be checked at the time `now`: failures before it.
pub fn too_early(options: &Options, user: &OsStr, now: u64) -> Result<Option<pam::Error>, Error> {
    let Some(seconds) = options.throttle else {
        return Ok(None);
    };
    let failures = match Throttle::lock(Path::new(&options.throttle_folder), user) {
        // The module does not throttle either where it has not root's rights.
        Err(_) if sys::effective_user() != 0 => return Ok(None),
        throttle => throttle?.failures(),
    };
    Ok(match failures.wait(seconds, now) {
        0 => None,
        wait => Some(pam::Error::TooEarly {
            failures: failures.count,
            wait,
        }),
    })
}

/// The journal that a login with these options looks into.
pub fn journal(
    options: &Options,
    usersfile: &Usersfile,
    user: &OsStr,
) -> Result<Option<Journal>, Error> {
    let Some(folder) = &options.journal_folder else {
        return Ok(None);
    };
    let path = usersfile.resolved_path()?;
    Ok(Some(Journal::lock(Path::new(folder), &path, user)?))
}

/// The time `now` on the wall.
pub fn local_time(now: u64) -> Result<sys::LocalTime, Error> {
    sys::local_time(now).ok_or_else(|| Error::failed("the system's clock is out of range"))
}
