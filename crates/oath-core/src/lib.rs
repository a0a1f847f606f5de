//! What a login with a one-time password is (HOTP, RFC 4226; TOTP, RFC 6238), without PAM: with the
//! usersfile and the arguments of OATH Toolkit's `pam_oath`.
//!
//! The modules from the top down; but for the arguments, which all may ask for, each uses only what
//! stands below it:
//!
//! - [`options`]: the arguments of an auth line.
//! - [`attempt`]: one response: throttle, lock, decide, record.
//! - [`store`]: where a user's tokens are kept, and where it is recorded what was used.
//! - [`lookup`]: under which name, and in which file, a user has a token.
//! - [`login`]: the decision, by the user's tokens, what was typed and the time.
//! - [`google`]: the secret file of Google's PAM module, in place of lookup, store, login and usersfile.
//! - [`pin`]: the PIN field, and whether what was typed fits it.
//! - [`state`]: what is kept beside the usersfile: the failures of a user, the journal.
//! - [`usersfile`]: what a line means, which lines are a user's, the template of `usersfile=`.
//! - [`fs`]: a file replaced safely, whoever it belongs to.
//! - [`otp`]: the codes, and the search of a window in constant time.
//! - [`sys`]: system calls behind safe signatures, the clock and the system's time zone.
//! - [`local_time`]: the local time of LAST-TIME.
//! - [`number`]: numbers as C reads them.
//! - [`plain_text`]: which characters of a name may be shown.
//! - [`hex`]: bytes as hexadecimal digits.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod attempt;
pub mod fs;
pub mod google;
pub mod hex;
pub mod local_time;
pub mod login;
pub mod lookup;
mod number;
pub mod options;
pub mod otp;
pub mod pin;
pub mod plain_text;
pub mod state;
pub mod store;
pub mod sys;
pub mod usersfile;
