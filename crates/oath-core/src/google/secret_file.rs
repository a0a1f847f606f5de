//! Where a user's secret file is, how it is read, and how what was used is recorded in it.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::format::{Document, MAX_LENGTH};
use super::login::{self, Accepted, Attempt, Beforehand, Refusal};
use super::options::Options;
use crate::attempt::{self, Attempts, Checked, ErrorOf, Stop, Verifier};
use crate::fs::{self, Deadline, FilePath, LockedFile, Rewrite};
use crate::sys::{self, Account, clock};
use crate::usersfile::{self, Template, check_mounted, contains, is_file_name};

/// The mode of a file that only its owner may use: Google's tool and its module leave it so.
pub(super) const PRIVATE: u32 = 0o400;

/// Why a secret file was not used. Nothing of its contents is in any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The user has no account.
    #[error("no account of that name, and the line has no user=")]
    NoAccount,
    /// The account has no home directory to have a file in.
    #[error("the account has no home directory, so secret={0} names no file")]
    NoHome(String),
    /// `secret=` names no absolute path.
    #[error("secret={0}: must be an absolute path, or begin with ~/ or ${{HOME}}/")]
    NotAbsolute(String),
    /// `user=` beside a path in the home directory.
    #[error(
        "secret={0}: with user= the path may not be in a home directory; name it, with ${{USER}}"
    )]
    HomeWithUser(String),
    /// `secret=` names a file by the user's name, and the name cannot be part of a path.
    #[error("secret={0}: the user's name cannot stand in a path")]
    NoFileName(String),
    /// `user=` names no account.
    #[error("user={0}: there is no such account")]
    NoSuchUser(String),
    /// The process may not act as the account.
    #[error("only root and {} may read the secret file of this user", .0.to_string_lossy())]
    NotPermitted(OsString),
    /// Whether the account exists could not be found out.
    #[error("cannot look up the account: {0}; is the name service running? (nsswitch.conf(5))")]
    NameService(io::Error),
    /// Nothing is mounted where the file would be.
    #[error(transparent)]
    Mount(#[from] usersfile::Error),
    /// The file belongs to somebody else.
    #[error(
        "{path} is not of {owner}; run chown {owner} {path}, or write no_strict_owner on the line",
        path = .path.display()
    )]
    NotOwners {
        /// The file.
        path: PathBuf,
        /// Whose it should be.
        owner: String,
    },
    /// The file's mode has bits that `allowed_perm=` has not.
    #[error(
        "{path} has mode {mode:04o}, and allowed_perm= is {allowed:04o}; run chmod {allowed:o} {path}",
        path = .path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The bits that it may have.
        allowed: u32,
    },
    /// The file is empty, too long, or has a NUL byte.
    #[error("{} is empty, longer than {MAX_LENGTH} bytes, or has a NUL byte in it", .0.display())]
    Unreadable(PathBuf),
    /// What is to be recorded would make the file longer than it may be.
    #[error("{} would become longer than {MAX_LENGTH} bytes; take out old lines", .0.display())]
    TooLong(PathBuf),
    /// The time is not known.
    #[error(transparent)]
    Clock(#[from] clock::Error),
}

impl Error {
    /// Whether the user is asked although the login cannot succeed, so that nobody sees who has a
    /// secret file. Not where the line itself is wrong, or the process has no rights.
    pub fn is_told_after_the_prompt(&self) -> bool {
        !matches!(
            self,
            Error::NoSuchUser(_) | Error::NotPermitted(_) | Error::NameService(_)
        )
    }
}

/// What an administrator should know of a login with a secret file.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// `allow_readonly`: what was used is not recorded, and good again.
    #[error("what was used is not recorded (allow_readonly), and good again: {0}")]
    NotRecorded(fs::Error),
    /// `grace_period=`: the host cannot be named in the file.
    #[error("grace_period: the host has no name that can stand in the file")]
    NoHost,
}

/// What was found of a secret file before the user is asked.
pub enum Found {
    /// A file, and what it says beforehand.
    File(Beforehand),
    /// There is certainly no file.
    Missing,
}

