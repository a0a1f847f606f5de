//! A file under its lock.

use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::open::{checked, is_named, open};
use super::{Deadline, Error, FilePath, ResolvedPath, Stamp, Warning};
use crate::sys;

impl FilePath {
    /// Does `work` under the lock, and does it again as long as it finds that another program is
    /// changing the file, until the time is up. Returns also what is warned about.
    pub(crate) fn with_lock<T>(
        &self,
        deadline: &Deadline,
        mut work: impl FnMut(&mut LockedFile) -> Result<T, Error>,
    ) -> Result<(T, Vec<Warning>), Error> {
        let mut was_changing = false;
        loop {
            let done = self.lock(deadline).and_then(|mut locked| {
                let answer = work(&mut locked)?;
                Ok((answer, locked.warnings))
            });
            match done {
                // Whoever had the lock was waiting for the same program.
                Err(Error::Locked(path)) if was_changing => return Err(Error::Changing(path)),
                Err(Error::Changing(path)) => {
                    was_changing = true;
                    if !deadline.wait() {
                        return Err(Error::Changing(path));
                    }
                }
                done => return done,
            }
        }
    }

    /// Opens and locks the file that the path names at that moment.
    pub(crate) fn lock(&self, deadline: &Deadline) -> Result<LockedFile, Error> {
        retried(deadline, || {
            let resolved = self.resolve()?;
            let file = open(self.path(), &resolved, deadline)?;
            LockedFile::lock(resolved, file, deadline)
        })
    }

    /// As [`lock`](FilePath::lock); where there is no file, makes an empty one,
    /// which only its owner may read. For a folder in which nobody else can make files.
    pub(crate) fn lock_or_create(&self, deadline: &Deadline) -> Result<LockedFile, Error> {
        retried(deadline, || {
            let resolved = self.resolve()?;
            if let Some(found) = &resolved.found {
                resolved.check_file(found)?;
            }
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_NONBLOCK | libc::O_NOCTTY;
            let file = sys::open_at(&resolved.folder, &resolved.name, flags, 0o600)
                .map_err(Error::io("create", &resolved.path))?;
            open_to_owner(&file).map_err(Error::io("set the mode of", &resolved.path))?;
            LockedFile::lock(resolved, file, deadline)
        })
    }
}

/// Locks a file again as long as what was locked had been replaced meanwhile.
fn retried(
    deadline: &Deadline,
    lock: impl Fn() -> Result<Result<LockedFile, ResolvedPath>, Error>,
) -> Result<LockedFile, Error> {
    /// In a crowd, each of so many logins may have put a new file there.
    const TRIES_AT_ONCE: usize = 16;
    let mut tries = 0;
    loop {
        match lock()? {
            Ok(locked) => return Ok(locked),
            Err(resolved) if tries >= TRIES_AT_ONCE && !deadline.wait() => {
                return Err(Error::Changing(resolved.path));
            }
            Err(_) => tries += 1,
        }
    }
}

/// Lets a new file's owner read and write it, whatever umask the caller of a setuid program has
/// chosen: a service without CAP_DAC_OVERRIDE is to open it, too. Returns what is known of it then.
pub(super) fn open_to_owner(new: &File) -> io::Result<Metadata> {
    let metadata = new.metadata()?;
    if metadata.mode() & 0o700 == 0o600 {
        return Ok(metadata);
    }
    new.set_permissions(Permissions::from_mode(0o600))?;
    new.metadata()
}

/// An open file whose lock this process has. Dropping it releases the lock, even if a process that
/// was forked meanwhile has the file open as well.
pub(super) struct FileLock(File);

impl Deref for FileLock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}

/// A file that is open and locked. Dropping it releases the lock.
pub(crate) struct LockedFile {
    pub(super) resolved: ResolvedPath,
    pub(super) file: FileLock,
    pub(super) metadata: Metadata,
    pub(super) stamp: Stamp,
    warnings: Vec<Warning>,
}

impl LockedFile {
    /// Locks a file that was opened at this path. `Err` with the path if the name stands for another
    /// by then: while this login waited, the one before it has put a new file there.
    fn lock(
        resolved: ResolvedPath,
        mut file: File,
        deadline: &Deadline,
    ) -> Result<Result<LockedFile, ResolvedPath>, Error> {
        let file = loop {
            match try_lock(&resolved, &resolved.name, file)? {
                Ok(locked) => break locked,
                Err(_) if !deadline.wait() => return Err(Error::Locked(resolved.path)),
                Err(unlocked) => file = unlocked,
            }
        };
        deadline.restart_waits();
        let metadata = checked(&resolved, &file)?;
        if !is_named(&resolved, &resolved.name, &metadata)? {
            return Ok(Err(resolved));
        }
        Ok(Ok(LockedFile {
            warnings: resolved.warnings(&metadata),
            stamp: Stamp::from(&metadata),
            resolved,
            file,
            metadata,
        }))
    }

