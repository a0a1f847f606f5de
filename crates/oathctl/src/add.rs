//! `oathctl add`

mod secret_file;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use oath_core::login::CodeLength;
use oath_core::options::Options;
use oath_core::otp;
use oath_core::plain_text::is_plain;
use oath_core::sys;
use oath_core::usersfile::Document;
use oath_core::usersfile::Usersfile;
use oath_core::usersfile::format::{MAX_PERIOD, MovingFactor, Token, Type};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::otpauth;
use crate::output;
use crate::provisioning::{AddedJson, Provisioning};
use crate::qr::QrFile;
use crate::secret_file::Line;
use crate::terminal::Terminal;
use crate::tokens::{self, DisplayName, user_name};
use crate::{confirm, pin, secret};

/// Enrol a user: make a secret, show it as a QR code, and write it once the phone proves it has it
///
/// The token is TOTP with 6 digits, steps of 30 seconds and SHA-1, which every app knows, unless
/// the options say otherwise. The usersfile is created if there is none. Where the services ask
/// Google's module, the user's own file is made, as google-authenticator makes it, with a limit of
/// tries and five scratch codes.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl add alice
  oathctl add alice --no-confirm --json --qr alice.png
  oathctl add alice --if-missing --no-confirm --json")]
pub(crate) struct Add {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// This secret, in hex or base32, in place of a new one; `-` reads it from standard input,
    /// where nobody else on this machine can see it
    #[arg(long, value_name = "SECRET", value_parser = zeroizing())]
    secret: Option<Zeroizing<String>>,

    /// A token by counter (HOTP, RFC 4226), not by time
    #[arg(long, conflicts_with = "period")]
    hotp: bool,

    /// The time step
    #[arg(long, value_name = "SECONDS", default_value_t = otpauth::USUAL_PERIOD,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PERIOD)))]
    period: u32,

    /// The number of digits of a code, 6 to 8
    #[arg(long, value_name = "NUMBER", default_value_t = 6,
          value_parser = clap::value_parser!(u8).range(6..=8))]
    digits: u8,

    /// The hash function of the codes
    #[arg(long, value_enum, default_value_t = Algorithm::Sha1)]
    algorithm: Algorithm,

    /// Ask for a PIN, to be typed before the code; the usersfile holds a hash of it
    #[arg(long)]
    pin: bool,

    /// Read the PIN from standard input, after the secret if that comes from there too
    #[arg(long, conflicts_with = "pin")]
    pin_stdin: bool,

    /// The PIN is one that another PAM module checks
    #[arg(long, conflicts_with_all = ["pin", "pin_stdin"])]
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

    /// If the user has a token, enabled or not, there is nothing to do, and that is no error
    #[arg(long, conflicts_with = "another")]
    if_missing: bool,

    /// Print secret, URI and line as JSON, for scripts
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

/// A colon ends the issuer in a URI's label, and it is kept in one line of the usersfile.
pub(crate) fn issuer(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".into()),
        text if text.contains(':') => Err("must not have a colon in it".into()),
        text if !text.chars().all(is_plain) => {
            Err("must not have a line feed or the like in it".into())
        }
        text => Ok(text.into()),
    }
}

impl Add {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if let Some(line) = Line::of(config)? {
            return self.to_secret_file(config, &line);
        }
        let usersfile = config.usersfile(Some(&self.user))?;
        let terminal = self.terminal()?;
        self.check_account()?;
        match self.check_is_first(&usersfile) {
            Err(error @ Error::Exists(_)) if self.if_missing => return self.nothing_to_do(&error),
            checked => checked?,
        }
        config.warn_if_unnamed(&usersfile)?;

        let secret = self.read_secret()?;
        let pin = self.read_pin(terminal.as_ref())?;
        let token = self.token(secret, pin.as_ref().map(|pin| pin.as_str()))?;
        self.warn(config, &token);

