//! What a login with a one-time password is (HOTP, RFC 4226; TOTP, RFC 6238), without PAM: with the
//! usersfile and the arguments of OATH Toolkit's `pam_oath`.
//!
//! The modules in the order in which a login meets them; each uses only what stands below it:
//!
//! - [`options`]: the arguments of an auth line.
//! - [`lookup`]: under which name the user has a token.
//! - [`attempt`]: one response: throttle, lock, decide, record.
//! - [`throttle`]: how long a user waits after failures.
//! - [`login`]: the decision. The user's tokens, what was typed and the time give a verdict and
//!   what to record.
//! - [`pin`]: the PIN field, and whether what was typed fits it.
//! - [`usersfile`]: the file. What a line means, whose path it is, the lock, the replacement.
//! - [`otp`]: the codes, and the search of a window in constant time.
//! - [`clock`]: the time, and the system's time zone.
//! - [`sys`]: the system calls that need `unsafe`.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod attempt;
pub mod clock;
pub mod local_time;
pub mod login;
pub mod lookup;
pub mod options;
pub mod otp;
pub mod pin;
pub mod store;
pub mod sys;
pub mod throttle;
pub mod usersfile;
