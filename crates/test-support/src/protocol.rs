//! What the tests and the login process say to each other: one line of JSON with the logins to
//! run at the same moment, one line with their outcomes.
//!
//! Bytes that a person typed or a module left are arrays, not strings: they need not be UTF-8.

use serde::{Deserialize, Serialize};

pub const STACKED_AUTHTOK: &str = "STACKED_AUTHTOK";
/// Which file stands in place of /etc/localtime.
pub const LOCALTIME: &str = "PAM_LOGIN_LOCALTIME";
pub const AUTHTOK_AFTERWARDS: &str = "AUTHTOK_AFTERWARDS";

#[derive(Debug, Deserialize, Serialize)]
pub struct Request {
    pub logins: Vec<Login>,
    /// Whether to say when ready, with an empty line, and wait for one before the logins begin.
    pub gated: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Login {
    pub confdir: String,
    pub service: String,
    /// `None`: the application does not know yet who logs in, the module has to ask.
    pub user: Option<Vec<u8>>,
    /// Answers to the prompts in turn, the last one again and again. `None` is a conversation that
    /// succeeds without a string.
    pub responses: Vec<Option<Vec<u8>>>,
    /// What happens at each prompt before the answer, in the shell's words.
    pub at_prompt: Option<String>,
    /// What the clock shows from then on.
    pub clock_at_prompt: Option<Clock>,
    /// What the conversation itself returns, a PAM return code.
    pub conversation: i32,
    /// PAM_AUTHTOK as a module earlier in the stack set it.
    pub stacked: Option<Vec<u8>>,
    pub rhost: Option<Vec<u8>>,
    pub tty: Option<String>,
    /// The flags of pam_authenticate.
    pub flags: i32,
    pub clock: Clock,
}

/// The time that a login sees.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Clock {
    Real,
    /// These seconds since 1970, however long the login takes.
    Held(i64),
    /// None: whoever asks gets an error, as from a system call that a sandbox forbids.
    Broken,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Outcome {
    pub rc: i32,
    /// What pam_setcred said, asked after a success only, as applications do.
    pub setcred: Option<i32>,
    pub prompts: Vec<Prompt>,
    /// PAM_AUTHTOK as a module later in the stack finds it.
    pub authtok: Option<Vec<u8>>,
    pub log: Vec<LogLine>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Prompt {
    /// PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_ERROR_MSG or PAM_TEXT_INFO.
    pub style: i32,
    pub text: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogLine {
    /// Facility and level, as syslog(3) takes them.
    pub priority: i32,
    /// As it stands in the log, with the prefix that libpam puts before it.
    pub text: String,
}
