//! Appends imported tokens to a usersfile.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use oath_core::local_time::Zone;
use oath_core::otp::Key;
use oath_core::sys::clock;
use oath_core::usersfile::Document;
use oath_core::usersfile::format::{self, Entry, MovingFactor};
use zeroize::Zeroizing;

use super::token::ImportedToken;

/// A token with its user, to be appended.
pub(super) struct Candidate {
    /// Which of the report's rows it is.
    pub(super) row: usize,
    pub(super) user: OsString,
    pub(super) token: ImportedToken,
}

/// The result for one candidate.
pub(super) enum Appended {
    Line(usize),
    /// The user has this secret on this line.
    AlreadyThere(usize),
    Ambiguous(Ambiguity),
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

/// The secrets of a user in the usersfile, by line; none where SECRET is malformed.
type Secrets = Vec<(usize, Option<Zeroizing<Vec<u8>>>)>;

/// Appends the lines of the candidates to the document, with `another` also where that is
/// ambiguous; returns the result for each.
pub(super) fn append(
    document: &mut Document,
    candidates: &[Candidate],
    another: bool,
) -> Vec<Appended> {
    // One pass over the file: it may be long, as may the list of candidates, and the lock is held
    // meanwhile.
    let mut secrets: BTreeMap<&OsStr, Secrets> = candidates
        .iter()
        .map(|candidate| (candidate.user.as_os_str(), Vec::new()))
        .collect();
    for line in document.lines() {
        let Some(entry) = line.entry() else { continue };
        if let Some(of_user) = secrets.get_mut(OsStr::from_bytes(entry.user)) {
            of_user.push((line.number, entry.secret().ok()));
        }
    }
    let ambiguities = match another {
        true => BTreeMap::new(),
        false => ambiguities(candidates, &secrets),
    };
    candidates
        .iter()
        .map(|candidate| {
            let of_user = secrets.entry(&candidate.user).or_default();
            if let Some(line) = line_of_same(of_user, candidate) {
                return Appended::AlreadyThere(line);
            }
            if let Some(&ambiguity) = ambiguities.get(candidate.user.as_os_str()) {
                return Appended::Ambiguous(ambiguity);
            }
            let line = document.append(&line_of(candidate));
            of_user.push((line, Some(candidate.token.secret.clone())));
            Appended::Line(line)
        })
        .collect()
}

/// The users for whom it is ambiguous which token is for logins.
fn ambiguities<'a>(
    candidates: &'a [Candidate],
    secrets: &BTreeMap<&OsStr, Secrets>,
) -> BTreeMap<&'a OsStr, Ambiguity> {
    let mut new: BTreeMap<&OsStr, usize> = BTreeMap::new();
    for candidate in candidates {
        if line_of_same(&secrets[candidate.user.as_os_str()], candidate).is_none() {
            *new.entry(&candidate.user).or_default() += 1;
        }
    }
    new.into_iter()
        .filter_map(|(user, count)| match count {
            _ if !secrets[user].is_empty() => Some((user, Ambiguity::HasToken)),
            1 => None,
            _ => Some((user, Ambiguity::SeveralInFile)),
        })
        .collect()
}

fn line_of_same(secrets: &Secrets, candidate: &Candidate) -> Option<usize> {
    secrets
        .iter()
        .find(|(_, secret)| secret.as_ref() == Some(&candidate.token.secret))
        .map(|(line, _)| *line)
}

/// The line for the usersfile, without its end.
fn line_of(candidate: &Candidate) -> Zeroizing<Vec<u8>> {
    let ImportedToken {
        token_type,
        ref secret,
        counter,
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
