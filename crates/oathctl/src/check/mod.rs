//! `oathctl check`: the linter for the usersfile and the system around it.
//!
//! - [`lines`]: the usersfile, line by line
//! - [`replaceable`]: whether a login can put a new file in its place
//! - [`services`]: the lines of the PAM configuration, and what they make of the tokens
//! - [`stacks`]: the stack of each service: who gets in with what; [`stack`] knows it
//! - [`sshd`]: its settings that keep the prompt away, or lead around it
//! - [`programs`]: what the system's own programs say of sshd and the clock
//! - [`finding`]: what was found, and how it is told

mod finding;
mod lines;
mod programs;
mod replaceable;
mod services;
mod sshd;
pub mod stack;
mod stacks;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use oath_core::options::Options;
use oath_core::sys;
use oath_core::usersfile::edit::Document;
use oath_core::usersfile::format::MovingFactor;
use oath_core::usersfile::{self, Template, Usersfile};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::pam_config::{self, ModuleLine};
use crate::terminal;
use crate::tokens::user_name;
use finding::{Finding, Fix, Severity};
use lines::{Account, Context, UsableToken};
use services::Service;
use stacks::{Access, Surroundings};

/// Check the usersfile and the system around it
#[derive(Args)]
#[command(
    long_about = "Check the usersfile and the system around it: every line that a login cannot \
                  use, owners and modes along the path, who gets in by the PAM services that use \
                  the module, the settings of sshd, the clock.",
    after_help = "Exit codes:\n  \
                  0  nothing is wrong\n  \
                  1  there are warnings, or it could not be done\n  \
                  2  there are errors: somebody cannot log in, or somebody can who should not\n\n\
                  Example:\n  oathctl check --quiet"
)]
pub struct Check {
    /// Where each user has a file of their own: whose to look at
    #[arg(value_parser = user_name())]
    user: Option<OsString>,

    /// Fix what has only one correct form: the file's mode, a typographic dash for "-", base32:
    /// before a base32 secret
    #[arg(long)]
    fix: bool,

    /// Say only what is wrong, not which services use the module
    #[arg(short, long)]
    quiet: bool,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    services: Vec<Service>,
    who_gets_in: Vec<Access>,
    mended: Vec<String>,
    findings: Vec<Finding>,
}

