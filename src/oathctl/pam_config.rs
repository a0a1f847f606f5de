//! The lines of the PAM configuration that name the module, and what they ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pam_oath::pam::Options;

use crate::error::Error;
use crate::output::printable;

/// A line of the PAM configuration that names the module.
pub struct Use {
    /// The service: the name of the file, or the first field of a line in `pam.conf`.
    pub service: String,
    /// The services whose stack has the line, sorted: that one, or those that include its file.
    pub services: Vec<String>,
    /// The file the line is in.
    pub file: PathBuf,
    /// The line's number, counted from 1; of a line that goes on, its first.
    pub line: usize,
    /// What becomes of the module's answer: `required`, `[success=1 default=ignore]`.
    pub control: String,
    /// The module's arguments as they are written.
    pub arguments: String,
    /// The module's arguments, understood.
    pub options: Options,
    /// What the module would warn of in them.
    pub warnings: Vec<String>,
}

impl Use {
    /// Whether the stack goes on as if nothing had been asked when the user has no token.
    pub fn lets_unknown_users_pass(&self) -> bool {
        if !self.control.starts_with('[') {
            return self.options.null_ok || self.control == "optional";
        }
        let value = match self.options.null_ok {
            true => "ignore",
            false => "user_unknown",
        };
        !matches!(self.action(value), None | Some("bad" | "die"))
    }

    /// Whether a wrong code leaves it to the other lines of the stack whether the user gets in.
    /// After a code that is right such a line may jump over one that denies; then it does not.
    pub fn lets_wrong_codes_pass(&self) -> bool {
        match self.action("auth_err") {
            Some(action) => {
                let success = self.action("success").unwrap_or_default();
                action == "ignore" && success.parse::<usize>().is_err()
            }
            None => ["optional", "sufficient"]
                .iter()
                .any(|word| self.control.eq_ignore_ascii_case(word)),
        }
    }

    /// What a control in square brackets does with a return value of the module.
    fn action(&self, value: &str) -> Option<&str> {
        let actions = self.control.strip_prefix('[')?.strip_suffix(']')?;
        let action = |value| {
            let mut pairs = actions
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == value)
        };
        let (_, action) = action(value).or_else(|| action("default"))?;
        Some(action)
    }
}

/// Finds every line that names the module: in `folder` if it is given, else where libpam looks,
/// which is the first of these that exists: `/etc/pam.d` (with `/usr/lib/pam.d` for what it
/// lacks) and `/etc/pam.conf`.
pub fn uses(folder: Option<&Path>) -> Result<Vec<Use>, Error> {
    if let Some(folder) = folder {
        return uses_in_folders(&[folder]);
    }
    let folders = ["/etc/pam.d", "/usr/lib/pam.d"].map(Path::new);
    if folders.iter().any(|folder| folder.is_dir()) {
        return uses_in_folders(&folders);
    }
    let file = Path::new("/etc/pam.conf");
    Ok(match read(file)? {
        Some(text) => uses_in_text(&text, file, None).0,
        None => Vec::new(),
    })
}

fn uses_in_folders(folders: &[&Path]) -> Result<Vec<Use>, Error> {
    let mut services: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::io(format!("read {}", folder.display())))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::io(format!("read {}", folder.display())))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = services.iter().any(|(service, _)| *service == name);
            if !hidden && !is_backup(&name) && entry.path().is_file() {
                services.push((name, entry.path()));
            }
        }
    }
    services.sort();
    let mut uses = Vec::new();
    let mut includes = BTreeMap::new();
    for (service, file) in services {
        if let Some(text) = read(&file)? {
            let (found, included) = uses_in_text(&text, &file, Some(&service));
            uses.extend(found);
            includes.insert(service, included);
        }
    }
    for found in &mut uses {
        found.services = services_of(&found.service, &includes);
    }
    Ok(uses)
}

/// The services whose stack has the lines of `file`, by what each file includes. A file that only
/// others include is no service of its own.
fn services_of(file: &str, includes: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let is_included = |name: &String| includes.values().flatten().any(|file| file == name);
    let reaches = |service: &String| {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![service];
        while let Some(name) = ahead.pop() {
            if name == file {
                return true;
            }
            if seen.insert(name) {
                ahead.extend(includes.get(name).into_iter().flatten());
            }
        }
        false
    };
    includes
        .keys()
        .filter(|service| !is_included(service) && reaches(service))
        .cloned()
        .collect()
}

/// What packagers and editors leave beside the file that counts.
fn is_backup(name: &str) -> bool {
    let marks = [
        ".dpkg-", ".ucf-", ".rpmnew", ".rpmsave", ".rpmorig", ".bak", ".orig", ".swp",
    ];
    name.starts_with('.') || name.ends_with('~') || marks.iter().any(|mark| name.contains(mark))
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text
            .map(Some)
            .map_err(Error::io(format!("read {}", file.display()))),
    }
}

