//! The value of `usersfile=`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Error, Usersfile};
use crate::fs::FilePath;
use crate::sys::Account;

/// The value of `usersfile=`: a path, in which `${USER}` stands for the name of the user's account and
/// `${HOME}` for its home directory.
pub struct Template<'a>(&'a OsStr);

impl<'a> Template<'a> {
    pub(crate) const USER: &'static [u8] = b"${USER}";
    pub(crate) const HOME: &'static [u8] = b"${HOME}";

    /// The value of the argument.
    pub fn new(text: &'a OsStr) -> Template<'a> {
        Template(text)
    }

    /// The value of the argument.
    pub fn text(&self) -> &'a OsStr {
        self.0
    }

    /// Whether the user's name is part of the path.
    pub(crate) fn names_user(&self) -> bool {
        contains(self.0.as_bytes(), Self::USER)
    }

    /// Whether the home directory is part of the path, so that the account has to be known.
    pub fn names_home(&self) -> bool {
        contains(self.0.as_bytes(), Self::HOME)
    }

    /// Whether each user has a file of their own.
    pub fn is_per_user(&self) -> bool {
        self.names_user() || self.names_home()
    }

    /// The usersfile of `user`, whose account has to be given where [`names_home`] says so.
    ///
    /// # Errors
    /// There is no home directory, the name cannot stand in a path, or the path is not absolute.
    ///
    /// [`names_home`]: Template::names_home
    pub(crate) fn expand(
        &self,
        user: &OsStr,
        account: Option<&Account>,
    ) -> Result<Usersfile, Error> {
        let template = || self.0.to_string_lossy().into_owned();
        let mut path = self.0.as_bytes().to_vec();
        let mut home_of = None;
        if self.names_home() {
            let account = account.ok_or_else(|| Error::NoHome {
                template: template(),
            })?;
            path = replaced(&path, Self::HOME, account.home.as_os_str().as_bytes());
            home_of = Some(account.uid);
        }
        // Last, so that nothing in a name that somebody chose is replaced again.
        if self.names_user() {
            if !is_file_name(user) {
                return Err(Error::NoFileName {
                    template: template(),
                });
            }
            path = replaced(&path, Self::USER, user.as_bytes());
        }
        let path = PathBuf::from(OsStr::from_bytes(&path));
        if !path.is_absolute() {
            return Err(Error::NotAbsolute {
                template: template(),
            });
        }
        Ok(Usersfile {
            file: match home_of {
                Some(uid) => FilePath::in_home_of(uid, path),
                None => FilePath::new(path),
            },
        })
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Whether a user's name can stand in a path as the name of a file or a folder.
pub(crate) fn is_file_name(user: &OsStr) -> bool {
    !matches!(user.as_bytes(), b"" | b"." | b"..") && !contains(user.as_bytes(), b"/")
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn replaced(mut text: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len() + by.len());
    while let Some(hit) = find(text, part) {
        result.extend_from_slice(&text[..hit]);
        result.extend_from_slice(by);
        text = &text[hit + part.len()..];
    }
    result.extend_from_slice(text);
    result
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_name_that_is_no_files_is_one_like_any_other_where_the_path_has_no_name_in_it() {
        for user in ["alice/bob", "..", ""] {
            let path_for = |text: &str| {
                let usersfile = Template::new(text.as_ref()).expand(user.as_ref(), None);
                usersfile.map(|usersfile| usersfile.path().to_owned())
            };
            assert_eq!(
                path_for("/etc/users.oath").unwrap(),
                Path::new("/etc/users.oath")
            );
            let refused = path_for("/etc/oath/${USER}");
            assert!(matches!(refused, Err(Error::NoFileName { .. })), "{user}");
        }
    }

    #[test]
    fn each_user_has_a_file_where_the_path_has_the_name_or_the_home_in_it() {
        for (text, is_per_user) in [
            ("/etc/users.oath", false),
            ("/etc/$USER/$HOME/{USER}", false),
            ("/etc/oath/${USER}", true),
            ("${HOME}/.users.oath", true),
        ] {
            assert_eq!(Template::new(text.as_ref()).is_per_user(), is_per_user);
        }
    }
}
