//! The barest application: it keeps no copy of what is typed, and looks at its own credentials.
//!
//! `pam_bare CONFDIR SERVICE USER RESPONSE [USER RESPONSE]...` logs every USER in, each in a
//! thread of its own and all at the same moment; RESPONSE is the file that holds what this user
//! types. With `--one-by-one` before CONFDIR they log in after each other in the main thread.
//!
//! It prints `USER RC` for each login, and a second line where a login left its thread with other
//! credentials than before. Then `authenticated`, while every transaction is still open, and waits
//! for a line on standard input; then it ends the transactions, prints `ended`, waits again, goes.

use std::env;
use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fs;
use std::io::stdin;
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::sync::Barrier;

fn main() {
    let mut arguments: Vec<CString> = env::args_os()
        .skip(1)
        .map(|argument| CString::new(OsString::into_vec(argument)).unwrap())
        .collect();
    let one_by_one = arguments[0].as_c_str() == c"--one-by-one";
    if one_by_one {
        arguments.remove(0);
    }
    let [confdir, service, logins @ ..] = &arguments[..] else {
        panic!("pam_bare CONFDIR SERVICE USER RESPONSE...");
    };
    let logins: Vec<Login> = logins
        .chunks(2)
        .map(|pair| Login::start(confdir, service, &pair[0], &pair[1]))
        .collect();

    if one_by_one {
        for login in &logins {
            println!("{}", login.authenticate());
        }
    } else {
        let start = Barrier::new(logins.len());
        std::thread::scope(|scope| {
            for login in &logins {
                scope.spawn(|| {
                    start.wait();
                    println!("{}", login.authenticate());
                });
            }
        });
    }
    println!("authenticated");
    wait();
    drop(logins);
    println!("ended");
    wait();
}

fn wait() {
    stdin().read_line(&mut String::new()).unwrap();
}

/// What the kernel lets this thread do, as /proc has it.
fn credentials() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let is_credential = |line: &&str| {
        ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    status
        .lines()
        .filter(is_credential)
        .collect::<Vec<_>>()
        .join("; ")
}

/// One transaction, ended when dropped.
struct Login {
    user: CString,
    handle: *mut pam_sys::pam_handle,
}

// SAFETY: PAM ties no handle to a thread; each is used by one thread at a time, the one that
// authenticates and, after that has ended, the main thread.
unsafe impl Sync for Login {}

impl Login {
    fn start(confdir: &CStr, service: &CStr, user: &CStr, response: &CStr) -> Login {
        let mut conversation = pam_sys::pam_conv {
            conv: converse,
            appdata_ptr: response.as_ptr().cast_mut().cast(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: all strings are terminated and PAM copies them and the conversation; what that
        // points to are arguments of this process, which stay.
        let rc = unsafe {
            pam_sys::pam_start_confdir(
                service.as_ptr(),
                user.as_ptr(),
                &raw mut conversation,
                confdir.as_ptr(),
                &raw mut handle,
            )
        };
        assert_eq!(rc, pam_sys::PAM_SUCCESS, "pam_start_confdir");
        Login {
            user: user.to_owned(),
            handle,
        }
    }

    fn authenticate(&self) -> String {
        let before = credentials();
        // SAFETY: the handle is live, and so is the conversation it points to.
        let rc = unsafe { pam_sys::pam_authenticate(self.handle, 0) };
        let after = credentials();
        let mut report = format!("{} {rc}", self.user.to_string_lossy());
        if before != after {
            report += &format!("\n{before} has become {after}");
        }
        report
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used after this.
        unsafe { pam_sys::pam_end(self.handle, pam_sys::PAM_SUCCESS) };
    }
}

/// Reads the response straight into the memory that PAM gets.
unsafe extern "C" fn converse(
    count: c_int,
    _messages: *const *const pam_sys::pam_message,
    responses: *mut *mut pam_sys::pam_response,
    path: *mut c_void,
) -> c_int {
    const MOST: usize = 512;
    assert_eq!(count, 1, "the module asks one question at a time");
    // SAFETY: the path is the terminated string of Login::start. calloc(3) returns zeroed memory,
    // which read(2) fills up to the byte that ends the string; PAM frees both with free(3).
    unsafe {
        let array: *mut pam_sys::pam_response =
            libc::calloc(1, size_of::<pam_sys::pam_response>()).cast();
        let text: *mut c_char = libc::calloc(1, MOST + 1).cast();
        let file = libc::open(path.cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        assert!(libc::read(file, text.cast(), MOST) >= 0, "a response");
        libc::close(file);
        (*array).resp = text;
        *responses = array;
    }
    pam_sys::PAM_SUCCESS
}
