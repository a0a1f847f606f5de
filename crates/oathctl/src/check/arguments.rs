//! Checks the module's arguments in each PAM service against the tokens: who gets in without a code,
//! whose code never fits, and how many guesses the window leaves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use oath_core::fs;
use oath_core::login::CodeLength;
use oath_core::usersfile::Template;
use oath_core::usersfile::format::MovingFactor;
use oath_core::{state, sys};

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::lines::UsableToken;
use super::usersfile::make_folder;
use crate::pam_config::ModuleLine;

/// The least number of guesses for an even chance; at one guess a second they take three hours.
const FEWEST_GUESSES: f64 = 10_000.0;

/// A line of the PAM configuration that names the module.
#[derive(Serialize)]
pub(super) struct ServiceArguments {
    services: Vec<String>,
    file: PathBuf,
    line: usize,
    control: String,
    arguments: String,
    /// The file that the module uses, also where no argument names it.
    usersfile: String,
    #[serde(skip)]
    names_usersfile: bool,
}

impl ServiceArguments {
    pub(super) fn of(line: &ModuleLine) -> ServiceArguments {
        ServiceArguments {
            services: line.services.clone(),
            file: line.place.file.clone(),
            line: line.place.line,
            control: line.control.clone(),
            arguments: line.arguments.clone(),
            usersfile: line.options.usersfile.to_string_lossy().into_owned(),
            names_usersfile: line.names_usersfile,
        }
    }
}

/// `sshd: required pam_oath.so window=20 (usersfile=/etc/users.oath)`
impl fmt::Display for ServiceArguments {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let services = self.services.join(", ");
        write!(f, "{services}: {} pam_oath.so", self.control)?;
        if !self.arguments.is_empty() {
            write!(f, " {}", self.arguments)?;
        }
        if !self.names_usersfile {
            write!(f, " (usersfile={})", self.usersfile)?;
        }
        Ok(())
    }
}

