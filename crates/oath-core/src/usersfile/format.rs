//! One line of the usersfile <-> one token.
//!
//! `TYPE USER PIN SECRET [COUNTER [LAST-OTP [LAST-TIME]]]`, fields apart by any run of spaces,
//! tabs or carriage returns. A line whose TYPE is none we know is not a token's: a comment,
//! another program's line. It is never changed.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::hex;
use crate::local_time::LocalTime;
use crate::otp::{Algorithm, Code, MAX_DIGITS, MIN_DIGITS};

/// The longest secret a line may hold, in bytes.
pub const MAX_SECRET: usize = 128;
/// The longest time step a TYPE may name, in seconds: a day.
pub const MAX_PERIOD: u32 = 86_400;
/// The most backup codes a line may hold: COUNTER has a bit for each.
pub const MAX_BACKUP_CODES: u32 = u64::BITS;

/// What the moving factor of a token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovingFactor {
    /// Events: HOTP, RFC 4226.
    Event,
    /// Time steps of so many seconds, 1 to [`MAX_PERIOD`]: TOTP, RFC 6238.
    Time {
        /// Seconds a step.
        period: u32,
    },
    /// Nothing: the codes of the first counters are a set of backup codes, good in any order. Bit N
    /// of COUNTER says that the code of counter N was used. OATH Toolkit's module passes over the
    /// line, so it can neither accept one of them a second time nor forget which were used.
    BackupCodes {
        /// How many, 1 to [`MAX_BACKUP_CODES`].
        number: u32,
    },
}

/// The first field: what kind of token the line describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// What is counted.
    pub moving_factor: MovingFactor,
    /// How many digits a code has, 6 to 8.
    pub digits: usize,
    /// The hash below the HMAC.
    pub algorithm: Algorithm,
}

impl Type {
    /// Reads `HOTP`, `HOTP/E/6`, `HOTP/T30`, `HOTP/T30/8/SHA256`, `HOTP/B10/8` and their like,
    /// exactly as written there: upper case, no leading zeros, nothing left out in the middle.
    pub fn parse(text: &[u8]) -> Option<Type> {
        let mut parts = text.split(|&byte| byte == b'/');
        if parts.next() != Some(b"HOTP") {
            return None;
        }
        let moving_factor = match parts.next() {
            None | Some(b"E") => MovingFactor::Event,
            Some([b'T', period @ ..]) => MovingFactor::Time {
                period: parse_number(period, MAX_PERIOD)?,
            },
            Some([b'B', number @ ..]) => MovingFactor::BackupCodes {
                number: parse_number(number, MAX_BACKUP_CODES)?,
            },
            Some(_) => return None,
        };
        let digits = match parts.next() {
            None => MIN_DIGITS,
            Some([digit]) => usize::from(digit.checked_sub(b'0')?),
            Some(_) => return None,
        };
        let algorithm = match parts.next() {
            None | Some(b"SHA1") => Algorithm::Sha1,
            Some(b"SHA256") => Algorithm::Sha256,
            Some(b"SHA512") => Algorithm::Sha512,
            Some(_) => return None,
        };
        let known = (MIN_DIGITS..=MAX_DIGITS).contains(&digits) && parts.next().is_none();
        known.then_some(Type {
            moving_factor,
            digits,
            algorithm,
        })
    }
}

/// As TYPE is written, the number of digits always, the hash where it is not SHA-1: OATH Toolkit's
/// module knows no fourth part.
impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.moving_factor {
            MovingFactor::Event => write!(f, "HOTP/E/{}", self.digits)?,
            MovingFactor::Time { period } => write!(f, "HOTP/T{period}/{}", self.digits)?,
            MovingFactor::BackupCodes { number } => write!(f, "HOTP/B{number}/{}", self.digits)?,
        }
        match self.algorithm {
            Algorithm::Sha1 => Ok(()),
            Algorithm::Sha256 => f.write_str("/SHA256"),
            Algorithm::Sha512 => f.write_str("/SHA512"),
        }
    }
}

/// A number from 1 on, spelled as it would be written: no sign, no leading zero.
fn parse_number(text: &[u8], largest: u32) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let number = text.parse().ok()?;
    ((1..=largest).contains(&number) && number.to_string() == text).then_some(number)
}

