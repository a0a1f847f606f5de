//! Asks for one code, to confirm that the user's app has the new token.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oath_core::google::format::Document;
use oath_core::login::{self, Candidate, Known};
use oath_core::options::Options;
use oath_core::pin::CheckedHashes;
use oath_core::sys::clock;
use oath_core::usersfile::format::{Entry, MovingFactor, Token};
use zeroize::Zeroizing;

use crate::config::{Config, Service};
use crate::drift::Drift;
use crate::error::Error;
use crate::output;
use crate::secret_file;
use crate::terminal::Terminal;
use crate::tokens::DisplayName;

const TRIES: usize = 3;
const QUESTION: &str = "The code that the app shows now: ";

/// Asks for a code until one is right; returns the line to write. The code of an HOTP token is
/// used up by this, and recorded in the line.
pub(crate) fn ask_for_code(
    terminal: &Terminal,
    token: &Token,
    service: &Service,
    config: &Config,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let line = token.line();
    // The PIN is not asked for here.
    let options = Options {
        ignore_pin: true,
        window: service.options.window,
        ..Options::default()
    };
    let Some(entry) = Entry::parse(&line) else {
        unreachable!("a token's line is read as one");
    };
    // A new token has neither a PIN to be hashed here nor a LAST-TIME to be read.
    let known = Known {
        hashes: &CheckedHashes::default(),
        zone: None,
    };
    for _ in 0..TRIES {
        let otp = terminal.ask_code(QUESTION)?;
        let now = config.now()?;
        let candidate = Candidate {
            line: 1,
            entry,
            journalled: None,
        };
        let attempt = options.attempt(otp.as_bytes(), now);
        let decision = login::decide(&[candidate], &attempt, &known);
        let accepted = decision.ok().and_then(|decision| decision.result.ok());
        match (accepted, token.token_type.moving_factor) {
            (Some(accepted), MovingFactor::Event) => {
                let Some(used) = accepted.record else {
                    continue;
                };
                let time = clock::system_zone()?.local_time(now);
                let time = time.map_err(clock::Error::from)?;
                let mut line = entry.with_last_used(used.counter, &used.otp, time);
                line.pop();
                return Ok(line);
            }
            (Some(_), MovingFactor::Time { .. } | MovingFactor::BackupCodes { .. }) => {
                return Ok(line);
            }
            (None, _) => {
                output::error(&match Drift::of_typed(token, &otp, now) {
                    Some(drift) => format!("{drift}, more than {service} allows; try again"),
                    None => "that is not the code; try again".into(),
                });
            }
        }
    }
    Err(not_enrolled(token))
}

/// The same for a user's own file of Google's module, of which this is the text; returns the text to
/// write.
pub(crate) fn ask_for_code_of_file(
    terminal: &Terminal,
    token: &Token,
    text: Zeroizing<Vec<u8>>,
    config: &Config,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    for _ in 0..TRIES {
        let code = terminal.ask_code(QUESTION)?;
        let now = config.now()?;
        let mut document = Document::new(text.clone());
        if secret_file::takes(&mut document, &code, now) {
            return Ok(match token.token_type.moving_factor {
                MovingFactor::Event => document.take_changed().unwrap_or(text),
                MovingFactor::Time { .. } | MovingFactor::BackupCodes { .. } => text,
            });
        }
        output::error(&match Drift::of_typed(token, &code, now) {
            Some(drift) => format!("{drift}, more than the file allows; try again"),
            None => "that is not the code; try again".into(),
        });
    }
    Err(not_enrolled(token))
}

fn not_enrolled(token: &Token) -> Error {
    let user = OsStr::from_bytes(&token.user).display_name();
    Error::failed(format!(
        "no code was right, so {user} was not enrolled; nothing was changed"
    ))
}
