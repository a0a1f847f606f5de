//! The result of every importer: a token for the usersfile, or why it cannot be imported.

use oath_core::otp::{Algorithm, MAX_DIGITS, MIN_DIGITS};
use oath_core::usersfile::format::{
    self, FieldProblem, MAX_PERIOD, MAX_SECRET, MovingFactor, Type,
};
use zeroize::Zeroizing;

/// One entry of the imported file.
pub(crate) struct ImportItem {
    /// Its place in the file: `line 3`, `key 2`.
    pub(crate) place: String,
    /// Whose it is, as the other program names it.
    pub(crate) account: Account,
    /// The serial number of a hardware token.
    pub(crate) serial: Option<String>,
    /// What an app shows beside the account, where the file says it as `oathctl add` takes it.
    pub(crate) issuer: Option<String>,
    /// The token, or why the usersfile can't hold it: goes on after "not imported: ".
    pub(crate) token: Result<ImportedToken, String>,
    /// What else the administrator has to know of it, such as what stays behind; one sentence each.
    pub(crate) remarks: Vec<String>,
}

impl ImportItem {
    /// An entry that names nobody, without a remark.
    pub(crate) fn new(place: String, token: Result<ImportedToken, String>) -> ImportItem {
        ImportItem {
            place,
            account: Account::Missing,
            serial: None,
            issuer: None,
            token,
            remarks: Vec::new(),
        }
    }
}

/// The account that an entry names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Missing,
    Named {
        /// The account, without the issuer: `alice@example.com`.
        name: String,
        /// The whole label, as the app shows it: `Example:alice@example.com`.
        label: String,
    },
    /// There is a label, and this is wrong with it.
    Unusable(&'static str),
}

impl Account {
    /// The account in a label, `ISSUER:ACCOUNT` or `ACCOUNT`. An issuer has no colon in it, an
    /// account may have one.
    pub(crate) fn of_label(label: &str) -> Account {
        let account = label.split_once(':').map_or(label, |(_, account)| account);
        Account::named(account, label)
    }

    /// As [`of_label`](Account::of_label), of a field of an entry, which may be missing. `not_text` is
    /// said of one that is no text.
    pub(crate) fn of_label_field(
        field: Result<Option<&str>, String>,
        not_text: &'static str,
    ) -> Account {
        match field {
            Ok(label) => Account::of_label(label.unwrap_or_default()),
            Err(_) => Account::Unusable(not_text),
        }
    }

    /// An account that stands by itself.
    pub(crate) fn of_name(name: &str) -> Account {
        Account::named(name, name)
    }

    fn named(name: &str, label: &str) -> Account {
        match name.trim() {
            "" => Account::Missing,
            name => Account::Named {
                name: name.to_owned(),
                label: label.trim().to_owned(),
            },
        }
    }

    /// As [`of_label`](Account::of_label), of bytes.
    pub(crate) fn of_label_bytes(label: &[u8]) -> Account {
        match std::str::from_utf8(label) {
            Ok(label) => Account::of_label(label),
            Err(_) => Account::Unusable("its label is not text in UTF-8"),
        }
    }
}

/// A token that can become a line of the usersfile.
pub(crate) struct ImportedToken {
    /// By event or by time, digits, hash.
    pub(crate) token_type: Type,
    /// The secret's bytes, 1 to [`MAX_SECRET`].
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// By event: the counter of the next code. By time: the time step last used, where the other
    /// program kept one.
    pub(crate) counter: Option<u64>,
    /// The file's counter, if its code may have been shown, so that the one after it is next.
    pub(crate) shown: Option<u64>,
}

/// The counter that a program keeps.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    None,
    /// Of the code that comes next.
    Next(u64),
    /// Of the code that comes next or, as well, that was last shown: what the program's version or
    /// the writer of the file decides. A code that was shown may be used up, so the one after it
    /// is next here.
    NextOrShown(u64),
    /// By time: the step last used.
    LastStep(u64),
}

/// A token as other programs describe it, with the defaults that they have in common.
pub(crate) struct Description<'a> {
    /// `totp` or `hotp`, in any case.
    pub(crate) kind: &'a str,
    /// The hash, under any of its names.
    pub(crate) algorithm: &'a str,
    pub(crate) digits: u64,
    /// Seconds a time step.
    pub(crate) period: u64,
    pub(crate) counter: Counter,
}

