//! Whether a login can replace the usersfile; if not, every login is denied.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx};

/// What prevents a file from being replaced, so that no login can record what was used.
pub(crate) struct Obstacle {
    /// The file, or its folder.
    pub(crate) place: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A mount point cannot be renamed over.
    Mounted,
    /// `chattr +i` or `+a`.
    Attribute,
    ReadOnly,
}

impl Obstacle {
    /// What prevents the file that the path leads to from being replaced, where the module may record
    /// what was used in a journal (`readonly_ok=`) or not.
    pub(crate) fn find(path: &Path, has_journal: bool) -> Option<Obstacle> {
        let path = fs::canonicalize(path).ok()?;
        let folder = path.parent()?.to_owned();
        let attributes = |path: &Path| {
            let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
            stat.map_or(StatxAttributes::empty(), |stat| stat.stx_attributes)
        };
        let forbids = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        // A file of a read-only system may have such an attribute as well, and is not asked for it.
        let is_read_only =
            statvfs(&folder).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
        if is_read_only {
            let kind = Kind::ReadOnly;
            return (!has_journal).then_some(Obstacle { place: path, kind });
        }
        for place in [&folder, &path] {
            if attributes(place).intersects(forbids) {
                return Some(Obstacle {
                    place: place.clone(),
                    kind: Kind::Attribute,
                });
            }
        }
        let is_mounted = attributes(&path).contains(StatxAttributes::MOUNT_ROOT);
        is_mounted.then_some(Obstacle {
            place: path,
            kind: Kind::Mounted,
        })
    }

    /// Continues after the place.
    pub(crate) fn problem(&self) -> &'static str {
        match self.kind {
            Kind::Mounted => {
                "is a file mounted by itself and can't be replaced, so no login can record what was \
                 used"
            }
            Kind::Attribute => {
                "has an attribute that forbids to change it (chattr), so no login can record what \
                 was used"
            }
            Kind::ReadOnly => "is on a read-only file system, so no login can record what was used",
        }
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> String {
        match &self.kind {
            Kind::Mounted => {
                "mount a folder with the file in it instead, such as /etc/oath, and write \
                              usersfile=/etc/oath/users.oath; readonly_ok= does not help here"
                    .to_owned()
            }
            Kind::Attribute => format!("run chattr -ia {}", self.place.display()),
            Kind::ReadOnly => {
                "write readonly_ok=FOLDER behind the module, with a folder that can be written; or \
                 name a file elsewhere with usersfile="
                    .to_owned()
            }
        }
    }
}
