//! Compares what is written for administrators with the code: the manual pages, README.md, docs/.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oath_core::options::Options;
use oath_core::usersfile::format::{Entry, MovingFactor};
use test_support::built_oathctl;
use test_support::codes::Generator;
use test_support::{NOON, Scene, program};

const MODULE_PAGE: &str = include_str!("../../man/pam_oath.8");
const FILE_PAGE: &str = include_str!("../../man/users.oath.5");
const TOOL_PAGE: &str = include_str!("../../man/oathctl.8");
const README: &str = include_str!("../../README.md");
const MAKEFILE: &str = include_str!("../../Makefile");

const SECRET: &str = "3132333435363738393031323334353637383930";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and everything like it.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let top = [
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    let top = top.map(|name| repository().join(name));
    docs.chain(top)
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The arguments that `Options::parse` has an arm for, with `=` if they take a value.
fn arguments_of_the_code() -> BTreeSet<String> {
    let code = include_str!("../../crates/oath-core/src/options.rs");
    let arms = code
        .split_once("match (name, value) {")
        .and_then(|(_, rest)| rest.split_once("unknown argument"))
        .expect("Options::parse looks as this test knows it")
        .0;
    let arms = arms
        .lines()
        .filter(|line| line.trim_start().starts_with("(b\""));
    arms.flat_map(|arm| {
        let equals = if arm.contains("Some(value)") { "=" } else { "" };
        let names = arm
            .split("b\"")
            .skip(1)
            .map(|rest| rest.split_once('"').unwrap().0);
        names.map(move |name| format!("{name}{equals}"))
    })
    .collect()
}

/// The argument that is documented as `window=N`, in the form of [`arguments_of_the_code`].
fn without_value(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, _)) => format!("{name}="),
        None => argument.into(),
    }
}

/// The section of a manual page with this title.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("\n.SH {title}\n"))
        .unwrap_or_else(|| panic!("a section {title}"));
    rest.split("\n.SH ").next().unwrap()
}

/// The lines between `.EX` and `.EE` of a manual page.
fn examples(page: &str) -> Vec<&str> {
    page.split("\n.EX\n")
        .skip(1)
        .flat_map(|rest| rest.split_once("\n.EE").expect("an end").0.lines())
        .map(str::trim)
        .collect()
}

#[test]
fn the_manual_page_names_every_argument_that_the_module_knows_and_no_other() {
    let options = section(MODULE_PAGE, "OPTIONS");
    let tags = options.split("\n.TP\n").skip(1);
    let documented: BTreeSet<String> = tags
        .map(|tag| {
            let tag = tag.lines().next().unwrap();
            let words = tag
                .strip_prefix(".BI ")
                .or(tag.strip_prefix(".B "))
                .unwrap();
            without_value(words)
        })
        .collect();
    assert_eq!(documented, arguments_of_the_code());
}

#[test]
fn the_readme_names_every_argument_that_the_module_knows_and_no_other() {
    let (_, rest) = README.split_once("\n## The arguments\n").unwrap();
    let table = rest.split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|row| {
            let arguments = row.split('|').nth(1).unwrap();
            arguments.split('`').skip(1).step_by(2).map(without_value)
        })
        .collect();
    assert_eq!(documented, arguments_of_the_code());
}

#[test]
fn the_manual_page_gives_the_defaults_of_the_code() {
    let defaults = Options::default();
    let options = section(MODULE_PAGE, "OPTIONS");
    assert!(options.contains(&format!("default {}.", defaults.window)));
    for path in [&defaults.usersfile, &defaults.throttle_folder] {
        let path = path.to_str().unwrap();
        assert!(
            options.contains(&format!("default\n.IR {path} .")),
            "{path}"
        );
        assert!(README.contains(&format!("default `{path}`")), "{path}");
    }
}

/// The PAM lines in a text that load the module.
fn pam_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("auth ") && line.contains(" pam_oath.so"))
}

/// The control of a PAM line, and the module's arguments.
fn control_and_arguments(line: &str) -> (&str, &str) {
    let (control, arguments) = line.split_once(" pam_oath.so").unwrap();
    (
        control.strip_prefix("auth ").unwrap().trim(),
        arguments.trim(),
    )
}