impl Default for Description<'_> {
    fn default() -> Self {
        Description {
            kind: "totp",
            algorithm: "SHA1",
            digits: 6,
            period: 30,
            counter: Counter::None,
        }
    }
}

impl Description<'_> {
    /// The token, if the usersfile can hold its type. An error in its secret is reported last: an
    /// unsupported type may keep it in another form.
    pub(crate) fn token(
        self,
        secret: Result<Zeroizing<Vec<u8>>, String>,
    ) -> Result<ImportedToken, String> {
        let moving_factor = match self.kind.to_ascii_lowercase().as_str() {
            "hotp" => MovingFactor::Event,
            "totp" => MovingFactor::Time {
                period: u32::try_from(self.period)
                    .ok()
                    .filter(|period| (1..=MAX_PERIOD).contains(period))
                    .ok_or_else(|| {
                        format!(
                            "it has time steps of {} seconds, the usersfile 1 to {MAX_PERIOD}",
                            self.period
                        )
                    })?,
            },
            kind => {
                return Err(format!(
                    "its type is \"{}\", the usersfile has HOTP and TOTP",
                    kind.escape_debug()
                ));
            }
        };
        let algorithm = algorithm(self.algorithm).ok_or_else(|| {
            format!(
                "its hash is \"{}\", the usersfile has SHA1, SHA256 and SHA512",
                self.algorithm.escape_debug()
            )
        })?;
        let digits = usize::try_from(self.digits)
            .ok()
            .filter(|digits| (MIN_DIGITS..=MAX_DIGITS).contains(digits))
            .ok_or_else(|| {
                format!(
                    "its codes have {} digits, the usersfile's {MIN_DIGITS} to {MAX_DIGITS}",
                    self.digits
                )
            })?;
        let secret = secret?;
        if secret.is_empty() {
            return Err("it has no secret".into());
        }
        if secret.len() > MAX_SECRET {
            return Err(format!(
                "its secret is longer than {MAX_SECRET} bytes, the usersfile's longest"
            ));
        }
        let (counter, shown) = match (moving_factor, self.counter) {
            (MovingFactor::Time { .. }, Counter::LastStep(step)) => (Some(step), None),
            (MovingFactor::Time { .. }, _) => (None, None),
            (MovingFactor::Event, Counter::Next(next)) => (Some(next), None),
            (MovingFactor::Event, Counter::NextOrShown(shown)) => {
                let next = shown.checked_add(1).ok_or("its counter is at its end")?;
                (Some(next), Some(shown))
            }
            (MovingFactor::Event, Counter::None | Counter::LastStep(_)) => {
                return Err("it is HOTP and has no counter".into());
            }
            (MovingFactor::BackupCodes { .. }, _) => {
                return Err("it is a set of backup codes of another program".into());
            }
        };
        Ok(ImportedToken {
            token_type: Type {
                moving_factor,
                digits,
                algorithm,
            },
            secret,
            counter,
            shown,
        })
    }
}

/// `SHA1`, `sha-256`, `HmacSHA512`, `HMAC-SHA-1`.
fn algorithm(name: &str) -> Option<Algorithm> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match name.strip_prefix("HMAC").unwrap_or(&name) {
        "SHA1" => Some(Algorithm::Sha1),
        "SHA256" => Some(Algorithm::Sha256),
        "SHA512" => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// A secret in base32 as programs print it: in any case, grouped by spaces or dashes.
pub(crate) fn base32_secret(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    const PREFIX: &str = "base32:";
    if text.is_empty() {
        return Ok(Zeroizing::new(Vec::new()));
    }
    let mut field = Zeroizing::new(String::with_capacity(PREFIX.len() + text.len()));
    field.push_str(PREFIX);
    field.extend(text.chars().filter(|c| !matches!(c, ' ' | '-')));
    format::parse_secret(field.as_bytes()).map_err(|malformed| match malformed.problem {
        FieldProblem::NotBase32 => "its secret is not base32".into(),
        problem => format!("its secret {problem}"),
    })
}
