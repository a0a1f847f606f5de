//! `oathctl split` and `oathctl join`: moves tokens from one file for all to a file for each user, and
//! back, while people log in.
//!
//! Each step is made durable before the next, and at any moment a user's tokens are in use in one of
//! the two files at most:
//!
//! 1. The lines are put into the new file as comments ([`lines::prepare`]).
//! 2. They are taken out of use in the old file, under its lock, if they are still what was copied
//!    ([`lines::take_out_of_use`]). Who has logged in meanwhile is copied again.
//! 3. With `readonly_ok=`, what the journal of the old file has is put into them ([`journalled`]).
//! 4. They are taken into use in the new file ([`lines::take_into_use`]).
//!
//! No two files are locked at once. Where it was interrupted, the same command goes on.

mod journalled;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use oath_core::fs::is_trusted;
use oath_core::options::Options;
use oath_core::sys;
use oath_core::usersfile::format::is_user_name;
use oath_core::usersfile::{Document, Template, Usersfile};

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::tokens::DisplayName;
pub(crate) use lines::MOVED;
use lines::{LinesByUser, State};

/// How often users who logged in meanwhile are copied again.
const ROUNDS: usize = 100;

const EXIT_CODES: &str = "\
Exit codes:
  0  all tokens are moved
  1  some are not, or it could not be done";

/// Move the tokens of one file for all to a file for each user, FOLDER/${USER}
///
/// What was used stays used, and people may log in meanwhile. Whose tokens are moved is denied until
/// the PAM configuration names the new files, so change that at once. Where it was interrupted, the
/// same command goes on.
#[derive(Args)]
#[command(after_help = format!("{EXIT_CODES}\n\nExample:\n  oathctl split /var/lib/oath"))]
pub(crate) struct Split {
    /// Where the files are to be; it must exist, and be root's alone
    folder: PathBuf,
}

/// Move the tokens of a file for each user, FOLDER/${USER}, to one file for all
///
/// That is the one of --usersfile, or the one that the PAM configuration names, or /etc/users.oath.
/// The rest is as with `oathctl split`.
#[derive(Args)]
#[command(after_help = format!("{EXIT_CODES}\n\nExample:\n  oathctl join /var/lib/oath"))]
pub(crate) struct Join {
    /// Where the files are; it must be root's alone
    folder: PathBuf,
}

impl Split {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let template = config.template()?;
        if Template::new(&template).is_per_user() {
            return Err(Error::usage(format!(
                "{} is a file for each user already; say which file to split with --usersfile FILE",
                template.display_name()
            )));
        }
        config.usersfile(None)?;
        let target = Place::folder(&self.folder)?;
        Move {
            config,
            source: Place { template },
            target,
            refused: BTreeMap::new(),
        }
        .run(&BTreeSet::new())
    }
}

impl Join {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let template = match config.template()? {
            template if Template::new(&template).is_per_user() => Options::default().usersfile,
            template => template,
        };
        let source = Place::folder(&self.folder)?;
        let users = names_in(&self.folder)?;
        Move {
            config,
            source,
            target: Place { template },
            refused: BTreeMap::new(),
        }
        .run(&users)
    }
}

