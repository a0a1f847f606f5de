//! `oathctl show`

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use oath_core::usersfile::format::Token;

use crate::add::issuer;
use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::provisioning::Provisioning;
use crate::qr::QrFile;
use crate::secret_file::{self, Line};
use crate::terminal::Terminal;
use crate::tokens::{self, DisplayName, user_name};

/// Show a token's QR code, URI and secret again, for a new phone
///
/// Whoever sees them can make the user's codes. If the old phone is lost, remove the token and
/// add a new one instead.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl show alice
  oathctl show alice --yes --qr alice.svg")]
pub(crate) struct Show {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// Of several tokens, the one on this line
    #[arg(long, value_name = "N")]
    line: Option<usize>,

    /// What the app shows beside the user's name [default: as oathctl add was told, else the name of
    /// this machine]
    #[arg(long, value_name = "NAME", value_parser = issuer)]
    issuer: Option<String>,

    /// Save the QR code in this file, .png or .svg, and show nothing
    #[arg(long, value_name = "FILE")]
    qr: Option<PathBuf>,

    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,

    /// Print JSON, for scripts
    #[arg(long, conflicts_with = "qr")]
    json: bool,
}

impl Show {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let user = self.user.display_name();
        let (token, line, issuer) = self.token(config)?;

        if !self.yes {
            let terminal = Terminal::open("--yes shows the secret without asking")?;
            output::warn(&format!(
                "whoever sees what follows can log in with the codes of {user}"
            ));
            if !terminal.confirm("Show it?")? {
                return Err(Error::failed("not shown"));
            }
        }
        let issuer = self.issuer.as_deref().or(issuer.as_deref());
        let provisioning = Provisioning::new(&token, issuer);
        if let Some(path) = &self.qr {
            QrFile::create(path, &provisioning.qr()?, &self.user)?.keep();
        } else if self.json {
            output::print_json(&provisioning.to_json(line))?;
        } else {
            output::print(&provisioning.to_text()?)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The token, its line, and the issuer that it was added with.
    fn token(&self, config: &Config) -> Result<(Token, usize, Option<String>), Error> {
        if let Some(line) = Line::of(config)? {
            let document = line.read(Some(&self.user))?;
            return Ok((secret_file::token(&document, &self.user)?, 1, None));
        }
        let usersfile = config.usersfile(Some(&self.user))?;
        let document = config.read(&usersfile)?;
        let found = tokens::select_one(&document, &self.user, self.line, usersfile.path())?;
        if found.is_backup_codes() {
            return Err(Error::failed(format!(
                "line {} holds backup codes, which are shown only when they are made; \
                 oathctl backup-codes makes new ones, after --revoke",
                found.line
            )));
        }
        let token = found
            .entry
            .token()
            .map_err(|malformed| Error::failed(format!("line {}: {malformed}", found.line)))?;
        Ok((token, found.line, found.issuer.map(str::to_owned)))
    }
}
