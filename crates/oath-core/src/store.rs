//! Where a user's tokens are kept, and where it is recorded what was used.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::fs::{self, Deadline, Rewrite};
use crate::local_time::LocalTime;
use crate::login::{Candidate, Record};
use crate::lookup::Enrolled;
use crate::state::journal::Journal;
use crate::usersfile::{self, UserLine};

/// Where the tokens of one user are kept.
pub trait Store {
    /// Under which name the user's tokens are kept.
    fn user(&self) -> &OsStr;

    /// Reads the user's tokens, lets `decide` say what to answer and what to record with which
    /// LAST-TIME, and records that, durably; all of it so that no other login comes in between.
    /// `decide` may be asked again, with what was read anew, and only what it says last counts.
    ///
    /// # Errors
    /// Those of `decide`; or nothing was recorded that a login is known to survive by.
    fn update<T, E: From<usersfile::Error>>(
        &self,
        deadline: &Deadline,
        decide: impl FnMut(&[Candidate]) -> Result<(T, Option<(Record, LocalTime)>), E>,
    ) -> Result<Updated<T>, E>;
}

/// What an update came to.
pub struct Updated<T> {
    /// What was decided.
    pub answer: T,
    /// What the administrator should know.
    pub warnings: Vec<Warning>,
}

/// What an administrator should know of an update that went well.
#[derive(Debug)]
pub enum Warning {
    /// Ownership or mode of the usersfile.
    Usersfile(fs::Warning),
    /// The usersfile could not be written, so the code was recorded in the journal alone.
    InJournalOnly {
        /// The journal.
        journal: PathBuf,
        /// Why the usersfile was not written.
        cause: fs::Error,
    },
    /// The journal keeps a record that the usersfile has, too.
    Journal(fs::Error),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Warning::Usersfile(warning) => warning.fmt(f),
            Warning::InJournalOnly { journal, cause } => {
                write!(f, "recorded in {} only: {cause}", journal.display())
            }
            Warning::Journal(error) => error.fmt(f),
        }
    }
}

/// A usersfile, and with `readonly_ok=` a journal for what is used while it cannot be written.
pub struct FileStore<'a> {
    user: &'a Enrolled,
    journal_folder: Option<&'a Path>,
}

impl<'a> FileStore<'a> {
    /// The tokens of `user`, with a journal in this folder if there is one.
    pub fn new(user: &'a Enrolled, journal_folder: Option<&'a OsStr>) -> FileStore<'a> {
        FileStore {
            user,
            journal_folder: journal_folder.map(Path::new),
        }
    }
}

impl Store for FileStore<'_> {
    fn user(&self) -> &OsStr {
        &self.user.name
    }

    fn update<T, E: From<usersfile::Error>>(
        &self,
        deadline: &Deadline,
        mut decide: impl FnMut(&[Candidate]) -> Result<(T, Option<(Record, LocalTime)>), E>,
    ) -> Result<Updated<T>, E> {
        let Enrolled {
            name,
            usersfile,
            prescan,
        } = self.user;
        let mut journal = match self.journal_folder {
            Some(folder) => {
                let journal = Journal::lock(folder, usersfile, name, deadline);
                Some(journal.map_err(usersfile::Error::File)?)
            }
            None => None,
        };
        let updated = usersfile.update(name, prescan.as_ref(), deadline, |lines| {
            let candidates: Vec<Candidate> = lines
                .iter()
                .map(|line| candidate(line, journal.as_ref()))
                .collect();
            let (answer, record) = decide(&candidates)?;
            let rewrite = record.map(|(record, last_time)| rewrite(lines, &record, last_time));
            Ok::<_, E>((answer, rewrite))
        })?;
        let mut warnings: Vec<Warning> = updated
            .warnings
            .into_iter()
            .map(Warning::Usersfile)
            .collect();
        match (updated.rewrite, updated.failure, &mut journal) {
            (Some(record), Some(cause), Some(journal)) => {
                let recorded = journal.record(&record.text, deadline);
                recorded.map_err(usersfile::Error::File)?;
                warnings.push(Warning::InJournalOnly {
                    journal: journal.path().to_owned(),
                    cause,
                });
            }
            (_, Some(error), _) => return Err(usersfile::Error::File(error).into()),
            (Some(record), None, Some(journal)) => {
                // What stays in it is behind the file from now on and does no harm.
                if let Err(error) = journal.clear(&record.text, deadline) {
                    warnings.push(Warning::Journal(error));
                }
            }
            _ => {}
        }
        Ok(Updated {
            answer: updated.answer,
            warnings,
        })
    }
}

fn candidate<'a>(line: &'a UserLine, journal: Option<&'a Journal>) -> Candidate<'a> {
    let entry = line.entry();
    Candidate {
        line: line.number,
        journalled: journal.and_then(|journal| journal.last_used_of(&entry)),
        entry,
    }
}

/// The line that records a code, used at this local time.
fn rewrite(lines: &[UserLine], record: &Record, last_time: LocalTime) -> Rewrite {
    let line = &lines[record.candidate];
    let text = line
        .entry()
        .with_last_used(record.counter, &record.otp, last_time);
    Rewrite {
        span: line.span.clone(),
        text,
        mode: None,
    }
}
