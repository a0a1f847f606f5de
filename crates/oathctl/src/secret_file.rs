//! A user's own file of Google's PAM module, `~/.google_authenticator`: which one a command works
//! on, and the token in it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use oath_core::fs::{self, Deadline};
use oath_core::google::format::{Document, Malformed};
use oath_core::google::login::{Attempt, decide};
use oath_core::google::options::Options;
pub(crate) use oath_core::google::secret_file::Response;
use oath_core::google::secret_file::{self, SecretFile};
use oath_core::local_time::LocalTime;
use oath_core::otp::Algorithm;
use oath_core::sys::clock;
use oath_core::usersfile::format::{MovingFactor, Token, Type};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::terminal;
use crate::tokens::DisplayName;

/// The file name of the module.
pub(crate) const MODULE: &[u8] = b"pam_google_authenticator.so";
/// The name of the file, unless the PAM configuration says otherwise.
const FILE: &[u8] = b".google_authenticator";

/// The arguments of a line of Google's module, or what stands for one on the command line.
pub(crate) struct Line {
    pub(crate) options: Options,
    /// The services that have it.
    pub(crate) services: Vec<String>,
}

impl Line {
    /// The line whose file the commands are to work on; `None` if that is a usersfile. It is the
    /// file that was given, if it has that name or a line of Google's module names it; else that of
    /// the lines of Google's module, if no line names pam_oath.so.
    pub(crate) fn of(config: &Config) -> Result<Option<Line>, Error> {
        if let Some(given) = config.given_usersfile()? {
            // A line that denies everybody names no file.
            let lines = lines(config)?.into_iter().flatten();
            let mut named = lines.filter(|line| is_same_file(&line.options.secret, &given));
            return Ok(named.next().or_else(|| {
                let is_named_so = given.as_bytes().ends_with(FILE);
                is_named_so.then(|| Line {
                    options: Options {
                        secret: given,
                        ..Options::default()
                    },
                    services: Vec::new(),
                })
            }));
        }
        if !config.module_lines()?.is_empty() {
            return Ok(None);
        }
        let lines: Vec<Line> = lines(config)?.into_iter().collect::<Result<_, _>>()?;
        let mut lines = lines.into_iter();
        let Some(mut first) = lines.next() else {
            return Ok(None);
        };
        for line in lines {
            if (&line.options.secret, &line.options.user)
                != (&first.options.secret, &first.options.user)
            {
                return Err(Error::usage(format!(
                    "the PAM configuration names several files:\n  {first}\n  {line}\n\
                     say which with --usersfile FILE"
                )));
            }
            first.services.extend(line.services);
        }
        Ok(Some(first))
    }

    /// The file of this user.
    pub(crate) fn file(&self, user: Option<&OsStr>) -> Result<SecretFile, Error> {
        let user = user.ok_or_else(|| {
            Error::usage(format!(
                "each user has a file of their own, {}; name the user",
                self.options.secret.display_name()
            ))
        })?;
        SecretFile::locate(&self.options, user, &Deadline::begin()).map_err(of_user(user))
    }

    /// What the file of this user says.
    pub(crate) fn read(&self, user: Option<&OsStr>) -> Result<Document, Error> {
        let file = self.file(user)?;
        file.read(&self.options)
            .map_err(of_user(user.unwrap_or_default()))
    }

    /// The file of this user, to be changed or made: a link in its place is not followed.
    pub(crate) fn file_itself(&self, user: &OsStr) -> Result<SecretFile, Error> {
        let file = self.file(Some(user))?;
        let resolved = file.resolve().map_err(of_user(user))?;
        match resolved.is_link {
            true => Err(Error::failed(format!(
                "{} is a symbolic link to {}, which is not followed",
                file.path().display(),
                resolved.path.display()
            ))),
            false => Ok(file),
        }
    }

    /// Changes the file of this user under the lock that logins take. From then on signals are held
    /// until the new file is in place.
    pub(crate) fn edit<T>(
        &self,
        user: &OsStr,
        mut change: impl FnMut(&mut Document) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let file = self.file_itself(user)?;
        let mut held = None;
        let edited = file.edit(&self.options, |document| {
            held.get_or_insert_with(terminal::hold_signals);
            change(document)
        });
        match edited {
            Err(Error::SecretFile(error)) => Err(of_user(user)(error)),
            edited => edited,
        }
    }

    /// Takes the file of this user away.
    pub(crate) fn remove(&self, user: &OsStr, file: &SecretFile) -> Result<(), Error> {
        file.remove(None).map(drop).map_err(of_user(user))
    }

    /// The services that ask a user without a file for no code.
    pub(crate) fn services_with_nullok(&self, config: &Config) -> Result<Vec<String>, Error> {
        let lines = lines(config)?.into_iter().flatten();
        let services = lines
            .filter(|line| line.options.null_ok)
            .filter(|line| is_same_file(&line.options.secret, &self.options.secret))
            .flat_map(|line| line.services);
        Ok(services.collect())
    }
}

