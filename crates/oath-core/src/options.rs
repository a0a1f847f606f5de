//! The arguments on the module's line, read as OATH Toolkit's module reads them.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::attempt::Throttling;
use crate::login::{Attempt, CodeLength, MAX_WINDOW};
use crate::number::leading_number;
use crate::otp::{MAX_DIGITS, MIN_DIGITS};
use crate::state::throttle;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// `usersfile=`: the file, with `${USER}` and `${HOME}` not yet replaced.
    pub usersfile: OsString,
    /// `window=`: how many moving factors around the expected one are tried.
    pub window: u32,
    /// `digits=`: how many characters at the end of the response are the code; what stands
    /// before is the PIN. Without it the response is a code alone.
    pub digits: Option<usize>,
    /// `debug`: log more.
    pub debug: bool,
    /// `alwaysok`: let everybody in, to try a configuration out.
    pub always_ok: bool,
    /// `try_first_pass`: try the stacked token, prompt if it does not satisfy.
    pub try_first_pass: bool,
    /// `use_first_pass`: use the stacked token, never prompt.
    pub use_first_pass: bool,
    /// `no_usersfile_okay`: if there is no usersfile, let everybody in.
    pub no_usersfile_okay: bool,
    /// `nullok`: if there is no usersfile or no token in it, have no say.
    pub null_ok: bool,
    /// `ignore_userfile_password`: do not look at the PIN field.
    pub ignore_pin: bool,
    /// `forward_pass`: what stands before the code in the response is a PIN; how long the code is
    /// the token knows.
    pub forward_pass: bool,
    /// `echo_verification_code`: show what is typed.
    pub echo: bool,
    /// `authtok_prompt=`: what to ask, with `%u` and `%h` not yet replaced.
    pub prompt: OsString,
    /// `allow_replayed_otp_within=`: for how many seconds the code last accepted is good again.
    pub replay_grace: u64,
    /// `drift`: let the window follow the token's clock.
    pub drift: bool,
    /// `throttle=`: how many seconds of waiting a failure costs.
    pub throttle: Option<u64>,
    /// `throttle_dir=`: where failures are remembered.
    pub throttle_folder: OsString,
    /// `throttle_notice`: tell who has to wait for how long.
    pub throttle_notice: bool,
    /// `readonly_ok=`: where to record what was used while the usersfile cannot be written.
    pub journal_folder: Option<OsString>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            usersfile: "/etc/users.oath".into(),
            window: 5,
            digits: None,
            debug: false,
            always_ok: false,
            try_first_pass: false,
            use_first_pass: false,
            no_usersfile_okay: false,
            null_ok: false,
            ignore_pin: false,
            forward_pass: false,
            echo: false,
            prompt: "One-time password (OATH) for `%u': ".into(),
            replay_grace: 0,
            drift: false,
            throttle: None,
            throttle_folder: throttle::FOLDER.into(),
            throttle_notice: false,
            journal_folder: None,
        }
    }
}

impl Options {
    /// Reads the arguments; of one that is given twice the last counts. The second value
    /// is what a sysadmin should be told about them.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> (Options, Vec<String>) {
        let mut options = Options::default();
        let mut warnings = Vec::new();
        for argument in arguments {
            let bytes = argument.as_bytes();
            let equals = bytes.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
                None => (bytes, None),
            };
            match (name, value) {
                (b"usersfile", Some(value)) => {
                    options.usersfile = OsString::from_vec(value.to_vec());
                    let text = options.usersfile.to_string_lossy();
                    for (shell, ours) in [("$HOME", "${HOME}"), ("$USER", "${USER}")] {
                        if text.contains(shell) {
                            warnings.push(format!(
                                "argument {}: {shell} stands for itself; write {ours}",
                                argument.to_string_lossy()
                            ));
                        }
                    }
                }
                (b"window", Some(value)) => {
                    let window = number(argument, value, &mut warnings);
                    options.window = window.clamp(0, i64::from(MAX_WINDOW)) as u32;
                    if i64::from(options.window) != window {
                        warnings.push(format!(
                            "argument {}: a window is 0 to {MAX_WINDOW}; {} is used",
                            argument.to_string_lossy(),
                            options.window
                        ));
                    }
                }
                (b"digits", Some(value)) => {
                    let digits = number(argument, value, &mut warnings);
                    options.digits = usize::try_from(digits)
                        .ok()
                        .filter(|digits| (MIN_DIGITS..=MAX_DIGITS).contains(digits));
                    if options.digits.is_none() {
                        warnings.push(format!(
                            "argument {}: a code has {MIN_DIGITS} to {MAX_DIGITS} digits; \
                             no number of digits is used",
                            argument.to_string_lossy()
                        ));
                    }
                }
                (b"debug" | b"debug_syslog", None) => options.debug = true,
                (b"alwaysok", None) => options.always_ok = true,
                (b"try_first_pass", None) => options.try_first_pass = true,
                (b"use_first_pass", None) => options.use_first_pass = true,
                (b"no_usersfile_okay", None) => options.no_usersfile_okay = true,
                (b"nullok", None) => options.null_ok = true,
                (b"ignore_userfile_password", None) => options.ignore_pin = true,
                (b"forward_pass", None) => options.forward_pass = true,
                (b"echo_verification_code" | b"echo", None) => options.echo = true,
                (b"authtok_prompt" | b"prompt", Some(value)) => {
                    options.prompt = OsString::from_vec(value.to_vec());
                }
                (b"allow_replayed_otp_within", Some(value)) => {
                    options.replay_grace = seconds(argument, value, &mut warnings);
                }
                (b"drift", None) => options.drift = true,
                (b"throttle", Some(value)) => {
                    let seconds = seconds(argument, value, &mut warnings);
                    options.throttle = (seconds > 0).then_some(seconds);
                }
                (b"throttle_dir", Some(value)) => {
                    options.throttle_folder = OsString::from_vec(value.to_vec());
                }
                (b"throttle_notice", None) => options.throttle_notice = true,
                (b"readonly_ok", Some(value)) => {
                    options.journal_folder = Some(OsString::from_vec(value.to_vec()));
                }
                _ => warnings.push(format!(
                    "unknown argument {} is ignored",
                    argument.to_string_lossy()
                )),
            }
        }
        (options, warnings)
    }

    /// An attempt to log in with this response at `unix_time`, in seconds since 1970.
    pub fn attempt<'a>(&self, response: &'a [u8], unix_time: u64) -> Attempt<'a> {
        Attempt {
            response,
            code_length: self.code_length(),
            ignore_pin: self.ignore_pin,
            window: self.window,
            drift: self.drift,
            replay_grace: self.replay_grace,
            unix_time,
            has_journal: self.journal_folder.is_some(),
        }
    }

    /// `throttle=` and `throttle_dir=`.
    pub fn throttling(&self) -> Throttling<'_> {
        Throttling {
            seconds: self.throttle,
            folder: &self.throttle_folder,
        }
    }

    /// How long the code at the end of a response is.
    pub fn code_length(&self) -> CodeLength {
        match self.digits {
            Some(digits) => CodeLength::Digits(digits),
            None if self.forward_pass => CodeLength::OfToken,
            None => CodeLength::Whole,
        }
    }

    /// The question, with `%u` replaced by the user's name, `%h` by the `host`'s and `%%` by `%`.
    pub fn prompt_for(&self, user: &OsStr, host: impl Fn() -> OsString) -> OsString {
        let mut prompt = OsString::new();
        let mut rest = self.prompt.as_bytes();
        while let Some(percent) = rest.iter().position(|&byte| byte == b'%') {
            prompt.push(OsStr::from_bytes(&rest[..percent]));
            match rest.get(percent + 1) {
                Some(b'u') => prompt.push(user),
                Some(b'h') => prompt.push(host()),
                Some(b'%') => prompt.push("%"),
                _ => {
                    prompt.push("%");
                    rest = &rest[percent + 1..];
                    continue;
                }
            }
            rest = &rest[percent + 2..];
        }
        prompt.push(OsStr::from_bytes(rest));
        prompt
    }
}

