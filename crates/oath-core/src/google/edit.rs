//! A secret file as the tools read and write it.

use std::io;

use zeroize::Zeroizing;

use super::format::Document;
use super::options::Options;
use super::secret_file::{self, PRIVATE, SecretFile};
use crate::fs::{Deadline, Error, FilePath, Rewrite};

/// Puts a file with this text where the path leads, for its owner alone to read. One that is there is
/// replaced under its lock.
///
/// # Errors
/// The path is not safe to use, or the file could not be written; then the old one is as it was.
pub fn put(file: &FilePath, text: &Zeroizing<Vec<u8>>) -> Result<(), Error> {
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
            Err(Error::Missing(_)) => {}
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
    /// Reads the file, under its lock, if a login with these arguments would use it.
    ///
    /// # Errors
    /// A login could not use it either.
    pub fn read(&self, options: &Options) -> Result<Document, secret_file::Error> {
        let (read, _) = self.file().with_lock(&Deadline::begin(), |locked| {
            match self.locked_document(locked, options) {
                // To be tried again, if another program is changing it.
                Err(secret_file::Error::File(error)) => Err(error),
                read => Ok(read),
            }
        })?;
        read
    }
}
