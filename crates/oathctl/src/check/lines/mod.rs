//! Checks the usersfile line by line.
//!
//! Pure: the text, the accounts and the time are arguments. What a line means is parsed by
//! [`Entry`]; this finds lines that mean something else than was intended.

mod last_used;
mod secret;
mod separated;
mod shape;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oath_core::otp::{MAX_DIGITS, MIN_DIGITS};
use oath_core::pin;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{self, Entry, Field, MovingFactor, Type};
use zeroize::Zeroizing;

pub(super) use separated::odd_space;

use super::finding::{Finding, Fix, Severity};
use crate::output::printable;
use crate::secret::is_in;
use crate::tokens::begins_as_type;

const BEFORE_SECRET: &str = "USER and PIN come before the secret; PIN is - where there is none";

/// What the lines are checked against.
pub(crate) struct Context<'a> {
    /// The file's path, for the findings.
    pub(crate) path: &'a Path,
    /// Looks up the account of a name; `None` if that fails.
    pub(crate) account: &'a dyn Fn(&OsStr) -> Option<Account>,
    /// Now, in seconds since 1970.
    pub(crate) unix_time: u64,
    /// The widest window of the services that use the file.
    pub(crate) window: u32,
    /// Whether one of them follows the clocks of phones (`drift`).
    pub(crate) drift: bool,
}

/// The result of looking up an account.
#[derive(Clone)]
pub(crate) enum Account {
    None,
    /// It exists, and this is its own name.
    Named(OsString),
}

/// A token that a login can use.
pub(crate) struct UsableToken {
    pub(crate) line: usize,
    pub(crate) user: Vec<u8>,
    pub(crate) token_type: Type,
    /// Whether the response must begin with a PIN that this line holds.
    pub(crate) has_pin: bool,
    /// Whether its PIN is `-`, so that nothing may come before the code.
    pub(crate) has_dash: bool,
}

/// Checks every line. The tokens returned are those without an error.
pub(crate) fn check(document: &Document, context: &Context) -> (Vec<Finding>, Vec<UsableToken>) {
    let text = document.text();
    let mut linter = Linter {
        context,
        findings: Vec::new(),
        tokens: Vec::new(),
        secrets: HashMap::new(),
        accounts: HashMap::new(),
    };
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        linter.findings.push(Finding::new(
            Severity::Error,
            context.path,
            "is UTF-16, so that no line of it is a token's",
            "save it as plain text: ASCII or UTF-8",
        ));
        return (linter.findings, linter.tokens);
    }
    for line in document.lines() {
        Line {
            number: line.number,
            text: line.text,
            fields: format::fields(line.text).collect(),
        }
        .check(&mut linter);
    }
    (linter.findings, linter.tokens)
}

struct Linter<'a> {
    context: &'a Context<'a>,
    findings: Vec<Finding>,
    tokens: Vec<UsableToken>,
    /// The line and user that a secret, by its digest, was first seen with.
    secrets: HashMap<[u8; 32], (usize, Vec<u8>)>,
    accounts: HashMap<Vec<u8>, Option<Account>>,
}

struct Line<'a> {
    number: usize,
    text: &'a [u8],
    fields: Vec<&'a [u8]>,
}

impl<'a> Line<'a> {
    fn check(&self, linter: &mut Linter) {
        let Some(entry) = Entry::parse(self.text) else {
            let first = self.fields.first();
            let finding = first.and_then(|first| self.no_token(first, linter.context));
            linter.findings.extend(finding);
            return;
        };
        let findings_before = linter.findings.len();
        self.check_token(&entry, linter);
        let found = &linter.findings[findings_before..];
        let is_sound = found
            .iter()
            .all(|finding| finding.severity < Severity::Error);
        if !found
            .iter()
            .any(|finding| finding.field == Some(Field::User))
        {
            let finding = self.check_user(&entry, is_sound, linter);
            linter.findings.extend(finding);
        }
        if is_sound {
            linter.tokens.push(UsableToken {
                line: self.number,
                user: entry.user.to_vec(),
                token_type: entry.token_type,
                has_pin: !matches!(entry.pin, Some(b"-" | b"+")),
                has_dash: entry.pin == Some(b"-"),
            });
        }
    }

