//! `oathctl remove`

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::{self, State, TokenSelection};

/// Remove a token
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl remove alice
  oathctl remove alice --all --if-present")]
pub(crate) struct Remove {
    #[command(flatten)]
    selection: TokenSelection,

    /// Without a token of the user there is nothing to do, and that is no error
    #[arg(long)]
    if_present: bool,
}

impl Remove {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let removed = config.edit(&usersfile, |document| {
            let lines = self
                .selection
                .lines(document, usersfile.path(), State::Any)?;
            // From the last to the first: removing a line changes the numbers of those after it.
            for &line in lines.iter().rev() {
                tokens::remove(document, line);
            }
            Ok(lines)
        });
        let lines = match removed {
            Err(error) if self.if_present && error.is_of_nobody() => {
                output::print(&format!("{error}; nothing to remove\n"))?;
                return Ok(ExitCode::SUCCESS);
            }
            removed => removed?,
        };
        output::print(&format!("removed {}\n", self.selection.tokens(&lines)))?;
        config.warn_if_unknown(&usersfile, &self.selection.user)?;
        Ok(ExitCode::SUCCESS)
    }
}
