//! A code that was accepted is used up: its counter or time step is good in no length any more, by
//! no service.

use std::cell::RefCell;
use std::fs;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use test_support::codes::Generator;
use test_support::small_disk::SmallDisk;
use test_support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";
const STEP: u64 = 30;

fn token() -> Generator {
    Generator::new(SECRET)
}

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

#[test]
fn a_counter_that_was_accepted_is_used_up_in_every_length() {
    for first in 6..=8 {
        let scene = Scene::new().usersfile(format!("HOTP\talice\t-\t{SECRET}\n"));
        let scene = scene.args("window=5");
        let used = 3;
        assert_rc(
            &scene.login("alice").types(token().digits(first).code(used)),
            "SUCCESS",
        );
        for length in [7, 8, 6, 7, 8] {
            let code = token().digits(length).code(used);
            assert_rc(&scene.login("alice").types(code), "AUTH_ERR");
        }
        assert_rc(
            &scene.login("alice").types(token().code(used + 1)),
            "SUCCESS",
        );
    }
}

#[test]
fn a_time_step_that_was_accepted_is_used_up_in_every_length_by_every_service() {
    assert_is_used_up_in_every_length_by_every_service("UTC", NOON);
}

/// LAST-TIME can mean two moments then, and the step lies near one of them.
#[test]
#[ignore = "needs the package tzdata: run `make test`"]
fn a_time_step_is_used_up_also_in_the_hour_that_summer_time_repeats() {
    // In Berlin the clock goes back from 3:00 to 2:00 at this moment.
    const WINTER_BEGINS: i64 = 1_792_890_000;
    for moment in [WINTER_BEGINS - 1800, WINTER_BEGINS + 1800] {
        assert_is_used_up_in_every_length_by_every_service("Europe/Berlin", moment);
    }
}

fn assert_is_used_up_in_every_length_by_every_service(zone: &str, now: i64) {
    let scene = Scene::new().usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"));
    let wide = scene.args("window=30").zone(zone).at(now);
    let narrow = wide.twin("narrow").args("window=5");
    let ahead = |length, steps| token().digits(length).code_at(now, STEP, steps);
    assert_rc(&wide.login("alice").types(ahead(8, 20)), "SUCCESS");
    // A code of an earlier step, which must not make the later one good again.
    assert_rc(&narrow.login("alice").types(ahead(6, 1)), "AUTH_ERR");
    for length in 6..=8 {
        for service in [&wide, &narrow] {
            for steps in [20, 1, 0] {
                let outcome = service.login("alice").types(ahead(length, steps));
                assert_rc(&outcome, "AUTH_ERR");
            }
        }
    }
    assert_rc(&wide.login("alice").types(ahead(6, 21)), "SUCCESS");
}

/// COUNTER then says how far from LAST-TIME the step can be, and is whatever the file's writer
/// likes: a login would be busy for ever.
#[test]
fn a_step_of_another_length_is_looked_for_as_far_as_counter_says_and_the_widest_window_reaches() {
    for (steps, counter, rc) in [
        (20, 20, "AUTH_ERR"),
        (20, 19, "SUCCESS"),
        (1000, 2000, "AUTH_ERR"),
        (1001, 2000, "SUCCESS"),
    ] {
        let used = token().digits(8).code_at(NOON, STEP, steps);
        let last_used = format!("{counter}\t{used}\t2026-01-15T12:00:00L");
        let scene = Scene::new()
            .usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\t{last_used}\n"))
            .args("window=5");
        let now = token().code_at(NOON, STEP, 0);
        assert_rc(&scene.login("alice").types(now), rc);
    }
}

/// A code of so many digits, typed at one of the services; so far after the moving factor last used
/// (by event), or so far from now (by time); so many seconds after the login before.
#[derive(Clone, Debug)]
struct Typed {
    service: usize,
    digits: usize,
    offset: i64,
    seconds: i64,
}

fn typed() -> impl Strategy<Value = Typed> {
    let offset = prop_oneof![3 => -3_i64..=6, 1 => -32_i64..=32];
    (0..WINDOWS.len(), 6..=8_usize, offset, 0..60_i64).prop_map(
        |(service, digits, offset, seconds)| Typed {
            service,
            digits,
            offset,
            seconds,
        },
    )
}

