//! What must hold whatever bytes the module is given: for the fuzzers in `fuzz/` and for
//! `tests/bytes.rs`, which calls the same functions with their seeds and with random bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oath_core::google::{self, login::Beforehand};
use oath_core::local_time::{LocalTime, Zone};
use oath_core::login::{
    self, Accepted, Attempt, Candidate, Decision, Known, MAX_WINDOW, Undecided,
};
use oath_core::options::Options;
use oath_core::otp::{self, Algorithm, Key};
use oath_core::pin::CheckedHashes;
use oath_core::usersfile::format::{Entry, MAX_SECRET, MovingFactor};
use oath_core::usersfile::{self, UserLine};

/// Who logs in. Short, so that a fuzzer finds it by itself.
const USER: &[u8] = b"u";

/// The local time of a machine that keeps universal time.
fn universal_time(unix_time: u64) -> LocalTime {
    Zone::universal()
        .local_time(unix_time)
        .expect("a time of the calendar")
}

fn lines_of(file: &[u8]) -> Vec<UserLine> {
    usersfile::lines_of(file, USER).expect("bytes in memory can be read")
}

/// Any bytes as a usersfile: the lines found are those that a plain reading of the format finds,
/// each stands where it says, and a line written anew is read back as the same token.
pub fn usersfile(file: &[u8]) {
    let found = lines_of(file);
    let mut offset = 0;
    let mut expected = Vec::new();
    for (index, line) in file.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if Entry::parse(text).is_some_and(|entry| entry.user == USER) {
            expected.push((index + 1, offset..offset + line.len() as u64));
        }
        offset += line.len() as u64;
    }
    let places: Vec<_> = found
        .iter()
        .map(|line| (line.number, line.span.clone()))
        .collect();
    assert_eq!(places, expected);

    for line in &found {
        let entry = line.entry();
        let secret = entry.secret();
        if let Ok(secret) = &secret {
            assert!((1..=MAX_SECRET).contains(&secret.len()));
        }
        let code = otp::Code::parse(b"012345").expect("six digits are a code");
        let written = entry.with_last_used(u64::MAX, &code, universal_time(1_768_478_400));
        let text = written.strip_suffix(b"\n").expect("a line has an end");
        assert!(!text.contains(&b'\n'), "one line stays one line");
        let again = Entry::parse(text).expect("what we write is a token's line");
        assert_eq!(again.token_type, entry.token_type);
        assert_eq!(again.user, entry.user);
        assert_eq!(again.pin, entry.pin.or(Some(b"-")));
        assert_eq!(again.last_used.counter(), Ok(u64::MAX));
        assert!(again.last_used.time().is_ok_and(|time| time.is_some()));
        if entry.is_complete() {
            assert!(again.secret() == secret, "the secret is kept");
        }
    }
}

/// Any bytes as arguments, one a line: read into what is allowed, and what is not understood is
/// named in a warning.
pub fn arguments(bytes: &[u8]) {
    let arguments: Vec<&OsStr> = bytes
        .split(|&byte| byte == b'\n')
        .map(OsStr::from_bytes)
        .collect();
    let (options, warnings) = Options::parse(arguments.iter().copied());
    assert!(options.window <= MAX_WINDOW);
    let _ = options.prompt_for(OsStr::new("alice"), || "host".into());
    assert!(
        options
            .digits
            .is_none_or(|digits| (6..=8).contains(&digits))
    );
    let flags = [
        ("alwaysok", options.always_ok),
        ("use_first_pass", options.use_first_pass),
        ("try_first_pass", options.try_first_pass),
        ("no_usersfile_okay", options.no_usersfile_okay),
    ];
    for (flag, is_set) in flags {
        let is_asked_for = arguments.iter().any(|argument| *argument == flag);
        assert_eq!(is_set, is_asked_for, "{flag}");
    }
    // An argument may earn two warnings: read as another number, and brought into range.
    assert!(warnings.len() <= 2 * arguments.len());
}

