//! A file opened at its resolved path, and read without its lock.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Deadline, Error, FilePath, ResolvedPath, Stamp};
use crate::sys;

/// A file that is open and not locked.
pub(crate) struct UnlockedFile {
    resolved: ResolvedPath,
    file: File,
    metadata: Metadata,
    stamp: Stamp,
}

impl FilePath {
    /// Opens the file that the path names at this moment.
    pub(crate) fn open(&self, deadline: &Deadline) -> Result<UnlockedFile, Error> {
        let resolved = self.resolve()?;
        let file = open(self.path(), &resolved, deadline)?;
        let metadata = checked(&resolved, &file)?;
        Ok(UnlockedFile {
            stamp: Stamp::from(&metadata),
            resolved,
            file,
            metadata,
        })
    }
}

impl UnlockedFile {
    /// What was known of the file when it was opened.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file's state when it was opened.
    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Its text from the beginning; no more than was checked, however fast it grows.
    pub(crate) fn reader(&self) -> impl Read {
        (&self.file).take(self.stamp.length())
    }

    /// Whether what was read is all that the file holds, and no half of what an editor writes: the
    /// file must have been at rest for a moment, and nobody may have it open to write on. A login
    /// that puts a new file in its place meanwhile takes nothing away from that.
    pub(crate) fn is_settled(&self, deadline: &Deadline) -> Result<bool, Error> {
        if !self.stamp.is_at_rest() && !deadline.sleep(Stamp::REST) {
            return Ok(false);
        }
        let io = || Error::io("look at", &self.resolved.path);
        Ok(!sys::is_open_for_writing(&self.file).map_err(io())?
            && Stamp::of(&self.file)
                .map_err(io())?
                .is_same_text(&self.stamp))
    }
}

/// Opens the file at its path.
pub(super) fn open(
    path: &Path,
    resolved: &ResolvedPath,
    deadline: &Deadline,
) -> Result<File, Error> {
    // First what was found as a mere path: opening some devices for reading does something.
    let mut found = resolved.found.clone();
    if found.is_none() {
        // That there is no file may let somebody in (no_usersfile_okay), and some editors move the
        // file away before they write another: the folder must have been at rest.
        let folder = resolved.folder.metadata();
        let folder = folder.map_err(Error::io("look at the folder of", &resolved.path))?;
        if !Stamp::from(&folder).is_at_rest() {
            if !deadline.sleep(Stamp::REST) {
                return Err(Error::Changing(resolved.path.clone()));
            }
            found = look_at(resolved, &resolved.name)?;
        }
    }
    match found {
        Some(found) => resolved.check_file(&found)?,
        None if resolved.is_link => {
            return Err(Error::DanglingLink {
                link: path.to_owned(),
                path: resolved.path.clone(),
            });
        }
        None => return Err(Error::Missing(resolved.path.clone())),
    }
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    match sys::open_at(&resolved.folder, &resolved.name, flags, 0) {
        // It was there a moment ago.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::Changing(resolved.path.clone()))
        }
        file => file.map_err(Error::io("open", &resolved.path)),
    }
}

/// What is known of the file that was opened, which need not be the one that was found.
pub(super) fn checked(resolved: &ResolvedPath, file: &File) -> Result<Metadata, Error> {
    let metadata = file
        .metadata()
        .map_err(Error::io("look at", &resolved.path))?;
    resolved.check_file(&metadata)?;
    Ok(metadata)
}

/// What a name in the file's folder stands for, or `None`. Links are not followed.
pub(super) fn look_at(resolved: &ResolvedPath, name: &OsStr) -> Result<Option<Metadata>, Error> {
    match sys::open_at(&resolved.folder, name, libc::O_PATH, 0).and_then(|file| file.metadata()) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", &resolved.path)(error)),
    }
}

/// Whether a name in the file's folder stands for the file that `metadata` is of.
pub(super) fn is_named(
    resolved: &ResolvedPath,
    name: &OsStr,
    metadata: &Metadata,
) -> Result<bool, Error> {
    let named =
        sys::file_id_at(&resolved.folder, name).map_err(Error::io("look at", &resolved.path))?;
    Ok(named == Some((metadata.dev(), metadata.ino())))
}

/// Whether a name in the file's folder stands for this open file.
pub(super) fn is_same(resolved: &ResolvedPath, name: &OsStr, file: &File) -> Result<bool, Error> {
    let metadata = file
        .metadata()
        .map_err(Error::io("look at", &resolved.path))?;
    is_named(resolved, name, &metadata)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn write(path: &Path) {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn resolve(path: &Path) -> ResolvedPath {
        FilePath::new(path.to_owned()).resolve().unwrap()
    }

    fn in_a_folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.oath");
        (folder, path)
    }

    #[test]
    fn a_file_that_an_editor_moves_away_and_writes_anew_is_not_missing() {
        let (_folder, path) = in_a_folder();
        let resolved = resolve(&path);
        write(&path);
        open(&path, &resolved, &Deadline::begin()).unwrap();
    }

    #[test]
    fn a_link_that_leads_to_nothing_is_another_problem_than_no_file() {
        let (folder, path) = in_a_folder();
        let error = || open(&path, &resolve(&path), &Deadline::begin()).unwrap_err();
        assert!(matches!(error(), Error::Missing(_)));
        symlink(folder.path().join("unmounted"), &path).unwrap();
        assert!(matches!(error(), Error::DanglingLink { .. }));
    }

    #[test]
    fn a_pipe_put_in_the_files_place_when_that_was_looked_at_holds_nobody_up() {
        let (_folder, path) = in_a_folder();
        write(&path);
        let (done, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let resolved = resolve(&path);
            std::fs::remove_file(&path).unwrap();
            let mut mkfifo = Command::new("mkfifo");
            let made = mkfifo.args(["-m", "600"]).arg(&path).status();
            assert!(made.unwrap().success());
            let opened = open(&path, &resolved, &Deadline::begin());
            let _ = done.send(opened.and_then(|file| checked(&resolved, &file)));
        });
        let answer = answer.recv_timeout(Duration::from_secs(60));
        let answer = answer.expect("an answer, not a wait for somebody to write");
        assert_eq!(answer.unwrap_err().problem(), "is not a regular file");
    }
}
