//! A plain backup of andOTP: a list of entries, nothing around it.

use super::json::Json;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source, entries};

pub(super) struct AndOtp;

impl Format for AndOtp {
    fn recognises(&self, source: &Source) -> bool {
        matches!(source.json(), Some(Json::List(list))
            if list.iter().any(|entry| entry.has("secret") && entry.has("type")))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        match source.json() {
            Some(Json::List(list)) => entries("a backup of andOTP", Ok(Some(list)), entry),
            _ => Ok(Vec::new()),
        }
    }
}

fn entry(entry: &Json) -> ImportItem {
    ImportItem {
        account: Account::of_label_field(entry.optional_text("label"), "its label is not a text"),
        ..ImportItem::new(String::new(), token(entry))
    }
}

fn token(entry: &Json) -> Result<ImportedToken, String> {
    let kind = entry.text("type")?;
    Description {
        kind,
        algorithm: entry.optional_text("algorithm")?.unwrap_or("SHA1"),
        digits: entry.optional_number("digits")?.unwrap_or(6),
        period: entry.optional_number("period")?.unwrap_or(30),
        counter: entry
            .optional_number("counter")?
            .map_or(Counter::None, Counter::NextOrShown),
    }
    .token(entry.text("secret").and_then(base32_secret))
}
