//! One attempt to log in: throttle, lock, decide, record.
//!
//! The one engine: the module calls it for a login, `oathctl verify` for a dry run.

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::fmt;
use std::path::Path;

use crate::fs::Deadline;
use crate::local_time::{OutOfRange, Zone};
use crate::login::{self, Accepted, Compared, Decision, Known, MAX_HASHES, Refusal, Undecided};
use crate::options::Options;
use crate::pin::CheckedHashes;
use crate::state::throttle::{self, Failures, Throttle};
use crate::store::{self, Store};
use crate::sys::clock;
use crate::sys::{self, StopGuard};
use crate::usersfile;

/// So many backup codes that are left, or fewer, are worth a warning.
const FEW_BACKUP_CODES: u32 = 2;

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
    #[error(
        "{}; the next answer is checked in {}",
        counted(*failures, "failure"),
        counted(*wait, "second")
    )]
    TooEarly {
        /// How many there were in a row.
        failures: u64,
        /// Seconds.
        wait: u64,
    },
    /// `throttle=`: what is remembered of failures could not be read or written.
    #[error("throttle: {0}")]
    Throttle(throttle::Error),
    /// The time is not known.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// The local time has no name.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
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

/// "1 failure", "2 failures"
pub fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
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

/// What an administrator should know of an attempt besides its result.
#[derive(Debug)]
pub enum Warning {
    /// Of where the user's tokens are kept.
    Store(store::Warning),
    /// `throttle=`, in a service that may not keep failures.
    NotThrottled(throttle::Error),
    /// The user's backup codes come to their end.
    FewBackupCodes {
        /// How many are left.
        left: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Warning::Store(warning) => warning.fmt(f),
            Warning::NotThrottled(error) => {
                write!(f, "not throttled, for want of root's rights: {error}")
            }
            Warning::FewBackupCodes { left } => write!(
                f,
                "{} left: oathctl backup-codes makes new ones, after --revoke",
                counted((*left).into(), "backup code")
            ),
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
    pub warnings: Vec<Warning>,
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

/// The attempts of one login: what they have in common.
pub struct Attempts<'a> {
    options: &'a Options,
    deadline: &'a Deadline,
    /// The time of a dry run, in seconds since 1970.
    dry_run: Option<u64>,
    /// No hash of a PIN is computed twice in one login.
    hashes: CheckedHashes,
    /// The zone of LAST-TIME, once it is needed: a refused login needs none, as a rule.
    zone: OnceCell<Zone>,
    /// What the throttle held after this login's attempt before.
    counted: Option<Failures>,
}

/// Why a pass over the user's lines ended without a decision.
enum Stop<'r> {
    /// The login is refused.
    Error(Error),
    /// Something has to be found out first, while no lock is held.
    Undecided(Undecided<'r>),
}

impl<E: Into<Error>> From<E> for Stop<'_> {
    fn from(error: E) -> Self {
        Stop::Error(error.into())
    }
}

impl<'r> From<Undecided<'r>> for Stop<'r> {
    fn from(undecided: Undecided<'r>) -> Self {
        Stop::Undecided(undecided)
    }
}

