//! `oathctl import`: files of other programs, then logins with the codes of those programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use test_support::codes::Generator;
use test_support::oathctl::{Output, Tool};
use test_support::{NOON, program};

/// "12345678901234567890" in base32 and hex: no secret, but what the RFCs' examples have.
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HEX: &str = "3132333435363738393031323334353637383930";

/// A file to import, beside a tool that has an empty usersfile.
struct Import {
    tool: Tool,
    folder: TempDir,
}

impl Import {
    fn of(text: &str) -> Import {
        let import = Import {
            tool: Tool::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(import.file(), text).unwrap();
        import
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        let file = self.file();
        let file = file.to_str().unwrap();
        let output = self.tool.run(["import", file].iter().chain(args));
        for secret in [BASE32, HEX] {
            assert!(!output.stdout.contains(secret), "{output:?}");
            assert!(!output.stderr.contains(secret), "{output:?}");
        }
        output
    }

    /// The usersfile's lines without its header.
    fn lines(&self) -> Vec<String> {
        let text = self.tool.usersfile_now();
        let tokens = text.lines().filter(|line| !line.starts_with('#'));
        tokens.map(str::to_owned).collect()
    }

    #[track_caller]
    fn logs_in(&self, user: &str, code: &str) {
        let outcome = self.tool.scene.login(user).types(code);
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    }
}

/// What a program prints.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The code that oathtool gives for a base32 secret.
fn oathtool(args: &[&str], base32: &str) -> String {
    let mut oathtool = Command::new(program("oathtool", "oathtool"));
    printed(oathtool.args(["-b"]).args(args).arg(base32))
        .trim()
        .to_owned()
}

fn google_authenticator(import: &Import, args: &[&str]) -> String {
    let program = program("google-authenticator", "libpam-google-authenticator");
    let _ = fs::remove_file(import.file());
    let mut command = Command::new(program);
    command
        .args(["-f", "--no-confirm", "-Q", "NONE", "-r", "3", "-R", "30"])
        .args(args)
        .arg(format!("--secret={}", import.file().display()));
    printed(&mut command)
}

#[test]
#[ignore = "needs libpam-google-authenticator and oathtool: run make test"]
fn a_file_of_google_authenticator_logs_in_with_the_codes_of_its_secret() {
    let import = Import::of("");
    let said = google_authenticator(&import, &["-t", "-d", "-W"]);
    let output = import.run(&["--user", "root"]).ok();
    for said in [
        "RATE_LIMIT",
        "WINDOW_SIZE",
        "5 scratch codes stay behind",
        "backup-codes",
    ] {
        assert!(output.contains(said), "{output}");
    }
    for line in said.lines().map(str::trim) {
        let secret = line.rsplit(": ").next().unwrap();
        assert!(secret.len() < 6 || !output.contains(secret), "{output}");
    }
    let secret = fs::read_to_string(import.file()).unwrap();
    let secret = secret.lines().next().unwrap();
    let noon = "2026-01-15 12:00:00 UTC";
    import.logs_in("root", &oathtool(&["--totp", "-N", noon], secret));
}

#[test]
#[ignore = "needs libpam-google-authenticator: run make test"]
fn a_counter_of_google_authenticator_goes_on_where_it_was() {
    let import = Import::of("");
    let said = google_authenticator(&import, &["-c", "-W"]);
    assert!(
        import
            .run(&["--user", "root"])
            .ok()
            .contains("imported as HOTP/E/6")
    );
    let code = said
        .lines()
        .find_map(|line| line.strip_prefix("Your verification code for code 1 is "))
        .expect("the program's first code");
    import.logs_in("root", code);
    let line = import.lines().remove(0);
    assert!(line.contains(&format!("\t1\t{code}\t")), "{line}");
}

#[test]
#[ignore = "needs pskctool, openssl and oathtool: run make test"]
fn a_container_of_pskctool_logs_in_with_the_codes_of_its_keys() {
    let import = Import::of("");
    let key = |user: &str, secret: &str, kind: &str, digits: u32, data: &str| {
        format!(
            r#"<KeyPackage><DeviceInfo><Manufacturer>M</Manufacturer><SerialNo>{digits}</SerialNo>
            </DeviceInfo><Key Id="{digits}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:{kind}">
            <Issuer>I</Issuer><AlgorithmParameters>
            <ResponseFormat Length="{digits}" Encoding="DECIMAL"/></AlgorithmParameters>
            <Data><Secret><PlainValue>{secret}</PlainValue></Secret>{data}</Data>
            <UserId>UID={user},DC=example,DC=net</UserId></Key></KeyPackage>"#
        )
    };
    let container = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
        <KeyContainer Version="1.0" Id="c" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">{}{}
        </KeyContainer>"#,
        key(
            "root",
            "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
            "hotp",
            8,
            "<Counter><PlainValue>4</PlainValue></Counter>"
        ),
        key(
            "bin",
            "c29tZXRoaW5nIGVsc2UgYWxvbmc=",
            "totp",
            6,
            "<TimeInterval><PlainValue>60</PlainValue></TimeInterval>"
        ),
    );
    let unsigned = import.folder.path().join("unsigned");
    fs::write(&unsigned, container).unwrap();
    let [key, certificate] = ["key", "certificate"].map(|name| import.folder.path().join(name));
    printed(
        Command::new(program("openssl", "openssl"))
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
    );
    let pskctool = program("pskctool", "pskctool");
    let signed = printed(
        Command::new(&pskctool)
            .arg("--sign")
            .arg("--sign-key")
            .arg(&key)
            .arg("--sign-crt")
            .arg(&certificate)
            .arg(&unsigned),
    );
    fs::write(import.file(), signed).unwrap();
    let info = printed(Command::new(&pskctool).arg("--info").arg(import.file()));
    assert!(info.contains("Signed: YES"), "{info}");

