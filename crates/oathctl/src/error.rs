//! Errors as the administrator reads them, and their exit codes.

use std::ffi::c_int;
use std::io;
use std::process::ExitCode;

use oath_core::google::secret_file;
use oath_core::state::throttle;
use oath_core::sys::{self, clock};
use oath_core::{attempt, fs, usersfile};

use crate::output;

const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const EXISTS: u8 = 4;
const NOT_PERMITTED: u8 = 5;

/// What `--help` says of them, and man/oathctl.8.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it could not be done, and standard error says why
  2  the command line is wrong
  3  there is no such user or token
  4  the user has one already
  5  not permitted: not root, as a rule
verify, check, import, export, split and join have others for what they find; see their --help.";

/// Why a command did not do what it was asked to. Nothing of a secret, a PIN or a code is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The usersfile could not be used.
    #[error(transparent)]
    Usersfile(#[from] usersfile::Error),
    /// The secret file of Google's module could not be used.
    #[error(transparent)]
    SecretFile(#[from] secret_file::Error),
    /// Another file could not be used.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A user's failures could not be read or cleared.
    #[error(transparent)]
    Throttle(#[from] throttle::Error),
    /// A dry run of a login could not be done.
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
    /// The time, or the local time, is not known.
    #[error(transparent)]
    Clock(#[from] clock::Error),
    /// Anything else, as a whole sentence: "alice has no token in /etc/users.oath".
    #[error("{0}")]
    Failed(String),
    /// There is no such user or token: "alice has no token in /etc/users.oath".
    #[error("{0}")]
    NotFound(String),
    /// There is one already: "alice has a token already, on line 3 of /etc/users.oath".
    #[error("{0}")]
    Exists(String),
    /// The command line contradicts itself or the configuration, or lacks an option.
    #[error("{0}")]
    Usage(String),
    /// A system call failed.
    #[error("cannot {action}: {cause}")]
    Io {
        /// What was being done, and to what: "read /etc/pam.d/sshd".
        action: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A signal came while a question was open.
    #[error("interrupted; nothing was changed")]
    Interrupted(c_int),
    /// The reader of standard output closed it: `oathctl list | head -1`.
    #[error("nobody reads standard output")]
    OutputClosed,
}

impl Error {
    pub(crate) fn failed(message: impl Into<String>) -> Error {
        Error::Failed(message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Error {
        Error::Usage(message.into())
    }

    /// For `map_err`: what was being done when a system call failed.
    pub(crate) fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
        move |cause| Error::Io {
            action: action.into(),
            cause: cause.into(),
        }
    }

    /// Prints it on standard error and returns the exit code. After a signal the process ends by
    /// that signal, so that a shell script that started it stops as well.
    pub(crate) fn report(self) -> ExitCode {
        if let Error::OutputClosed = self {
            return ExitCode::FAILURE;
        }
        let not_permitted = self.is_permission_denied();
        let hint = if not_permitted && sys::effective_user() != 0 {
            " (are you root?)"
        } else {
            ""
        };
        output::error(&format!("{self}{hint}"));
        match self {
            Error::Usage(_) => ExitCode::from(USAGE),
            Error::NotFound(_) => ExitCode::from(NOT_FOUND),
            Error::Exists(_) => ExitCode::from(EXISTS),
            _ if not_permitted => ExitCode::from(NOT_PERMITTED),
            Error::Interrupted(signal) => {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
                ExitCode::FAILURE
            }
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether the user has no such token, or not even a usersfile.
    pub(crate) fn is_of_nobody(&self) -> bool {
        matches!(self, Error::NotFound(_)) || self.is_missing_usersfile()
    }

    /// Whether there is no usersfile, but the folder it should be in.
    pub(crate) fn is_missing_usersfile(&self) -> bool {
        matches!(self, Error::Usersfile(error) if error.is_missing())
    }

    fn is_permission_denied(&self) -> bool {
        match self {
            Error::Usersfile(usersfile::Error::File(error))
            | Error::Attempt(attempt::Error::File(usersfile::Error::File(error)))
            | Error::SecretFile(secret_file::Error::File(error))
            | Error::File(error) => error.is_permission_denied(),
            Error::SecretFile(secret_file::Error::NotPermitted(_)) => true,
            Error::Throttle(error) => error.is_permission_denied(),
            Error::Io { cause, .. } => cause.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}
