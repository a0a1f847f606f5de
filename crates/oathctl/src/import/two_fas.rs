//! A plain backup of 2FAS.

use super::json::Json;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source, entries};

pub(super) struct TwoFas;

impl Format for TwoFas {
    fn recognises(&self, source: &Source) -> bool {
        source
            .json()
            .is_some_and(|json| json.has("services") || json.has("servicesEncrypted"))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let json = source.json().unwrap_or(&Json::Null);
        // An encrypted one has an empty list of services besides.
        if json.has("servicesEncrypted") {
            return Err("is an encrypted backup of 2FAS; export it anew without a password".into());
        }
        entries("a backup of 2FAS", json.list("services"), service)
    }
}

fn service(service: &Json) -> ImportItem {
    let otp = service.member("otp").ok().flatten().unwrap_or(&Json::Null);
    let account = otp.optional_text("account").ok().flatten();
    let name = service.optional_text("name").ok().flatten();
    let account = account
        .filter(|account| !account.trim().is_empty())
        .or(name);
    ImportItem {
        account: Account::of_label(account.unwrap_or_default()),
        ..ImportItem::new(String::new(), token(service, otp))
    }
}

fn token(service: &Json, otp: &Json) -> Result<ImportedToken, String> {
    service.member("otp")?;
    Description {
        kind: otp.optional_text("tokenType")?.unwrap_or("totp"),
        algorithm: otp.optional_text("algorithm")?.unwrap_or("SHA1"),
        digits: otp.optional_number("digits")?.unwrap_or(6),
        period: otp.optional_number("period")?.unwrap_or(30),
        counter: otp
            .optional_number("counter")?
            .map_or(Counter::None, Counter::Next),
    }
    .token(service.text("secret").and_then(base32_secret))
}
