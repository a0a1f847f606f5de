//! `oathctl remove`

use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::secret_file::Line;
use crate::terminal;
use crate::tokens::{self, DisplayName, State, TokenSelection};

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
        if let Some(line) = Line::of(config)? {
            return self.secret_file(config, &line);
        }
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

    /// Takes a user's own file of Google's module away.
    fn secret_file(&self, config: &Config, line: &Line) -> Result<ExitCode, Error> {
        self.selection.check_first_line()?;
        let user = &self.selection.user;
        let removed = line.file_itself(user).and_then(|file| {
            let _held = terminal::hold_signals();
            line.remove(user, &file)?;
            Ok(file)
        });
        let file = match removed {
            Err(error) if self.if_present && error.is_of_nobody() => {
                output::print(&format!("{error}; nothing to remove\n"))?;
                return Ok(ExitCode::SUCCESS);
            }
            removed => removed?,
        };
        let user = user.display_name();
        output::print(&format!(
            "removed the token of {user}, {}\n",
            file.path().display()
        ))?;
        // The file is gone already, so a PAM configuration that cannot be read is no error.
        for service in line.services_with_nullok(config).unwrap_or_default() {
            output::warn(&format!(
                "{user} has no token now, and {service} asks users without a token for no code \
                 (nullok)"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
