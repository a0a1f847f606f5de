//! `oathctl` in scripts: what may be run twice, exit codes, output that cannot be written.

use std::fs::File;
use std::process::Stdio;

use test_support::oathctl::Tool;

const SECRET: &str = "3132333435363738393031323334353637383930";

fn alice() -> String {
    format!("HOTP/T30\talice\t-\t{SECRET}\n")
}

#[test]
fn add_if_missing_adds_once_and_then_has_nothing_to_do() {
    let tool = Tool::new();
    let args = ["add", "alice", "--force", "--no-confirm", "--if-missing"];
    let json = [&args[..], &["--json"]].concat();
    let added = tool.run(&json).json();
    assert_eq!(added["added"], true);
    assert!(added["secret"].is_string());
    for state in ["enable", "disable"] {
        if state == "disable" {
            tool.run([state, "alice"]).ok();
        }
        let before = tool.usersfile_now();
        let again = tool.run(&json).json();
        assert_eq!(
            again,
            serde_json::json!({ "user": "alice", "added": false })
        );
        let said = tool.run(args).ok();
        assert!(
            said.contains("already") && said.contains("nothing to add"),
            "{said}"
        );
        assert_eq!(tool.usersfile_now(), before);
    }
    // It says what is wrong all the same.
    tool.run(["add", "alice", "--if-missing", "--another"])
        .fails(2);
    tool.run(["add", "nobody-here", "--no-confirm", "--if-missing"])
        .fails(3);
}

#[test]
fn remove_if_present_removes_once_and_then_has_nothing_to_do() {
    let tool = Tool::new().usersfile(alice());
    let args = ["remove", "alice", "--if-present"];
    assert!(tool.run(args).ok().contains("removed"));
    assert_eq!(tool.usersfile_now(), "");
    assert!(tool.run(args).ok().contains("nothing to remove"));
    let tool = Tool::new();
    assert!(tool.run(args).ok().contains("nothing to remove"));
    tool.run(["remove", "alice"]).fails(1);
}

#[test]
fn a_list_of_nobodys_tokens_is_empty_for_scripts_and_an_error_for_people() {
    let tool = Tool::new().usersfile(alice());
    let nobody = || serde_json::json!([]);
    assert_eq!(tool.run(["list", "bob", "--json"]).json(), nobody());
    let said = tool.run(["list", "bob"]).fails(3);
    assert!(said.contains("bob has no token in /"), "{said}");
    let tool = Tool::new();
    assert_eq!(tool.run(["list", "bob", "--json"]).json(), nobody());
    tool.run(["list", "--json"]).fails(1);
}

#[test]
fn what_does_not_fit_is_told_apart_by_its_words_and_its_exit_code() {
    let tool = Tool::new().usersfile(alice() + "# disabled by oathctl: HOTP\tbob\t-\t00\n");
    for (args, code, words) in [
        (&["remove", "carol"][..], 3, "carol has no token in"),
        (&["show", "carol"], 3, "carol has no token in"),
        (&["backup-codes", "carol"], 3, "carol has no token in"),
        (
            &["resync", "alice", "--line", "9", "--stdin"],
            3,
            "but on line 1",
        ),
        (
            &["enable", "alice"],
            3,
            "no token of alice there is disabled",
        ),
        (&["show", "bob"], 3, "`oathctl enable bob`"),
        (&["add", "bob", "--force"], 4, "`oathctl enable bob`"),
        (&["add", "alice", "--force"], 4, "--another"),
        (&["add", ""], 2, "a user's name is not empty"),
        (&["add", "a b"], 2, "no white space"),
        (&["add"], 2, "required"),
    ] {
        let args = [args, &["--no-confirm"][..usize::from(code == 4)]].concat();
        let said = tool.run(&args).fails(code);
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn no_secret_stays_in_the_file_that_nobody_has_seen() {
    for args in [
        &["add", "bob", "--force", "--no-confirm", "--json"][..],
        &["add", "bob", "--force", "--no-confirm"],
        &["backup-codes", "alice"],
        &["backup-codes", "alice", "--json"],
    ] {
        let tool = Tool::new().usersfile(alice());
        let mut command = tool.command(args);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("cannot write to standard output: No space left on device"),
            "{said}"
        );
        assert_eq!(tool.usersfile_now(), alice(), "{args:?}");
    }
}
