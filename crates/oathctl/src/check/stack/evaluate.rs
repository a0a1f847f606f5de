//! Who gets in by a stack: with the password alone, with the code alone, with nothing, at all.
//!
//! A run asks each module what it returns, and where that is open, every answer is followed
//! (`explore`). Conditions (the user's id, the address) are fixed first, each combination of them in
//! turn: where a good login under one of them is asked for no code, as from a local network, that
//! is what the administrator wants, and only the other combinations are evaluated.

use std::collections::{BTreeMap, HashSet};

use super::modules::Role;
use super::walk::Run;
use super::{Entry, ReturnCode};

/// The most combinations of conditions that are tried; further conditions are taken to hold.
const MOST_COMBINATIONS: usize = 512;
/// The most states of a run that are followed. A stack that needs more is not evaluated.
const MOST_STATES: usize = 50_000;

/// Whether a stack lets somebody in, for each combination of what is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WhoGetsIn {
    /// With the right password and the right code.
    pub everything_right: bool,
    /// With the right password and a wrong code.
    pub wrong_code: bool,
    /// With a wrong password and the right code.
    pub wrong_password: bool,
    /// With a wrong password and a wrong code.
    pub nothing_right: bool,
    /// A user without a token, with the right password.
    pub without_token: bool,
}

/// What is wrong with a stack. Numbers are those of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Even with everything right. `by` is what refuses.
    NobodyGetsIn { by: Option<usize> },
    /// `by` ends the stack, or jumps, before the code.
    CodeNeverAsked { by: Option<usize> },
    /// With a wrong password and a wrong code.
    NothingNeeded,
    /// A user without a token, with a wrong password.
    NothingNeededWithoutToken,
    /// With the right password: `code` returned this, or was passed over because of `by`.
    PasswordAlone {
        code: usize,
        returned: Option<ReturnCode>,
        by: Option<usize>,
    },
    /// With a wrong password, if the stack has a module for it.
    CodeAlone { code: usize, has_password: bool },
    /// With a wrong password and a wrong code, if another factor accepts: `by`, which ends the stack
    /// before the code.
    OtherAlone { by: usize },
    /// A good login takes two codes of one usersfile.
    AskedTwice { first: usize, second: usize },
}

/// The result for a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// Who gets in.
    pub who: WhoGetsIn,
    pub(crate) problems: Vec<Problem>,
}

/// What a user who logs in has.
#[derive(Clone, Copy)]
struct User {
    password: bool,
    code: Code,
    /// What modules of an unknown kind and other factors return.
    others: &'static [ReturnCode],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Right,
    /// The module returns this.
    Wrong(ReturnCode),
    NoToken,
}

/// What happened in a run, as far as a problem is reported with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Trace {
    asked: Option<usize>,
    /// The last line of pam_oath that did not return success.
    refused: Option<(usize, ReturnCode)>,
    accepted: Option<usize>,
    twice: Option<(usize, usize)>,
    /// What skipped a line of pam_oath.
    passed_over: Option<usize>,
    /// What made the run fail.
    failed: Option<usize>,
    /// Whether a module before has asked for a password, which is then PAM_AUTHTOK.
    has_authtok: bool,
}

struct Outcome {
    gets_in: bool,
    trace: Trace,
}

const REFUSES: &[ReturnCode] = &[ReturnCode::AUTH_ERR, ReturnCode::USER_UNKNOWN];
const ANYTHING: &[ReturnCode] = &[
    ReturnCode::SUCCESS,
    ReturnCode::AUTH_ERR,
    ReturnCode::USER_UNKNOWN,
    ReturnCode::IGNORE,
];
/// What else the module may return when it denies: a prompt was cancelled, a file can't be read.
const OTHER_REFUSALS: [ReturnCode; 9] = [
    ReturnCode::CONV_ERR,
    ReturnCode::AUTHINFO_UNAVAIL,
    ReturnCode::CRED_INSUFFICIENT,
    ReturnCode::MAXTRIES,
    ReturnCode::AUTHTOK_ERR,
    ReturnCode::SERVICE_ERR,
    ReturnCode::SYSTEM_ERR,
    ReturnCode::BUF_ERR,
    ReturnCode::ABORT,
];