impl Check {
    pub fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let pam_services = config.pam_services()?;
        let module_lines = pam_config::module_lines_of(&pam_services);
        let mut findings = Vec::new();
        let subjects = self.subjects(config, &module_lines, &mut findings)?;
        let now = config.now()?;
        let mut mended = Vec::new();
        if self.fix {
            for subject in &subjects {
                mended.extend(subject.fix(now)?);
            }
        }
        let mut by_time = false;
        for subject in &subjects {
            let examined = subject.check(now)?;
            by_time |= examined
                .tokens
                .iter()
                .any(|token| matches!(token.token_type.moving_factor, MovingFactor::Time { .. }));
            findings.extend(examined.findings);
        }
        let sshd = self.sshd(&subjects);
        let (who_gets_in, of_stacks) = match config.given_usersfile()? {
            // One file is asked about, which may be that of no service.
            Some(_)
                if subjects
                    .iter()
                    .all(|subject| subject.module_lines.is_empty()) =>
            {
                Default::default()
            }
            _ => stacks::check(
                &pam_services,
                &Surroundings {
                    root: config.pam_root(),
                    has_own_modules: config.has_own_pam(),
                    // Without sshd's settings, assume that it asks for a key.
                    requires_key: &|service| {
                        let settings = sshd.as_ref().map(|settings| settings.as_ref().ok());
                        let settings = settings.flatten().map(|text| sshd::Settings::parse(text));
                        service == "sshd" && settings.is_none_or(|it| it.requires_key())
                    },
                },
            ),
        };
        findings.extend(of_stacks);
        findings.extend(self.check_sshd(&subjects, sshd));
        if by_time {
            findings.extend(programs::check_clock());
        }
        let services = subjects
            .iter()
            .flat_map(|subject| &subject.module_lines)
            .map(|found| Service::of(found))
            .collect();
        self.print(Report {
            services,
            who_gets_in,
            mended,
            findings,
        })
    }

    /// The usersfiles to look at, each with the lines that name it: the one that was given, else
    /// every one that the PAM configuration names, else the default.
    fn subjects<'a>(
        &self,
        config: &Config,
        module_lines: &'a [ModuleLine],
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Subject<'a>>, Error> {
        let mut by_template: BTreeMap<OsString, Vec<&ModuleLine>> = BTreeMap::new();
        for found in module_lines {
            let template = found.options.usersfile.clone();
            by_template.entry(template).or_default().push(found);
        }
        if let Some(given) = config.given_usersfile()? {
            let module_lines = by_template.remove(&given).unwrap_or_default();
            by_template = BTreeMap::from([(given, module_lines)]);
        } else if module_lines.is_empty() {
            findings.push(Finding::new(
                Severity::Warning,
                "PAM",
                "has no service that uses pam_oath.so, so nobody is asked for a code",
                "pam_oath(8) has examples of the line to add",
            ));
            by_template.insert(Options::default().usersfile, Vec::new());
        }
        Ok(by_template
            .into_iter()
            .map(|(template, module_lines)| Subject {
                usersfile: self.usersfile(&template),
                module_lines,
            })
            .collect())
    }

    fn usersfile(&self, template: &OsStr) -> Result<Usersfile, Box<Finding>> {
        let is_per_user = Template::new(template).is_per_user();
        let user = match &self.user {
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

    /// The settings of sshd, if it uses the module and is there.
    fn sshd(&self, subjects: &[Subject]) -> Option<Result<String, Box<Finding>>> {
        in_sshd(subjects).next()?;
        programs::sshd_settings()
    }

    /// What is wrong with sshd's settings, if it uses the module.
    fn check_sshd(
        &self,
        subjects: &[Subject],
        settings: Option<Result<String, Box<Finding>>>,
    ) -> Vec<Finding> {
        let asks = in_sshd(subjects)
            .any(|found| !found.options.use_first_pass && !found.options.try_first_pass);
        match settings {
            None => Vec::new(),
            Some(Err(finding)) => vec![*finding],
            Some(Ok(text)) => sshd::Settings::parse(&text).check(asks),
        }
    }

    fn print(&self, report: Report) -> Result<ExitCode, Error> {
        let worst = report.findings.iter().map(|finding| finding.severity).max();
        if self.json {
            output::print_json(&report)?;
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

/// The lines that sshd uses.
fn in_sshd<'a>(subjects: &'a [Subject]) -> impl Iterator<Item = &'a ModuleLine> {
    let module_lines = subjects
        .iter()
        .flat_map(|subject| &subject.module_lines)
        .copied();
    module_lines.filter(|found| found.services.iter().any(|service| service == "sshd"))
}

/// A usersfile, and the lines of the PAM configuration that name it.
struct Subject<'a> {
    /// The file, or why there is none to look at.
    usersfile: Result<Usersfile, Box<Finding>>,
    module_lines: Vec<&'a ModuleLine>,
}

/// The result of checking a usersfile.
#[derive(Default)]
struct Examined {
    findings: Vec<Finding>,
    /// The tokens that a login can use.
    tokens: Vec<UsableToken>,
    /// Whether the file exists; `None` if that is unknown.
    exists: Option<bool>,
}

impl Examined {
    fn only(finding: Finding) -> Examined {
        Examined {
            findings: vec![finding],
            ..Examined::default()
        }
    }
}

impl Subject<'_> {
    fn check(&self, now: u64) -> Result<Examined, Error> {
        let mut examined = self.check_usersfile(now)?;
        for line in &self.module_lines {
            let of_line = services::check_line(line, examined.exists);
            let of_tokens = services::check_tokens(line, &examined.tokens);
            examined.findings.extend(of_line);
            examined.findings.extend(of_tokens);
        }
        examined
            .findings
            .extend(services::check_together(&self.module_lines));
        Ok(examined)
    }

    fn check_usersfile(&self, now: u64) -> Result<Examined, Error> {
        let usersfile = match &self.usersfile {
            Ok(usersfile) => usersfile,
            Err(finding) => return Ok(Examined::only((**finding).clone())),
        };
        let path = usersfile.path();
        match usersfile.read() {
            Ok((document, warnings)) => {
                let mut findings: Vec<Finding> = warnings
                    .iter()
                    .map(|warning| of_message(Severity::Warning, path, warning))
                    .collect();
                let (found, tokens) = self.check_lines(&document, path, now);
                findings.extend(found);
                let needs_writing = |line: &&ModuleLine| line.options.journal_folder.is_none();
                if self.module_lines.is_empty() || self.module_lines.iter().any(needs_writing) {
                    findings.extend(replaceable::check(path));
                }
                Ok(Examined {
                    findings,
                    tokens,
                    exists: Some(true),
                })
            }
            Err(usersfile::Error::Missing(path)) => {
                let can_do_without =
                    |line: &&ModuleLine| line.options.no_usersfile_okay || line.options.null_ok;
                let is_fine =
                    !self.module_lines.is_empty() && self.module_lines.iter().all(can_do_without);
                let finding = (!is_fine).then(|| {
                    Finding::new(
                        Severity::Error,
                        path,
                        "does not exist, so nobody can log in",
                        "enrol somebody: oathctl add creates it",
                    )
                });
                Ok(Examined {
                    findings: finding.into_iter().collect(),
                    tokens: Vec::new(),
                    exists: Some(false),
                })
            }
            Err(usersfile::Error::Refused { path, problem }) => {
                let message = format!("{} {problem}", path.display());
                Ok(Examined::only(of_message(Severity::Error, &path, &message)))
            }
            // Without root's rights this says nothing about the file.
            Err(error @ usersfile::Error::Io { .. }) if sys::effective_user() != 0 => {
                Err(error.into())
            }
            Err(error) => {
                let message = error.to_string();
                Ok(Examined::only(of_message(Severity::Error, path, &message)))
            }
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
            },
        )
    }

    /// Applies the fixes; returns what it did, one sentence each.
    fn fix(&self, now: u64) -> Result<Vec<String>, Error> {
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
            Ok::<_, usersfile::Error>(fix_lines(document, &findings))
        });
        match edited {
            Ok((lines, _)) => mended.extend(lines),
            // The check that follows reports it.
            Err(usersfile::Error::Missing(_) | usersfile::Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(mended)
    }
}

