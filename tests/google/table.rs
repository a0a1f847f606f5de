//! What this module answers where Google's module gives a known answer: the rows of the table of
//! deliberate differences, each a function of its own. What a row is about is shown by
//! tests/google/differences.rs.

use test_support::codes::Generator;

use crate::accounts::{NO_STRING, Setting, Step};
use crate::answer::{Answer, State, Text};

/// Single cases that no row tells by the answer of Google's module alone.
const SINGLE_CASES: [(&str, Single); 24] = [
    // A comment turns nothing on.
    ("h456", Single::Denied),
    // Never longer than what is read.
    ("h502", Single::Denied),
    // No octal number; a number with letters after it; a path.
    ("h563", Single::LineRefused),
    ("h564", Single::LineRefused),
    ("h645", Single::LineRefused),
    ("h647", Single::Denied),
    // The group is none of hers, so that with her rights it cannot be kept.
    ("h569", Single::Denied),
    // Files of root and of bob in her home.
    ("h574", Single::Denied),
    ("h575", Single::Denied),
    // Root's file in a folder of somebody else.
    ("h641", Single::Denied),
    // The target of a link is replaced, and a file with two names is refused.
    ("h579", Single::LinkFollowed),
    ("h586", Single::Denied),
    ("h587", Single::Denied),
    // nullok lets pass who has an account and no file.
    ("h650", Single::Denied),
    // A time of the future is no grace, and neither is a broken file.
    ("h792", Single::Denied),
    ("h823", Single::Denied),
    // What happens while the user is asked counts: the file is read afterwards.
    (
        "h827",
        Single::AtThePrompt(
            "SUCCESS",
            "0400",
            Some("\" RATE_LIMIT 3 30 1768478400 1768478400\n\" TOTP_AUTH\n"),
        ),
    ),
    (
        "h829",
        Single::AtThePrompt("SUCCESS", "0400", Some("\" TOTP_AUTH\n")),
    ),
    (
        "h832",
        Single::AtThePrompt("SUCCESS", "0400", Some("\" HOTP_COUNTER 2\n")),
    ),
    ("h836", Single::AtThePrompt("AUTH_ERR", "", None)),
    (
        "h838",
        Single::AtThePrompt(
            "SUCCESS",
            "0400",
            Some("\" DISALLOW_REUSE 58949280\n\" TOTP_AUTH\n11112222\n"),
        ),
    ),
    (
        "h840",
        Single::AtThePrompt(
            "AUTH_ERR",
            "0644",
            Some("\" DISALLOW_REUSE\n\" TOTP_AUTH\n"),
        ),
    ),
    // With another secret.
    (
        "h837",
        Single::SecretReplaced("\" DISALLOW_REUSE\n\" TOTP_AUTH\n"),
    ),
    ("h841", Single::SecretReplaced("\" TOTP_AUTH\n")),
];

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER_SECRET: &str = "HEZDHNBVHY3TQOJQHEZDHNBVHY3TQOJQ";

