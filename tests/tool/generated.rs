//! `docs/generated-usersfile.md`: for programs that read or write the usersfile besides `oathctl`.

use std::fs;
use std::process::Command;

use test_support::codes::Generator;
use test_support::example::Example;
use test_support::oathctl::Tool;
use test_support::{NOON, built_oathctl, write_program};

const SECRET: &str = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c4";
const OTHER: &str = "44a05e2c1f8b1b1ca8b1f0b3a85e3d1f0c2d9e77";

/// The blocks of shell in the page, without their indentation.
fn blocks() -> Vec<String> {
    let page = Example::file("docs/generated-usersfile.md");
    let mut blocks = Vec::new();
    let mut lines = page.text().lines();
    while let Some(line) = lines.next() {
        let Some((indent, "")) = line.split_once("```sh") else {
            continue;
        };
        let end = format!("{indent}```");
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != end)
            .map(|line| line.strip_prefix(indent).unwrap_or(line).to_owned() + "\n")
            .collect();
        blocks.push(block);
    }
    blocks
}

/// The block with this text, on the files of the test.
fn block(text: &str, tool: &Tool) -> String {
    let folder = tool.scene.folder();
    let block = blocks().into_iter().find(|block| block.contains(text));
    block
        .unwrap_or_else(|| panic!("{text} is in no block"))
        .replace("/etc/users.oath", tool.scene.path().to_str().unwrap())
        .replace("/etc/oath", folder.to_str().unwrap())
        .replace("/usr/local/sbin", folder.to_str().unwrap())
        .replace("oathctl edit", &format!("{} edit", built_oathctl()))
}

fn shell(script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_line_that_oathctl_writes_has_a_second_field_apart_by_a_tab() {
    let tool = Tool::new();
    tool.run(["add", "bin", "--no-confirm"]).ok();
    tool.run(["backup-codes", "bin"]).ok();
    let text = tool.usersfile_now();
    assert_eq!(text.lines().count(), 4, "{text}");
    for line in text.lines() {
        assert!(line.split('\t').nth(1).is_some(), "{line}");
    }
}

#[test]
fn the_command_for_who_has_a_token_finds_every_form_of_a_line_and_no_comment() {
    let text = format!(
        "#\tTYPE\tUSER\n\
         # disabled by oathctl: HOTP/T30\tgone\t-\t{SECRET}\n\
         \tHOTP   alice + base32:R6SKZSQEQPCWSQEW76ORZQ3A 7 123456 2026-01-15T12:00:00L\r\n\
         HOTP/T30/6\tbob.x\t$6$a$b\t{SECRET}\n\
         HOTP/T90/8/SHA256\tcarol\t-\t{SECRET}\n\
         HOTP/E\tbob.x\t4711\t{OTHER}\n\
         HOTP/B10/8\tdave\t-\t{OTHER}\n\
         HOTP/T30/5\tnobody\t-\t{SECRET}\n\
         HOTPX\tnobody\t-\t{SECRET}\n\
         HOTP/T30\tnobody"
    );
    let tool = Tool::new().usersfile(text);
    let users = shell(&block("awk '$1 ~", &tool));
    assert_eq!(users, "alice\nbob.x\ncarol\ndave\n");
}

#[test]
fn generated_tokens_that_edit_puts_in_keep_what_logins_recorded() {
    let tool = Tool::new().usersfile(format!("HOTP/T30/6\talice\t-\t{SECRET}\n"));
    let code = |offset| Generator::new(SECRET).code_at(NOON, 30, offset);
    assert_eq!(tool.scene.login("alice").types(code(0)).rc, "SUCCESS");

    let folder = tool.scene.folder();
    let tokens = format!(
        "HOTP/T30/6 alice - {}\nHOTP/E bin - {OTHER}\n",
        SECRET.to_uppercase()
    );
    fs::write(folder.join("tokens"), tokens).unwrap();
    let editor = folder.join("oath-merge");
    write_program(&editor, block("#!/bin/sh", &tool));
    let edit = block("EDITOR=", &tool);
    let edit = edit.trim_end().to_owned() + &format!(" --pam-dir {}", tool.pam_dir().display());
    shell(&edit);

    assert_eq!(tool.scene.login("alice").types(code(0)).rc, "AUTH_ERR");
    assert_eq!(tool.scene.login("alice").types(code(1)).rc, "SUCCESS");
    assert_eq!(tool.usersfile_now().lines().count(), 2);
    assert!(shell(&edit).contains("nothing was changed"));
}
