//! The door that PAM knocks at: the entry points, and one login from top to bottom.

#![allow(unsafe_code)] // for the entry points below; everything unsafe they do is in `handle`

pub mod handle;
pub mod options;

use std::cell::Cell;
use std::ffi::{OsStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::SystemTime;

use pam_sys::pam_handle;
use zeroize::optimization_barrier;

pub use handle::{Handle, Priority};
pub use options::Options;

use crate::login::{self, Now, Refusal, Verdict};
use crate::sys;
use crate::throttle::{Failures, Throttle};
use crate::usersfile::journal::Journal;
use crate::usersfile::{self, Look, Usersfile};

/// Why a login was not accepted. Says what to do about it where something can be done; holds
/// nothing of a secret, a PIN or a code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to libpam failed.
    #[error("cannot {action}: PAM error {code}")]
    Pam {
        /// What was being done.
        action: &'static str,
        /// What libpam returned.
        code: c_int,
    },
    /// PAM has no name for the user.
    #[error("PAM gives no user name")]
    NoUser,
    /// The conversation went well but gave no answer.
    #[error("no response to the prompt")]
    NoResponse,
    /// With `use_first_pass`: no module before this one left a token.
    #[error("use_first_pass, but no module before this one asked for a password")]
    NoStackedToken,
    /// The user has no token in the usersfile.
    #[error("no token in {0}")]
    UserUnknown(String),
    /// The code is not good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The usersfile could not be used.
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
    /// The clock stands before 1970, or past what the calendar can name.
    #[error("the system's clock is out of range")]
    Clock,
}

impl Error {
    /// What PAM is told. When in doubt it is a denial: only a user who certainly has no token is
    /// unknown, since stacks let unknown users pass.
    pub fn return_code(&self) -> c_int {
        match self {
            Error::Pam { code, .. } => *code,
            Error::UserUnknown(_) | Error::Usersfile(usersfile::Error::NoHome { .. }) => {
                pam_sys::PAM_USER_UNKNOWN
            }
            Error::NoUser
            | Error::NoResponse
            | Error::NoStackedToken
            | Error::Refused(_)
            | Error::Usersfile(_)
            | Error::TooEarly { .. }
            | Error::Throttle(_)
            | Error::Clock => pam_sys::PAM_AUTH_ERR,
        }
    }

    fn priority(&self) -> Priority {
        match self {
            Error::UserUnknown(_) => Priority::Info,
            Error::Refused(Refusal::MalformedLine { .. }) => Priority::Error,
            Error::Refused(_)
            | Error::TooEarly { .. }
            | Error::NoResponse
            | Error::NoUser
            | Error::Pam { .. } => Priority::Notice,
            Error::NoStackedToken | Error::Usersfile(_) | Error::Throttle(_) | Error::Clock => {
                Priority::Error
            }
        }
    }

    fn line(&self) -> Option<usize> {
        match self {
            Error::Refused(refusal) => refusal.line(),
            _ => None,
        }
    }
}

/// How a login was accepted.
enum Accepted {
    /// By the token on this line of the usersfile.
    ByToken { line: usize },
    /// `no_usersfile_okay`, and there is none.
    WithoutUsersfile,
}

/// PAM's service function for authentication, pam_sm_authenticate(3).
///
/// # Safety
/// To be called by libpam, as that page says: with a valid handle and `argc` terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_authenticate(
    pamh: *mut pam_handle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // The standard library would print a panic's message, which may hold anything, to the
    // standard error of somebody else's process.
    std::panic::set_hook(Box::new(|_| {}));
    // SAFETY: both by this function's own contract, which is libpam's.
    let (handle, arguments) = unsafe { (Handle::from_raw(pamh), handle::arguments(argc, argv)) };
    let Some(handle) = handle else {
        return pam_sys::PAM_SERVICE_ERR;
    };
    let code = guarded(&handle, || respond(&handle, &arguments));
    wipe_stack();
    code
}

/// PAM's service function for credentials, pam_sm_setcred(3). There are none to set.
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_setcred(
    _pamh: *mut pam_handle,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    pam_sys::PAM_SUCCESS
}

/// Keeps a panic from crossing into C: it is logged and denied.
fn guarded(handle: &Handle, call: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        handle.log(
            Priority::Critical,
            "denied: internal error; please report it to the authors of pam_oath",
        );
        // What was thrown may panic itself when it is dropped; a few bytes are the lesser evil.
        std::mem::forget(panic);
        pam_sys::PAM_AUTH_ERR
    })
}

/// Overwrites the stack that the login has used, where the compiler may have left copies of a
/// secret that no destructor knows.
#[inline(never)]
fn wipe_stack() {
    let used = [0u8; 32 * 1024];
    // The zeros must be there, since somebody looks at them.
    optimization_barrier(&used);
}

