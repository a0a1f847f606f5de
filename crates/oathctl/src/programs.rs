//! Runs the system's own programs.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oath_core::sys;

/// Runs a program and returns its standard output, or if it failed, its standard error; `None` if
/// it is not installed.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Option<Result<String, String>> {
    let search_path = search_path();
    let output = Command::new(find(program, &search_path)?)
        .args(arguments)
        .env("PATH", &search_path)
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

/// Where the system's programs are, NixOS' among them, and those that root has added.
const FOLDERS: [&str; 7] = [
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/run/current-system/sw/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// The folders that programs are run from. Root's PATH may be another user's after su, and a link
/// in one of its folders can lead elsewhere by the time the program is run, so root uses the
/// system's folders alone.
pub(crate) fn search_path() -> OsString {
    let of_caller = match sys::effective_user() {
        0 => OsString::new(),
        _ => std::env::var_os("PATH").unwrap_or_default(),
    };
    let of_caller = std::env::split_paths(&of_caller).filter(|folder| folder.is_absolute());
    let folders = of_caller.chain(FOLDERS.map(PathBuf::from));
    std::env::join_paths(folders).expect("folders that were split at colons")
}

fn find(program: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
}