/// The users for whom there may be a file in the folder.
fn names_in(folder: &Path) -> Result<BTreeSet<OsString>, Error> {
    let failed = || Error::io(format!("list {}", folder.display()));
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let name = entry.file_name();
        let is_file = entry.file_type().map_err(failed())?.is_file();
        if is_file && is_user_name(name.as_bytes()) && !name.as_bytes().starts_with(b".") {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Where tokens are: one file for all, or one for each user.
struct Place {
    /// As `usersfile=` names it.
    template: OsString,
}

impl Place {
    /// A file for each user in this folder.
    fn folder(folder: &Path) -> Result<Place, Error> {
        let folder = std::path::absolute(folder).map_err(Error::io("find the current folder"))?;
        let name = folder.as_os_str().as_bytes();
        if name.contains(&b'$') || !is_user_name(name) {
            return Err(Error::usage(
                "the folder's name has a character in it that no PAM line can have there",
            ));
        }
        const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
        let is_private = fs::metadata(&folder).is_ok_and(|metadata| {
            metadata.is_dir()
                && is_trusted(metadata.uid())
                && metadata.mode() & WRITABLE_BY_GROUP_OR_OTHERS == 0
        });
        if !is_private {
            return Err(Error::failed(format!(
                "{} is no folder that is root's alone; make it with mkdir -m 700",
                folder.display()
            )));
        }
        Ok(Place {
            template: folder.join("${USER}").into_os_string(),
        })
    }

    fn is_per_user(&self) -> bool {
        Template::new(&self.template).is_per_user()
    }

    fn file(&self, user: &OsStr) -> Result<Usersfile, Error> {
        Ok(Usersfile::named(&self.template, user)?)
    }

    fn path(&self, user: &OsStr) -> Box<Path> {
        self.file(user)
            .map_or_else(|_| Path::new("").into(), |file| file.path().into())
    }

    /// The files of these users, each with the lines of those whose file it is.
    fn files(&self, lines: &LinesByUser) -> Result<Vec<(Usersfile, LinesByUser)>, Error> {
        let Some(first) = lines.keys().next() else {
            return Ok(Vec::new());
        };
        if !self.is_per_user() {
            return Ok(vec![(self.file(first)?, lines.clone())]);
        }
        lines
            .iter()
            .map(|(user, lines)| {
                let of_user = LinesByUser::from([(user.clone(), lines.clone())]);
                Ok((self.file(user)?, of_user))
            })
            .collect()
    }
}

/// Tokens on their way from one place to another.
struct Move<'a> {
    config: &'a Config,
    source: Place,
    target: Place,
    /// Whose tokens stay where they are, and why.
    refused: BTreeMap<OsString, String>,
}

impl Move<'_> {
    /// Moves all tokens; where each user has a file, those of these users.
    fn run(mut self, users: &BTreeSet<OsString>) -> Result<ExitCode, Error> {
        let mut moved = BTreeSet::new();
        for _ in 0..ROUNDS {
            let in_source = self.states(&self.source, users)?;
            let in_target = self.states(&self.target, &in_source.keys().cloned().collect())?;
            let copied = self.movable(in_source.iter(), &in_target)?;
            let round = self.round(&in_source, &in_target, &copied);
            moved.extend(round.map_err(|error| {
                Error::failed(format!(
                    "{error}; nothing is lost, and the same command goes on where this one ended"
                ))
            })?);
            if copied.keys().all(|user| moved.contains(user)) {
                return self.report(&moved);
            }
        }
        Err(Error::failed(
            "some users logged in again and again while they were copied; the same command goes on \
             where this one ended",
        ))
    }

    /// What a place has of users: of a file for all, of all in it, of others, of these.
    fn states(
        &self,
        place: &Place,
        users: &BTreeSet<OsString>,
    ) -> Result<BTreeMap<OsString, State>, Error> {
        let read = |file: &Usersfile| match self.config.read(file) {
            Err(error) if error.is_missing_usersfile() => Ok(Document::new(b"")),
            read => read,
        };
        if !place.is_per_user() {
            return Ok(lines::states(&read(&place.file(OsStr::new("root"))?)?));
        }
        let mut states = BTreeMap::new();
        for user in users {
            // A name that cannot stand in a path names no file.
            let Ok(file) = place.file(user) else { continue };
            let document = read(&file)?;
            let mut state = lines::states(&document).remove(user).unwrap_or_default();
            state.is_foreign = !lines::is_file_of(&document, user);
            states.insert(user.clone(), state);
        }
        Ok(states)
    }

    /// The lines of the users who can be moved.
    fn movable<'s>(
        &mut self,
        in_source: impl Iterator<Item = (&'s OsString, &'s State)>,
        in_target: &BTreeMap<OsString, State>,
    ) -> Result<LinesByUser, Error> {
        let mut copied = LinesByUser::new();
        for (user, state) in in_source {
            if state.in_use.is_empty() && !state.is_foreign || self.refused.contains_key(user) {
                continue;
            }
            match self.problem(user, state, in_target.get(user))? {
                Some(problem) => {
                    self.refused.insert(user.clone(), problem);
                }
                None => {
                    copied.insert(user.clone(), state.in_use.clone());
                }
            }
        }
        Ok(copied)
    }

    /// Why a user's tokens cannot be moved. Continues after "alice is not moved: ".
    fn problem(
        &self,
        user: &OsStr,
        source: &State,
        target: Option<&State>,
    ) -> Result<Option<String>, Error> {
        if let Err(error) = self.target.file(user).and(self.source.file(user)) {
            return Ok(Some(error.to_string()));
        }
        let [from, to] = [&self.source, &self.target].map(|place| place.path(user));
        if target.is_some_and(|target| !target.in_use.is_empty()) {
            return Ok(Some(format!(
                "there are tokens in use in {} and in {}; remove or disable those that are wrong",
                from.display(),
                to.display()
            )));
        }
        for (path, state) in [(&from, Some(source)), (&to, target)] {
            if state.is_some_and(|state| state.is_foreign) {
                return Ok(Some(format!("{} has other lines in it", path.display())));
            }
        }
        if !self.target.is_per_user() {
            return Ok(None);
        }
        let account = sys::account_by_name(user)
            .map_err(Error::io(format!("look for {}", user.display_name())))?;
        Ok(account.filter(|account| account.name != user).map(|account| {
            format!(
                "the account's own name is {}, and the file would not be found by it; write that name \
                 into the line",
                account.name.display_name()
            )
        }))
    }

    /// Moves those who do not log in at this moment, and who were on their way already. Returns who
    /// has arrived.
    fn round(
        &self,
        in_source: &BTreeMap<OsString, State>,
        in_target: &BTreeMap<OsString, State>,
        copied: &LinesByUser,
    ) -> Result<BTreeSet<OsString>, Error> {
        for (file, copied) in self.target.files(copied)? {
            self.config.edit_or_create(&file, |document| {
                lines::prepare(document, &copied, |user| self.source.path(user));
                Ok(())
            })?;
        }
        let mut prepared = LinesByUser::new();
        for (file, of_file) in self.source.files(copied)? {
            let taken = self.config.edit(&file, |document| {
                let to = |user: &OsStr| self.target.path(user);
                Ok(lines::take_out_of_use(document, &of_file, to))
            })?;
            let taken = taken.into_iter();
            prepared.extend(
                taken
                    .filter_map(|user| copied.get_key_value(&user))
                    .map(cloned),
            );
        }
        // Where the command ended before.
        for (user, state) in in_target {
            let was_taken = in_source
                .get(user)
                .is_some_and(|source| source.is_denied && source.in_use.is_empty());
            if was_taken && !state.prepared.is_empty() {
                prepared.insert(user.clone(), state.prepared.clone());
            }
        }
        let last =
            journalled::brought_up_to_date(self.config, &prepared, |user| self.source.file(user))?;
        for (file, of_file) in self.target.files(&prepared)? {
            let of_users = of_file.keys().filter_map(|user| last.get_key_value(user));
            let last: LinesByUser = of_users.map(cloned).collect();
            self.config.edit(&file, |document| {
                lines::take_into_use(document, &of_file, &last).ok_or_else(|| {
                    Error::failed(format!(
                        "another program has changed {} meanwhile",
                        file.path().display()
                    ))
                })
            })?;
        }
        Ok(prepared.into_keys().collect())
    }

    fn report(&self, moved: &BTreeSet<OsString>) -> Result<ExitCode, Error> {
        for (user, problem) in &self.refused {
            output::warn(&format!("{} is not moved: {problem}", user.display_name()));
        }
        let target = self.target.template.display_name();
        let mut text = match moved.len() {
            0 => "nobody is left to be moved\n".to_owned(),
            1 => format!("moved the tokens of 1 user to {target}\n"),
            number => format!("moved the tokens of {number} users to {target}\n"),
        };
        let mut lines = self.config.module_lines()?;
        lines.retain(|line| line.options.usersfile == self.source.template);
        if !lines.is_empty() {
            text += &format!("their logins are denied until usersfile={target} stands in:\n");
        }
        for line in lines {
            text += &format!("  {}\n", line.place);
        }
        output::print(&text)?;
        if self.refused.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        output::warn(
            "change the PAM configuration only when nobody is left behind: a user without a line may \
             need no code",
        );
        Ok(ExitCode::FAILURE)
    }
}

fn cloned<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}
