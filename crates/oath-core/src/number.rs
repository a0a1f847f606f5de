//! Numbers as C reads them, for arguments and fields that C programs have read so far.

#![forbid(unsafe_code)]

/// The number that a text begins with, as strtol(3) reads it: white space, a sign, digits; and what
/// follows it. `None`, and the whole text, if it begins with none. A number that is beyond 128 bits
/// is the greatest, or the least, of them.
pub(crate) fn leading_number(text: &[u8]) -> (Option<i128>, &[u8]) {
    let (sign, digits) = match text.trim_ascii_start() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    if end == 0 {
        return (None, text);
    }
    let number = digits[..end].iter().fold(0i128, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i128::from(digit - b'0'))
    });
    (Some(sign * number), &digits[end..])
}
