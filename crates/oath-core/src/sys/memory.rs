//! The memory that the process may have.

use std::io;
use std::mem::MaybeUninit;

use super::checked;

/// What getrlimit(2) calls the kinds of limits.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Checks whether the process may have the memory that a login takes while it holds a lock.
///
/// The caller of a setuid program sets its limits. Where an allocation fails, Rust says so on the
/// standard error before it ends the process; that may be the caller's full pipe, and the process
/// would wait there, with the lock, for ever.
///
/// # Errors
/// The system refuses.
pub(crate) fn check_memory() -> io::Result<()> {
    match [libc::RLIMIT_AS, libc::RLIMIT_DATA].map(is_unlimited) {
        [true, true] => Ok(()),
        _ => try_memory(),
    }
}

fn is_unlimited(resource: Resource) -> bool {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: getrlimit(2) writes to `limit`, and has filled it in if it returns 0.
    unsafe {
        libc::getrlimit(resource, limit.as_mut_ptr()) == 0
            && limit.assume_init().rlim_cur == libc::RLIM_INFINITY
    }
}

fn try_memory() -> io::Result<()> {
    // More than a login computes with, and more than the C library's heap grows by at a time.
    const NEEDED: usize = 4 << 20;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: mmap(2) makes a new mapping, wherever there is room, and takes nothing from another.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), NEEDED, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: munmap(2) of the mapping that was made above, of which nobody has an address.
    checked(unsafe { libc::munmap(memory, NEEDED) }).map(drop)
}
