//! `oathctl throttle`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use clap::Args;
use oath_core::fs::Deadline;
use oath_core::state::throttle::{self, Failures, Throttle};
use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::output::{self, printable};
use crate::tokens::{DisplayName, user_name};

/// Show who has to wait after failed logins, or clear the failures
#[derive(Args)]
#[command(after_help = "Examples:\n  oathctl throttle\n  oathctl throttle alice --clear")]
pub(crate) struct Throttled {
    /// Only this user
    #[arg(value_parser = user_name())]
    user: Option<OsString>,

    /// Clear the failures
    #[arg(long)]
    clear: bool,

    /// The folder of the failure records, if not that of the PAM configuration (throttle_dir=)
    #[arg(long, value_name = "FOLDER")]
    throttle_dir: Option<PathBuf>,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` says of a user.
#[derive(Serialize)]
struct Row {
    user: String,
    failures: u64,
    /// Seconds since 1970.
    last: u64,
    /// Seconds until the next answer is checked; none if no service says `throttle=`.
    wait: Option<u64>,
}

impl Throttled {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let (folder, seconds) = self.configuration(config)?;
        let users = match &self.user {
            Some(user) if folder.join(throttle::file_name(user)).exists() => vec![user.clone()],
            Some(_) => Vec::new(),
            None => users_in(&folder)?,
        };
        let now = config.now()?;
        let mut rows = Vec::new();
        for user in users {
            if self.clear {
                Throttle::clear(&folder, &user, &Deadline::begin())?;
                continue;
            }
            let failures = Throttle::lock(&folder, &user, &Deadline::begin())?.failures();
            if failures != Failures::default() {
                rows.push(Row {
                    user: printable(user.as_bytes()),
                    failures: failures.count,
                    last: failures.last,
                    wait: seconds.map(|seconds| failures.wait(seconds, now)),
                });
            }
        }
        if self.clear {
            let whose = match &self.user {
                Some(user) => format!("{}'s failures are", user.display_name()),
                None => "all failures are".into(),
            };
            output::print(&format!("{whose} forgotten\n"))?;
        } else if self.json {
            output::print_json(&rows)?;
        } else if rows.is_empty() && seconds.is_none() {
            output::print("no service has throttle=, so failures are not counted\n")?;
        } else if rows.is_empty() {
            output::print("nobody has failed since the last success\n")?;
        } else {
            let rows: Vec<_> = rows.iter().map(Row::cells).collect();
            output::print(&output::table(["USER", "FAILURES", "WAITS"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The folder, and the seconds of waiting per failure where a service has `throttle=`.
    fn configuration(&self, config: &Config) -> Result<(PathBuf, Option<u64>), Error> {
        let module_lines = config.module_lines()?;
        let throttled = || {
            module_lines
                .iter()
                .filter(|found| found.options.throttle.is_some())
        };
        let seconds = throttled().filter_map(|found| found.options.throttle).max();
        if let Some(folder) = &self.throttle_dir {
            return Ok((folder.clone(), seconds));
        }
        let mut folders: Vec<_> = throttled()
            .map(|found| PathBuf::from(&found.options.throttle_folder))
            .collect();
        folders.dedup();
        match folders.len() {
            0 | 1 => {
                let folder = folders.pop().unwrap_or_else(|| throttle::FOLDER.into());
                Ok((folder, seconds))
            }
            _ => Err(Error::usage(
                "the services remember failures in several folders; \
                 say which with --throttle-dir FOLDER",
            )),
        }
    }
}

impl Row {
    fn cells(&self) -> [String; 3] {
        let wait = match self.wait {
            Some(0) => "no longer".into(),
            Some(seconds) => format!("{seconds} s"),
            None => "nowhere: no service has throttle=".into(),
        };
        [self.user.clone(), self.failures.to_string(), wait]
    }
}

/// The users who have a file in the folder, sorted.
fn users_in(folder: &std::path::Path) -> Result<Vec<OsString>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io(format!("read {}", folder.display())))?,
    };
    let mut users = Vec::new();
    for entry in entries {
        let name = entry
            .map_err(Error::io(format!("read {}", folder.display())))?
            .file_name();
        users.extend(throttle::user_of(OsStr::new(&name)));
    }
    users.sort();
    Ok(users)
}
