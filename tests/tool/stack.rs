//! The linter's walk of a PAM stack, compared with the real libpam: `pam_debug.so`, which comes
//! with libpam, returns what its argument says and shows that it was called.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use oathctl::check::stack;
use oathctl::check::stack::evaluate::{self, WhoGetsIn};
use oathctl::check::stack::modules::{self, Role};
use oathctl::check::stack::parse::{Configuration, Root};
use oathctl::check::stack::{Entry, Module, ReturnCode, walk};
use test_support::Scene;
use test_support::oathctl::Tool;

/// What `pam_authenticate` returns and which modules were called, in order: by libpam, or by the
/// walk. `None` if the service can't even be started.
type Answer = Option<(String, Vec<String>)>;

fn by_libpam(scene: &Scene, service: &str) -> Answer {
    let (rc, shown) = scene.authenticate(service)?;
    Some((rc.to_lowercase(), shown))
}

fn stack_of(scene: &Scene, service: &str) -> stack::Stack {
    let read = |path: &Path| fs::read(path).ok();
    let configuration = Configuration {
        root: Root::Folders(vec![scene.pam_folder()]),
        read: &read,
    };
    configuration.stack(service)
}

fn by_the_walk(scene: &Scene, service: &str) -> Answer {
    let stack = stack_of(scene, service);
    if !stack.can_start() {
        return None;
    }
    let mut called = Vec::new();
    let code = walk::run(&stack.entries, |module| {
        if module.name() != b"pam_debug.so" {
            return ReturnCode::MODULE_UNKNOWN;
        }
        let code = returned_by_pam_debug(module);
        called.extend(code.map(|code| format!("auth={code}")));
        code.unwrap_or(ReturnCode::SUCCESS)
    });
    Some((code.name().replace("recover_", "recovery_"), called))
}

/// What `pam_debug.so` returns and shows; without an argument that it knows it keeps silent.
fn returned_by_pam_debug(module: &Module) -> Option<ReturnCode> {
    let mut arguments = module.arguments.iter();
    let name = arguments.find_map(|argument| argument.strip_prefix(b"auth="))?;
    ReturnCode::from_name(std::str::from_utf8(name).ok()?)
}

const CODES: [&str; 8] = [
    "success",
    "auth_err",
    "user_unknown",
    "ignore",
    "new_authtok_reqd",
    "perm_denied",
    "authinfo_unavail",
    "maxtries",
];

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => pick(&["ok", "done", "bad", "die", "ignore", "reset"]),
        3 => (1..5u8).prop_map(|count| count.to_string()),
        1 => pick(&["0", "07", "OK", "-1", "", "400"]),
    ]
}

fn brackets() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        8 => pick(&CODES),
        4 => Just("default".to_owned()),
        1 => pick(&["Success", "sucess", "module_unknown"]),
    ];
    let equals = prop_oneof![8 => Just("="), 1 => Just(" = ")];
    let pair =
        (value, equals, action()).prop_map(|(value, equals, action)| value + equals + &action);
    let space = prop_oneof![8 => Just(" "), 1 => Just(""), 1 => Just("\t  ")];
    (prop::collection::vec(pair, 1..5), space).prop_map(|(pairs, space)| pairs.join(space))
}

fn control() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => pick(&["required", "requisite", "sufficient", "optional"]),
        1 => pick(&["Required", "SUFFICIENT", "[optional]", "requierd", "[]", "success=ok", "[a\\]b]"]),
        8 => brackets().prop_map(|pairs| format!("[{pairs}]")),
        1 => brackets().prop_map(|pairs| format!("[{pairs}\\] default=ok]")),
    ]
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => Just("auth".to_owned()),
        2 => pick(&["-auth", "AUTH", "[auth]"]),
        1 => pick(&["auht", "account", "-session", "Password", "-"]),
    ]
}

fn module() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => pick(&CODES).prop_map(|code| format!("pam_debug.so auth={code}")),
        6 => Just("pam_debug.so auth=success".to_owned()),
        1 => pick(&["no_such_module.so", "/no/such/module.so", "", "pam_debug.so", "[pam_debug.so] [auth=auth_err]", "pam_debug.so [a\\]b] auth=success", "pam_debug.so [auth=maxtries\\] [x"]),
    ]
}