    let output = import.run(&[]).ok();
    assert!(
        output.contains("key 1: root: imported as HOTP/E/8"),
        "{output}"
    );
    assert!(
        output.contains("key 2: bin: imported as HOTP/T60/6"),
        "{output}"
    );
    assert!(output.contains("pskctool --verify"), "{output}");
    import.logs_in("root", &oathtool(&["-d", "8", "-c", "4"], BASE32));
    let base32 = "ONXW2ZLUNBUW4ZZAMVWHGZJAMFWG63TH";
    let noon = "2026-01-15 12:00:00 UTC";
    import.logs_in(
        "bin",
        &oathtool(&["--totp", "-s", "60", "-N", noon], base32),
    );
}

#[test]
fn each_uri_is_for_the_account_in_its_label() {
    let import = Import::of(&format!(
        "# from the old server\n\
         otpauth://totp/Old%20Server:root@old.example?secret={BASE32}&issuer=Old%20Server\n\
         \n\
         otpauth://hotp/bin?secret={BASE32}A&digits=8&counter=7\n"
    ));
    assert_eq!(
        import.run(&[]).ok(),
        format!(
            "line 2: root: imported as HOTP/T30/6, line 4 of {path}\n\
             line 4: bin: imported as HOTP/E/8, line 5 of {path}\n\
             line 4: its counter, 7, may be that of a code that was shown already: the code after \
             it is the first that is accepted\n",
            path = import.tool.scene.path().display()
        )
    );
    assert_eq!(
        import.lines(),
        [
            format!("HOTP/T30/6\troot\t-\t{HEX}"),
            format!("HOTP/E/8\tbin\t-\t{HEX}\t8")
        ]
    );
    import.logs_in("root", &Generator::new(HEX).code_at(NOON, 30, 0));
    import.logs_in("bin", &Generator::new(HEX).digits(8).code(8));
    let shown = import.tool.run(["show", "root", "--yes"]).ok();
    assert!(shown.contains("&issuer=Old%20Server"), "{shown}");
}

