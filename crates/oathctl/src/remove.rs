//! `oathctl remove`

use std::process::ExitCode;

use clap::Args;

use crate::error::Error;
use crate::output;
use crate::system::System;
use crate::tokens::{self, Chosen};

/// Remove a token
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl remove alice
  oathctl remove alice --all")]
pub struct Remove {
    #[command(flatten)]
    chosen: Chosen,
}

impl Remove {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(Some(&self.chosen.user))?;
        let lines = system.edit(&usersfile, |document| {
            let lines = self.chosen.lines(document, usersfile.path(), |_| true)?;
            // From the end, so that the numbers of those before stay right.
            for &line in lines.iter().rev() {
                tokens::remove(document, line);
            }
            Ok(lines)
        })?;
        output::print(&format!("removed {}\n", self.chosen.tokens(&lines)))?;
        system.warn_if_unknown(&usersfile, &self.chosen.user)?;
        Ok(ExitCode::SUCCESS)
    }
}