/// A line of file number `file`, which includes only files with a higher number: those that include
/// themselves make libpam crash.
fn line(file: usize) -> impl Strategy<Value = String> {
    // By their whole paths: libpam 1.5.2 looks for others in /etc/pam.d, whatever folder the
    // service is in.
    let included = ((file + 1)..=FILES).prop_map(|number| format!("FOLDER/included-{number}"));
    let module_line = (kind(), control(), module())
        .prop_map(|(kind, control, module)| format!("{kind} {control} {module}"));
    let include = (
        pick(&[
            "auth include",
            "auth substack",
            "-auth include",
            "auth [substack]",
            "account include",
            "AUTH SubStack",
            "auth include",
            "auth substack",
        ]),
        prop_oneof![20 => included.clone(), 1 => Just("no-such-file".to_owned())],
    )
        .prop_map(|(how, file)| format!("{how} {file}"));
    let at_include = included.prop_map(|file| format!("@include {file}"));
    let end = prop_oneof![
        20 => Just(String::new()),
        1 => pick(&[" # comment", "#", "  ", "\\", " \\ \n# comment\n", "\n\n#\n", "\r"]),
    ];
    let line = match file {
        FILES => module_line.boxed(),
        _ => prop_oneof![9 => module_line, 3 => include, 1 => at_include].boxed(),
    };
    (line, end).prop_map(|(line, end)| {
        // An `@include` that finds no file in a file that is itself included makes libpam 1.5.2 act
        // on memory that nobody has set: the same stack ends in one way and in another.
        let names_no_file = line.starts_with('@') && end == "\r";
        if names_no_file { line } else { line + &end }
    })
}

const FILES: usize = 3;

/// A service, the files that it may include, and `other`.
fn files() -> impl Strategy<Value = Vec<String>> {
    let file = |number| {
        prop::collection::vec(line(number), 0..6).prop_map(|lines| {
            // libpam gives up on a file whose last line is continued: that is another test.
            lines.join("\n") + "\naccount required pam_debug.so\n"
        })
    };
    // As the last of the others, `other` includes none.
    let numbers = (0..=FILES).chain([FILES]);
    numbers.map(file).collect::<Vec<_>>()
}

#[test]
fn of_two_thousand_stacks_each_ends_for_the_walk_as_for_libpam() {
    let scene = Scene::new();
    let mut runner = TestRunner::new(Config {
        cases: 2_000,
        failure_persistence: None,
        ..Config::default()
    });
    let (entered, answers) = (
        Cell::new(0),
        RefCell::new(std::collections::BTreeSet::new()),
    );
    runner
        .run(&files(), |files| {
            for (number, text) in files.iter().enumerate() {
                let name = match number {
                    0 => "service".to_owned(),
                    1..=FILES => format!("included-{number}"),
                    _ => "other".to_owned(),
                };
                let folder = scene.pam_folder().display().to_string();
                scene.write_service(&name, text.replace("FOLDER", &folder));
            }
            let expected = by_libpam(&scene, "service");
            prop_assert_eq!(&by_the_walk(&scene, "service"), &expected);
            if let Some((rc, called)) = expected {
                entered.set(entered.get() + usize::from(rc == "success"));
                answers.borrow_mut().insert((rc, called.len()));
            }
            Ok(())
        })
        .unwrap();
    // The stacks must not all be broken ones.
    assert!(entered.get() > 200, "{} let people in", entered.get());
    assert!(answers.borrow().len() > 40, "{:?}", answers.borrow());
}

