//! The system calls that the standard library has no safe name for.
//!
//! `unsafe` stands here and, in the module, where C calls Rust or is called by it; nowhere else.
//! Each function is one call (or one small group that belongs together) behind a safe signature;
//! what the calls are for is decided elsewhere.

#![allow(unsafe_code)]

mod account;
pub mod clock;
mod credentials;
mod crypt;
mod file;
mod memory;
mod scheduling;
pub(crate) mod xattr;

use std::ffi::{CString, OsStr, OsString, c_int};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

pub use account::{Account, account_by_name, account_by_uid};
pub use credentials::effective_user;
pub(crate) use credentials::{FsCredentials, StopGuard};
pub use crypt::crypt;
pub use file::{FileId, file_id_at, open_at, try_lock, unlink_at};
pub(crate) use file::{
    exchange_at, flush_file_system, is_open_for_writing, make_folder_at, open_folder, read_link,
    rename_at, rename_new_at, unlock,
};
pub(crate) use memory::check_memory;

/// The value of a call that reports failure as -1 and `errno`.
fn checked(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Repeats a call that a signal interrupted.
fn uninterrupted(mut call: impl FnMut() -> c_int) -> io::Result<c_int> {
    loop {
        match checked(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// What Debian calls this kind of machine in the names of its folders: `x86_64-linux-gnu`.
pub fn multiarch() -> String {
    let (name, abi) = match std::env::consts::ARCH {
        "arm" => ("arm", "gnueabihf"),
        "powerpc64" => ("powerpc64le", "gnu"),
        "x86" => ("i386", "gnu"),
        same => (same, "gnu"),
    };
    format!("{name}-linux-{abi}")
}

/// This machine's name.
pub fn host_name() -> OsString {
    let mut name = vec![0u8; 256];
    // SAFETY: gethostname(2) writes at most `name.len()` bytes to `name`.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let length = name.iter().position(|&byte| byte == 0);
    name.truncate(if result == 0 { length.unwrap_or(0) } else { 0 });
    OsString::from_vec(name)
}
