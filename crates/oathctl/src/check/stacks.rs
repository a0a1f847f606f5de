//! What the judge says of each service, in words, with the command that mends it where there is
//! one. A command is only given after the stack that it makes was judged as well.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::stack::judge::{self, Problem, Verdict};
use super::stack::modules::{self, Role};
use super::stack::parse::{Configuration, Root};
use super::stack::{Action, Entry, Fault, Module, Place, ReturnCode, Stack};
use crate::output::printable;
use crate::pam_config::{self, ServiceStack, is_ours};

/// What the services are held against.
pub struct Surroundings<'a> {
    pub root: Root,
    /// Whether the modules that the services name are those of this system.
    pub has_own_modules: bool,
    /// Whether the program asks for something else besides PAM, such as sshd for a key.
    pub requires_key: &'a dyn Fn(&str) -> bool,
}

/// Who gets in by a service.
#[derive(Serialize)]
pub struct Access {
    service: String,
    everything_right: bool,
    wrong_code: bool,
    wrong_password: bool,
    nothing_right: bool,
    without_token: bool,
}

/// Judges every service that uses the module.
pub fn check(services: &[ServiceStack], around: &Surroundings) -> (Vec<Access>, Vec<Finding>) {
    let mut access = Vec::new();
    // The same of several services is told once.
    let mut found: BTreeMap<Told, Vec<&str>> = BTreeMap::new();
    for service in services.iter().filter(|service| !service.is_part) {
        let case = Case {
            service,
            around,
            modules: Modules::of(around),
        };
        let names_us = |entry: &Entry| entry.module().is_some_and(|it| is_ours(&without_cr(it)));
        if !service.stack.entries.iter().any(names_us) {
            continue;
        }
        let verdict = case.judge(&service.stack);
        if let Some(Verdict { who, .. }) = &verdict {
            access.push(Access {
                service: service.name.clone(),
                everything_right: who.everything_right && service.stack.broken.is_none(),
                wrong_code: who.wrong_code,
                wrong_password: who.wrong_password,
                nothing_right: who.nothing_right,
                without_token: who.without_token,
            });
        }
        for told in case.tell(verdict.as_ref()) {
            found.entry(told).or_default().push(&service.name);
        }
    }
    let findings = found
        .into_iter()
        .map(|(told, names)| {
            let problem = told.problem.replace(SERVICES, &names.join(", "));
            Finding::new(told.severity, told.place.file, problem, told.advice)
                .at_line(told.place.line)
        })
        .collect();
    (access, findings)
}

/// Stands in a text for the names of the services.
const SERVICES: &str = "{services}";

/// A finding about one service, in the order in which they are told.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    place: Place,
    problem: String,
    severity: Severity,
    advice: String,
}

struct Case<'a> {
    service: &'a ServiceStack,
    around: &'a Surroundings<'a>,
    modules: Modules,
}

