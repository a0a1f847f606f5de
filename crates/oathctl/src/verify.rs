//! `oathctl verify`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::Args;
use oath_core::attempt::{self, Attempts, Lines, Origin};
use oath_core::fs::{self, Deadline};
use oath_core::google::login as google;
use oath_core::login::{CodeLength, MAX_WINDOW, Refusal};
use oath_core::lookup::{Enrolled, Lookup, look_up};
use oath_core::otp::Code;
use oath_core::store::FileStore;
use oath_core::usersfile::{self, Document, Template};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::{Config, Service};
use crate::drift::Drift;
use crate::error::Error;
use crate::output;
use crate::pam_config::ModuleLine;
use crate::replaceable::Obstacle;
use crate::secret;
use crate::secret_file::{self, Line};
use crate::terminal::Terminal;
use crate::tokens::{self, DisplayName, user_name};

/// Ask for a code and tell what the module would answer, and why; nothing is recorded
#[derive(Args)]
#[command(after_help = "Exit codes:
  0  the code would be accepted
  1  it would be refused, or it could not be found out
  2  the command line is wrong
  5  not permitted: not root, as a rule

Examples:
  oathctl verify alice
  echo 123456 | oathctl verify alice --stdin --json")]
pub(crate) struct Verify {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// Read the code from standard input, as it is typed at login
    #[arg(long)]
    stdin: bool,

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
#[derive(Default, Serialize)]
struct Answer {
    accepted: bool,
    /// Why not.
    reason: Option<String>,
    line: Option<usize>,
    /// How many codes or time steps the token is ahead (behind if negative), where known.
    steps: Option<i64>,
    #[serde(skip)]
    drift: Option<Drift>,
    #[serde(skip)]
    wrong_pin: bool,
    /// Lines that say what to do about it.
    #[serde(skip)]
    advice: String,
}

impl Verify {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if let Some(line) = Line::of(config)? {
            return self.with_secret_file(config, &line);
        }
        let mut service = config.service(self.service.as_deref())?;
        service.options.window = self.window.unwrap_or(service.options.window);
        let template = config.template()?;
        let found = look_up(Template::new(&template), &self.user, &Deadline::begin());
        let user = match found.lookup? {
            Lookup::Enrolled(user) => Enrolled {
                // The file may change while the code is typed.
                prescan: None,
                ..user
            },
            Lookup::Unknown(_) => return self.report_unknown(config, &service),
            Lookup::NoUsersfile(path) => {
                return Err(usersfile::Error::File(fs::Error::Missing(path)).into());
            }
        };
        let response = self.response(&service)?;
        let response = response.as_bytes();
        let now = config.now()?;
        let options = &service.options;
        let store = FileStore::new(&user, options.journal_folder.as_deref());
        let deadline = Deadline::begin();
        let mut attempts = Attempts::dry_run(now, options.throttling(), &deadline);
        let answer = attempts.attempt(&Lines { store, options }, response, Origin::Prompt);
        for warning in &answer.warnings {
            output::warn(&warning.to_string());
        }
        let result = match answer.result {
            Ok(line) => Ok(line),
            Err(refused @ (attempt::Error::Refused(_) | attempt::Error::TooEarly { .. })) => {
                Err(refused)
            }
            Err(error) => return Err(error.into()),
        };
        let (document, _) = user.usersfile.read()?;
        let otp = &response[answer.pin.len()..];
        let mut answer = Answer::new(&result, &document, &user.name, otp, now);
        let path = user.usersfile.path();
        if let Some(obstacle) = Obstacle::find(path, options.journal_folder.is_some()) {
            answer.cannot_record(&obstacle);
        }
        self.report(&answer, &service)
    }

    /// The same by a user's own file of Google's module.
    fn with_secret_file(&self, config: &Config, line: &Line) -> Result<ExitCode, Error> {
        match line.read(Some(&self.user)) {
            Err(error @ Error::NotFound(_)) => {
                return self.report_without_file(config, line, &error);
            }
            read => read.map(drop)?,
        }
        let file = line.file(Some(&self.user))?;
        let typed = match self.stdin {
            true => secret::line_of_stdin("code")?,
            false => {
                let terminal = Terminal::open("--stdin reads the code from standard input")?;
                let user = self.user.display_name();
                terminal.ask(&format!("One-time password of {user}: "))?
            }
        };
        let options = &line.options;
        let deadline = Deadline::begin();
        let mut attempts = Attempts::dry_run(config.now()?, options.throttling(), &deadline);
        let response = secret_file::Response {
            file: &file,
            options,
            host: None,
            may_have_password: options.forward_pass,
            counts_as_try: true,
        };
        let answer = attempts.attempt(&response, typed.as_bytes(), Origin::Prompt);
        let (reason, line_number, steps) = match answer.result {
            Ok(_) => (None, Some(1), None),
            Err(attempt::Error::File(error)) => return Err(error.into()),
            Err(error) => {
                let (line, steps) = match &error {
                    attempt::Error::Refused(google::Refusal::Skewed { steps }) => {
                        (Some(1), Some(*steps))
                    }
                    attempt::Error::Refused(refusal) => (refusal.line(), None),
                    _ => (None, None),
                };
                (Some(error.to_string()), line, steps)
            }
        };
        let answer = Answer {
            accepted: reason.is_none(),
            reason,
            line: line_number,
            steps,
            ..Answer::default()
        };
        if self.json {
            output::print_json(&answer)?;
        } else {
            output::print(&format!("{}{line}\n", answer.outcome()))?;
        }
        Ok(answer.exit_code())
    }

