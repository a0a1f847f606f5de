//! What somebody types as a name: another spelling of an account's, a password, something long.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use test_support::codes::Generator;
use test_support::spelling::{SPELLINGS, with_spellings};
use test_support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

fn code(steps: i64) -> String {
    Generator::new(SECRET).code_at(NOON, 30, steps)
}

fn line(user: &str) -> String {
    format!("HOTP/T30/6\t{user}\t-\t{SECRET}\n")
}

/// Where the usersfile is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Plain,
    OfTheUser,
    InTheHome,
}

const PLACES: [Place; 3] = [Place::Plain, Place::OfTheUser, Place::InTheHome];

/// A machine where a name service takes all these spellings for alice.
struct Machine {
    scene: Scene,
    home: PathBuf,
    usersfile: PathBuf,
}

impl Machine {
    /// With alice's line in a file at this place.
    fn new(place: Place) -> Machine {
        let scene = Scene::new();
        let home = scene.folder().join("home-of-alice");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
        let (option, usersfile) = match place {
            Place::Plain => (scene.path().display().to_string(), scene.path()),
            Place::OfTheUser => (
                format!("{}/${{USER}}.oath", scene.folder().display()),
                scene.folder().join("alice.oath"),
            ),
            Place::InTheHome => ("${HOME}/users.oath".into(), home.join("users.oath")),
        };
        fs::write(&usersfile, line("alice")).unwrap();
        fs::set_permissions(&usersfile, Permissions::from_mode(0o600)).unwrap();
        if matches!(place, Place::InTheHome) {
            chown(&usersfile, Some(65534), Some(65534)).unwrap();
        }
        chown(&home, Some(65534), Some(65534)).unwrap();
        let scene = scene.usersfile_option(&format!("usersfile={option}"));
        let scene = with_spellings(scene, &home);
        Machine {
            scene,
            home,
            usersfile,
        }
    }

    /// With a first factor that everybody has, and the second for who is known.
    fn only_enrolled(self, args: &str) -> Machine {
        let first_factor = "required pam_permit.so\nauth ";
        self.control(&format!(
            "{first_factor}[success=ok user_unknown=ignore default=bad]"
        ))
        .args(args)
    }

    /// The same by the module's own argument.
    fn nullok(self, args: &str) -> Machine {
        self.control("required pam_permit.so\nauth required")
            .args(&format!("nullok {args}"))
    }

    fn control(self, control: &str) -> Machine {
        let scene = self.scene.control(control);
        Machine { scene, ..self }
    }

    fn args(self, args: &str) -> Machine {
        let scene = self.scene.args(args);
        Machine { scene, ..self }
    }

    fn name_service_goes_away(&self) {
        fs::write(format!("{}.away", self.home.display()), "").unwrap();
    }

    fn name_service_comes_back(&self) {
        fs::remove_file(format!("{}.away", self.home.display())).unwrap();
    }

    fn lines(&self) -> String {
        fs::read_to_string(&self.usersfile).unwrap()
    }
}

/// Each place, with both ways to leave alone who has no token.
fn machines(args: &str) -> impl Iterator<Item = (String, Machine)> {
    PLACES.into_iter().flat_map(move |place| {
        [
            (
                format!("{place:?}, user_unknown=ignore"),
                Machine::new(place).only_enrolled(args),
            ),
            (
                format!("{place:?}, nullok"),
                Machine::new(place).nullok(args),
            ),
        ]
    })
}

fn is_asked_and_refused(outcome: &Outcome) -> bool {
    outcome.rc == "AUTH_ERR" && outcome.prompts.len() == 1
}

