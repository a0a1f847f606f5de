//! The file with the tokens: what a line means ([`mod@format`]), which lines are a user's
//! ([`scan`]), and where the file is ([`template`]). The tool takes it as a whole ([`document`]).

#![forbid(unsafe_code)]

mod document;
pub mod format;
mod home;
mod scan;
mod template;

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::{self, Deadline, FilePath, LockedFile, Rewrite, Stamp, Warning};
use crate::sys;

pub use document::{Document, Line};
pub(crate) use home::{check_home, check_mounted};
use scan::LineStart;
pub use scan::{UserLine, lines_of};
pub use template::Template;
pub(crate) use template::{contains, is_file_name};

/// Why a usersfile was not used. Nothing of the file's contents is in any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// `usersfile=` names no absolute path.
    #[error(
        "usersfile={template}: must be an absolute path{}",
        home_advice(template)
    )]
    NotAbsolute {
        /// The argument's value.
        template: String,
    },
    /// `usersfile=` names a file in the home directory of a user who has no account.
    #[error("no account of that name, so usersfile={template} names no file")]
    NoHome {
        /// The argument's value.
        template: String,
    },
    /// `usersfile=` names a file by the user's name, and the name cannot be part of a path.
    #[error("usersfile={template}: the user's name cannot stand in a path")]
    NoFileName {
        /// The argument's value.
        template: String,
    },
    /// There is an empty folder of somebody else's where the home directory should be.
    #[error(
        "{} is an empty folder that is not its user's; is the home directory mounted?",
        .0.display()
    )]
    EmptyHome(PathBuf),
    /// The file system that the home directory is on is not mounted.
    #[error("{} is a mount point in /etc/fstab, and nothing is mounted there", .0.display())]
    NotMounted(PathBuf),
    /// Whether the account exists, and what it is called, could not be found out.
    #[error("cannot look up the account: {0}; is the name service running? (nsswitch.conf(5))")]
    NameService(io::Error),
}

/// Of a template that a shell would take for a path in the home directory.
fn home_advice(template: &str) -> &'static str {
    match template.starts_with('~') || template.starts_with("$HOME") {
        true => "; write ${HOME} for the home directory",
        false => "",
    }
}

impl Error {
    /// Whether there is no file, but the folder it should be in.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::File(fs::Error::Missing(_)))
    }

    /// The same, said of another path: where the path has a name in it that is not to be logged.
    pub(crate) fn of_path(self, path: PathBuf) -> Error {
        match self {
            Error::File(error) => Error::File(error.of_path(path)),
            Error::EmptyHome(_) => Error::EmptyHome(path),
            Error::NotMounted(_) => Error::NotMounted(path),
            other => other,
        }
    }
}

/// How often a scan without the lock is tried when another program writes the file at the same
/// moment.
const ATTEMPTS: usize = 16;

/// A usersfile by its path. Nothing of it is open or locked.
pub struct Usersfile {
    file: FilePath,
}

/// What a scan without the lock, before the prompt, found of a user: only a hint. Nothing of the
/// file's text is in it, and it decides nothing later: it tells where to begin reading, if the
/// file still has the same stamp.
pub struct Prescan {
    is_known: bool,
    stamp: Stamp,
    first_line: Option<LineStart>,
}

impl Prescan {
    /// Whether the user has a line of a token.
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

/// What an [`update`](Usersfile::update) came to.
pub(crate) struct Updated<T> {
    /// What was decided.
    pub answer: T,
    /// What was to be written.
    pub rewrite: Option<Rewrite>,
    /// Why it was not written: the disk has no room, or is read-only.
    pub failure: Option<fs::Error>,
    /// Ownership and mode problems of the file.
    pub warnings: Vec<Warning>,
}

impl Usersfile {
    /// What `usersfile=` names for `user`.
    ///
    /// # Errors
    /// There is no home directory, the name cannot stand in a path, the path is not absolute, or the
    /// account cannot be looked up.
    pub fn named(template: &OsStr, user: &OsStr) -> Result<Usersfile, Error> {
        let template = Template::new(template);
        let account = match template.names_home() {
            true => sys::account_by_name(user).map_err(Error::NameService)?,
            false => None,
        };
        template.expand(user, account.as_ref())
    }

    /// The usersfile at an absolute path.
    pub fn at(path: PathBuf) -> Usersfile {
        Usersfile {
            file: FilePath::new(path),
        }
    }

    /// The path as it was given, links not resolved.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The path with its links resolved.
    ///
    /// # Errors
    /// As [`FilePath::resolve`].
    pub fn resolved_path(&self) -> Result<PathBuf, Error> {
        Ok(self.file.resolve()?.path)
    }

    /// The names by which the file may be known from one login to the next, see
    /// [`FilePath::names`].
    pub(crate) fn names(&self) -> Result<Vec<PathBuf>, fs::Error> {
        self.file.names()
    }

