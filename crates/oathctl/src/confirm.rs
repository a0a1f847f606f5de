//! Asks for one code, to confirm that the user's app has the new token.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oath_core::login::{self, Candidate, Known};
use oath_core::options::Options;
use oath_core::otp::Code;
use oath_core::pin::CheckedHashes;
use oath_core::sys::clock;
use oath_core::usersfile::format::{Entry, MovingFactor, Token};
use zeroize::Zeroizing;

use crate::config::{Config, Service};
use crate::drift::Drift;
use crate::error::Error;
use crate::output;
use crate::terminal::Terminal;
use crate::tokens::DisplayName;

/// Asks for a code until one is right; returns the line to write. The code of an HOTP token is
/// used up by this, and recorded in the line.
pub(crate) fn ask_for_code(
    terminal: &Terminal,
    token: &Token,
    service: &Service,
    config: &Config,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    const TRIES: usize = 3;
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
        let otp = terminal.ask_code("The code that the app shows now: ")?;
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
                let drift = Code::parse(otp.as_bytes())
                    .and_then(|code| Drift::find(&entry, &code, now).ok().flatten());
                output::error(&match drift {
                    Some(drift) => format!("{drift}, more than {service} allows; try again"),
                    None => "that is not the code; try again".into(),
                });
            }
        }
    }
    let user = OsStr::from_bytes(&token.user).display_name();
    Err(Error::failed(format!(
        "no code was right, so {user} was not enrolled; nothing was changed"
    )))
}
