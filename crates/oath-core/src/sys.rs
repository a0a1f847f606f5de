//! The system calls that the standard library has no safe name for.
//!
//! Together with `src/pam/` the only place where `unsafe` stands. Each function is one call (or
//! one small group that belongs together) behind a safe signature; what the calls are for is
//! decided elsewhere.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use zeroize::Zeroizing;

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

/// `openat(2)` below `folder`, with `O_NOFOLLOW` and `O_CLOEXEC` added to `flags`.
pub fn open_at(folder: &File, name: &OsStr, flags: c_int, mode: u32) -> io::Result<File> {
    let name = c_string(name)?;
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: openat(2) reads the terminated string `name`, which lives until after the call,
    // and keeps nothing of it; `folder` is open for as long as it is borrowed.
    let fd = uninterrupted(|| unsafe {
        libc::openat(
            folder.as_raw_fd(),
            name.as_ptr(),
            flags,
            mode as libc::c_uint,
        )
    })?;
    // SAFETY: openat(2) has just returned this descriptor and nobody else knows it.
    above_standard(unsafe { File::from_raw_fd(fd) })
}

/// Moves a file away from descriptors 0 to 2. A process that was started without them would have
/// the usersfile there, open for whatever a library prints.
fn above_standard(file: File) -> io::Result<File> {
    const FIRST: c_int = libc::STDERR_FILENO + 1;
    if file.as_raw_fd() >= FIRST {
        return Ok(file);
    }
    // SAFETY: fcntl(2) takes a number with this command, and `file` is open while borrowed.
    let fd = checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: fcntl(2) has just returned this descriptor and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The target of a symbolic link that is open with `O_PATH | O_NOFOLLOW`.
pub fn read_link(link: &File) -> io::Result<OsString> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: readlinkat(2) with an empty name reads the link behind the descriptor and writes at
    // most `target.len()` bytes into `target`.
    let length = unsafe {
        libc::readlinkat(
            link.as_raw_fd(),
            c"".as_ptr(),
            target.as_mut_ptr().cast::<c_char>(),
            target.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    target.truncate(length);
    Ok(OsString::from_vec(target))
}

/// `renameat(2)` within one folder.
pub fn rename_at(folder: &File, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let fd = folder.as_raw_fd();
    // SAFETY: renameat(2) reads two terminated strings that live until after the call.
    uninterrupted(|| unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) }).map(drop)
}

/// What tells one file from every other: device and inode.
pub type FileId = (u64, u64);