    /// Scans the file, without the lock, for a token of `user`.
    ///
    /// # Errors
    /// The file cannot be used, or another program is changing it.
    pub fn prescan(&self, user: &OsStr, deadline: &Deadline) -> Result<Prescan, Error> {
        for _ in 0..ATTEMPTS {
            let file = self.file.open(deadline)?;
            let mut prescan = Prescan {
                is_known: false,
                stamp: file.stamp().clone(),
                first_line: None,
            };
            scan::scan(
                file.reader(),
                LineStart::default(),
                user.as_bytes(),
                |line| {
                    prescan.first_line.get_or_insert(line.start());
                    prescan.is_known = line.entry().makes_known();
                    Ok(match prescan.is_known {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    })
                },
            )
            .map_err(fs::Error::io("read", self.path()))?;
            // Where the stack says [user_unknown=ignore], "unknown" lets the user in without a
            // code: it is not said of a file that an editor may be half through writing.
            if prescan.is_known || file.is_settled(deadline)? {
                return Ok(prescan);
            }
            if !deadline.sleep(Stamp::REST) {
                break;
            }
        }
        Err(fs::Error::Changing(self.path().to_owned()).into())
    }

    /// Takes the lock, reads the lines of `user`, lets `decide` say what to write and what to
    /// answer, writes, makes it durable, releases the lock. `decide` is asked again with fresh
    /// lines if another program changed the file meanwhile, and only what it said last counts.
    /// `prescan` spares it reading what comes before the user's first line, if that is the same
    /// file still.
    ///
    /// # Errors
    /// Those of `decide`. Or nothing was recorded, with one exception: if the folder cannot be
    /// flushed to disk afterwards, the change is visible but may not survive a power cut.
    pub(crate) fn update<T, E: From<Error>>(
        &self,
        user: &OsStr,
        prescan: Option<&Prescan>,
        deadline: &Deadline,
        mut decide: impl FnMut(&[UserLine]) -> Result<(T, Option<Rewrite>), E>,
    ) -> Result<Updated<T>, E> {
        let updated = self.file.with_lock(deadline, |locked| {
            let lines = user_lines(locked, user, prescan)?;
            let (answer, rewrite) = match decide(&lines) {
                Ok((answer, Some(rewrite))) => (answer, rewrite),
                // What is not replaced was read all the same.
                decided => {
                    locked.check_unchanged()?;
                    return Ok(decided.map(|(answer, _)| (answer, None, None)));
                }
            };
            let failure = match locked.replace(&rewrite, deadline) {
                Err(error) if error.is_full_or_read_only() => Some(error),
                replaced => replaced.map(|()| None)?,
            };
            Ok(Ok((answer, Some(rewrite), failure)))
        });
        let (updated, warnings) = updated.map_err(Error::from)?;
        updated.map(|(answer, rewrite, failure)| Updated {
            answer,
            rewrite,
            failure,
            warnings,
        })
    }
}

/// The token lines of `user` in a locked file, in file order. Whether an editor was writing meanwhile
/// is still to be checked.
fn user_lines(
    locked: &LockedFile,
    user: &OsStr,
    prescan: Option<&Prescan>,
) -> Result<Vec<UserLine>, fs::Error> {
    let start = first_line(locked, prescan)?;
    scan::collect(locked.reader(start.offset), start, user.as_bytes()).map_err(locked.io("read"))
}

/// Where the user's first line begins, if a prescan of this very file in this very state saw it;
/// else where the file begins.
///
/// The text itself is read anew in any case. Should a change have left the stamp as it was (on a
/// clock that ticks slowly), then a line that has come before the others is not seen this once,
/// and no piece of another line is taken for one of the user's.
fn first_line(locked: &LockedFile, prescan: Option<&Prescan>) -> Result<LineStart, fs::Error> {
    let valid = prescan.filter(|prescan| prescan.stamp == *locked.stamp());
    let start = valid
        .and_then(|prescan| prescan.first_line)
        .unwrap_or_default();
    let follows_a_line = match start.offset.checked_sub(1) {
        Some(before) => locked.byte_at(before)? == Some(b'\n'),
        None => true,
    };
    Ok(match follows_a_line {
        true => start,
        false => LineStart::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn reading_begins_at_a_line_feed_even_if_the_stamp_should_be_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let usersfile = Usersfile::at(folder.path().join("users.oath"));
        let alice = OsStr::new("alice");
        let written = |text: &str| {
            std::fs::write(usersfile.path(), text).unwrap();
            std::fs::set_permissions(usersfile.path(), Permissions::from_mode(0o600)).unwrap();
        };
        written(" \nHOTP alice - 00\n");
        let mut prescan = usersfile.prescan(alice, &Deadline::begin()).unwrap();
        written(" #HOTP alice - 00\n");
        let locked = usersfile.file.lock(&Deadline::begin()).unwrap();
        prescan.stamp = locked.stamp().clone();
        assert_eq!(prescan.first_line.unwrap().offset, 2);
        assert!(
            user_lines(&locked, alice, Some(&prescan))
                .unwrap()
                .is_empty()
        );
    }
}
