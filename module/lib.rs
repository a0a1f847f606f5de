//! The shared object that PAM loads: the two functions that it calls, and what they need.

pub use pam_oath::pam::{pam_sm_authenticate, pam_sm_setcred};
