//! One login from top to bottom.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use oath_core::attempt::{self, AnswerOf, Attempts, ErrorOf, Origin};
use oath_core::fs::Deadline;
use oath_core::google::format::Malformed;
use oath_core::google::login::{Accepted, Beforehand, Refusal};
use oath_core::google::options::{self, Options};
use oath_core::google::secret_file::{self, Found, Response, SecretFile, Warning, is_host_name};
use pam_handle::{self as handle, Handle, Priority};
use zeroize::Zeroizing;

/// Why a login was not accepted. Says what to do about it where something can be done; holds nothing
/// of a secret, a password or a code.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// PAM did not give what was asked of it.
    #[error(transparent)]
    Pam(#[from] handle::Error),
    /// An argument of the line.
    #[error(transparent)]
    Options(#[from] options::Error),
    /// With `use_first_pass`: no module before this one left PAM_AUTHTOK.
    #[error("use_first_pass, but no module before this one asked for a password")]
    NoAuthtok,
    /// `nullok`, and the user has no file.
    #[error("no secret file, and nullok")]
    NullOk,
    /// `grace_period=`, and it ended while the user was asked for a password.
    #[error("grace_period ended while a password was asked for")]
    GraceOver,
    /// A field of the file cannot be used.
    #[error("{}: {malformed}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The field, and what is wrong with it.
        malformed: Malformed,
    },
    /// The attempt was not accepted.
    #[error(transparent)]
    Attempt(#[from] ErrorOf<Response<'static>>),
}

impl From<secret_file::Error> for Error {
    fn from(error: secret_file::Error) -> Self {
        Error::Attempt(attempt::Error::File(error))
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Attempt(attempt::Error::Refused(refusal))
    }
}

impl Error {
    /// What PAM is told, and how much it matters in the log. Google's module knows no other denial
    /// than PAM_AUTH_ERR.
    fn code_and_priority(&self) -> (c_int, Priority) {
        use pam_sys::{PAM_AUTH_ERR, PAM_IGNORE};
        match self {
            Error::NullOk => (PAM_IGNORE, Priority::Info),
            Error::Attempt(attempt::Error::Refused(_) | attempt::Error::TooEarly { .. }) => {
                (PAM_AUTH_ERR, Priority::Notice)
            }
            Error::Pam(_) | Error::GraceOver => (PAM_AUTH_ERR, Priority::Notice),
            Error::Options(_) | Error::NoAuthtok | Error::Malformed { .. } | Error::Attempt(_) => {
                (PAM_AUTH_ERR, Priority::Error)
            }
        }
    }

    fn line(&self) -> Option<usize> {
        match self {
            Error::Malformed { malformed, .. } => Some(malformed.line),
            _ => None,
        }
    }
}

/// Why a login was accepted.
enum Success {
    /// A code was good.
    Code(Accepted),
    /// None was asked for: one was given at this host within `grace_period`.
    WithinGrace,
}

/// Reads the arguments, does the login, logs how it went, gives PAM its answer.
#[inline(never)]
pub fn respond(handle: &Handle, arguments: &[&OsStr]) -> c_int {
    let mut user = None;
    let result = Options::parse(arguments.iter().copied())
        .map_err(Error::from)
        .and_then(|options| {
            let login = Login {
                handle,
                options: &options,
            };
            login.authenticate(&mut user)
        });
    let line = result.as_ref().err().and_then(Error::line);
    let who = handle.who(user.as_deref(), line);
    match result {
        Ok(success) => {
            handle.log_outcome(Priority::Info, &success.to_string(), &who);
            pam_sys::PAM_SUCCESS
        }
        Err(error) => {
            let (code, priority) = error.code_and_priority();
            let outcome = match error {
                Error::NullOk => "ignored",
                _ => "refused",
            };
            handle.log_outcome(priority, &format!("{outcome}: {error}"), &who);
            code
        }
    }
}

impl std::fmt::Display for Success {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Success::Code(Accepted::Code) => f.write_str("accepted"),
            Success::Code(Accepted::ScratchCode { left }) => {
                write!(f, "accepted a scratch code; {left} are left")
            }
            Success::WithinGrace => f.write_str("accepted without a code: within grace_period"),
        }
    }
}

/// A refusal that the file gave rise to.
fn refused(file: &SecretFile, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Malformed(malformed) => Error::Malformed {
            path: file.path().to_owned(),
            malformed,
        },
        refusal => refusal.into(),
    }
}

/// One login.
struct Login<'a> {
    handle: &'a Handle<'a>,
    options: &'a Options,
}

