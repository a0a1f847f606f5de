//! `oathctl` as a script runs it: its options, exit codes, output and the usersfile afterwards.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use test_support::NOON;
use test_support::built_oathctl;
use test_support::codes::Generator;
use test_support::oathctl::Tool;
use test_support::small_disk::SmallDisk;

/// The secret of the RFCs' test values.
const SECRET: &str = "3132333435363738393031323334353637383930";

fn alice() -> String {
    format!("HOTP/T30\talice\t-\t{SECRET}\n")
}

fn by_event(counter: u64) -> String {
    format!("HOTP/E/6\talice\t-\t{SECRET}\t{counter}\n")
}

#[test]
fn the_usersfile_is_the_one_that_the_pam_configuration_names() {
    let tool = Tool::new().usersfile(alice());
    assert_eq!(tool.run(["list", "--json"]).json()[0]["user"], "alice");
}

#[test]
fn of_several_usersfiles_one_must_be_named() {
    let tool = Tool::new().pam_file("su", "auth required pam_oath.so usersfile=/etc/other\n");
    let said = tool.run(["list"]).fails(2);
    assert!(
        said.contains("/etc/other (") && said.contains("--usersfile"),
        "{said}"
    );
}

#[test]
fn a_usersfile_of_each_user_needs_the_user_s_name() {
    let tool = Tool::new().usersfile(alice());
    let folder = tool.scene.folder();
    let tool = tool.pam_file(
        "sshd",
        &format!(
            "auth required pam_oath.so usersfile={}/${{USER}}.oath\n",
            folder.display()
        ),
    );
    assert!(tool.run(["list"]).fails(2).contains("name the user"));
    tool.run(["add", "alice", "--force", "--no-confirm"]).ok();
    let line = fs::read_to_string(folder.join("alice.oath")).unwrap();
    assert!(line.contains("HOTP/T30/6\talice\t-\t"), "{line}");
}

#[test]
fn add_creates_a_usersfile_that_only_its_owner_reads_and_that_explains_itself() {
    let tool = Tool::new();
    let shown = tool
        .run(["add", "alice", "--force", "--no-confirm", "--json"])
        .json();
    let text = tool.usersfile_now();
    assert_eq!(shown["line"], text.lines().count());
    assert!(text.starts_with("#\t") && text.contains("\nHOTP/T30/6\talice\t-\t"));
    let metadata = fs::metadata(tool.scene.path()).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(tool.scene.left_behind(), [] as [&str; 0]);
}

#[test]
fn add_makes_160_random_bits_each_time() {
    let tool = Tool::new();
    let secret = |user: &str| {
        let args = ["add", user, "--force", "--no-confirm", "--json"];
        tool.run(args).json()["secret"].as_str().unwrap().to_owned()
    };
    let (first, second) = (secret("alice"), secret("bob"));
    assert_ne!(first, second);
    assert_eq!((first.len(), second.len()), (32, 32)); // 5 bits a character
}

#[test]
fn add_takes_a_secret_from_standard_input_in_hex_or_base32() {
    for given in [SECRET, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"] {
        let tool = Tool::new();
        let args = ["add", "alice", "--force", "--no-confirm", "--secret", "-"];
        tool.run_with_input(args, given).ok();
        let line = format!("HOTP/T30/6\talice\t-\t{SECRET}\n");
        assert!(tool.usersfile_now().ends_with(&line));
    }
}

#[test]
fn add_refuses_a_bad_secret_without_repeating_it() {
    let tool = Tool::new();
    let args = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--secret",
        "0xNOTASECRET",
    ];
    let said = tool.run(args).fails(1);
    assert!(said.contains("neither hexadecimal nor base32") && !said.contains("NOTASECRET"));
    assert_eq!(tool.scene.usersfile_now(), None);
}

#[test]
fn add_stores_a_pin_as_a_hash_that_logs_in() {
    let tool = Tool::new().pam("sshd", "digits=6");
    let args = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--pin-stdin",
        "--secret",
        "-",
    ];
    tool.run_with_input(args, &format!("{SECRET}\n4711\n")).ok();
    let text = tool.usersfile_now();
    assert!(
        text.contains("\talice\t$") && !text.contains("4711"),
        "{text}"
    );

    let code = Generator::new(SECRET).code_at(NOON, 30, 0);
    let verify = |typed: &str| {
        tool.run_with_input(["verify", "alice", "--stdin"], typed)
            .code
    };
    assert_eq!(verify(&format!("4712{code}")), 1);
    assert_eq!(verify(&format!("4711{code}")), 0);
    let Tool { scene, .. } = tool;
    let scene = scene.args("digits=6");
    assert_eq!(
        scene.login("alice").types(format!("4711{code}")).rc,
        "SUCCESS"
    );
}