/// The secret file of one user. Nothing of it is open or locked.
pub struct SecretFile {
    file: FilePath,
    /// With whose rights it is used, and whose it must be.
    account: Account,
    /// The account's own name, or the name as typed if there is no account.
    user: OsString,
    /// What stands for the path where the user's name in it is not to be logged: what has no account
    /// may be a password. Nothing if there is an account.
    template: Option<PathBuf>,
}

impl SecretFile {
    /// The file that the arguments name for the user who typed this name. A name service may take one
    /// account's name in several spellings: where `secret=` says `${USER}`, that is the name as typed,
    /// and if that has no file, the account's own.
    ///
    /// # Errors
    /// There is no such account, no such path, or this process may not use the file.
    pub fn locate(
        options: &Options,
        typed: &OsStr,
        deadline: &Deadline,
    ) -> Result<SecretFile, Error> {
        let own = sys::account_by_name(typed).map_err(Error::NameService)?;
        let own_name = own.as_ref().map(|own| own.name.clone());
        let by_typed_name = SecretFile::of(options, own.clone(), typed);
        match own_name {
            Some(name) if name != typed && contains(options.secret.as_bytes(), Template::USER) => {
                match by_typed_name {
                    Ok(file) if !file.is_missing(deadline)? => Ok(file),
                    Ok(_) | Err(Error::NoFileName(_)) => SecretFile::of(options, own, &name),
                    Err(error) => Err(error),
                }
            }
            _ => by_typed_name,
        }
    }

    /// The file that the arguments name for the user who has this account, if any, and whose name in a
    /// path is `name`.
    fn of(options: &Options, own: Option<Account>, name: &OsStr) -> Result<SecretFile, Error> {
        let template = || options.secret.to_string_lossy().into_owned();
        let shown = own.is_none().then(|| PathBuf::from(&options.secret));
        let user = own.as_ref().map_or(name, |own| &own.name).to_owned();
        let names_home = contains(options.secret.as_bytes(), Template::HOME)
            || contains(options.secret.as_bytes(), TILDE);
        let (account, home) = match &options.user {
            Some(user) => {
                let no_such = || Error::NoSuchUser(user.to_string_lossy().into_owned());
                let account = account_by_name_or_number(user)?.ok_or_else(no_such)?;
                (account, None)
            }
            None => {
                let account = own.ok_or(Error::NoAccount)?;
                let home = account.home.clone();
                (account, Some(home))
            }
        };
        if sys::effective_user() != 0 && sys::effective_user() != account.uid {
            return Err(Error::NotPermitted(account.name));
        }
        let path = match home {
            None if names_home => return Err(Error::HomeWithUser(template())),
            Some(home) if !home.is_absolute() && names_home => {
                return Err(Error::NoHome(template()));
            }
            home => expand(&options.secret, home.as_deref(), name)?,
        };
        if !path.is_absolute() {
            return Err(Error::NotAbsolute(template()));
        }
        Ok(SecretFile {
            file: FilePath::of_account(account.clone(), options.any_owner, path),
            account,
            user,
            template: shown,
        })
    }

    /// Whether there is certainly no file.
    fn is_missing(&self, deadline: &Deadline) -> Result<bool, Error> {
        match self.file.open(deadline) {
            Err(fs::Error::Missing(_) | fs::Error::MissingFolder(_)) => Ok(true),
            Err(error) => Err(self.shown(error).into()),
            Ok(_) => Ok(false),
        }
    }

