//! The text of a `.google_authenticator`, line by line.
//!
//! The first line is the secret in Base32. Options follow, a line each: `" NAME VALUE...`, a
//! quotation mark and a blank first. Scratch codes, of eight digits, are lines of their own. What
//! is not known is kept byte for byte, and so is how each line ends.

use std::fmt;
use std::ops::Range;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::number::leading_number;
use crate::usersfile::contains;

/// The longest file that Google's module reads, in bytes. One that is longer locks its owner out.
pub const MAX_LENGTH: usize = 64 << 10;
/// How many hosts `LAST0` to `LAST9` can name.
const GRACE_LINES: u8 = 10;
/// The option that may be indented, and that letters may follow.
const TOTP_AUTH: &[u8] = b"\" TOTP_AUTH";
/// How many digits a scratch code has.
pub const SCRATCH_CODE_DIGITS: usize = 8;

/// An option of the file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Codes count time steps.
    TotpAuth,
    /// Codes count events; the value is the next counter.
    HotpCounter,
    /// How many codes are tried.
    WindowSize,
    /// How many seconds a time step has.
    StepSize,
    /// The time steps whose code was used.
    DisallowReuse,
    /// How many tries in how many seconds, and when they were.
    RateLimit,
    /// How many steps the token's clock is ahead.
    TimeSkew,
    /// What was learned so far of another skew.
    ResettingTimeSkew,
    /// A host, and when a code was last asked for there.
    Last(u8),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Name::TotpAuth => "TOTP_AUTH",
            Name::HotpCounter => "HOTP_COUNTER",
            Name::WindowSize => "WINDOW_SIZE",
            Name::StepSize => "STEP_SIZE",
            Name::DisallowReuse => "DISALLOW_REUSE",
            Name::RateLimit => "RATE_LIMIT",
            Name::TimeSkew => "TIME_SKEW",
            Name::ResettingTimeSkew => "RESETTING_TIME_SKEW",
            Name::Last(n) => return write!(f, "LAST{n}"),
        })
    }
}

/// A field of the file that cannot be used. Holds nothing of what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct Malformed {
    /// The line, counted from 1.
    pub line: usize,
    /// The option.
    pub option: Name,
    /// What is wrong with its value.
    pub problem: Problem,
}

/// What is wrong with the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No number, or a number that cannot be meant.
    #[error("the value is not a number from {least} to {most}")]
    NotInRange {
        /// The least number that is possible.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// A list with something in it that is no number.
    #[error("the value is not a list of numbers")]
    NotNumbers,
    /// Not two numbers, and the times of the tries.
    #[error("the value is not 1 to 100 tries, 1 to 3600 seconds, and the times of tries")]
    NotARateLimit,
}

/// A line of the text.
#[derive(Clone)]
struct Line {
    /// Where it stands, its end not included.
    span: Range<usize>,
    /// Counted from 1.
    number: usize,
}

/// The text of a secret file. It is wiped when it is dropped.
pub struct Document {
    text: Zeroizing<Vec<u8>>,
    is_changed: bool,
}

impl Document {
    /// The text as it was read.
    pub fn new(text: Zeroizing<Vec<u8>>) -> Document {
        Document {
            text,
            is_changed: false,
        }
    }

    /// The text, if it was changed since it was read or last asked for.
    pub fn take_changed(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        std::mem::take(&mut self.is_changed).then(|| self.text.clone())
    }

    /// The text as it stands now.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the text can be read at all: Google's module refuses what is empty, too long or has a
    /// NUL byte.
    pub fn is_readable(&self) -> bool {
        !self.text.is_empty() && self.text.len() <= MAX_LENGTH && !self.text.contains(&0)
    }

