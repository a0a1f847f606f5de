//! For which user a token is imported.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use oath_core::fs::is_trusted;
use oath_core::sys;
use oath_core::usersfile::format::is_user_name;

use super::map::Map;
use super::token::{Account, ImportItem};
use crate::error::Error;
use crate::output::printable;

/// The owner of the file that is read.
pub(super) struct FileOwner {
    /// Root or the caller, whose file may hold tokens of any user. Another user's file may hold
    /// only that user's.
    is_trusted: bool,
    /// The user of a token for which the file names none; none if the file is root's, who may keep
    /// files of others.
    name: Option<OsString>,
}

impl FileOwner {
    pub(super) fn of(uid: u32) -> Result<FileOwner, Error> {
        let account = match uid {
            0 => None,
            uid => sys::account_by_uid(uid)
                .map_err(Error::io(format!("look for the user with uid {uid}")))?,
        };
        Ok(FileOwner {
            is_trusted: is_trusted(uid),
            name: account.map(|account| account.name),
        })
    }

    pub(super) fn of_stdin() -> FileOwner {
        FileOwner {
            is_trusted: true,
            name: None,
        }
    }
}

/// Decides for which user a token is.
pub(super) struct Users<'a> {
    /// `--user`.
    pub(super) given: Option<&'a OsStr>,
    /// `--map`.
    pub(super) map: Option<Map>,
    pub(super) owner: FileOwner,
    /// `--force`: a user need not have an account.
    pub(super) force: bool,
}

/// What an administrator can do where a file does not tell.
const SAY: &str = "say for whom with --user NAME or --map FILE";

impl Users<'_> {
    /// The user of a token: whom `--map` or else `--user` names, else the account that the other
    /// program names, else the owner of the file.
    pub(super) fn of_token(&self, item: &ImportItem) -> Result<OsString, String> {
        let mapped = self.map.as_ref().and_then(|map| map.user_of(item));
        if let Some(name) = mapped.or(self.given) {
            let shown = printable(name.as_bytes());
            return match self.force || has_account(name)? {
                true => Ok(name.to_owned()),
                false => Err(format!(
                    "{shown} has no account on this system; --force does it all the same"
                )),
            };
        }
        match (&item.account, &self.owner.name) {
            (Account::Unusable(problem), _) => Err(format!("{problem}; {SAY}")),
            (Account::Named { name, .. }, _) => self.of_account(name),
            (Account::Missing, Some(owner)) if item.serial.is_none() => self.checked(owner),
            (Account::Missing, _) => Err(match &item.serial {
                Some(serial) => format!(
                    "it does not say whose it is, only its serial number, {}; {SAY}",
                    printable(serial.as_bytes())
                ),
                None => format!("it does not say whose it is; {SAY}"),
            }),
        }
    }

    /// The user of an account that the file names.
    fn of_account(&self, account: &str) -> Result<OsString, String> {
        // Apps call an account "alice@host".
        let local = account.split('@').next().unwrap_or(account);
        let names = [OsStr::new(account), OsStr::new(local)];
        if !self.owner.is_trusted {
            return match &self.owner.name {
                Some(owner) if names.contains(&owner.as_os_str()) => self.checked(owner),
                owner => Err(format!(
                    "it is for {}, and the file belongs to {}; {SAY}",
                    printable(account.as_bytes()),
                    owner
                        .as_ref()
                        .map_or("nobody".into(), |name| printable(name.as_bytes()))
                )),
            };
        }
        for name in names {
            if is_user_name(name.as_bytes()) && has_account(name)? {
                return Ok(name.to_owned());
            }
        }
        // Nobody's account: only --force takes it, and only what looks like an account's name.
        if !is_plausible(local) {
            return Err(format!(
                "\"{}\" is no account's name; {SAY}",
                printable(account.as_bytes())
            ));
        }
        self.checked(OsStr::new(local))
    }

    fn checked(&self, name: &OsStr) -> Result<OsString, String> {
        let shown = printable(name.as_bytes());
        match self.force || has_account(name)? {
            true => Ok(name.to_owned()),
            false => Err(format!("{shown} has no account on this system; {SAY}")),
        }
    }
}

fn has_account(name: &OsStr) -> Result<bool, String> {
    sys::account_by_name(name)
        .map(|account| account.is_some())
        .map_err(|error| format!("cannot look for an account: {error}"))
}

/// Whether a text may be the name of an account that this system does not have: letters, digits and
/// `._-`, and no UUID, which is what FreeIPA calls a token.
fn is_plausible(name: &str) -> bool {
    let mut parts = name.split('-').map(str::len);
    let is_uuid = [8, 4, 4, 4, 12]
        .into_iter()
        .all(|n| parts.next() == Some(n));
    !name.is_empty()
        && !name.starts_with('-')
        && !is_uuid
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(label: &str) -> Result<OsString, String> {
        let users = Users {
            given: None,
            map: None,
            owner: FileOwner::of_stdin(),
            force: true,
        };
        let mut item = ImportItem::new("line 1".into(), Err(String::new()));
        item.account = Account::of_label(label);
        users.of_token(&item)
    }

    #[test]
    fn an_account_is_what_follows_the_first_colon_and_goes_before_the_at_sign() {
        for (label, name) in [
            ("no-such-alice", "no-such-alice"),
            ("Example: no-such-alice", "no-such-alice"),
            ("Example:no-such-alice@example.com:443", "no-such-alice"),
        ] {
            assert_eq!(user(label).as_deref(), Ok(OsStr::new(name)), "{label}");
        }
    }

    #[test]
    fn what_cannot_be_an_account_is_not_guessed() {
        for label in [
            "IPA:3e5f2bd1-77aa-4c1b-9c0f-0123456789ab",
            "Smith, John",
            "Ren\u{fffd}",
            "Example:",
            "@example.com",
        ] {
            assert!(user(label).unwrap_err().contains("--map"), "{label}");
        }
    }
}
