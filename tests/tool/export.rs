//! `oathctl export`: nobody is locked in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use oath_core::usersfile::format::Entry;
use test_support::codes::Generator;
use test_support::oathctl::Tool;
use test_support::{NOON, program};

const HEX: &str = "3132333435363738393031323334353637383930";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A line of each kind that can be exported, each for an account of its own, and some of them used.
fn every_kind() -> String {
    let step = NOON as u64 / 30 - 1;
    let used = Generator::new(HEX).code(step);
    let of_hour = Generator::new(HEX)
        .digits(7)
        .sha256()
        .code(NOON as u64 / 3600);
    let time = "2026-01-15T11:59:30L";
    format!(
        "# issuer, for oathctl show: Larch & \"Sons\"\n\
         HOTP root - {HEX}\n\
         HOTP/E/8/SHA512 bin - {HEX}00 41\n\
         HOTP/E/7 daemon - base32:{BASE32} 6 {seven} {time}\n\
         HOTP/T30 sys - {HEX} {step} {used} {time}\n\
         HOTP/T3600/7/SHA256 sync - {HEX} {hour} {of_hour} {time}\n\
         HOTP/T1/6/SHA512 games - ff\n",
        seven = Generator::new(HEX).digits(7).code(6),
        hour = NOON / 3600,
    )
}

/// What a token is: type, user, secret, what an app goes on with, and the step last used if
/// `with_step`.
fn tokens(text: &str, with_step: bool) -> Vec<String> {
    let entries = text
        .lines()
        .filter_map(|line| Entry::parse(line.as_bytes()));
    entries
        .map(|entry| {
            let token = entry.token().unwrap();
            let is_by_time = entry.token_type.to_string().contains("/T");
            let step = entry.last_used.counter().unwrap();
            format!(
                "{} {} {:?} {} {:?}",
                entry.token_type,
                String::from_utf8_lossy(entry.user),
                token.secret.as_slice(),
                token.counter,
                (with_step && is_by_time).then_some(step),
            )
        })
        .collect()
}

#[test]
fn what_is_exported_and_imported_again_is_the_same_tokens() {
    let old = Tool::new().usersfile(every_kind());
    let exported = old.run(["export"]);
    assert!(exported.stderr.contains("can make the users' codes"));
    let new = Tool::new();
    let said = new.run_with_input(["import", "-"], &exported.ok()).ok();
    assert!(
        !said.contains("may be that of a code that was shown"),
        "{said}"
    );
    let text = new.usersfile_now();
    assert_eq!(tokens(&text, true), tokens(&every_kind(), true));
    assert!(text.contains("# issuer, for oathctl show: Larch & \"Sons\"\nHOTP/E/6\troot"));

    let token = Generator::new(HEX);
    let login = |user: &str, code: String| new.scene.login(user).types(code).rc;
    assert_eq!(login("daemon", token.clone().digits(7).code(6)), "AUTH_ERR");
    assert_eq!(login("daemon", token.clone().digits(7).code(7)), "SUCCESS");
    assert_eq!(login("sys", token.code_at(NOON, 30, -1)), "AUTH_ERR");
    assert_eq!(login("sys", token.code_at(NOON, 30, 0)), "SUCCESS");
}

#[test]
fn a_container_of_pskc_holds_the_same_tokens_and_it_is_said_what_it_has_no_place_for() {
    let old = Tool::new().usersfile(every_kind());
    let exported = old.run(["export", "--pskc"]);
    for line in [5, 6] {
        let said = format!("on line {line} is exported without the time step last used");
        assert!(exported.stderr.contains(&said), "{}", exported.stderr);
    }
    let new = Tool::new();
    new.run_with_input(["import", "-"], &exported.ok()).ok();
    assert_eq!(
        tokens(&new.usersfile_now(), false),
        tokens(&every_kind(), false)
    );
}

#[test]
#[ignore = "needs pskctool: run make test"]
fn pskctool_reads_a_container_that_was_exported() {
    let tool = Tool::new().usersfile(format!("HOTP/E/8 a,b&c - {HEX} 4\n"));
    let file = tool.scene.folder().join("tokens.xml");
    let args = ["export", "--pskc", "--output", file.to_str().unwrap()];
    tool.run(args).ok();
    let info = Command::new(program("pskctool", "pskctool"))
        .arg("--info")
        .arg(&file)
        .output()
        .unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    for said in [
        "Key Secret (base64): MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
        "Key Counter: 4",
        "Key User Id: UID=a\\,b&c",
    ] {
        assert!(info.contains(said), "{info}");
    }
}

#[test]
fn what_no_other_program_can_hold_is_left_out_and_named() {
    let tool = Tool::new().usersfile(format!(
        "# disabled by oathctl: HOTP alice - {HEX}01\n\
         HOTP/B10/8 alice - {HEX}02\n\
         HOTP alice - {HEX}0\n\
         HOTP alice 4711 {HEX}\n"
    ));
    for format in [&["export"][..], &["export", "--pskc"]] {
        let output = tool.run(format);
        assert_eq!(output.code, 1, "{output:?}");
        for said in [
            "on line 1 is left out: is disabled",
            "on line 2 is left out: is a set of backup codes",
            "on line 3 is left out: field 4 (SECRET) has an odd number",
            "on line 4 is exported without its PIN",
        ] {
            assert!(output.stderr.contains(said), "{said}: {output:?}");
        }
        assert_eq!(output.stdout.matches("alice").count(), 1, "{output:?}");
        assert!(!(output.stdout + &output.stderr).contains("4711"));
    }
}

#[test]
fn users_are_named_or_all_are_meant() {
    let tool = Tool::new().usersfile(format!("HOTP alice - {HEX}\nHOTP bob - {HEX}01\n"));
    let alice = tool.run(["export", "alice"]).ok();
    assert!(alice.contains(":alice?") && !alice.contains(":bob?"));
    assert_eq!(tool.run(["export", "bob", "alice"]).ok().lines().count(), 2);
    let nobody = tool.run(["export", "alice", "carol"]).fails(3);
    assert!(nobody.contains("carol has no token in"), "{nobody}");
}

#[test]
fn a_file_of_secrets_is_its_owners_alone_and_never_takes_anothers_place() {
    let tool = Tool::new().usersfile(format!("HOTP alice - {HEX}\n"));
    let file = tool.scene.folder().join("tokens");
    let args = ["export", "--output", file.to_str().unwrap()];
    assert_eq!(tool.run(args).ok(), "");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let before = fs::read_to_string(&file).unwrap();
    assert!(before.contains(BASE32));
    let said = tool.run(args).fails(1);
    assert!(said.contains("File exists"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn secrets_are_shown_on_a_terminal_only_after_a_question() {
    let tool = Tool::new().usersfile(format!("HOTP alice - {HEX}\n"));
    let mut session = tool.on_terminal(["export"]);
    let said = session.exp_string("Show the secrets here? [y/N] ").unwrap();
    assert!(said.contains("can make the users' codes") && !said.contains(BASE32));
    session.send_line("n").unwrap();
    let rest = session.exp_eof().unwrap();
    assert!(rest.contains("not exported") && !rest.contains(BASE32));
    let mut session = tool.on_terminal(["export", "--yes"]);
    assert!(session.exp_eof().unwrap().contains(BASE32));
}
