//! The PIN field of a token, and whether what was typed fits it.

#![forbid(unsafe_code)]

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::sys;
use crate::usersfile::format::{Field, FieldProblem, Malformed};

/// The longest PIN that crypt(5) takes, in bytes.
const LONGEST_HASHED: usize = 511;

/// Whether `typed` is the PIN that the `field` asks for: `-` for none, `+` for one that another
/// module checks, a crypt(5) hash of it, or the PIN itself. Compared in constant time.
///
/// # Errors
/// The field can never be fitted, or its hash has not been checked yet.
pub fn fits(field: &[u8], typed: &[u8], checked: &CheckedHashes) -> Result<Choice, Unchecked> {
    match field {
        b"-" => Ok(typed.len().ct_eq(&0)),
        b"+" => Ok(Choice::from(1)),
        hash if is_hash(hash) => {
            if !is_affordable(hash) {
                return Err(Unchecked::Malformed(malformed(FieldProblem::CostlyHash)));
            }
            match checked.find(hash, typed) {
                Some(fits) => fits.map_err(Unchecked::Malformed),
                None => Err(Unchecked::Hash),
            }
        }
        pin => Ok(pin.ct_eq(typed)),
    }
}

/// Why it is not known whether a PIN fits.
#[derive(Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// The field cannot be a PIN.
    Malformed(Malformed),
    /// The field is a hash: to be computed by [`CheckedHashes::check`] first.
    Hash,
}

/// The hashes of PINs that one login has computed. That takes some tenths of a second each, so
/// none is computed twice, and none while others wait for a lock.
#[derive(Default)]
pub struct CheckedHashes(Vec<CheckedHash>);

struct CheckedHash {
    hash: Zeroizing<Vec<u8>>,
    typed: Zeroizing<Vec<u8>>,
    fits: Result<Choice, Malformed>,
}

impl CheckedHashes {
    /// Computes the `hash` of what was `typed`, whatever that is, and remembers whether it fits.
    pub fn check(&mut self, hash: &[u8], typed: &[u8]) {
        let can_be_hashed = typed.len() <= LONGEST_HASHED;
        let phrase = if can_be_hashed { typed } else { b"" };
        let fits = match sys::crypt(phrase, hash) {
            Some(computed) => Ok(computed.ct_eq(hash) & Choice::from(u8::from(can_be_hashed))),
            None => Err(malformed(FieldProblem::UnknownHash)),
        };
        self.0.push(CheckedHash {
            hash: Zeroizing::new(hash.to_vec()),
            typed: Zeroizing::new(typed.to_vec()),
            fits,
        });
    }

    /// How many were computed.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn find(&self, hash: &[u8], typed: &[u8]) -> Option<Result<Choice, Malformed>> {
        let is_same = |checked: &&CheckedHash| {
            checked.hash.as_slice() == hash && bool::from(checked.typed.as_slice().ct_eq(typed))
        };
        self.0.iter().find(is_same).map(|checked| checked.fits)
    }
}

fn malformed(problem: FieldProblem) -> Malformed {
    Malformed {
        field: Field::Pin,
        problem,
    }
}

/// Whether a PIN field has the form of a crypt(5) hash: `$`, the name of a method, `$`.
pub fn is_hash(field: &[u8]) -> bool {
    method_of(field).is_some()
}

/// The method's name and what follows it.
fn method_of(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let field = field.strip_prefix(b"$")?;
    let end = field.iter().position(|&byte| byte == b'$')?;
    let (method, rest) = (&field[..end], &field[end + 1..]);
    let known = matches!(method, b"y" | b"gy" | b"6" | b"5" | b"2a" | b"2b" | b"2y");
    known.then_some((method, rest))
}