/// Reads a number of seconds; a negative one is none.
fn seconds(argument: &OsStr, value: &[u8], warnings: &mut Vec<String>) -> u64 {
    let number = number(argument, value, warnings);
    u64::try_from(number).unwrap_or_else(|_| {
        warnings.push(format!(
            "argument {}: less than no time; 0 is used",
            argument.to_string_lossy()
        ));
        0
    })
}

/// Reads a number as C's `atoi` does: white space, a sign, as many digits as there are; none at
/// all is 0. Warns where that leaves something out.
fn number(argument: &OsStr, value: &[u8], warnings: &mut Vec<String>) -> i64 {
    /// What C's `long` can hold, but for the least.
    const RANGE: (i128, i128) = (-(i64::MAX as i128), i64::MAX as i128);
    let (found, rest) = leading_number(value);
    let number = found.unwrap_or(0).clamp(RANGE.0, RANGE.1) as i64;
    if found.is_none() || !rest.is_empty() {
        warnings.push(format!(
            "argument {}: not a number; read as {number}",
            argument.to_string_lossy()
        ));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> (Options, Vec<String>) {
        Options::parse(arguments.iter().map(OsStr::new))
    }

    #[test]
    fn without_arguments_the_defaults_of_the_manual_hold() {
        let (options, warnings) = parse(&[]);
        assert_eq!(options, Options::default());
        assert_eq!(options.usersfile, "/etc/users.oath");
        assert!(warnings.is_empty());
    }

    #[test]
    fn numbers_are_read_as_atoi_does_and_what_is_left_out_is_named() {
        for (argument, window, warned) in [
            ("window=20", 20, false),
            ("window= 5", 5, false),
            ("window=+2", 2, false),
            ("window=5x", 5, true),
            ("window=", 0, true),
            ("window=abc", 0, true),
            ("window=0x10", 0, true),
            ("window=-1", 0, true),
            ("window=1001", 1000, true),
            ("window=99999999999999999999", 1000, true),
            ("window=18446744073709551621", 1000, true),
        ] {
            let (options, warnings) = parse(&[argument]);
            assert_eq!(options.window, window, "{argument}");
            assert_eq!(!warnings.is_empty(), warned, "{argument}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.contains(argument)));
        }
    }

    #[test]
    fn digits_other_than_six_to_eight_are_none_and_are_named() {
        for (argument, digits) in [
            ("digits=6", Some(6)),
            ("digits=08", Some(8)),
            ("digits=5", None),
            ("digits=9", None),
            ("digits=-6", None),
        ] {
            let (options, warnings) = parse(&["digits=7", argument]);
            assert_eq!(options.digits, digits, "{argument}");
            assert_eq!(warnings.is_empty(), digits.is_some(), "{argument}");
        }
    }

    #[test]
    fn arguments_that_are_not_exactly_ours_are_named_and_ignored() {
        let unknown = ["frobnicate=1", "alwaysok=1", "Window=0", "window", "debugx"];
        let (options, warnings) = parse(&unknown);
        assert_eq!(options, Options::default());
        assert_eq!(warnings.len(), unknown.len());
        for (argument, warning) in unknown.iter().zip(&warnings) {
            assert!(warning.contains(argument), "{warning}");
        }
    }
}
