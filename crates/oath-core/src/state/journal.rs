//! The codes that were used while the usersfile could not be rewritten: with `readonly_ok=`, a
//! full or read-only disk does not lock the administrator out.
//!
//! A journal is one small file for one user, kept elsewhere (`/run`, say). Each line is
//! `TOKEN LINE COUNTER LAST-OTP LAST-TIME FILE...`: two digests, so that no secret is copied, what a
//! rewrite would have put behind the first four fields, and digests of the usersfile's names. Both
//! the file's and the journal's record of a token count, the later one for what is accepted next,
//! until the file can be written again.
//!
//! TOKEN stands for the secret alone: once the PIN has been changed, or the line spelled in another
//! way, the code is as used as before. LINE stands for the first four fields as they are: a rewrite
//! of one line brings no other up to date that has the same secret with another PIN.
//!
//! FILE stands for a name of the usersfile, see [`FilePath::names`](crate::fs::FilePath::names). A
//! record is the usersfile's if they have a name in common: the path on the PAM line stays when a
//! symbolic link on it is moved to switch to another configuration, and the path without links is
//! the same for every way to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{StateFile, file_name};
use crate::fs::{Deadline, Error};
use crate::hex;
use crate::usersfile::Usersfile;
use crate::usersfile::format::{Entry, LastUsedFields, MovingFactor, fields};

/// What the names of journals begin with.
const PREFIX: &str = "used-";
/// How many fields of a line stand before the digests of the usersfile's names.
const FIELDS_BEFORE_NAMES: usize = 5;

/// A journal, locked.
pub struct Journal {
    file: StateFile,
    /// Digests of the names of the usersfile.
    names: Vec<String>,
}

impl Journal {
    /// Locks and reads the journal in `folder` for `user` of a usersfile.
    ///
    /// # Errors
    /// The folder or the journal cannot be used, or somebody else has it locked for too long.
    pub fn lock(
        folder: &Path,
        usersfile: &Usersfile,
        user: &OsStr,
        deadline: &Deadline,
    ) -> Result<Journal, Error> {
        let digest = |name: &PathBuf| hex::encode(&Sha256::digest(name.as_os_str().as_bytes()));
        let names = usersfile.names()?.iter().map(digest).collect();
        let file = StateFile::lock(folder, &file_name(PREFIX, user), deadline)?;
        Ok(Journal { file, names })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the journal says was last used of a token.
    pub fn last_used_of(&self, entry: &Entry) -> Option<LastUsedFields<'_>> {
        let digests = Digests::of(entry)?;
        // Each record is of a later code than those before it, with whatever PIN.
        self.lines()
            .rfind(|line| self.is_of_usersfile(line) && digests.are_of_token(line))
            .map(|line| LastUsedFields::parse(fields(line).skip(2)))
    }

    /// Records, durably, what the `line` of a token says was last used.
    pub(crate) fn record(&mut self, line: &[u8], deadline: &Deadline) -> Result<(), Error> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let parsed = Entry::parse(line).and_then(|entry| Some((entry, Digests::of(&entry)?)));
        let (entry, digests) = parsed.expect("the line of a token that gave a code");
        let mut text = self.without(&digests);
        text.extend_from_slice(digests.token.as_bytes());
        text.push(b' ');
        text.extend_from_slice(digests.line.as_bytes());
        for field in entry.last_used.fields() {
            text.push(b' ');
            text.extend_from_slice(field);
        }
        for name in &self.names {
            text.push(b' ');
            text.extend_from_slice(name.as_bytes());
        }
        text.push(b'\n');
        self.file.replace(text, deadline)
    }

    /// Forgets what it holds of a token, since the `line` in the usersfile holds it now.
    pub(crate) fn clear(&mut self, line: &[u8], deadline: &Deadline) -> Result<(), Error> {
        match Entry::parse(line).as_ref().and_then(Digests::of) {
            Some(digests) => self.file.replace(self.without(&digests), deadline),
            None => Ok(()),
        }
    }

    fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.file
            .text()
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
    }

    fn is_of_usersfile(&self, line: &[u8]) -> bool {
        fields(line)
            .skip(FIELDS_BEFORE_NAMES)
            .any(|name| self.names.iter().any(|own| own.as_bytes() == name))
    }

    /// The text less the line's entry, with room for a new one.
    fn without(&self, digests: &Digests) -> Zeroizing<Vec<u8>> {
        let new = 512 + self.names.len() * 65;
        let mut text = Zeroizing::new(Vec::with_capacity(self.file.text().len() + new));
        let is_replaced = |line: &[u8]| self.is_of_usersfile(line) && digests.are_of_line(line);
        for line in self.lines().filter(|line| !is_replaced(line)) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text
    }
}

/// What an entry begins with: SHA-256, in hexadecimal.
struct Digests {
    /// Of the secret, and of what it is used with: the length of a time step, 0 for an event token,
    /// the largest number for backup codes.
    token: String,
    /// Of TYPE, USER, PIN and SECRET.
    line: String,
}

