//! The tokens that only this module knows: any time step, SHA-256 and SHA-512, long secrets,
//! base32, and PINs as hashes.

use std::fs;
use std::process::Command;

use test_support::codes::Generator;
use test_support::{Module, NOON, Outcome, Scene, program};

const SECRET: &str = "3132333435363738393031323334353637383930";

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

fn alice(token_type: &str, pin: &str, secret: &str) -> Scene {
    Scene::new().usersfile(format!("{token_type}\talice\t{pin}\t{secret}\n"))
}

/// The code of this moving factor opens once, and is recorded behind the line as it stands.
#[track_caller]
fn opens_once(token_type: &str, secret: &str, token: &Generator, factor: u64) {
    let scene = alice(token_type, "-", secret);
    let code = token.code(factor);
    assert_rc(&scene.login("alice").types(&code), "SUCCESS");
    let expected =
        format!("{token_type}\talice\t-\t{secret}\t{factor}\t{code}\t2026-01-15T12:00:00L\n");
    assert_eq!(scene.usersfile_now().unwrap(), expected);
    assert_rc(&scene.login("alice").types(&code), "AUTH_ERR");
    let next = token.code(factor + 1);
    assert_rc(&scene.login("alice").types(next), "SUCCESS");
}

#[test]
fn a_time_step_has_any_length_from_a_second_to_a_day() {
    for period in [1, 7, 29, 30, 45, 60, 300, 3600, 86_399, 86_400] {
        let now = NOON as u64 / period;
        opens_once(
            &format!("HOTP/T{period}"),
            SECRET,
            &Generator::new(SECRET),
            now,
        );
        let eight = Generator::new(SECRET).digits(8);
        opens_once(&format!("HOTP/T{period}/8"), SECRET, &eight, now);
    }
}

#[test]
fn a_time_step_of_another_length_is_no_token() {
    for period in ["0", "86401", "030", "+30", "-30", "30.5", "", "99999999999"] {
        let scene = alice(&format!("HOTP/T{period}"), "-", SECRET);
        let code = Generator::new(SECRET).code_at(NOON, 30, 0);
        assert_rc(&scene.login("alice").types(code), "USER_UNKNOWN");
    }
}

#[test]
fn the_hash_below_the_hmac_is_named_by_the_fourth_part() {
    let now = NOON as u64 / 30;
    for digits in 6..=8 {
        let token = Generator::new(SECRET).digits(digits);
        for (hash, token) in [
            ("SHA1", token.clone()),
            ("SHA256", token.clone().sha256()),
            ("SHA512", token.sha512()),
        ] {
            opens_once(&format!("HOTP/T30/{digits}/{hash}"), SECRET, &token, now);
            opens_once(&format!("HOTP/E/{digits}/{hash}"), SECRET, &token, 0);
        }
    }
    for hash in ["SHA224", "sha256", "", "SHA256/"] {
        let scene = alice(&format!("HOTP/E/6/{hash}"), "-", SECRET);
        let code = Generator::new(SECRET).code(0);
        assert_rc(&scene.login("alice").types(code), "USER_UNKNOWN");
    }
}

