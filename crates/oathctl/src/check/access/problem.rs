//! What is wrong with the stack of a service, and the text and the advice for it.

use std::fmt;

use super::super::finding::{Finding, Severity};
use super::super::lines::odd_space;
use super::super::stack::{Fault, Place, ReturnCode};
use super::edit::{Edit, quoted};
use crate::output::printable;

/// A problem of a service's stack, where it is, and the change that was proven to fix it. The same
/// of several services is one finding.
#[derive(PartialEq, Eq)]
pub(super) struct StackFinding {
    pub(super) place: Place,
    pub(super) problem: StackProblem,
    pub(super) fix: Option<Edit>,
}

impl StackFinding {
    /// The finding for the services that have it.
    pub(super) fn of_services(&self, services: &[&str]) -> Finding {
        let advice = match &self.fix {
            Some(edit) => format!("run {}", edit.command()),
            None => self.problem.advice(&self.place),
        };
        Finding::of_line(
            self.problem.severity(),
            &self.place,
            self.problem.text(&Services(services)),
            advice,
        )
    }
}

/// The services that have a problem, as the subject of a sentence.
struct Services<'a>(&'a [&'a str]);

impl Services<'_> {
    /// `login lets in`, `login, sshd let in`.
    fn lets(&self) -> String {
        self.with("lets", "let")
    }

    fn asks(&self) -> String {
        self.with("asks", "ask")
    }

    /// Continues the sentence.
    fn does(&self) -> &str {
        match self.0 {
            [_] => "does",
            _ => "do",
        }
    }

    fn with(&self, of_one: &str, of_several: &str) -> String {
        let verb = match self.0 {
            [_] => of_one,
            _ => of_several,
        };
        format!("{self} {verb}")
    }
}

impl fmt::Display for Services<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// A line by its module and control: `pam_unix.so is sufficient`.
#[derive(PartialEq, Eq)]
pub(super) struct LineControl {
    pub(super) module: String,
    pub(super) control: String,
}

impl fmt::Display for LineControl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} is {}", self.module, self.control)
    }
}

/// What is wrong with a stack.
#[derive(PartialEq, Eq)]
pub(super) enum StackProblem {
    /// `pam_start` fails.
    CannotStart(Fault),
    /// The line ends in `\r\n`.
    CarriageReturn,
    /// A no-break space or the like, which separates no words.
    OddSpace(OddSpace),
    /// The line always fails, and with `nobody` no login succeeds.
    LineFails {
        fault: Fault,
        nobody: bool,
    },
    /// There is no such file, and libpam skips the line.
    MissingModuleSkipped {
        path: String,
    },
    /// There is no such file, and the line fails.
    MissingModuleFails {
        path: String,
    },
    NobodyGetsIn {
        line: LineControl,
        cause: Option<Cause>,
    },
    CodeNeverAsked {
        line: LineControl,
        code: Place,
    },
    NothingNeeded {
        line: LineControl,
    },
    NothingNeededWithoutToken {
        line: LineControl,
    },
    /// The line takes the refusal of `code` back; `anybody` gets in then, or who has the password.
    Forgiven {
        line: LineControl,
        code: Place,
        anybody: bool,
    },
    /// With the right password, where the module returns this.
    PasswordAloneAfter {
        line: LineControl,
        returned: ReturnCode,
        has_password: bool,
    },
    /// With the right password: the line skips that of the code.
    PasswordAlone {
        line: LineControl,
        code: Place,
    },
    CodeAlone {
        line: LineControl,
        /// Whether it ends the stack, or jumps, before the line for the password.
        skips: bool,
    },
    /// No line of the stack asks for a password.
    NoPassword,
    /// Another factor is enough.
    OtherAlone {
        line: LineControl,
        code: Place,
    },
    AskedTwice {
        first: Place,
    },
}

/// Why a line lets nobody in.
#[derive(PartialEq, Eq)]
pub(super) enum Cause {
    /// A jump past the end of the stack.
    Jump,
    /// `use_first_pass` with no code before it.
    NoCodeBefore,
}

impl StackProblem {
    pub(super) fn is_missing_module(&self) -> bool {
        matches!(
            self,
            StackProblem::MissingModuleSkipped { .. } | StackProblem::MissingModuleFails { .. }
        )
    }

