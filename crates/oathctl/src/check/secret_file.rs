//! Checks a user's own file of Google's PAM module.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oath_core::fs;
use oath_core::google::format::{Document, Name};
use oath_core::google::options::Options;
use oath_core::google::secret_file;

use super::finding::{Finding, Severity};
use super::stack::modules::Role;
use super::stack::{Module, ReturnCode};
use crate::secret::MIN_LENGTH;
use crate::secret_file::{Line, malformed};

/// What a line of Google's module, or of the one in its place, does in a login.
pub(super) fn role(module: &Module) -> Role {
    let arguments = module.arguments.iter();
    match Options::parse(arguments.map(|argument| OsStr::from_bytes(argument))) {
        // It denies everybody.
        Err(_) => Role::Returns(&[ReturnCode::AUTH_ERR]),
        Ok(options) => Role::Code {
            without_token: match options.null_ok {
                true => ReturnCode::IGNORE,
                false => ReturnCode::AUTH_ERR,
            },
            usersfile: options.secret.as_bytes().to_vec(),
            needs_authtok: options.use_first_pass,
        },
    }
}

/// What is wrong with the user's file, and what is weak.
pub(super) fn check(line: &Line, user: Option<&OsStr>) -> Vec<Finding> {
    let template = Path::new(&line.options.secret);
    if user.is_none() {
        return vec![Finding::new(
            Severity::Note,
            template,
            "stands for a file of each user",
            "oathctl check USER looks at one of them",
        )];
    }
    let file = match line.file(user) {
        Ok(file) => file,
        Err(error) => {
            let problem = format!("is no file that can be used: {error}");
            return vec![Finding::new(Severity::Error, template, problem, "")];
        }
    };
    match file.read(&line.options) {
        Ok(document) => check_document(&document, file.path(), line),
        Err(secret_file::Error::File(fs::Error::Missing(_))) => vec![match line.options.null_ok {
            true => Finding::new(
                Severity::Warning,
                file.path(),
                "does not exist, so the user is asked for no code (nullok)",
                "enrol the user with oathctl add, or remove nullok from the line",
            ),
            false => Finding::new(
                Severity::Error,
                file.path(),
                "does not exist, so the user cannot log in",
                "enrol the user with oathctl add",
            ),
        }],
        Err(error) => vec![Finding::new(
            Severity::Error,
            file.path(),
            format!("cannot be used: {error}"),
            "",
        )],
    }
}

fn check_document(document: &Document, path: &Path, line: &Line) -> Vec<Finding> {
    let options = &line.options;
    let finding =
        |severity, problem: &str, advice: &str| Finding::new(severity, path, problem, advice);
    let mut findings = Vec::new();
    match document.secret() {
        None => findings.push(
            finding(
                Severity::Error,
                "is no secret in base32, so the user cannot log in",
                "the first line is the secret alone; nothing may stand above it",
            )
            .at_line(1),
        ),
        Some(secret) if secret.len() < MIN_LENGTH => findings.push(
            finding(
                Severity::Warning,
                "the secret has fewer than 128 bits, the least that RFC 4226 allows",
                "enrol the user anew: google-authenticator",
            )
            .at_line(1),
        ),
        Some(_) => {}
    }
    findings.extend(malformed(document).map(|malformed| {
        let problem = malformed.to_string();
        finding(
            Severity::Error,
            &problem,
            "correct the line; until then the user cannot log in with codes of the token",
        )
        .at_line(malformed.line)
    }));
    let is_by_event = document.hotp_counter().is_some();
    let is_by_time = document.has_totp() && !is_by_event;
    if !is_by_event && !is_by_time {
        findings.push(match document.commented_totp() {
            Some(line) => finding(
                Severity::Error,
                "TOTP_AUTH stands in a comment, so only scratch codes are good; Google's module \
                 takes it for an option all the same",
                "let the line begin with the quotation mark",
            )
            .at_line(line),
            None => finding(
                Severity::Error,
                "has neither TOTP_AUTH nor HOTP_COUNTER, so only scratch codes are good",
                "for a phone add the line \" TOTP_AUTH",
            ),
        });
    }
    if is_by_time && !document.has(Name::DisallowReuse) && !options.disallow_reuse {
        findings.push(finding(
            Severity::Warning,
            "has no DISALLOW_REUSE, so a code is good again for whoever saw it typed",
            "add the line \" DISALLOW_REUSE, or disallow_reuse to the module's arguments for \
             everybody",
        ));
    }
    if !document.has(Name::RateLimit) && options.throttle.is_none() {
        findings.push(finding(
            Severity::Warning,
            "has no RATE_LIMIT, so nothing slows a guesser down",
            "add the line \" RATE_LIMIT 3 30, or throttle=SECONDS to the module's arguments for \
             everybody",
        ));
    }
    findings.extend(document.dead_scratch_codes().into_iter().map(|line| {
        finding(
            Severity::Warning,
            "is no scratch code that can be used: another line stands above that is neither an \
             option nor a scratch code",
            "move that line to the end of the file",
        )
        .at_line(line)
    }));
    findings
}
