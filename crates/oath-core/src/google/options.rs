//! The arguments of a line of Google's module in the PAM configuration.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::attempt::Throttling;
use crate::number::leading_number;
use crate::state::throttle;

/// The arguments of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `secret=`: where the file is; `~` and `${HOME}` stand for the home directory, `${USER}` for
    /// the user's name.
    pub secret: OsString,
    /// `authtok_prompt=`, or else one by `forward_pass`.
    pub prompt: Option<OsString>,
    /// `user=`: the account whose rights the file is read and written with, and whose it must be.
    pub user: Option<OsString>,
    /// `allowed_perm=`: the mode bits that the file may have.
    pub allowed_mode: u32,
    /// `no_strict_owner`: the file may be anybody's.
    pub any_owner: bool,
    /// `debug`
    pub debug: bool,
    /// `try_first_pass`: the stacked token is tried before the user is asked.
    pub try_first_pass: bool,
    /// `use_first_pass`: the user is never asked.
    pub use_first_pass: bool,
    /// `forward_pass`: a password stands before the code, for the next module.
    pub forward_pass: bool,
    /// `noskewadj`: nothing is learned of a token's clock.
    pub no_skew_adjustment: bool,
    /// `nullok`: who has no file is not asked, PAM_IGNORE.
    pub null_ok: bool,
    /// `allow_readonly`: a code is good although the file cannot be written.
    pub allow_read_only: bool,
    /// `echo_verification_code`: what is typed is shown.
    pub echo: bool,
    /// `grace_period=`: for how many seconds no code is asked for again at the same host.
    pub grace_period: u64,
    /// `disallow_reuse`: no code is good twice, whether or not the file says DISALLOW_REUSE. Not an
    /// argument of Google's module.
    pub disallow_reuse: bool,
    /// `throttle=`: each failure in a row adds so many seconds in which the next answer is not
    /// checked. Not an argument of Google's module.
    pub throttle: Option<u64>,
    /// `throttle_dir=`
    pub throttle_folder: OsString,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            secret: "~/.google_authenticator".into(),
            prompt: None,
            user: None,
            allowed_mode: 0o600,
            any_owner: false,
            debug: false,
            try_first_pass: false,
            use_first_pass: false,
            forward_pass: false,
            no_skew_adjustment: false,
            null_ok: false,
            allow_read_only: false,
            echo: false,
            grace_period: 0,
            disallow_reuse: false,
            throttle: None,
            throttle_folder: throttle::FOLDER.into(),
        }
    }
}

/// An argument that denies everybody, as with Google's module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such argument.
    #[error("unknown argument {0}: nobody gets in until it is removed from the line")]
    Unknown(String),
    /// A value that is none.
    #[error("argument {argument}: {problem}")]
    Value {
        /// The argument, with its value.
        argument: String,
        /// What it should be.
        problem: &'static str,
    },
}

impl Options {
    /// Reads the arguments; of one that is given twice the last counts.
    ///
    /// # Errors
    /// An argument that is not known, or that has no good value.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<Options, Error> {
        let mut options = Options::default();
        for argument in arguments {
            let bytes = argument.as_bytes();
            let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
                Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
                None => (bytes, None),
            };
            let text = || argument.to_string_lossy().into_owned();
            let invalid = |problem| Error::Value {
                argument: text(),
                problem,
            };
            let seconds =
                |value| number_of_seconds(value).ok_or(invalid("not a number of seconds"));
            let owned = |value: &[u8]| OsString::from_vec(value.to_vec());
            match (name, value) {
                (b"secret", Some(value)) => options.secret = owned(value),
                (b"authtok_prompt", Some(value)) => options.prompt = Some(owned(value)),
                (b"user", Some(value)) => options.user = Some(owned(value)),
                (b"allowed_perm", Some(value)) => {
                    let mode = mode(value).ok_or(invalid("not an octal number from 1 to 07777"));
                    options.allowed_mode = mode?;
                }
                (b"no_strict_owner", None) => options.any_owner = true,
                (b"debug", None) => options.debug = true,
                // Of these two the later one counts.
                (b"try_first_pass", None) => {
                    (options.try_first_pass, options.use_first_pass) = (true, false);
                }
                (b"use_first_pass", None) => {
                    (options.try_first_pass, options.use_first_pass) = (false, true);
                }
                (b"forward_pass", None) => options.forward_pass = true,
                (b"noskewadj", None) => options.no_skew_adjustment = true,
                // What it asks for is always done: see `login`.
                (b"no_increment_hotp", None) => {}
                (b"nullok", None) => options.null_ok = true,
                (b"allow_readonly", None) => options.allow_read_only = true,
                (b"echo_verification_code" | b"echo-verification-code", None) => {
                    options.echo = true;
                }
                (b"grace_period", Some(value)) => options.grace_period = seconds(value)?,
                (b"disallow_reuse", None) => options.disallow_reuse = true,
                (b"throttle", Some(value)) => {
                    let seconds = seconds(value)?;
                    options.throttle = (seconds > 0).then_some(seconds);
                }
                (b"throttle_dir", Some(value)) => options.throttle_folder = owned(value),
                _ => return Err(Error::Unknown(text())),
            }
        }
        Ok(options)
    }

    /// `throttle=` and `throttle_dir=`.
    pub fn throttling(&self) -> Throttling<'_> {
        Throttling {
            seconds: self.throttle,
            folder: &self.throttle_folder,
        }
    }

    /// The question.
    pub fn prompt(&self) -> &OsStr {
        match (&self.prompt, self.forward_pass) {
            (Some(prompt), _) => prompt,
            (None, true) => OsStr::new("Password & verification code: "),
            (None, false) => OsStr::new("Verification code: "),
        }
    }
}

/// A number of seconds as Google's module reads it: nothing is 0, and one that is too great is as
/// great as can be.
fn number_of_seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return Some(0);
    }
    let (number, rest) = leading_number(value);
    let is_number = rest.is_empty() && value.last().is_some_and(u8::is_ascii_digit);
    let is_negative = value.trim_ascii_start().starts_with(b"-");
    let number = u64::try_from(number.unwrap_or(0)).unwrap_or(u64::MAX);
    (is_number && !is_negative).then_some(number)
}

/// Mode bits as an octal number.
fn mode(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal)?;
    (1..=0o7777).contains(&mode).then_some(mode)
}
