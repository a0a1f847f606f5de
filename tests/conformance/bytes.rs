//! Whatever bytes stand in the usersfile, on the PAM line or in the response: an answer, in
//! bounded time. What the fuzzers in `fuzz/` check for hours is checked here for a moment, with
//! their seeds (every input that once made one fail is among them) and with random bytes.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use test_support::any_bytes;
use test_support::{Outcome, Scene};

const LINE: &str = "HOTP\talice\t-\t3132333435363738393031323334353637383930\n";
const FIRST_CODE: &str = "755224";

fn each_seed(fuzzer: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(fuzzer);
    let seeds: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        let path = seed.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
    }
}

#[test]
fn the_seeds_of_every_fuzzer_pass() {
    each_seed("usersfile", any_bytes::usersfile);
    each_seed("arguments", any_bytes::arguments);
    each_seed("whole_login", any_bytes::whole_login);
    each_seed("secret_file", any_bytes::secret_file);
    each_seed("import", oathctl::import_any_bytes);
}

/// Bytes, most of which mean something in a usersfile.
fn bytes_of_a_usersfile() -> impl Strategy<Value = Vec<u8>> {
    let words = select(vec![
        "HOTP",
        "HOTP/E/8",
        "HOTP/T30",
        "HOTP/T60/7/SHA256",
        "HOTP/E/6/SHA512",
        "u",
        "u",
        "u",
        "other",
        "-",
        "-",
        "+",
        "pin",
        "00",
        "0011",
        "base32:GEZDGNBV",
        "zz",
        "0",
        "7",
        "18446744073709551615",
        "-1",
        "755224",
        "2026-01-15T12:00:00L",
        "never",
        "#",
    ]);
    let word = prop_oneof![9 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..9)];
    let separator = select(vec![" ", "\t", "\n", " ", "\t", "\n", "\r\n", "\r", "\0"]);
    vec((word, separator), 0..60).prop_map(|parts| {
        let bytes = parts.iter();
        bytes
            .flat_map(|(word, separator)| [word.as_slice(), separator.as_bytes()].concat())
            .collect()
    })
}

fn bytes_of_arguments() -> impl Strategy<Value = Vec<u8>> {
    let names = select(vec![
        "usersfile=",
        "window=",
        "digits=",
        "debug",
        "alwaysok",
        "try_first_pass",
        "use_first_pass",
        "no_usersfile_okay",
        "unknown",
    ]);
    let values = prop_oneof![
        "[ +-]?[0-9]{0,25}x?".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..9)
    ];
    vec((names, values), 0..9).prop_map(|arguments| {
        let arguments = arguments.iter();
        let arguments: Vec<_> = arguments
            .map(|(name, value)| [name.as_bytes(), value].concat())
            .collect();
        arguments.join(&b'\n')
    })
}

fn bytes_of_a_login() -> impl Strategy<Value = Vec<u8>> {
    let typed = prop_oneof![
        "(pin)?@-?[0-9]{1,2}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12)
    ];
    let arguments = select(vec![
        "",
        "window=0",
        "window=20",
        "digits=6 window=5",
        "digits=8 drift",
        "allow_replayed_otp_within=9",
        "forward_pass",
    ]);
    let time = select(vec![
        "1768478400",
        "0",
        "29",
        "18446744073709551615",
        "never",
    ]);
    (typed, arguments, time, bytes_of_a_usersfile()).prop_map(|(typed, arguments, time, file)| {
        [&typed, arguments.as_bytes(), time.as_bytes(), &file].join(&b'\n')
    })
}

