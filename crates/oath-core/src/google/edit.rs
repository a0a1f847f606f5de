//! A secret file as the tools read and write it.

use std::io;

use zeroize::Zeroizing;

use super::format::{Document, MAX_LENGTH, SCRATCH_CODE_DIGITS};
use super::options::Options;
use super::secret_file::{Error, PRIVATE, SecretFile};
use crate::fs::{self, Deadline, FilePath, ResolvedPath, Rewrite};
use crate::usersfile::check_mounted;

/// Puts a file with this text where the path leads, for its owner alone to read. One that is there is
/// replaced under its lock.
///
/// # Errors
/// The path is not safe to use, or the file could not be written; then the old one is as it was.
pub fn put(file: &FilePath, text: &Zeroizing<Vec<u8>>) -> Result<(), fs::Error> {
    let deadline = Deadline::begin();
    loop {
        let replaced = file.with_lock(&deadline, |locked| {
            let rewrite = Rewrite {
                span: 0..locked.length(),
                text: text.clone(),
                mode: Some(PRIVATE),
            };
            locked.replace(&rewrite, &deadline)
        });
        match replaced {
            Err(fs::Error::Missing(_)) => {}
            replaced => return replaced.map(drop),
        }
        match file.create(text, PRIVATE, &deadline) {
            // Somebody else has just made one.
            Err(error) if error.kind() == Some(io::ErrorKind::AlreadyExists) && deadline.wait() => {
            }
            created => return created,
        }
    }
}

impl SecretFile {
    /// Walks to the file, and takes the rights of the account that it is used with.
    ///
    /// # Errors
    /// The folder is not there, or something on the way is not safe to use.
    pub fn resolve(&self) -> Result<ResolvedPath, Error> {
        Ok(self.file().resolve()?)
    }

    /// Reads the file, under its lock, if a login with these arguments would use it.
    ///
    /// # Errors
    /// A login could not use it either.
    pub fn read(&self, options: &Options) -> Result<Document, Error> {
        let (read, _) = self.file().with_lock(&Deadline::begin(), |locked| {
            match self.locked_document(locked, options) {
                // To be tried again, if another program is changing it.
                Err(Error::File(error)) => Err(error),
                read => Ok(read),
            }
        })?;
        read
    }

    /// Makes the file, for its owner alone to read, where there is none.
    ///
    /// # Errors
    /// The path is not safe to use, there is a file ([`io::ErrorKind::AlreadyExists`]), or it could
    /// not be written; then there is none.
    pub fn create(&self, text: &[u8]) -> Result<(), Error> {
        check_mounted([self.path(), &self.resolve()?.path])?;
        Ok(self.file().create(text, PRIVATE, &Deadline::begin())?)
    }

