//! One attempt to log in: throttle, lock, decide, record.
//!
//! The one engine: the module calls it for a login, `oathctl verify` for a dry run.

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::ffi::OsStr;
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
///
/// `R` says why a code is not good, `F` why a file could not be used: those of a usersfile, or of
/// another [`Verifier`].
#[derive(Debug, thiserror::Error)]
pub enum Error<R = Refusal, F = usersfile::Error> {
    /// The code is not good.
    #[error(transparent)]
    Refused(R),
    /// The usersfile, or the journal, or what else holds the tokens, could not be used.
    #[error(transparent)]
    File(F),
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

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused(refusal)
    }
}

impl From<usersfile::Error> for Error {
    fn from(error: usersfile::Error) -> Self {
        Error::File(error)
    }
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

/// What responses are checked against, and by which rules: the tokens of a user in a store.
pub trait Verifier {
    /// What is known of a code that is good.
    type Accepted;
    /// Why a code is not good.
    type Refusal;
    /// Why a file could not be used.
    type Error;
    /// What an administrator should know besides.
    type Warning;

    /// Under which name failures are counted.
    fn user(&self) -> &OsStr;

    /// What stands before the code in a response that is not checked: see [`Answer::pin`].
    fn pin<'r>(&self, response: &'r [u8]) -> &'r [u8];

    /// Whether a decision takes the zone of LAST-TIME, as a rule.
    fn needs_zone(&self) -> bool;

    /// Checks a response, and records a good one unless [`Attempts::records`] says no.
    ///
    /// # Errors
    /// The tokens could not be read, or what was used not recorded; or something has to be found out
    /// first, and nothing was compared.
    fn verify<'r>(
        &self,
        response: &'r [u8],
        attempts: &Attempts,
    ) -> Result<Checked<'r, Self>, Stop<'r, ErrorOf<Self>>>;
}

/// What a check came to.
pub struct Checked<'r, V: Verifier + ?Sized> {
    /// What was accepted, or why nothing was.
    pub result: Result<V::Accepted, V::Refusal>,
    /// See [`Answer::pin`].
    pub pin: &'r [u8],
    /// Whether the refusal counts as a failure.
    pub compared: Compared,
    /// What an administrator should know besides.
    pub warnings: Vec<V::Warning>,
}

/// What an administrator should know of an attempt besides its result.
#[derive(Debug)]
pub enum Warning<W = LinesWarning> {
    /// Of the user's tokens, and of where they are kept.
    Tokens(W),
    /// `throttle=`, in a service that may not keep failures.
    NotThrottled(throttle::Error),
}

impl<W: fmt::Display> fmt::Display for Warning<W> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Warning::Tokens(warning) => warning.fmt(f),
            Warning::NotThrottled(error) => {
                write!(f, "not throttled, for want of root's rights: {error}")
            }
        }
    }
}

/// What an attempt came to.
pub struct Answer<'r, A = usize, E = Error, W = LinesWarning> {
    /// What was accepted: of a usersfile, the line of the token, counted from 1.
    pub result: Result<A, E>,
    /// The PIN in the response, empty if there was none: for the module that checks it.
    pub pin: &'r [u8],
    /// What the administrator should know besides.
    pub warnings: Vec<Warning<W>>,
}

/// [`Answer`] to a response that a verifier checks.
pub type AnswerOf<'r, V> =
    Answer<'r, <V as Verifier>::Accepted, ErrorOf<V>, <V as Verifier>::Warning>;

/// [`enum@Error`] of an attempt that a verifier checks.
pub type ErrorOf<V> = Error<<V as Verifier>::Refusal, <V as Verifier>::Error>;

/// What a pass came to, and why failures could not be counted if they could not.
type Counted<'r, V> = (Checked<'r, V>, Option<throttle::Error>);

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

/// The argument `throttle=`.
#[derive(Clone, Copy)]
pub struct Throttling<'a> {
    /// How many seconds each failure in a row adds; nothing if failures are not counted.
    pub seconds: Option<u64>,
    /// Where they are counted.
    pub folder: &'a OsStr,
}

/// The attempts of one login: what they have in common.
pub struct Attempts<'a> {
    throttling: Throttling<'a>,
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

/// Why a pass over the user's tokens ended without a decision.
pub enum Stop<'r, E = Error> {
    /// The login is refused.
    Error(E),
    /// Something has to be found out first, while no lock is held.
    Undecided(Undecided<'r>),
}

impl<E: Into<Error<R, F>>, R, F> From<E> for Stop<'_, Error<R, F>> {
    fn from(error: E) -> Self {
        Stop::Error(error.into())
    }
}