/// The fields of a line, in their order, by the names that the manual gives them.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Type = 1,
    User,
    Pin,
    Secret,
    Counter,
    LastOtp,
    LastTime,
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let name = match self {
            Field::Type => "TYPE",
            Field::User => "USER",
            Field::Pin => "PIN",
            Field::Secret => "SECRET",
            Field::Counter => "COUNTER",
            Field::LastOtp => "LAST-OTP",
            Field::LastTime => "LAST-TIME",
        };
        write!(f, "field {} ({name})", *self as u8)
    }
}

/// A field that cannot be what it is meant to be. Never holds what stands in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Malformed {
    /// The field.
    pub field: Field,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

/// What is wrong with a field. As text it goes on where the field's name ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// The line breaks off before it.
    #[error("is missing")]
    Missing,
    /// Something else than a number.
    #[error("is not a number")]
    NotNumber,
    /// Something else than a local time.
    #[error("is not a local time such as 2026-01-15T12:00:00L")]
    NotLocalTime,
    /// A secret of no bytes.
    #[error("is empty")]
    Empty,
    /// A secret of more than [`MAX_SECRET`] bytes.
    #[error("is longer than {MAX_SECRET} bytes")]
    TooLong,
    /// `base32:`, and something else after it.
    #[error("is not base32 after \"base32:\"")]
    NotBase32,
    /// Something else than hexadecimal.
    #[error("is not hexadecimal; a base32 secret is written base32:SECRET")]
    NotHexadecimal,
    /// A digit of the last byte is missing.
    #[error("has an odd number of characters; hexadecimal takes two a byte")]
    OddHexadecimal,
    /// A PIN's hash that would keep a login busy.
    #[error("is a hash too costly to compute in a login; make one with mkpasswd's defaults")]
    CostlyHash,
    /// A PIN's hash of a method that libcrypt does not know, or malformed.
    #[error("is a crypt(5) hash that this system's libcrypt cannot compute")]
    UnknownHash,
    /// The user has more hashed PINs than a login computes.
    #[error("is one hash too many; a user may have {limit}")]
    TooManyHashes {
        /// How many that is.
        limit: usize,
    },
    /// The user has more tokens than a login computes codes for.
    #[error("has more tokens than a login can try with this window")]
    TooManyTokens,
}

/// Whether a name can stand in USER: it is not empty, and nothing in it separates fields, ends a
/// line or controls a terminal.
pub fn is_user_name(name: &[u8]) -> bool {
    let is_unfit = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    !name.is_empty() && !name.iter().any(is_unfit)
}

/// Separates fields. A carriage return does, so that lines may end in `\r\n`.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The fields of a line without its end.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_separator(byte))
        .filter(|field| !field.is_empty())
}

/// A token's line, taken apart but not yet understood: borrowed text, field by field.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// TYPE, understood.
    pub token_type: Type,
    type_text: &'a [u8],
    /// USER.
    pub user: &'a [u8],
    /// PIN.
    pub pin: Option<&'a [u8]>,
    secret: Option<&'a [u8]>,
    /// COUNTER, LAST-OTP and LAST-TIME.
    pub last_used: LastUsedFields<'a>,
}

/// What a token was last used with: the fields COUNTER, LAST-OTP and LAST-TIME, each of which may
/// be missing together with those behind it.
#[derive(Clone, Copy)]
pub struct LastUsedFields<'a> {
    counter: Option<&'a [u8]>,
    otp: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
}