#[test]
fn add_refuses_who_is_unknown_to_the_system_and_who_has_a_token() {
    let tool = Tool::new();
    let add = |more: &[&str]| tool.run([&["add", "nobody-here", "--no-confirm"], more].concat());
    assert!(add(&[]).fails(3).contains("--force"));
    assert_eq!(tool.scene.usersfile_now(), None);
    add(&["--force"]).ok();
    let one = tool.usersfile_now();
    assert!(add(&["--force"]).fails(4).contains("--another"));
    assert_eq!(tool.usersfile_now(), one);
    add(&["--force", "--another", "--hotp"]).ok();
    assert!(tool.usersfile_now().starts_with(&one));
    assert!(tool.usersfile_now().contains("\nHOTP/E/6\tnobody-here\t"));
}

#[test]
fn add_warns_of_what_apps_do_not_know_and_of_codes_that_a_service_cuts() {
    let tool = Tool::new().pam("sshd", "digits=6");
    let args = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--period",
        "60",
        "--digits",
        "8",
        "--algorithm",
        "sha256",
        "--secret",
        "00112233",
    ];
    let output = tool.run(args);
    for part in [
        "60 seconds",
        "8 digits",
        "SHA-1",
        "128 bits",
        "sshd: digits=6",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    output.ok();
    assert!(
        tool.usersfile_now()
            .contains("\nHOTP/T60/8/SHA256\talice\t")
    );
}