impl<'a> Attempts<'a> {
    /// The attempts of a login with these options.
    pub fn new(options: &'a Options, deadline: &'a Deadline) -> Attempts<'a> {
        Attempts {
            options,
            deadline,
            dry_run: None,
            hashes: CheckedHashes::default(),
            zone: OnceCell::new(),
            counted: None,
        }
    }

    /// Attempts that are answered as at the time `unix_time`, in seconds since 1970, and that leave
    /// no trace: no failure is counted, no code recorded.
    pub fn dry_run(unix_time: u64, options: &'a Options, deadline: &'a Deadline) -> Attempts<'a> {
        Attempts {
            dry_run: Some(unix_time),
            ..Attempts::new(options, deadline)
        }
    }

    /// What the login may still wait and compute.
    pub fn deadline(&self) -> &'a Deadline {
        self.deadline
    }

    /// Checks one response of the user of this store, unless it comes too early; a good code is
    /// recorded.
    pub fn attempt<'r>(
        &mut self,
        store: &impl Store,
        response: &'r [u8],
        origin: Origin,
    ) -> Answer<'r> {
        match self.decided(store, response, origin) {
            Ok((decision, mut warnings)) => {
                let accepted = decision.result.as_ref().ok();
                match accepted.and_then(|accepted| accepted.backup_codes_left) {
                    Some(left @ ..=FEW_BACKUP_CODES) if self.dry_run.is_none() => {
                        warnings.push(Warning::FewBackupCodes { left });
                    }
                    _ => {}
                }
                Answer {
                    result: decision
                        .result
                        .map(|accepted| accepted.line)
                        .map_err(Error::from),
                    pin: decision.pin,
                    warnings,
                }
            }
            Err(error) => Answer::error(error, response, self.options),
        }
    }

    /// Passes over the user's lines until there is a decision. Nothing of a pass outlives it but
    /// what was found out for the next.
    fn decided<'r>(
        &mut self,
        store: &impl Store,
        response: &'r [u8],
        origin: Origin,
    ) -> Result<(Decision<'r>, Vec<Warning>), Error> {
        if self.options.drift || self.options.replay_grace > 0 {
            // Nearly every decision needs it then.
            self.zone()?;
        }
        loop {
            sys::check_memory().map_err(Error::Memory)?;
            // From here on others may wait for a lock of this thread.
            let guard = StopGuard::begin().map_err(Error::StopGuard)?;
            let pass = self.throttled(store, response, origin);
            drop(guard);
            match pass {
                Ok(decided) => return Ok(decided),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Undecided(undecided)) => self.find_out(undecided)?,
            }
        }
    }

    /// Finds out what a decision needs, as long as there is time.
    fn find_out(&mut self, undecided: Undecided) -> Result<(), Error> {
        match undecided {
            Undecided::Hash { hash, typed } => {
                if self.deadline.is_over() || self.hashes.count() >= 2 * MAX_HASHES {
                    return Err(Error::TooLong);
                }
                self.hashes.check(&hash, typed);
            }
            Undecided::Zone => {
                self.zone()?;
            }
        }
        Ok(())
    }

    /// Checks a response if the user need not wait.
    fn throttled<'r>(
        &mut self,
        store: &impl Store,
        response: &'r [u8],
        origin: Origin,
    ) -> Result<(Decision<'r>, Vec<Warning>), Stop<'r>> {
        let Some(seconds) = self.options.throttle else {
            return self.check(store, response);
        };
        let (mut throttle, before) = match self.count_failure(store, seconds) {
            Err(Error::Throttle(error))
                if sys::effective_user() != 0 && error.is_permission_denied() =>
            {
                let (decision, mut warnings) = self.check(store, response)?;
                warnings.insert(0, Warning::NotThrottled(error));
                return Ok((decision, warnings));
            }
            counted => counted?,
        };
        let pass = self.check(store, response);
        let after = match &pass {
            _ if self.dry_run.is_some() => before,
            Ok((decision, _)) if decision.result.is_ok() => Failures::default(),
            Ok((decision, _)) if origin.counts(decision.compared) => throttle.failures(),
            _ => before,
        };
        throttle
            .set(after, self.deadline)
            .map_err(Error::Throttle)?;
        if pass.is_ok() {
            self.counted = Some(after);
        }
        pass
    }

    /// Counts a failure of the store's user, unless failures before it make the user wait, and
    /// before the check begins, so that nothing that stops the check makes a guess free. Returns
    /// the throttle, still locked, and what it held before.
    ///
    /// The fallback prompt of try_first_pass belongs to the same login: what the stacked token has
    /// cost does not throttle it. It is another guess, and counts as one.
    fn count_failure(
        &self,
        store: &impl Store,
        seconds: u64,
    ) -> Result<(Throttle, Failures), Error> {
        let folder = Path::new(&self.options.throttle_folder);
        let throttle = Throttle::lock(folder, store.user(), self.deadline);
        let mut throttle = throttle.map_err(Error::Throttle)?;
        // Not earlier: others may have failed while this one waited for the lock.
        let now = self.unix_time()?;
        let before = throttle.failures();
        let wait = before.wait(seconds, now);
        if wait > 0 && self.counted != Some(before) {
            return Err(Error::TooEarly {
                failures: before.count,
                wait,
            });
        }
        if self.dry_run.is_none() {
            throttle
                .set(before.record_at(now), self.deadline)
                .map_err(Error::Throttle)?;
        }
        Ok((throttle, before))
    }

    /// Checks a response against the store, and records it if it is good.
    fn check<'r>(
        &self,
        store: &impl Store,
        response: &'r [u8],
    ) -> Result<(Decision<'r>, Vec<Warning>), Stop<'r>> {
        let updated = store.update(self.deadline, |candidates| {
            // Not earlier: another login may have been recorded while this one waited for a lock.
            let unix_time = self.unix_time()?;
            let attempt = self.options.attempt(response, unix_time);
            let known = Known {
                hashes: &self.hashes,
                zone: self.zone.get(),
            };
            let mut decision = login::decide(candidates, &attempt, &known)?;
            let record = match &mut decision.result {
                Ok(Accepted { record, .. }) if self.dry_run.is_none() => record.take(),
                _ => None,
            };
            let record = match record {
                Some(record) => Some((record, self.zone()?.local_time(unix_time)?)),
                None => None,
            };
            Ok::<_, Stop>((decision, record))
        })?;
        let warnings = updated.warnings.into_iter().map(Warning::Store).collect();
        Ok((updated.answer, warnings))
    }

    fn unix_time(&self) -> Result<u64, clock::Error> {
        self.dry_run.map_or_else(clock::unix_time, Ok)
    }

    fn zone(&self) -> Result<&Zone, clock::Error> {
        if let Some(zone) = self.zone.get() {
            return Ok(zone);
        }
        let zone = clock::system_zone()?;
        Ok(self.zone.get_or_init(|| zone))
    }
}
