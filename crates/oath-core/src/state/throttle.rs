//! The delay scheme of RFC 4226 section 7.3: each failure in a row adds `throttle=` seconds to the
//! time for which no answer is checked.
//!
//! The failures of a user are in one small file, `FAILURES TIME`, which is locked from before a
//! code is checked until its outcome is written. So a thousand guesses at the same moment are
//! one guess and 999 that come too early.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::StateFile;
use crate::fs::{self, Deadline};

/// Where the files are, unless `throttle_dir=` names another folder.
pub const FOLDER: &str = "/run/pam_oath";

/// Nobody waits longer than this, in seconds: an hour.
const LONGEST_WAIT: u64 = 3600;

/// What the names of the throttle's files begin with.
const PREFIX: &str = "throttle-";

/// Why a user's failures could not be read or recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Their file could not be used.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// Their file, at this path, holds something else.
    #[error("{} is not as the throttle writes it; run oathctl throttle --clear", .0.display())]
    Malformed(PathBuf),
}

impl Error {
    /// See [`fs::Error::is_permission_denied`].
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Error::File(error) => error.is_permission_denied(),
            Error::Malformed(_) => false,
        }
    }
}

/// How a user's recent logins went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many attempts in a row were checked and refused.
    pub count: u64,
    /// When the last of them was, in seconds since 1970.
    pub last: u64,
}

impl Failures {
    /// How many seconds an answer still comes too early, with a delay of `seconds` for each
    /// failure. A last failure in the future, as a clock that was set back leaves it, delays
    /// nobody: a guesser cannot set the clock.
    pub fn wait(&self, seconds: u64, now: u64) -> u64 {
        let delay = self.count.saturating_mul(seconds).min(LONGEST_WAIT);
        match now.checked_sub(self.last) {
            Some(passed) => delay.saturating_sub(passed),
            None => 0,
        }
    }

    /// One failure more, at `now`.
    pub(crate) fn record_at(&self, now: u64) -> Failures {
        Failures {
            count: self.count.saturating_add(1),
            last: now,
        }
    }

    /// Reads what [`Failures::text`] wrote; an empty file is no failure.
    fn parse(text: &[u8]) -> Option<Failures> {
        let text = std::str::from_utf8(text).ok()?;
        let mut numbers = text.split_ascii_whitespace();
        let failures = match numbers.next() {
            None => Failures::default(),
            Some(count) => Failures {
                count: count.parse().ok()?,
                last: numbers.next()?.parse().ok()?,
            },
        };
        numbers.next().is_none().then_some(failures)
    }

    fn text(&self) -> String {
        match self.count {
            0 => String::new(),
            count => format!("{count} {}\n", self.last),
        }
    }
}

/// One user's file, locked.
pub struct Throttle {
    file: StateFile,
    failures: Failures,
}

impl Throttle {
    /// Locks and reads the file of `user` in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be used, or is not as [`Throttle::set`] writes it.
    pub fn lock(folder: &Path, user: &OsStr, deadline: &Deadline) -> Result<Throttle, Error> {
        let file = StateFile::lock(folder, &file_name(user), deadline)?;
        let failures =
            Failures::parse(file.text()).ok_or_else(|| Error::Malformed(file.path().to_owned()))?;
        Ok(Throttle { file, failures })
    }

    /// Forgets the failures of `user`, even if they cannot be read.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn clear(folder: &Path, user: &OsStr, deadline: &Deadline) -> Result<(), Error> {
        let mut file = StateFile::lock(folder, &file_name(user), deadline)?;
        Ok(file.replace(Zeroizing::default(), deadline)?)
    }

    /// The failures that are recorded.
    pub fn failures(&self) -> Failures {
        self.failures
    }

    /// Records `failures` in place of these, durably.
    ///
    /// # Errors
    /// The file cannot be replaced; the old ones stay.
    pub fn set(&mut self, failures: Failures, deadline: &Deadline) -> Result<(), Error> {
        self.file
            .replace(Zeroizing::new(failures.text().into_bytes()), deadline)?;
        self.failures = failures;
        Ok(())
    }
}

/// The name of a user's file.
pub fn file_name(user: &OsStr) -> OsString {
    super::file_name(PREFIX, user)
}

/// The user whose file has this name; `None` for another file, or one of a name too long.
pub fn user_of(file_name: &OsStr) -> Option<OsString> {
    super::user_of(PREFIX, file_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_every_failure_and_ends_at_an_hour() {
        let after = |count| Failures { count, last: 1000 };
        assert_eq!(after(0).wait(5, 1000), 0);
        assert_eq!(after(1).wait(5, 1000), 5);
        assert_eq!(after(3).wait(5, 1004), 11);
        assert_eq!(after(3).wait(5, 1015), 0);
        assert_eq!(after(u64::MAX).wait(5, 1000), LONGEST_WAIT);
        assert_eq!(after(3).wait(5, 999), 0, "a clock set back delays nobody");
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is() {
        for failures in [
            Failures::default(),
            Failures {
                count: 12,
                last: 1_768_478_400,
            },
        ] {
            assert_eq!(Failures::parse(failures.text().as_bytes()), Some(failures));
        }
        for text in ["1", "1 2 3", "-1 2", "x 2", "1 2\0"] {
            assert_eq!(Failures::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn failures_are_kept_for_each_user_until_they_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let deadline = Deadline::begin();
        let throttle = |user: &str| Throttle::lock(&state, user.as_ref(), &deadline).unwrap();
        let some = Failures { count: 3, last: 7 };
        throttle("alice").set(some, &deadline).unwrap();
        assert_eq!(throttle("alice").failures(), some);
        assert_eq!(throttle("bob").failures(), Failures::default());
        let files: Vec<_> = std::fs::read_dir(&state)
            .unwrap()
            .map(|entry| user_of(&entry.unwrap().file_name()).unwrap())
            .collect();
        assert_eq!(files, ["alice"], "none of bob's, who has no failures");

        std::fs::write(state.join(file_name("alice".as_ref())), "x").unwrap();
        assert!(Throttle::lock(&state, "alice".as_ref(), &deadline).is_err());
        Throttle::clear(&state, "alice".as_ref(), &deadline).unwrap();
        assert_eq!(throttle("alice").failures(), Failures::default());
        assert!(std::fs::read_dir(&state).unwrap().next().is_none());
    }

    /// With `window=30 digits=6` a guess is right with a chance of 61 in a million.
    #[test]
    fn throttle_turns_three_minutes_of_guessing_into_more_than_a_year() {
        const CHANCE: f64 = 61e-6;
        let even = (0.5f64.ln() / (1.0 - CHANCE).ln()).ceil() as u64;
        assert!((180..200).contains(&(even / 60)), "60 guesses a second");
        let waiting: u64 = (1..even)
            .map(|count| Failures { count, last: 0 }.wait(5, 0))
            .sum();
        assert_eq!(waiting / 86_400, 458, "days");
    }
}