#[test]
fn what_libpam_makes_of_odd_lines_the_walk_makes_of_them_as_well() {
    let scene = Scene::new();
    let pass = "auth required pam_debug.so auth=success\n";
    scene.write_service("passes", pass);
    scene.write_service("typo", format!("accoutn required pam_debug.so\n{pass}"));
    scene.write_service(
        "unfinished",
        format!("{pass}auth optional pam_debug.so \\\n"),
    );
    let folder = scene.pam_folder().display().to_string();
    scene.write_service("twice", format!("auth include {folder}/passes\n").repeat(2));
    for text in [
        "".to_owned(),
        "account required pam_permit.so\n".to_owned(),
        "auth\n".to_owned(),
        format!("auth optional\n{pass}"),
        format!("auth required\n{pass}"),
        format!("auth [success=1] pam_debug.so\n{pass}"),
        format!("auth [success=2] pam_debug.so\n{pass}"),
        format!("auth include {folder}/typo\n{pass}"),
        format!("account include {folder}/typo\n{pass}"),
        format!("auth include {folder}/unfinished\n{pass}"),
        format!("auth substack {folder}/unfinished\n{pass}"),
        format!("@include {folder}/unfinished\n{pass}"),
        format!("@INCLUDE {folder}/passes and more words\n"),
        format!("-@include {folder}/passes\n"),
        format!("@include {folder}/no-such-file\n{pass}"),
        format!("auth include {folder}/passes\n"),
        format!("{pass}auth required pam_debug.so \\"),
        "auth required\\\npam_debug.so auth=success".to_owned(),
        "auth required pam_debug.so auth=success \\ # comment\nauth required pam_debug.so auth=maxtries"
            .to_owned(),
        "auth required \\\n\n  # comment\npam_debug.so auth=success".to_owned(),
        "auth required pam_debug.so auth=success # \\\nauth required pam_debug.so auth=maxtries"
            .to_owned(),
        "auth [success=ok]pam_debug.so\n".to_owned(),
        "auth [success=okdefault=bad] pam_debug.so\n".to_owned(),
        format!(
            "auth [success=2 default=ignore] pam_debug.so\nauth substack {folder}/twice\nauth requisite pam_debug.so auth=auth_err\n{pass}"
        ),
        format!(
            "auth [success=3 default=ignore] pam_debug.so\nauth include {folder}/twice\nauth requisite pam_debug.so auth=auth_err\n{pass}"
        ),
    ] {
        scene.write_service("service", &text);
        assert_eq!(
            by_the_walk(&scene, "service"),
            by_libpam(&scene, "service"),
            "{text}"
        );
    }
    // A service without lines for auth has those of `other`.
    scene.write_service("other", pass);
    scene.write_service("service", "account required pam_permit.so\n");
    let answer = by_libpam(&scene, "service");
    assert_eq!(answer.as_ref().unwrap().0, "success");
    assert_eq!(by_the_walk(&scene, "service"), answer);
}

#[test]
fn files_that_include_each_other_do_not_keep_the_walk_for_ever() {
    let scene = Scene::new();
    scene.write_service("service", "auth include service\n");
    assert_eq!(by_the_walk(&scene, "service"), None);
    scene.write_service("service", "auth substack service\n".repeat(3));
    assert_eq!(by_the_walk(&scene, "service"), None);
    // Substacks end at the sixteenth, for libpam as well.
    let service = scene.pam_folder().join("service");
    let text = format!(
        "auth required pam_debug.so auth=success\nauth substack {}\n",
        service.display()
    );
    scene.write_service("service", text);
    assert_eq!(by_the_walk(&scene, "service"), by_libpam(&scene, "service"));
}

#[test]
#[ignore = "needs root, to put a folder in the place of /etc/pam.d: run make test"]
fn files_are_found_in_the_folder_of_the_services_as_libpam_finds_them() {
    let scene = Scene::new();
    let script = format!(
        "mount --bind '{}' /etc/pam.d && exec \"$0\" \"$@\"",
        scene.pam_folder().display()
    );
    let unshare = ["unshare", "--mount", "--propagation", "private"];
    let scene = scene.started_by(unshare.into_iter().chain(["sh", "-c", script.as_str()]));
    let pass = "auth required pam_debug.so auth=success\n";
    fs::create_dir(scene.pam_folder().join("folder")).unwrap();
    for name in ["passes", "folder/passes"] {
        scene.write_service(name, pass);
    }
    for (text, answer) in [
        ("auth include passes\n", Some("success")),
        ("auth substack folder/passes\n", Some("success")),
        ("@include passes\n", Some("success")),
        ("@include folder/passes\n", Some("success")),
        ("@include ./passes\n", Some("success")),
        ("auth include nothing\n", Some("perm_denied")),
        ("@include nothing\n", None),
        ("@include\n", None),
        ("auth include\n", None),
        ("auth include service\n", None),
        ("@include service\n", None),
    ] {
        scene.write_service("service", format!("{text}{pass}"));
        let by_libpam = by_libpam(&scene, "service");
        assert_eq!(
            by_libpam.as_ref().map(|(rc, _)| rc.as_str()),
            answer,
            "{text}"
        );
        assert_eq!(by_the_walk(&scene, "service"), by_libpam, "{text}");
    }
}

