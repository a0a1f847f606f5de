//! `oathctl resync`

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use oath_core::google::format::{self as google, Document, Name, list_value};
use oath_core::login::MAX_WINDOW;
use oath_core::otp::{Code, Key, time_step};
use oath_core::sys::clock;
use oath_core::usersfile::Usersfile;
use oath_core::usersfile::format::{Entry, Malformed, MovingFactor, Token};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::drift::Drift;
use crate::error::Error;
use crate::output;
use crate::secret;
use crate::secret_file::{self, Line as SecretFileLine};
use crate::terminal::Terminal;
use crate::tokens::{self, DisplayName, user_name};

/// The questions about an HOTP token.
const NEXT_TWO: [&str; 2] = ["The next code of the token: ", "And the one after that: "];

/// Resynchronise a token: set the counter (HOTP), or show how far the phone's clock is off (TOTP)
///
/// HOTP: two codes in a row, found within 1,000 of the counter, set the counter (RFC 4226,
/// section 7.4). TOTP: one code gives the offset of the phone's clock; nothing is changed. In a
/// user's own file of Google's module two codes in a row set HOTP_COUNTER or TIME_SKEW.
#[derive(Args)]
#[command(after_help = "Examples:
  oathctl resync alice
  printf '123456\\n789012\\n' | oathctl resync alice --stdin")]
pub(crate) struct Resync {
    /// The user
    #[arg(value_parser = user_name())]
    user: OsString,

    /// Of several tokens, the one on this line
    #[arg(long, value_name = "N")]
    line: Option<usize>,

    /// Read the codes from standard input, one a line
    #[arg(long)]
    stdin: bool,
}

