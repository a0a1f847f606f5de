//! The shared object that PAM loads in place of Google's `pam_google_authenticator`: the same
//! arguments, the same file `~/.google_authenticator`.
//!
//! PAM entry points stand here, one login from top to bottom in [`authenticate`]. The rest is the
//! library `oath_core`, its module `google` above all.

#![deny(unsafe_code)]

mod authenticate;

use std::ffi::{c_char, c_int};

/// PAM's service function for authentication, pam_sm_authenticate(3).
///
/// # Safety
/// To be called by libpam, as that page says: with a valid handle and `argc` terminated strings.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_authenticate(
    pamh: *mut pam_sys::pam_handle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: by this function's own contract, which is libpam's.
    unsafe {
        pam_handle::serve(
            pamh,
            (argc, argv),
            "pam_google_authenticator",
            authenticate::respond,
        )
    }
}

/// PAM's service function for credentials, pam_sm_setcred(3). There are none to set.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_setcred(
    _pamh: *mut pam_sys::pam_handle,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    pam_sys::PAM_SUCCESS
}
