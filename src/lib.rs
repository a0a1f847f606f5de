//! The shared object that PAM loads: one-time passwords (HOTP, RFC 4226; TOTP, RFC 6238) with the
//! usersfile and the arguments of OATH Toolkit's `pam_oath`.
//!
//! PAM entry points stand here, one login from top to bottom in [`authenticate`], and what PAM lets
//! a module do in [`handle`]. What a login is, without PAM, is the library `oath_core`.

#![deny(unsafe_code)]

mod authenticate;
mod handle;

use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pam_sys::pam_handle;
use zeroize::optimization_barrier;

use handle::{Handle, Priority};

/// PAM's service function for authentication, pam_sm_authenticate(3).
///
/// # Safety
/// To be called by libpam, as that page says: with a valid handle and `argc` terminated strings.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pam_sm_authenticate(
    pamh: *mut pam_handle,
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // The standard library would print a panic's message, which may hold anything, to the
    // standard error of somebody else's process.
    std::panic::set_hook(Box::new(|_| {}));
    // SAFETY: both by this function's own contract, which is libpam's.
    let (handle, arguments) = unsafe { (Handle::from_raw(pamh), handle::arguments(argc, argv)) };
    let Some(handle) = handle else {
        return pam_sys::PAM_SERVICE_ERR;
    };
    let silent = flags & pam_sys::PAM_SILENT != 0;
    let code = guarded(&handle, || {
        authenticate::respond(&handle, &arguments, silent)
    });
    wipe_stack();
    code
}

/// PAM's service function for credentials, pam_sm_setcred(3). There are none to set.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn pam_sm_setcred(
    _pamh: *mut pam_handle,
    _flags: c_int,
    _argc: c_int,
    _argv: *const *const c_char,
) -> c_int {
    pam_sys::PAM_SUCCESS
}

/// Keeps a panic from crossing into C: it is logged and denied.
fn guarded(handle: &Handle, call: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        handle.log(
            Priority::Critical,
            "denied: internal error; please report it to the authors of pam_oath",
        );
        // What was thrown may panic itself when it is dropped; a few bytes are the lesser evil.
        std::mem::forget(panic);
        pam_sys::PAM_AUTH_ERR
    })
}

/// Overwrites the stack that the login has used, where the compiler may have left copies of a
/// secret that no destructor knows.
#[inline(never)]
fn wipe_stack() {
    // Without optimisation every call takes more of it.
    const USED: usize = if cfg!(debug_assertions) { 96 } else { 32 } << 10;
    let used = [0u8; USED];
    // The zeros must be there, since somebody looks at them.
    optimization_barrier(&used);
}
