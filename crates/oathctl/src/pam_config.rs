//! The lines of the PAM configuration that name the module, and what they ask of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oath_core::options::Options;

use crate::check::stack::parse::{self, Configuration, OTHER, Root};
use crate::check::stack::{Action, Entry, Module, Place, ReturnCode, Stack};
use crate::error::Error;
use crate::output::printable;

/// A line of the PAM configuration that names the module.
pub(crate) struct ModuleLine {
    /// The service: the name of the file, or the first field of a line in `pam.conf`.
    pub(crate) service: String,
    /// The services whose stack has the line, sorted: that one, or those that include its file.
    pub(crate) services: Vec<String>,
    /// Its file and line.
    pub(crate) place: Place,
    /// The control as it is written: `required`, `[success=1 default=ignore]`.
    pub(crate) control: String,
    /// What the stack does if the user has no token.
    without_token: Action,
    /// Whether an argument names the usersfile.
    pub(crate) names_usersfile: bool,
    /// The module's arguments as they are written.
    pub(crate) arguments: String,
    /// The module's arguments, parsed.
    pub(crate) options: Options,
    /// What the module would warn about in them.
    pub(crate) warnings: Vec<String>,
}

impl ModuleLine {
    /// Whether the stack continues as if the module were not there when the user has no token.
    pub(crate) fn lets_unknown_users_pass(&self) -> bool {
        // `sufficient` continues after any refusal.
        let is_sufficient = self.control.eq_ignore_ascii_case("sufficient");
        !matches!(self.without_token, Action::Bad | Action::Die)
            && (self.options.null_ok || !is_sufficient)
    }
}

/// The file name of the module.
const MODULE: &[u8] = b"pam_oath.so";

/// Whether a line names the module.
pub(crate) fn is_pam_oath(module: &Module) -> bool {
    module.name() == MODULE
}

/// The module's arguments, parsed, and what it would warn about in them.
pub(crate) fn options(module: &Module) -> (Options, Vec<String>) {
    let arguments = module.arguments.iter();
    Options::parse(arguments.map(|argument| OsStr::from_bytes(argument)))
}

/// What the module returns for a user without a token.
pub(crate) fn without_token(options: &Options) -> ReturnCode {
    match options.null_ok {
        true => ReturnCode::IGNORE,
        false => ReturnCode::USER_UNKNOWN,
    }
}

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

/// Whether a file is only there for others to include: it has nothing but `auth`, or a name that
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
    name != OTHER && (is_name_of_part(name) || is_included && !has_all())
}

