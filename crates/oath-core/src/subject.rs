//! Whose login it is: under which name, and in which file, the user has a token.
//!
//! A name service may take one account's name in many spellings (`ALICE`, `alice@corp`). The
//! usersfile has one of them. A user is unknown only if neither the name as typed nor the
//! account's own name has a line.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::fs::{self, Deadline};
use crate::sys::{self, Account};
use crate::usersfile::{self, Error, Prescan, Template, Usersfile};

/// What the scan without the lock found of the user who logs in.
pub enum Subject {
    /// A token.
    Known(Known),
    /// A usersfile, at this path, without a line of the user's; or no home directory to have one.
    Unknown(PathBuf),
    /// No usersfile at this path.
    NoUsersfile(PathBuf),
}

impl Subject {
    /// The user, if there is a token.
    pub fn known(self) -> Option<Known> {
        match self {
            Subject::Known(known) => Some(known),
            Subject::Unknown(_) | Subject::NoUsersfile(_) => None,
        }
    }
}

/// What came of looking for a user.
pub struct Found {
    /// The user; an error if the file cannot be used, or the account cannot be looked up, so that
    /// it is not known whether there is a token.
    pub subject: Result<Subject, Error>,
    /// The account's own name, if it was looked up and there is an account. Without one, the name
    /// as typed is in no path and no error.
    pub account: Option<OsString>,
}

/// A user who has a token.
pub struct Known {
    /// The name that the user's lines have.
    pub name: OsString,
    /// The file they are in.
    pub usersfile: Usersfile,
    /// What the scan without the lock found there.
    pub prescan: Option<Prescan>,
}

/// Looks for a token of the user who typed this name, by that name first. The account is looked up
/// only if the name has no line, or the path needs it.
pub fn find(template: Template, typed: &OsStr, deadline: &Deadline) -> Found {
    let lookup = || sys::account_by_name(typed).map_err(Error::NameService);
    let (by_typed_name, account) = if template.names_home() {
        let account = lookup();
        let account_found = account.as_ref().ok().and_then(Option::as_ref);
        (prescan(&template, typed, account_found, deadline), account)
    } else {
        match prescan(&template, typed, None, deadline) {
            // The login of nearly everybody: no account is looked up.
            Ok(Subject::Known(known)) => {
                return Found {
                    subject: Ok(Subject::Known(known)),
                    account: None,
                };
            }
            seen => (seen, lookup()),
        }
    };
    match account {
        Err(error) => Found {
            subject: Err(error),
            account: None,
        },
        Ok(None) => Found {
            subject: without_name(&template, by_typed_name),
            account: None,
        },
        Ok(Some(account)) => {
            let subject = match by_typed_name {
                Ok(Subject::Known(known)) => Ok(Subject::Known(known)),
                seen if account.name == typed => seen,
                seen => or_by_own_name(&template, seen, &account, deadline),
            };
            Found {
                subject: subject.and_then(|subject| match subject {
                    // A home that is not mounted has no usersfile.
                    Subject::NoUsersfile(path) if template.names_home() => {
                        usersfile::check_home(&account).map(|()| Subject::NoUsersfile(path))
                    }
                    subject => Ok(subject),
                }),
                account: Some(account.name),
            }
        }
    }
}

/// What is found by the account's own name, if nothing was `seen` by the typed one.
fn or_by_own_name(
    template: &Template,
    seen: Result<Subject, Error>,
    account: &Account,
    deadline: &Deadline,
) -> Result<Subject, Error> {
    let by_own_name = prescan(template, &account.name, Some(account), deadline)?;
    match (seen, by_own_name) {
        (_, Subject::Known(known)) => Ok(Subject::Known(known)),
        // A name that cannot stand in a path names no file.
        (Err(Error::NoFileName { .. }), subject) => Ok(subject),
        (Err(error), _) => Err(error),
        // Where the typed name has a file, there is a usersfile.
        (Ok(Subject::Unknown(path)), Subject::NoUsersfile(_)) => Ok(Subject::Unknown(path)),
        (_, subject) => Ok(subject),
    }
}

/// What was seen by the name that somebody typed and no account has: the path and the error say
/// what `usersfile=` says, not the name.
fn without_name(template: &Template, seen: Result<Subject, Error>) -> Result<Subject, Error> {
    let path = || PathBuf::from(template.text());
    match seen {
        Err(Error::NoHome { .. }) => Ok(Subject::Unknown(path())),
        seen if !template.names_user() => seen,
        Ok(Subject::Unknown(_)) => Ok(Subject::Unknown(path())),
        Ok(Subject::NoUsersfile(_)) => Ok(Subject::NoUsersfile(path())),
        Ok(known) => Ok(known),
        Err(error) => Err(error.of_path(path())),
    }
}

fn prescan(
    template: &Template,
    name: &OsStr,
    account: Option<&Account>,
    deadline: &Deadline,
) -> Result<Subject, Error> {
    let usersfile = template.expand(name, account)?;
    match usersfile.prescan(name, deadline) {
        Ok(prescan) if prescan.is_known() => Ok(Subject::Known(Known {
            name: name.to_owned(),
            usersfile,
            prescan: Some(prescan),
        })),
        Ok(_) => Ok(Subject::Unknown(usersfile.path().to_owned())),
        Err(Error::File(fs::Error::Missing(path))) => Ok(Subject::NoUsersfile(path)),
        Err(error) => Err(error),
    }
}
