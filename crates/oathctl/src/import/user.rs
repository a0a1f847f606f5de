//! For which user a token is imported.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use oath_core::fs::is_trusted;
use oath_core::sys;
use oath_core::usersfile::format::is_user_name;

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
    pub(super) owner: FileOwner,
    /// `--force`: a user need not have an account.
    pub(super) force: bool,
}

impl Users<'_> {
    /// The user of a token: of the command line, else the account that the other program names,
    /// else the owner of the file.
    pub(super) fn of_token(&self, account: Option<&str>) -> Result<OsString, String> {
        const SAY: &str = "say for whom with --user NAME";
        let exists = |name: &OsStr| {
            sys::account_by_name(name)
                .map(|account| account.is_some())
                .map_err(|error| format!("cannot look for an account: {error}"))
        };
        let names = match (self.given, account, &self.owner.name) {
            (Some(user), _, _) => vec![user.to_owned()],
            (None, Some(account), name) => {
                // Apps call an account "alice@host".
                let local = account.split('@').next().unwrap_or(account);
                let names: Vec<OsString> = vec![account.into(), local.into()];
                match name {
                    _ if self.owner.is_trusted => names,
                    Some(name) if names.contains(name) => vec![name.clone()],
                    _ => {
                        return Err(format!(
                            "it is for {}, and the file belongs to {}; {SAY}",
                            printable(account.as_bytes()),
                            name.as_ref()
                                .map_or("nobody".into(), |name| printable(name.as_bytes()))
                        ));
                    }
                }
            }
            (None, None, Some(name)) => vec![name.clone()],
            (None, None, None) => return Err(format!("it does not say whose it is; {SAY}")),
        };
        let mut known = None;
        for name in &names {
            if exists(name)? {
                known = Some(name);
                break;
            }
        }
        let name = known.unwrap_or(&names[names.len() - 1]);
        let shown = printable(name.as_bytes());
        if known.is_none() && !self.force {
            return Err(match self.given {
                Some(_) => {
                    format!("{shown} has no account on this system; --force does it all the same")
                }
                None => format!("{shown} has no account on this system; {SAY}"),
            });
        }
        if !is_user_name(name.as_bytes()) {
            return Err(format!("\"{shown}\" cannot stand in a usersfile; {SAY}"));
        }
        Ok(name.clone())
    }
}
