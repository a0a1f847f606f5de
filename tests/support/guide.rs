//! A guide in `docs/`, followed step by step.

use std::fs;
use std::path::Path;

use crate::machine::Machine;

/// Where the machine has what others have in `/usr/local/bin`, which is not the machine's own.
pub const TOOLS: &str = "/run/tools";

/// One guide.
pub struct Guide {
    name: String,
    text: String,
}

impl Guide {
    pub fn named(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
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
        let tool = fs::read(env!("CARGO_BIN_EXE_oathctl")).expect("the tool can be read");
        machine.run("mkdir", ["-p", TOOLS]);
        machine.install(&format!("{TOOLS}/oathctl"), tool, 0o755);
        // The machine has no init that could reload a service.
        let reload = "systemctl() { kill -HUP \"$(cat /run/sshd.pid)\"; }";
        let script = format!("PATH={TOOLS}:$PATH\n{reload}\n{step}");
        machine.run("sh", ["-ec", &script])
    }
}
