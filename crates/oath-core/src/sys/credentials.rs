//! Credentials of this thread that change for as long as a value lives: those that file
//! permissions are checked against, and those that let another user stop it by a signal.
//!
//! All of it is per thread. Where the C library's function changes every thread of the process
//! (setgroups(2), setresuid(2)), the system call itself is made: two logins in two threads of one
//! server would restore each other's credentials otherwise.

use std::ffi::c_int;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::account::{Account, groups_of};
use super::checked;
use super::scheduling::Scheduling;

/// The user whose rights this process acts with.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The file-system user, group and supplementary groups of this thread, and those of its
/// capabilities that override file permissions, while they are another account's. Dropping it
/// restores what was.
///
/// PAM's own `pam_modutil_drop_priv` changes the groups of the whole process, so that two logins
/// in two threads of one server could restore each other's. With a file-system user other than
/// root the kernel takes these capabilities away by itself (capabilities(7)), unless the process
/// was started with the securebit `no_setuid_fixup`; so they are taken away by name, and given
/// back as they were.
pub(crate) struct FsCredentials {
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
    capabilities: Capabilities,
    /// What the thread is sent when its parent dies (prctl(2)): the kernel forgets it when the
    /// file-system user changes.
    death_signal: c_int,
    // Credentials are a thread's own: that thread has to restore them.
    not_send: PhantomData<*const ()>,
}

impl FsCredentials {
    /// Lets this thread touch files as `account` would.
    ///
    /// # Errors
    /// The groups of the account cannot be looked up, or the system refuses; the thread then has
    /// the credentials it had before.
    pub(crate) fn assume(account: &Account) -> io::Result<FsCredentials> {
        let groups = groups_of(account)?;
        let (former_groups, capabilities) = (own_groups()?, own_capabilities()?);
        let death_signal = death_signal()?;
        // A process that may not set its groups could not restore them either.
        set_groups(&groups)?;
        // From here on every way out passes through the drop of `former`.
        let former = FsCredentials {
            uid: set_fs_user(ASK),
            gid: set_fs_group(ASK),
            groups: former_groups,
            capabilities,
            death_signal,
            not_send: PhantomData,
        };
        set_fs_group(account.gid);
        set_fs_user(account.uid);
        // Both calls return the former value, failed or not; asking again tells.
        if set_fs_group(ASK) != account.gid || set_fs_user(ASK) != account.uid {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        let mut capabilities = own_capabilities()?;
        for (word, over_files) in capabilities.iter_mut().zip(OVER_FILES) {
            word.effective &= !over_files;
        }
        set_capabilities(&capabilities)?;
        Ok(former)
    }
}

impl Drop for FsCredentials {
    fn drop(&mut self) {
        set_fs_user(self.uid);
        set_fs_group(self.gid);
        // What was effective is still permitted, the capability that let the groups be set is among
        // it, and their number is one that the kernel has just reported.
        let restored = set_capabilities(&self.capabilities)
            .and_then(|()| set_groups(&self.groups))
            .is_ok();
        abort_unless(restored && (set_fs_user(ASK), set_fs_group(ASK)) == (self.uid, self.gid));
        // SAFETY: prctl(2) takes a number with this command.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, self.death_signal) };
    }
}

fn death_signal() -> io::Result<c_int> {
    let mut signal: c_int = 0;
    // SAFETY: prctl(2) writes a number to `signal` with this command.
    checked(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) })?;
    Ok(signal)
}

/// Ends the process if credentials could not be restored, which the kernel refuses for want of
/// memory alone: a program that went on with more rights than it thinks it has would give them away.
fn abort_unless(restored: bool) {
    if !restored {
        std::process::abort();
    }
}

/// No user and no group: setting it changes nothing and returns what is.
const ASK: u32 = u32::MAX;

fn set_fs_user(uid: libc::uid_t) -> libc::uid_t {
    // SAFETY: setfsuid(2) takes a number and cannot fail in a way that touches memory.
    unsafe { libc::setfsuid(uid) as libc::uid_t }
}

fn set_fs_group(gid: libc::gid_t) -> libc::gid_t {
    // SAFETY: setfsgid(2) takes a number and cannot fail in a way that touches memory.
    unsafe { libc::setfsgid(gid) as libc::gid_t }
}

fn own_groups() -> io::Result<Vec<libc::gid_t>> {
    // SAFETY: getgroups(2) with a size of 0 writes nothing.
    let count = checked(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; count as usize];
    // SAFETY: getgroups(2) writes at most `count` groups to `groups`, which has room for as many.
    let count = checked(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(count as usize);
    Ok(groups)
}

/// The system call itself, for this thread alone.
fn set_groups(groups: &[libc::gid_t]) -> io::Result<()> {
    // The plain call takes 16-bit groups on the oldest 32-bit architectures.
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    const SETGROUPS: libc::c_long = libc::SYS_setgroups32;
    #[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
    const SETGROUPS: libc::c_long = libc::SYS_setgroups;
    // SAFETY: setgroups(2) reads `groups.len()` groups from `groups`.
    checked(unsafe { libc::syscall(SETGROUPS, groups.len(), groups.as_ptr()) } as c_int).map(drop)
}

/// A thread's capabilities, 32 of them a word.
type Capabilities = [CapabilityWord; 2];

/// `struct __user_cap_data_struct` of capget(2).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `struct __user_cap_header_struct` of capget(2).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    thread: c_int,
}

