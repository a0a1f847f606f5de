//! `oathctl` on a user's own file of Google's module, `~/.google_authenticator`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use oath_core::sys;
use test_support::NOON;
use test_support::codes::Generator;
use test_support::oathctl::Tool;

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
        "auth required pam_google_authenticator.so nullok secret={}\n",
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
            format!("{text}\" HOTP_COUNTER 0\n"),
            2,
            Some(6),
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
        "auth required pam_google_authenticator.so disallow_reuse throttle=5 secret={}\n",
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
    for command in [
        &["add", me.as_str(), "--no-confirm"][..],
        &["remove", me.as_str()],
        &["backup-codes", me.as_str()],
        &["edit"],
    ] {
        let given = ["--usersfile", path.to_str().unwrap()];
        let said = tool.run([command, &given].concat()).fails(2);
        assert!(said.contains("google-authenticator makes"), "{said}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
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
