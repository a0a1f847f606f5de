//! CSV of hardware tokens, as makers deliver it and privacyIDEA reads it: serial number, seed in
//! hex, and then perhaps type, digits, and step or hash.

use csv::StringRecord;
use oath_core::usersfile::format::parse_secret;
use zeroize::Zeroizing;

use super::table::{field, place};
use super::token::{Counter, Description, ImportItem, ImportedToken};
use super::{Format, Source};

pub(super) struct SerialsCsv;

impl Format for SerialsCsv {
    fn recognises(&self, source: &Source) -> bool {
        source.table.as_ref().is_some_and(|table| {
            let is_token = |record: &StringRecord| {
                !field(record, 0).is_empty()
                    && is_hex(field(record, 1))
                    && field(record, 1).len() >= 20
            };
            table.records().iter().take(2).any(is_token)
        })
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let records = source.table.iter().flat_map(|table| table.records());
        let is_heading = |record: &StringRecord| {
            matches!(
                field(record, 1).to_ascii_lowercase().as_str(),
                "seed" | "secret" | "key" | "otpkey"
            )
        };
        Ok((0..)
            .zip(records)
            .filter(|(index, record)| *index > 0 || !is_heading(record))
            .map(|(_, record)| {
                let mut item = ImportItem::new(place(record), token(record));
                item.serial = Some(field(record, 0))
                    .filter(|serial| !serial.is_empty())
                    .map(str::to_owned);
                item
            })
            .collect())
    }
}

pub(super) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A secret in hex.
pub(super) fn hex_secret(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    match text.starts_with("base32:") {
        true => Err("its secret is not hexadecimal".into()),
        false => parse_secret(text.as_bytes()).map_err(|malformed| match text.is_empty() {
            true => "it has no secret".into(),
            false if is_hex(text) => format!("its secret {}", malformed.problem),
            false => "its secret is not hexadecimal".into(),
        }),
    }
}

fn token(record: &StringRecord) -> Result<ImportedToken, String> {
    let kind = match field(record, 2) {
        "" => "hotp",
        kind => kind,
    };
    let is_totp = kind.eq_ignore_ascii_case("totp");
    if !is_totp && !kind.eq_ignore_ascii_case("hotp") {
        return Err(format!(
            "its type is \"{}\", the usersfile has HOTP and TOTP",
            kind.escape_debug()
        ));
    }
    let digits = match field(record, 3) {
        "" => 6,
        digits => digits
            .parse()
            .map_err(|_| "field 4, its number of digits, is not a number".to_owned())?,
    };
    let mut period = 30;
    let mut algorithm = "SHA1";
    for column in 4..record.len() {
        match field(record, column) {
            "" => {}
            hash if hash.to_ascii_lowercase().starts_with("sha") => algorithm = hash,
            step if is_totp && column == 4 => {
                period = step
                    .parse()
                    .map_err(|_| "field 5 is neither a step nor a hash".to_owned())?;
            }
            _ => {
                return Err(format!(
                    "field {} is not known, and may change what its codes are",
                    column + 1
                ));
            }
        }
    }
    Description {
        kind,
        algorithm,
        digits,
        period,
        counter: Counter::Next(0),
    }
    .token(hex_secret(field(record, 1)))
}