/// A login by what is most of the time nearly a secret file.
fn bytes_of_a_login_by_a_secret_file() -> impl Strategy<Value = Vec<u8>> {
    let typed = prop_oneof![
        4 => "(pw)?[@#]-?[0-9]{1,2}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..12)
    ];
    let arguments = select(vec![
        "",
        "forward_pass",
        "noskewadj",
        "grace_period=60 disallow_reuse",
        "nullok=1",
    ]);
    let time = select(vec!["1768478400", "0", "29", "4294967295", "never"]);
    let lines = select(vec![
        "\" TOTP_AUTH",
        "\" TOTP_AUTH",
        "\" HOTP_COUNTER 5",
        "\" HOTP_COUNTER 9223372036854775807",
        "\" WINDOW_SIZE 17",
        "\" STEP_SIZE 60",
        "\" DISALLOW_REUSE 58949279 58949281",
        "\" DISALLOW_REUSE",
        "\" RATE_LIMIT 3 30 1768478390",
        "\" TIME_SKEW -9223372036854775808",
        "\" TIME_SKEW 40",
        "\" RESETTING_TIME_SKEW 58949278+40 58949279+40",
        "\" LAST0 h 1768478390",
        "12345678",
        " 87654321",
        "# hers",
        "",
    ]);
    let line = prop_oneof![
        9 => lines.prop_map(|line| line.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..9)
    ];
    let file = vec((line, select(vec!["\n", "\n", "\n", "\r\n", " "])), 0..9);
    (typed, arguments, time, file).prop_map(|(typed, arguments, time, file)| {
        let mut text = b"GEZDGNBVGY3TQOJQ\n".to_vec();
        for (line, end) in file {
            text.extend([&line, end.as_bytes()].concat());
        }
        [&typed, arguments.as_bytes(), time.as_bytes(), &text].join(&b'\n')
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_bytes_can_be_a_usersfile(bytes in bytes_of_a_usersfile()) {
        any_bytes::usersfile(&bytes);
    }

    #[test]
    fn any_bytes_can_be_arguments(bytes in bytes_of_arguments()) {
        any_bytes::arguments(&bytes);
    }

    #[test]
    fn any_bytes_can_be_a_login(bytes in bytes_of_a_login()) {
        any_bytes::whole_login(&bytes);
    }

    #[test]
    fn any_bytes_can_be_a_login_by_a_secret_file(bytes in bytes_of_a_login_by_a_secret_file()) {
        any_bytes::secret_file(&bytes);
    }
}

/// Logs alice in with a file of these bytes.
#[track_caller]
fn log_in_with(file: &[u8], args: &str) -> Outcome {
    let scene = Scene::new().usersfile(file).args(args);
    let outcome = scene.login("alice").types(FIRST_CODE);
    if outcome.rc != "SUCCESS" {
        assert!(
            fs::read(scene.path()).unwrap() == file,
            "the file is untouched"
        );
    }
    outcome
}

#[test]
fn ten_megabytes_without_a_line_feed_are_read_like_any_line() {
    let endless = |start: &str, byte: u8| {
        let mut file = start.as_bytes().to_vec();
        file.resize(10 << 20, byte);
        file
    };
    for (start, byte, rc) in [
        ("", b'x', "USER_UNKNOWN"),
        ("", 0, "USER_UNKNOWN"),
        ("HOTP alice - 00", b' ', "AUTH_ERR"),
        ("HOTP alice - ", b'1', "AUTH_ERR"),
        ("HOTP alice - base32:", b'A', "AUTH_ERR"),
        ("HOTP alice ", b'p', "AUTH_ERR"),
    ] {
        let outcome = log_in_with(&endless(start, byte), "");
        assert_eq!(outcome.rc, rc, "{start:?} and {byte}");
    }

    let mut after = endless("HOTP bob - ", b'1');
    after.push(b'\n');
    after.extend_from_slice(LINE.as_bytes());
    assert_eq!(log_in_with(&after, "").rc, "SUCCESS");
}

#[test]
fn ten_thousand_lines_of_one_user_are_all_tried() {
    let line = |n: usize| format!("HOTP/E/6\talice\t-\t{n:040}\n");
    let mut file: String = (0..10_000).map(line).collect();
    file += LINE;
    let outcome = log_in_with(file.as_bytes(), "");
    assert_eq!(outcome.rc, "SUCCESS");
    assert!(outcome.log_text().contains("line=10001"), "{outcome:#?}");
}

#[test]
fn nul_bytes_and_bytes_that_are_no_text_are_passed_over_and_kept() {
    let strange =
        b"\0\0\n\xff\xfe\0H\0O\0T\0P\n\xc3( HOTP alice - 00\nHOTP\0alice - 00\n\n\r\n\x80";
    let file = [strange, b"\n".as_slice(), LINE.as_bytes(), strange].concat();
    let scene = Scene::new().usersfile(&file);
    assert_eq!(scene.login("alice").types(FIRST_CODE).rc, "SUCCESS");
    let after = fs::read(scene.path()).unwrap();
    assert!(after.starts_with(strange) && after.ends_with(strange));
    assert_eq!(scene.login("alice").types(FIRST_CODE).rc, "AUTH_ERR");

    let outcome = log_in_with(b"HOTP alice - 3132\xff33\nHOTP alice \0 00\n", "");
    assert_eq!(outcome.rc, "AUTH_ERR");
}

#[test]
fn a_file_with_carriage_returns_alone_is_one_line() {
    let outcome = log_in_with(b"HOTP alice - 3132\rHOTP bob - 3132\r", "");
    assert_eq!(outcome.rc, "AUTH_ERR");
    assert!(outcome.log_text().contains("line=1"), "{outcome:#?}");
    let outcome = log_in_with(&b"\r".repeat(1 << 20), "");
    assert_eq!(outcome.rc, "USER_UNKNOWN");
}

#[test]
fn any_bytes_can_be_typed() {
    let scene = Scene::new().usersfile(LINE).args("digits=6");
    for typed in [
        &b""[..],
        b"\xff\xfe\xfd\xfc\xfb\xfa",
        b"75522\xff",
        "７５５２２４".as_bytes(),
        &[b'7'; 511],
    ] {
        assert_eq!(
            scene.login("alice").types(typed).rc,
            "AUTH_ERR",
            "{typed:?}"
        );
    }
    assert_eq!(scene.login("alice").types(FIRST_CODE).rc, "SUCCESS");
}

#[test]
fn any_bytes_can_be_a_users_or_a_hosts_name_and_none_controls_the_log() {
    let scene = Scene::new().usersfile(LINE);
    let long = "a".repeat(10_000);
    for name in [
        &b"\xff\xfe"[..],
        b"a\nb",
        b"alice - 00",
        b"%s%n",
        long.as_bytes(),
        // What clears a terminal that shows the log, and what takes characters back on it.
        b"\x1b[2J",
        b"\x08\x08\x08root",
        b"\x07\x7f\xc2\x9b2J",
        &[1; 300],
    ] {
        let as_user = scene.login(name).rhost("192.0.2.1").types(FIRST_CODE);
        assert_eq!(as_user.rc, "USER_UNKNOWN", "{name:?}");
        let as_host = scene.login("alice").rhost(name).types("000000");
        // libpam makes another error of it where the name is too long for the audit log.
        assert_ne!(as_host.rc, "SUCCESS", "{name:?}");
        for (log, outcome) in [(as_user.log, "unknown: "), (as_host.log, "refused: ")] {
            let logged = log.iter().any(|line| line.text.contains(outcome));
            assert!(logged, "{log:?}");
            for line in log {
                assert!(!line.text.contains(char::is_control), "{line:?}");
            }
        }
    }
    // Whatever the host is called, the login is one like any other.
    let outcome = scene.login("alice").rhost(b"\xff\n\x1b").types(FIRST_CODE);
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
}

#[test]
fn no_name_can_add_a_host_to_the_log() {
    let scene = Scene::new().usersfile(LINE);
    for space in [" ", "\t", "\n", "\u{a0}", "\u{2028}"] {
        let host = format!("198.51.100.9{space}rhost=192.0.2.1{space}line=7");
        let outcome = scene.login("alice").rhost(&host).types("000000");
        let text = &outcome.log.last().unwrap().text;
        let end = "; user=alice rhost=198.51.100.9?rhost=192.0.2.1?line=7 line=1";
        assert!(text.ends_with(end), "{text:?}");
    }
}

#[test]
fn no_path_sends_a_terminal_or_another_line_to_whoever_reads_the_log() {
    let scene = Scene::new();
    let path = scene
        .folder()
        .join("users\u{1b}[2J\u{7}\u{202e}\u{2028}.oath");
    let scene = scene.usersfile_option(&format!("usersfile={}", path.display()));
    let outcome = scene.login("alice").types("000000");
    assert_eq!(outcome.rc, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("users?[2J???.oath does not exist"), "{log:?}");
}
