//! `oathctl` on a user's own file of Google's module, `~/.google_authenticator`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use oath_core::sys;
use rexpect::session::PtySession;
use test_support::codes::Generator;
use test_support::oathctl::Tool;
use test_support::{Module, NOON, Scene};

/// The secret of the RFCs' test values.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Nothing is weak in this file.
const OPTIONS: &str = "\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n12345678\n";

/// The account that the tests run as: whoever that is has the right to their file.
fn me() -> String {
    let account = sys::account_by_uid(sys::effective_user()).unwrap().unwrap();
    account.name.into_string().unwrap()
}

fn path(tool: &Tool) -> PathBuf {
    tool.scene.folder().join(".google_authenticator")
}

/// The service sshd uses Google's module, or the one in its place, with this file.
fn tool(options: &str) -> Tool {
    let tool = Tool::new();
    let path = path(&tool);
    fs::write(&path, format!("{SECRET}\n{options}")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let line = format!(
        "auth required pam_unix.so\nauth required pam_google_authenticator.so nullok secret={}\n",
        path.display()
    );
    tool.pam_file("sshd", &line)
}

fn code(offset: i64) -> String {
    Generator::of_base32(SECRET).code_at(NOON, 30, offset)
}

#[test]
fn list_tells_of_the_token_when_it_was_last_used_and_how_many_scratch_codes_are_left() {
    let step = NOON / 30 - 1;
    let used = format!("\" DISALLOW_REUSE {step} 100\n\" TOTP_AUTH\n12345678\n87654321\n");
    let tool = tool(&used);
    let row = tool.run(["list", &me(), "--json"]).json()[0].clone();
    assert_eq!(row["user"], me());
    assert_eq!((&row["type"], &row["period"]), (&"TOTP".into(), &30.into()));
    assert_eq!(row["last_used"], "2026-01-15T11:59:30");
    assert_eq!(row["scratch_codes"], 2);
    assert_eq!(row["malformed"], serde_json::Value::Null);
    let text = tool.run(["list", &me()]).ok();
    assert!(text.contains("2 scratch codes"), "{text}");
    assert!(
        !text.contains(SECRET) && !text.contains("12345678"),
        "{text}"
    );
}

#[test]
fn show_gives_the_secret_to_a_new_phone() {
    let shown = tool(OPTIONS).run(["show", &me(), "--yes", "--json"]).json();
    assert_eq!(shown["secret"], SECRET);
    let by_event = tool("\" HOTP_COUNTER 7\n");
    let shown = by_event.run(["show", &me(), "--yes", "--json"]).json();
    let uri = shown["uri"].as_str().unwrap();
    assert!(
        // The next counter and one, so that every app's first code is good.
        uri.starts_with("otpauth://hotp/") && uri.ends_with("&counter=8"),
        "{uri}"
    );
}

#[test]
fn verify_answers_as_the_module_would_and_records_nothing() {
    let tool = tool(OPTIONS);
    let before = fs::read(path(&tool)).unwrap();
    let verify =
        |typed: &str| tool.run_with_input(["verify", &me(), "--stdin"], &format!("{typed}\n"));
    for good in [code(0), code(1), "12345678".into()] {
        assert!(verify(&good).ok().starts_with("accepted"));
    }
    for (bad, why) in [(code(5), "5 time steps"), ("12345".into(), "6 digits")] {
        let output = verify(&bad);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stdout.contains(why), "{output:?}");
    }
    assert_eq!(fs::read(path(&tool)).unwrap(), before);
}

#[test]
fn the_file_may_be_named_as_well_and_each_user_has_one() {
    let tool = tool(OPTIONS).pam("sshd", "");
    let named = path(&tool);
    let named = named.to_str().unwrap();
    let row = tool
        .run(["list", &me(), "--json", "--usersfile", named])
        .json();
    assert_eq!(row[0]["scratch_codes"], 1);
    let in_home = "${HOME}/.google_authenticator";
    let said = tool.run(["list", "--usersfile", in_home]).fails(2);
    assert!(said.contains("name the user"), "{said}");
    // Where a line names pam_oath.so, its usersfile is meant.
    let said = tool.run(["list"]).fails(1);
    assert!(said.contains("users.oath"), "{said}");
}

