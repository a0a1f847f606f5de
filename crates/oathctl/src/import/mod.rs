//! `oathctl import`: imports tokens from the files of other programs into the usersfile.
//!
//! One file for each format, text in, tokens out ([`token`]); [`user`] decides for whom a token is,
//! and [`append`](mod@append) adds it to the usersfile.

mod aegis;
mod append;
mod google_authenticator;
mod otpauth;
mod pskc;
mod token;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use oath_core::usersfile::Document;
use oath_core::usersfile::Usersfile;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::files;
use crate::output::{self, printable};
use crate::tokens::user_name;
use append::{Appended, Candidate, append};
use token::ImportItem;
use user::{FileOwner, Users};

/// Import tokens from other programs
#[derive(Args)]
#[command(
    long_about = "Import tokens from other programs: the .google_authenticator file of \
                  google-authenticator's PAM module, otpauth:// and otpauth-migration:// URIs (one \
                  a line), a plain JSON export of Aegis, PSKC (RFC 6030) without encryption. Prints \
                  line by line what it did, and what was not imported.\n\n\
                  From a file that belongs to another user than root and you, only its owner's \
                  tokens are imported, unless --user says otherwise.",
    after_help = "Exit codes:\n  \
                  0  every token is in the usersfile\n  \
                  1  some are not, or it could not be done\n  \
                  2  the command line is wrong\n\n\
                  Example:\n  oathctl import --dry-run --user alice /home/alice/.google_authenticator"
)]
pub(crate) struct Import {
    /// The file to read, - for standard input
    file: PathBuf,

    /// The user of all the tokens, whoever owns the file and whichever users it names
    #[arg(long, value_name = "NAME", value_parser = user_name())]
    user: Option<OsString>,

    /// Only print what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Also where the user has a token already, or the file has several for one user
    #[arg(long)]
    another: bool,

    /// Also for users who have no account on this system
    #[arg(long)]
    force: bool,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// The result for one token of the file.
#[derive(Serialize)]
struct Row {
    place: String,
    user: Option<String>,
    #[serde(rename = "type")]
    token_type: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
    left_behind: Vec<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
enum Outcome {
    Imported { usersfile: PathBuf, line: usize },
    WouldBeImported { usersfile: PathBuf, line: usize },
    AlreadyThere { usersfile: PathBuf, line: usize },
    NotImported { reason: String },
}

impl Import {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let (text, owner) = self.read()?;
        let users = Users {
            given: self.user.as_deref(),
            owner,
            force: self.force,
        };
        let found = tokens_in(&text)
            .map_err(|problem| Error::failed(format!("{} {problem}", self.name())))?;
        if found.is_empty() {
            return Err(Error::failed(format!("{} holds no token", self.name())));
        }
        let mut rows = Vec::new();
        let mut files: BTreeMap<PathBuf, (Usersfile, Vec<Candidate>)> = BTreeMap::new();
        for found in found {
            let row = rows.len();
            let mut token_type = None;
            let mut user = None;
            let candidate = found.token.and_then(|token| {
                token_type = Some(token.token_type.to_string());
                let name = users.of_token(found.account.as_deref())?;
                user = Some(printable(name.as_bytes()));
                let usersfile = config
                    .usersfile(Some(&name))
                    .map_err(|error| error.to_string())?;
                Ok((
                    usersfile,
                    Candidate {
                        row,
                        user: name,
                        token,
                    },
                ))
            });
            rows.push(Row {
                place: found.place,
                user,
                token_type,
                outcome: Outcome::NotImported {
                    reason: candidate.as_ref().err().cloned().unwrap_or_default(),
                },
                left_behind: found.left_behind,
            });
            if let Ok((usersfile, candidate)) = candidate {
                files
                    .entry(usersfile.path().to_owned())
                    .or_insert_with(|| (usersfile, Vec::new()))
                    .1
                    .push(candidate);
            }
        }
        let only_one = files.len() == 1;
        for (usersfile, candidates) in files.into_values() {
            let outcomes = match self.import(config, &usersfile, &candidates) {
                Err(error) if only_one => return Err(error),
                Err(error) => {
                    // The tokens of the other usersfiles may still be imported.
                    let reason = error.to_string();
                    vec![Outcome::NotImported { reason }; candidates.len()]
                }
                Ok(outcomes) => outcomes,
            };
            for (candidate, outcome) in candidates.iter().zip(outcomes) {
                rows[candidate.row].outcome = outcome;
            }
        }
        self.print(&rows)
    }

