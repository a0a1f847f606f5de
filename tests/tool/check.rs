//! `oathctl check`: its findings for each bad file and for the system around it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use test_support::built_oathctl;
use test_support::codes::Generator;
use test_support::oathctl::{Output, Tool};
use test_support::small_disk::SmallDisk;
use test_support::{NOON, program, write_program};

const SECRET: &str = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c4";

fn by_time(user: &str) -> String {
    format!("HOTP/T30/6\t{user}\t-\t{SECRET}\n")
}

/// A system whose programs print what the test wants.
struct System {
    tool: Tool,
    programs: TempDir,
}

impl System {
    /// Nobody uses the module, and the clock is right.
    fn new() -> System {
        let system = System {
            tool: Tool::new(),
            programs: tempfile::tempdir().unwrap(),
        };
        fs::remove_file(system.tool.pam_dir().join("sshd")).unwrap();
        system.program("timedatectl", "echo yes").sshd(&[])
    }

    fn usersfile(self, text: impl AsRef<[u8]>) -> System {
        System {
            tool: self.tool.usersfile(text),
            ..self
        }
    }

    /// A PAM service with a password, the module, these arguments and the usersfile.
    fn service(self, name: &str, args: &str) -> System {
        let usersfile = self.tool.scene.path().display().to_string();
        let line = format!("auth required pam_oath.so usersfile={usersfile} {args}\n");
        self.pam_file(name, &format!("auth required pam_unix.so\n{line}"))
    }

    fn pam_file(self, name: &str, text: &str) -> System {
        System {
            tool: self.tool.pam_file(name, text),
            ..self
        }
    }

    /// A program of the system, by what its shell script does.
    fn program(self, name: &str, script: &str) -> System {
        let path = self.programs.path().join(name);
        write_program(&path, format!("#!/bin/sh\n{script}\n"));
        self
    }

    /// An sshd that asks for codes, but for these settings.
    fn sshd(self, settings: &[(&str, &str)]) -> System {
        let good = [
            ("usepam", "yes"),
            ("kbdinteractiveauthentication", "yes"),
            ("passwordauthentication", "no"),
            ("pubkeyauthentication", "no"),
            ("authenticationmethods", "any"),
        ];
        let lines: String = good
            .iter()
            .chain(settings)
            .map(|(name, value)| format!("echo '{name} {value}'\n"))
            .collect();
        self.program("sshd", &lines)
    }

    fn check<const N: usize>(&self, args: [&str; N]) -> Output {
        self.run(&[&["check"], &args[..]].concat())
    }

    /// Checks the usersfile alone, with no regard to PAM.
    fn check_file<const N: usize>(&self, args: [&str; N]) -> Output {
        let path = self.tool.scene.path();
        let path = path.to_str().unwrap();
        self.run(&[&["check", "--usersfile", path], &args[..]].concat())
    }

    /// The tool where the system's programs are those of the test. Root does not use PATH, so for
    /// root they are mounted over the system's.
    fn command(&self) -> Command {
        if oath_core::sys::effective_user() != 0 {
            let mut command = Command::new(built_oathctl());
            command.env("PATH", self.programs.path());
            return command;
        }
        let mut command = Command::new(program("unshare", "util-linux"));
        command
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg("mount --bind \"$0\" /usr/sbin; exec \"$@\"")
            .arg(self.programs.path())
            .arg(built_oathctl());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self
            .command()
            .args(args)
            .arg("--pam-dir")
            .arg(self.tool.pam_dir())
            .arg(format!("--now={NOON}"))
            .output()
            .unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: self.shortened(&output.stdout),
            stderr: self.shortened(&output.stderr),
        }
    }

    /// A text with short names for the folders of this test.
    fn shortened(&self, text: &[u8]) -> String {
        let users = format!("{}/", self.tool.scene.folder().display());
        let pam = self.tool.pam_dir().display().to_string();
        String::from_utf8(text.to_vec())
            .unwrap()
            .replace(&users, "")
            .replace(&pam, "pam.d")
    }
}

#[test]
fn every_mistake_in_a_file_is_named_with_line_and_field_and_what_was_meant() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("check");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    insta::glob!("check/*.oath", |path| {
        let text = fs::read(path).unwrap();
        let output = System::new().usersfile(&text).check_file([]);
        assert_eq!(output.stderr, "");
        let text = String::from_utf8_lossy(&text).replace('\u{a0}', " ");
        for field in text
            .lines()
            .flat_map(|line| line.split_ascii_whitespace().skip(3))
        {
            let is_harmless = field.len() < 4 || !field.bytes().any(|byte| byte.is_ascii_digit());
            assert!(
                is_harmless || !output.stdout.contains(field),
                "a secret is shown: {}",
                output.stdout
            );
        }
        insta::assert_snapshot!(
            "words",
            format!("{}exit code {}", output.stdout, output.code)
        );
    });
}

