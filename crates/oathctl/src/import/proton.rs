//! A plain JSON export of Proton Authenticator, whose entries are URIs.

use super::json::Json;
use super::otpauth;
use super::token::{Account, ImportItem};
use super::{Format, Source, entries};

pub(super) struct Proton;

impl Format for Proton {
    fn recognises(&self, source: &Source) -> bool {
        source.json().is_some_and(|json| {
            json.has("version")
                && (json.has("entries") || (json.has("salt") && json.has("content")))
        })
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let json = source.json().unwrap_or(&Json::Null);
        if json.has("salt") {
            return Err(
                "is an encrypted export of Proton Authenticator; export it anew without a password"
                    .into(),
            );
        }
        entries(
            "an export of Proton Authenticator",
            json.list("entries"),
            entry,
        )
    }
}

fn entry(entry: &Json) -> ImportItem {
    let content = entry
        .member("content")
        .ok()
        .flatten()
        .unwrap_or(&Json::Null);
    let uri = match (content.optional_text("entry_type"), content.text("uri")) {
        (Ok(None), uri) => uri,
        (Ok(Some(kind)), uri) if kind.eq_ignore_ascii_case("totp") => uri,
        (Ok(Some(kind)), _) => Err(format!(
            "its type is \"{}\", the usersfile has HOTP and TOTP",
            kind.escape_debug()
        )),
        (Err(problem), _) => Err(problem),
    };
    let mut item = match uri {
        Ok(uri) => otpauth::single(uri),
        Err(problem) => ImportItem::new(String::new(), Err(problem)),
    };
    if let (Account::Missing, Ok(Some(name))) = (&item.account, content.optional_text("name")) {
        item.account = Account::of_label(name);
    }
    item
}