impl<'a> Attempts<'a> {
    /// The attempts of a login, throttled so.
    pub fn new(throttling: Throttling<'a>, deadline: &'a Deadline) -> Attempts<'a> {
        Attempts {
            throttling,
            deadline,
            dry_run: None,
            hashes: CheckedHashes::default(),
            zone: OnceCell::new(),
            counted: None,
        }
    }

    /// Attempts that are answered as at the time `unix_time`, in seconds since 1970, and that leave
    /// no trace: no failure is counted, no code recorded.
    pub fn dry_run(
        unix_time: u64,
        throttling: Throttling<'a>,
        deadline: &'a Deadline,
    ) -> Attempts<'a> {
        Attempts {
            dry_run: Some(unix_time),
            ..Attempts::new(throttling, deadline)
        }
    }

    /// Whether what is used is to be recorded: it is not in a dry run.
    pub fn records(&self) -> bool {
        self.dry_run.is_none()
    }

    /// What the login may still wait and compute.
    pub fn deadline(&self) -> &'a Deadline {
        self.deadline
    }

    /// Checks one response of the verifier's user, unless it comes too early; a good code is
    /// recorded.
    pub fn attempt<'r, V: Verifier>(
        &mut self,
        verifier: &V,
        response: &'r [u8],
        origin: Origin,
    ) -> AnswerOf<'r, V> {
        match self.decided(verifier, response, origin) {
            Ok((checked, not_throttled)) => {
                let not_throttled = not_throttled.into_iter().map(Warning::NotThrottled);
                let warnings = checked.warnings.into_iter().map(Warning::Tokens);
                Answer {
                    result: checked.result.map_err(Error::Refused),
                    pin: checked.pin,
                    warnings: not_throttled.chain(warnings).collect(),
                }
            }
            Err(error) => Answer {
                result: Err(error),
                pin: verifier.pin(response),
                warnings: Vec::new(),
            },
        }
    }

    /// Passes over the user's tokens until there is a decision. Nothing of a pass outlives it but
    /// what was found out for the next.
    fn decided<'r, V: Verifier>(
        &mut self,
        verifier: &V,
        response: &'r [u8],
        origin: Origin,
    ) -> Result<Counted<'r, V>, ErrorOf<V>> {
        if verifier.needs_zone() {
            self.zone()?;
        }
        loop {
            sys::check_memory().map_err(Error::Memory)?;
            // From here on others may wait for a lock of this thread.
            let guard = StopGuard::begin().map_err(Error::StopGuard)?;
            let pass = self.throttled(verifier, response, origin);
            drop(guard);
            match pass {
                Ok(decided) => return Ok(decided),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Undecided(undecided)) => self.find_out(undecided)?,
            }
        }
    }

    /// Finds out what a decision needs, as long as there is time.
    fn find_out<R, F>(&mut self, undecided: Undecided) -> Result<(), Error<R, F>> {
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

    /// Checks a response if the user need not wait. Returns also why it was checked although
    /// failures cannot be counted.
    fn throttled<'r, V: Verifier>(
        &mut self,
        verifier: &V,
        response: &'r [u8],
        origin: Origin,
    ) -> Result<Counted<'r, V>, Stop<'r, ErrorOf<V>>> {
        let Some(seconds) = self.throttling.seconds else {
            return Ok((verifier.verify(response, self)?, None));
        };
        let (mut throttle, before) = match self.count_failure(verifier.user(), seconds) {
            Err(Error::Throttle(error))
                if sys::effective_user() != 0 && error.is_permission_denied() =>
            {
                return Ok((verifier.verify(response, self)?, Some(error)));
            }
            counted => counted?,
        };
        let pass = verifier.verify(response, self);
        let after = match &pass {
            _ if !self.records() => before,
            Ok(checked) if checked.result.is_ok() => Failures::default(),
            Ok(checked) if origin.counts(checked.compared) => throttle.failures(),
            _ => before,
        };
        throttle
            .set(after, self.deadline)
            .map_err(Error::Throttle)?;
        if pass.is_ok() {
            self.counted = Some(after);
        }
        Ok((pass?, None))
    }

    /// Counts a failure of this user, unless failures before it make the user wait, and
    /// before the check begins, so that nothing that stops the check makes a guess free. Returns
    /// the throttle, still locked, and what it held before.
    ///
    /// The fallback prompt of try_first_pass belongs to the same login: what the stacked token has
    /// cost does not throttle it. It is another guess, and counts as one.
    fn count_failure<R, F>(
        &self,
        user: &OsStr,
        seconds: u64,
    ) -> Result<(Throttle, Failures), Error<R, F>> {
        let folder = Path::new(self.throttling.folder);
        let throttle = Throttle::lock(folder, user, self.deadline);
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

    /// What was found out so far.
    fn known(&self) -> Known<'_> {
        Known {
            hashes: &self.hashes,
            zone: self.zone.get(),
        }
    }

    /// The time, in seconds since 1970. To be asked for under the lock: another login may have been
    /// recorded while this one waited.
    pub(crate) fn unix_time(&self) -> Result<u64, clock::Error> {
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

/// What an administrator should know of an attempt with the lines of a usersfile.
#[derive(Debug)]
pub enum LinesWarning {
    /// Of where they are kept.
    Store(store::Warning),
    /// The user's backup codes come to their end.
    FewBackupCodes {
        /// How many are left.
        left: u32,
    },
}

impl fmt::Display for LinesWarning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LinesWarning::Store(warning) => warning.fmt(f),
            LinesWarning::FewBackupCodes { left } => write!(
                f,
                "{} left: oathctl backup-codes makes new ones, after --revoke",
                counted((*left).into(), "backup code")
            ),
        }
    }
}