#[test]
fn a_file_that_a_login_would_not_use_is_not_used_here_either() {
    let tool = tool(OPTIONS);
    fs::set_permissions(path(&tool), Permissions::from_mode(0o640)).unwrap();
    for command in [&["list"][..], &["show", "--yes"], &["verify", "--stdin"]] {
        let me = me();
        let args = [&command[..1], &[me.as_str()], &command[1..]].concat();
        let said = tool.run_with_input(args, "123456\n").fails(1);
        assert!(
            said.contains("has mode 0640") && said.contains("chmod 600"),
            "{said}"
        );
    }
    let output = tool.run(["check", &me()]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stdout.contains("has mode 0640"), "{output:?}");
}

/// What check says of a file with these options.
fn findings(text: &str) -> (i32, String) {
    let tool = tool(OPTIONS);
    fs::write(path(&tool), text).unwrap();
    let output = tool.run(["check", &me()]);
    (output.code, output.stdout)
}

#[test]
fn check_has_nothing_to_say_of_a_file_in_which_nothing_is_weak() {
    let text = format!("{SECRET}\n{OPTIONS}");
    assert_eq!(findings(&text), (0, String::new()));
    let by_event = format!("{SECRET}\n\" RATE_LIMIT 3 30\n\" HOTP_COUNTER 1\n");
    assert_eq!(findings(&by_event), (0, String::new()));
}

#[test]
fn check_names_each_weakness_and_each_line_that_denies() {
    let text = format!("{SECRET}\n{OPTIONS}");
    let without = |option: &str| text.replace(option, "");
    for (text, code, line, problem) in [
        (
            without("\" DISALLOW_REUSE\n"),
            1,
            None,
            "has no DISALLOW_REUSE",
        ),
        (
            without("\" RATE_LIMIT 3 30\n"),
            1,
            None,
            "has no RATE_LIMIT",
        ),
        (
            text.replace(SECRET, "GEZDGNBVGY3TQOJQ"),
            1,
            Some(1),
            "fewer than 128 bits",
        ),
        (
            text.replace("12345678", "# phone lost\n12345678"),
            1,
            Some(6),
            "no scratch code",
        ),
        (
            without("\" TOTP_AUTH\n") + "# \" TOTP_AUTH\n",
            2,
            Some(5),
            "TOTP_AUTH stands in a comment",
        ),
        (
            without("\" TOTP_AUTH\n"),
            2,
            None,
            "neither TOTP_AUTH nor HOTP_COUNTER",
        ),
        (text.replace("3 30", "3 0"), 2, Some(2), "RATE_LIMIT: "),
        (
            text.replace("REUSE", "REUSE x"),
            2,
            Some(3),
            "DISALLOW_REUSE: ",
        ),
        (
            format!("{text}\" WINDOW_SIZE 0\n"),
            2,
            Some(6),
            "WINDOW_SIZE: ",
        ),
        (
            text.replace("TOTP_AUTH", "HOTP_COUNTER 0"),
            2,
            Some(4),
            "HOTP_COUNTER: ",
        ),
        (
            text.replace(SECRET, "not base32!"),
            2,
            Some(1),
            "no secret in base32",
        ),
    ] {
        let (exit_code, said) = findings(&text);
        assert_eq!(exit_code, code, "{problem}: {said}");
        let place = line.map_or(".google_authenticator: ".into(), |line| {
            format!(".google_authenticator:{line}: ")
        });
        let found = said.lines().find(|found| found.contains(problem));
        let found = found.unwrap_or_else(|| panic!("{problem}: {said}"));
        assert!(found.contains(&place), "{found}");
        assert!(
            !said.contains("GEZD") && !said.contains("12345678"),
            "{said}"
        );
        // Nothing else is wrong.
        assert_eq!(said.matches(".google_authenticator:").count(), 1, "{said}");
    }
}