    /// The secret, or `None` if the first line is none: Base32 in either case, in which white
    /// space and dashes are passed over and 0, 1 and 8 stand for O, L and B. At least one byte.
    pub fn secret(&self) -> Option<Zeroizing<Vec<u8>>> {
        const BLANKS: &[u8] = b" \t\r-";
        let line = self.lines().next()?;
        // Room for all of it at once: a string that grows leaves copies behind.
        let mut letters = Zeroizing::new(String::with_capacity(line.span.len()));
        for &byte in self.at(&line) {
            match byte {
                blank if BLANKS.contains(&blank) => {}
                b'0' => letters.push('O'),
                b'1' => letters.push('L'),
                b'8' => letters.push('B'),
                letter @ (b'A'..=b'Z' | b'2'..=b'7') => letters.push(char::from(letter)),
                letter @ b'a'..=b'z' => letters.push(char::from(letter.to_ascii_uppercase())),
                _ => return None,
            }
        }
        const ALPHABET: base32::Alphabet = base32::Alphabet::Rfc4648 { padding: false };
        let secret = Zeroizing::new(base32::decode(ALPHABET, &letters)?);
        (!secret.is_empty()).then_some(secret)
    }

    /// Whether codes count time steps. This option may be indented, and letters may follow it, as
    /// with Google's module; in a comment it does not count.
    pub fn has_totp(&self) -> bool {
        let is_option = |line: Line| self.at(&line).trim_ascii_start().starts_with(TOTP_AUTH);
        self.lines().any(is_option)
    }

    /// Whether an option stands in the file.
    pub fn has(&self, name: Name) -> bool {
        self.find(name).is_some()
    }

    /// The next counter, or `None` if codes do not count events: also where the value is no number
    /// from 1 on and TOTP_AUTH stands in the file, as with Google's module.
    ///
    /// # Errors
    /// The value is no counter from 1 to 2^63 - 1. What follows a number is not looked at.
    pub fn hotp_counter(&self) -> Option<Result<u64, Malformed>> {
        let (line, value) = self.find(Name::HotpCounter)?;
        let (number, _) = leading_number(value);
        if number.is_none_or(|number| number < 1) && self.has_totp() {
            return None;
        }
        let counter = number.and_then(|number| u64::try_from(number).ok());
        let valid = counter.filter(|counter| (1..=i64::MAX as u64).contains(counter));
        let (least, most) = (1, i64::MAX);
        let problem = Problem::NotInRange { least, most };
        Some(valid.ok_or_else(|| malformed(&line, Name::HotpCounter, problem)))
    }

    /// How many codes are tried.
    ///
    /// # Errors
    /// The value is no number from 1 to 100.
    pub fn window_size(&self) -> Result<u32, Malformed> {
        self.number(Name::WindowSize, 100)
            .map(|size| size.unwrap_or(3))
    }

    /// How many seconds a time step has.
    ///
    /// # Errors
    /// The value is no number from 1 to 60.
    pub fn step_size(&self) -> Result<u32, Malformed> {
        self.number(Name::StepSize, 60)
            .map(|size| size.unwrap_or(30))
    }

    /// The time steps whose code was used, in the order of use; `None` if nothing forbids to use a
    /// code again.
    ///
    /// # Errors
    /// Something in the list is no number.
    pub fn used_steps(&self) -> Option<Result<Vec<i64>, Malformed>> {
        let (line, value) = self.find(Name::DisallowReuse)?;
        let steps: Option<Vec<i64>> = words(value).map(whole_number).collect();
        Some(steps.ok_or_else(|| malformed(&line, Name::DisallowReuse, Problem::NotNumbers)))
    }

    /// How many steps the token's clock is ahead, as far as it was learned.
    pub fn time_skew(&self) -> i64 {
        let value = self
            .find(Name::TimeSkew)
            .and_then(|(_, value)| leading_number(value).0);
        value.and_then(|skew| i64::try_from(skew).ok()).unwrap_or(0)
    }

    /// What is being learned of another skew, see [`Skewed`]; nothing after the first entry that
    /// is none.
    pub fn resetting_time_skew(&self) -> Vec<Skewed> {
        let Some((_, value)) = self.find(Name::ResettingTimeSkew) else {
            return Vec::new();
        };
        words(value).map_while(Skewed::parse).collect()
    }

    /// The limit of tries.
    ///
    /// # Errors
    /// It is malformed.
    pub fn rate_limit(&self) -> Option<Result<RateLimit, Malformed>> {
        let (line, value) = self.find(Name::RateLimit)?;
        let limit = RateLimit::parse(value);
        Some(limit.ok_or_else(|| malformed(&line, Name::RateLimit, Problem::NotARateLimit)))
    }