#[test]
fn what_cannot_be_held_is_named_and_the_rest_is_imported() {
    let import = Import::of(&format!(
        "otpauth://totp/root?secret={BASE32}&digits=10\n\
         otpauth://totp/root?secret={BASE32}&algorithm=MD5\n\
         https://example.com/\n\
         otpauth://totp/nobody-of-this-name?secret={BASE32}\n\
         otpauth://totp/bin?secret={BASE32}&algorithm=SHA512\n"
    ));
    let output = import.run(&[]);
    assert_eq!(output.code, 1);
    for (line, said) in [
        (
            1,
            "not imported: its codes have 10 digits, the usersfile's 6 to 8",
        ),
        (2, "not imported: its hash is \"MD5\""),
        (3, "not imported: it is no otpauth:// URI"),
        (
            4,
            "not imported: nobody-of-this-name has no account on this system; say for whom",
        ),
        (5, "bin: imported as HOTP/T30/6/SHA512"),
    ] {
        let said = format!("line {line}: {said}");
        assert!(output.stdout.contains(&said), "{said}: {}", output.stdout);
    }
    assert_eq!(
        import.lines(),
        [format!("HOTP/T30/6/SHA512\tbin\t-\t{HEX}")]
    );
}

/// A field of a protobuf message: its number, and bytes or a number below 128.
fn field(number: u8, value: Result<&[u8], u8>) -> Vec<u8> {
    match value {
        Ok(bytes) => [&[number << 3 | 2, bytes.len() as u8], bytes].concat(),
        Err(value) => vec![number << 3, value],
    }
}

#[test]
fn an_export_of_the_google_authenticator_app_is_imported() {
    let token = |name: &str, kind: u8, counter: u8| {
        let fields = [
            field(1, Ok(b"12345678901234567890")),
            field(2, Ok(name.as_bytes())),
            field(3, Ok(b"Example")),
            field(4, Err(1)),
            field(5, Err(1)),
            field(6, Err(kind)),
            field(7, Err(counter)),
        ];
        field(1, Ok(&fields.concat()))
    };
    let message = [
        token("Example:root", 2, 0),
        token("bin", 1, 9),
        field(2, Err(1)),
        field(3, Err(2)),
        field(4, Err(0)),
        field(5, Err(42)),
    ]
    .concat();
    let mut base64 = Command::new(program("base64", "coreutils"));
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    fs::write(&raw, message).unwrap();
    let data = printed(base64.arg("-w0").arg(raw))
        .replace('=', "%3D")
        .replace('+', "%2B");
    let import = Import::of(&format!("otpauth-migration://offline?data={data}\n"));
    let output = import.run(&[]).ok();
    assert!(
        output.contains("line 1, token 1: root: imported as HOTP/T30/6"),
        "{output}"
    );
    assert!(
        output.contains("line 1, token 2: bin: imported as HOTP/E/6"),
        "{output}"
    );
    assert!(output.contains("only number 1 is here"), "{output}");
    assert!(import.lines()[1].ends_with("\t10"));
    import.logs_in("root", &Generator::new(HEX).code_at(NOON, 30, 0));
}

#[test]
fn a_plain_export_of_aegis_is_imported_and_an_encrypted_one_refused() {
    let import = Import::of(&format!(
        r#"{{"version": 1, "header": {{"slots": null, "params": null}}, "db": {{"version": 3,
        "entries": [{{"type": "totp", "uuid": "0", "name": "root@host", "issuer": "host",
        "note": "", "favorite": false, "icon": null, "info": {{"secret": "{BASE32}",
        "algo": "SHA256", "digits": 8, "period": 30}}, "groups": []}}], "groups": []}}}}"#
    ));
    let output = import.run(&[]).ok();
    assert!(
        output.starts_with("entry 1: root: imported as HOTP/T30/8/SHA256"),
        "{output}"
    );
    let token = Generator::new(HEX).sha256().digits(8);
    import.logs_in("root", &token.code_at(NOON, 30, 0));

    let encrypted = r#"{"version": 1, "header": {"slots": [{}], "params": {}}, "db": "c2VjcmV0"}"#;
    let said = Import::of(encrypted).run(&[]).fails(1);
    assert!(said.contains("encrypted export of Aegis"), "{said}");
}

