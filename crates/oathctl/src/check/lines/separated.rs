//! Fields that are apart by something else than spaces and tabs, so that several are read as one.

use oath_core::usersfile::format::{Field, Type};

use super::Line;
use crate::secret::{is_in, ungrouped};

/// What stands in or behind a field where a space or tab was meant.
pub(super) struct WrongSeparator {
    pub(super) field: Field,
    /// Continues after the field's name.
    pub(super) problem: String,
    pub(super) advice: &'static str,
}

impl Line<'_> {
    /// The first field that has a wrong separator in it.
    pub(super) fn wrong_separator(&self) -> Option<WrongSeparator> {
        let fields = [Field::Type, Field::User, Field::Pin, Field::Secret];
        let fields: Vec<(Field, &[u8])> = fields
            .into_iter()
            .filter_map(|field| Some((field, self.field(field)?)))
            .collect();
        let is_complete = fields.len() == 4;
        let odd = fields.iter().find_map(|&(field, text)| {
            // What is typed as a PIN is the administrator's business, where it is one.
            let may_be = field == Field::Pin && is_complete && !text.starts_with(b"-");
            let (what, code) = odd_space(text).filter(|_| !may_be)?;
            Some(WrongSeparator {
                field,
                problem: format!("has {what} in it (U+{code:04X}), as web pages do"),
                advice: "type the line anew on a keyboard, or copy it as plain text",
            })
        });
        odd.or_else(|| {
            let (field, joint) = match joined_type(fields.first()?.1) {
                Some(joint) => (Field::Type, joint),
                None => {
                    let (field, text) = *fields.last().filter(|_| !is_complete)?;
                    (field, joint(text).filter(|_| field != Field::Type)?)
                }
            };
            Some(WrongSeparator {
                field,
                problem: match joint {
                    Joint::By(separator) => {
                        format!("is joined to the next field by \"{separator}\"")
                    }
                    Joint::Nothing => "is joined to the next field".into(),
                },
                advice: "separate the fields by spaces or tabs",
            })
        })
    }
}

/// What stands between two fields in place of spaces.
enum Joint {
    By(char),
    Nothing,
}

const JOINTS: [char; 6] = [':', ',', ';', '|', '=', '&'];

/// What joins a field to those behind it, unless it is a part of a secret: `base32:`, `9d:7c:0f`.
fn joint(text: &[u8]) -> Option<Joint> {
    let text = std::str::from_utf8(text).ok()?;
    let no_pin = text.strip_prefix(['-', '+']);
    if no_pin.is_some_and(|rest| rest.starts_with(char::is_alphanumeric) && is_in(rest.as_bytes()))
    {
        return Some(Joint::Nothing);
    }
    let (before, behind) = text.split_once(JOINTS)?;
    let is_secret = text.starts_with("base32:") || *ungrouped(text) != text;
    let separator = text[before.len()..].chars().next()?;
    let joins = !is_secret && !behind.trim_matches('=').is_empty();
    joins.then_some(Joint::By(separator))
}

/// What joins a type to the field behind it.
fn joined_type(text: &[u8]) -> Option<Joint> {
    let text = std::str::from_utf8(text).ok()?;
    let of_type = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '/';
    let end = text.find(|c| !of_type(c))?;
    Type::parse(&text.as_bytes()[..end])?;
    let next = text[end..].chars().next()?;
    Some(match next.is_alphanumeric() {
        true => Joint::Nothing,
        false => Joint::By(next),
    })
}

/// A character that looks like a space, or like nothing, and separates no fields.
pub(in super::super) fn odd_space(text: &[u8]) -> Option<(&'static str, u32)> {
    const NO_BREAK_SPACE: u8 = 0xa0;
    let Ok(text) = std::str::from_utf8(text) else {
        // In ISO 8859-1, and in what Windows calls ANSI.
        let has = text.contains(&NO_BREAK_SPACE);
        return has.then_some(("a no-break space", NO_BREAK_SPACE.into()));
    };
    text.chars().find_map(|c| {
        let what = match c {
            '\u{a0}' | '\u{2007}' | '\u{202f}' => "a no-break space",
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {
                "an invisible character"
            }
            c if c.is_whitespace() && !c.is_ascii() => "a space of another kind",
            _ => return None,
        };
        Some((what, c.into()))
    })
}