#[test]
fn a_weakness_that_the_modules_arguments_make_good_is_none() {
    let tool = tool("\" TOTP_AUTH\n");
    let line = format!(
        "auth required pam_unix.so\n\
         auth required pam_google_authenticator.so disallow_reuse throttle=5 secret={}\n",
        path(&tool).display()
    );
    let output = tool.pam_file("sshd", &line).run(["check", &me()]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
}

#[test]
fn no_command_writes_a_line_of_a_usersfile_to_it() {
    let tool = tool(OPTIONS);
    let before = fs::read(path(&tool)).unwrap();
    let path = path(&tool);
    let me = me();
    let uri = "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP\n";
    for (command, code) in [
        (&["disable", me.as_str()][..], 2),
        (&["enable", me.as_str()], 2),
        (&["import", "--user", me.as_str(), "-"], 1),
    ] {
        let given = ["--usersfile", path.to_str().unwrap()];
        let output = tool.run_with_input([command, &given].concat(), uri);
        assert_eq!(output.code, code, "{output:?}");
        let said = output.stdout + &output.stderr;
        assert!(said.contains("does not know"), "{said}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Whether a module lets a user in with a code, by this file.
fn logs_in_with(module: Module, tool: &Tool, now: i64, code: &str) -> bool {
    let option = format!("secret={} user={}", path(tool).display(), me());
    let scene = Scene::new()
        .module(module)
        .usersfile_option(&option)
        .at(now);
    scene.login("alice").types(code).rc == "SUCCESS"
}

fn logs_in(tool: &Tool, now: i64, code: &str) -> bool {
    logs_in_with(Module::Google, tool, now, code)
}

fn text(tool: &Tool) -> String {
    fs::read_to_string(path(tool)).unwrap()
}

fn mode(tool: &Tool) -> u32 {
    fs::metadata(path(tool)).unwrap().mode() & 0o7777
}

/// A user without a file.
fn without_file() -> Tool {
    let tool = tool(OPTIONS);
    fs::remove_file(path(&tool)).unwrap();
    tool
}

#[test]
fn add_makes_a_file_that_lets_its_user_in_with_the_code_and_each_scratch_code_once() {
    let tool = without_file();
    let added = tool.run(["add", &me(), "--no-confirm", "--json"]).json();
    let secret = added["secret"].as_str().unwrap();
    let codes = added["scratch_codes"].as_array().unwrap();
    let options = "\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n";
    assert!(text(&tool).starts_with(&format!("{secret}\n{options}")));
    assert_eq!((mode(&tool), codes.len()), (0o400, 5));
    assert_eq!(tool.run(["check", &me()]).ok(), "");
    let code = Generator::of_base32(secret).code_at(NOON, 30, 0);
    let scratch_code = codes[4].as_str().unwrap();
    for good in [&code, scratch_code] {
        assert!(logs_in(&tool, NOON, good));
        assert!(!logs_in(&tool, NOON + 60, good));
    }
    assert_eq!(tool.scene.left_behind(), [".google_authenticator"]);
}

#[test]
fn add_by_counter_and_with_another_step_says_so_in_the_file() {
    let added = |options: &[&str]| {
        let tool = without_file();
        let me = me();
        let command = [&["add", &me, "--no-confirm", "--secret", SECRET], options].concat();
        let output = tool.run(command);
        assert_eq!(output.code, 0, "{output:?}");
        tool
    };
    let by_counter = added(&["--hotp"]);
    assert!(text(&by_counter).contains("\" HOTP_COUNTER 1\n"));
    assert!(logs_in(
        &by_counter,
        NOON,
        &Generator::of_base32(SECRET).code(1)
    ));
    let minute = added(&["--period", "60"]);
    assert!(text(&minute).contains("\" STEP_SIZE 60\n"));
    let code = Generator::of_base32(SECRET).code_at(NOON, 60, 0);
    assert!(logs_in(&minute, NOON, &code));
}

#[test]
fn add_refuses_what_the_file_cannot_say_and_writes_nothing() {
    for (option, why) in [
        (&["--digits", "8"][..], "6 digits"),
        (&["--algorithm", "sha256"], "SHA-1"),
        (&["--external-pin"], "no PIN"),
        (&["--another"], "one token"),
        (&["--period", "61"], "60 seconds"),
    ] {
        let tool = without_file();
        let me = me();
        let command = [&["add", me.as_str(), "--no-confirm"], option].concat();
        let said = tool.run(command).fails(2);
        assert!(said.contains(why), "{said}");
        assert!(!path(&tool).exists());
    }
}

#[test]
fn add_leaves_a_file_that_is_there_as_it_is() {
    let tool = tool(OPTIONS);
    let before = text(&tool);
    let said = tool.run(["add", &me(), "--no-confirm"]).fails(4);
    assert!(said.contains("has a token already"), "{said}");
    let told = tool.run(["add", &me(), "--no-confirm", "--if-missing", "--json"]);
    assert_eq!(told.json()["added"], false);
    assert_eq!(text(&tool), before);
}

#[test]
fn add_writes_once_the_phone_has_shown_a_code_and_that_of_a_counter_is_used_up() {
    for by in ["--hotp", "--period=30"] {
        let tool = without_file();
        let me = me();
        let command = ["add", &me, "--secret", SECRET, by];
        let mut terminal = tool.on_terminal(command);
        terminal.exp_string("shows now: ").unwrap();
        terminal.send_line("000000").unwrap();
        terminal.exp_string("try again").unwrap();
        assert!(!path(&tool).exists());
        terminal.exp_string("shows now: ").unwrap();
        let token = Generator::of_base32(SECRET);
        let code = match by {
            "--hotp" => token.code(1),
            _ => code(0),
        };
        terminal.send_line(&code).unwrap();
        terminal.exp_string("has a token now").unwrap();
        terminal.exp_eof().unwrap();
        assert_eq!(logs_in(&tool, NOON, &code), by != "--hotp");
    }
}

#[test]
fn remove_takes_the_file_away_and_warns_of_who_asks_for_no_code_then() {
    let tool = tool(OPTIONS);
    let output = tool.run(["remove", &me()]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stderr.contains("sshd asks users without a token"),
        "{output:?}"
    );
    assert!(!path(&tool).exists());
    assert!(!logs_in(&tool, NOON, &code(0)));
    let said = tool.run(["remove", &me()]).fails(3);
    assert!(said.contains("has no secret file"), "{said}");
    let told = tool.run(["remove", &me(), "--if-present"]).ok();
    assert!(told.contains("nothing to remove"), "{told}");
}

#[test]
fn resync_by_time_lets_the_phone_in_again_and_neither_of_the_two_codes() {
    for ahead in [-200, 7, 900] {
        let tool = tool("\" DISALLOW_REUSE 5\n\" RESETTING_TIME_SKEW 1+1\n\" TOTP_AUTH\n");
        let two = format!("{}\n{}\n", code(ahead - 1), code(ahead));
        let told = tool.run_with_input(["resync", &me(), "--stdin"], &two).ok();
        assert!(
            told.contains(&format!("TIME_SKEW is {ahead} now")),
            "{told}"
        );
        assert_eq!(mode(&tool), 0o600);
        for used in [ahead - 1, ahead] {
            assert!(!logs_in(&tool, NOON, &code(used)), "{ahead}");
        }
        assert!(logs_in(&tool, NOON + 30, &code(ahead + 1)), "{ahead}");
    }
}

#[test]
fn resync_by_counter_goes_on_behind_the_two_codes() {
    let tool = tool("\" HOTP_COUNTER 7\n");
    let token = Generator::of_base32(SECRET);
    let two = format!("{}\n{}\n", token.code(500), token.code(501));
    let told = tool.run_with_input(["resync", &me(), "--stdin"], &two).ok();
    assert!(told.contains("493 behind"), "{told}");
    assert!(text(&tool).contains("\" HOTP_COUNTER 502\n"));
    assert!(!logs_in(&tool, NOON, &token.code(501)));
    assert!(logs_in(&tool, NOON, &token.code(502)));
}

#[test]
fn resync_changes_nothing_by_codes_that_do_not_follow_each_other_or_were_used() {
    let used = NOON / 30 + 9;
    let by_time = format!("\" DISALLOW_REUSE {used}\n\" TOTP_AUTH\n");
    let token = Generator::of_base32(SECRET);
    for (options, [first, second], why) in [
        (by_time.as_str(), [code(3), code(5)], "do not follow"),
        (&by_time, [code(5), code(4)], "do not follow"),
        (&by_time, [code(1001), code(1002)], "do not follow"),
        (&by_time, [code(8), code(9)], "were used before"),
        (
            "\" HOTP_COUNTER 7\n",
            [token.code(5), token.code(6)],
            "do not follow",
        ),
        (
            "\" HOTP_COUNTER 7\n",
            [token.code(1008), token.code(1009)],
            "do not follow",
        ),
    ] {
        let tool = tool(options);
        let before = text(&tool);
        let two = format!("{first}\n{second}\n");
        let said = tool
            .run_with_input(["resync", &me(), "--stdin"], &two)
            .fails(1);
        assert!(said.contains(why), "{said}");
        assert_eq!(text(&tool), before);
    }
}

#[test]
fn backup_codes_are_scratch_codes_each_good_once_until_they_are_revoked() {
    let tool = tool("\" TOTP_AUTH\n# lost\n12345678\n");
    let made = tool
        .run(["backup-codes", &me(), "--json", "--number", "3"])
        .json();
    let codes: Vec<&str> = made["codes"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|code| code.as_str())
        .collect();
    assert_eq!(codes.len(), 3);
    assert!(logs_in(&tool, NOON, codes[1]));
    assert!(!logs_in(&tool, NOON, codes[1]));
    let said = tool.run(["backup-codes", &me()]).fails(4);
    assert!(said.contains("2 scratch codes already"), "{said}");
    tool.run(["backup-codes", &me(), "--revoke"]).ok();
    assert!(!logs_in(&tool, NOON, codes[0]));
    assert!(logs_in(&tool, NOON, &code(0)));
    // Those that could not be used might come back to life.
    assert_eq!(text(&tool), format!("{SECRET}\n\" TOTP_AUTH\n# lost\n"));
    tool.run(["backup-codes", &me(), "--revoke"]).fails(3);
    tool.run(["backup-codes", &me(), "--digits", "6"]).fails(2);
}

#[test]
#[ignore = "needs libpam-google-authenticator: run make test"]
fn googles_module_goes_on_with_what_each_command_wrote() {
    let tool = without_file();
    let googles = |code: &str| logs_in_with(Module::DebiansGoogle, &tool, NOON, code);
    tool.run(["add", &me(), "--no-confirm", "--secret", SECRET])
        .ok();
    let two = format!("{}\n{}\n", code(99), code(100));
    tool.run_with_input(["resync", &me(), "--stdin"], &two).ok();
    assert!(googles(&code(101)));
    assert!(!googles(&code(100)));
    tool.run(["backup-codes", &me(), "--revoke"]).ok();
    let made = tool.run(["backup-codes", &me(), "--json"]).json();
    // RATE_LIMIT has no try left in these 30 seconds.
    let later = |code: &str| logs_in_with(Module::DebiansGoogle, &tool, NOON + 40, code);
    assert!(later(made["codes"][9].as_str().unwrap()));
    tool.run(["remove", &me()]).ok();
    assert!(!later(&code(102)));
}

#[test]
fn a_user_without_a_file_is_nobody_and_a_script_is_told_so() {
    let tool = without_file();
    assert_eq!(
        tool.run(["list", &me(), "--json"]).json(),
        serde_json::json!([])
    );
    let me = me();
    for command in [
        &["list"][..],
        &["show", "--yes"],
        &["resync", "--stdin"],
        &["backup-codes"],
        &["remove"],
        &["edit"],
    ] {
        let args = [&command[..1], &[me.as_str()], &command[1..]].concat();
        let said = tool.run_with_input(args, "123456\n").fails(3);
        assert!(said.contains("has no secret file"), "{said}");
    }
    let output = tool.run_with_input(["verify", &me, "--stdin"], "123456\n");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.starts_with("refused: "), "{output:?}");
    assert!(output.stdout.contains("has no secret file"), "{output:?}");
}

fn edit(tool: &Tool, editor: &str) -> PtySession {
    tool.on_terminal_with(["edit", &me()], &[("EDITOR", editor)])
}

#[test]
fn edit_saves_what_is_sound_shows_no_secret_and_keeps_the_mode() {
    let tool = tool(OPTIONS);
    let mut terminal = edit(&tool, "sed -i -e 's/3 30/5 60/' -e /12345678/d");
    let screen = terminal.exp_eof().unwrap();
    assert_eq!(
        screen,
        "- \" RATE_LIMIT 3 30\r\n+ \" RATE_LIMIT 5 60\r\n- (scratch code)\r\n"
    );
    let edited = OPTIONS.replace("3 30", "5 60").replace("12345678\n", "");
    assert_eq!(text(&tool), format!("{SECRET}\n{edited}"));
    assert_eq!(mode(&tool), 0o600);
    assert!(logs_in(&tool, NOON, &code(0)));
}

#[test]
fn edit_asks_before_it_saves_what_would_lock_the_user_out() {
    for (editor, problem) in [
        ("sed -i 's/3 30/3 0/'", "line 2: RATE_LIMIT: "),
        ("sed -i '1i# mine'", "line 1: no secret in base32"),
    ] {
        let tool = tool(OPTIONS);
        let before = text(&tool);
        let mut terminal = edit(&tool, editor);
        terminal.exp_string(problem).unwrap();
        terminal.exp_string("What now?").unwrap();
        terminal.send_line("x").unwrap();
        terminal.exp_string("nothing was changed").unwrap();
        terminal.exp_eof().unwrap();
        assert_eq!(text(&tool), before);
    }
}

#[test]
fn a_file_that_no_login_could_read_is_never_saved() {
    let tool = tool(OPTIONS);
    let before = text(&tool);
    let mut terminal = edit(&tool, "truncate -s 70000");
    let _ = terminal
        .exp_string("What now?")
        .map(|_| terminal.send_line("Q"));
    let screen = terminal.exp_eof().unwrap();
    assert!(screen.contains("longer than 65536 bytes"), "{screen}");
    assert_eq!(text(&tool), before);
}

#[test]
fn a_login_while_the_editor_is_open_is_kept() {
    let tool = tool(OPTIONS);
    let login = format!("\" DISALLOW_REUSE {}", NOON / 30);
    // The editor logs in, as far as the file can tell.
    let file = path(&tool).display().to_string();
    let editor = format!(
        "f() {{ sed -i -e 's/^\" DISALLOW_REUSE/{login}/' -e /12345678/d {file}; \
         sed -i 's/3 30/5 60/' \"$1\"; }}; f"
    );
    let mut terminal = edit(&tool, &editor);
    let screen = terminal.exp_eof().unwrap();
    assert!(screen.contains("5 60"), "{screen}");
    let now = text(&tool);
    assert!(now.contains(&login) && now.contains("5 60"), "{now}");
    assert!(!now.contains("12345678"), "{now}");
    assert!(!logs_in(&tool, NOON, &code(0)));
}

#[test]
fn no_command_that_writes_follows_a_link_in_the_files_place() {
    let tool = tool(OPTIONS);
    let target = tool.scene.folder().join("target");
    fs::rename(path(&tool), &target).unwrap();
    symlink(&target, path(&tool)).unwrap();
    let before = fs::read(&target).unwrap();
    let me = me();
    for command in [
        &["add", "--no-confirm"][..],
        &["remove"],
        &["resync", "--stdin"],
        &["backup-codes", "--revoke"],
        &["edit"],
    ] {
        let args = [&command[..1], &[me.as_str()], &command[1..]].concat();
        let two = format!("{}\n{}\n", code(0), code(1));
        let said = tool.run_with_input(args, &two).fails(1);
        assert!(said.contains("is a symbolic link to"), "{said}");
    }
    assert_eq!(fs::read(&target).unwrap(), before);
    assert!(path(&tool).is_symlink());
}

#[test]
#[ignore = "needs root: run make test"]
fn root_changes_a_users_file_with_the_users_rights_and_it_stays_the_users() {
    let daemon = sys::account_by_name("daemon".as_ref()).unwrap().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(daemon.uid), Some(daemon.gid)).unwrap();
    let file = home.join(".google_authenticator");
    let line = format!(
        "auth required pam_google_authenticator.so secret={}\n",
        file.display()
    );
    let tool = Tool::new().pam_file("sshd", &line);
    let is_daemons = || {
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (daemon.uid, daemon.gid));
    };
    tool.run(["add", "daemon", "--no-confirm", "--secret", SECRET])
        .ok();
    is_daemons();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let two = format!("{}\n{}\n", code(6), code(7));
    tool.run_with_input(["resync", "daemon", "--stdin"], &two)
        .ok();
    tool.run(["backup-codes", "daemon", "--revoke"]).ok();
    is_daemons();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    // A file of root's is none of the user's, even if she could put its name there.
    chown(&file, Some(0), Some(0)).unwrap();
    let before = fs::read(&file).unwrap();
    let two = format!("{}\n{}\n", code(8), code(9));
    for command in [&["resync", "daemon", "--stdin"][..], &["remove", "daemon"]] {
        let output = tool.run_with_input(command, &two);
        assert_ne!(output.code, 0, "{output:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    chown(&file, Some(daemon.uid), Some(daemon.gid)).unwrap();
    tool.run(["remove", "daemon"]).ok();
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn check_tells_who_gets_in_by_each_service_that_asks_the_module() {
    let password = "auth required pam_unix.so\n";
    let refuses = |who: &serde_json::Value, what: &str| who[what] == false;
    for (control, arguments, gets_in, problem) in [
        ("required", "", None, ""),
        ("required", "nullok", Some("without_token"), ""),
        ("sufficient", "", Some("wrong_code"), "password"),
        (
            "[success=ok default=ignore]",
            "",
            Some("wrong_code"),
            "password",
        ),
        ("optional", "nullok", Some("wrong_code"), "password"),
        (
            "required",
            "use_first_pass",
            None,
            "use_first_pass never asks",
        ),
    ] {
        let tool = tool(OPTIONS);
        let code = format!(
            "auth {control} pam_google_authenticator.so {arguments} secret={}\n",
            path(&tool).display()
        );
        let tool = tool.pam_file("login", &format!("{password}{code}"));
        fs::remove_file(tool.pam_dir().join("sshd")).unwrap();
        let output = tool.run(["check", &me(), "--json"]);
        let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let who = &report["who_gets_in"][0];
        assert_eq!(who["service"], "login", "{control} {arguments}: {output:?}");
        for what in [
            "wrong_code",
            "wrong_password",
            "nothing_right",
            "without_token",
        ] {
            let is_expected = match gets_in {
                // Whoever needs no code needs none without a token either.
                Some("wrong_code") => ["wrong_code", "without_token"].contains(&what),
                gets_in => gets_in == Some(what),
            };
            assert_eq!(
                refuses(who, what),
                !is_expected,
                "{control} {arguments}: {what}"
            );
        }
        let expected = if problem.is_empty() { 0 } else { 2 };
        assert_eq!(output.code, expected, "{control} {arguments}: {output:?}");
        assert!(output.stdout.to_lowercase().contains(problem), "{output:?}");
    }
    // Without a password, who has no file needs nothing at all.
    let tool = tool(OPTIONS);
    let code = format!(
        "auth required pam_google_authenticator.so nullok secret={}\nauth required pam_permit.so\n",
        path(&tool).display()
    );
    let tool = tool.pam_file("login", &code);
    fs::remove_file(tool.pam_dir().join("sshd")).unwrap();
    assert_eq!(tool.run(["check", &me()]).code, 2);
}

#[test]
fn check_tells_what_a_missing_file_means() {
    for (arguments, code, meaning) in [("nullok", 1, "asked for no code"), ("", 2, "cannot log in")]
    {
        let tool = tool(OPTIONS);
        fs::remove_file(path(&tool)).unwrap();
        let line = format!(
            "auth required pam_unix.so\nauth required pam_google_authenticator.so {arguments} secret={}\n",
            path(&tool).display()
        );
        let output = tool.pam_file("sshd", &line).run(["check", &me()]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stdout.contains(meaning), "{output:?}");
    }
}

#[test]
fn whoever_enrols_where_the_services_ask_googles_module_alone_is_warned() {
    let tool = tool(OPTIONS);
    let usersfile = tool.scene.path();
    let usersfile = usersfile.to_str().unwrap();
    let add = [
        "add",
        "alice",
        "--force",
        "--no-confirm",
        "--usersfile",
        usersfile,
    ];
    let output = tool.run(add);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output
            .stderr
            .contains("pam_google_authenticator.so, which does not read"),
        "{output:?}"
    );
}
