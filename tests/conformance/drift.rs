//! `drift`: the window follows the clock of a phone that is fast or slow.

use test_support::codes::Generator;
use test_support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";
const DAY: i64 = 86_400;

/// The window of all these tests, in steps of 30 seconds.
const WINDOW: i64 = 2;

fn scene(args: &str) -> Scene {
    Scene::new()
        .usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"))
        .args(&format!("window={WINDOW} {args}"))
}

/// What a phone shows whose clock stands at this moment.
fn code(moment: i64) -> String {
    Generator::new(SECRET).code_at(moment, 30, 0)
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

/// A file as a login left it at noon, UTC, whose phone was so many seconds ahead and whose server
/// showed this time.
fn after_a_login(phone_ahead: i64, last_time: &str) -> String {
    let shown = NOON + phone_ahead;
    let (step, code) = (shown / 30, code(shown));
    format!("HOTP/T30\talice\t-\t{SECRET}\t{step}\t{code}\t{last_time}\n")
}

/// Ten years of logins, one every few days, by a phone that gains (loses if negative) so many
/// seconds a day. Returns after how many days a good code was refused for the first time.
fn first_refusal(gain: i64, zone: &str, args: &str) -> Option<i64> {
    let mut scene = scene(args).zone(zone);
    let mut day = 0;
    for login in 0.. {
        day += 2 + login % 4;
        if day > 3650 {
            break;
        }
        // At all hours, so also in those that summer time repeats or leaves out.
        let now = NOON + day * DAY + (login * 1234) % DAY;
        let shown = now + day * gain;
        scene = scene.at(now);
        if scene.login("alice").types(code(shown)).rc != "SUCCESS" {
            return Some(day);
        }
        // This code is no good any more, nor is the one before it.
        let earlier = scene.login("alice").types(code(shown - 30 * (login % 2)));
        assert_eq!(earlier.rc, "AUTH_ERR", "an earlier code on day {day}");
    }
    None
}

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn a_phone_that_gains_or_loses_seconds_a_day_is_followed_for_ten_years() {
    for (gain, zone) in [
        (1, "UTC"),
        (-1, "Europe/Berlin"),
        (7, "America/New_York"),
        (-7, "Australia/Lord_Howe"),
    ] {
        assert_eq!(first_refusal(gain, zone, "drift"), None, "{gain} s a day");
        let without = first_refusal(gain, zone, "").expect("refused without drift");
        assert!(without < 120, "refused on day {without} only");
    }
}

#[test]
fn a_phone_that_is_right_needs_no_drift_and_loses_nothing_by_it() {
    for args in ["", "drift"] {
        assert_eq!(first_refusal(0, "UTC", args), None);
    }
}

/// Which steps, counted from the server's own, are accepted a day after such a login.
fn open_steps(usersfile: &str, args: &str) -> Vec<i64> {
    let scene = scene(args).at(NOON + DAY);
    (-95..=95)
        .filter(|steps| {
            scene.write_usersfile(usersfile);
            let shown = NOON + DAY + 30 * steps;
            scene.login("alice").types(code(shown)).rc == "SUCCESS"
        })
        .collect()
}

fn around(centres: &[i64]) -> Vec<i64> {
    let windows = centres
        .iter()
        .flat_map(|centre| centre - WINDOW..=centre + WINDOW);
    let mut steps: Vec<i64> = windows.collect();
    steps.sort();
    steps.dedup();
    steps
}

#[test]
fn open_are_the_window_around_the_phones_clock_and_that_around_the_servers() {
    for (phone_ahead, steps) in [(0, 0), (60, 2), (-60, -2), (330, 11), (-420, -14)] {
        let usersfile = after_a_login(phone_ahead, "2026-01-15T12:00:00L");
        assert_eq!(open_steps(&usersfile, "drift"), around(&[0, steps]));
        assert_eq!(open_steps(&usersfile, ""), around(&[0]));
    }
}

#[test]
fn of_a_phone_far_off_what_another_time_zone_would_make_of_it_is_open_too() {
    // 10 minutes ahead are 5 behind where zones differ by quarters of an hour; 40 minutes ahead
    // are 20 behind where they differ by hours, 10 ahead by half hours, 5 behind by quarters.
    let usersfile = after_a_login(600, "2026-01-15T12:00:00L");
    assert_eq!(open_steps(&usersfile, "drift"), around(&[0, 20, -10]));
    let usersfile = after_a_login(2400, "2026-01-15T12:00:00L");
    let expected = around(&[0, 80, -40, 20, -10]);
    assert_eq!(open_steps(&usersfile, "drift"), expected);
}

/// Steps that an hour is no multiple of: how far off the phone was can be told to the nearest step
/// only where the zone has been changed, and that one is open.
#[test]
fn a_changed_time_zone_opens_the_nearest_step_where_an_hour_is_no_whole_number_of_steps() {
    const STEP: u64 = 7;
    let code = |moment, offset| Generator::new(SECRET).code_at(moment, STEP, offset);
    for ahead in [5, 1, -1, -5] {
        let (step, last) = (NOON / STEP as i64 + ahead, code(NOON, ahead));
        // Noon, by the clock of a zone an hour further east.
        let used = format!("{step}\t{last}\t2026-01-15T13:00:00L");
        let scene = Scene::new()
            .usersfile(format!("HOTP/T{STEP}\talice\t-\t{SECRET}\t{used}\n"))
            .args("drift window=0")
            .at(NOON + DAY);
        let outcome = scene.login("alice").types(code(NOON + DAY, ahead));
        assert_rc(&outcome, "SUCCESS");
    }
}

#[test]
fn the_clock_is_learned_only_from_a_step_that_the_secret_proves() {
    let lines = [
        format!("HOTP/T30\talice\t-\t{SECRET}\n"),
        // As OATH Toolkit's module writes it.
        after_a_login(600, "2026-01-15T12:00:00L").replace(&((NOON + 600) / 30).to_string(), "20"),
        after_a_login(600, "2026-01-15T12:00:00L").replace(&code(NOON + 600), "000000"),
    ];
    for line in lines {
        assert_eq!(open_steps(&line, "drift"), around(&[0]), "{line}");
    }
}

/// The code that a phone whose clock is so many seconds ahead shows so many time steps after noon.
fn code_of(digits: usize, ahead: i64, step: i64) -> String {
    let token = Generator::new(SECRET).digits(digits);
    token.code_at(NOON + ahead, 30, step)
}

/// The line of a token of eight digits after a login at noon with that phone.
fn after_a_login_with_eight_digits(ahead: i64) -> String {
    format!(
        "HOTP/T30/8\talice\t-\t{SECRET}\t{}\t{}\t2026-01-15T12:00:00L\n",
        (NOON + ahead) / 30,
        code_of(8, ahead, 0)
    )
}

#[test]
fn the_clock_is_known_after_a_code_of_another_length_too() {
    let ahead = 600;
    let code = |digits, step| code_of(digits, ahead, step);
    let line = after_a_login_with_eight_digits(ahead);
    let scene = scene("drift window=3").usersfile(line);
    let at_door = scene.twin("door").args("drift window=3 digits=6");
    assert_rc(
        &at_door.at(NOON + 30).login("alice").types(code(6, 1)),
        "SUCCESS",
    );
    assert_rc(
        &scene.at(NOON + 60).login("alice").types(code(8, 2)),
        "SUCCESS",
    );
}

#[test]
fn a_code_of_another_length_too_far_off_to_be_found_again_is_refused() {
    let ahead = 1990 * 30;
    let code = |digits, step| code_of(digits, ahead, step);
    let line = after_a_login_with_eight_digits(ahead);
    let scene = scene("drift window=1000").usersfile(line);
    let at_door = scene.twin("door").args("drift window=1000 digits=6");
    assert_rc(&at_door.login("alice").types(code(6, 1)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(code(8, 1)), "SUCCESS");
}

#[test]
fn it_moves_by_no_more_than_the_window_at_once() {
    let mut scene = scene("drift").usersfile(after_a_login(330, "2026-01-15T12:00:00L"));
    let mut ahead = 330;
    for login in 1..20 {
        let now = NOON + login * DAY;
        scene = scene.at(now);
        let further = code(now + ahead + 30 * (WINDOW + 1));
        assert_rc(&scene.login("alice").types(further), "AUTH_ERR");
        ahead += 30 * WINDOW;
        assert_rc(&scene.login("alice").types(code(now + ahead)), "SUCCESS");
    }
}

/// How far the phones of the tests below are ahead, in seconds.
const PHONES: [i64; 4] = [0, -30, 600, -1500];

/// Logs in at one moment in one time zone, then at another in another.
#[track_caller]
fn both_are_accepted(phone_ahead: i64, first: (i64, &str), second: (i64, &str)) {
    let scene = scene("drift window=100").zone(first.1).at(first.0);
    let outcome = scene.login("alice").types(code(first.0 + phone_ahead));
    assert_rc(&outcome, "SUCCESS");
    let scene = scene.args(&format!("drift window={WINDOW}"));
    let scene = scene.zone(second.1).at(second.0);
    let outcome = scene.login("alice").types(code(second.0 + phone_ahead));
    assert_eq!(
        outcome.rc,
        "SUCCESS",
        "{phone_ahead} s ahead, {first:?}, {second:?}\n{}",
        outcome.log_text()
    );
}

/// In Berlin the clock goes forward from 2:00 to 3:00 and back from 3:00 to 2:00 at these moments.
const CHANGES: [i64; 2] = [1_774_746_000, 1_792_890_000];

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn the_beginning_and_the_end_of_summer_time_lock_nobody_out() {
    const BERLIN: &str = "Europe/Berlin";
    for phone_ahead in PHONES {
        for change in CHANGES {
            for before in [-DAY, -3600, -1800, -60, 0, 1800] {
                for after in [60, 1800, 3600, DAY] {
                    let first = change + before;
                    both_are_accepted(phone_ahead, (first, BERLIN), (first + after, BERLIN));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn a_changed_time_zone_locks_nobody_out() {
    // How far a phone may be off before its clock cannot be told from one in the right zone: half
    // of what a zone's distance from the full hour is.
    let zones = [
        ("UTC", 1800),
        ("Europe/Berlin", 1800),
        ("America/New_York", 1800),
        ("Asia/Kolkata", 900),
        ("Asia/Kathmandu", 450),
    ];
    // By the first of these it was half past two in UTC, an hour that Berlin left out.
    for first in [CHANGES[0] + 5400, CHANGES[1]] {
        for (from, least) in zones {
            for (to, also) in zones {
                for phone_ahead in PHONES {
                    if phone_ahead.abs() < least.min(also) {
                        both_are_accepted(phone_ahead, (first, from), (first + DAY, to));
                    }
                }
            }
        }
    }
}

#[test]
fn a_clock_that_ran_ahead_and_was_set_right_locks_nobody_out() {
    for phone_ahead in PHONES {
        for last_time in [
            "2026-01-15T12:01:00L",
            "2026-01-15T13:00:00L",
            "2026-01-16T12:00:00L",
        ] {
            let usersfile = after_a_login(phone_ahead, last_time);
            for now in [NOON + 30, NOON + 3600, NOON + 30 * DAY] {
                let scene = scene("drift").usersfile(&usersfile).at(now);
                let outcome = scene.login("alice").types(code(now + phone_ahead));
                assert_eq!(outcome.rc, "SUCCESS", "{phone_ahead} {last_time}");
                let outcome = scene.login("alice").types(code(now + phone_ahead));
                assert_eq!(outcome.rc, "AUTH_ERR");
            }
        }
    }
}

#[test]
fn a_clock_that_was_set_back_by_mistake_locks_nobody_out_for_longer_than_the_mistake_lasts() {
    for phone_ahead in PHONES {
        for back in [60, 3600, DAY] {
            let usersfile = after_a_login(phone_ahead, "2026-01-15T12:00:00L");
            let scene = scene("drift").usersfile(&usersfile).at(NOON + 30 - back);
            let outcome = scene.login("alice").types(code(NOON + 30 + phone_ahead));
            // Within the window it does not even matter.
            let expected = if back == 60 { "SUCCESS" } else { "AUTH_ERR" };
            assert_rc(&outcome, expected);
            let scene = scene.at(NOON + 90);
            let outcome = scene.login("alice").types(code(NOON + 90 + phone_ahead));
            assert_rc(&outcome, "SUCCESS");
        }
    }
}

#[test]
fn no_code_used_before_is_good_after_the_clock_was_set_back() {
    let used = after_a_login(0, "2026-01-15T12:00:00L");
    for back in [30, 60, 3600] {
        let scene = scene("drift").usersfile(&used).at(NOON - back);
        for steps in -200..=0 {
            let outcome = scene.login("alice").types(code(NOON + 30 * steps));
            assert_rc(&outcome, "AUTH_ERR");
        }
    }
}
