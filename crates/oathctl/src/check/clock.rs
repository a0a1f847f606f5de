//! Whether the clock is synchronised, as timedatectl and chronyc report it.

use std::path::Path;

use super::finding::{Finding, Severity};
use crate::programs::output_of;

/// Whether the clock is synchronised, which codes by time depend on.
pub(super) fn check() -> Option<Finding> {
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
