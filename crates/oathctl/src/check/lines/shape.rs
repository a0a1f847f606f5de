//! What a field looks like, whatever it is parsed as.

use oath_core::usersfile::format;

use crate::secret::{MIN_LENGTH, is_hex};

pub(super) fn is_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Whether a text is base32 and nothing else: it has letters that hexadecimal has not, and a
/// length that bytes can have.
pub(super) fn is_base32(text: &[u8]) -> bool {
    const SHORTEST: usize = 8;
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = &text[..text.len() - padding];
    digits.len() >= SHORTEST
        && matches!(digits.len() % 8, 0 | 2 | 4 | 5 | 7)
        && !is_hex(digits)
        && format::parse_secret(&[b"base32:", text].concat()).is_ok()
}

/// Whether a field, whichever it is, may hold a secret and is not to be shown.
pub(super) fn is_like_a_secret(text: &[u8]) -> bool {
    text.len() >= 2 * MIN_LENGTH && is_hex(text)
        || text.starts_with(b"base32:")
        || text.len() >= MIN_LENGTH && is_base32(text)
}

/// Whether the secret is one of those published as examples.
pub(super) fn is_published(secret: &[u8]) -> bool {
    /// RFC 4226 and 6238, cut to 20, 32 or 64 bytes.
    const RFC_SEED: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
    /// JBSWY3DPEHPK3PXP.
    const HELLO: &[u8] = b"Hello!\xde\xad\xbe\xef";
    RFC_SEED.starts_with(secret) || secret == HELLO
}
