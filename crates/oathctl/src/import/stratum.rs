//! A plain JSON backup of Stratum, which was Authenticator Pro.

use super::json::Json;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source, entries};

pub(super) struct Stratum;

impl Format for Stratum {
    fn recognises(&self, source: &Source) -> bool {
        source.json().is_some_and(|json| json.has("Authenticators"))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let json = source.json().unwrap_or(&Json::Null);
        entries("a backup of Stratum", json.list("Authenticators"), entry)
    }
}

fn entry(entry: &Json) -> ImportItem {
    let username = entry.optional_text("Username").ok().flatten();
    let issuer = entry.optional_text("Issuer").ok().flatten();
    let account = username.filter(|name| !name.trim().is_empty()).or(issuer);
    ImportItem {
        account: Account::of_name(account.unwrap_or_default()),
        ..ImportItem::new(String::new(), token(entry))
    }
}

fn token(entry: &Json) -> Result<ImportedToken, String> {
    Description {
        kind: match entry.number("Type")? {
            1 => "hotp",
            2 => "totp",
            3 => "mOTP",
            4 => "Steam",
            5 => "Yandex",
            other => return Err(format!("its type has the unknown number {other}")),
        },
        algorithm: match entry.optional_number("Algorithm")?.unwrap_or(0) {
            0 => "SHA1",
            1 => "SHA256",
            2 => "SHA512",
            other => return Err(format!("its hash has the unknown number {other}")),
        },
        digits: entry.number("Digits")?,
        period: entry.optional_number("Period")?.unwrap_or(30),
        counter: entry
            .optional_number("Counter")?
            .map_or(Counter::None, Counter::Next),
    }
    .token(entry.text("Secret").and_then(base32_secret))
}