    /// Takes the lock, reads the file as a login does, lets `change` change it, and if it did, puts
    /// the new text in the old one's place as durably as a login does; owner and mode stay. `change`
    /// is called again if another program wrote the file meanwhile; if it fails, the file stays as it
    /// was.
    ///
    /// # Errors
    /// Those of `change`; or a login could not use the file, or could not read what it would become.
    pub fn edit<T, E: From<Error>>(
        &self,
        options: &Options,
        mut change: impl FnMut(&mut Document) -> Result<T, E>,
    ) -> Result<T, E> {
        let deadline = Deadline::begin();
        let edited = self.file().with_lock(&deadline, |locked| {
            let mut document = match self.locked_document(locked, options) {
                Err(Error::File(error)) => return Err(error),
                Err(error) => return Ok(Err(error.into())),
                Ok(document) => document,
            };
            let before = Zeroizing::new(document.text().to_vec());
            let answer = match change(&mut document) {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            if document.text() == before.as_slice() {
                return Ok(Ok(answer));
            }
            if !document.is_readable() {
                let path = self.path().to_owned();
                let is_too_long = document.text().len() > MAX_LENGTH;
                let error = if is_too_long {
                    Error::TooLong(path)
                } else {
                    Error::Unreadable(path)
                };
                return Ok(Err(error.into()));
            }
            let rewrite = Rewrite {
                span: 0..locked.length(),
                text: Zeroizing::new(document.text().to_vec()),
                mode: None,
            };
            locked.replace(&rewrite, &deadline)?;
            Ok(Ok(answer))
        });
        let (answer, _) = edited.map_err(Error::from)?;
        answer
    }

    /// Takes the file away under its lock, durably; tells whether it did. Only with this text, if one
    /// is given.
    ///
    /// # Errors
    /// The file is not there, is not safe to use, or could not be removed.
    pub fn remove(&self, only: Option<&[u8]>) -> Result<bool, Error> {
        let (is_removed, _) = self.file().with_lock(&Deadline::begin(), |locked| {
            if let Some(only) = only {
                if locked.read_all()?.as_slice() != only {
                    return Ok(false);
                }
            }
            locked.remove_durably()?;
            Ok(true)
        })?;
        Ok(is_removed)
    }
}

impl Document {
    /// Adds scratch codes: at the end, or if a line that ends the search for them stands above that,
    /// below the secret.
    pub fn add_scratch_codes(&mut self, codes: &[Zeroizing<String>]) {
        let line_end = self.line_end();
        let mut lines = Zeroizing::new(Vec::with_capacity((SCRATCH_CODE_DIGITS + 2) * codes.len()));
        for code in codes {
            lines.extend_from_slice(code.as_bytes());
            lines.extend_from_slice(line_end);
        }
        let wanted = self.scratch_codes() + codes.len();
        let text = self.text();
        let below_the_secret = text.iter().position(|&byte| byte == b'\n');
        for at in [text.len(), below_the_secret.map_or(text.len(), |at| at + 1)] {
            let (before, after) = text.split_at(at);
            let missing: &[u8] = match before.last() {
                Some(b'\n') | None => b"",
                Some(_) => line_end,
            };
            let mut with = Zeroizing::new(Vec::with_capacity(text.len() + lines.len() + 2));
            for part in [before, missing, &lines, after] {
                with.extend_from_slice(part);
            }
            let with = Document::new(with);
            if with.scratch_codes() == wanted {
                *self = with;
                return;
            }
        }
    }

    /// Takes out every line that looks like a scratch code, whether or not it can be used as the file
    /// stands; tells how many there were.
    pub fn remove_scratch_codes(&mut self) -> usize {
        let mut rest = Zeroizing::new(Vec::with_capacity(self.text().len()));
        let mut removed = 0;
        for (number, line) in self
            .text()
            .split_inclusive(|&byte| byte == b'\n')
            .enumerate()
        {
            let is_code = number > 0 && is_scratch_code(line.trim_ascii());
            match is_code {
                true => removed += 1,
                false => rest.extend_from_slice(line),
            }
        }
        *self = Document::new(rest);
        removed
    }
}

/// Whether a line without its blanks has as many digits as a scratch code, and nothing else.
pub fn is_scratch_code(line: &[u8]) -> bool {
    line.len() == SCRATCH_CODE_DIGITS && line.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn document(text: &str) -> Document {
        Document::new(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn text(document: &Document) -> &str {
        std::str::from_utf8(document.text()).unwrap()
    }

    #[test]
    fn scratch_codes_are_added_where_they_can_be_used() {
        for (before, after) in [
            ("S\n\" TOTP_AUTH\n", "S\n\" TOTP_AUTH\n87654321\n"),
            ("S\n12345678", "S\n12345678\n87654321\n"),
            ("S", "S\n87654321\n"),
            ("S\r\n12345678\r\n", "S\r\n12345678\r\n87654321\r\n"),
            ("S\n# lost\n12345678\n", "S\n87654321\n# lost\n12345678\n"),
        ] {
            let mut file = document(&before.replace('S', SECRET));
            file.add_scratch_codes(&[Zeroizing::new("87654321".into())]);
            assert_eq!(text(&file), after.replace('S', SECRET), "{before}");
            assert!(file.use_scratch_code(b"87654321"), "{before}");
        }
    }

    #[test]
    fn scratch_codes_go_whether_or_not_they_can_be_used_and_nothing_else_does() {
        // The secret is eight digits as well.
        let mut file = document("23456723\n12345678\r\n\" TOTP_AUTH\n# lost\n 01234567\n123456789");
        assert_eq!(file.remove_scratch_codes(), 2);
        assert_eq!(text(&file), "23456723\n\" TOTP_AUTH\n# lost\n123456789");
    }
}
