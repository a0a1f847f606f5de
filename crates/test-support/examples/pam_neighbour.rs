//! The modules before and after the one under test. With the argument `set` it sets PAM_AUTHTOK as
//! a password module would have; with `record` it notes what it finds there. Both go through PAM's
//! environment, because PAM shows PAM_AUTHTOK to modules only, and any byte gets through it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use test_support::protocol::{AUTHTOK_AFTERWARDS, STACKED_AUTHTOK};

#[unsafe(no_mangle)]
extern "C" fn pam_sm_authenticate(
    pamh: *mut pam_sys::pam_handle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    for i in 0..argc as usize {
        // SAFETY: libpam passes argc arguments, each a string that lives as long as this call.
        match unsafe { CStr::from_ptr(*argv.add(i)) }.to_bytes() {
            b"set" => set(pamh),
            b"record" => record(pamh),
            other => panic!("pam_neighbour has no argument {other:?}"),
        }
    }
    pam_sys::PAM_IGNORE
}

#[unsafe(no_mangle)]
extern "C" fn pam_sm_setcred(
    _pamh: *mut pam_sys::pam_handle,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    pam_sys::PAM_IGNORE
}

fn set(pamh: *mut pam_sys::pam_handle) {
    let name = CString::new(STACKED_AUTHTOK).unwrap();
    // SAFETY: pamh is the handle libpam called with, name ends in NUL; PAM copies what it is given.
    unsafe {
        let token = pam_sys::pam_getenv(pamh, name.as_ptr());
        if !token.is_null() {
            pam_sys::pam_set_item(pamh, pam_sys::PAM_AUTHTOK, token.cast());
        }
    }
}

fn record(pamh: *mut pam_sys::pam_handle) {
    let mut token: *const c_void = std::ptr::null();
    // SAFETY: pamh is the handle libpam called with, and token outlives the call that fills it.
    unsafe { pam_sys::pam_get_item(pamh, pam_sys::PAM_AUTHTOK, &raw mut token) };
    if token.is_null() {
        return;
    }
    // SAFETY: PAM_AUTHTOK is a string, PAM's own until the item is set again.
    let token = unsafe { CStr::from_ptr(token.cast()) }.to_bytes();
    let entry = CString::new([AUTHTOK_AFTERWARDS.as_bytes(), b"=", token].concat()).unwrap();
    // SAFETY: as above; PAM copies the entry.
    unsafe { pam_sys::pam_putenv(pamh, entry.as_ptr()) };
}
