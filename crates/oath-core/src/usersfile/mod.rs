//! The file: what a line means ([`mod@format`]), which lines are a user's ([`scan`]), the walk to it
//! that checks every owner ([`path`]), how it is locked, read and replaced ([`store`]); and the
//! small files beside it ([`state`]), such as what was used while it could not be written
//! ([`journal`]). What only the tool does, which takes whole contents, is in [`edit`].

#![forbid(unsafe_code)]

pub mod edit;
pub mod format;
pub(crate) mod home;
pub mod journal;
pub mod path;
pub mod scan;
pub mod state;
pub mod store;

use std::io;
use std::path::{Path, PathBuf};

pub use scan::UserLine;
pub use store::{Deadline, Look, Rewrite, Template, Usersfile};

/// Why a usersfile was not used. Nothing of the file's contents is in any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file, but the folder it should be in.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A symbolic link stands for the file, and leads to none: where a disk is not mounted, say.
    #[error("{} is a symbolic link to {}, which does not exist", link.display(), path.display())]
    DanglingLink {
        /// The path as it was given.
        link: PathBuf,
        /// Where it leads.
        path: PathBuf,
    },
    /// There is not even a folder.
    #[error("the folder {} does not exist", .0.display())]
    MissingFolder(PathBuf),
    /// A file or folder that is not safe to use, and what to do about it.
    #[error("{} {problem}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Goes on where the path ends.
        problem: String,
    },
    /// `usersfile=` names no path.
    #[error("usersfile={template}: {problem}")]
    BadTemplate {
        /// The argument's value.
        template: String,
        /// What is wrong with it.
        problem: &'static str,
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
    /// Whether the account exists, and what it is called, could not be found out.
    #[error("cannot look up the account: {0}; is the name service running? (nsswitch.conf(5))")]
    NameService(io::Error),
    /// The new file could not be given to the owner of the old one.
    #[error(
        "cannot copy owner and rights of {path}: {cause}; for want of CAP_CHOWN? Add it to \
         CapabilityBoundingSet= of the service's unit, or let the file belong to who runs the \
         service",
        path = path.display()
    )]
    Owner {
        /// The usersfile.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Somebody else held the lock until the time was up.
    #[error(
        "{} stayed locked for {} seconds; find the program that holds it with: fuser -v {}",
        .0.display(), Deadline::LIMIT.as_secs(), .0.display()
    )]
    Locked(PathBuf),
    /// An editor, or another program that does not know our lock, is writing.
    #[error("{} is being changed by another program", .0.display())]
    Changing(PathBuf),
    /// A system call failed.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Error {
    /// Whether the file system has no room left or is read-only: what `readonly_ok=` is for.
    pub fn is_full_or_read_only(&self) -> bool {
        const CAUSES: [Option<i32>; 3] =
            [Some(libc::ENOSPC), Some(libc::EDQUOT), Some(libc::EROFS)];
        match self {
            Error::Io { cause, .. } => CAUSES.contains(&cause.raw_os_error()),
            _ => false,
        }
    }

    /// Whether it is for want of rights, and for nothing that a crowd or a limit brings about.
    pub fn is_want_of_rights(&self) -> bool {
        match self {
            Error::Io { cause, .. } => cause.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// The same, said of another path: where the path has a name in it that is not to be logged.
    pub fn of_path(self, path: PathBuf) -> Error {
        match self {
            Error::Missing(_) => Error::Missing(path),
            Error::DanglingLink { .. } => Error::DanglingLink {
                link: path.clone(),
                path,
            },
            Error::MissingFolder(_) => Error::MissingFolder(path),
            Error::Refused { path: old, problem } => {
                // What to do about it may name the path once more.
                let names = [&old, &path].map(|path| path.display().to_string());
                Error::Refused {
                    problem: problem.replace(&names[0], &names[1]),
                    path,
                }
            }
            Error::Owner { cause, .. } => Error::Owner { path, cause },
            Error::Locked(_) => Error::Locked(path),
            Error::Changing(_) => Error::Changing(path),
            Error::Io { action, cause, .. } => Error::Io {
                action,
                path,
                cause,
            },
            other => other,
        }
    }

    fn refused(path: impl Into<PathBuf>, problem: impl Into<String>) -> Error {
        Error::Refused {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// For `map_err`: what was being done to which path when a system call failed.
    fn io<P: AsRef<Path> + ?Sized>(
        action: &'static str,
        path: &P,
    ) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::Io {
            action,
            path: path.as_ref().to_owned(),
            cause,
        }
    }
}

/// Whether what belongs to a user is as good as root's: root's own, and for a process that is not
/// root its own user's.
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == crate::sys::effective_user()
}