/// One login made of any bytes. Three lines head the bytes: what is typed, the arguments' window
/// and digits, the time; the rest is the usersfile. Typed `@N` stands for the code that the first
/// usable line shows N moving factors later, which no fuzzer guesses.
///
/// Whatever they are: the same code is not accepted twice, nothing but the token's own line
/// changes, and no code is accepted that the secret doesn't make.
pub fn whole_login(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |&byte| byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (typed, arguments, time, file) = (next(), next(), next(), next());
    let arguments = arguments.split(|&byte| byte == b' ').map(OsStr::from_bytes);
    let (options, _) = Options::parse(arguments);
    let unix_time = std::str::from_utf8(time)
        .ok()
        .and_then(|time| time.trim().parse().ok())
        .unwrap_or(1_768_478_400);
    let lines = lines_of(file);
    let response = with_code(typed, &lines, unix_time);
    let attempt = Attempt {
        response: &response,
        code_length: options.code_length(),
        ignore_pin: options.ignore_pin,
        // A wide window takes its time, and shows nothing that a narrower one doesn't.
        window: options.window.min(20),
        drift: options.drift,
        replay_grace: options.replay_grace,
        unix_time,
        has_journal: false,
    };
    let decision = decide(&lines, &attempt);
    let Ok(Accepted { line, record, .. }) = decision.result else {
        return;
    };
    assert!(response.starts_with(decision.pin));
    let Some(record) = record else {
        assert!(attempt.replay_grace > 0, "nothing recorded");
        return;
    };

    let token = lines
        .iter()
        .find(|candidate| candidate.number == line)
        .expect("the token accepted is one of the user's lines");
    if !attempt.drift {
        let otp = &response[decision.pin.len()..];
        assert!(
            makes(&token.entry(), otp, &attempt),
            "a code out of nowhere"
        );
    }
    let pin_of_line = token.entry().pin.expect("a token has a PIN field");
    let pin_fits = match pin_of_line {
        b"+" => true,
        b"-" => decision.pin.is_empty(),
        pin => pin == decision.pin || pin.starts_with(b"$"),
    };
    assert!(pin_fits || attempt.ignore_pin);

    let Ok(time) = Zone::universal().local_time(unix_time) else {
        // The calendar ends before that time: such a login is denied.
        return;
    };
    let rewritten = &lines[record.candidate];
    let text = rewritten
        .entry()
        .with_last_used(record.counter, &record.otp, time);
    let after = with(file, rewritten, &text);
    let number_of_lines = |file: &[u8]| file.split_inclusive(|&byte| byte == b'\n').count();
    assert_eq!(number_of_lines(&after), number_of_lines(file));
    let lines_after = lines_of(&after);
    assert_eq!(lines_after.len(), lines.len());
    for (before, after) in lines.iter().zip(&lines_after) {
        assert_eq!(before.number, after.number);
        if before.number != rewritten.number {
            assert!(fields(&before.entry()) == fields(&after.entry()));
        }
    }
    if let Ok(Accepted {
        line: again,
        record: Some(_),
        ..
    }) = decide(&lines_after, &attempt).result
    {
        // Two lines with one secret are two tokens, and each accepts its code once.
        assert_ne!(again, line, "a code accepted twice");
        assert_ne!(again, rewritten.number, "a code accepted twice");
    }
}

/// What is decided, with all hashes computed.
fn decide<'a>(lines: &[UserLine], attempt: &Attempt<'a>) -> Decision<'a> {
    let candidates = Vec::from_iter(lines.iter().map(|line| Candidate {
        line: line.number,
        entry: line.entry(),
        journalled: None,
    }));
    let mut hashes = CheckedHashes::default();
    let zone = Zone::universal();
    loop {
        let known = Known {
            hashes: &hashes,
            zone: Some(&zone),
        };
        match login::decide(&candidates, attempt, &known) {
            Ok(decision) => return decision,
            Err(Undecided::Hash { hash, typed }) => hashes.check(&hash, typed),
            Err(Undecided::Zone) => unreachable!("it is known"),
        }
    }
}

/// The bytes of `file` with a line written anew.
fn with(file: &[u8], line: &UserLine, text: &[u8]) -> Vec<u8> {
    let (start, end) = (line.span.start as usize, line.span.end as usize);
    [&file[..start], text, &file[end..]].concat()
}

fn fields<'a>(entry: &Entry<'a>) -> (&'a [u8], Option<&'a [u8]>, Option<u64>) {
    (entry.user, entry.pin, entry.last_used.counter().ok())
}

