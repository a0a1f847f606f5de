//! A terminal in a machine, at which a person types.

use std::process::{Command, Stdio};

use rexpect::session::{PtySession, spawn_command};

use crate::machine::{Machine, PATIENCE};

/// A program at a terminal of its own.
pub struct Terminal(PtySession);

impl Terminal {
    /// Starts a program as `user`.
    pub fn of<const N: usize>(
        machine: &Machine,
        user: &str,
        program: &str,
        args: [&str; N],
    ) -> Self {
        let mut shell = match user {
            "root" => machine.command("sh"),
            _ => machine.command_as(user, "sh"),
        };
        // rexpect switches the echo off; a person's terminal has it on until a program that asks
        // for a secret switches it off.
        shell
            .args(["-c", "stty echo && exec \"$@\"", "sh", program])
            .args(args);
        Self::running(shell)
    }

    fn running(mut command: Command) -> Self {
        command.env("TERM", "linux").stdin(Stdio::inherit());
        let milliseconds = PATIENCE.as_millis().try_into().expect("it fits");
        Self(spawn_command(command, Some(milliseconds)).expect("a terminal"))
    }

    /// Waits for the prompt, types the answer, and returns what the terminal showed before.
    pub fn answer(&mut self, prompt: &str, answer: &str) -> String {
        let shown = self.wait_for(prompt);
        self.0.send_line(answer).expect("the terminal takes it");
        shown
    }

    /// Waits for a text and returns what the terminal showed before.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.0
            .exp_string(text)
            .unwrap_or_else(|error| panic!("{text:?} does not come: {error}"))
    }

    /// What the terminal showed from the last answer until the end.
    pub fn rest(mut self) -> String {
        self.0.exp_eof().expect("the program ends")
    }
}
