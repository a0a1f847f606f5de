//! Small files of our own, in a folder that is root's alone: what the throttle and the journal
//! remember. They are locked, read and replaced as the usersfile is.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::path::Place;
use super::store::{Held, Usersfile};
use super::{Error, is_trusted};
use crate::sys;

/// Locks the file `name` in `folder`. Folder and file are made, for root alone, if they are not
/// there; the folder that `folder` is in must be.
pub fn lock(folder: &Path, name: &OsStr) -> Result<Held, Error> {
    let path = folder.join(name);
    let place = match Place::find(&path, None) {
        Err(Error::MissingFolder(_)) => {
            make_folder(folder)?;
            Place::find(&path, None)?
        }
        place => place?,
    };
    let metadata = place
        .folder
        .metadata()
        .map_err(Error::io("look at", folder))?;
    check_folder(folder, &metadata)?;
    let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL;
    match sys::open_at(&place.folder, &place.name, flags, 0o600) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", &path)(error));
        }
        _ => {}
    }
    Usersfile::at(path).lock()
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let parent = Place::find(folder, None)?;
    match sys::make_folder_at(&parent.folder, &parent.name, 0o700) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("make the folder", folder)(error))
        }
        _ => Ok(()),
    }
}

fn check_folder(folder: &Path, metadata: &Metadata) -> Result<(), Error> {
    const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
    if is_trusted(metadata.uid()) && metadata.mode() & WRITABLE_BY_GROUP_OR_OTHERS == 0 {
        return Ok(());
    }
    Err(Error::refused(
        folder,
        format!(
            "must be root's alone; run chown root: {0} && chmod 700 {0}",
            folder.display()
        ),
    ))
}