#[test]
fn a_code_that_was_used_with_google_authenticator_is_not_good_here_either() {
    let now = NOON as u64 / 30;
    let import = Import::of(&format!(
        "{BASE32}\n\" DISALLOW_REUSE {} {now}\n\" TOTP_AUTH\n",
        now - 1
    ));
    import.run(&["--user", "root"]).ok();
    let login = |code: String| import.tool.scene.login("root").types(code).rc;
    let token = Generator::new(HEX);
    assert_eq!(login(token.code_at(NOON, 30, 0)), "AUTH_ERR");
    assert_eq!(login(token.code_at(NOON, 30, 1)), "SUCCESS");
}

#[test]
fn a_dry_run_tells_everything_and_changes_nothing() {
    let import = Import::of(&format!("otpauth://totp/root?secret={BASE32}\n"));
    let output = import.run(&["--dry-run"]).ok();
    assert!(
        output.contains("line 1: root: would be imported as HOTP/T30/6"),
        "{output}"
    );
    assert_eq!(import.tool.scene.usersfile_now(), None);

    let before = "HOTP/T30/6 bin - 3a7bd3e2360a3d29eea436fcfb7e44c735d117c4\n";
    let tool = Import::of("").tool.usersfile(before);
    let import = Import { tool, ..import };
    let output = import.run(&["-n"]).ok();
    assert!(
        output.contains("would be imported as HOTP/T30/6, line 2 of"),
        "{output}"
    );
    assert_eq!(import.tool.usersfile_now(), before);
}

#[test]
fn a_token_that_is_there_already_is_not_written_again() {
    let import = Import::of(&format!("otpauth://totp/root?secret={BASE32}\n"));
    import.run(&[]).ok();
    let before = import.tool.usersfile_now();
    let output = import.run(&["--another"]).ok();
    assert!(
        output.contains("line 1: root: already there, line 3 of"),
        "{output}"
    );
    assert_eq!(import.tool.usersfile_now(), before);
}

#[test]
fn a_token_that_is_like_one_that_is_there_is_named_and_not_imported() {
    let uri = |more: &str| format!("otpauth://hotp/bin?secret={BASE32}&{more}\n");
    let import = Import::of(&uri("counter=7"));
    import.run(&[]).ok();
    import.logs_in("bin", &Generator::new(HEX).code(9));
    import.run(&[]).ok();
    let before = import.tool.usersfile_now();
    for (file, said) in [
        (uri("counter=10"), "codes were used elsewhere since"),
        (uri("counter=7&digits=8"), "as another type"),
        (
            format!("otpauth://totp/bin?secret={BASE32}\n"),
            "as another type",
        ),
    ] {
        fs::write(import.file(), file).unwrap();
        let output = import.run(&["--another"]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stdout.contains(said), "{output:?}");
        assert_eq!(import.tool.usersfile_now(), before);
    }
    import.tool.run(["disable", "bin"]).ok();
    fs::write(import.file(), uri("counter=7")).unwrap();
    let output = import.run(&["--another"]);
    assert!(
        output.stdout.contains("disabled; see oathctl enable"),
        "{output:?}"
    );
    assert_eq!(import.lines(), [""; 0]);
}

#[test]
fn a_map_says_whose_the_tokens_of_a_list_of_serial_numbers_are() {
    let import = Import::of(&format!("T1,{HEX}\nT2,{HEX}00,totp,8,60\nT3,{HEX}01\n"));
    let map = import.folder.path().join("map");
    fs::write(&map, "# serial, user\nT1,bin\nT2,daemon\n").unwrap();
    let output = import.run(&["--map", map.to_str().unwrap()]);
    assert_eq!(output.code, 1);
    let said = "line 3: not imported: it does not say whose it is, only its serial number, T3";
    assert!(output.stdout.contains(said), "{output:?}");
    assert_eq!(
        import.lines(),
        [
            format!("HOTP/E/6\tbin\t-\t{HEX}"),
            format!("HOTP/T60/8\tdaemon\t-\t{HEX}00")
        ]
    );
    fs::write(&map, "T1,bin\nT1,daemon\n").unwrap();
    let said = import.run(&["--map", map.to_str().unwrap()]).fails(1);
    assert!(
        said.contains("line 2 names a user for T1 once more"),
        "{said}"
    );
}