/// Reads the arguments, does the login, logs how it went, gives PAM its answer.
#[inline(never)]
fn respond(handle: &Handle, arguments: &[&OsStr]) -> c_int {
    let (options, warnings) = Options::parse(arguments.iter().copied());
    for warning in warnings {
        handle.log(Priority::Warning, &warning);
    }
    let result = authenticate(handle, &options);
    let line = match &result {
        Ok(Accepted::ByToken { line }) => Some(*line),
        Ok(Accepted::WithoutUsersfile) => None,
        Err(error) => error.line(),
    };
    let who = who(handle, line);
    match result {
        Ok(Accepted::ByToken { .. }) => {
            handle.log(Priority::Info, &format!("accepted;{who}"));
        }
        Ok(Accepted::WithoutUsersfile) => handle.log(
            Priority::Warning,
            &format!("accepted without a code: no usersfile, and no_usersfile_okay;{who}"),
        ),
        Err(error) => {
            let outcome = match error {
                Error::UserUnknown(_) => "unknown",
                _ => "refused",
            };
            handle.log(error.priority(), &format!("{outcome}: {error};{who}"));
            if !options.always_ok {
                return match error {
                    Error::UserUnknown(_) if options.null_ok => pam_sys::PAM_IGNORE,
                    error => error.return_code(),
                };
            }
            let message = format!("accepted all the same because of alwaysok;{who}");
            handle.log(Priority::Warning, &message);
        }
    }
    pam_sys::PAM_SUCCESS
}

/// ` user=… rhost=… line=…`, as far as known, and each a single word: what ends a line of the log
/// must not be for anybody to choose by the name they log in with.
fn who(handle: &Handle, line: Option<usize>) -> String {
    let mut who = String::new();
    if let Some(user) = handle.known_user() {
        who += &format!(" user={}", one_word(&user));
    }
    if let Some(host) = handle.remote_host() {
        who += &format!(" rhost={}", one_word(&host));
    }
    if let Some(line) = line {
        who += &format!(" line={line}");
    }
    who
}

fn one_word(name: &OsStr) -> String {
    name.to_string_lossy().replace(char::is_whitespace, "?")
}

/// One login.
fn authenticate(handle: &Handle, options: &Options) -> Result<Accepted, Error> {
    let user = &handle.user()?;
    let usersfile = Usersfile::named(&options.usersfile, user)?;
    let mut login = Login {
        handle,
        options,
        user,
        usersfile,
        look: None,
        counted: Cell::new(None),
    };
    let path = || login.usersfile.path().display().to_string();
    login.debug(|| format!("usersfile is {}", path()));

    // Without the lock: does the user have a token at all? If the file cannot be used, the user
    // is asked like any other, and the attempt below says why it fails.
    match login.usersfile.look_for(user) {
        Ok(look) if look.is_known() => login.look = Some(look),
        Ok(_) => return Err(Error::UserUnknown(path())),
        Err(usersfile::Error::Missing(_)) if options.no_usersfile_okay => {
            return Ok(Accepted::WithoutUsersfile);
        }
        Err(usersfile::Error::Missing(_)) if options.null_ok => {
            return Err(Error::UserUnknown(path()));
        }
        Err(_) => {}
    }

    if options.use_first_pass || options.try_first_pass {
        if let Some(token) = handle.authtok()? {
            let (result, pin) = login.attempt(&token);
            let asks_again = matches!(result, Err(Error::Refused(_))) && !options.use_first_pass;
            if !asks_again {
                login.hand_on(pin)?;
                return result;
            }
            login.debug(|| "the stacked token does not satisfy".into());
        } else if options.use_first_pass {
            return Err(Error::NoStackedToken);
        }
    }

    let prompt = options.prompt_for(user, sys::host_name);
    let response = handle.prompt(&prompt, options.echo)?;
    let (result, pin) = login.attempt(&response);
    login.hand_on(pin)?;
    result
}

/// What stays the same through one login.
struct Login<'a> {
    handle: &'a Handle<'a>,
    options: &'a Options,
    user: &'a OsStr,
    usersfile: Usersfile,
    /// What was seen of the user before the prompt.
    look: Option<Look>,
    /// The failure that the throttle has counted for this login, if any.
    counted: Cell<Option<Failures>>,
}