    fn field(&self, field: Field) -> Option<&'a [u8]> {
        self.fields.get(field as usize - 1).copied()
    }

    fn finding(
        &self,
        context: &Context,
        severity: Severity,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding::new(severity, context.path, problem, advice).at_line(self.number)
    }

    /// The bytes of a field in the line.
    fn span(&self, field: &[u8]) -> Range<usize> {
        let start = field.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + field.len()
    }

    /// A line that the module ignores: an error unless it was meant to be ignored.
    fn no_token(&self, first: &[u8], context: &Context) -> Option<Finding> {
        const PASSED_OVER: &str = "so the line is passed over";
        const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
        if first.starts_with(b"#") {
            return None;
        }
        if let Some(type_text) = first.strip_prefix(BYTE_ORDER_MARK) {
            return begins_as_type(type_text).then(|| {
                self.finding(
                    context,
                    Severity::Error,
                    format!("begins with a byte order mark, {PASSED_OVER}"),
                    "save the file without one (in vim: set nobomb)",
                )
            });
        }
        if !begins_as_type(first) {
            let holds_secret = self.fields.iter().any(|field| is_in(field));
            let (problem, advice) = if first.starts_with(b"otpauth:") {
                (
                    "is an otpauth URI, and is passed over",
                    "oathctl import takes such a URI",
                )
            } else if holds_secret {
                (
                    "holds what looks like a secret, but begins with no type of token, and is passed over",
                    "TYPE, USER and PIN come before the secret: HOTP/T30/6 alice - SECRET",
                )
            } else {
                (
                    "is neither a token nor a comment, and is passed over",
                    "begin it with # if it is meant to be there",
                )
            };
            return Some(self.finding(context, Severity::Warning, problem, advice));
        }
        if let Some(separator) = self.wrong_separator() {
            let problem = format!("{}, {PASSED_OVER}", separator.problem);
            let finding = self.finding(context, Severity::Error, problem, separator.advice);
            return Some(finding.in_field(separator.field));
        }
        if Type::parse(first).is_some() {
            return Some(self.finding(
                context,
                Severity::Error,
                format!("breaks off before {}, {PASSED_OVER}", Field::User),
                "write it anew with oathctl add, or remove it",
            ));
        }
        let upper = first.to_ascii_uppercase();
        let of_time = upper.strip_prefix(b"TOTP");
        let candidates = match of_time {
            Some(rest) => vec![[b"HOTP", rest].concat(), [b"HOTP/T30", rest].concat()],
            None => vec![upper.clone()],
        };
        let is_meant = |text: &&Vec<u8>| {
            let parsed = Type::parse(text).map(|it| it.moving_factor);
            let by_time = matches!(parsed, Some(MovingFactor::Time { .. }));
            by_time || of_time.is_none() && parsed.is_some()
        };
        let meant = candidates.iter().find(is_meant);
        let meant = meant.map(|text| String::from_utf8_lossy(text).into_owned());
        let meant = meant.or(of_time.map(|_| "HOTP/T30".to_owned()));
        Some(
            self.finding(
                context,
                Severity::Error,
                format!("is no type of token, {PASSED_OVER}"),
                match meant {
                    Some(meant) => format!("{meant} may be meant"),
                    None => format!(
                        "HOTP/E/6 counts events, HOTP/T30/6 time steps of 30 seconds; the last \
                         number is that of the digits, {MIN_DIGITS} to {MAX_DIGITS}; a hash may \
                         follow, as in HOTP/T30/6/SHA256"
                    ),
                },
            )
            .in_field(Field::Type),
        )
    }

    fn check_token(&self, entry: &Entry, linter: &mut Linter) {
        let context = linter.context;
        linter.findings.extend(self.check_pin(entry, context));
        if let Some(separator) = self.wrong_separator() {
            let problem = format!("{}, so nobody can log in with it", separator.problem);
            linter.findings.push(
                self.finding(context, Severity::Error, problem, separator.advice)
                    .in_field(separator.field),
            );
            return;
        }
        if is_in(entry.user) && entry.secret().is_err() {
            // The finding for USER tells.
            return;
        }
        if let Some(finding) = self.secret_behind(entry, context) {
            linter.findings.push(finding);
            return;
        }
        if self.lacks_a_field() {
            linter.findings.push(
                self.finding(
                    context,
                    Severity::Error,
                    "looks like a secret, so a field before it is missing",
                    BEFORE_SECRET,
                )
                .in_field(Field::Pin),
            );
            return;
        }
        if !entry.is_complete() {
            let missing = entry.pin.map_or(Field::Pin, |_| Field::Secret);
            linter.findings.push(self.finding(
                context,
                Severity::Error,
                format!("breaks off before {missing}, so nobody can log in with it"),
                "write it anew with oathctl add, or remove it",
            ));
            return;
        }
        if let Some(spaces) = self.spaces_in_secret(context) {
            linter.findings.push(spaces);
            return;
        }
        match entry.secret() {
            Err(malformed) => linter
                .findings
                .push(self.malformed_secret(malformed, context)),
            Ok(secret) => {
                let finding = self.check_secret(entry, &secret, linter);
                linter.findings.extend(finding);
                linter
                    .findings
                    .extend(self.check_time_step(entry, &secret, context));
            }
        }
        if let Some(remark) = self.remark_behind(context) {
            linter.findings.push(remark);
            return;
        }
        linter.findings.extend(self.check_counter(entry, context));
        linter.findings.extend(self.check_rest(entry, context));
    }

    /// The name is shown only if the rest `is_sound`: where a field is missing, USER may hold a PIN
    /// or a secret.
    fn check_user(&self, entry: &Entry, is_sound: bool, linter: &mut Linter) -> Option<Finding> {
        let context = linter.context;
        let holds_secret = || {
            self.finding(
                context,
                Severity::Error,
                "holds what looks like a secret",
                BEFORE_SECRET,
            )
            .in_field(Field::User)
        };
        // The name service need not know it.
        if is_in(entry.user) && entry.secret().is_err() {
            return Some(holds_secret());
        }
        let account = linter
            .accounts
            .entry(entry.user.to_vec())
            .or_insert_with(|| (context.account)(OsStr::from_bytes(entry.user)));
        let (problem, advice) = match account {
            None => return None,
            Some(Account::Named(own)) if own.as_bytes() == entry.user => return None,
            Some(_) if is_in(entry.user) => return Some(holds_secret()),
            Some(Account::Named(own)) => {
                let own = printable(own.as_bytes());
                (
                    match is_sound {
                        true => format!(
                            "names {}, which is another spelling of the account {own}",
                            printable(entry.user)
                        ),
                        false => "is another spelling of an account's name".to_owned(),
                    },
                    format!("write {own}: a user has the tokens of the account's own name"),
                )
            }
            Some(Account::None) => (
                match is_sound {
                    true => format!(
                        "names {}, who has no account on this system",
                        printable(entry.user)
                    ),
                    false => "names nobody who has an account on this system".to_owned(),
                },
                "correct the name, or remove the line with oathctl remove; a service with users \
                 of its own needs no account"
                    .to_owned(),
            ),
        };
        let finding = self.finding(context, Severity::Warning, problem, advice);
        Some(finding.in_field(Field::User))
    }

    fn check_pin(&self, entry: &Entry, context: &Context) -> Option<Finding> {
        let pin = entry.pin?;
        let dash = match std::str::from_utf8(pin).ok()? {
            "\u{2010}" | "\u{2011}" => "a typographic hyphen",
            "\u{2012}" | "\u{2013}" => "an en dash",
            "\u{2014}" | "\u{2015}" => "an em dash",
            "\u{2212}" => "a minus sign",
            "\u{fe63}" | "\u{ff0d}" => "a wide hyphen",
            text if text.starts_with('$') && !pin::is_hash(pin) => {
                let finding = self.finding(
                    context,
                    Severity::Warning,
                    "begins like a crypt(5) hash, but is none that the module checks, so it is \
                     itself the PIN to type",
                    "make a hash that begins with $y$ or $6$: mkpasswd -m yescrypt",
                );
                return Some(finding.in_field(Field::Pin));
            }
            _ => return None,
        };
        Some(
            self.finding(
                context,
                Severity::Error,
                format!("is {dash}, as web pages have it, and so a PIN that nobody types"),
                "write the plain - of the keyboard, which stands for no PIN",
            )
            .in_field(Field::Pin)
            .fixed_by(Fix::Replace {
                span: self.span(pin),
                text: Zeroizing::new(b"-".to_vec()),
                done: "is - now",
            }),
        )
    }
}
