//! The secret of a new token: random, or given in hex or base32.

use std::io::Read;

use oath_core::usersfile::format::parse_secret;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files::unbuffered_stdin;

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
            codes.push(Zeroizing::new(code.to_string()));
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
}
