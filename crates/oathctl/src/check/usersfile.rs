//! Checks one usersfile: its owner and mode, its lines, and the services that use it; and `--fix`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use oath_core::fs::{self, Problem, Warning};
use oath_core::options::Options;
use oath_core::sys;
use oath_core::usersfile::format::MovingFactor;
use oath_core::usersfile::{self, Document, Template, Usersfile};

use super::finding::{Finding, Fix, Severity};
use super::lines::{self, Account, Context, UsableToken};
use super::{arguments, fix, ocserv};
use crate::error::Error;
use crate::pam_config::ModuleLine;
use crate::replaceable::Obstacle;
use crate::terminal;
use crate::tokens::DisplayName;

/// A usersfile, and the lines of the PAM configuration that name it.
pub(super) struct UsersfileCheck<'a> {
    /// The file, or why there is none to check.
    usersfile: Result<Usersfile, Box<Finding>>,
    /// Whose file it is, where each user has one.
    user: Option<OsString>,
    pub(super) module_lines: Vec<&'a ModuleLine>,
}

/// The result of checking a usersfile.
#[derive(Default)]
pub(super) struct UsersfileReport {
    pub(super) findings: Vec<Finding>,
    /// The tokens that a login can use.
    tokens: Vec<UsableToken>,
    /// Whether the file exists; `None` if that is unknown.
    exists: Option<bool>,
}

impl UsersfileReport {
    /// Whether a login depends on the clock.
    pub(super) fn has_totp(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| matches!(token.token_type.moving_factor, MovingFactor::Time { .. }))
    }

    fn only(finding: Finding) -> UsersfileReport {
        UsersfileReport {
            findings: vec![finding],
            ..UsersfileReport::default()
        }
    }
}

impl<'a> UsersfileCheck<'a> {
    /// The check of the file that `template` names, for `user` where each user has one.
    pub(super) fn new(
        template: &OsStr,
        user: Option<&OsStr>,
        module_lines: Vec<&'a ModuleLine>,
    ) -> UsersfileCheck<'a> {
        UsersfileCheck {
            usersfile: usersfile(template, user),
            user: user
                .filter(|_| Template::new(template).is_per_user())
                .map(OsStr::to_owned),
            module_lines,
        }
    }

    pub(super) fn check(&self, now: u64) -> Result<UsersfileReport, Error> {
        let mut report = self.check_usersfile(now)?;
        for line in &self.module_lines {
            let of_line = arguments::check_line(line, report.exists);
            let of_tokens = arguments::check_tokens(line, &report.tokens);
            report.findings.extend(of_line);
            report.findings.extend(of_tokens);
        }
        report
            .findings
            .extend(arguments::check_together(&self.module_lines));
        Ok(report)
    }

    fn check_usersfile(&self, now: u64) -> Result<UsersfileReport, Error> {
        let usersfile = match &self.usersfile {
            Ok(usersfile) => usersfile,
            Err(finding) => return Ok(UsersfileReport::only((**finding).clone())),
        };
        let path = usersfile.path();
        match usersfile.read() {
            Ok((document, warnings)) => {
                let mut findings: Vec<Finding> = warnings.iter().map(of_warning).collect();
                let (found, tokens) = self.check_lines(&document, path, now);
                findings.extend(found);
                let has_error = |finding: &Finding| finding.severity == Severity::Error;
                let needs_token = |line: &&ModuleLine| !line.lets_unknown_users_pass();
                if tokens.is_empty()
                    && !findings.iter().any(has_error)
                    && self.module_lines.iter().any(needs_token)
                {
                    findings.push(Finding::new(
                        Severity::Error,
                        path,
                        format!("has no token, so {}", self.consequence()),
                        "enrol somebody: oathctl add",
                    ));
                }
                let has_journal = |line: &&ModuleLine| line.options.journal_folder.is_some();
                let all_have_one =
                    !self.module_lines.is_empty() && self.module_lines.iter().all(has_journal);
                let obstacle = Obstacle::find(path, all_have_one);
                findings.extend(obstacle.as_ref().map(of_obstacle));
                findings.extend(ocserv::check(path));
                Ok(UsersfileReport {
                    findings,
                    tokens,
                    exists: Some(true),
                })
            }
            Err(usersfile::Error::File(fs::Error::Missing(path))) => {
                let can_do_without =
                    |line: &&ModuleLine| line.options.no_usersfile_okay || line.options.null_ok;
                let is_fine =
                    !self.module_lines.is_empty() && self.module_lines.iter().all(can_do_without);
                let (severity, problem) = match self.module_lines.is_empty() {
                    true => (Severity::Warning, "does not exist".to_owned()),
                    false => {
                        let consequence = self.consequence();
                        (Severity::Error, format!("does not exist, so {consequence}"))
                    }
                };
                let finding = (!is_fine).then(|| {
                    Finding::new(
                        severity,
                        path,
                        problem,
                        "enrol somebody: oathctl add creates it",
                    )
                });
                Ok(UsersfileReport {
                    findings: finding.into_iter().collect(),
                    tokens: Vec::new(),
                    exists: Some(false),
                })
            }
            // Without root's rights this says nothing about the file.
            Err(error @ usersfile::Error::File(fs::Error::Io { .. }))
                if sys::effective_user() != 0 =>
            {
                Err(error.into())
            }
            Err(usersfile::Error::File(error)) => {
                let mut finding = of_error(path, &error);
                if !self.module_lines.is_empty() {
                    finding.problem += &format!(", so {}", self.consequence());
                }
                Ok(UsersfileReport::only(finding))
            }
            Err(error) => Ok(UsersfileReport::only(Finding::new(
                Severity::Error,
                path,
                error.to_string(),
                "",
            ))),
        }
    }

    /// What follows where this file has no token.
    fn consequence(&self) -> String {
        match &self.user {
            None => "nobody can log in".to_owned(),
            Some(user) => format!("{} cannot log in", user.display_name()),
        }
    }

    fn check_lines(
        &self,
        document: &Document,
        path: &Path,
        now: u64,
    ) -> (Vec<Finding>, Vec<UsableToken>) {
        let default = Options::default().window;
        let windows = self.module_lines.iter().map(|line| line.options.window);
        lines::check(
            document,
            &Context {
                path,
                account: &|user| {
                    let found = sys::account_by_name(user).ok()?;
                    Some(found.map_or(Account::None, |found| Account::Named(found.name)))
                },
                unix_time: now,
                window: windows.max().unwrap_or(default),
                drift: self.module_lines.iter().any(|line| line.options.drift),
            },
        )
    }

    /// Applies the fixes; returns what it did, one sentence each.
    pub(super) fn fix(&self, now: u64) -> Result<Vec<String>, Error> {
        let mut mended = Vec::new();
        let Ok(usersfile) = &self.usersfile else {
            return Ok(mended);
        };
        let findings = self.check_usersfile(now)?.findings;
        let _hold = terminal::hold_signals();
        // First, since a file that the module refuses cannot be read either.
        if findings
            .iter()
            .any(|finding| matches!(finding.fix, Some(Fix::Chmod)))
        {
            usersfile.make_private()?;
            mended.push(format!(
                "{}: mended: its mode is 600 now",
                usersfile.path().display()
            ));
        }
        let edited = usersfile.edit(|document| {
            let (findings, _) = self.check_lines(document, usersfile.path(), now);
            Ok::<_, usersfile::Error>(fix::apply(document, &findings))
        });
        match edited {
            Ok((lines, _)) => mended.extend(lines),
            // The check that follows reports it.
            Err(usersfile::Error::File(fs::Error::Missing(_) | fs::Error::Refused { .. })) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(mended)
    }
}

