//! One login from top to bottom.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString, c_int};
use std::path::PathBuf;

use oath_core::attempt::{self, Answer, Attempts, Lines, LinesWarning, Origin};
use oath_core::fs::{self, Deadline};
use oath_core::login::{self, Refusal};
use oath_core::lookup::{Enrolled, Found, Lookup, look_up};
use oath_core::options::Options;
use oath_core::store::FileStore;
use oath_core::sys;
use oath_core::usersfile::{self, Template};

use pam_handle::{self as handle, Handle, Priority};

/// Why a login was not accepted. Says what to do about it where something can be done; holds
/// nothing of a secret, a PIN or a code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PAM did not give what was asked of it.
    #[error(transparent)]
    Pam(#[from] handle::Error),
    /// With `use_first_pass`: no module before this one left PAM_AUTHTOK.
    #[error("use_first_pass, but no module before this one asked for a password")]
    NoAuthtok,
    /// The user has no token in the usersfile.
    #[error("no token in {}", .0.display())]
    UserUnknown(PathBuf),
    /// The attempt was not accepted.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
}

impl Error {
    /// What PAM is told, of what pam_sm_authenticate(3) lets a module return, and how much it
    /// matters in the log. When in doubt it is a denial: only a user who certainly has no token is
    /// unknown, since stacks let unknown users pass.
    fn code_and_priority(&self) -> (c_int, Priority) {
        use pam_sys::{PAM_ABORT, PAM_AUTH_ERR, PAM_CONV_AGAIN, PAM_INCOMPLETE, PAM_USER_UNKNOWN};
        match self {
            Error::UserUnknown(_) => (PAM_USER_UNKNOWN, Priority::Info),
            Error::Pam(handle::Error::Call { code, .. }) => match *code {
                // The application calls again once it has the answer.
                PAM_CONV_AGAIN => (PAM_INCOMPLETE, Priority::Notice),
                PAM_ABORT => (PAM_ABORT, Priority::Notice),
                _ => (PAM_AUTH_ERR, Priority::Notice),
            },
            Error::Pam(handle::Error::NoUser | handle::Error::NoResponse) => {
                (PAM_AUTH_ERR, Priority::Notice)
            }
            Error::NoAuthtok => (PAM_AUTH_ERR, Priority::Error),
            Error::Attempt(error) => match error {
                attempt::Error::Refused(Refusal::MalformedLine { .. }) => {
                    (PAM_AUTH_ERR, Priority::Error)
                }
                attempt::Error::Refused(_) | attempt::Error::TooEarly { .. } => {
                    (PAM_AUTH_ERR, Priority::Notice)
                }
                _ => (PAM_AUTH_ERR, Priority::Error),
            },
        }
    }

    fn line(&self) -> Option<usize> {
        match self {
            Error::Attempt(attempt::Error::Refused(refusal)) => refusal.line(),
            _ => None,
        }
    }
}

/// Why a login was accepted.
enum Success {
    /// The token on this line of the usersfile gave the code.
    Token { line: usize },
    /// `no_usersfile_okay`, and there is none.
    NoUsersfile,
}

/// Reads the arguments, does the login, logs how it went, gives PAM its answer.
#[inline(never)]
pub fn respond(handle: &Handle, arguments: &[&OsStr]) -> c_int {
    let (options, warnings) = Options::parse(arguments.iter().copied());
    for warning in warnings {
        handle.log(Priority::Warning, &warning);
    }
    let mut login = Login {
        handle,
        options: &options,
        user: None,
    };
    let result = login.authenticate();
    let line = match &result {
        Ok(Success::Token { line }) => Some(*line),
        Ok(Success::NoUsersfile) => None,
        Err(error) => error.line(),
    };
    let who = handle.who(login.user.as_deref(), line);
    match result {
        Ok(Success::Token { .. }) => handle.log_outcome(Priority::Info, "accepted", &who),
        Ok(Success::NoUsersfile) => handle.log_outcome(
            Priority::Warning,
            "accepted without a code: no usersfile, and no_usersfile_okay",
            &who,
        ),
        Err(error) => {
            let outcome = match error {
                Error::UserUnknown(_) => "unknown",
                _ => "refused",
            };
            let (code, priority) = error.code_and_priority();
            handle.log_outcome(priority, &format!("{outcome}: {error}"), &who);
            if !options.always_ok {
                return match error {
                    Error::UserUnknown(_) if options.null_ok => pam_sys::PAM_IGNORE,
                    _ => code,
                };
            }
            let message = "accepted all the same because of alwaysok";
            handle.log_outcome(Priority::Warning, message, &who);
        }
    }
    pam_sys::PAM_SUCCESS
}

/// One login.
struct Login<'a> {
    handle: &'a Handle<'a>,
    options: &'a Options,
    /// The user's name, once it is known that a line or an account has it. Before that it may be
    /// a password: people type one where a name is asked for.
    user: Option<OsString>,
}

