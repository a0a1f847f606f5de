//! The shared object that PAM loads: one-time passwords (HOTP, RFC 4226; TOTP, RFC 6238) with the
//! usersfile and the arguments of OATH Toolkit's `pam_oath`.
//!
//! PAM entry points stand here, one login from top to bottom in [`authenticate`]. What PAM lets a
//! module do is the library `pam_handle`. What a login is, without PAM, is the library `oath_core`.

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
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let silent = flags & pam_sys::PAM_SILENT != 0;
    // SAFETY: by this function's own contract, which is libpam's.
    unsafe {
        pam_handle::serve(pamh, (argc, argv), "pam_oath", |handle, arguments| {
            authenticate::respond(handle, arguments, silent)
        })
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
