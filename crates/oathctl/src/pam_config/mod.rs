//! The PAM configuration: the lines that name the module, and the services that have them.

mod services;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oath_core::login::CodeLength;
use oath_core::options::Options;

use crate::check::stack::modules::{self, Role};
use crate::check::stack::{Action, Entry, Module, Place, ReturnCode};
use crate::error::Error;
use crate::output::printable;
use services::is_name_of_part;
pub(crate) use services::{ServiceStack, root, services};

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
    /// Whether a later line of a service takes what is typed before the code for the password
    /// (`use_first_pass`), and no line before asks for it.
    pub(crate) rest_is_password: bool,
    /// Whether an argument names the usersfile.
    pub(crate) names_usersfile: bool,
    /// The module's arguments as they are written.
    pub(crate) arguments: String,
    /// The module's arguments, parsed.
    pub(crate) options: Options,
    /// What the module would warn about in them.
    pub(crate) warnings: Vec<String>,
    /// The names of those that are pam_google_authenticator's, and not warned about one by one.
    pub(crate) googles: Vec<String>,
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
pub(crate) const MODULE: &[u8] = b"pam_oath.so";

/// Whether a line names the module.
pub(crate) fn is_pam_oath(module: &Module) -> bool {
    module.name() == MODULE
}

/// The module's arguments, parsed, and what it would warn about in them.
pub(crate) fn options(module: &Module) -> (Options, Vec<String>) {
    let arguments = module.arguments.iter();
    let ours = arguments.filter(|argument| googles(argument).is_none());
    Options::parse(ours.map(|argument| OsStr::from_bytes(argument)))
}

/// The name of an argument that pam_google_authenticator has and this module has not.
fn googles(argument: &[u8]) -> Option<&'static str> {
    const NAMES: [&str; 9] = [
        "secret=",
        "user=",
        "grace_period=",
        "allowed_perm=",
        "no_increment_hotp",
        "no_strict_owner",
        "allow_readonly",
        "noskewadj",
        "echo-verification-code",
    ];
    NAMES.into_iter().find(|name| match name.ends_with('=') {
        true => argument.starts_with(name.as_bytes()),
        false => argument == name.as_bytes(),
    })
}

/// What the module returns for a user without a token.
pub(crate) fn without_token(options: &Options) -> ReturnCode {
    match options.null_ok {
        true => ReturnCode::IGNORE,
        false => ReturnCode::USER_UNKNOWN,
    }
}

/// Every line that names the module, sorted by its place.
pub(crate) fn module_lines(folder: Option<&Path>) -> Result<Vec<ModuleLine>, Error> {
    Ok(module_lines_of(&services(folder)?))
}

/// Every line of these services that names the module, sorted by its place.
pub(crate) fn module_lines_of(services: &[ServiceStack]) -> Vec<ModuleLine> {
    let mut module_lines: BTreeMap<Place, ModuleLine> = BTreeMap::new();
    for service in services {
        for (at, entry) in service.stack.entries.iter().enumerate() {
            let Some(module) = entry.module().filter(|module| is_pam_oath(module)) else {
                continue;
            };
            let found = module_lines
                .entry(entry.place.clone())
                .or_insert_with(|| module_line(entry, module));
            found.rest_is_password |= leaves_password(&service.stack.entries, at, &found.options);
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

/// Whether the line `at` takes the code off what is typed, and a later line has the rest for its
/// password.
fn leaves_password(entries: &[Entry], at: usize, options: &Options) -> bool {
    let is_password = |entry: &Entry| {
        let module = entry.module();
        module.is_some_and(|module| matches!(modules::role(module), Role::Password))
    };
    let takes_rest = |entry: &Entry| {
        let module = entry.module();
        module.is_some_and(|it| it.arguments.iter().any(|it| it == b"use_first_pass"))
    };
    options.code_length() != CodeLength::Whole
        && !entries[..at].iter().any(is_password)
        && entries[at + 1..]
            .iter()
            .any(|entry| is_password(entry) && takes_rest(entry))
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
        rest_is_password: false,
        names_usersfile: arguments.iter().any(|it| it.starts_with("usersfile=")),
        arguments: arguments.join(" "),
        options,
        warnings,
        googles: module
            .arguments
            .iter()
            .filter_map(|argument| googles(argument))
            .map(str::to_owned)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::check::stack::parse::{Configuration, Root};

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
            ("su-new", line),
            ("su_test", line),
            ("su~", line),
            ("su@before", line),
            ("su (copy)", line),
            ("suORIG", line),
            ("old.su", line),
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
