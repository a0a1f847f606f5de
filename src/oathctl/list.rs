//! `oathctl list`

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use pam_oath::usersfile::format::{Entry, MovingFactor};
use serde::Serialize;

use crate::error::Error;
use crate::output::{self, printable};
use crate::system::System;

/// List the tokens, never a secret
#[derive(Args)]
#[command(after_help = "Example:\n  oathctl list --json")]
pub struct List {
    /// Only the tokens of this user
    user: Option<OsString>,

    /// For scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` says of a token.
#[derive(Serialize)]
struct Row {
    line: usize,
    user: String,
    #[serde(rename = "type")]
    kind: &'static str,
    period: Option<u32>,
}

impl List {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(self.user.as_deref())?;
        let document = system.read(&usersfile)?;
        let rows: Vec<Row> = document
            .lines()
            .filter_map(|line| Some(Row::new(line.number, &line.entry()?)))
            .collect();
        if self.json {
            output::print_json(&rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Row {
    fn new(line: usize, entry: &Entry) -> Row {
        let period = match entry.token_type.moving_factor {
            MovingFactor::Event => None,
            MovingFactor::Time { period } => Some(period),
        };
        Row {
            line,
            user: printable(entry.user),
            kind: if period.is_some() { "TOTP" } else { "HOTP" },
            period,
        }
    }
}
