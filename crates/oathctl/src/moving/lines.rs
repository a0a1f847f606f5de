//! The lines of a file while tokens are moved to another: for each user they are in use, or
//! prepared, or moved, and never in use in two files.
//!
//! A line that is prepared is a comment. Where a user's lines are prepared or moved, a line that no
//! login can use keeps the user known, so that the module denies and does not say "unknown".

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oath_core::usersfile::Document;
use oath_core::usersfile::format::Entry;
use zeroize::Zeroizing;

use crate::tokens;

/// What a prepared line begins with.
const PREPARED: &[u8] = b"# being moved here by oathctl, not in use yet: ";
/// What SECRET begins with where tokens were moved, or are to be; the path of the other file follows.
pub(crate) const MOVED: &str = "moved:";

/// The lines of one user's tokens, disabled ones and their issuers included.
pub(super) type Lines = Vec<Zeroizing<Vec<u8>>>;

/// The lines of each of some users.
pub(super) type LinesByUser = BTreeMap<OsString, Lines>;

/// What a file has of a user.
#[derive(Default)]
pub(super) struct State {
    pub(super) in_use: Lines,
    pub(super) prepared: Lines,
    /// Whether a line says that the tokens are in another file.
    pub(super) is_denied: bool,
    /// Whether other lines are in the way, where the file is to be this user's alone.
    pub(super) is_foreign: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    InUse,
    Prepared,
    Denying,
}

/// A line's text, and what it is of whom, if it is of a user's tokens.
type Classified<'a> = (&'a [u8], Option<(Kind, &'a [u8])>);

fn classified(document: &Document) -> Vec<Classified<'_>> {
    let mut lines: Vec<_> = document
        .lines()
        .map(|line| {
            let (text, kind) = uncovered(line.text);
            let entry = Entry::parse(tokens::enabled(text).unwrap_or(text));
            let owner = entry.map(|entry| match is_denying(&entry) {
                true => (Kind::Denying, entry.user),
                false => (kind, entry.user),
            });
            (line.text, owner)
        })
        .collect();
    // An issuer belongs to the token below it.
    for above in (0..lines.len().saturating_sub(1)).rev() {
        let (text, kind) = uncovered(lines[above].0);
        if tokens::is_issuer_line(text) {
            lines[above].1 = lines[above + 1].1.filter(|(below, _)| *below == kind);
        }
    }
    lines
}

/// A line without the mark of a prepared one.
fn uncovered(text: &[u8]) -> (&[u8], Kind) {
    match text.strip_prefix(PREPARED) {
        Some(text) => (text, Kind::Prepared),
        None => (text, Kind::InUse),
    }
}

fn is_denying(entry: &Entry) -> bool {
    let secret = entry.identity().nth(3);
    secret.is_some_and(|secret| secret.starts_with(MOVED.as_bytes()))
}

/// What the file has of each user.
pub(super) fn states(document: &Document) -> BTreeMap<OsString, State> {
    let mut states: BTreeMap<OsString, State> = BTreeMap::new();
    for (text, owner) in classified(document) {
        let Some((kind, user)) = owner else { continue };
        let state = states.entry(OsStr::from_bytes(user).into()).or_default();
        let line = Zeroizing::new(uncovered(text).0.to_vec());
        match kind {
            Kind::InUse => state.in_use.push(line),
            Kind::Prepared => state.prepared.push(line),
            Kind::Denying => state.is_denied = true,
        }
    }
    states
}

/// Whether nothing is in the file but comments and blank lines, and tokens of this user.
pub(super) fn is_file_of(document: &Document, user: &OsStr) -> bool {
    let is_comment = |text: &[u8]| matches!(text.trim_ascii_start().first(), None | Some(b'#'));
    classified(document)
        .into_iter()
        .all(|(text, owner)| match owner {
            Some((_, of)) => of == user.as_bytes(),
            None => is_comment(text),
        })
}

/// A line for a user whose tokens are in the file at `place`.
fn denying(user: &OsStr, place: &Path) -> Zeroizing<Vec<u8>> {
    let place = place.as_os_str().as_bytes();
    Zeroizing::new(
        [
            b"HOTP\t",
            user.as_bytes(),
            b"\t-\t",
            MOVED.as_bytes(),
            place,
        ]
        .concat(),
    )
}

/// Whether any of the lines makes a login ask for a code.
fn have_token(lines: &Lines) -> bool {
    lines.iter().any(|line| Entry::parse(line).is_some())
}

/// Puts the users' lines into the file as prepared ones, in place of what was prepared before; not
/// those of a user whose tokens are in use there.
pub(super) fn prepare(
    document: &mut Document,
    copied: &LinesByUser,
    from: impl Fn(&OsStr) -> Box<Path>,
) {
    let states = states(document);
    let is_in_use = |user: &OsStr| states.get(user).is_some_and(|now| !now.in_use.is_empty());
    let mut added = Lines::new();
    for (user, lines) in copied.iter().filter(|(user, _)| !is_in_use(user)) {
        if have_token(lines) {
            added.push(denying(user, &from(user)));
        }
        for line in lines {
            added.push(Zeroizing::new([PREPARED, line].concat()));
        }
    }
    rebuild(document, added, |user| {
        let user = OsStr::from_bytes(user);
        is_in_use(user) || !copied.contains_key(user)
    });
}

