//! Whether a login can replace the usersfile; if not, every login is denied.

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx};

use super::finding::{Finding, Severity};

/// What prevents the file that the path leads to from being replaced.
pub(super) fn check(path: &Path) -> Option<Finding> {
    let path = fs::canonicalize(path).ok()?;
    let folder = path.parent()?;
    let error = |place: &Path, problem: &str, advice: String| {
        let problem = format!("{problem}, so no login can record what was used: all are denied");
        Some(Finding::new(Severity::Error, place, problem, advice))
    };
    let attributes = |path: &Path| {
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
        stat.map_or(StatxAttributes::empty(), |stat| stat.stx_attributes)
    };
    if attributes(&path).contains(StatxAttributes::MOUNT_ROOT) {
        return error(
            &path,
            "is a file mounted by itself, which can't be replaced",
            format!(
                "mount the folder {} in its place; or write readonly_ok=FOLDER behind the module",
                folder.display()
            ),
        );
    }
    let forbids = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    for place in [&path, folder] {
        if attributes(place).intersects(forbids) {
            return error(
                place,
                "has an attribute that forbids to change it (chattr)",
                format!("run chattr -ia {}", place.display()),
            );
        }
    }
    let is_read_only =
        statvfs(folder).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only {
        return error(
            &path,
            "is on a read-only file system",
            "write readonly_ok=FOLDER behind the module, with a folder that can be written; or \
             name a file elsewhere with usersfile="
                .into(),
        );
    }
    None
}
