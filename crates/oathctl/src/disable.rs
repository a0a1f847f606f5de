//! `oathctl disable` and `oathctl enable`: a token's line becomes a comment, and a line again.

use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::output;
use crate::system::System;
use crate::tokens::{self, Chosen};

/// Disable a token without forgetting it: its line becomes a comment
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl disable alice
  oathctl disable alice --line 3")]
pub struct Disable {
    #[command(flatten)]
    chosen: Chosen,
}

/// Enable a token that was disabled
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl enable alice
  oathctl enable alice --all")]
pub struct Enable {
    #[command(flatten)]
    chosen: Chosen,
}

impl Disable {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(Some(&self.chosen.user))?;
        let lines = system.edit(&usersfile, |document| {
            let in_use = |token: &tokens::Token| !token.disabled;
            let lines = self.chosen.lines(document, usersfile.path(), in_use)?;
            tokens::change(document, &lines, tokens::disabled);
            Ok(lines)
        })?;
        output::print(&format!("disabled {}\n", self.chosen.tokens(&lines)))?;
        system.warn_if_unknown(&usersfile, &self.chosen.user)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Enable {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(Some(&self.chosen.user))?;
        let lines = system.edit(&usersfile, |document| {
            let disabled = |token: &tokens::Token| token.disabled;
            let lines = self.chosen.lines(document, usersfile.path(), disabled)?;
            tokens::change(document, &lines, |text| {
                tokens::enabled(text).map(|text| Zeroizing::new(text.to_vec()))
            });
            Ok(lines)
        })?;
        output::print(&format!("enabled {}\n", self.chosen.tokens(&lines)))?;
        Ok(ExitCode::SUCCESS)
    }
}
