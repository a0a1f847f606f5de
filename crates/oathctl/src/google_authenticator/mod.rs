//! `google-authenticator`: makes a user's own `~/.google_authenticator`, with the options of the
//! command that comes with Google's PAM module.

mod questions;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Parser, ValueEnum};
use oath_core::fs::{FilePath, ResolvedPath};
use oath_core::google::edit;
use oath_core::google::format::Document;
use oath_core::google::new_file::{self, Limit, NewFile, Settings};
use oath_core::otp::{Algorithm, Key, time_step};
use oath_core::sys;
use oath_core::usersfile::format::{MovingFactor, Token, Type};
use zeroize::Zeroizing;

use self::questions::Questions;
use crate::add::issuer;
use crate::drift::Drift;
use crate::error::Error;
use crate::otpauth::{self, USUAL_PERIOD};
use crate::output;
use crate::provisioning::Provisioning;
use crate::{begin, secret, secret_file, terminal};

/// What the questions offer in place of the module's defaults.
const WIDE_WINDOW: u32 = 17;
pub(crate) const USUAL_LIMIT: Limit = Limit {
    tries: 3,
    seconds: 30,
};

/// How many scratch codes are made if nothing else is asked for.
pub(crate) const USUAL_SCRATCH_CODES: u8 = 5;

/// Make a secret for one-time passwords, and write it to ~/.google_authenticator
///
/// What no option says is asked for. Without a terminal the answers are read from standard input, a
/// line to a question.
#[derive(Parser)]
#[command(
    name = "google-authenticator",
    version,
    max_term_width = 100,
    after_help = "Exit codes:
  0  done, or not wanted after all
  1  it could not be done, and standard error says why

Examples:
  google-authenticator
  google-authenticator -t -d -r 3 -R 30 -w 17 -f"
)]
struct Command {
    /// Codes by counter (HOTP)
    #[arg(short, long, conflicts_with_all = ["time_based", "disallow_reuse", "allow_reuse"])]
    counter_based: bool,

    /// Codes by time (TOTP)
    #[arg(short, long)]
    time_based: bool,

    /// A code is good once
    #[arg(short, long, requires = "time_based", conflicts_with = "allow_reuse")]
    disallow_reuse: bool,

    /// A code is good as often as it is typed while it is shown
    #[arg(short = 'D', long, requires = "time_based")]
    allow_reuse: bool,

    /// How many codes around the expected one are good, 1 to 21
    #[arg(short, long, value_name = "NUMBER", conflicts_with = "minimal_window",
          value_parser = clap::value_parser!(u32).range(1..=21))]
    window_size: Option<u32>,

    /// As few codes as possible: by counter the next one alone, by time three
    #[arg(short = 'W', long)]
    minimal_window: bool,

    /// How long a code by time is shown, 1 to 60
    #[arg(short = 'S', long, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=60))]
    step_size: Option<u32>,

    /// At most so many tries to log in, 1 to 10 ...
    #[arg(short, long, value_name = "NUMBER", requires = "rate_time",
          conflicts_with = "no_rate_limit", value_parser = clap::value_parser!(u32).range(1..=10))]
    rate_limit: Option<u32>,

    /// ... in so many seconds, 15 to 600
    #[arg(short = 'R', long, value_name = "SECONDS", requires = "rate_limit",
          conflicts_with = "no_rate_limit", value_parser = clap::value_parser!(u32).range(15..=600))]
    rate_time: Option<u32>,

    /// As many tries to log in as anybody likes
    #[arg(short = 'u', long)]
    no_rate_limit: bool,

    /// How many scratch codes to make, 0 to 10
    #[arg(short, long, value_name = "NUMBER", default_value_t = USUAL_SCRATCH_CODES,
          value_parser = clap::value_parser!(u8).range(0..=10))]
    emergency_codes: u8,

    /// The file, in place of ~/.google_authenticator
    #[arg(short, long, value_name = "FILE")]
    secret: Option<PathBuf>,

    /// Write without asking whether to
    #[arg(short, long)]
    force: bool,

    /// Do not ask for a code to see that the phone has the secret
    #[arg(short = 'C', long)]
    no_confirm: bool,

    /// Whose codes they are, as the app shows it; USER@HOST if not given
    #[arg(short, long, value_name = "LABEL")]
    label: Option<OsString>,

    /// What the codes are for, as the app shows it [default: the name of this machine]
    #[arg(short, long, value_name = "NAME", value_parser = issuer)]
    issuer: Option<String>,

    /// How to show the QR code
    #[arg(short = 'Q', long, value_name = "MODE", value_enum, ignore_case = true,
          default_value_t = QrMode::Utf8)]
    qr_mode: QrMode,

    /// Show nothing, and ask for no code
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum QrMode {
    /// Not at all
    None,
    /// In background colours
    Ansi,
    /// In block elements
    Utf8,
}