/// Whether a hash takes no more than some tenths of a second and 32 MiB. A user who writes her
/// own usersfile must not be able to keep a login busy, or to fill the memory, with a hash made
/// for that.
fn is_affordable(hash: &[u8]) -> bool {
    const MOST_ROUNDS: u32 = 1_000_000;
    const MOST_BCRYPT_COST: u32 = 12;
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u32>().ok();
    let Some((method, rest)) = method_of(hash) else {
        return false;
    };
    let parameter = rest.split(|&byte| byte == b'$').next().unwrap_or_default();
    match method {
        // "j", then the logarithm of the memory in crypt's own digits, then the block size:
        // j9T, the default, is 16 MiB, jAT 32.
        b"y" | b"gy" => matches!(
            parameter,
            [b'j', b'.' | b'/' | b'0'..=b'9' | b'A', b'.'..=b'T']
        ),
        b"5" | b"6" => match parameter.strip_prefix(b"rounds=") {
            Some(rounds) => number(rounds).is_some_and(|rounds| rounds <= MOST_ROUNDS),
            None => true,
        },
        _ => number(parameter).is_some_and(|cost| cost <= MOST_BCRYPT_COST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(field: &str, typed: &str) -> bool {
        let (field, typed) = (field.as_bytes(), typed.as_bytes());
        let mut checked = CheckedHashes::default();
        if is_hash(field) {
            assert_eq!(fits(field, typed, &checked).unwrap_err(), Unchecked::Hash);
            checked.check(field, b"of another PIN");
            checked.check(field, typed);
        }
        fits(field, typed, &checked).unwrap().into()
    }

    #[test]
    fn a_pin_is_none_anybody_s_or_itself() {
        assert!(fit("-", "") && !fit("-", "1"));
        assert!(fit("+", "") && fit("+", "anything"));
        assert!(fit("4711", "4711") && !fit("4711", "4712") && !fit("4711", ""));
        assert!(fit("$ecret", "$ecret"));
    }

    #[test]
    fn hashes_as_mkpasswd_makes_them_fit_their_pin_alone() {
        for hash in [
            "$y$j9T$NaGQ5K7F6q7viArcGsqR3/$OOShpijx/yyGeBTTG4AoPpwJGs/Ry3NdP7s.aOfKXV1",
            "$6$TfZk1HANMvT0Ylbe$SAzhDgUEQQK..yiCmtfp18RFP14vUdH0hPJEeJ4LOI4WWEbqiRgmCVWM2Y1oCpSmK5Yv1PJ2t4HrYHf2fic7m0",
            "$5$YBl.DoQp44s7jOcM$NFxR7f22dAbkxsc.2PpHGl.1gYvq.N75jRbumFoomdD",
            "$2b$05$U9gcwLs8GytFupjVJqPe/OAy99XcJ5ygqEXzWyB8td95XPwESv4.m",
            "$2y$05$U9gcwLs8GytFupjVJqPe/OAy99XcJ5ygqEXzWyB8td95XPwESv4.m",
        ] {
            assert!(fit(hash, "1234"), "{hash}");
            assert!(
                !fit(hash, "1235") && !fit(hash, "") && !fit(hash, hash),
                "{hash}"
            );
        }
    }

    #[test]
    fn a_hash_made_to_be_slow_is_not_computed() {
        for hash in [
            "$y$jFT$abc$def",
            "$6$rounds=999999999$abc$def",
            "$2b$31$abcdef",
            "$y$zzz$",
        ] {
            let error = fits(hash.as_bytes(), b"1234", &CheckedHashes::default());
            assert!(matches!(error, Err(Unchecked::Malformed(_))), "{hash}");
        }
    }

    #[test]
    fn a_hash_that_libcrypt_refuses_is_malformed_and_no_wrong_pin() {
        let (hash, typed) = (&b"$2b$05$too.short"[..], &b"1234"[..]);
        let mut checked = CheckedHashes::default();
        checked.check(hash, typed);
        let Err(Unchecked::Malformed(error)) = fits(hash, typed, &checked) else {
            panic!("a hash that cannot be computed fits or does not");
        };
        assert!(error.to_string().contains("cannot compute"), "{error}");
    }
}
