//! CSV of hardware tokens with headings, which say what each column is: makers have them in any order.

use super::serials::hex_secret;
use super::table::Row;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source};

pub(super) struct ColumnsCsv;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Serial,
    Seed,
    Kind,
    Digits,
    Step,
    Hash,
    Counter,
    User,
    /// Nothing that changes a code.
    Other,
}

impl Column {
    /// The column with this heading, whatever stands between its words.
    fn of(heading: &str) -> Option<Column> {
        let letters: String = heading
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        Some(match letters.as_str() {
            "serial" | "serialnumber" | "serialno" | "tokenserial" | "tokenserialnumber" => {
                Column::Serial
            }
            "seed" | "secret" | "key" | "secretkey" | "otpkey" | "tokenseed" | "hexseed" => {
                Column::Seed
            }
            "type" | "tokentype" | "otptype" => Column::Kind,
            "digits" | "otplen" | "otplength" | "length" => Column::Digits,
            "step" | "timestep" | "period" | "interval" | "timeinterval" => Column::Step,
            "hash" | "hashlib" | "algorithm" => Column::Hash,
            "counter" => Column::Counter,
            "upn" | "user" | "username" => Column::User,
            "manufacturer" | "model" | "description" | "comment" => Column::Other,
            _ => return None,
        })
    }
}

impl Format for ColumnsCsv {
    fn recognises(&self, source: &Source) -> bool {
        source.table.as_ref().is_some_and(|table| {
            let is_there = |wanted| {
                let mut headings = table.headings().iter();
                headings.any(|heading| Column::of(heading) == Some(wanted))
            };
            is_there(Column::Serial) && is_there(Column::Seed)
        })
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let Some(table) = &source.table else {
            return Ok(Vec::new());
        };
        // Microsoft's form, with a column of that name, has its secrets in base32.
        let is_base32 = table.has_columns(&["upn"]);
        Ok(table.items(|row| {
            let mut item = ImportItem::new(String::new(), token(row, is_base32));
            for (heading, value) in row.fields().filter(|(_, value)| !value.is_empty()) {
                match Column::of(heading) {
                    Some(Column::Serial) => item.serial = Some(value.to_owned()),
                    Some(Column::User) => item.account = Account::of_name(value),
                    _ => {}
                }
            }
            item
        }))
    }
}

fn token(row: &Row, is_base32: bool) -> Result<ImportedToken, String> {
    let mut kind = None;
    let mut seed = "";
    let mut seen = Vec::new();
    let mut description = Description {
        counter: Counter::Next(0),
        ..Description::default()
    };
    for (heading, value) in row.fields().filter(|(_, value)| !value.is_empty()) {
        let number = || {
            value
                .parse()
                .map_err(|_| format!("its {} is not a number", heading.escape_debug()))
        };
        let Some(column) = Column::of(heading) else {
            return Err(format!(
                "the column \"{}\" is not known, and may change what its codes are",
                heading.escape_debug()
            ));
        };
        if column != Column::Other && seen.contains(&column) {
            return Err(format!("it has {} twice", heading.escape_debug()));
        }
        seen.push(column);
        match column {
            Column::Seed => seed = value,
            Column::Kind => kind = Some(value),
            Column::Digits => description.digits = number()?,
            Column::Step => description.period = number()?,
            Column::Hash => description.algorithm = value,
            Column::Counter => description.counter = Counter::Next(number()?),
            Column::Serial | Column::User | Column::Other => {}
        }
    }
    let has_step = seen.contains(&Column::Step);
    description.kind = match kind {
        Some(kind) if has_step && kind.eq_ignore_ascii_case("hotp") => {
            return Err("it is HOTP and has a time step".into());
        }
        Some(kind) => kind,
        None if has_step => "totp",
        None => return Err("no column says whether it is HOTP or TOTP".into()),
    };
    description.token(match is_base32 {
        true => base32_secret(seed),
        false => hex_secret(seed),
    })
}
