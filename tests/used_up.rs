//! A code that was accepted is used up: its counter or time step is good in no length any more, by
//! no service.

mod support;

use support::codes::Token;
use support::{NOON, Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";
const STEP: u64 = 30;

fn token() -> Token {
    Token::new(SECRET)
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
    let scene = Scene::new().usersfile(format!("HOTP/T30\talice\t-\t{SECRET}\n"));
    let wide = scene.args("window=30");
    let narrow = wide.twin("narrow").args("window=5");
    let ahead = |length, steps| token().digits(length).code_at(NOON, STEP, steps);
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
