//! A three-way merge: an edited usersfile with the changes that logins and other commands made
//! since it was read.

use std::collections::HashMap;

use oath_core::usersfile::Document;
use oath_core::usersfile::format::{Entry, LastUsedFields};
use zeroize::Zeroizing;

use crate::tokens;

/// The part of a line that a login does not rewrite: a token's first four fields, or all of any
/// other line.
type Identity<'a> = Vec<&'a [u8]>;

/// What identifies a token: its user and its secret.
type TokenKey<'a> = (&'a [u8], Option<&'a [u8]>);

/// `edited`, which was made from `base`, with the changes from `base` to `current`: what a login
/// recorded is kept and no counter goes back; lines added since are appended, lines removed since
/// are removed.
pub(crate) fn merge(base: &Document, current: &Document, edited: &Document) -> Document {
    let mut removed = surplus(base, current);
    let mut added = surplus(current, base);
    let used_before = last_used(base);
    let used_now = last_used(current);
    let codes_before = backup_codes(base);
    let codes_now = backup_codes(current);
    let mut merged = Zeroizing::new(Vec::with_capacity(
        edited.text().len() + current.text().len() + 1,
    ));
    let mut push = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| merged.extend_from_slice(part));
        merged.push(b'\n');
    };
    for line in edited.lines() {
        let identity = identity(line.text);
        if take(&mut removed, &identity) {
            continue;
        }
        take(&mut added, &identity);
        // A token that was commented out is updated as well: it may be enabled again.
        let text = tokens::uncommented(line.text);
        let mark = &line.text[..line.text.len() - text.len()];
        let entry = Entry::parse(text);
        let key = entry.as_ref().map(key);
        let now = key.and_then(|key| used_now.get(&key));
        let before = key.and_then(|key| used_before.get(&key));
        match (entry, now) {
            // What either says was used of a set of backup codes is used.
            (Some(entry), Some(now))
                if codes_of(&codes_now, key) != codes_of(&codes_before, key) =>
            {
                let used = used_codes(&entry) | codes_of(&codes_now, key);
                push(&[mark, &entry.with_counter(used, now)]);
            }
            (Some(entry), Some(now)) if is_overtaken(&entry.last_used, before, now) => {
                push(&[mark, &entry.with_record(now)]);
            }
            _ => push(&[line.text]),
        }
    }
    for line in current.lines() {
        if take(&mut added, &identity(line.text)) {
            push(&[line.text]);
        }
    }
    Document::new(&merged)
}

fn identity(line: &[u8]) -> Identity<'_> {
    match Entry::parse(line) {
        Some(entry) => entry.identity().collect(),
        None => vec![line],
    }
}

fn key<'a>(entry: &Entry<'a>) -> TokenKey<'a> {
    (entry.user, entry.identity().nth(3))
}

/// The lines of `these` that `those` lacks, and how many of each.
fn surplus<'a>(these: &'a Document, those: &'a Document) -> HashMap<Identity<'a>, usize> {
    let mut counts: HashMap<Identity, usize> = HashMap::new();
    for line in these.lines() {
        *counts.entry(identity(line.text)).or_default() += 1;
    }
    for line in those.lines() {
        take(&mut counts, &identity(line.text));
    }
    counts
}

/// Takes one off the count; false if there was none.
fn take<'a>(counts: &mut HashMap<Identity<'a>, usize>, identity: &Identity<'a>) -> bool {
    match counts.get_mut(identity) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// What was last used of each token; of a token on several lines, the highest counter.
fn last_used(document: &Document) -> HashMap<TokenKey<'_>, LastUsedFields<'_>> {
    let mut last_used: HashMap<TokenKey, LastUsedFields> = HashMap::new();
    for entry in document.lines().filter_map(|line| line.entry()) {
        let known = last_used.entry(key(&entry)).or_insert(entry.last_used);
        if entry.last_used.counter().ok() > known.counter().ok() {
            *known = entry.last_used;
        }
    }
    last_used
}

/// Which backup codes were used of each set; of one on several lines, on any of them.
fn backup_codes(document: &Document) -> HashMap<TokenKey<'_>, u64> {
    let mut used: HashMap<TokenKey, u64> = HashMap::new();
    for entry in document.lines().filter_map(|line| line.entry()) {
        if entry.backup_codes_left().is_some() {
            *used.entry(key(&entry)).or_default() |= used_codes(&entry);
        }
    }
    used
}

fn codes_of(sets: &HashMap<TokenKey, u64>, key: Option<TokenKey>) -> u64 {
    key.and_then(|key| sets.get(&key)).copied().unwrap_or(0)
}