/// Each file below `check/stacks` has the services of one system, apart by `=== NAME`.
#[test]
fn every_broken_stack_is_named_with_its_fix_and_a_sound_one_is_not() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("check/stacks");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    insta::glob!("check/stacks/*.pam", |path| {
        let mut system = System::new().usersfile(by_time("root").replace("\t-\t", "\t+\t"));
        let text = fs::read_to_string(path).unwrap();
        for part in text.split("=== ").skip(1) {
            let (name, text) = part.split_once('\n').unwrap();
            let folder = system.tool.pam_dir().join(name);
            fs::create_dir_all(folder.parent().unwrap()).unwrap();
            let text = text
                .replace("USERSFILE", system.tool.scene.path().to_str().unwrap())
                .replace("FOLDER", system.tool.pam_dir().to_str().unwrap());
            system = system.pam_file(name, &text);
        }
        let output = system.check(["--quiet"]);
        assert_eq!(output.stderr, "");
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_sound = output.code == 0 && output.stdout.is_empty();
        assert_eq!(is_sound, name.starts_with("sound"), "{name}: {output:?}");
        insta::assert_snapshot!(
            "words",
            format!("{}exit code {}", output.stdout, output.code)
        );
    });
}

#[test]
fn the_example_file_has_nothing_wrong_and_nobody_can_log_in_with_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("users.oath.example");
    let system = System::new().usersfile(fs::read(path).unwrap());
    assert_eq!(system.check_file([]).ok(), "");
    let outcome = system.tool.scene.login("alice").types("123456");
    assert_eq!(outcome.rc, "USER_UNKNOWN");
}

#[test]
fn a_sound_configuration_has_nothing_but_its_services_to_tell() {
    let system = System::new()
        .usersfile(by_time("root"))
        .service("sshd", "window=20")
        .pam_file("su", "auth required pam_unix.so\n");
    assert_eq!(
        system.check([]).ok(),
        "sshd: required pam_oath.so usersfile=users.oath window=20\n"
    );
    assert_eq!(system.check(["--quiet"]).ok(), "");
}

#[test]
fn fix_corrects_what_has_one_correct_form_and_then_the_user_can_log_in() {
    let broken = "# kept\r\nHOTP/T30/6  root  –  HJ55HYRWBI6ST3VEG36PW7SEY425CF6E\n\
                  HOTP/T30/6 bin - 44a05e2c1f8b1b1ca8b1f0b3a85e3d1f0c2d9e7\n";
    let system = System::new().usersfile(broken);
    let path = system.tool.scene.path();
    fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
    let output = system.check_file(["--fix"]);
    assert_eq!(output.code, 2, "{output:?}");
    for mended in [
        "users.oath: mended: its mode is 600 now\n",
        "users.oath:2: mended: field 3 (PIN) is - now\n",
        "users.oath:2: mended: field 4 (SECRET) begins with base32: now\n",
        "users.oath:3: error: field 4 (SECRET) has an odd number",
    ] {
        assert!(output.stdout.contains(mended), "{}", output.stdout);
    }
    assert_eq!(
        system.tool.usersfile_now(),
        "# kept\r\nHOTP/T30/6  root  -  base32:HJ55HYRWBI6ST3VEG36PW7SEY425CF6E\n\
         HOTP/T30/6 bin - 44a05e2c1f8b1b1ca8b1f0b3a85e3d1f0c2d9e7\n"
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let code = Generator::new(SECRET).code_at(NOON, 30, 0);
    assert_eq!(system.tool.scene.login("root").types(&code).rc, "SUCCESS");

    let after = system.tool.usersfile_now();
    let output = system.check_file(["--fix"]);
    assert!(!output.stdout.contains("mended"), "{}", output.stdout);
    assert_eq!(system.tool.usersfile_now(), after);
}

#[test]
fn fix_writes_a_secret_in_the_one_form_that_was_meant_and_the_user_can_log_in() {
    for secret in [
        "3a:7b:d3:e2:36:0a:3d:29:ee:a4:36:fc:fb:7e:44:c7:35:d1:17:c4",
        "3A7B-D3E2-360A-3D29-EEA4-36FC-FB7E-44C7-35D1-17C4",
        "\"3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\",",
        "base32:HJ55-HYRW-BI6S-T3VE-G36P-W7SE-Y425-CF6E",
        "BASE32:HJ55HYRWBI6ST3VEG36PW7SEY425CF6E",
        "hj55hyrwbi6st3veg36pw7sey425cf6e",
        "hex:3a7bd3e2360a3d29eea436fcfb7e44c735d117c4",
        "Secret=HJ55HYRWBI6ST3VEG36PW7SEY425CF6E",
    ] {
        let line = by_time("root").replace(SECRET, secret);
        let system = System::new().usersfile(&line);
        let code = Generator::new(SECRET).code_at(NOON, 30, 0);
        assert_eq!(system.tool.scene.login("root").types(&code).rc, "AUTH_ERR");
        let output = system.check_file(["--fix"]);
        assert_eq!(output.code, 0, "{secret}: {output:?}");
        assert!(
            output
                .stdout
                .starts_with("users.oath:1: mended: field 4 (SECRET)")
        );
        let login = system.tool.scene.login("root").types(&code).rc;
        assert_eq!(login, "SUCCESS", "{secret}");
    }
}

#[test]
fn fix_mends_the_mode_of_the_file_that_a_link_of_roots_leads_to() {
    let system = System::new().usersfile(by_time("root"));
    let file = system.tool.scene.path();
    let link = file.with_file_name("link");
    symlink(&file, &link).unwrap();
    for mode in [0o644, 0o660, 0o666] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let output = system.run(&["check", "--fix", "--usersfile", link.to_str().unwrap()]);
        assert!(
            output.stdout.contains("link: mended: its mode is 600 now"),
            "{mode:o}: {output:?}"
        );
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{mode:o}");
    }
}

