//! Whether ocserv uses the usersfile as well: by liboath, whose lock is not this project's.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Severity};

const FOLDERS: [&str; 3] = ["/etc/ocserv", "/usr/local/etc/ocserv", "/etc"];

/// The lines of ocserv's configuration that name the file.
pub(super) fn check(usersfile: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in FOLDERS {
        let config = Path::new(folder).join("ocserv.conf");
        // What only root may read is not known without root's rights.
        let Ok(text) = fs::read(&config) else {
            continue;
        };
        for (line, path) in otp_files(&String::from_utf8_lossy(&text)) {
            if is_same(&path, usersfile) {
                let finding = Finding::new(
                    Severity::Warning,
                    &config,
                    format!(
                        "names {} as well, and ocserv does not take this module's lock: a code may \
                         be good for both, and of two logins at once one may be refused",
                        usersfile.display()
                    ),
                    "let ocserv ask by PAM: auth = \"pam\", and the line with pam_oath.so in \
                     /etc/pam.d/ocserv",
                );
                findings.push(finding.at_line(line));
            }
        }
    }
    findings
}

/// The files behind `otp=`, with the numbers of their lines:
/// `auth = "plain[passwd=/etc/ocserv/ocpasswd,otp=/etc/users.oath]"`.
fn otp_files(text: &str) -> Vec<(usize, PathBuf)> {
    let mut files = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        if !matches!(key.trim(), "auth" | "enable-auth") {
            continue;
        }
        let Some((_, arguments)) = value.split_once('[') else {
            continue;
        };
        let arguments = arguments.split(']').next().unwrap_or_default();
        for argument in arguments.split(',') {
            let (name, file) = argument.split_once('=').unwrap_or_default();
            if name.trim() == "otp" {
                files.push((number, PathBuf::from(file.trim())));
            }
        }
    }
    files
}

fn is_same(path: &Path, usersfile: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    path == usersfile || real(path).is_some_and(|path| real(usersfile) == Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_behind_otp_is_found_wherever_it_stands() {
        let text = "# auth = \"plain[otp=/no]\"\n\
                    auth=\"plain[passwd=/etc/ocserv/ocpasswd,otp=/a]\"\n\
                    enable-auth = \"plain[ otp = /b , passwd=/c]\"\n\
                    auth = \"plain[passwd=/no]\"\n\
                    auth = \"pam\"\n\
                    [vhost:www.example.com]\n\
                    \tauth = plain[otp=/c]\n\
                    otp = /no\n";
        let found = [(2, "/a"), (3, "/b"), (7, "/c")];
        let found = found.map(|(line, path)| (line, PathBuf::from(path)));
        assert_eq!(otp_files(text), found);
    }
}
