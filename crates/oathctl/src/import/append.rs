//! Appends imported tokens to a usersfile.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use oath_core::local_time::Zone;
use oath_core::otp::Key;
use oath_core::sys::clock;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{self, Entry, MovingFactor, Type};
use zeroize::Zeroizing;

use super::token::ImportedToken;
use crate::tokens::{self, TokenLine};

/// A token with its user, to be appended.
pub(super) struct Candidate {
    /// Which of the report's rows it is.
    pub(super) row: usize,
    pub(super) user: OsString,
    pub(super) token: ImportedToken,
    /// For [`tokens::issuer_line`], unless it is this machine's name.
    pub(super) issuer: Option<String>,
}

/// The result for one candidate.
pub(super) enum Appended {
    Line(usize),
    /// The user has this token on this line.
    AlreadyThere(usize),
    /// The user has something like it on this line.
    Differs(usize, Difference),
    Ambiguous(Ambiguity),
}

/// Why a token whose secret is in the usersfile is not there already, and can't be added: two lines
/// of one secret would each accept a code that the other has used up.
#[derive(Clone, Copy)]
pub(super) enum Difference {
    /// The line is disabled.
    Disabled,
    /// Other digits, step or hash, or by counter and not by time.
    Type,
    /// The file's counter, or step last used, is ahead of the line's.
    Behind,
}

/// Continues after "its secret is on line N already, ".
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Difference::Disabled => "disabled; see oathctl enable",
            Difference::Type => "as another type; if that one is wrong, remove it first",
            Difference::Behind => {
                "but codes were used elsewhere since; remove that line first, or set it with \
                 oathctl resync"
            }
        })
    }
}

/// Why only the administrator knows which of a user's tokens is for logins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ambiguity {
    /// The usersfile has another token of the user.
    HasToken,
    /// The imported file has several tokens for the user.
    SeveralInFile,
}

/// Continues after the user's name.
impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Ambiguity::HasToken => "has a token already",
            Ambiguity::SeveralInFile => "has several tokens in the file",
        })
    }
}

/// A user's token in the usersfile.
struct Present {
    line: usize,
    disabled: bool,
    token_type: Type,
    /// None where SECRET is malformed.
    secret: Option<Zeroizing<Vec<u8>>>,
    /// As [`ImportedToken::counter`].
    counter: Option<u64>,
}

impl Present {
    fn of(token: &TokenLine) -> Present {
        let entry = &token.entry;
        let secret = entry.secret().ok();
        let counter = match entry.token_type.moving_factor {
            MovingFactor::Event => entry.token().ok().map(|token| token.counter),
            MovingFactor::Time { .. } => secret
                .as_ref()
                .and_then(|secret| tokens::step_last_used(entry, secret)),
            // No other program has such a set.
            MovingFactor::BackupCodes { .. } => None,
        };
        Present {
            line: token.line,
            disabled: token.disabled,
            token_type: entry.token_type,
            secret,
            counter,
        }
    }

    /// The difference to a token of the same secret.
    fn difference(&self, token: &ImportedToken) -> Option<Difference> {
        if self.token_type != token.token_type {
            Some(Difference::Type)
        } else if self.disabled {
            Some(Difference::Disabled)
        } else if self.counter < token.counter {
            Some(Difference::Behind)
        } else {
            None
        }
    }
}

