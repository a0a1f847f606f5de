//! `oathctl import`: imports tokens from the files of other programs into the usersfile.
//!
//! One file for each format, text in, tokens out; this one reads the file and writes the tokens.

mod aegis;
mod google_authenticator;
mod otpauth;
mod pskc;
mod token;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use oath_core::clock::Zone;
use oath_core::otp::Key;
use oath_core::sys;
use oath_core::usersfile::edit::Document;
use oath_core::usersfile::format::{self, Entry, MovingFactor};
use oath_core::usersfile::{self, Usersfile, is_trusted};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::files;
use crate::output::{self, printable};
use crate::tokens::{is_user_name, user_name};
use token::{ImportItem, ImportedToken};

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

    /// For whom all the tokens are, whoever's the file is and whomever it names
    #[arg(long, value_name = "NAME", value_parser = user_name())]
    user: Option<OsString>,

    /// Only say what would be done
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

/// The owner of the file that is read.
struct FileOwner {
    /// Root or the caller, whose file may hold tokens of any user. Another user's file may hold
    /// only that user's.
    is_trusted: bool,
    /// The user of a token for which the file names none; none if the file is root's, who may keep
    /// files of others.
    name: Option<OsString>,
}

/// A token with its user, on its way into the usersfile.
struct Candidate {
    /// Which of the rows it is.
    row: usize,
    user: OsString,
    token: ImportedToken,
}

