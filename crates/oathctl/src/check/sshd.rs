//! Checks sshd's effective settings, as `sshd -T` prints them.

use std::collections::HashMap;

use super::finding::{Finding, Severity};
use crate::programs::output_of;

const PLACE: &str = "sshd";

/// The settings by name, both in lower case as `sshd -T` has them.
pub(super) struct Settings(HashMap<String, String>);

impl Settings {
    /// The effective settings; `None` if there is no sshd.
    pub(super) fn effective() -> Option<Result<Settings, Box<Finding>>> {
        Some(match output_of(PLACE, &["-T"])? {
            Ok(text) => Ok(Settings::parse(&text)),
            Err(stderr) => Err(Box::new(refused(&stderr))),
        })
    }

    fn parse(text: &str) -> Settings {
        Settings(
            text.lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|is| is == value)
    }

    /// Settings that prevent the prompt, and ways to log in without it. `asks` is whether the module
    /// prompts for the code itself instead of taking it from what was typed as the password.
    pub(super) fn check(&self, asks: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |severity, problem: String, advice: &str| {
            findings.push(Finding::new(severity, PLACE, problem, advice));
        };
        if self.is("usepam", "no") {
            add(
                Severity::Error,
                "UsePAM is no, so sshd asks for no code and checks passwords by itself".into(),
                &in_own_file("UsePAM yes"),
            );
            return findings;
        }
        let methods = self.methods();
        if asks && self.is("kbdinteractiveauthentication", "no") {
            add(
                Severity::Error,
                "KbdInteractiveAuthentication is no, so the question for the code is never asked"
                    .into(),
                &in_own_file("KbdInteractiveAuthentication yes"),
            );
        }
        if methods.is_empty() {
            if asks && self.is("passwordauthentication", "yes") {
                add(
                    Severity::Warning,
                    "PasswordAuthentication is yes: by that method sshd asks for one password \
                     and gives it as the answer to every prompt, also to that for the code"
                        .into(),
                    &(in_own_file("PasswordAuthentication no")
                        + "; passwords are asked for by keyboard-interactive as well"),
                );
            }
            if self.is("pubkeyauthentication", "yes") {
                add(
                    Severity::Note,
                    "who logs in with a public key is not asked for a code".into(),
                    "if they should be: AuthenticationMethods publickey,keyboard-interactive",
                );
            }
            return findings;
        }
        let (with_code, without_code): (Vec<&str>, Vec<&str>) =
            methods.into_iter().partition(|list| {
                list.split(',').any(|method| {
                    let method = method.split(':').next().unwrap_or_default();
                    method == "keyboard-interactive" || !asks && method == "password"
                })
            });
        if with_code.is_empty() {
            add(
                Severity::Error,
                format!(
                    "AuthenticationMethods {} has no keyboard-interactive, so nobody is asked \
                     for a code",
                    without_code.join(" ")
                ),
                &in_own_file("AuthenticationMethods publickey,keyboard-interactive"),
            );
        } else if !without_code.is_empty() {
            add(
                Severity::Warning,
                format!(
                    "AuthenticationMethods also takes {}, by which nobody is asked for a code",
                    without_code.join(" or ")
                ),
                "add ,keyboard-interactive to it, or remove it, and reload sshd",
            );
        }
        findings
    }

    /// Whether everybody who is asked for a code has shown a key or a ticket as well. A password
    /// that sshd asks for is checked by the same lines of PAM.
    pub(super) fn requires_key(&self) -> bool {
        let methods = self.methods();
        let shows_more = |list: &&str| {
            list.split(',').any(|method| {
                let method = method.split(':').next().unwrap_or_default();
                ["publickey", "hostbased", "gssapi-with-mic"].contains(&method)
            })
        };
        !methods.is_empty() && methods.iter().all(shows_more)
    }

    /// The alternatives of AuthenticationMethods; none if any method will do.
    fn methods(&self) -> Vec<&str> {
        match self.0.get("authenticationmethods").map(String::as_str) {
            None | Some("any") => Vec::new(),
            Some(lists) => lists.split_ascii_whitespace().collect(),
        }
    }
}

/// How to change a setting: the first value counts, and that of sshd_config stands below the
/// Include.
fn in_own_file(setting: &str) -> String {
    format!(
        "write {setting} in /etc/ssh/sshd_config.d/oath.conf and run sshd -t && systemctl reload \
         ssh; the first value counts, so in sshd_config Include must stand above others"
    )
}

/// Why `sshd -T` failed: the settings are wrong, or it lacks what only root can read or what its
/// service creates before it starts.
fn refused(said: &str) -> Finding {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().next().unwrap_or("it failed");
    let has = |text: &str| lines().any(|line| line.contains(text));
    let is_for_root = oath_core::sys::effective_user() != 0
        && (has("Permission denied") || has("no hostkeys available"));
    if is_for_root || has("Missing privilege separation directory") {
        return Finding::new(
            Severity::Note,
            "sshd",
            format!("cannot tell how sshd is set up: sshd -T says \"{first}\""),
            "as root, and where sshd is set up, it tells",
        );
    }
    Finding::new(
        Severity::Error,
        "sshd",
        format!("refuses its configuration, says \"{first}\", and does not start again with it"),
        "run sshd -t, and correct what it names",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sshd prints by default, with some settings changed.
    fn found(changed: &[(&str, &str)], asks: bool) -> Vec<(Severity, String)> {
        let defaults = [
            ("usepam", "yes"),
            ("kbdinteractiveauthentication", "yes"),
            ("passwordauthentication", "no"),
            ("pubkeyauthentication", "no"),
            ("authenticationmethods", "any"),
        ];
        let text: String = defaults
            .iter()
            .chain(changed)
            .map(|(name, value)| format!("{name} {value}\n"))
            .collect();
        Settings::parse(&text)
            .check(asks)
            .into_iter()
            .map(|finding| (finding.severity, finding.problem))
            .collect()
    }

    #[test]
    fn settings_that_ask_for_a_code_are_fine() {
        assert!(found(&[], true).is_empty());
        let lists = "publickey,keyboard-interactive:pam";
        assert!(found(&[("authenticationmethods", lists)], true).is_empty());
        // The code is typed behind the password.
        let password = [
            ("passwordauthentication", "yes"),
            ("kbdinteractiveauthentication", "no"),
        ];
        assert!(found(&password, false).is_empty());
    }

    #[test]
    fn settings_that_prevent_the_prompt_are_errors() {
        for (name, value) in [
            ("usepam", "no"),
            ("kbdinteractiveauthentication", "no"),
            ("authenticationmethods", "publickey password"),
        ] {
            let found = found(&[(name, value)], true);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0].0, Severity::Error, "{name}");
            assert!(found[0].1.to_lowercase().contains(name), "{found:?}");
        }
    }

    #[test]
    fn settings_that_bypass_the_prompt_are_warnings() {
        for (name, value) in [
            ("passwordauthentication", "yes"),
            (
                "authenticationmethods",
                "publickey publickey,keyboard-interactive",
            ),
        ] {
            let found = found(&[(name, value)], true);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0].0, Severity::Warning, "{name}");
        }
        assert_eq!(
            found(&[("pubkeyauthentication", "yes")], true)[0].0,
            Severity::Note
        );
    }
}
