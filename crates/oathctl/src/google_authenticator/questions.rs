//! Questions on the terminal, or on standard input where that is none: scripts answer there.

use std::io::{self, IsTerminal};

use zeroize::Zeroizing;

use crate::error::Error;
use crate::output;
use crate::secret;
use crate::terminal::Terminal;

/// Where questions are asked.
pub(super) enum Questions {
    /// A person answers, and is asked again after an answer that is none.
    Terminal(Terminal),
    /// A script answers, a line to a question.
    Stdin,
}

impl Questions {
    pub(super) fn new() -> Result<Questions, Error> {
        match io::stdin().is_terminal() {
            true => Terminal::open("answer on standard input").map(Questions::Terminal),
            false => Ok(Questions::Stdin),
        }
    }

    /// Asks for a line.
    pub(super) fn ask(&self, question: &str) -> Result<Zeroizing<String>, Error> {
        match self {
            Questions::Terminal(terminal) => terminal.ask(question),
            Questions::Stdin => {
                output::print(&format!("{question}\n"))?;
                secret::line_of_stdin("answer")
            }
        }
    }

    /// Asks a question to be answered with y or n.
    pub(super) fn yes(&self, question: &str) -> Result<bool, Error> {
        loop {
            let answer = self.ask(&format!("{question} [y/n] "))?;
            match answer.to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.again("answer y or n")?,
            }
        }
    }

    /// Says what was wrong with an answer. Whoever is not there cannot be asked again.
    pub(super) fn again(&self, problem: &str) -> Result<(), Error> {
        match self {
            Questions::Terminal(_) => {
                output::error(problem);
                Ok(())
            }
            Questions::Stdin => Err(Error::failed(format!("{problem}; nothing was changed"))),
        }
    }
}