impl<'a> LastUsedFields<'a> {
    /// Takes the three fields from the next three there are.
    pub fn parse(mut fields: impl Iterator<Item = &'a [u8]>) -> LastUsedFields<'a> {
        LastUsedFields {
            counter: fields.next(),
            otp: fields.next(),
            time: fields.next(),
        }
    }

    /// The fields that are there.
    pub fn fields(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        [self.counter, self.otp, self.time].into_iter().flatten()
    }

    /// COUNTER as a number; 0 where there is none.
    pub fn counter(&self) -> Result<u64, Malformed> {
        self.counter.map_or(Ok(0), |text| {
            parse_counter(text).ok_or(Malformed {
                field: Field::Counter,
                problem: FieldProblem::NotNumber,
            })
        })
    }

    /// LAST-OTP, where it has the form of a code.
    pub fn otp(&self) -> Option<Code> {
        Code::parse(self.otp?)
    }

    /// Whether there is a LAST-TIME.
    pub(crate) fn has_time(&self) -> bool {
        self.time.is_some()
    }

    /// LAST-TIME, where there is one.
    pub fn time(&self) -> Result<Option<LocalTime>, Malformed> {
        self.time.map_or(Ok(None), |text| {
            parse_local_time(text).map(Some).ok_or(Malformed {
                field: Field::LastTime,
                problem: FieldProblem::NotLocalTime,
            })
        })
    }
}

impl<'a> Entry<'a> {
    /// Takes a line apart, given without its line feed. `None`: it is no token's line.
    pub fn parse(line: &'a [u8]) -> Option<Entry<'a>> {
        let mut fields = fields(line);
        let type_text = fields.next()?;
        Some(Entry {
            token_type: Type::parse(type_text)?,
            type_text,
            user: fields.next()?,
            pin: fields.next(),
            secret: fields.next(),
            last_used: LastUsedFields::parse(fields),
        })
    }

    /// The token, to be shown to its user again: COUNTER is what an app goes on with.
    pub fn token(&self) -> Result<Token, Malformed> {
        let counter = self.last_used.counter()?;
        let counter = match self.token_type.moving_factor {
            MovingFactor::Event if self.last_used.otp().is_some() => counter.wrapping_add(1),
            MovingFactor::Event => counter,
            MovingFactor::Time { .. } | MovingFactor::BackupCodes { .. } => 0,
        };
        Ok(Token {
            token_type: self.token_type,
            user: self.user.to_vec(),
            pin: Zeroizing::new(self.pin.unwrap_or(b"-").to_vec()),
            secret: self.secret()?,
            counter,
        })
    }

    /// How many codes of a set of backup codes are not used yet; `None` of any other token.
    pub fn backup_codes_left(&self) -> Option<u32> {
        match self.token_type.moving_factor {
            MovingFactor::BackupCodes { number } => {
                let used = self.last_used.counter().unwrap_or(u64::MAX);
                Some(unused_backup_codes(number, used))
            }
            _ => None,
        }
    }

    /// Whether every field is there that a token cannot do without.
    pub fn is_complete(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether the line makes its user known. As with OATH Toolkit's module a line that breaks off
    /// before its SECRET does so only by a PIN that somebody has to know.
    pub(crate) fn makes_known(&self) -> bool {
        self.is_complete() || !matches!(self.pin, None | Some(b"-" | b"+"))
    }

    /// The fields that name the token, TYPE, USER, PIN and SECRET, as far as they are there.
    pub fn identity(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        [Some(self.type_text), Some(self.user), self.pin, self.secret]
            .into_iter()
            .flatten()
    }

    /// The secret's bytes, 1 to [`MAX_SECRET`].
    pub fn secret(&self) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        match self.secret {
            Some(text) => parse_secret(text),
            None => Err(Malformed {
                field: Field::Secret,
                problem: FieldProblem::Missing,
            }),
        }
    }

    /// The line anew, with its end: the first four fields as they stand (`-` for one that is not
    /// there), apart by tabs, and what was used.
    pub fn with_last_used(&self, counter: u64, otp: &Code, time: LocalTime) -> Zeroizing<Vec<u8>> {
        const ABSENT: &[u8] = b"-";
        let counter = counter.to_string();
        let otp = otp.text();
        let time = time.to_string();
        let fields = [
            self.type_text,
            self.user,
            self.pin.unwrap_or(ABSENT),
            self.secret.unwrap_or(ABSENT),
            counter.as_bytes(),
            otp.as_bytes(),
            time.as_bytes(),
        ];
        let mut line = join(fields.into_iter());
        line.push(b'\n');
        line
    }

    /// As [`with_record`](Entry::with_record), with another COUNTER.
    pub fn with_counter(&self, counter: u64, last_used: &LastUsedFields) -> Zeroizing<Vec<u8>> {
        let counter = counter.to_string();
        let rest = last_used.fields().skip(1);
        join(self.identity().chain([counter.as_bytes()]).chain(rest))
    }

    /// The line anew, without its end: the fields that name the token as they stand, apart by
    /// tabs, and another record of what was used.
    pub fn with_record(&self, last_used: &LastUsedFields) -> Zeroizing<Vec<u8>> {
        join(self.identity().chain(last_used.fields()))
    }
}

/// How many of so many backup codes are left with this COUNTER.
pub(crate) fn unused_backup_codes(number: u32, used: u64) -> u32 {
    let beyond = MAX_BACKUP_CODES - number;
    number - (used << beyond).count_ones()
}

/// A line of these fields, apart by tabs, with room for its end.
fn join<'a>(fields: impl Iterator<Item = &'a [u8]> + Clone) -> Zeroizing<Vec<u8>> {
    // Room enough for all: a vector that grows leaves copies of the secret behind.
    let length = fields.clone().map(|field| field.len() + 1).sum();
    let mut line = Zeroizing::new(Vec::with_capacity(length));
    for field in fields {
        line.extend_from_slice(field);
        line.push(b'\t');
    }
    line.pop();
    line
}

/// A token that has no line yet.
pub struct Token {
    /// TYPE.
    pub token_type: Type,
    /// USER, see [`is_user_name`].
    pub user: Vec<u8>,
    /// PIN as it is to stand in the file: not empty, no white space.
    pub pin: Zeroizing<Vec<u8>>,
    /// The secret's bytes, 1 to [`MAX_SECRET`].
    pub secret: Zeroizing<Vec<u8>>,
    /// COUNTER, where it is not 0.
    pub counter: u64,
}

impl Token {
    /// The token's line, without its end.
    pub fn line(&self) -> Zeroizing<Vec<u8>> {
        let token_type = self.token_type.to_string();
        let counter = match self.counter {
            0 => String::new(),
            counter => format!("\t{counter}"),
        };
        // Room enough for all: a vector that grows leaves copies of the secret behind.
        let length = token_type.len() + self.user.len() + self.pin.len() + counter.len();
        let mut line = Zeroizing::new(Vec::with_capacity(length + 2 * self.secret.len() + 3));
        line.extend_from_slice(token_type.as_bytes());
        for field in [&self.user, &*self.pin] {
            line.push(b'\t');
            line.extend_from_slice(field);
        }
        line.push(b'\t');
        line.extend(hex::digits(&self.secret));
        line.extend_from_slice(counter.as_bytes());
        line
    }
}

/// The bytes that SECRET stands for, 1 to [`MAX_SECRET`]: hexadecimal, or base32 after `base32:`.
pub fn parse_secret(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let malformed = |problem| Malformed {
        field: Field::Secret,
        problem,
    };
    let secret = match text.strip_prefix(b"base32:") {
        Some(text) => parse_base32(text).ok_or(malformed(FieldProblem::NotBase32)),
        None if text.len() % 2 == 1 => {
            Err(malformed(match text.iter().all(u8::is_ascii_hexdigit) {
                true => FieldProblem::OddHexadecimal,
                false => FieldProblem::NotHexadecimal,
            }))
        }
        None => hex::decode(text).ok_or(malformed(FieldProblem::NotHexadecimal)),
    }?;
    match secret.len() {
        0 => Err(malformed(FieldProblem::Empty)),
        1..=MAX_SECRET => Ok(secret),
        _ => Err(malformed(FieldProblem::TooLong)),
    }
}

/// RFC 4648 section 6, whatever the case, with or without padding.
fn parse_base32(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = std::str::from_utf8(&text[..text.len() - padding]).ok()?;
    let digits = Zeroizing::new(digits.to_ascii_uppercase());
    base32::decode(base32::Alphabet::Rfc4648 { padding: false }, &digits).map(Zeroizing::new)
}

/// Reads a counter as OATH Toolkit's module does, with C's `strtoull`: an optional sign, digits to the
/// end, a number too large is the largest, a negative one counts down from the top.
fn parse_counter(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    Some(match value {
        Some(value) if negative => value.wrapping_neg(),
        Some(value) => value,
        None => u64::MAX,
    })
}

/// Reads `%Y-%m-%dT%H:%M:%SL` as C's `strptime` does: leading zeros may be left out, a day need
/// not exist in its month, a minute may have 62 seconds.
fn parse_local_time(text: &[u8]) -> Option<LocalTime> {
    let mut rest = text;
    let mut number = |most_digits: usize, range: RangeInclusive<u16>, end: u8| {
        let digits = rest
            .iter()
            .take(most_digits)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let value = rest[..digits]
            .iter()
            .fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        let ended = rest.get(digits) == Some(&end);
        rest = rest.get(digits + 1..).unwrap_or_default();
        (digits > 0 && ended && range.contains(&value)).then_some(value)
    };
    let year = number(4, 0..=9999, b'-')?;
    let mut small = |range, end| number(2, range, end).map(|value| value as u8);
    let time = LocalTime {
        year: year.into(),
        month: small(1..=12, b'-')?,
        day: small(1..=31, b'T')?,
        hour: small(0..=23, b':')?,
        minute: small(0..=59, b':')?,
        second: small(0..=61, b'L')?,
    };
    rest.is_empty().then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<Vec<u8>, Malformed> {
        let line = format!("HOTP alice - {text}");
        let entry = Entry::parse(line.as_bytes()).unwrap();
        entry.secret().map(|secret| secret.to_vec())
    }

    #[test]
    fn a_token_is_written_as_the_line_it_is_read_from() {
        for token_type in [
            "HOTP/E/6",
            "HOTP/T30/8",
            "HOTP/T90/7/SHA256",
            "HOTP/E/6/SHA512",
        ] {
            let token = Token {
                token_type: Type::parse(token_type.as_bytes()).unwrap(),
                user: b"alice".to_vec(),
                pin: Zeroizing::new(b"-".to_vec()),
                secret: Zeroizing::new(vec![0, 0xab, 0xff]),
                counter: if token_type.contains("/E") { 7 } else { 0 },
            };
            let line = token.line();
            let entry = Entry::parse(&line).unwrap();
            assert_eq!(entry.type_text, token_type.as_bytes());
            assert_eq!(entry.token_type, token.token_type);
            assert_eq!((entry.user, entry.pin), (&b"alice"[..], Some(&b"-"[..])));
            assert_eq!(entry.secret().unwrap(), token.secret);
            assert_eq!(entry.last_used.counter().unwrap(), token.counter);
        }
    }

    #[test]
    fn the_types_of_the_manual_are_known_and_no_others() {
        let known = [
            ("HOTP", MovingFactor::Event, 6, Algorithm::Sha1),
            ("HOTP/E", MovingFactor::Event, 6, Algorithm::Sha1),
            ("HOTP/E/8", MovingFactor::Event, 8, Algorithm::Sha1),
            ("HOTP/E/6/SHA512", MovingFactor::Event, 6, Algorithm::Sha512),
            (
                "HOTP/T30",
                MovingFactor::Time { period: 30 },
                6,
                Algorithm::Sha1,
            ),
            (
                "HOTP/T86400/7/SHA256",
                MovingFactor::Time { period: 86_400 },
                7,
                Algorithm::Sha256,
            ),
            (
                "HOTP/B64/8",
                MovingFactor::BackupCodes { number: 64 },
                8,
                Algorithm::Sha1,
            ),
        ];
        for (text, moving_factor, digits, algorithm) in known {
            let expected = Type {
                moving_factor,
                digits,
                algorithm,
            };
            assert_eq!(Type::parse(text.as_bytes()), Some(expected), "{text}");
        }
        let unknown = [
            "hotp",
            "TOTP",
            "HOTP/",
            "HOTP/E/",
            "HOTP/E/5",
            "HOTP/E/9",
            "HOTP/E/06",
            "HOTP/T",
            "HOTP/T0",
            "HOTP/T030",
            "HOTP/T+30",
            "HOTP/T86401",
            "HOTP/B",
            "HOTP/B0",
            "HOTP/B010",
            "HOTP/B65",
            "HOTP/T30/6/MD5",
            "HOTP/T30/6/SHA1/",
            "HOTP/T30//SHA1",
            "#HOTP",
        ];
        for text in unknown {
            assert_eq!(Type::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hex_and_base32_name_the_same_keys() {
        for (hex, base32) in [
            ("8fa4acca0483c5694096ff9d1cc360", "R6SKZSQEQPCWSQEW76ORZQ3A"),
            ("ebaffebceb2d391d478c", "5OX75PHLFU4R2R4M"),
        ] {
            let bytes = secret(hex).unwrap();
            assert_eq!(secret(&hex.to_uppercase()).unwrap(), bytes);
            assert_eq!(secret(&format!("base32:{base32}")).unwrap(), bytes);
            let lower = base32.to_lowercase();
            assert_eq!(secret(&format!("base32:{lower}====")).unwrap(), bytes);
        }
    }

    #[test]
    fn a_malformed_secret_is_named_without_being_shown() {
        for bad in [
            "12345g",
            "123",
            "base32:",
            "base32:18",
            "-",
            &"11".repeat(129),
        ] {
            let error = secret(bad).unwrap_err();
            assert_eq!(error.field, Field::Secret, "{bad}");
            assert!(!error.to_string().contains(bad) || bad.len() < 3, "{error}");
        }
        assert_eq!(secret(&"11".repeat(128)).unwrap().len(), 128);
    }

    #[test]
    fn local_times_are_read_as_strptime_does() {
        for good in [
            "2026-01-15T12:00:00L",
            "2026-1-5T1:2:3L",
            "26-02-31T23:59:61L",
            "0000-01-01T00:00:00L",
        ] {
            assert!(parse_local_time(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "L",
            "never",
            "2026-01-15T12:00:00",
            "2026-01-15T12:00:00Lx",
            "2026-13-15T12:00:00L",
            "2026-00-15T12:00:00L",
            "2026-01-32T12:00:00L",
            "2026-01-15T24:00:00L",
            "2026-01-15T12:60:00L",
            "2026-01-15T12:00:62L",
            "02026-01-15T12:00:00L",
            "2026-001-15T12:00:00L",
            "2026-+1-15T12:00:00L",
            "-01-15T12:00:00L",
            "2026--15T12:00:00L",
            "2026-01-15T:00:00L",
            "2026-01-15T12:00:L",
        ] {
            assert!(parse_local_time(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn counters_are_read_as_strtoull_does() {
        for (text, value) in [
            ("3", 3),
            ("+3", 3),
            ("0003", 3),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("-99999999999999999999", u64::MAX),
        ] {
            assert_eq!(parse_counter(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "-", "+-3", "3x", "x3", "0x3", "3.", "٣"] {
            assert_eq!(parse_counter(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_written_with_tabs_and_what_was_used() {
        let entry = Entry::parse(b" HOTP/T30  alice - 00  3 123456\r").unwrap();
        let code = Code::parse(b"001234").unwrap();
        let time = parse_local_time(b"2026-01-15T12:00:00L").unwrap();
        assert_eq!(
            entry.with_last_used(7, &code, time).as_slice(),
            b"HOTP/T30\talice\t-\t00\t7\t001234\t2026-01-15T12:00:00L\n"
        );
    }

    #[test]
    fn fields_are_apart_by_spaces_tabs_and_carriage_returns_and_by_nothing_else() {
        let apart = |separator: char| {
            let line = format!("HOTP{separator}alice");
            let fields = fields(line.as_bytes()).count();
            assert_eq!(Entry::parse(line.as_bytes()).is_some(), fields == 2);
            fields == 2
        };
        let separators: String = ('\0'..='\u{ff}').filter(|&byte| apart(byte)).collect();
        assert_eq!(separators, "\t\r ");
    }

    #[test]
    fn a_token_goes_on_with_the_counter_after_the_one_used() {
        for (used, counter) in [
            ("", 0),
            ("7", 7),
            ("7 123456", 8),
            ("7 123456 2026-01-15T12:00:00L", 8),
            ("18446744073709551615 123456", 0),
        ] {
            let line = format!("HOTP alice - 00 {used}");
            let token = Entry::parse(line.as_bytes()).unwrap().token().unwrap();
            assert_eq!(token.counter, counter, "{used}");
        }
    }
}
