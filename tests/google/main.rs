//! What a login with `~/.google_authenticator` answers: the measured cases of Google's module, and
//! where this module differs from it.

mod accounts;
mod answer;
mod cases;
mod differences;
mod limits;
mod property;
mod spelling;
mod table;
