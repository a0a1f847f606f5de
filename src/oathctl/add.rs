//! `oathctl add`

use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pam_oath::login::{Refusal, Verdict};
use pam_oath::otp::{self, Code};
use pam_oath::sys;
use pam_oath::usersfile::edit::Document;
use pam_oath::usersfile::format::{Entry, MAX_PERIOD, MovingFactor, Token, Type};
use pam_oath::usersfile::{self, Usersfile, scan};
use zeroize::Zeroizing;

use crate::card::Card;
use crate::drift::Drift;
use crate::error::Error;
use crate::otpauth;
use crate::output;
use crate::qr::Picture;
use crate::system::{Service, System};
use crate::terminal::Terminal;
use crate::tokens::{self, DisplayName, user_name};
use crate::{attempt, pin, secret};

/// Enrol a user: make a secret, show it as a QR code, and write it once the phone proves it has it
///
/// The token is TOTP with 6 digits, steps of 30 seconds and SHA-1, which every app knows, unless
/// the options say otherwise. The usersfile is created if there is none.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl add alice
  oathctl add alice --no-confirm --json --qr alice.png")]
pub struct Add {
    #[arg(value_parser = user_name())]
    user: OsString,

    /// This secret, in hex or base32, in place of a new one; `-` reads it from standard input
    #[arg(long, value_name = "SECRET", value_parser = zeroizing())]
    secret: Option<Zeroizing<String>>,

    /// A token that counts events (HOTP, RFC 4226), not time
    #[arg(long, conflicts_with = "period")]
    hotp: bool,

    /// The time step
    #[arg(long, value_name = "SECONDS", default_value_t = otpauth::USUAL_PERIOD,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PERIOD)))]
    period: u32,

    /// How long a code is, 6 to 8
    #[arg(long, value_name = "NUMBER", default_value_t = 6,
          value_parser = clap::value_parser!(u8).range(6..=8))]
    digits: u8,

    /// The hash below the codes
    #[arg(long, value_enum, default_value_t = Algorithm::Sha1)]
    algorithm: Algorithm,

    /// Ask for a PIN to be typed before the code; `--pin=-` reads it from standard input, after
    /// the secret if that comes from there too
    #[arg(long, value_name = "-", num_args = 0..=1, require_equals = true,
          default_missing_value = "", value_parser = ["", "-"], hide_possible_values = true)]
    pin: Option<String>,

    /// The PIN is one that another PAM module checks
    #[arg(long, conflicts_with = "pin")]
    external_pin: bool,

    /// What the app shows beside the user's name [default: the name of this machine]
    #[arg(long, value_name = "NAME", value_parser = issuer)]
    issuer: Option<String>,

    /// Write without asking for a code first
    #[arg(long)]
    no_confirm: bool,

    /// Save the QR code as well, as .png or .svg
    #[arg(long, value_name = "FILE")]
    qr: Option<PathBuf>,

    /// Even if the system has no such user
    #[arg(long)]
    force: bool,

    /// Even if the user has a token
    #[arg(long)]
    another: bool,

    /// For scripts: secret, URI and line as JSON
    #[arg(long, requires = "no_confirm")]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

fn zeroizing() -> impl clap::builder::TypedValueParser<Value = Zeroizing<String>> {
    use clap::builder::{StringValueParser, TypedValueParser};
    StringValueParser::new().map(Zeroizing::new)
}

/// A colon ends the issuer in a URI's label.
pub fn issuer(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".into()),
        text if text.contains(':') => Err("must not have a colon in it".into()),
        text => Ok(text.into()),
    }
}

impl Add {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(Some(&self.user))?;
        let terminal = self.terminal()?;
        self.check_account()?;
        self.check_is_first(&usersfile)?;

        let secret = self.read_secret()?;
        let pin = self.read_pin(terminal.as_ref())?;
        let token = self.token(secret, pin.as_ref().map(|pin| pin.as_str()))?;
        self.warn(system, &token);

