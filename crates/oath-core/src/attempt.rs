//! One attempt to log in: throttle, lock, decide, record.

#![forbid(unsafe_code)]

use std::path::Path;

use zeroize::Zeroizing;

use crate::clock::{self, Zone};
use crate::login::{self, Compared, MAX_HASHES, Now, Refusal, Undecided, Verdict};
use crate::options::Options;
use crate::pin::CheckedHashes;
use crate::subject::Known;
use crate::sys::{self, StopGuard};
use crate::throttle::{Failures, Throttle};
use crate::usersfile::journal::Journal;
use crate::usersfile::{self, Deadline};

/// Why an attempt was not accepted. Holds nothing of a secret, a PIN or a code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The code is not good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The usersfile, or the journal, could not be used.
    #[error(transparent)]
    Usersfile(#[from] usersfile::Error),
    /// `throttle=`: the answer came before the user's failures allow it. It was not checked.
    #[error("{failures} failures; the next answer is checked in {wait} seconds")]
    TooEarly {
        /// How many there were in a row.
        failures: u64,
        /// Seconds.
        wait: u64,
    },
    /// `throttle=`: what is remembered of failures could not be read or written.
    #[error("throttle: {0}")]
    Throttle(usersfile::Error),
    /// The time is not known.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// The hashes of the user's PINs took too long.
    #[error(
        "checking the hashed PINs took longer than {} seconds; make cheaper ones with mkpasswd's \
         defaults",
        Deadline::LIMIT.as_secs()
    )]
    TooLong,
    /// The process may not have the memory that a login takes.
    #[error("not enough memory for a login: {0}; is there a limit (RLIMIT_AS, RLIMIT_DATA)?")]
    Memory(std::io::Error),
    /// The process could not be protected against being stopped while it holds the lock.
    #[error("cannot keep other users from stopping this process: {0}")]
    StopGuard(std::io::Error),
}

/// The attempts of one login: what they have in common.
pub struct Attempts<'a> {
    options: &'a Options,
    deadline: &'a Deadline,
    /// No hash of a PIN is computed twice in one login.
    hashes: CheckedHashes,
    /// What the throttle held after this login's attempt before.
    counted: Option<Failures>,
}

/// Where a response comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A module before this one asked for it: with try_first_pass, a password as a rule.
    Stacked,
    /// The prompt.
    Prompt,
}

impl Origin {
    /// Whether what was compared in vain counts as a failure. A stacked token that is no code is
    /// no guess.
    fn counts(self, compared: Compared) -> bool {
        match self {
            Origin::Stacked => compared == Compared::Code,
            Origin::Prompt => compared != Compared::Nothing,
        }
    }
}

/// What an attempt came to.
pub struct Answer<'r> {
    /// The line of the token that accepted the code, counted from 1.
    pub result: Result<usize, Error>,
    /// The PIN in the response, empty if there was none: for the module that checks it.
    pub pin: &'r [u8],
    /// What the administrator should know besides.
    pub warnings: Vec<String>,
}

impl<'r> Answer<'r> {
    /// An attempt that was not made.
    pub fn error(error: Error, response: &'r [u8], options: &Options) -> Answer<'r> {
        Answer {
            result: Err(error),
            pin: login::split(response, options.code_length()).0,
            warnings: Vec::new(),
        }
    }
}

/// What a check came to, once there is a decision.
struct Checked<'r> {
    result: Result<usize, Refusal>,
    pin: &'r [u8],
    compared: Compared,
}

/// Why a pass over the user's lines ended without a decision.
enum Stop<'r> {
    /// The login is refused.
    Error(Error),
    /// The hash of a PIN has to be computed first, while no lock is held.
    Hash {
        hash: Zeroizing<Vec<u8>>,
        typed: &'r [u8],
    },
}

impl<E: Into<Error>> From<E> for Stop<'_> {
    fn from(error: E) -> Self {
        Stop::Error(error.into())
    }
}

impl<'r> From<Undecided<'r>> for Stop<'r> {
    fn from(undecided: Undecided<'r>) -> Self {
        match undecided {
            Undecided::Hash { hash, typed } => Stop::Hash { hash, typed },
            Undecided::Clock(error) => Stop::Error(error.into()),
        }
    }
}

