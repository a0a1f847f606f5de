//! PSKC (RFC 6030), the XML that hardware tokens are delivered with, as far as its secrets are
//! not encrypted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use roxmltree::{Document, Node};
use zeroize::Zeroizing;

use super::token::{Description, ImportItem};

const NAMESPACE: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
const SIGNATURES: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Whether a text may be such a container: it is XML.
pub(crate) fn recognises(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<')
}

/// Reads every key of the container.
pub(crate) fn read(text: &str) -> Result<Vec<ImportItem>, String> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.pos();
        format!(
            "is not well-formed XML at line {}, column {}",
            at.row, at.col
        )
    })?;
    let container = document.root_element();
    if !container.has_tag_name((NAMESPACE, "KeyContainer")) {
        return Err("is XML, but no KeyContainer of PSKC (RFC 6030)".into());
    }
    let mut found: Vec<ImportItem> = (1..)
        .zip(container.children().filter(|node| is(node, "KeyPackage")))
        .map(|(number, package)| key(format!("key {number}"), package))
        .collect();
    let is_signed = container
        .children()
        .any(|node| node.has_tag_name((SIGNATURES, "Signature")));
    if let (true, Some(first)) = (is_signed, found.first_mut()) {
        first.left_behind.push(
            "the container is signed; pskctool --verify checks that, oathctl does not".into(),
        );
    }
    Ok(found)
}

fn is(node: &Node, name: &str) -> bool {
    node.has_tag_name((NAMESPACE, name))
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|node| is(node, name))
}

/// The text of the element that `path` leads to.
fn text<'a>(node: Node<'a, 'a>, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(node, |node, name| child(node, name))?
        .text()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn key(place: String, package: Node) -> ImportItem {
    let mut left_behind = Vec::new();
    let Some(key) = child(package, "Key") else {
        return ImportItem {
            place,
            account: None,
            token: Err("the package has no key".into()),
            left_behind,
        };
    };
    let account = text(key, &["UserId"]).or_else(|| text(package, &["DeviceInfo", "UserId"]));
    if let Some(policy) = child(key, "Policy") {
        for rule in policy.children().filter(Node::is_element) {
            left_behind.push(format!(
                "the policy's {} stays behind: the usersfile has no place for it",
                rule.tag_name().name().escape_debug()
            ));
        }
    }
    ImportItem {
        place,
        account: account.map(login_name),
        token: token(key),
        left_behind,
    }
}

fn token(key: Node) -> Result<super::token::ImportedToken, String> {
    let number = |path: &[&str]| {
        text(key, path)
            .map(|text| {
                text.parse::<u64>()
                    .map_err(|_| format!("its {} is not a number", path[path.len() - 2]))
            })
            .transpose()
    };
    let parameters = child(key, "AlgorithmParameters");
    let suite = parameters.and_then(|parameters| text(parameters, &["Suite"]));
    let format = parameters.and_then(|parameters| child(parameters, "ResponseFormat"));
    let attribute = |name| format.and_then(|format| format.attribute(name));
    let encoding = attribute("Encoding").unwrap_or("DECIMAL");
    if encoding != "DECIMAL" {
        return Err(format!(
            "its codes are {}, not decimal digits",
            encoding.escape_debug()
        ));
    }
    if matches!(attribute("CheckDigits"), Some("true" | "1")) {
        return Err("its codes end in a check digit, which the module does not know".into());
    }
    let algorithm = key.attribute("Algorithm").unwrap_or_default();
    let description = Description {
        kind: algorithm
            .strip_prefix(NAMESPACE)
            .and_then(|rest| rest.strip_prefix(':'))
            .unwrap_or(algorithm),
        algorithm: suite.unwrap_or("SHA1"),
        digits: match attribute("Length") {
            Some(length) => length
                .parse()
                .map_err(|_| "the length of its codes is not a number".to_owned())?,
            None => 6,
        },
        period: number(&["Data", "TimeInterval", "PlainValue"])?.unwrap_or(30),
        counter: match algorithm.ends_with(":hotp") {
            true => number(&["Data", "Counter", "PlainValue"])?,
            false => None,
        },
    };
    description.token(secret(key))
}

