//! Asks for one code, to confirm that the user's app has the new token.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use oath_core::login::Verdict;
use oath_core::options::Options;
use oath_core::otp::Code;
use oath_core::usersfile::UserLine;
use oath_core::usersfile::format::{Entry, MovingFactor, Token};
use oath_core::usersfile::scan::{self, LineStart};
use zeroize::Zeroizing;

use crate::attempt;
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
    let lines = user_lines(&line, &token.user)?;
    for _ in 0..TRIES {
        let otp = terminal.ask_code("The code that the app shows now: ")?;
        let now = config.now()?;
        let decision = attempt::decide(&lines, None, otp.as_bytes(), &options, now)?;
        match (decision.verdict, token.token_type.moving_factor) {
            (
                Verdict::Accepted {
                    record: Some(record),
                    ..
                },
                MovingFactor::Event,
            ) => {
                let used = record.text.strip_suffix(b"\n").unwrap_or(&record.text);
                return Ok(Zeroizing::new(used.to_vec()));
            }
            (Verdict::Accepted { .. }, _) => return Ok(line),
            (Verdict::Refused(_), _) => {
                let drift = Entry::parse(&line)
                    .zip(Code::parse(otp.as_bytes()))
                    .and_then(|(entry, code)| Drift::find(&entry, &code, now).ok().flatten());
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

/// The line as a login reads it.
fn user_lines(line: &[u8], user: &[u8]) -> Result<Vec<UserLine>, Error> {
    let mut lines = Vec::new();
    scan::lines_of(line, LineStart::default(), user, |line| {
        lines.push(line);
        Ok(ControlFlow::Continue(()))
    })
    .map_err(Error::io("check the code"))?;
    Ok(lines)
}
