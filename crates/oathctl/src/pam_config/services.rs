//! Finds the services of the PAM configuration, and reads their stacks.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::check::stack::Stack;
use crate::check::stack::parse::{self, Configuration, OTHER, Root};
use crate::error::Error;

/// A service and its auth stack.
pub(crate) struct ServiceStack {
    pub(crate) name: String,
    pub(crate) stack: Stack,
    /// Whether it only exists to be included, and no program uses it as its service.
    pub(crate) is_part: bool,
}

/// The PAM configuration: in `folder` if it is given, else where libpam looks, which is the first
/// of these that exists: `/etc/pam.d` (with `/usr/lib/pam.d` for what it lacks) and
/// `/etc/pam.conf`.
pub(crate) fn root(folder: Option<&Path>) -> Root {
    if let Some(folder) = folder {
        return Root::Folders(vec![folder.to_owned()]);
    }
    let folders = ["/etc/pam.d", "/usr/lib/pam.d"].map(PathBuf::from);
    match folders.iter().any(|folder| folder.is_dir()) {
        true => Root::Folders(folders.into()),
        false => Root::File("/etc/pam.conf".into()),
    }
}

/// Every service with its stack, sorted by name.
pub(crate) fn services(folder: Option<&Path>) -> Result<Vec<ServiceStack>, Error> {
    let failure = RefCell::new(None);
    let read = |file: &Path| match read(file) {
        Ok(text) => text,
        Err(error) => {
            failure.borrow_mut().get_or_insert(error);
            None
        }
    };
    let configuration = Configuration {
        root: root(folder),
        read: &read,
    };
    let names = match &configuration.root {
        Root::Folders(folders) => names_in(folders)?,
        Root::File(_) => configuration.services_in_file(),
    };
    let mut services: Vec<ServiceStack> = names
        .into_iter()
        .map(|name| ServiceStack {
            stack: configuration.stack(&name),
            name,
            is_part: false,
        })
        .collect();
    if let Root::Folders(_) = configuration.root {
        for at in 0..services.len() {
            services[at].is_part = is_part(&services[at].name, &services, &configuration);
        }
    }
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(services),
    }
}

/// Whether a file only exists to be included: it has nothing but `auth`, or a name that
/// distributions give to such files.
fn is_part(name: &str, services: &[ServiceStack], configuration: &Configuration) -> bool {
    let Some(file) = configuration.file_of(name) else {
        return false;
    };
    let is_included = services
        .iter()
        .filter(|other| other.name != name)
        .any(|other| {
            other
                .stack
                .entries
                .iter()
                .any(|entry| entry.place.file == file)
        });
    let has_all = || (configuration.read)(&file).is_some_and(|text| parse::is_whole_service(&text));
    name != OTHER && (is_name_of_part(name) || is_included && !is_of_program(name) && !has_all())
}

/// Services of well-known programs, which are none to be included only, whatever their files have.
fn is_of_program(name: &str) -> bool {
    const NAMES: [&str; 24] = [
        "chfn",
        "chsh",
        "cockpit",
        "cron",
        "dovecot",
        "gdm-password",
        "imap",
        "kde",
        "lightdm",
        "login",
        "ocserv",
        "openvpn",
        "passwd",
        "polkit-1",
        "ppp",
        "proftpd",
        "remote",
        "samba",
        "sddm",
        "sshd",
        "su",
        "sudo",
        "vsftpd",
        "xrdp-sesman",
    ];
    NAMES.contains(&name)
}

/// `common-auth` and the like, which no program uses as its service.
pub(super) fn is_name_of_part(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "system-auth",
        "password-auth",
        "fingerprint-auth",
        "smartcard-auth",
        "postlogin",
        "system-login",
        "system-local-login",
        "system-remote-login",
        "system-services",
    ];
    name.starts_with("common-") || NAMES.contains(&name.trim_end_matches("-ac"))
}

/// The names of the files in these folders that are services.
fn names_in(folders: &[PathBuf]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for folder in folders {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::io(format!("read {}", folder.display())))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io(format!("read {}", folder.display())))?;
            if entry.path().is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    let is_service = |name: &&String| !is_backup(name, &names);
    Ok(names.iter().filter(is_service).cloned().collect())
}

/// Whether a file is a backup that a package manager, an editor or a person left: NAME with a suffix,
/// or `old.` before it, where there is a NAME, and the suffixes of package managers also where there
/// is none. `su-l` is no backup of `su`.
fn is_backup(name: &str, names: &[String]) -> bool {
    let marks = [
        ".dpkg-", ".ucf-", ".rpmnew", ".rpmsave", ".rpmorig", ".pacnew", ".pacsave", ".pacorig",
        ".bak", ".orig", ".swp",
    ];
    let words = [
        "bak", "backup", "before", "broken", "copy", "disabled", "inactive", "new", "off", "old",
        "org", "orig", "prev", "sav", "test", "tmp", "unused",
    ];
    let says_so = |text: &str| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.starts_with(word))
    };
    let is_suffix = |suffix: &str| match suffix.strip_prefix(['-', '_']) {
        Some(rest) => rest.starts_with(|first: char| first.is_ascii_digit()) || says_so(rest),
        None => suffix.starts_with(|first: char| !first.is_alphanumeric()) || says_so(suffix),
    };
    let is_of = |other: &String| {
        let (before, after) = (name.strip_suffix(&**other), name.strip_prefix(&**other));
        after.is_some_and(is_suffix)
            || before.is_some_and(|it| it.ends_with(['.', '-', '_']) && says_so(it))
    };
    name.starts_with(['.', '#'])
        || name.ends_with('~')
        || marks.iter().any(|mark| name.contains(mark))
        || names.iter().any(is_of)
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(file) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        text => text
            .map(Some)
            .map_err(Error::io(format!("read {}", file.display()))),
    }
}
