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

/// The rows of README's table of what happens with either module, each with the tests that show it.
const ROWS: [(&str, &[&str]); 17] = [
    (
        "several log in at once with one code",
        &[
            "a_totp_code_that_48_processes_try_at_once_is_accepted_once",
            "a_scratch_code_that_48_processes_try_at_once_is_accepted_once",
        ],
    ),
    (
        "several log in at once with different scratch codes",
        &[
            "forty_eight_scratch_codes_typed_at_once_all_open_and_none_is_left",
            "two_who_type_good_scratch_codes_at_their_prompts_both_get_in",
        ],
    ),
    (
        "a session waits at its prompt",
        &["a_secret_that_was_replaced_meanwhile_lets_nobody_in_and_stays_replaced"],
    ),
    (
        "codes that were used are typed again an hour later",
        &["keeps_used_codes_from_teaching_another_skew"],
    ),
    ("the clock goes back", &["outlives_a_clock_that_goes_back"]),
    ("wrong codes by counter", &["do_not_shut_the_owner_out"]),
    (
        "somebody keeps trying past `RATE_LIMIT`",
        &["is_not_prolonged_by_tries_that_it_refused"],
    ),
    (
        "a host name with a line feed",
        &["adds_no_line_that_a_host_made_up"],
    ),
    (
        "a commented-out `TOTP_AUTH`",
        &[
            "a_commented_out_option_is_off",
            "check_names_each_weakness_and_each_line_that_denies",
        ],
    ),
    (
        "a link, the mode or the group of the file",
        &[
            "keeps_its_mode",
            "is_what_a_link_leads_to",
            "keeps_an_option_that_stands_in_it_twice",
        ],
    ),
    (
        "a named pipe as the file",
        &["being_a_named_pipe_denies_at_once"],
    ),
    (
        "a dangling link, or an account that is not there",
        &[
            "being_a_link_to_nothing_is_no_lack_of_a_file",
            "nullok_lets_no_name_pass_that_has_no_account",
        ],
    ),
    (
        "a malformed `DISALLOW_REUSE` or `HOTP_COUNTER`",
        &["a_malformed_field_is_refused_with_file_line_and_field_in_the_log"],
    ),
    (
        "a crash while it writes",
        &["killed_while_it_writes_leaves_nothing_that_the_next_login_does_not_clean_up"],
    ),
    (
        "a scratch code with a password before it",
        &["a_scratch_code_is_one_before_its_end_is_taken_for_a_code"],
    ),
    (
        "`try_first_pass`, and a secret that is no base32",
        &["who_has_a_broken_file_is_asked_whatever_an_earlier_module_left"],
    ),
    (
        "a caller of su limits what its process may write",
        &["a_limit_that_lets_only_a_shorter_file_be_written_makes_no_guess_free"],
    ),
];

#[test]
fn every_row_of_the_table_of_what_happens_otherwise_has_its_test() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme
        .split_once("| what happens | Google's module | this module |\n")
        .unwrap();
    let rows: Vec<&str> = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("| "))
        .collect();
    assert_eq!(rows.len(), ROWS.len());
    let tests = [
        include_str!("../google/differences.rs"),
        include_str!("../google/limits.rs"),
        include_str!("../robustness/races.rs"),
        include_str!("secret_file.rs"),
    ]
    .concat();
    for (row, (start, names)) in rows.iter().zip(ROWS) {
        assert!(row[2..].starts_with(start), "{row}: {start}");
        for name in names {
            assert!(tests.contains(&format!("fn {name}()")), "{row}: {name}");
        }
    }
}
