//! Extended attributes of an open file, xattr(7): ACLs and labels are among them.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::checked;

/// The names of a file's extended attributes, ACLs and labels among them. A file system that
/// knows none has none.
pub(crate) fn names(file: &File) -> io::Result<Vec<CString>> {
    let names = sized(|buffer, size| {
        // SAFETY: flistxattr(2) writes at most `size` bytes to `buffer`, which has as many, and
        // with a size of 0 nothing at all.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.cast(), size) }
    });
    match names {
        Ok(names) => Ok(names
            .split_inclusive(|&byte| byte == 0)
            .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
            .map(CStr::to_owned)
            .collect()),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The value of an extended attribute, or `None` if the file has none of that name.
pub(crate) fn get(file: &File, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let value = sized(|buffer, size| {
        // SAFETY: fgetxattr(2) reads a terminated string and writes at most `size` bytes to
        // `buffer`, which has as many, and with a size of 0 nothing at all.
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), buffer.cast(), size) }
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks a call for the size of its answer, then for the answer.
fn sized(call: impl Fn(*mut u8, usize) -> isize) -> io::Result<Vec<u8>> {
    let length = |result: isize| usize::try_from(result).map_err(|_| io::Error::last_os_error());
    loop {
        let mut answer = vec![0; length(call(std::ptr::null_mut(), 0))?];
        if answer.is_empty() {
            return Ok(answer);
        }
        match length(call(answer.as_mut_ptr(), answer.len())) {
            Ok(length) => {
                answer.truncate(length);
                return Ok(answer);
            }
            // It grew between the two calls.
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sets an extended attribute.
pub(crate) fn set(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: fsetxattr(2) reads a terminated string and `value.len()` bytes of `value`.
    checked(unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    })
    .map(drop)
}

/// Removes an extended attribute.
pub(crate) fn remove(file: &File, name: &CStr) -> io::Result<()> {
    // SAFETY: fremovexattr(2) reads a terminated string.
    checked(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop)
}