#[test]
fn a_space_inside_a_code_is_passed_over_as_at_an_enrolment() {
    let spaced = |n: u64, digits: usize, at: usize| {
        let mut code = Generator::new(SECRET).digits(digits).code(n);
        code.insert(at, ' ');
        code
    };
    let scene = alice("HOTP", "-", SECRET);
    assert_rc(&scene.login("alice").types(spaced(0, 6, 3)), "SUCCESS");
    assert_rc(&scene.login("alice").types(spaced(0, 6, 3)), "AUTH_ERR");
    let unspaced = Generator::new(SECRET).code(0);
    assert_rc(&scene.login("alice").types(unspaced), "AUTH_ERR");
    // At an end, or twice, it is none that an app shows.
    for at in [0, 6] {
        assert_rc(&scene.login("alice").types(spaced(1, 6, at)), "AUTH_ERR");
    }
    let twice = spaced(1, 6, 2).replace(' ', "  ");
    assert_rc(&scene.login("alice").types(twice), "AUTH_ERR");

    let scene = alice("HOTP/E/8", "4711", SECRET).args("digits=8");
    let with_pin = |pin: &str, n| format!("{pin}{}", spaced(n, 8, 4));
    let outcome = scene.login("alice").types(with_pin("4711", 0));
    assert_rc(&outcome, "SUCCESS");
    assert_eq!(outcome.authtok.as_deref(), Some("4711"));
    assert_rc(&scene.login("alice").types(with_pin("471", 1)), "AUTH_ERR");
    assert_rc(
        &scene.login("alice").types(with_pin("4711 ", 1)),
        "AUTH_ERR",
    );
    let scene = scene.args("forward_pass");
    assert_rc(&scene.login("alice").types(with_pin("4711", 1)), "SUCCESS");
    // OATH Toolkit's module takes the last six characters: what it leaves is left here, too.
    let scene = alice("HOTP", "-", SECRET).args("digits=6");
    let outcome = scene.login("alice").types("123 456");
    assert_rc(&outcome, "AUTH_ERR");
    assert_eq!(outcome.authtok.as_deref(), Some("1"));
}

#[test]
fn a_secret_has_up_to_128_bytes() {
    for length in [1, 20, 63, 64, 65, 127, 128] {
        let secret = "a7".repeat(length);
        let token = Generator::new(&secret);
        opens_once("HOTP", &secret, &token, 0);
        opens_once("HOTP/E/6/SHA256", &secret, &token.clone().sha256(), 0);
        opens_once("HOTP/E/6/SHA512", &secret, &token.sha512(), 0);
    }
    let secret = "a7".repeat(129);
    let outcome = alice("HOTP", "-", &secret)
        .login("alice")
        .types(Generator::new(&secret).code(0));
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(
        log.contains("longer than 128 bytes") && !log.contains("a7a7"),
        "{log}"
    );
}

#[test]
fn a_secret_may_be_base32_in_either_case_with_or_without_padding() {
    let token = Generator::new(SECRET);
    for secret in [
        "base32:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "base32:gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
        "base32:GEZDGNBVGY3TQOJQgezdgnbvgy3tqojq====",
    ] {
        opens_once("HOTP", secret, &token, 0);
    }
    opens_once("HOTP", "base32:JBSWY3DP", &Generator::new("48656c6c6f"), 0);
    opens_once("HOTP", "base32:JBSWY===", &Generator::new("48656c"), 0);
    for secret in ["base32:", "base32:GEZD1", "base32:====", "GEZDGNBVGY3TQOJQ"] {
        let outcome = alice("HOTP", "-", secret)
            .login("alice")
            .types(token.code(0));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(
            log.contains("field 4 (SECRET)") && !log.contains("GEZD"),
            "{log}"
        );
    }
}