/// The bytes of a line, and their replacement.
type Replacement<'a> = (&'a Range<usize>, &'a [u8]);

/// Applies the fixes of the findings to the document, in one pass over its lines.
fn fix_lines(document: &mut Document, findings: &[Finding]) -> Vec<String> {
    let mut mended = Vec::new();
    let mut fixes: BTreeMap<usize, Vec<Replacement>> = BTreeMap::new();
    for finding in findings {
        let (Some(number), Some(field), Some(Fix::Replace { span, text, done })) =
            (finding.line, finding.field, &finding.fix)
        else {
            continue;
        };
        fixes.entry(number).or_default().push((span, text));
        mended.push(format!(
            "{}:{number}: mended: {field} {done}",
            finding.place.display()
        ));
    }
    if fixes.is_empty() {
        return mended;
    }
    let added = fixes.values().flatten().map(|(_, text)| text.len());
    // At its full length: a vector that grows leaves copies behind.
    let room = document.text().len() + added.sum::<usize>();
    let mut new = Zeroizing::new(Vec::with_capacity(room));
    let old = document.text().split_inclusive(|&byte| byte == b'\n');
    for (number, line) in (1..).zip(old) {
        let mut copied = 0;
        let mut of_line = fixes.remove(&number).unwrap_or_default();
        of_line.sort_by_key(|(span, _)| span.start);
        for (span, text) in of_line {
            new.extend_from_slice(&line[copied..span.start]);
            new.extend_from_slice(text);
            copied = span.end;
        }
        new.extend_from_slice(&line[copied..]);
    }
    *document = Document::new(&new);
    mended
}

