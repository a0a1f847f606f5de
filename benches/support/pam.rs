//! One login through libpam, as an application does it, and the clocks to measure it with.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::time::Duration;

/// A login from `pam_start` to `pam_end`: libpam reads the service's configuration, loads the
/// module, asks it, and unloads it. Returns what `pam_authenticate` says.
// Not inlined and not renamed: callgrind counts from its first instruction to its last.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn one_login(confdir: &CStr, service: &CStr, user: &CStr, code: &CStr) -> c_int {
    let mut conversation = pam_sys::pam_conv {
        conv: answer,
        appdata_ptr: code.as_ptr().cast_mut().cast(),
    };
    let mut handle = ptr::null_mut();
    // SAFETY: pam_start_confdir(3) reads terminated strings that live until after pam_end, copies
    // the conversation and stores a handle, which the other two calls get while it is valid.
    unsafe {
        let started = pam_sys::pam_start_confdir(
            service.as_ptr(),
            user.as_ptr(),
            &raw mut conversation,
            confdir.as_ptr(),
            &raw mut handle,
        );
        assert_eq!(started, pam_sys::PAM_SUCCESS, "pam_start_confdir");
        let result = pam_sys::pam_authenticate(handle, 0);
        pam_sys::pam_end(handle, result);
        result
    }
}

/// Types the code at every prompt.
extern "C" fn answer(
    count: c_int,
    _messages: *const *const pam_sys::pam_message,
    responses: *mut *mut pam_sys::pam_response,
    code: *mut c_void,
) -> c_int {
    // SAFETY: `code` is the string that `one_login` holds; PAM takes an array of `count` responses
    // from malloc(3), each with a string from there, and frees them.
    unsafe {
        let array: *mut pam_sys::pam_response =
            libc::calloc(count as usize, size_of::<pam_sys::pam_response>()).cast();
        for n in 0..count as usize {
            (*array.add(n)).resp = libc::strdup(code.cast());
        }
        *responses = array;
    }
    pam_sys::PAM_SUCCESS
}

/// What to measure a login with.
#[derive(Clone, Copy)]
pub enum Clock {
    /// Time as a person who logs in sees it.
    Wall,
    /// What the processor spent on this thread.
    Processor,
}

impl Clock {
    pub fn now(self) -> Duration {
        let clock = match self {
            Clock::Wall => libc::CLOCK_MONOTONIC,
            Clock::Processor => libc::CLOCK_THREAD_CPUTIME_ID,
        };
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: clock_gettime(2) writes to the timespec it is given.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}

/// In place of the C library's openlog: pam_google_authenticator asks it to write to the console
/// where no syslog daemon runs, and from then on every module's lines would wait for that.
#[unsafe(no_mangle)]
extern "C" fn openlog(_ident: *const libc::c_char, _option: c_int, _facility: c_int) {}