/// A user's lines in a usersfile, or in another store like it.
pub struct Lines<'a, S> {
    /// Where they are.
    pub store: S,
    /// The arguments of the auth line.
    pub options: &'a Options,
}

impl<S: Store> Verifier for Lines<'_, S> {
    type Accepted = usize;
    type Refusal = Refusal;
    type Error = usersfile::Error;
    type Warning = LinesWarning;

    fn user(&self) -> &OsStr {
        self.store.user()
    }

    fn pin<'r>(&self, response: &'r [u8]) -> &'r [u8] {
        login::split(response, self.options.code_length()).0
    }

    fn needs_zone(&self) -> bool {
        self.options.drift || self.options.replay_grace > 0
    }

    fn verify<'r>(
        &self,
        response: &'r [u8],
        attempts: &Attempts,
    ) -> Result<Checked<'r, Self>, Stop<'r>> {
        let updated = self.store.update(attempts.deadline, |candidates| {
            let unix_time = attempts.unix_time()?;
            let attempt = self.options.attempt(response, unix_time);
            let mut decision =
                login::decide(candidates, &attempt, &attempts.known()).map_err(Stop::Undecided)?;
            let record = match &mut decision.result {
                Ok(Accepted { record, .. }) if attempts.records() => record.take(),
                _ => None,
            };
            let record = match record {
                Some(record) => Some((record, attempts.zone()?.local_time(unix_time)?)),
                None => None,
            };
            Ok::<_, Stop>((decision, record))
        })?;
        let Decision {
            result,
            pin,
            compared,
        } = updated.answer;
        let warnings = updated.warnings.into_iter().map(LinesWarning::Store);
        let accepted = result.as_ref().ok();
        let few = accepted
            .and_then(|accepted| accepted.backup_codes_left)
            .filter(|&left| left <= FEW_BACKUP_CODES && attempts.records())
            .map(|left| LinesWarning::FewBackupCodes { left });
        let warnings = warnings.chain(few).collect();
        Ok(Checked {
            result: result.map(|accepted| accepted.line),
            pin,
            compared,
            warnings,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// By the time before its wait the other's failure would lie in the future, as a clock that
    /// was set back leaves it, and delay nobody: guesses that are made at once would be checked
    /// wherever a second ends between them.
    #[test]
    fn a_guess_that_waited_for_the_lock_of_another_that_failed_comes_too_early() {
        const SECONDS: u64 = 1000;
        let folder = tempfile::tempdir().unwrap();
        let (folder, user) = (folder.path(), OsStr::new("alice"));
        let deadline = Deadline::begin();
        let mut first = Throttle::lock(folder, user, &deadline).unwrap();
        let (begins, begun) = mpsc::channel();
        let second = thread::scope(|scope| {
            let second = scope.spawn(move || {
                let deadline = Deadline::begin();
                let throttling = Throttling {
                    seconds: Some(SECONDS),
                    folder: folder.as_os_str(),
                };
                let attempts = Attempts::new(throttling, &deadline);
                begins.send(clock::unix_time().unwrap()).unwrap();
                attempts.count_failure(user, SECONDS).map(drop)
            });
            // The first fails in a later second than the one in which the second began.
            let begun = begun.recv().unwrap();
            let now = || clock::unix_time().unwrap();
            while now() < begun + 2 {
                thread::sleep(Duration::from_millis(10));
            }
            let failed = first.failures().record_at(now());
            first.set(failed, &deadline).unwrap();
            drop(first);
            second.join().unwrap()
        });
        let second: Result<(), Error> = second;
        assert!(matches!(second, Err(Error::TooEarly { failures: 1, .. })));
    }
}