#[derive(Clone, Copy, PartialEq)]
enum Single {
    Denied,
    LineRefused,
    LinkFollowed,
    /// The answer, and mode and options of the file afterwards.
    AtThePrompt(&'static str, &'static str, Option<&'static str>),
    /// Denied, and the options of the file.
    SecretReplaced(&'static str),
}

/// What is expected of this module, by the answer of Google's to the same login on the same file.
pub fn expected(
    id: &str,
    setting: &Setting,
    step: &Step,
    before: &State,
    theirs: Answer,
) -> Answer {
    let asked = Asked {
        setting,
        step,
        before,
    };
    if let Some((_, single)) = SINGLE_CASES.iter().find(|(single, _)| *single == id) {
        return asked.single(*single, theirs);
    }
    asked.by_the_rows(theirs)
}

/// Whether the answer of Google's module shows what is expected of this one; where it does not,
/// tests/google/differences.rs does.
pub fn tells(setting: &Setting, step: &Step, before: &State) -> bool {
    let asked = Asked {
        setting,
        step,
        before,
    };
    !asked.is_within_no_grace() && !asked.is_code_and_scratch_code()
}

/// A login, and the file before it.
struct Asked<'a> {
    setting: &'a Setting,
    step: &'a Step,
    before: &'a State,
}

impl Asked<'_> {
    fn by_the_rows(&self, theirs: Answer) -> Answer {
        let mut answer = theirs;
        if self.step.is_disturbed() {
            return answer;
        }
        if answer.file().is(self.before) {
            // Of a long text the cases have the digest alone.
            answer.set_file(self.before.clone());
        }
        self.a_try_that_cannot_be_counted_ends_the_login(&mut answer);
        self.a_try_refused_for_the_limit_is_not_counted(&mut answer);
        self.nobody_is_asked_twice(&mut answer);
        self.who_has_a_broken_file_is_asked_all_the_same(&mut answer);
        self.a_wrong_hotp_code_moves_nothing(&mut answer);
        self.nothing_is_learned_beside_a_malformed_list(&mut answer);
        self.a_step_is_not_forgotten_when_the_clock_goes_back(&mut answer);
        self.used_codes_teach_no_skew_and_the_third_code_is_recorded(&mut answer);
        self.a_host_that_cannot_stand_in_the_file_is_not_recorded(&mut answer);
        self.a_long_host_is_recognised(&mut answer);
        self.grace_is_kept_whatever_else_is_written(&mut answer);
        self.grace_leaves_a_password_for_the_next_module(&mut answer);
        self.every_other_line_is_kept(&mut answer);
        self.numbers_stand_apart_by_one_blank(&mut answer);
        self.lines_end_as_the_first_does(&mut answer);
        self.mode_and_owner_are_kept(&mut answer);
        answer
    }

    fn a_try_refused_for_the_limit_is_not_counted(&self, answer: &mut Answer) {
        if answer.logged("Too many concurrent login attempts") {
            answer.set_file(self.before.clone());
        }
    }

    /// With try_first_pass, where the stacked token was to be counted.
    fn a_try_that_cannot_be_counted_ends_the_login(&self, answer: &mut Answer) {
        let was_tried = self.has("try_first_pass") && self.step.preset_authtok.is_some();
        let is_limited = self
            .before
            .0
            .as_ref()
            .is_some_and(|file| option(file, "RATE_LIMIT").is_some());
        if was_tried && is_limited && answer.logged("Failed to update") && answer.prompts > 0 {
            (answer.prompts, answer.prompt, answer.echo) = (0, None, None);
        }
    }

    /// The log says which line it is, once more for every login until it is mended.
    fn nothing_is_learned_beside_a_malformed_list(&self, answer: &mut Answer) {
        let Some(before) = &self.before.0 else { return };
        let value = option(before, REUSE).unwrap_or_default();
        let is_malformed = value.split_ascii_whitespace().count() != numbers(before, REUSE).len();
        let is_learned = |after: &Text| option(before, LEARNED) != option(after, LEARNED);
        if is_malformed && answer.after.as_ref().is_some_and(is_learned) {
            self.deny(answer);
        }
    }

    fn nobody_is_asked_twice(&self, answer: &mut Answer) {
        answer.prompts = answer.prompts.min(1);
    }

    /// Where an earlier module left a token, Google's module shows by asking nothing that the file is
    /// of no use.
    fn who_has_a_broken_file_is_asked_all_the_same(&self, answer: &mut Answer) {
        let first_pass = ["try_first_pass", "use_first_pass"];
        let given = self.setting.args.iter().rev();
        let last = given
            .map(String::as_str)
            .find(|given| first_pass.contains(given));
        let is_broken = answer.logged("asking for code anyway");
        if is_broken && last == Some("try_first_pass") && answer.prompts == 0 {
            let prompt = match (self.value("authtok_prompt"), self.has("forward_pass")) {
                (Some(prompt), _) => prompt,
                (None, true) => "Password & verification code: ",
                (None, false) => "Verification code: ",
            };
            let echoes = self.has("echo_verification_code");
            (answer.prompts, answer.prompt, answer.echo) = (1, Some(prompt.into()), Some(echoes));
        }
    }

