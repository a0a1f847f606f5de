//! `oathctl enable`: makes the comment of a disabled token its line again.

use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::{self, State, TokenSelection};

/// Enable a token that was disabled
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl enable alice
  oathctl enable alice --all")]
pub(crate) struct Enable {
    #[command(flatten)]
    selection: TokenSelection,
}

impl Enable {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let lines = config.edit(&usersfile, |document| {
            let path = usersfile.path();
            let lines = self.selection.lines(document, path, State::Disabled)?;
            tokens::rewrite(document, &lines, |text| {
                tokens::enabled(text).map(|text| Zeroizing::new(text.to_vec()))
            });
            Ok(lines)
        })?;
        output::print(&format!("enabled {}\n", self.selection.tokens(&lines)))?;
        Ok(ExitCode::SUCCESS)
    }
}
