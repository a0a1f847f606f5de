//! JSON as apps export it, entry by entry: a field that is missing, twice there or of another kind
//! refuses its entry, and no message quotes a value, which may be a secret.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A value; texts are wiped when done with.
pub(super) enum Json {
    Null,
    Bool(bool),
    /// A whole number.
    Number(i128),
    /// A number that is none.
    Fraction,
    Text(Zeroizing<String>),
    List(Vec<Json>),
    /// Every member, also of a name that is there twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text that is JSON as a whole.
    pub(super) fn parse(text: &str) -> Result<Json, String> {
        // The parser's own message would quote the text.
        serde_json::from_str(text).map_err(|error| {
            format!(
                "is JSON that breaks off or is malformed at line {}, column {}",
                error.line(),
                error.column()
            )
        })
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }

    /// Whether an object has this member, and it is not null.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self.member(name), Ok(Some(_)))
    }

    /// A member that is there and not null.
    pub(super) fn member(&self, name: &str) -> Result<Option<&Json>, String> {
        let Json::Object(members) = self else {
            return Ok(None);
        };
        let mut found = members.iter().filter(|(member, _)| member == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(format!("it has {name} twice")),
            (None | Some((_, Json::Null)), _) => Ok(None),
            (Some((_, value)), None) => Ok(Some(value)),
        }
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.member(name)? {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("its {name} is not a text")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, String> {
        self.optional_text(name)?
            .ok_or_else(|| format!("it has no {name}"))
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<u64>, String> {
        match self.member(name)? {
            None => Ok(None),
            Some(&Json::Number(number)) => u64::try_from(number)
                .map(Some)
                .map_err(|_| format!("its {name} is negative or too large")),
            Some(_) => Err(format!("its {name} is not a whole number")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, String> {
        self.optional_number(name)?
            .ok_or_else(|| format!("it has no {name}"))
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&[Json]>, String> {
        match self.member(name)? {
            None => Ok(None),
            Some(Json::List(list)) => Ok(Some(list)),
            Some(_) => Err(format!("its {name} is not a list")),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Fraction)
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(Zeroizing::new(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = items.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