    fn a_wrong_hotp_code_moves_nothing(&self, answer: &mut Answer) {
        const HOTP: &str = "HOTP_COUNTER";
        let (Some(before), Some(after)) = (&self.before.0, &mut answer.after) else {
            return;
        };
        let codes = |file: &Text| file.lines().filter(|line| is_scratch_code(line)).count();
        let is_by_code = answer.rc == "SUCCESS" && codes(before) == codes(after);
        if !is_by_code && option(before, HOTP) != option(after, HOTP) {
            *after = with_option_of(after, HOTP, before);
            let last = before.lines().last().unwrap_or_default();
            if name_of(last) == Some(HOTP.as_bytes()) {
                // It is not written, so that its line gets no end.
                after.0.pop();
            }
        }
    }

    /// A step beyond the window shows that: codes before it may have been used and forgotten.
    fn a_step_is_not_forgotten_when_the_clock_goes_back(&self, answer: &mut Answer) {
        let (Some(before), Some(after)) = (&self.before.0, &answer.after) else {
            return;
        };
        let used = numbers(before, REUSE);
        let is_recorded = option(before, REUSE) != option(after, REUSE);
        let Some(step) = numbers(after, REUSE)
            .last()
            .copied()
            .filter(|_| is_recorded)
        else {
            return;
        };
        if used.iter().any(|used| step <= used - window(before)) {
            self.deny(answer);
        }
    }

    fn used_codes_teach_no_skew_and_the_third_code_is_recorded(&self, answer: &mut Answer) {
        let (Some(before), Some(after)) = (&self.before.0, &answer.after) else {
            return;
        };
        if option(before, LEARNED) == option(after, LEARNED) {
            return;
        }
        let Some(step) = self.step_of_the_code(before, answer) else {
            return;
        };
        let mut used = numbers(before, REUSE);
        if used.iter().any(|used| step <= *used) {
            self.deny(answer);
        } else if answer.rc == "SUCCESS" && option(before, REUSE).is_some() {
            used.retain(|used| *used > step - window(before));
            used.push(step);
            let used: Vec<String> = used.iter().map(i64::to_string).collect();
            answer.after = Some(with_option(after, REUSE, &used.join(" ")));
        }
    }

    fn a_host_that_cannot_stand_in_the_file_is_not_recorded(&self, answer: &mut Answer) {
        let Some(host) = &self.step.rhost else { return };
        let Some(after) = &mut answer.after else {
            return;
        };
        if is_host_name(host) {
            return;
        }
        for n in 0..10 {
            let line = format!("\" LAST{n} {host} {}\n", self.step.clock);
            if let Some(at) = find(&after.0, line.as_bytes()) {
                after.0.drain(at..at + line.len());
            }
        }
    }

    /// Google's module reads no more than 122 letters of a host.
    fn a_long_host_is_recognised(&self, answer: &mut Answer) {
        let Some(host) = &self.step.rhost else { return };
        let Some(before) = &self.before.0 else { return };
        let now = self.step.clock;
        let is_recent = |n| {
            let value = option(before, &format!("LAST{n}"))?;
            let (name, time) = value.rsplit_once(' ')?;
            let time: i64 = time.parse().ok()?;
            Some(name == host && time <= now && now < time + self.grace())
        };
        let is_long = host.len() > 122 && is_host_name(host);
        if is_long && (0..10).any(|n| is_recent(n) == Some(true)) {
            answer.rc = "SUCCESS".into();
            (answer.prompts, answer.prompt, answer.echo) = (0, None, None);
            answer.set_file(self.before.clone());
        }
    }

    fn grace_is_kept_whatever_else_is_written(&self, answer: &mut Answer) {
        let (Some(host), Some(before), Some(after)) =
            (&self.step.rhost, &self.before.0, &answer.after)
        else {
            return;
        };
        let is_asked_for = answer.rc == "SUCCESS"
            && self.grace() > 0
            && is_host_name(host)
            && answer.logged("Accepted google_authenticator");
        if !is_asked_for || before != after || answer.logged("Failed to update") {
            return;
        }
        let last = |n| {
            let value = option(before, &format!("LAST{n}"))?;
            let mut words = value.split([' ', '\t']).filter(|word| !word.is_empty());
            let (name, time) = (words.next()?.to_owned(), words.next()?.parse::<i64>().ok()?);
            Some((name, time))
        };
        let own = (0..10).find(|&n| last(n).is_some_and(|(name, _)| name == *host));
        let free = || (0..10).find(|n| option(before, &format!("LAST{n}")).is_none());
        let oldest = || (0..10).min_by_key(|&n| last(n).map_or(i64::MAX, |(_, time)| time));
        let n = own.or_else(free).or_else(oldest).unwrap();
        let value = format!("{host} {}", self.step.clock);
        answer.after = Some(with_option(before, &format!("LAST{n}"), &value));
    }

