//! The result of every importer: a token for the usersfile, or why it cannot be imported.

use oath_core::otp::{Algorithm, MAX_DIGITS, MIN_DIGITS};
use oath_core::usersfile::format::{
    self, FieldProblem, MAX_PERIOD, MAX_SECRET, MovingFactor, Type,
};
use zeroize::Zeroizing;

/// One token of the imported file.
pub(crate) struct ImportItem {
    /// Its place in the file: `line 3`, `key 2`.
    pub(crate) place: String,
    /// The account, as the other program names it.
    pub(crate) account: Option<String>,
    /// The token, or why the usersfile can't hold it: goes on after "not imported: ".
    pub(crate) token: Result<ImportedToken, String>,
    /// What of it was not imported, one sentence each.
    pub(crate) left_behind: Vec<String>,
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
    pub(crate) counter: Option<u64>,
}

impl Default for Description<'_> {
    fn default() -> Self {
        Description {
            kind: "totp",
            algorithm: "SHA1",
            digits: 6,
            period: 30,
            counter: None,
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
        Ok(ImportedToken {
            token_type: Type {
                moving_factor,
                digits,
                algorithm,
            },
            secret,
            counter: self.counter,
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
