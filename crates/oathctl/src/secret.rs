//! The secret of a new token: random, or given in hex or base32; and words that may hold a secret
//! where none belongs.

use std::io::Read;

use oath_core::usersfile::format::{Entry, parse_secret};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files::unbuffered_stdin;
use crate::output::printable;
use crate::tokens;

/// In bytes: 160 bits, as RFC 4226 (section 4, R6) recommends.
const LENGTH: usize = 20;
/// In bytes: 128 bits, the least that RFC 4226 (section 4, R6) allows.
pub(crate) const MIN_LENGTH: usize = 16;

/// A new secret from the kernel's random numbers.
pub(crate) fn random() -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut secret = Zeroizing::new(vec![0; LENGTH]);
    fill_random(&mut secret)?;
    Ok(secret)
}

/// Fills a buffer with the kernel's random numbers.
pub(crate) fn fill_random(buffer: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(buffer)
        .map_err(|error| Error::failed(format!("the system gives no random numbers: {error}")))
}

/// New scratch codes of a `.google_authenticator`: eight digits, the first of them not 0.
pub(crate) fn scratch_codes(number: usize) -> Result<Vec<Zeroizing<String>>, Error> {
    const CODES: std::ops::Range<u32> = 10_000_000..100_000_000;
    const BITS: u32 = (1 << 27) - 1; // as many as such a number has
    let mut codes = Vec::with_capacity(number);
    while codes.len() < number {
        let mut bytes = Zeroizing::new([0; 4]);
        fill_random(&mut *bytes)?;
        let code = u32::from_ne_bytes(*bytes) & BITS;
        // What is out of range is drawn again, so that all codes are as likely.
        if CODES.contains(&code) {
            let code = Zeroizing::new(code.to_string());
            // None is good twice.
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
    }
    Ok(codes)
}

/// Parses a secret as people write it: hex or base32, optionally in groups separated by spaces or
/// dashes. What could be both is hex, as in the usersfile, unless `base32:` stands before it.
pub(crate) fn parse(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut compact = Zeroizing::new(String::with_capacity(text.len() + 7));
    let (prefix, digits) = match text.trim().strip_prefix("base32:") {
        Some(digits) => ("base32:", digits),
        None => ("", text),
    };
    compact.push_str(prefix);
    compact.extend(digits.chars().filter(|c| !c.is_whitespace() && *c != '-'));
    if prefix.is_empty() && !(compact.len() % 2 == 0 && is_hex(compact.as_bytes())) {
        compact.insert_str(0, "base32:");
    }
    parse_secret(compact.as_bytes())
        .map_err(|_| Error::failed("the secret is neither hexadecimal nor base32, 1 to 128 bytes"))
}

/// Whether a text has no characters but hexadecimal digits.
pub(crate) fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a word, in whatever field, holds what looks like a secret and is not to be shown: enough
/// hexadecimal, base32 or base64 in one run, or what marks a secret.
pub(crate) fn is_in(word: &[u8]) -> bool {
    const MARKS: [&str; 3] = ["base32:", "secret=", "otpauth:"];
    let word = Zeroizing::new(String::from_utf8_lossy(word).into_owned());
    let lower = Zeroizing::new(word.to_lowercase());
    MARKS.iter().any(|mark| lower.contains(mark))
        || runs(&ungrouped(&word)).any(is_run_of_secret)
        || runs(&word).any(is_run_of_secret)
}

/// The USER of a line, to be shown; `None` where it may hold a secret. A line that a login could not
/// use may have its fields in any order.
pub(crate) fn shown_user(entry: &Entry) -> Option<String> {
    let is_sound = entry.is_complete() && tokens::check(entry).is_ok();
    let user = String::from_utf8_lossy(entry.user);
    let is_long = |run: &str| run.len() >= SHORTEST_RUN;
    let may_hold = is_in(entry.user) || !is_sound && runs(&user).any(is_long);
    (!may_hold).then(|| printable(entry.user))
}

/// 64 bits in hex, 80 in base32.
const SHORTEST_RUN: usize = 16;

/// 128 bits. A long name may have capitals, small letters and digits as well.
const SHORTEST_BASE64: usize = 22;

/// The parts of a word that could be a secret each.
fn runs(word: &str) -> impl Iterator<Item = &str> {
    word.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/'))
}

fn is_run_of_secret(run: &str) -> bool {
    if run.len() < SHORTEST_RUN {
        return false;
    }
    let has = |is: fn(&char) -> bool| run.chars().any(|c| is(&c));
    let has_digit = has(char::is_ascii_digit);
    let is_whole = matches!(run.len() % 8, 0 | 2 | 4 | 5 | 7);
    let mut hex = run.split(|c: char| !c.is_ascii_hexdigit());
    hex.any(|digits| digits.len() >= SHORTEST_RUN)
        || has_digit && !has(char::is_ascii_lowercase)
        || has_digit && run.len() >= SHORTEST_BASE64 && has(char::is_ascii_uppercase)
        || has_digit && is_whole && run.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7'))
}

/// A word without the separators of a secret in groups: `9d:7c:0f`, `JBSW-Y3DP`. A name with `-` in
/// it, or a UUID, has groups of several lengths.
pub(crate) fn ungrouped(word: &str) -> Zeroizing<String> {
    let is_grouped = |separator: char| {
        let mut groups = word.trim_end_matches('=').split(separator);
        let length = groups.next().map_or(0, str::len);
        let mut rest = groups.peekable();
        let mut count = 1;
        while let Some(group) = rest.next() {
            let is_last = rest.peek().is_none();
            if group.len() != length && !(is_last && group.len() < length) {
                return false;
            }
            count += 1;
        }
        count > 2 && length > 1
    };
    let separator = [':', '-', '.', ',', ' ']
        .into_iter()
        .find(|it| is_grouped(*it));
    Zeroizing::new(match separator {
        Some(separator) => word.replace(separator, ""),
        None => word.to_owned(),
    })
}

/// The next line of standard input.
pub(crate) fn line_of_stdin(what: &str) -> Result<Zeroizing<String>, Error> {
    const LONGEST: usize = 4096;
    let failed = |cause| Error::io("read standard input")(cause);
    let mut stdin = unbuffered_stdin().map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0]);
    while stdin.read(&mut *byte).map_err(failed)? == 1 && *byte != *b"\n" {
        if line.len() == LONGEST {
            return Err(Error::failed(format!("the {what} is too long")));
        }
        line.extend_from_slice(&*byte);
    }
    let line = std::str::from_utf8(&line)
        .map(|line| Zeroizing::new(line.trim().to_owned()))
        .map_err(|_| Error::failed(format!("the {what} is not text in UTF-8")))?;
    if line.is_empty() {
        return Err(Error::usage(format!("no {what} on standard input")));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_people_write_it() {
        let hello = b"Hello!\xde\xad\xbe\xef";
        for text in [
            "48656c6c6f21deadbeef",
            "4865 6C6C 6F21 DEAD BEEF",
            "JBSWY3DPEHPK3PXP",
            "jbsw y3dp ehpk 3pxp",
            "JBSW-Y3DP-EHPK-3PXP",
            "base32:JBSWY3DPEHPK3PXP====",
        ] {
            assert_eq!(*parse(text).unwrap(), hello, "{text}");
        }
        assert_eq!(*parse("base32:AAAA2222").unwrap(), [0, 0, 0x0d, 0x6b, 0x5a]);
        for text in ["", "base32:", "0g", "1", "JBSWY3DP!"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_known_in_any_word_and_a_name_is_not_taken_for_one() {
        for word in [
            "9d7c0f1e2a3b4c5d6e7f8091a2b3c4d5e6f70819",
            "alice:-:9d7c0f1e2a3b4c5d6e7f8091a2b3c4d5e6f70819",
            "alice-9D7C0F1E2A3B4C5D6E7F8091",
            "0x9d7c0f1e2a3b4c5d6e7f8091a2b3c4d5e6f70819",
            "9d:7c:0f:1e:2a:3b:4c:5d:6e:7f:80:91:a2:b3",
            "9d7c-0f1e-2a3b-4c5d-6e7f",
            "JBSWY3DPEHPK3PXP",
            "jbswy3dpehpk3pxp",
            "JBSWY3DPEHPK3PX1",
            "JBSW-Y3DP-EHPK-3PXP",
            "\"JBSWY3DPEHPK3PXP\"",
            "base32:JBSW",
            "otpauth://totp/alice?secret=JBSW",
            "nXwPHio7TF1uf4CRorPE1eb3CBk=",
        ] {
            assert!(is_in(word.as_bytes()), "{word}");
        }
        for word in [
            "alice",
            "christopher.johnson-smith2",
            "svc_backup_production01",
            "ADMINISTRATOR",
            "alice@corp.example.com",
            r"CORP\alice",
            "550e8400-e29b-41d4-a716-446655440000",
            "+4915112345678",
            "+",
            "-",
        ] {
            assert!(!is_in(word.as_bytes()), "{word}");
        }
    }
}
