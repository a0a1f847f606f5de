//! The tokens of a usersfile, and the selection of one by the command line.
//!
//! That a token is disabled, and the issuer that its app shows, are recorded in comments, since this
//! module and OATH Toolkit's keep those: the line of a disabled token is one, and that of a token
//! with an issuer of its own follows one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use oath_core::otp::Key;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{Entry, Malformed, is_user_name};
use zeroize::Zeroizing;

use crate::error::Error;

/// The prefix of a disabled line.
const DISABLED: &[u8] = b"# disabled by oathctl: ";

/// What the comment above a token begins with if it was enrolled with an issuer; that follows.
const ISSUER: &[u8] = b"# issuer, for oathctl show: ";

/// A token's line.
#[derive(Clone, Copy)]
pub(crate) struct TokenLine<'a> {
    /// The line's number, counted from 1.
    pub(crate) line: usize,
    pub(crate) entry: Entry<'a>,
    pub(crate) disabled: bool,
    /// The issuer that the token was enrolled with, if that was another than the machine's name.
    pub(crate) issuer: Option<&'a str>,
}

impl TokenLine<'_> {
    /// Whether it is a set of backup codes, and no token of an app or a device.
    pub(crate) fn is_backup_codes(&self) -> bool {
        self.entry.backup_codes_left().is_some()
    }

    pub(crate) fn is_of(&self, user: &OsStr) -> bool {
        self.entry.user == user.as_bytes()
    }
}

/// All tokens, in file order.
pub(crate) fn all(document: &Document) -> impl Iterator<Item = TokenLine<'_>> {
    let mut before: &[u8] = b"";
    document.lines().filter_map(move |line| {
        let issuer = before
            .strip_prefix(ISSUER)
            .and_then(|issuer| std::str::from_utf8(issuer).ok());
        before = line.text;
        let enabled = enabled(line.text);
        Some(TokenLine {
            line: line.number,
            entry: Entry::parse(enabled.unwrap_or(line.text))?,
            disabled: enabled.is_some(),
            issuer,
        })
    })
}

/// The tokens of one user, in file order.
pub(crate) fn of_user<'a>(
    document: &'a Document,
    user: &'a OsStr,
) -> impl Iterator<Item = TokenLine<'a>> {
    all(document).filter(move |token| token.is_of(user))
}

/// The checks that a login makes before it uses a line, except of a hashed PIN.
pub(crate) fn check(entry: &Entry) -> Result<(), Malformed> {
    entry.secret()?;
    entry.last_used.counter()?;
    entry.last_used.time().map(drop)
}

/// The time step last used, if the secret proves that COUNTER is one.
pub(crate) fn step_last_used(entry: &Entry, secret: &[u8]) -> Option<u64> {
    let step = entry.last_used.counter().ok()?;
    let otp = entry.last_used.otp()?;
    let code = Key::new(entry.token_type.algorithm, secret).code(step, otp.digits());
    (code.text().as_bytes() == otp.text().as_bytes()).then_some(step)
}

/// Whether a line begins as a TYPE does, known or not.
pub(crate) fn begins_as_type(line: &[u8]) -> bool {
    let start = line.trim_ascii_start().get(..4).unwrap_or_default();
    start.eq_ignore_ascii_case(b"HOTP") || start.eq_ignore_ascii_case(b"TOTP")
}

/// The line that disables a token.
pub(crate) fn disabled(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Some(Zeroizing::new([DISABLED, text].concat()))
}

/// The line that was disabled.
pub(crate) fn enabled(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(DISABLED)
}

/// A line without the comment mark that it begins with.
pub(crate) fn uncommented(text: &[u8]) -> &[u8] {
    let mark = |byte: &u8| *byte == b'#' || byte.is_ascii_whitespace();
    enabled(text).unwrap_or_else(|| {
        let start = text.iter().take_while(|byte| mark(byte)).count();
        &text[start..]
    })
}

/// Replaces each of these lines by what `change` returns for it.
pub(crate) fn rewrite(
    document: &mut Document,
    lines: &[usize],
    change: impl Fn(&[u8]) -> Option<Zeroizing<Vec<u8>>>,
) {
    for &number in lines {
        if let Some(text) = document.line(number).and_then(|line| change(line.text)) {
            document.replace(number, &text);
        }
    }
}

/// Whether a line is the comment above a token that was enrolled with an issuer.
pub(crate) fn is_issuer_line(text: &[u8]) -> bool {
    text.starts_with(ISSUER)
}

/// Puts a token's line at the end, below the issuer if it has one; returns its number.
pub(crate) fn append(document: &mut Document, line: &[u8], issuer: Option<&str>) -> usize {
    if let Some(issuer) = issuer {
        document.append(&issuer_line(issuer));
    }
    document.append(line)
}

/// The comment above a token that was enrolled with an issuer.
pub(crate) fn issuer_line(issuer: &str) -> Vec<u8> {
    [ISSUER, issuer.as_bytes()].concat()
}

/// Removes a token's line, and the issuer above it.
pub(crate) fn remove(document: &mut Document, line: usize) {
    document.remove(line);
    let above = line - 1;
    if document
        .line(above)
        .is_some_and(|line| is_issuer_line(line.text))
    {
        document.remove(above);
    }
}

/// USER on the command line: a name that can be a USER field.
pub(crate) fn user_name() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|name| match is_user_name(name.as_bytes()) {
        true => Ok(name),
        false if name.is_empty() => Err("a user's name is not empty"),
        false => Err("a user's name has no white space in it"),
    })
}