/// The finding for an error of a login with the file at `path`.
fn of_error(path: &Path, error: &fs::Error) -> Finding {
    let place = match error {
        fs::Error::Refused { path, .. } | fs::Error::Locked(path) | fs::Error::Changing(path) => {
            path
        }
        _ => path,
    };
    let advice = match error {
        fs::Error::MissingFolder(folder) => make_folder(folder),
        error => error.advice().unwrap_or_default(),
    };
    let finding = Finding::new(Severity::Error, place, error.problem(), advice);
    match error {
        fs::Error::Refused {
            problem: Problem::WritableByOthers,
            ..
        } => finding.fixed_by(Fix::Chmod),
        _ => finding,
    }
}

/// What to do about a folder that does not exist.
pub(super) fn make_folder(folder: &Path) -> String {
    format!("run mkdir -p {}", folder.display())
}

/// The finding for a warning of a login.
fn of_warning(warning: &Warning) -> Finding {
    let (problem, advice) = (warning.problem(), warning.advice());
    let finding = Finding::new(Severity::Warning, warning.path(), problem, advice);
    match warning {
        Warning::ReadableByOthers(_) | Warning::WritableByGroup(_) => finding.fixed_by(Fix::Chmod),
        Warning::GivenAway { .. } => finding,
    }
}

/// The finding for what keeps a login from replacing the file.
fn of_obstacle(obstacle: &Obstacle) -> Finding {
    let problem = format!("{}: all are denied", obstacle.problem());
    Finding::new(Severity::Error, &obstacle.place, problem, obstacle.advice())
}

/// The file, or why there is none to check.
fn usersfile(template: &OsStr, user: Option<&OsStr>) -> Result<Usersfile, Box<Finding>> {
    let is_per_user = Template::new(template).is_per_user();
    let user = match user {
        None if is_per_user => {
            let finding = Finding::new(
                Severity::Note,
                template,
                "stands for a file of each user",
                "oathctl check USER looks at one of them",
            );
            return Err(Box::new(finding));
        }
        None => OsStr::new("root"),
        Some(user) => user,
    };
    Usersfile::named(template, user).map_err(|error| {
        Box::new(Finding::new(
            Severity::Error,
            template,
            format!("is no file that can be used: {error}"),
            "correct usersfile= in the PAM configuration",
        ))
    })
}
