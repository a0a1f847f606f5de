//! The lines of one user, found at the speed of memory.
//!
//! The file is read in pieces and searched for the user's name; only a line that has it as a
//! whole word is taken apart. The pieces are wiped when done with, since they hold everybody's
//! secrets.

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use zeroize::{Zeroizing, optimization_barrier};

use super::format::Entry;

/// How much is read at a time, in bytes: small enough for a processor's second cache. It grows
/// where a single line is longer.
const PIECE: usize = 64 * 1024;
/// How much is read at first, so that a file of a few users does not cost the wiping of more.
const FIRST_PIECE: usize = 4 * 1024;
/// So many places are sifted at once that the compiler compares whole vectors of bytes.
const LANES: usize = 64;

/// Where in a file a line begins.
#[derive(Clone, Copy, Default)]
pub(super) struct LineStart {
    /// The bytes before it.
    pub(super) offset: u64,
    lines_before: usize,
}

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

    /// Where it begins.
    pub(super) fn start(&self) -> LineStart {
        LineStart {
            offset: self.span.start,
            lines_before: self.number - 1,
        }
    }
}

/// The token lines of `user` in a file of any kind, in file order.
///
/// # Errors
/// Those of `file`, or there is not enough memory.
pub fn lines_of(file: impl Read, user: &[u8]) -> io::Result<Vec<UserLine>> {
    collect(file, LineStart::default(), user)
}

/// As [`lines_of`], of a file that stands at `start`.
pub(super) fn collect(file: impl Read, start: LineStart, user: &[u8]) -> io::Result<Vec<UserLine>> {
    let mut lines = Vec::new();
    scan(file, start, user, |line| {
        lines.try_reserve(1)?;
        lines.push(line);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lines)
}

/// Reads `file`, which stands at `start`, to its end or until `each` breaks off, and hands over
/// every token line of `user`, in file order.
pub(super) fn scan(
    file: impl Read,
    start: LineStart,
    user: &[u8],
    mut each: impl FnMut(UserLine) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    let mut pieces = Pieces::of(file)?;
    // Where in the file the piece begins, and the lines before it.
    let LineStart {
        mut offset,
        mut lines_before,
    } = start;
    while let Some(piece) = pieces.next()? {
        let mut counted = 0;
        for span in spans_of(user, piece) {
            let text = &piece[span.clone()];
            if Entry::parse(text).is_some_and(|entry| entry.user == user) {
                lines_before += count_line_feeds(&piece[counted..span.start]);
                counted = span.start;
                let after = piece.len().min(span.end + 1);
                let line = UserLine {
                    number: lines_before + 1,
                    span: offset + span.start as u64..offset + after as u64,
                    text: Zeroizing::new(text.to_vec()),
                };
                if each(line)?.is_break() {
                    return Ok(());
                }
            }
        }
        lines_before += count_line_feeds(&piece[counted..]);
        offset += piece.len() as u64;
    }
    Ok(())
}

/// How many lines end in `bytes`.
fn count_line_feeds(bytes: &[u8]) -> usize {
    // So many that a sum of bytes cannot overflow: the compiler then adds whole vectors of them.
    const CHUNK: usize = 192;
    bytes
        .chunks(CHUNK)
        .map(|chunk| {
            let feeds = chunk.iter().map(|&byte| u8::from(byte == b'\n'));
            usize::from(feeds.fold(0, u8::wrapping_add))
        })
        .sum()
}

/// The lines in `piece` that have `name` as a whole word, without their line feeds.
fn spans_of<'a>(name: &'a [u8], piece: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let hit = find_word(name, piece, rest)?;
        let start = last_line_feed(&piece[..hit]).map_or(0, |feed| feed + 1);
        let end = piece[hit..].iter().position(|&byte| byte == b'\n');
        let end = end.map_or(piece.len(), |feed| hit + feed);
        rest = piece.len().min(end + 1);
        Some(start..end)
    })
}

/// Where `name` stands in `text` as a whole word, from `from` on.
fn find_word(name: &[u8], text: &[u8], from: usize) -> Option<usize> {
    // Nothing that separates words is above the space.
    let is_letter = |at: usize| text.get(at).is_some_and(|&byte| byte > b' ');
    let is_word = |&at: &usize| {
        text[at] == name[0]
            && text[at..].starts_with(name)
            && !is_letter(at.wrapping_sub(1))
            && !is_letter(at + name.len())
    };
    let end = name.len().checked_sub(1)?;
    let before_end = end.saturating_sub(1);
    let (first, last_but_one, last) = (name[0], name[before_end], name[end]);
    let lanes = |offset: usize| {
        let places = text.get(from + offset..).unwrap_or_default();
        places.chunks_exact(LANES)
    };
    let mut at = from;
    let begins = lanes(0).zip(lanes(before_end));
    let ends = lanes(end).zip(lanes(end + 1));
    for ((firsts, befores), (lasts, nexts)) in begins.zip(ends) {
        // A word that ends as the name does is seldom another, and hardly ever if it also begins
        // as the name does.
        let ends_alike =
            |n: usize| (befores[n] == last_but_one) & (lasts[n] == last) & (nexts[n] <= b' ');
        let is_alike = |n: usize| (firsts[n] == first) & ends_alike(n);
        if any_lane(ends_alike) && any_lane(is_alike) {
            if let Some(hit) = (at..at + LANES).find(is_word) {
                return Some(hit);
            }
        }
        at += LANES;
    }
    (at..text.len().saturating_sub(end)).find(is_word)
}

