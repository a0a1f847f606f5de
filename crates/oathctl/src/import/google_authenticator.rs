//! The file that `google-authenticator` writes, `~/.google_authenticator`: the secret in base32,
//! then options, each a line that begins with `" `, then the scratch codes that are left.

use super::token::{Description, ImportItem, base32_secret};

/// Whether a text has the form of such a file, which always says whether it is TOTP or HOTP.
pub(crate) fn recognises(text: &str) -> bool {
    let mut lines = text.lines();
    let secret = lines.next().unwrap_or_default();
    let options = || lines.clone().filter_map(|line| line.strip_prefix("\" "));
    let says_kind = options()
        .any(|option| option.starts_with("TOTP_AUTH") || option.starts_with("HOTP_COUNTER"));
    says_kind && base32_secret(secret.trim_end()).is_ok()
}

fn is_scratch_code(line: &str) -> bool {
    line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads the one token of the file.
pub(crate) fn read(text: &str) -> ImportItem {
    let mut description = Description::default();
    let mut left_behind = Vec::new();
    let mut last_used = None;
    let mut window = None;
    let mut malformed = None;
    for (number, line) in (1..).zip(text.lines()).skip(1) {
        let Some(option) = line.strip_prefix("\" ") else {
            continue;
        };
        let mut words = option.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let mut value = || {
            let value = words.next().and_then(|word| word.parse::<u64>().ok());
            if value.is_none() {
                malformed = Some(format!("{name} in line {number} has no number"));
            }
            value.unwrap_or_default()
        };
        match name {
            "TOTP_AUTH" => {}
            "STEP_SIZE" => description.period = value(),
            "HOTP_COUNTER" => {
                description.kind = "hotp";
                description.counter = Some(value());
            }
            "WINDOW_SIZE" => window = Some(value()),
            "DISALLOW_REUSE" => {
                last_used = words.filter_map(|word| word.parse::<u64>().ok()).max();
            }
            "RATE_LIMIT" => left_behind.push(
                "RATE_LIMIT stays behind: the module's argument throttle=SECONDS makes a user \
                 wait after failures"
                    .into(),
            ),
            "TIME_SKEW" => left_behind.push(
                "TIME_SKEW stays behind: set the phone's clock, or widen the module's \
                 argument window="
                    .into(),
            ),
            // State that google-authenticator's PAM module keeps between logins.
            "RESETTING_TIME_SKEW"
            | "LAST0"
            | "LAST1"
            | "LAST2"
            | "LAST3"
            | "LAST4"
            | "LAST5"
            | "LAST6"
            | "LAST7"
            | "LAST8"
            | "LAST9" => {}
            name => left_behind.push(format!(
                "the option \"{}\" stays behind: it is not one we know",
                name.escape_debug()
            )),
        }
    }
    if let Some(window) = window {
        // WINDOW_SIZE counts all codes that are tried, window= those on each side.
        let same = if description.kind == "hotp" {
            window.saturating_sub(1)
        } else {
            window / 2
        };
        left_behind.push(format!(
            "WINDOW_SIZE {window} stays behind: the module has one window for all users, \
             window={same} is as wide"
        ));
    }
    let scratch_codes = text.lines().filter(|line| is_scratch_code(line.trim_end()));
    match scratch_codes.count() {
        0 => {}
        count => left_behind.push(format!(
            "{count} scratch codes stay behind: they are fixed numbers that no secret gives, \
             so no line of a usersfile can hold them; make new ones with oathctl backup-codes"
        )),
    }
    if description.kind == "totp" {
        description.counter = last_used;
    }
    let secret = base32_secret(text.lines().next().unwrap_or_default().trim_end());
    ImportItem {
        place: "line 1".into(),
        account: None,
        token: match malformed {
            Some(malformed) => Err(malformed),
            None => description.token(secret),
        },
        left_behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "YYVJMQ2MJRO52K3V4RTRURPMQM\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\
                        \" DISALLOW_REUSE 58949280 58949279\n\" TOTP_AUTH\n55281160\n96466945\n";

    #[test]
    fn the_step_last_used_is_carried_over_and_scratch_codes_are_not() {
        assert!(recognises(FILE));
        let found = read(FILE);
        let token = found.token.ok().unwrap();
        assert_eq!(token.secret.len(), 16);
        assert_eq!(token.counter, Some(58_949_280));
        let left_behind = found.left_behind.join("\n");
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
