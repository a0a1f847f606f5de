//! Compares the manual pages of `pam_google_authenticator` and `google-authenticator` with the code.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use oath_core::google::options::Options;
use test_support::built_oathctl;

const MODULE_PAGE: &str = include_str!("../../man/pam_google_authenticator.8");
const COMMAND_PAGE: &str = include_str!("../../man/google-authenticator.1");
const GUIDE: &str = include_str!("../../docs/moving-from-google-authenticator.md");

/// The section of a manual page with this title.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n.SH {title}\n")).unwrap();
    rest.split("\n.SH ").next().unwrap()
}

/// The first line of each item of a section, without its macro.
fn items(section: &str) -> impl Iterator<Item = &str> {
    let items = section.split("\n.TP\n").skip(1);
    items.map(|item| item.lines().next().unwrap().split_once(' ').unwrap().1)
}

/// The arguments that `Options::parse` has an arm for, with `=` if they take a value.
fn arguments_of_the_code() -> BTreeSet<String> {
    let code = include_str!("../../crates/oath-core/src/google/options.rs");
    let (_, arms) = code.split_once("match (name, value) {").unwrap();
    let (arms, _) = arms.split_once("_ => return Err").unwrap();
    let arms = arms
        .lines()
        .filter(|line| line.trim_start().starts_with("(b\""));
    let names = arms.flat_map(|arm| {
        let equals = if arm.contains("Some(value)") { "=" } else { "" };
        let names = arm.split("b\"").skip(1);
        names.map(move |rest| format!("{}{equals}", rest.split_once('"').unwrap().0))
    });
    names.collect()
}

#[test]
fn the_modules_page_names_every_argument_that_it_knows_and_no_other() {
    let page = MODULE_PAGE.replace("\\-", "-");
    let documented: BTreeSet<String> = items(section(&page, "OPTIONS"))
        .flat_map(|item| item.split(" \", \" "))
        .map(|argument| match argument.split_once('=') {
            Some((name, _)) => format!("{name}="),
            None => argument.to_owned(),
        })
        .collect();
    assert_eq!(documented, arguments_of_the_code());
}

#[test]
fn the_module_knows_every_argument_on_the_lines_of_it_that_are_shown() {
    let page = MODULE_PAGE.replace("\\-", "-");
    let lines = page.lines().chain(GUIDE.lines());
    let arguments = lines.filter_map(|line| {
        let line = line.trim();
        let rest = line.split_once("pam_google_authenticator.so")?;
        line.starts_with("auth ").then_some(rest.1)
    });
    let mut seen = 0;
    for arguments in arguments {
        let parsed = Options::parse(arguments.split_whitespace().map(OsStr::new));
        assert!(parsed.is_ok(), "{arguments}: {parsed:?}");
        seen += 1;
    }
    assert!(seen > 2);
}

#[test]
fn the_commands_page_names_every_option_that_it_knows_and_no_other() {
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split([' ', ',', '"']);
        words
            .filter(|word| word.starts_with('-'))
            .map(str::to_owned)
            .collect()
    };
    let program = Path::new(built_oathctl()).with_file_name("google-authenticator");
    let help = Command::new(program).arg("-h").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.split_once("\nOptions:\n").unwrap().1;
    let options = options.split("\n\n").next().unwrap();
    let known: BTreeSet<String> = options
        .lines()
        .filter_map(|line| Some(line.trim_start()).filter(|line| line.starts_with('-')))
        .flat_map(|line| names(line.split("  ").next().unwrap()))
        .collect();
    let page = COMMAND_PAGE.replace("\\-", "-");
    let documented: BTreeSet<String> = items(section(&page, "OPTIONS")).flat_map(names).collect();
    assert_eq!(documented, known);
    assert!(known.len() > 30);
}

#[test]
fn the_modules_page_gives_the_defaults_of_the_code() {
    let defaults = Options::default();
    let options = section(MODULE_PAGE, "OPTIONS");
    for default in [&defaults.secret, &defaults.throttle_folder] {
        let default = format!("default\n.IR {} .", default.to_str().unwrap());
        assert!(options.contains(&default), "{default}");
    }
    assert!(options.contains(&format!("default {:04o}.", defaults.allowed_mode)));
}
