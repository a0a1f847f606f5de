//! Evaluates the stack of each PAM service that uses the module: who gets in with what, what is
//! wrong, and the command that fixes it. A command is only given after the stack that it makes was
//! evaluated as well.
//!
//! - [`problem`]: what may be wrong, and its text
//! - [`edit`]: a change of one line
//! - [`installed`]: which PAM modules this system has
//! - [`misnamed`]: lines that mean the module and do not reach it

mod edit;
mod installed;
mod misnamed;
mod problem;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

use super::finding::Finding;
use super::secret_file;
use super::stack::evaluate::{self, Evaluation, Problem};
use super::stack::modules::{self, Role};
use super::stack::parse::{Configuration, Root};
use super::stack::{Action, Entry, Fault, Module, ReturnCode, Stack, walk};
use crate::output::printable;
use crate::pam_config::{self, MODULE, ServiceStack, is_pam_oath};
use edit::Edit;
use installed::InstalledModules;
use problem::{Cause, LineControl, OddSpace, StackFinding, StackProblem};

/// What the services are checked against.
pub(crate) struct Context<'a> {
    /// Whose lines ask for the code: `pam_oath.so`, or Google's where no line names that.
    pub(crate) module: &'static [u8],
    pub(crate) root: Root,
    /// Whether the services are those of this system, so that their modules must be installed here.
    pub(crate) is_own_system: bool,
    /// Whether the program asks for something besides PAM, such as sshd for a key.
    pub(crate) requires_key: &'a dyn Fn(&str) -> bool,
}

/// Who gets in by a service.
#[derive(Serialize)]
pub(crate) struct Access {
    service: String,
    everything_right: bool,
    wrong_code: bool,
    wrong_password: bool,
    nothing_right: bool,
    without_token: bool,
}

/// Checks every service that uses the module.
pub(crate) fn check(services: &[ServiceStack], context: &Context) -> (Vec<Access>, Vec<Finding>) {
    let installed = InstalledModules::find(context.is_own_system);
    let mut access = Vec::new();
    // The same problem of several services is one finding.
    let mut found: Vec<(StackFinding, Vec<&str>)> = Vec::new();
    for service in services.iter().filter(|service| !service.is_part) {
        let entries = &service.stack.entries;
        let is_checked = match context.module {
            MODULE => entries.iter().any(names_module),
            _ => entries.iter().any(|entry| context.asks_for_code(entry)),
        };
        if !is_checked {
            continue;
        }
        let check = ServiceCheck {
            service,
            context,
            installed: &installed,
        };
        let evaluation = check.evaluate(&service.stack);
        if let Some(Evaluation { who, .. }) = &evaluation {
            access.push(Access {
                service: service.name.clone(),
                everything_right: who.everything_right && service.stack.broken.is_none(),
                wrong_code: who.wrong_code,
                wrong_password: who.wrong_password,
                nothing_right: who.nothing_right,
                without_token: who.without_token,
            });
        }
        for finding in check.findings(evaluation.as_ref()) {
            match found.iter_mut().find(|(same, _)| *same == finding) {
                Some((_, names)) => names.push(&service.name),
                None => found.push((finding, vec![&service.name])),
            }
        }
    }
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|(finding, names)| finding.of_services(&names))
        .chain(match context.module {
            MODULE => misnamed::check(services, &installed),
            _ => Vec::new(),
        })
        .collect();
    findings.sort_by(|a, b| (&a.place, a.line, &a.problem).cmp(&(&b.place, b.line, &b.problem)));
    (access, findings)
}

impl Context<'_> {
    fn is_code(&self, module: &Module) -> bool {
        module.name() == self.module
    }

    fn asks_for_code(&self, entry: &Entry) -> bool {
        entry.module().is_some_and(|module| self.is_code(module))
    }
}

struct ServiceCheck<'a> {
    service: &'a ServiceStack,
    context: &'a Context<'a>,
    installed: &'a InstalledModules,
}