    fn grace_leaves_a_password_for_the_next_module(&self, answer: &mut Answer) {
        let is_to_forward = answer.logged("within grace period") && self.has("forward_pass");
        if !is_to_forward || self.step.preset_authtok.is_some() {
            return;
        }
        // Of the password alone, or the user would type a code behind it.
        answer.prompts = 1;
        answer.prompt = Some("Password: ".into());
        answer.echo = Some(false);
        match self.step.responses[0].as_str() {
            NO_STRING => self.deny(answer),
            typed => answer.authtok = Some(typed.into()),
        }
    }

    /// Google's module deletes the later lines of an option that it writes anew, and the empty lines
    /// below it; a new option it puts below the empty lines under the secret.
    fn every_other_line_is_kept(&self, answer: &mut Answer) {
        let (Some(before), Some(after)) = (&self.before.0, &mut answer.after) else {
            return;
        };
        if before == after {
            return;
        }
        let line_of = |file: &'_ Text, name: &[u8]| {
            let is_of = |line: &&[u8]| name_of(line) == Some(name);
            file.lines().find(is_of).map(<[u8]>::to_vec)
        };
        let is_new =
            |line: &&[u8]| name_of(line).is_some_and(|name| line_of(before, name).is_none());
        // At most one scratch code is used in a login: the first line of several that are the same.
        let count = |file: &Text, line: &[u8]| file.lines().filter(|other| *other == line).count();
        let is_used_up =
            |line: &&[u8]| is_scratch_code(line) && count(before, line) > count(after, line);
        let used_up = before.lines().position(|line| is_used_up(&line));
        let last = before.lines().count() - 1;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        for (n, line) in before.lines().enumerate() {
            match name_of(line) {
                Some(name) if n > 0 && !seen.contains(&name) => {
                    seen.push(name);
                    lines.push(line_of(after, name).unwrap_or(line.to_vec()));
                }
                // The end of the line before it stays.
                _ if used_up == Some(n) && n == last => lines.push(Vec::new()),
                _ if used_up == Some(n) => {}
                _ => lines.push(line.to_vec()),
            }
            if n == 0 {
                lines.extend(after.lines().filter(is_new).map(<[u8]>::to_vec));
            }
        }
        let mut text = lines.join(&b"\n"[..]);
        let is_last_written = lines.last().map(Vec::as_slice) != before.lines().last();
        if is_last_written && after.0.ends_with(b"\n") && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        *after = Text(text);
    }

    /// Google's module leaves the blanks of a number that it takes out.
    fn numbers_stand_apart_by_one_blank(&self, answer: &mut Answer) {
        let (Some(before), Some(after)) = (&self.before.0, &mut answer.after) else {
            return;
        };
        if option(before, REUSE) != option(after, REUSE) {
            let used: Vec<String> = numbers(after, REUSE).iter().map(i64::to_string).collect();
            *after = with_option(after, REUSE, &used.join(" "));
        }
    }

    fn lines_end_as_the_first_does(&self, answer: &mut Answer) {
        let (Some(before), Some(after)) = (&self.before.0, &mut answer.after) else {
            return;
        };
        let ends_in_cr = |line: &[u8]| line.ends_with(b"\r");
        if !before.lines().next().is_some_and(ends_in_cr) {
            return;
        }
        let mut lines: Vec<Vec<u8>> = after.lines().map(<[u8]>::to_vec).collect();
        let last = lines.len() - 1;
        for line in &mut lines[..last] {
            if !ends_in_cr(line) && !before.lines().any(|old| old == line) {
                line.push(b'\r');
            }
        }
        *after = Text(lines.join(&b"\n"[..]));
    }

    /// What only its owner may use is left as Google's module leaves it. What is not changed is not
    /// written.
    fn mode_and_owner_are_kept(&self, answer: &mut Answer) {
        let Some(stat) = &self.before.1 else { return };
        let Some((mode, owner)) = stat.split_once(' ') else {
            return;
        };
        if self.before.0 == answer.after {
            answer.after_stat = Some(stat.clone());
        } else if answer.after.is_some() && mode.len() == 4 {
            // Without rights for a group it is the account's own.
            let own = owner.split(':').next().unwrap_or(owner);
            answer.after_stat = Some(match mode.ends_with("00") {
                true => format!("0400 {own}"),
                false => stat.clone(),
            });
        }
    }

    fn single(&self, single: Single, theirs: Answer) -> Answer {
        let mut answer = theirs;
        match single {
            Single::Denied | Single::LineRefused => {
                self.deny(&mut answer);
                answer.set_file(self.before.clone());
                answer.messages.clear();
                let is_asked = single == Single::Denied;
                answer.prompts = is_asked.into();
                answer.prompt = is_asked.then(|| "Verification code: ".into());
                answer.echo = is_asked.then_some(false);
            }
            Single::LinkFollowed => {
                let written = answer.file();
                answer.after_stat.clone_from(&self.before.1);
                for state in answer.watch.values_mut() {
                    *state = written.clone();
                }
            }
            Single::AtThePrompt(rc, mode, options) => {
                answer.rc = rc.into();
                let text = options.map(|options| Text::from(format!("{SECRET}\n{options}")));
                let stat = options.map(|_| format!("{mode} alice"));
                answer.set_file(State(text, stat));
                // A wrong HOTP code moves nothing at another prompt either.
                for inner in &mut answer.inner {
                    self.a_wrong_hotp_code_moves_nothing(inner);
                    self.mode_and_owner_are_kept(inner);
                }
            }
            Single::SecretReplaced(options) => {
                answer.rc = "AUTH_ERR".into();
                let text = Text::from(format!("{OTHER_SECRET}\n{options}"));
                answer.set_file(State(Some(text), Some("0600 alice".into())));
            }
        }
        answer
    }

    /// Denied, and nothing is recorded but that it was tried.
    fn deny(&self, answer: &mut Answer) {
        const LIMIT: &str = "RATE_LIMIT";
        answer.rc = "AUTH_ERR".into();
        answer.authtok = Some(self.step.preset_authtok.clone().unwrap_or("(unset)".into()));
        let mut file = self.before.clone();
        if let (Some(before), Some(after)) = (&self.before.0, &answer.after) {
            if option(before, LIMIT) != option(after, LIMIT) {
                file.0 = Some(with_option_of(before, LIMIT, after));
            }
        }
        answer.set_file(file);
    }

    fn has(&self, argument: &str) -> bool {
        self.setting.args.iter().any(|given| given == argument)
    }

    fn value(&self, argument: &str) -> Option<&str> {
        let mut given = self.setting.args.iter().rev();
        given.find_map(|given| given.strip_prefix(argument)?.strip_prefix('='))
    }

    fn grace(&self) -> i64 {
        self.value("grace_period")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    /// The time step of the code that was typed, or stacked if nobody was asked, at most 1499 steps
    /// away.
    fn step_of_the_code(&self, file: &Text, answer: &Answer) -> Option<i64> {
        let generator = generator(file)?;
        let now = self.step.clock / step_size(file).unwrap_or(30);
        let typed = match answer.prompts {
            0 => self.step.preset_authtok.as_ref()?,
            _ => self.step.responses.last()?,
        };
        let code = typed.get(typed.len().checked_sub(6)?..)?;
        (now - 1499..=now + 1499).find(|&step| generator.code(step as u64) == code)
    }

    /// A file that is not used, and a time to come, are within grace for Google's module alone.
    fn is_within_no_grace(&self) -> bool {
        let (Some(host), Some(before)) = (&self.step.rhost, &self.before.0) else {
            return false;
        };
        let is_to_come = |n| {
            let value = option(before, &format!("LAST{n}"))?;
            let time = value.strip_prefix(host.as_str())?.trim().parse::<i64>();
            Some(time.is_ok_and(|time| time > self.step.clock))
        };
        let has_host = (0..10).any(|n| is_to_come(n).is_some());
        has_host && generator(before).is_none() || (0..10).any(|n| is_to_come(n) == Some(true))
    }

    /// Where a password may stand before it, Google's module takes the last six digits of a scratch
    /// code for a code first, which may end the login.
    fn is_code_and_scratch_code(&self) -> bool {
        let Some(before) = &self.before.0 else {
            return false;
        };
        let is_stacked = self.has("try_first_pass") || self.has("use_first_pass");
        let stacked = self.step.preset_authtok.as_ref().filter(|_| is_stacked);
        let typed = self.step.responses.last();
        let typed = typed.filter(|_| self.has("forward_pass"));
        stacked.into_iter().chain(typed).any(|token| {
            let code = token.len().checked_sub(8).and_then(|at| token.get(at..));
            let is_there =
                |line: &[u8]| code.is_some_and(|code| line.trim_ascii() == code.as_bytes());
            before.lines().any(is_there)
        })
    }
}

