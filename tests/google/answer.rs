//! All of a login that two modules can be compared in.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Bytes that are text for the most part.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Text(pub Vec<u8>);

impl Text {
    /// The lines, without what ends them.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'\n')
    }

    /// As the cases have it: of what is long they have the digest alone.
    fn recorded(&self) -> Vec<u8> {
        const LONGEST: usize = 4096;
        match self.0.len() {
            0..=LONGEST => self.0.clone(),
            length => {
                let digest = Sha256::digest(&self.0);
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("sha256 {digest} of {length} bytes").into_bytes()
            }
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.recorded()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.into())
    }
}

impl From<String> for Text {
    /// A byte that is not UTF-8 is one of U+E080 to U+E0FF: see [`of_case`].
    fn from(text: String) -> Text {
        let mut bytes = Vec::new();
        for character in text.chars() {
            match character {
                '\u{e080}'..='\u{e0ff}' => bytes.push(character as u8),
                character => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Text(bytes)
    }
}

/// A line of the cases, which have half a surrogate pair, U+DC80 to U+DCFF, for a byte that is not
/// UTF-8. serde_json takes no half for a character.
pub fn of_case(line: &str) -> String {
    line.replace("\\udc", "\\ue0")
}

/// A file: its text, and kind, mode, owner and group in one text; nothing if there is none.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct State(pub Option<Text>, pub Option<String>);

impl State {
    /// Whether it is the same, as far as the cases tell.
    pub fn is(&self, other: &State) -> bool {
        let recorded = |state: &State| state.0.as_ref().map(Text::recorded);
        recorded(self) == recorded(other) && self.1 == other.1
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    pub rc: String,
    pub prompts: usize,
    /// The last one, and whether it echoed.
    pub prompt: Option<String>,
    pub echo: Option<bool>,
    /// Other texts for the user, each with its kind.
    pub messages: Vec<(String, String)>,
    pub authtok: Option<String>,
    pub after: Option<Text>,
    pub after_stat: Option<String>,
    pub left_behind: Vec<String>,
    /// Other files that the case looks at.
    #[serde(default)]
    pub watch: BTreeMap<String, State>,
    /// Logins that were made at the prompt of this one.
    #[serde(default)]
    pub inner: Vec<Answer>,
    /// Not compared: the two modules have words of their own.
    pub log: Vec<String>,
}

impl Answer {
    /// The file afterwards.
    pub fn file(&self) -> State {
        State(self.after.clone(), self.after_stat.clone())
    }

    pub fn set_file(&mut self, state: State) {
        (self.after, self.after_stat) = (state.0, state.1);
    }

    /// Two lines for each field that is not as expected; empty if everything is.
    pub fn difference(&self, expected: &Answer) -> String {
        let mut differences = String::new();
        let mut compare = |field: &str, got: &dyn fmt::Debug, expected: &dyn fmt::Debug| {
            let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
            if got != expected {
                differences +=
                    &format!("  {field}: expected {expected}\n  {field}: got      {got}\n");
            }
        };
        macro_rules! compare {
            ($($field:ident)*) => { $(compare(stringify!($field), &self.$field, &expected.$field);)* };
        }
        compare!(rc prompts prompt echo messages authtok after_stat left_behind watch);
        let recorded = |answer: &Answer| answer.after.as_ref().map(|text| Text(text.recorded()));
        compare("after", &recorded(self), &recorded(expected));
        compare(
            "logins at the prompt",
            &self.inner.len(),
            &expected.inner.len(),
        );
        for (got, expected) in self.inner.iter().zip(&expected.inner) {
            differences += &got.difference(expected);
        }
        differences
    }
}
