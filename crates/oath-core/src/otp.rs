//! The codes: HOTP (RFC 4226), TOTP (RFC 6238) and the search of a window in constant time.
//!
//! Everything here is pure. A [`Key`] is a secret made ready for HMAC once, so that a window of
//! 61 moving factors costs 61 short computations and not 61 key set-ups. [`find`] computes and
//! compares a whole window every time, whatever was typed.
//!
//! ```
//! use oath_core::otp::{Algorithm, Code, Key, find};
//!
//! let key = Key::new(Algorithm::Sha1, b"12345678901234567890");
//! assert_eq!(key.code(3, 6).text().as_str(), "969429"); // RFC 4226, appendix D
//!
//! let typed = Code::parse(b"969429").unwrap();
//! assert_eq!(find(&key, 0..=5, [Some(&typed)]), [Some(3)]);
//! ```

#![forbid(unsafe_code)]

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// The hash below the HMAC. RFC 4226 knows SHA-1 alone, RFC 6238 section 1.2 adds the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, what nearly every token and app uses.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The fewest digits a code may have (RFC 4226, section 5.3).
pub const MIN_DIGITS: usize = 6;
/// The most digits a code may have: what OATH Toolkit and the usersfile's format stop at.
pub const MAX_DIGITS: usize = 8;

/// A secret ready to compute codes with. Its state is wiped when it is dropped.
pub struct Key(State);

enum State {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// Prepares `secret`, of any length, for HMAC with `algorithm` (RFC 2104).
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Key {
        // HMAC takes a key of every length; the error exists for other MACs.
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        Key(match algorithm {
            Algorithm::Sha1 => State::Sha1(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::Sha256 => State::Sha256(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::Sha512 => State::Sha512(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
        })
    }

    /// The 31-bit number that the code for `moving_factor` is cut from: HMAC and dynamic
    /// truncation, RFC 4226 section 5.3.
    fn truncated(&self, moving_factor: u64) -> u32 {
        let message = moving_factor.to_be_bytes();
        match &self.0 {
            State::Sha1(mac) => {
                truncate(&mac.clone().chain_update(message).finalize().into_bytes())
            }
            State::Sha256(mac) => {
                truncate(&mac.clone().chain_update(message).finalize().into_bytes())
            }
            State::Sha512(mac) => {
                truncate(&mac.clone().chain_update(message).finalize().into_bytes())
            }
        }
    }

    /// The code for `moving_factor` (an event counter, or a [`time_step`]) with `digits` digits,
    /// [`MIN_DIGITS`] to [`MAX_DIGITS`].
    pub fn code(&self, moving_factor: u64, digits: usize) -> Code {
        assert!((MIN_DIGITS..=MAX_DIGITS).contains(&digits));
        Code {
            value: Zeroizing::new(self.truncated(moving_factor) % modulus(digits)),
            digits,
        }
    }
}

/// RFC 4226 section 5.3: four bytes at the offset that the last byte's low half names, without
/// the top bit.
fn truncate(mac: &[u8]) -> u32 {
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    let four = [
        mac[offset],
        mac[offset + 1],
        mac[offset + 2],
        mac[offset + 3],
    ];
    u32::from_be_bytes(four) & 0x7fff_ffff
}

fn modulus(digits: usize) -> u32 {
    10u32.pow(digits as u32)
}

/// The number of the time step that `unix_time` (seconds) lies in, for steps of `period` seconds
/// (RFC 6238 section 4.2, with T0 = 0).
pub fn time_step(unix_time: u64, period: u32) -> u64 {
    unix_time / u64::from(period.max(1))
}

/// A one-time password of six to eight digits. It does not print itself and is wiped on drop.
#[derive(Clone)]
pub struct Code {
    value: Zeroizing<u32>,
    digits: usize,
}

impl Code {
    /// Reads six to eight ASCII digits, with one space among them at most, as many apps show a code:
    /// `617 222`. Anything else is no code.
    pub fn parse(text: &[u8]) -> Option<Code> {
        let (before, after) = match text.iter().position(|&byte| byte == b' ') {
            Some(0) => return None,
            Some(space) if space + 1 == text.len() => return None,
            Some(space) => (&text[..space], &text[space + 1..]),
            None => (text, &b""[..]),
        };
        let digits = before.iter().chain(after);
        let number = before.len() + after.len();
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&number) || !digits.clone().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Code {
            value: Zeroizing::new(
                digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')),
            ),
            digits: number,
        })
    }

    /// How many characters at the end of `text` are a code of so many digits: one more where there
    /// is a space among them. Where that is no code, as many as it would have.
    pub fn length_at_end(text: &[u8], digits: usize) -> usize {
        let with_space = text.len().checked_sub(digits + 1);
        match with_space.and_then(|start| Code::parse(&text[start..])) {
            Some(code) if code.digits == digits => digits + 1,
            _ => digits,
        }
    }

    /// How many digits it has, leading zeros included.
    pub fn digits(&self) -> usize {
        self.digits
    }

    /// The digits as text, leading zeros included.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{:0width$}", *self.value, width = self.digits))
    }

    /// Whether a truncated number gives this code, compared in constant time.
    fn is_cut_from(&self, truncated: u32) -> Choice {
        (truncated % modulus(self.digits)).ct_eq(&self.value)
    }
}

/// Whether two codes are the same digits, compared in constant time.
impl ConstantTimeEq for Code {
    fn ct_eq(&self, other: &Code) -> Choice {
        self.value.ct_eq(&other.value) & self.digits.ct_eq(&other.digits)
    }
}

