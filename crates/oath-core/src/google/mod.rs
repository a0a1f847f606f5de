//! The secret file of Google's PAM module, `~/.google_authenticator`: its format, the arguments of
//! its line in the PAM configuration, and the decision about a response.
//!
//! - [`options`]: the arguments.
//! - [`secret_file`]: where the file is, and how it is read and replaced.
//! - [`login`]: the decision. Pure: values go in and come out.
//! - [`format`](mod@format): the text of the file, and changes of it.
//! - [`edit`]: the file as the tools write it, [`new_file`]: the text of a new one.

#![forbid(unsafe_code)]

pub mod edit;
pub mod format;
pub mod login;
pub mod new_file;
pub mod options;
pub mod secret_file;
