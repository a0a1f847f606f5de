//! The XML export of KeePassXC and KeePass 2. Entries without a token are passed over, as is what an
//! entry was before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use roxmltree::Node;
use zeroize::Zeroizing;

use super::otpauth;
use super::serials::hex_secret;
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source, xml};

pub(super) struct KeePassXml;

impl Format for KeePassXml {
    fn recognises(&self, source: &Source) -> bool {
        source
            .text
            .is_some_and(|text| text.trim_start().starts_with('<') && text.contains("<KeePassFile"))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let document = xml::parse(source.text.unwrap_or_default())?;
        let file = document.root_element();
        let meta = xml::children(file, "Meta").next();
        let bin = meta.map_or("", |meta| xml::text(meta, "RecycleBinUUID"));
        let is_entry = |node: &Node| {
            let is_former = node.ancestors().any(|above| above.has_tag_name("History"));
            node.has_tag_name("Entry") && !is_former
        };
        Ok((1..)
            .zip(file.descendants().filter(is_entry))
            .filter_map(|(number, entry)| {
                let token = token(&Fields(entry))?;
                let is_deleted = entry.ancestors().any(|group| {
                    group.has_tag_name("Group")
                        && !bin.is_empty()
                        && xml::text(group, "UUID") == bin
                });
                let token = match is_deleted {
                    true => Err("it lies in the recycle bin, so somebody has deleted it".into()),
                    false => token,
                };
                let account = match Fields(entry).get("UserName") {
                    Ok(Some(name)) => Account::of_name(name),
                    Ok(None) => Account::Unusable("it has no user name"),
                    Err(_) => Account::Unusable("its user name is encrypted"),
                };
                Some(ImportItem {
                    account,
                    ..ImportItem::new(format!("entry {number}"), token)
                })
            })
            .collect())
    }
}

type Secret = Result<Zeroizing<Vec<u8>>, String>;

/// The fields of an entry, `<String>` each.
struct Fields<'a>(Node<'a, 'a>);

impl<'a> Fields<'a> {
    /// What a field holds, if it is there and not empty.
    fn get(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut fields = xml::children(self.0, "String");
        let Some(field) = fields.find(|field| xml::text(*field, "Key") == name) else {
            return Ok(None);
        };
        let value = xml::children(field, "Value").next();
        if value.is_some_and(|value| value.attribute("Protected") == Some("True")) {
            return Err(format!("its field {name} is encrypted"));
        }
        Ok(Some(xml::text(field, "Value")).filter(|text| !text.is_empty()))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| format!("its {name} is not a number"))
        };
        self.get(name)?.map(number).transpose()
    }

    /// The secret of KeePass 2, in one of its encodings.
    fn secret(&self, kind: &str) -> Option<Secret> {
        let decoders = [
            ("-Base32", base32_secret as fn(&str) -> Secret),
            ("-Hex", hex_secret),
            ("-Base64", base64_secret),
            ("", plain_secret),
        ];
        decoders.iter().find_map(|(encoding, decoded)| {
            self.get(&format!("{kind}-Secret{encoding}"))
                .and_then(|text| text.map(decoded).transpose())
                .transpose()
        })
    }
}

fn plain_secret(text: &str) -> Secret {
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

fn base64_secret(text: &str) -> Secret {
    BASE64_STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| "its secret is not base64".into())
}

/// The token of an entry: of KeePassXC, of its plugins before it, or of KeePass 2.
fn token(fields: &Fields) -> Option<Result<ImportedToken, String>> {
    match fields.get("otp") {
        Ok(Some(uri)) if otpauth::is_uri(uri) => return Some(otpauth::single(uri).token),
        Ok(Some(_)) => return Some(Err("its field otp is no otpauth:// URI".into())),
        Ok(None) => {}
        Err(problem) => return Some(Err(problem)),
    }
    match fields.get("TOTP Seed") {
        Ok(Some(seed)) => return Some(with_settings(fields, seed)),
        Ok(None) => {}
        Err(problem) => return Some(Err(problem)),
    }
    if let Some(secret) = fields.secret("TimeOtp") {
        return Some(of_time(fields).and_then(|description| description.token(secret)));
    }
    let secret = fields.secret("HmacOtp")?;
    let counter = fields.number("HmacOtp-Counter");
    Some(counter.and_then(|counter| {
        Description {
            kind: "hotp",
            counter: counter.map_or(Counter::None, Counter::Next),
            ..Description::default()
        }
        .token(secret)
    }))
}

fn of_time<'a>(fields: &Fields<'a>) -> Result<Description<'a>, String> {
    Ok(Description {
        algorithm: fields.get("TimeOtp-Algorithm")?.unwrap_or("SHA1"),
        digits: fields.number("TimeOtp-Length")?.unwrap_or(6),
        period: fields.number("TimeOtp-Period")?.unwrap_or(30),
        ..Description::default()
    })
}

/// `TOTP Settings` is `STEP;DIGITS`, with `S` for Steam's letters.
fn with_settings(fields: &Fields, seed: &str) -> Result<ImportedToken, String> {
    let settings = fields.get("TOTP Settings")?.unwrap_or("30;6");
    let parsed = settings
        .split_once(';')
        .map(|(step, digits)| (step.parse(), digits.parse()));
    let Some((Ok(period), Ok(digits))) = parsed else {
        return Err("its TOTP Settings are not a step and a number of digits".into());
    };
    Description {
        period,
        digits,
        ..Description::default()
    }
    .token(base32_secret(seed))
}
