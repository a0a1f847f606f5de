//! What the system's programs report: sshd its settings, timedatectl and chronyc whether the clock
//! is synchronised.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oath_core::usersfile::is_trusted;

use super::finding::{Finding, Severity};

/// Runs a program and returns its standard output, or if it failed, its standard error; `None` if
/// it is not installed.
fn output_of(program: &str, arguments: &[&str]) -> Option<Result<String, String>> {
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

/// The effective settings of sshd; `None` if there is no sshd.
pub fn sshd_settings() -> Option<Result<String, Box<Finding>>> {
    output_of("sshd", &["-T"]).map(|output| output.map_err(|said| Box::new(refused(&said))))
}

/// Why `sshd -T` failed: the settings are wrong, or it lacks what only root can read or what its
/// service creates before it starts.
fn refused(said: &str) -> Finding {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().next().unwrap_or("it failed");
    let has = |text: &str| lines().any(|line| line.contains(text));
    let is_for_root = oath_core::sys::effective_user() != 0
        && (has("Permission denied") || has("no hostkeys available"));
    if is_for_root || has("Missing privilege separation directory") {
        return Finding::new(
            Severity::Note,
            "sshd",
            format!("cannot tell how sshd is set up: sshd -T says \"{first}\""),
            "as root, and where sshd is set up, it tells",
        );
    }
    Finding::new(
        Severity::Error,
        "sshd",
        format!("refuses its configuration, says \"{first}\", and does not start again with it"),
        "run sshd -t, and correct what it names",
    )
}

/// Whether the clock is synchronised, which codes by time depend on.
pub fn check_clock() -> Option<Finding> {
    let unsynchronised = |who: &str| {
        Some(Finding::new(
            Severity::Warning,
            "clock",
            format!("is not synchronised, says {who}, and codes by time depend on it"),
            "install and start chrony or systemd-timesyncd",
        ))
    };
    let ask_systemd = || {
        let said = output_of("timedatectl", &["show", "-p", "NTPSynchronized", "--value"])?.ok()?;
        match said.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    };
    let ask_chrony = || {
        let said = output_of("chronyc", &["-n", "tracking"])?.ok()?;
        let status = said.lines().find(|line| line.starts_with("Leap status"))?;
        Some(!status.contains("Not synchronised"))
    };
    let timesyncd = Path::new("/run/systemd/timesync/synchronized");
    match (ask_systemd(), ask_chrony()) {
        (Some(true), _) | (_, Some(true)) => None,
        _ if timesyncd.exists() => None,
        (_, Some(false)) => unsynchronised("chronyc tracking"),
        (Some(false), _) => unsynchronised("timedatectl"),
        (None, None) => Some(Finding::new(
            Severity::Note,
            "clock",
            "cannot tell whether it is synchronised: neither timedatectl nor chronyc answers",
            "codes by time need a clock that is right to some seconds",
        )),
    }
}
