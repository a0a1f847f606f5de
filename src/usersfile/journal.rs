//! What was used while the usersfile could not be rewritten: with `readonly_ok=`, a full or
//! read-only disk does not lock the administrator out.
//!
//! A journal is one small file for one user of one usersfile, kept elsewhere (`/run`, say). Each
//! line is `TOKEN LINE COUNTER LAST-OTP LAST-TIME`: two digests, so that no secret is copied, and
//! what a rewrite would have put behind the first four fields. Both the file's and the journal's
//! record of a token count, the later one for what is accepted next, until the file can be
//! written again.
//!
//! TOKEN stands for the secret alone: once the PIN has been changed, or the line spelled in another
//! way, the code is as used as before. LINE stands for the first four fields as they are: a rewrite
//! of one line brings no other up to date that has the same secret with another PIN.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::format::{Entry, LastUsed, MovingFactor, fields};
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
        let digests = Digests::of(entry)?;
        // Each record is of a later code than those before it, with whatever PIN.
        self.lines()
            .rfind(|line| digests.are_of_token(line))
            .map(|line| LastUsed::parse(fields(line).skip(2)))
    }

    /// Records, durably, what the `line` of a token says was last used.
    pub fn record(&mut self, line: &[u8]) -> Result<(), Error> {
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
        text.push(b'\n');
        self.replace(text)
    }

    /// Forgets what it holds of a token, since the `line` in the usersfile holds it now.
    pub fn clear(&mut self, line: &[u8]) -> Result<(), Error> {
        match Entry::parse(line).as_ref().and_then(Digests::of) {
            Some(digests) if self.lines().any(|line| digests.are_of_line(line)) => {
                self.replace(self.without(&digests))
            }
            _ => Ok(()),
        }
    }

    fn lines(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.text
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
    }

    /// The text less the line's entry, with room for a new one.
    fn without(&self, digests: &Digests) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + 256));
        for line in self.lines().filter(|line| !digests.are_of_line(line)) {
            text.extend_from_slice(line);
            text.push(b'\n');
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

/// What an entry begins with: SHA-256, in hexadecimal.
struct Digests {
    /// Of the secret, and of the time step it is used with.
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
            token: hex(&token.finalize()),
            line: hex(&line.finalize()),
        })
    }

    fn are_of_token(&self, line: &[u8]) -> bool {
        fields(line).next() == Some(self.token.as_bytes())
    }

    fn are_of_line(&self, line: &[u8]) -> bool {
        fields(line).nth(1) == Some(self.line.as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
