//! Lines that mean the module and do not reach it: a misspelt file name, or a type in which it has no
//! function.

use super::super::finding::{Finding, Severity};
use super::super::stack::modules::{self, Role};
use super::super::stack::{Action, Control, Module, OtherLine, Place, ReturnCode};
use super::edit::{Edit, distance};
use super::installed::InstalledModules;
use super::without_carriage_return;
use crate::output::printable;
use crate::pam_config::{MODULE, ServiceStack, is_pam_oath};

/// Everything of this kind in these services; a line that several services have counts once.
pub(super) fn check(services: &[ServiceStack], installed: &InstalledModules) -> Vec<Finding> {
    let mut found: Vec<(&Place, Finding)> = Vec::new();
    let mut add = |place, finding| {
        if !found.iter().any(|(known, _)| *known == place) {
            found.push((place, finding));
        }
    };
    for service in services {
        for entry in &service.stack.entries {
            let is_meant = |module: &&Module| is_misspelt(module, installed);
            if let Some(module) = entry.module().filter(is_meant) {
                let finding = misspelt(&entry.place, module, &entry.control);
                add(&entry.place, finding);
            }
        }
        for line in &service.stack.others {
            let is_meant = is_pam_oath(&line.module) || is_misspelt(&line.module, installed);
            if is_meant {
                add(&line.place, of_another_type(line));
            }
        }
    }
    found.into_iter().map(|(_, finding)| finding).collect()
}

/// Whether the name is close to the module's, and that of no other module.
fn is_misspelt(module: &Module, installed: &InstalledModules) -> bool {
    const MOST_TYPOS: usize = 2;
    /// They are as close, and other people's.
    const OTHERS: [&str; 2] = ["pam_oauth2.so", "pam_auth.so"];
    let module = without_carriage_return(module);
    let name = String::from_utf8_lossy(module.name()).to_lowercase();
    let name = name.strip_prefix("lib").unwrap_or(&name);
    let stem = name.split('.').next().unwrap_or_default();
    let is_close = distance(stem, "pam_oath") <= MOST_TYPOS || stem == "oath";
    is_close
        && !is_pam_oath(&module)
        && !OTHERS.contains(&name)
        && matches!(modules::role(&module), Role::Unknown)
        && !installed.has(&module)
}

fn misspelt(place: &Place, module: &Module, control: &Control) -> Finding {
    let consequence = match control.action(ReturnCode::MODULE_UNKNOWN) {
        Action::Ignore | Action::Jump(_) => "asks for no code",
        _ => "lets nobody in",
    };
    let path = String::from_utf8_lossy(&module.path);
    let name = String::from_utf8_lossy(module.name());
    let meant = String::from_utf8_lossy(MODULE);
    let edit = Edit::replace(place, &name, &meant);
    Finding::of_line(
        Severity::Error,
        place,
        format!(
            "names {}, where {meant} may be meant: without such a module the line {consequence}",
            printable(path.as_bytes())
        ),
        format!("run {}", edit.command()),
    )
}

fn of_another_type(line: &OtherLine) -> Finding {
    let OtherLine { kind, place, .. } = line;
    let fails = match *kind {
        "account" => "so nobody gets in",
        "password" => "so nobody can change a password",
        _ => "so no session begins",
    };
    let (severity, consequence) = match line.control.action(ReturnCode::MODULE_UNKNOWN) {
        Action::Ignore | Action::Jump(_) => (Severity::Warning, "and libpam passes over the line"),
        _ => (Severity::Error, fails),
    };
    Finding::of_line(
        severity,
        place,
        format!("is a line for {kind}, where no module of this name has a function, {consequence}"),
        format!(
            "run {}; the line for the code begins with auth",
            Edit::Remove(place.clone()).command()
        ),
    )
}