fn secret(key: Node) -> Result<Zeroizing<Vec<u8>>, String> {
    let secret = child(key, "Data").and_then(|data| child(data, "Secret"));
    let Some(secret) = secret else {
        return Err("it has no secret".into());
    };
    if child(secret, "EncryptedValue").is_some() {
        return Err("its secret is encrypted; ask who made the file for one without".into());
    }
    let digits: Zeroizing<String> = Zeroizing::new(
        text(secret, &["PlainValue"])
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect(),
    );
    BASE64_STANDARD
        .decode(digits.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| "its secret is not base64".into())
}

/// UserId is a distinguished name (RFC 6030, section 4.2.3): `UID=jsmith,DC=example`. What is
/// none is taken as it stands.
fn login_name(user_id: &str) -> String {
    let value = |attribute: &str| {
        user_id.split(',').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(attribute)
                .then(|| value.trim().to_owned())
        })
    };
    value("UID")
        .or_else(|| value("CN"))
        .unwrap_or_else(|| user_id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oath_core::usersfile::format::Type;

    fn container(key: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><KeyContainer Version="1.0" xmlns="{NAMESPACE}">
               <KeyPackage><DeviceInfo><UserId>DC=example</UserId></DeviceInfo>{key}</KeyPackage>
               </KeyContainer>"#
        )
    }

    fn only(key: &str) -> ImportItem {
        read(&container(key)).unwrap().remove(0)
    }

    const SECRET: &str = "<Secret><PlainValue>MTIzNDU2Nzg5MDEy MzQ1Njc4OTA=</PlainValue></Secret>";

    #[test]
    fn a_key_gives_user_type_counter_and_secret() {
        let found = only(&format!(
            r#"<Key Id="1" Algorithm="{NAMESPACE}:hotp"><AlgorithmParameters>
               <ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>
               <Data>{SECRET}<Counter><PlainValue>3</PlainValue></Counter></Data>
               <UserId>UID=jsmith,DC=example-bank,DC=net</UserId></Key>"#
        ));
        assert_eq!(found.account.as_deref(), Some("jsmith"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/E/8").unwrap());
        assert_eq!(token.counter, Some(3));
        assert_eq!(token.secret.as_slice(), b"12345678901234567890");

        let found = only(&format!(
            r#"<Key Id="1" Algorithm="{NAMESPACE}:totp"><AlgorithmParameters>
               <Suite>HMAC-SHA256</Suite><ResponseFormat Length="6" Encoding="DECIMAL"/>
               </AlgorithmParameters><Data>{SECRET}<Time><PlainValue>0</PlainValue></Time>
               <TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data></Key>"#
        ));
        assert_eq!(found.account.as_deref(), Some("DC=example"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/T60/6/SHA256").unwrap());
        assert_eq!(token.counter, None);
    }

    #[test]
    fn what_the_usersfile_cannot_hold_is_named() {
        let with = |format: &str, data: &str| {
            only(&format!(
                r#"<Key Id="1" Algorithm="{NAMESPACE}:hotp"><AlgorithmParameters>
                   <ResponseFormat {format}/></AlgorithmParameters><Data>{data}</Data></Key>"#
            ))
            .token
            .err()
            .unwrap()
        };
        let decimal = r#"Length="6" Encoding="DECIMAL""#;
        for (reason, named) in [
            (
                with(r#"Length="6" Encoding="HEXADECIMAL""#, SECRET),
                "HEXADECIMAL",
            ),
            (
                with(r#"Length="10" Encoding="DECIMAL""#, SECRET),
                "10 digits",
            ),
            (
                with(
                    r#"Length="6" Encoding="DECIMAL" CheckDigits="true""#,
                    SECRET,
                ),
                "check digit",
            ),
            (with(decimal, ""), "no secret"),
            (
                with(decimal, "<Secret><EncryptedValue/></Secret>"),
                "encrypted",
            ),
            (
                with(decimal, "<Secret><PlainValue>!</PlainValue></Secret>"),
                "base64",
            ),
        ] {
            assert!(reason.contains(named), "{named}: {reason}");
        }
        let ocra = only(&format!(
            r#"<Key Id="1" Algorithm="{NAMESPACE}:ocra"><Data>{SECRET}</Data>
               <Policy><ExpiryDate>2026-01-01T00:00:00Z</ExpiryDate></Policy></Key>"#
        ));
        assert!(ocra.left_behind[0].contains("ExpiryDate"));
        assert!(ocra.token.err().unwrap().contains("ocra"));
    }

    #[test]
    fn other_xml_is_refused() {
        assert!(read("<html/>").err().unwrap().contains("no KeyContainer"));
        assert!(read("<html>").err().unwrap().contains("not well-formed"));
    }
}