impl Case<'_> {
    fn judge(&self, stack: &Stack) -> Option<Verdict> {
        let roles: Vec<Role> = stack.entries.iter().map(|entry| self.role(entry)).collect();
        judge::judge(&stack.entries, &roles)
    }

    fn role(&self, entry: &Entry) -> Role {
        let Some(module) = entry.module() else {
            return Role::Returns(&[ReturnCode::PERM_DENIED]);
        };
        if !is_ours(module) {
            return match self.modules.is_missing(module) {
                true => Role::Returns(&[ReturnCode::MODULE_UNKNOWN]),
                false => modules::role(module),
            };
        }
        let (options, _) = pam_config::options(module);
        Role::Code {
            without_token: match options.null_ok {
                true => ReturnCode::IGNORE,
                false => ReturnCode::USER_UNKNOWN,
            },
            usersfile: options.usersfile.as_bytes().to_vec(),
            needs_token: options.use_first_pass,
        }
    }

    /// Everything that is wrong with the service.
    fn tell(&self, verdict: Option<&Verdict>) -> Vec<Told> {
        let stack = &self.service.stack;
        let entries = &stack.entries;
        let mut told = Vec::new();
        if let Some((fault, place)) = &stack.broken {
            let (problem, advice) = in_words(fault);
            told.push(Told {
                severity: Severity::Error,
                place: place.clone(),
                problem: format!("{problem}, so {SERVICES} lets nobody in"),
                advice,
            });
            return told;
        }
        let has_cr = |entry: &&Entry| entry.module().is_some_and(ends_with_cr);
        if let Some(entry) = entries.iter().find(has_cr) {
            let file = entry.place.file.display().to_string();
            told.push(Told {
                severity: Severity::Error,
                place: entry.place.clone(),
                problem: format!(
                    "has a line end of Windows, which {SERVICES} takes for a part of the last word"
                ),
                advice: format!("run sed -i 's/\\r$//' {}", quoted(&file)),
            });
            return told;
        }
        let nobody = verdict.is_some_and(|verdict| !verdict.who.everything_right);
        for entry in entries {
            let Some(fault) = &entry.fault else { continue };
            let (problem, advice) = in_words(fault);
            let effect = match nobody {
                true => format!("so {SERVICES} lets nobody in"),
                false => format!("so the line always fails for {SERVICES}"),
            };
            told.push(Told {
                severity: if nobody {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                place: entry.place.clone(),
                problem: format!("{problem}, {effect}"),
                advice: self.mended_word(entry).unwrap_or_else(|| {
                    let edit = Edit::Remove(entry.place.clone());
                    match self.is_proven(&edit) {
                        true => edit.command(),
                        false => advice,
                    }
                }),
            });
        }
        let mut is_module_missing = false;
        for entry in entries {
            let Some(module) = entry.module() else {
                continue;
            };
            if self.modules.is_missing(module) && (is_ours(module) || !entry.may_be_missing) {
                let missing = self.missing_module(entry, module, nobody);
                is_module_missing |= missing.is_some();
                told.extend(missing);
            }
        }
        // What follows from a line that can't be used is not told a second time.
        if is_module_missing || nobody && entries.iter().any(|entry| entry.fault.is_some()) {
            return told;
        }
        let problems = verdict
            .map(|verdict| &verdict.problems[..])
            .unwrap_or_default();
        told.extend(problems.iter().filter_map(|problem| self.problem(problem)));
        told
    }

    fn missing_module(&self, entry: &Entry, module: &Module, nobody: bool) -> Option<Told> {
        let path = printable(&module.path);
        let fails = !matches!(
            entry.control.action(ReturnCode::MODULE_UNKNOWN),
            Action::Ignore | Action::Jump(_)
        );
        let (severity, effect) = match (is_ours(module), fails) {
            (true, false) => (
                Severity::Error,
                format!("so {SERVICES} asks for no code by this line"),
            ),
            (_, true) if nobody || is_ours(module) => (
                Severity::Error,
                format!("so {SERVICES} lets nobody in by this line"),
            ),
            _ => return None,
        };
        Some(Told {
            severity,
            place: entry.place.clone(),
            problem: format!("names {path}, but there is no such file, {effect}"),
            advice: "install the package that has it, or correct the path; ls \
                     /usr/lib*/security /usr/lib/*/security shows what there is"
                .into(),
        })
    }

    fn problem(&self, problem: &Problem) -> Option<Told> {
        let entries = &self.service.stack.entries;
        let is_code = |entry: &Entry| entry.module().is_some_and(is_ours);
        let code = entries.iter().position(is_code)?;
        let here = |at: usize| {
            let Place { file, line } = &entries[at].place;
            format!("{}:{line}", file.display())
        };
        // `pam_unix.so is sufficient`
        let subject = |at: usize| {
            let module = entries[at].module().map(Module::name);
            let name = match module {
                Some(_) if is_code(&entries[at]) => "the module".into(),
                Some(name) => printable(name),
                None => "the line".into(),
            };
            format!("{name} is {}", shown(&entries[at].control_text))
        };
        let mended = match problem {
            // A key comes first, and is no matter of PAM.
            Problem::NothingNeededWithoutToken | Problem::CodeAlone { .. }
                if (self.around.requires_key)(&self.service.name) =>
            {
                return None;
            }
            Problem::CodeAlone {
                has_password: false,
                ..
            } => None,
            // To require it is not what was meant.
            Problem::OtherAlone { .. } => None,
            Problem::AskedTwice { second, .. } => {
                let edit = Edit::Remove(entries[*second].place.clone());
                self.is_proven(&edit).then_some((Some(*second), edit))
            }
            Problem::NobodyGetsIn { by }
            | Problem::CodeNeverAsked { by }
            | Problem::PasswordAlone { by, .. } => self.mend(*by),
            _ => self.mend(None),
        };
        let above = format!(
            "move the line with pam_oath.so, {}, above this one",
            here(code)
        );
        let (severity, at, problem, otherwise) = match *problem {
            Problem::NobodyGetsIn { by } => {
                let at = by.unwrap_or(code);
                let entry = &entries[at];
                let is_jump = matches!(entry.control.action(ReturnCode::SUCCESS), Action::Jump(_));
                let takes_token = entry
                    .module()
                    .filter(|module| is_ours(module))
                    .is_some_and(|module| pam_config::options(module).0.use_first_pass);
                (
                    Severity::Error,
                    at,
                    format!(
                        "{}, and {SERVICES} lets nobody in, also with everything right",
                        subject(at)
                    ),
                    if is_jump {
                        "correct the number: a jump must not lead past the end of the stack".into()
                    } else if takes_token {
                        "use_first_pass needs a password from a line above: remove the argument, \
                         or move the line below that for the password"
                            .into()
                    } else {
                        "correct the control of this line, or remove it".into()
                    },
                )
            }
            Problem::CodeNeverAsked { by } => {
                let at = by.unwrap_or(code);
                (
                    Severity::Error,
                    at,
                    format!(
                        "{}, so {SERVICES} never asks for the code of {}",
                        subject(at),
                        here(code)
                    ),
                    above,
                )
            }
            Problem::NothingNeeded => (
                Severity::Error,
                code,
                format!(
                    "{}: {SERVICES} lets in whoever has a wrong password and a wrong code",
                    subject(code)
                ),
                "write required before the module, and before that for the password".into(),
            ),
            Problem::NothingNeededWithoutToken => (
                Severity::Error,
                code,
                format!(
                    "{}: {SERVICES} lets in a user without a token, whatever the password",
                    subject(code)
                ),
                "add a line for the password above it, such as: auth required pam_unix.so".into(),
            ),
            Problem::PasswordAlone {
                code,
                returned: Some(returned),
                ..
            } => {
                let after = match returned {
                    ReturnCode::AUTH_ERR => "after a wrong code".to_owned(),
                    other => format!("where it returns {other} and not auth_err"),
                };
                (
                    Severity::Warning,
                    code,
                    format!(
                        "{}: {after} {SERVICES} lets in with the right password alone",
                        subject(code)
                    ),
                    "no other control of one line mends it: look for reset, done and jumps in the \
                     lines below"
                        .into(),
                )
            }
            Problem::PasswordAlone { code, by, .. } => {
                let at = by.unwrap_or(code);
                (
                    Severity::Error,
                    at,
                    format!(
                        "{}, so {SERVICES} lets in with the right password alone and does not ask \
                         for the code of {}",
                        subject(at),
                        here(code)
                    ),
                    above,
                )
            }
            Problem::CodeAlone {
                has_password: true, ..
            } => {
                let at = mended.as_ref().map_or(code, |(at, _)| at.unwrap_or(code));
                (
                    Severity::Warning,
                    at,
                    format!(
                        "{}: {SERVICES} lets in with the right code alone, whatever the password",
                        subject(at)
                    ),
                    "correct the control of the line for the password".into(),
                )
            }
            Problem::CodeAlone { code, .. } => (
                Severity::Warning,
                code,
                format!("the code alone is enough for {SERVICES}: no line asks for a password"),
                "add a line for the password above it, such as: auth required pam_unix.so; a \
                 program that asks for a key or a certificate by itself needs none"
                    .into(),
            ),
            Problem::OtherAlone { by } => (
                Severity::Warning,
                by,
                format!(
                    "{}: {SERVICES} lets in by it alone, without a password and without the code \
                     of {}",
                    subject(by),
                    here(code)
                ),
                above,
            ),
            Problem::AskedTwice { first, second } => (
                Severity::Warning,
                second,
                format!(
                    "{SERVICES} has asked for a code at {} already, and each is good once: a login \
                     takes two codes",
                    here(first)
                ),
                "remove one of the two lines".into(),
            ),
        };
        Some(Told {
            severity,
            place: entries[at].place.clone(),
            problem,
            advice: mended.map_or(otherwise, |(_, edit)| edit.command()),
        })
    }

    /// A change that makes the stack sound: `substack` for a line that includes, or `required` for
    /// the line that is to blame, for the module's, or for one that checks the password.
    fn mend(&self, to_blame: Option<usize>) -> Option<(Option<usize>, Edit)> {
        let stack = &self.service.stack;
        let includes = stack.includes.iter();
        let includes = includes.map(|place| (None, Edit::word(place, "include", "substack")));
        let others =
            stack.entries.iter().enumerate().filter(|(_, entry)| {
                matches!(self.role(entry), Role::Code { .. } | Role::Password)
            });
        let entries = to_blame.into_iter().chain(others.map(|(at, _)| at));
        let controls = entries.map(|at| {
            let entry = &stack.entries[at];
            (
                Some(at),
                Edit::word(&entry.place, &entry.control_text, "required"),
            )
        });
        let mut edits = includes.chain(controls);
        edits.find(|(_, edit)| self.is_proven(edit))
    }

    /// For a control or a type that is misspelt: the keyword that is meant.
    fn mended_word(&self, entry: &Entry) -> Option<String> {
        const CONTROLS: &[&str] = &[
            "required",
            "requisite",
            "sufficient",
            "optional",
            "include",
            "substack",
        ];
        const TYPES: &[&str] = &["auth", "account", "password", "session"];
        let (text, keywords) = match entry.fault.as_ref()? {
            Fault::UnknownControl(text) => (text, CONTROLS),
            Fault::UnknownType(text) => (text, TYPES),
            _ => return None,
        };
        let (_, meant) = keywords
            .iter()
            .map(|keyword| (distance(&text.to_lowercase(), keyword), keyword))
            .min()
            .filter(|(distance, _)| *distance <= 2)?;
        Some(Edit::word(&entry.place, text, meant).command())
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
            root: match &self.around.root {
                Root::Folders(folders) => Root::Folders(folders.clone()),
                Root::File(file) => Root::File(file.clone()),
            },
            read: &read,
        };
        let stack = configuration.stack(&self.service.name);
        let Some(verdict) = self.judge(&stack) else {
            return false;
        };
        // To remove the line for the password mends nothing.
        let may_stay = |problem: &Problem| {
            let is_about_password = matches!(
                problem,
                Problem::CodeAlone {
                    has_password: false,
                    ..
                }
            );
            is_about_password && !matches!(edit, Edit::Remove(_))
        };
        stack.broken.is_none()
            && stack.entries.iter().all(|entry| entry.fault.is_none())
            && verdict.problems.iter().all(may_stay)
    }
}

