//! The control of a line (pam.conf(5)): a keyword, or an action for each return code.

use super::ReturnCode;

/// What a control does with a return code (pam.conf(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    /// Jumps over this many modules.
    Jump(u32),
}

/// The control of a line: an action for each return code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control([Action; ReturnCode::NAMES.len()]);

impl Control {
    /// The control that libpam gives a line that it cannot use.
    pub(super) const ALL_BAD: Control = Control([Action::Bad; ReturnCode::NAMES.len()]);

    pub(crate) fn action(&self, code: ReturnCode) -> Action {
        self.0[code.index()]
    }
}

impl Control {
    /// Parses a control, given without its brackets; `None` if libpam can't parse it and takes every
    /// return code for bad.
    pub(crate) fn parse(text: &str) -> Option<Control> {
        let keyword = match text.to_ascii_lowercase().as_str() {
            "required" => "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
            "requisite" => "success=ok new_authtok_reqd=ok ignore=ignore default=die",
            "sufficient" => "success=done new_authtok_reqd=done default=ignore",
            "optional" => "success=ok new_authtok_reqd=ok default=ignore",
            _ => text,
        };
        let mut actions = [None; ReturnCode::NAMES.len()];
        let mut rest = keyword.trim_ascii_start();
        while !rest.is_empty() {
            let (value, after) = prefix(rest, &VALUES)?;
            rest = after
                .trim_ascii_start()
                .strip_prefix('=')?
                .trim_ascii_start();
            let (action, after) = action(rest)?;
            match VALUES[value] {
                "default" => {
                    for unset in actions.iter_mut().filter(|action| action.is_none()) {
                        *unset = Some(action);
                    }
                }
                _ => actions[value] = Some(action),
            }
            rest = after.trim_ascii_start();
        }
        Some(Control(actions.map(|action| action.unwrap_or(Action::Bad))))
    }
}

const VALUES: [&str; ReturnCode::NAMES.len() + 1] = {
    let mut values = ["default"; ReturnCode::NAMES.len() + 1];
    let mut at = 0;
    while at < ReturnCode::NAMES.len() {
        values[at] = ReturnCode::NAMES[at];
        at += 1;
    }
    values
};

/// Which of the words a text begins with, and the rest.
fn prefix<'a>(text: &'a str, words: &[&str]) -> Option<(usize, &'a str)> {
    let mut rests = words.iter().map(|word| text.strip_prefix(word)).enumerate();
    rests.find_map(|(which, rest)| Some((which, rest?)))
}

/// The action that a text begins with, and the rest. No space is needed after it.
fn action(text: &str) -> Option<(Action, &str)> {
    const WORDS: [(&str, Action); 6] = [
        ("ignore", Action::Ignore),
        ("ok", Action::Ok),
        ("done", Action::Done),
        ("bad", Action::Bad),
        ("die", Action::Die),
        ("reset", Action::Reset),
    ];
    if let Some((which, rest)) = prefix(text, &WORDS.map(|(word, _)| word)) {
        return Some((WORDS[which].1, rest));
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    // A number that overflows is past the end of any stack, and fails in libpam as well.
    let number: u32 = text[..end].parse().ok()?;
    (number > 0).then_some((Action::Jump(number), &text[end..]))
}
