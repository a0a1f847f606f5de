//! A new file in the place of an old one, like it in owner, mode and attributes.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use zeroize::Zeroizing;

use super::lock::{FileLock, open_to_owner, try_lock};
use super::open::{is_named, is_same, look_at};
use super::{Deadline, Error, FilePath, LockedFile, Problem, ResolvedPath, Stamp};
use crate::sys::{self, xattr};

/// A part of a file, and what to put in its place.
pub(crate) struct Rewrite {
    /// The part, in bytes from the beginning of the file.
    pub span: Range<u64>,
    /// What is to stand there.
    pub text: Zeroizing<Vec<u8>>,
    /// The mode of the new file, where it is not that of the old.
    pub mode: Option<u32>,
}

impl LockedFile {
    /// Puts a new file in the place of the old, with one part changed. From then on the new file is
    /// the one that is locked.
    ///
    /// # Errors
    /// Nothing was replaced, with one exception: if the folder cannot be flushed to disk
    /// afterwards, the change is visible but may not survive a power cut.
    pub(crate) fn replace(&mut self, rewrite: &Rewrite, deadline: &Deadline) -> Result<(), Error> {
        let folder = open_folder(&self.resolved)?;
        let new = self.write_new(rewrite, deadline);
        // Also where nothing could be written: what was read is what was decided by.
        self.check_unchanged()?;
        let (name, file) = new?;
        name.exchange(self, &file)?;
        flush(folder, &file).map_err(self.io("flush the folder of"))?;
        self.metadata = file.metadata().map_err(self.io("look at"))?;
        self.stamp = Stamp::from(&self.metadata);
        self.file = file;
        Ok(())
    }

    /// Takes the file away, if its name stands for it still, so that it stays away after a power cut.
    ///
    /// # Errors
    /// The file is still there; or it is gone, and the folder cannot be flushed to disk.
    pub(crate) fn remove_durably(&self) -> Result<(), Error> {
        let folder = open_folder(&self.resolved)?;
        self.remove()?;
        flush(folder, &self.file).map_err(self.io("flush the folder of"))
    }

    /// Makes the new file beside the old one, and makes its text durable.
    fn write_new(
        &self,
        rewrite: &Rewrite,
        deadline: &Deadline,
    ) -> Result<(NewName<'_>, FileLock), Error> {
        let (name, file, created) = NewName::create(&self.resolved, deadline)?;
        let writable = name.open_for_writing(&created)?;
        let Range { start, end } = rewrite.span;
        give_owner(&self.metadata, &created, &file).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if self.resolved.owner.is_none() => Error::Owner {
                path: self.resolved.path.clone(),
                cause: error,
            },
            _ => self.io("copy owner and rights of")(error),
        })?;
        let mode = rewrite.mode.unwrap_or(self.metadata.mode()) & 0o7777;
        make_like(&self.file, mode, &file, &created)
            .map_err(self.io("copy owner and rights of"))?;
        self.copy(0..start, &writable)
            .and_then(|()| (&writable).write_all(&rewrite.text))
            .and_then(|()| self.copy(end..self.stamp.length(), &writable))
            .and_then(|()| writable.sync_all())
            .map_err(self.io("write the new file for"))?;
        Ok((name, file))
    }

    /// Copies a part of the old file; the kernel does it, so that nobody's secrets pass through
    /// this process.
    fn copy(&self, part: Range<u64>, new: &File) -> io::Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let mut old: &File = &self.file;
        old.seek(SeekFrom::Start(part.start))?;
        let mut at = part.start;
        while at < part.end {
            match io::copy(&mut old.take(part.end - at), &mut &*new) {
                // Cut off meanwhile: `check_unchanged` finds that the file is another now.
                Ok(0) => return Ok(()),
                Ok(copied) => at += copied,
                // What was copied before the signal came is where the files' positions are.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    at = old.stream_position()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl FilePath {
    /// Makes a file with this text and mode where there is none. It gets its name only when all of
    /// it is on the disk.
    ///
    /// # Errors
    /// Nothing was made, with one exception: if the folder cannot be flushed to disk afterwards, the
    /// file is there but may not survive a power cut. [`io::ErrorKind::AlreadyExists`] if there is a
    /// file.
    pub(crate) fn create(&self, text: &[u8], mode: u32, deadline: &Deadline) -> Result<(), Error> {
        let resolved = self.resolve()?;
        let io = |action| Error::io(action, &resolved.path);
        let folder = open_folder(&resolved)?;
        let (name, file, created) = NewName::create(&resolved, deadline)?;
        let writable = name.open_for_writing(&created)?;
        (&writable)
            .write_all(text)
            .and_then(|()| writable.set_permissions(Permissions::from_mode(mode)))
            .and_then(|()| writable.sync_all())
            .map_err(io("write"))?;
        drop(writable);
        match sys::rename_new_at(&resolved.folder, &name.name, &resolved.name) {
            // A file system that cannot tell whether there is such a file in the same step.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                if look_at(&resolved, &resolved.name)?.is_some() {
                    return Err(io("create")(io::ErrorKind::AlreadyExists.into()));
                }
                sys::rename_at(&resolved.folder, &name.name, &resolved.name)
            }
            renamed => renamed,
        }
        .map_err(io("create"))?;
        flush(folder, &file).map_err(io("flush the folder of"))
    }
}

