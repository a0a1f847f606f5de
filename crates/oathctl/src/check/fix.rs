//! Applies the fixes of findings to a usersfile's text.

use std::collections::BTreeMap;
use std::ops::Range;

use oath_core::usersfile::Document;
use zeroize::Zeroizing;

use super::finding::{Finding, Fix};

/// The bytes of a line, and their replacement.
type Replacement<'a> = (&'a Range<usize>, &'a [u8]);

/// Applies the fixes of the findings to the document, in one pass over its lines.
pub(super) fn apply(document: &mut Document, findings: &[Finding]) -> Vec<String> {
    let mut mended = Vec::new();
    let mut fixes: BTreeMap<usize, Vec<Replacement>> = BTreeMap::new();
    for finding in findings {
        let (Some(number), Some(field), Some(Fix::Replace { span, text, done })) =
            (finding.line, finding.field, &finding.fix)
        else {
            continue;
        };
        fixes.entry(number).or_default().push((span, text));
        mended.push(format!(
            "{}:{number}: mended: {field} {done}",
            finding.place.display()
        ));
    }
    if fixes.is_empty() {
        return mended;
    }
    let added = fixes.values().flatten().map(|(_, text)| text.len());
    // At its full length: a vector that grows leaves copies behind.
    let room = document.text().len() + added.sum::<usize>();
    let mut new = Zeroizing::new(Vec::with_capacity(room));
    let old = document.text().split_inclusive(|&byte| byte == b'\n');
    for (number, line) in (1..).zip(old) {
        let mut copied = 0;
        let mut of_line = fixes.remove(&number).unwrap_or_default();
        of_line.sort_by_key(|(span, _)| span.start);
        for (span, text) in of_line {
            new.extend_from_slice(&line[copied..span.start]);
            new.extend_from_slice(text);
            copied = span.end;
        }
        new.extend_from_slice(&line[copied..]);
    }
    *document = Document::new(&new);
    mended
}

#[cfg(test)]
mod tests {
    use super::super::lines::{self, Account, Context};
    use super::*;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    fn check(document: &Document) -> Vec<Finding> {
        let context = Context {
            path: Path::new("users.oath"),
            account: &|user| {
                Some(match user.to_str() {
                    Some("root" | "ROOT") => Account::Named("root".into()),
                    _ => Account::None,
                })
            },
            unix_time: 1_768_478_400,
            window: 5,
            drift: false,
        };
        lines::check(document, &context).0
    }

    /// Sound and malformed fields.
    fn line() -> impl Strategy<Value = String> {
        let kind = "HOTP(/E|/T30)?(/[5-9])?|TOTP|hotp/t30|#|\\PC{0,4}";
        let pin = "[-+\u{2013}]|\\$1\\$[a-z]{9}|[a-z]{9,12}";
        let secret =
            "(base32:)?Z[A-Z2-7]{15}|z[a-z2-7]{31}|[0-9a-f]{32,60}|[0-9a-f]{4}( [0-9a-f]{4}){9}";
        let last_used = "( -?[0-9]{1,22}x?( [0-9]{5,9}( 2026-01-15T12:00:00L)?)?)?";
        (kind, "(root|eve)?", pin, secret, last_used, "\r?\n|\n\n").prop_map(
            |(kind, user, pin, secret, last_used, end)| {
                format!("{kind} {user} {pin} {secret}{last_used}{end}")
            },
        )
    }

    #[test]
    fn to_fix_a_file_takes_as_long_as_to_read_it() {
        let line = "HOTP/T30/6 root \u{2013} 3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n";
        let lines = (1 << 20) / line.len();
        let mut document = Document::new(line.repeat(lines).as_bytes());
        let findings = check(&document);
        let start = Instant::now();
        assert_eq!(apply(&mut document, &findings).len(), lines);
        // Less than a second; with a new copy of the file for each line it was minutes.
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(document.text() == line.replace('\u{2013}', "-").repeat(lines).as_bytes());
    }

    #[test]
    fn another_spelling_of_an_account_is_named_with_the_accounts_own() {
        let line = |user| format!("HOTP/T30/6 {user} - 3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n");
        assert!(check(&Document::new(line("root").as_bytes())).is_empty());
        let findings = check(&Document::new(line("ROOT").as_bytes()));
        assert_eq!(
            findings.iter().map(Finding::to_string).collect::<Vec<_>>(),
            [
                "users.oath:1: warning: field 2 (USER) names ROOT, which is another spelling of \
                 the account root\n    write root: a user has the tokens of the account's own name"
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_file_holds_no_pin_and_no_secret_is_printed(
            lines in prop::collection::vec(line(), 0..6),
        ) {
            let text = lines.concat();
            for finding in check(&Document::new(text.as_bytes())) {
                let told = finding.to_string();
                for field in text.split_ascii_whitespace() {
                    let is_type = field.to_ascii_uppercase().contains("OTP");
                    let is_secret = field.len() > 8 && !is_type && field != "2026-01-15T12:00:00L";
                    prop_assert!(!is_secret || !told.contains(field), "{told}");
                }
            }
        }

        #[test]
        fn what_is_fixed_stays_fixed_and_nothing_else_changes(
            lines in prop::collection::vec(line(), 0..6),
        ) {
            let text = lines.concat();
            let mut document = Document::new(text.as_bytes());
            let findings = check(&document);
            let mended = apply(&mut document, &findings);
            prop_assert_eq!(mended.len(), findings.iter().filter(|f| f.fix.is_some()).count());
            prop_assert!(check(&document).iter().all(|finding| finding.fix.is_none()));
            let after = String::from_utf8(document.text().to_vec()).unwrap();
            prop_assert_eq!(
                after.replace("base32:", "").replace(" - ", " \u{2013} "),
                text.replace("base32:", "").replace(" - ", " \u{2013} ")
            );
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            check(&Document::new(&bytes));
        }
    }
}