/// Puts the code in that `@N` stands for.
fn with_code(typed: &[u8], lines: &[UserLine], unix_time: u64) -> Vec<u8> {
    let Some(at) = typed.iter().position(|&byte| byte == b'@') else {
        return typed.to_vec();
    };
    let later = std::str::from_utf8(&typed[at + 1..])
        .ok()
        .and_then(|number| number.parse::<i64>().ok())
        .unwrap_or(0);
    let code = lines.iter().find_map(|line| {
        let entry = line.entry();
        let moving_factor = match entry.token_type.moving_factor {
            MovingFactor::Event => entry.last_used.counter().ok()?,
            MovingFactor::Time { period } => otp::time_step(unix_time, period),
            MovingFactor::BackupCodes { .. } => 0,
        };
        let key = Key::new(entry.token_type.algorithm, &entry.secret().ok()?);
        Some(key.code(
            moving_factor.wrapping_add_signed(later),
            entry.token_type.digits,
        ))
    });
    let text = code.map(|code| code.text());
    let text = text.as_ref().map_or("", |text| text.as_str());
    [&typed[..at], text.as_bytes()].concat()
}

/// Whether the secret of the line makes the code within the window, found the plain way.
fn makes(entry: &Entry, otp: &[u8], attempt: &Attempt) -> bool {
    let Ok(secret) = entry.secret() else {
        return false;
    };
    let key = Key::new(entry.token_type.algorithm, &secret);
    let window = u64::from(attempt.window);
    let digits = entry.token_type.digits;
    let (first, count) = match entry.token_type.moving_factor {
        MovingFactor::Event => (entry.last_used.counter().unwrap_or(0), window),
        MovingFactor::Time { period } => {
            let now = otp::time_step(attempt.unix_time, period);
            (now.saturating_sub(window), 2 * window)
        }
        MovingFactor::BackupCodes { .. } if otp.len() != digits => return false,
        MovingFactor::BackupCodes { number } => (0, u64::from(number) - 1),
    };
    (0..=count).any(|n| {
        let code = key.code(first.wrapping_add(n), otp.len().clamp(6, 8));
        code.text().as_bytes() == otp
    })
}

/// A login by any bytes as a secret file. Three lines head the bytes: what is typed, the arguments,
/// the time. Typed `@N` stands for the code N moving factors after the one that is due, and `#N` for
/// the Nth line of eight digits.
///
/// Whatever they are: the secret and all lines that are not known stay, a refusal uses nothing up, an
/// acceptance does, and no code is accepted that the secret doesn't make.
pub fn secret_file(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |&byte| byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (typed, arguments, time, file) = (next(), next(), next(), next());
    let arguments = arguments.split(|&byte| byte == b' ');
    let arguments = arguments.filter(|argument| !argument.is_empty());
    let Ok(options) = google::options::Options::parse(arguments.map(OsStr::from_bytes)) else {
        return;
    };
    let unix_time = std::str::from_utf8(time).ok();
    let unix_time = unix_time.and_then(|time| time.trim().parse::<u32>().ok());
    let unix_time = unix_time.map_or(1_768_478_400, u64::from);
    let before = document(file);
    if !before.is_readable() {
        return;
    }
    let secret = before.secret();
    let response = due_code(typed, &before, unix_time);
    let attempt = google::login::Attempt {
        response: &response,
        may_have_password: options.forward_pass,
        unix_time,
        host: Some(b"h"),
    };

    let mut after = document(file);
    let counted = google::login::count_try(&mut after, unix_time);
    let beforehand = google::login::before_the_prompt(&before, None, unix_time, &options);
    let is_refused = matches!(beforehand, Beforehand::Refused(_));
    assert_eq!(is_refused, counted.is_err(), "the limit, asked twice");
    if is_refused {
        assert!(after.text() == file, "a refused try is not counted");
        return;
    }
    let decision = google::login::decide(&mut after, &attempt, &options);
    assert!(response.starts_with(decision.password));
    assert!(after.secret() == secret, "the secret is kept");
    assert!(
        unknown_lines(after.text()) == unknown_lines(file),
        "unknown lines are kept"
    );
    let used_up = UsedUp::of(&after);
    let Ok(accepted) = decision.result else {
        assert_eq!(used_up, UsedUp::of(&before), "nothing is used up");
        return;
    };
    let otp = &response[decision.password.len()..];
    let (old, new) = (UsedUp::of(&before), used_up);
    if let google::login::Accepted::ScratchCode { left } = accepted {
        assert_eq!(left, new.scratch_codes);
        assert_eq!(left + 1, old.scratch_codes);
        assert!(is_line_of(otp, file), "a code out of nowhere");
    } else if let Some(counter) = old.counter {
        let window = u64::from(before.window_size().expect("a window"));
        // Past the greatest counter no code is good any more.
        let next = new.counter.unwrap_or(1 << 63);
        assert!(next > counter && next <= counter.saturating_add(window));
        assert!(makes_code(&before, otp, next - 1), "a code out of nowhere");
    } else {
        let reach = 1_499 + new.skew.unsigned_abs() + 100;
        let now = unix_time / u64::from(before.step_size().expect("a step"));
        let mut steps = now.saturating_sub(reach)..=now.saturating_add(reach.min(1_000_000));
        assert!(
            reach > 10_000 || steps.any(|step| makes_code(&before, otp, step)),
            "a code out of nowhere"
        );
        if let (Some(used), true) = (&new.steps, new.skew == old.skew) {
            let step = used.last().expect("it is recorded");
            assert!(!old.steps.unwrap_or_default().contains(step));
            let again = google::login::decide(&mut after, &attempt, &options);
            assert!(again.result.is_err(), "a code accepted twice");
        }
    }
}

