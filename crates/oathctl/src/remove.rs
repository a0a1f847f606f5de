//! `oathctl remove`

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::TokenSelection;

/// Remove a token
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl remove alice
  oathctl remove alice --all")]
pub(crate) struct Remove {
    #[command(flatten)]
    selection: TokenSelection,
}

impl Remove {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.selection.user))?;
        let lines = config.edit(&usersfile, |document| {
            let lines = self.selection.lines(document, usersfile.path(), |_| true)?;
            // From the last to the first: removing a line changes the numbers of those after it.
            for &line in lines.iter().rev() {
                document.remove(line);
            }
            Ok(lines)
        })?;
        output::print(&format!("removed {}\n", self.selection.tokens(&lines)))?;
        config.warn_if_unknown(&usersfile, &self.selection.user)?;
        Ok(ExitCode::SUCCESS)
    }
}