/// Evaluates a stack, given the role of the module of each entry. `None` if it has no line of
/// pam_oath, or is too large.
pub fn evaluate(stack: &[Entry], roles: &[Role]) -> Option<Evaluation> {
    let is_code = |role: &Role| matches!(role, Role::Code { .. });
    roles.iter().find(|role| is_code(role))?;
    let evaluator = Evaluator { stack, roles };
    let mut evaluation = Evaluation::default();

    let combinations = evaluator.combinations();
    let good = |others| User {
        password: true,
        code: Code::Right,
        others,
    };
    let mut others = REFUSES;
    let mut logins = evaluator.outcomes_of_all(&combinations, good(others))?;
    if !logins.iter().flatten().any(|outcome| outcome.gets_in) {
        others = ANYTHING;
        logins = evaluator.outcomes_of_all(&combinations, good(others))?;
    }
    let gets_in = |outcomes: &[Outcome]| outcomes.iter().any(|outcome| outcome.gets_in);
    evaluation.who.everything_right = logins.iter().any(|outcomes| gets_in(outcomes));
    if !evaluation.who.everything_right {
        let failed = logins.iter().flatten();
        let by = failed.into_iter().find_map(|outcome| outcome.trace.failed);
        evaluation.problems.push(Problem::NobodyGetsIn { by });
    }
    let asks = |outcomes: &&Vec<Outcome>| {
        let mut good = outcomes.iter().filter(|outcome| outcome.gets_in);
        good.any(|outcome| outcome.trace.asked.is_some())
    };
    if evaluation.who.everything_right && logins.iter().find(asks).is_none() {
        let by = logins
            .iter()
            .flatten()
            .filter(|outcome| outcome.gets_in)
            .find_map(|outcome| outcome.trace.passed_over);
        evaluation.problems.push(Problem::CodeNeverAsked { by });
        evaluation.who.wrong_code = true;
    }
    let relevant: Vec<&Combination> = combinations
        .iter()
        .zip(&logins)
        .filter(|(_, outcomes)| {
            !evaluation.who.everything_right || evaluation.who.wrong_code || asks(outcomes)
        })
        .map(|(combination, _)| combination)
        .collect();
    let who_gets_in = |user| -> Option<Option<Trace>> {
        for combination in &relevant {
            let outcomes = evaluator.explore(combination, user)?;
            if let Some(outcome) = outcomes.into_iter().find(|outcome| outcome.gets_in) {
                return Some(Some(outcome.trace));
            }
        }
        Some(None)
    };
    let refused = Code::Wrong(ReturnCode::AUTH_ERR);

    // One factor alone. Other modules refuse where a good login does without them: a security key
    // in place of the code is a second factor as well.
    let nothing = who_gets_in(User {
        password: false,
        code: refused,
        others: REFUSES,
    })?;
    evaluation.who.nothing_right = nothing.is_some();
    if nothing.is_some() {
        evaluation.problems.push(Problem::NothingNeeded);
    }
    if !evaluation.who.wrong_code {
        for code in std::iter::once(ReturnCode::AUTH_ERR).chain(OTHER_REFUSALS) {
            let password_alone = who_gets_in(User {
                password: true,
                code: Code::Wrong(code),
                others,
            })?;
            let Some(trace) = password_alone else {
                continue;
            };
            evaluation.who.wrong_code |= code == ReturnCode::AUTH_ERR;
            if !evaluation.who.nothing_right {
                let first = roles.iter().position(is_code)?;
                evaluation.problems.push(Problem::PasswordAlone {
                    code: trace.refused.map_or(first, |(line, _)| line),
                    returned: trace.refused.map(|(_, code)| code),
                    by: trace.passed_over,
                });
            }
            break;
        }
    }
    let code_alone = who_gets_in(User {
        password: false,
        code: Code::Right,
        others: REFUSES,
    })?;
    if let Some(trace) = code_alone {
        evaluation.who.wrong_password = true;
        if let (false, Some(code)) = (evaluation.who.nothing_right, trace.accepted) {
            evaluation.problems.push(Problem::CodeAlone {
                code,
                has_password: roles.iter().any(|role| matches!(role, Role::Password)),
            });
        }
    }
    // Where every login needs them, they may as well be the password's.
    if others == REFUSES && !evaluation.who.nothing_right && !evaluation.who.wrong_code {
        let other_alone = who_gets_in(User {
            password: false,
            code: refused,
            others: ANYTHING,
        })?;
        if let Some(by) = other_alone.and_then(|trace| trace.passed_over) {
            evaluation.problems.push(Problem::OtherAlone { by });
        }
    }
    let without_token = |password, others| {
        who_gets_in(User {
            password,
            code: Code::NoToken,
            others,
        })
    };
    evaluation.who.without_token = without_token(true, others)?.is_some();
    if !evaluation.who.nothing_right && without_token(false, REFUSES)?.is_some() {
        evaluation.problems.push(Problem::NothingNeededWithoutToken);
    }
    let mut good_outcomes = logins.iter().flatten().filter(|outcome| outcome.gets_in);
    if let Some((first, second)) = good_outcomes.find_map(|outcome| outcome.trace.twice) {
        evaluation
            .problems
            .push(Problem::AskedTwice { first, second });
    }
    Some(evaluation)
}

/// What each condition is this time, by the entry.
type Combination = BTreeMap<usize, ReturnCode>;

struct Evaluator<'a> {
    stack: &'a [Entry],
    roles: &'a [Role],
}