    /// When a code was last asked for at this host, in seconds since 1970: what the LAST line with
    /// the lowest number says.
    pub fn last_asked(&self, host: &[u8]) -> Option<u64> {
        let line = self
            .grace_lines()
            .into_iter()
            .find(|line| line.host == host)?;
        Some(line.time)
    }

    /// Records that a code was asked for at this host: in the host's line, else in a free one, else
    /// in the oldest.
    pub fn set_last_asked(&mut self, host: &[u8], time: u64) {
        let lines = self.grace_lines();
        let free = || (0..GRACE_LINES).find(|&number| !self.has(Name::Last(number)));
        let own = lines.iter().find(|line| line.host == host);
        let oldest = || {
            lines
                .iter()
                .min_by_key(|line| line.time)
                .map(|line| line.number)
        };
        let number = own.map(|line| line.number).or_else(free).or_else(oldest);
        let mut value = host.to_vec();
        value.extend_from_slice(format!(" {time}").as_bytes());
        self.set(Name::Last(number.unwrap_or(0)), &value);
    }

    /// The LAST lines in the order of their numbers; those that cannot be read are left out.
    fn grace_lines(&self) -> Vec<GraceLine<'_>> {
        let line = |number| {
            let (_, value) = self.find(Name::Last(number))?;
            let mut words = words(value);
            let host = words.next()?;
            let time = leading_number(words.next()?).0?;
            let time = u64::try_from(time).ok()?;
            Some(GraceLine { number, host, time })
        };
        (0..GRACE_LINES).filter_map(line).collect()
    }

    /// How many scratch codes can be used.
    pub fn scratch_codes(&self) -> usize {
        self.scratch_lines().count()
    }

    /// Takes this scratch code out, if it is one; tells whether it was. All are compared, each in
    /// constant time.
    pub fn use_scratch_code(&mut self, typed: &[u8; SCRATCH_CODE_DIGITS]) -> bool {
        let mut found = Choice::from(0);
        let mut position = 0u32;
        for (here, line) in (0u32..).zip(self.scratch_lines()) {
            let code = without_cr(self.at(&line)).trim_ascii_start();
            let matches = code.ct_eq(typed) & !found;
            position.conditional_assign(&here, matches);
            found |= matches;
        }
        if !bool::from(found) {
            return false;
        }
        let line = self.scratch_lines().nth(position as usize);
        if let Some(line) = line {
            let end = (line.span.end + 1).min(self.text.len());
            self.replace(line.span.start..end, b"");
        }
        true
    }

    /// The lines that look like scratch codes and are none, counted from 1: they stand below a line
    /// that ends the search for them.
    pub fn dead_scratch_codes(&self) -> Vec<usize> {
        let is_code = |line: &Line| scratch_digits(self.at(line)).is_some();
        let codes = self.lines().skip(1).filter(is_code);
        let live: Vec<usize> = self.scratch_lines().map(|line| line.number).collect();
        codes
            .map(|line| line.number)
            .filter(|number| !live.contains(number))
            .collect()
    }

    /// The line of a TOTP_AUTH that does not count, because a comment stands before it; Google's
    /// module takes it for one. Counted from 1.
    pub fn commented_totp(&self) -> Option<usize> {
        let is_comment = |line: &Line| {
            let text = self.at(line).trim_ascii_start();
            !text.starts_with(TOTP_AUTH) && contains(text, TOTP_AUTH)
        };
        self.lines().find(is_comment).map(|line| line.number)
    }

    /// The lines of scratch codes: eight digits, of which the first is not 0, with blanks before them
    /// at most. Whatever is neither that nor an option nor empty ends them.
    fn scratch_lines(&self) -> impl Iterator<Item = Line> {
        let kind = |line: Line| match without_cr(self.at(&line)) {
            [] | [b'"', ..] => Some(None),
            text => match scratch_digits(text) {
                Some([b'1'..=b'9', ..]) => Some(Some(line)),
                _ => None,
            },
        };
        self.lines().skip(1).map_while(kind).flatten()
    }

    /// Gives an option a value: in its line, or in a new one below the secret.
    pub fn set(&mut self, name: Name, value: &[u8]) {
        let mut option = Zeroizing::new(format!("\" {name} ").into_bytes());
        option.extend_from_slice(value);
        match self.find(name) {
            Some((line, _)) => {
                let text = self.at(&line);
                let mut end = line.span.start + without_cr(text).len();
                let is_last_without_end = line.span.end == self.text.len();
                if is_last_without_end {
                    option.extend_from_slice(self.line_end());
                    // Half of an end that the line has no longer.
                    end = line.span.end;
                }
                self.replace(line.span.start..end, &option);
            }
            None => {
                let secret = self.lines().next().map_or(0, |line| line.span.end);
                let line_end = self.line_end().to_vec();
                let at = (secret + 1).min(self.text.len());
                if secret == self.text.len() {
                    // The secret's line lacks its end.
                    option.splice(0..0, line_end);
                } else {
                    option.extend_from_slice(&line_end);
                }
                self.replace(at..at, &option);
            }
        }
    }

    /// How lines end in this file: as the first does.
    pub(super) fn line_end(&self) -> &'static [u8] {
        match self.text.iter().position(|&byte| byte == b'\n') {
            Some(at) if at > 0 && self.text[at - 1] == b'\r' => b"\r\n",
            _ => b"\n",
        }
    }

    fn replace(&mut self, span: Range<usize>, by: &[u8]) {
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + by.len()));
        text.extend_from_slice(&self.text[..span.start]);
        text.extend_from_slice(by);
        text.extend_from_slice(&self.text[span.end..]);
        self.is_changed |= *text != *self.text;
        self.text = text;
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        let mut start = 0;
        let lines = self.text.split(|&byte| byte == b'\n');
        lines.zip(1..).map(move |(text, number)| {
            let span = start..start + text.len();
            start = span.end + 1;
            Line { span, number }
        })
    }

    fn at(&self, line: &Line) -> &[u8] {
        &self.text[line.span.clone()]
    }

    /// The first line of an option, and its value.
    fn find(&self, name: Name) -> Option<(Line, &[u8])> {
        let start = format!("\" {name}");
        self.lines().find_map(|line| {
            let text = without_cr(self.at(&line));
            let value = text.strip_prefix(start.as_bytes())?;
            match value {
                [] => Some((line, value)),
                [b' ' | b'\t', value @ ..] => Some((line, value)),
                _ => None,
            }
        })
    }

    /// The value of an option that is a number from 1 to `most`, and at which a blank may end.
    fn number(&self, name: Name, most: i64) -> Result<Option<u32>, Malformed> {
        let Some((line, value)) = self.find(name) else {
            return Ok(None);
        };
        let (number, rest) = leading_number(value);
        let ends = matches!(rest, [] | [b' ' | b'\t', ..]);
        let valid = number.filter(|number| ends && (1..=i128::from(most)).contains(number));
        match valid.and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(malformed(
                &line,
                name,
                Problem::NotInRange { least: 1, most },
            )),
        }
    }
}