impl Answer {
    fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}

const REUSE: &str = "DISALLOW_REUSE";
const LEARNED: &str = "RESETTING_TIME_SKEW";

/// The name of the option in this line.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let name = line.strip_prefix(b"\" ")?;
    name.split(|byte| b" \t".contains(byte)).next()
}

/// What makes the codes of the file's secret, if it is one.
fn generator(file: &Text) -> Option<Generator> {
    let secret = String::from_utf8_lossy(file.lines().next()?).replace([' ', '-', '\r'], "");
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte);
    let is_secret = secret.len() > 1 && secret.bytes().all(is_letter);
    is_secret.then(|| Generator::of_base32(&secret.to_uppercase()))
}

fn step_size(file: &Text) -> Option<i64> {
    let seconds = option(file, "STEP_SIZE")?.trim().parse().ok()?;
    (1..=60).contains(&seconds).then_some(seconds)
}

fn is_scratch_code(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.len() == 8 && line.iter().all(u8::is_ascii_digit)
}

/// The value of an option, in its first line.
fn option(file: &Text, name: &str) -> Option<String> {
    let line = file
        .lines()
        .find(|line| name_of(line) == Some(name.as_bytes()))?;
    let value = String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .to_owned();
    Some(value[2 + name.len()..].trim_start().to_owned())
}