#[test]
fn a_second_token_for_a_user_is_imported_on_demand_only() {
    let import = Import::of(&format!("otpauth://totp/root?secret={BASE32}\n"));
    let tool = Import::of("")
        .tool
        .usersfile("HOTP/E/6 root - 3a7bd3e2360a3d29eea436fcfb7e44c7\n");
    let import = Import { tool, ..import };
    let output = import.run(&[]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .contains("root has a token already; --another"),
        "{output:?}"
    );
    import.run(&["--another"]).ok();
    assert_eq!(import.lines().len(), 2);
}

#[test]
fn which_of_several_tokens_for_one_user_is_meant_is_not_guessed() {
    let import = Import::of(&format!(
        "otpauth://totp/Shop:root@example.com?secret={BASE32}\n\
         otpauth://totp/Bank:root@example.com?secret={BASE32}\n\
         otpauth://totp/bin?secret={BASE32}\n"
    ));
    let output = import.run(&[]);
    assert_eq!(output.code, 1);
    for line in 1..=2 {
        let said = format!("line {line}: not imported: root has several tokens in the file");
        assert!(output.stdout.contains(&said), "{output:?}");
    }
    assert_eq!(import.lines(), [format!("HOTP/T30/6\tbin\t-\t{HEX}")]);
}

