//! The JSON export of FreeOTP+.

use zeroize::Zeroizing;

use super::json::Json;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken};
use super::{Format, Source, entries};

pub(super) struct FreeOtpPlus;

impl Format for FreeOtpPlus {
    fn recognises(&self, source: &Source) -> bool {
        source
            .json()
            .is_some_and(|json| json.has("tokens") && json.has("tokenOrder"))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let json = source.json().unwrap_or(&Json::Null);
        entries("an export of FreeOTP+", json.list("tokens"), entry)
    }
}

fn entry(entry: &Json) -> ImportItem {
    ImportItem {
        account: Account::of_label_field(entry.optional_text("label"), "its label is not a text"),
        ..ImportItem::new(String::new(), token(entry))
    }
}

fn token(entry: &Json) -> Result<ImportedToken, String> {
    for name in ["issuerExt", "issuerInt"] {
        let issuer = entry.optional_text(name)?.unwrap_or_default();
        if issuer.eq_ignore_ascii_case("steam") {
            return Err("its codes are Steam's, which have letters".into());
        }
    }
    Description {
        kind: entry.text("type")?,
        algorithm: entry.optional_text("algo")?.unwrap_or("SHA1"),
        digits: entry.optional_number("digits")?.unwrap_or(6),
        period: entry.optional_number("period")?.unwrap_or(30),
        counter: match entry.text("type")?.eq_ignore_ascii_case("hotp") {
            true => entry
                .optional_number("counter")?
                .map_or(Counter::None, Counter::Next),
            false => Counter::None,
        },
    }
    .token(secret(entry))
}

/// A list of bytes, which Java counts from -128 to 127.
fn secret(entry: &Json) -> Result<Zeroizing<Vec<u8>>, String> {
    let list = entry.list("secret")?.ok_or("it has no secret")?;
    let mut secret = Zeroizing::new(Vec::with_capacity(list.len()));
    for byte in list {
        match byte {
            Json::Number(byte @ -128..=255) => secret.push(*byte as u8),
            _ => return Err("its secret is not a list of bytes".into()),
        }
    }
    Ok(secret)
}