fn malformed(line: &Line, option: Name, problem: Problem) -> Malformed {
    Malformed {
        line: line.number,
        option,
        problem,
    }
}

/// What a LAST line says.
struct GraceLine<'a> {
    number: u8,
    host: &'a [u8],
    time: u64,
}

/// How many tries there may be in how many seconds.
pub struct RateLimit {
    tries: usize,
    seconds: u64,
    /// When there were tries, in seconds since 1970.
    times: Vec<i64>,
}

impl RateLimit {
    fn parse(value: &[u8]) -> Option<RateLimit> {
        // Google's module takes a blank at the end for a number that is missing.
        if value
            .last()
            .is_some_and(|last| matches!(last, b' ' | b'\t'))
        {
            return None;
        }
        let mut numbers = words(value).map(whole_number);
        let tries = numbers.next()??;
        let seconds = numbers.next()??;
        let times = numbers.collect::<Option<Vec<i64>>>()?;
        let is_valid = (1..=100).contains(&tries) && (1..=3600).contains(&seconds);
        is_valid.then_some(RateLimit {
            tries: tries as usize,
            seconds: seconds as u64,
            times,
        })
    }

    /// Counts a try at this time, in seconds since 1970. `Err` with the seconds to wait if there
    /// were too many; such a try is not counted.
    pub fn count(&mut self, now: u64) -> Result<(), u64> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let seconds = self.seconds as i64;
        self.times
            .retain(|&time| time >= now.saturating_sub(seconds) && time <= now);
        self.times.sort_unstable();
        if self.times.len() >= self.tries {
            let oldest = self.times[self.times.len() - self.tries];
            return Err(seconds.saturating_sub(now - oldest) as u64 + 1);
        }
        self.times.push(now);
        Ok(())
    }

    /// As it stands in the file.
    pub fn to_value(&self) -> Vec<u8> {
        let mut value = format!("{} {}", self.tries, self.seconds);
        for time in &self.times {
            value += &format!(" {time}");
        }
        value.into_bytes()
    }
}