#[test]
fn no_character_of_a_path_deceives_who_reads_the_terminal() {
    let tool = Tool::new();
    let path = tool.scene.path().with_file_name("a\u{9b}2J\u{202e}b");
    let path = path.to_str().unwrap();
    let text = format!("{BASE32}\n\" TOTP_AUTH\n");
    let import = ["--usersfile", path, "import", "-", "--user", "bin"];
    let check = ["--usersfile", path, "check"];
    let said = [
        tool.run_with_input(import, &text).ok(),
        tool.run_with_input(import, &text).stdout,
        tool.run(check).stdout,
    ];
    assert!(said[0].contains("imported"), "{said:?}");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let readable = tool.run(check).stdout;
    assert!(readable.contains("is readable"), "{readable:?}");
    for text in said.iter().chain([&readable]) {
        assert!(!text.contains(['\u{9b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn standard_input_is_read_and_must_say_for_whom() {
    let tool = Tool::new();
    let text = format!("{BASE32}\n\" TOTP_AUTH\n");
    let output = tool.run_with_input(["import", "-"], &text);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.contains("it does not say whose it is"),
        "{output:?}"
    );
    tool.run_with_input(["import", "-", "--user", "bin"], &text)
        .ok();
    let code = Generator::new(HEX).code_at(NOON, 30, 0);
    assert_eq!(tool.scene.login("bin").types(code).rc, "SUCCESS");
}

#[test]
#[ignore = "needs root, to give a file away: run make test"]
fn a_file_that_names_nobody_is_its_owners() {
    let import = Import::of(&format!("{BASE32}\n\" TOTP_AUTH\n"));
    chown(import.file(), Some(2), None).unwrap();
    let output = import.run(&[]).ok();
    assert!(output.starts_with("line 1: bin: imported"), "{output}");
    import.logs_in("bin", &Generator::new(HEX).code_at(NOON, 30, 0));
}

#[test]
#[ignore = "needs root, to give a file away: run make test"]
fn a_file_of_a_users_gives_nobody_else_a_token_but_by_the_administrators_word() {
    let import = Import::of(&format!(
        "otpauth://totp/root?secret={BASE32}\notpauth://totp/Larch:bin@host?secret={BASE32}\n"
    ));
    chown(import.file(), Some(2), None).unwrap();
    let output = import.run(&["--force", "--another"]);
    assert_eq!(output.code, 1);
    let said = "line 1: not imported: it is for root, and the file belongs to bin";
    assert!(output.stdout.contains(said), "{output:?}");
    assert_eq!(import.lines(), [format!("HOTP/T30/6\tbin\t-\t{HEX}")]);
    import.run(&["--user", "daemon", "--another"]);
    assert!(import.lines()[1].starts_with("HOTP/T30/6\tdaemon"));
}

#[test]
#[ignore = "needs strace: run make test"]
fn many_tokens_are_imported_by_one_rewrite() {
    let uris: String = (0..500)
        .map(|n| format!("otpauth://totp/user{n}?secret={BASE32}\n"))
        .collect();
    let import = Import::of(&uris);
    let tool = import
        .tool
        .command(["import", "--force", import.file().to_str().unwrap()]);
    let trace = import.folder.path().join("trace");
    let status = Command::new(program("strace", "strace"))
        .args(["-f", "-e", "trace=/^rename", "-o"])
        .arg(&trace)
        .arg(tool.get_program())
        .args(tool.get_args())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    assert_eq!(import.lines().len(), 500);
    let trace = fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("rename").count(), 1, "{trace}");
}

#[test]
fn a_user_without_an_account_is_imported_by_force_only() {
    let import = Import::of(&format!("otpauth://totp/no-such-user?secret={BASE32}\n"));
    assert_eq!(import.run(&[]).code, 1);
    assert_eq!(import.run(&["--user", "other-such-user"]).code, 1);
    assert_eq!(import.tool.scene.usersfile_now(), None);
    import.run(&["--force"]).ok();
    assert_eq!(
        import.lines(),
        [format!("HOTP/T30/6\tno-such-user\t-\t{HEX}")]
    );
}

#[test]
fn a_file_that_is_none_of_these_is_refused_without_showing_it() {
    for text in [
        "",
        "secret words\n",
        "<html/>",
        "<",
        "{}",
        "otpauth",
        "# nothing\n",
    ] {
        let import = Import::of(text);
        let said = import.run(&["--user", "root"]).fails(1);
        assert!(
            said.contains(import.file().to_str().unwrap()),
            "{text}: {said}"
        );
        assert!(!said.contains("secret words"), "{said}");
        assert_eq!(import.tool.scene.usersfile_now(), None, "{text}");
    }
}

#[test]
fn json_tells_what_became_of_each_token() {
    let import = Import::of(&format!(
        "otpauth://totp/root?secret={BASE32}\notpauth://totp/bin?secret={BASE32}&digits=5\n"
    ));
    let output = import.run(&["--json"]);
    assert_eq!(output.code, 1);
    let rows: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(rows[0]["outcome"], "imported");
    assert_eq!(rows[0]["user"], "root");
    assert_eq!(rows[0]["type"], "HOTP/T30/6");
    assert_eq!(rows[0]["line"], 3);
    assert_eq!(rows[1]["outcome"], "not_imported");
    assert_eq!(
        rows[1]["reason"],
        "its codes have 5 digits, the usersfile's 6 to 8"
    );
}

#[test]
#[ignore = "needs root, to be somebody else: run make test"]
fn a_user_who_may_not_write_the_file_is_told_so() {
    let import = Import::of(&format!("otpauth://totp/bin?secret={BASE32}\n"));
    let tool = Tool::new().run_by(65534, 65534);
    let text = fs::read_to_string(import.file()).unwrap();
    let said = tool.run_with_input(["import", "-"], &text).fails(5);
    assert!(
        said.contains("Permission denied") && said.contains("are you root?"),
        "{said}"
    );
    assert!(!said.contains(BASE32), "{said}");
}

#[test]
fn the_example_in_its_help_works() {
    let import = Import::of(&format!("{BASE32}\n\" TOTP_AUTH\n"));
    let help = import.tool.run(["import", "--help"]).ok();
    let example = help.lines().last().unwrap().trim();
    let file = import.file();
    let args = example.split(' ').skip(1).map(|word| match word {
        "alice" => "root",
        "/home/alice/.google_authenticator" => file.to_str().unwrap(),
        word => word,
    });
    let output = import.tool.run(args).ok();
    assert!(
        output.starts_with("line 1: root: would be imported"),
        "{output}"
    );
}
