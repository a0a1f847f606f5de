//! What was recorded in a journal while the old file could not be written (`readonly_ok=`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use oath_core::fs::Deadline;
use oath_core::state::journal::Journal;
use oath_core::usersfile::Usersfile;
use oath_core::usersfile::format::{Entry, LastUsedFields, MovingFactor};
use zeroize::Zeroizing;

use super::lines::LinesByUser;
use crate::config::Config;
use crate::error::Error;
use crate::tokens;

/// The lines with what the journals of the file they come from have of them.
///
/// To be called when the lines are out of use there: a login that was accepted with them holds the
/// journal's lock until it is recorded, and none is accepted from then on.
pub(super) fn brought_up_to_date(
    config: &Config,
    lines: &LinesByUser,
    file: impl Fn(&OsStr) -> Result<Usersfile, Error>,
) -> Result<LinesByUser, Error> {
    let module_lines = config.module_lines()?;
    let folders = module_lines
        .iter()
        .filter_map(|line| line.options.journal_folder.as_ref());
    let folders: BTreeSet<_> = folders.collect();
    let mut lines = lines.clone();
    for folder in folders {
        for (user, lines) in &mut lines {
            let journal = Journal::lock(Path::new(folder), &file(user)?, user, &Deadline::begin())?;
            for line in lines {
                let text = tokens::enabled(line).unwrap_or(line);
                let Some(entry) = Entry::parse(text) else {
                    continue;
                };
                let record = journal.last_used_of(&entry);
                if let Some(later) = record.and_then(|record| later(&entry, &record)) {
                    let mark = &line[..line.len() - text.len()];
                    *line = Zeroizing::new([mark, &later].concat());
                }
            }
        }
    }
    Ok(lines)
}

/// The line with this record, if it is later than the line's own.
fn later(entry: &Entry, record: &LastUsedFields) -> Option<Zeroizing<Vec<u8>>> {
    let own = entry.last_used;
    let recorded = entry.with_record(record);
    let is_later = match entry.token_type.moving_factor {
        MovingFactor::BackupCodes { .. } => {
            let used = own.counter().unwrap_or(u64::MAX) | record.counter().unwrap_or(u64::MAX);
            return Some(entry.with_counter(used, record));
        }
        // A counter goes on past the largest number to 0.
        MovingFactor::Event => {
            let ahead = record.counter().ok()?.wrapping_sub(own.counter().ok()?);
            ahead <= u64::MAX / 2 && (ahead > 0 || own.otp().is_none())
        }
        MovingFactor::Time { .. } => {
            let secret = entry.secret().ok()?;
            let step = |entry: &Entry| tokens::step_last_used(entry, &secret);
            match (step(entry), Entry::parse(&recorded).as_ref().and_then(step)) {
                (Some(own), Some(recorded)) => recorded > own,
                // A sum of distances, which says no step: then the time does.
                _ => record.fields().nth(2) >= own.fields().nth(2),
            }
        }
    };
    is_later.then_some(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_records_stays() {
        const TIME: &str = "2026-01-15T12:00:00L";
        let with = |line: &str, record: &str| {
            let record = format!("{record} {TIME}");
            let record = LastUsedFields::parse(record.as_bytes().split(|&byte| byte == b' '));
            let entry = Entry::parse(line.as_bytes()).unwrap();
            later(&entry, &record).map(|line| {
                String::from_utf8_lossy(&line)
                    .replace('\t', " ")
                    .replace(TIME, ".")
            })
        };
        for (line, record, expected) in [
            ("HOTP a - 00", "0 111111", Some("HOTP a - 00 0 111111 .")),
            (
                "HOTP a - 00 4 222222 x",
                "5 111111",
                Some("HOTP a - 00 5 111111 ."),
            ),
            ("HOTP a - 00 4 222222 x", "4 222222", None),
            ("HOTP a - 00 4 222222 x", "3 111111", None),
            (
                "HOTP a - 00 18446744073709551615 222222 x",
                "0 111111",
                Some("HOTP a - 00 0 111111 ."),
            ),
            (
                "HOTP/T30 a - 00",
                "7 111111",
                Some("HOTP/T30 a - 00 7 111111 ."),
            ),
            (
                "HOTP/T30 a - 00 9 222222 2026-01-15T11:59:00L",
                "1 111111",
                Some("HOTP/T30 a - 00 1 111111 ."),
            ),
            (
                "HOTP/T30 a - 00 1 222222 2026-01-15T12:00:30L",
                "9 111111",
                None,
            ),
            (
                "HOTP/B10/8 a - 00 5 22222222 x",
                "2 11111111",
                Some("HOTP/B10/8 a - 00 7 11111111 ."),
            ),
        ] {
            assert_eq!(with(line, record).as_deref(), expected, "{line}");
        }
    }
}
