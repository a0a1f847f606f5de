//! `oathctl disable`: makes a token's line a comment.

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::{self, State, TokenSelection};

/// Disable a token without forgetting it: its line becomes a comment
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl disable alice
  oathctl disable alice --line 3")]
pub(crate) struct Disable {
    #[command(flatten)]
    selection: TokenSelection,
}

impl Disable {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let lines = config.edit(&usersfile, |document| {
            let path = usersfile.path();
            let lines = self.selection.lines(document, path, State::Enabled)?;
            tokens::rewrite(document, &lines, tokens::disabled);
            Ok(lines)
        })?;
        output::print(&format!("disabled {}\n", self.selection.tokens(&lines)))?;
        config.warn_if_unknown(&usersfile, &self.selection.user)?;
        Ok(ExitCode::SUCCESS)
    }
}