        let provisioning = Provisioning::new(&token, self.issuer.as_deref());
        let qr_file = self.show(&provisioning)?;
        let line = match terminal.filter(|_| !self.no_confirm) {
            Some(terminal) => {
                let service = config.service(None).unwrap_or_default();
                confirm::ask_for_code(&terminal, &token, &service, config)?
            }
            None => token.line(),
        };
        let number = config.edit_or_create(&usersfile, |document| {
            self.check_is_first_in(document, usersfile.path())?;
            Ok(tokens::append(document, &line, self.issuer.as_deref()))
        });
        let number = match number {
            Err(error @ Error::Exists(_)) if self.if_missing => return self.nothing_to_do(&error),
            number => number?,
        };
        if self.json {
            output::print_or_undo(
                || {
                    let token = provisioning.to_json(number);
                    output::print_json(&AddedJson {
                        added: true,
                        token,
                        scratch_codes: None,
                    })
                },
                || config.remove_appended(&usersfile, &line),
            )?;
        }
        if let Some(qr_file) = qr_file {
            qr_file.keep();
        }
        if !self.json {
            let (user, path) = (self.user.display_name(), usersfile.path().display());
            output::print(&format!(
                "{user} has a token now, on line {number} of {path}\n"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Saves the QR code if that is asked for, and shows the token.
    fn show(&self, provisioning: &Provisioning) -> Result<Option<QrFile>, Error> {
        let qr_file = match &self.qr {
            Some(path) => Some(QrFile::create(path, &provisioning.qr()?, &self.user)?),
            None => None,
        };
        if !self.json {
            output::print(&provisioning.to_text()?)?;
        }
        Ok(qr_file)
    }

    /// The terminal, if anything is to be asked on it.
    fn terminal(&self) -> Result<Option<Terminal>, Error> {
        if !self.no_confirm {
            return Terminal::open("--no-confirm writes without asking for a code").map(Some);
        }
        if self.pin {
            return Terminal::open("--pin-stdin reads the PIN from standard input").map(Some);
        }
        Ok(None)
    }

    fn check_account(&self) -> Result<(), Error> {
        let user = self.user.display_name();
        let account = sys::account_by_name(&self.user)
            .map_err(Error::io(format!("look for the user {user}")))?;
        if account.is_none() && !self.force {
            return Err(Error::NotFound(format!(
                "the system has no user {user}; --force adds the token all the same"
            )));
        }
        Ok(())
    }

    /// Checks early, so that nobody scans a QR code in vain; it is checked again under the lock.
    fn check_is_first(&self, usersfile: &Usersfile) -> Result<(), Error> {
        match usersfile.read() {
            Ok((document, _)) => self.check_is_first_in(&document, usersfile.path()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn check_is_first_in(&self, document: &Document, path: &Path) -> Result<(), Error> {
        let Some(token) = tokens::of_user(document, &self.user).next() else {
            return Ok(());
        };
        if self.another {
            return Ok(());
        }
        let (user, line, path) = (self.user.display_name(), token.line, path.display());
        Err(Error::Exists(match token.disabled {
            true => format!(
                "{user} has a token already, a disabled one on line {line} of {path}; \
                 `oathctl enable {user}` enables it"
            ),
            false => format!(
                "{user} has a token already, on line {line} of {path}; --another adds a second one"
            ),
        }))
    }

    /// `--if-missing`, and the user has a token.
    fn nothing_to_do(&self, exists: &Error) -> Result<ExitCode, Error> {
        if self.json {
            let user = self.user.display_name();
            output::print_json(&serde_json::json!({ "user": user, "added": false }))?;
        } else {
            output::print(&format!("{exists}; nothing to add\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn read_secret(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.secret.as_ref().map(|secret| secret.as_str()) {
            None => secret::random(),
            Some("-") => secret::parse(&secret::line_of_stdin("secret")?),
            Some(text) => secret::parse(text),
        }
    }

    fn read_pin(&self, terminal: Option<&Terminal>) -> Result<Option<Zeroizing<String>>, Error> {
        match terminal.filter(|_| self.pin) {
            Some(terminal) => pin::ask(terminal).map(Some),
            None if self.pin_stdin => secret::line_of_stdin("PIN").map(Some),
            None => Ok(None),
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

    fn warn(&self, config: &Config, token: &Token) {
        if token.secret.len() < secret::MIN_LENGTH {
            output::warn("the secret has fewer than 128 bits, the least that RFC 4226 allows");
        }
        for warning in otpauth::compatibility_warnings(token) {
            output::warn(&warning);
        }
        let has_pin = self.pin || self.pin_stdin || self.external_pin;
        // A PAM configuration that cannot be read does not prevent enrolment.
        for found in config.module_lines_of_usersfile().unwrap_or_default() {
            if let Some(warning) = misfit(&found.options, token.token_type.digits, has_pin) {
                output::warn(&format!("{}: {warning}", found.service));
            }
        }
    }
}

/// Why a token could not be used with these arguments of the module.
fn misfit(options: &Options, digits: usize, has_pin: bool) -> Option<String> {
    match options.code_length() {
        CodeLength::Digits(expected) if expected != digits => Some(format!(
            "digits={expected} there takes the last {expected} characters for the code, \
             so a code of {digits} digits will not be accepted"
        )),
        CodeLength::Whole if has_pin && !options.ignore_pin => Some(format!(
            "without digits={digits} there, no PIN can be typed before the code"
        )),
        _ => None,
    }
}
