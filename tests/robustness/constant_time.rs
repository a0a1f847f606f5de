//! How long an answer takes does not tell where in the window a code was, nor how much of it was
//! right, nor how much of a PIN. Instructions are counted, not time: they are the same on every
//! machine and every day.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_support::codes::Generator;
use test_support::{NOON, Scene, program};

const SECRET: &str = "3132333435363738393031323334353637383930";

/// The digits of `code` with so many of them right, such that none of `window` is the result.
fn wrong(code: &str, right: usize, window: &[String]) -> String {
    (1..10)
        .map(|shift| {
            let digits = code.bytes().enumerate();
            let shifted = |digit: u8| b'0' + (digit - b'0' + shift) % 10;
            digits
                .map(|(at, digit)| char::from(if at < right { digit } else { shifted(digit) }))
                .collect::<String>()
        })
        .find(|code| !window.contains(code))
        .expect("a code that is not in the window")
}

fn assert_the_same(counts: &[(String, u64)]) {
    let numbers = || counts.iter().map(|(_, count)| *count);
    let (least, most) = (numbers().min().unwrap(), numbers().max().unwrap());
    assert!(least > 50_000, "a search is more than that: {counts:?}");
    assert!((most - least) * 1000 <= least, "{counts:?}");
}

/// What callgrind counted.
fn total(counts: &Path) -> u64 {
    let text =
        fs::read_to_string(counts).unwrap_or_else(|error| panic!("{}: {error}", counts.display()));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.expect("a total").trim().parse().expect("a number")
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn a_search_costs_the_same_wherever_the_code_is_and_however_much_of_it_is_right() {
    for (hash, token) in [
        ("SHA1", Generator::new(SECRET)),
        ("SHA256", Generator::new(SECRET).sha256()),
        ("SHA512", Generator::new(SECRET).sha512()),
    ] {
        let window: Vec<String> = (0..61).map(|n| token.code(n)).collect();
        let codes = [
            ("0", window[0].clone()),
            ("30", window[30].clone()),
            ("60", window[60].clone()),
            ("nowhere", wrong(&window[0], 0, &window)),
            ("nowhere", wrong(&window[0], 5, &window)),
            ("nowhere", wrong(&window[60], 5, &window)),
        ];
        let counts = codes.map(|(found, code)| {
            let (said, count) = counted("*counted_search*", &[hash, &code]);
            assert_eq!(said, found);
            (format!("{hash} {found}"), count)
        });
        assert_the_same(&counts);
    }
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn a_backup_code_costs_the_same_wherever_in_the_set_it_is() {
    let token = Generator::new(SECRET).digits(8);
    let set: Vec<String> = (0..64).map(|n| token.code(n)).collect();
    let codes = [
        ("1", set[0].clone()),
        ("80000000", set[31].clone()),
        ("8000000000000000", set[63].clone()),
        ("0", wrong(&set[0], 0, &set)),
        ("0", wrong(&set[63], 7, &set)),
    ];
    let counts = codes.map(|(found, code)| {
        let (said, count) = counted("*counted_set*", &["set", &code]);
        assert_eq!(said, found);
        (found.to_owned(), count)
    });
    assert_the_same(&counts);
}

/// What `search_window` says, and how many instructions this function of it takes.
fn counted(function: &str, arguments: &[&str]) -> (String, u64) {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    let output = Command::new(program("valgrind", "valgrind"))
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(test_support::helper("search_window"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{output:?}");
    (said, total(&counts))
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn a_pin_costs_the_same_however_much_of_it_is_right() {
    // So long that a comparison that stops at the first difference shows.
    let pin = "0123456789abcdef".repeat(24);
    let with_wrong = |at: usize| {
        let mut typed = pin.clone().into_bytes();
        typed[at] = b'x';
        String::from_utf8(typed).unwrap()
    };
    let typed = [0, 1, 100, 200, pin.len() - 1].map(with_wrong);
    let counts = typed.map(|typed| {
        let (said, count) = counted("*counted_comparison*", &["pin", &pin, &typed]);
        assert_eq!(said, "does not fit");
        count
    });
    let (said, right) = counted("*counted_comparison*", &["pin", &pin, &pin]);
    assert_eq!((said.as_str(), [right; 5]), ("fits", counts));
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn the_hash_of_a_pin_costs_the_same_however_much_of_it_is_right() {
    // Of "1234", made by mkpasswd.
    const HASH: &str = "$6$TfZk1HANMvT0Ylbe$SAzhDgUEQQK..yiCmtfp18RFP14vUdH0hPJEeJ4LOI4WWEbqiRgmCVWM2Y1oCpSmK5Yv1PJ2t4HrYHf2fic7m0";
    let salt = HASH.rfind('$').unwrap();
    let with_wrong = |at: usize| {
        let mut hash = HASH.to_owned();
        hash.replace_range(at..=at, "/");
        assert_ne!(hash, HASH);
        hash
    };
    let hashes = [salt + 1, salt + 40, HASH.len() - 1].map(with_wrong);
    let counts = hashes.map(|hash| {
        let (said, count) = counted("*counted_comparison*", &["pin", &hash, "1234"]);
        assert_eq!(said, "does not fit");
        count
    });
    let (said, right) = counted("*counted_comparison*", &["pin", HASH, "1234"]);
    assert_eq!((said.as_str(), [right; 3]), ("fits", counts));
}

#[test]
#[ignore = "needs valgrind: run make test"]
fn a_login_costs_the_same_wherever_the_code_is_and_however_much_of_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let token = Generator::new(SECRET);
    let at = |offset| token.code_at(NOON, 30, offset);
    let window: Vec<String> = (-30..=30).map(at).collect();
    let count = |code: &str, expected: &str| {
        let counts = folder.path().join(format!("counts-{code}"));
        let scene = Scene::new()
            .usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"))
            .args("window=30")
            .started_by([
                program("valgrind", "valgrind").into_os_string(),
                "--tool=callgrind".into(),
                "--quiet".into(),
                "--toggle-collect=pam_sm_authenticate".into(),
                "--dump-after=pam_sm_authenticate".into(),
                format!("--callgrind-out-file={}", counts.display()).into(),
            ]);
        assert_eq!(scene.login("alice").types(code).rc, expected);
        // The second module of the stack; the harness has its own before and after it.
        total(&counts.with_extension("2"))
    };

    // In the order in which they are tried: now, in the middle, at the end.
    let accepted = [0, 15, -30].map(|offset| {
        let count = count(&at(offset), "SUCCESS");
        (format!("{offset} time steps from now"), count)
    });
    assert_the_same(&accepted);

    let refused = [(0, 0), (0, 5), (-30, 5)].map(|(offset, right)| {
        let code = wrong(&at(offset), right, &window);
        let count = count(&code, "AUTH_ERR");
        (format!("{right} digits right of {offset}"), count)
    });
    assert_the_same(&refused);
}