fn numbers(file: &Text, name: &str) -> Vec<i64> {
    let value = option(file, name).unwrap_or_default();
    let numbers = value.split_ascii_whitespace().map(|word| word.parse().ok());
    numbers.collect::<Option<_>>().unwrap_or_default()
}

fn window(file: &Text) -> i64 {
    let size = numbers(file, "WINDOW_SIZE");
    size.first().copied().unwrap_or(3)
}

/// The file with this value of an option: in its line, or below the secret.
fn with_option(file: &Text, name: &str, value: &str) -> Text {
    let mut lines: Vec<Vec<u8>> = file.lines().map(<[u8]>::to_vec).collect();
    let line = format!("\" {name} {value}").into_bytes();
    let is_option = |line: &Vec<u8>| name_of(line) == Some(name.as_bytes());
    let at = lines.iter().position(is_option);
    match at {
        Some(at) => lines[at] = line,
        None => lines.insert(1, line),
    }
    // The last line gets an end if it is written.
    if at.unwrap_or(1) == lines.len() - 1 {
        lines.push(Vec::new());
    }
    Text(lines.join(&b"\n"[..]))
}

/// The file with the line that another has of an option.
fn with_option_of(file: &Text, name: &str, other: &Text) -> Text {
    let line_of = |line: &&[u8]| name_of(line) == Some(name.as_bytes());
    let theirs = other.lines().find(line_of);
    let mut is_first = true;
    let lines = file.lines().map(|line| match theirs {
        Some(theirs) if line_of(&line) && std::mem::take(&mut is_first) => theirs,
        _ => line,
    });
    let mut text = lines.collect::<Vec<_>>().join(&b"\n"[..]);
    if other.0.ends_with(b"\n") && theirs.is_some_and(|line| text.ends_with(line)) {
        text.push(b'\n');
    }
    Text(text)
}

fn is_host_name(host: &str) -> bool {
    let stands = |byte: u8| byte > b' ' && byte != 0x7f;
    (1..=253).contains(&host.len()) && host.bytes().all(stands)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