impl ServiceCheck<'_> {
    fn evaluate(&self, stack: &Stack) -> Option<Evaluation> {
        let roles: Vec<Role> = stack.entries.iter().map(|entry| self.role(entry)).collect();
        evaluate::evaluate(&stack.entries, &roles)
    }

    fn role(&self, entry: &Entry) -> Role {
        let Some(module) = entry.module() else {
            return Role::Returns(&[ReturnCode::PERM_DENIED]);
        };
        if module.name() == b"pam_rootok.so" && is_daemon(&self.service.name) {
            return Role::Returns(&[ReturnCode::SUCCESS]);
        }
        if !self.context.is_code(module) {
            return match self.installed.lacks(module) {
                true => Role::Returns(&[ReturnCode::MODULE_UNKNOWN]),
                false => modules::role(module),
            };
        }
        if module.name() != MODULE {
            return secret_file::role(module);
        }
        let (options, _) = pam_config::options(module);
        Role::Code {
            without_token: pam_config::without_token(&options),
            usersfile: options.usersfile.as_bytes().to_vec(),
            needs_authtok: options.use_first_pass,
        }
    }

    /// Everything that is wrong with the service.
    fn findings(&self, evaluation: Option<&Evaluation>) -> Vec<StackFinding> {
        let stack = &self.service.stack;
        let entries = &stack.entries;
        if let Some((fault, place)) = &stack.broken {
            return vec![StackFinding {
                place: place.clone(),
                problem: StackProblem::CannotStart(fault.clone()),
                fix: None,
            }];
        }
        let carriage_return = |entry: &&Entry| entry.module().is_some_and(ends_in_carriage_return);
        if let Some(entry) = entries.iter().find(carriage_return) {
            return vec![StackFinding {
                place: entry.place.clone(),
                problem: StackProblem::CarriageReturn,
                fix: None,
            }];
        }
        let odd_space = entries.iter().find_map(|entry| {
            let path = entry.module().map_or(&b""[..], |module| &module.path);
            let is_in_word = entry.fault.is_some() || OddSpace::of(path).is_some();
            let space = OddSpace::of(&entry.text).filter(|_| is_in_word)?;
            Some((&entry.place, space))
        });
        if let Some((place, space)) = odd_space {
            return vec![StackFinding {
                place: place.clone(),
                problem: StackProblem::OddSpace(space),
                fix: None,
            }];
        }
        let nobody = match evaluation {
            Some(evaluation) => !evaluation.who.everything_right,
            // No line calls the module.
            None => walk::run(entries, |_| ReturnCode::SUCCESS) != ReturnCode::SUCCESS,
        };
        let faulty = entries.iter().filter_map(|entry| {
            let fault = entry.fault.clone()?;
            Some(StackFinding {
                place: entry.place.clone(),
                problem: StackProblem::LineFails { fault, nobody },
                fix: self.correct(entry),
            })
        });
        let mut findings: Vec<StackFinding> = faulty.collect();
        let has_fault = !findings.is_empty();
        let missing = entries
            .iter()
            .filter_map(|entry| self.missing_module(entry, nobody));
        findings.extend(missing);
        let is_missing = |finding: &StackFinding| finding.problem.is_missing_module();
        let is_explained = findings.iter().any(is_missing) || nobody && has_fault;
        // Problems that follow from a line that cannot be used are not reported as well.
        if !is_explained {
            let problems = evaluation.map(|evaluation| &evaluation.problems[..]);
            let problems = problems.unwrap_or_default().iter();
            findings.extend(problems.filter_map(|problem| self.finding(problem)));
        }
        findings
    }

    /// Why this line may let nobody in, where that is known.
    fn cause(&self, entry: &Entry) -> Option<Cause> {
        if matches!(entry.control.action(ReturnCode::SUCCESS), Action::Jump(_)) {
            return Some(Cause::Jump);
        }
        let role = self.role(entry);
        let needs_authtok = matches!(
            role,
            Role::Code {
                needs_authtok: true,
                ..
            }
        );
        needs_authtok.then_some(Cause::NoCodeBefore)
    }

    fn missing_module(&self, entry: &Entry, nobody: bool) -> Option<StackFinding> {
        let module = entry.module()?;
        let is_needed = self.context.is_code(module) || !entry.may_be_missing;
        if !is_needed || !self.installed.lacks(module) {
            return None;
        }
        let path = printable(&module.path);
        let problem = match entry.control.action(ReturnCode::MODULE_UNKNOWN) {
            Action::Ignore | Action::Jump(_) if self.context.is_code(module) => {
                StackProblem::MissingModuleSkipped { path }
            }
            Action::Ignore | Action::Jump(_) => return None,
            _ if nobody || self.context.is_code(module) => {
                StackProblem::MissingModuleFails { path }
            }
            _ => return None,
        };
        Some(StackFinding {
            place: entry.place.clone(),
            problem,
            fix: None,
        })
    }

    /// The finding for a problem of the stack; `None` if it is none for this service.
    fn finding(&self, problem: &Problem) -> Option<StackFinding> {
        let entries = &self.service.stack.entries;
        let code = entries
            .iter()
            .position(|entry| self.context.asks_for_code(entry))?;
        let place = |at: usize| entries[at].place.clone();
        let line = |at: usize| LineControl {
            module: match entries[at].module() {
                Some(module) if self.context.is_code(module) => "the module".into(),
                Some(module) => printable(module.name()),
                None => "the line".into(),
            },
            control: printable(entries[at].control_text.as_bytes()),
        };
        let (at, problem, fix) = match *problem {
            Problem::NobodyGetsIn { by } => {
                let at = by.unwrap_or(code);
                let problem = StackProblem::NobodyGetsIn {
                    line: line(at),
                    cause: self.cause(&entries[at]),
                };
                (at, problem, self.fix(by))
            }
            Problem::CodeNeverAsked { by } => {
                let at = by.unwrap_or(code);
                let problem = StackProblem::CodeNeverAsked {
                    line: line(at),
                    code: place(code),
                };
                (at, problem, self.fix(by))
            }
            Problem::NothingNeeded { by } => {
                let fix = self.fix(by);
                let at = by.or(changed(&fix)).unwrap_or(code);
                (at, StackProblem::NothingNeeded { line: line(at) }, fix)
            }
            Problem::Forgiven { code, by, anybody } => {
                let problem = StackProblem::Forgiven {
                    line: line(by),
                    code: place(code),
                    anybody,
                };
                (by, problem, self.fix(Some(by)))
            }
            // A program that asks for a key asks for it before PAM.
            Problem::NothingNeededWithoutToken | Problem::CodeAlone { .. }
                if (self.context.requires_key)(&self.service.name) =>
            {
                return None;
            }
            Problem::NothingNeededWithoutToken => {
                let problem = StackProblem::NothingNeededWithoutToken { line: line(code) };
                (code, problem, self.fix(None))
            }
            Problem::PasswordAlone {
                code,
                returned: Some(returned),
                by,
            } => {
                let is_password = |entry: &Entry| matches!(self.role(entry), Role::Password);
                let problem = StackProblem::PasswordAloneAfter {
                    line: line(code),
                    returned,
                    has_password: entries.iter().any(is_password),
                };
                (code, problem, self.fix(by))
            }
            Problem::PasswordAlone { code, by, .. } => {
                let at = by.unwrap_or(code);
                let problem = StackProblem::PasswordAlone {
                    line: line(at),
                    code: place(code),
                };
                (at, problem, self.fix(by))
            }
            Problem::CodeAlone {
                code,
                has_password: true,
                by,
            } => {
                let fix = self.fix(by);
                // The line that is changed, which may be that for the password.
                let at = changed(&fix).or(by).unwrap_or(code);
                let problem = StackProblem::CodeAlone {
                    line: line(at),
                    skips: by == Some(at),
                };
                (at, problem, fix)
            }
            Problem::CodeAlone { code, .. } => (code, StackProblem::NoPassword, None),
            // To make the other factor required is not what was meant.
            Problem::OtherAlone { by } => {
                let problem = StackProblem::OtherAlone {
                    line: line(by),
                    code: place(code),
                };
                (by, problem, None)
            }
            Problem::AskedTwice { first, second } => {
                let edit = self.proven(Edit::Remove(place(second)));
                let problem = StackProblem::AskedTwice {
                    first: place(first),
                };
                (second, problem, edit.map(|edit| (Some(second), edit)))
            }
        };
        Some(StackFinding {
            place: place(at),
            problem,
            fix: fix.map(|(_, edit)| edit),
        })
    }

    /// A change that makes the stack sound, and the entry it changes: `substack` in a line that
    /// includes, or another control in the line `by` that causes the problem, in the module's, or in
    /// one that checks the password.
    fn fix(&self, by: Option<usize>) -> Option<(Option<usize>, Edit)> {
        let stack = &self.service.stack;
        let includes = stack
            .includes
            .iter()
            .map(|place| (None, Edit::replace(place, "include", "substack")));
        let is_candidate =
            |entry: &Entry| matches!(self.role(entry), Role::Code { .. } | Role::Password);
        let others = (0..stack.entries.len()).filter(|&at| is_candidate(&stack.entries[at]));
        let candidates: Vec<usize> = by.into_iter().chain(others).collect();
        let controls = [of_enrolled, required, that_refuses];
        let controls = controls.into_iter().flat_map(|control| {
            candidates.iter().filter_map(move |&at| {
                let entry = &stack.entries[at];
                let edit = Edit::replace(&entry.place, &entry.control_text, &control(entry)?);
                Some((Some(at), edit))
            })
        });
        let mut edits = includes.chain(controls);
        edits.find(|(_, edit)| self.is_proven(edit))
    }

    /// A change of a line that libpam cannot use. A keyword that was meant is taken only where the
    /// stack is sound with it: `sufficent` for the password lets nobody in, and `sufficient` would let
    /// in by the password alone.
    fn correct(&self, entry: &Entry) -> Option<Edit> {
        let spelling = Edit::correct_spelling(entry);
        let is_control = spelling.is_some() || entry.control_text.starts_with('[');
        let is_wrong = matches!(entry.fault, Some(Fault::UnknownControl(_))) && is_control;
        let required =
            is_wrong.then(|| Edit::replace(&entry.place, &entry.control_text, "required"));
        let remove = Edit::Remove(entry.place.clone());
        let mut edits = spelling.into_iter().chain(required).chain([remove]);
        edits.find(|edit| self.is_proven(edit))
    }

    fn proven(&self, edit: Edit) -> Option<Edit> {
        self.is_proven(&edit).then_some(edit)
    }

    /// Whether the stack is sound after an edit.
    fn is_proven(&self, edit: &Edit) -> bool {
        let read = |path: &Path| {
            let text = fs::read(path).ok()?;
            Some(match path == edit.place().file {
                true => edit.apply(&text),
                false => text,
            })
        };
        let configuration = Configuration {
            root: self.context.root.clone(),
            read: &read,
        };
        let stack = configuration.stack(&self.service.name);
        let Some(evaluation) = self.evaluate(&stack) else {
            return false;
        };
        // To remove the line for the password fixes nothing.
        let may_stay = |problem: &Problem| {
            let lacks_password = matches!(
                problem,
                Problem::CodeAlone {
                    has_password: false,
                    ..
                }
            );
            lacks_password && !matches!(edit, Edit::Remove(_))
        };
        stack.broken.is_none()
            && stack.entries.iter().all(|entry| entry.fault.is_none())
            && evaluation.problems.iter().all(may_stay)
    }
}

