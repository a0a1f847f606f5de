//! `oathctl`: enrols, lists, checks and edits the tokens that `pam_oath` asks for.
//!
//! One file for each subcommand, and below them what they share:
//!
//! - [`system`]: which usersfile, which PAM services, what time it is
//! - [`pam_config`]: the lines of the PAM configuration that name the module
//! - [`terminal`]: questions, secrets without echo, Ctrl-C
//! - [`output`]: text, tables and JSON on standard output, warnings on standard error
//! - [`error`]: what goes wrong, and the exit codes

#![forbid(unsafe_code)]

mod check;
mod error;
mod import;
mod list;
mod output;
mod pam_config;
mod system;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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

Example:
  oathctl list";

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Import(import::Import),
    List(list::List),
}

impl Command {
    fn run(self, system: &System) -> Result<ExitCode, Error> {
        match self {
            Command::Check(check) => check.run(system),
            Command::Import(import) => import.run(system),
            Command::List(list) => list.run(system),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = terminal::catch_signals().and_then(|()| cli.command.run(&cli.system));
    result.unwrap_or_else(|error| error.report())
}