    fn severity(&self) -> Severity {
        match self {
            StackProblem::LineFails { nobody: false, .. }
            | StackProblem::NoPassword
            | StackProblem::OtherAlone { .. }
            | StackProblem::AskedTwice { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }

    fn text(&self, services: &Services) -> String {
        let (lets, asks) = (services.lets(), services.asks());
        match self {
            StackProblem::CannotStart(fault)
            | StackProblem::LineFails {
                fault,
                nobody: true,
            } => {
                format!("{}, so {lets} nobody in", fault_text(fault))
            }
            StackProblem::CarriageReturn => format!(
                "has a line end of Windows, which {} for a part of the last word",
                services.with("takes", "take")
            ),
            StackProblem::OddSpace(OddSpace { what, code }) => format!(
                "has {what} in it (U+{code:04X}), as web pages do, which {} for a part of a word",
                services.with("takes", "take")
            ),
            StackProblem::LineFails {
                fault,
                nobody: false,
            } => {
                format!(
                    "{}, so the line always fails for {services}",
                    fault_text(fault)
                )
            }
            StackProblem::MissingModuleSkipped { path } => format!(
                "names {path}, but there is no such file, so {asks} for no code by this line"
            ),
            StackProblem::MissingModuleFails { path } => {
                format!("names {path}, but there is no such file, so {lets} nobody in by this line")
            }
            StackProblem::NobodyGetsIn { line, .. } => {
                format!("{line}, and {lets} nobody in, also with everything right")
            }
            StackProblem::CodeNeverAsked { line, code } => {
                format!(
                    "{line}, so {} for the code of {code}",
                    services.with("never asks", "never ask")
                )
            }
            StackProblem::NothingNeeded { line } => {
                format!("{line}: {lets} in whoever has a wrong password and a wrong code")
            }
            StackProblem::NothingNeededWithoutToken { line } => {
                format!("{line}: {lets} in a user without a token, whatever the password")
            }
            StackProblem::PasswordAloneAfter {
                line,
                returned,
                has_password,
            } => {
                let when = match *returned {
                    ReturnCode::AUTH_ERR => "after a wrong code".to_owned(),
                    other => format!("where it returns {other} and not auth_err"),
                };
                let with = match has_password {
                    true => "with the right password alone",
                    false => "all the same",
                };
                format!("{line}: {when} {lets} in {with}")
            }
            StackProblem::PasswordAlone { line, code } => format!(
                "{line}, so {lets} in with the right password alone, and {} not ask for the code of \
                 {code}",
                services.does()
            ),
            StackProblem::Forgiven {
                line,
                code,
                anybody,
            } => {
                let whom = match anybody {
                    true => "whoever has a wrong password and a wrong code",
                    false => "with the right password alone",
                };
                format!("{line}, which takes the refusal of {code} back: {lets} in {whom}")
            }
            StackProblem::CodeAlone { line, .. } => {
                format!("{line}: {lets} in with the right code alone, whatever the password")
            }
            StackProblem::NoPassword => {
                format!("the code alone is enough for {services}: no line asks for a password")
            }
            StackProblem::OtherAlone { line, code } => format!(
                "{line}: {lets} in by it alone, without a password and without the code of \
                 {code}"
            ),
            StackProblem::AskedTwice { first } => format!(
                "{} asked for a code at {first} already, and each is good once: a login takes two \
                 codes",
                services.with("has", "have")
            ),
        }
    }

    /// What to do about it where no change of one line is known to fix it. `place` is that of the
    /// line.
    fn advice(&self, place: &Place) -> String {
        let advice = match self {
            StackProblem::CannotStart(fault) | StackProblem::LineFails { fault, .. } => {
                fault_advice(fault)
            }
            StackProblem::CarriageReturn => {
                let file = place.file.display().to_string();
                return format!("run sed -i 's/\\r$//' {}", quoted(&file));
            }
            StackProblem::MissingModuleSkipped { .. } | StackProblem::MissingModuleFails { .. } => {
                "install the package that has it, or correct the path; ls /usr/lib*/security \
                 /usr/lib/*/security shows what there is"
            }
            StackProblem::NobodyGetsIn { cause, .. } => match cause {
                Some(Cause::Jump) => {
                    "correct the number: a jump must not lead past the end of the stack"
                }
                Some(Cause::NoCodeBefore) => {
                    "use_first_pass never asks: it takes what a line above has asked for, which must \
                     be the code. Remove the argument"
                }
                None => "correct the control of this line, or remove it",
            },
            StackProblem::CodeNeverAsked { code, .. }
            | StackProblem::PasswordAlone { code, .. }
            | StackProblem::OtherAlone { code, .. } => {
                return format!("move the line of the module, {code}, above this one");
            }
            StackProblem::OddSpace(space) => return space.advice(place),
            StackProblem::NothingNeeded { .. } => {
                "no change of one line mends it: write required before the module and before that for \
                 the password, and look for reset, done and jumps in the lines around them"
            }
            StackProblem::Forgiven { .. } => "write ignore or die in the place of reset",
            StackProblem::NothingNeededWithoutToken { .. } => {
                "add a line for the password above it, such as: auth required pam_unix.so"
            }
            StackProblem::PasswordAloneAfter { .. } => {
                "no other control of one line mends it: look for reset, done and jumps in the lines \
                 below"
            }
            StackProblem::CodeAlone { skips: true, .. } => {
                "its success ends the stack or jumps, and the line for the password is not reached: \
                 write required, or ok in the place of done or of the number"
            }
            StackProblem::CodeAlone { .. } => "correct the control of the line for the password",
            StackProblem::NoPassword => {
                "add a line for the password above it, such as: auth required pam_unix.so; a \
                 program that asks for a key or a certificate by itself needs none"
            }
            StackProblem::AskedTwice { .. } => "remove one of the two lines",
        };
        advice.to_owned()
    }
}

/// A character that looks like a space or like nothing, and is a part of a word for libpam.
#[derive(PartialEq, Eq)]
pub(super) struct OddSpace {
    pub(super) what: &'static str,
    pub(super) code: u32,
}

impl OddSpace {
    /// The first one of a text.
    pub(super) fn of(text: &[u8]) -> Option<OddSpace> {
        let (what, code) = odd_space(text)?;
        Some(OddSpace { what, code })
    }

    fn advice(&self, place: &Place) -> String {
        let with = match self.code {
            0xa0 => " ",
            0xfeff => "",
            _ => return "type the line anew on a keyboard, or copy it as plain text".to_owned(),
        };
        let character = char::from_u32(self.code).unwrap_or_default();
        let mut bytes = [0; 4];
        let pattern: String = character
            .encode_utf8(&mut bytes)
            .bytes()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect();
        let file = place.file.display().to_string();
        format!("run sed -i 's/{pattern}/{with}/g' {}", quoted(&file))
    }
}

/// What libpam cannot parse.
fn fault_text(fault: &Fault) -> String {
    let shown = |text: &str| printable(text.as_bytes());
    match fault {
        Fault::UnknownType(kind) => format!(
            "{} is no type of line, and libpam takes it for auth",
            shown(kind)
        ),
        Fault::UnknownControl(control) if is_module(control) => {
            format!("names {} where the control belongs", shown(control))
        }
        Fault::UnknownControl(control) => format!("{} is no control", shown(control)),
        Fault::OpenBracket => "has a [ that no ] closes".into(),
        Fault::NoControl => "has no control and no module".into(),
        Fault::NoModule => "names no module".into(),
        Fault::BadInclude(name) => format!(
            "includes {}, which is not there or can't be read to its end",
            shown(name)
        ),
        Fault::MissingFile(name) => format!("includes {}, which is not there", shown(name)),
        Fault::IncludeOfNothing => "includes no file, which makes libpam crash".into(),
        Fault::Cycle => "is in a file that includes itself, which makes libpam crash".into(),
        Fault::UnfinishedLine => {
            "ends with a backslash at the end of the file, and libpam reads none of it".into()
        }
    }
}

/// Whether a word is the name of a module.
fn is_module(word: &str) -> bool {
    word.ends_with(".so")
}

fn fault_advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::UnknownType(_) => "the types are auth, account, password and session",
        Fault::UnknownControl(control) if is_module(control) => {
            "write the control before the module, as in auth required pam_oath.so"
        }
        Fault::UnknownControl(_) => {
            "the controls are required, requisite, sufficient, optional, include, substack and \
             [value=action ...]; see pam.conf(5)"
        }
        Fault::OpenBracket => "write ] behind the last value=action",
        Fault::NoControl | Fault::NoModule | Fault::IncludeOfNothing => {
            "complete the line, or remove it"
        }
        Fault::BadInclude(_) | Fault::MissingFile(_) => "correct the name, or remove the line",
        Fault::Cycle => "remove one of the lines that include",
        Fault::UnfinishedLine => "remove the backslash",
    }
}
