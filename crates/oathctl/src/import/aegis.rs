//! A plain JSON export of Aegis Authenticator.

use serde::Deserialize;
use zeroize::Zeroize;

use super::token::{Description, ImportItem, base32_secret};

#[derive(Deserialize)]
struct Vault {
    db: Db,
}

/// An export with a password holds its entries as one encrypted text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Db {
    Plain { entries: Vec<Entry> },
    Encrypted(#[expect(dead_code, reason = "only its presence matters")] String),
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    secret: String,
    algo: String,
    digits: u64,
    #[serde(default = "thirty")]
    period: u64,
    counter: Option<u64>,
}

fn thirty() -> u64 {
    30
}

impl Drop for Info {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Whether a text may be such an export: it is JSON.
pub(crate) fn recognises(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads every entry of the export.
pub(crate) fn read(text: &str) -> Result<Vec<ImportItem>, String> {
    // The parser's own message would quote the text, and with it perhaps a secret.
    let vault: Vault = serde_json::from_str(text).map_err(|error| {
        format!(
            "is no JSON export of Aegis: it breaks off or is something else at line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    let entries = match vault.db {
        Db::Plain { entries } => entries,
        Db::Encrypted(_) => {
            return Err(
                "is an encrypted export of Aegis; export it anew without a password".into(),
            );
        }
    };
    Ok((1..)
        .zip(&entries)
        .map(|(number, entry)| ImportItem {
            place: format!("entry {number}"),
            account: (!entry.name.trim().is_empty()).then(|| entry.name.trim().to_owned()),
            token: Description {
                kind: &entry.kind,
                algorithm: &entry.info.algo,
                digits: entry.info.digits,
                period: entry.info.period,
                counter: entry.info.counter,
            }
            .token(base32_secret(&entry.info.secret)),
            left_behind: Vec::new(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oath_core::usersfile::format::Type;

    #[test]
    fn a_plain_export_gives_its_tokens_and_names_what_is_none() {
        let text = r#"{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,
            "entries":[
            {"type":"totp","uuid":"1","name":"alice","issuer":"host","note":"","icon":null,
             "info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA256","digits":8,"period":60}},
            {"type":"hotp","uuid":"2","name":"bob","info":
             {"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA1","digits":6,"counter":4}},
            {"type":"steam","uuid":"3","name":"carol","info":
             {"secret":"GEZDGNBVGY3TQOJQ","algo":"SHA1","digits":5,"period":30}},
            {"type":"motp","uuid":"4","name":"dave","info":
             {"secret":"e3152afee62599c8","algo":"MD5","digits":6,"period":10,"pin":"1234"}}]}}"#;
        let found = read(text).unwrap();
        let token = found[0].token.as_ref().ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/T60/8/SHA256").unwrap());
        assert_eq!(token.secret.as_slice(), b"12345678901234567890");
        let token = found[1].token.as_ref().ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP").unwrap());
        assert_eq!(token.counter, Some(4));
        assert!(found[2].token.as_ref().err().unwrap().contains("steam"));
        assert!(found[3].token.as_ref().err().unwrap().contains("motp"));
    }

    #[test]
    fn an_encrypted_export_and_other_json_are_told_apart() {
        let encrypted = r#"{"version":1,"header":{"slots":[],"params":{}},"db":"AAAA"}"#;
        assert!(read(encrypted).err().unwrap().contains("encrypted"));
        let other = read(r#"{"secret":"GEZDGNBV"}"#).err().unwrap();
        assert!(other.contains("no JSON export of Aegis"), "{other}");
        assert!(!other.contains("GEZDGNBV"), "{other}");
    }
}
