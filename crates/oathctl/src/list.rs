//! `oathctl list`

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::Args;
use oath_core::local_time::LocalTime;
use oath_core::otp::Algorithm;
use oath_core::pin::is_hash;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::MovingFactor;
use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::otpauth::{USUAL_PERIOD, hash_name};
use crate::output;
use crate::secret;
use crate::secret_file::{self, Line};
use crate::tokens::{self, DisplayName, TokenLine, user_name};

/// List the tokens, never a secret
#[derive(Args)]
#[command(after_help = "Examples:\n  oathctl list\n  oathctl list alice --json")]
pub(crate) struct List {
    /// Only the tokens of this user
    #[arg(value_parser = user_name())]
    user: Option<OsString>,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` says of a token.
#[derive(Serialize)]
struct Row {
    /// None where the field may hold a secret.
    user: Option<String>,
    /// `TOTP`, `HOTP` or `backup codes`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Seconds; none but for TOTP.
    period: Option<u32>,
    digits: usize,
    hash: &'static str,
    /// `none`, `external`, `text` or `hash`.
    pin: &'static str,
    /// Local time, ISO 8601.
    last_used: Option<String>,
    line: usize,
    disabled: bool,
    backup_codes: bool,
    backup_codes_left: Option<u32>,
    /// How many scratch codes are left, in a file of Google's module.
    #[serde(skip_serializing_if = "Option::is_none")]
    scratch_codes: Option<usize>,
    /// Why the module refuses the line.
    malformed: Option<String>,
}

impl List {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if let Some(line) = Line::of(config)? {
            return match self.row_of_secret_file(&line) {
                Err(Error::NotFound(_)) if self.json => self.print(&[]),
                row => self.print(&[row?]),
            };
        }
        let usersfile = config.usersfile(self.user.as_deref())?;
        let document = match config.read(&usersfile) {
            // Where each user has a file, that is who has no token.
            Err(error) if error.is_missing_usersfile() && self.user.is_some() => Document::new(b""),
            read => read?,
        };
        let rows: Vec<Row> = tokens::all(&document)
            .filter(|token| match &self.user {
                Some(user) => token.entry.user == user.as_bytes(),
                None => true,
            })
            .map(|token| Row::new(&token))
            .collect();
        if let (Some(user), true, false) = (&self.user, rows.is_empty(), self.json) {
            return Err(tokens::no_token(user, usersfile.path()));
        }
        self.print(&rows)
    }

    fn print(&self, rows: &[Row]) -> Result<ExitCode, Error> {
        if self.json {
            output::print_json(&rows)?;
        } else {
            let rows: Vec<_> = rows.iter().map(Row::cells).collect();
            output::print(&output::table(
                [
                    "USER",
                    "TYPE",
                    "DIGITS",
                    "HASH",
                    "PIN",
                    "LAST USED",
                    "LINE",
                    "NOTE",
                ],
                &rows,
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn row_of_secret_file(&self, line: &Line) -> Result<Row, Error> {
        let document = line.read(self.user.as_deref())?;
        let malformed = secret_file::check(&document).err();
        let period = match document.hotp_counter() {
            Some(_) => None,
            None => Some(document.step_size().unwrap_or(USUAL_PERIOD)),
        };
        Ok(Row {
            user: self.user.as_deref().map(DisplayName::display_name),
            kind: if period.is_some() { "TOTP" } else { "HOTP" },
            period,
            digits: 6,
            hash: hash_name(Algorithm::Sha1),
            pin: "none",
            last_used: secret_file::last_used(&document)?.as_ref().map(as_iso_8601),
            line: 1,
            disabled: false,
            backup_codes: false,
            backup_codes_left: None,
            scratch_codes: Some(document.scratch_codes()),
            malformed: malformed.map(|error| error.to_string()),
        })
    }
}

impl Row {
    fn new(token: &TokenLine) -> Row {
        let entry = &token.entry;
        let token_type = entry.token_type;
        let (kind, period) = match token_type.moving_factor {
            MovingFactor::Event => ("HOTP", None),
            MovingFactor::Time { period } => ("TOTP", Some(period)),
            MovingFactor::BackupCodes { .. } => ("backup codes", None),
        };
        Row {
            user: secret::shown_user(entry),
            kind,
            period,
            digits: token_type.digits,
            hash: hash_name(token_type.algorithm),
            pin: match entry.pin {
                None | Some(b"-") => "none",
                Some(b"+") => "external",
                Some(pin) if is_hash(pin) => "hash",
                Some(_) => "text",
            },
            last_used: entry
                .last_used
                .time()
                .ok()
                .flatten()
                .as_ref()
                .map(as_iso_8601),
            line: token.line,
            disabled: token.disabled,
            backup_codes: token.is_backup_codes(),
            backup_codes_left: entry.backup_codes_left(),
            scratch_codes: None,
            malformed: tokens::check(entry)
                .err()
                .map(|malformed| malformed.to_string()),
        }
    }

    fn cells(&self) -> [String; 8] {
        let mut notes = Vec::new();
        if self.disabled {
            notes.push("disabled".to_owned());
        }
        if let Some(left) = self.backup_codes_left {
            notes.push(format!("{left} left"));
        }
        if let Some(left) = self.scratch_codes {
            notes.push(format!("{left} scratch codes"));
        }
        notes.extend(self.malformed.clone());
        [
            self.user.clone().unwrap_or_else(|| "(covered)".into()),
            match self.period {
                Some(period) => format!("{} {period} s", self.kind),
                None => self.kind.into(),
            },
            self.digits.to_string(),
            self.hash.into(),
            self.pin.into(),
            self.last_used
                .as_deref()
                .unwrap_or("never")
                .replace('T', " "),
            self.line.to_string(),
            notes.join(", "),
        ]
    }
}

fn as_iso_8601(time: &LocalTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year, time.month, time.day, time.hour, time.minute, time.second
    )
}