    /// The path as the arguments name it.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &FilePath {
        &self.file
    }

    /// The user's name, if it is that of an account.
    pub fn account_name(&self) -> Option<&OsStr> {
        self.template.is_none().then_some(&self.user)
    }

    /// Why a login without a file is refused.
    pub fn missing(&self) -> Error {
        self.shown(fs::Error::Missing(self.path().to_owned()))
            .into()
    }

    /// An error of a file that may not be there, without a name that may be a password.
    fn shown(&self, error: fs::Error) -> fs::Error {
        match &self.template {
            Some(template) if contains(template.as_os_str().as_bytes(), Template::USER) => {
                error.of_path(template.clone())
            }
            _ => error,
        }
    }

    /// Reads the file without its lock, before the user is asked. Decides what needs no code.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn look(
        &self,
        host: Option<&[u8]>,
        options: &Options,
        deadline: &Deadline,
    ) -> Result<Found, Error> {
        let file = match self.file.open(deadline) {
            Err(fs::Error::Missing(path) | fs::Error::MissingFolder(path)) => {
                check_mounted([self.path(), &path])?;
                return Ok(Found::Missing);
            }
            file => file.map_err(|error| self.shown(error))?,
        };
        self.check(file.metadata(), options)?;
        let length = file.metadata().len();
        let text = read(file.reader(), length).map_err(fs::Error::io("read", self.path()))?;
        let document = self.document(text)?;
        let now = clock::unix_time()?;
        Ok(Found::File(login::before_the_prompt(
            &document, host, now, options,
        )))
    }

    /// Refuses a file that is not its owner's, or that others may use.
    fn check(&self, metadata: &Metadata, options: &Options) -> Result<(), Error> {
        let path = || self.path().to_owned();
        if metadata.uid() != self.account.uid && !options.any_owner {
            return Err(Error::NotOwners {
                path: path(),
                owner: self.account.name.to_string_lossy().into_owned(),
            });
        }
        // The set-user-ID bit of a file that is no program means nothing.
        let mode = metadata.mode() & 0o3777;
        let allowed = options.allowed_mode;
        if mode & !allowed != 0 {
            let path = path();
            return Err(Error::Mode {
                path,
                mode,
                allowed,
            });
        }
        Ok(())
    }

    /// Reads the locked file, if a login with these arguments would use it.
    pub(super) fn locked_document(
        &self,
        locked: &LockedFile,
        options: &Options,
    ) -> Result<Document, Error> {
        self.check(locked.metadata(), options)?;
        let text = read(locked.reader(0), locked.length()).map_err(locked.io("read"))?;
        locked.check_unchanged()?;
        self.document(text)
    }

    fn document(&self, text: Zeroizing<Vec<u8>>) -> Result<Document, Error> {
        let document = Document::new(text);
        match document.is_readable() {
            true => Ok(document),
            false => Err(Error::Unreadable(self.path().to_owned())),
        }
    }
}

/// One response to be checked against a secret file.
pub struct Response<'a> {
    /// The file.
    pub file: &'a SecretFile,
    /// The arguments.
    pub options: &'a Options,
    /// Where the user comes from, if that can stand in the file.
    pub host: Option<&'a [u8]>,
    /// Whether a password may stand before the code.
    pub may_have_password: bool,
    /// Whether this login was not counted for RATE_LIMIT yet.
    pub counts_as_try: bool,
}

impl Response<'_> {
    /// Replaces the file, if its text was changed and the attempt is to leave a trace. Returns why it
    /// is not recorded although it should be, where `allow_readonly` is for that.
    fn record(
        &self,
        locked: &mut LockedFile,
        document: &mut Document,
        attempts: &Attempts,
    ) -> Result<Option<Warning>, Error> {
        let text = document.take_changed().filter(|_| attempts.records());
        let Some(text) = text else {
            return Ok(None);
        };
        if text.len() > MAX_LENGTH {
            return Err(Error::TooLong(self.file.path().to_owned()));
        }
        let mode = locked.metadata().mode();
        let rewrite = Rewrite {
            span: 0..locked.length(),
            text,
            // What others may use keeps its mode.
            mode: (mode & 0o077 == 0).then_some(PRIVATE),
        };
        match locked.replace(&rewrite, attempts.deadline()) {
            Err(error) if self.options.allow_read_only && is_unwritable(&error) => {
                Ok(Some(Warning::NotRecorded(error)))
            }
            replaced => Ok(replaced.map(|()| None)?),
        }
    }
}

/// Whether a file cannot be written for a reason that `allow_readonly` is for: the file system, or the
/// rights of the account. Not one that whoever logs in can bring about, as by a limit of the process.
fn is_unwritable(error: &fs::Error) -> bool {
    error.is_full_or_read_only() || error.is_permission_denied()
}