/// The folder, to be flushed; `None` if its owner may pass it and write to it, but not read it.
fn open_folder(resolved: &ResolvedPath) -> Result<Option<File>, Error> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    match sys::open_at(&resolved.folder, OsStr::new("."), flags, 0) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        folder => folder
            .map(Some)
            .map_err(Error::io("open the folder of", &resolved.path)),
    }
}

/// Makes the names in a folder durable, that of `file` among them.
fn flush(folder: Option<File>, file: &File) -> io::Result<()> {
    let flushed = match folder {
        Some(folder) => folder.sync_all(),
        None => sys::flush_file_system(file),
    };
    match flushed {
        // Some file systems cannot flush a folder and say so.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        flushed => flushed,
    }
}

/// The name beside the file under which its replacement is made. The file of that name is removed
/// when this is dropped: the new one, or the old one once their names are exchanged.
struct NewName<'a> {
    resolved: &'a ResolvedPath,
    name: OsString,
}

impl<'a> NewName<'a> {
    /// Creates `.NAME.new` beside `NAME`, readable by nobody else, and locks it. Returns also what is
    /// known of it.
    ///
    /// The name is always the same, so that a crash leaves at most one file behind, and the lock
    /// tells such a leftover from a file that is being written.
    fn create(
        resolved: &'a ResolvedPath,
        deadline: &Deadline,
    ) -> Result<(NewName<'a>, FileLock, Metadata), Error> {
        let name: OsString = [OsStr::new("."), &resolved.name, OsStr::new(".new")]
            .into_iter()
            .collect();
        let path = resolved.path.with_file_name(&name);
        let io = |action| Error::io(action, &path);
        loop {
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL;
            match sys::open_at(&resolved.folder, &name, flags, 0o600) {
                Ok(file) => match locked_new(resolved, &name, file) {
                    Ok(Some((file, created))) => {
                        return Ok((NewName { resolved, name }, file, created));
                    }
                    // Between creation and lock somebody has taken it for a leftover.
                    Ok(None) => {}
                    Err(error) => {
                        let _ = sys::unlink_at(&resolved.folder, &name);
                        return Err(error);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_leftover(resolved, &name)?;
                }
                Err(error) => return Err(io("create")(error)),
            }
            if !deadline.wait() {
                return Err(Error::Locked(path));
            }
        }
    }

    /// Opens the new file a second time. Once that is closed again, nobody has the file open for
    /// writing: the next login would take such a one for an editor.
    fn open_for_writing(&self, created: &Metadata) -> Result<File, Error> {
        let path = self.resolved.path.with_file_name(&self.name);
        let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let writable = sys::open_at(&self.resolved.folder, &self.name, flags, 0)
            .map_err(Error::io("open", &path))?;
        let opened = writable.metadata().map_err(Error::io("look at", &path))?;
        match (opened.dev(), opened.ino()) == (created.dev(), created.ino()) {
            true => Ok(writable),
            false => Err(Error::Changing(path)),
        }
    }

    /// Exchanges the names of the new file and the old one, in one step, and checks the result: a
    /// file that somebody has put there or begun to write after the last check gets its name back.
    /// On a file system that cannot exchange names the new file is renamed over the old.
    fn exchange(self, old: &LockedFile, new: &File) -> Result<(), Error> {
        let ResolvedPath {
            folder, name, path, ..
        } = self.resolved;
        if let Err(error) = sys::exchange_at(folder, &self.name, name) {
            if error.kind() == io::ErrorKind::NotFound {
                // Somebody has just taken the old file away.
                return Err(Error::Changing(path.clone()));
            }
            return sys::rename_at(folder, &self.name, name).map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => Error::refused(path, Problem::MountPoint),
                _ => Error::io("replace", path)(error),
            });
        }
        let replaced = old.check(&self.name, |now| now.is_same_text(&old.stamp));
        // Not if somebody was quick enough to put yet another file there.
        if replaced.is_err() && is_same(self.resolved, name, new).unwrap_or(true) {
            sys::rename_at(folder, &self.name, name).map_err(Error::io("restore", path))?;
        }
        replaced
    }
}

impl Drop for NewName<'_> {
    fn drop(&mut self) {
        // If even that fails, the next login recognises it as a leftover.
        let _ = sys::unlink_at(&self.resolved.folder, &self.name);
    }
}

