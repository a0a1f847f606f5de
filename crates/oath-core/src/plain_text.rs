//! Which characters of a name may go to a terminal or a log.

#![forbid(unsafe_code)]

/// Whether a character shows as itself: no control character, and none of those that change the
/// order or are not seen.
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_or_turns_or_hides_text_is_not_plain() {
        for c in [
            '\0', '\u{7}', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{ad}',
            '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{202a}', '\u{202e}',
            '\u{2060}', '\u{2066}', '\u{2069}', '\u{206f}', '\u{feff}',
        ] {
            assert!(!is_plain(c), "{c:?}");
        }
        for c in [' ', '~', 'é', '\u{200a}', '‐', '‧', '\u{202f}', '⁰', '字'] {
            assert!(is_plain(c), "{c:?}");
        }
    }
}
