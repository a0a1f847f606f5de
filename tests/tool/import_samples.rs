//! `oathctl import` over files as other programs write them, with invented secrets: every token is
//! imported as what it is, or refused, never as another. `import-samples/expected.json` says which.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oath_core::hex;
use oath_core::usersfile::format::{Entry, Type};
use serde::Deserialize;
use test_support::oathctl::Tool;

#[derive(Clone, Deserialize)]
struct Expected {
    file: String,
    entry: serde_json::Value,
    result: String,
    account: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    digits: Option<usize>,
    algorithm: Option<String>,
    secret_hex: Option<String>,
    period: Option<u32>,
    counter: Option<u64>,
    serial: Option<String>,
    key_hex: Option<String>,
    password: Option<String>,
}

impl Expected {
    fn token_type(&self) -> Type {
        let (digits, algorithm) = (self.digits.unwrap(), self.algorithm.as_deref().unwrap());
        let factor = match self.kind.as_deref() {
            Some("totp") => format!("T{}", self.period.unwrap()),
            _ => "E".into(),
        };
        Type::parse(format!("HOTP/{factor}/{digits}/{algorithm}").as_bytes()).unwrap()
    }
}

#[test]
fn every_entry_of_the_samples_is_imported_as_what_it_is_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tool/import-samples");
    let expected = fs::read(folder.join("expected.json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_slice(&expected).unwrap();
    let mut runs: BTreeMap<_, Vec<Expected>> = BTreeMap::new();
    for entry in expected {
        let run = (
            entry.file.clone(),
            entry.key_hex.clone(),
            entry.password.clone(),
        );
        runs.entry(run).or_default().push(entry);
    }
    for ((file, key, password), entries) in runs {
        let tool = Tool::new();
        let secrets = tempfile::tempdir().unwrap();
        let mut args = vec!["import".into(), "--force".into(), "--another".into()];
        let option = |args: &mut Vec<String>, name: &str, value: &Path| {
            args.extend([name.to_owned(), value.to_str().unwrap().to_owned()]);
        };
        if entries.iter().any(|entry| entry.serial.is_some()) {
            option(&mut args, "--map", &folder.join("map.csv"));
        }
        let is_nobodys = |entry: &Expected| entry.result == "import" && entry.account.is_none();
        if entries.iter().any(is_nobodys) {
            option(&mut args, "--user", Path::new("somebody"));
        }
        for (name, secret) in [("--key-file", key), ("--password-file", password)] {
            if let Some(secret) = secret {
                let path = secrets.path().join("secret");
                fs::write(&path, secret + "\n").unwrap();
                option(&mut args, name, &path);
            }
        }
        args.push(folder.join(&file).to_str().unwrap().to_owned());
        let output = tool.run(&args);
        let text = tool.scene.usersfile_now().unwrap_or_default();
        let lines: Vec<Entry> = text
            .lines()
            .filter_map(|line| Entry::parse(line.as_bytes()))
            .collect();
        for entry in &entries {
            let at = format!("{file}, entry {}: {output:?}", entry.entry);
            let secret = entry.secret_hex.as_deref().unwrap_or("names no secret");
            assert!(
                !output.stdout.contains(secret) && !output.stderr.contains(secret),
                "{at}"
            );
            let found = lines
                .iter()
                .find(|line| hex::encode(&line.secret().unwrap()) == secret);
            match (entry.result.as_str(), found) {
                ("import", Some(line)) => {
                    assert_eq!(line.token_type, entry.token_type(), "{at}");
                    if let Some(counter) = entry.counter {
                        assert_eq!(line.token().unwrap().counter, counter, "{at}");
                    }
                    let users = [entry.account.as_deref(), Some("somebody")];
                    let user = std::str::from_utf8(line.user).unwrap();
                    assert!(users.contains(&Some(user)), "{at}");
                }
                ("refuse-entry", None) => assert_eq!(output.code, 1, "{at}"),
                ("refuse-file", None) => {
                    assert!(output.code == 1 && lines.is_empty(), "{at}");
                }
                _ => panic!("{at}"),
            }
        }
        let imported = entries
            .iter()
            .filter(|entry| entry.result == "import")
            .count();
        assert_eq!(lines.len(), imported, "{file}: {output:?}");
    }
}

#[test]
fn a_label_that_is_no_account_is_somebodys_by_a_map() {
    let tool = Tool::new();
    let map = tool.scene.folder().join("map");
    fs::write(&map, "Zo\u{eb} \u{c5}ngstr\u{f6}m,zoe\n").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tool/import-samples");
    let file = folder.join("migration.txt");
    let file = file.to_str().unwrap();
    let said = tool.run(["import", "--force", file]).stdout;
    assert!(
        said.contains("is no account's name; say for whom"),
        "{said}"
    );
    let map = map.to_str().unwrap();
    tool.run(["import", "--force", "--map", map, file]);
    let text = tool.usersfile_now();
    assert!(
        text.contains("HOTP/T30/6/SHA256\tzoe\t-\t1a3d642041ba81ce"),
        "{text}"
    );
}

#[test]
fn a_field_or_column_that_is_not_known_refuses_its_line_alone() {
    const HEX: &str = "3132333435363738393031323334353637383930";
    for (file, said) in [
        (format!("serial,seed\nS,{HEX}\n"), "no column says whether"),
        (
            format!("serial,seed,type\nS,{HEX},totp,x\n"),
            "the column \"\" is not known",
        ),
        (
            format!("serial,seed,otp type,type\nS,{HEX},totp,hotp\n"),
            "it has type twice",
        ),
        (
            format!("serial,seed,type,interval\nS,{HEX},hotp,30\n"),
            "has a time step",
        ),
        (format!("S,{HEX},totp,6,30,x\n"), "field 6 is not known"),
    ] {
        let tool = Tool::new();
        let output = tool.run_with_input(["import", "-", "--user", "root"], &file);
        assert_eq!(output.code, 1, "{file}");
        assert!(output.stdout.contains(said), "{said}: {output:?}");
        assert_eq!(tool.scene.usersfile_now(), None);
    }
}
