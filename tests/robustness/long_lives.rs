//! A process that logs people in for years: nothing of them stays behind in it.

use std::env;
use std::fs;

use test_support::bare::Bare;
use test_support::homes::memory;
use test_support::{Scene, codes::Generator};

const SUCCESS: i32 = pam_sys::PAM_SUCCESS;
const AUTH_ERR: i32 = pam_sys::PAM_AUTH_ERR;

/// Printable, so that it is as distinctive as raw bytes as it is in hex.
const SECRET: &[u8] = b"Kq7vXw2ZpL9sTb4NcR8y";
const SECRET_IN_BASE32: &str = "JNYTO5SYO4ZFU4CMHFZVIYRUJZRVEODZ";
const NEIGHBOURS_SECRET: &[u8] = b"wG3hYt6JmD1fVe5QxU0a";
/// What the allocator overwrites by itself at the start of memory that is given back.
const OVERWRITTEN: usize = 16;
/// Much longer than that.
const PIN: &str = "sesame-Bv8kQz-open-the-door-if-you-please";
const HASH_OF_PIN: &str = "$6$abcdefgh$SaIhyi0JgWX/BuGeIrt3jQKarQadBqIZ1qTWKjvhT7BiWWjntTd71VHAJ7f2p3pSN7WvT.YyrHbHnJGMViGEP/";
const NEIGHBOURS_PIN: &str = "joshua-Xj2mWd";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must not be found, in every form that a login has it in at some time.
fn secrets(code: &str) -> Vec<(&'static str, Vec<u8>)> {
    let padded = |with: u8| SECRET.iter().map(|byte| byte ^ with).collect();
    vec![
        ("the secret", SECRET.to_vec()),
        ("the secret in hex", hex(SECRET).into_bytes()),
        (
            "the end of the secret in hex",
            hex(SECRET)[OVERWRITTEN..].into(),
        ),
        ("the secret in base32", SECRET_IN_BASE32.into()),
        ("the secret as HMAC's inner key", padded(0x36)),
        ("the secret as HMAC's outer key", padded(0x5c)),
        ("the neighbour's secret", NEIGHBOURS_SECRET.to_vec()),
        (
            "the neighbour's secret in hex",
            hex(NEIGHBOURS_SECRET).into_bytes(),
        ),
        ("the neighbour's PIN", NEIGHBOURS_PIN.into()),
        ("the code", code.into()),
    ]
}

/// Alice logs in with what `response` makes of her code, after which nothing secret is left in
/// the process, and with the end of the transaction not even what PAM keeps.
#[track_caller]
fn assert_leaves_nothing(line: &str, arguments: &str, response: &str, expected: i32) {
    let token = Generator::new(&hex(SECRET)).digits(8);
    let token = match line {
        line if line.contains("SHA256") => token.sha256(),
        line if line.contains("SHA512") => token.sha512(),
        _ => token,
    };
    let code = token.code(7);
    let neighbour = format!(
        "HOTP\tbob\t{NEIGHBOURS_PIN}\t{}\t0\n",
        hex(NEIGHBOURS_SECRET)
    );
    let scene = Scene::new().usersfile(neighbour.repeat(20) + line + &neighbour.repeat(20));
    let arguments = format!("usersfile=FOLDER/users.oath {arguments}");
    let mut process = Bare::new(scene, &arguments)
        .one_by_one()
        .login("alice", &response.replace("CODE", &code))
        .start();
    assert_eq!(process.answers["alice"], expected, "{line}");

    let control = [("this", b"this word is in the process's memory".to_vec())];
    assert_ne!(
        process.find_in_memory(&control),
        [""; 0],
        "the search finds"
    );
    assert_eq!(process.find_in_memory(&secrets(&code)), [""; 0], "{line}");
    process.end_transactions();
    // PAM keeps the PIN as PAM_AUTHTOK for as long as the transaction lasts.
    let mut secrets = secrets(&code);
    secrets.push(("the PIN", PIN.into()));
    secrets.push(("the PIN's end", PIN[OVERWRITTEN..].into()));
    assert_eq!(process.find_in_memory(&secrets), [""; 0], "{line}");
}

#[test]
fn no_secret_pin_or_code_is_in_memory_after_a_login_that_is_accepted() {
    let secret = hex(SECRET);
    for line in [
        format!("HOTP/E/8\talice\t{PIN}\t{secret}\t5\t12345678\t2026-01-15T12:00:00L\n"),
        format!("HOTP/E/8/SHA256\talice\t{PIN}\t{secret}\t5\n"),
        format!("HOTP/E/8\talice\t{HASH_OF_PIN}\t{secret}\t5\n"),
        format!("HOTP/E/8/SHA512\talice\t+\tbase32:{SECRET_IN_BASE32}\t5\n"),
    ] {
        let response = format!("{PIN}CODE");
        assert_leaves_nothing(&line, "digits=8", &response, SUCCESS);
    }
    let line = format!("HOTP/E/8\talice\t-\t{secret}\t5\n");
    assert_leaves_nothing(&line, "debug", "CODE", SUCCESS);
}

#[test]
fn no_secret_pin_or_code_is_in_memory_after_a_login_that_is_refused() {
    let secret = hex(SECRET);
    let code = Generator::new(&secret).digits(8).code(7);
    let response = format!("{PIN}CODE");
    for line in [
        // The code used before, out of the window, with a wrong PIN, with a field too bad to use.
        format!("HOTP/E/8\talice\t{PIN}\t{secret}\t7\t{code}\t2026-01-15T12:00:00L\n"),
        format!("HOTP/E/8\talice\t{PIN}\t{secret}\t8\n"),
        format!("HOTP/E/8\talice\tother\t{secret}\t7\n"),
        format!("HOTP/E/8\talice\t{PIN}\t{secret}\tx\n"),
        format!("HOTP/E/8\talice\t{PIN}\t{secret}zz\t7\n"),
        // A line so long that the buffer grows while it is read.
        format!("HOTP/E/8\talice\t{PIN}\t{}\t7\n", secret.repeat(10_000)),
    ] {
        assert_leaves_nothing(&line, "digits=8", &response, AUTH_ERR);
    }
}

