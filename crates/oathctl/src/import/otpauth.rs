//! `otpauth://` URIs, what enrolment QR codes hold, one a line; among them may stand those of
//! Google Authenticator's export ([`migration`]).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::migration::{self, Part};
use super::token::{Account, Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source};
use crate::add;
use crate::otpauth::NEXT;

/// A list of such URIs.
pub(super) struct UriList;

impl Format for UriList {
    fn recognises(&self, source: &Source) -> bool {
        source
            .text
            .is_some_and(|text| lines(text).any(|(_, line)| is_uri(line)))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        Ok(read(source.text.unwrap_or_default()))
    }
}

/// Whether a text begins as a URI of one of the schemes that are read.
pub(super) fn is_uri(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| Scheme::of(scheme).is_some())
}

enum Scheme {
    Otpauth,
    Migration,
}

impl Scheme {
    fn of(name: &str) -> Option<Scheme> {
        match name.to_ascii_lowercase().as_str() {
            // Apple's own is the same but for its name.
            "otpauth" | "apple-otpauth" => Some(Scheme::Otpauth),
            "otpauth-migration" => Some(Scheme::Migration),
            _ => None,
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads every line; one that is no such URI is reported as not imported.
pub(super) fn read(text: &str) -> Vec<ImportItem> {
    let mut parts: Vec<Part> = lines(text)
        .map(|(number, line)| uri(format!("line {number}"), line))
        .collect();
    migration::remark_missing(&mut parts);
    parts.into_iter().flat_map(|part| part.items).collect()
}

/// Reads one URI.
pub(super) fn uri(place: String, uri: &str) -> Part {
    let scheme = uri
        .split_once("://")
        .and_then(|(scheme, rest)| Some((Scheme::of(scheme)?, rest)));
    match scheme {
        Some((Scheme::Otpauth, rest)) => Part::single(token(place, rest)),
        Some((Scheme::Migration, rest)) => migration::read(&place, rest)
            .unwrap_or_else(|reason| Part::single(ImportItem::new(place, Err(reason.into())))),
        None => Part::single(ImportItem::new(
            place,
            Err("it is no otpauth:// URI".into()),
        )),
    }
}

/// Reads an `otpauth://` URI out of another format, which knows its place.
pub(super) fn single(uri: &str) -> ImportItem {
    let scheme = uri
        .split_once("://")
        .and_then(|(scheme, rest)| Some((Scheme::of(scheme)?, rest)));
    match scheme {
        Some((Scheme::Otpauth, rest)) => token(String::new(), rest),
        _ => ImportItem::new(String::new(), Err("it is no otpauth:// URI".into())),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The query's parameters by name. Those of this scheme are percent-encoded throughout: a plus
/// sign is a plus sign.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query.split('#').next().unwrap_or_default();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// What stands after `otpauth://`: `TYPE/LABEL?PARAMETERS`.
fn token(place: String, rest: &str) -> ImportItem {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    let label = Cow::from(percent_decode_str(label));
    ImportItem {
        account: Account::of_label_bytes(&label),
        issuer: issuer(query),
        ..ImportItem::new(place, described(kind, &label, query))
    }
}

/// The issuer, if it is one that `oathctl add` takes, and no longer than an app would show.
fn issuer(query: &str) -> Option<String> {
    const LONGEST: usize = 100;
    let (_, value) = parameters(query).find(|(name, _)| name.eq_ignore_ascii_case("issuer"))?;
    let issuer = add::issuer(decoded(value).trim()).ok()?;
    (issuer.len() <= LONGEST).then_some(issuer)
}

fn described(kind: &str, label: &[u8], query: &str) -> Result<ImportedToken, String> {
    const STEAM: &str = "its codes are Steam's, which have letters";
    let mut description = Description {
        kind,
        ..Description::default()
    };
    let mut secret = Ok(Zeroizing::new(Vec::new()));
    let mut algorithm = Cow::Borrowed("SHA1");
    let mut next = None;
    let mut seen = Vec::new();
    let is_steam = |issuer: &[u8]| issuer.trim_ascii().eq_ignore_ascii_case(b"steam");
    if label.contains(&b':')
        && label
            .split(|&byte| byte == b':')
            .next()
            .is_some_and(is_steam)
    {
        return Err(STEAM.into());
    }
    for (name, value) in parameters(query) {
        let number = || {
            decoded(value)
                .parse::<u64>()
                .map_err(|_| format!("its {} is not a number", name.escape_debug()))
        };
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "secret" => secret = base32_secret(&Zeroizing::new(decoded(value).into_owned())),
            "algorithm" => algorithm = decoded(value),
            "digits" => description.digits = number()?,
            "period" => description.period = number()?,
            "counter" => description.counter = Counter::NextOrShown(number()?),
            NEXT => next = Some(number()?),
            "encoder" => {
                return Err(format!(
                    "its codes are written by the encoder \"{}\", not in digits",
                    decoded(value).escape_debug()
                ));
            }
            "steam" => return Err(STEAM.into()),
            "issuer" if is_steam(decoded(value).as_bytes()) => return Err(STEAM.into()),
            name if name.starts_with("amp;") => {
                return Err(
                    "it has &amp; between its parameters, as copied from HTML; write & there"
                        .into(),
                );
            }
            name if name.starts_with("2step_") => {
                return Err(
                    "it is enrolled in two steps, and this is the first half of its secret".into(),
                );
            }
            "t0" | "epoch" | "offset" => {
                return Err(format!(
                    "its {name} moves its time steps, the usersfile's begin in 1970"
                ));
            }
            // What apps add for themselves: a picture, a colour, the issuer.
            _ => continue,
        }
        if seen.contains(&name) {
            return Err(format!("it has {name} twice"));
        }
        seen.push(name);
    }
    if let Some(next) = next {
        description.counter = match kind.eq_ignore_ascii_case("hotp") {
            true => Counter::Next(next),
            false => next.checked_sub(1).map_or(Counter::None, Counter::LastStep),
        };
    }
    Description {
        algorithm: &algorithm,
        ..description
    }
    .token(secret)
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
        assert_eq!(found.account, Account::of_label("ACME Co:john@example.com"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/T60/8/SHA256").unwrap());
        assert_eq!(token.secret.len(), 20);
    }

    #[test]
    fn what_a_uri_leaves_out_is_as_in_the_key_uri_format() {
        let found = only("OTPAUTH://HOTP/alice?secret=jbsw%20y3dp&counter=7");
        assert_eq!(found.account, Account::of_name("alice"));
        let token = found.token.ok().unwrap();
        assert_eq!(token.token_type, Type::parse(b"HOTP/E/6/SHA1").unwrap());
        assert_eq!(token.counter, Some(8));
        assert_eq!(token.shown, Some(7));
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
            ("otpauth://hotp/a?secret=JBSWY3DP", "no counter"),
            ("otpauth://totp/a?secret=JBSWY3DP&secret=JBSWY3DP", "twice"),
            (
                "otpauth://totp/a?secret=JBSWY3DP&digits=6&Digits=8",
                "twice",
            ),
            ("otpauth://totp/a?secret=JBSWY3DP&amp;digits=8", "&amp;"),
            ("otpauth://totp/a?secret=JBSWY3DP&steam", "Steam"),
            ("otpauth://totp/Steam:a?secret=JBSWY3DP", "Steam"),
            ("otpauth://totp/a?secret=JBSWY3DP&issuer=steam", "Steam"),
            ("otpauth://totp/a?secret=JBSWY3DP&2step_salt=8", "two steps"),
            ("otpauth://totp/a?secret=JBSWY3DP&t0=5", "t0"),
            ("otpauth-migration://offline", "no data"),
            ("otpauth-migration://offline?data=%20", "base64"),
            ("otpauth-migration://offline?data=AAAA", "not an export"),
        ] {
            let reason = reason(uri);
            assert!(reason.contains(named), "{uri}: {reason}");
            assert!(!reason.contains("JBSW"), "{uri}: {reason}");
        }
    }
}
