//! `oathctl`, its manual, and its walk of a PAM stack.

mod check;
mod edit;
mod enrol;
mod export;
mod generated;
mod google_authenticator;
mod import;
mod import_samples;
mod list_show_verify;
mod manual;
mod manual_google;
mod moving;
mod opens;
mod scripts;
mod secret_file;
mod stack;
mod terminal;
mod throttle;