impl Resync {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if let Some(line) = SecretFileLine::of(config)? {
            return self.with_secret_file(config, &line);
        }
        let usersfile = config.usersfile(Some(&self.user))?;
        let document = config.read(&usersfile)?;
        let token = tokens::select_one(&document, &self.user, self.line, usersfile.path())?;
        match token.entry.token_type.moving_factor {
            MovingFactor::Event => self.set_counter(config, &usersfile, token.line),
            MovingFactor::Time { .. } => self.tell_offset(config, &token.entry),
            MovingFactor::BackupCodes { .. } => Err(Error::failed(format!(
                "line {} holds backup codes, which are good in any order; nothing to set",
                token.line
            ))),
        }
    }

    fn tell_offset(&self, config: &Config, entry: &Entry) -> Result<ExitCode, Error> {
        let [code] = self.ask(["The code that the app shows now: "])?;
        let drift = Drift::find(entry, &code, config.now()?).map_err(malformed)?;
        let drift = drift.ok_or_else(|| {
            Error::failed(format!(
                "the code is not within {MAX_WINDOW} time steps of now: \
                 another token, or a clock that is far off"
            ))
        })?;
        let mut text = format!("{drift}\n");
        if drift.steps != 0 {
            let needed = drift.steps.unsigned_abs();
            let module_lines = config.module_lines_of_usersfile().unwrap_or_default();
            text += &format!("window={needed} or more accepts it");
            for found in module_lines {
                text += &format!("; {} has window={}", found.service, found.options.window);
            }
            text += ". Better set the phone's clock by the network\n";
        }
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn set_counter(
        &self,
        config: &Config,
        usersfile: &Usersfile,
        line: usize,
    ) -> Result<ExitCode, Error> {
        let codes = self.ask(NEXT_TWO)?;
        let time = clock::system_zone()?.local_time(config.now()?);
        let time = time.map_err(clock::Error::from)?;
        let skipped =
            config.edit(usersfile, |document| {
                // The file may have changed while the codes were typed.
                let token = tokens::select_one(document, &self.user, Some(line), usersfile.path())?;
                let ahead = find_pair(&token.entry, &codes).map_err(malformed)?.ok_or_else(|| {
                Error::failed(format!(
                    "the codes do not follow each other within {MAX_WINDOW} of the counter; \
                     nothing was changed"
                ))
            })?;
                let counter = token.entry.last_used.counter().map_err(malformed)?;
                let counter = counter.wrapping_add(ahead).wrapping_add(1);
                let text = token.entry.with_last_used(counter, &codes[1], time);
                document.replace(line, text.strip_suffix(b"\n").unwrap_or(&text));
                Ok(ahead)
            })?;
        output::print(&format!(
            "{} is in step again: the counter was {skipped} behind\n",
            self.user.display_name()
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The same in a user's own file of Google's module.
    fn with_secret_file(&self, config: &Config, line: &SecretFileLine) -> Result<ExitCode, Error> {
        if self.line.is_some_and(|line| line != 1) {
            return Err(Error::NotFound(
                "in a user's own file the token is on line 1".into(),
            ));
        }
        // Who has no file, or one that cannot be used, is told so before any code is typed.
        let document = line.read(Some(&self.user))?;
        let token = secret_file::token(&document, &self.user)?;
        let is_by_event = token.token_type.moving_factor == MovingFactor::Event;
        let codes = self.ask(match is_by_event {
            true => NEXT_TWO,
            false => [
                "The code that the app shows now: ",
                "And the next one that it shows: ",
            ],
        })?;
        let now = config.now()?;
        let said = line.edit(&self.user, |document| {
            // The file may have changed while the codes were typed.
            let token = secret_file::token(document, &self.user)?;
            match token.token_type.moving_factor {
                MovingFactor::Event => set_counter_of_file(document, &token, &codes),
                MovingFactor::Time { period } => {
                    let disallow_reuse = line.options.disallow_reuse;
                    set_skew(
                        document,
                        &token,
                        &codes,
                        time_step(now, period),
                        disallow_reuse,
                    )
                    .map(|steps| {
                        let period = Some(period);
                        format!("{}; TIME_SKEW is {steps} now", Drift { steps, period })
                    })
                }
                MovingFactor::BackupCodes { .. } => Err(Error::failed("no token")),
            }
        })?;
        output::print(&format!("{}: {said}\n", self.user.display_name()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn ask<const N: usize>(&self, questions: [&str; N]) -> Result<[Code; N], Error> {
        let terminal = match self.stdin {
            true => None,
            false => Some(Terminal::open(
                "--stdin reads the codes from standard input",
            )?),
        };
        let mut codes = Vec::with_capacity(N);
        for question in questions {
            let text: Zeroizing<String> = match &terminal {
                Some(terminal) => terminal.ask_code(question)?,
                None => secret::line_of_stdin("code")?,
            };
            let code = Code::parse(text.as_bytes())
                .ok_or_else(|| Error::failed("a code is 6 to 8 digits; nothing was changed"))?;
            codes.push(code);
        }
        Ok(codes
            .try_into()
            .unwrap_or_else(|_| unreachable!("one code for each question")))
    }
}

/// How far ahead of the counter the first of two codes in a row is, at most [`MAX_WINDOW`]. All
/// are compared, as in a login.
fn find_pair(entry: &Entry, codes: &[Code; 2]) -> Result<Option<u64>, Malformed> {
    let key = Key::new(entry.token_type.algorithm, &entry.secret()?);
    let counter = entry.last_used.counter()?;
    let digits = entry.token_type.digits;
    Ok(pair_from(
        &key,
        digits,
        counter,
        u64::from(MAX_WINDOW),
        codes,
    ))
}

/// How far after `start` the first of two codes in a row is, at most `most`.
fn pair_from(
    key: &Key,
    digits: usize,
    start: u64,
    most: u64,
    [first, second]: &[Code; 2],
) -> Option<u64> {
    let code = |ahead: u64| key.code(start.wrapping_add(ahead), digits);
    let (mut found, mut place) = (Choice::from(0), 0);
    for ahead in 0..=most {
        let here = code(ahead).ct_eq(first) & code(ahead + 1).ct_eq(second) & !found;
        place.conditional_assign(&ahead, here);
        found |= here;
    }
    bool::from(found).then_some(place)
}

/// Sets HOTP_COUNTER behind two codes in a row; says what was done.
fn set_counter_of_file(
    document: &mut Document,
    token: &Token,
    codes: &[Code; 2],
) -> Result<String, Error> {
    let key = Key::new(token.token_type.algorithm, &token.secret);
    let (counter, most) = (token.counter, u64::from(MAX_WINDOW));
    let skipped = pair_from(&key, token.token_type.digits, counter, most, codes);
    let skipped = skipped.ok_or_else(|| {
        Error::failed(format!(
            "the codes do not follow each other within {MAX_WINDOW} of the counter; nothing was \
             changed"
        ))
    })?;
    let next = counter.saturating_add(skipped + 2);
    document.set(Name::HotpCounter, next.to_string().as_bytes());
    Ok(format!("in step again: the counter was {skipped} behind"))
}

/// Sets TIME_SKEW so that the second of two codes in a row is that of the step `now`, and lets
/// neither be used again where no code may be. Returns the skew.
fn set_skew(
    document: &mut Document,
    token: &Token,
    codes: &[Code; 2],
    now: u64,
    disallow_reuse: bool,
) -> Result<i64, Error> {
    let key = Key::new(token.token_type.algorithm, &token.secret);
    let start = now.saturating_sub(u64::from(MAX_WINDOW));
    let most = 2 * u64::from(MAX_WINDOW);
    let ahead = pair_from(&key, token.token_type.digits, start, most, codes).ok_or_else(|| {
        Error::failed(format!(
            "the codes do not follow each other within {MAX_WINDOW} time steps of now: another \
             token, or a clock that is far off; nothing was changed"
        ))
    })?;
    let second = (start + ahead + 1) as i64;
    let window = i64::from(document.window_size().map_err(of_field)?);
    let used = match document.used_steps() {
        Some(used) => Some(used.map_err(of_field)?),
        None => disallow_reuse.then(Vec::new),
    };
    if let Some(mut used) = used {
        if used.iter().any(|&used| used >= second) {
            // Whoever has seen used codes could move the window back to them.
            return Err(Error::failed(
                "the codes, or later ones, were used before; nothing was changed",
            ));
        }
        used.retain(|&used| used > second - window && used != second - 1);
        used.extend([second - 1, second]);
        document.set(Name::DisallowReuse, &list_value(&used));
    }
    let skew = second - now as i64;
    if skew != 0 || document.has(Name::TimeSkew) {
        document.set(Name::TimeSkew, skew.to_string().as_bytes());
    }
    if document.has(Name::ResettingTimeSkew) {
        document.set(Name::ResettingTimeSkew, b"");
    }
    Ok(skew)
}

fn of_field(malformed: google::Malformed) -> Error {
    Error::failed(format!("line {}: {malformed}", malformed.line))
}

fn malformed(malformed: Malformed) -> Error {
    Error::failed(malformed.to_string())
}