#[test]
fn a_file_or_folder_is_an_error_where_the_module_refuses_it() {
    for (file, folder, code, said) in [
        (0o600, 0o755, 0, ""),
        (0o400, 0o755, 0, ""),
        (
            0o644,
            0o755,
            1,
            "users.oath: warning: is readable by others\n    run chmod 600 ",
        ),
        (
            0o660,
            0o755,
            1,
            "users.oath: warning: is writable by its group\n    run chmod 600 ",
        ),
        (
            0o602,
            0o755,
            2,
            "users.oath: error: is writable by others\n    run chmod 600 ",
        ),
        (
            0o600,
            0o777,
            2,
            "error: is a folder that everybody can write to\n    run chmod o-w ",
        ),
    ] {
        let system = System::new().usersfile(by_time("root"));
        let scene = &system.tool.scene;
        fs::set_permissions(scene.path(), Permissions::from_mode(file)).unwrap();
        fs::set_permissions(scene.folder(), Permissions::from_mode(folder)).unwrap();
        let output = system.check_file([]);
        assert_eq!(output.code, code, "{file:o} {folder:o}: {output:?}");
        assert!(
            output.stdout.contains(said),
            "{file:o} {folder:o}: {output:?}"
        );
        let typed = Generator::new(SECRET).code_at(NOON, 30, 0);
        let rc = scene.login("root").types(typed).rc;
        assert_eq!(rc == "SUCCESS", code < 2, "{file:o} {folder:o}: {rc}");
    }
}

#[test]
#[ignore = "needs root, to give the file away: run make test"]
fn a_file_given_to_an_ordinary_user_is_a_warning() {
    let system = System::new().usersfile(by_time("root"));
    std::os::unix::fs::chown(system.tool.scene.path(), Some(65534), None).unwrap();
    let output = system.check_file([]);
    assert_eq!(output.code, 1, "{output:?}");
    let said =
        "users.oath: warning: belongs to uid 65534 in a folder that does not\n    run chown root ";
    assert!(output.stdout.contains(said), "{output:?}");
}

#[test]
fn a_file_that_does_not_exist_is_an_error() {
    let system = System::new().service("login", "");
    let output = system.check([]);
    assert_eq!(output.code, 2);
    assert!(
        output.stdout.contains("users.oath: error: does not exist"),
        "{output:?}"
    );

    let system = System::new().service("login", "no_usersfile_okay");
    let output = system.check([]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .contains("pam.d/login:2: warning: no_usersfile_okay asks nobody for a code"),
        "{output:?}"
    );
}

#[test]
fn without_a_service_that_uses_the_module_nobody_is_asked() {
    let system = System::new();
    let output = system.check([]);
    assert!(
        output
            .stdout
            .starts_with("PAM: warning: has no service that uses pam_oath.so"),
        "{output:?}"
    );
}