/// `common-auth` and the like: no program asks for a service of such a name.
fn is_name_of_part(name: &str) -> bool {
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

/// Whether a file is a copy that packagers, editors and people leave beside a service's: NAME with a suffix where
/// there is a NAME, and the suffixes of package managers also where there is none. `su-l` is no
/// backup of `su`.
fn is_backup(name: &str, names: &[String]) -> bool {
    let marks = [
        ".dpkg-", ".ucf-", ".rpmnew", ".rpmsave", ".rpmorig", ".pacnew", ".pacsave", ".pacorig",
        ".bak", ".orig", ".swp",
    ];
    let is_suffix = |suffix: &str| {
        let words = ["bak", "backup", "old", "orig", "save", "copy"];
        suffix.starts_with(['.', '~', '#', ','])
            || suffix.strip_prefix(['-', '_']).is_some_and(|rest| {
                rest.starts_with(|first: char| first.is_ascii_digit())
                    || words.iter().any(|word| rest.starts_with(word))
            })
    };
    name.starts_with(['.', '#'])
        || name.ends_with('~')
        || marks.iter().any(|mark| name.contains(mark))
        || names
            .iter()
            .any(|other| name.strip_prefix(other.as_str()).is_some_and(is_suffix))
}

/// Every line that names the module, sorted by its place.
pub(crate) fn module_lines(folder: Option<&Path>) -> Result<Vec<ModuleLine>, Error> {
    Ok(module_lines_of(&services(folder)?))
}

/// Every line of these services that names the module, sorted by its place.
pub(crate) fn module_lines_of(services: &[ServiceStack]) -> Vec<ModuleLine> {
    let mut module_lines: BTreeMap<Place, ModuleLine> = BTreeMap::new();
    for service in services {
        for entry in &service.stack.entries {
            let Some(module) = entry.module().filter(|module| is_pam_oath(module)) else {
                continue;
            };
            let found = module_lines
                .entry(entry.place.clone())
                .or_insert_with(|| module_line(entry, module));
            if !found.services.contains(&service.name) {
                found.services.push(service.name.clone());
            }
        }
    }
    let mut module_lines: Vec<ModuleLine> = module_lines.into_values().collect();
    for found in &mut module_lines {
        let own = found
            .place
            .file
            .file_name()
            .map(|name| name.to_string_lossy());
        let of_file = found
            .services
            .iter()
            .find(|name| own.as_deref() == Some(name));
        found.service = of_file.unwrap_or(&found.services[0]).clone();
        // Services that no program uses are named only where there is no other.
        let (parts, whole): (Vec<String>, Vec<String>) = std::mem::take(&mut found.services)
            .into_iter()
            .partition(|name| is_name_of_part(name));
        found.services = if whole.is_empty() { parts } else { whole };
    }
    module_lines
}

fn module_line(entry: &Entry, module: &Module) -> ModuleLine {
    let (options, warnings) = options(module);
    let arguments: Vec<String> = module
        .arguments
        .iter()
        .map(|argument| printable(argument))
        .collect();
    ModuleLine {
        service: String::new(),
        services: Vec::new(),
        place: entry.place.clone(),
        control: printable(entry.control_text.as_bytes()),
        without_token: entry.control.action(without_token(&options)),
        names_usersfile: arguments.iter().any(|it| it.starts_with("usersfile=")),
        arguments: arguments.join(" "),
        options,
        warnings,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these services, which goes with the first value.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn lines_with_the_module_are_found_as_libpam_reads_them() {
        let text = "# auth required pam_oath.so usersfile=/no\n\
                    -auth [success=ok user_unknown=ignore] \\\n  pam_oath.so \\\n  usersfile=/a window=30 # x\n\
                    auth\trequired\t/opt/lib/pam_oath.so [usersfile=/with space]\n\
                    auth required pam_oath.so.old usersfile=/no";
        let folder = folder(&[("sshd", text)]);
        let found: Vec<_> = module_lines(Some(folder.path()))
            .unwrap()
            .into_iter()
            .map(|found| {
                let usersfile = found.options.usersfile.to_string_lossy().into_owned();
                (
                    found.place.line,
                    found.control,
                    usersfile,
                    found.options.window,
                )
            })
            .collect();
        let brackets = "[success=ok user_unknown=ignore]";
        assert_eq!(
            found,
            [
                (2, brackets.into(), "/a".into(), 30),
                (5, "required".into(), "/with space".into(), 5),
            ]
        );
    }

    #[test]
    fn in_pam_conf_the_service_stands_first() {
        let text = b"su auth required pam_oath.so\nOTHER auth required pam_deny.so\n";
        let read = |_: &Path| Some(text.to_vec());
        let configuration = Configuration {
            root: Root::File("/etc/pam.conf".into()),
            read: &read,
        };
        assert_eq!(configuration.services_in_file(), ["other", "su"]);
        let stack = |service| configuration.stack(service).entries;
        assert!(is_pam_oath(stack("su")[0].module().unwrap()));
        assert_eq!(stack("login")[0].place.line, 2);
    }

    #[test]
    fn a_line_is_that_of_every_service_whose_stack_has_it() {
        let folder = folder(&[
            ("common-auth", "auth required pam_oath.so\n"),
            ("login-auth", "-auth substack common-auth\n"),
            ("login", "auth include login-auth\n"),
            ("sshd", "@include common-auth\n"),
            (
                "su",
                "auth required pam_unix.so\naccount include common-auth\n",
            ),
        ]);
        let module_lines = super::module_lines(Some(folder.path())).unwrap();
        assert_eq!(module_lines.len(), 1);
        assert_eq!(
            module_lines[0].place.file,
            folder.path().join("common-auth")
        );
        assert_eq!(module_lines[0].services, ["login", "login-auth", "sshd"]);
    }

    #[test]
    fn a_file_that_another_includes_is_a_service_and_a_backup_is_none() {
        let line = "auth required pam_oath.so\n";
        let folder = folder(&[
            ("su", line),
            ("su-l", "auth include su\n"),
            ("su.2026-01-02", line),
            ("su.pacsave", line),
            ("su.bak-before", line),
            ("su_20260102", line),
            ("su-old", line),
            ("su~", line),
            ("gone.dpkg-old", line),
        ]);
        let module_lines = super::module_lines(Some(folder.path())).unwrap();
        let services: Vec<_> = module_lines
            .iter()
            .map(|found| &found.services[..])
            .collect();
        assert_eq!(services, [["su", "su-l"]]);
    }

    #[test]
    fn a_line_outside_of_the_folder_is_found_where_a_service_includes_it() {
        let outside = folder(&[("otp", "auth required pam_oath.so usersfile=/a\n")]);
        let otp = outside.path().join("otp");
        let service = format!("@include {}\n", otp.display());
        let folder = folder(&[("sshd", &service)]);
        let module_lines = super::module_lines(Some(folder.path())).unwrap();
        assert_eq!(module_lines[0].place.file, otp);
        assert_eq!(
            (&*module_lines[0].service, &*module_lines[0].services),
            ("sshd", &["sshd".to_owned()][..])
        );
    }
}
