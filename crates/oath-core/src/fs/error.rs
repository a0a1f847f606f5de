//! Why a file was not used, and what is only warned about. All texts are made here, each of a
//! problem and, where something can be done about it, of an advice.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Deadline;

/// Why a file was not used. Nothing of its contents is in any of these.
#[derive(Debug)]
pub enum Error {
    /// There is no file, but the folder it should be in.
    Missing(PathBuf),
    /// A symbolic link stands for the file, and leads to none: where a disk is not mounted, say.
    DanglingLink {
        /// The path as it was given.
        link: PathBuf,
        /// Where it leads.
        path: PathBuf,
    },
    /// There is not even a folder.
    MissingFolder(PathBuf),
    /// A file or folder that is not safe to use.
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The new file could not be given to the owner of the old one.
    Owner {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Somebody else held the lock until the time was up.
    Locked(PathBuf),
    /// An editor, or another program that does not take the lock, is writing.
    Changing(PathBuf),
    /// A system call failed.
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
    /// For `map_err`: what was being done to which path when a system call failed.
    pub(crate) fn io<P: AsRef<Path> + ?Sized>(
        action: &'static str,
        path: &P,
    ) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::Io {
            action,
            path: path.as_ref().to_owned(),
            cause,
        }
    }

    pub(crate) fn refused(path: impl Into<PathBuf>, problem: Problem) -> Error {
        Error::Refused {
            path: path.into(),
            problem,
        }
    }

    /// Whether the file system has no room left or is read-only: what `readonly_ok=` is for.
    pub(crate) fn is_full_or_read_only(&self) -> bool {
        const CAUSES: [Option<i32>; 3] =
            [Some(libc::ENOSPC), Some(libc::EDQUOT), Some(libc::EROFS)];
        match self {
            Error::Io { cause, .. } => CAUSES.contains(&cause.raw_os_error()),
            _ => false,
        }
    }