#[test]
fn a_line_of_pam_that_lets_people_in_without_a_code_is_named() {
    let usersfile = |system: &System| system.tool.scene.path().display().to_string();
    for (line, code, said) in [
        (
            "auth required pam_oath.so alwaysok",
            2,
            "alwaysok lets everybody in",
        ),
        ("auth optional pam_oath.so", 2, "the module is optional"),
        ("auth sufficient pam_oath.so", 2, "the module is sufficient"),
        (
            "auth [success=ok default=ignore] pam_oath.so",
            2,
            "the module is [success=ok default=ignore]",
        ),
        (
            "auth [success=1 default=ignore] pam_oath.so",
            2,
            "lets nobody in",
        ),
        (
            "auth required pam_oath.so windows=3",
            1,
            "unknown argument windows=3",
        ),
        (
            "auth required pam_oath.so window=5000",
            1,
            "a window is 0 to 1000",
        ),
        (
            "auth [success=ok user_unknown=ignore default=die] pam_oath.so",
            0,
            "usersfile=users.oath",
        ),
    ] {
        let system = System::new().usersfile(by_time("root"));
        let usersfile = usersfile(&system);
        let text = format!("auth required pam_unix.so\n{line} usersfile={usersfile}\n");
        let system = system
            .pam_file("common-auth", &text)
            .pam_file("login", "@include common-auth\n");
        let output = system.check([]);
        assert_eq!(output.code, code, "{line}: {output:?}");
        assert!(output.stdout.contains(said), "{line}: {output:?}");
        assert!(
            code == 0 || output.stdout.contains("pam.d/common-auth:2: "),
            "{line}: {output:?}"
        );
        assert!(output.stdout.starts_with("login: "), "{line}: {output:?}");
    }
}

#[test]
fn a_window_so_large_that_guessing_pays_comes_with_the_number_of_guesses() {
    let check = |line: &str, args: &str| {
        let system = System::new().usersfile(line).service("login", args);
        system.check(["--quiet"])
    };
    // ln 2 / (2001 / 10^6) is 346.4.
    let output = check(&by_time("root"), "window=1000");
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .contains("window=1000 makes 2001 of 1000000 codes good")
            && output.stdout.contains("for line 1: 347 guesses"),
        "{output:?}"
    );
    // A counter's window has only later counters.
    let output = check(&format!("HOTP/E/6 root - {SECRET}\n"), "window=1000");
    assert!(output.stdout.contains("1001 of 1000000"), "{output:?}");
    assert_eq!(check(&by_time("root"), "window=30").ok(), "");
    // With a throttle, guessing takes too long at any window.
    assert_eq!(check(&by_time("root"), "window=1000 throttle=1").ok(), "");
    let eight = format!("HOTP/T30/8 root - {SECRET}\n");
    assert_eq!(check(&eight, "window=1000").ok(), "");
}

#[test]
fn a_pin_that_no_service_splits_off_is_named() {
    let line = format!("HOTP/E/6 root 1234 {SECRET}\n");
    let check = |args: &str| {
        let system = System::new().usersfile(&line).service("login", args);
        let output = system.check(["--quiet"]);
        let code = Generator::new(SECRET).code(0);
        let scene = system.tool.scene.args(args);
        let rc = scene.login("root").types(format!("1234{code}")).rc;
        (output, rc)
    };
    let (output, rc) = check("");
    assert_eq!((output.code, rc), (2, "AUTH_ERR"));
    assert!(output.stdout.contains("has no digits="), "{output:?}");
    assert!(!output.stdout.contains("1234"), "{output:?}");
    for args in ["forward_pass", "ignore_userfile_password digits=6"] {
        assert_eq!(check(args).0.ok(), "", "{args}");
    }
    let (output, rc) = check("digits=6");
    assert_eq!((output.ok().as_str(), rc), ("", "SUCCESS"));
}

#[test]
fn a_folder_that_the_module_cannot_use_denies_every_login_and_is_named_with_the_command() {
    for (argument, mode, problem, advice) in [
        (
            "readonly_ok",
            0o777,
            "everybody can write to",
            "run chmod o-w ",
        ),
        (
            "throttle_dir",
            0o770,
            "must be root's alone",
            "run chown root: ",
        ),
        ("readonly_ok", 0, "does not exist", "run mkdir -p "),
        ("throttle_dir", 0, "does not exist", "run mkdir -p "),
    ] {
        let system = System::new().usersfile(by_time("root"));
        let above = system.tool.scene.folder().join("state");
        let folder = match mode {
            0 => above.join("below"),
            mode => {
                fs::create_dir(&above).unwrap();
                fs::set_permissions(&above, Permissions::from_mode(mode)).unwrap();
                above
            }
        };
        let args = format!("throttle=1 {argument}={}", folder.display());
        let mut system = system.service("login", &args);
        let output = system.check(["--quiet"]);
        assert_eq!(output.code, 2, "{output:?}");
        let told = format!("pam.d/login:2: error: {argument}=state");
        for said in [&told, problem, "so every login is denied", advice] {
            assert!(output.stdout.contains(said), "{said}: {output:?}");
        }
        system.tool.scene = system.tool.scene.args(&args);
        let code = Generator::new(SECRET).code_at(NOON, 30, 0);
        let rc = system.tool.scene.login("root").types(&code).rc;
        assert_ne!(rc, "SUCCESS", "{argument} {mode:o}");
    }
    // A folder that a login can make is fine.
    let system = System::new().usersfile(by_time("root"));
    let folder = system.tool.scene.folder().join("state");
    let args = format!("readonly_ok={}", folder.display());
    assert_eq!(system.service("login", &args).check(["--quiet"]).ok(), "");
    assert!(!folder.exists());
}

