//! The door that PAM knocks at: the entry points, and one login from top to bottom.

#![allow(unsafe_code)] // for the entry points below; everything unsafe they do is in `handle`

pub mod handle;
pub mod options;

use std::ffi::{OsStr, OsString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use pam_sys::pam_handle;
use zeroize::optimization_barrier;

pub use handle::{Handle, Priority};
pub use options::Options;

use crate::login::{self, Attempt, Refusal, Verdict};
use crate::sys;
use crate::usersfile::{self, Usersfile};

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
            | Error::Clock => pam_sys::PAM_AUTH_ERR,
        }
    }

    fn priority(&self) -> Priority {
        match self {
            Error::UserUnknown(_) => Priority::Info,
            Error::Refused(Refusal::MalformedLine { .. }) => Priority::Error,
            Error::Refused(_) | Error::NoResponse | Error::NoUser | Error::Pam { .. } => {
                Priority::Notice
            }
            Error::NoStackedToken | Error::Usersfile(_) | Error::Clock => Priority::Error,
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
    guarded(&handle, || {
        let code = respond(&handle, &arguments);
        wipe_stack();
        code
    })
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
    optimization_barrier(&[0u8; 32 * 1024]);
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
            handle.log(error.priority(), &format!("refused: {error};{who}"));
            if !options.always_ok {
                return error.return_code();
            }
            let message = format!("accepted all the same because of alwaysok;{who}");
            handle.log(Priority::Warning, &message);
        }
    }
    pam_sys::PAM_SUCCESS
}

/// ` user=… rhost=… line=…`, as far as known.
fn who(handle: &Handle, line: Option<usize>) -> String {
    let mut who = String::new();
    if let Ok(user) = handle.user() {
        who += &format!(" user={}", user.to_string_lossy());
    }
    if let Some(host) = handle.remote_host() {
        who += &format!(" rhost={}", host.to_string_lossy());
    }
    if let Some(line) = line {
        who += &format!(" line={line}");
    }
    who
}

/// One login.
fn authenticate(handle: &Handle, options: &Options) -> Result<Accepted, Error> {
    let user = handle.user()?;
    let usersfile = Usersfile::named(&options.usersfile, user)?;
    debug(handle, options, || {
        format!("usersfile is {}", usersfile.path().display())
    });

    // Without the lock: does the user have a token at all? If the file cannot be used, the user
    // is asked like any other, and the attempt below says why it fails.
    match usersfile.knows(user) {
        Ok(false) => {
            let path = usersfile.path().display().to_string();
            return Err(Error::UserUnknown(path));
        }
        Err(usersfile::Error::Missing(_)) if options.no_usersfile_okay => {
            return Ok(Accepted::WithoutUsersfile);
        }
        Ok(true) | Err(_) => {}
    }

    if options.use_first_pass || options.try_first_pass {
        if let Some(token) = handle.authtok()? {
            let result = attempt(handle, options, &usersfile, user, &token);
            let asks_again = matches!(result, Err(Error::Refused(_))) && !options.use_first_pass;
            if !asks_again {
                hand_on_pin(handle, options, &token)?;
                return result;
            }
            debug(handle, options, || {
                "the stacked token does not satisfy".into()
            });
        } else if options.use_first_pass {
            return Err(Error::NoStackedToken);
        }
    }

    let response = handle.prompt(&prompt_for(user))?;
    let result = attempt(handle, options, &usersfile, user, &response);
    hand_on_pin(handle, options, &response)?;
    result
}

fn prompt_for(user: &OsStr) -> OsString {
    let mut prompt = OsString::from("One-time password (OATH) for `");
    prompt.push(user);
    prompt.push("': ");
    prompt
}

/// Checks one response against the usersfile, under its lock, and records it if it is good.
fn attempt(
    handle: &Handle,
    options: &Options,
    usersfile: &Usersfile,
    user: &OsStr,
    response: &[u8],
) -> Result<Accepted, Error> {
    let (pin, otp) = login::split(response, options.digits);
    let (verdict, warnings) = usersfile.update(user, |lines| {
        debug(handle, options, || {
            format!("{} lines are the user's", lines.len())
        });
        let Ok(unix_time) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else {
            return (Err(Error::Clock), None);
        };
        let unix_time = unix_time.as_secs();
        let Some(local_time) = sys::local_time(unix_time) else {
            return (Err(Error::Clock), None);
        };
        let attempt = Attempt {
            pin,
            otp,
            window: options.window,
            unix_time,
            local_time: &login::last_time(&local_time),
        };
        match login::decide(lines, &attempt) {
            Verdict::Accepted { line, record } => (Ok(Accepted::ByToken { line }), Some(record)),
            Verdict::Refused(refusal) => (Err(refusal.into()), None),
        }
    })?;
    for warning in warnings {
        handle.log(Priority::Warning, &warning);
    }
    verdict
}

/// With `digits=`, what was typed before the code becomes PAM_AUTHTOK, for the module that
/// checks it.
fn hand_on_pin(handle: &Handle, options: &Options, response: &[u8]) -> Result<(), Error> {
    match login::split(response, options.digits).0 {
        b"" => Ok(()),
        pin => handle.set_authtok(pin),
    }
}

fn debug(handle: &Handle, options: &Options, message: impl FnOnce() -> String) {
    if options.debug {
        handle.log(Priority::Debug, &message());
    }
}
