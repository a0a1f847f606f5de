//! `oathctl edit` of a user's own file of Google's module.

use std::ffi::OsStr;
use std::process::ExitCode;

use oath_core::google::edit::is_scratch_code;
use oath_core::google::format::Document;
use zeroize::Zeroizing;

use super::{EditSession, changed_lines, open_editor, save_anyway, word_shown};
use crate::error::Error;
use crate::output;
use crate::secret_file::{self, Line};

pub(super) fn edit(line: &Line, user: Option<&OsStr>) -> Result<ExitCode, Error> {
    let path = line.file(user)?.path().to_owned();
    let user = user.unwrap_or_default();
    line.file_itself(user)?;
    let session = EditSession::lock(&path)?;
    let base = line.read(Some(user))?;
    session.write_copy(base.text())?;
    let edited = loop {
        open_editor(&session.copy)?;
        let edited = Document::new(session.read_copy()?);
        if edited.text() == base.text() {
            output::print("nothing was changed\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        let problems = problems(&edited);
        if problems.is_empty() || save_anyway(&problems)? {
            break edited;
        }
    };
    let changes = line.edit(user, |document| {
        let merged = merge(base.text(), document.text(), edited.text())?;
        let changes = changed_lines(&lines(document.text()), &lines(&merged), redacted);
        *document = Document::new(merged);
        Ok(changes)
    })?;
    output::print(&changes)?;
    Ok(ExitCode::SUCCESS)
}

/// The lines for which a login would refuse the file, each with the reason.
fn problems(document: &Document) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    if document.secret().is_none() {
        problems.push((1, "no secret in base32".into()));
    }
    let malformed = secret_file::malformed(document);
    problems.extend(malformed.map(|malformed| (malformed.line, malformed.to_string())));
    problems
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// `edited`, which was made from `base`, with the changes from `base` to `current`: what a login
/// recorded is kept.
///
/// # Errors
/// A login has changed a line that the editor has changed as well.
fn merge(base: &[u8], current: &[u8], edited: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (base, current) = (lines(base), lines(current));
    let mut removed = surplus(&base, &current);
    let mut added = surplus(&current, &base);
    let mut merged: Vec<&[u8]> = Vec::new();
    for line in lines(edited) {
        let Some(at) = removed.iter().position(|removed| *removed == line) else {
            merged.push(line);
            continue;
        };
        removed.remove(at);
        let new = option(line).and_then(|name| {
            added
                .iter()
                .position(|added| option(added) == Some(name))
                .map(|at| added.remove(at))
        });
        merged.extend(new);
    }
    // A scratch code that was used meanwhile need not be there any more.
    if removed.iter().any(|line| option(line).is_some()) {
        return Err(Error::failed(
            "a login has changed a line that you have changed as well; nothing was changed, edit \
             again",
        ));
    }
    // Below the secret, where logins put what is new.
    let at = merged.len().min(1);
    merged.splice(at..at, added);
    let length = merged.iter().map(|line| line.len()).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for line in merged {
        text.extend_from_slice(line);
    }
    Ok(text)
}

/// The lines of `these` that `those` lacks.
fn surplus<'a>(these: &[&'a [u8]], those: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut surplus = these.to_vec();
    for line in those {
        if let Some(at) = surplus.iter().position(|it| it == line) {
            surplus.remove(at);
        }
    }
    surplus
}

/// The name of the option that a line holds.
fn option(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"\" ")?;
    let name = rest.split(u8::is_ascii_whitespace).next()?;
    (!name.is_empty()).then_some(name)
}

/// A line without the secret, scratch codes, and what could be a secret.
fn redacted(number: usize, line: &[u8]) -> String {
    if number == 1 {
        return "(secret)".into();
    }
    let words = line.split(u8::is_ascii_whitespace);
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(|word| match is_scratch_code(word) {
            true => "(scratch code)".into(),
            false => word_shown(word),
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str =
        "SECRET\n\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE 5\n\" TOTP_AUTH\n11111111\n22222222\n";

    fn merged(current: &str, edited: &str) -> Option<String> {
        let merged = merge(BASE.as_bytes(), current.as_bytes(), edited.as_bytes()).ok()?;
        Some(String::from_utf8(merged.to_vec()).unwrap())
    }

    #[test]
    fn what_a_login_recorded_meanwhile_is_kept_and_a_used_scratch_code_does_not_come_back() {
        let current = BASE
            .replace("REUSE 5", "REUSE 5 6")
            .replace("11111111\n", "")
            .replace("SECRET\n", "SECRET\n\" TIME_SKEW 2\n");
        assert_eq!(merged(BASE, "x\n").as_deref(), Some("x\n"));
        assert_eq!(merged(&current, BASE).as_deref(), Some(current.as_str()));
        let edited = BASE.replace("3 30", "5 60").replace("11111111\n", "");
        let expected = current.replace("3 30", "5 60");
        assert_eq!(merged(&current, &edited), Some(expected));
    }

    #[test]
    fn where_both_changed_a_line_nothing_is_saved() {
        let current = BASE.replace("REUSE 5", "REUSE 5 6");
        for edited in ["REUSE", "REUSE 7"] {
            assert_eq!(merged(&current, &BASE.replace("REUSE 5", edited)), None);
        }
    }

    #[test]
    fn no_secret_and_no_scratch_code_is_shown() {
        assert_eq!(redacted(1, b"JBSWY3DPEHPK3PXP\n"), "(secret)");
        assert_eq!(redacted(2, b" 12345678\r\n"), "(scratch code)");
        assert_eq!(redacted(3, b"# JBSWY3DPEHPK3PXP old\n"), "# (covered) old");
        assert_eq!(redacted(4, b"\" RATE_LIMIT 3 30\n"), "\" RATE_LIMIT 3 30");
    }
}