impl Login<'_> {
    /// The login from top to bottom. `user` becomes the name for the log, once it is known to be that
    /// of an account: before that it may be a password.
    fn authenticate(&self, user: &mut Option<OsString>) -> Result<Success, Error> {
        let (handle, options) = (self.handle, self.options);
        let typed = handle.user()?;
        let deadline = Deadline::begin();
        let host = handle.remote_host();
        let host = host.as_deref().map(OsStr::as_bytes);
        let host = host.filter(|host| is_host_name(host));

        // Before anybody is asked, and without the lock: is there a file, and does it say already how
        // this ends? Where it cannot be used the user is asked like any other.
        let file = match SecretFile::locate(options, &typed, &deadline) {
            Err(error) if !error.is_told_after_the_prompt() => return Err(error.into()),
            file => file,
        };
        if let Ok(file) = &file {
            *user = file.account_name().map(OsStr::to_owned);
            if options.debug && user.is_some() {
                let path = file.path().display();
                handle.log(Priority::Debug, &format!("secret file is {path}"));
            }
        }
        let found = file.and_then(|file| match file.look(host, options, &deadline)? {
            // A name without an account is nobody who could have a file.
            Found::Missing if options.null_ok && file.account_name().is_some() => Ok(None),
            Found::Missing => Err(file.missing()),
            Found::File(beforehand) => Ok(Some((file, beforehand))),
        });
        let file = match found {
            Ok(None) => return Err(Error::NullOk),
            Ok(Some((file, Beforehand::Refused(refusal)))) => {
                return Err(refused(&file, refusal));
            }
            Ok(Some((file, Beforehand::WithinGrace))) => {
                return self.within_grace(&deadline, || file.look(host, options, &deadline));
            }
            Ok(Some((file, Beforehand::Ask))) => Ok(file),
            Err(error) => Err(error),
        };

        let stacked = match options.use_first_pass || options.try_first_pass {
            true => handle.authtok()?,
            false => None,
        };
        let file = match file {
            Ok(file) => file,
            Err(_) if options.use_first_pass && stacked.is_none() => return Err(Error::NoAuthtok),
            Err(error) => {
                if !options.use_first_pass {
                    // So that nobody sees who has a file; whatever is typed is of no use.
                    let _ = self.ask();
                }
                return Err(error.into());
            }
        };
        let response = |may_have_password, counts_as_try| Response {
            file: &file,
            options,
            host,
            may_have_password,
            counts_as_try,
        };

        let mut attempts = Attempts::new(options.throttling(), &deadline);
        let mut counts_as_try = true;
        if let Some(token) = stacked {
            let answer = attempts.attempt(&response(true, true), &token, Origin::Stacked);
            let may_ask = match &answer.result {
                Err(attempt::Error::Refused(refusal)) => refusal.may_ask_again(),
                _ => false,
            };
            if options.use_first_pass || !may_ask {
                return self.answer(&file, answer);
            }
            counts_as_try = false;
        } else if options.use_first_pass {
            // A try all the same, for RATE_LIMIT.
            let answer = attempts.attempt(&response(false, true), b"", Origin::Stacked);
            return match self.answer(&file, answer) {
                Err(Error::Attempt(attempt::Error::Refused(Refusal::NoResponse))) | Ok(_) => {
                    Err(Error::NoAuthtok)
                }
                told => told,
            };
        }

        let (text, no_response) = match deadline.except(|| self.ask()) {
            Ok(text) => (text, None),
            // A try all the same, for RATE_LIMIT.
            Err(error) => (Zeroizing::default(), Some(error)),
        };
        let response = response(options.forward_pass, counts_as_try);
        let answer = attempts.attempt(&response, &text, Origin::Prompt);
        let result = self.answer(&file, answer);
        match no_response {
            Some(error) => Err(error),
            None => result,
        }
    }

    fn ask(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self
            .handle
            .prompt(self.options.prompt(), self.options.echo)?)
    }

    /// No code is needed. With `forward_pass` the next module waits for a password all the same, and
    /// the question is another, so that nobody types a code behind it; what counts is what the file
    /// says after the answer.
    fn within_grace(
        &self,
        deadline: &Deadline,
        look: impl FnOnce() -> Result<Found, secret_file::Error>,
    ) -> Result<Success, Error> {
        if self.options.forward_pass && self.handle.authtok()?.is_none() {
            let ask = || self.handle.prompt(OsStr::new("Password: "), false);
            let password = deadline.except(ask)?;
            let Found::File(Beforehand::WithinGrace) = look()? else {
                return Err(Error::GraceOver);
            };
            self.handle.set_authtok(&password)?;
        }
        Ok(Success::WithinGrace)
    }

    /// Logs what the administrator should know, tells the user what Google's module tells, leaves
    /// what was typed before a good code as PAM_AUTHTOK, and tells the result.
    fn answer(&self, file: &SecretFile, answer: AnswerOf<Response>) -> Result<Success, Error> {
        for warning in &answer.warnings {
            self.handle.log(Priority::Warning, &warning.to_string());
            if let attempt::Warning::Tokens(Warning::NotRecorded(error)) = warning {
                self.tell_of(error.kind());
            }
        }
        match answer.result {
            Ok(accepted) => {
                if self.options.forward_pass {
                    self.handle.set_authtok(answer.pin)?;
                }
                Ok(Success::Code(accepted))
            }
            Err(attempt::Error::Refused(refusal)) => Err(refused(file, refusal)),
            Err(error) => {
                if let attempt::Error::File(secret_file::Error::File(error)) = &error {
                    self.tell_of(error.kind());
                }
                Err(error.into())
            }
        }
    }

    /// Tells the user why the file could not be written, in the two cases in which Google's module
    /// does.
    fn tell_of(&self, cause: Option<io::ErrorKind>) {
        let cause = match cause {
            Some(io::ErrorKind::ReadOnlyFilesystem) => "Read-only file system",
            Some(io::ErrorKind::StorageFull) => "No space left on device",
            _ => return,
        };
        self.handle
            .show_error(&format!("Error \"{cause}\" while writing config"));
    }
}