/// Finds each of `codes` among the `moving_factors`: the position of the first match, counted
/// from 0, or `None`.
///
/// All codes of the window are computed and all are compared, with no early way out, so that the
/// time taken depends on the length of the window alone: not on where in it a code was, nor on
/// how much of it was right.
pub fn find<const N: usize>(
    key: &Key,
    moving_factors: impl IntoIterator<Item = u64>,
    codes: [Option<&Code>; N],
) -> [Option<usize>; N] {
    let mut found = [Choice::from(0); N];
    let mut position = [0u32; N];
    for (here, moving_factor) in (0u32..).zip(moving_factors) {
        let truncated = key.truncated(moving_factor);
        for (n, code) in codes.iter().enumerate() {
            if let Some(code) = code {
                let matches = code.is_cut_from(truncated) & !found[n];
                position[n].conditional_assign(&here, matches);
                found[n] |= matches;
            }
        }
    }
    std::array::from_fn(|n| bool::from(found[n]).then_some(position[n] as usize))
}

/// Which of the moving factors from 0 on, at most 64 of them, give `code`: a bit for each.
///
/// As with [`find`] all codes are computed and compared, whatever was typed.
pub fn find_all(key: &Key, moving_factors: u32, code: Option<&Code>) -> u64 {
    (0..u64::from(moving_factors)).fold(0, |found, moving_factor| {
        let truncated = key.truncated(moving_factor);
        let matches = code.map_or(Choice::from(0), |code| code.is_cut_from(truncated));
        found | u64::from(matches.unwrap_u8()) << moving_factor
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn hotp_gives_the_codes_of_rfc_4226_appendix_d() {
        let key = Key::new(Algorithm::Sha1, RFC_SECRET);
        let codes = [
            (1_284_755_224, "755224"),
            (1_094_287_082, "287082"),
            (137_359_152, "359152"),
            (1_726_969_429, "969429"),
            (1_640_338_314, "338314"),
            (868_254_676, "254676"),
            (1_918_287_922, "287922"),
            (82_162_583, "162583"),
            (673_399_871, "399871"),
            (645_520_489, "520489"),
        ];
        for (counter, (truncated, code)) in (0..).zip(codes) {
            assert_eq!(key.truncated(counter), truncated);
            assert_eq!(key.code(counter, 6).text().as_str(), code);
        }
    }

    #[test]
    fn totp_gives_the_codes_of_rfc_6238_appendix_b() {
        let sha1 = Key::new(Algorithm::Sha1, RFC_SECRET);
        let sha256 = Key::new(Algorithm::Sha256, b"12345678901234567890123456789012");
        let sha512 = Key::new(
            Algorithm::Sha512,
            b"1234567890123456789012345678901234567890123456789012345678901234",
        );
        let codes = [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ];
        for (time, with_sha1, with_sha256, with_sha512) in codes {
            let step = time_step(time, 30);
            assert_eq!(sha1.code(step, 8).text().as_str(), with_sha1);
            assert_eq!(sha256.code(step, 8).text().as_str(), with_sha256);
            assert_eq!(sha512.code(step, 8).text().as_str(), with_sha512);
        }
    }

    #[test]
    fn a_code_is_six_to_eight_ascii_digits() {
        for text in ["12345", "123456789", "12345a", "-12345", "", "１２３４５６"] {
            assert!(Code::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(Code::parse(b"001234").unwrap().text().as_str(), "001234");
    }

    #[test]
    fn one_space_inside_a_code_is_passed_over() {
        for (text, code) in [
            ("617 222", "617222"),
            ("0012 34", "001234"),
            ("6172 2233", "61722233"),
        ] {
            let parsed = Code::parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.text().as_str(), code);
        }
        for text in [
            " 617222",
            "617222 ",
            "61 72 22",
            "617  222",
            "617\t222",
            "617 22",
            "6172 22233",
            "617222 x",
            "x 617222",
        ] {
            assert!(Code::parse(text.as_bytes()).is_none(), "{text}");
        }
        for (text, length) in [
            ("617 222", 7),
            ("4711617 222", 7),
            ("4711617222", 6),
            ("47 11617222", 6),
            ("4711 617222", 6),
            ("4711 17222", 7),
            ("x17 222", 6),
            ("17 222", 6),
        ] {
            assert_eq!(Code::length_at_end(text.as_bytes(), 6), length, "{text}");
        }
    }

    #[test]
    fn codes_that_differ_only_in_leading_zeros_are_different_codes() {
        let six = Code::parse(b"012345").unwrap();
        let seven = Code::parse(b"0012345").unwrap();
        assert!(!bool::from(six.ct_eq(&seven)));
        assert!(bool::from(six.ct_eq(&six.clone())));
    }

    #[test]
    fn find_all_names_every_moving_factor_of_a_code() {
        let key = Key::new(Algorithm::Sha1, RFC_SECRET);
        for moving_factor in [0, 9, 63] {
            let code = key.code(moving_factor, 8);
            assert_eq!(find_all(&key, 64, Some(&code)), 1 << moving_factor);
            let number = moving_factor as u32;
            assert_eq!(find_all(&key, number, Some(&code)), 0);
        }
        assert_eq!(find_all(&key, 64, None), 0);
    }

    #[test]
    fn find_names_the_first_position_of_every_code_and_none_outside_the_window() {
        let key = Key::new(Algorithm::Sha1, RFC_SECRET);
        let at = |counter| key.code(counter, 6);
        let (first, last, outside) = (at(10), at(15), at(16));
        assert_eq!(
            find(
                &key,
                10..=15,
                [Some(&first), Some(&last), Some(&outside), None]
            ),
            [Some(0), Some(5), None, None]
        );
        // The same moving factor twice: the first counts.
        assert_eq!(find(&key, [9, 10, 10], [Some(&first)]), [Some(1)]);
    }
}
