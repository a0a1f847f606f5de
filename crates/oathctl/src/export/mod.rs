//! `oathctl export`: the tokens in forms that other programs read, and `oathctl import`.

mod pskc;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use oath_core::sys;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{MovingFactor, Token};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::files::CreatedFile;
use crate::otpauth;
use crate::output::{self, printable};
use crate::terminal::Terminal;
use crate::tokens::{self, TokenLine, user_name};

/// Export tokens, for another program: otpauth:// URIs, one a line, or PSKC
///
/// Whoever reads them can make the users' codes. `oathctl import` makes the same tokens of them again.
/// A disabled token, a set of backup codes and a line that no login can use are left out, and PINs
/// stay behind; standard error names each.
#[derive(Args)]
#[command(after_help = "Exit codes:\n  \
    0  every token is exported\n  \
    1  some are left out, or it could not be done\n\n\
    Examples:\n  oathctl export --output tokens.txt\n  oathctl export alice --pskc --output alice.xml")]
pub(crate) struct Export {
    /// Only the tokens of these users
    #[arg(value_name = "USER", value_parser = user_name())]
    users: Vec<OsString>,

    /// PSKC (RFC 6030), an XML file that other servers read, in place of URIs
    #[arg(long)]
    pskc: bool,

    /// Write them into this new file, which only its owner may read
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Do not ask before they are shown on a terminal
    #[arg(long)]
    yes: bool,
}

/// A token, with what else its line tells.
struct Exported {
    token: Token,
    /// What an app shows beside the user's name.
    issuer: String,
    /// The first counter, or time step, whose code was not used yet; none if nothing was used of a
    /// token by time, or no program could tell which step that was.
    next: Option<u64>,
}

/// The tokens to be exported, and what has to be said of others.
#[derive(Default)]
struct Collected {
    tokens: Vec<Exported>,
    /// What is not exported, a sentence for each token.
    left_out: Vec<String>,
    /// What is not exported of tokens that are, a sentence each.
    left_behind: Vec<String>,
}

impl Export {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let collected = self.collect(config)?;
        for sentence in collected.left_out.iter().chain(&collected.left_behind) {
            output::warn(sentence);
        }
        let text = match self.pskc {
            true => pskc::container(&collected.tokens),
            false => uris(&collected.tokens),
        };
        const WARNING: &str = "whoever reads what is exported can make the users' codes";
        if let Some(path) = &self.output {
            // A user's own folder is for this user's tokens alone.
            let owner = match &self.users[..] {
                [user] => user.as_os_str(),
                _ => OsStr::new("root"),
            };
            CreatedFile::new(path, owner, text.as_bytes())?;
            output::warn(WARNING);
        } else {
            output::warn(WARNING);
            if io::stdout().is_terminal() && !self.yes {
                let terminal = Terminal::open("--yes shows them without asking")?;
                if !terminal.confirm("Show the secrets here?")? {
                    return Err(Error::failed("not exported"));
                }
            }
            output::print(&text)?;
        }
        Ok(ExitCode::from(u8::from(!collected.left_out.is_empty())))
    }

    fn collect(&self, config: &Config) -> Result<Collected, Error> {
        let host = sys::host_name();
        let host = host.to_string_lossy();
        let mut collected = Collected::default();
        let mut add_all = |document: &Document, user: Option<&OsStr>| {
            let all = tokens::all(document);
            let wanted = all.filter(|token| user.is_none_or(|user| token.is_of(user)));
            wanted
                .map(|token| collected.add(&token, &host, self.pskc))
                .count()
        };
        if self.users.is_empty() {
            let document = config.read(&config.usersfile(None)?)?;
            add_all(&document, None);
        }
        for user in &self.users {
            let usersfile = config.usersfile(Some(user))?;
            let document = match config.read(&usersfile) {
                Err(error) if error.is_missing_usersfile() => Document::new(b""),
                read => read?,
            };
            if add_all(&document, Some(user)) == 0 {
                return Err(tokens::no_token(user, usersfile.path()));
            }
        }
        Ok(collected)
    }
}

impl Collected {
    /// Adds a token, or says why not; for PSKC, or for a URI.
    fn add(&mut self, found: &TokenLine, host: &str, is_pskc: bool) {
        let entry = &found.entry;
        let what = format!(
            "the token of {} on line {}",
            printable(entry.user),
            found.line
        );
        let token = match entry.token() {
            _ if found.disabled => Err("is disabled".to_owned()),
            _ if found.is_backup_codes() => {
                Err("is a set of backup codes, which only pam_oath knows".into())
            }
            _ if std::str::from_utf8(entry.user).is_err() => {
                Err("has a user whose name is not UTF-8".into())
            }
            Err(malformed) => Err(malformed.to_string()),
            Ok(token) => tokens::check(entry)
                .map(|()| token)
                .map_err(|malformed| malformed.to_string()),
        };
        let token = match token {
            Ok(token) => token,
            Err(problem) => return self.left_out.push(format!("{what} is left out: {problem}")),
        };
        if *token.pin != *b"-" {
            self.left_behind
                .push(format!("{what} is exported without its PIN"));
        }
        let is_by_time = matches!(token.token_type.moving_factor, MovingFactor::Time { .. });
        let next = match token.token_type.moving_factor {
            MovingFactor::Event => Some(token.counter),
            _ => tokens::step_last_used(entry, &token.secret).map(|step| step.saturating_add(1)),
        };
        if entry.last_used.otp().is_some() && is_by_time && (is_pskc || next.is_none()) {
            self.left_behind.push(format!(
                "{what} is exported without the time step last used: import it when its last code \
                 has expired"
            ));
        }
        self.tokens.push(Exported {
            issuer: found.issuer.unwrap_or(host).to_owned(),
            next,
            token,
        });
    }
}

/// A URI for each token, on a line of its own. [`otpauth::NEXT`] is passed over by apps.
fn uris(tokens: &[Exported]) -> Zeroizing<String> {
    joined(tokens.iter().map(|exported| {
        let uri = otpauth::uri(&exported.token, &exported.issuer);
        Zeroizing::new(match exported.next {
            Some(next) => format!("{}&{}={next}\n", uri.as_str(), otpauth::NEXT),
            None => format!("{}\n", uri.as_str()),
        })
    }))
}

/// One text of many, with room for all from the beginning: a string that grows leaves copies of the
/// secrets behind.
fn joined(parts: impl Iterator<Item = Zeroizing<String>>) -> Zeroizing<String> {
    let parts: Vec<Zeroizing<String>> = parts.collect();
    let length = parts.iter().map(|part| part.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    parts.iter().for_each(|part| text.push_str(part));
    text
}