/// COUNTER of a set of backup codes; one that cannot be read lets none be used.
fn used_codes(entry: &Entry) -> u64 {
    entry.last_used.counter().unwrap_or(u64::MAX)
}

/// Whether the record in `now` replaces the edited one: an editor may set a counter forward, but
/// not back to before a login since.
fn is_overtaken(
    edited: &LastUsedFields,
    before: Option<&LastUsedFields>,
    now: &LastUsedFields,
) -> bool {
    let untouched = before.is_some_and(|before| same(before, edited));
    let used_since = before.is_none_or(|before| !same(before, now));
    used_since && !same(edited, now) && (untouched || edited.counter().ok() <= now.counter().ok())
}

fn same(one: &LastUsedFields, other: &LastUsedFields) -> bool {
    one.fields().eq(other.fields())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, current: &str, edited: &str) -> String {
        let [base, current, edited] =
            [base, current, edited].map(|text| Document::new(text.as_bytes()));
        String::from_utf8(merge(&base, &current, &edited).text().to_vec()).unwrap()
    }

    const BASE: &str = "# users\nHOTP alice - 00 5 123456 2026-01-15T12:00:00L\nHOTP bob - 11\n";

    #[test]
    fn what_nobody_else_touched_is_as_it_was_edited() {
        for edited in ["", "#\n", "HOTP alice - 00\n", "HOTP bob - 11\n# users\n"] {
            assert_eq!(merged(BASE, BASE, edited), edited);
        }
        assert_eq!(merged(BASE, BASE, "HOTP bob - 11"), "HOTP bob - 11\n");
    }

    #[test]
    fn a_login_is_kept_whatever_was_edited_in_its_line() {
        let current = BASE.replace("5 123456", "9 654321");
        for (edited, expected) in [
            (
                "HOTP alice - 00 5 123456 2026-01-15T12:00:00L",
                "-\t00\t9\t654321",
            ),
            (
                "HOTP alice 4711 00 5 123456 2026-01-15T12:00:00L",
                "4711\t00\t9\t654321",
            ),
            ("HOTP alice - 00", "-\t00\t9\t654321"),
            ("HOTP alice - 00 7", "-\t00\t9\t654321"),
        ] {
            let expected = format!("HOTP\talice\t{expected}\t2026-01-15T12:00:00L\n");
            assert_eq!(merged(BASE, &current, edited), expected, "{edited}");
        }
        assert_eq!(
            merged(
                BASE,
                &current,
                "# HOTP alice - 00 5 123456 2026-01-15T12:00:00L\n"
            ),
            "# HOTP\talice\t-\t00\t9\t654321\t2026-01-15T12:00:00L\n"
        );
        // A counter that was set further on, another secret and a line that was deleted stand.
        for edited in ["HOTP alice - 00 500\n", "HOTP alice - 22\n", "# none\n"] {
            assert_eq!(merged(BASE, &current, edited), edited);
        }
    }

    #[test]
    fn a_backup_code_that_was_used_meanwhile_stays_used_whatever_was_edited() {
        let line = |record: &str| format!("HOTP/B10/8\talice\t-\t00{record}\n");
        let base = line("\t1\t11111111");
        let current = line("\t5\t33333333");
        for (edited, expected) in [
            (base.clone(), "\t5\t33333333"),
            (line(""), "\t5\t33333333"),
            (line("\t1024"), "\t1029\t33333333"),
        ] {
            assert_eq!(merged(&base, &current, &edited), line(expected), "{edited}");
        }
        assert_eq!(merged(&base, &base, &line("")), line(""));
        // One set on two lines, a code of each used meanwhile.
        let twice = [line(""), line("").replace('-', "4711")].concat();
        let used = [line("\t4"), line("\t2").replace('-', "4711")].concat();
        let merged = merged(&twice, &used, &twice);
        assert_eq!(merged.matches("\t6").count(), 2, "{merged}");
    }

    #[test]
    fn lines_that_came_or_went_meanwhile_do_so_here_too() {
        let current = "# users\nHOTP bob - 11\nHOTP carol - 33\n";
        let edited = format!("# my users\n{BASE}HOTP dave - 44\n");
        assert_eq!(
            merged(BASE, current, &edited),
            "# my users\n# users\nHOTP bob - 11\nHOTP dave - 44\nHOTP carol - 33\n"
        );
        // Both added the same: once is enough.
        assert_eq!(merged(BASE, current, current), current);
    }
}