/// What codes use up.
#[derive(Debug, PartialEq)]
struct UsedUp {
    counter: Option<u64>,
    steps: Option<Vec<i64>>,
    skew: i64,
    scratch_codes: usize,
}

impl UsedUp {
    fn of(file: &google::format::Document) -> UsedUp {
        UsedUp {
            counter: file.hotp_counter().and_then(Result::ok),
            steps: file.used_steps().and_then(Result::ok),
            skew: file.time_skew(),
            scratch_codes: file.scratch_codes(),
        }
    }
}

fn document(text: &[u8]) -> google::format::Document {
    google::format::Document::new(text.to_vec().into())
}

/// The lines that are neither options nor of eight digits, without how they end.
fn unknown_lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|&byte| byte == b'\n');
    let is_unknown = |line: &&[u8]| !line.starts_with(b"\" ") && !is_eight_digits(line);
    let is_filled = |line: &&[u8]| !line.is_empty();
    lines.filter(is_unknown).filter(is_filled).collect()
}

fn is_eight_digits(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.len() == 8 && line.iter().all(u8::is_ascii_digit)
}

fn is_line_of(code: &[u8], file: &[u8]) -> bool {
    let mut lines = file.split(|&byte| byte == b'\n');
    lines.any(|line| line.trim_ascii() == code)
}

fn makes_code(file: &google::format::Document, otp: &[u8], moving_factor: u64) -> bool {
    let secret = file.secret().expect("a secret");
    let code = Key::new(Algorithm::Sha1, &secret).code(moving_factor, 6);
    code.text().as_bytes() == otp
}

/// Puts the code in that `@N` or `#N` stands for.
fn due_code(typed: &[u8], file: &google::format::Document, unix_time: u64) -> Vec<u8> {
    let Some(at) = typed.iter().position(|byte| b"@#".contains(byte)) else {
        return typed.to_vec();
    };
    let number = std::str::from_utf8(&typed[at + 1..]).ok();
    let number = number.and_then(|number| number.parse::<i64>().ok());
    let number = number.unwrap_or(0);
    let code = if typed[at] == b'#' {
        let lines = file.text().split(|&byte| byte == b'\n');
        let mut codes = lines.filter(|line| is_eight_digits(line));
        let code = codes.nth(usize::try_from(number).unwrap_or(0));
        code.unwrap_or_default().trim_ascii().to_vec()
    } else {
        let due = match file.hotp_counter() {
            Some(counter) => counter.unwrap_or(1) as i64,
            None => {
                let now = unix_time / u64::from(file.step_size().unwrap_or(30));
                (now as i64).saturating_add(file.time_skew())
            }
        };
        let secret = file.secret().unwrap_or_default();
        let factor = due.saturating_add(number).max(0) as u64;
        let code = Key::new(Algorithm::Sha1, &secret).code(factor, 6);
        code.text().as_bytes().to_vec()
    };
    [&typed[..at], &code].concat()
}
