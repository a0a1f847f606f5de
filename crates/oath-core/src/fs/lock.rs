//! A file under its lock.

use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
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
            let mut locked = match self.lock(deadline) {
                // Whoever had the lock was waiting for the same program.
                Err(Error::Locked(path)) if was_changing => return Err(Error::Changing(path)),
                locked => locked?,
            };
            match work(&mut locked) {
                Ok(answer) => return Ok((answer, locked.warnings)),
                Err(Error::Changing(path)) => {
                    drop(locked);
                    was_changing = true;
                    if !deadline.wait() {
                        return Err(Error::Changing(path));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens and locks the file that the path names at that moment.
    pub(crate) fn lock(&self, deadline: &Deadline) -> Result<LockedFile, Error> {
        loop {
            let resolved = self.resolve()?;
            let file = open(self.path(), &resolved, deadline)?;
            if let Some(locked) = LockedFile::lock(resolved, file, deadline)? {
                return Ok(locked);
            }
        }
    }

    /// As [`lock`](FilePath::lock); where there is no file, makes an empty one,
    /// which only its owner may read. For a folder in which nobody else can make files.
    pub(crate) fn lock_or_create(&self, deadline: &Deadline) -> Result<LockedFile, Error> {
        loop {
            let resolved = self.resolve()?;
            if let Some(found) = &resolved.found {
                resolved.check_file(found)?;
            }
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_NONBLOCK | libc::O_NOCTTY;
            let file = sys::open_at(&resolved.folder, &resolved.name, flags, 0o600)
                .map_err(Error::io("create", &resolved.path))?;
            // Whatever umask the caller of a setuid program has chosen: a service without
            // CAP_DAC_OVERRIDE is to open it, too.
            let io = |action| Error::io(action, &resolved.path);
            if file.metadata().map_err(io("look at"))?.mode() & 0o700 != 0o600 {
                file.set_permissions(Permissions::from_mode(0o600))
                    .map_err(io("set the mode of"))?;
            }
            if let Some(locked) = LockedFile::lock(resolved, file, deadline)? {
                return Ok(locked);
            }
        }
    }
}

/// A file that is open and locked. Dropping it releases the lock.
pub(crate) struct LockedFile {
    pub(super) resolved: ResolvedPath,
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) stamp: Stamp,
    warnings: Vec<Warning>,
}

impl LockedFile {
    /// Locks a file that was opened at this path; `None` if the name stands for another by then:
    /// while this login waited, the one before it has put a new file there.
    fn lock(
        resolved: ResolvedPath,
        mut file: File,
        deadline: &Deadline,
    ) -> Result<Option<LockedFile>, Error> {
        while !try_lock(&resolved, &resolved.name, &mut file)? {
            if !deadline.wait() {
                return Err(Error::Locked(resolved.path));
            }
        }
        deadline.restart_waits();
        let metadata = checked(&resolved, &file)?;
        if !is_named(&resolved, &resolved.name, &metadata)? {
            return Ok(None);
        }
        Ok(Some(LockedFile {
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
            .and_then(|()| {
                (&self.file)
                    .take(self.stamp.length())
                    .read_to_end(&mut text)
            })
            .map_err(self.io("read"))?;
        self.check_unchanged()?;
        Ok(text)
    }

    /// The text from this byte on; no more than was checked.
    pub(crate) fn reader(&self, from: u64) -> Result<impl Read, Error> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(from)).map_err(self.io("read"))?;
        Ok(file.take(self.stamp.length().saturating_sub(from)))
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

/// Takes the lock of a file that stands under `name`, if nobody else has it. A file server may
/// let only those lock a file who have it open to write on (NFS); then it is opened so.
pub(super) fn try_lock(
    resolved: &ResolvedPath,
    name: &OsStr,
    file: &mut File,
) -> Result<bool, Error> {
    let mut locked = sys::try_lock(file);
    if matches!(&locked, Err(error) if error.raw_os_error() == Some(libc::EBADF)) {
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY;
        locked = sys::open_at(&resolved.folder, name, flags, 0).and_then(|writable| {
            *file = writable;
            sys::try_lock(file)
        });
    }
    locked.map_err(Error::io("lock", &resolved.path.with_file_name(name)))
}
