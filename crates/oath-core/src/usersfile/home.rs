//! Whether the folder that a missing usersfile would be in is there, or only the folder that a
//! file system is to be mounted on.
//!
//! Where a user without a usersfile gets in without a code, a file system that is not mounted would
//! be a way in. Not every such folder can be told from one that is there; SECURITY.md says which.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::format::fields;
use crate::fs::Error as FileError;
use crate::sys::Account;

/// What is to be mounted, fstab(5), and the place of the mount point in a line.
const EXPECTED: (&str, usize) = ("/etc/fstab", 1);
/// What is mounted, proc(5), and the place of the mount point in a line.
const MOUNTED: (&str, usize) = ("/proc/self/mountinfo", 4);

/// Refuses a path on a file system that /etc/fstab names and that is not mounted; the same path as it
/// was given and as it was resolved.
pub fn check_mounted(paths: [&Path; 2]) -> Result<(), Error> {
    let is_above = |point: &PathBuf| {
        point.parent().is_some() && paths.iter().any(|path| path.starts_with(point))
    };
    let mut expected = mount_points(EXPECTED)?;
    expected.retain(is_above);
    if expected.is_empty() {
        return Ok(());
    }
    let mounted = mount_points(MOUNTED)?;
    // fstab may name a mount point by a link; the kernel knows it by its own name.
    let is_mounted = |point: &PathBuf| {
        mounted.contains(point) || fs::canonicalize(point).is_ok_and(|own| mounted.contains(&own))
    };
    match expected.into_iter().find(|point| !is_mounted(point)) {
        Some(point) => Err(Error::NotMounted(point)),
        None => Ok(()),
    }
}

/// Refuses a home that is certainly not the user's as it should be: an empty folder of somebody
/// else's.
pub fn check_home(account: &Account) -> Result<(), Error> {
    let home = &account.home;
    let metadata = fs::metadata(home).map_err(FileError::io("look at", home))?;
    if metadata.uid() != account.uid && is_empty(home)? {
        return Err(Error::EmptyHome(home.clone()));
    }
    Ok(())
}

fn is_empty(folder: &Path) -> Result<bool, Error> {
    let mut entries = fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    Ok(entries.next().is_none())
}

/// The mount points in a file of lines that have one at `place`. None where there is no such file.
fn mount_points((file, place): (&str, usize)) -> Result<Vec<PathBuf>, Error> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        text => text.map_err(FileError::io("read", file))?,
    };
    let points = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .filter_map(|line| fields(line).nth(place))
        .map(|field| PathBuf::from(unescaped(field)));
    Ok(points.collect())
}

/// Both files write white space and backslashes as three octal digits after a backslash.
fn unescaped(field: &[u8]) -> OsString {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match (byte, after.get(..3).and_then(code)) {
            (b'\\', Some(byte)) => {
                text.push(byte);
                rest = &after[3..];
            }
            _ => {
                text.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# /dev/sdz /no ext4\n\n/dev/sda1  /home\\040of\\134all ext4 defaults 0 2\n\
                    UUID=1 none swap sw 0 0\nserver:/x\t/home nfs";
        fs::write(file.path(), text).unwrap();
        let points = mount_points((file.path().to_str().unwrap(), 1)).unwrap();
        let expected = ["/home of\\all", "none", "/home"].map(PathBuf::from);
        assert_eq!(points, expected);
    }

    #[test]
    fn the_root_directory_is_mounted() {
        assert!(mount_points(MOUNTED).unwrap().contains(&PathBuf::from("/")));
        assert_eq!(unescaped(b"\\04"), OsString::from("\\04"));
    }
}