/// `fstatat(2)` below `folder`, links not followed: which file a name stands for, or `None`.
pub fn file_id_at(folder: &File, name: &OsStr) -> io::Result<Option<FileId>> {
    let name = c_string(name)?;
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstatat(2) reads a terminated string and writes to `status`.
    let result = uninterrupted(|| unsafe {
        libc::fstatat(
            folder.as_raw_fd(),
            name.as_ptr(),
            status.as_mut_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    });
    match result {
        Ok(_) => {
            // SAFETY: fstatat(2) has succeeded, so `status` is filled in.
            let status = unsafe { status.assume_init() };
            #[allow(clippy::unnecessary_cast)] // narrower on some architectures
            Ok(Some((status.st_dev as u64, status.st_ino as u64)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `mkdirat(2)` below `folder`.
pub fn make_folder_at(folder: &File, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: mkdirat(2) reads a terminated string that lives until after the call.
    checked(unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// `renameat2(2)` with `RENAME_EXCHANGE`: two names within one folder change places.
pub fn exchange_at(folder: &File, one: &OsStr, other: &OsStr) -> io::Result<()> {
    let (one, other) = (c_string(one)?, c_string(other)?);
    let fd = folder.as_raw_fd();
    // The system call itself: not every C library has a function for it.
    // SAFETY: renameat2(2) reads two terminated strings that live until after the call.
    uninterrupted(|| unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            fd,
            one.as_ptr(),
            fd,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        ) as c_int
    })
    .map(drop)
}

/// `unlinkat(2)` of a name that is no folder.
pub fn unlink_at(folder: &File, name: &OsStr) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: unlinkat(2) reads a terminated string that lives until after the call.
    uninterrupted(|| unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Takes the exclusive `flock(2)` of an open file if nobody else holds it; tells whether it did.
/// The lock is the open file's and goes when that is closed.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: flock(2) takes a descriptor, which is open as long as `file` is borrowed, and flags.
    match uninterrupted(|| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })
    {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether anybody has the file open for writing: a read lease (fcntl(2)) is granted only if
/// nobody has. `false` also where the system cannot tell: a file system without leases, a file
/// server, a file of somebody else's where this process is not privileged.
pub fn is_open_for_writing(file: &File) -> io::Result<bool> {
    const F_SETSIG: c_int = 10; // <asm-generic/fcntl.h>
    let fcntl = |command, argument: c_int| {
        // SAFETY: fcntl(2) takes with these commands a number, and `file` is open while borrowed.
        uninterrupted(|| unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })
    };
    // Whoever opens the file for writing while we have the lease waits until we give it back, and
    // we are sent a signal: not SIGIO, which ends a process, but one that is ignored by default.
    fcntl(F_SETSIG, libc::SIGURG)?;
    match fcntl(libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(_) => fcntl(libc::F_SETLEASE, libc::F_UNLCK).map(|_| false),
        Err(error) => Ok(error.kind() == io::ErrorKind::WouldBlock && !is_on_a_server(file)?),
    }
}

/// Whether the file is on another machine, by NFS or SMB: these refuse a lease, with the same
/// error, also where the server has promised them nothing.
fn is_on_a_server(file: &File) -> io::Result<bool> {
    const NFS: u32 = 0x6969;
    const SMB: [u32; 3] = [0x517b, 0xff53_4d42, 0xfe53_4d42]; // <linux/magic.h>
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs(2) writes to `found`, and has filled it in if it returns 0.
    let found = unsafe {
        checked(libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()))?;
        found.assume_init()
    };
    let kind = found.f_type as u32; // signed, and as long as a register, on some architectures
    Ok(kind == NFS || SMB.contains(&kind))
}

/// The names of a file's extended attributes, ACLs and labels among them. A file system that
/// knows none has none.
pub fn attribute_names(file: &File) -> io::Result<Vec<CString>> {
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
pub fn attribute(file: &File, name: &CStr) -> io::Result<Option<Vec<u8>>> {
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
pub fn set_attribute(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
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
pub fn remove_attribute(file: &File, name: &CStr) -> io::Result<()> {
    // SAFETY: fremovexattr(2) reads a terminated string.
    checked(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// The user whose rights this process acts with.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// An account of the system's user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name to log in with.
    pub name: OsString,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

/// The account called `name`, or `None`.
pub fn account_by_name(name: &OsStr) -> io::Result<Option<Account>> {
    let name = c_string(name)?;
    account(|entry, buffer, size, found| {
        // SAFETY: getpwnam_r(3) reads a terminated string, writes an entry to `entry`, its strings
        // to the `size` bytes of `buffer` and a pointer to `found`.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, size, found) }
    })
}

/// The account with the number `uid`, or `None`.
pub fn account_by_uid(uid: u32) -> io::Result<Option<Account>> {
    account(|entry, buffer, size, found| {
        // SAFETY: getpwuid_r(3) writes an entry to `entry`, its strings to the `size` bytes of
        // `buffer` and a pointer to `found`.
        unsafe { libc::getpwuid_r(uid, entry, buffer, size, found) }
    })
}

fn account(
    lookup: impl Fn(*mut libc::passwd, *mut c_char, usize, *mut *mut libc::passwd) -> c_int,
) -> io::Result<Option<Account>> {
    const LARGEST_ENTRY: usize = 1 << 20;
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
            0 if found.is_null() => return Ok(None),
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
fn groups_of(account: &Account) -> io::Result<Vec<libc::gid_t>> {
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

/// This thread's file-system rights while they are another account's; dropping it gives the old
/// ones back.
///
/// PAM's own `pam_modutil_drop_priv` changes the groups of the whole process, so that two logins
/// in two threads of one server could restore each other's. These calls go to the kernel
/// directly and change nothing but the calling thread: file-system user, file-system group and
/// supplementary groups. With a file-system user other than root the kernel also takes away the
/// capabilities that override file permissions (capabilities(7)), unless the process was started
/// with the securebit `no_setuid_fixup`; so they are taken away by name, and given back as they
/// were.
pub struct Rights {
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
    capabilities: Capabilities,
    // What a thread has is given back by that thread.
    not_send: std::marker::PhantomData<*const ()>,
}

impl Rights {
    /// Lets this thread touch files as `account` would.
    pub fn assume(account: &Account) -> io::Result<Rights> {
        let groups = groups_of(account)?;
        let former = Rights {
            uid: set_fs_user(ASK),
            gid: set_fs_group(ASK),
            groups: own_groups()?,
            capabilities: own_capabilities()?,
            not_send: std::marker::PhantomData,
        };
        // From here on every way out passes through the drop of `former`.
        set_groups(&groups)?;
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

impl Drop for Rights {
    fn drop(&mut self) {
        set_fs_user(self.uid);
        set_fs_group(self.gid);
        // Neither can fail: what was effective is still permitted, the capability that let the
        // groups be set is among it, and their number is one that the kernel has just reported.
        let _ = set_capabilities(&self.capabilities);
        let _ = set_groups(&self.groups);
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

/// The system call itself: the library's function of that name changes every thread.
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

/// Looks whether the process may have the memory that a login takes while it holds a lock.
///
/// The caller of a setuid program sets its limits. Where an allocation fails, Rust says so on the
/// standard error before it ends the process; that may be the caller's full pipe, and the process
/// would wait there, with the lock, for ever.
///
/// # Errors
/// The system refuses.
pub fn check_memory() -> io::Result<()> {
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

/// While it lives, nobody without root's rights can stop this thread: to be held with a lock that
/// others wait for. Dropping it gives back what was.
///
/// A setuid program keeps the real user of its caller, who may therefore send it SIGSTOP (kill(2)),
/// and it has the caller's terminal, where ^Z stops it. So the real and the saved user are root for
/// this thread, and the signals by which a terminal stops a process wait.
pub struct StopGuard {
    /// The real, the saved and the file-system user as they were; `None` if they stay.
    users: Option<[libc::uid_t; 3]>,
    signals: libc::sigset_t,
    // What a thread has is given back by that thread.
    not_send: std::marker::PhantomData<*const ()>,
}

impl StopGuard {
    /// Begins to protect this thread.
    ///
    /// # Errors
    /// The system refuses.
    pub fn begin() -> io::Result<StopGuard> {
        let signals = block_stop_signals()?;
        let mut guard = StopGuard {
            users: None,
            signals,
            not_send: std::marker::PhantomData,
        };
        let (real, effective, saved) = users()?;
        // Without CAP_SETUID the users could not be given back. Such a process is no setuid
        // program as it comes.
        if effective == 0 && (real, saved) != (0, 0) && may_set_users()? {
            // From here on every way out passes through the drop of `guard`.
            let over_files = set_fs_user(ASK);
            guard.users = Some([real, saved, over_files]);
            set_real_and_saved_user(0, 0)?;
            set_fs_user(over_files);
        }
        Ok(guard)
    }
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        if let Some([real, saved, over_files]) = self.users {
            // Cannot fail: the thread has the capability for it that it had when it began.
            let _ = set_real_and_saved_user(real, saved);
            set_fs_user(over_files);
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

/// The system call itself: the library's function of that name changes every thread. The effective
/// user stays; the kernel sets the file-system user to that.
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

/// This machine's name.
pub fn host_name() -> OsString {
    let mut name = vec![0u8; 256];
    // SAFETY: gethostname(2) writes at most `name.len()` bytes to `name`.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let length = name.iter().position(|&byte| byte == 0);
    name.truncate(if result == 0 { length.unwrap_or(0) } else { 0 });
    OsString::from_vec(name)
}

/// `crypt(3)`: the hash of `phrase` with the method, the cost and the salt that `setting` (a hash
/// may stand there) begins with. `None` if there is no libcrypt or it does not know the method.
///
/// The library is loaded when a hash is met, so that all other logins do not pay for it.
pub fn crypt(phrase: &[u8], setting: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    type CryptR =
        unsafe extern "C" fn(*const c_char, *const c_char, *mut libc::c_void) -> *mut c_char;
    /// Room for `struct crypt_data`: 32 KiB in libxcrypt, 128 KiB in older C libraries.
    const CRYPT_DATA: usize = 160 * 1024;

    let terminated = |text: &[u8]| {
        let mut terminated = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        terminated.extend_from_slice(text);
        terminated.push(0);
        (!text.contains(&0)).then_some(terminated)
    };
    let (phrase, setting) = (terminated(phrase)?, terminated(setting)?);
    let library = Library::open(&[c"libcrypt.so.1", c"libcrypt.so.2"])?;
    let function = library.symbol(c"crypt_r")?;
    // SAFETY: the name stands for the function of crypt_r(3), which has this signature.
    let crypt_r: CryptR = unsafe { std::mem::transmute(function) };
    // Words of 64 bits, so that it is aligned like any structure of C.
    let mut data = Zeroizing::new(vec![0u64; CRYPT_DATA / 8]);
    // SAFETY: crypt_r(3) reads two terminated strings and works in the structure it is given,
    // which is large enough and zeroed as the page asks; it returns null or a terminated string
    // inside of it. The library stays loaded until `library` is dropped.
    let hash = unsafe {
        let hash = crypt_r(
            phrase.as_ptr().cast(),
            setting.as_ptr().cast(),
            data.as_mut_ptr().cast(),
        );
        if hash.is_null() {
            return None;
        }
        Zeroizing::new(CStr::from_ptr(hash).to_bytes().to_vec())
    };
    // "*0" and "*1" stand for a failure.
    (!hash.starts_with(b"*")).then_some(hash)
}

/// A shared library, for as long as it is needed.
struct Library(std::ptr::NonNull<libc::c_void>);

impl Library {
    /// Loads the first of `names` that can be had.
    fn open(names: &[&CStr]) -> Option<Library> {
        names.iter().find_map(|name| {
            // SAFETY: dlopen(3) reads a terminated string; the system's library of that name
            // runs nothing on loading that would disturb this process.
            let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            std::ptr::NonNull::new(library).map(Library)
        })
    }

    fn symbol(&self, name: &CStr) -> Option<std::ptr::NonNull<libc::c_void>> {
        // SAFETY: dlsym(3) takes an open library and a terminated string.
        std::ptr::NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: dlclose(3) of a library that was opened once and is closed once.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
