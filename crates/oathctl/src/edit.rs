//! `oathctl edit`: edits a private copy as visudo(8) does, and merges it with the logins that were
//! recorded meanwhile.

mod secret_file;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{Entry, fields};
use oath_core::{hex, sys};
use sha2::{Digest, Sha256};
use similar::{Algorithm, ChangeTag, capture_diff_slices};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::merge::merge;
use crate::output::{self, printable};
use crate::programs::search_path;
use crate::secret_file::Line;
use crate::terminal::{self, Terminal};
use crate::tokens::user_name;
use crate::{secret, tokens};

/// Edit the usersfile, or a user's own file, as visudo does: one at a time, on a private copy, checked before it is saved
///
/// The editor is $VISUAL or $EDITOR, else `editor` or `vi`. Logins go on meanwhile: what they
/// record is kept.
#[derive(Args)]
#[command(after_help = "Example:\n  EDITOR=nano oathctl edit")]
pub(crate) struct Edit {
    /// The user whose file to edit, where each user has one
    #[arg(value_parser = user_name())]
    user: Option<OsString>,
}

impl Edit {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        if let Some(line) = Line::of(config)? {
            return secret_file::edit(&line, self.user.as_deref());
        }
        let usersfile = config.usersfile(self.user.as_deref())?;
        let session = EditSession::lock(&usersfile.resolved_path()?)?;
        let base = config.read(&usersfile)?;
        session.write_copy(base.text())?;
        let edited = loop {
            open_editor(&session.copy)?;
            let edited = Document::new(&session.read_copy()?);
            let problems = problems(&edited);
            if edited.text() == base.text() {
                output::print("nothing was changed\n")?;
                return Ok(ExitCode::SUCCESS);
            }
            if problems.is_empty() || save_anyway(&problems)? {
                break edited;
            }
        };
        let (changes, without_token) = config.edit(&usersfile, |document| {
            let merged = merge(&base, document, &edited);
            let changes = diff(document, &merged);
            let mut without_token = users(document);
            let with_token = users(&merged);
            without_token.retain(|user| !with_token.contains(user));
            *document = merged;
            Ok((changes, without_token))
        })?;
        output::print(&changes)?;
        for user in without_token {
            config.warn_if_unknown(&usersfile, &user)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A locked private folder for one edit at a time, with the copy of the usersfile and whatever
/// backup files the editor writes beside it. Removed on drop.
struct EditSession {
    folder: PathBuf,
    copy: PathBuf,
    _lock: File,
}

impl EditSession {
    /// Begins a session for the file at this path, in a folder on tmpfs where the system has one.
    fn lock(path: &Path) -> Result<EditSession, Error> {
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        let folder = runtime_folder().join(format!("oathctl-edit-{}", hex::encode(&digest[..8])));
        let name = path.file_name().unwrap_or(path.as_os_str());
        let copy = folder.join(name);
        let doing = |action: &str| format!("{action} {}", folder.display());
        loop {
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io(doing("create"))(error));
                }
                _ => {}
            }
            let lock = match File::options()
                .read(true)
                .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
                .open(&folder)
            {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock.map_err(Error::io(doing("open")))?,
            };
            let metadata = lock.metadata().map_err(Error::io(doing("look at")))?;
            if metadata.uid() != sys::effective_user() || metadata.mode() & 0o077 != 0 {
                return Err(Error::failed(format!(
                    "{} is in the way; remove it",
                    folder.display()
                )));
            }
            if !sys::try_lock(&lock).map_err(Error::io(doing("lock")))? {
                return Err(Error::failed(format!(
                    "{} is being edited by somebody else; try again later",
                    path.display()
                )));
            }
            // The session before this one may have removed the folder between open and lock.
            let named = fs::symlink_metadata(&folder).ok();
            if named.is_some_and(|named| named.ino() == metadata.ino()) {
                let session = EditSession {
                    folder,
                    copy,
                    _lock: lock,
                };
                session
                    .clear()
                    .map_err(Error::io("clear what a crash left"))?;
                return Ok(session);
            }
        }
    }

    fn write_copy(&self, text: &[u8]) -> Result<(), Error> {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.copy)
            .and_then(|mut copy| copy.write_all(text))
            .map_err(Error::io(format!("write {}", self.copy.display())))
    }

    fn read_copy(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        fs::read(&self.copy)
            .map(Zeroizing::new)
            .map_err(Error::io(format!("read {}", self.copy.display())))
    }

    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for EditSession {
    fn drop(&mut self) {
        // What cannot be removed is cleared by the next session.
        let _ = self.clear();
        let _ = fs::remove_dir(&self.folder);
    }
}

fn runtime_folder() -> PathBuf {
    // After su, root's environment may be another user's, and name that user's folders.
    if sys::effective_user() == 0 {
        return "/run".into();
    }
    let of_user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    of_user
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(std::env::temp_dir)
}

/// Runs the editor to its end. Ctrl-C is left to the editor.
fn open_editor(copy: &Path) -> Result<(), Error> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var_os(name).filter(|editor| !editor.is_empty()))
        .unwrap_or_else(|| {
            // Debian's alternatives system.
            if Path::new("/usr/bin/editor").exists() {
                "/usr/bin/editor"
            } else {
                "vi"
            }
            .into()
        });
    // By a shell, so that it may have arguments; by its path, since PATH may be another user's.
    let mut script = editor.clone();
    script.push(" \"$0\"");
    let hold = terminal::hold_signals();
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .arg(copy)
        .env("PATH", search_path())
        .status();
    let result = terminal::forget_interrupts();
    drop(hold);
    result?;
    match status.map_err(Error::io("start a shell for the editor"))? {
        status if status.success() => Ok(()),
        status => Err(Error::failed(format!(
            "{} failed ({status}); nothing was changed",
            printable(editor.as_encoded_bytes())
        ))),
    }
}