/// pam.conf(5): `[service] type control module arguments`, `#` begins a comment, `\` at the end
/// goes on with the next line, `[` and `]` keep spaces together. Returns besides the names of the
/// files that the text includes into its `auth` stack.
fn uses_in_text(text: &[u8], file: &Path, service: Option<&str>) -> (Vec<Use>, Vec<String>) {
    let mut uses = Vec::new();
    let mut included = Vec::new();
    let name = |path: &[u8]| printable(path.rsplit(|&byte| byte == b'/').next().unwrap_or(path));
    for (number, line) in logical_lines(text) {
        let mut words = words(&line).into_iter().peekable();
        if words.peek().is_some_and(|word| word == b"@include") {
            included.extend(words.nth(1).map(|path| name(&path)));
            continue;
        }
        let service = match service {
            Some(service) => service.to_owned(),
            None => match words.next() {
                Some(word) => printable(&word),
                None => continue,
            },
        };
        let (Some(kind), Some(control), Some(module)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if !kind
            .strip_prefix(b"-")
            .unwrap_or(&kind)
            .eq_ignore_ascii_case(b"auth")
        {
            continue;
        }
        if [&b"include"[..], b"substack"]
            .iter()
            .any(|word| control.eq_ignore_ascii_case(word))
        {
            included.push(name(&module));
        }
        if name(&module) != "pam_oath.so" {
            continue;
        }
        let arguments: Vec<OsString> = words.map(OsString::from_vec).collect();
        let (options, warnings) = Options::parse(arguments.iter().map(OsString::as_os_str));
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| printable(argument.as_bytes()))
            .collect();
        uses.push(Use {
            arguments: arguments.join(" "),
            services: vec![service.clone()],
            service,
            file: file.to_owned(),
            line: number,
            control: printable(&control),
            options,
            warnings,
        });
    }
    (uses, included)
}

/// Lines without comments, those that go on joined, each with the number of its first.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or(b"");
        let (part, more) = match line.trim_ascii_end().strip_suffix(b"\\") {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, last)) => {
                last.push(b' ');
                last.extend_from_slice(part);
            }
            None => lines.push((number, part.to_vec())),
        }
        goes_on = more;
    }
    lines
}

/// Words apart by spaces or tabs. Brackets around a word keep it together; around the control
/// they are part of it, so that [`Use::control`] reads as it was written.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some(&first) = rest.first() {
        let end = if first == b'[' {
            rest.iter().position(|&byte| byte == b']').map(|at| at + 1)
        } else {
            rest.iter().position(u8::is_ascii_whitespace)
        };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        // The first three words are the type, the control and the module.
        let bracketed = word
            .strip_prefix(b"[")
            .and_then(|word| word.strip_suffix(b"]"));
        words.push(match bracketed {
            Some(inside) if words.len() > 2 => inside.to_vec(),
            _ => word.to_vec(),
        });
        rest = after.trim_ascii_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str, service: Option<&str>) -> Vec<(String, usize, String, String, u32)> {
        let (uses, _) = uses_in_text(text.as_bytes(), Path::new("/etc/pam.d/x"), service);
        uses.into_iter()
            .map(|found| {
                let usersfile = found.options.usersfile.to_string_lossy().into_owned();
                let window = found.options.window;
                (found.service, found.line, found.control, usersfile, window)
            })
            .collect()
    }

    #[test]
    fn lines_with_the_module_are_found_as_libpam_reads_them() {
        let text = "# auth required pam_oath.so usersfile=/no\n\
                    @include common-auth\n\
                    -auth [success=ok user_unknown=ignore] \\\n  pam_oath.so \\\n  usersfile=/a window=30 # x\n\
                    auth\trequired\t/opt/lib/pam_oath.so [usersfile=/with space]\n\
                    auth required pam_oath.so.old usersfile=/no";
        assert_eq!(
            uses(text, Some("sshd")),
            [
                (
                    "sshd".into(),
                    3,
                    "[success=ok user_unknown=ignore]".into(),
                    "/a".into(),
                    30
                ),
                ("sshd".into(), 6, "required".into(), "/with space".into(), 5),
            ]
        );
    }

    #[test]
    fn in_pam_conf_the_service_stands_first() {
        assert_eq!(
            uses("su auth required pam_oath.so\n", None),
            [(
                "su".into(),
                1,
                "required".into(),
                "/etc/users.oath".into(),
                5
            )]
        );
    }

    #[test]
    fn a_line_is_that_of_every_service_that_includes_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("common-auth", "auth required pam_oath.so\n"),
            ("login-auth", "-auth substack common-auth\n"),
            ("login", "auth include login-auth\n"),
            ("sshd", "@include common-auth\n"),
            (
                "su",
                "account include common-auth\naccount required pam_oath.so\n",
            ),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let uses = super::uses(Some(folder.path())).unwrap();
        assert_eq!(uses.len(), 1);
        assert_eq!(uses[0].file, folder.path().join("common-auth"));
        assert_eq!(uses[0].services, ["login", "sshd"]);
    }
}