    /// The answer for a user without a file.
    fn report_without_file(
        &self,
        config: &Config,
        line: &Line,
        not_found: &Error,
    ) -> Result<ExitCode, Error> {
        let mut advice = String::new();
        for service in line.services_with_nullok(config)? {
            advice += &format!(
                "{service}: who has no token is not asked for a code (nullok), and the other lines \
                 decide\n"
            );
        }
        let answer = Answer {
            reason: Some(not_found.to_string()),
            advice,
            ..Answer::default()
        };
        match self.json {
            true => output::print_json(&answer)?,
            false => output::print(&format!("{}{}", answer.outcome(), answer.advice))?,
        }
        Ok(answer.exit_code())
    }

    /// The answer for a user without a token, who is not asked for a code.
    fn report_unknown(&self, config: &Config, service: &Service) -> Result<ExitCode, Error> {
        let usersfile = config.usersfile(Some(&self.user))?;
        let (document, _) = usersfile.read()?;
        let name = self.user.display_name();
        let why = match tokens::of_user(&document, &self.user).next() {
            Some(token) if token.disabled => format!(
                ": that on line {} is disabled; oathctl enable {name} enables it",
                token.line
            ),
            Some(token) => format!(
                ": line {} breaks off before its SECRET; see oathctl check",
                token.line
            ),
            None => String::new(),
        };
        let path = usersfile.path().display();
        let mut advice = String::new();
        let is_meant = |line: &ModuleLine| match &self.service {
            Some(name) => line.services.contains(name),
            None => true,
        };
        let mut module_lines = config.module_lines_of_usersfile()?;
        module_lines.retain(|line| !line.options.always_ok && is_meant(line));
        for line in module_lines {
            let services = line.services.join(", ");
            let outcome = match line.lets_unknown_users_pass() {
                true => "the other lines decide",
                false => "denied",
            };
            advice +=
                &format!("{services}: who has no token is not asked for a code, and {outcome}\n");
        }
        let answer = Answer {
            reason: Some(format!("{name} has no token in {path}{why}")),
            advice,
            ..Answer::default()
        };
        self.report(&answer, service)
    }

    fn report(&self, answer: &Answer, service: &Service) -> Result<ExitCode, Error> {
        if self.json {
            output::print_json(answer)?;
        } else {
            output::print(&answer.to_text(service))?;
        }
        Ok(answer.exit_code())
    }

    fn response(&self, service: &Service) -> Result<Zeroizing<String>, Error> {
        if self.stdin {
            return secret::line_of_stdin("code");
        }
        let terminal = Terminal::open("--stdin reads the code from standard input")?;
        let user = self.user.display_name();
        match service.options.code_length() {
            CodeLength::Whole => terminal.ask(&format!("One-time password of {user}: ")),
            // A PIN may stand before it.
            _ => terminal.ask_secret(&format!("(PIN and) one-time password of {user}: ")),
        }
    }
}

impl Answer {
    fn new(
        result: &Result<usize, attempt::Error>,
        document: &Document,
        user: &OsStr,
        otp: &[u8],
        now: u64,
    ) -> Answer {
        let refusal = match result {
            Err(attempt::Error::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        let line = match result {
            Ok(line) => Some(*line),
            Err(_) => refusal.and_then(Refusal::line),
        };
        let lines = document.tokens_of(user.as_bytes());
        let drift = |(_, entry)| Drift::find(&entry, &Code::parse(otp)?, now).ok().flatten();
        let drift = match refusal {
            // The line that is named is the last that was tried; the code may be another's.
            Some(Refusal::WrongOtp { .. }) => lines.filter_map(drift).next(),
            _ => lines
                .filter(|(candidate, _)| Some(candidate.number) == line)
                .filter_map(drift)
                .next(),
        };
        Answer {
            accepted: result.is_ok(),
            reason: result.as_ref().err().map(ToString::to_string),
            line,
            steps: drift.map(|drift| drift.steps),
            drift,
            wrong_pin: matches!(refusal, Some(Refusal::WrongPin)),
            advice: String::new(),
        }
    }

    /// A code that is good is refused where it can't be recorded.
    fn cannot_record(&mut self, obstacle: &Obstacle) {
        let place = obstacle.place.display();
        let problem = format!("{place} {}", obstacle.problem());
        if std::mem::take(&mut self.accepted) {
            self.reason = Some(format!("the code is good, but {problem}"));
        } else {
            self.advice = format!("no code would be accepted: {problem}\n");
        }
        self.advice += &format!("{}\n", obstacle.advice());
    }

    fn exit_code(&self) -> ExitCode {
        match self.accepted {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    /// The answer on a line of its own.
    fn outcome(&self) -> String {
        let mut text = match &self.reason {
            None => "accepted".to_owned(),
            Some(reason) => format!("refused: {reason}"),
        };
        if let Some(line) = self.line {
            text += &format!(" (line {line})");
        }
        text.push('\n');
        text
    }

    fn to_text(&self, service: &Service) -> String {
        let mut text = self.outcome();
        text += &format!("{service}\n");
        if self.wrong_pin && service.options.code_length() == CodeLength::Whole {
            text += "no PIN can be typed there: it has neither digits= nor forward_pass\n";
        }
        if let Some(drift) = self.drift {
            text += &format!("{drift}\n");
        }
        if service.options.always_ok {
            text += "alwaysok lets everybody in all the same\n";
        }
        text + &self.advice
    }
}
