//! The file that `google-authenticator` writes, `~/.google_authenticator`: the secret in base32,
//! then options, each a line that begins with `" `, then the scratch codes that are left.

use oath_core::google::edit::is_scratch_code;
use zeroize::Zeroizing;

use super::token::{Counter, Description, ImportItem, ImportedToken, base32_secret};
use super::{Format, Source};

/// Such a file, which has one token.
pub(super) struct GoogleAuthenticator;

impl Format for GoogleAuthenticator {
    fn recognises(&self, source: &Source) -> bool {
        source.text.is_some_and(recognises)
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        Ok(vec![read(source.text.unwrap_or_default(), source.now)])
    }
}

/// Whether a text has the form of such a file, which always says whether it is TOTP or HOTP.
fn recognises(text: &str) -> bool {
    let mut options = text.lines().filter_map(|line| line.strip_prefix("\" "));
    let says_kind =
        options.any(|option| option.starts_with("TOTP_AUTH") || option.starts_with("HOTP_COUNTER"));
    says_kind && secret(text).is_ok()
}

/// The secret in the first line. As Google's module reads it, 0, 1 and 8, which base32 has not, are
/// the letters that they look like.
fn secret(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let letters: Zeroizing<String> = Zeroizing::new(
        text.lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .chars()
            .map(|c| match c {
                '0' => 'O',
                '1' => 'L',
                '8' => 'B',
                c => c,
            })
            .collect(),
    );
    base32_secret(&letters)
}

/// The options that say what a code is.
#[derive(Default)]
struct Options {
    counter: Option<u64>,
    period: Option<u64>,
    /// How many codes are tried, where another number than the usual is said.
    window: Option<u64>,
    /// How many steps the phone's clock is ahead.
    skew: i64,
    used_steps: Vec<u64>,
}

/// Reads the one token of the file; `now` is in seconds since 1970.
fn read(text: &str, now: u64) -> ImportItem {
    let mut options = Options::default();
    let mut remarks = Vec::new();
    let mut problem = None;
    for (number, line) in (1..).zip(text.lines()).skip(1) {
        let Some(option) = line.strip_prefix("\" ") else {
            continue;
        };
        let mut words = option.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let no_number = || format!("{name} in line {number} has no number");
        match name {
            "TOTP_AUTH" => {}
            "STEP_SIZE" | "HOTP_COUNTER" => {
                let option = match name {
                    "STEP_SIZE" => &mut options.period,
                    _ => &mut options.counter,
                };
                let value = words.next().and_then(|word| word.parse().ok());
                if value.is_none() {
                    problem = Some(no_number());
                } else if option.is_some() {
                    problem = Some(format!("it has {name} twice"));
                }
                *option = value;
            }
            "WINDOW_SIZE" => match words.next().and_then(|word| word.parse().ok()) {
                Some(window) => options.window = Some(window),
                None => remarks.push(format!("{}, so it stays behind", no_number())),
            },
            "TIME_SKEW" => match words.next().and_then(|word| word.parse().ok()) {
                Some(skew) => options.skew = skew,
                None => remarks.push(format!("{}, so it stays behind", no_number())),
            },
            "DISALLOW_REUSE" => {
                options
                    .used_steps
                    .extend(words.filter_map(|word| word.parse::<u64>().ok()));
            }
            "RATE_LIMIT" => remarks.push(
                "RATE_LIMIT stays behind: the module's argument throttle=SECONDS makes a user \
                 wait after failures"
                    .into(),
            ),
            // State that google-authenticator's PAM module keeps between logins.
            "RESETTING_TIME_SKEW" => {}
            name if name.strip_prefix("LAST").is_some_and(|n| n.len() == 1) => {}
            name => remarks.push(format!(
                "the option \"{}\" stays behind: it is not one we know",
                name.escape_debug()
            )),
        }
    }
    let period = options.period.unwrap_or(30);
    let counter = match options.counter {
        Some(counter) => Counter::Next(counter),
        None => last_step(&options, now / period.max(1), &mut remarks),
    };
    remark_window(&options, period, &mut remarks);
    match text
        .lines()
        .filter(|line| is_scratch_code(line.trim_end().as_bytes()))
        .count()
    {
        0 => {}
        count => remarks.push(format!(
            "{count} scratch codes stay behind: they are fixed numbers that no secret gives, \
             so no line of a usersfile can hold them; make new ones with oathctl backup-codes"
        )),
    }
    let description = Description {
        kind: if options.counter.is_some() {
            "hotp"
        } else {
            "totp"
        },
        period,
        counter,
        ..Description::default()
    };
    let token: Result<ImportedToken, String> = match problem {
        Some(problem) => Err(problem),
        None => description.token(secret(text)),
    };
    ImportItem {
        remarks,
        ..ImportItem::new("line 1".into(), token)
    }
}

