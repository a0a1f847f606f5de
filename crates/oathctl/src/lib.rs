//! `oathctl`: enrols, lists, checks and edits the tokens that `pam_oath` asks for.
//!
//! One file for each subcommand, and [`google_authenticator`] for the command of that name, which is a
//! program of its own. What they share, from the command line down:
//!
//! - [`config`]: which usersfile, which PAM services, what time it is
//! - [`pam_config`]: the lines of the PAM configuration that name the module
//! - [`secret_file`]: the same commands on a user's file of Google's module
//! - [`tokens`]: which tokens of the usersfile a command means
//! - [`drift`]: how far a token is off
//! - [`secret`], [`pin`], [`confirm`]: the secret and the PIN of a new token, and the code that
//!   confirms that the user's app has it
//! - [`provisioning`], [`otpauth`], [`qr`]: a token in the forms that authenticator apps read
//! - [`merge`]: an edited usersfile merged with the logins recorded since it was read
//! - [`files`]: files that the command line names, read and created free of path races
//! - [`programs`]: the system's own programs, and where they are looked for
//! - [`terminal`]: questions, secrets without echo, Ctrl-C
//! - [`output`]: text, tables and JSON on standard output, warnings on standard error
//! - [`error`]: errors and their exit codes

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "only `check::stack` and the importers are public, for tests"
)]

mod add;
mod backup_codes;
pub mod check;
mod completions;
mod config;
mod confirm;
mod disable;
mod drift;
mod edit;
mod enable;
mod error;
mod export;
mod files;
mod google_authenticator;
mod import;
mod list;
mod merge;
mod moving;
mod otpauth;
mod output;
mod pam_config;
mod pin;
mod programs;
mod provisioning;
mod qr;
mod remove;
mod replaceable;
mod resync;
mod secret;
mod secret_file;
mod show;
mod terminal;
mod throttle;
mod tokens;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;

use config::Config;
use error::Error;

pub use google_authenticator::main as google_authenticator_main;
#[doc(hidden)]
pub use import::any_bytes as import_any_bytes;

/// Enrol, check and edit the tokens of pam_oath.
#[derive(Parser)]
#[command(name = "oathctl", version, after_help = help_end(), max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Command,
}

/// The exit codes stand in `--help` once, so here is an example, too.
fn help_end() -> String {
    format!("{}\n\nExample:\n  oathctl list", error::EXIT_CODES)
}

#[derive(Subcommand)]
enum Command {
    Add(add::Add),
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Resync(resync::Resync),
    BackupCodes(backup_codes::BackupCodes),
    Edit(edit::Edit),
    Remove(remove::Remove),
    Disable(disable::Disable),
    Enable(enable::Enable),
    Import(import::Import),
    Export(export::Export),
    Split(moving::Split),
    Join(moving::Join),
    Check(check::Check),
    Throttle(throttle::Throttled),
    Completions(completions::Completions),
}

impl Command {
    fn run(self, config: &Config) -> Result<ExitCode, Error> {
        match self {
            Command::Add(add) => add.run(config),
            Command::List(list) => list.run(config),
            Command::Show(show) => show.run(config),
            Command::Verify(verify) => verify.run(config),
            Command::Resync(resync) => resync.run(config),
            Command::BackupCodes(backup_codes) => backup_codes.run(config),
            Command::Edit(edit) => edit.run(config),
            Command::Remove(remove) => remove.run(config),
            Command::Disable(disable) => disable.run(config),
            Command::Enable(enable) => enable.run(config),
            Command::Import(import) => import.run(config),
            Command::Export(export) => export.run(config),
            Command::Split(split) => split.run(config),
            Command::Join(join) => join.run(config),
            Command::Check(check) => check.run(config),
            Command::Throttle(throttled) => throttled.run(config),
            Command::Completions(completions) => completions.run(),
        }
    }
}

/// Runs the command that the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = begin().and_then(|()| cli.command.run(&cli.config));
    result.unwrap_or_else(|error| error.report())
}

/// What each program does before anything else.
fn begin() -> Result<(), Error> {
    // Files that the tool or the editor creates are the owner's alone, whatever umask it inherits.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    terminal::catch_signals()
}
