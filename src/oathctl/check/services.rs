//! What the lines of `/etc/pam.d` make of the tokens: who gets in without a code, whose code can
//! never fit, and how many guesses the window leaves.

use std::collections::BTreeMap;

use pam_oath::usersfile::format::MovingFactor;

use super::finding::{Finding, Severity};
use super::lines::Token;
use crate::pam_config::Use;

/// A window that leaves fewer guesses than this for an even chance is too large: one guess a
/// second is through them within three hours.
const FEWEST_GUESSES: f64 = 10_000.0;

/// The line in words: `sshd: required, usersfile=/etc/users.oath window=20`.
pub fn describe(line: &Use) -> String {
    let options = &line.options;
    let mut text = format!(
        "{}: {}, usersfile={} window={}",
        line.services.join(", "),
        line.control,
        options.usersfile.to_string_lossy(),
        options.window
    );
    if let Some(digits) = options.digits {
        text += &format!(" digits={digits}");
    }
    for (is_set, name) in [
        (options.always_ok, "alwaysok"),
        (options.try_first_pass, "try_first_pass"),
        (options.use_first_pass, "use_first_pass"),
        (options.no_usersfile_okay, "no_usersfile_okay"),
        (options.debug, "debug"),
    ] {
        if is_set {
            text.push(' ');
            text.push_str(name);
        }
    }
    text
}

/// Checks one line of a service on its own.
pub fn check_line(line: &Use, usersfile_exists: Option<bool>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, problem: String, advice: &str| {
        findings.push(Finding::new(severity, &line.file, problem, advice).at_line(line.line));
    };
    for warning in &line.warnings {
        add(
            Severity::Warning,
            warning.clone(),
            "pam_oath(8) lists the arguments",
        );
    }
    if line.options.always_ok {
        add(
            Severity::Error,
            "alwaysok lets everybody in, whatever they type".into(),
            "remove it: it is for trying a configuration out",
        );
    }
    if line.options.no_usersfile_okay && usersfile_exists == Some(false) {
        add(
            Severity::Warning,
            format!(
                "no_usersfile_okay lets everybody in as long as {} does not exist",
                line.options.usersfile.to_string_lossy()
            ),
            "enrol somebody with oathctl add, or remove no_usersfile_okay",
        );
    }
    if matches!(
        &*line.control.to_ascii_lowercase(),
        "optional" | "sufficient"
    ) {
        add(
            Severity::Warning,
            format!(
                "the module is {}: after a wrong code, or none, the other lines decide alone",
                line.control
            ),
            "make it required if nobody is to get in without a code",
        );
    }
    findings
}

/// Checks one line of a service against the tokens of its usersfile.
pub fn check_tokens(line: &Use, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, problem: String, advice: String| {
        findings.push(Finding::new(severity, &line.file, problem, advice).at_line(line.line));
    };
    let digits = line.options.digits;
    let with_pin: Vec<&Token> = tokens.iter().filter(|token| token.has_pin).collect();
    if let (None, false) = (digits, with_pin.is_empty()) {
        add(
            Severity::Error,
            format!(
                "has no digits=, so no PIN is split off what is typed, and {} can never fit",
                these_lines(&with_pin)
            ),
            format!(
                "write digits={} behind the module",
                with_pin[0].token_type.digits
            ),
        );
    }
    if let Some(digits) = digits {
        let longer: Vec<&Token> = tokens
            .iter()
            .filter(|token| token.token_type.digits != digits)
            .collect();
        if !longer.is_empty() {
            add(
                Severity::Warning,
                format!(
                    "takes codes of {digits} digits, but those of {} have another number",
                    these_lines(&longer)
                ),
                "bring digits= and the TYPE of the tokens together".to_owned(),
            );
        }
    }
    if let Some(worst) = easiest_to_guess(line.options.window, tokens) {
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
                "set the clock and take a smaller window; pam_faillock limits how often one can \
                 guess"
                    .to_owned(),
            );
        }
    }
    findings
}

/// `line 3`, `lines 3, 5 and 2 more`.
fn these_lines(tokens: &[&Token]) -> String {
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
    /// After how many guesses one of them was right as likely as not.
    guesses: f64,
}

/// The user whose code is the easiest to guess: every line of theirs without a PIN takes its own
/// window of codes.
fn easiest_to_guess(window: u32, tokens: &[Token]) -> Option<Guessing> {
    let mut users: BTreeMap<&[u8], Vec<&Token>> = BTreeMap::new();
    for token in tokens.iter().filter(|token| !token.has_pin) {
        users.entry(&token.user).or_default().push(token);
    }
    users
        .into_values()
        .map(|tokens| {
            let digits = tokens.iter().map(|token| token.token_type.digits).min()?;
            let good = tokens
                .iter()
                .filter(|token| token.token_type.digits == digits)
                .map(|token| match token.token_type.moving_factor {
                    MovingFactor::Event => u64::from(window) + 1,
                    MovingFactor::Time { .. } => 2 * u64::from(window) + 1,
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
        .flatten()
        .min_by(|a, b| a.guesses.total_cmp(&b.guesses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pam_oath::usersfile::format::Type;

    fn token(line: usize, user: &str, kind: &str) -> Token {
        Token {
            line,
            user: user.into(),
            token_type: Type::parse(kind.as_bytes()).unwrap(),
            has_pin: false,
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