/// The step last used. One that the program's own window can't have reached yet is none: it would
/// lock the user out until it comes.
fn last_step(options: &Options, now: u64, remarks: &mut Vec<String>) -> Counter {
    let ahead = options.window.unwrap_or(3) / 2;
    let latest = now
        .saturating_add(ahead)
        .saturating_add(u64::try_from(options.skew).unwrap_or(0));
    let (used, future): (Vec<u64>, Vec<u64>) =
        options.used_steps.iter().partition(|&&step| step <= latest);
    if !future.is_empty() {
        remarks.push(
            "DISALLOW_REUSE has a time step of the future, which is not carried over: no code \
             would be accepted until then"
                .into(),
        );
    }
    used.into_iter()
        .max()
        .map_or(Counter::None, Counter::LastStep)
}

fn remark_window(options: &Options, period: u64, remarks: &mut Vec<String>) {
    if options.skew != 0 {
        let steps = options.skew.unsigned_abs();
        let seconds = steps.saturating_mul(period);
        remarks.push(format!(
            "TIME_SKEW stays behind: the phone's clock is {steps} steps ({} min {} s) {}; set it, \
             or no code is accepted with a window= below {steps}",
            seconds / 60,
            seconds % 60,
            if options.skew > 0 { "ahead" } else { "behind" }
        ));
    }
    if let Some(window) = options.window {
        // WINDOW_SIZE counts all codes that are tried, window= those on each side, or after the
        // last one.
        let same = match options.counter {
            Some(_) => window,
            None => window / 2,
        };
        remarks.push(format!(
            "WINDOW_SIZE {window} stays behind: the module has one window for all users, \
             window={same} is as wide"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 58_949_280 * 30;

    fn remarks(options: &str) -> (Result<ImportedToken, String>, String) {
        let found = read(&format!("YYVJMQ2MJRO52K3V4RTRURPMQM\n{options}"), NOW);
        (found.token, found.remarks.join("\n"))
    }

    #[test]
    fn advice_is_in_what_the_module_has() {
        let (token, said) = remarks("\" HOTP_COUNTER 5\n\" WINDOW_SIZE 3\n");
        assert_eq!(token.ok().unwrap().counter, Some(5));
        assert!(said.contains("window=3 is as wide"), "{said}");
        let (_, said) = remarks("\" TIME_SKEW -21\n\" WINDOW_SIZE 17\n\" TOTP_AUTH\n");
        assert!(said.contains("21 steps (10 min 30 s) behind"), "{said}");
        assert!(said.contains("window=8 is as wide"), "{said}");
        let (token, said) = remarks("\" WINDOW_SIZE\n\" TOTP_AUTH\n");
        assert!(
            token.is_ok() && said.contains("line 2 has no number"),
            "{said}"
        );
        assert!(!said.contains("window="), "{said}");
    }

    #[test]
    fn a_step_of_the_future_is_not_carried_over() {
        let (token, said) = remarks("\" DISALLOW_REUSE 58949279 58949281\n\" TOTP_AUTH\n");
        assert_eq!(token.ok().unwrap().counter, Some(58_949_281));
        assert_eq!(said, "");
        let (token, said) = remarks("\" DISALLOW_REUSE 58949279 58949282\n\" TOTP_AUTH\n");
        assert_eq!(token.ok().unwrap().counter, Some(58_949_279));
        assert!(said.contains("the future"), "{said}");
    }

    #[test]
    fn what_decides_the_codes_must_be_there_once_and_be_a_number() {
        for (options, said) in [
            (
                "\" TOTP_AUTH\n\" STEP_SIZE\n",
                "STEP_SIZE in line 3 has no number",
            ),
            (
                "\" HOTP_COUNTER x\n",
                "HOTP_COUNTER in line 2 has no number",
            ),
            (
                "\" HOTP_COUNTER 1\n\" HOTP_COUNTER 2\n",
                "HOTP_COUNTER twice",
            ),
        ] {
            assert!(remarks(options).0.err().unwrap().contains(said), "{said}");
        }
    }

    #[test]
    fn digits_that_look_like_letters_are_those_letters() {
        let token = |secret: &str| read(&format!("{secret}\n\" TOTP_AUTH\n"), NOW).token;
        let letters = token("OLBOLBOLBOLBOLBO").ok().unwrap().secret;
        assert_eq!(token("0180180180180180").ok().unwrap().secret, letters);
    }

    const FILE: &str = "YYVJMQ2MJRO52K3V4RTRURPMQM\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\
                        \" DISALLOW_REUSE 58949280 58949279\n\" TOTP_AUTH\n55281160\n96466945\n";

    #[test]
    fn the_step_last_used_is_carried_over_and_scratch_codes_are_not() {
        assert!(recognises(FILE));
        let found = read(FILE, NOW);
        let token = found.token.ok().unwrap();
        assert_eq!(token.secret.len(), 16);
        assert_eq!(token.counter, Some(58_949_280));
        let left_behind = found.remarks.join("\n");
        assert!(left_behind.contains("2 scratch codes"), "{left_behind}");
        assert!(left_behind.contains("window=1 is as wide"), "{left_behind}");
        assert!(!left_behind.contains("55281160"), "{left_behind}");
    }

    #[test]
    fn other_files_are_not_taken_for_one() {
        for text in ["", "\n", "otpauth", "AAAA\n12345678\n", "HOTP alice - 00\n"] {
            assert!(!recognises(text), "{text:?}");
        }
    }
}
