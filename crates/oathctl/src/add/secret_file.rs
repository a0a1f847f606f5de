//! `oathctl add` where each user has a file of their own for Google's module.

use std::io;
use std::process::ExitCode;

use oath_core::google::new_file::{self, NewFile, Settings};
use oath_core::google::secret_file::{self, SecretFile};
use oath_core::usersfile::format::{MovingFactor, Token};
use zeroize::Zeroizing;

use super::{Add, Algorithm};
use crate::config::Config;
use crate::error::Error;
use crate::google_authenticator::{USUAL_LIMIT, USUAL_SCRATCH_CODES, show_scratch_codes};
use crate::otpauth::{self, USUAL_PERIOD};
use crate::output;
use crate::provisioning::{AddedJson, Provisioning};
use crate::secret_file::Line;
use crate::tokens::DisplayName;
use crate::{confirm, secret, terminal};

/// In seconds.
const LONGEST_STEP: u32 = 60;

impl Add {
    pub(super) fn to_secret_file(&self, config: &Config, line: &Line) -> Result<ExitCode, Error> {
        self.check_fits_file()?;
        let terminal = self.terminal()?;
        if line.options.user.is_some() {
            self.check_account()?;
        }
        let file = line.file_itself(&self.user)?;
        match self.check_has_none(&file) {
            Err(error @ Error::Exists(_)) if self.if_missing => return self.nothing_to_do(&error),
            checked => checked?,
        }
        let token = Token {
            // A new file begins with the counter 1.
            counter: u64::from(self.hotp),
            ..self.token(self.read_secret()?, None)?
        };
        if token.secret.len() < secret::MIN_LENGTH {
            output::warn("the secret has fewer than 128 bits, the least that RFC 4226 allows");
        }
        let scratch_codes = secret::scratch_codes(USUAL_SCRATCH_CODES.into())?;
        let new = NewFile {
            secret: &otpauth::base32(&token.secret),
            settings: self.settings(&token),
            scratch_codes: &scratch_codes,
        };
        let provisioning = Provisioning::new(&token, self.issuer.as_deref());
        let qr_file = self.show(&provisioning)?;
        let text = match terminal {
            Some(terminal) => confirm::ask_for_code_of_file(&terminal, &token, new.text(), config)?,
            None => new.text(),
        };
        let _held = terminal::hold_signals();
        match file.create(&text) {
            // Somebody else has just made one.
            Err(secret_file::Error::File(error))
                if error.kind() == Some(io::ErrorKind::AlreadyExists) =>
            {
                let exists = self.has_one(&file);
                return match self.if_missing {
                    true => self.nothing_to_do(&exists),
                    false => Err(exists),
                };
            }
            created => created?,
        }
        output::print_or_undo(
            || self.print_added(&provisioning, &scratch_codes),
            || match file.remove(Some(text.as_slice()))? {
                true => Ok(()),
                false => Err(Error::failed("another program has changed it")),
            },
        )?;
        if let Some(qr_file) = qr_file {
            qr_file.keep();
        }
        if !self.json {
            let (user, path) = (self.user.display_name(), file.path().display());
            output::print(&format!("{user} has a token now, in {path}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What such a file cannot say.
    fn check_fits_file(&self) -> Result<(), Error> {
        let problem = if self.digits != 6 {
            "the codes of such a file have 6 digits"
        } else if !matches!(self.algorithm, Algorithm::Sha1) {
            "the codes of such a file are by SHA-1"
        } else if self.pin || self.pin_stdin || self.external_pin {
            "such a file has no PIN"
        } else if self.another {
            "such a file has one token"
        } else if self.period > LONGEST_STEP {
            "the time step of such a file is at most 60 seconds"
        } else {
            return Ok(());
        };
        Err(Error::usage(format!(
            "the services ask pam_google_authenticator.so, and {problem}"
        )))
    }

    fn check_has_none(&self, file: &SecretFile) -> Result<(), Error> {
        match file.resolve()?.found {
            Some(_) => Err(self.has_one(file)),
            None => Ok(()),
        }
    }

    fn has_one(&self, file: &SecretFile) -> Error {
        let (user, path) = (self.user.display_name(), file.path().display());
        Error::Exists(format!(
            "{user} has a token already, in {path}; `oathctl remove {user}` takes it away"
        ))
    }

    fn settings(&self, token: &Token) -> Settings {
        Settings {
            moving_factor: match token.token_type.moving_factor {
                MovingFactor::Event | MovingFactor::BackupCodes { .. } => {
                    new_file::MovingFactor::Event
                }
                MovingFactor::Time { period } => new_file::MovingFactor::Time {
                    step_size: (period != USUAL_PERIOD).then_some(period),
                    disallow_reuse: true,
                },
            },
            rate_limit: Some(USUAL_LIMIT),
            window_size: None,
        }
    }

    fn print_added(
        &self,
        provisioning: &Provisioning,
        scratch_codes: &[Zeroizing<String>],
    ) -> Result<(), Error> {
        if !self.json {
            return show_scratch_codes(scratch_codes);
        }
        let scratch_codes = scratch_codes.iter().map(|code| code.as_str());
        output::print_json(&AddedJson {
            added: true,
            token: provisioning.to_json(1),
            scratch_codes: Some(scratch_codes.collect()),
        })
    }
}