/// Takes the lines out of use of those users whose lines are what was copied; returns these users.
pub(super) fn take_out_of_use(
    document: &mut Document,
    copied: &LinesByUser,
    to: impl Fn(&OsStr) -> Box<Path>,
) -> BTreeSet<OsString> {
    let states = states(document);
    let is_copied =
        |user: &&OsString| states.get(*user).map(|now| &now.in_use) == copied.get(*user);
    let taken: BTreeSet<OsString> = copied.keys().filter(is_copied).cloned().collect();
    if taken.is_empty() {
        return taken;
    }
    let with_token = taken.iter().filter(|user| have_token(&copied[*user]));
    let added = with_token.map(|user| denying(user, &to(user))).collect();
    rebuild(document, added, |user| {
        !taken.contains(OsStr::from_bytes(user))
    });
    taken
}

/// Takes what was prepared of these users into use, as `last` has it; `None` if that is not what
/// `prepared` says, or other tokens of theirs are in use.
pub(super) fn take_into_use(
    document: &mut Document,
    prepared: &LinesByUser,
    last: &LinesByUser,
) -> Option<()> {
    let states = states(document);
    let is_prepared = |(user, lines): (&OsString, &Lines)| {
        let now = states.get(user);
        now.is_some_and(|now| now.in_use.is_empty() && now.prepared == *lines)
    };
    if !prepared.iter().all(is_prepared) {
        return None;
    }
    let added = last.values().flatten().cloned().collect();
    rebuild(document, added, |user| {
        !last.contains_key(OsStr::from_bytes(user))
    });
    Some(())
}

/// Keeps all lines but those of tokens for which `stays` says no, and adds others at the end.
fn rebuild(document: &mut Document, added: Lines, stays: impl Fn(&[u8]) -> bool) {
    let lines = classified(document);
    let kept = lines.into_iter().filter_map(|(text, owner)| match owner {
        Some((_, user)) if !stays(user) => None,
        _ => Some(text),
    });
    // Room enough for all: a vector that grows leaves copies of the secrets behind.
    let length = added.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut text = Zeroizing::new(Vec::with_capacity(document.text().len() + 1 + length));
    for line in kept.chain(added.iter().map(|line| line.as_slice())) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    *document = Document::new(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# users
HOTP alice - 00 5 123456 2026-01-15T12:00:00L
# issuer, for oathctl show: Larch
HOTP/T30 bob - 11
# a comment
# disabled by oathctl: HOTP alice - 22
";

    fn text(document: &Document) -> String {
        String::from_utf8(document.text().to_vec()).unwrap()
    }

    fn elsewhere(_: &OsStr) -> Box<Path> {
        Path::new("/elsewhere").into()
    }

    #[test]
    fn lines_come_over_as_they_are_and_are_in_use_in_one_file_at_a_time() {
        let mut source = Document::new(FILE.as_bytes());
        let mut target = Document::new(b"# target");
        let copied: LinesByUser = states(&source)
            .into_iter()
            .map(|(user, state)| (user, state.in_use))
            .collect();
        prepare(&mut target, &copied, elsewhere);
        prepare(&mut target, &copied, elsewhere);
        let prepared = states(&target);
        for (user, lines) in &copied {
            assert!(prepared[user].in_use.is_empty() && prepared[user].is_denied);
            assert!(prepared[user].prepared == *lines);
        }
        // A login comes in between: that user stays.
        let used = text(&source).replace("00 5 123456", "00 6 654321");
        source = Document::new(used.as_bytes());
        let taken = take_out_of_use(&mut source, &copied, elsewhere);
        assert_eq!(Vec::from_iter(taken), ["bob"]);
        assert_eq!(
            text(&source),
            used.replace("# issuer, for oathctl show: Larch\nHOTP/T30 bob - 11\n", "")
                + "HOTP\tbob\t-\tmoved:/elsewhere\n"
        );
        let of_bob = copied.iter().filter(|(user, _)| *user == "bob");
        let of_bob: LinesByUser = of_bob
            .map(|(user, lines)| (user.clone(), lines.clone()))
            .collect();
        assert!(take_into_use(&mut target, &of_bob, &of_bob).is_some());
        let text = text(&target);
        assert!(
            text.ends_with("\n# issuer, for oathctl show: Larch\nHOTP/T30 bob - 11\n"),
            "{text}"
        );
        assert!(states(&target)[OsStr::new("alice")].in_use.is_empty());
        assert!(take_into_use(&mut target, &of_bob, &of_bob).is_none());
    }

    #[test]
    fn a_user_with_disabled_tokens_alone_stays_unknown() {
        let mut source = Document::new(b"# disabled by oathctl: HOTP alice - 22\n");
        let copied = LinesByUser::from([(
            "alice".into(),
            states(&source)[OsStr::new("alice")].in_use.clone(),
        )]);
        let mut target = Document::new(b"");
        prepare(&mut target, &copied, elsewhere);
        take_out_of_use(&mut source, &copied, elsewhere);
        assert_eq!(text(&source), "");
        assert!(!states(&target)[OsStr::new("alice")].is_denied);
    }
}