/// Whether a place among the lanes passes the test. All of them are tested.
fn any_lane(test: impl Fn(usize) -> bool) -> bool {
    (0..LANES).fold(false, |any, lane| any | test(lane))
}

fn last_line_feed(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|&byte| byte == b'\n')
}

/// A file in pieces of whole lines.
struct Pieces<R> {
    file: R,
    buffer: Wiped,
    filled: usize,
    /// How much of the buffer was handed out as the last piece.
    used: usize,
}

impl<R: Read> Pieces<R> {
    fn of(file: R) -> io::Result<Pieces<R>> {
        Ok(Pieces {
            file,
            buffer: Wiped::new(FIRST_PIECE)?,
            filled: 0,
            used: 0,
        })
    }

    /// The next piece: up to the last line feed that was read, or to the end of the file.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.filled == self.buffer.0.len() && self.filled < PIECE {
            self.buffer.grow()?;
        }
        self.buffer.0.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        while self.used == 0 {
            if self.filled == self.buffer.0.len() {
                self.buffer.grow()?;
            }
            let read = match self.file.read(&mut self.buffer.0[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let new = self.filled..self.filled + read;
            self.filled = new.end;
            self.used = match last_line_feed(&self.buffer.0[new.clone()]) {
                Some(last) => new.start + last + 1,
                None if read == 0 && self.filled == 0 => return Ok(None),
                None if read == 0 => self.filled,
                None => 0,
            };
        }
        Ok(Some(&self.buffer.0[..self.used]))
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

    /// Makes it larger, with what it holds.
    fn grow(&mut self) -> io::Result<()> {
        let held = self.0.len();
        let mut larger = Wiped::new(PIECE.max(held * 2))?;
        larger.0[..held].copy_from_slice(&self.0);
        std::mem::swap(self, &mut larger);
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
        let text = |line: &UserLine| {
            let span = line.span.start as usize..line.span.end as usize;
            (line.number, file[span].to_vec())
        };
        let lines = lines_of(Dripping(file, drip), user.as_bytes()).unwrap();
        lines.iter().map(text).collect()
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
        file.push(b'\n');
        let bobs = file.clone();
        file.extend_from_slice(b"HOTP alice - 00\n");
        assert_eq!(
            found(&file, "alice", usize::MAX),
            [(2, b"HOTP alice - 00\n".to_vec())]
        );
        assert!(found(&file, "bob", usize::MAX) == [(1, bobs)]);
    }

    #[test]
    fn a_line_longer_than_any_buffer_before_it_does_not_hide_what_follows() {
        let mut file = Vec::new();
        for (n, length) in [10, FIRST_PIECE, 100, 3 * PIECE, 10, 7 * PIECE]
            .iter()
            .enumerate()
        {
            file.extend_from_slice(format!("HOTP user{n} - ").as_bytes());
            file.resize(file.len() + length, b'0');
            file.push(b'\n');
        }
        for n in 0..6 {
            let user = format!("user{n}");
            for drip in [1000, FIRST_PIECE, PIECE, usize::MAX] {
                let lines = found(&file, &user, drip);
                assert_eq!(lines.len(), 1, "{user}, {drip} bytes at a time");
                assert_eq!(lines[0].0, n + 1, "{user}, {drip} bytes at a time");
            }
        }
    }

    #[test]
    fn a_name_is_found_between_its_own_letters() {
        let file = b"HOTP aab aa aaaa\nHOTP/E\taa aaa aa\nHOTP HOTP - 00\nHOTP a\n";
        assert_eq!(
            found(file, "aa", 1000),
            [(2, b"HOTP/E\taa aaa aa\n".to_vec())]
        );
        assert_eq!(
            found(file, "HOTP", 1000),
            [(3, b"HOTP HOTP - 00\n".to_vec())]
        );
        assert_eq!(found(file, "a", 1000), [(4, b"HOTP a\n".to_vec())]);
    }

    #[test]
    fn reading_stops_where_it_is_broken_off_and_goes_on_from_the_line_it_stopped_at() {
        let file = b"HOTP bob - 00\nHOTP alice\n\nHOTP alice - 00\nHOTP alice - 11\n";
        let mut second = None;
        let mut seen = 0;
        scan(&file[..], LineStart::default(), b"alice", |line| {
            seen += 1;
            second = Some(line.start());
            Ok(match line.entry().is_complete() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })
        .unwrap();
        assert_eq!(seen, 2);
        let start = second.unwrap();
        let lines = collect(&file[start.offset as usize..], start, b"alice").unwrap();
        let seen = |line: &UserLine| (line.number, line.span.start, line.entry().is_complete());
        let lines: Vec<_> = lines.iter().map(seen).collect();
        assert_eq!(lines, [(4, 26, true), (5, 42, true)]);
    }

    #[test]
    fn a_line_below_any_number_of_blank_ones_has_its_own_number() {
        for blank in [191, 192, 193, 255, 256, 300, 1000] {
            let mut file = vec![b'\n'; blank];
            file.extend_from_slice(b"HOTP alice - 00\n");
            let lines = found(&file, "alice", usize::MAX);
            assert_eq!(lines, [(blank + 1, b"HOTP alice - 00\n".to_vec())]);
        }
    }

    #[test]
    fn a_user_without_a_name_has_no_line() {
        assert!(found(b"HOTP  - 00\n", "", 100).is_empty());
    }
}
