//! What was used while the usersfile could not be rewritten: with `readonly_ok=`, a full or
//! read-only disk does not lock the administrator out.
//!
//! A journal is one small file for one user of one usersfile, kept elsewhere (`/run`, say). Each
//! line is `DIGEST COUNTER LAST-OTP LAST-TIME`: the SHA-256 of the token's first four fields, so
//! that no secret is copied, and what a rewrite would have put behind them. Both the file's and
//! the journal's record of a token count, the later one for what is accepted next, until the
//! file can be written again.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::format::{Entry, LastUsed, fields};
use super::store::{Held, Rewrite};
use super::{Error, state};

/// A journal, locked.
pub struct Journal {
    held: Held,
    text: Zeroizing<Vec<u8>>,
}

impl Journal {
    /// Locks and reads the journal in `folder` for `user` of the usersfile at `path`, links
    /// resolved.
    pub fn lock(folder: &Path, path: &Path, user: &OsStr) -> Result<Journal, Error> {
        let mut name = Sha256::new();
        name.update(path.as_os_str().as_bytes());
        name.update(b"\0");
        name.update(user.as_bytes());
        let name = OsString::from(format!("used-{}", hex(&name.finalize())));
        let held = state::lock(folder, &name)?;
        let text = held.read_all()?;
        Ok(Journal { held, text })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.held.path()
    }

    /// What the journal says was last used of a token.
    pub fn last_used_of(&self, entry: &Entry) -> Option<LastUsed<'_>> {
        let digest = digest_of(entry);
        self.lines()
            .find(|line| fields(line).next() == Some(digest.as_bytes()))
            .map(|line| LastUsed::parse(fields(line).skip(1)))
    }

    /// Records, durably, what the `line` of a token says was last used.
    pub fn record(&mut self, line: &[u8]) -> Result<(), Error> {
        let Some(entry) = Entry::parse(line) else {
            return Ok(());
        };
        let mut text = self.without(&entry);
        text.extend_from_slice(digest_of(&entry).as_bytes());
        for field in entry.last_used.fields() {
            text.push(b' ');
            text.extend_from_slice(field);
        }
        text.push(b'\n');
        self.replace(text)
    }

    /// Forgets what it holds of a token, since the `line` in the usersfile holds it now.
    pub fn clear(&mut self, line: &[u8]) -> Result<(), Error> {
        match Entry::parse(line) {
            Some(entry) if self.last_used_of(&entry).is_some() => {
                self.replace(self.without(&entry))
            }
            _ => Ok(()),
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|&byte| byte == b'\n')
    }

    /// The text less the token's line, with room for a new one.
    fn without(&self, entry: &Entry) -> Zeroizing<Vec<u8>> {
        let digest = digest_of(entry);
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + 256));
        for line in self.lines().filter(|line| !line.is_empty()) {
            if fields(line).next() != Some(digest.as_bytes()) {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
        }
        text
    }

    fn replace(&mut self, text: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        self.held.replace(&Rewrite {
            span: 0..self.text.len() as u64,
            text: text.clone(),
        })?;
        self.text = text;
        Ok(())
    }
}

/// The SHA-256, in hexadecimal, of the fields that name a token: TYPE, USER, PIN and SECRET.
fn digest_of(entry: &Entry) -> String {
    let mut digest = Sha256::new();
    for field in entry.identity() {
        digest.update(field);
        digest.update(b"\t");
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