#[test]
#[ignore = "needs root: run `make test`"]
fn every_spelling_of_a_user_is_asked_and_a_wrong_code_refused() {
    for (what, machine) in machines("") {
        for name in SPELLINGS {
            let outcome = machine.scene.login(name).types("000000");
            assert!(
                is_asked_and_refused(&outcome),
                "{what}, {name}: {outcome:#?}"
            );
        }
        assert_eq!(machine.lines(), line("alice"));
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_good_code_is_accepted_once_whatever_the_spelling_and_recorded_with_the_account_s_name() {
    for name in SPELLINGS {
        for (what, machine) in machines("") {
            let outcome = machine.scene.login(name).types(code(0));
            assert_eq!(outcome.rc, "SUCCESS", "{what}, {name}: {outcome:#?}");
            assert_eq!(outcome.prompts.len(), 1, "{what}, {name}");
            let log = outcome.log_text();
            assert!(log.contains("accepted; user=alice line=1\n"), "{log}");
            let recorded = format!("{}\t{}\t{}\t", line("alice").trim_end(), NOON / 30, code(0));
            let lines = machine.lines();
            assert!(lines.starts_with(&recorded), "{what}, {name}: {lines}");
            for other in SPELLINGS {
                let outcome = machine.scene.login(other).types(code(0));
                assert!(
                    is_asked_and_refused(&outcome),
                    "{what}, {other}: {outcome:#?}"
                );
            }
            assert_eq!(machine.lines(), lines);
        }
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_user_s_failures_count_together_whatever_the_spelling() {
    for place in PLACES {
        let machine = Machine::new(place);
        let folder = machine.scene.folder().join("throttle");
        let args = format!("throttle=1 throttle_dir={}", folder.display());
        let machine = machine.only_enrolled(&args);
        let names = SPELLINGS.iter().cycle();
        for (guess, name) in names.take(4).enumerate() {
            // Far enough from one another for each to be checked.
            let scene = machine.scene.twin("su").at(NOON + 3600 * guess as i64);
            let outcome = scene.login(name).types("000000");
            assert!(is_asked_and_refused(&outcome), "{outcome:#?}");
        }
        let soon = machine.scene.twin("sudo").at(NOON + 3600 * 3);
        for name in SPELLINGS {
            let good = Generator::new(SECRET).code_at(NOON + 3600 * 3, 30, 0);
            let outcome = soon.login(name).types(good);
            assert_eq!(outcome.rc, "AUTH_ERR", "{name}: {outcome:#?}");
            let log = outcome.log_text();
            assert!(log.contains("4 failures; the next answer"), "{name}: {log}");
        }
        let state = fs::read_dir(&folder).unwrap();
        let state: Vec<_> = state.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(state, ["throttle-alice"]);
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn while_the_name_service_is_away_nobody_is_unknown() {
    for (what, machine) in machines("") {
        machine.name_service_goes_away();
        for name in SPELLINGS.into_iter().chain(["mallory"]) {
            let is_found = name == "alice" && !what.starts_with("InTheHome");
            let outcome = machine.scene.login(name).types("000000");
            assert_eq!(outcome.rc, "AUTH_ERR", "{what}, {name}: {outcome:#?}");
            if !is_found {
                let outcome = machine.scene.login(name).types(code(0));
                assert_eq!(outcome.rc, "AUTH_ERR", "{what}, {name}: {outcome:#?}");
            }
        }
        machine.name_service_comes_back();
        assert_eq!(machine.scene.login("ALICE").types(code(0)).rc, "SUCCESS");
    }
    for place in PLACES {
        let machine = Machine::new(place);
        machine.name_service_goes_away();
        let rc = machine.scene.login("mallory").types(code(0)).rc;
        assert_eq!(rc, "AUTH_ERR", "{place:?}");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn who_is_no_account_and_has_no_line_is_unknown() {
    for place in PLACES {
        let machine = Machine::new(place);
        for name in ["mallory", "alice@elsewhere", "CORP\\mallory"] {
            let outcome = machine.scene.login(name).types(code(0));
            // Where each user has a file, one that is not there need not be the user's fault.
            let rc = match place {
                Place::OfTheUser => "AUTH_ERR",
                Place::Plain | Place::InTheHome => "USER_UNKNOWN",
            };
            assert_eq!(outcome.rc, rc, "{place:?}, {name}: {outcome:#?}");
        }
        let machine = machine.nullok("");
        for name in ["mallory", "alice@elsewhere", "CORP\\mallory"] {
            let outcome = machine.scene.login(name).types(code(0));
            assert_eq!(outcome.rc, "SUCCESS", "{place:?}, {name}: {outcome:#?}");
            assert!(outcome.prompts.is_empty());
        }
    }
}

/// The libraries of SSSD, winbind and systemd say "no such account" while these are set: a setuid
/// program has them from its caller.
#[test]
fn a_variable_that_silences_a_name_service_makes_nobody_unknown() {
    for variable in ["_SSS_LOOPS", "_NO_WINBINDD", "SYSTEMD_BYPASS_USERDB"] {
        let scene = Scene::new().usersfile(line("alice"));
        let login = |scene: &Scene| scene.login("nobody-of-that-name").types(code(0)).rc;
        assert_eq!(login(&scene), "USER_UNKNOWN");
        assert_eq!(login(&scene.env(variable, "NO")), "AUTH_ERR", "{variable}");
    }
}

/// A usersfile, and what it is named by, that cannot be used or has no such user.
fn scenes_without(name: &str) -> Vec<(&'static str, Scene)> {
    let with_mode = |mode| {
        let scene = Scene::new().usersfile(line("alice"));
        fs::set_permissions(scene.path(), Permissions::from_mode(mode)).unwrap();
        scene
    };
    let of_the_user = |folder: &str, args: &str| {
        let scene = Scene::new();
        let path = scene.folder().join(folder).join("${USER}");
        scene
            .usersfile_option(&format!("usersfile={}", path.display()))
            .args(args)
    };
    let own_file = |make: &dyn Fn(PathBuf)| {
        let scene = of_the_user("", "");
        // A name that cannot be a file's has none.
        if !name.contains('/') && name.len() < 256 {
            make(scene.folder().join(name));
        }
        scene
    };
    let open_folder = of_the_user("", "");
    fs::set_permissions(open_folder.folder(), Permissions::from_mode(0o777)).unwrap();
    let plain = || Scene::new().usersfile(line("alice"));
    vec![
        ("no line", plain()),
        ("no line, nullok", plain().args("nullok")),
        ("no line, alwaysok", plain().args("alwaysok")),
        ("no line, use_first_pass", plain().args("use_first_pass")),
        ("no line, try_first_pass", plain().args("try_first_pass")),
        ("no usersfile", Scene::new()),
        (
            "no usersfile, no_usersfile_okay",
            Scene::new().args("no_usersfile_okay"),
        ),
        ("anybody may write it", with_mode(0o666)),
        ("a malformed line", Scene::new().usersfile("HOTP\talice\n")),
        ("no file of hers", of_the_user("", "")),
        ("no file of hers, nullok", of_the_user("", "nullok")),
        ("no file of hers, alwaysok", of_the_user("", "alwaysok")),
        ("no folder", of_the_user("missing", "")),
        ("a folder anybody may write to", open_folder),
        (
            "a file of hers that anybody may write",
            own_file(&|path| {
                fs::write(&path, line("alice")).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            }),
        ),
        (
            "a file of hers that is a folder",
            own_file(&|path| fs::create_dir(path).unwrap()),
        ),
        (
            "a file of hers that is a link to nowhere",
            own_file(&|path| {
                symlink("/nonexistent/users.oath", path).unwrap();
            }),
        ),
        (
            "no home",
            Scene::new().usersfile_option("usersfile=${HOME}/users.oath"),
        ),
    ]
}

#[test]
fn a_password_typed_as_a_name_is_nowhere_in_the_log() {
    let long = "Tr0ub4dor".repeat(900);
    let passwords = [
        "Tr0ub4dor&3",
        "Tr0ub4dor and 3",
        "Tr0ub4/dor",
        "../Tr0ub4dor",
        "Tr0ub4d\u{f6}r",
        &long,
    ];
    for password in passwords {
        for (what, scene) in scenes_without(password) {
            // As the application says it, and as the module asks for it.
            let login = scene.unnamed_login();
            for outcome in [
                scene.login(password).rhost("192.0.2.7").types("000000"),
                scene
                    .login(password)
                    .stacked("000000")
                    .rhost("192.0.2.7")
                    .types("000000"),
                login
                    .rhost("192.0.2.7")
                    .answering([Some(password), Some("000000")])
                    .run(),
            ] {
                let log = outcome.log_text();
                assert!(!log.contains("Tr0ub4"), "{what}, {password}: {log}");
                let ends = log
                    .lines()
                    .filter(|line| line.contains("; user=? rhost=192.0.2.7"));
                assert!(ends.count() >= 1, "{what}, {password}: {log}");
            }
        }
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_password_typed_as_a_name_is_nowhere_in_the_log_while_the_name_service_is_away() {
    for (what, machine) in machines("") {
        machine.name_service_goes_away();
        let outcome = machine.scene.login("Tr0ub4dor&3").types("000000");
        let log = outcome.log_text();
        assert!(!log.contains("Tr0ub4"), "{what}: {log}");
        assert!(log.contains("; user=?\n"), "{what}: {log}");
    }
}

/// Names that a line of the usersfile can have, each made as long as asked for.
fn nasty_names(length: usize) -> Vec<String> {
    [
        "x",
        "x;user=root;rhost=198.51.100.1;",
        ";\u{a0}user=root\u{a0}rhost=198.51.100.1\u{2003}line=1",
        "\u{202e}toor=resu\u{202c}",
        "\u{200b}\u{2060}\u{feff}root",
        "\u{2028}user=root\u{85}",
        "\u{1f600}",
        "%s%n%1$s",
        "\u{1b}[2K",
    ]
    .map(|name| {
        let mut name = name.repeat(length / name.len() + 1);
        while name.len() > length {
            name.pop();
        }
        name
    })
    .into()
}

/// That a line has one end, whole and in its place, and fits into what every daemon keeps.
fn ends_whole(line: &str, what: &str) {
    let shown: String = line.escape_unicode().collect();
    let shown = if line.is_ascii() { line } else { &shown };
    assert!(line.len() < 1024, "{what}: {} bytes", line.len());
    let (_, end) = line
        .rsplit_once("; user=")
        .unwrap_or_else(|| panic!("{what}: {shown}"));
    let words: Vec<&str> = end.split(' ').collect();
    assert!(words.len() <= 3 && !words[0].is_empty(), "{what}: {shown}");
    assert_eq!(words[1], "rhost=192.0.2.7", "{what}: {shown}");
    if let Some(number) = words.get(2) {
        let number = number.strip_prefix("line=").unwrap_or_default();
        assert!(number.parse::<u32>().is_ok(), "{what}: {shown}");
    }
    assert_eq!(line.matches(" rhost=").count(), 1, "{what}: {shown}");
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{a0}' | '\u{2003}')
    };
    assert!(!line.contains(unseen), "{what}: {shown}");
}

#[test]
fn a_line_of_the_log_has_its_end_whole_whatever_the_name_in_the_usersfile() {
    for length in [40, 250, 1000, 8192] {
        for name in nasty_names(length) {
            let scene = Scene::new().usersfile(line(&name));
            let folder = scene.folder();
            let args = format!("throttle=1 throttle_dir={}/throttle", folder.display());
            let scene = scene.args(&args);
            let log_in =
                |scene: &Scene, typed: &str| scene.login(&name).rhost("192.0.2.7").types(typed);
            let later = scene.twin("sudo").at(NOON + 30);
            let next = Generator::new(SECRET).code_at(NOON + 30, 30, 0);
            let open = scene.twin("su");
            let outcomes = [
                log_in(&scene, "000000"),
                log_in(&scene, &code(0)),
                log_in(&later, &next),
                log_in(&later, &next),
                {
                    fs::set_permissions(open.path(), Permissions::from_mode(0o666)).unwrap();
                    log_in(&open, &next)
                },
            ];
            let rcs = outcomes.each_ref().map(|outcome| outcome.rc);
            let what = format!("{length} bytes of {:.20}", name.escape_debug());
            assert_eq!(
                rcs,
                ["AUTH_ERR", "AUTH_ERR", "SUCCESS", "AUTH_ERR", "AUTH_ERR"],
                "{what}"
            );
            for outcome in outcomes {
                let log: Vec<_> = outcome
                    .log
                    .iter()
                    .filter(|l| l.text.contains("user="))
                    .collect();
                assert!(!log.is_empty(), "{what}");
                for line in log {
                    ends_whole(&line.text, &what);
                }
            }
        }
    }
}
