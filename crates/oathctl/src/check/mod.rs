//! `oathctl check`: the linter for the usersfile and the system around it.
//!
//! - [`usersfile`]: one usersfile, and what `--fix` changes in it
//!   - [`lines`]: its lines
//!   - [`replaceable`](crate::replaceable): whether a login can replace it
//!   - [`ocserv`]: whether ocserv uses it too
//!   - [`arguments`]: the module's arguments in each PAM service, against its tokens
//!   - [`fix`]: applies the fixes
//! - [`secret_file`]: a user's own file of Google's module
//! - [`access`]: who gets in by each PAM service; [`stack`] reads and runs its stack
//! - [`sshd`], [`clock`]: sshd's settings and the clock, asked of [`programs`](crate::programs)
//! - [`finding`]: a finding, as text and as JSON

mod access;
mod arguments;
mod clock;
mod finding;
mod fix;
mod lines;
mod ocserv;
mod secret_file;
mod sshd;
pub mod stack;
mod usersfile;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::config::{self, Config};
use crate::error::Error;
use crate::output;
use crate::pam_config::{self, ModuleLine, ServiceStack};
use crate::secret_file::{Line, MODULE};
use crate::tokens::user_name;
use access::Access;
use arguments::ServiceArguments;
use finding::{Finding, Severity};
use usersfile::UsersfileCheck;

/// Check the usersfile and the system around it
#[derive(Args)]
#[command(
    long_about = "Check the usersfile and the system around it: every line that a login cannot \
                  use, owners and modes along the path, who gets in by the PAM services that use \
                  the module, the settings of sshd, the clock.",
    after_help = "Exit codes:\n  \
                  0  nothing is wrong\n  \
                  1  there are warnings, or it could not be done\n  \
                  2  there are errors: somebody cannot log in, or somebody can who should not; or the\n     \
                  command line is wrong\n  \
                  5  not permitted: not root, as a rule\n\n\
                  Example:\n  oathctl check --quiet"
)]
pub(crate) struct Check {
    /// The user whose file to check, where each user has one
    #[arg(value_parser = user_name())]
    user: Option<OsString>,

    /// Fix what has only one correct form: the file's mode, a typographic dash for "-", base32:
    /// before a base32 secret, colons, dashes and quotation marks in a secret, and a word that names it,
    /// such as hex:
    #[arg(long)]
    fix: bool,

    /// Print only what is wrong, not which services use the module
    #[arg(short, long)]
    quiet: bool,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    services: Vec<ServiceArguments>,
    who_gets_in: Vec<Access>,
    mended: Vec<String>,
    findings: Vec<Finding>,
}

impl Check {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let pam_services = config.pam_services()?;
        let module_lines = pam_config::module_lines_of(&pam_services);
        if let Some(line) = Line::of(config)? {
            let mut findings = secret_file::check(&line, self.user.as_deref());
            let mut who_gets_in = Vec::new();
            if module_lines.is_empty() && config.given_usersfile()?.is_none() {
                let sshd = SshdCheck::of_secret_file(&line);
                let of_stacks;
                (who_gets_in, of_stacks) = check_access(config, MODULE, &pam_services, &sshd);
                findings.extend(of_stacks);
            }
            return self.print(&Report {
                services: Vec::new(),
                who_gets_in,
                mended: Vec::new(),
                findings,
            });
        }
        let usersfiles = self.usersfiles(config, &module_lines)?;
        let now = config.now()?;