/// What the program of the package whois makes of this PIN.
fn mkpasswd(method: &str, pin: &str) -> String {
    let output = Command::new(program("mkpasswd", "whois"))
        .args([&format!("--method={method}"), pin])
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "mkpasswd: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

#[test]
#[ignore = "needs the package whois: run `make test`"]
fn a_pin_may_be_a_hash_made_by_mkpasswd() {
    for method in [
        "yescrypt",
        "gost-yescrypt",
        "sha512crypt",
        "sha256crypt",
        "bcrypt",
        "bcrypt-a",
    ] {
        for pin in ["4711", "a longer PIN, with żółw"] {
            let hash = mkpasswd(method, pin);
            let scene = alice("HOTP", &hash, SECRET).args("digits=6");
            let types = |pin: &str, n| {
                let code = Generator::new(SECRET).code(n);
                scene.login("alice").types(format!("{pin}{code}"))
            };
            for wrong in ["4712", "", "471", "47111", &hash, &hash[..3]] {
                assert_rc(&types(wrong, 0), "AUTH_ERR");
            }
            let outcome = types(pin, 0);
            assert_rc(&outcome, "SUCCESS");
            assert_eq!(outcome.authtok.as_deref(), Some(pin));
            let usersfile = scene.usersfile_now().unwrap();
            assert!(usersfile.contains(&format!("\t{hash}\t{SECRET}\t0\t")));
        }
    }
}

#[test]
#[ignore = "needs the package whois: run `make test`"]
fn a_pin_longer_than_a_hash_can_be_of_is_wrong_and_the_next_line_is_tried() {
    let hash = mkpasswd("sha512crypt", "4711");
    let hashed = format!("HOTP\talice\t{hash}\t{SECRET}\n");
    let of_another_module = format!("HOTP\talice\t+\t{SECRET}\n");
    let scene = Scene::new().usersfile(&hashed).args("digits=6");
    let types = |length| {
        let code = Generator::new(SECRET).code(0);
        scene.login("alice").types("x".repeat(length) + &code)
    };
    for length in [511, 512, 600] {
        let outcome = types(length);
        assert_rc(&outcome, "AUTH_ERR");
        assert!(outcome.log_text().contains("wrong PIN"), "{outcome:?}");
    }
    scene.write_usersfile(hashed + &of_another_module);
    assert_rc(&types(600), "SUCCESS");
}

#[test]
#[ignore = "needs the package whois: run `make test`"]
fn a_hash_may_be_of_a_pin_of_511_bytes() {
    let pin = "x".repeat(511);
    let scene = alice("HOTP", &mkpasswd("sha512crypt", &pin), SECRET).args("digits=6");
    let types = |pin: &str| {
        let code = Generator::new(SECRET).code(0);
        scene.login("alice").types(format!("{pin}{code}"))
    };
    assert_rc(&types(&pin[1..]), "AUTH_ERR");
    assert_rc(&types(&pin), "SUCCESS");
}

#[test]
fn a_hash_made_to_be_slow_denies_at_once_and_the_log_says_why() {
    for hash in [
        "$y$jFT$abcdefgh$0123456789012345678901234567890123456789012",
        "$6$rounds=999999999$abcdefgh$0123456789",
        "$5$rounds=1000001$abcdefgh$0123456789",
        "$2b$31$abcdefghijklmnopqrstuvwxyz",
    ] {
        let scene = alice("HOTP", hash, SECRET).args("digits=6");
        let code = Generator::new(SECRET).code(0);
        let outcome = scene.login("alice").types(format!("4711{code}"));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(
            log.contains("too costly") && log.contains("line=1"),
            "{log}"
        );
        assert!(!log.contains(hash), "{log}");
    }
}

#[test]
#[ignore = "needs the package whois: run `make test`"]
fn more_than_eight_hashes_of_one_user_are_not_computed() {
    let hash = mkpasswd("sha256crypt", "4711");
    let line = |n: usize| format!("HOTP\talice\t{hash}\t{n:040x}\n");
    let usersfile: String = (1..=17).map(line).collect();
    let scene = Scene::new().usersfile(usersfile).args("digits=6");
    let types = |n: usize| {
        let code = Generator::new(&format!("{n:040x}")).code(0);
        scene.login("alice").types(format!("4711{code}"))
    };
    assert_rc(&types(8), "SUCCESS");
    let outcome = types(9);
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(
        log.contains("one hash too many") && log.contains("line=9"),
        "{log}"
    );
}

#[test]
#[ignore = "needs the package whois: run `make test`"]
fn without_libcrypt_a_hash_denies_and_the_log_says_why() {
    let scene = alice("HOTP", &mkpasswd("yescrypt", "4711"), SECRET).args("digits=6");
    // Found first, and no library.
    let folder = scene.folder().with_file_name("lib");
    fs::create_dir(&folder).unwrap();
    for name in ["libcrypt.so.1", "libcrypt.so.2"] {
        fs::write(folder.join(name), "no library").unwrap();
    }
    let scene = scene.env("LD_LIBRARY_PATH", folder.to_str().unwrap());
    let code = Generator::new(SECRET).code(0);
    let outcome = scene.login("alice").types(format!("4711{code}"));
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("libcrypt") && log.contains("line=1"), "{log}");
}

