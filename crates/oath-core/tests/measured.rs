//! The measured logins of `tests/conformance/cases.jsonl`, decided without PAM and without a file:
//! on machines, too, where no libpam can be had.

use std::ffi::OsStr;

use oath_core::local_time::Zone;
use oath_core::login::{self, Accepted, Candidate, Known};
use oath_core::options::Options;
use oath_core::pin::CheckedHashes;
use oath_core::usersfile::lines_of;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    note: String,
    usersfile: Option<String>,
    args: String,
    user: String,
    responses: Vec<String>,
    preset_authtok: Option<String>,
    now: u64,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    rc: String,
    prompts: usize,
    after: Option<String>,
    authtok: String,
}

/// A code used in another length, which is refused on purpose: see tests/conformance/cases.rs.
const ANSWERED_OTHERWISE: &str = "1-816";

#[test]
fn every_measured_login_with_one_answer_to_one_prompt_is_decided_as_it_was_answered() {
    let cases = include_str!("../../../tests/conformance/cases.jsonl").lines();
    let mut decided = 0;
    for case in cases.map(|line| serde_json::from_str::<Case>(line).unwrap()) {
        // What the module does besides, and how PAM reads an argument with a space.
        let is_of_pam = case.preset_authtok.is_some()
            || ["first_pass", "alwaysok", "= "]
                .iter()
                .any(|part| case.args.contains(part));
        let (false, 1, Some(before)) = (is_of_pam, case.expect.prompts, &case.usersfile) else {
            continue;
        };
        if case.id == ANSWERED_OTHERWISE {
            continue;
        }
        let (rc, authtok, after) = decide(&case, before);
        let Case { id, note, .. } = &case;
        assert_eq!(rc, case.expect.rc, "{id} ({note})");
        assert_eq!(authtok, case.expect.authtok, "{id} ({note})");
        assert_eq!(Some(after), case.expect.after, "{id} ({note})");
        decided += 1;
    }
    assert!(decided > 900, "{decided}");
}

/// The return code, PAM_AUTHTOK and the usersfile afterwards.
fn decide(case: &Case, before: &str) -> (&'static str, String, String) {
    let (options, _) = Options::parse(case.args.split(' ').map(OsStr::new));
    let lines = lines_of(before.as_bytes(), case.user.as_bytes()).unwrap();
    let candidates = Vec::from_iter(lines.iter().map(|line| Candidate {
        line: line.number,
        entry: line.entry(),
        journalled: None,
    }));
    let (hashes, zone) = (CheckedHashes::default(), Zone::universal());
    let known = Known {
        hashes: &hashes,
        zone: Some(&zone),
    };
    let attempt = options.attempt(case.responses[0].as_bytes(), case.now);
    let Ok(decision) = login::decide(&candidates, &attempt, &known) else {
        panic!("{}: no PIN of these is hashed", case.id);
    };
    let refused = login::pin_of_refused(case.responses[0].as_bytes(), options.code_length());
    let pin = match decision.result {
        Ok(_) => decision.pin,
        Err(_) => refused.unwrap_or(decision.pin),
    };
    let authtok = match pin {
        b"" => "(unset)".into(),
        pin => String::from_utf8_lossy(pin).into_owned(),
    };
    let mut after = before.as_bytes().to_vec();
    let Ok(Accepted { record, .. }) = decision.result else {
        return ("AUTH_ERR", authtok, before.into());
    };
    let record = record.expect("without a grace every code is recorded");
    let time = Zone::universal().local_time(case.now).unwrap();
    let line = &lines[record.candidate];
    let text = line
        .entry()
        .with_last_used(record.counter, &record.otp, time);
    after.splice(
        line.span.start as usize..line.span.end as usize,
        text.iter().copied(),
    );
    ("SUCCESS", authtok, String::from_utf8(after).unwrap())
}
