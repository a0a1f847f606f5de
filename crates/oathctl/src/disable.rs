//! `oathctl disable` and `oathctl enable`: a token's line becomes a comment, and a line again.

use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::{self, TokenSelection};

/// Disable a token without forgetting it: its line becomes a comment
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl disable alice
  oathctl disable alice --line 3")]
pub struct Disable {
    #[command(flatten)]
    selection: TokenSelection,
}

/// Enable a token that was disabled
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl enable alice
  oathctl enable alice --all")]
pub struct Enable {
    #[command(flatten)]
    selection: TokenSelection,
}

impl Disable {
    pub fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let lines = config.edit(&usersfile, |document| {
            let in_use = |token: &tokens::TokenLine| !token.disabled;
            let lines = self.selection.lines(document, usersfile.path(), in_use)?;
            tokens::rewrite(document, &lines, tokens::disabled);
            Ok(lines)
        })?;
        output::print(&format!("disabled {}\n", self.selection.tokens(&lines)))?;
        config.warn_if_unknown(&usersfile, &self.selection.user)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Enable {
    pub fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let lines = config.edit(&usersfile, |document| {
            let disabled = |token: &tokens::TokenLine| token.disabled;
            let lines = self.selection.lines(document, usersfile.path(), disabled)?;
            tokens::rewrite(document, &lines, |text| {
                tokens::enabled(text).map(|text| Zeroizing::new(text.to_vec()))
            });
            Ok(lines)
        })?;
        output::print(&format!("enabled {}\n", self.selection.tokens(&lines)))?;
        Ok(ExitCode::SUCCESS)
    }
}