        let mut mended = Vec::new();
        if self.fix {
            for usersfile in &usersfiles {
                mended.extend(usersfile.fix(now)?);
            }
        }
        let mut findings = Vec::new();
        // A line that names it and does not reach it is reported with its service.
        let is_named =
            |service: &ServiceStack| service.stack.entries.iter().any(access::names_module);
        if config.given_usersfile()?.is_none() && !pam_services.iter().any(is_named) {
            findings.push(Finding::new(
                Severity::Warning,
                "PAM",
                "has no service that uses pam_oath.so, so nobody is asked for a code",
                "pam_oath(8) has examples of the line to add",
            ));
        }
        let mut uses_clock = false;
        for usersfile in &usersfiles {
            let report = usersfile.check(now)?;
            uses_clock |= report.has_totp();
            findings.extend(report.findings);
        }
        let module_lines: Vec<&ModuleLine> = usersfiles
            .iter()
            .flat_map(|usersfile| &usersfile.module_lines)
            .copied()
            .collect();
        let sshd = SshdCheck::new(&module_lines);
        let (who_gets_in, of_stacks) = match config.given_usersfile()? {
            // The usersfile that was given is that of no service.
            Some(_) if module_lines.is_empty() => Default::default(),
            _ => check_access(config, pam_config::MODULE, &pam_services, &sshd),
        };
        findings.extend(of_stacks);
        findings.extend(sshd.findings());
        if uses_clock {
            findings.extend(clock::check());
        }
        self.print(&Report {
            services: module_lines.into_iter().map(ServiceArguments::of).collect(),
            who_gets_in,
            mended,
            findings,
        })
    }

    /// The usersfiles to check, each with the lines that name it: the one that was given, else every
    /// one that the PAM configuration names, else the default.
    fn usersfiles<'a>(
        &self,
        config: &Config,
        module_lines: &'a [ModuleLine],
    ) -> Result<Vec<UsersfileCheck<'a>>, Error> {
        let mut by_template: BTreeMap<OsString, Vec<&ModuleLine>> = BTreeMap::new();
        for line in module_lines {
            let template = line.options.usersfile.clone();
            by_template.entry(template).or_default().push(line);
        }
        if let Some(given) = config.given_usersfile()? {
            let module_lines = by_template.remove(&given).unwrap_or_default();
            by_template = BTreeMap::from([(given, module_lines)]);
        } else if by_template.is_empty() {
            by_template.insert(config::unnamed_usersfile()?, Vec::new());
        }
        Ok(by_template
            .into_iter()
            .map(|(template, module_lines)| {
                UsersfileCheck::new(&template, self.user.as_deref(), module_lines)
            })
            .collect())
    }

    fn print(&self, report: &Report) -> Result<ExitCode, Error> {
        let worst = report.findings.iter().map(|finding| finding.severity).max();
        if self.json {
            output::print_json(report)?;
        } else {
            let mut text = String::new();
            if !self.quiet {
                for service in &report.services {
                    text += &format!("{service}\n");
                }
            }
            for mended in &report.mended {
                text += &format!("{mended}\n");
            }
            for finding in &report.findings {
                text += &format!("{finding}\n");
            }
            let fixable = report
                .findings
                .iter()
                .filter(|finding| finding.fix.is_some())
                .count();
            if fixable > 0 {
                text += &format!("oathctl check --fix mends {fixable} of these\n");
            }
            output::print(&text)?;
        }
        Ok(match worst {
            None | Some(Severity::Note) => ExitCode::SUCCESS,
            Some(Severity::Warning) => ExitCode::from(1),
            Some(Severity::Error) => ExitCode::from(2),
        })
    }
}

fn check_access(
    config: &Config,
    module: &'static [u8],
    services: &[ServiceStack],
    sshd: &SshdCheck,
) -> (Vec<Access>, Vec<Finding>) {
    let context = access::Context {
        module,
        root: config.pam_root(),
        is_own_system: config.has_own_pam(),
        requires_key: &|service| service == "sshd" && sshd.may_require_key(),
    };
    access::check(services, &context)
}

/// The settings of sshd, if it uses the module and is installed.
struct SshdCheck {
    settings: Option<Result<sshd::Settings, Box<Finding>>>,
    /// Whether the module prompts for the code itself.
    prompts: bool,
}

impl SshdCheck {
    fn new(module_lines: &[&ModuleLine]) -> SshdCheck {
        let mut in_sshd = module_lines
            .iter()
            .filter(|line| line.services.iter().any(|service| service == "sshd"))
            .peekable();
        SshdCheck {
            settings: in_sshd.peek().and_then(|_| sshd::Settings::effective()),
            prompts: in_sshd
                .any(|line| !line.options.use_first_pass && !line.options.try_first_pass),
        }
    }

    /// The same for a line of Google's module.
    fn of_secret_file(line: &Line) -> SshdCheck {
        let is_used = line.services.iter().any(|service| service == "sshd");
        SshdCheck {
            settings: is_used.then(sshd::Settings::effective).flatten(),
            prompts: !line.options.use_first_pass && !line.options.try_first_pass,
        }
    }

    /// Whether everybody may have shown a key as well; of an sshd that does not tell its settings, that
    /// is assumed.
    fn may_require_key(&self) -> bool {
        match &self.settings {
            None => false,
            Some(Ok(settings)) => settings.requires_key(),
            Some(Err(_)) => true,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        match &self.settings {
            None => Vec::new(),
            Some(Err(finding)) => vec![(**finding).clone()],
            Some(Ok(settings)) => settings.check(self.prompts),
        }
    }
}