impl Digests {
    /// `None` if the line holds no secret.
    fn of(entry: &Entry) -> Option<Digests> {
        let period = match entry.token_type.moving_factor {
            MovingFactor::Event => 0,
            MovingFactor::Time { period } => period,
            // Whatever the number of codes: a line may be edited to have more of them.
            MovingFactor::BackupCodes { .. } => u32::MAX,
        };
        let mut token = Sha256::new();
        token.update(period.to_be_bytes());
        token.update(&*entry.secret().ok()?);
        let mut line = Sha256::new();
        for field in entry.identity() {
            line.update(field);
            line.update(b"\t");
        }
        Some(Digests {
            token: hex::encode(&token.finalize()),
            line: hex::encode(&line.finalize()),
        })
    }

    fn are_of_token(&self, line: &[u8]) -> bool {
        fields(line).next() == Some(self.token.as_bytes())
    }

    fn are_of_line(&self, line: &[u8]) -> bool {
        fields(line).nth(1) == Some(self.line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"HOTP\talice\t-\t00\t7\t123456\t2026-01-15T12:00:00L\n";

    #[test]
    fn each_token_of_a_user_has_a_record_of_its_own() {
        // The same secret by another factor, or another secret, is another token; the same secret
        // with another PIN is none.
        let tokens = [
            "HOTP\talice\t-\t00\t7\t123456\t2026-01-15T12:00:00L\n",
            "HOTP\talice\t-\t01\t3\t234567\t2026-01-15T12:00:00L\n",
            "HOTP/T30\talice\t-\t00\t5\t345678\t2026-01-15T12:00:00L\n",
            "HOTP/T60\talice\t-\t00\t4\t456789\t2026-01-15T12:00:00L\n",
        ];
        let folder = tempfile::tempdir().unwrap();
        let usersfile = Usersfile::at(folder.path().join("users.oath"));
        std::fs::write(usersfile.path(), tokens.concat()).unwrap();
        let deadline = Deadline::begin();
        let state = folder.path().join("state");
        let journal = || Journal::lock(&state, &usersfile, "alice".as_ref(), &deadline).unwrap();
        let used = || {
            let journal = journal();
            let counter = |token: &str| {
                let entry = Entry::parse(token.trim_end().as_bytes()).unwrap();
                let last = journal.last_used_of(&entry);
                last.map(|last| last.counter().unwrap())
            };
            tokens.map(counter)
        };
        for token in tokens {
            journal().record(token.as_bytes(), &deadline).unwrap();
        }
        assert_eq!(used(), [Some(7), Some(3), Some(5), Some(4)]);
        // Each record takes the place of that token's, and the latest counts whatever its PIN.
        let later = tokens[0].replace("\t7\t", "\t8\t");
        journal().record(later.as_bytes(), &deadline).unwrap();
        assert_eq!(used(), [Some(8), Some(3), Some(5), Some(4)]);
        let with_pin = later.replace("\t-\t", "\tpin\t").replace("\t8\t", "\t9\t");
        journal().record(with_pin.as_bytes(), &deadline).unwrap();
        assert_eq!(used(), [Some(9), Some(3), Some(5), Some(4)]);
        assert_eq!(journal().lines().count(), tokens.len() + 1);
        journal().clear(tokens[1].as_bytes(), &deadline).unwrap();
        assert_eq!(used(), [Some(9), None, Some(5), Some(4)]);
    }

    #[test]
    fn a_record_is_of_the_usersfile_as_long_as_one_of_its_names_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            std::fs::create_dir(path(version)).unwrap();
            std::fs::write(path(version).join("users.oath"), LINE).unwrap();
        }
        let link_to = |version: &str| {
            let _ = std::fs::remove_file(path("current"));
            std::os::unix::fs::symlink(version, path("current")).unwrap();
        };
        link_to("one");
        let deadline = Deadline::begin();
        let journal = |usersfile: &str| {
            let usersfile = Usersfile::at(path(usersfile));
            Journal::lock(&path("state"), &usersfile, "alice".as_ref(), &deadline).unwrap()
        };
        let used = |usersfile: &str| {
            let entry = Entry::parse(LINE).unwrap();
            let journal = journal(usersfile);
            journal
                .last_used_of(&entry)
                .map(|last| last.counter().unwrap())
        };
        assert_eq!(used("current/users.oath"), None);
        assert!(std::fs::read_dir(path("state")).unwrap().next().is_none());

        journal("current/users.oath")
            .record(LINE, &deadline)
            .unwrap();
        assert_eq!(used("current/users.oath"), Some(7));
        assert_eq!(used("one/users.oath"), Some(7));
        assert_eq!(used("two/users.oath"), None);
        journal("two/users.oath").clear(LINE, &deadline).unwrap();
        link_to("two");
        assert_eq!(used("current/users.oath"), Some(7));
        assert_eq!(used("one/users.oath"), Some(7));
        journal("current/users.oath")
            .clear(LINE, &deadline)
            .unwrap();
        assert_eq!(used("one/users.oath"), None);
        assert!(std::fs::read_dir(path("state")).unwrap().next().is_none());
    }
}
