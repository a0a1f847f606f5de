//! Under which name, and in which file, a user has a token.
//!
//! A name service may take one account's name in many spellings (`ALICE`, `alice@corp`). The
//! usersfile has one of them. A user is unknown only if neither the name as typed nor the
//! account's own name has a line.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::fs::{self, Deadline};
use crate::sys::{self, Account};
use crate::usersfile::{Error, Prescan, Template, Usersfile, check_home, check_mounted};

/// What was found of a user, without the lock.
pub enum Lookup {
    /// A token.
    Enrolled(Enrolled),
    /// A usersfile, at this path, without a line of the user's; or no home directory to have one.
    Unknown(PathBuf),
    /// No usersfile at this path.
    NoUsersfile(PathBuf),
}

impl Lookup {
    /// The user, if there is a token.
    pub fn enrolled(self) -> Option<Enrolled> {
        match self {
            Lookup::Enrolled(user) => Some(user),
            Lookup::Unknown(_) | Lookup::NoUsersfile(_) => None,
        }
    }
}

/// What a lookup came to.
pub struct Found {
    /// The user; an error if the file cannot be used, or the account cannot be looked up, so that
    /// it is not known whether there is a token.
    pub lookup: Result<Lookup, Error>,
    /// The account's own name, if it was looked up and there is an account. Without one, the name
    /// as typed is in no path and no error.
    pub account: Option<OsString>,
}

/// A user who has a token.
pub struct Enrolled {
    /// The name that the user's lines have.
    pub name: OsString,
    /// The file they are in.
    pub usersfile: Usersfile,
    /// What the scan without the lock found there.
    pub prescan: Option<Prescan>,
}

/// Looks for a token of the user who typed this name, by that name first. The account is looked up
/// only if the name has no line, or the path needs it.
pub fn look_up(template: Template, typed: &OsStr, deadline: &Deadline) -> Found {
    let lookup = || sys::account_by_name(typed).map_err(Error::NameService);
    let (by_typed_name, account) = if template.names_home() {
        let account = lookup();
        let account_found = account.as_ref().ok().and_then(Option::as_ref);
        (prescan(&template, typed, account_found, deadline), account)
    } else {
        match prescan(&template, typed, None, deadline) {
            // The login of nearly everybody: no account is looked up.
            Ok(Lookup::Enrolled(user)) => {
                return Found {
                    lookup: Ok(Lookup::Enrolled(user)),
                    account: None,
                };
            }
            seen => (seen, lookup()),
        }
    };
    match account {
        Err(error) => Found {
            lookup: Err(error),
            account: None,
        },
        Ok(None) => Found {
            lookup: without_name(&template, by_typed_name),
            account: None,
        },
        Ok(Some(account)) => {
            let lookup = match by_typed_name {
                Ok(Lookup::Enrolled(user)) => Ok(Lookup::Enrolled(user)),
                seen if account.name == typed => seen,
                seen => or_by_own_name(&template, seen, &account, deadline),
            };
            Found {
                lookup: lookup.and_then(|lookup| match lookup {
                    // A home that is not there has no usersfile.
                    Lookup::NoUsersfile(path) if template.names_home() => {
                        check_home(&account).map(|()| Lookup::NoUsersfile(path))
                    }
                    lookup => Ok(lookup),
                }),
                account: Some(account.name),
            }
        }
    }
}

/// What is found by the account's own name, if nothing was `seen` by the typed one.
fn or_by_own_name(
    template: &Template,
    seen: Result<Lookup, Error>,
    account: &Account,
    deadline: &Deadline,
) -> Result<Lookup, Error> {
    let by_own_name = prescan(template, &account.name, Some(account), deadline)?;
    match (seen, by_own_name) {
        (_, Lookup::Enrolled(user)) => Ok(Lookup::Enrolled(user)),
        // A name that cannot stand in a path names no file.
        (Err(Error::NoFileName { .. }), lookup) => Ok(lookup),
        (Err(error), _) => Err(error),
        // Where the typed name has a file, there is a usersfile.
        (Ok(Lookup::Unknown(path)), Lookup::NoUsersfile(_)) => Ok(Lookup::Unknown(path)),
        (_, lookup) => Ok(lookup),
    }
}

/// What was seen by the name that somebody typed and no account has: the path and the error say
/// what `usersfile=` says, not the name.
fn without_name(template: &Template, seen: Result<Lookup, Error>) -> Result<Lookup, Error> {
    let path = || PathBuf::from(template.text());
    match seen {
        Err(Error::NoHome { .. }) => Ok(Lookup::Unknown(path())),
        seen if !template.names_user() => seen,
        Ok(Lookup::Unknown(_)) => Ok(Lookup::Unknown(path())),
        Ok(Lookup::NoUsersfile(_)) => Ok(Lookup::NoUsersfile(path())),
        Ok(lookup) => Ok(lookup),
        Err(error) => Err(error.of_path(path())),
    }
}

fn prescan(
    template: &Template,
    name: &OsStr,
    account: Option<&Account>,
    deadline: &Deadline,
) -> Result<Lookup, Error> {
    let usersfile = template.expand(name, account)?;
    match usersfile.prescan(name, deadline) {
        Ok(prescan) if prescan.is_known() => Ok(Lookup::Enrolled(Enrolled {
            name: name.to_owned(),
            usersfile,
            prescan: Some(prescan),
        })),
        Ok(_) => Ok(Lookup::Unknown(usersfile.path().to_owned())),
        Err(Error::File(fs::Error::Missing(path))) => {
            check_mounted([usersfile.path(), &path])?;
            Ok(Lookup::NoUsersfile(path))
        }
        Err(error) => Err(error),
    }
}
