//! A file replaced safely, whoever it belongs to.
//!
//! - [`resolve`]: the walk to the file, free of races, that checks every owner on the way.
//! - [`open`]: the file opened, and read without its lock.
//! - [`lock`]: the file locked.
//! - [`replace`]: a new file in its place.
//! - [`stamp`]: whether it is still the file that was read.
//! - [`deadline`]: the time that all of it may take.
//!
//! The lock is `flock(2)` on the file itself. A change is a new file beside it, made like the old
//! one in owner, mode and attributes, made durable, and put in its place in one step: whoever
//! opens the path sees the whole old file or the whole new one, wherever a crash comes in between.
//!
//! Editors do not take the lock. What was read while one of them wrote is not used, and a file that
//! one of them has put in place is not replaced without being read.

#![forbid(unsafe_code)]

mod deadline;
mod error;
mod lock;
mod open;
mod replace;
mod resolve;
mod stamp;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::sys::{self, Account};

pub use deadline::Deadline;
pub use error::{Error, Problem, Warning};
pub(crate) use lock::LockedFile;
pub(crate) use replace::Rewrite;
pub use resolve::ResolvedPath;
pub(crate) use stamp::Stamp;

/// A file by its absolute path. Nothing of it is open or locked.
#[derive(Clone, Debug)]
pub struct FilePath {
    path: PathBuf,
    /// Whatever on the way does not belong to root must belong to this user.
    home_of: Option<u32>,
    /// With whose rights the whole way is walked, and the file used.
    account: Option<Account>,
    /// Whether the file itself may be anybody's.
    any_owner: bool,
}

impl FilePath {
    /// The file at this path, in whoever's folder.
    pub fn new(path: PathBuf) -> FilePath {
        FilePath {
            path,
            home_of: None,
            account: None,
            any_owner: false,
        }
    }

    /// The file at this path, in the home directory of the user with this ID.
    pub(crate) fn in_home_of(uid: u32, path: PathBuf) -> FilePath {
        FilePath {
            path,
            home_of: Some(uid),
            account: None,
            any_owner: false,
        }
    }

    /// The file at this path, used with the rights of `account` from `/` on. Whatever on the way does
    /// not belong to root must belong to that user, whose links are followed; the file itself may be
    /// anybody's if `any_owner`.
    pub(crate) fn of_account(account: Account, any_owner: bool, path: PathBuf) -> FilePath {
        FilePath {
            path,
            home_of: None,
            account: Some(account),
            any_owner,
        }
    }

    /// The path as it was given, links not resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Walks to the file's folder, and takes the rights of the user that it belongs to.
    ///
    /// # Errors
    /// The folder is not there, or something on the way is not safe to use.
    pub fn resolve(&self) -> Result<ResolvedPath, Error> {
        ResolvedPath::of(self)
    }

    /// The names by which the file may be known from one login to the next: the path as it was
    /// given, what each symbolic link on the way makes of it, and the path without links. Where a
    /// link is moved to switch from one configuration to another, the names before it stay.
    pub(crate) fn names(&self) -> Result<Vec<PathBuf>, Error> {
        let resolved = self.resolve()?;
        let mut names = vec![self.path.components().collect()];
        names.extend(resolved.through);
        names.push(resolved.path);
        names.dedup();
        Ok(names)
    }

    /// Creates an empty file, for its owner alone, where there is none; tells whether it did.
    pub(crate) fn create_if_missing(&self) -> Result<bool, Error> {
        let resolved = self.resolve()?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        match sys::open_at(&resolved.folder, &resolved.name, flags, 0o600) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("create", &resolved.path)(error)),
        }
    }

    /// `chmod 600` of the file, which may be one that everybody can write to and that no other
    /// operation would use.
    pub(crate) fn make_private(&self) -> Result<(), Error> {
        let resolved = self.resolve()?;
        let io = |action| Error::io(action, &resolved.path);
        let open =
            |flags| sys::open_at(&resolved.folder, &resolved.name, flags, 0).map_err(io("open"));
        // First as a mere path: opening some devices does something.
        if !open(libc::O_PATH)?
            .metadata()
            .map_err(io("look at"))?
            .is_file()
        {
            return Err(Error::refused(&resolved.path, Problem::NotRegular));
        }
        let file = open(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(io("change the mode of"))
    }
}

/// Whether what belongs to a user is as good as root's: root's own, and for a process that is not
/// root its own user's.
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == sys::effective_user()
}