/// How many instructions the module takes for a login with this answer, counted by callgrind.
fn instructions(pin: &str, typed: &str) -> u64 {
    let scene = alice("HOTP/T30", pin, SECRET).args("digits=6");
    let folder = scene.folder().with_file_name("callgrind");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("out");
    let scene = scene.started_by([
        program("valgrind", "valgrind").to_str().unwrap(),
        "--tool=callgrind",
        "--toggle-collect=pam_sm_authenticate",
        "--dump-after=pam_sm_authenticate",
        &format!("--callgrind-out-file={}", file.display()),
        &format!("--log-file={}", folder.join("log").display()),
    ]);
    assert_rc(&scene.login("alice").types(typed), "AUTH_ERR");
    // The neighbours on the stack have a function of that name as well, and it is short.
    let counts = ["1", "2", "3"].map(|nth| {
        let counted = fs::read_to_string(file.with_extension(nth)).unwrap();
        let mut lines = counted.lines();
        let total = lines.find_map(|line| line.strip_prefix("summary: "));
        total.unwrap().trim().parse().unwrap()
    });
    counts.into_iter().max().unwrap()
}

#[test]
#[ignore = "needs the packages valgrind and whois: run `make test`"]
fn a_wrong_pin_takes_as_many_instructions_as_a_wrong_code() {
    let right = Generator::new(SECRET).code_at(NOON, 30, 0);
    let wrong = Generator::new(SECRET).code_at(NOON, 30, 1000);
    for pin in ["4711".to_owned(), mkpasswd("sha512crypt", "4711")] {
        let wrong_code = instructions(&pin, &format!("4711{wrong}"));
        for typed in [
            format!("4712{wrong}"),
            format!("4712{right}"),
            format!("0000{right}"),
        ] {
            let wrong_pin = instructions(&pin, &typed);
            // The line in the log is another; a hash or a window not computed is far more.
            assert!(
                wrong_pin.abs_diff(wrong_code) < wrong_code / 30,
                "{wrong_pin} and {wrong_code}"
            );
        }
    }
}

#[test]
fn a_line_that_breaks_off_takes_no_record_from_a_token_with_another_pin() {
    for broken_off in ["HOTP alice 1111", "HOTP alice -", "HOTP alice"] {
        let scene = Scene::new()
            .usersfile(format!("{broken_off}\nHOTP\talice\t2222\t{SECRET}\n"))
            .args("digits=6");
        let types = |n| {
            let code = Generator::new(SECRET).code(n);
            scene.login("alice").types(format!("2222{code}"))
        };
        assert_rc(&types(0), "SUCCESS");
        assert_rc(&types(0), "AUTH_ERR");
        assert_rc(&types(1), "SUCCESS");
        assert_rc(&types(1), "AUTH_ERR");
        let usersfile = scene.usersfile_now().unwrap();
        assert!(usersfile.starts_with(&format!("{broken_off}\n")));
    }
}

#[test]
#[ignore = "needs the package libpam-oath: run `make test`"]
fn a_line_that_breaks_off_takes_the_record_where_its_pin_would_fit_as_in_oath_toolkits_module() {
    let recorded = |module: Module, pin: &str| {
        let scene = Scene::new()
            .module(module)
            .usersfile(format!("HOTP alice {pin}\nHOTP\talice\t2222\t{SECRET}\n"))
            .args("digits=6");
        let code = Generator::new(SECRET).code(0);
        assert_rc(
            &scene.login("alice").types(format!("2222{code}")),
            "SUCCESS",
        );
        scene.usersfile_now().unwrap()
    };
    for pin in ["+", "2222"] {
        let code = Generator::new(SECRET).code(0);
        let expected = format!(
            "HOTP\talice\t{pin}\t-\t0\t{code}\t2026-01-15T12:00:00L\n\
             HOTP\talice\t2222\t{SECRET}\n"
        );
        assert_eq!(recorded(Module::This, pin), expected);
        assert_eq!(recorded(Module::OathToolkit, pin), expected);
    }
}
