//! A plain container of PSKC (RFC 6030).

use std::fmt::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oath_core::usersfile::format::MovingFactor;
use zeroize::Zeroizing;

use super::{Exported, joined};
use crate::otpauth::hash_name;

const HEAD: &str = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<KeyContainer Version=\"1.0\" xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">
";
const END: &str = "</KeyContainer>\n";

/// The container of these tokens.
pub(super) fn container(tokens: &[Exported]) -> Zeroizing<String> {
    let fixed = |text: &str| Zeroizing::new(text.to_owned());
    let packages = (1..)
        .zip(tokens)
        .map(|(number, exported)| package(number, exported));
    joined(
        std::iter::once(fixed(HEAD))
            .chain(packages)
            .chain(std::iter::once(fixed(END))),
    )
}

fn package(number: usize, exported: &Exported) -> Zeroizing<String> {
    let token = &exported.token;
    let token_type = token.token_type;
    let secret = Zeroizing::new(BASE64_STANDARD.encode(&token.secret));
    let (kind, factor) = match token_type.moving_factor {
        MovingFactor::Time { period } => (
            "totp",
            format!(
                "{}{}",
                value("Time", 0),
                value("TimeInterval", period.into())
            ),
        ),
        _ => ("hotp", value("Counter", token.counter)),
    };
    Zeroizing::new(format!(
        "  <KeyPackage>\n    \
         <Key Id=\"{number}\" Algorithm=\"urn:ietf:params:xml:ns:keyprov:pskc:{kind}\">\n      \
         <Issuer>{}</Issuer>\n      \
         <AlgorithmParameters><Suite>HMAC-{}</Suite>\
         <ResponseFormat Encoding=\"DECIMAL\" Length=\"{}\"/></AlgorithmParameters>\n      \
         <Data><Secret><PlainValue>{}</PlainValue></Secret>{factor}</Data>\n      \
         <UserId>UID={}</UserId>\n    \
         </Key>\n  </KeyPackage>\n",
        escaped(&exported.issuer),
        hash_name(token_type.algorithm),
        token_type.digits,
        secret.as_str(),
        escaped(&in_distinguished_name(&String::from_utf8_lossy(
            &token.user
        ))),
    ))
}

fn value(name: &str, value: u64) -> String {
    format!("<{name}><PlainValue>{value}</PlainValue></{name}>")
}

/// A value in a distinguished name: what has a meaning there stands behind a backslash (RFC 4514,
/// section 2.4).
fn in_distinguished_name(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// A text in XML: all that is no plain letter, digit or mark by its number.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') && !matches!(c, '<' | '>' | '&') {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "&#{};", u32::from(c));
        }
    }
    escaped
}
