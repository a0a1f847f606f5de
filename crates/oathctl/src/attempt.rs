//! What the module would answer, asked of the module's own code.

use std::ffi::OsStr;
use std::path::Path;

use oath_core::attempt;
use oath_core::clock::Zone;
use oath_core::login::{self, Decision, Now, Undecided};
use oath_core::options::Options;
use oath_core::pin::CheckedHashes;
use oath_core::sys;
use oath_core::throttle::Throttle;
use oath_core::usersfile::journal::Journal;
use oath_core::usersfile::{Deadline, UserLine, Usersfile};

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
        zone: Zone::system(),
    };
    let attempt = options.attempt(response, now);
    let mut checked = CheckedHashes::default();
    loop {
        match login::decide(lines, journal, &attempt, &checked) {
            Ok(decision) => return Ok(decision),
            Err(Undecided::Hash { hash, typed }) => checked.check(&hash, typed),
            Err(Undecided::Clock(error)) => return Err(Error::failed(error.to_string())),
        }
    }
}

/// Why a login of this user would not even be checked at the time `now`: failures before it.
pub fn too_early(
    options: &Options,
    user: &OsStr,
    now: u64,
) -> Result<Option<attempt::Error>, Error> {
    let Some(seconds) = options.throttle else {
        return Ok(None);
    };
    let folder = Path::new(&options.throttle_folder);
    let failures = match Throttle::lock(folder, user, &Deadline::begin()) {
        // The module does not throttle either where it has not root's rights.
        Err(_) if sys::effective_user() != 0 => return Ok(None),
        throttle => throttle?.failures(),
    };
    Ok(match failures.wait(seconds, now) {
        0 => None,
        wait => Some(attempt::Error::TooEarly {
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
    let journal = Journal::lock(Path::new(folder), usersfile, user, &Deadline::begin());
    Ok(Some(journal?))
}