/// Lines as an administrator could write them, with the modules that decide.
fn plausible_line() -> impl Strategy<Value = String> {
    let module = prop_oneof![
        4 => Just("pam_unix.so"),
        4 => Just("pam_oath.so"),
        1 => Just("pam_deny.so"),
        2 => Just("pam_permit.so"),
        1 => Just("pam_env.so"),
    ];
    let value = pick(&["success", "auth_err", "user_unknown", "default", "ignore"]);
    let action = prop_oneof![
        6 => pick(&["ok", "done", "bad", "die", "ignore"]),
        3 => pick(&["1", "2", "3"]),
        1 => Just("reset".to_owned()),
    ];
    let pairs = prop::collection::vec((value, action), 1..4).prop_map(|pairs| {
        let pairs = pairs
            .iter()
            .map(|(value, action)| format!("{value}={action}"));
        format!("[{}]", pairs.collect::<Vec<_>>().join(" "))
    });
    let control = prop_oneof![
        3 => pick(&["required", "requisite", "sufficient", "optional"]),
        2 => pairs,
    ];
    (control, module).prop_map(|(control, module)| format!("auth {control} {module}"))
}

/// Who gets in by a stack.
fn evaluated(entries: &[Entry]) -> Option<WhoGetsIn> {
    let roles: Vec<Role> = entries
        .iter()
        .map(|entry| match entry.module() {
            Some(module) if module.name() == b"pam_oath.so" => Role::Code {
                without_token: ReturnCode::USER_UNKNOWN,
                usersfile: Vec::new(),
                needs_authtok: false,
            },
            Some(module) => modules::role(module),
            None => Role::Returns(&[ReturnCode::PERM_DENIED]),
        })
        .collect();
    Some(evaluate::evaluate(entries, &roles)?.who)
}

/// A service with a file that it may include, of [plausible lines](plausible_line).
#[derive(Debug)]
struct Plausible {
    service: Vec<String>,
    included: Vec<String>,
}

/// `FOLDER` stands for that of the services.
fn plausible() -> impl Strategy<Value = Plausible> {
    let lines = || prop::collection::vec(plausible_line(), 1..5);
    let how = prop::sample::select(vec![None, Some("include"), Some("substack")]);
    (lines(), lines(), how, 0..4usize).prop_map(|(mut service, mut included, how, at)| {
        match how {
            Some(how) => {
                let line = format!("auth {how} FOLDER/included");
                service.insert(at.min(service.len()), line);
            }
            None => included.clear(),
        }
        Plausible { service, included }
    })
}

impl Plausible {
    /// Writes it with `pam_debug.so` in the place of each module for which `returned` has a code.
    fn write(&self, folder: &Path, returned: impl Fn(&str) -> Option<&'static str>) {
        let path = folder.display().to_string();
        for (name, lines) in [("service", &self.service), ("included", &self.included)] {
            let lines = lines.iter().map(|line| {
                let (start, module) = line.rsplit_once(' ').unwrap();
                let line = match returned(module) {
                    Some(code) => format!("{start} pam_debug.so auth={code}\n"),
                    None => format!("{line}\n"),
                };
                line.replace("FOLDER", &path)
            });
            fs::write(folder.join(name), lines.collect::<String>()).unwrap();
        }
    }

