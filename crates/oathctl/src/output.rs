//! Text, tables and JSON on standard output; warnings and errors on standard error.
//!
//! Colours appear on a terminal only, and not if NO_COLOR is set: `anstream` sees to both.

use std::io::{self, Write};
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use oath_core::plain_text::is_plain;
use serde::Serialize;

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

/// Writes a text, which ends its last line itself, to standard output.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write_to(anstream::stdout().lock(), text)
}

/// The same with its colours, whether or not they can be shown.
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

/// Writes a value as JSON to standard output, indented.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(value).map_err(Error::io("write JSON"))?;
    print(&format!("{json}\n"))
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

/// The same for a text of several lines: it may contain a file's name that a user chose.
pub(crate) fn printable_lines(message: &str) -> String {
    let lines: Vec<String> = message
        .split('\n')
        .map(|line| printable(line.as_bytes()))
        .collect();
    lines.join("\n")
}