#[test]
fn a_password_before_the_code_needs_a_pin_of_plus() {
    let check = |pin: &str, before: &str, args: &str| {
        let system = System::new().usersfile(format!("HOTP/T30/6 root {pin} {SECRET}\n"));
        let usersfile = system.tool.scene.path().display().to_string();
        let text = format!(
            "{before}auth required pam_oath.so usersfile={usersfile} {args}\n\
             auth required pam_unix.so use_first_pass\n"
        );
        system.pam_file("login", &text).check(["--quiet"])
    };
    for args in ["digits=6", "forward_pass"] {
        let output = check("-", "", args);
        assert_eq!(output.code, 2, "{args}: {output:?}");
        let said = "line 1 of the usersfile has no PIN, so the password before the code never \
                    fits\n    write + as its PIN\n";
        assert!(output.stdout.contains(said), "{args}: {output:?}");
        assert_eq!(check("+", "", args).ok(), "");
    }
    assert_eq!(check("-", "", "digits=6 ignore_userfile_password").ok(), "");
    // The password that was asked for before stays.
    assert_eq!(
        check("-", "auth required pam_unix.so\n", "digits=6").ok(),
        ""
    );
}

#[test]
fn a_code_of_another_length_than_digits_is_an_error() {
    let system = System::new()
        .usersfile(format!("HOTP/T30/8 root - {SECRET}\n"))
        .service("login", "digits=6");
    let output = system.check(["--quiet"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output
            .stdout
            .contains("have another number and can never fit"),
        "{output:?}"
    );
}

#[test]
fn a_usersfile_without_a_token_lets_nobody_in() {
    let check = |args: &str| {
        let text = format!("# {}", by_time("root"));
        System::new()
            .usersfile(text)
            .service("login", args)
            .check(["--quiet"])
    };
    let output = check("");
    assert_eq!(output.code, 2, "{output:?}");
    let said = "users.oath: error: has no token, so nobody can log in\n    enrol somebody";
    assert!(output.stdout.starts_with(said), "{output:?}");
    assert!(!check("nullok").stdout.contains("has no token, so"));
}

#[test]
fn a_missing_file_is_said_to_keep_out_whom_it_keeps_out() {
    let check = |name: &str, args: &[&str]| {
        let system = System::new();
        let folder = system.tool.scene.folder().display().to_string();
        let text = format!(
            "auth required pam_unix.so\nauth required pam_oath.so usersfile={folder}/{name}\n"
        );
        let system = system.pam_file("login", &text);
        system.run(&[&["check", "--quiet"], args].concat()).stdout
    };
    assert!(check("none", &[]).starts_with("none: error: does not exist, so nobody can log in"));
    let of_user = check("${USER}", &["root"]);
    assert!(
        of_user.starts_with("root: error: does not exist, so root cannot log in"),
        "{of_user}"
    );
    let system = System::new();
    let unused = system.tool.scene.folder().join("none");
    let output = system.run(&["check", "--usersfile", unused.to_str().unwrap()]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(!output.stdout.contains("nobody"), "{output:?}");
}

#[test]
fn settings_of_sshd_that_prevent_or_bypass_the_prompt_are_named() {
    for (settings, code, said) in [
        (&[][..], 0, ""),
        (&[("usepam", "no")], 2, "sshd: error: UsePAM is no"),
        (
            &[("kbdinteractiveauthentication", "no")],
            2,
            "sshd: error: KbdInteractiveAuthentication is no, so the question for the code is \
             never asked\n    write KbdInteractiveAuthentication yes in \
             /etc/ssh/sshd_config.d/oath.conf and run sshd -t && systemctl reload ssh",
        ),
        (
            &[("authenticationmethods", "publickey")],
            2,
            "sshd: error: AuthenticationMethods publickey has no keyboard-interactive",
        ),
        (
            &[("passwordauthentication", "yes")],
            1,
            "sshd: warning: PasswordAuthentication is yes",
        ),
        (
            &[("pubkeyauthentication", "yes")],
            0,
            "sshd: note: who logs in with a public key",
        ),
    ] {
        let system = System::new()
            .usersfile(by_time("root"))
            .service("sshd", "")
            .sshd(settings);
        let output = system.check(["--quiet"]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stdout.starts_with(said), "{said}: {output:?}");
        assert!(
            code > 0 || !said.is_empty() || output.stdout.is_empty(),
            "{output:?}"
        );
    }
    // Where sshd does not use the module, its settings do not matter.
    let system = System::new()
        .usersfile(by_time("root"))
        .service("login", "")
        .sshd(&[("usepam", "no")]);
    assert_eq!(system.check(["--quiet"]).ok(), "");
}

#[test]
fn a_configuration_that_sshd_refuses_is_an_error_and_one_that_only_root_can_read_a_note() {
    for (said, code, told) in [
        (
            "/etc/ssh/sshd_config: line 3: Bad configuration option: UsePAn",
            2,
            "sshd: error: refuses its configuration, says \"/etc/ssh/sshd_config: line 3: Bad",
        ),
        (
            "Missing privilege separation directory: /run/sshd",
            0,
            "sshd: note: cannot tell how sshd is set up",
        ),
    ] {
        let system = System::new()
            .usersfile(by_time("root"))
            .service("sshd", "")
            .program("sshd", &format!("echo '{said}' >&2\nexit 255"));
        let output = system.check(["--quiet"]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stdout.starts_with(told), "{output:?}");
    }
}

#[test]
fn a_key_that_sshd_asks_for_is_a_first_factor_and_another_service_has_none() {
    let line = |system: &System| {
        let usersfile = system.tool.scene.path();
        format!(
            "auth required pam_oath.so usersfile={}\n",
            usersfile.display()
        )
    };
    let check = |service: &str, methods: &str| {
        let system = System::new()
            .usersfile(by_time("root"))
            .sshd(&[("authenticationmethods", methods)]);
        let line = line(&system);
        system.pam_file(service, &line).check(["--quiet"])
    };
    assert_eq!(check("sshd", "publickey,keyboard-interactive:pam").ok(), "");
    for (service, methods) in [
        ("sshd", "any"),
        ("sshd", "keyboard-interactive"),
        (
            "sshd",
            "publickey,keyboard-interactive keyboard-interactive",
        ),
        ("login", "publickey,keyboard-interactive:pam"),
    ] {
        let output = check(service, methods);
        assert_eq!(output.code, 1, "{service} {methods}: {output:?}");
        let told = format!(
            "pam.d/{service}:1: warning: the code alone is enough for {service}: no line asks"
        );
        assert!(output.stdout.starts_with(&told), "{output:?}");
    }
    // Without an sshd nobody asks for a key.
    let system = System::new().usersfile(by_time("root"));
    fs::remove_file(system.programs.path().join("sshd")).unwrap();
    let line = line(&system);
    let output = system.pam_file("sshd", &line).check(["--quiet"]);
    assert_eq!(output.code, 1, "{output:?}");
}

#[test]
#[ignore = "needs root, to mount: run make test"]
fn a_file_that_no_login_can_replace_is_named_by_check_and_verify_where_logins_are_denied() {
    let mut system = System::new();
    let folder = system.tool.scene.folder();
    let journal = folder.with_file_name("journal");
    let _disk = SmallDisk::over(&folder);
    let code = Generator::new(SECRET).code_at(NOON, 30, 0);
    let shell = |script: &str| {
        let status = Command::new("sh")
            .args(["-ec", script])
            .current_dir(folder.parent().unwrap())
            .env("FOLDER", &folder)
            .status();
        assert!(status.unwrap().success(), "{script}");
    };
    let read_only = "mount --bind $FOLDER $FOLDER && mount -o remount,ro,bind $FOLDER";
    let mounted = "mount --bind $FOLDER/users.oath $FOLDER/users.oath";
    for (make, undo, named, journal_helps) in [
        (":", ":", None, true),
        (
            mounted,
            "umount $FOLDER/users.oath",
            Some("is a file mounted by itself"),
            false,
        ),
        (
            &format!("{mounted} && {read_only}"),
            "umount $FOLDER; umount $FOLDER/users.oath",
            Some("is on a read-only file system"),
            true,
        ),
        (
            read_only,
            "umount $FOLDER",
            Some("is on a read-only file system"),
            true,
        ),
        (
            "chattr +i $FOLDER/users.oath",
            "chattr -i $FOLDER/users.oath",
            Some("has an attribute that forbids to change it"),
            false,
        ),
        (
            "chattr +a $FOLDER",
            "chattr -a $FOLDER",
            Some("has an attribute that forbids to change it"),
            false,
        ),
    ] {
        for has_journal in [false, true] {
            let arguments = match has_journal {
                true => format!("readonly_ok={}", journal.display()),
                false => String::new(),
            };
            let gets_in = named.is_none() || has_journal && journal_helps;
            system = system.service("login", &arguments);
            system.tool.scene.write_usersfile(by_time("root"));
            let _ = fs::remove_dir_all(&journal);
            shell(make);
            let verify = system
                .tool
                .run_with_input(["verify", "root", "--stdin"], &code);
            let check = system.check(["--quiet"]);
            let scene = system.tool.scene.twin(&format!("login-{has_journal}"));
            let scene = scene.args(&arguments);
            let login = scene.login("root").types(&code).rc;
            shell(undo);

            assert_eq!(login == "SUCCESS", gets_in, "{make} {arguments}: {login}");
            assert_eq!(verify.code == 0, gets_in, "{make} {arguments}: {verify:?}");
            assert_eq!(check.code == 0, gets_in, "{make} {arguments}: {check:?}");
            if let (Some(named), false) = (named, gets_in) {
                let told = |text: &str, start: &str| text.contains(&format!("{start}{named}"));
                assert!(told(&check.stdout, "error: "), "{check:?}");
                assert!(
                    verify.stdout.starts_with("refused: the code is good, but ")
                        && verify.stdout.contains(named),
                    "{verify:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs root, to mount: run make test"]
fn an_ocserv_that_uses_the_file_by_itself_is_named() {
    let system = System::new()
        .usersfile(by_time("root"))
        .service("login", "");
    // Seen by this thread and what it starts.
    let etc = Path::new("/usr/local/etc");
    let _disk = SmallDisk::over(etc);
    fs::create_dir(etc.join("ocserv")).unwrap();
    let config = etc.join("ocserv/ocserv.conf");
    let usersfile = system.tool.scene.path();
    let link = usersfile.with_file_name("users.otp");
    symlink(&usersfile, &link).unwrap();
    for (file, is_named) in [(&usersfile, true), (&link, true), (&config, false)] {
        let file = file.display();
        let text = format!("# ocserv\nauth = \"plain[passwd=/etc/ocpasswd,otp={file}]\"\n");
        fs::write(&config, text).unwrap();
        let output = system.check(["--quiet"]);
        let named = "/usr/local/etc/ocserv/ocserv.conf:2: warning: names users.oath as well";
        assert_eq!(output.stdout.contains(named), is_named, "{output:?}");
        assert_eq!(output.code, i32::from(is_named), "{output:?}");
    }
}

#[test]
fn the_examples_have_nothing_wrong() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pam.d-examples");
    for example in fs::read_dir(folder).unwrap() {
        let example = example.unwrap();
        let name = example.file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        let service = name.split('-').next().unwrap();
        let service = if service == "screen" {
            "swaylock"
        } else {
            service
        };
        let mut system = System::new()
            .usersfile(by_time("root").replace("\t-\t", "\t+\t"))
            .sshd(&[("authenticationmethods", "publickey,keyboard-interactive")]);
        let text: String = fs::read_to_string(example.path())
            .unwrap()
            .split(' ')
            .map(|word| match word.starts_with("usersfile=") {
                true => format!("usersfile={} ", system.tool.scene.path().display()),
                false => format!("{word} "),
            })
            .collect();
        let common = "auth [success=1 default=ignore] pam_unix.so nullok\n\
                      auth requisite pam_deny.so\nauth required pam_permit.so\n\
                      auth optional pam_cap.so\n";
        for (name, text) in [
            ("common-auth", common),
            ("common-account", ""),
            ("common-session", ""),
            ("common-session-noninteractive", ""),
            ("common-password", ""),
            (
                "password-auth",
                "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
            ),
            ("postlogin", ""),
            (service, &text),
        ] {
            system = system.pam_file(name, text);
        }
        let output = system.check(["--quiet"]);
        assert_eq!(output.stdout, "", "{name}");
    }
}

#[test]
#[ignore = "needs openssh-server and root: run make test"]
fn the_settings_are_those_that_the_real_sshd_has_in_force() {
    let sshd = program("sshd", "openssh-server");
    let keygen = program("ssh-keygen", "openssh-client");
    // Where sshd gives up its rights; its service creates it.
    fs::create_dir_all("/run/sshd").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let made = Command::new(keygen)
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let real = folder.path().join("sshd");
    write_program(&real, fs::read(sshd).unwrap());
    let config = folder.path().join("sshd_config");
    for (text, code, said) in [
        (
            "UsePAM yes\nKbdInteractiveAuthentication no\n",
            2,
            "KbdInteractiveAuthentication is no",
        ),
        (
            "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
             AuthenticationMethods publickey,keyboard-interactive\n",
            0,
            "",
        ),
        ("UsePAM no\n", 2, "UsePAM is no"),
        (
            "UsePAM yes\nKbdInteractif yes\n",
            2,
            "Bad configuration option: KbdInteractif",
        ),
    ] {
        fs::write(&config, format!("HostKey {}\n{text}", key.display())).unwrap();
        let script = format!("exec {} -f {} \"$@\"", real.display(), config.display());
        let system = System::new()
            .usersfile(by_time("root"))
            .service("sshd", "")
            .program("sshd", &script);
        let output = system.check(["--quiet"]);
        assert_eq!(output.code, code, "{text}: {output:?}");
        assert!(output.stdout.contains(said), "{text}: {output:?}");
        assert!(!output.stdout.contains("cannot tell"), "{text}: {output:?}");
    }
}

#[test]
fn a_clock_that_is_not_synchronised_is_a_warning_and_an_unknown_one_a_note() {
    let check = |programs: &[(&str, &str)]| {
        let mut system = System::new().usersfile(by_time("root"));
        for (name, script) in programs {
            system = system.program(name, script);
        }
        system.check_file([])
    };
    let output = check(&[("timedatectl", "echo no")]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .starts_with("clock: warning: is not synchronised, says timedatectl"),
        "{output:?}"
    );
    let chrony = "echo 'Stratum         : 3'; echo 'Leap status     : Normal'";
    assert_eq!(
        check(&[("timedatectl", "exit 1"), ("chronyc", chrony)]).ok(),
        ""
    );
    let output = check(&[
        ("timedatectl", "exit 1"),
        ("chronyc", "echo 'Leap status     : Not synchronised'"),
    ]);
    assert_eq!(output.code, 1, "{output:?}");
    let output = check(&[("timedatectl", "exit 1")]);
    assert!(output.ok().starts_with("clock: note: cannot tell"));

    // Codes by event need no clock.
    let system = System::new()
        .usersfile(format!("HOTP/E/6 root - {SECRET}\n"))
        .program("timedatectl", "echo no");
    assert_eq!(system.check_file([]).ok(), "");
}

#[test]
fn json_has_every_finding_with_its_place() {
    let system = System::new()
        .usersfile(format!("\nHOTP/T30/6 root – {SECRET}\n"))
        .service("login", "");
    let output = system.check(["--json"]);
    assert_eq!(output.code, 2);
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let service = &report["services"][0];
    assert_eq!(service["services"][0], "login");
    assert_eq!(
        (&service["file"], &service["line"]),
        (&"pam.d/login".into(), &2.into())
    );
    assert_eq!(service["usersfile"], "users.oath");
    assert_eq!(
        report["who_gets_in"][0],
        serde_json::json!({
            "service": "login",
            "everything_right": true,
            "wrong_code": false,
            "wrong_password": false,
            "nothing_right": false,
            "without_token": false,
        })
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["place"], "users.oath");
    assert_eq!(
        (&finding["line"], &finding["field"]),
        (&2.into(), &3.into())
    );
    assert_eq!(finding["fixable"], true);
    assert!(!output.stdout.contains(SECRET));
}

#[test]
#[ignore = "needs root, to be somebody else: run make test"]
fn a_user_who_may_not_read_the_file_is_told_so() {
    let system = System::new().usersfile(by_time("root"));
    let path = system.tool.scene.path();
    let tool = system.tool.run_by(65534, 65534);
    let said = tool.run(["check".as_ref(), "--usersfile".as_ref(), path.as_os_str()]);
    let said = said.fails(5);
    assert!(
        said.contains("Permission denied") && said.contains("are you root?"),
        "{said}"
    );
}

#[test]
fn the_example_in_its_help_works() {
    let system = System::new()
        .usersfile(by_time("root"))
        .service("login", "");
    let help = system.run(&["check", "--help"]).ok();
    let example = help.lines().last().unwrap().trim();
    let args: Vec<&str> = example.split(' ').skip(1).collect();
    assert_eq!(system.run(&args).ok(), "");
}

#[test]
fn files_of_each_user_are_looked_at_one_by_one() {
    let system = System::new().usersfile(by_time("root"));
    let folder = system.tool.scene.folder();
    let bad = folder.join("bin.oath");
    fs::write(&bad, "HOTP/T30/6 bin\n").unwrap();
    fs::set_permissions(bad, Permissions::from_mode(0o600)).unwrap();
    let line = format!(
        "auth required pam_unix.so\nauth required pam_oath.so usersfile={}/${{USER}}.oath\n",
        folder.display()
    );
    let system = system.pam_file("login", &line);
    let output = system.check(["--quiet"]).ok();
    assert!(
        output.starts_with("${USER}.oath: note: stands for a file of each user"),
        "{output}"
    );
    let output = system.check(["--quiet", "bin"]);
    assert_eq!(output.code, 2);
    assert!(
        output
            .stdout
            .starts_with("bin.oath:1: error: breaks off before field 3"),
        "{output:?}"
    );
}