/// For `map_err`: that there is no file is told as that there is no token.
fn of_user(user: &OsStr) -> impl FnOnce(secret_file::Error) -> Error {
    let user = user.display_name();
    move |error| match error {
        secret_file::Error::File(fs::Error::Missing(path)) => Error::NotFound(format!(
            "{user} has no secret file: {} does not exist",
            path.display()
        )),
        secret_file::Error::NoAccount => Error::NotFound(format!("the system has no user {user}")),
        error => error.into(),
    }
}

/// `sshd, login: secret=~/.google_authenticator`
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.services.is_empty() {
            write!(f, "{}: ", self.services.join(", "))?;
        }
        write!(f, "secret={}", self.options.secret.display_name())?;
        match &self.options.user {
            Some(user) => write!(f, " user={}", user.display_name()),
            None => Ok(()),
        }
    }
}

/// Refuses to take a user's file of Google's module for a usersfile, and warns where no service reads
/// the usersfile.
pub(crate) fn check_is_usersfile(config: &Config, usersfile: &OsStr) -> Result<(), Error> {
    let usersfile = usersfile.display_name();
    match (Line::of(config)?, config.given_usersfile()?) {
        (Some(_), Some(_)) => Err(Error::usage(format!(
            "{usersfile} is a user's own file of pam_google_authenticator.so, which this command does \
             not know; oathctl(8) names those that do"
        ))),
        _ if !config.module_lines()?.is_empty() || lines(config)?.is_empty() => Ok(()),
        _ => {
            output::warn(&format!(
                "the services ask pam_google_authenticator.so, which does not read {usersfile}"
            ));
            Ok(())
        }
    }
}

/// Whether two templates name the same file of every user.
fn is_same_file(one: &OsStr, other: &OsStr) -> bool {
    let in_home = |template: &OsStr| -> Option<Vec<u8>> {
        let bytes = template.as_bytes();
        let rest = bytes.strip_prefix(b"~").or(bytes.strip_prefix(b"${HOME}"));
        rest.map(<[u8]>::to_vec)
    };
    one == other || in_home(one).is_some_and(|one| in_home(other) == Some(one))
}

/// Every line of the PAM configuration that names Google's module or the one in its place, or why it
/// denies everybody.
fn lines(config: &Config) -> Result<Vec<Result<Line, Error>>, Error> {
    let mut lines = Vec::new();
    for service in config.pam_services()? {
        for entry in &service.stack.entries {
            let Some(module) = entry.module().filter(|module| module.name() == MODULE) else {
                continue;
            };
            let arguments = module.arguments.iter();
            let options = Options::parse(arguments.map(|argument| OsStr::from_bytes(argument)));
            lines.push(match options {
                Ok(options) => Ok(Line {
                    options,
                    services: vec![service.name.clone()],
                }),
                Err(error) => Err(Error::failed(format!("{}: {error}", entry.place))),
            });
        }
    }
    Ok(lines)
}

/// Every option whose value no login can use.
pub(crate) fn malformed(document: &Document) -> impl Iterator<Item = Malformed> {
    [
        document.hotp_counter().and_then(Result::err),
        document.window_size().err(),
        document.step_size().err(),
        document.used_steps().and_then(Result::err),
        document.rate_limit().and_then(Result::err),
    ]
    .into_iter()
    .flatten()
}

/// The checks that a login makes before it compares a code.
pub(crate) fn check(document: &Document) -> Result<(), Error> {
    if document.secret().is_none() {
        return Err(Error::failed("line 1: no secret in base32"));
    }
    match malformed(document).next() {
        Some(malformed) => {
            let line = malformed.line;
            Err(Error::failed(format!("line {line}: {malformed}")))
        }
        None => Ok(()),
    }
}

/// The token that the file describes.
pub(crate) fn token(document: &Document, user: &OsStr) -> Result<Token, Error> {
    check(document)?;
    let secret = document.secret().unwrap_or_default();
    let (moving_factor, counter) = match document.hotp_counter() {
        Some(counter) => (MovingFactor::Event, counter.unwrap_or_default()),
        None => {
            let period = document.step_size().unwrap_or_default();
            (MovingFactor::Time { period }, 0)
        }
    };
    Ok(Token {
        token_type: Type {
            moving_factor,
            digits: 6,
            algorithm: Algorithm::Sha1,
        },
        user: user.as_bytes().to_vec(),
        pin: Zeroizing::new(b"-".to_vec()),
        secret,
        counter,
    })
}

/// When the time step last used began, in local time; only DISALLOW_REUSE tells.
pub(crate) fn last_used(document: &Document) -> Result<Option<LocalTime>, Error> {
    let used = document.used_steps().and_then(Result::ok);
    let last = used.and_then(|used| used.into_iter().max());
    let last = last.and_then(|step| u64::try_from(step).ok());
    let (Some(last), Ok(period)) = (last, document.step_size()) else {
        return Ok(None);
    };
    let time = last.saturating_mul(u64::from(period));
    Ok(clock::system_zone()?.local_time(time).ok())
}

/// Whether a login with this file would take the code now. What was used is recorded in the document.
pub(crate) fn takes(document: &mut Document, code: &str, now: u64) -> bool {
    let options = Options {
        no_skew_adjustment: true,
        ..Options::default()
    };
    let attempt = Attempt {
        response: code.as_bytes(),
        may_have_password: false,
        unix_time: now,
        host: None,
    };
    decide(document, &attempt, &options).result.is_ok()
}