impl Verifier for Response<'_> {
    type Accepted = Accepted;
    type Refusal = Refusal;
    type Error = Error;
    type Warning = Warning;

    fn user(&self) -> &OsStr {
        &self.file.user
    }

    fn pin<'r>(&self, _: &'r [u8]) -> &'r [u8] {
        b""
    }

    fn needs_zone(&self) -> bool {
        false
    }

    fn verify<'r>(
        &self,
        response: &'r [u8],
        attempts: &Attempts,
    ) -> Result<Checked<'r, Self>, Stop<'r, ErrorOf<Self>>> {
        let deadline = attempts.deadline();
        // Not again where the file is read again because another program was changing it.
        let mut counts_as_try = self.counts_as_try;
        let updated = self.file.file.with_lock(deadline, |locked| {
            let decided = (|| {
                let mut document = self.file.locked_document(locked, self.options)?;
                let unix_time = attempts.unix_time()?;
                let mut warning = None;
                if counts_as_try {
                    if let Err(refusal) = login::count_try(&mut document, unix_time) {
                        return Ok((login::Decision::refused(refusal), None));
                    }
                    warning = self.record(locked, &mut document, attempts)?;
                    counts_as_try = false;
                }
                let attempt = Attempt {
                    response,
                    may_have_password: self.may_have_password,
                    unix_time,
                    host: self.host,
                };
                let decision = login::decide(&mut document, &attempt, self.options);
                let not_recorded = self.record(locked, &mut document, attempts)?;
                Ok((decision, not_recorded.or(warning)))
            })();
            match decided {
                // To be tried again.
                Err(Error::File(error)) => Err(error),
                decided => Ok(decided),
            }
        });
        let (decided, _) = updated
            .map_err(|error| Error::File(self.file.shown(error)))
            .map_err(attempt::Error::File)?;
        let (decision, warning) = decided.map_err(attempt::Error::File)?;
        let mut warnings: Vec<Warning> = warning.into_iter().collect();
        if self.options.grace_period > 0 && self.host.is_none() && decision.result.is_ok() {
            warnings.push(Warning::NoHost);
        }
        Ok(Checked {
            result: decision.result,
            pin: decision.password,
            compared: decision.compared,
            warnings,
        })
    }
}

/// Whether a host's name can stand in the file: no white space, no control characters, at most so
/// many bytes as a name in the DNS has (RFC 1035, section 2.3.4).
pub fn is_host_name(host: &[u8]) -> bool {
    const LONGEST: usize = 253;
    let is_plain = |byte: &u8| byte.is_ascii_graphic() || *byte >= 0x80;
    (1..=LONGEST).contains(&host.len()) && host.iter().all(is_plain)
}

const TILDE: &[u8] = b"~";

/// The path with the home directory and the user's name in it; what stands in these is not looked at
/// again.
fn expand(secret: &OsStr, home: Option<&Path>, user: &OsStr) -> Result<PathBuf, Error> {
    let mut path = Vec::new();
    let mut rest = secret.as_bytes();
    while let Some(&first) = rest.first() {
        let home = home.map(|home| home.as_os_str().as_bytes());
        let user_bytes = Some(user.as_bytes());
        let part = [
            (Template::HOME, home),
            (TILDE, home),
            (Template::USER, user_bytes),
        ]
        .into_iter()
        .find_map(|(name, value)| Some((rest.strip_prefix(name)?, value?, name == Template::USER)));
        match part {
            Some((after, value, is_user)) => {
                if is_user && !is_file_name(user) {
                    let secret = secret.to_string_lossy().into_owned();
                    return Err(Error::NoFileName(secret));
                }
                path.extend_from_slice(value);
                rest = after;
            }
            None => {
                path.push(first);
                rest = &rest[1..];
            }
        }
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// The account that `user=` names, by its name or its number.
fn account_by_name_or_number(user: &OsStr) -> Result<Option<Account>, Error> {
    let by_name = match user.is_empty() {
        true => None,
        false => sys::account_by_name(user).map_err(Error::NameService)?,
    };
    let is_number = !user.is_empty() && user.as_bytes().iter().all(u8::is_ascii_digit);
    match by_name {
        None if is_number => match user.to_string_lossy().parse() {
            Ok(uid) => sys::account_by_uid(uid).map_err(Error::NameService),
            Err(_) => Ok(None),
        },
        account => Ok(account),
    }
}

/// Reads so many bytes, and no more than a secret file may have and one.
fn read(reader: impl Read, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let limit = length.min(MAX_LENGTH as u64 + 1);
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(limit as usize + 1));
    reader.take(limit).read_to_end(&mut text)?;
    Ok(text)
}
