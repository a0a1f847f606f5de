//! What Yubico's programs write when they set up YubiKeys: a CSV line for each.
//!
//! "Yubico format": serial, identity, private identity, secret, access code, time. "Traditional
//! format": event, time, slot, identity, private identity, secret, access codes and flags, among
//! them the number of digits.

use csv::StringRecord;

use super::table::{field, place};
use super::token::{Counter, Description, ImportItem, ImportedToken};
use super::{Format, Source, serials};

pub(super) struct YubicoCsv;

impl Format for YubicoCsv {
    fn recognises(&self, source: &Source) -> bool {
        let first = source.table.as_ref().and_then(|table| table.first());
        first.is_some_and(|first| is_yubico_format(first) || is_traditional_format(first))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let records = source.table.iter().flat_map(|table| table.records());
        Ok(records
            .filter(|record| record.get(0).map(str::trim) != Some("LOGGING START"))
            .map(|record| match is_traditional_format(record) {
                true => traditional(record),
                false => yubico(record),
            })
            .collect())
    }
}

fn is_yubico_format(record: &StringRecord) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    record.len() >= 6
        && is_number(field(record, 0))
        && serials::is_hex(field(record, 2))
        && serials::is_hex(field(record, 3))
        && field(record, 5).contains('T')
}

fn is_traditional_format(record: &StringRecord) -> bool {
    matches!(
        field(record, 0),
        "LOGGING START"
            | "OATH-HOTP"
            | "Yubico OTP"
            | "Static Password"
            | "Challenge-Response: HMAC-SHA1"
    )
}

fn yubico(record: &StringRecord) -> ImportItem {
    let token = match (field(record, 1), field(record, 3)) {
        (_, "" | "0") => Err("it has no secret: none was written to the log".into()),
        (identity, secret) if !identity.is_empty() || secret.len() == 32 => {
            Err("it is a key of Yubico OTP, the usersfile has HOTP and TOTP".into())
        }
        (_, secret) => hotp(secret, 6),
    };
    let mut item = ImportItem::new(place(record), token);
    item.serial = Some(field(record, 0).to_owned());
    if item.token.is_ok() {
        item.remarks
            .push("the log does not say how many digits its codes have, so 6 are taken".into());
    }
    item
}

fn traditional(record: &StringRecord) -> ImportItem {
    let token = match (field(record, 0), field(record, 11)) {
        ("OATH-HOTP", "6") => hotp(field(record, 5), 6),
        ("OATH-HOTP", "8") => hotp(field(record, 5), 8),
        ("OATH-HOTP", _) => Err("field 12, the number of digits, is neither 6 nor 8".into()),
        (event, _) => Err(format!(
            "it is \"{}\", the usersfile has HOTP and TOTP",
            event.escape_debug()
        )),
    };
    let mut item = ImportItem::new(place(record), token);
    item.serial = Some(field(record, 3))
        .filter(|identity| !identity.is_empty())
        .map(str::to_owned);
    item
}

/// A key that was just set up begins with counter 0.
fn hotp(secret: &str, digits: u64) -> Result<ImportedToken, String> {
    Description {
        kind: "hotp",
        digits,
        counter: Counter::Next(0),
        ..Description::default()
    }
    .token(serials::hex_secret(secret))
}