/// A code from outside the window: at which step it came, and how many steps the token was ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skewed {
    /// The time step of the server's clock.
    pub step: i64,
    /// How many steps the token's clock was ahead, behind if negative.
    pub skew: i64,
}

impl Skewed {
    fn parse(word: &[u8]) -> Option<Skewed> {
        let (step, rest) = leading_number(word);
        let skew = match rest {
            [b'+' | b'-', digits @ ..] if !digits.is_empty() => whole_number(rest)?,
            _ => return None,
        };
        Some(Skewed {
            step: i64::try_from(step?).ok()?,
            skew,
        })
    }
}

/// Entries of RESETTING_TIME_SKEW as they stand in the file.
pub fn skewed_value(entries: &[Skewed]) -> Vec<u8> {
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}{:+}", entry.step, entry.skew))
        .collect();
    entries.join(" ").into_bytes()
}

/// A list of numbers as it stands in the file.
pub fn list_value(numbers: &[i64]) -> Vec<u8> {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(" ").into_bytes()
}

/// The eight digits of a line in which only blanks stand before them.
fn scratch_digits(line: &[u8]) -> Option<&[u8]> {
    let code = without_cr(line).trim_ascii_start();
    let is_code = code.len() == SCRATCH_CODE_DIGITS && code.iter().all(u8::is_ascii_digit);
    is_code.then_some(code)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The parts of a value between blanks.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

/// A number with nothing before or after it but a sign, in the range of a time.
fn whole_number(word: &[u8]) -> Option<i64> {
    match leading_number(word) {
        (Some(number), [])
            if word
                .first()
                .is_some_and(|first| !first.is_ascii_whitespace()) =>
        {
            i64::try_from(number).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn document(text: &str) -> Document {
        Document::new(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn below_the_secret(options: &str) -> Document {
        document(&format!("{SECRET}\n{options}"))
    }

    fn text_of(document: &Document) -> &str {
        std::str::from_utf8(document.text()).unwrap()
    }

    #[test]
    fn the_secret_is_base32_as_people_type_it() {
        let secret = document(SECRET).secret().unwrap();
        assert_eq!(*secret, b"12345678901234567890");
        for same in [
            "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
            "GEZD GNBV-GY3T\tQOJQ GEZDGNBVGY3TQOJQ\r",
        ] {
            assert_eq!(document(same).secret().unwrap(), secret, "{same}");
        }
        let (mistaken, meant) = (document("MZXW018A"), document("MZXWOLBA"));
        assert_eq!(mistaken.secret(), meant.secret());
    }

    #[test]
    fn a_first_line_with_anything_else_in_it_is_no_secret() {
        for text in [
            "",
            "\nGEZDGNBV",
            "GEZDGNBV=",
            "GEZDGNB9",
            "A",
            "GEZDGNBV # hers",
            "\u{feff}GEZDGNBV",
        ] {
            assert_eq!(document(text).secret(), None, "{text:?}");
        }
    }

    #[test]
    fn empty_long_and_nul_are_not_readable() {
        assert!(!document("").is_readable());
        assert!(!document("GEZD\0").is_readable());
        assert!(document(&"a".repeat(MAX_LENGTH)).is_readable());
        assert!(!document(&"a".repeat(MAX_LENGTH + 1)).is_readable());
    }

    #[test]
    fn an_option_stands_at_the_beginning_of_its_line_in_capitals() {
        let has = |line: &str| below_the_secret(line).has(Name::WindowSize);
        assert!(has("\" WINDOW_SIZE 5\n") && has("\" WINDOW_SIZE\t5") && has("\" WINDOW_SIZE"));
        for other in [
            " \" WINDOW_SIZE 5",
            "# \" WINDOW_SIZE 5",
            "\"WINDOW_SIZE 5",
            "\"  WINDOW_SIZE 5",
            "\" window_size 5",
            "\" WINDOW_SIZEX 5",
        ] {
            assert!(!has(other), "{other:?}");
        }
    }

    #[test]
    fn totp_auth_may_be_indented_and_not_commented_out() {
        let has = |line: &str| below_the_secret(line).has_totp();
        assert!(has("\" TOTP_AUTH\n") && has("  \" TOTP_AUTH\n") && has("\" TOTP_AUTHX\n"));
        assert!(!has("# \" TOTP_AUTH\n") && !has("\" HOTP_COUNTER 1\n"));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line() {
        let file = below_the_secret("\" TOTP_AUTH\n\" WINDOW_SIZE 101\n\" STEP_SIZE 0\n");
        let error = file.window_size().unwrap_err();
        assert_eq!((error.line, error.option), (3, Name::WindowSize));
        assert_eq!(
            error.to_string(),
            "WINDOW_SIZE: the value is not a number from 1 to 100"
        );
        assert_eq!(file.step_size().unwrap_err().line, 4);
        for bad in ["", "x", "-1", "5x", "0"] {
            let file = below_the_secret(&format!("\" WINDOW_SIZE {bad}\n"));
            assert!(file.window_size().is_err(), "{bad:?}");
        }
        assert_eq!(
            below_the_secret("\" WINDOW_SIZE 17 \n").window_size(),
            Ok(17)
        );
        assert_eq!(below_the_secret("").window_size(), Ok(3));
    }

    #[test]
    fn a_counter_is_a_number_that_can_be_counted_on() {
        let counter = |value: &str| {
            let file = below_the_secret(&format!("\" HOTP_COUNTER {value}\n"));
            file.hotp_counter().unwrap().ok()
        };
        assert_eq!(
            [counter("1"), counter("5x"), counter(" 05")],
            [Some(1), Some(5), Some(5)]
        );
        assert_eq!(counter("9223372036854775807"), Some(i64::MAX as u64));
        for bad in [
            "",
            "0",
            "-1",
            "x",
            "9223372036854775808",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(counter(bad), None, "{bad}");
        }
        assert!(below_the_secret("").hotp_counter().is_none());
    }

    #[test]
    fn a_value_takes_the_place_of_the_old_one_and_every_other_byte_stays() {
        let mut file = below_the_secret("# hers\n\" HOTP_COUNTER 1\n\n\" HOTP_COUNTER 9\n junk");
        file.set(Name::HotpCounter, b"2");
        let expected = format!("{SECRET}\n# hers\n\" HOTP_COUNTER 2\n\n\" HOTP_COUNTER 9\n junk");
        assert_eq!(text_of(&file), expected);
    }

    #[test]
    fn a_new_option_stands_below_the_secret() {
        let mut file = below_the_secret("\" TOTP_AUTH\n");
        file.set(Name::TimeSkew, b"10");
        assert_eq!(
            text_of(&file),
            format!("{SECRET}\n\" TIME_SKEW 10\n\" TOTP_AUTH\n")
        );
        let mut alone = document(SECRET);
        alone.set(Name::TimeSkew, b"10");
        assert_eq!(text_of(&alone), format!("{SECRET}\n\" TIME_SKEW 10"));
    }

    #[test]
    fn a_last_line_that_ends_in_half_an_end_gets_a_whole_one_and_no_line_comes_after_it() {
        let mut file = document("AAAAAAAA\n\" TIME_SKEW 1\r");
        file.set(Name::TimeSkew, b"2");
        assert_eq!(file.text(), b"AAAAAAAA\n\" TIME_SKEW 2\n");
    }

    #[test]
    fn lines_end_as_the_first_does() {
        let mut file = document("GEZDGNBV\r\n\" TOTP_AUTH\r\n\" HOTP_COUNTER 1\r\n");
        file.set(Name::HotpCounter, b"2");
        file.set(Name::TimeSkew, b"10");
        assert_eq!(
            text_of(&file),
            "GEZDGNBV\r\n\" TIME_SKEW 10\r\n\" TOTP_AUTH\r\n\" HOTP_COUNTER 2\r\n"
        );
    }

    #[test]
    fn what_is_set_to_what_it_is_changes_nothing() {
        let mut file = below_the_secret("\" HOTP_COUNTER 2\n");
        file.set(Name::HotpCounter, b"2");
        assert!(file.take_changed().is_none());
    }

    #[test]
    fn a_scratch_code_goes_with_its_line() {
        let mut file = below_the_secret("\" TOTP_AUTH\n12345678\n 87654321\r\n\n11112222");
        assert_eq!(file.scratch_codes(), 3);
        assert!(file.use_scratch_code(b"87654321"));
        assert!(!file.use_scratch_code(b"87654321"));
        assert!(file.use_scratch_code(b"11112222"));
        assert_eq!(
            text_of(&file),
            format!("{SECRET}\n\" TOTP_AUTH\n12345678\n\n")
        );
        assert_eq!(file.scratch_codes(), 1);
    }

    #[test]
    fn scratch_codes_end_at_the_first_line_that_is_neither_code_nor_option() {
        for line in ["# hers", "123456789", "1234567", "01234567", "12345678 "] {
            let mut file = below_the_secret(&format!("11112222\n{line}\n12345678\n"));
            assert_eq!(file.scratch_codes(), 1, "{line:?}");
            assert!(!file.use_scratch_code(b"12345678"), "{line:?}");
        }
    }

    #[test]
    fn a_rate_limit_holds_for_so_many_seconds_and_one_more() {
        let limit = |text: &str| below_the_secret(text).rate_limit().unwrap().ok().unwrap();
        let mut full = limit("\" RATE_LIMIT 1 30 100\n");
        assert_eq!(full.count(130), Err(1));
        assert_eq!(full.count(120), Err(11));
        assert_eq!(full.to_value(), b"1 30 100");
        assert_eq!(full.count(131), Ok(()));
        assert_eq!(full.to_value(), b"1 30 131");
    }

    #[test]
    fn a_rate_limit_forgets_tries_of_the_future() {
        let file = below_the_secret("\" RATE_LIMIT 1 30 900\n");
        let mut limit = file.rate_limit().unwrap().ok().unwrap();
        assert_eq!(limit.count(100), Ok(()));
        assert_eq!(limit.to_value(), b"1 30 100");
    }

    #[test]
    fn a_malformed_rate_limit_is_named() {
        for bad in [
            "", " 3", "3 30 ", "0 30", "101 30", "3 0", "3 3601", "3 30 x", "3 30 5x",
        ] {
            let file = below_the_secret(&format!("\" RATE_LIMIT {bad}\n"));
            let error = file.rate_limit().unwrap().err().expect(bad);
            assert_eq!((error.line, error.option), (2, Name::RateLimit));
        }
    }

    #[test]
    fn a_host_is_remembered_in_its_line_then_in_a_free_one_then_in_the_oldest() {
        let mut file = below_the_secret("\" LAST3 here 100\n");
        file.set_last_asked(b"here", 200);
        assert_eq!(text_of(&file), format!("{SECRET}\n\" LAST3 here 200\n"));
        for (n, host) in ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .iter()
            .enumerate()
        {
            file.set_last_asked(host.as_bytes(), 300 + n as u64);
        }
        assert!((0..10).all(|n| file.has(Name::Last(n))));
        file.set_last_asked(b"new", 900);
        assert_eq!(file.last_asked(b"here"), None, "the oldest");
        assert_eq!(file.last_asked(b"new"), Some(900));
        assert_eq!(file.last_asked(b"a"), Some(300));
    }

    #[test]
    fn a_skew_in_the_making_is_read_up_to_the_first_entry_that_is_none() {
        let file = below_the_secret("\" RESETTING_TIME_SKEW 100+2 101-3 x 102+2\n");
        let entries = file.resetting_time_skew();
        let expected = [(100, 2), (101, -3)].map(|(step, skew)| Skewed { step, skew });
        assert_eq!(entries, expected);
        assert_eq!(skewed_value(&entries), b"100+2 101-3");
    }
}
