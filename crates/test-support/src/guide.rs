//! A guide in `docs/`, followed step by step.

use std::fs;

use crate::machine::Machine;
use crate::root;
use crate::tool::{self, TOOLS};

/// One guide.
pub struct Guide {
    name: String,
    text: String,
}

impl Guide {
    pub fn named(name: &str) -> Self {
        let path = root().join("docs").join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            name: name.into(),
            text,
        }
    }

    /// The commands of the one step that has `text` in them.
    pub fn step(&self, text: &str) -> String {
        let blocks = self.text.split("```sh\n").skip(1);
        let commands = blocks.map(|block| block.split("```").next().unwrap_or_default());
        let found: Vec<&str> = commands
            .filter(|commands| commands.contains(text))
            .collect();
        match found[..] {
            [step] => step.into(),
            _ => panic!("{} has {} steps with {text:?}", self.name, found.len()),
        }
    }

    /// Does that step as root, and returns what it printed.
    pub fn follow(&self, machine: &Machine, text: &str) -> String {
        let step = self.step(text).replace("/usr/local/bin", TOOLS);
        // The machine has no init that could reload a service.
        let reload = "systemctl() { kill -HUP \"$(cat /run/sshd.pid)\"; }";
        tool::type_in(machine, &format!("{reload}\n{step}"))
    }
}
