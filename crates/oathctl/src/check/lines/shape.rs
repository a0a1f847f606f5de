//! What a SECRET is that cannot be read, and what was meant.

use oath_core::usersfile::format::{Malformed, parse_secret};
use zeroize::Zeroizing;

use crate::moving::MOVED;
use crate::secret::{is_hex, ungrouped};

/// The description of a SECRET. Nothing of the secret is in the texts.
pub(super) struct Shape {
    pub(super) problem: String,
    pub(super) advice: &'static str,
    /// The field as it was meant, where there is only one correct form, and what to say of it.
    pub(super) meant: Option<(Zeroizing<Vec<u8>>, &'static str)>,
}

const COPY: &str = "copy the secret again, or enrol anew with oathctl add";

impl Shape {
    pub(super) fn of(secret: &[u8], malformed: Malformed) -> Shape {
        let Ok(text) = std::str::from_utf8(secret) else {
            return Shape::new("has bytes that are no text in it", COPY);
        };
        if let Some(path) = text.strip_prefix(MOVED) {
            return Shape::new(
                format!("says that the user's tokens were moved to {path}"),
                "name the files that tokens were moved to, usersfile=, in the PAM configuration",
            );
        }
        let unquoted = text.trim_matches(['"', '\'', '`', ',', ';']);
        if unquoted.len() < text.len() {
            let problem = "has quotation marks or a comma around it";
            let advice = "write the secret without them";
            return Shape::new(problem, advice).meant(unquoted, "has no quotation marks now");
        }
        let digits = match text.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("base32:") => &text[7..],
            _ => text,
        };
        let has_prefix = digits.len() < text.len();
        let compact = ungrouped(digits);
        if text.to_ascii_lowercase().starts_with("otpauth:") {
            Shape::new(
                "is a whole otpauth URI",
                "oathctl import takes such a URI; SECRET is what stands behind secret= in it",
            )
        } else if !has_prefix && is_hex(compact.as_bytes()) && compact.len() < digits.len() {
            Shape::new(
                "is hexadecimal with separators between the digits",
                "write the digits without them",
            )
            .meant(&compact, "has no separators now")
        } else if is_base32(compact.as_bytes()) {
            let problem = match (has_prefix, compact.len() < digits.len()) {
                (false, false) => "is base32, where hexadecimal is expected",
                (false, true) => "is base32 in groups, where hexadecimal is expected",
                (true, true) => "is base32 in groups",
                (true, false) => "is base32, but base32: before it has capitals",
            };
            let advice = "write base32: before it, in small letters, and no space or dash";
            Shape::new(problem, advice).meant(
                &Zeroizing::new(format!("base32:{}", *compact)),
                "begins with base32: now",
            )
        } else if text.len() % 2 == 1 && is_hex(text.as_bytes()) {
            Shape::new(
                malformed.problem.to_string(),
                "a digit was lost, or one is too many: copy the secret again, or enrol anew with \
                 oathctl add",
            )
        } else if text
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        {
            Shape::new(
                "is hexadecimal with 0x before it",
                "hexadecimal is written without 0x",
            )
        } else if let Some(shape) = with_word_before(text) {
            shape
        } else if let Some(shape) = base32_but_for(&compact, has_prefix) {
            shape
        } else if !has_prefix && hex_but_for(&compact) {
            Shape::new(
                "is hexadecimal but for a few characters",
                "the digits are 0 to 9 and a to f; O is mostly 0, and l or I is 1: copy the secret \
                 again",
            )
        } else if is_like_base64(text) {
            Shape::new(
                "looks like base64",
                "the same bytes in hexadecimal are what base64 -d | xxd -p -c 64 makes of it",
            )
        } else {
            Shape::new(malformed.problem.to_string(), COPY)
        }
    }

    fn new(problem: impl Into<String>, advice: &'static str) -> Shape {
        Shape {
            problem: problem.into(),
            advice,
            meant: None,
        }
    }

    /// With what was meant, if it can be read.
    fn meant(self, text: &str, done: &'static str) -> Shape {
        let text = Zeroizing::new(text.as_bytes().to_vec());
        let is_secret = parse_secret(&text).is_ok();
        Shape {
            meant: is_secret.then_some((text, done)),
            ..self
        }
    }
}

/// A secret with a word before it that names it: `hex:`, `b32:`, `secret=`.
fn with_word_before(text: &str) -> Option<Shape> {
    const WORDS: [&str; 6] = ["hex", "b32", "base32", "secret", "key", "seed"];
    let (word, secret) = text.split_once([':', '='])?;
    if !WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return None;
    }
    let meant = match is_base32(secret.as_bytes()) {
        true => Zeroizing::new(format!("base32:{secret}")),
        false => Zeroizing::new(secret.to_owned()),
    };
    parse_secret(meant.as_bytes()).is_ok().then(|| {
        Shape::new(
            "has a word before it that does not belong there",
            "write hexadecimal without one, and base32: before base32",
        )
        .meant(&meant, "has no other word before it now")
    })
}

/// Base32 with a few characters that it does not have.
fn base32_but_for(text: &str, has_prefix: bool) -> Option<Shape> {
    let digits = text.trim_end_matches('=');
    let is_letter = |c: char| matches!(c, 'A'..='Z' | 'a'..='z' | '2'..='7');
    let foreign = digits.chars().filter(|c| !is_letter(*c)).count();
    let one_case = !digits.contains(|c: char| c.is_ascii_lowercase())
        || !digits.contains(|c: char| c.is_ascii_uppercase());
    let is_meant = has_prefix || digits.len() >= SHORTEST && one_case && !hex_but_for(digits);
    let few = digits.chars().count() / 4;
    if !is_meant || foreign == 0 || foreign > few {
        return None;
    }
    Some(Shape::new(
        "is base32 but for characters that base32 does not have",
        "it has the letters A to Z and the digits 2 to 7: 0 is mostly O, 1 is I or L, 8 is B; copy \
         the secret again",
    ))
}

/// In characters.
const SHORTEST: usize = 8;

/// Whether nearly all are hexadecimal digits.
fn hex_but_for(text: &str) -> bool {
    let foreign = text.chars().filter(|c| !c.is_ascii_hexdigit()).count();
    text.len() >= SHORTEST && foreign <= text.len() / 8
}

fn is_like_base64(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    text.len() >= SHORTEST && text.len() % 4 == 0 && text.chars().all(is_digit)
}

/// Whether a text is base32 and cannot be hexadecimal; its length must be that of whole bytes.
pub(super) fn is_base32(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = &text[..text.len() - padding];
    digits.len() >= SHORTEST
        && matches!(digits.len() % 8, 0 | 2 | 4 | 5 | 7)
        && !is_hex(digits)
        && parse_secret(&[b"base32:", text].concat()).is_ok()
}
