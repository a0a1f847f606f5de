//! Which characters of a name may go to a terminal or a log.

#![forbid(unsafe_code)]

/// Whether a character shows as itself: no control character, and none of those that change the
/// order or are not seen.
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
