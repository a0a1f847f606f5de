//! The clock: set back and forth while a person is asked, past what 32 bits hold, in odd time zones,
//! and with a second that comes twice.

use std::fs;

use proptest::prelude::*;
use test_support::codes::Generator;
use test_support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";
const HOUR: i64 = 3600;

fn token() -> Generator {
    Generator::new(SECRET)
}

fn code_at(moment: i64) -> String {
    token().code_at(moment, 30, 0)
}

fn scene() -> Scene {
    Scene::new()
        .usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"))
        .args("window=2")
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

#[test]
fn of_a_clock_that_is_set_while_a_person_is_asked_the_time_of_the_answer_counts() {
    for (before, after) in [(NOON, NOON + HOUR), (NOON, NOON - HOUR)] {
        let scene = scene().at(before);
        let login = scene.login("alice").clock_set_while_asked(after);
        assert_rc(&login.clone().types(code_at(before)), "AUTH_ERR");
        assert_rc(&login.clone().types(code_at(after)), "SUCCESS");
        // However the clock is set, back to where it was or not at all.
        for moment in [before, after] {
            let login = scene.login("alice").at(moment);
            assert_rc(&login.clone().types(code_at(after)), "AUTH_ERR");
            let back = login.clock_set_while_asked(before + after - moment);
            assert_rc(&back.types(code_at(after)), "AUTH_ERR");
        }
    }
}

#[test]
fn a_failure_counts_also_if_the_clock_is_set_while_a_person_is_asked() {
    for set_by in [HOUR, -HOUR] {
        let scene = scene();
        let folder = scene.folder().with_file_name("throttle");
        let scene = scene.args(&format!(
            "window=2 throttle=60 throttle_dir={}",
            folder.display()
        ));
        let answer = NOON + set_by;
        let login = scene.login("alice").clock_set_while_asked(answer);
        assert_rc(&login.types(code_at(NOON + 10 * HOUR)), "AUTH_ERR");
        let next = scene.login("alice").at(answer + 30);
        let next = next.types(code_at(answer + 30));
        assert_rc(&next, "AUTH_ERR");
        assert!(next.log_text().contains("failure"), "{}", next.log_text());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever the clock is set to, at whatever moment of a login: no time step is good twice.
    #[test]
    fn no_code_is_good_twice_however_the_clock_is_set(
        clocks in proptest::collection::vec((0..40_i64, 0..40_i64, -2..=2_i64), 1..12)
    ) {
        let scene = scene();
        let mut accepted = Vec::new();
        for (asked, answered, off) in clocks {
            let [asked, answered] = [asked, answered].map(|steps| NOON + 30 * steps);
            let step = (answered + 30 * off) / 30;
            let login = scene.login("alice").at(asked).clock_set_while_asked(answered);
            let outcome = login.types(token().code(step as u64));
            if outcome.rc == "SUCCESS" {
                prop_assert!(!accepted.contains(&step), "{}", outcome.log_text());
                accepted.push(step);
            }
        }
        prop_assert!(!accepted.is_empty());
    }
}

#[test]
fn a_second_that_comes_twice_makes_no_code_good_twice() {
    // The end of 2016: the clock showed 1483228799 for two seconds.
    const LEAP: i64 = 1_483_228_799;
    let scene = Scene::new()
        .usersfile(format!("HOTP/T1\talice\t-\t{SECRET}\n"))
        .args("window=1");
    let code = |moment| token().code_at(moment, 1, 0);
    assert_rc(&scene.login("alice").at(LEAP).types(code(LEAP)), "SUCCESS");
    assert_rc(&scene.login("alice").at(LEAP).types(code(LEAP)), "AUTH_ERR");
    let next = scene.login("alice").at(LEAP).types(code(LEAP + 1));
    assert_rc(&next, "SUCCESS");
    let after = scene.login("alice").at(LEAP + 1).types(code(LEAP + 2));
    assert_rc(&after, "SUCCESS");
}

#[test]
fn times_that_32_bits_do_not_hold_are_recorded_and_a_code_is_good_once() {
    for (moment, last_time) in [
        (i64::from(i32::MAX), "2038-01-19T03:14:07L"),
        (i64::from(i32::MAX) + 1, "2038-01-19T03:14:08L"),
        (i64::from(u32::MAX), "2106-02-07T06:28:15L"),
        (i64::from(u32::MAX) + 1, "2106-02-07T06:28:16L"),
        (16_725_225_600, "2500-01-01T00:00:00L"),
    ] {
        // The usersfile of a scene was changed an hour before, so a file has such times as well.
        let scene = Scene::new()
            .at(moment)
            .args("window=2 allow_replayed_otp_within=10")
            .usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"));
        let login = || scene.login("alice");
        assert_rc(&login().types(code_at(moment)), "SUCCESS");
        let line = scene.usersfile_now().unwrap();
        assert!(line.ends_with(&format!("\t{last_time}\n")), "{line}");
        let step = moment / 30;
        assert!(line.contains(&format!("\t{step}\t")), "{line}");
        assert_rc(&login().at(moment + 10).types(code_at(moment)), "SUCCESS");
        assert_rc(&login().at(moment + 11).types(code_at(moment)), "AUTH_ERR");
        let next = moment + 30;
        assert_rc(&login().at(next).types(code_at(next)), "SUCCESS");
    }
}

#[test]
fn counters_that_32_bits_do_not_hold_are_counted_and_a_code_is_good_once() {
    for counter in [
        u64::from(u32::MAX) - 1,
        u64::from(u32::MAX),
        1 << 33,
        1 << 53,
        i64::MAX as u64,
    ] {
        let used = token().code(counter);
        let scene = Scene::new()
            .usersfile(format!("HOTP\talice\t-\t{SECRET}\t{counter}\t{used}\n"))
            .args("window=3");
        assert_rc(&scene.login("alice").types(&used), "AUTH_ERR");
        let next = token().code(counter + 2);
        assert_rc(&scene.login("alice").types(&next), "SUCCESS");
        let line = scene.usersfile_now().unwrap();
        let recorded = format!("\t{}\t{next}\t", counter + 2);
        assert!(line.contains(&recorded), "{line}");
        assert_rc(&scene.login("alice").types(&next), "AUTH_ERR");
    }
}

#[test]
#[ignore = "needs 5 GiB of memory and the release build: run make test"]
fn of_a_file_of_more_than_2_gib_the_last_line_counts_and_is_recorded() {
    use std::io::{Read, Seek, SeekFrom, Write};
    const LENGTH: u64 = (2 << 30) + (1 << 20);
    let scene = scene();
    let lines = vec![b'\n'; 1 << 20];
    let mut file = fs::File::create(scene.path()).unwrap();
    for _ in 0..LENGTH >> 20 {
        file.write_all(&lines).unwrap();
    }
    writeln!(file, "HOTP/T30\talice\t-\t{SECRET}").unwrap();
    drop(file);
    assert_rc(&scene.login("alice").types(code_at(NOON)), "SUCCESS");
    let mut file = fs::File::open(scene.path()).unwrap();
    file.seek(SeekFrom::Start(LENGTH - 1)).unwrap();
    let mut end = String::new();
    file.read_to_string(&mut end).unwrap();
    assert!(end.starts_with("\nHOTP/T30\talice"), "{end}");
    assert!(end.ends_with("\t2026-01-15T12:00:00L\n"), "{end}");
}

const ZONES: [(&str, &str); 7] = [
    ("Asia/Kathmandu", "2026-01-15T17:45:00L"),
    ("Australia/Lord_Howe", "2026-01-15T23:00:00L"), // half an hour of summer time
    ("Pacific/Chatham", "2026-01-16T01:45:00L"),
    ("Pacific/Kiritimati", "2026-01-16T02:00:00L"),
    ("Etc/GMT+12", "2026-01-15T00:00:00L"),
    ("America/St_Johns", "2026-01-15T08:30:00L"),
    ("Europe/Dublin", "2026-01-15T12:00:00L"), // whose winter is the exception
];

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn in_zones_with_odd_offsets_last_time_is_local_time_and_says_when_it_was() {
    for (zone, last_time) in ZONES {
        let scene = scene().zone(zone).args("allow_replayed_otp_within=10");
        let code = code_at(NOON);
        let login = |moment| scene.login("alice").at(moment).types(&code);
        assert_rc(&login(NOON), "SUCCESS");
        let line = scene.usersfile_now().unwrap();
        assert!(
            line.ends_with(&format!("\t{last_time}\n")),
            "{zone}: {line}"
        );
        assert_rc(&login(NOON + 10), "SUCCESS");
        assert_rc(&login(NOON + 11), "AUTH_ERR");
        assert_rc(&login(NOON - 1), "AUTH_ERR");
    }
}

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn a_zone_that_is_replaced_counts_from_the_next_answer_on_in_a_process_that_lives_on() {
    let scene = scene();
    let zone = scene.folder().with_file_name("localtime");
    let scene = scene.env("PAM_LOGIN_LOCALTIME", zone.to_str().unwrap());
    let set = |name: &str| format!("ln -sf /usr/share/zoneinfo/{name} '{}'", zone.display());
    for (nth, (name, hour)) in [("UTC", "12"), ("Asia/Tokyo", "21"), ("Africa/Cairo", "14")]
        .into_iter()
        .enumerate()
    {
        let moment = NOON + 30 * nth as i64;
        let login = scene.login("alice").at(moment).while_asked(&set(name));
        assert_rc(&login.types(code_at(moment)), "SUCCESS");
        let line = scene.usersfile_now().unwrap();
        assert!(line.contains(&format!("\t2026-01-15T{hour}:0")), "{line}");
    }
}
