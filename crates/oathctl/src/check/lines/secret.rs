//! Checks the SECRET field, and recognises a secret in other fields.

use oath_core::otp::Code;
use oath_core::usersfile::format::{Entry, Field, Malformed};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::finding::{Finding, Fix, Severity};
use super::shape::{Shape, is_base32};
use super::{Context, Line, Linter};
use crate::output::printable;
use crate::secret::{MIN_LENGTH, is_hex, is_in};

impl Line<'_> {
    /// Whether the secret is in the PIN field, followed by nothing or by COUNTER.
    pub(super) fn lacks_a_field(&self) -> bool {
        let pin = self.field(Field::Pin);
        let secret = self.field(Field::Secret);
        pin.is_some_and(|pin| !pin.starts_with(b"$") && is_in(pin)) && secret.is_none_or(is_number)
    }

    /// A secret in the wrong one of the fields from PIN on, where there is none in its own.
    pub(super) fn secret_behind(&self, entry: &Entry, context: &Context) -> Option<Finding> {
        let holds_secret = |field| self.field(field).is_some_and(is_in);
        let secret = self.field(Field::Secret)?;
        let field = if entry.secret().is_err() && !is_in(secret) && holds_secret(Field::Pin) {
            Field::Pin
        } else if secret.len() < 2 * MIN_LENGTH && is_number(secret) && holds_secret(Field::Counter)
        {
            Field::Counter
        } else {
            return None;
        };
        let finding = self.finding(
            context,
            Severity::Error,
            "holds what looks like a secret",
            "the fields are TYPE, USER, PIN, SECRET, and then COUNTER",
        );
        Some(finding.in_field(field))
    }

    /// A secret in groups, as apps show it, whose second group is read as COUNTER.
    pub(super) fn spaces_in_secret(&self, context: &Context) -> Option<Finding> {
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

    pub(super) fn malformed_secret(&self, malformed: Malformed, context: &Context) -> Finding {
        let secret = self.field(malformed.field).unwrap_or_default();
        let Shape {
            problem,
            advice,
            meant,
        } = Shape::of(secret, malformed);
        let finding = self
            .finding(context, Severity::Error, problem, advice)
            .in_field(malformed.field);
        match meant {
            Some((text, done)) => finding.fixed_by(Fix::Replace {
                span: self.span(secret),
                text,
                done,
            }),
            None => finding,
        }
    }

    pub(super) fn check_secret(
        &self,
        entry: &Entry,
        secret: &[u8],
        linter: &mut Linter,
    ) -> Option<Finding> {
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
                        match is_in(user) {
                            true => "another user".to_owned(),
                            false => printable(user),
                        }
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
}

pub(super) fn is_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Whether the secret is one of those published as examples.
pub(super) fn is_published(secret: &[u8]) -> bool {
    /// RFC 4226 and 6238, cut to 20, 32 or 64 bytes.
    const RFC_SEED: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
    /// JBSWY3DPEHPK3PXP.
    const HELLO: &[u8] = b"Hello!\xde\xad\xbe\xef";
    RFC_SEED.starts_with(secret) || secret == HELLO
}
