//! `oathctl` in a machine, and commands that an administrator types there.

use std::fs;

use crate::built_oathctl;
use crate::machine::Machine;

/// Where the machine has what others have in `/usr/local/bin`, which is not the machine's own.
pub const TOOLS: &str = "/run/tools";

/// Runs commands in a shell as root, `oathctl` among them, and returns what they printed.
pub fn type_in(machine: &Machine, commands: &str) -> String {
    let tool = fs::read(built_oathctl()).expect("the tool can be read");
    machine.run("mkdir", ["-p", TOOLS]);
    machine.install(&format!("{TOOLS}/oathctl"), tool, 0o755);
    machine.run("sh", ["-ec", &format!("PATH={TOOLS}:$PATH\n{commands}")])
}
