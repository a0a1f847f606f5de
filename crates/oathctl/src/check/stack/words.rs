//! The lines and words of a PAM configuration file, as libpam separates them.

use std::fmt;

/// A line, and the number of its first where it is continued.
pub(super) type Line = (usize, Vec<u8>);

/// The lines without comments, continued lines joined; and the last one if it ends in a backslash.
pub(super) fn logical_lines(text: &[u8]) -> (Vec<Line>, Option<Line>) {
    let mut lines = Vec::new();
    let mut begun: Option<Line> = None;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let uncommented = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        if trimmed(uncommented).is_empty() {
            // It does not even end a line that is continued.
            continue;
        }
        let has_comment = uncommented.len() < line.len();
        let continued = trimmed(uncommented)
            .strip_suffix(b"\\")
            .filter(|_| !has_comment);
        let (_, whole) = begun.get_or_insert_with(|| (number, Vec::new()));
        match continued {
            Some(part) => {
                whole.extend_from_slice(part);
                whole.push(b' ');
            }
            None => {
                whole.extend_from_slice(uncommented);
                lines.extend(begun.take());
            }
        }
    }
    (lines, begun)
}

/// The separators of words.
const BLANKS: &[u8] = b" \t\n";

fn trimmed(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| BLANKS.contains(byte);
    let start = text
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |at| at + 1);
    &text[start..end]
}

/// The words of a line. A word in brackets may have spaces; `\]` in it means `]`.
pub(super) struct Words<'a>(pub(super) &'a [u8]);

pub(super) struct Word {
    pub(super) text: Vec<u8>,
    bracketed: bool,
    /// Whether it begins with a bracket that nothing closes.
    pub(super) is_open: bool,
}

impl Word {
    pub(super) fn plain(text: &[u8]) -> Word {
        Word {
            text: text.to_vec(),
            bracketed: false,
            is_open: false,
        }
    }
}

/// As it is written.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = text_of(&self.text);
        match self.bracketed {
            true => write!(f, "[{text}]"),
            false => f.write_str(&text),
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let rest = trimmed(self.0);
        let Some(inside) = rest.strip_prefix(b"[") else {
            let end = rest.iter().position(|byte| BLANKS.contains(byte));
            let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
            self.0 = rest;
            return (!word.is_empty()).then(|| Word::plain(word));
        };
        let mut text = Vec::new();
        let mut at = 0;
        let mut is_open = true;
        while let Some(&byte) = inside.get(at) {
            at += 1;
            match byte {
                b']' => {
                    is_open = false;
                    break;
                }
                b'\\' if inside.get(at) == Some(&b']') => {
                    text.push(b']');
                    at += 1;
                }
                _ => text.push(byte),
            }
        }
        self.0 = &inside[at..];
        Some(Word {
            text,
            bracketed: true,
            is_open,
        })
    }
}

/// A word as text.
pub(super) fn text_of(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