/// The finding for an error or a warning of the module about a path.
fn of_message(severity: Severity, path: &Path, message: &str) -> Finding {
    let path_text = path.display().to_string();
    let rest = message
        .strip_prefix(&path_text)
        .map_or(message, str::trim_start);
    let (problem, advice) = rest.split_once("; ").unwrap_or((rest, ""));
    let finding = Finding::new(severity, path, problem, advice);
    if advice == format!("run chmod 600 {path_text}") {
        finding.fixed_by(Fix::Chmod)
    } else {
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    fn check(document: &Document) -> Vec<Finding> {
        let context = Context {
            path: Path::new("users.oath"),
            account: &|user| {
                Some(match user.to_str() {
                    Some("root" | "ROOT") => Account::Named("root".into()),
                    _ => Account::None,
                })
            },
            unix_time: 1_768_478_400,
            window: 5,
        };
        lines::check(document, &context).0
    }

    /// Sound and malformed fields.
    fn line() -> impl Strategy<Value = String> {
        let kind = "HOTP(/E|/T30)?(/[5-9])?|TOTP|hotp/t30|#|\\PC{0,4}";
        let pin = "[-+\u{2013}]|\\$1\\$[a-z]{9}|[a-z]{9,12}";
        let secret =
            "(base32:)?Z[A-Z2-7]{15}|z[a-z2-7]{31}|[0-9a-f]{32,60}|[0-9a-f]{4}( [0-9a-f]{4}){9}";
        let last_used = "( -?[0-9]{1,22}x?( [0-9]{5,9}( 2026-01-15T12:00:00L)?)?)?";
        (kind, "(root|eve)?", pin, secret, last_used, "\r?\n|\n\n").prop_map(
            |(kind, user, pin, secret, last_used, end)| {
                format!("{kind} {user} {pin} {secret}{last_used}{end}")
            },
        )
    }

    #[test]
    fn to_fix_a_file_takes_as_long_as_to_read_it() {
        let line = "HOTP/T30/6 root \u{2013} 3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n";
        let lines = (1 << 20) / line.len();
        let mut document = Document::new(line.repeat(lines).as_bytes());
        let findings = check(&document);
        let start = Instant::now();
        assert_eq!(fix_lines(&mut document, &findings).len(), lines);
        // Less than a second; with a new copy of the file for each line it was minutes.
        assert!(start.elapsed() < Duration::from_secs(20));
        assert!(document.text() == line.replace('\u{2013}', "-").repeat(lines).as_bytes());
    }

    #[test]
    fn another_spelling_of_an_account_is_named_with_the_accounts_own() {
        let line = |user| format!("HOTP/T30/6 {user} - 3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n");
        assert!(check(&Document::new(line("root").as_bytes())).is_empty());
        let findings = check(&Document::new(line("ROOT").as_bytes()));
        assert_eq!(
            findings.iter().map(Finding::to_string).collect::<Vec<_>>(),
            [
                "users.oath:1: warning: field 2 (USER) names ROOT, which is another spelling of \
                 the account root\n    write root: a user has the tokens of the account's own name"
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_file_holds_no_pin_and_no_secret_is_printed(
            lines in prop::collection::vec(line(), 0..6),
        ) {
            let text = lines.concat();
            for finding in check(&Document::new(text.as_bytes())) {
                let told = finding.to_string();
                for field in text.split_ascii_whitespace() {
                    let is_type = field.to_ascii_uppercase().contains("OTP");
                    let is_secret = field.len() > 8 && !is_type && field != "2026-01-15T12:00:00L";
                    prop_assert!(!is_secret || !told.contains(field), "{told}");
                }
            }
        }

        #[test]
        fn what_is_fixed_stays_fixed_and_nothing_else_changes(
            lines in prop::collection::vec(line(), 0..6),
        ) {
            let text = lines.concat();
            let mut document = Document::new(text.as_bytes());
            let findings = check(&document);
            let mended = fix_lines(&mut document, &findings);
            prop_assert_eq!(mended.len(), findings.iter().filter(|f| f.fix.is_some()).count());
            prop_assert!(check(&document).iter().all(|finding| finding.fix.is_none()));
            let after = String::from_utf8(document.text().to_vec()).unwrap();
            prop_assert_eq!(
                after.replace("base32:", "").replace(" - ", " \u{2013} "),
                text.replace("base32:", "").replace(" - ", " \u{2013} ")
            );
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            check(&Document::new(&bytes));
        }
    }
}
