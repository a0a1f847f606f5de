//! The lines of one user, found at the speed of memory.
//!
//! The file is read in pieces and searched for the user's name; only a line that has it as a
//! whole word is taken apart. The pieces are wiped when done with, since they hold everybody's
//! secrets.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use memchr::{memchr, memchr_iter, memmem, memrchr};
use zeroize::{Zeroizing, optimization_barrier};

use super::format::Entry;

/// How much is read at a time, in bytes: small enough for a processor's second cache. It grows
/// where a single line is longer.
const PIECE: usize = 64 * 1024;

/// A token's line of one user.
pub struct UserLine {
    /// Counted from 1.
    pub number: usize,
    /// Where the line stands in the file, its line feed included.
    pub span: Range<u64>,
    text: Zeroizing<Vec<u8>>,
}

impl UserLine {
    /// The line's fields.
    pub fn entry(&self) -> Entry<'_> {
        Entry::parse(&self.text).expect("only token lines are kept")
    }
}

/// Reads `file` to its end, or until `each` breaks off, and hands over every token line of
/// `user`, in file order.
pub fn lines_of(
    mut file: impl Read,
    user: &[u8],
    mut each: impl FnMut(UserLine) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    if user.is_empty() {
        return Ok(());
    }
    let name = memmem::Finder::new(user);
    let mut buffer = Wiped::new(PIECE)?;
    // What `buffer` holds, where in the file that begins, and the lines before it.
    let (mut filled, mut offset, mut lines_before) = (0, 0, 0);
    loop {
        let read = match file.read(&mut buffer.0[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        filled += read;
        // Only whole lines are looked at: up to the last line feed, or to the end of the file.
        let whole = match memrchr(b'\n', &buffer.0[filled - read..filled]) {
            Some(last) => filled - read + last + 1,
            None if read == 0 => filled,
            None => {
                buffer.make_room(filled)?;
                continue;
            }
        };
        let piece = &buffer.0[..whole];
        let mut counted = 0;
        let mut rest = 0;
        while let Some(hit) = name.find(&piece[rest..]) {
            let hit = rest + hit;
            let start = memrchr(b'\n', &piece[rest..hit]).map_or(rest, |feed| rest + feed + 1);
            let end = memchr(b'\n', &piece[hit..]).map_or(whole, |feed| hit + feed);
            rest = whole.min(end + 1);
            let text = &piece[start..end];
            if Entry::parse(text).is_some_and(|entry| entry.user == user) {
                lines_before += memchr_iter(b'\n', &piece[counted..start]).count();
                counted = start;
                let line = UserLine {
                    number: lines_before + 1,
                    span: offset + start as u64..offset + rest as u64,
                    text: Zeroizing::new(text.to_vec()),
                };
                if each(line)?.is_break() {
                    return Ok(());
                }
            }
        }
        if read == 0 {
            return Ok(());
        }
        lines_before += memchr_iter(b'\n', &piece[counted..]).count();
        offset += whole as u64;
        buffer.0.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

/// A buffer that is wiped before its memory is given back. Filling and a barrier do it: wiping
/// byte by byte would cost more than all the searching.
struct Wiped(Vec<u8>);

impl Wiped {
    fn new(size: usize) -> io::Result<Wiped> {
        let mut bytes = Vec::new();
        // A failure here must deny one login, not end the process as a failing allocation does.
        bytes.try_reserve_exact(size)?;
        bytes.resize(size, 0);
        Ok(Wiped(bytes))
    }

    /// Makes the buffer twice as large if its first `filled` bytes are all of it.
    fn make_room(&mut self, filled: usize) -> io::Result<()> {
        if filled == self.0.len() {
            let mut larger = Wiped::new(filled * 2)?;
            larger.0[..filled].copy_from_slice(&self.0);
            std::mem::swap(self, &mut larger);
        }
        Ok(())
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        optimization_barrier(self.0.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time, as a file on a slow network might.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn found(file: &[u8], user: &str, drip: usize) -> Vec<(usize, Vec<u8>)> {
        let mut found = Vec::new();
        lines_of(Dripping(file, drip), user.as_bytes(), |line| {
            let span = line.span.start as usize..line.span.end as usize;
            found.push((line.number, file[span].to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        found
    }

    #[test]
    fn lines_are_found_with_number_and_place_however_the_file_arrives() {
        let file = b"# alice\n\nHOTP alice - 00\nHOTP alice2 - 00\n HOTP\talice\r\n\
                     HOTP bob alice 00\nHOTP/E/6 alice - 11";
        for drip in [1, 2, 3, 7, 1000] {
            assert_eq!(
                found(file, "alice", drip),
                [
                    (3, b"HOTP alice - 00\n".to_vec()),
                    (5, b" HOTP\talice\r\n".to_vec()),
                    (7, b"HOTP/E/6 alice - 11".to_vec()),
                ],
                "{drip} bytes at a time"
            );
        }
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_read_whole() {
        let mut file = b"HOTP bob - ".to_vec();
        file.resize(5 * PIECE, b'1');
        file.extend_from_slice(b"\nHOTP alice - 00\n");
        assert_eq!(
            found(&file, "alice", usize::MAX),
            [(2, b"HOTP alice - 00\n".to_vec())]
        );
        assert_eq!(found(&file, "bob", usize::MAX).len(), 1);
    }

    #[test]
    fn a_user_without_a_name_has_no_line() {
        assert!(found(b"HOTP  - 00\n", "", 100).is_empty());
    }
}
