//! `oathctl backup-codes`

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use oath_core::otp::{Algorithm, Key};
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{MAX_BACKUP_CODES, MovingFactor, Token, Type};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::secret;
use crate::secret_file::{self, Line as SecretFileLine};
use crate::tokens::{self, DisplayName, TokenLine, user_name};

/// Give a user backup codes, for when the phone is lost
///
/// They are shown this once. Each is good once, in any order: one that is skipped or lost does no
/// harm. With a PIN on the user's token, the same PIN is typed before them. OATH Toolkit's module
/// passes over them.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl backup-codes alice
  oathctl backup-codes alice --revoke")]
pub(crate) struct BackupCodes {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// How many codes to make
    #[arg(short, long, value_name = "NUMBER", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BACKUP_CODES)))]
    number: u32,

    /// The number of digits of a code, 6 to 8; default as digits= of the PAM services, 8 if they have none
    #[arg(long, value_name = "NUMBER",
          value_parser = clap::value_parser!(u8).range(6..=8))]
    digits: Option<u8>,

    /// Remove the backup codes
    #[arg(long, conflicts_with_all = ["number", "digits"])]
    revoke: bool,

    /// Print JSON, for scripts
    #[arg(long, conflicts_with = "revoke")]
    json: bool,
}

/// A secret, and its first codes.
struct NewSet {
    secret: Zeroizing<Vec<u8>>,
    codes: Vec<Zeroizing<String>>,
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
        if let Some(line) = SecretFileLine::of(config)? {
            return self.of_secret_file(&line);
        }
        if self.revoke {
            self.revoke(config)
        } else {
            self.make(config)
        }
    }

    fn make(&self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.user))?;
        // Who has no token is told so before anything is said of the number of digits.
        let document = config.read(&usersfile)?;
        self.replaceable_token(&document, usersfile.path())?;
        let digits = self.digits_for_services(config)?;
        let NewSet { secret, codes } = self.new_set(digits)?;
        let (line, text) = config.edit(&usersfile, |document| {
            let token = self.token(document, secret.clone(), digits, usersfile.path())?;
            let text = token.line();
            Ok((document.append(&text), text))
        })?;
        output::print_or_undo(
            || self.print(line, &codes),
            || config.remove_appended(&usersfile, &text),
        )?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, line: usize, codes: &[Zeroizing<String>]) -> Result<(), Error> {
        let user = self.user.display_name();
        if self.json {
            return output::print_json(&Codes {
                user,
                line,
                codes: codes.iter().map(|code| code.as_str()).collect(),
            });
        }
        let mut text = Zeroizing::new(String::with_capacity(32 * codes.len() + 256));
        text.push_str(&format!(
            "Backup codes of {user}, each good once, in any order:\n\n"
        ));
        for code in codes {
            text.push_str("    ");
            text.push_str(code);
            text.push('\n');
        }
        text.push_str("\nThey are not shown again.\n");
        output::print(&text)
    }

    /// Adds scratch codes to a user's own file of Google's module, or takes them out.
    fn of_secret_file(&self, line: &SecretFileLine) -> Result<ExitCode, Error> {
        let user = self.user.display_name();
        if self.digits.is_some_and(|digits| digits != 8) {
            return Err(Error::usage(
                "the scratch codes of pam_google_authenticator.so have 8 digits",
            ));
        }
        if self.revoke {
            line.edit(&self.user, |document| {
                match document.remove_scratch_codes() {
                    0 => Err(Error::NotFound(format!("{user} has no scratch codes"))),
                    _ => Ok(()),
                }
            })?;
            output::print(&format!("removed the scratch codes of {user}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let codes = secret::scratch_codes(self.number as usize)?;
        line.edit(&self.user, |document| {
            secret_file::check(document)?;
            if document.scratch_codes() > 0 {
                return Err(Error::Exists(format!(
                    "{user} has {} scratch codes already; `oathctl backup-codes {user} --revoke` \
                     removes them",
                    document.scratch_codes()
                )));
            }
            document.add_scratch_codes(&codes);
            Ok(())
        })?;
        output::print_or_undo(
            || self.print(1, &codes),
            || {
                line.edit(&self.user, |document| {
                    document.remove_scratch_codes();
                    Ok(())
                })
            },
        )?;
        Ok(ExitCode::SUCCESS)
    }

    /// A set without two codes that are the same.
    fn new_set(&self, digits: usize) -> Result<NewSet, Error> {
        loop {
            let secret = secret::random()?;
            let key = Key::new(Algorithm::Sha1, &secret);
            let codes = Vec::from_iter(
                (0..u64::from(self.number)).map(|counter| key.code(counter, digits).text()),
            );
            let distinct: HashSet<&str> = codes.iter().map(|code| code.as_str()).collect();
            if distinct.len() == codes.len() {
                return Ok(NewSet { secret, codes });
            }
        }
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

    /// The token of the user that backup codes stand in for.
    fn replaceable_token<'a>(
        &'a self,
        document: &'a Document,
        path: &Path,
    ) -> Result<TokenLine<'a>, Error> {
        let (user, path) = (self.user.display_name(), path.display());
        if let Some(token) = tokens::of_user(document, &self.user).find(TokenLine::is_backup_codes)
        {
            return Err(Error::Exists(format!(
                "{user} has backup codes already, on line {} of {path}; \
                 `oathctl backup-codes {user} --revoke` removes them",
                token.line
            )));
        }
        tokens::of_user(document, &self.user)
            .find(|token| !token.disabled)
            .ok_or_else(|| {
                Error::NotFound(format!(
                    "{user} has no token in {path} that backup codes could stand in for"
                ))
            })
    }

    fn token(
        &self,
        document: &Document,
        secret: Zeroizing<Vec<u8>>,
        digits: usize,
        path: &Path,
    ) -> Result<Token, Error> {
        // Backup codes replace the phone, not the PIN.
        let main = self.replaceable_token(document, path)?;
        Ok(Token {
            token_type: Type {
                moving_factor: MovingFactor::BackupCodes {
                    number: self.number,
                },
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
        let user = self.user.display_name();
        config.edit(&usersfile, |document| {
            let lines: Vec<usize> = tokens::of_user(document, &self.user)
                .filter(TokenLine::is_backup_codes)
                .map(|token| token.line)
                .collect();
            if lines.is_empty() {
                let path = usersfile.path().display();
                let none = format!("{user} has no backup codes in {path}");
                return Err(Error::NotFound(none));
            }
            // From the last to the first: removing a line changes the numbers of those after it.
            for &line in lines.iter().rev() {
                document.remove(line);
            }
            Ok(())
        })?;
        output::print(&format!("removed the backup codes of {user}\n"))?;
        config.warn_if_unknown(&usersfile, &self.user)?;
        Ok(ExitCode::SUCCESS)
    }
}