    /// Takes the file away, if its name stands for it still.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        if !is_named(&self.resolved, &self.resolved.name, &self.metadata)? {
            return Ok(());
        }
        sys::unlink_at(&self.resolved.folder, &self.resolved.name).map_err(self.io("remove"))
    }

    /// For `map_err`: what was being done when a system call failed.
    pub(crate) fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        Error::io(action, &self.resolved.path)
    }

    /// What was known of the file when it was locked.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.stamp.length()
    }

    /// Its state when it was locked, or last replaced.
    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The path, links resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.resolved.path
    }

    /// The whole file. For files that are small by nature.
    pub(crate) fn read_all(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut text = Zeroizing::new(Vec::new());
        // Room for all of it at once: a vector that grows leaves copies behind.
        text.try_reserve_exact(self.stamp.length() as usize + 1)
            .map_err(io::Error::from)
            .and_then(|()| self.reader(0).read_to_end(&mut text))
            .map_err(self.io("read"))?;
        self.check_unchanged()?;
        Ok(text)
    }

    /// The text from this byte on; no more than was checked.
    pub(crate) fn reader(&self, from: u64) -> impl Read {
        let part = Part {
            file: &self.file,
            at: from,
        };
        part.take(self.stamp.length().saturating_sub(from))
    }

    /// The byte at this offset, if the file is so long.
    pub(crate) fn byte_at(&self, offset: u64) -> Result<Option<u8>, Error> {
        let mut byte = [0];
        let read = self.file.read_at(&mut byte, offset);
        let read = read.map_err(self.io("read"))?;
        Ok((read == 1).then_some(byte[0]))
    }

    /// Refuses what was read while an editor, which does not take the lock, wrote in place, or
    /// between two of its writes.
    ///
    /// # Errors
    /// [`Error::Changing`], or a system call failed.
    pub(crate) fn check_unchanged(&self) -> Result<(), Error> {
        self.check(&self.resolved.name, |now| *now == self.stamp)
    }

    /// Whether `name` stands for the file, nobody has it open to write on, and its stamp is the
    /// same; in this order, so that whoever comes in between is seen.
    pub(super) fn check(
        &self,
        name: &OsStr,
        is_same: impl Fn(&Stamp) -> bool,
    ) -> Result<(), Error> {
        let settled = is_named(&self.resolved, name, &self.metadata)?
            && !sys::is_open_for_writing(&self.file).map_err(self.io("look at"))?
            && is_same(&Stamp::of(&self.file).map_err(self.io("look at"))?);
        if settled {
            Ok(())
        } else {
            Err(Error::Changing(self.resolved.path.clone()))
        }
    }
}

/// A file from a byte on, wherever its position is.
struct Part<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Takes the lock of a file that stands under `name`; `Err` with the file if somebody else has it.
/// A file server may let only those lock a file who have it open to write on (NFS); then it is
/// opened so.
pub(super) fn try_lock(
    resolved: &ResolvedPath,
    name: &OsStr,
    mut file: File,
) -> Result<Result<FileLock, File>, Error> {
    let mut locked = sys::try_lock(&file);
    if matches!(&locked, Err(error) if error.raw_os_error() == Some(libc::EBADF)) {
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY;
        locked = sys::open_at(&resolved.folder, name, flags, 0).and_then(|writable| {
            file = writable;
            sys::try_lock(&file)
        });
    }
    match locked.map_err(Error::io("lock", &resolved.path.with_file_name(name)))? {
        true => Ok(Ok(FileLock(file))),
        false => Ok(Err(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_the_login_even_if_a_forked_process_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.oath");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let path = FilePath::new(path);
        let locked = path.lock(&Deadline::begin()).unwrap();
        // What fork(2) leaves a child: the same open file.
        let of_the_child = locked.file.try_clone().unwrap();
        let other = File::open(path.path()).unwrap();
        assert!(!sys::try_lock(&other).unwrap());
        drop(locked);
        assert!(sys::try_lock(&other).unwrap());
        drop(of_the_child);
    }
}
