//! `--map FILE`: for whom the tokens of a file are, which names no account or another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use oath_core::usersfile::format::is_user_name;

use super::token::{Account, ImportItem};
use crate::error::Error;
use crate::files;
use crate::output::printable;

/// Users by serial number or label.
pub(super) struct Map(BTreeMap<String, OsString>);

impl Map {
    /// Reads a CSV file of two columns, serial number or label and user; a line that begins with
    /// `#` is a comment. It decides who gets a token, so it must be root's or the caller's.
    pub(super) fn read(path: &Path) -> Result<Map, Error> {
        let contents = files::read(path)?;
        let failed = |problem: String| Error::failed(format!("{} {problem}", path.display()));
        if !oath_core::fs::is_trusted(contents.uid) {
            return Err(failed(
                "belongs to another user, who would decide who gets which token; make a copy"
                    .into(),
            ));
        }
        Map::parse(&contents.bytes).map_err(failed)
    }

    fn parse(bytes: &[u8]) -> Result<Map, String> {
        let mut users = BTreeMap::new();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        for record in reader.records() {
            let record = record.map_err(|error| match error.position() {
                Some(at) => format!("line {} is no CSV in UTF-8", at.line()),
                None => "is no CSV".into(),
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let (token, user) = match (record.get(0), record.get(1), record.len()) {
                (Some(token), Some(user), 2) if !token.is_empty() => (token, user),
                _ => {
                    return Err(format!(
                        "line {line} has not two fields: a serial number or label, and a user"
                    ));
                }
            };
            if !is_user_name(user.as_bytes()) {
                return Err(format!("line {line}: the second field is no user's name"));
            }
            match users.entry(token.to_owned()) {
                Entry::Occupied(_) => {
                    let token = printable(token.as_bytes());
                    return Err(format!("line {line} names a user for {token} once more"));
                }
                Entry::Vacant(vacant) => vacant.insert(OsString::from(user)),
            };
        }
        Ok(Map(users))
    }

    /// The user of a token: by its serial number, its whole label, or the account in that.
    pub(super) fn user_of(&self, item: &ImportItem) -> Option<&OsStr> {
        let (name, label) = match &item.account {
            Account::Named { name, label } => (Some(name), Some(label)),
            _ => (None, None),
        };
        [item.serial.as_ref(), label, name]
            .into_iter()
            .flatten()
            .find_map(|key| self.0.get(key))
            .map(OsString::as_os_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_users_by_serial_number_or_label() {
        let text = "# serial or label, user\n12, ada\n\"Larch, Inc:ada@corp\",\"ben\"\n";
        let map = Map::parse(text.as_bytes()).unwrap();
        let mut item = ImportItem::new(String::new(), Err(String::new()));
        assert_eq!(map.user_of(&item), None);
        item.account = Account::of_label("Larch, Inc:ada@corp");
        assert_eq!(map.user_of(&item), Some(OsStr::new("ben")));
        item.serial = Some("12".into());
        assert_eq!(map.user_of(&item), Some(OsStr::new("ada")));
    }

    #[test]
    fn what_a_map_says_twice_or_by_half_is_an_error_with_its_line() {
        for (text, said) in [
            ("1,ada\n1,ben\n", "line 2 names a user for 1 once more"),
            ("1,ada\n2\n", "line 2 has not two fields"),
            ("1,ada,ben\n", "line 1 has not two fields"),
            ("1,\n", "line 1: the second field"),
        ] {
            assert!(
                Map::parse(text.as_bytes()).err().unwrap().contains(said),
                "{text}"
            );
        }
    }
}
