//! Checks the usersfile line by line.
//!
//! Pure: the text, the accounts and the time are arguments. What a line means is parsed by
//! [`Entry`]; this guesses what a line that means something else was intended to be.

mod shape;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oath_core::otp::{self, Code, Key, MAX_DIGITS, MIN_DIGITS};
use oath_core::pin;
use oath_core::usersfile::edit::Document;
use oath_core::usersfile::format::{self, Entry, Field, Malformed, MovingFactor, Type};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::finding::{Finding, Fix, Severity};
use crate::output::printable;
use crate::secret::{MIN_LENGTH, is_hex};
use crate::tokens::begins_as_type;
use shape::{is_base32, is_like_a_secret, is_number, is_published};

/// A counter that no token reaches: one code a second for thirty thousand years.
const LAST_EVENT: u64 = 1 << 40;

const BEFORE_SECRET: &str = "USER and PIN come before the secret; PIN is - where there is none";

/// What the lines are checked against.
pub(crate) struct Context<'a> {
    /// Where the text comes from, for the findings.
    pub(crate) path: &'a Path,
    /// Looks up the account of a name; `None` if that fails.
    pub(crate) account: &'a dyn Fn(&OsStr) -> Option<Account>,
    /// Now, in seconds since 1970.
    pub(crate) unix_time: u64,
    /// The widest window of the services that use the file.
    pub(crate) window: u32,
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
        let mut found = linter.findings[findings_before..].iter();
        let is_sound = found.all(|finding| finding.severity < Severity::Error);
        let finding = self.check_user(&entry, is_sound, linter);
        linter.findings.extend(finding);
        if is_sound {
            linter.tokens.push(UsableToken {
                line: self.number,
                user: entry.user.to_vec(),
                token_type: entry.token_type,
                has_pin: !matches!(entry.pin, Some(b"-" | b"+")),
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

    /// Where a field stands in the line.
    fn span(&self, field: &[u8]) -> Range<usize> {
        let start = field.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + field.len()
    }

    /// A line that the module ignores: an error unless it was meant to be ignored.
    fn no_token(&self, first: &[u8], context: &Context) -> Option<Finding> {
        const PASSED_OVER: &str = "so the line is passed over";
        const NO_BREAK_SPACE: &[u8] = "\u{a0}".as_bytes();
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
            return Some(self.finding(
                context,
                Severity::Warning,
                "is neither a token nor a comment, and is passed over",
                "begin it with # if it is meant to be there",
            ));
        }
        let mut places = first.windows(NO_BREAK_SPACE.len());
        if places.any(|place| place == NO_BREAK_SPACE) {
            return Some(self.finding(
                context,
                Severity::Error,
                format!("has no-break spaces, as web pages do, {PASSED_OVER}"),
                "type the spaces anew",
            ));
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
        let meant = match upper.strip_prefix(b"TOTP") {
            Some(_) => Some("HOTP/T30".to_owned()),
            None => Type::parse(&upper)
                .is_some()
                .then(|| String::from_utf8_lossy(&upper).into_owned()),
        };
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
        linter.findings.extend(self.check_counter(entry, context));
        linter.findings.extend(self.check_rest(entry, context));
    }

    /// The name is shown only if the rest `is_sound`: where a field is missing, USER may hold a PIN
    /// or a secret.
    fn check_user(&self, entry: &Entry, is_sound: bool, linter: &mut Linter) -> Option<Finding> {
        let context = linter.context;
        if is_like_a_secret(entry.user) {
            return Some(
                self.finding(
                    context,
                    Severity::Error,
                    "looks like a secret",
                    BEFORE_SECRET,
                )
                .in_field(Field::User),
            );
        }
        let account = linter
            .accounts
            .entry(entry.user.to_vec())
            .or_insert_with(|| (context.account)(OsStr::from_bytes(entry.user)));
        let (problem, advice) = match account {
            None => return None,
            Some(Account::Named(own)) if own.as_bytes() == entry.user => return None,
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

    /// Whether the secret is in the PIN field, followed by nothing or by COUNTER.
    fn lacks_a_field(&self) -> bool {
        let pin = self.field(Field::Pin);
        let secret = self.field(Field::Secret);
        pin.is_some_and(is_like_a_secret) && secret.is_none_or(is_number)
    }

    /// A secret in groups, as apps show it, whose second group is read as COUNTER.
    fn spaces_in_secret(&self, context: &Context) -> Option<Finding> {
        let groups = &self.fields[Field::Secret as usize - 1..];
        let [first, rest @ ..] = groups else {
            return None;
        };
        if rest.is_empty() {
            return None;
        }
        // The module writes a counter, a code and a time.
        let is_last_used = match rest {
            [counter] => is_number(counter),
            [counter, otp] => is_number(counter) && Code::parse(otp).is_some(),
            [counter, otp, time, ..] => {
                is_number(counter) && (Code::parse(otp).is_some() || time.ends_with(b"L"))
            }
            [] => true,
        };
        let joined: Zeroizing<Vec<u8>> = Zeroizing::new(groups.concat());
        let secret = joined.strip_prefix(b"base32:").unwrap_or(&joined);
        let is_whole = is_hex(secret) && secret.len() % 2 == 0 || is_base32(secret);
        let is_short = first.len() < 2 * MIN_LENGTH && rest.len() > 2;
        (is_whole && (!is_last_used || is_short)).then(|| {
            self.finding(
                context,
                Severity::Error,
                format!(
                    "has spaces in it, so that its second part is read as {}",
                    Field::Counter
                ),
                "write the secret in one piece",
            )
            .in_field(Field::Secret)
        })
    }

    fn malformed_secret(&self, malformed: Malformed, context: &Context) -> Finding {
        let secret = self.field(malformed.field).unwrap_or_default();
        if is_base32(secret) {
            let mut text = Zeroizing::new(b"base32:".to_vec());
            text.reserve_exact(secret.len());
            text.extend_from_slice(secret);
            return self
                .finding(
                    context,
                    Severity::Error,
                    "is base32, where hexadecimal is expected",
                    "write base32: before it, without a space",
                )
                .in_field(malformed.field)
                .fixed_by(Fix::Replace {
                    span: self.span(secret),
                    text,
                    done: "begins with base32: now",
                });
        }
        let advice = if is_hex(secret) {
            "a digit was lost, or one is too many: copy the secret again, or enrol anew with \
             oathctl add"
        } else if secret
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"0x"))
        {
            "hexadecimal is written without 0x"
        } else {
            "copy the secret again, or enrol anew with oathctl add"
        };
        self.finding(context, Severity::Error, malformed.problem, advice)
            .in_field(malformed.field)
    }

    fn check_secret(&self, entry: &Entry, secret: &[u8], linter: &mut Linter) -> Option<Finding> {
        let context = linter.context;
        const ENROL: &str = "enrol anew with oathctl add, which makes one of 160 bits";
        let known = if secret.iter().all(|&byte| byte == 0) {
            Some("is all zeros, as in the examples of manuals, so anybody has the codes")
        } else if secret.iter().all(|&byte| byte == secret[0]) {
            Some("is one byte over and over, so anybody can guess it")
        } else if is_published(secret) {
            Some("is a secret from the RFCs and manuals, so anybody has the codes")
        } else {
            None
        };
        if let Some(problem) = known {
            return Some(
                self.finding(context, Severity::Error, problem, ENROL)
                    .in_field(Field::Secret),
            );
        }
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let (line, user) = linter
            .secrets
            .entry(digest)
            .or_insert_with(|| (self.number, entry.user.to_vec()));
        if *line != self.number {
            let (problem, advice) = if user == entry.user {
                (
                    format!("is the secret of line {line} as well"),
                    "one of the two lines can go: oathctl remove --line".to_owned(),
                )
            } else {
                (
                    format!(
                        "is the secret of {} in line {line} as well, so each has the other's codes",
                        printable(user)
                    ),
                    format!("give each user a secret: {ENROL}"),
                )
            };
            return Some(
                self.finding(context, Severity::Warning, problem, advice)
                    .in_field(Field::Secret),
            );
        }
        (secret.len() < MIN_LENGTH).then(|| {
            self.finding(
                context,
                Severity::Warning,
                format!(
                    "has {} bits; RFC 4226 asks for 128 or more",
                    secret.len() * 8
                ),
                ENROL,
            )
            .in_field(Field::Secret)
        })
    }

    fn check_counter(&self, entry: &Entry, context: &Context) -> Option<Finding> {
        let text = self.field(Field::Counter)?;
        let error = |problem: &str, advice: &str| {
            Some(
                self.finding(context, Severity::Error, problem, advice)
                    .in_field(Field::Counter),
            )
        };
        const RESYNC: &str = "set it with oathctl resync, which asks for two codes in a row";
        let counter = match entry.last_used.counter() {
            Ok(counter) => counter,
            Err(malformed) => {
                return error(malformed.problem, "remove the fields from COUNTER on");
            }
        };
        match entry.token_type.moving_factor {
            MovingFactor::Event if text.starts_with(b"-") => {
                error("is negative, which no counter can be", RESYNC)
            }
            MovingFactor::Event if counter >= LAST_EVENT => {
                error("is larger than any token counts", RESYNC)
            }
            _ => None,
        }
    }

    /// A time step last used that is in the future: the clock was once wrong.
    fn check_time_step(&self, entry: &Entry, secret: &[u8], context: &Context) -> Option<Finding> {
        let MovingFactor::Time { period } = entry.token_type.moving_factor else {
            return None;
        };
        let (counter, last) = (entry.last_used.counter().ok()?, entry.last_used.otp()?);
        let now = otp::time_step(context.unix_time, period);
        let latest = now.saturating_add(context.window.into());
        let key = Key::new(entry.token_type.algorithm, secret);
        let is_step = counter > latest && bool::from(key.code(counter, last.digits()).ct_eq(&last));
        is_step.then(|| {
            self.finding(
                context,
                Severity::Error,
                "is a time step in the future, and only later codes are accepted",
                "the clock was ahead when it was used: set the clock, then remove the fields \
                 from COUNTER on",
            )
            .in_field(Field::Counter)
        })
    }

    fn check_rest(&self, entry: &Entry, context: &Context) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.field(Field::LastOtp).is_some() && entry.last_used.otp().is_none() {
            findings.push(
                self.finding(
                    context,
                    Severity::Warning,
                    format!("is no code of {MIN_DIGITS} to {MAX_DIGITS} digits"),
                    "remove the fields from COUNTER on, or for HOTP from LAST-OTP on",
                )
                .in_field(Field::LastOtp),
            );
        }
        if let Err(malformed) = entry.last_used.time() {
            findings.push(
                self.finding(
                    context,
                    Severity::Error,
                    malformed.problem,
                    "remove the field: the next login writes it anew",
                )
                .in_field(malformed.field),
            );
        }
        if self.fields.len() > Field::LastTime as usize {
            findings.push(self.finding(
                context,
                Severity::Warning,
                format!(
                    "goes on after {}; the next login drops what follows",
                    Field::LastTime
                ),
                "put remarks on a line of their own that begins with #",
            ));
        }
        findings
    }
}
