//! `oathctl`, its manual, and its walk of a PAM stack.

mod check;
mod edit;
mod enrol;
mod import;
mod import_samples;
mod list_show_verify;
mod manual;
mod opens;
mod stack;
mod terminal;
mod throttle;
