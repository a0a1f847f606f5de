//! Text, tables and JSON on standard output; warnings and errors on standard error.
//!
//! Colours appear on a terminal only, and not if NO_COLOR is set: `anstream` sees to both.

use std::io::{self, Write};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use oath_core::plain_text::is_plain;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HEADING: Style = Style::new().bold();

/// The name before errors and warnings.
static PROGRAM: OnceLock<&str> = OnceLock::new();

/// Sets the name that stands before errors and warnings, `oathctl` if not set.
pub(crate) fn set_program(name: &'static str) {
    let _ = PROGRAM.set(name);
}

fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("oathctl")
}

/// Writes a text, which ends its last line itself, to standard output. It may have our own colours,
/// and the name of a file or user, with whatever somebody put into it.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write_to(anstream::stdout().lock(), &printable_styled(text))
}

/// A text with nothing in it but our own, with its colours, whether or not they can be shown.
pub(crate) fn print_with_colours(text: &str) -> Result<(), Error> {
    write_to(io::stdout().lock(), text)
}

fn write_to(mut out: impl Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::io("write to standard output")(cause),
        })
}

/// Writes a value as JSON to standard output, indented. What would act on a terminal is escaped, so
/// that nothing is lost.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(value).map_err(Error::io("write JSON"))?;
    let mut escaped = Zeroizing::new(String::with_capacity(3 * json.len() + 1));
    for c in Zeroizing::new(json).chars() {
        match c {
            '\n' => escaped.push(c),
            // They are all in the first plane of Unicode.
            c if !is_plain(c) => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped.push('\n');
    print(&escaped)
}

/// Prints what nobody sees again, a secret or backup codes. If that fails, `undo` takes back what
/// was written of it to the usersfile.
pub(crate) fn print_or_undo(
    print: impl FnOnce() -> Result<(), Error>,
    undo: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    print().map_err(|error| {
        let undone = match undo() {
            Ok(()) => "so the line was removed again".to_owned(),
            Err(error) => {
                format!("and the line nobody has seen the secret of is still there: {error}")
            }
        };
        Error::failed(format!("{error}, {undone}"))
    })
}

/// `oathctl: ...` on standard error; that it cannot be written is ignored.
pub(crate) fn error(message: &str) {
    let message = printable_lines(message);
    let program = program();
    let _ = writeln!(anstream::stderr(), "{ERROR}{program}:{ERROR:#} {message}");
}

/// `oathctl: warning: ...` on standard error.
pub(crate) fn warn(message: &str) {
    let message = printable_lines(message);
    let program = program();
    let _ = writeln!(
        anstream::stderr(),
        "{program}: {WARNING}warning:{WARNING:#} {message}"
    );
}

/// Lines up columns under their headings, two spaces apart.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([headings[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{HEADING}{}{HEADING:#}\n", line(headings));
    for row in rows {
        text += &line(std::array::from_fn(|column| row[column].as_str()));
        text.push('\n');
    }
    text
}

/// A name from a file, without the characters that would act on a terminal or deceive its reader.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if is_plain(c) { c } else { '\u{fffd}' })
        .collect()
}

/// The same for a text of several lines with colours: all that begins with ESC and is no colour goes.
fn printable_styled(text: &str) -> Zeroizing<String> {
    let mut shown = Zeroizing::new(String::with_capacity(3 * text.len()));
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_colour = || {
            let parameters = rest.as_str().strip_prefix('[');
            let end = parameters.map(|it| it.trim_start_matches(|c| matches!(c, '0'..='9' | ';')));
            end.is_some_and(|end| end.starts_with('m'))
        };
        let may_stay = is_plain(c) || matches!(c, '\n' | '\t') || c == '\u{1b}' && is_colour();
        shown.push(if may_stay { c } else { '\u{fffd}' });
    }
    shown
}

/// The same for a text of several lines: it may contain a file's name that a user chose.
pub(crate) fn printable_lines(message: &str) -> String {
    let message = without_error_numbers(message);
    let lines: Vec<String> = message
        .split('\n')
        .map(|line| printable(line.as_bytes()))
        .collect();
    lines.join("\n")
}

/// Without the ` (os error 13)` that the standard library puts behind what the system said.
fn without_error_numbers(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once(')').map_or("", |(_, rest)| rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_a_system_error_is_printed() {
        for (said, printed) in [
            (
                "cannot read a: denied (os error 13)",
                "cannot read a: denied",
            ),
            ("a (os error 2); b (os error 30), c", "a; b, c"),
            ("line 1\nline 2 (x)", "line 1\nline 2 (x)"),
        ] {
            assert_eq!(printable_lines(said), printed);
        }
    }
}
