//! PSKC (RFC 6030), the XML that hardware tokens are delivered with; [`encryption`] has its section
//! 6.

mod encryption;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use roxmltree::Node;
use zeroize::Zeroizing;

use crate::import::token::{Account, Counter, Description, ImportItem, ImportedToken};
use crate::import::{Format, Secrets, Source, xml};
use encryption::Decryption;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
const SIGNATURES: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Such a container.
pub(super) struct Pskc;

impl Format for Pskc {
    fn recognises(&self, source: &Source) -> bool {
        source
            .text
            .is_some_and(|text| text.trim_start().starts_with('<'))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        read(source.text.unwrap_or_default(), source.secrets)
    }
}

/// Reads every key of the container.
fn read(text: &str, secrets: &Secrets) -> Result<Vec<ImportItem>, String> {
    let document = xml::parse(text)?;
    let container = document.root_element();
    if !container.has_tag_name((NAMESPACE, "KeyContainer")) {
        return Err(
            "is XML, but neither a KeyContainer of PSKC (RFC 6030) nor an export of KeePassXC"
                .into(),
        );
    }
    let decryption = Decryption::of(container, secrets)?;
    let mut found: Vec<ImportItem> = (1..)
        .zip(container.children().filter(|node| is(node, "KeyPackage")))
        .map(|(number, package)| key(format!("key {number}"), package, decryption.as_ref()))
        .collect();
    let is_signed = container
        .children()
        .any(|node| node.has_tag_name((SIGNATURES, "Signature")));
    if let (true, Some(first)) = (is_signed, found.first_mut()) {
        first.remarks.push(
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

fn key(place: String, package: Node, decryption: Option<&Decryption>) -> ImportItem {
    let Some(key) = child(package, "Key") else {
        return ImportItem::new(place, Err("the package has no key".into()));
    };
    let device = child(package, "DeviceInfo");
    let account = text(key, &["UserId"]).or_else(|| text(package, &["DeviceInfo", "UserId"]));
    let mut remarks = Vec::new();
    if let Some(policy) = child(key, "Policy") {
        for rule in policy.children().filter(Node::is_element) {
            remarks.push(format!(
                "the policy's {} stays behind: the usersfile has no place for it",
                rule.tag_name().name().escape_debug()
            ));
        }
    }
    if child(key, "Data").is_some_and(|data| child(data, "TimeDrift").is_some()) {
        remarks.push(
            "its TimeDrift stays behind: window= has to reach as far as its clock is off, see \
             oathctl verify"
                .into(),
        );
    }
    ImportItem {
        account: account.map_or(Account::Missing, |id| Account::of_name(&login_name(id))),
        serial: device
            .and_then(|device| text(device, &["SerialNo"]))
            .map(str::to_owned),
        remarks,
        ..ImportItem::new(place, token(key, decryption))
    }
}

/// An element of a key's data, if it is there.
fn element<'a>(key: Node<'a, 'a>, name: &str) -> Result<Option<Node<'a, 'a>>, String> {
    let Some(data) = child(key, "Data") else {
        return Ok(None);
    };
    let mut found = data.children().filter(|node| is(node, name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(format!("it has {name} twice")),
        (element, None) => Ok(element),
    }
}

/// The plain value of an element of a key's data, if the element is there.
fn value<'a>(key: Node<'a, 'a>, name: &str) -> Result<Option<&'a str>, String> {
    let Some(element) = element(key, name)? else {
        return Ok(None);
    };
    if child(element, "EncryptedValue").is_some() {
        return Err(format!(
            "its {name} is encrypted; ask who made the file for one without"
        ));
    }
    text(element, &["PlainValue"])
        .map(Some)
        .ok_or_else(|| format!("its {name} has no value"))
}

fn token(key: Node, decryption: Option<&Decryption>) -> Result<ImportedToken, String> {
    let number = |name: &str| {
        value(key, name)?
            .map(|text| {
                text.parse::<u64>()
                    .map_err(|_| format!("its {name} is not a number"))
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
    // Drafts and some makers spell it without the s.
    for name in ["CheckDigits", "CheckDigit"] {
        if !matches!(attribute(name), None | Some("false" | "0")) {
            return Err("its codes end in a check digit, which the module does not know".into());
        }
    }
    if number("Time")?.is_some_and(|time| time != 0) {
        return Err("its Time is not 0, so its time steps are not counted from 1970".into());
    }
    let algorithm = key.attribute("Algorithm").unwrap_or_default();
    // The second is what drafts of RFC 6030 call it.
    let kind = [NAMESPACE, "http://www.ietf.org/keyprov/pskc"]
        .iter()
        .find_map(|name| algorithm.strip_prefix(name)?.strip_prefix([':', '#']))
        .unwrap_or(algorithm);
    let description = Description {
        kind,
        algorithm: suite.unwrap_or("SHA1"),
        digits: match attribute("Length") {
            Some(length) => length
                .parse()
                .map_err(|_| "the length of its codes is not a number".to_owned())?,
            None => 6,
        },
        period: number("TimeInterval")?.unwrap_or(30),
        // RFC 6030, section 4.2: where there is none, the token is new.
        counter: Counter::Next(number("Counter")?.unwrap_or(0)),
    };
    description.token(secret(key, decryption))
}

fn secret(key: Node, decryption: Option<&Decryption>) -> Result<Zeroizing<Vec<u8>>, String> {
    if let (Some(decryption), Some(secret)) = (decryption, element(key, "Secret")?) {
        if child(secret, "EncryptedValue").is_some() {
            return decryption.value(secret);
        }
    }
    let text = value(key, "Secret")?.ok_or("it has no secret")?;
    let digits: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    BASE64_STANDARD
        .decode(digits.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| "its secret is not base64".into())
}

/// UserId is a distinguished name (RFC 6030, section 4.2.3): `UID=jsmith,DC=example`. What is
/// none is taken as it stands.
fn login_name(user_id: &str) -> String {
    let parts = attributes(user_id);
    let value = |wanted: &str| {
        parts.iter().find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        })
    };
    value("UID")
        .or_else(|| value("CN"))
        .unwrap_or_else(|| user_id.to_owned())
}

/// The parts of a distinguished name, which are apart by commas. A character after a backslash
/// stands for itself (RFC 4514, section 2.4).
fn attributes(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = name.chars();
    while let Some(c) = characters.next() {
        match (c, parts.last_mut()) {
            ('\\', Some(part)) => part.extend(characters.next()),
            (',', _) => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
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
        read(&container(key), &Secrets::default())
            .unwrap()
            .remove(0)
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
        assert_eq!(found.account, Account::of_name("jsmith"));
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
        assert_eq!(found.account, Account::of_name("DC=example"));
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
        assert!(ocra.remarks[0].contains("ExpiryDate"));
        assert!(ocra.token.err().unwrap().contains("ocra"));
    }

    #[test]
    fn a_user_id_is_read_as_a_distinguished_name() {
        for (id, name) in [
            ("CN=Smith\\, John,OU=x", "Smith, John"),
            ("cn=a, uid = b ,dc=c", "b"),
            ("alice", "alice"),
        ] {
            assert_eq!(login_name(id), name);
        }
    }

    #[test]
    fn what_changes_a_code_is_understood_or_refused() {
        let with = |algorithm: &str, data: &str| {
            only(&format!(
                r#"<Key Id="1" Algorithm="{algorithm}"><Data>{SECRET}{data}</Data></Key>"#
            ))
        };
        let nine = "<Counter><PlainValue>9</PlainValue></Counter>";
        for algorithm in [
            "urn:ietf:params:xml:ns:keyprov:pskc:HOTP",
            "http://www.ietf.org/keyprov/pskc#hotp",
            "hotp",
        ] {
            let token = with(algorithm, nine).token.ok().unwrap();
            assert_eq!(token.counter, Some(9), "{algorithm}");
        }
        for (data, said) in [
            (
                "<Counter><EncryptedValue/></Counter>",
                "Counter is encrypted",
            ),
            (&nine.repeat(2), "Counter twice"),
            ("<Counter/>", "Counter has no value"),
            ("<Time><PlainValue>7</PlainValue></Time>", "Time is not 0"),
        ] {
            assert!(
                with("hotp", data).token.err().unwrap().contains(said),
                "{said}"
            );
        }
        let drifted = with("totp", "<TimeDrift><PlainValue>7</PlainValue></TimeDrift>");
        assert!(drifted.token.is_ok() && drifted.remarks[0].contains("TimeDrift"));
    }

    #[test]
    fn other_xml_is_refused() {
        let error = |xml: &str| read(xml, &Secrets::default()).err().unwrap();
        assert!(error("<!DOCTYPE a []><a/>").contains("DOCTYPE"));
        assert!(error("<a>").contains("breaks off"));
        assert!(error("\n  <a></b>").contains("line 2, column"));
        assert!(
            read("<html/>", &Secrets::default())
                .err()
                .unwrap()
                .contains("neither a KeyContainer")
        );
    }
}