#[test]
fn no_pin_of_whatever_length_is_in_memory_after_a_login() {
    let secret = hex(SECRET);
    let code = Generator::new(&secret).code(7);
    for length in (2..30).map(|n| n * OVERWRITTEN + 8) {
        let pin: String = (0..length)
            .map(|n| char::from(b'a' + (n * n % 23) as u8))
            .collect();
        let scene = Scene::new().usersfile(format!("HOTP\talice\t+\t{secret}\t5\n"));
        let mut process = Bare::new(scene, "usersfile=FOLDER/users.oath digits=6")
            .one_by_one()
            .login("alice", &format!("{pin}{code}"))
            .start();
        assert_eq!(process.answers["alice"], SUCCESS, "{length}");
        process.end_transactions();
        let end = [("the PIN's end", pin.as_bytes()[OVERWRITTEN..].to_vec())];
        assert_eq!(process.find_in_memory(&end), [""; 0], "{length}");
    }
}

/// As many logins as can be waited for; `PAM_OATH_LOGINS` asks for more.
fn number_of_logins() -> u64 {
    env::var("PAM_OATH_LOGINS").map_or(20_000, |number| {
        number.parse().expect("PAM_OATH_LOGINS is a number")
    })
}

#[test]
fn memory_and_descriptors_stay_flat_over_very_many_logins() {
    const SECRET: &str = "3132333435363738393031323334353637383930";
    let token = Generator::new(SECRET);
    let scene = Scene::new()
        .usersfile(format!("HOTP\talice\t-\t{SECRET}\n"))
        .args("window=1");
    let process = scene.process_id();
    let open_files = || fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let mapped = || {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        maps.lines().count()
    };
    let total = number_of_logins();
    let mut counter = 0;
    let mut before = None;
    for n in 0..total {
        // Accepted and refused in turns; seldom somebody unknown, who waits for the file to have
        // been at rest.
        let (user, response, expected) = match (n % 100, n % 2) {
            (99, _) => ("carol", "000000".into(), "USER_UNKNOWN"),
            (_, 0) => ("alice", token.code(counter), "SUCCESS"),
            _ => ("alice", "000000".into(), "AUTH_ERR"),
        };
        let outcome = scene.login(user).types(response);
        assert_eq!(outcome.rc, expected, "login {n}: {outcome:#?}");
        counter += u64::from(expected == "SUCCESS");
        if n == total / 10 {
            before = Some((memory(process), open_files(), mapped()));
        }
    }
    let (memory_before, files_before, mapped_before) = before.expect("a tenth of the logins");
    assert_eq!(open_files(), files_before);
    assert_eq!(mapped(), mapped_before);
    // Less than three bytes a login: what the allocator needs to find its shape.
    let grown = memory(process).saturating_sub(memory_before);
    println!("{total} logins: memory {memory_before} grown by {grown}, {files_before} descriptors");
    assert!(grown < 64 << 10, "{grown} bytes more in {total} logins");
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn memcheck_has_nothing_to_say_about_a_login_of_each_kind() {
    let valgrind = test_support::program("valgrind", "valgrind");
    let secret = hex(SECRET);
    let long = secret.repeat(4000);
    let code = Generator::new(&secret).code(7);
    // Who logs in, the line, what is typed before the code, the answer.
    let logins = [
        ("by-event", format!("HOTP by-event - {secret} 5"), "", 0),
        (
            "by-base32",
            format!("HOTP by-base32 - base32:{SECRET_IN_BASE32} 5"),
            "",
            0,
        ),
        (
            "with-pin",
            format!("HOTP with-pin {PIN} {secret} 5"),
            PIN,
            0,
        ),
        (
            "with-hash",
            format!("HOTP with-hash {HASH_OF_PIN} {secret} 5"),
            PIN,
            0,
        ),
        (
            "wrong-pin",
            format!("HOTP wrong-pin {PIN} {secret} 5"),
            "wrong",
            7,
        ),
        (
            "by-time",
            format!("HOTP/T30/6/SHA256 by-time - {secret}"),
            "",
            7,
        ),
        (
            "sha512",
            format!("HOTP/E/6/SHA512 sha512 - {secret}"),
            "",
            7,
        ),
        (
            "used",
            format!("HOTP used - {secret} 7 {code} 2026-01-15T12:00:00L"),
            "",
            7,
        ),
        ("malformed", "HOTP malformed - 0".into(), "", 7),
        ("long-line", format!("HOTP long-line - {long}"), "", 7),
        ("unknown", "# no line".into(), "", 10),
    ];
    let file: String = logins
        .iter()
        .map(|(_, line, _, _)| format!("{line}\n"))
        .collect();
    let arguments = "usersfile=FOLDER/users.oath digits=6 window=20 debug";
    let mut bare = Bare::new(Scene::new().usersfile(file), arguments)
        .one_by_one()
        .under(&[
            valgrind.to_str().unwrap(),
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect",
        ]);
    for (user, _, pin, _) in &logins {
        bare = bare.login(user, &format!("{pin}{code}"));
    }
    let mut process = bare.start();
    for (user, _, _, expected) in &logins {
        assert_eq!(process.answers[*user], *expected, "{user}");
    }
    process.end_transactions();
    assert!(process.finish(), "memcheck complains: see above");
}
