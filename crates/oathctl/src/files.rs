//! Files that the command line names, read and created so that no owner of a folder on the path
//! can direct root to another file.
//!
//! The path is resolved as that of a usersfile is ([`FilePath::resolve`]): below a folder that belongs to
//! a user, everything is done with that user's rights, no link is followed, and nothing that
//! belongs to somebody else is used.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oath_core::fs::{self, FilePath, ResolvedPath, is_trusted};
use oath_core::sys::{self, FileId};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::tokens::DisplayName;

/// The size limits, in bytes and as text: of files that root or the caller owns, and of another
/// user's. That user chooses the contents, and some parsers take time quadratic in the length.
const MAX_TRUSTED: (u64, &str) = (16 << 20, "16 MiB");
const MAX_OF_USER: (u64, &str) = (128 << 10, "128 KiB");

/// The contents of a file, and its owner.
pub(crate) struct Contents {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) uid: u32,
}

/// Reads a regular file as a whole.
///
/// # Errors
///
/// Fails for a file that another user than its owner can have made or written to, for one with
/// several names, for one that is too large, and for one that changes its size meanwhile.
pub(crate) fn read(path: &Path) -> Result<Contents, Error> {
    let resolved = resolve(path)?;
    let found = resolved.found.as_ref();
    // First as a mere path: opening some devices does something.
    check(
        &resolved,
        found.ok_or_else(|| fs::Error::Missing(resolved.path.clone()))?,
    )?;
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = sys::open_at(&resolved.folder, &resolved.name, flags, 0)
        .map_err(Error::io(format!("open {}", resolved.path.display())))?;
    // Another file may have taken its place since.
    let metadata = file
        .metadata()
        .map_err(Error::io(format!("look at {}", resolved.path.display())))?;
    check(&resolved, &metadata)?;
    let bytes = read_at_most(&file, metadata.len())
        .map_err(Error::io(format!("read {}", resolved.path.display())))?
        .ok_or_else(|| refused(&resolved, "changed while it was read; try again"))?;
    let uid = metadata.uid();
    Ok(Contents { bytes, uid })
}

/// Reads standard input to its end.
pub(crate) fn read_stdin() -> Result<Zeroizing<Vec<u8>>, Error> {
    unbuffered_stdin()
        .and_then(|stdin| read_at_most(&stdin, MAX_TRUSTED.0))
        .map_err(Error::io("read standard input"))?
        .ok_or_else(|| {
            Error::failed(format!(
                "standard input is longer than {}, the most that is read",
                MAX_TRUSTED.1
            ))
        })
}

/// Standard input without the standard library's buffer, which is never wiped.
pub(crate) fn unbuffered_stdin() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Reads to the end, or returns `None` past `limit` bytes. The buffer does not grow, since that
/// would leave copies of secrets in memory.
fn read_at_most(file: &File, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit as usize + 1));
    let read = file.take(limit + 1).read_to_end(&mut bytes)? as u64;
    Ok((read <= limit).then_some(bytes))
}

/// A new file that the command line asked for.
pub(crate) struct CreatedFile {
    id: FileId,
}

impl CreatedFile {
    /// Creates a file of mode 0600 with these contents, in a folder that belongs to root, to the
    /// caller or to `user`, who then owns the file as well.
    pub(crate) fn new(path: &Path, user: &OsStr, contents: &[u8]) -> Result<CreatedFile, Error> {
        let resolved = resolve(path)?;
        match &resolved.owner {
            Some(owner) if owner.name != user => {
                return Err(refused(
                    &resolved,
                    format!(
                        "would be in a folder that belongs to {}, and is none of theirs",
                        owner.name.display_name()
                    ),
                ));
            }
            _ => {}
        }
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let mut file = sys::open_at(&resolved.folder, &resolved.name, flags, 0o600)
            .map_err(Error::io(format!("create {}", resolved.path.display())))?;
        let written = file
            .write_all(contents)
            .and_then(|()| file.metadata())
            .map_err(Error::io(format!("write {}", resolved.path.display())));
        match written {
            Ok(metadata) => Ok(CreatedFile {
                id: (metadata.dev(), metadata.ino()),
            }),
            Err(error) => {
                let _ = sys::unlink_at(&resolved.folder, &resolved.name);
                Err(error)
            }
        }
    }

    /// Removes it, if the path still names this file.
    pub(crate) fn remove(&self, path: &Path) {
        let Ok(resolved) = resolve(path) else { return };
        if sys::file_id_at(&resolved.folder, &resolved.name).is_ok_and(|id| id == Some(self.id)) {
            let _ = sys::unlink_at(&resolved.folder, &resolved.name);
        }
    }
}

fn resolve(path: &Path) -> Result<ResolvedPath, Error> {
    let path = std::path::absolute(path)
        .map_err(Error::io(format!("find the file \"{}\"", path.display())))?;
    Ok(FilePath::new(path).resolve()?)
}

/// Refuses a file that is not to be read; `metadata` is of what was found or opened.
fn check(resolved: &ResolvedPath, metadata: &Metadata) -> Result<(), Error> {
    const WRITABLE_BY_GROUP: u32 = 0o020;
    if !metadata.is_file() {
        return Err(refused(
            resolved,
            "is not a regular file; - reads standard input",
        ));
    }
    let (whose, (limit, words)) = match is_trusted(metadata.uid()) {
        true => ("a file to read", MAX_TRUSTED),
        false => ("a file that is not root's", MAX_OF_USER),
    };
    if metadata.len() > limit {
        let length = metadata.len();
        return Err(refused(
            resolved,
            format!("is {length} bytes long; {whose} may have {words}"),
        ));
    }
    resolved.check_file(metadata)?;
    if metadata.nlink() > 1 {
        let names = metadata.nlink();
        return Err(refused(
            resolved,
            format!("has {names} names (hard links); make a copy and name that"),
        ));
    }
    // A file of root's may hold tokens of any user.
    if metadata.uid() == 0 && metadata.mode() & WRITABLE_BY_GROUP != 0 {
        return Err(refused(
            resolved,
            format!(
                "is writable by its group; run chmod g-w {}",
                resolved.path.display()
            ),
        ));
    }
    Ok(())
}

fn refused(resolved: &ResolvedPath, problem: impl Display) -> Error {
    Error::failed(format!("{} {problem}", resolved.path.display()))
}
