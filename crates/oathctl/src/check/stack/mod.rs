//! The auth stack of a PAM service.
//!
//! - [`parse`], [`words`], [`control`]: reads it as libpam does
//! - [`walk`]: runs it as libpam does (`_pam_dispatch_aux`)
//! - [`explore`], [`modules`]: follows every login, by what each module may return
//! - [`evaluate`]: who gets in, and what is wrong
//!
//! Pure: files are read through a function that is an argument. `tests/tool/stack.rs` compares the
//! results with those of the real libpam.

mod control;
pub mod evaluate;
mod explore;
pub mod modules;
pub mod parse;
pub mod walk;
mod words;

use std::fmt;
use std::path::PathBuf;

pub(crate) use control::{Action, Control};

/// A return code of a module. The names are those of pam.conf(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReturnCode(u8);

impl ReturnCode {
    /// The module accepts.
    pub const SUCCESS: ReturnCode = ReturnCode(0);
    pub(crate) const SERVICE_ERR: ReturnCode = ReturnCode(3);
    pub(crate) const SYSTEM_ERR: ReturnCode = ReturnCode(4);
    pub(crate) const BUF_ERR: ReturnCode = ReturnCode(5);
    /// What libpam itself returns for a line or a stack that it cannot use.
    pub const PERM_DENIED: ReturnCode = ReturnCode(6);
    pub(crate) const AUTH_ERR: ReturnCode = ReturnCode(7);
    pub(crate) const CRED_INSUFFICIENT: ReturnCode = ReturnCode(8);
    pub(crate) const AUTHINFO_UNAVAIL: ReturnCode = ReturnCode(9);
    /// The module does not know the user.
    pub const USER_UNKNOWN: ReturnCode = ReturnCode(10);
    pub(crate) const MAXTRIES: ReturnCode = ReturnCode(11);
    pub(crate) const CONV_ERR: ReturnCode = ReturnCode(19);
    pub(crate) const AUTHTOK_ERR: ReturnCode = ReturnCode(20);
    pub(crate) const IGNORE: ReturnCode = ReturnCode(25);
    pub(crate) const ABORT: ReturnCode = ReturnCode(26);
    /// There is no such module, or it has no function for `auth`.
    pub const MODULE_UNKNOWN: ReturnCode = ReturnCode(28);

    /// In the order of their numbers.
    const NAMES: [&str; 32] = [
        "success",
        "open_err",
        "symbol_err",
        "service_err",
        "system_err",
        "buf_err",
        "perm_denied",
        "auth_err",
        "cred_insufficient",
        "authinfo_unavail",
        "user_unknown",
        "maxtries",
        "new_authtok_reqd",
        "acct_expired",
        "session_err",
        "cred_unavail",
        "cred_expired",
        "cred_err",
        "no_module_data",
        "conv_err",
        "authtok_err",
        "authtok_recover_err",
        "authtok_lock_busy",
        "authtok_disable_aging",
        "try_again",
        "ignore",
        "abort",
        "authtok_expired",
        "module_unknown",
        "bad_item",
        "conv_again",
        "incomplete",
    ];

    /// The return code of this name.
    pub fn from_name(name: &str) -> Option<ReturnCode> {
        let number = Self::NAMES.iter().position(|known| *known == name)?;
        Some(ReturnCode(number as u8))
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

impl fmt::Display for ReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// Counted from 1; of a line that is continued, its first.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A module, as a line of the configuration names it.
#[derive(Clone, Debug)]
pub struct Module {
    /// The path as it is written.
    pub path: Vec<u8>,
    /// The arguments as libpam passes them.
    pub arguments: Vec<Vec<u8>>,
}

impl Module {
    /// The name of its file.
    pub fn name(&self) -> &[u8] {
        let parts = self.path.rsplit(|&byte| byte == b'/');
        parts.into_iter().next().unwrap_or_default()
    }
}

/// What an entry of a stack calls.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Module(Module),
    /// A line that libpam can't use: it returns `perm_denied`.
    Failure,
    /// The line that begins a substack, whose entries follow one level deeper. It counts in jumps
    /// and does nothing else.
    Substack,
}

/// One entry of a stack, included files in place.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) call: Call,
    /// How many substacks it is in.
    pub(crate) level: usize,
    pub(crate) control: Control,
    /// The control as it is written, with its brackets.
    pub(crate) control_text: String,
    pub(crate) place: Place,
    /// The line as it is written, without its comment; of `pam.conf`, what follows the service.
    pub(crate) text: Vec<u8>,
    /// Whether the type has a `-`: the module may be missing.
    pub(crate) may_be_missing: bool,
    pub(crate) fault: Option<Fault>,
}

impl Entry {
    /// The module, if the entry calls one.
    pub fn module(&self) -> Option<&Module> {
        match &self.call {
            Call::Module(module) => Some(module),
            Call::Failure | Call::Substack => None,
        }
    }
}

/// What libpam cannot parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `auht required …` is taken for auth, and fails.
    UnknownType(String),
    /// `requierd`, `[success=okay]`: every return code is bad, that of a success too.
    UnknownControl(String),
    /// `[success=ok default=bad pam_oath.so`: the rest of the line is a part of the control.
    OpenBracket,
    NoControl,
    NoModule,
    /// An `include` or `substack` of a file that does not exist, or that can't be parsed to its end.
    BadInclude(String),
    /// An `@include` of a file that does not exist.
    MissingFile(String),
    /// `include`, `substack` or `@include` without a file.
    IncludeOfNothing,
    /// Files that include each other.
    Cycle,
    /// The last line ends with a backslash.
    UnfinishedLine,
}

/// A line for `account`, `password` or `session`.
#[derive(Clone, Debug)]
pub(crate) struct OtherLine {
    pub(crate) kind: &'static str,
    pub(crate) control: Control,
    /// Without its arguments.
    pub(crate) module: Module,
    pub(crate) place: Place,
}

/// The auth stack of a service.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The entries, included files in place.
    pub entries: Vec<Entry>,
    /// The lines that include another file with `include`.
    pub(crate) includes: Vec<Place>,
    /// Why `pam_start` fails: nobody gets in, by whatever module.
    pub(crate) broken: Option<(Fault, Place)>,
    /// The lines of other types in the service's own file and those that it includes whole.
    pub(crate) others: Vec<OtherLine>,
}

impl Stack {
    /// Whether `pam_start` succeeds.
    pub fn can_start(&self) -> bool {
        self.broken.is_none()
    }
}