/// Appends the lines of the candidates to the document, with `another` also where that is
/// ambiguous; returns the result for each.
pub(super) fn append(
    document: &mut Document,
    candidates: &[Candidate],
    another: bool,
) -> Vec<Appended> {
    // One pass over the file and one change of it: it may be long, as may the list of candidates,
    // and the lock is held meanwhile.
    let mut present: BTreeMap<&OsStr, Vec<Present>> = candidates
        .iter()
        .map(|candidate| (candidate.user.as_os_str(), Vec::new()))
        .collect();
    for token in tokens::all(document) {
        if let Some(of_user) = present.get_mut(OsStr::from_bytes(token.entry.user)) {
            of_user.push(Present::of(&token));
        }
    }
    let ambiguities = match another {
        true => BTreeMap::new(),
        false => ambiguities(candidates, &present),
    };
    let mut next_line = document.lines().count() + 1;
    let mut lines: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let appended = candidates
        .iter()
        .map(|candidate| {
            let of_user = present.entry(&candidate.user).or_default();
            if let Some(same) = same_secret(of_user, candidate) {
                return match same.difference(&candidate.token) {
                    None => Appended::AlreadyThere(same.line),
                    Some(difference) => Appended::Differs(same.line, difference),
                };
            }
            if let Some(&ambiguity) = ambiguities.get(candidate.user.as_os_str()) {
                return Appended::Ambiguous(ambiguity);
            }
            if let Some(issuer) = &candidate.issuer {
                lines.push(Zeroizing::new(tokens::issuer_line(issuer)));
                next_line += 1;
            }
            lines.push(line_of(candidate));
            let line = next_line;
            next_line += 1;
            of_user.push(Present {
                line,
                disabled: false,
                token_type: candidate.token.token_type,
                secret: Some(candidate.token.secret.clone()),
                counter: candidate.token.counter,
            });
            Appended::Line(line)
        })
        .collect();
    if !lines.is_empty() {
        // Room enough for all: a vector that grows leaves copies of the secrets behind.
        let length = lines.iter().map(|line| line.len() + 1).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        for line in &lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.pop();
        document.append(&text);
    }
    appended
}

/// The users for whom it is ambiguous which token is for logins.
fn ambiguities<'a>(
    candidates: &'a [Candidate],
    present: &BTreeMap<&OsStr, Vec<Present>>,
) -> BTreeMap<&'a OsStr, Ambiguity> {
    let mut new: BTreeMap<&OsStr, usize> = BTreeMap::new();
    for candidate in candidates {
        if same_secret(&present[candidate.user.as_os_str()], candidate).is_none() {
            *new.entry(&candidate.user).or_default() += 1;
        }
    }
    new.into_iter()
        .filter_map(|(user, count)| match count {
            _ if !present[user].is_empty() => Some((user, Ambiguity::HasToken)),
            1 => None,
            _ => Some((user, Ambiguity::SeveralInFile)),
        })
        .collect()
}

/// The user's token with the candidate's secret, one that is like it in all else before others.
fn same_secret<'a>(present: &'a [Present], candidate: &Candidate) -> Option<&'a Present> {
    let same = || {
        present
            .iter()
            .filter(|present| present.secret.as_ref() == Some(&candidate.token.secret))
    };
    same()
        .find(|present| present.difference(&candidate.token).is_none())
        .or_else(|| same().next())
}

/// The line for the usersfile, without its end.
fn line_of(candidate: &Candidate) -> Zeroizing<Vec<u8>> {
    let ImportedToken {
        token_type,
        ref secret,
        counter,
        shown: _,
    } = candidate.token;
    let is_event = token_type.moving_factor == MovingFactor::Event;
    let line = format::Token {
        token_type,
        user: candidate.user.as_bytes().to_vec(),
        pin: Zeroizing::new(b"-".to_vec()),
        secret: secret.clone(),
        counter: counter.filter(|_| is_event).unwrap_or(0),
    }
    .line();
    let MovingFactor::Time { period } = token_type.moving_factor else {
        return line;
    };
    // The module accepts a time step as last used only together with its code.
    let used = counter.and_then(|step| {
        // The module decides by the step alone; LAST-TIME is for people.
        let time = step.checked_mul(period.into())?;
        let zone = clock::system_zone().unwrap_or_else(|_| Zone::universal());
        let time = zone.local_time(time).ok()?;
        let code = Key::new(token_type.algorithm, secret).code(step, token_type.digits);
        let entry = Entry::parse(&line)?;
        let mut line = entry.with_last_used(step, &code, time);
        line.pop();
        Some(line)
    });
    used.unwrap_or(line)
}