/// Runs the command that the command line asks for.
pub fn main() -> ExitCode {
    output::set_program("google-authenticator");
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            // As Google's tool: its callers know no other code.
            return match error.use_stderr() {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            };
        }
    };
    match begin().and_then(|()| command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(&self) -> Result<(), Error> {
        let file = FilePath::new(self.path()?);
        // So that nobody scans a QR code in vain.
        let is_new = checked(file.resolve()?)?.found.is_none();
        let questions = Questions::new()?;
        let by_time = match (self.time_based, self.counter_based) {
            (false, false) => questions.yes(
                "Are the codes to change with time (TOTP)? That is what phones do; the other kind \
                 (HOTP) changes when a button is pressed.",
            )?,
            (by_time, _) => by_time,
        };
        let token = self.token(by_time)?;
        let scratch_codes = secret::scratch_codes(usize::from(self.emergency_codes))?;
        if !self.quiet {
            self.show(&token)?;
            match by_time && !self.no_confirm {
                true => self.ask_for_code(&questions, &token)?,
                false => show_code(&token)?,
            }
            show_scratch_codes(&scratch_codes)?;
        }
        if !self.force && !questions.yes(&may_write(file.path(), is_new))? {
            return Ok(());
        }
        let new = NewFile {
            secret: &otpauth::base32(&token.secret),
            settings: self.settings(&questions, by_time)?,
            scratch_codes: &scratch_codes,
        };
        let text = new.text();
        let _held = terminal::hold_signals();
        edit::put(&file, &text)?;
        if !self.quiet {
            output::print(&format!("written to {}\n", file.path().display()))?;
        }
        Ok(())
    }

    /// The file, made absolute.
    fn path(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.secret {
            let failed = format!("find the file {}", path.display());
            return std::path::absolute(path).map_err(Error::io(failed));
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        match home.filter(|home| home.is_absolute()) {
            Some(home) => Ok(home.join(".google_authenticator")),
            None => Err(Error::failed(
                "HOME names no home directory; say where the file is to be with --secret FILE",
            )),
        }
    }

    fn token(&self, by_time: bool) -> Result<Token, Error> {
        let label = match &self.label {
            Some(label) => label.clone(),
            None => {
                let uid = sys::effective_user();
                let account = sys::account_by_uid(uid)
                    .map_err(Error::io("look for the user who runs this"))?;
                let mut label = account.map_or_else(|| uid.to_string().into(), |found| found.name);
                label.push("@");
                label.push(sys::host_name());
                label
            }
        };
        let (moving_factor, counter) = match by_time {
            true => {
                let period = self.step_size.unwrap_or(USUAL_PERIOD);
                (MovingFactor::Time { period }, 0)
            }
            false => (MovingFactor::Event, 1),
        };
        Ok(Token {
            token_type: Type {
                moving_factor,
                digits: 6,
                algorithm: Algorithm::Sha1,
            },
            user: label.into_vec(),
            pin: Zeroizing::new(b"-".to_vec()),
            secret: secret::random()?,
            counter,
        })
    }

    fn show(&self, token: &Token) -> Result<(), Error> {
        let provisioning = Provisioning::new(token, self.issuer.as_deref());
        match self.qr_mode {
            QrMode::None => output::print(&provisioning.fields()),
            QrMode::Utf8 => output::print(&provisioning.to_text()?),
            QrMode::Ansi => {
                let qr = provisioning.qr()?.in_background_colours();
                let fields = provisioning.fields();
                output::print_with_colours(&format!("{qr}\n"))?;
                output::print(&fields)
            }
        }
    }

    /// Asks for a code until one is right, or not wanted.
    fn ask_for_code(&self, questions: &Questions, token: &Token) -> Result<(), Error> {
        let secret = otpauth::base32(&token.secret);
        let trial = NewFile {
            secret: &secret,
            settings: Settings {
                moving_factor: new_file::MovingFactor::Time {
                    step_size: self.step_size,
                    disallow_reuse: false,
                },
                rate_limit: None,
                window_size: self.window_size,
            },
            scratch_codes: &[],
        };
        loop {
            let code = questions.ask("The code that the app shows now (-1 to go on without): ")?;
            let code = Zeroizing::new(code.replace(' ', ""));
            if *code == "-1" {
                return Ok(());
            }
            let now = now()?;
            if secret_file::takes(&mut Document::new(trial.text()), &code, now) {
                return Ok(());
            }
            questions.again(&match Drift::of_typed(token, &code, now) {
                Some(drift) => format!("{drift}; set the clocks right, or take a wider window"),
                None => "that is not the code".into(),
            })?;
        }
    }

    /// What the command line says, and answers to questions about the rest.
    fn settings(&self, questions: &Questions, by_time: bool) -> Result<Settings, Error> {
        let moving_factor = match by_time {
            false => new_file::MovingFactor::Event,
            true => new_file::MovingFactor::Time {
                step_size: self.step_size,
                disallow_reuse: match self.disallow_reuse || self.allow_reuse {
                    true => self.disallow_reuse,
                    false => questions.yes(
                        "Is a code to be good once only? Then nobody gets in with a code that they \
                         saw you type, and you log in once in a time step.",
                    )?,
                },
            },
        };
        let window_size = match (self.window_size, self.minimal_window) {
            (Some(size), _) => Some(size),
            (None, true) => Some(if by_time { 3 } else { 1 }),
            (None, false) => {
                let question = match by_time {
                    true => {
                        "Is the clock of your phone, or of this machine, not set by the network? \
                         Then 17 codes around the expected one are good instead of 3."
                    }
                    false => {
                        "Are codes shown that you do not use? Then the next 17 codes are good \
                         instead of the next 3."
                    }
                };
                questions.yes(question)?.then_some(WIDE_WINDOW)
            }
        };
        let rate_limit = match (self.rate_limit, self.rate_time) {
            (Some(tries), Some(seconds)) => Some(Limit { tries, seconds }),
            _ if self.no_rate_limit => None,
            _ => questions
                .yes(
                    "Are tries to log in to be limited, to 3 in 30 seconds, to slow down guessers?",
                )?
                .then_some(USUAL_LIMIT),
        };
        Ok(Settings {
            moving_factor,
            rate_limit,
            window_size,
        })
    }
}

/// The question whether the file may be written.
fn may_write(path: &Path, is_new: bool) -> String {
    let path = output::printable(path.as_os_str().as_bytes());
    match is_new {
        true => format!("Write {path}?"),
        false => format!("Write {path}? The secret and the codes in it are lost then."),
    }
}

/// Refuses a link: what it leads to is to be named.
fn checked(resolved: ResolvedPath) -> Result<ResolvedPath, Error> {
    if let Some(found) = &resolved.found {
        resolved.check_file(found)?;
    }
    match resolved.is_link {
        true => Err(Error::failed(format!(
            "the file is a symbolic link; name {} with --secret",
            resolved.path.display()
        ))),
        false => Ok(resolved),
    }
}

/// The code that the token shows now, to be compared with the phone's.
fn show_code(token: &Token) -> Result<(), Error> {
    let key = Key::new(Algorithm::Sha1, &token.secret);
    let (counter, which) = match token.token_type.moving_factor {
        MovingFactor::Event | MovingFactor::BackupCodes { .. } => (token.counter, "first"),
        MovingFactor::Time { period } => (time_step(now()?, period), "present"),
    };
    let code = key.code(counter, token.token_type.digits).text();
    output::print(&Zeroizing::new(format!("The {which} code is {}\n", *code)))
}

pub(crate) fn show_scratch_codes(codes: &[Zeroizing<String>]) -> Result<(), Error> {
    if codes.is_empty() {
        return Ok(());
    }
    let mut text = Zeroizing::new(String::with_capacity(128 + 16 * codes.len()));
    text.push_str("Scratch codes, each good once when the phone is lost:\n");
    for code in codes {
        text.push_str("  ");
        text.push_str(code);
        text.push('\n');
    }
    output::print(&text)
}

/// Now, in seconds since 1970.
fn now() -> Result<u64, Error> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Error::failed("the system's clock stands before 1970"))
}
