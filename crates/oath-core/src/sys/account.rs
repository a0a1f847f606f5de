//! Accounts, as the name service knows them.

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{c_string, check_memory};

/// An account of the system's user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name to log in with.
    pub name: OsString,
    /// The user ID.
    pub uid: u32,
    /// The ID of the user's own group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

/// The account called `name` (getpwnam_r(3)), or `None` if there is certainly none.
///
/// # Errors
/// The name service fails, or is not there to be asked.
pub fn account_by_name(name: &OsStr) -> io::Result<Option<Account>> {
    let name = c_string(name)?;
    account(|entry, buffer, size, found| {
        // SAFETY: getpwnam_r(3) reads a terminated string, writes an entry to `entry`, its strings
        // to the `size` bytes of `buffer` and a pointer to `found`.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, size, found) }
    })
}

/// The account with the number `uid` (getpwuid_r(3)), or `None` if there is certainly none.
///
/// # Errors
/// As for [`account_by_name`].
pub fn account_by_uid(uid: u32) -> io::Result<Option<Account>> {
    account(|entry, buffer, size, found| {
        // SAFETY: getpwuid_r(3) writes an entry to `entry`, its strings to the `size` bytes of
        // `buffer` and a pointer to `found`.
        unsafe { libc::getpwuid_r(uid, entry, buffer, size, found) }
    })
}

/// Variables by which the caller of a setuid program makes SSSD, winbind and systemd's name service
/// say that there is no such account.
const KEPT_FROM_ANSWERING: [&str; 3] = ["_SSS_LOOPS", "_NO_WINBINDD", "SYSTEMD_BYPASS_USERDB"];

fn is_set(name: &&str) -> bool {
    std::env::var_os(name).is_some()
}

fn account(
    lookup: impl Fn(*mut libc::passwd, *mut c_char, usize, *mut *mut libc::passwd) -> c_int,
) -> io::Result<Option<Account>> {
    const LARGEST_ENTRY: usize = 1 << 20;
    // A name service whose library cannot be loaded has no account, the C library says.
    check_memory()?;
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        match lookup(
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut found,
        ) {
            0 if found.is_null() => {
                return match KEPT_FROM_ANSWERING.into_iter().find(is_set) {
                    Some(name) => Err(io::Error::other(format!(
                        "the environment variable {name} keeps a name service from answering"
                    ))),
                    None => Ok(None),
                };
            }
            0 => {
                // SAFETY: getpw*_r(3) returned 0 and a pointer, so `entry` is filled in and its
                // strings are terminated ones inside `buffer`, which outlives this block.
                let account = unsafe {
                    let entry = entry.assume_init();
                    let text = |field: *const c_char| {
                        OsString::from_vec(CStr::from_ptr(field).to_bytes().to_vec())
                    };
                    Account {
                        name: text(entry.pw_name),
                        uid: entry.pw_uid,
                        gid: entry.pw_gid,
                        home: text(entry.pw_dir).into(),
                    }
                };
                return Ok(Some(account));
            }
            libc::ERANGE if buffer.len() < LARGEST_ENTRY => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            // ENOENT and ESRCH as well: a name service says so whose daemon is away. Only "no
            // error and no entry" is an account that does not exist.
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The groups that `account` is in, its own first.
pub(super) fn groups_of(account: &Account) -> io::Result<Vec<libc::gid_t>> {
    const MOST_GROUPS: usize = 65536; // NGROUPS_MAX
    let name = c_string(&account.name)?;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as c_int;
        // SAFETY: getgrouplist(3) reads a terminated string and writes at most `count` groups to
        // `groups`, which has room for as many.
        let result = unsafe {
            libc::getgrouplist(name.as_ptr(), account.gid, groups.as_mut_ptr(), &mut count)
        };
        if result >= 0 {
            groups.truncate(count as usize);
            return Ok(groups);
        }
        if groups.len() >= MOST_GROUPS {
            return Err(io::Error::from_raw_os_error(libc::ERANGE));
        }
        groups.resize(groups.len() * 4, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_name_service_that_a_signal_interrupts_or_that_needs_more_room_is_asked_again() {
        let before = Cell::new([libc::EINTR, libc::ERANGE, libc::ERANGE].iter());
        let root = account(|entry, buffer, size, found| {
            let mut errors = before.take();
            let error = errors.next();
            before.set(errors);
            match error {
                Some(error) => *error,
                // SAFETY: as in `account_by_uid`.
                None => unsafe { libc::getpwuid_r(0, entry, buffer, size, found) },
            }
        });
        assert_eq!(root.unwrap().map(|account| account.uid), Some(0));
    }

    #[test]
    fn an_error_of_the_name_service_is_no_account_that_does_not_exist() {
        for error in [libc::ENOENT, libc::ESRCH, libc::EIO, libc::ERANGE] {
            let found = account(|_, _, _, _| error);
            assert_eq!(found.unwrap_err().raw_os_error(), Some(error));
        }
    }
}
