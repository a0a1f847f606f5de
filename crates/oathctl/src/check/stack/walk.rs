//! Runs a stack as libpam runs it for `pam_authenticate`.

use super::{Action, Call, Entry, Module, ReturnCode};

/// The result of the modules so far; libpam's own word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Impression {
    None,
    Positive,
    Negative,
}

/// The state that a substack begins with, and that `reset` goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    impression: Impression,
    /// What `pam_authenticate` would return now.
    status: ReturnCode,
}

impl State {
    const START: State = State {
        impression: Impression::None,
        status: ReturnCode::PERM_DENIED,
    };

    /// `bad`. The first failure stays.
    fn fail(&mut self, code: ReturnCode) {
        if self.impression != Impression::Negative {
            self.impression = Impression::Negative;
            self.status = match code {
                ReturnCode::IGNORE => ReturnCode::PERM_DENIED,
                code => code,
            };
        }
    }
}

/// The state of a run, between two modules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// The entry that comes next.
    at: usize,
    /// The level of the entry before it.
    level: usize,
    state: State,
    /// The states at the beginning of this level and of those around it.
    begun: Vec<State>,
}

impl Run {
    pub(crate) fn start() -> Run {
        Run {
            at: 0,
            level: 0,
            state: State::START,
            begun: vec![State::START],
        }
    }

    /// Goes on to the next entry that returns a code; returns its index, or `None` at the end.
    pub(crate) fn advance(&mut self, stack: &[Entry]) -> Option<usize> {
        loop {
            let entry = stack.get(self.at)?;
            if self.level < entry.level {
                self.begun.truncate(entry.level);
                self.begun.resize(entry.level + 1, self.state);
            }
            self.level = entry.level;
            match entry.call {
                Call::Substack => self.at += 1,
                Call::Module(_) | Call::Failure => return Some(self.at),
            }
        }
    }

    /// Applies the return code of the entry that [`advance`](Run::advance) stopped at.
    pub(crate) fn returned(&mut self, stack: &[Entry], code: ReturnCode) {
        let here = self.at;
        let level = stack[here].level;
        self.at = here + 1;
        match stack[here].control.action(code) {
            Action::Ignore => {}
            Action::Reset => self.state = self.begun[level],
            action @ (Action::Ok | Action::Done) => {
                let State { impression, status } = self.state;
                if impression == Impression::None
                    || impression == Impression::Positive && status == ReturnCode::SUCCESS
                {
                    self.state = State {
                        impression: Impression::Positive,
                        status: code,
                    };
                }
                if action == Action::Done && impression != Impression::Negative {
                    self.at = end_of_level(stack, here);
                }
            }
            Action::Bad => self.state.fail(code),
            Action::Die => {
                self.state.fail(code);
                self.at = end_of_level(stack, here);
            }
            Action::Jump(count) => match over(stack, here, count) {
                Some(at) => self.at = at,
                None => {
                    self.at = end_of_level(stack, here);
                    self.state = State {
                        impression: Impression::Negative,
                        status: ReturnCode::PERM_DENIED,
                    };
                }
            },
        }
    }

    /// The entry that comes next, or the number of entries.
    pub(crate) fn next_entry(&self) -> usize {
        self.at
    }

    /// What `pam_authenticate` returns when the run is at its end.
    pub(crate) fn result(&self) -> ReturnCode {
        match self.state {
            State {
                impression: Impression::None | Impression::Negative,
                status: ReturnCode::SUCCESS,
            } => ReturnCode::PERM_DENIED,
            State { status, .. } => status,
        }
    }

    /// Whether no later module can make it a success any more, `reset` aside.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.impression == Impression::Negative
            || self.state.impression == Impression::Positive
                && self.state.status != ReturnCode::SUCCESS
    }
}

/// The entry after the substack that `here` is in, or the number of entries.
fn end_of_level(stack: &[Entry], here: usize) -> usize {
    let level = stack[here].level;
    let rest = stack[here + 1..].iter();
    here + 1 + rest.take_while(|entry| entry.level >= level).count()
}

/// The entry that a jump over `count` modules leads to. A substack counts as one module, and no jump
/// leads out of one.
fn over(stack: &[Entry], here: usize, count: u32) -> Option<usize> {
    let level = stack[here].level;
    let mut at = here + 1;
    for _ in 0..count {
        stack.get(at).filter(|entry| entry.level >= level)?;
        let inner = stack[at + 1..].iter();
        at += 1 + inner.take_while(|entry| entry.level > level).count();
    }
    Some(at)
}

/// Runs a stack to its end; `answer` gives what a module returns.
pub fn run(stack: &[Entry], mut answer: impl FnMut(&Module) -> ReturnCode) -> ReturnCode {
    let mut run = Run::start();
    while let Some(at) = run.advance(stack) {
        let code = stack[at]
            .module()
            .map_or(ReturnCode::PERM_DENIED, &mut answer);
        run.returned(stack, code);
    }
    run.result()
}
