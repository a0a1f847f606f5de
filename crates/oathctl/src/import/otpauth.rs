//! `otpauth://` URIs, what enrolment QR codes hold, and `otpauth-migration://` URIs, what Google
//! Authenticator's export shows. One URI a line.

use std::borrow::Cow;

use base64::Engine as _;
use percent_encoding::percent_decode_str;
use prost::Message as _;
use zeroize::{Zeroize, Zeroizing};

use super::token::{Description, ImportItem, base32_secret};

/// Whether a text is a list of such URIs.
pub(crate) fn recognises(text: &str) -> bool {
    lines(text).next().is_some_and(|(_, line)| {
        let scheme = line.split("://").next().unwrap_or_default();
        line.contains("://")
            && (scheme.eq_ignore_ascii_case("otpauth")
                || scheme.eq_ignore_ascii_case("otpauth-migration"))
    })
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads every line; one that is no such URI is reported as not imported.
pub(crate) fn read(text: &str) -> Vec<ImportItem> {
    lines(text)
        .flat_map(|(number, line)| {
            let place = format!("line {number}");
            let refused = |place, reason: &str| {
                vec![ImportItem {
                    place,
                    account: None,
                    token: Err(reason.into()),
                    left_behind: Vec::new(),
                }]
            };
            let Some((scheme, rest)) = line.split_once("://") else {
                return refused(place, "it is no otpauth:// URI");
            };
            match scheme.to_ascii_lowercase().as_str() {
                "otpauth" => vec![token(place, rest)],
                "otpauth-migration" => match migration(&place, rest) {
                    Ok(found) => found,
                    Err(reason) => refused(place, reason),
                },
                _ => refused(place, "it is no otpauth:// URI"),
            }
        })
        .collect()
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The query's parameters by name. Those of this scheme are percent-encoded throughout: a plus
/// sign is a plus sign.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// What stands after `otpauth://`: `TYPE/LABEL?PARAMETERS`.
fn token(place: String, rest: &str) -> ImportItem {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    let label = decoded(label);
    // "ISSUER:ACCOUNT", the issuer may be left out.
    let account = label
        .rsplit_once(':')
        .map_or(&*label, |(_, account)| account);
    let account = account.trim();
    ImportItem {
        place,
        account: (!account.is_empty()).then(|| account.to_owned()),
        token: (|| {
            let mut description = Description {
                kind,
                ..Description::default()
            };
            let mut secret = Ok(Zeroizing::new(Vec::new()));
            let mut algorithm = Cow::Borrowed("SHA1");
            for (name, value) in parameters(query) {
                let number = || {
                    decoded(value)
                        .parse::<u64>()
                        .map_err(|_| format!("its {} is not a number", name.escape_debug()))
                };
                match name.to_ascii_lowercase().as_str() {
                    "secret" => secret = base32_secret(&decoded(value)),
                    "algorithm" => algorithm = decoded(value),
                    "digits" => description.digits = number()?,
                    "period" => description.period = number()?,
                    "counter" => description.counter = Some(number()?),
                    "encoder" => {
                        return Err(format!(
                            "its codes are written by the encoder \"{}\", not in digits",
                            decoded(value).escape_debug()
                        ));
                    }
                    _ => {}
                }
            }
            if kind.eq_ignore_ascii_case("totp") {
                description.counter = None;
            }
            Description {
                algorithm: &algorithm,
                ..description
            }
            .token(secret)
        })(),
        left_behind: Vec::new(),
    }
}

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
}

#[derive(Clone, PartialEq, prost::Message)]
struct Parameters {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
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

/// What stands after `otpauth-migration://`: `offline?data=BASE64`.
fn migration(place: &str, rest: &str) -> Result<Vec<ImportItem>, &'static str> {
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
    let bytes = alphabet
        .decode(decoded(data).as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| "its data is not base64; copy the URI whole")?;
    let payload = Payload::decode(bytes.as_slice())
        .map_err(|_| "its data is not an export of Google Authenticator; copy the URI whole")?;
    let mut found: Vec<ImportItem> = (1..)
        .zip(&payload.parameters)
        .map(|(number, parameters)| ImportItem {
            place: format!("{place}, token {number}"),
            ..migrated(parameters)
        })
        .collect();
    if let (true, Some(last)) = (payload.batch_size > 1, found.last_mut()) {
        last.left_behind.push(format!(
            "this URI is number {} of the {} that the export shows; import the others as well",
            payload.batch_index.saturating_add(1),
            payload.batch_size
        ));
    }
    Ok(found)
}

fn migrated(parameters: &Parameters) -> ImportItem {
    let account = parameters
        .name
        .rsplit_once(':')
        .map_or(parameters.name.as_str(), |(_, account)| account)
        .trim();
    let token = (|| {
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
                1 => Some(
                    u64::try_from(parameters.counter)
                        .map_err(|_| "its counter is negative".to_owned())?,
                ),
                _ => None,
            },
            ..Description::default()
        };
        description.token(Ok(Zeroizing::new(parameters.secret.clone())))
    })();
    ImportItem {
        place: String::new(),
        account: (!account.is_empty()).then(|| account.to_owned()),
        token,
        left_behind: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oath_core::usersfile::format::Type;

    fn only(text: &str) -> ImportItem {
        let mut found = read(text);
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0)
    }

    fn reason(text: &str) -> String {
        only(text).token.err().expect(text)
    }

    #[test]
    fn a_uri_gives_account_type_and_secret() {
        let found = only(
            "otpauth://totp/ACME%20Co:john@example.com?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ\
             &issuer=ACME%20Co&algorithm=SHA256&digits=8&period=60",
        );
        assert_eq!(found.account.as_deref(), Some("john@example.com"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/T60/8/SHA256").unwrap());
        assert_eq!(token.secret.len(), 20);
    }

    #[test]
    fn what_a_uri_leaves_out_is_as_in_the_key_uri_format() {
        let found = only("OTPAUTH://HOTP/alice?secret=jbsw%20y3dp&counter=7");
        assert_eq!(found.account.as_deref(), Some("alice"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/E/6/SHA1").unwrap());
        assert_eq!(token.counter, Some(7));
        assert_eq!(token.secret.as_slice(), b"Hello");
    }

    #[test]
    fn what_the_usersfile_cannot_hold_is_named() {
        for (uri, named) in [
            ("otpauth://totp/a?secret=JBSWY3DP&digits=10", "10 digits"),
            ("otpauth://totp/a?secret=JBSWY3DP&algorithm=MD5", "MD5"),
            ("otpauth://totp/a?secret=JBSWY3DP&period=0", "0 seconds"),
            ("otpauth://totp/a?secret=JBSWY3DP&period=x", "period"),
            ("otpauth://totp/a?secret=JBSWY3DP&encoder=steam", "steam"),
            ("otpauth://yaotp/a?secret=JBSWY3DP", "yaotp"),
            ("otpauth://totp/a?secret=1", "base32"),
            ("otpauth://totp/a", "no secret"),
            ("otpauth-migration://offline", "no data"),
            ("otpauth-migration://offline?data=%20", "base64"),
            ("otpauth-migration://offline?data=AAAA", "not an export"),
        ] {
            let reason = reason(uri);
            assert!(reason.contains(named), "{uri}: {reason}");
            assert!(!reason.contains("JBSW"), "{uri}: {reason}");
        }
    }

    #[test]
    fn an_export_holds_several_tokens() {
        let parameters = |kind, digits, counter| Parameters {
            secret: b"12345678901234567890".to_vec(),
            name: "Example:alice@example.com".into(),
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
        };
        let data = base64::prelude::BASE64_STANDARD.encode(payload.encode_to_vec());
        let data = percent_encoding::utf8_percent_encode(&data, percent_encoding::NON_ALPHANUMERIC);
        let found = read(&format!("otpauth-migration://offline?data={data}"));
        let types: Vec<_> = found
            .iter()
            .map(|found| found.token.as_ref().ok().map(|token| token.token_type))
            .collect();
        assert_eq!(
            types,
            [Type::parse(b"HOTP/T30"), Type::parse(b"HOTP/E/8"), None]
        );
        assert_eq!(found[1].token.as_ref().ok().unwrap().counter, Some(5));
        assert_eq!(found[1].account.as_deref(), Some("alice@example.com"));
        assert!(found[2].left_behind[0].contains("number 1 of the 2"));
    }
}