/// The entry that a fix changes.
fn changed(fix: &Option<(Option<usize>, Edit)>) -> Option<usize> {
    fix.as_ref().and_then(|(at, _)| *at)
}

/// The control that asks a code of those who have a token, where that is what the line is for.
fn of_enrolled(entry: &Entry) -> Option<String> {
    let is_meant = entry.module().is_some_and(is_pam_oath)
        && entry.control_text.contains("user_unknown=ignore");
    is_meant.then(|| "[success=ok user_unknown=ignore default=bad]".to_owned())
}

fn required(_: &Entry) -> Option<String> {
    Some("required".to_owned())
}

/// The control that refuses at once whatever is no success, and does with a success what it did.
fn that_refuses(entry: &Entry) -> Option<String> {
    match entry.control.action(ReturnCode::SUCCESS) {
        Action::Done => Some("[success=done default=die]".to_owned()),
        Action::Jump(count) => Some(format!("[success={count} default=die]")),
        _ => None,
    }
}

/// Whether a line names the module, in its own place or in another one that libpam makes nothing of.
pub(super) fn names_module(entry: &Entry) -> bool {
    let module = entry.module().map(without_carriage_return);
    let is_in = |text: &[u8]| text.windows(MODULE.len()).any(|part| part == MODULE);
    let is_lost = match &module {
        _ if entry.fault.is_some() => is_in(&entry.text),
        Some(module) => is_in(&module.path) && OddSpace::of(&module.path).is_some(),
        None => false,
    };
    is_lost || module.is_some_and(|module| is_pam_oath(&module))
}

/// Whether a service is that of a program that runs as root for everybody, so that `pam_rootok` accepts
/// whoever logs in.
fn is_daemon(service: &str) -> bool {
    const NAMES: [&str; 12] = [
        "cockpit",
        "dovecot",
        "gdm-password",
        "lightdm",
        "login",
        "openvpn",
        "proftpd",
        "remote",
        "sddm",
        "sshd",
        "vsftpd",
        "xrdp-sesman",
    ];
    NAMES.contains(&service)
}

/// Whether the last word of a module's line has a carriage return, which libpam takes for a part of
/// the word.
fn ends_in_carriage_return(module: &Module) -> bool {
    module
        .arguments
        .last()
        .unwrap_or(&module.path)
        .ends_with(b"\r")
}

/// The module that was meant.
fn without_carriage_return(module: &Module) -> Module {
    let path = module.path.strip_suffix(b"\r").unwrap_or(&module.path);
    Module {
        path: path.to_vec(),
        ..module.clone()
    }
}
