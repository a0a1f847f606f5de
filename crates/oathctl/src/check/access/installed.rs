//! Which PAM modules are installed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use oath_core::sys;

use super::super::stack::Module;

/// The folders of this system's PAM modules.
pub(super) struct InstalledModules {
    folders: Vec<PathBuf>,
    /// Whether the services that are checked are those of this system.
    is_own_system: bool,
}

impl InstalledModules {
    pub(super) fn find(is_own_system: bool) -> InstalledModules {
        let multiarch = sys::multiarch();
        let multiarch = ["/usr/lib", "/lib"].map(|lib| format!("{lib}/{multiarch}/security"));
        let plain =
            ["/usr/lib64", "/lib64", "/usr/lib", "/lib"].map(|lib| format!("{lib}/security"));
        InstalledModules {
            folders: multiarch
                .into_iter()
                .chain(plain)
                .map(PathBuf::from)
                .filter(|folder| folder.join("pam_permit.so").exists())
                .collect(),
            is_own_system,
        }
    }

    /// Whether a module's file is known to exist.
    pub(super) fn has(&self, module: &Module) -> bool {
        let path = PathBuf::from(OsString::from_vec(module.path.clone()));
        match path.is_absolute() {
            true => path.exists(),
            false => self.is_own_system && !self.lacks(module),
        }
    }

    /// Whether a module's file does not exist. For services of another system this is known only of
    /// an absolute path.
    pub(super) fn lacks(&self, module: &Module) -> bool {
        let path = PathBuf::from(OsString::from_vec(module.path.clone()));
        if path.is_absolute() {
            return !path.exists() && !path.to_string_lossy().contains("$ISA");
        }
        self.is_own_system
            && !self.folders.is_empty()
            && !self
                .folders
                .iter()
                .any(|folder| folder.join(&path).exists())
    }
}
