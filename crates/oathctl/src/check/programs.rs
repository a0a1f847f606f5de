//! Runs the system's own programs.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oath_core::fs::is_trusted;

/// Runs a program and returns its standard output, or if it failed, its standard error; `None` if
/// it is not installed.
pub(super) fn output_of(program: &str, arguments: &[&str]) -> Option<Result<String, String>> {
    let output = Command::new(find(program)?)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.into_owned())
    })
}

/// Finds a program on PATH or in the folders of system programs. After su, root's PATH may be
/// another user's, so folders that others can write to are skipped.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_own = |folder: &PathBuf| {
        let metadata = std::fs::metadata(folder);
        metadata.is_ok_and(|found| is_trusted(found.uid()) && found.mode() & 0o022 == 0)
    };
    std::env::split_paths(&path)
        .filter(is_own)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(OsStr::new(program)))
        .find(|program| program.is_file())
}