#[test]
fn the_module_knows_every_argument_on_the_pam_lines_that_are_shown() {
    let mut pages = documents();
    pages.push(("man/pam_oath.8".into(), MODULE_PAGE.into()));
    let mut seen = 0;
    for (path, text) in pages {
        for line in pam_lines(&text) {
            let (_, arguments) = control_and_arguments(line);
            let (_, warnings) = Options::parse(arguments.split_whitespace().map(OsStr::new));
            assert!(
                warnings.is_empty(),
                "{}: {line}: {warnings:?}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_pam_line_among_the_manual_pages_examples_lets_a_user_in_and_a_guesser_not() {
    let state = tempfile::tempdir().unwrap();
    let examples = examples(MODULE_PAGE).join("\n");
    let mut seen = 0;
    for line in pam_lines(&examples) {
        let (control, arguments) = control_and_arguments(line);
        let arguments = arguments.strip_prefix("usersfile=/etc/users.oath").unwrap();
        let throttle = state.path().join(seen.to_string());
        let scene = Scene::new()
            .usersfile(format!("HOTP/T30\talice\t+\t{SECRET}\n"))
            .control(control)
            .args(&format!("{arguments} throttle_dir={}", throttle.display()));
        let code = Generator::new(SECRET).code_at(NOON, 30, 0);
        assert_eq!(scene.login("alice").types(&code).rc, "SUCCESS", "{line}");
        let wrong = Generator::new(SECRET).code_at(NOON, 30, 2000);
        assert_ne!(scene.login("alice").types(wrong).rc, "SUCCESS", "{line}");
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn every_token_among_the_manual_pages_examples_logs_its_user_in() {
    let mut seen = 0;
    for line in examples(FILE_PAGE) {
        let Some(entry) = Entry::parse(line.as_bytes()) else {
            continue;
        };
        let mut token = Generator::new(SECRET).digits(entry.token_type.digits);
        if line.contains("/SHA256") {
            token = token.sha256();
        }
        let code = match entry.token_type.moving_factor {
            MovingFactor::Event | MovingFactor::BackupCodes { .. } => token.code(0),
            MovingFactor::Time { period } => token.code_at(NOON, period.into(), 0),
        };
        let pin = if entry.user == b"carol" { "1234" } else { "" };
        let scene = Scene::new()
            .usersfile(format!("{line}\n"))
            .args("forward_pass");
        let user = std::str::from_utf8(entry.user).unwrap();
        let outcome = scene.login(user).types(format!("{pin}{code}"));
        assert_eq!(outcome.rc, "SUCCESS", "{line}\n{}", outcome.log_text());
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn the_line_after_a_login_is_as_the_manual_page_shows_it() {
    let shown: Vec<&str> = examples(FILE_PAGE)
        .into_iter()
        .filter(|line| line.contains("alice"))
        .collect();
    let [before, after] = shown[..] else {
        panic!("alice before and after a login: {shown:?}");
    };
    let moment = NOON - 30;
    let scene = Scene::new().usersfile(format!("{before}\n")).at(moment);
    let code = Generator::new(SECRET).code_at(moment, 30, 0);
    assert_eq!(scene.login("alice").types(code).rc, "SUCCESS");
    assert_eq!(scene.usersfile_now().unwrap(), format!("{after}\n"));
}

/// What `oathctl ARGS --help` prints.
fn help(args: &[&str]) -> String {
    let help = Command::new(built_oathctl())
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    assert!(help.status.success(), "oathctl {args:?} --help");
    String::from_utf8(help.stdout).unwrap()
}

/// The commands of oathctl, but for `help`.
fn commands() -> BTreeSet<String> {
    let help = help(&[]);
    let (_, rest) = help.split_once("\nCommands:\n").unwrap();
    let list = rest.split("\n\n").next().unwrap();
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|command| command != "help")
        .collect()
}

/// The long names of the options that a help text lists, but for those every command has.
fn options_in_help(help: &str) -> BTreeSet<String> {
    help.lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--")))
        .filter(|option| !["--usersfile", "--help", "--version"].contains(option))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_manual_page_of_oathctl_names_every_command_and_option_and_no_other() {
    let page = TOOL_PAGE.replace("\\-", "-");
    let documented: Vec<(&str, &str)> = section(&page, "COMMANDS")
        .split(".SS ")
        .skip(1)
        .map(|part| part.split_once([' ', '\n']).unwrap())
        .collect();
    let names = documented.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(names.collect::<BTreeSet<String>>(), commands());
    for (command, text) in documented {
        let tags = text.split("\n.TP\n").skip(1);
        let options: BTreeSet<String> = tags
            .filter_map(|tag| {
                let mut words = tag.lines().next().unwrap().split([' ', '"', ',']);
                words.find(|word| word.starts_with("--")).map(str::to_owned)
            })
            .collect();
        assert_eq!(
            options,
            options_in_help(&help(&[command])),
            "oathctl {command}"
        );
    }
}

/// The exit codes that a help text lists.
fn exit_codes(help: &str) -> Vec<&str> {
    let (_, rest) = help.split_once("\nExit codes:\n").expect("exit codes");
    rest.lines()
        .filter_map(|line| line.strip_prefix("  ")?.get(..1))
        .filter(|code| code.chars().all(|digit| digit.is_ascii_digit()))
        .collect()
}

#[test]
fn the_help_of_every_command_leads_to_the_exit_codes_that_the_manual_page_has() {
    let documented: Vec<&str> = section(TOOL_PAGE, "EXIT STATUS")
        .lines()
        .filter_map(|line| line.strip_prefix(".B "))
        .collect();
    assert_eq!(exit_codes(&help(&[])), documented);
    for command in ["verify", "check", "import"] {
        let codes = help(&[command]);
        assert_eq!(exit_codes(&codes), ["0", "1", "2", "5"], "{command}");
    }
}

#[test]
fn every_oathctl_command_that_the_documents_and_manual_pages_name_exists() {
    let commands = commands();
    let mut seen = 0;
    let pages = [MODULE_PAGE, FILE_PAGE, TOOL_PAGE].map(|page| page.replace("\\-", "-"));
    let shown = pages
        .iter()
        .flat_map(|page| page.lines().map(str::to_owned));
    let code = documents().into_iter().flat_map(|(_, text)| {
        let code = text.split('`').skip(1).step_by(2);
        code.flat_map(str::lines)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    for line in shown.chain(code) {
        let line = line.trim().trim_start_matches(".B ");
        let word = line
            .strip_prefix("oathctl ")
            .map(|arguments| arguments.split(' ').next());
        let is_command = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        if let Some(command) = word.flatten().filter(is_command) {
            assert!(commands.contains(command), "{line}");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_make_target_and_script_that_the_documents_name_exists() {
    let rules = MAKEFILE
        .lines()
        .filter(|line| !line.starts_with(['\t', '.', '#']));
    let targets: Vec<&str> = rules
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(targets, _)| targets.split_whitespace())
        .collect();
    let mut seen = 0;
    for (path, text) in documents() {
        // Between backticks, in a line or as a block, stands code.
        for code in text.split('`').skip(1).step_by(2) {
            let words: Vec<&str> = code.split_whitespace().collect();
            for pair in words.windows(2).filter(|pair| pair[0] == "make") {
                assert!(targets.contains(&pair[1]), "{}: {code}", path.display());
                seen += 1;
            }
            for script in words.iter().filter(|word| word.starts_with("scripts/")) {
                assert!(repository().join(script).exists(), "{script}");
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    for (path, text) in documents() {
        for link in text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            if link.starts_with("https:") {
                continue;
            }
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{}: {link}", path.display());
        }
    }
}

/// The text of all Rust files below these folders.
fn code_of(folders: &[&str]) -> String {
    let mut folders: Vec<PathBuf> = folders.iter().map(|name| repository().join(name)).collect();
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                code += &fs::read_to_string(path).unwrap();
            }
        }
    }
    code
}

#[test]
fn every_test_and_file_that_security_md_names_as_a_proof_exists() {
    let code = code_of(&["src", "crates", "tests"]);
    let is_of_a_name =
        |letter: char| letter.is_ascii_lowercase() || "_…0123456789".contains(letter);
    let text = fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_suffix(" |"));
    let mut names = 0;
    for proof in rows.filter_map(|row| row.rsplit_once(" | ")) {
        for quoted in proof.1.split('`').skip(1).step_by(2) {
            if quoted.contains('/') {
                assert!(repository().join(quoted).exists(), "{quoted}");
            } else if quoted.chars().all(is_of_a_name) {
                let test = match quoted.strip_suffix('…') {
                    Some(beginning) => format!("fn {beginning}"),
                    None => format!("fn {quoted}("),
                };
                assert!(code.contains(&test), "{quoted}");
                names += 1;
            }
        }
    }
    assert!(names > 20, "{names} names of tests");
}

#[test]
#[ignore = "needs mandoc: run make test"]
fn mandoc_finds_no_fault_with_the_manual_pages() {
    let pages = fs::read_dir(repository().join("man")).unwrap();
    for page in pages.map(|entry| entry.unwrap().path()) {
        let lint = Command::new(program("mandoc", "mandoc"))
            .args(["-T", "lint"])
            .arg(&page)
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success() && found.is_empty(), "{found}");
    }
}

#[test]
#[ignore = "needs rsvg-convert: run make test"]
fn the_picture_of_the_readme_shows_something_in_a_viewer_without_animation() {
    let drawn = Command::new(program("rsvg-convert", "librsvg2-bin"))
        .arg("docs/login.svg")
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(drawn.status.success());
    // An empty terminal takes less than 4,000 bytes.
    assert!(drawn.stdout.len() > 20_000, "{} bytes", drawn.stdout.len());
}
