//! Backup codes, `HOTP/B10/8`: each good once, in any order.

use test_support::codes::Generator;
use test_support::small_disk::SmallDisk;
use test_support::{Module, Outcome, Scene, released_together};

const SECRET: &str = "3132333435363738393031323334353637383930";
/// The secret of the user's telephone.
const OTHER: &str = "00112233445566778899aabbccddeeff00112233";

/// The code of the set with this number, counted from 0.
fn code(n: u64) -> String {
    Generator::new(SECRET).digits(8).code(n)
}

fn set(record: &str) -> String {
    format!("HOTP/B10/8\talice\t-\t{SECRET}{record}\n")
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

#[track_caller]
fn is_good(scene: &Scene, n: u64) {
    assert_rc(&scene.login("alice").types(code(n)), "SUCCESS");
}

/// A used code is refused as one that was used.
#[track_caller]
fn is_used_up(scene: &Scene, n: u64) {
    let outcome = scene.login("alice").types(code(n));
    assert_rc(&outcome, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("one-time password used before"), "{log}");
}

#[test]
fn backup_codes_are_good_once_each_in_any_order_whatever_the_window() {
    let narrow = Scene::new().usersfile(set("")).args("window=0");
    let wide = narrow.twin("su").args("window=1000 drift");
    let order = [7, 2, 9, 0, 1, 8, 3, 6, 4, 5];
    for (n, &number) in order.iter().enumerate() {
        is_good([&narrow, &wide][n % 2], number);
        for &used in &order[..=n] {
            is_used_up(&narrow, used);
            is_used_up(&wide, used);
        }
    }
    // There are ten and no more.
    for n in [10, 11, 63] {
        let outcome = wide.login("alice").types(code(n));
        assert_rc(&outcome, "AUTH_ERR");
        let log = outcome.log_text();
        assert!(log.contains("wrong one-time password"), "{log}");
    }
}

#[test]
fn a_login_writes_what_is_used_on_the_line_itself() {
    let scene = Scene::new().usersfile(format!("# a\n{}# b\n", set("")));
    is_good(&scene, 3);
    is_good(&scene, 0);
    let record = format!("\t9\t{}\t2026-01-15T12:00:00L", code(0));
    let expected = format!("# a\n{}# b\n", set(&record));
    assert_eq!(scene.usersfile_now().unwrap(), expected);
}

#[test]
fn neither_another_length_nor_a_time_of_grace_makes_a_backup_code_good() {
    let scene = Scene::new().usersfile(set(""));
    let scene = scene.args("allow_replayed_otp_within=3600");
    for digits in [6, 7] {
        let cut = Generator::new(SECRET).digits(digits).code(4);
        assert_rc(&scene.login("alice").types(cut), "AUTH_ERR");
    }
    is_good(&scene, 4);
    is_used_up(&scene, 4);
    // COUNTER was set back by hand, LAST-OTP was not.
    let record = format!("\t0\t{}\t2026-01-15T12:00:00L", code(4));
    let scene = scene.usersfile(set(&record));
    is_used_up(&scene, 4);
    is_good(&scene, 5);
}

#[test]
fn a_counter_that_is_no_number_or_too_large_makes_no_backup_code_good() {
    for counter in ["x", "-1", "99999999999999999999", "18446744073709551615"] {
        let scene = Scene::new().usersfile(set(&format!("\t{counter}")));
        assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
        let expected = set(&format!("\t{counter}"));
        assert_eq!(scene.usersfile_now().unwrap(), expected);
    }
}

#[test]
fn sixty_four_backup_codes_are_the_most() {
    let of = |number: u32| format!("HOTP/B{number}/8\talice\t-\t{SECRET}\n");
    let scene = Scene::new().usersfile(of(64));
    is_good(&scene, 63);
    is_good(&scene, 0);
    is_used_up(&scene, 63);
    let scene = Scene::new().usersfile(of(65));
    assert_rc(&scene.login("alice").types(code(0)), "USER_UNKNOWN");
}

#[test]
fn the_pin_stands_before_a_backup_code_too() {
    let scene = Scene::new()
        .usersfile(set("").replace("\t-\t", "\t4711\t"))
        .args("digits=8");
    assert_rc(&scene.login("alice").types(code(1)), "AUTH_ERR");
    let with_pin = format!("4711{}", code(1));
    assert_rc(&scene.login("alice").types(&with_pin), "SUCCESS");
    assert_rc(&scene.login("alice").types(&with_pin), "AUTH_ERR");
}

#[test]
fn of_one_backup_code_typed_many_times_at_once_one_is_accepted() {
    let scenes = [Scene::new().usersfile(set(""))];
    let others: Vec<Scene> = ["a", "b", "c", "d", "e"]
        .map(|name| scenes[0].twin(name))
        .into();
    let all: Vec<&Scene> = scenes.iter().chain(&others).collect();
    for round in 0..4 {
        let logins = (0..).zip(&all).map(|(n, scene)| {
            // Two codes, each three times.
            scene.login("alice").typing(code(2 * round + n % 2))
        });
        let outcomes = released_together(logins);
        let accepted = outcomes.iter().filter(|outcome| outcome.rc == "SUCCESS");
        assert_eq!(accepted.count(), 2, "{outcomes:?}");
    }
}

#[test]
fn the_log_warns_from_two_backup_codes_left_on() {
    let scene = Scene::new().usersfile(set("\t63"));
    let mut said = Vec::new();
    for n in [6, 7, 8, 9] {
        let outcome = scene.login("alice").types(code(n));
        assert_rc(&outcome, "SUCCESS");
        let log = outcome.log_text();
        said.push(
            log.lines()
                .find(|line| line.contains("left"))
                .map(str::to_owned),
        );
    }
    assert_eq!(said[0], None);
    for (said, expected) in said[1..].iter().zip([
        "2 backup codes left",
        "1 backup code left",
        "0 backup codes left",
    ]) {
        let said = said.as_deref().unwrap_or_default();
        assert!(
            said.contains(expected) && said.ends_with("; user=alice line=1"),
            "{said}"
        );
    }
}

#[test]
fn a_line_that_breaks_off_does_not_take_the_record_of_a_backup_code() {
    let scene = Scene::new().usersfile(format!("HOTP\talice\t-\n{}", set("")));
    is_good(&scene, 2);
    is_used_up(&scene, 2);
    is_good(&scene, 1);
}

#[test]
#[ignore = "needs libpam-oath: run make test"]
fn what_is_used_stays_used_while_oath_toolkits_module_has_the_file() {
    let counter = |n| Generator::new(OTHER).code(n);
    let scene = Scene::new().usersfile(format!("{}HOTP\talice\t-\t{OTHER}\n", set("")));
    let toolkit = scene.twin("su").module(Module::OathToolkit);
    is_good(&scene, 5);
    let line = scene.usersfile_now().unwrap();
    let line = line.lines().next().unwrap();
    for (n, backup) in [(0, 2), (1, 5), (2, 9)] {
        // It passes over the line: no backup code is good there, and the token below is.
        assert_ne!(toolkit.login("alice").types(code(backup)).rc, "SUCCESS");
        assert_rc(&toolkit.login("alice").types(counter(n)), "SUCCESS");
        assert!(scene.usersfile_now().unwrap().starts_with(line));
    }
    is_used_up(&scene, 5);
    is_good(&scene, 2);
    is_good(&scene, 9);
    is_used_up(&scene, 2);
    assert_rc(&scene.login("alice").types(counter(3)), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn what_is_used_stays_used_through_a_full_disk_and_the_journal() {
    let scene = Scene::new().usersfile(set(""));
    let journal = scene.folder().with_file_name("journal");
    let scene = scene.args(&format!("readonly_ok={}", journal.display()));
    let disk = SmallDisk::over(&scene.folder());
    scene.write_usersfile(set("\t2"));
    disk.fill();
    is_good(&scene, 8);
    is_good(&scene, 3);
    for used in [1, 3, 8] {
        is_used_up(&scene, used);
    }
    assert_eq!(scene.usersfile_now().unwrap(), set("\t2"));
    // Whoever makes the set larger meanwhile makes no code of it good again.
    scene.write_usersfile(set("\t2").replace("B10", "B20"));
    is_used_up(&scene, 8);
    disk.make_writable();
    is_used_up(&scene, 3);
    is_good(&scene, 0);
    for used in [0, 1, 3, 8] {
        is_used_up(&scene, used);
    }
    let without = scene.twin("su").args("");
    for used in [0, 1, 3, 8] {
        is_used_up(&without, used);
    }
    is_good(&without, 2);
    is_used_up(&scene, 2);
}
