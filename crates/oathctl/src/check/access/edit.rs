//! A change of one line of the PAM configuration: as a sed command for the administrator, and
//! applied to the file's text, so that its effect can be evaluated first.

use super::super::stack::{Entry, Fault, Place};

/// A change of one line.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// Replaces the first occurrence of a word.
    Replace {
        place: Place,
        from: String,
        to: String,
    },
    /// Removes the line.
    Remove(Place),
}

impl Edit {
    pub(super) fn replace(place: &Place, from: &str, to: &str) -> Edit {
        Edit::Replace {
            place: place.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    /// For a control or a type that is misspelt: the keyword that it is closest to.
    pub(super) fn correct_spelling(entry: &Entry) -> Option<Edit> {
        const CONTROLS: &[&str] = &[
            "required",
            "requisite",
            "sufficient",
            "optional",
            "include",
            "substack",
        ];
        const TYPES: &[&str] = &["auth", "account", "password", "session"];
        const MOST_TYPOS: usize = 2;
        let (text, keywords) = match entry.fault.as_ref()? {
            Fault::UnknownControl(text) => (text, CONTROLS),
            Fault::UnknownType(text) => (text, TYPES),
            _ => return None,
        };
        let (_, keyword) = keywords
            .iter()
            .map(|keyword| (distance(&text.to_lowercase(), keyword), keyword))
            .min()
            .filter(|(distance, _)| *distance <= MOST_TYPOS)?;
        Some(Edit::replace(&entry.place, text, keyword))
    }

    pub(super) fn place(&self) -> &Place {
        match self {
            Edit::Replace { place, .. } | Edit::Remove(place) => place,
        }
    }

    /// The text of the file after the command.
    pub(super) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let at = self.place().line - 1;
        match self {
            Edit::Remove(_) => {
                lines.remove(at);
            }
            Edit::Replace { from, to, .. } => {
                let line = &mut lines[at];
                let from = from.as_bytes();
                if let Some(start) = line.windows(from.len()).position(|part| part == from) {
                    line.splice(start..start + from.len(), to.bytes());
                }
            }
        }
        lines.concat()
    }

    /// The command that makes the change.
    pub(super) fn command(&self) -> String {
        let Place { file, line } = self.place();
        let script = match self {
            Edit::Remove(_) => format!("{line}d"),
            Edit::Replace { from, to, .. } => {
                let mut pattern = String::new();
                for c in from.chars() {
                    if r"\/[]*.^$".contains(c) {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
                format!("{line}s/{pattern}/{to}/")
            }
        };
        format!(
            "sed -i {} {}",
            quoted(&script),
            quoted(&file.display().to_string())
        )
    }
}

/// A word, quoted for the shell where needed.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The Levenshtein distance of two words.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = cost.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
