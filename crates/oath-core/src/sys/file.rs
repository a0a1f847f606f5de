//! Files by their name in an open folder: openat(2) and its family, locks and leases.

use std::ffi::{OsStr, OsString, c_char, c_int};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{c_string, checked, uninterrupted};

/// `openat(2)` below `folder`, with `O_NOFOLLOW` and `O_CLOEXEC` added to `flags`. `mode` counts
/// where the flags create a file. The descriptor is never one of the standard ones.
///
/// # Errors
/// What openat(2) says; EINVAL for a name with a NUL byte, in this function and those below.
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

/// `open(2)` of a folder as a mere path. The descriptor is never one of the standard ones.
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    above_standard(File::options().read(true).custom_flags(flags).open(path)?)
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
pub(crate) fn read_link(link: &File) -> io::Result<OsString> {
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
pub(crate) fn rename_at(folder: &File, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let fd = folder.as_raw_fd();
    // SAFETY: renameat(2) reads two terminated strings that live until after the call.
    uninterrupted(|| unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) }).map(drop)
}

/// What tells one file from every other: device and inode.
pub type FileId = (u64, u64);

/// `fstatat(2)` below `folder`, links not followed: which file a name stands for, or `None`.
///
/// # Errors
/// What fstatat(2) says, unless that is "no such file".
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
pub(crate) fn make_folder_at(folder: &File, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: mkdirat(2) reads a terminated string that lives until after the call.
    checked(unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// `renameat2(2)` with `RENAME_EXCHANGE`: two names within one folder change places.
pub(crate) fn exchange_at(folder: &File, one: &OsStr, other: &OsStr) -> io::Result<()> {
    rename_with(folder, one, other, libc::RENAME_EXCHANGE)
}

/// `renameat2(2)` with `RENAME_NOREPLACE`: a file gets a name within one folder that no other has.
pub(crate) fn rename_new_at(folder: &File, from: &OsStr, to: &OsStr) -> io::Result<()> {
    rename_with(folder, from, to, libc::RENAME_NOREPLACE)
}

fn rename_with(folder: &File, from: &OsStr, to: &OsStr, flags: libc::c_uint) -> io::Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let fd = folder.as_raw_fd();
    // The system call itself: not every C library has a function for it.
    // SAFETY: renameat2(2) reads two terminated strings that live until after the call.
    uninterrupted(|| unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            fd,
            from.as_ptr(),
            fd,
            to.as_ptr(),
            flags,
        ) as c_int
    })
    .map(drop)
}

/// `unlinkat(2)` of a name that is no folder.
///
/// # Errors
/// What unlinkat(2) says.
pub fn unlink_at(folder: &File, name: &OsStr) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: unlinkat(2) reads a terminated string that lives until after the call.
    uninterrupted(|| unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Takes the exclusive `flock(2)` of an open file if nobody else holds it; tells whether it did.
/// The lock is the open file's and goes when that is closed.
///
/// # Errors
/// What flock(2) says, unless that is "locked by somebody else".
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: flock(2) takes a descriptor, which is open as long as `file` is borrowed, and flags.
    match uninterrupted(|| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })
    {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Releases the `flock(2)` of an open file.
pub fn unlock(file: &File) {
    // Cannot fail for a file that is locked.
    // SAFETY: flock(2) takes a descriptor, which is open as long as `file` is borrowed, and flags.
    let _ = uninterrupted(|| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) });
}

/// Whether anybody has the file open for writing: a read lease (fcntl(2)) is granted only if
/// nobody has. `false` also where the system cannot tell: a file system without leases, a file
/// server, a file of somebody else's where this process is not privileged.
pub(crate) fn is_open_for_writing(file: &File) -> io::Result<bool> {
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

/// Makes all that was written to the file system of this file durable, names included (syncfs(2)).
pub(crate) fn flush_file_system(file: &File) -> io::Result<()> {
    // SAFETY: syncfs(2) takes a descriptor, which is open for as long as the reference lives.
    checked(unsafe { libc::syncfs(file.as_raw_fd()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn in_a_program_started_without_its_standard_descriptors_no_file_gets_one_of_them() {
        const THIS: &str = "sys::file::tests::in_a_program_started_without_its_standard_descriptors_\
                            no_file_gets_one_of_them";
        const IN_CHILD: &str = "OATH_CORE_WITHOUT_DESCRIPTORS";
        if std::env::var_os(IN_CHILD).is_none() {
            // In a process of its own, since all the tests of one share these descriptors.
            let mut child = Command::new(std::env::current_exe().unwrap());
            let child = child.args(["--exact", THIS]).env(IN_CHILD, "1").output();
            let child = child.unwrap();
            let said = String::from_utf8(child.stdout).unwrap();
            assert!(
                child.status.success() && said.contains("1 passed"),
                "{said}"
            );
            return;
        }
        let folder = File::open("/").unwrap();
        for standard in 0..=2 {
            // SAFETY: dup(2) takes a number and returns a descriptor that nobody else knows.
            let kept = unsafe { OwnedFd::from_raw_fd(checked(libc::dup(standard)).unwrap()) };
            // SAFETY: close(2) takes a number; the test's own output waits until it is back.
            unsafe { libc::close(standard) };
            let file = open_at(&folder, OsStr::new("etc"), libc::O_PATH, 0).unwrap();
            let descriptor = file.as_raw_fd();
            // SAFETY: fcntl(2) takes no more with this command.
            let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
            // SAFETY: dup2(2) takes two numbers, and `kept` is open.
            unsafe { libc::dup2(kept.as_raw_fd(), standard) };
            assert!(descriptor > 2, "{descriptor} where {standard} was free");
            assert_eq!(
                flags,
                libc::FD_CLOEXEC,
                "no program gets it that is started"
            );
        }
    }
}
