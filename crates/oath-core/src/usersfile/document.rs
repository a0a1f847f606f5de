//! The whole contents of a usersfile, for the tool: read, changed and replaced under the lock that
//! logins take.
//!
//! A login changes one line and never holds more than one user's lines in memory. The tool lists,
//! adds and removes lines, so it takes the file as a [`Document`].

use std::ops::Range;

use zeroize::Zeroizing;

use super::format::Entry;
use super::{Error, Usersfile};
use crate::fs::{Deadline, Rewrite, Warning};

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

    /// Removes line `number`. A number past the end changes nothing.
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

impl Usersfile {
    /// Reads the whole file, under the lock, and not while an editor is writing it.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read(&self) -> Result<(Document, Vec<Warning>), Error> {
        let read = self.file.with_lock(&Deadline::begin(), |locked| {
            Ok(Document {
                text: locked.read_all()?,
            })
        })?;
        Ok(read)
    }

    /// Takes the lock, reads the file, lets `change` change it, and if it did, puts the new
    /// contents in the old one's place as durably as a login does. `change` is called again if
    /// another program wrote the file meanwhile; if it fails, the file stays as it was.
    ///
    /// # Errors
    /// Those of `change`, or the file cannot be used or replaced.
    pub fn edit<T, E: From<Error>>(
        &self,
        mut change: impl FnMut(&mut Document) -> Result<T, E>,
    ) -> Result<(T, Vec<Warning>), E> {
        let deadline = Deadline::begin();
        let edited = self.file.with_lock(&deadline, |locked| {
            let before = locked.read_all()?;
            let mut document = Document::new(&before);
            let answer = match change(&mut document) {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            if document.text != before {
                let rewrite = Rewrite {
                    span: 0..before.len() as u64,
                    text: document.text,
                    mode: None,
                };
                locked.replace(&rewrite, &deadline)?;
            }
            Ok(Ok(answer))
        });
        let (answer, warnings) = edited.map_err(Error::from)?;
        Ok((answer?, warnings))
    }

    /// As [`edit`](Usersfile::edit), and if there is no file, `change` is given an empty one.
    /// The file is created readable by its owner alone, and removed again if `change` fails. A crash
    /// in between leaves an empty file, which can be locked and replaced like any other.
    ///
    /// # Errors
    /// As [`edit`](Usersfile::edit), or the file cannot be created.
    pub fn edit_or_create<T, E: From<Error>>(
        &self,
        change: impl FnMut(&mut Document) -> Result<T, E>,
    ) -> Result<(T, Vec<Warning>), E> {
        let created = self.file.create_if_missing().map_err(Error::from)?;
        let result = self.edit(change);
        if created && result.is_err() {
            self.remove_if_empty();
        }
        result
    }

    /// `chmod 600` of the file, which may be one that everybody can write to and that no other
    /// operation would use.
    ///
    /// # Errors
    /// The file is not there or is no regular one, or the system refuses.
    pub fn make_private(&self) -> Result<(), Error> {
        Ok(self.file.make_private()?)
    }

    /// Removes the file that [`edit_or_create`](Usersfile::edit_or_create) made, unless somebody has
    /// written to it. That this fails is no news to whoever is told what failed before.
    fn remove_if_empty(&self) {
        if let Ok(locked) = self.file.lock(&Deadline::begin()) {
            if locked.length() == 0 {
                let _ = locked.remove();
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

    #[test]
    fn a_users_tokens_are_those_of_the_whole_name() {
        let document = Document::new(b"HOTP alice2 - 00\nHOTP alice - 11\nHOTP/E alic - 22\n");
        let numbers: Vec<_> = document
            .tokens_of(b"alice")
            .map(|(line, _)| line.number)
            .collect();
        assert_eq!(numbers, [2]);
    }
}
