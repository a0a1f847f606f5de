//! What is kept beside the usersfile: small files in a folder that is root's alone. They are
//! locked, read and replaced as the usersfile is.
//!
//! - [`throttle`]: a user's failures.
//! - [`journal`]: the codes that were used while the usersfile could not be written.

#![forbid(unsafe_code)]

pub mod journal;
pub mod throttle;

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::fs::{Deadline, Error, FilePath, LockedFile, Problem, Rewrite, is_trusted};
use crate::{hex, sys};

/// The longest name of a user that is part of a file's name as it is, in bytes.
const LONGEST_NAME: usize = 64;

/// A small file, locked. It exists as long as it has something in it, or is locked.
pub(crate) struct StateFile {
    locked: LockedFile,
    text: Zeroizing<Vec<u8>>,
}

impl StateFile {
    /// Locks and reads the file `name` in `folder`. Folder and file are created, for root alone, if
    /// they do not exist; the folder above must.
    pub(crate) fn lock(
        folder: &Path,
        name: &OsStr,
        deadline: &Deadline,
    ) -> Result<StateFile, Error> {
        let file = FilePath::new(folder.join(name));
        match check_folder(folder, &file) {
            // Missing, or left without rights by a login that was killed when it had made it.
            Err(error)
                if error.is_permission_denied() || matches!(error, Error::MissingFolder(_)) =>
            {
                make_folder(folder)?;
                check_folder(folder, &file)?;
            }
            checked => checked?,
        }
        let locked = file.lock_or_create(deadline)?;
        let text = locked.read_all()?;
        Ok(StateFile { locked, text })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.locked.path()
    }

    /// What it holds.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Replaces the text, durably. With an empty one the file is removed, but only when this is
    /// dropped: a crash before that leaves the old text.
    pub(crate) fn replace(
        &mut self,
        text: Zeroizing<Vec<u8>>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        if text != self.text && !text.is_empty() {
            let rewrite = Rewrite {
                // Of the file: the text is empty already where the file is to go.
                span: 0..self.locked.length(),
                text: text.clone(),
                mode: None,
            };
            self.locked.replace(&rewrite, deadline)?;
        }
        self.text = text;
        Ok(())
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        if self.text.is_empty() {
            // If that fails, what was stays: a failure that counts, a code that is used.
            let _ = self.locked.remove();
        }
    }
}

/// The name of a user's file: `prefix`, then the user's name. Letters, digits, `-` and `_` stand
/// for themselves, other bytes are written as `%2F`; a name too long for that is replaced by `%%` and
/// its SHA-256. So no name leads out of the folder, and no two users share a file.
fn file_name(prefix: &str, user: &OsStr) -> OsString {
    let user = user.as_bytes();
    let mut name = String::from(prefix);
    if user.len() > LONGEST_NAME {
        return (name + "%%" + &hex::encode(&Sha256::digest(user))).into();
    }
    for &byte in user {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(byte.into());
        } else {
            name += &format!("%{byte:02X}");
        }
    }
    name.into()
}

/// The user whose file has this name; `None` for another file, or one of a name too long.
fn user_of(prefix: &str, name: &OsStr) -> Option<OsString> {
    let mut rest = name.as_bytes().strip_prefix(prefix.as_bytes())?;
    let mut user = OsString::new();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let code = std::str::from_utf8(after.get(..2)?).ok()?;
            user.push(OsStr::from_bytes(&[u8::from_str_radix(code, 16).ok()?]));
            rest = &after[2..];
        } else {
            user.push(OsStr::from_bytes(&[byte]));
            rest = after;
        }
    }
    (file_name(prefix, &user) == name).then_some(user)
}

/// Whether the state of a login can be kept in `folder`: it is root's alone, or can be made. Nothing
/// is made here.
///
/// # Errors
///
/// What a login with this folder is denied for.
pub fn check(folder: &Path) -> Result<(), Error> {
    match check_folder(folder, &FilePath::new(folder.join("any"))) {
        Err(Error::MissingFolder(_)) => FilePath::new(folder.to_owned()).resolve().map(drop),
        checked => checked,
    }
}

/// Refuses a folder that is not root's alone; `file` is one in it.
fn check_folder(folder: &Path, file: &FilePath) -> Result<(), Error> {
    const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
    if !folder.is_absolute() {
        return Err(Error::refused(folder, Problem::NotAbsolute));
    }
    let metadata = file.resolve()?.folder.metadata();
    let metadata = metadata.map_err(Error::io("look at", folder))?;
    if is_trusted(metadata.uid()) && metadata.mode() & WRITABLE_BY_GROUP_OR_OTHERS == 0 {
        return Ok(());
    }
    Err(Error::refused(folder, Problem::NotRootsAlone))
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let parent = FilePath::new(folder.to_owned()).resolve()?;
    let io = |action| Error::io(action, folder);
    match sys::make_folder_at(&parent.folder, &parent.name, 0o700) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(io("make the folder"))?,
    }
    // Whatever umask the caller of a setuid program has chosen. A folder of mode 000 can be opened
    // as a mere path alone, and its mode be set by the name that proc(5) has for that.
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let made = sys::open_at(&parent.folder, &parent.name, flags, 0).map_err(io("open"))?;
    let metadata = made.metadata().map_err(io("look at"))?;
    if metadata.uid() != sys::effective_user() || metadata.mode() & 0o700 == 0o700 {
        return Ok(());
    }
    let path = format!("/proc/self/fd/{}", made.as_raw_fd());
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io("set the mode of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_file_of_her_own_inside_the_folder() {
        let long = "x".repeat(300);
        let names = [
            "alice",
            "..",
            ".",
            "../../etc/passwd",
            "EX\\al",
            "a b",
            "żółw",
            "%2F",
            &long,
        ];
        let file_name = |name: &&str| file_name("throttle-", name.as_ref());
        let mut files: Vec<OsString> = names.iter().map(file_name).collect();
        for (name, file) in names.iter().zip(&files) {
            assert!(
                !file.as_bytes().contains(&b'/') && file.len() < 255,
                "{name}"
            );
            let user = user_of("throttle-", file);
            assert_eq!(user.is_none(), name.len() > LONGEST_NAME, "{name}");
            assert!(user.is_none_or(|user| user == *name), "{name}");
        }
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
    }

    #[test]
    fn no_short_name_is_written_as_the_digest_of_a_long_one() {
        // A byte that is written as `%` and two digits, as the digest begins with two.
        let (long, digest) = (LONGEST_NAME + 1..)
            .map(|length| "x".repeat(length))
            .map(|name| (name.clone(), Sha256::digest(&name)))
            .find(|(_, digest)| digest[0] < 0x10 && digest[0] & 0x0f < 10)
            .unwrap();
        let mut short = vec![digest[0]];
        short.extend_from_slice(&hex::encode(&digest).as_bytes()[2..]);
        assert!(short.len() <= LONGEST_NAME);
        let long = file_name("used-", long.as_ref());
        assert_ne!(file_name("used-", OsStr::from_bytes(&short)), long);
        assert_eq!(user_of("used-", &long), None);
    }
}