        let card = Card::new(&token, self.issuer.as_deref());
        let picture = match &self.qr {
            Some(path) => Some(Picture::create(path, &card.qr()?)?),
            None => None,
        };
        if !self.json {
            output::print(&card.to_text()?)?;
        }
        let line = match terminal.filter(|_| !self.no_confirm) {
            Some(terminal) => {
                let pin = pin.as_ref().map_or("", |pin| pin.as_str());
                let service = system.service(None).unwrap_or_default();
                confirm(&terminal, &token, pin, &service, system)?
            }
            None => token.line(),
        };
        let number = system.edit_or_create(&usersfile, |document| {
            self.check_is_first_in(document, usersfile.path())?;
            Ok(document.append(&line))
        })?;
        if let Some(picture) = picture {
            picture.keep();
        }
        if self.json {
            output::print_json(&card.to_json(number))?;
        } else {
            let (user, path) = (self.user.display_name(), usersfile.path().display());
            output::print(&format!(
                "{user} has a token now, on line {number} of {path}\n"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The terminal, if anything is to be asked on it.
    fn terminal(&self) -> Result<Option<Terminal>, Error> {
        if !self.no_confirm {
            return Terminal::open("--no-confirm writes without asking for a code").map(Some);
        }
        match self.pin.as_deref() {
            Some("") => Terminal::open("--pin=- reads the PIN from standard input").map(Some),
            _ => Ok(None),
        }
    }

    fn check_account(&self) -> Result<(), Error> {
        let user = self.user.display_name();
        let account = sys::account_by_name(&self.user)
            .map_err(Error::io(format!("look for the user {user}")))?;
        if account.is_none() && !self.force {
            return Err(Error::failed(format!(
                "the system has no user {user}; --force adds the token all the same"
            )));
        }
        Ok(())
    }

    /// Looks early, so that nobody scans a code in vain; what counts is the look under the lock.
    fn check_is_first(&self, usersfile: &Usersfile) -> Result<(), Error> {
        match usersfile.read() {
            Ok((document, _)) => self.check_is_first_in(&document, usersfile.path()),
            Err(usersfile::Error::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn check_is_first_in(&self, document: &Document, path: &Path) -> Result<(), Error> {
        match tokens::of(document, &self.user).next() {
            Some(token) if !self.another => Err(Error::failed(format!(
                "{} has a token already, on line {} of {}; --another adds a second one",
                self.user.display_name(),
                token.line,
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    fn read_secret(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.secret.as_ref().map(|secret| secret.as_str()) {
            None => secret::random(),
            Some("-") => secret::parse(&secret::line_of_stdin("secret")?),
            Some(text) => secret::parse(text),
        }
    }

    fn read_pin(&self, terminal: Option<&Terminal>) -> Result<Option<Zeroizing<String>>, Error> {
        match (self.pin.as_deref(), terminal) {
            (Some("-"), _) => secret::line_of_stdin("PIN").map(Some),
            (Some(_), Some(terminal)) => pin::ask(terminal).map(Some),
            _ => Ok(None),
        }
    }

    fn token(&self, secret: Zeroizing<Vec<u8>>, pin: Option<&str>) -> Result<Token, Error> {
        let pin = match pin {
            Some(pin) => pin::stored(pin)?,
            None if self.external_pin => Zeroizing::new(b"+".to_vec()),
            None => Zeroizing::new(b"-".to_vec()),
        };
        Ok(Token {
            token_type: Type {
                moving_factor: if self.hotp {
                    MovingFactor::Event
                } else {
                    MovingFactor::Time {
                        period: self.period,
                    }
                },
                digits: self.digits.into(),
                algorithm: match self.algorithm {
                    Algorithm::Sha1 => otp::Algorithm::Sha1,
                    Algorithm::Sha256 => otp::Algorithm::Sha256,
                    Algorithm::Sha512 => otp::Algorithm::Sha512,
                },
            },
            user: self.user.as_bytes().to_vec(),
            pin,
            secret,
            counter: 0,
        })
    }

    fn warn(&self, system: &System, token: &Token) {
        if token.secret.len() < secret::SHORTEST {
            output::warn("the secret has fewer than 128 bits, the least that RFC 4226 allows");
        }
        for warning in otpauth::compatibility_warnings(token) {
            output::warn(&warning);
        }
        let has_pin = self.pin.is_some() || self.external_pin;
        // A PAM configuration that cannot be read is no reason not to enrol.
        for found in system.uses_of_usersfile().unwrap_or_default() {
            if let Some(warning) = misfit(&found.options, token.token_type.digits, has_pin) {
                output::warn(&format!("{}: {warning}", found.service));
            }
        }
    }
}

/// What keeps a token from being used with these arguments of the module.
fn misfit(options: &pam_oath::pam::Options, digits: usize, has_pin: bool) -> Option<String> {
    match options.digits {
        Some(expected) if expected != digits => Some(format!(
            "digits={expected} there takes the last {expected} characters for the code, \
             so a code of {digits} digits will not be accepted"
        )),
        None if has_pin => Some(format!(
            "without digits={digits} there, no PIN can be typed before the code"
        )),
        _ => None,
    }
}

/// Asks for a code until one is right; returns the line to write. A code that counts events is
/// used up by that, and recorded.
fn confirm(
    terminal: &Terminal,
    token: &Token,
    pin: &str,
    service: &Service,
    system: &System,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    const TRIES: usize = 3;
    let line = token.line();
    let user = OsStr::from_bytes(&token.user).display_name();
    for _ in 0..TRIES {
        let otp = terminal.ask("The code that the app shows now: ")?;
        let mut lines = Vec::new();
        scan::lines_of(&line[..], &token.user, |line| {
            lines.push(line);
            Ok(ControlFlow::Continue(()))
        })
        .map_err(Error::io("check the code"))?;
        let window = service.options.window;
        let now = system.now()?;
        match attempt::decide(&lines, pin.as_bytes(), otp.as_bytes(), window, now)? {
            Verdict::Accepted { record, .. } => {
                return Ok(match token.token_type.moving_factor {
                    MovingFactor::Event => {
                        let text = record.text.strip_suffix(b"\n").unwrap_or(&record.text);
                        Zeroizing::new(text.to_vec())
                    }
                    MovingFactor::Time { .. } => line,
                });
            }
            Verdict::Refused(Refusal::WrongOtp { .. }) => {
                let drift = Entry::parse(&line)
                    .zip(Code::parse(otp.as_bytes()))
                    .and_then(|(entry, code)| Drift::find(&entry, &code, now).ok().flatten());
                output::complain(&match drift {
                    Some(drift) => format!(
                        "{drift}, which is more than {service} allows; \
                         set the clock and try again"
                    ),
                    None => "that is not the code; try again".into(),
                });
            }
            Verdict::Refused(refusal) => output::complain(&refusal.to_string()),
        }
    }
    Err(Error::failed(format!(
        "{user} was not enrolled: no code was right; nothing was changed"
    )))
}