impl CapabilityHeader {
    const OF_THIS_THREAD: CapabilityHeader = CapabilityHeader {
        version: 0x2008_0522, // _LINUX_CAPABILITY_VERSION_3: two words
        thread: 0,
    };
}

/// The capabilities that the kernel ties to the file-system user being root: CAP_CHOWN,
/// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD
/// and, in the second word, CAP_MAC_OVERRIDE.
const OVER_FILES: [u32; 2] = [
    1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9 | 1 << 27,
    1 << 0,
];

fn own_capabilities() -> io::Result<Capabilities> {
    let mut header = CapabilityHeader::OF_THIS_THREAD;
    let mut words = Capabilities::default();
    // SAFETY: capget(2) reads and may correct the header, whose version makes it write two words.
    checked(unsafe { libc::syscall(libc::SYS_capget, &mut header, words.as_mut_ptr()) } as c_int)?;
    Ok(words)
}

fn set_capabilities(words: &Capabilities) -> io::Result<()> {
    let mut header = CapabilityHeader::OF_THIS_THREAD;
    // SAFETY: capset(2) reads and may correct the header, whose version makes it read two words.
    checked(unsafe { libc::syscall(libc::SYS_capset, &mut header, words.as_ptr()) } as c_int)
        .map(drop)
}

/// While it lives, nobody without root's rights can stop this thread or keep it from the processor:
/// to be held with a lock that others wait for. Dropping it restores what was.
///
/// A setuid program keeps the real user of its caller, who may therefore send it SIGSTOP (kill(2)),
/// and it has the caller's terminal, where ^Z stops it. So the real and the saved user are root for
/// this thread, and the signals by which a terminal stops a process wait.
pub(crate) struct StopGuard {
    /// The real, the saved and the file-system user as they were; `None` if they stay.
    users: Option<[libc::uid_t; 3]>,
    signals: libc::sigset_t,
    _scheduling: Option<Scheduling>,
    // Credentials are a thread's own: that thread has to restore them.
    not_send: PhantomData<*const ()>,
}

impl StopGuard {
    /// Begins to protect this thread.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn begin() -> io::Result<StopGuard> {
        let signals = block_stop_signals()?;
        let mut guard = StopGuard {
            users: None,
            signals,
            _scheduling: None,
            not_send: PhantomData,
        };
        let (real, effective, saved) = users()?;
        // Without CAP_SETUID the users could not be restored. Such a process is no setuid
        // program as it comes.
        if effective == 0 && (real, saved) != (0, 0) && may_set_users()? {
            // From here on every way out passes through the drop of `guard`.
            let over_files = set_fs_user(ASK);
            guard.users = Some([real, saved, over_files]);
            set_real_and_saved_user(0, 0)?;
            set_fs_user(over_files);
        }
        if effective == 0 {
            guard._scheduling = Scheduling::raise();
        }
        Ok(guard)
    }
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        if let Some([real, saved, over_files]) = self.users {
            let restored = set_real_and_saved_user(real, saved).is_ok();
            set_fs_user(over_files);
            abort_unless(restored && set_fs_user(ASK) == over_files);
        }
        // SAFETY: pthread_sigmask(3) reads a set that it has filled in itself.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.signals, std::ptr::null_mut()) };
    }
}

/// Lets the stop signals of a terminal wait; returns which signals waited before.
fn block_stop_signals() -> io::Result<libc::sigset_t> {
    let mut stop = MaybeUninit::<libc::sigset_t>::uninit();
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3) fills in the set that the other calls read; pthread_sigmask(3) reads
    // one set and fills in the other, unless it fails.
    unsafe {
        libc::sigemptyset(stop.as_mut_ptr());
        for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            libc::sigaddset(stop.as_mut_ptr(), signal);
        }
        match libc::pthread_sigmask(libc::SIG_BLOCK, stop.as_ptr(), former.as_mut_ptr()) {
            0 => Ok(former.assume_init()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The real, the effective and the saved user of this thread.
fn users() -> io::Result<(libc::uid_t, libc::uid_t, libc::uid_t)> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: getresuid(2) writes to three numbers.
    checked(unsafe { libc::getresuid(&mut real, &mut effective, &mut saved) })?;
    Ok((real, effective, saved))
}

fn may_set_users() -> io::Result<bool> {
    const CAP_SETUID: u32 = 1 << 7;
    Ok(own_capabilities()?[0].effective & CAP_SETUID != 0)
}

/// The system call itself, for this thread alone. The effective user stays; the kernel sets the
/// file-system user to that.
fn set_real_and_saved_user(real: libc::uid_t, saved: libc::uid_t) -> io::Result<()> {
    // The plain call takes 16-bit users on the oldest 32-bit architectures.
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    const SETRESUID: libc::c_long = libc::SYS_setresuid32;
    #[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
    const SETRESUID: libc::c_long = libc::SYS_setresuid;
    const KEEP: libc::uid_t = libc::uid_t::MAX;
    // SAFETY: setresuid(2) takes three numbers.
    checked(unsafe { libc::syscall(SETRESUID, real, KEEP, saved) } as c_int).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::account_by_uid;

    #[test]
    #[ignore = "needs root: run `make test`"]
    fn a_server_that_dies_with_its_parent_does_so_after_a_login_with_a_users_own_file() {
        // SAFETY: prctl(2) takes a number with this command.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
        let daemon = account_by_uid(1).unwrap().expect("daemon");
        drop(FsCredentials::assume(&daemon).unwrap());
        assert_eq!(death_signal().unwrap(), libc::SIGTERM);
    }
}