/// A change of one line of the PAM configuration.
enum Edit {
    Word {
        place: Place,
        from: String,
        to: &'static str,
    },
    Remove(Place),
}

impl Edit {
    fn word(place: &Place, from: &str, to: &'static str) -> Edit {
        Edit::Word {
            place: place.clone(),
            from: from.to_owned(),
            to,
        }
    }

    fn place(&self) -> &Place {
        match self {
            Edit::Word { place, .. } | Edit::Remove(place) => place,
        }
    }

    /// What the command makes of the file.
    fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let at = self.place().line - 1;
        match self {
            Edit::Remove(_) => {
                lines.remove(at);
            }
            Edit::Word { from, to, .. } => {
                let line = &mut lines[at];
                let from = from.as_bytes();
                if let Some(start) = line.windows(from.len()).position(|part| part == from) {
                    line.splice(start..start + from.len(), to.bytes());
                }
            }
        }
        lines.concat()
    }

    fn command(&self) -> String {
        let Place { file, line } = self.place();
        let script = match self {
            Edit::Remove(_) => format!("{line}d"),
            Edit::Word { from, to, .. } => {
                let mut pattern = String::new();
                for c in from.chars() {
                    if r"\/[]*.^$".contains(c) {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
                format!("{line}s/{pattern}/{to}/")
            }
        };
        format!(
            "run sed -i {} {}",
            quoted(&script),
            quoted(&file.display().to_string())
        )
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// How many letters two words differ in (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = cost.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// What libpam can't make sense of, and what to do.
fn in_words(fault: &Fault) -> (String, String) {
    let (problem, advice) = match fault {
        Fault::UnknownType(kind) => (
            format!(
                "{} is no type of line, and libpam takes it for auth",
                shown(kind)
            ),
            "the types are auth, account, password and session",
        ),
        Fault::UnknownControl(control) => (
            format!("{} is no control", shown(control)),
            "the controls are required, requisite, sufficient, optional, include, substack and \
             [value=action ...]; see pam.conf(5)",
        ),
        Fault::NoControl => (
            "has no control and no module".into(),
            "complete the line, or remove it",
        ),
        Fault::NoModule => ("names no module".into(), "complete the line, or remove it"),
        Fault::BadInclude(name) => (
            format!(
                "includes {}, which is not there or can't be read to its end",
                shown(name)
            ),
            "correct the name, or remove the line",
        ),
        Fault::MissingFile(name) => (
            format!("includes {}, which is not there", shown(name)),
            "correct the name, or remove the line",
        ),
        Fault::IncludeOfNothing => (
            "includes no file, which makes libpam crash".into(),
            "complete the line, or remove it",
        ),
        Fault::Cycle => (
            "is in a file that includes itself, which makes libpam crash".into(),
            "remove one of the lines that include",
        ),
        Fault::UnfinishedLine => (
            "ends with a backslash at the end of the file, and libpam reads none of it".into(),
            "remove the backslash",
        ),
    };
    (problem, advice.to_owned())
}

fn shown(text: &str) -> String {
    printable(text.as_bytes())
}

/// Whether the last word of a module's line has a carriage return, which libpam does not take for
/// a part of the line's end.
fn ends_with_cr(module: &Module) -> bool {
    module
        .arguments
        .last()
        .unwrap_or(&module.path)
        .ends_with(b"\r")
}

/// The module that was meant.
fn without_cr(module: &Module) -> Module {
    let path = module.path.strip_suffix(b"\r").unwrap_or(&module.path);
    Module {
        path: path.to_vec(),
        ..module.clone()
    }
}

/// Where modules are.
struct Modules {
    folders: Vec<PathBuf>,
    has_own: bool,
}

impl Modules {
    fn of(around: &Surroundings) -> Modules {
        let arch = std::env::consts::ARCH;
        let mut folders = vec![
            format!("/usr/lib/{arch}-linux-gnu/security"),
            format!("/lib/{arch}-linux-gnu/security"),
        ];
        let plain = [
            "/usr/lib64/security",
            "/lib64/security",
            "/usr/lib/security",
            "/lib/security",
        ];
        folders.extend(plain.map(str::to_owned));
        Modules {
            folders: folders
                .into_iter()
                .map(PathBuf::from)
                .filter(|folder| folder.join("pam_permit.so").exists())
                .collect(),
            has_own: around.has_own_modules,
        }
    }

    /// Whether a module's file is not there; of services of another system only that is known
    /// which stands under a whole path.
    fn is_missing(&self, module: &Module) -> bool {
        let path = PathBuf::from(OsString::from_vec(module.path.clone()));
        if path.is_absolute() {
            return !path.exists() && !path.to_string_lossy().contains("$ISA");
        }
        self.has_own
            && !self.folders.is_empty()
            && !self
                .folders
                .iter()
                .any(|folder| folder.join(&path).exists())
    }
}