impl Login<'_> {
    /// Checks one response, unless it comes too early. Returns the PIN in it as well.
    fn attempt<'r>(&self, response: &'r [u8]) -> (Result<Accepted, Error>, &'r [u8]) {
        let (mut pin, _) = login::split(response, self.options.code_length());
        let result = self.throttled(|| {
            let now = now()?;
            self.check(response, now, &mut pin)
        });
        (result, pin)
    }

    /// Lets `check` run if the user need not wait.
    fn throttled(
        &self,
        check: impl FnOnce() -> Result<Accepted, Error>,
    ) -> Result<Accepted, Error> {
        let Some(seconds) = self.options.throttle else {
            return check();
        };
        let (mut throttle, before) = match self.count_failure(seconds) {
            Err(Error::Throttle(error)) if sys::effective_user() != 0 => {
                let message = format!("not throttled, for want of root's rights: {error}");
                self.handle.log(Priority::Warning, &message);
                return check();
            }
            counted => counted?,
        };
        let result = check();
        let after = match &result {
            Ok(_) => Some(Failures::default()),
            Err(Error::Refused(refusal)) if refusal.is_of_a_guess() => None,
            Err(_) => Some(before),
        };
        match after.map(|failures| throttle.set(failures)) {
            Some(Err(error)) => Err(Error::Throttle(error)),
            _ => result,
        }
    }

    /// Counts a failure before the check begins, so that nothing that stops the check makes a
    /// guess free. Returns the throttle, still locked, and what it held before.
    ///
    /// A login counts once: who is asked because the stacked token does not satisfy need not wait
    /// for that.
    fn count_failure(&self, seconds: u64) -> Result<(Throttle, Failures), Error> {
        let folder = Path::new(&self.options.throttle_folder);
        let mut throttle = Throttle::lock(folder, self.user).map_err(Error::Throttle)?;
        // Not earlier: others may have failed while this one waited for the lock.
        let now = now()?.unix_time;
        let before = throttle.failures();
        let failed = if self.counted.get() == Some(before) {
            Failures {
                last: now,
                ..before
            }
        } else {
            match before.wait(seconds, now) {
                0 => before.and_one_at(now),
                wait => {
                    return Err(Error::TooEarly {
                        failures: before.count,
                        wait,
                    });
                }
            }
        };
        throttle.set(failed).map_err(Error::Throttle)?;
        self.counted.set(Some(failed));
        Ok((throttle, before))
    }

    /// Checks a response against the usersfile, under its lock, and records it if it is good.
    fn check<'r>(
        &self,
        response: &'r [u8],
        now: Now,
        pin: &mut &'r [u8],
    ) -> Result<Accepted, Error> {
        let options = self.options;
        let mut journal = match &options.journal_folder {
            Some(folder) => {
                let path = self.usersfile.resolved_path()?;
                Some(Journal::lock(Path::new(folder), &path, self.user)?)
            }
            None => None,
        };
        let attempt = options.attempt(response, now);
        let mut accepted = None;
        let updated = self
            .usersfile
            .update(self.user, self.look.as_ref(), |lines| {
                self.debug(|| format!("{} lines are the user's", lines.len()));
                let decision = login::decide(lines, journal.as_ref(), &attempt);
                *pin = decision.pin;
                match decision.verdict {
                    Verdict::Accepted { line, record } => {
                        accepted = record.as_ref().map(|record| (line, record.text.clone()));
                        (Ok(Accepted::ByToken { line }), record)
                    }
                    Verdict::Refused(refusal) => (Err(refusal.into()), None),
                }
            });
        match (updated, &mut journal, accepted) {
            (Err(error), Some(journal), Some((line, text))) if error.is_full_or_read_only() => {
                journal.record(&text)?;
                let message = format!("recorded in {} only: {error}", journal.path().display());
                self.handle.log(Priority::Warning, &message);
                Ok(Accepted::ByToken { line })
            }
            (updated, journal, accepted) => {
                let (result, warnings) = updated?;
                for warning in warnings {
                    self.handle.log(Priority::Warning, &warning);
                }
                if let (Some(journal), Some((_, text))) = (journal, accepted) {
                    // What stays in it is behind the file from now on and does no harm.
                    if let Err(error) = journal.clear(&text) {
                        self.handle.log(Priority::Warning, &error.to_string());
                    }
                }
                result
            }
        }
    }

    /// What was typed before the code becomes PAM_AUTHTOK, for the module that checks it.
    fn hand_on(&self, pin: &[u8]) -> Result<(), Error> {
        match pin {
            b"" => Ok(()),
            pin => self.handle.set_authtok(pin),
        }
    }

    fn debug(&self, message: impl FnOnce() -> String) {
        if self.options.debug {
            self.handle.log(Priority::Debug, &message());
        }
    }
}

fn now() -> Result<Now, Error> {
    let unix_time = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| Error::Clock)?
        .as_secs();
    Ok(Now {
        unix_time,
        local_time: sys::local_time(unix_time).ok_or(Error::Clock)?,
        unix_times: sys::unix_times,
    })
}