/// Of each service.
const WINDOWS: [u64; 3] = [2, 5, 30];

/// The services, over a usersfile with one line of this type. It is recorded in the journal if
/// there is a disk, which is read-only.
struct Services {
    line: String,
    by_time: bool,
    scenes: Vec<Option<Scene>>,
    disk: Option<SmallDisk>,
}

impl Services {
    fn new(kind: &str, is_read_only: bool) -> Services {
        let scene = Scene::new();
        let journal = scene.folder().with_file_name("journal");
        let disk = is_read_only.then(|| SmallDisk::over(&scene.folder()));
        let readonly_ok = match is_read_only {
            true => format!("readonly_ok={}", journal.display()),
            false => String::new(),
        };
        let service = |window| {
            let args = format!("window={window} {readonly_ok}");
            Some(scene.twin(&format!("window{window}")).args(&args))
        };
        Services {
            line: format!("{kind}\talice\t-\t{SECRET}\n"),
            by_time: kind.starts_with("HOTP/T"),
            scenes: WINDOWS.into_iter().map(service).collect(),
            disk,
        }
    }

    fn log_in_all(&mut self, logins: &[Typed]) -> Result<(), TestCaseError> {
        let scene = self.scenes[0].as_ref().unwrap();
        let _ = fs::remove_dir_all(scene.folder().with_file_name("journal"));
        if let Some(disk) = &self.disk {
            disk.make_writable();
        }
        scene.write_usersfile(&self.line);
        if let Some(disk) = &self.disk {
            disk.make_read_only();
        }
        let (mut now, mut last) = (NOON, None);
        for Typed {
            service,
            digits,
            offset,
            seconds,
        } in logins
        {
            now += seconds;
            let (base, good): (u64, RangeInclusive<u64>) = if self.by_time {
                let step = now as u64 / STEP;
                (step, step - WINDOWS[*service]..=step + WINDOWS[*service])
            } else {
                let from = last.unwrap_or(0);
                (from, from..=from + WINDOWS[*service])
            };
            let Some(factor) = base.checked_add_signed(*offset) else {
                continue;
            };
            let is_good = good.contains(&factor) && last.is_none_or(|last| factor > last);
            let scene = self.scenes[*service].take().unwrap().at(now);
            let outcome = scene
                .login("alice")
                .types(token().digits(*digits).code(factor));
            self.scenes[*service] = Some(scene);
            let log = outcome.log_text();
            prop_assert_eq!(
                outcome.rc == "SUCCESS",
                is_good,
                "{} after {:?}: {}",
                factor,
                last,
                log
            );
            last = if is_good { Some(factor) } else { last };
        }
        Ok(())
    }
}

/// No code of one moving factor may pass for that of another one, in any length.
fn no_two_codes_are_the_same(factors: std::ops::Range<u64>) {
    let mut codes: Vec<String> = factors.map(|factor| token().code(factor)).collect();
    let count = codes.len();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), count);
}

fn in_any_order_of_services_and_lengths(kind: &str, is_read_only: bool) {
    const MOST: usize = 12;
    no_two_codes_are_the_same(0..400);
    let now = NOON as u64 / STEP;
    no_two_codes_are_the_same(now - 80..now + 120);
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let services = RefCell::new(Services::new(kind, is_read_only));
    let logins = proptest::collection::vec(typed(), 1..MOST);
    let result =
        TestRunner::new(config).run(&logins, |logins| services.borrow_mut().log_in_all(&logins));
    result.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
}

const KINDS: [&str; 5] = ["HOTP", "HOTP/E/8", "HOTP/T30", "HOTP/T30/7", "HOTP/T30/8"];

#[test]
fn in_any_order_of_services_and_lengths_no_moving_factor_is_good_twice() {
    for kind in KINDS {
        in_any_order_of_services_and_lengths(kind, false);
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn in_any_order_of_services_and_lengths_no_moving_factor_of_the_journal_is_good_twice() {
    for kind in KINDS {
        in_any_order_of_services_and_lengths(kind, true);
    }
}
