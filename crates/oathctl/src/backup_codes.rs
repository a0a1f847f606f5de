//! `oathctl backup-codes`

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use oath_core::otp::{Algorithm, Key};
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{MovingFactor, Token, Type};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::secret;
use crate::tokens::{self, DisplayName, user_name};

/// Give a user backup codes, for when the phone is lost
///
/// They are a second token, by counter (HOTP), and its first codes, shown this once.
/// They are used in the order in which they are listed; one that is skipped is lost. With a PIN on
/// the user's token, the same PIN is typed before them.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl backup-codes alice
  oathctl backup-codes alice --revoke")]
pub(crate) struct BackupCodes {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// How many codes to list
    #[arg(short, long, value_name = "NUMBER", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    number: u16,

    /// The number of digits of a code, 6 to 8; default as digits= of the PAM services, 8 if they have none
    #[arg(long, value_name = "NUMBER",
          value_parser = clap::value_parser!(u8).range(6..=8))]
    digits: Option<u8>,

    /// Remove the backup codes
    #[arg(long, conflicts_with_all = ["number", "digits"])]
    revoke: bool,

    /// The line of the backup codes, if the comment above it was removed
    #[arg(long, value_name = "N", requires = "revoke")]
    line: Option<usize>,

    /// Print JSON, for scripts
    #[arg(long, conflicts_with = "revoke")]
    json: bool,
}

/// What `--json` says.
#[derive(Serialize)]
struct Codes<'a> {
    user: String,
    line: usize,
    codes: Vec<&'a str>,
}

impl BackupCodes {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if self.revoke {
            self.revoke(config)
        } else {
            self.make(config)
        }
    }

    fn make(&self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.user))?;
        let digits = self.digits_for_services(config)?;
        let secret = secret::random()?;
        let key = Key::new(Algorithm::Sha1, &secret);
        let line = config.edit(&usersfile, |document| {
            let token = self.token(document, secret.clone(), digits, usersfile.path())?;
            document.append(tokens::BACKUP_CODES);
            Ok(document.append(&token.line()))
        })?;
        let codes: Vec<Zeroizing<String>> = (0..u64::from(self.number))
            .map(|counter| key.code(counter, digits).text())
            .collect();
        let user = self.user.display_name();
        if self.json {
            return output::print_json(&Codes {
                user,
                line,
                codes: codes.iter().map(|code| code.as_str()).collect(),
            })
            .map(|()| ExitCode::SUCCESS);
        }
        let mut text = Zeroizing::new(String::with_capacity(32 * codes.len() + 256));
        text.push_str(&format!(
            "Backup codes of {user}, each good once. Use them in this order:\n\n"
        ));
        for (number, code) in (1..).zip(&codes) {
            text.push_str(&format!("{number:4}. "));
            text.push_str(code);
            text.push('\n');
        }
        text.push_str("\nThey are not shown again.\n");
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    /// With `digits=`, the module takes that many characters for the code, so another length never
    /// fits.
    fn digits_for_services(&self, config: &Config) -> Result<usize, Error> {
        let module_lines = config.module_lines_of_usersfile()?;
        let of_services = module_lines.iter().find_map(|found| found.options.digits);
        let digits = self.digits.map(usize::from).or(of_services).unwrap_or(8);
        let misfit = module_lines.iter().find_map(|found| {
            let wanted = found.options.digits?;
            (wanted != digits).then_some((&found.service, wanted))
        });
        match misfit {
            None => Ok(digits),
            Some((service, wanted)) => Err(Error::failed(format!(
                "{service} has digits={wanted}, so codes of {digits} digits could not be used \
                 there; use --digits {wanted}"
            ))),
        }
    }

    fn token(
        &self,
        document: &Document,
        secret: Zeroizing<Vec<u8>>,
        digits: usize,
        path: &Path,
    ) -> Result<Token, Error> {
        let user = self.user.display_name();
        let mut of_user = tokens::of_user(document, &self.user);
        if let Some(token) = tokens::of_user(document, &self.user).find(|token| token.backup_codes)
        {
            return Err(Error::failed(format!(
                "{user} has backup codes already, on line {} of {}; \
                 `oathctl backup-codes {user} --revoke` removes them",
                token.line,
                path.display()
            )));
        }
        // Backup codes replace the phone, not the PIN.
        let main = of_user.find(|token| !token.disabled).ok_or_else(|| {
            Error::failed(format!(
                "{user} has no token in {} that backup codes could stand in for",
                path.display()
            ))
        })?;
        Ok(Token {
            token_type: Type {
                moving_factor: MovingFactor::Event,
                digits,
                algorithm: Algorithm::Sha1,
            },
            user: main.entry.user.to_vec(),
            pin: Zeroizing::new(main.entry.pin.unwrap_or(b"-").to_vec()),
            secret,
            counter: 0,
        })
    }

    fn revoke(&self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.user))?;
        let line = config.edit(&usersfile, |document| {
            let line = self.line_to_revoke(document, usersfile.path())?;
            tokens::remove(document, line);
            Ok(line)
        })?;
        let user = self.user.display_name();
        output::print(&format!(
            "removed the backup codes of {user}, line {line}\n"
        ))?;
        config.warn_if_unknown(&usersfile, &self.user)?;
        Ok(ExitCode::SUCCESS)
    }

    fn line_to_revoke(&self, document: &Document, path: &Path) -> Result<usize, Error> {
        let user = self.user.display_name();
        let by_event =
            |token: &tokens::TokenLine| token.entry.token_type.moving_factor == MovingFactor::Event;
        let found = match self.line {
            Some(line) => tokens::of_user(document, &self.user)
                .find(|token| token.line == line && by_event(token)),
            None => tokens::of_user(document, &self.user).find(|token| token.backup_codes),
        };
        match found {
            Some(token) => Ok(token.line),
            None if self.line.is_none()
                && tokens::of_user(document, &self.user).any(|t| by_event(&t)) =>
            {
                Err(Error::failed(format!(
                    "no line of {user} in {} is marked as backup codes; \
                     say which it is with --line N",
                    path.display()
                )))
            }
            None => Err(tokens::no_such_token(&self.user, path)),
        }
    }
}