/// Locks a file that has just been created under `name`, unless somebody was quicker.
fn locked_new(
    resolved: &ResolvedPath,
    name: &OsStr,
    file: File,
) -> Result<Option<(FileLock, Metadata)>, Error> {
    let path = resolved.path.with_file_name(name);
    let created = open_to_owner(&file).map_err(Error::io("set the mode of", &path))?;
    match try_lock(resolved, name, file)? {
        Ok(file) if is_named(resolved, name, &created)? => Ok(Some((file, created))),
        _ => Ok(None),
    }
}

/// Gives a new file the owner of the old one, while nobody else may read it.
fn give_owner(old: &Metadata, created: &Metadata, new: &File) -> io::Result<()> {
    if (created.uid(), created.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    match fchown(new, Some(old.uid()), Some(old.gid())) {
        // A user's own file may be of a group that the user is not in, as it is when root gave it
        // away. Where that group may do nothing with it, its loss is none.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && created.uid() == old.uid()
                && old.mode() & 0o070 == 0 =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Gives a new file the ACL and labels of the old one and its mode, in an order in which it is never open
/// to more people than that.
fn make_like(old: &File, mode: u32, new: &File, created: &Metadata) -> io::Result<()> {
    const ACL: &CStr = c"system.posix_acl_access";
    let names = xattr::names(old)?;
    let has_acl = |names: &[CString]| names.iter().any(|name| name.as_c_str() == ACL);
    let mut is_as_created = names.is_empty();
    if !has_acl(&names) && has_acl(&xattr::names(new)?) {
        // The folder's default ACL gave it one that the old file has not.
        xattr::remove(new, ACL)?;
        is_as_created = false;
    }
    for name in names {
        if let Some(value) = xattr::get(old, &name)? {
            if xattr::get(new, &name)?.as_ref() != Some(&value) {
                xattr::set(new, &name, &value)?;
            }
        }
    }
    if is_as_created && created.mode() & 0o7777 == mode {
        return Ok(());
    }
    new.set_permissions(Permissions::from_mode(mode))
}

/// Removes what stands under the new file's name, unless somebody is just writing it.
fn remove_leftover(resolved: &ResolvedPath, name: &OsStr) -> Result<(), Error> {
    let path = resolved.path.with_file_name(name);
    let Some(metadata) = look_at(resolved, name)? else {
        return Ok(());
    };
    if metadata.is_dir() {
        return Err(Error::refused(&path, Problem::InTheWay));
    }
    // Kept open, so that the lock lasts until the name is gone.
    let mut leftover = None;
    if metadata.is_file() && !resolved.is_foreign(&metadata) {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        match sys::open_at(&resolved.folder, name, flags, 0) {
            Ok(file) => match try_lock(resolved, name, file)? {
                Ok(file) if is_same(resolved, name, &file)? => leftover = Some(file),
                _ => return Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // No login here has made it: it could open it, too.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(Error::io("open", &path)(error)),
        }
    }
    let removed = sys::unlink_at(&resolved.folder, name);
    drop(leftover);
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Whoever put it there has not made the usersfile one that cannot be written.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::refused(&path, Problem::InTheWay))
        }
        removed => removed.map_err(Error::io("remove the leftover", &path)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::*;
    use crate::fs::FilePath;

    /// A new file in this folder stays as long as somebody has its lock, and no longer.
    fn assert_stays_while_locked(folder: &Path) {
        let (file, new) = (folder.join("users.oath"), folder.join(".users.oath.new"));
        let resolved = FilePath::new(file).resolve().unwrap();
        let writer = File::open(&new).unwrap();
        assert!(sys::try_lock(&writer).unwrap());
        remove_leftover(&resolved, new.file_name().unwrap()).unwrap();
        assert!(new.exists(), "somebody is writing it");
        drop(writer);
        remove_leftover(&resolved, new.file_name().unwrap()).unwrap();
        assert!(!new.exists(), "nobody is writing it");
    }

    /// A folder of this mode and this user's, with a new file in it. `home` holds it.
    fn folder_with_a_new_file(home: &TempDir, mode: u32, user: u32) -> PathBuf {
        let folder = home.path().join("home");
        let new = folder.join(".users.oath.new");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&new, "").unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        for path in [&folder, &new] {
            std::os::unix::fs::chown(path, Some(user), None).unwrap();
        }
        folder
    }

    #[test]
    fn a_new_file_that_another_login_is_writing_is_no_leftover() {
        for mode in [0o700, 0o1777] {
            let home = tempfile::tempdir().unwrap();
            let user = sys::effective_user();
            assert_stays_while_locked(&folder_with_a_new_file(&home, mode, user));
        }
    }

    #[test]
    #[ignore = "needs root: run `make test`"]
    fn a_new_file_that_a_login_is_writing_in_a_users_own_folder_is_no_leftover() {
        let home = tempfile::tempdir().unwrap();
        let daemon = sys::account_by_uid(1).unwrap().expect("daemon");
        assert_stays_while_locked(&folder_with_a_new_file(&home, 0o700, daemon.uid));
    }
}