/// Checks one line of a service on its own.
pub(super) fn check_line(line: &ModuleLine, usersfile_exists: Option<bool>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, problem: String, advice: &str| {
        findings.push(Finding::of_line(severity, &line.place, problem, advice));
    };
    for warning in &line.warnings {
        add(
            Severity::Warning,
            warning.clone(),
            "pam_oath(8) lists the arguments",
        );
    }
    if !line.googles.is_empty() {
        add(
            Severity::Warning,
            format!(
                "has arguments of pam_google_authenticator, which are ignored: {}",
                line.googles.join(", ")
            ),
            "docs/moving-from-google-authenticator.md tells what takes the place of each",
        );
    }
    if line.options.always_ok {
        add(
            Severity::Error,
            "alwaysok lets everybody in, whatever they type".into(),
            "remove it: it is for trying a configuration out",
        );
    }
    let that_excuse: Vec<&str> = [
        (line.options.no_usersfile_okay, "no_usersfile_okay"),
        (line.options.null_ok, "nullok"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect();
    for name in &that_excuse {
        if usersfile_exists == Some(false) {
            add(
                Severity::Warning,
                format!(
                    "{name} asks nobody for a code as long as {} does not exist",
                    line.options.usersfile.to_string_lossy()
                ),
                "enrol somebody with oathctl add, or remove the argument",
            );
        }
    }
    let folders = [
        ("readonly_ok", line.options.journal_folder.as_ref()),
        (
            "throttle_dir",
            line.options.throttle.map(|_| &line.options.throttle_folder),
        ),
    ];
    for (name, folder) in folders {
        let Some(folder) = folder.map(Path::new) else {
            continue;
        };
        if let Some((problem, advice)) = unusable(folder) {
            let folder = folder.display();
            add(
                Severity::Error,
                format!("{name}={folder} cannot be used ({problem}), so every login is denied"),
                &advice,
            );
        }
    }
    let in_home = Template::new(&line.options.usersfile).names_home();
    for name in &that_excuse {
        if in_home {
            add(
                Severity::Warning,
                format!(
                    "{name} with ${{HOME}} in usersfile= asks for no code while the home \
                     directory is not mounted"
                ),
                "keep the tokens out of the homes: usersfile=/var/lib/oath/${USER}; or remove \
                 the argument",
            );
        }
    }
    findings
}

/// Why the module could keep nothing in this folder, and what to do about it. What only root may
/// look at is not known without root's rights.
fn unusable(folder: &Path) -> Option<(String, String)> {
    let error = state::check(folder).err()?;
    let advice = match &error {
        fs::Error::Io { .. } if sys::effective_user() != 0 => return None,
        fs::Error::MissingFolder(missing) => make_folder(missing),
        error => error.advice().unwrap_or_default(),
    };
    Some((error.problem(), advice))
}

/// Checks the lines that name one usersfile against each other.
pub(super) fn check_together(lines: &[&ModuleLine]) -> Vec<Finding> {
    let Some((first, rest)) = lines.split_first() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut add = |other: &ModuleLine, problem: String, advice: &str| {
        let finding = Finding::of_line(Severity::Warning, &other.place, problem, advice);
        findings.push(finding);
    };
    let written = |name: &str, value: Option<String>| match value {
        Some(value) => format!("{name}={value}"),
        None => format!("no {name}="),
    };
    let digits =
        |line: &ModuleLine| written("digits", line.options.digits.map(|it| it.to_string()));
    if let Some(other) = rest
        .iter()
        .find(|it| it.options.window != first.options.window)
    {
        add(
            other,
            format!(
                "has window={}, and {} has window={} for the same usersfile, so that a code that \
                 one service takes is wrong for the other",
                other.options.window, first.place, first.options.window
            ),
            "write the same window= in both",
        );
    }
    if let Some(other) = rest
        .iter()
        .find(|it| it.options.digits != first.options.digits)
    {
        add(
            other,
            format!(
                "has {}, and {} has {} for the same usersfile, so that what is typed in one \
                 service is wrong in the other",
                digits(other),
                first.place,
                digits(first)
            ),
            "write the same digits= in both",
        );
    }
    let journal = |line: &ModuleLine| line.options.journal_folder.clone();
    if let Some(other) = rest.iter().find(|it| journal(it) != journal(first)) {
        let (with, without) = match journal(first) {
            Some(_) => (first, other),
            None => (other, first),
        };
        let folder = journal(with).unwrap_or_default();
        add(
            without,
            format!(
                "does not have the readonly_ok={} of {} for the same usersfile, so that a code \
                 that was recorded there alone is good once more here",
                folder.to_string_lossy(),
                with.place
            ),
            "write the same readonly_ok= in both",
        );
    }
    findings
}

/// Checks one line of a service against the tokens of its usersfile.
pub(super) fn check_tokens(line: &ModuleLine, tokens: &[UsableToken]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, problem: String, advice: String| {
        findings.push(Finding::of_line(severity, &line.place, problem, advice));
    };
    let asks_pin = |token: &&UsableToken| token.has_pin && !line.options.ignore_pin;
    match line.options.code_length() {
        CodeLength::Whole => {
            let with_pin: Vec<&UsableToken> = tokens.iter().filter(asks_pin).collect();
            if let Some(first) = with_pin.first() {
                add(
                    Severity::Error,
                    format!(
                        "has no digits=, so no PIN is split off what is typed, and {} can never \
                         fit",
                        these_lines(&with_pin)
                    ),
                    format!("write digits={} behind the module", first.token_type.digits),
                );
            }
        }
        CodeLength::Digits(digits) => {
            let others: Vec<&UsableToken> = tokens
                .iter()
                .filter(|token| token.token_type.digits != digits)
                .collect();
            if !others.is_empty() {
                add(
                    Severity::Error,
                    format!(
                        "takes codes of {digits} digits, but those of {} have another number and \
                         can never fit",
                        these_lines(&others)
                    ),
                    "bring digits= and the TYPE of the tokens together".to_owned(),
                );
            }
        }
        CodeLength::OfToken => {}
    }
    if line.rest_is_password && !line.options.ignore_pin {
        let without_pin: Vec<&UsableToken> = tokens.iter().filter(|token| token.has_dash).collect();
        if !without_pin.is_empty() {
            add(
                Severity::Error,
                format!(
                    "leaves what is typed before the code to a later line as the password, but {} \
                     of the usersfile {} no PIN, so the password before the code never fits",
                    these_lines(&without_pin),
                    match without_pin.len() {
                        1 => "has",
                        _ => "have",
                    }
                ),
                "write + as its PIN".to_owned(),
            );
        }
    }
    // With a throttle, each guess makes the next wait longer.
    let slow = line.options.throttle.is_some();
    let guessable = tokens.iter().filter(|token| !slow && !asks_pin(token));
    if let Some(worst) = easiest_to_guess(line.options.window, guessable) {
        if worst.guesses < FEWEST_GUESSES {
            add(
                Severity::Warning,
                format!(
                    "window={} makes {} of {} codes good at any moment for line {}: {} guesses \
                     have an even chance",
                    line.options.window,
                    worst.good,
                    10u64.pow(worst.digits as u32),
                    worst.line,
                    worst.guesses.ceil()
                ),
                "take a smaller window, or write throttle=1 behind the module, which makes \
                 guessers wait"
                    .to_owned(),
            );
        }
    }
    findings
}

/// `line 3`, `lines 3, 5 and 2 more`.
fn these_lines(tokens: &[&UsableToken]) -> String {
    const MOST: usize = 5;
    let numbers: Vec<String> = tokens
        .iter()
        .take(MOST)
        .map(|token| token.line.to_string())
        .collect();
    let numbers = numbers.join(", ");
    match tokens.len() {
        1 => format!("line {numbers}"),
        count if count > MOST => format!("lines {numbers} and {} more", count - MOST),
        _ => format!("lines {numbers}"),
    }
}

struct Guessing {
    /// The user's first line.
    line: usize,
    digits: usize,
    /// How many codes are good at any moment.
    good: u64,
    /// After how many guesses the chance that one was right is one half.
    guesses: f64,
}

/// The user whose code is the easiest to guess: every line of theirs takes its own window of
/// codes.
fn easiest_to_guess<'a>(
    window: u32,
    tokens: impl IntoIterator<Item = &'a UsableToken>,
) -> Option<Guessing> {
    let mut users: BTreeMap<&[u8], Vec<&UsableToken>> = BTreeMap::new();
    for token in tokens {
        users.entry(&token.user).or_default().push(token);
    }
    users
        .into_values()
        .filter_map(|tokens| {
            let digits = tokens.iter().map(|token| token.token_type.digits).min()?;
            let good = tokens
                .iter()
                .filter(|token| token.token_type.digits == digits)
                .map(|token| match token.token_type.moving_factor {
                    MovingFactor::Event => u64::from(window) + 1,
                    MovingFactor::Time { .. } => 2 * u64::from(window) + 1,
                    MovingFactor::BackupCodes { number } => number.into(),
                })
                .sum();
            let chance = good as f64 / 10f64.powi(digits as i32);
            Some(Guessing {
                line: tokens[0].line,
                digits,
                good,
                guesses: 0.5f64.ln() / (-chance).ln_1p(),
            })
        })
        .min_by(|a, b| a.guesses.total_cmp(&b.guesses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oath_core::usersfile::format::Type;

    fn token(line: usize, user: &str, kind: &str) -> UsableToken {
        UsableToken {
            line,
            user: user.into(),
            token_type: Type::parse(kind.as_bytes()).unwrap(),
            has_pin: false,
            has_dash: true,
        }
    }

    #[test]
    fn an_even_chance_is_what_the_binomial_gives() {
        let tokens = [
            token(1, "alice", "HOTP/T30/8"),
            token(2, "bob", "HOTP/T30/6"),
            token(3, "carol", "HOTP/E/6"),
        ];
        // 0.997999 to the power of 346 is 0.50006, to that of 347 it is 0.49906.
        let worst = easiest_to_guess(1000, &tokens).unwrap();
        assert_eq!((worst.line, worst.good), (2, 2001));
        assert_eq!(worst.guesses.ceil(), 347.0);
    }
}