/// Who has a token that is not disabled.
fn users(document: &Document) -> BTreeSet<OsString> {
    tokens::all(document)
        .filter(|token| !token.disabled)
        .map(|token| OsStr::from_bytes(token.entry.user).to_owned())
        .collect()
}

/// The lines that a login would not use, each with the reason.
fn problems(document: &Document) -> Vec<(usize, String)> {
    let of_line = |text: &[u8]| match Entry::parse(text) {
        Some(entry) => tokens::check(&entry)
            .err()
            .map(|malformed| malformed.to_string()),
        None => tokens::begins_as_type(text).then(|| {
            "looks like a token's, but field 1 (TYPE) is none that is known, \
             or field 2 (USER) is missing"
                .into()
        }),
    };
    document
        .lines()
        .filter_map(|line| Some((line.number, of_line(line.text)?)))
        .collect()
}

/// Prints the problems and asks what to do, with visudo's answers. An error leaves the file as it
/// is.
fn save_anyway(problems: &[(usize, String)]) -> Result<bool, Error> {
    for (line, problem) in problems {
        output::error(&format!("line {line}: {problem}"));
    }
    let unchanged = || Error::failed("nothing was changed");
    let terminal = Terminal::open("nothing was changed").map_err(|_| unchanged())?;
    loop {
        let question = "What now? (e)dit again, e(x)it without saving, (Q) save all the same: ";
        match terminal.ask(question)?.as_str() {
            "e" => return Ok(false),
            "x" => return Err(unchanged()),
            "Q" => return Ok(true),
            _ => {}
        }
    }
}

/// The removed and the added lines, with PINs, secrets and codes redacted.
fn diff(old: &Document, new: &Document) -> String {
    let [old, new] = [old, new].map(|document| {
        let lines = document.lines().map(|line| line.text);
        lines.collect::<Vec<&[u8]>>()
    });
    changed_lines(&old, &new, |_, line| redacted(line))
}

/// The removed and the added lines, shown by `redacted` from their number and text.
fn changed_lines(
    old: &[&[u8]],
    new: &[&[u8]],
    redacted: impl Fn(usize, &[u8]) -> String,
) -> String {
    capture_diff_slices(Algorithm::Myers, old, new)
        .iter()
        .flat_map(|op| op.iter_changes(old, new))
        .filter_map(|change| {
            let (sign, index) = match change.tag() {
                ChangeTag::Delete => ('-', change.old_index()),
                ChangeTag::Insert => ('+', change.new_index()),
                ChangeTag::Equal => return None,
            };
            let line = redacted(index.map_or(0, |index| index + 1), change.value());
            Some(format!("{sign} {line}\n"))
        })
        .collect()
}

/// A line with its PIN, secret and last code redacted. Of a malformed token line, which may have
/// them in other fields, more is redacted; of any other line each word that could be a secret.
fn redacted(line: &[u8]) -> String {
    let token = tokens::uncommented(line);
    let mark = fields(line).count() - fields(token).count();
    let is_sound = Entry::parse(token).is_some_and(|entry| tokens::check(&entry).is_ok());
    let is_token = is_sound || tokens::begins_as_type(token);
    let redact = |(at, word): (usize, &[u8])| {
        let shown = word_shown(word);
        let word = printable(word);
        match at.checked_sub(mark).filter(|_| is_token) {
            None => shown,
            Some(0 | 1) if secret::is_in(word.as_bytes()) => "(covered)".into(),
            Some(0 | 1) => word,
            Some(2) if matches!(word.as_str(), "-" | "+") => word,
            Some(2) => "(PIN)".into(),
            Some(3) => "(secret)".into(),
            Some(4 | 6) if is_sound => word,
            Some(_) => "(covered)".into(),
        }
    };
    let words: Vec<String> = fields(line).enumerate().map(redact).collect();
    words.join(" ")
}

/// A word of a line that is no token's, unless it could be a secret.
fn word_shown(word: &[u8]) -> String {
    const LEAST_SECRET: usize = 10;
    let word = printable(word);
    match secret::parse(&word) {
        Ok(secret) if secret.len() >= LEAST_SECRET => "(covered)".into(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_without_pin_secret_and_code() {
        for (line, shown) in [
            ("HOTP\talice\t-\t00", "HOTP alice - (secret)"),
            (
                "HOTP bob 4711 00 7 123456 2026-01-15T12:00:00L",
                "HOTP bob (PIN) (secret) 7 (covered) 2026-01-15T12:00:00L",
            ),
            (
                "# disabled by oathctl: HOTP bob + 00",
                "# disabled by oathctl: HOTP bob + (secret)",
            ),
            ("#HOTP bob - 00", "#HOTP bob - (secret)"),
            (
                "HOTP/X bob 3132 3334 3536",
                "HOTP/X bob (PIN) (secret) (covered)",
            ),
            ("HOTP bob - 3132 3334x", "HOTP bob - (secret) (covered)"),
            ("HOTP bob:-:31323334353637383930", "HOTP (covered)"),
            ("# password: none needed", "# password: none needed"),
            ("# was 31323334353637383930", "# was (covered)"),
            ("bob JBSWY3DPEHPK3PXP", "bob (covered)"),
        ] {
            assert_eq!(redacted(line.as_bytes()), shown);
        }
    }
}