impl Login<'_> {
    /// The login from top to bottom.
    fn authenticate(&mut self) -> Result<Success, Error> {
        let (handle, options) = (self.handle, self.options);
        let typed = handle.user()?;
        let deadline = Deadline::begin();
        self.debug(|| format!("usersfile is {}", options.usersfile.to_string_lossy()));

        // Without the lock: does the user have a token at all? If the file cannot be used, the
        // user is asked like any other, and the attempt below says why it fails.
        let lookup = match self.find(&typed, &deadline) {
            Ok(Lookup::NoUsersfile(_)) if options.no_usersfile_okay => {
                return Ok(Success::NoUsersfile);
            }
            Ok(Lookup::Unknown(path)) => return Err(Error::UserUnknown(path)),
            Ok(Lookup::NoUsersfile(path)) if options.null_ok => {
                return Err(Error::UserUnknown(path));
            }
            lookup => lookup,
        };
        let mut user = lookup.ok().and_then(Lookup::enrolled);

        let mut attempts = Attempts::new(options.throttling(), &deadline);
        if options.use_first_pass || options.try_first_pass {
            if let Some(token) = handle.authtok()? {
                let answer =
                    self.attempt(&mut user, &typed, &mut attempts, (&token, Origin::Stacked));
                let is_refused = matches!(answer.result, Err(attempt::Error::Refused(_)));
                if options.use_first_pass || !is_refused {
                    return self.answer(answer, &token);
                }
                self.debug(|| "the stacked token does not satisfy".into());
            } else if options.use_first_pass {
                return Err(Error::NoAuthtok);
            }
        }

        let prompt = options.prompt_for(&typed, sys::host_name);
        let response = deadline.except(|| handle.prompt(&prompt, options.echo))?;
        let answer = self.attempt(
            &mut user,
            &typed,
            &mut attempts,
            (&response, Origin::Prompt),
        );
        self.answer(answer, &response)
    }

    /// Checks one response. A user whose token could not be looked for is looked for again.
    fn attempt<'r>(
        &mut self,
        user: &mut Option<Enrolled>,
        typed: &OsStr,
        attempts: &mut Attempts,
        (response, origin): (&'r [u8], Origin),
    ) -> Answer<'r> {
        let found = match user {
            Some(user) => Ok(&*user),
            None => match self.find(typed, attempts.deadline()) {
                Ok(Lookup::Enrolled(found)) => Ok(&*user.insert(found)),
                Ok(Lookup::Unknown(_)) => Err(Refusal::NoToken.into()),
                Ok(Lookup::NoUsersfile(path)) => {
                    Err(usersfile::Error::from(fs::Error::Missing(path)).into())
                }
                Err(error) => Err(error.into()),
            },
        };
        match found {
            Ok(user) => {
                let journal_folder = self.options.journal_folder.as_deref();
                let store = FileStore::new(user, journal_folder);
                let options = self.options;
                attempts.attempt(&Lines { store, options }, response, origin)
            }
            Err(error) => Answer::error(error, response, self.options),
        }
    }

    /// Looks for the user, and notes the name for the log.
    fn find(&mut self, typed: &OsStr, deadline: &Deadline) -> Result<Lookup, usersfile::Error> {
        let template = Template::new(&self.options.usersfile);
        let Found { lookup, account } = look_up(template, typed, deadline);
        self.user = match &lookup {
            Ok(Lookup::Enrolled(user)) => Some(user.name.clone()),
            _ => account,
        };
        lookup
    }

    /// Logs what the administrator should know, leaves what was typed before the code as
    /// PAM_AUTHTOK for the module that checks it, and tells the result.
    fn answer(&self, answer: Answer, response: &[u8]) -> Result<Success, Error> {
        for warning in &answer.warnings {
            let text = warning.to_string();
            match warning {
                // The one that is about a user, and not about how the service is set up.
                attempt::Warning::Tokens(LinesWarning::FewBackupCodes { .. }) => {
                    let line = answer.result.as_ref().ok().copied();
                    let who = self.handle.who(self.user.as_deref(), line);
                    self.handle.log_outcome(Priority::Warning, &text, &who);
                }
                _ => self.handle.log(Priority::Warning, &text),
            }
        }
        let pin = match answer.result {
            Ok(_) => None,
            Err(_) => login::pin_of_refused(response, self.options.code_length()),
        };
        let pin = pin.unwrap_or(answer.pin);
        if !pin.is_empty() {
            self.handle.set_authtok(pin)?;
        }
        Ok(Success::Token {
            line: answer.result?,
        })
    }

    fn debug(&self, message: impl FnOnce() -> String) {
        if self.options.debug {
            self.handle.log(Priority::Debug, &message());
        }
    }
}
