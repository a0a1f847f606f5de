//! Whole contents, for the tool: read, changed and put back under the lock of the logins.
//!
//! A login changes one line and never holds more than a user's lines in memory. The tool lists,
//! adds and removes lines, so it takes the file as a [`Document`]. Lock, path walk and
//! replacement are those of [`store`](super::store).

#![forbid(unsafe_code)]

use std::fs::Permissions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;

use zeroize::Zeroizing;

use super::Error;
use super::format::Entry;
use super::path::Place;
use super::store::{Deadline, Rewrite, Usersfile};
use crate::sys;

/// The contents of a usersfile, wiped when done with.
pub struct Document {
    text: Zeroizing<Vec<u8>>,
}

/// A line of a [`Document`].
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    /// Without its line feed.
    pub text: &'a [u8],
    start: usize,
}

impl<'a> Line<'a> {
    /// The token that the line describes, if it does.
    pub fn entry(&self) -> Option<Entry<'a>> {
        Entry::parse(self.text)
    }
}

impl Document {
    /// A document with this text.
    pub fn new(text: &[u8]) -> Document {
        Document {
            text: Zeroizing::new(text.to_vec()),
        }
    }

    /// The whole text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// All lines, in file order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut start = 0;
        (1..)
            .zip(self.text.split_inclusive(|&byte| byte == b'\n'))
            .map(move |(number, text)| {
                let line = Line {
                    number,
                    text: text.strip_suffix(b"\n").unwrap_or(text),
                    start,
                };
                start += text.len();
                line
            })
    }

    /// The line with this number.
    pub fn line(&self, number: usize) -> Option<Line<'_>> {
        self.lines().nth(number.checked_sub(1)?)
    }

    /// The token lines of `user`, in file order.
    pub fn tokens_of(&self, user: &[u8]) -> impl Iterator<Item = (Line<'_>, Entry<'_>)> {
        self.lines()
            .filter_map(|line| Some((line, line.entry()?)))
            .filter(move |(_, entry)| entry.user == user)
    }

    /// Puts a line, given without its line feed, at the end of the file; returns its number.
    pub fn append(&mut self, line: &[u8]) -> usize {
        let end = self.text.len();
        let unfinished = self.text.last().is_some_and(|&last| last != b'\n');
        self.splice(
            end..end,
            &[if unfinished { b"\n" } else { b"" }, line, b"\n"],
        );
        self.lines().count()
    }

    /// Puts another text, given without a line feed, in the place of line `number`; the line
    /// keeps its end. A number past the end changes nothing.
    pub fn replace(&mut self, number: usize, text: &[u8]) {
        if let Some(line) = self.line(number) {
            let span = line.start..line.start + line.text.len();
            self.splice(span, &[text]);
        }
    }

    /// Takes line `number` out. A number past the end changes nothing.
    pub fn remove(&mut self, number: usize) {
        if let Some(line) = self.line(number) {
            let end = line.start + line.text.len() + 1;
            let span = line.start..end.min(self.text.len());
            self.splice(span, &[]);
        }
    }

    /// Builds the new text at its full length: a vector that grows leaves copies behind.
    fn splice(&mut self, span: Range<usize>, parts: &[&[u8]]) {
        let added: usize = parts.iter().map(|part| part.len()).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + added));
        text.extend_from_slice(&self.text[..span.start]);
        for part in parts {
            text.extend_from_slice(part);
        }
        text.extend_from_slice(&self.text[span.end..]);
        self.text = text;
    }
}

/// What is not as it should be with a file that is used nevertheless, in words for the admin.
pub type Warnings = Vec<String>;

impl Usersfile {
    /// Reads the whole file, under the lock: what an editor is half through writing is not read.
    pub fn read(&self) -> Result<(Document, Warnings), Error> {
        self.with_lock(&Deadline::begin(), |held| {
            Ok(Document {
                text: held.read_all()?,
            })
        })
    }

    /// Takes the lock, reads the file, lets `change` change it, and if it did, puts the new
    /// contents in the old one's place as durably as a login does. `change` is called again if
    /// another program wrote the file meanwhile; if it fails, the file stays as it was.
    pub fn edit<T, E: From<Error>>(
        &self,
        mut change: impl FnMut(&mut Document) -> Result<T, E>,
    ) -> Result<(T, Warnings), E> {
        let deadline = Deadline::begin();
        let (answer, warnings) = self.with_lock(&deadline, |held| {
            let before = held.read_all()?;
            let mut document = Document::new(&before);
            let answer = match change(&mut document) {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            if document.text != before {
                let rewrite = Rewrite {
                    span: 0..before.len() as u64,
                    text: document.text,
                };
                held.replace(&rewrite, &deadline)?;
            }
            Ok(Ok(answer))
        })?;
        Ok((answer?, warnings))
    }

    /// As [`edit`](Usersfile::edit), and if there is no file, `change` is given an empty one.
    /// The file is created readable by its owner alone, and taken away again if `change` fails.
    pub fn edit_or_create<T, E: From<Error>>(
        &self,
        change: impl FnMut(&mut Document) -> Result<T, E>,
    ) -> Result<(T, Warnings), E> {
        let created = self.create_if_missing()?;
        let result = self.edit(change);
        if created && result.is_err() {
            self.remove_if_empty();
        }
        result
    }

    /// `chmod 600` of the file, which may be one that everybody can write to and that no other
    /// operation would touch.
    pub fn make_private(&self) -> Result<(), Error> {
        let place = Place::find(self.path(), self.home_of)?;
        let io = |action| Error::io(action, &place.path);
        let open = |flags| sys::open_at(&place.folder, &place.name, flags, 0).map_err(io("open"));
        // First as a mere path: opening some devices does something.
        if !open(libc::O_PATH)?
            .metadata()
            .map_err(io("look at"))?
            .is_file()
        {
            return Err(Error::refused(&place.path, "is not a regular file"));
        }
        let file = open(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY)?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(io("change the mode of"))
    }

    /// Creates an empty file where there is none; tells whether it did. Being empty it can be
    /// locked and replaced like any other, and a crash leaves nothing half done.
    fn create_if_missing(&self) -> Result<bool, Error> {
        let place = Place::find(self.path(), self.home_of)?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        match sys::open_at(&place.folder, &place.name, flags, 0o600) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("create", &place.path)(error)),
        }
    }

    /// Takes away what [`create_if_missing`](Usersfile::create_if_missing) made, unless somebody
    /// has written to it. That this fails is no news to whoever is told what failed before.
    fn remove_if_empty(&self) {
        if let Ok(held) = self.lock_within(&Deadline::begin()) {
            if held.metadata.len() == 0 {
                let _ = held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut Document)) -> String {
        let mut document = Document::new(text.as_bytes());
        edit(&mut document);
        String::from_utf8(document.text.to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_appended_replaced_and_removed_and_all_others_stay_as_they_are() {
        let text = "# one\r\n\nHOTP alice - 00";
        assert_eq!(
            edited(text, |document| assert_eq!(document.append(b"four"), 4)),
            "# one\r\n\nHOTP alice - 00\nfour\n"
        );
        assert_eq!(
            edited(text, |document| document.replace(2, b"two")),
            "# one\r\ntwo\nHOTP alice - 00"
        );
        assert_eq!(
            edited(text, |document| document.remove(1)),
            "\nHOTP alice - 00"
        );
        assert_eq!(edited(text, |document| document.remove(3)), "# one\r\n\n");
        assert_eq!(edited(text, |document| document.remove(4)), text);
        assert_eq!(
            edited("", |document| assert_eq!(document.append(b"one"), 1)),
            "one\n"
        );
    }
}