/// Which token a command works on: the user, and with several tokens the line.
#[derive(Args)]
pub(crate) struct TokenSelection {
    /// The user
    #[arg(value_parser = user_name())]
    pub(crate) user: OsString,

    /// Of several tokens, the one on this line (oathctl list shows the numbers)
    #[arg(long, value_name = "N")]
    line: Option<usize>,

    /// All tokens of the user
    #[arg(long, conflicts_with = "line")]
    all: bool,
}

impl TokenSelection {
    /// The selected lines, out of those of the user's tokens that are in this state: the only one,
    /// or those of `--line` or `--all`.
    pub(crate) fn lines(
        &self,
        document: &Document,
        path: &Path,
        state: State,
    ) -> Result<Vec<usize>, Error> {
        let of_user: Vec<TokenLine> = of_user(document, &self.user).collect();
        let fit = of_user.iter().filter(|token| state.is_of(token));
        let mut lines: Vec<usize> = fit.map(|token| token.line).collect();
        if let Some(line) = self.line {
            lines.retain(|&found| found == line);
        }
        match lines.len() {
            0 => Err(not_selected(&self.user, &of_user, self.line, state, path)),
            1 => Ok(lines),
            _ if self.all => Ok(lines),
            _ => Err(ambiguous(&self.user, &lines, "--line N or --all")),
        }
    }

    /// Refuses `--line` for another line than the first, on which the token of a secret file is.
    pub(crate) fn check_first_line(&self) -> Result<(), Error> {
        match self.line {
            None | Some(1) => Ok(()),
            Some(_) => Err(Error::NotFound(
                "in a user's own file the token is on line 1".into(),
            )),
        }
    }

    /// "the token of alice on line 3"
    pub(crate) fn tokens(&self, lines: &[usize]) -> String {
        let user = self.user.display_name();
        match lines {
            [line] => format!("the token of {user} on line {line}"),
            lines => format!(
                "{} tokens of {user}, on lines {}",
                lines.len(),
                numbers(lines)
            ),
        }
    }
}

/// The token of the user on `line` if that is given, else the only one that is neither disabled
/// nor backup codes.
pub(crate) fn select_one<'a>(
    document: &'a Document,
    user: &'a OsStr,
    line: Option<usize>,
    path: &Path,
) -> Result<TokenLine<'a>, Error> {
    let of_user: Vec<TokenLine> = of_user(document, user).collect();
    let mut tokens: Vec<&TokenLine> = of_user.iter().filter(|token| !token.disabled).collect();
    match line {
        Some(line) => tokens.retain(|token| token.line == line),
        None if tokens.iter().all(|token| token.is_backup_codes()) => {}
        None => tokens.retain(|token| !token.is_backup_codes()),
    }
    let lines: Vec<usize> = tokens.iter().map(|token| token.line).collect();
    match tokens[..] {
        [&token] => Ok(token),
        [] => Err(not_selected(user, &of_user, line, State::Enabled, path)),
        _ => Err(ambiguous(user, &lines, "--line N")),
    }
}

/// Which of a user's tokens a command can work on.
#[derive(Clone, Copy)]
pub(crate) enum State {
    Any,
    Enabled,
    Disabled,
}

impl State {
    fn is_of(self, token: &TokenLine) -> bool {
        match self {
            State::Any => true,
            State::Enabled => !token.disabled,
            State::Disabled => token.disabled,
        }
    }
}

/// The error where the user has no token.
pub(crate) fn no_token(user: &OsStr, path: &Path) -> Error {
    let (user, path) = (user.display_name(), path.display());
    Error::NotFound(format!("{user} has no token in {path}"))
}

/// The error where none of the user's tokens, `of_user`, is on the line or in the state asked for.
fn not_selected(
    user: &OsStr,
    of_user: &[TokenLine],
    line: Option<usize>,
    state: State,
    path: &Path,
) -> Error {
    if of_user.is_empty() {
        return no_token(user, path);
    }
    let lines: Vec<usize> = of_user.iter().map(|token| token.line).collect();
    let (user, path, lines) = (user.display_name(), path.display(), on_lines(&lines));
    let of_line = line.and_then(|line| of_user.iter().find(|token| token.line == line));
    Error::NotFound(match (line, of_line, state) {
        (Some(line), None, _) => {
            format!("{user} has no token on line {line} of {path}, but on {lines}")
        }
        (_, _, State::Enabled) => format!(
            "no token of {user} there is enabled ({lines} of {path}); \
             `oathctl enable {user}` enables one"
        ),
        _ => format!("no token of {user} there is disabled ({lines} of {path})"),
    })
}

fn ambiguous(user: &OsStr, lines: &[usize], options: &str) -> Error {
    Error::usage(format!(
        "{} has several tokens, on lines {}; say which with {options}",
        user.display_name(),
        numbers(lines)
    ))
}

/// "line 3", "lines 1, 3"
fn on_lines(lines: &[usize]) -> String {
    let s = if lines.len() == 1 { "" } else { "s" };
    format!("line{s} {}", numbers(lines))
}

fn numbers(lines: &[usize]) -> String {
    let numbers: Vec<String> = lines.iter().map(usize::to_string).collect();
    numbers.join(", ")
}

/// A user's name in a message.
pub(crate) trait DisplayName {
    fn display_name(&self) -> String;
}

impl DisplayName for OsStr {
    fn display_name(&self) -> String {
        crate::output::printable(self.as_bytes())
    }
}