impl Import {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let (text, owner) = self.read()?;
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
                let name = self.user_of(found.account.as_deref(), &owner)?;
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
            let outcomes = match self.put(config, &usersfile, &candidates) {
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
        self.tell(&rows)
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

    /// The user of a token: of the command line, else the account that the other program names,
    /// else the owner of the file.
    fn user_of(&self, account: Option<&str>, owner: &FileOwner) -> Result<OsString, String> {
        const SAY: &str = "say for whom with --user NAME";
        let exists = |name: &OsStr| {
            sys::account_by_name(name)
                .map(|account| account.is_some())
                .map_err(|error| format!("cannot look for an account: {error}"))
        };
        let names = match (&self.user, account, &owner.name) {
            (Some(user), _, _) => vec![user.clone()],
            (None, Some(account), name) => {
                // Apps call an account "alice@host".
                let local = account.split('@').next().unwrap_or(account);
                let names: Vec<OsString> = vec![account.into(), local.into()];
                match name {
                    _ if owner.is_trusted => names,
                    Some(name) if names.contains(name) => vec![name.clone()],
                    _ => {
                        return Err(format!(
                            "it is for {}, and the file belongs to {}; {SAY}",
                            printable(account.as_bytes()),
                            name.as_ref()
                                .map_or("nobody".into(), |name| printable(name.as_bytes()))
                        ));
                    }
                }
            }
            (None, None, Some(name)) => vec![name.clone()],
            (None, None, None) => return Err(format!("it does not say whose it is; {SAY}")),
        };
        let mut known = None;
        for name in &names {
            if exists(name)? {
                known = Some(name);
                break;
            }
        }
        let name = known.unwrap_or(&names[names.len() - 1]);
        let shown = printable(name.as_bytes());
        if known.is_none() && !self.force {
            return Err(match self.user {
                Some(_) => {
                    format!("{shown} has no account on this system; --force does it all the same")
                }
                None => format!("{shown} has no account on this system; {SAY}"),
            });
        }
        if !is_user_name(name) {
            return Err(format!("\"{shown}\" cannot stand in a usersfile; {SAY}"));
        }
        Ok(name.clone())
    }

    fn put(
        &self,
        config: &Config,
        usersfile: &Usersfile,
        candidates: &[Candidate],
    ) -> Result<Vec<Outcome>, Error> {
        if !self.dry_run {
            return config.edit_or_create(usersfile, |document| {
                Ok(self.append(document, usersfile.path(), candidates))
            });
        }
        let mut document = match config.read(usersfile) {
            Err(Error::Usersfile(usersfile::Error::Missing(_))) => Document::new(b""),
            document => document?,
        };
        Ok(self.append(&mut document, usersfile.path(), candidates))
    }

    /// Appends the lines of the candidates to the document; returns what became of each.
    fn append(
        &self,
        document: &mut Document,
        path: &Path,
        candidates: &[Candidate],
    ) -> Vec<Outcome> {
        // One pass over the file: it may be long, as may the list of candidates, and the lock is
        // held meanwhile.
        type Secret = Option<Zeroizing<Vec<u8>>>;
        let mut there: BTreeMap<&OsStr, Vec<(usize, Secret)>> = candidates
            .iter()
            .map(|candidate| (candidate.user.as_os_str(), Vec::new()))
            .collect();
        for line in document.lines() {
            let Some(entry) = line.entry() else { continue };
            if let Some(tokens) = there.get_mut(OsStr::from_bytes(entry.user)) {
                tokens.push((line.number, entry.secret().ok()));
            }
        }
        let line_of_same = |tokens: &[(usize, Secret)], candidate: &Candidate| {
            let mut same = tokens
                .iter()
                .filter(|(_, secret)| secret.as_ref() == Some(&candidate.token.secret));
            same.next().map(|(line, _)| *line)
        };
        // Of several tokens for one user, only the administrator knows which is for logins.
        let mut in_the_way: BTreeMap<&OsStr, &str> = BTreeMap::new();
        for candidate in candidates {
            let user = candidate.user.as_os_str();
            if line_of_same(&there[user], candidate).is_none() {
                in_the_way
                    .entry(user)
                    .and_modify(|problem| *problem = "has several tokens in the file")
                    .or_insert("");
            }
        }
        for (user, problem) in &mut in_the_way {
            if !there[user].is_empty() {
                *problem = "has a token already";
            }
        }
        candidates
            .iter()
            .map(|candidate| {
                let usersfile = path.to_owned();
                let tokens = there.entry(&candidate.user).or_default();
                if let Some(line) = line_of_same(tokens, candidate) {
                    return Outcome::AlreadyThere { usersfile, line };
                }
                let problem = in_the_way
                    .get(candidate.user.as_os_str())
                    .filter(|problem| !problem.is_empty() && !self.another);
                if let Some(problem) = problem {
                    return Outcome::NotImported {
                        reason: format!(
                            "{} {problem}; --another imports this one as well",
                            printable(candidate.user.as_bytes())
                        ),
                    };
                }
                let line = document.append(&line_of(candidate));
                tokens.push((line, Some(candidate.token.secret.clone())));
                if self.dry_run {
                    Outcome::WouldBeImported { usersfile, line }
                } else {
                    Outcome::Imported { usersfile, line }
                }
            })
            .collect()
    }

    fn tell(&self, rows: &[Row]) -> Result<ExitCode, Error> {
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
            output::print(&text)?;
        }
        let complete = rows
            .iter()
            .all(|row| !matches!(row.outcome, Outcome::NotImported { .. }));
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

impl FileOwner {
    fn of(uid: u32) -> Result<FileOwner, Error> {
        let account = match uid {
            0 => None,
            uid => sys::account_by_uid(uid)
                .map_err(Error::io(format!("look for the user with uid {uid}")))?,
        };
        Ok(FileOwner {
            is_trusted: is_trusted(uid),
            name: account.map(|account| account.name),
        })
    }

    fn of_stdin() -> FileOwner {
        FileOwner {
            is_trusted: true,
            name: None,
        }
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

/// The line for the usersfile, without its end.
fn line_of(candidate: &Candidate) -> Zeroizing<Vec<u8>> {
    let ImportedToken {
        token_type,
        ref secret,
        counter,
    } = candidate.token;
    let is_event = token_type.moving_factor == MovingFactor::Event;
    let line = format::Token {
        token_type,
        user: candidate.user.as_bytes().to_vec(),
        pin: Zeroizing::new(b"-".to_vec()),
        secret: secret.clone(),
        counter: counter.filter(|_| is_event).unwrap_or(0),
    }
    .line();
    let MovingFactor::Time { period } = token_type.moving_factor else {
        return line;
    };
    // The module accepts a time step as last used only together with its code.
    let used = counter.and_then(|step| {
        // The step counts, whatever the clock on the wall showed.
        let time = step.checked_mul(period.into())?;
        let time = Zone::system()
            .local_time(time)
            .or_else(|_| Zone::universal().local_time(time))
            .ok()?;
        let code = Key::new(token_type.algorithm, secret).code(step, token_type.digits);
        let entry = Entry::parse(&line)?;
        let mut line = entry.with_last_used(step, &code, time);
        line.pop();
        Some(line)
    });
    used.unwrap_or(line)
}
