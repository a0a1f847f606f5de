//! `oathctl`: enrols, lists, checks and edits the tokens that `pam_oath` asks for.
//!
//! One file for each subcommand, and below them what they share, from the command line down:
//!
//! - [`system`]: which usersfile, which PAM services, what time it is
//! - [`pam_config`]: the lines of the PAM configuration that name the module
//! - [`tokens`]: which tokens of the usersfile a command means
//! - [`drift`]: how far a token is off
//! - [`secret`], [`pin`], [`proof`]: what goes into a new token, and the code that proves it
//! - [`card`], [`otpauth`], [`qr`]: a token as its user takes it into an app
//! - [`merge`]: what was edited, together with the logins that came meanwhile
//! - [`files`]: files that the command line names, safe from whoever owns a folder on the way
//! - [`terminal`]: questions, secrets without echo, Ctrl-C
//! - [`output`]: text, tables and JSON on standard output, warnings on standard error
//! - [`error`]: what goes wrong, and the exit codes

#![forbid(unsafe_code)]

mod add;
mod backup_codes;
mod card;
pub mod check;
mod completions;
mod disable;
mod drift;
mod edit;
mod error;
mod files;
mod import;
mod list;
mod merge;
mod otpauth;
mod output;
mod pam_config;
mod pin;
mod proof;
mod qr;
mod remove;
mod resync;
mod secret;
mod show;
mod system;
mod terminal;
mod throttle;
mod tokens;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;

use error::Error;
use system::System;

/// Enrol, check and edit the tokens of pam_oath.
#[derive(Parser)]
#[command(name = "oathctl", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    system: System,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it could not be done, and standard error says why
  2  the command line is wrong
What they mean for verify and check, their own --help tells.

Example:
  oathctl list";

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
    Enable(disable::Enable),
    Import(import::Import),
    Check(check::Check),
    Throttle(throttle::Throttled),
    Completions(completions::Completions),
}

impl Command {
    fn run(self, system: &System) -> Result<ExitCode, Error> {
        match self {
            Command::Add(add) => add.run(system),
            Command::List(list) => list.run(system),
            Command::Show(show) => show.run(system),
            Command::Verify(verify) => verify.run(system),
            Command::Resync(resync) => resync.run(system),
            Command::BackupCodes(backup_codes) => backup_codes.run(system),
            Command::Edit(edit) => edit.run(system),
            Command::Remove(remove) => remove.run(system),
            Command::Disable(disable) => disable.run(system),
            Command::Enable(enable) => enable.run(system),
            Command::Import(import) => import.run(system),
            Command::Check(check) => check.run(system),
            Command::Throttle(throttled) => throttled.run(system),
            Command::Completions(completions) => completions.run(),
        }
    }
}

/// Runs the command that the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Nothing that is written here, or by the editor, is for others, and all of it for the owner.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let result = terminal::catch_signals().and_then(|()| cli.command.run(&cli.system));
    result.unwrap_or_else(|error| error.report())
}