#[test]
fn tokens_added_at_the_same_moment_are_all_there_and_logins_go_on() {
    const USERS: usize = 12;
    let tool = Tool::new();
    let token = Generator::new(SECRET);
    std::thread::scope(|scope| {
        for number in 0..USERS {
            let mut add =
                tool.command(["add", &format!("user{number}"), "--force", "--no-confirm"]);
            scope.spawn(move || {
                let output = add.output().unwrap();
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    tool.run([
        "add",
        "alice",
        "--force",
        "--hotp",
        "--no-confirm",
        "--secret",
        SECRET,
    ])
    .ok();
    std::thread::scope(|scope| {
        for number in 0..USERS {
            let mut disable = tool.command(["disable", &format!("user{number}")]);
            scope.spawn(move || assert!(disable.output().unwrap().status.success()));
        }
        for counter in 0..2 * USERS as u64 {
            assert_eq!(
                tool.scene.login("alice").types(token.code(counter)).rc,
                "SUCCESS"
            );
        }
    });
    let rows = tool.run(["list", "--json"]).json();
    let disabled = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["disabled"] == true);
    assert_eq!(disabled.count(), USERS);
    assert_eq!(
        tool.usersfile_now()
            .lines()
            .filter(|line| line.starts_with("#\tOne-time"))
            .count(),
        1
    );
}

#[test]
fn list_tells_everything_but_secrets() {
    let tool = Tool::new().usersfile(format!(
        "{}HOTP/E/8/SHA512\tbob\t4711\t{SECRET}\t7\t12345678\t2026-01-15T11:00:00L\n\
         # disabled by oathctl: HOTP/T60/8\tcarol\t+\t{SECRET}\n\
         # HOTP dave - {SECRET}\n\
         HOTP\terin\t-\tnothex\n",
        alice()
    ));
    assert_eq!(
        tool.run(["list"]).ok(),
        "\
USER   TYPE       DIGITS  HASH    PIN       LAST USED            LINE  NOTE
alice  TOTP 30 s  6       SHA1    none      never                1
bob    HOTP       8       SHA512  text      2026-01-15 11:00:00  2
carol  TOTP 60 s  8       SHA1    external  never                3     disabled
erin   HOTP       6       SHA1    none      never                5     field 4 (SECRET) is not hexadecimal; a base32 secret is written base32:SECRET
"
    );
    let json = tool.run(["list", "--json"]).ok();
    assert!(!json.contains(SECRET) && !json.contains("4711") && !json.contains("12345678"));
    assert!(tool.run(["list", "nobody"]).fails(3).contains("nobody"));
}

#[test]
fn a_secret_in_a_wrong_field_is_shown_by_no_command() {
    let text = include_bytes!("check/covered.oath");
    let tool = Tool::new().usersfile(text);
    let list = tool.run(["list"]).ok();
    assert_eq!(list.matches("(covered)").count(), 8, "{list}");
    let json = tool.run(["list", "--json"]);
    let users: Vec<_> = json.json().as_array().unwrap().to_vec();
    assert!(users.iter().any(|row| row["user"].is_null()));
    assert!(users.iter().any(|row| row["user"] == "root"));

    for args in [
        &["list"][..],
        &["list", "--json"],
        &["list", "root"],
        &["check"],
        &["check", "--json"],
        &["check", "--fix"],
        &["verify", "root", "--stdin"],
        &["show", "root"],
        &["resync", "root", "--stdin"],
        &["disable", "root"],
    ] {
        let output = tool.run_with_input(args, "123456\n");
        for part in ["9d7c0f1e", "JBSWY3DP", "nXwPHio7", "9d:7c"] {
            let shows = output.stdout.contains(part) || output.stderr.contains(part);
            assert!(!shows, "{args:?}: {output:?}");
        }
    }
}

#[test]
fn no_command_passes_on_what_turns_the_text_of_a_terminal_around() {
    let odd = ['\u{1b}', '\u{9b}', '\u{202e}'];
    let tool = Tool::new();
    let path = tool
        .scene
        .path()
        .with_file_name("a\u{9b}2J\u{1b}[2Jb\u{202e}c");
    let path = path.to_str().unwrap();
    fs::write(path, "HOTP/E\tro\u{202e}ot\t-\t00\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let run =
        |args: &[&str]| tool.run_with_input([&["--usersfile", path], args].concat(), "123456\n");
    for args in [
        &["check"][..],
        &["check", "--json"],
        &["list"],
        &["list", "--json"],
        &["verify", "bin", "--stdin"],
        &["verify", "bin", "--stdin", "--json"],
        &["add", "bin", "--no-confirm"],
        &["add", "bin", "--no-confirm", "--another", "--json"],
        &["add", "bin", "--no-confirm"],
        &["backup-codes", "bin"],
        &["disable", "bin", "--all"],
        &["remove", "bin", "--all"],
        &["remove", "bin"],
    ] {
        let output = run(args);
        let shown = output.stdout.clone() + &output.stderr;
        assert!(
            !shown.is_empty() && !shown.contains(odd),
            "{args:?}: {output:?}"
        );
    }
    // In JSON nothing is lost.
    let findings = run(&["check", "--json"]).stdout;
    let findings: serde_json::Value = serde_json::from_str(&findings).unwrap();
    assert_eq!(findings["findings"][0]["place"], path);
}

#[test]
#[ignore = "needs root, to mount: run make test"]
fn where_no_service_names_a_usersfile_one_in_the_usual_folders_is_taken() {
    let tool = Tool::new();
    fs::remove_file(tool.pam_dir().join("sshd")).unwrap();
    // Seen by this thread and what it starts.
    let _disk = SmallDisk::over(Path::new("/etc/security"));
    let default = Path::new("/etc/users.oath");
    assert!(!default.exists(), "{default:?} is in the way of this test");
    let path = "/etc/security/users.oath";
    fs::write(path, alice()).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let added = tool.run(["add", "bin", "--no-confirm"]);
    let warning = format!("the line of the module needs usersfile={path}");
    assert!(added.stderr.contains(&warning), "{added:?}");
    assert!(added.ok().contains(path));
    assert!(!default.exists());
    assert!(tool.run(["list"]).ok().contains("bin"));
    assert!(tool.run(["check"]).stdout.contains(path));
}

#[test]
fn verify_answers_as_the_module_does_and_records_nothing() {
    let tool = Tool::new().usersfile(alice()).pam("sshd", "window=3");
    let token = Generator::new(SECRET);
    let verify = |offset: i64| {
        let code = token.code_at(NOON, 30, offset);
        tool.run_with_input(["verify", "alice", "--stdin"], &code)
    };
    assert_eq!(
        verify(0).ok(),
        "accepted (line 1)\nsshd: window=3\nthe phone's clock is on time\n"
    );
    assert!(verify(-3).ok().contains("3 steps (1 min 30 s) behind"));
    let refused = verify(4);
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.stdout,
        "refused: wrong one-time password (line 1)\nsshd: window=3\n\
         the phone's clock is 4 steps (2 min) ahead\n"
    );
    assert_eq!(tool.usersfile_now(), alice());

    let code = token.code_at(NOON, 30, 0);
    assert_eq!(tool.scene.login("alice").types(&code).rc, "SUCCESS");
    assert!(
        verify(0)
            .stdout
            .starts_with("refused: one-time password used before (line 1)")
    );
}

#[test]
fn verify_takes_a_code_as_an_app_shows_it() {
    for args in ["", "digits=6"] {
        let tool = Tool::new().usersfile(alice()).pam("sshd", args);
        let mut code = Generator::new(SECRET).code_at(NOON, 30, 0);
        code.insert(3, ' ');
        let said = tool.run_with_input(["verify", "alice", "--stdin"], &code);
        assert!(said.ok().starts_with("accepted"), "{args}");
    }
}

#[test]
fn verify_asks_which_service_where_they_differ() {
    let tool = Tool::new().usersfile(alice()).pam("su", "window=20");
    let code = Generator::new(SECRET).code_at(NOON, 30, 10);
    let verify = |more: &[&str]| {
        tool.run_with_input(
            [&["verify", "alice", "--stdin", "--json"], more].concat(),
            &code,
        )
    };
    assert!(verify(&[]).fails(2).contains("--service"));
    assert_eq!(verify(&["--service", "su"]).json()["steps"], 10);
    assert_eq!(verify(&["--service", "sshd"]).code, 1);
    for decides in [
        "drift",
        "forward_pass",
        "ignore_userfile_password",
        "allow_replayed_otp_within=30",
        "throttle=5",
        "readonly_ok=/run/pam_oath",
        "alwaysok",
    ] {
        let tool = Tool::new().usersfile(alice()).pam("su", decides);
        let said = tool.run(["verify", "alice", "--stdin"]).fails(2);
        assert!(
            said.contains(&format!("su: window=5 {decides}\n")),
            "{said}"
        );
    }
    let does_not = "debug echo prompt=Code: try_first_pass nullok";
    let tool = Tool::new().usersfile(alice()).pam("su", does_not);
    let code = Generator::new(SECRET).code_at(NOON, 30, 0);
    let verified = tool.run_with_input(["verify", "alice", "--stdin"], &code);
    assert!(verified.ok().contains("sshd, su: window=5\n"));
}

#[test]
fn verify_tells_of_who_has_no_token_what_each_service_does_and_asks_for_no_code() {
    let ignores = "auth [success=ok user_unknown=ignore default=die] pam_oath.so usersfile=";
    let tool = Tool::new().usersfile(alice() + "HOTP/T30\tbob\n");
    let line = format!("{ignores}{}\n", tool.scene.path().display());
    let tool = tool.pam_file("su", &line);
    let verify = |user: &str, more: &[&str]| {
        let said = tool.run([&["verify", user], more].concat());
        assert_eq!(said.code, 1, "{said:?}");
        said.stdout
    };
    let path = tool.scene.path().display().to_string();
    let denied = "sshd: who has no token is not asked for a code, and denied\n";
    let others = "su: who has no token is not asked for a code, and the other lines decide\n";
    assert_eq!(
        verify("carol", &[]),
        format!("refused: carol has no token in {path}\nsshd, su: window=5\n{denied}{others}")
    );
    assert_eq!(
        verify("carol", &["--service", "su"]),
        format!("refused: carol has no token in {path}\nsu: window=5\n{others}")
    );
    assert!(verify("bob", &[]).contains("line 2 breaks off before its SECRET"));
    tool.run(["disable", "alice"]).ok();
    assert!(verify("alice", &[]).starts_with(&format!(
        "refused: alice has no token in {path}: that on line 1 is disabled; oathctl enable alice \
         enables it\n"
    )));
    let json: serde_json::Value =
        serde_json::from_str(&verify("alice", &["--json", "--service", "su"])).unwrap();
    assert_eq!(json["accepted"], false);
    assert!(json["reason"].as_str().unwrap().contains("disabled"));
}

#[test]
fn verify_says_where_no_pin_can_be_typed_and_when_the_user_has_to_wait() {
    let tool = Tool::new().usersfile(alice().replace("\t-\t", "\t4711\t"));
    let verify = |tool: &Tool| tool.run_with_input(["verify", "alice", "--stdin"], "4711123456");
    let said = verify(&tool).stdout;
    assert!(
        said.starts_with("refused: wrong PIN\n") && said.contains("digits="),
        "{said}"
    );

    let folder = tool.scene.folder().with_file_name("throttle");
    let args = format!("digits=6 throttle=60 throttle_dir={}", folder.display());
    let tool = tool.pam("sshd", &args);
    let scene = tool.scene.twin("su").args(&args);
    // Asked before anybody failed, it does not count as a failure itself.
    for _ in 0..3 {
        assert!(
            verify(&tool)
                .stdout
                .starts_with("refused: wrong one-time password")
        );
    }
    for _ in 0..3 {
        scene.login("alice").types("4711123456");
    }
    let refused = verify(&tool);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("failure"), "{refused:?}");
}

#[test]
fn resync_sets_the_counter_by_two_codes_in_a_row_and_by_nothing_less() {
    let tool = Tool::new().usersfile(by_event(5));
    let token = Generator::new(SECRET);
    let resync = |first: u64, second: u64| {
        let input = format!("{}\n{}\n", token.code(first), token.code(second));
        tool.run_with_input(["resync", "alice", "--stdin"], &input)
    };
    resync(400, 402).fails(1);
    resync(401, 400).fails(1);
    resync(1006, 1007).fails(1);
    resync(3, 4).fails(1);
    assert_eq!(tool.usersfile_now(), by_event(5));

    assert!(resync(1005, 1006).ok().contains("1000 behind"));
    assert_eq!(
        tool.usersfile_now(),
        format!(
            "HOTP/E/6\talice\t-\t{SECRET}\t1006\t{}\t2026-01-15T12:00:00L\n",
            token.code(1006)
        )
    );
    // Neither of the two is good for a login any more; the next one is.
    let login = |counter| tool.scene.login("alice").types(token.code(counter)).rc;
    assert_eq!(
        [1005, 1006, 1007].map(login),
        ["AUTH_ERR", "AUTH_ERR", "SUCCESS"]
    );
}

#[test]
fn resync_tells_how_far_a_clock_is_off_and_what_window_would_do() {
    let tool = Tool::new().usersfile(alice());
    let code = Generator::new(SECRET).code_at(NOON, 30, -42);
    let said = tool
        .run_with_input(["resync", "alice", "--stdin"], &code)
        .ok();
    for part in ["42 steps (21 min) behind", "window=42", "sshd has window=5"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(tool.usersfile_now(), alice());
}

#[test]
fn backup_codes_log_in_in_any_order_are_counted_by_list_and_are_revoked() {
    let tool = Tool::new().usersfile(alice());
    let args = ["backup-codes", "alice", "-n", "3", "--json"];
    let made = tool.run(args).json();
    let codes = [0, 1, 2].map(|n| made["codes"][n].as_str().unwrap());
    assert_eq!(made["codes"][3], serde_json::Value::Null);
    assert!(tool.run(args).fails(4).contains("already"));

    let scene = tool.scene.twin("su");
    let left = || {
        let rows = tool.run(["list", "alice", "--json"]).json();
        assert_eq!(rows[0]["backup_codes_left"], serde_json::Value::Null);
        rows[1]["backup_codes_left"].as_u64().unwrap()
    };
    assert_eq!(left(), 3);
    let login = |code: &str| scene.login("alice").types(code).rc;
    assert_eq!(
        [codes[1], codes[1], codes[0]].map(login),
        ["SUCCESS", "AUTH_ERR", "SUCCESS"]
    );
    assert_eq!(left(), 1);
    let list = tool.run(["list"]).ok();
    assert!(list.contains("1 left"), "{list}");
    let said = tool.run(["show", "alice", "--yes", "--line", "2"]).fails(1);
    assert!(said.contains("shown only when they are made"), "{said}");
    let said = tool.run(["resync", "alice", "--line", "2"]).fails(1);
    assert!(said.contains("nothing to set"), "{said}");
    tool.run(["backup-codes", "alice", "--revoke"]).ok();
    assert_eq!(tool.usersfile_now(), alice());
}

#[test]
fn show_gives_the_issuer_that_the_token_was_enrolled_with_until_it_is_removed() {
    let tool = Tool::new().usersfile(alice().replace("alice", "bob"));
    let add = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--json",
        "--issuer",
        "My site",
    ];
    let uri = tool.run(add).json()["uri"].clone();
    let shown = || tool.run(["show", "alice", "--yes", "--json"]).json()["uri"].clone();
    assert_eq!(shown(), uri);
    tool.run(["disable", "alice"]).ok();
    tool.run(["enable", "alice"]).ok();
    assert_eq!(shown(), uri);
    let other = ["show", "alice", "--yes", "--json", "--issuer", "other"];
    let other = tool.run(other).json()["uri"].clone();
    assert!(other.as_str().unwrap().contains("issuer=other"), "{other}");
    tool.run(["remove", "alice"]).ok();
    assert_eq!(tool.usersfile_now(), alice().replace("alice", "bob"));
    let two_lines = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--issuer",
        "a\nHOTP root - 00",
    ];
    let said = tool.run(two_lines).fails(2);
    assert!(said.contains("line feed"), "{said}");
}

#[test]
fn backup_codes_are_as_long_as_the_services_ask_for() {
    for (args, digits) in [("", 8), ("digits=6", 6), ("digits=7", 7)] {
        let tool = Tool::new().usersfile(alice()).pam("sshd", args);
        let made = tool.run(["backup-codes", "alice", "--json"]).json();
        assert_eq!(made["codes"][0].as_str().unwrap().len(), digits, "{args}");
    }
}

#[test]
fn whoever_loses_the_last_token_of_all_is_told_that_nobody_can_log_in() {
    for command in ["remove", "disable"] {
        let tool = Tool::new().usersfile(alice());
        let output = tool.run([command, "alice"]);
        let said = "has no token left, so nobody can log in by sshd";
        assert!(output.stderr.contains(said), "{output:?}");
        let others = alice() + &alice().replace("alice", "bob");
        let tool = Tool::new().usersfile(others);
        assert_eq!(tool.run([command, "alice"]).stderr, "");
    }
}

#[test]
fn backup_codes_ask_for_the_user_s_pin_too() {
    let tool = Tool::new()
        .usersfile(alice().replace("\t-\t", "\t4711\t"))
        .pam("sshd", "digits=6");
    let said = tool
        .run(["backup-codes", "alice", "--digits", "8"])
        .fails(1);
    assert!(said.contains("--digits 6"), "{said}");
    let made = tool
        .run(["backup-codes", "alice", "--digits", "6", "--json"])
        .json();
    let code = made["codes"][0].as_str().unwrap();
    let scene = tool.scene.args("digits=6");
    assert_eq!(scene.login("alice").types(code).rc, "AUTH_ERR");
    assert_eq!(
        scene.login("alice").types(format!("4711{code}")).rc,
        "SUCCESS"
    );
}

#[test]
fn a_token_by_event_is_not_taken_for_backup_codes() {
    let tool = Tool::new().usersfile(by_event(0));
    let said = tool.run(["backup-codes", "alice", "--revoke"]).fails(3);
    assert!(said.contains("alice has no backup codes"), "{said}");
    assert_eq!(tool.usersfile_now(), by_event(0));
}

#[test]
fn a_disabled_token_is_refused_and_an_enabled_one_is_as_it_was() {
    let text = format!(
        "# mine\r\n{}\n{}",
        alice().replace('\n', "\r\n"),
        alice().replace("alice", "bob")
    );
    let tool = Tool::new().usersfile(&text);
    let code = Generator::new(SECRET).code_at(NOON, 30, 0);
    tool.run(["disable", "alice"]).ok();
    assert_eq!(tool.scene.login("alice").types(&code).rc, "USER_UNKNOWN");
    let said = tool.run(["disable", "alice"]).fails(3);
    assert!(said.contains("oathctl enable alice"), "{said}");
    tool.run(["enable", "alice"]).ok();
    assert_eq!(tool.usersfile_now(), text);
    assert_eq!(tool.scene.login("alice").types(&code).rc, "SUCCESS");
}

#[test]
fn of_several_tokens_the_line_or_all_must_be_named() {
    let text = format!(
        "{}# between\n{}{}",
        alice(),
        by_event(0),
        alice().replace("alice", "bob")
    );
    let tool = Tool::new().usersfile(&text);
    for command in ["remove", "disable"] {
        let said = tool.run([command, "alice"]).fails(2);
        assert!(
            said.contains("lines 1, 3") && said.contains("--line"),
            "{said}"
        );
        tool.run([command, "alice", "--line", "4"]).fails(3);
    }
    assert_eq!(tool.usersfile_now(), text);
    tool.run(["remove", "alice", "--line", "3"]).ok();
    assert_eq!(tool.usersfile_now(), text.replace(&by_event(0), ""));
    tool.run(["remove", "alice", "--all"]).ok();
    assert_eq!(
        tool.usersfile_now(),
        format!("# between\n{}", alice().replace("alice", "bob"))
    );
}

#[test]
fn whoever_loses_the_last_token_where_that_lets_in_is_warned_of() {
    for (control, args, warned) in [
        ("[success=ok user_unknown=ignore default=die]", "", true),
        ("[success=ok ignore=ignore default=die]", "nullok", true),
        ("optional", "", true),
        ("required", "nullok", true),
        ("required", "", false),
        ("[success=ok default=die]", "", false),
        ("[success=ok default=die]", "nullok", false),
    ] {
        let tool = Tool::new().usersfile(alice());
        let path = tool.scene.path();
        let path = path.display();
        let line = format!("auth {control} pam_oath.so usersfile={path} {args}\n");
        let tool = tool.pam_file("sshd", &line);
        let output = tool.run(["disable", "alice"]);
        assert_eq!(
            output.stderr.contains("no token now"),
            warned,
            "{control} {args}"
        );
        output.ok();
    }
}

#[test]
fn without_a_terminal_it_says_what_option_to_use_and_changes_nothing() {
    let tool = Tool::new().usersfile(alice());
    for (args, option) in [
        (&["add", "bob", "--force"][..], "--no-confirm"),
        (
            &["add", "bob", "--force", "--no-confirm", "--pin"],
            "--pin-stdin",
        ),
        (&["show", "alice"], "--yes"),
        (&["verify", "alice"], "--stdin"),
        (&["resync", "alice"], "--stdin"),
    ] {
        let said = tool.run(args).fails(2);
        assert!(
            said.contains("no terminal") && said.contains(option),
            "{said}"
        );
    }
    assert_eq!(tool.usersfile_now(), alice());
}

#[test]
fn no_qr_code_file_is_left_of_a_token_that_was_not_written() {
    let tool = Tool::new().usersfile(alice());
    let picture = tool.scene.folder().join("alice.png");
    let file = picture.to_str().unwrap();
    let add = ["add", "bob", "--force", "--no-confirm", "--qr"];
    // Its folder is where the new usersfile is written: a folder in the way.
    let in_the_way = tool.scene.folder().join(".users.oath.new");
    fs::create_dir(&in_the_way).unwrap();
    tool.run([&add[..], &[file]].concat()).fails(1);
    assert!(!picture.exists());
    fs::remove_dir(&in_the_way).unwrap();
    tool.run([&add[..], &["alice.gif"]].concat()).fails(2);
    assert_eq!(tool.usersfile_now(), alice());
    tool.run([&add[..], &[file]].concat()).ok();
    assert_eq!(fs::metadata(&picture).unwrap().mode() & 0o7777, 0o600);
    // A picture that is there is not written over.
    tool.run(["show", "bob", "--yes", "--qr", file]).fails(1);
}

#[test]
fn nothing_is_written_to_a_file_that_everybody_can_write() {
    let tool = Tool::new().usersfile(alice());
    fs::set_permissions(tool.scene.path(), Permissions::from_mode(0o666)).unwrap();
    let said = tool.run(["add", "bob", "--force", "--no-confirm"]).fails(1);
    assert!(said.contains("chmod 600"), "{said}");
    assert_eq!(tool.usersfile_now(), alice());
}

#[test]
#[ignore = "needs root: run make test"]
fn a_user_who_lacks_the_rights_is_told_so() {
    let tool = Tool::new().usersfile(alice()).run_by(65534, 65534);
    for args in [
        &["list"][..],
        &["add", "bob", "--force", "--no-confirm"],
        &["remove", "alice"],
        &["verify", "alice", "--stdin"],
    ] {
        let output = tool.run_with_input(args, "123456");
        let said = output.fails(5);
        assert!(
            said.ends_with("Permission denied (are you root?)\n"),
            "{said}"
        );
    }
    assert_eq!(tool.usersfile_now(), alice());
    assert_eq!(tool.scene.left_behind(), [] as [&str; 0]);
}

#[test]
fn completions_name_users_and_no_hidden_option() {
    let tool = Tool::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = tool.run(["completions", shell]).ok();
        assert!(!script.contains("pam-dir"), "{shell}");
        assert!(script.contains("no-confirm"), "{shell}");
    }
    assert!(tool.run(["completions", "zsh"]).ok().contains(":_users"));
    let script = tool.run(["completions", "bash"]).ok();
    let typed = |words: &str| {
        let typed = format!(
            "{script}\nCOMP_WORDS=(oathctl {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _oathctl_with_users oathctl \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
            printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let bash = std::process::Command::new("bash")
            .args(["-c", &typed])
            .output()
            .unwrap();
        assert!(bash.status.success(), "{bash:?}");
        String::from_utf8(bash.stdout).unwrap()
    };
    assert!(typed("add roo").lines().any(|name| name == "root"));
    assert!(
        typed("import --user roo")
            .lines()
            .any(|name| name == "root")
    );
    assert!(!typed("add --pi").contains("root") && typed("add --pi").contains("--pin-stdin"));
}

#[test]
fn completions_name_every_command() {
    let tool = Tool::new();
    let help = tool.run(["--help"]).ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"backup-codes"), "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = tool.run(["completions", shell]).ok();
        for command in &commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_reader_that_closes_standard_output_gets_no_error_message() {
    let many: String = (0..20_000)
        .map(|number| format!("HOTP\tuser{number}\t-\t00\n"))
        .collect();
    let tool = Tool::new().usersfile(many);
    let oathctl = built_oathctl();
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(r#""$0" --usersfile "$1" list | head -1"#)
        .arg(oathctl)
        .arg(tool.scene.path())
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"USER"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The commands below "Example:" in a help text.
fn examples(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| !line.starts_with("Example"))
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn every_example_in_the_help_works() {
    let help = Tool::new().run(["--help"]).ok();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        // The tests of these two have their own examples' tests.
        .filter(|command| !matches!(*command, "help" | "import" | "check"))
        .collect();
    for command in commands {
        let help = Tool::new().run([command, "--help"]).ok();
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{command}");
        for example in examples {
            works(command, &example);
        }
    }
}

/// Runs an example on a usersfile for which it makes sense, by a shell, with the file names and
/// codes that it names made to fit.
fn works(command: &str, example: &str) {
    let token = Generator::new(SECRET);
    let tool = match command {
        "add" => Tool::new(),
        "resync" => Tool::new().usersfile(by_event(0)),
        "enable" => Tool::new().usersfile(format!("# disabled by oathctl: {}", alice())),
        "disable" => Tool::new().usersfile(format!("#\n#\n{}", alice())),
        _ => Tool::new().usersfile(alice()),
    };
    if example.contains("--revoke") {
        tool.run(["backup-codes", "alice"]).ok();
    }
    let completions = tool.scene.folder().join("completions");
    let for_each_user = tool.scene.folder().join("for-each-user");
    fs::create_dir(&for_each_user).unwrap();
    fs::set_permissions(&for_each_user, Permissions::from_mode(0o700)).unwrap();
    let example = match command {
        "resync" => example
            .replace("123456", &token.code(7))
            .replace("789012", &token.code(8)),
        _ => example.replace("123456", &token.code_at(NOON, 30, 0)),
    };
    let example = example
        .replace(
            "/etc/bash_completion.d/oathctl",
            completions.to_str().unwrap(),
        )
        .replace("/var/lib/oath", for_each_user.to_str().unwrap())
        .replace("nano", "true")
        .replace("oathctl add alice", "oathctl add alice --force");
    let output = tool.run_example(&example, |said, asked| match command {
        "add" => shown(said).code_at(NOON, 30, 0),
        "resync" => token.code(7 + asked),
        _ => token.code_at(NOON, 30, 0),
    });
    assert_eq!(output.code, 0, "{example}: {output:?}");
}

/// The token whose secret is on the screen.
fn shown(screen: &str) -> Generator {
    let secret = screen
        .split_once("Secret: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .expect("a secret on the screen");
    Generator::of_base32(secret)
}
