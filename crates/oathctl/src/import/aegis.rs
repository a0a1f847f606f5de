//! A plain JSON export of Aegis Authenticator.

use super::json::Json;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source, entries};

pub(super) struct Aegis;

impl Format for Aegis {
    fn recognises(&self, source: &Source) -> bool {
        source.json().is_some_and(|json| json.has("db"))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let Some(Ok(Some(db))) = source.json().map(|json| json.member("db")) else {
            return Err("is no export of Aegis: it has db twice".into());
        };
        if let Json::Text(_) = db {
            return Err(
                "is an encrypted export of Aegis; export it anew without a password".into(),
            );
        }
        entries("an export of Aegis", db.list("entries"), entry)
    }
}

fn entry(entry: &Json) -> ImportItem {
    ImportItem {
        account: Account::of_label_field(entry.optional_text("name"), "its name is not a text"),
        ..ImportItem::new(String::new(), token(entry))
    }
}

fn token(entry: &Json) -> Result<ImportedToken, String> {
    let info = entry.member("info")?.ok_or("it has no info")?;
    let kind = entry.text("type")?;
    Description {
        kind,
        algorithm: info.text("algo")?,
        digits: info.number("digits")?,
        period: info.optional_number("period")?.unwrap_or(30),
        // The app shows the code of this counter, and counts when it is asked for the next.
        counter: match info.optional_number("counter")? {
            Some(counter) => Counter::NextOrShown(counter),
            None => Counter::None,
        },
    }
    .token(info.text("secret").and_then(base32_secret))
}