impl<'a> Attempts<'a> {
    /// The attempts of a login with these options.
    pub fn new(options: &'a Options, deadline: &'a Deadline) -> Attempts<'a> {
        Attempts {
            options,
            deadline,
            hashes: CheckedHashes::default(),
            counted: None,
        }
    }

    /// Checks one response of `user`, unless it comes too early; a good code is recorded.
    pub fn attempt<'r>(&mut self, user: &Known, response: &'r [u8], origin: Origin) -> Answer<'r> {
        let mut warnings = Vec::new();
        let (result, pin) = match self.decided(user, response, origin, &mut warnings) {
            Ok(checked) => (checked.result.map_err(Error::from), checked.pin),
            Err(error) => {
                let Answer { result, pin, .. } = Answer::error(error, response, self.options);
                (result, pin)
            }
        };
        Answer {
            result,
            pin,
            warnings,
        }
    }

    /// What the login may still wait and compute.
    pub fn deadline(&self) -> &'a Deadline {
        self.deadline
    }

    /// Passes over the user's lines until there is a decision. Nothing of a pass outlives it but
    /// the hashes that were computed.
    fn decided<'r>(
        &mut self,
        user: &Known,
        response: &'r [u8],
        origin: Origin,
        warnings: &mut Vec<String>,
    ) -> Result<Checked<'r>, Error> {
        loop {
            warnings.clear();
            sys::check_memory().map_err(Error::Memory)?;
            // From here on others may wait for a lock of this thread.
            let guard = StopGuard::begin().map_err(Error::StopGuard)?;
            let checked = self.throttled(user, response, origin, warnings);
            drop(guard);
            match checked {
                Ok(checked) => return Ok(checked),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Hash { hash, typed }) => self.check_hash(&hash, typed)?,
            }
        }
    }

    /// Checks a response if the user need not wait.
    fn throttled<'r>(
        &mut self,
        user: &Known,
        response: &'r [u8],
        origin: Origin,
        warnings: &mut Vec<String>,
    ) -> Result<Checked<'r>, Stop<'r>> {
        let Some(seconds) = self.options.throttle else {
            return self.check(user, response, warnings);
        };
        let (mut throttle, before) = match self.count_failure(user, seconds) {
            Err(Error::Throttle(error))
                if sys::effective_user() != 0 && error.is_want_of_rights() =>
            {
                warnings.push(format!("not throttled, for want of root's rights: {error}"));
                return self.check(user, response, warnings);
            }
            counted => counted?,
        };
        let checked = self.check(user, response, warnings);
        let after = match &checked {
            Ok(checked) if checked.result.is_ok() => Failures::default(),
            Ok(checked) if origin.counts(checked.compared) => throttle.failures(),
            _ => before,
        };
        throttle
            .set(after, self.deadline)
            .map_err(Error::Throttle)?;
        if checked.is_ok() {
            self.counted = Some(after);
        }
        checked
    }

    /// Computes the hash of a PIN, as long as there is time.
    fn check_hash(&mut self, hash: &[u8], typed: &[u8]) -> Result<(), Error> {
        if self.deadline.is_over() || self.hashes.count() >= 2 * MAX_HASHES {
            return Err(Error::TooLong);
        }
        self.hashes.check(hash, typed);
        Ok(())
    }

    /// Refuses an answer for which the user has to wait. What this login has counted itself does
    /// not make it wait.
    fn not_too_early(&self, before: Failures, seconds: u64, now: u64) -> Result<(), Error> {
        match before.wait(seconds, now) {
            wait if wait > 0 && self.counted != Some(before) => Err(Error::TooEarly {
                failures: before.count,
                wait,
            }),
            _ => Ok(()),
        }
    }

    /// Counts a failure before the check begins, so that nothing that stops the check makes a
    /// guess free. Returns the throttle, still locked, and what it held before.
    ///
    /// The fallback prompt of try_first_pass belongs to the same login: what the stacked token has
    /// cost does not throttle it. It is another guess, and counts as one.
    fn count_failure(&self, user: &Known, seconds: u64) -> Result<(Throttle, Failures), Error> {
        let folder = Path::new(&self.options.throttle_folder);
        let throttle = Throttle::lock(folder, &user.name, self.deadline);
        let mut throttle = throttle.map_err(Error::Throttle)?;
        // Not earlier: others may have failed while this one waited for the lock.
        let now = clock::unix_time()?;
        let before = throttle.failures();
        self.not_too_early(before, seconds, now)?;
        throttle
            .set(before.record_at(now), self.deadline)
            .map_err(Error::Throttle)?;
        Ok((throttle, before))
    }

    /// Checks a response against the usersfile, under its lock, and records it if it is good.
    fn check<'r>(
        &mut self,
        user: &Known,
        response: &'r [u8],
        warnings: &mut Vec<String>,
    ) -> Result<Checked<'r>, Stop<'r>> {
        let attempt = self.options.attempt(response, now()?);
        let mut journal = match &self.options.journal_folder {
            Some(folder) => {
                let folder = Path::new(folder);
                let journal = Journal::lock(folder, &user.usersfile, &user.name, self.deadline);
                Some(journal?)
            }
            None => None,
        };
        let updated =
            user.usersfile
                .update(&user.name, Some(&user.look), self.deadline, |lines| {
                    let decision = login::decide(lines, journal.as_ref(), &attempt, &self.hashes)?;
                    let (result, record) = match decision.verdict {
                        Verdict::Accepted { line, record } => (Ok(line), record),
                        Verdict::Refused(refusal) => (Err(refusal), None),
                    };
                    let checked = Checked {
                        result,
                        pin: decision.pin,
                        compared: decision.compared,
                    };
                    Ok::<_, Stop>((checked, record))
                })?;
        warnings.extend(updated.warnings);
        match (updated.rewrite, updated.failure, &mut journal) {
            (Some(record), Some(error), Some(journal)) => {
                journal.record(&record.text, self.deadline)?;
                let path = journal.path().display();
                warnings.push(format!("recorded in {path} only: {error}"));
            }
            (_, Some(error), _) => return Err(error.into()),
            (Some(record), None, Some(journal)) => {
                // What stays in it is behind the file from now on and does no harm.
                if let Err(error) = journal.clear(&record.text, self.deadline) {
                    warnings.push(error.to_string());
                }
            }
            _ => {}
        }
        Ok(updated.answer)
    }
}

fn now() -> Result<Now, Error> {
    Ok(Now {
        unix_time: clock::unix_time()?,
        zone: Zone::system(),
    })
}