    /// How messages call the file.
    fn name(&self) -> String {
        if self.is_stdin() {
            "standard input".into()
        } else {
            self.file.display().to_string()
        }
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    /// The file's text and its owner.
    fn read(&self) -> Result<(Zeroizing<String>, FileOwner), Error> {
        let (mut bytes, owner) = if self.is_stdin() {
            (files::read_stdin()?, FileOwner::of_stdin())
        } else {
            let contents = files::read(&self.file)?;
            (contents.bytes, FileOwner::of(contents.uid)?)
        };
        String::from_utf8(std::mem::take(&mut bytes))
            .map(|text| (Zeroizing::new(text), owner))
            .map_err(|error| {
                drop(Zeroizing::new(error.into_bytes()));
                Error::failed(format!("{} is not text in UTF-8", self.name()))
            })
    }

    fn import(
        &self,
        config: &Config,
        usersfile: &Usersfile,
        candidates: &[Candidate],
    ) -> Result<Vec<Outcome>, Error> {
        if !self.dry_run {
            let appended = config.edit_or_create(usersfile, |document| {
                Ok(append(document, candidates, self.another))
            })?;
            return Ok(self.outcomes(usersfile.path(), candidates, appended));
        }
        let mut document = match config.read(usersfile) {
            Err(Error::Usersfile(error)) if error.is_missing() => Document::new(b""),
            document => document?,
        };
        let appended = append(&mut document, candidates, self.another);
        Ok(self.outcomes(usersfile.path(), candidates, appended))
    }

    fn outcomes(
        &self,
        path: &Path,
        candidates: &[Candidate],
        appended: Vec<Appended>,
    ) -> Vec<Outcome> {
        let outcome = |(candidate, appended): (&Candidate, Appended)| {
            let usersfile = path.to_owned();
            match appended {
                Appended::Line(line) if self.dry_run => {
                    Outcome::WouldBeImported { usersfile, line }
                }
                Appended::Line(line) => Outcome::Imported { usersfile, line },
                Appended::AlreadyThere(line) => Outcome::AlreadyThere { usersfile, line },
                Appended::Ambiguous(ambiguity) => Outcome::NotImported {
                    reason: format!(
                        "{} {ambiguity}; --another imports this one as well",
                        printable(candidate.user.as_bytes())
                    ),
                },
            }
        };
        candidates.iter().zip(appended).map(outcome).collect()
    }

    fn print(&self, rows: &[Row]) -> Result<ExitCode, Error> {
        if self.json {
            output::print_json(&rows)?;
        } else {
            let mut text = String::new();
            for row in rows {
                let Row { place, outcome, .. } = row;
                let user = row.user.as_deref().unwrap_or_default();
                let token_type = row.token_type.as_deref().unwrap_or_default();
                text += &match outcome {
                    Outcome::Imported { usersfile, line } => format!(
                        "{place}: {user}: imported as {token_type}, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::WouldBeImported { usersfile, line } => format!(
                        "{place}: {user}: would be imported as {token_type}, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::AlreadyThere { usersfile, line } => format!(
                        "{place}: {user}: already there, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::NotImported { reason } => {
                        format!("{place}: not imported: {reason}\n")
                    }
                };
                for left_behind in &row.left_behind {
                    text += &format!("{place}: {left_behind}\n");
                }
            }
            output::print(&output::printable_lines(&text))?;
        }
        let complete = rows
            .iter()
            .all(|row| !matches!(row.outcome, Outcome::NotImported { .. }));
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

/// Recognises the format by the text, and reads it.
fn tokens_in(text: &str) -> Result<Vec<ImportItem>, String> {
    if pskc::recognises(text) {
        pskc::read(text)
    } else if aegis::recognises(text) {
        aegis::read(text)
    } else if otpauth::recognises(text) {
        Ok(otpauth::read(text))
    } else if google_authenticator::recognises(text) {
        Ok(vec![google_authenticator::read(text)])
    } else {
        Err(
            "is in none of the formats that can be imported: .google_authenticator, otpauth:// \
             and otpauth-migration:// URIs, plain JSON of Aegis, PSKC"
                .into(),
        )
    }
}
