//! `otpauth-migration://` URIs, what Google Authenticator's export shows.

use base64::Engine as _;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use zeroize::{Zeroize, Zeroizing};

use super::otpauth::parameters;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken};

/// What Google Authenticator exports. Its field numbers and values are not documented by its
/// makers; every program that reads such exports has these.
#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(message, repeated, tag = "1")]
    parameters: Vec<Parameters>,
    #[prost(int32, tag = "3")]
    batch_size: i32,
    #[prost(int32, tag = "4")]
    batch_index: i32,
    #[prost(int32, tag = "5")]
    batch_id: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Parameters {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    /// Not a string, so that one that isn't UTF-8 refuses one token and not all.
    #[prost(bytes = "vec", tag = "2")]
    name: Vec<u8>,
    #[prost(int32, tag = "4")]
    algorithm: i32,
    #[prost(int32, tag = "5")]
    digits: i32,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(int64, tag = "7")]
    counter: i64,
}

impl Drop for Parameters {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// The tokens of one URI, and which part of an export it is.
pub(super) struct Part {
    pub(super) items: Vec<ImportItem>,
    batch: i32,
    index: i32,
    size: i32,
}

impl Part {
    /// What is no part of an export.
    pub(super) fn single(item: ImportItem) -> Part {
        Part {
            items: vec![item],
            batch: 0,
            index: 0,
            size: 0,
        }
    }
}

/// Reads what stands after `otpauth-migration://`: `offline?data=BASE64`.
pub(super) fn read(place: &str, rest: &str) -> Result<Part, &'static str> {
    let data = rest
        .split_once('?')
        .and_then(|(_, query)| parameters(query).find(|(name, _)| *name == "data"))
        .map(|(_, value)| value)
        .ok_or("the URI has no data")?;
    let alphabet = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let encoded = Zeroizing::new(percent_decode_str(data).collect::<Vec<u8>>());
    let bytes = alphabet
        .decode(&*encoded)
        .map(Zeroizing::new)
        .map_err(|_| "its data is not base64; copy the URI whole")?;
    let payload = Payload::decode(bytes.as_slice())
        .map_err(|_| "its data is not an export of Google Authenticator; copy the URI whole")?;
    let items = (1..)
        .zip(&payload.parameters)
        .map(|(number, parameters)| ImportItem {
            account: Account::of_label_bytes(&parameters.name),
            ..ImportItem::new(format!("{place}, token {number}"), token(parameters))
        })
        .collect();
    Ok(Part {
        items,
        batch: payload.batch_id,
        index: payload.batch_index,
        size: payload.batch_size,
    })
}

/// Says of each export whose parts are not all here how many are missing, at its last token.
pub(super) fn remark_missing(parts: &mut [Part]) {
    for last in (0..parts.len()).rev() {
        let (batch, size) = (parts[last].batch, parts[last].size);
        let is_last = !parts[last + 1..].iter().any(|part| part.batch == batch);
        let mut here: Vec<i32> = parts
            .iter()
            .filter(|part| part.batch == batch)
            .map(|part| part.index)
            .collect();
        here.sort_unstable();
        here.dedup();
        if is_last && size > 1 && (here.len() as i64) < i64::from(size) {
            let here: Vec<String> = here
                .iter()
                .map(|n| n.saturating_add(1).to_string())
                .collect();
            if let Some(item) = parts[last].items.last_mut() {
                item.remarks.push(format!(
                    "of the {size} parts that the export shows only number {} is here; import the \
                     others as well",
                    here.join(", ")
                ));
            }
        }
    }
}

fn token(parameters: &Parameters) -> Result<ImportedToken, String> {
    let description = Description {
        kind: match parameters.kind {
            1 => "hotp",
            2 => "totp",
            kind => return Err(format!("its type has the unknown number {kind}")),
        },
        algorithm: match parameters.algorithm {
            0 | 1 => "SHA1",
            2 => "SHA256",
            3 => "SHA512",
            4 => "MD5",
            other => return Err(format!("its hash has the unknown number {other}")),
        },
        digits: match parameters.digits {
            0 | 1 => 6,
            2 => 8,
            other => {
                return Err(format!(
                    "its number of digits has the unknown number {other}"
                ));
            }
        },
        counter: match parameters.kind {
            1 => Counter::NextOrShown(
                u64::try_from(parameters.counter)
                    .map_err(|_| "its counter is negative".to_owned())?,
            ),
            _ => Counter::None,
        },
        ..Description::default()
    };
    description.token(Ok(Zeroizing::new(parameters.secret.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::otpauth;
    use oath_core::usersfile::format::Type;

    #[test]
    fn an_export_holds_several_tokens() {
        let parameters = |kind, digits, counter| Parameters {
            secret: b"12345678901234567890".to_vec(),
            name: b"Example:alice@example.com".to_vec(),
            algorithm: 1,
            digits,
            kind,
            counter,
        };
        let payload = Payload {
            parameters: vec![
                parameters(2, 1, 0),
                parameters(1, 2, 5),
                parameters(0, 1, 0),
            ],
            batch_size: 2,
            batch_index: 0,
            batch_id: 7,
        };
        let data = base64::prelude::BASE64_STANDARD.encode(payload.encode_to_vec());
        let data = percent_encoding::utf8_percent_encode(&data, percent_encoding::NON_ALPHANUMERIC);
        let found = otpauth::read(&format!("otpauth-migration://offline?data={data}"));
        let types: Vec<_> = found
            .iter()
            .map(|found| found.token.as_ref().ok().map(|token| token.token_type))
            .collect();
        assert_eq!(
            types,
            [Type::parse(b"HOTP/T30"), Type::parse(b"HOTP/E/8"), None]
        );
        assert_eq!(found[1].token.as_ref().ok().unwrap().counter, Some(6));
        assert_eq!(
            found[1].account,
            Account::of_label("Example:alice@example.com")
        );
        assert!(found[2].remarks[0].contains("only number 1"));
    }
}