impl Evaluator<'_> {
    /// Every combination of what the conditions may be. The same module with the same arguments
    /// gives the same answer.
    fn combinations(&self) -> Vec<Combination> {
        let mut conditions: Vec<(Vec<usize>, &'static [ReturnCode])> = Vec::new();
        let module = |at: usize| {
            let module = self.stack[at].module();
            module.map(|module| (module.name(), &module.arguments))
        };
        for (at, role) in self.roles.iter().enumerate() {
            let Role::Condition(answers) = role else {
                continue;
            };
            match conditions
                .iter_mut()
                .find(|(same, _)| module(same[0]) == module(at))
            {
                Some((same, _)) => same.push(at),
                None => conditions.push((vec![at], answers)),
            }
        }
        let mut combinations = vec![Combination::new()];
        for (entries, answers) in conditions {
            let answers = match combinations.len() * answers.len() {
                ..=MOST_COMBINATIONS => answers,
                _ => &answers[..1],
            };
            combinations = combinations
                .into_iter()
                .flat_map(|combination| {
                    answers.iter().map({
                        let entries = &entries;
                        move |answer| {
                            let mut combination = combination.clone();
                            combination.extend(entries.iter().map(|entry| (*entry, *answer)));
                            combination
                        }
                    })
                })
                .collect();
        }
        combinations
    }

    fn outcomes_of_all(
        &self,
        combinations: &[Combination],
        user: User,
    ) -> Option<Vec<Vec<Outcome>>> {
        let outcomes = |combination| self.explore(combination, user);
        combinations.iter().map(outcomes).collect()
    }

    /// Follows every way that a login of this user may go; `None` if there are too many.
    fn explore(&self, combination: &Combination, user: User) -> Option<Vec<Outcome>> {
        let mut seen = HashSet::new();
        let mut ahead = vec![(Run::start(), Trace::default())];
        let mut outcomes = Vec::new();
        while let Some((mut run, trace)) = ahead.pop() {
            if seen.len() > MOST_STATES {
                return None;
            }
            let Some(at) = run.advance(self.stack) else {
                outcomes.push(Outcome {
                    gets_in: run.result() == ReturnCode::SUCCESS,
                    trace,
                });
                continue;
            };
            // The last that is pushed is followed first: where everybody accepts.
            for &answer in self.answers(at, combination, user, &trace).iter().rev() {
                let (mut run, mut trace) = (run.clone(), trace.clone());
                run.returned(self.stack, answer);
                self.note(&mut trace, at, answer, &run);
                if seen.insert((run.clone(), trace.clone())) {
                    ahead.push((run, trace));
                }
            }
        }
        Some(outcomes)
    }

    /// What the entry may return to this user.
    fn answers<'b>(
        &'b self,
        at: usize,
        combination: &'b Combination,
        user: User,
        trace: &Trace,
    ) -> &'b [ReturnCode] {
        const ACCEPTS: &[ReturnCode] = &[ReturnCode::SUCCESS];
        /// Each user's password is in one place, and others do not know the user.
        const ONE_OF_SEVERAL: &[ReturnCode] = &[
            ReturnCode::SUCCESS,
            ReturnCode::AUTH_ERR,
            ReturnCode::USER_UNKNOWN,
        ];
        const NOT_THIS: &[ReturnCode] = &[ReturnCode::AUTH_ERR, ReturnCode::USER_UNKNOWN];
        match &self.roles[at] {
            Role::Code {
                needs_authtok: true,
                ..
            } if !trace.has_authtok => &[ReturnCode::AUTH_ERR],
            Role::Code { without_token, .. } => match user.code {
                Code::Right => ACCEPTS,
                Code::NoToken => std::slice::from_ref(without_token),
                Code::Wrong(code) => OTHER_REFUSALS
                    .iter()
                    .position(|known| *known == code)
                    .map_or(&[ReturnCode::AUTH_ERR], |at| &OTHER_REFUSALS[at..=at]),
            },
            Role::Password if user.password => ONE_OF_SEVERAL,
            Role::Password => NOT_THIS,
            Role::Condition(answers) => match combination.get(&at) {
                Some(answer) => std::slice::from_ref(answer),
                None => answers,
            },
            Role::Returns(answers) => answers,
            Role::OtherFactor | Role::Unknown => user.others,
        }
    }

    fn note(&self, trace: &mut Trace, at: usize, answer: ReturnCode, run: &Run) {
        if let Role::Code { usersfile, .. } = &self.roles[at] {
            trace.asked.get_or_insert(at);
            if answer == ReturnCode::SUCCESS {
                let before = trace.accepted.filter(|&before| {
                    matches!(&self.roles[before], Role::Code { usersfile: same, .. }
                        if same == usersfile)
                });
                trace.twice = trace.twice.or(before.map(|before| (before, at)));
                trace.accepted = Some(at);
            } else {
                trace.refused = Some((at, answer));
            }
        }
        if !matches!(self.roles[at], Role::Condition(_) | Role::Returns(_)) {
            trace.has_authtok = true;
        }
        let passed = at + 1..run.next_entry();
        let passes_over = |role: &Role| matches!(role, Role::Code { .. });
        if trace.passed_over.is_none() && self.roles[passed].iter().any(passes_over) {
            trace.passed_over = Some(at);
        }
        if trace.failed.is_none() && run.has_failed() {
            trace.failed = Some(at);
        }
    }
}
