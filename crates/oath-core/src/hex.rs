//! Hexadecimal, RFC 4648 section 8.

#![forbid(unsafe_code)]

use zeroize::Zeroizing;

/// The digits of `bytes`, two a byte, in lower case. For a secret: the caller knows where they go,
/// and wipes them there.
pub(crate) fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
    bytes
        .iter()
        .flat_map(move |byte| [digit(byte >> 4), digit(byte & 0x0f)])
}

/// `bytes` in lower case.
pub fn encode(bytes: &[u8]) -> String {
    digits(bytes).map(char::from).collect()
}

/// The bytes that an even number of digits of either case stands for; `None` if one is no digit.
pub(crate) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that grows leaves copies of the secret in memory that nobody wipes.
    #[test]
    fn the_buffer_of_a_secret_does_not_grow() {
        let secret = decode(&[b'0'; 2 * 1000]).unwrap();
        assert_eq!((secret.len(), secret.capacity()), (1000, 1000));
    }
}