    /// Of which kind the failure of a system call was, if it was one.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Io { cause, .. } => Some(cause.kind()),
            _ => None,
        }
    }

    /// Whether the process lacks the rights for it. A lock held by others, or a limit that is
    /// reached, is not meant.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Error::Io { cause, .. } => cause.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    /// The same, said of another path: where the path has a name in it that is not to be logged.
    pub(crate) fn of_path(self, path: PathBuf) -> Error {
        match self {
            Error::Missing(_) => Error::Missing(path),
            Error::DanglingLink { .. } => Error::DanglingLink {
                link: path.clone(),
                path,
            },
            Error::MissingFolder(_) => Error::MissingFolder(path),
            Error::Refused { problem, .. } => Error::Refused { path, problem },
            Error::Owner { cause, .. } => Error::Owner { path, cause },
            Error::Locked(_) => Error::Locked(path),
            Error::Changing(_) => Error::Changing(path),
            Error::Io { action, cause, .. } => Error::Io {
                action,
                path,
                cause,
            },
        }
    }

    /// The path that the text begins with, if it does.
    fn subject(&self) -> Option<&Path> {
        match self {
            Error::Missing(path)
            | Error::DanglingLink { link: path, .. }
            | Error::Refused { path, .. }
            | Error::Locked(path)
            | Error::Changing(path) => Some(path),
            Error::MissingFolder(_) | Error::Owner { .. } | Error::Io { .. } => None,
        }
    }

    /// What is wrong, without the path where the text begins with it, and without the advice.
    pub fn problem(&self) -> String {
        match self {
            Error::Missing(_) => "does not exist".into(),
            Error::DanglingLink { path, .. } => format!(
                "is a symbolic link to {}, which does not exist",
                path.display()
            ),
            Error::MissingFolder(path) => format!("the folder {} does not exist", path.display()),
            Error::Refused { problem, .. } => problem.to_string(),
            Error::Owner { path, cause } => format!(
                "cannot copy owner and rights of {}: {cause}",
                path.display()
            ),
            Error::Locked(_) => format!("stayed locked for {} seconds", Deadline::LIMIT.as_secs()),
            Error::Changing(_) => "is being changed by another program".into(),
            Error::Io {
                action,
                path,
                cause,
            } => format!("cannot {action} {}: {cause}", path.display()),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Error::Refused { path, problem } => problem.advice(path),
            Error::Owner { .. } => Some(
                "for want of CAP_CHOWN? Add it to CapabilityBoundingSet= of the service's unit, or \
                 let the file belong to who runs the service"
                    .into(),
            ),
            Error::Locked(path) => Some(format!(
                "find the program that holds it with: fuser -v {}",
                path.display()
            )),
            Error::Missing(_)
            | Error::DanglingLink { .. }
            | Error::MissingFolder(_)
            | Error::Changing(_)
            | Error::Io { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(path) = self.subject() {
            write!(f, "{} ", path.display())?;
        }
        f.write_str(&self.problem())?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Why a file or folder is not safe to use. As text it goes on where the path ends, without the
/// advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The path of a file has to begin with `/`.
    NotAbsolute,
    /// A folder, where a file is expected.
    IsFolder,
    /// A file, where a folder is expected.
    NotFolder,
    /// A folder, a device, a pipe or a socket, where a regular file is expected.
    NotRegular,
    /// A symbolic link below a folder that is not root's, or that root has not made.
    LinkNotRoots,
    /// More symbolic links on the way than the kernel would follow.
    TooManyLinks,
    /// A folder that everybody can write to, without the sticky bit.
    FolderWritableByOthers,
    /// A file that everybody can write to.
    WritableByOthers,
    /// In a folder that others than its owner can write to: put there by somebody who is neither its
    /// owner nor root.
    NotFolderOwners {
        /// Its owner.
        uid: u32,
    },
    /// A folder in another user's folder: a path may lead through folders of one user besides
    /// root.
    SecondOwner {
        /// Its owner.
        uid: u32,
        /// The account that the folder above belongs to.
        first: OsString,
    },
    /// A file in another user's folder.
    NotOwners {
        /// Its owner.
        uid: u32,
        /// The account that the folder belongs to.
        owner: OsString,
    },
    /// A folder whose owner has no account, so that nobody's rights can be taken for it.
    OwnerWithoutAccount {
        /// Its owner.
        uid: u32,
    },
    /// A home directory, but of somebody else than the user logging in.
    NotUsersHome {
        /// The account that it belongs to.
        owner: OsString,
    },
    /// A folder for state files that others than root can write to.
    NotRootsAlone,
    /// A file with several names, in another user's folder.
    HardLinks {
        /// How many.
        names: u64,
    },
    /// A file that is not root's, and longer than that allows.
    TooLarge {
        /// In bytes.
        length: u64,
        /// In MiB.
        limit: u64,
    },
    /// A file with a file system of its own mounted on it.
    MountPoint,
    /// A folder under the name that the new file is to have.
    InTheWay,
}

impl Problem {
    /// What to do about it, at this path.
    pub fn advice(&self, path: &Path) -> Option<String> {
        let path = path.display();
        Some(match self {
            Problem::LinkNotRoots => "name the path it leads to".into(),
            Problem::FolderWritableByOthers => format!("run chmod o-w {path}"),
            Problem::WritableByOthers => chmod_600(path),
            Problem::NotOwners { owner, .. } => {
                let owner = owner.to_string_lossy();
                format!(
                    "keep it in a folder of root's, or run chown {owner} {path} if {owner} may \
                     change it"
                )
            }
            Problem::NotRootsAlone => format!("run chown root: {path} && chmod 700 {path}"),
            Problem::HardLinks { .. } => "make it a file of its own".into(),
            Problem::TooLarge { limit, .. } => {
                format!("a usersfile that is not root's may have {limit} MiB here")
            }
            Problem::MountPoint => "mount the folder it is in".into(),
            Problem::InTheWay => "remove it".into(),
            Problem::NotAbsolute
            | Problem::IsFolder
            | Problem::NotFolder
            | Problem::NotRegular
            | Problem::TooManyLinks
            | Problem::NotFolderOwners { .. }
            | Problem::SecondOwner { .. }
            | Problem::OwnerWithoutAccount { .. }
            | Problem::NotUsersHome { .. } => return None,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Problem::NotAbsolute => f.write_str("must be an absolute path"),
            Problem::IsFolder => f.write_str("is a folder"),
            Problem::NotFolder => f.write_str("is not a folder"),
            Problem::NotRegular => f.write_str("is not a regular file"),
            Problem::LinkNotRoots => f.write_str("is a symbolic link that is not root's"),
            Problem::TooManyLinks => f.write_str("leads through too many symbolic links"),
            Problem::FolderWritableByOthers => {
                f.write_str("is a folder that everybody can write to")
            }
            Problem::WritableByOthers => f.write_str("is writable by others"),
            Problem::NotFolderOwners { uid } => write!(
                f,
                "belongs to uid {uid}, in a folder that others than its owner can write to"
            ),
            Problem::SecondOwner { uid, first: owner } | Problem::NotOwners { uid, owner } => {
                let owner = owner.to_string_lossy();
                write!(
                    f,
                    "belongs to uid {uid}, in a folder that belongs to {owner}"
                )
            }
            Problem::OwnerWithoutAccount { uid } => {
                write!(f, "belongs to uid {uid}, which has no account")
            }
            Problem::NotUsersHome { owner } => {
                let owner = owner.to_string_lossy();
                write!(f, "belongs to {owner}, who is not the user logging in")
            }
            Problem::NotRootsAlone => f.write_str("must be root's alone"),
            Problem::HardLinks { names } => write!(f, "has {names} names (hard links)"),
            Problem::TooLarge { length, .. } => write!(f, "is {length} bytes long"),
            Problem::MountPoint => f.write_str("is a mount point by itself and cannot be replaced"),
            Problem::InTheWay => f.write_str("is in the way"),
        }
    }
}

/// Ownership and mode problems that are only warned about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Everybody can read the file.
    ReadableByOthers(PathBuf),
    /// The file's group can write to it.
    WritableByGroup(PathBuf),
    /// A file that is not root's, in a folder of root's.
    GivenAway {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
}

impl Warning {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Warning::ReadableByOthers(path)
            | Warning::WritableByGroup(path)
            | Warning::GivenAway { path, .. } => path,
        }
    }

    /// What is wrong, to go on where the path ends.
    pub fn problem(&self) -> String {
        match self {
            Warning::ReadableByOthers(_) => "is readable by others".into(),
            Warning::WritableByGroup(_) => "is writable by its group".into(),
            Warning::GivenAway { uid, .. } => {
                format!("belongs to uid {uid} in a folder that does not")
            }
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            Warning::ReadableByOthers(path) | Warning::WritableByGroup(path) => {
                chmod_600(path.display())
            }
            Warning::GivenAway { path, .. } => format!("run chown root {}", path.display()),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let path = self.path().display();
        write!(f, "{path} {}; {}", self.problem(), self.advice())
    }
}

fn chmod_600(path: impl fmt::Display) -> String {
    format!("run chmod 600 {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(path: &str) -> Vec<(Error, String)> {
        let refused = |problem| Error::refused(path, problem);
        let cause = || io::Error::from_raw_os_error(libc::EPERM);
        let owner = OsString::from("alice");
        vec![
            (
                Error::DanglingLink {
                    link: path.into(),
                    path: path.into(),
                },
                format!("{path} is a symbolic link to {path}, which does not exist"),
            ),
            (
                Error::MissingFolder(path.into()),
                format!("the folder {path} does not exist"),
            ),
            (
                Error::Locked(path.into()),
                format!(
                    "{path} stayed locked for 10 seconds; find the program that holds it with: \
                     fuser -v {path}"
                ),
            ),
            (
                Error::Owner {
                    path: path.into(),
                    cause: cause(),
                },
                format!(
                    "cannot copy owner and rights of {path}: Operation not permitted (os error 1); \
                     for want of CAP_CHOWN? Add it to CapabilityBoundingSet= of the service's \
                     unit, or let the file belong to who runs the service"
                ),
            ),
            (
                Error::io("open", path)(cause()),
                format!("cannot open {path}: Operation not permitted (os error 1)"),
            ),
            (
                refused(Problem::WritableByOthers),
                format!("{path} is writable by others; run chmod 600 {path}"),
            ),
            (
                refused(Problem::NotOwners { uid: 7, owner }),
                format!(
                    "{path} belongs to uid 7, in a folder that belongs to alice; keep it in a \
                     folder of root's, or run chown alice {path} if alice may change it"
                ),
            ),
            (
                refused(Problem::NotRootsAlone),
                format!("{path} must be root's alone; run chown root: {path} && chmod 700 {path}"),
            ),
            (
                refused(Problem::NotFolder),
                format!("{path} is not a folder"),
            ),
        ]
    }

    #[test]
    fn an_error_says_which_path_what_is_wrong_and_what_to_do() {
        for (error, text) in errors("/etc/users.oath") {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn an_error_said_of_another_path_names_the_first_one_nowhere() {
        let others = errors("/var/lib/oath/${USER}");
        for ((error, _), (_, text)) in errors("/var/lib/oath/Tr0ub4dor").into_iter().zip(others) {
            assert_eq!(
                error.of_path("/var/lib/oath/${USER}".into()).to_string(),
                text
            );
        }
    }
}
