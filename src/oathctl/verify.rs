//! `oathctl verify`

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use pam_oath::login::{self, MAX_WINDOW, Refusal, Verdict};
use pam_oath::otp::Code;
use pam_oath::usersfile::UserLine;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::drift::Drift;
use crate::error::Error;
use crate::output;
use crate::system::{Service, System};
use crate::terminal::Terminal;
use crate::tokens::{DisplayName, user_name};
use crate::{attempt, secret};

/// Ask for a code and tell what the module would answer, and why; nothing is recorded
#[derive(Args)]
#[command(after_help = "Exit codes:
  0  the code would be accepted
  1  it would be refused
  2  the command line is wrong

Examples:
  oathctl verify alice
  echo 123456 | oathctl verify alice --code - --json")]
pub struct Verify {
    #[arg(value_parser = user_name())]
    user: OsString,

    /// Read the code from standard input, as it is typed at login
    #[arg(long, value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    code: Option<String>,

    /// Answer as the module does for this PAM service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// Another window than the PAM service has
    #[arg(long, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_WINDOW)))]
    window: Option<u32>,

    /// For scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` says.
#[derive(Serialize)]
struct Answer {
    accepted: bool,
    /// Why not.
    reason: Option<String>,
    line: Option<usize>,
    /// How many codes or time steps the token is ahead (behind if negative), where known.
    steps: Option<i64>,
    #[serde(skip)]
    drift: Option<Drift>,
}

impl Verify {
    pub fn run(self, system: &System) -> Result<ExitCode, Error> {
        let usersfile = system.usersfile(Some(&self.user))?;
        let mut service = system.service(self.service.as_deref())?;
        service.options.window = self.window.unwrap_or(service.options.window);
        let response = self.response(&service)?;
        let (pin, otp) = login::split(response.as_bytes(), service.options.digits);
        let window = service.options.window;
        let now = system.now()?;
        let (answer, warnings) = usersfile.update(&self.user, |lines| {
            let verdict = attempt::decide(lines, pin, otp, window, now);
            (
                verdict.map(|verdict| Answer::new(&verdict, lines, otp, now)),
                None,
            )
        })?;
        warnings.iter().for_each(|warning| output::warn(warning));
        let answer = answer?;
        if self.json {
            output::print_json(&answer)?;
        } else {
            output::print(&answer.to_text(&service))?;
        }
        Ok(if answer.accepted {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn response(&self, service: &Service) -> Result<Zeroizing<String>, Error> {
        if self.code.is_some() {
            return secret::line_of_stdin("code");
        }
        let terminal = Terminal::open("--code - reads the code from standard input")?;
        let user = self.user.display_name();
        match service.options.digits {
            None => terminal.ask(&format!("One-time password of {user}: ")),
            // A PIN may stand before it.
            Some(_) => terminal.ask_secret(&format!("(PIN and) one-time password of {user}: ")),
        }
    }
}

impl Answer {
    fn new(verdict: &Verdict, lines: &[UserLine], otp: &[u8], now: u64) -> Answer {
        let (line, refusal) = match verdict {
            Verdict::Accepted { line, .. } => (Some(*line), None),
            Verdict::Refused(refusal) => (refusal.line(), Some(refusal)),
        };
        let drift = match refusal {
            // The line that is named is the last that was tried; the code may be another's.
            Some(Refusal::WrongOtp { .. }) => lines.iter().find_map(|line| drift(line, otp, now)),
            _ => lines
                .iter()
                .find(|candidate| Some(candidate.number) == line)
                .and_then(|line| drift(line, otp, now)),
        };
        Answer {
            accepted: refusal.is_none(),
            reason: refusal.map(Refusal::to_string),
            line,
            steps: drift.map(|drift| drift.steps),
            drift,
        }
    }

    fn to_text(&self, service: &Service) -> String {
        let mut text = match &self.reason {
            None => "accepted".to_owned(),
            Some(reason) => format!("refused: {reason}"),
        };
        if let Some(line) = self.line {
            text += &format!(" (line {line})");
        }
        text += &format!("\n{service}\n");
        if let Some(drift) = self.drift {
            text += &format!("{drift}\n");
        }
        text
    }
}

fn drift(line: &UserLine, otp: &[u8], now: u64) -> Option<Drift> {
    let entry = line.entry();
    Drift::find(&entry, &Code::parse(otp)?, now).ok().flatten()
}