    /// Whether libpam lets in where the modules for the password and the code return this.
    fn lets_in(&self, scene: &Scene, password: &'static str, code: &'static str) -> bool {
        self.write(&scene.pam_folder(), |module| {
            Some(match module {
                "pam_unix.so" => password,
                "pam_oath.so" => code,
                "pam_permit.so" => "success",
                "pam_deny.so" => "auth_err",
                "pam_env.so" => "ignore",
                _ => return None,
            })
        });
        by_libpam(scene, "service").unwrap().0 == "success"
    }

    fn count(&self, module: &str) -> usize {
        let lines = self.service.iter().chain(&self.included);
        lines.filter(|line| line.ends_with(module)).count()
    }
}

#[test]
fn whoever_libpam_lets_in_is_named() {
    let scene = Scene::new();
    let mut runner = TestRunner::new(Config {
        cases: 1_000,
        failure_persistence: None,
        ..Config::default()
    });
    let entered = Cell::new(0);
    runner
        .run(&plausible(), |stack| {
            stack.write(&scene.pam_folder(), |_| None);
            let Some(who) = evaluated(&stack_of(&scene, "service").entries) else {
                return Ok(());
            };
            for (password, code, said) in [
                ("success", "success", who.everything_right),
                ("success", "auth_err", who.wrong_code),
                ("auth_err", "success", who.wrong_password),
                ("auth_err", "auth_err", who.nothing_right),
                ("success", "user_unknown", who.without_token),
            ] {
                let gets_in = stack.lets_in(&scene, password, code);
                entered.set(entered.get() + usize::from(gets_in));
                // It also allows for passwords that one of several modules knows.
                prop_assert!(
                    !gets_in || said,
                    "password {password}, code {code}: {who:?}"
                );
                if stack.count("pam_unix.so") == 0 {
                    prop_assert_eq!(gets_in, said, "code {}: {:?}", code, who);
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(entered.get() > 500, "{} got in", entered.get());
}

#[test]
fn check_exits_with_0_where_libpam_lets_in_by_password_and_code_alone_and_nowhere_else() {
    let scene = Scene::new();
    let tool = Tool::new().usersfile("HOTP/E\troot\t+\t3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n");
    fs::remove_file(tool.pam_dir().join("sshd")).unwrap();
    let module = format!("pam_oath.so usersfile={}", tool.scene.path().display());
    // What a refusal may be besides a wrong code, as where a file can't be read.
    let refusals = [
        "auth_err",
        "conv_err",
        "authinfo_unavail",
        "cred_insufficient",
        "maxtries",
        "authtok_err",
        "service_err",
        "system_err",
        "buf_err",
        "abort",
    ];
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        max_global_rejects: 100_000,
        ..Config::default()
    });
    let (sound, unsound) = (Cell::new(0), Cell::new(0));
    runner
        .run(&plausible(), |stack| {
            // With several of a kind, what each says would be another question.
            prop_assume!(stack.count("pam_oath.so") == 1 && stack.count("pam_unix.so") == 1);
            let lets_in = |password, code| stack.lets_in(&scene, password, code);
            let wrong = ["auth_err", "user_unknown"];
            let is_sound = lets_in("success", "success")
                && !wrong.iter().any(|password| lets_in(password, "success"))
                && !wrong
                    .iter()
                    .any(|password| lets_in(password, "user_unknown"))
                && !refusals.iter().any(|code| {
                    let passwords = ["success", "auth_err", "user_unknown"];
                    passwords.iter().any(|password| lets_in(password, code))
                });
            stack.write(&tool.pam_dir(), |_| None);
            for name in ["service", "included"] {
                let path = tool.pam_dir().join(name);
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replace("pam_oath.so", &module)).unwrap();
            }
            let output = tool.run(["check", "--quiet"]);
            prop_assert_eq!(output.code == 0, is_sound, "{:?}", output);
            prop_assert_eq!(output.stdout.is_empty(), is_sound, "{:?}", output);
            let count = if is_sound { &sound } else { &unsound };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap();
    assert!(sound.get() >= 10, "{} of 300 are sound", sound.get());
    assert!(unsound.get() >= 100, "{} of 300 are not", unsound.get());
}
