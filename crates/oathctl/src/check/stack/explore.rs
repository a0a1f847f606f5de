//! Follows every way that a login may go through a stack.
//!
//! A run asks each module what it returns, and where that is open, every return code is followed.
//! Conditions (the user's id, the address) are fixed first, in a combination.

use std::collections::{BTreeMap, HashSet};

use super::modules::Role;
use super::walk::Run;
use super::{Entry, ReturnCode};

/// The most combinations of conditions that are tried; further conditions are taken to hold.
const MOST_COMBINATIONS: usize = 512;
/// The most states of a run that are followed. A stack that needs more is not evaluated.
const MOST_STATES: usize = 50_000;

/// What a user who logs in has.
#[derive(Clone, Copy)]
pub(super) struct User {
    pub(super) password: bool,
    pub(super) code: Code,
    /// What modules of an unknown kind and other factors return.
    pub(super) others: &'static [ReturnCode],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Right,
    /// The module returns this.
    Wrong(ReturnCode),
    NoToken,
}

/// What happened in a run, as far as a problem is reported with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Trace {
    pub(super) asked: Option<usize>,
    /// The last line of pam_oath that did not return success.
    pub(super) refused: Option<(usize, ReturnCode)>,
    pub(super) accepted: Option<usize>,
    pub(super) twice: Option<(usize, usize)>,
    /// What skipped a line of pam_oath.
    pub(super) passed_over: Option<usize>,
    /// What skipped a line for the password.
    pub(super) past_password: Option<usize>,
    /// What took a refusal back (`reset`).
    pub(super) forgave: Option<usize>,
    /// What made the run fail.
    pub(super) failed: Option<usize>,
    /// Whether a module before has asked for a password, which is then PAM_AUTHTOK.
    pub(super) has_authtok: bool,
    /// Whether PAM_AUTHTOK is the user's password, and so no code.
    pub(super) authtok_is_password: bool,
}

pub(super) struct Outcome {
    pub(super) gets_in: bool,
    pub(super) trace: Trace,
}

/// What else the module may return when it denies: a prompt was cancelled, a file can't be read.
pub(super) const OTHER_REFUSALS: [ReturnCode; 9] = [
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

/// What each condition returns, by its entry.
pub(super) type Combination = BTreeMap<usize, ReturnCode>;

pub(super) struct Explorer<'a> {
    pub(super) stack: &'a [Entry],
    pub(super) roles: &'a [Role],
}

impl Explorer<'_> {
    /// Every combination of what the conditions may return. The same module with the same arguments
    /// always returns the same.
    pub(super) fn combinations(&self) -> Vec<Combination> {
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

    /// Whether somebody who is root already logs in (`pam_rootok`), as with `su`.
    pub(super) fn is_root(&self, combination: &Combination) -> bool {
        combination.iter().any(|(&at, &answer)| {
            let module = self.stack[at].module();
            answer == ReturnCode::SUCCESS && module.is_some_and(|it| it.name() == b"pam_rootok.so")
        })
    }

    pub(super) fn outcomes_of_all(
        &self,
        combinations: &[Combination],
        user: User,
    ) -> Option<Vec<Vec<Outcome>>> {
        let outcomes = |combination| self.outcomes(combination, user);
        combinations.iter().map(outcomes).collect()
    }

    /// The outcomes of every way that a login of this user may go; `None` if there are too many.
    pub(super) fn outcomes(&self, combination: &Combination, user: User) -> Option<Vec<Outcome>> {
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
            // In reverse, so that success is followed first.
            for &answer in self.answers(at, combination, user, &trace).iter().rev() {
                let (before, mut run, mut trace) = (&run, run.clone(), trace.clone());
                run.returned(self.stack, answer);
                if before.has_failed() && !run.has_failed() {
                    trace.forgave = Some(at);
                }
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
        /// A user's password is known to one of several modules.
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
            } if !trace.has_authtok || trace.authtok_is_password => &[ReturnCode::AUTH_ERR],
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
        if let Role::Password = self.roles[at] {
            trace.authtok_is_password |= answer == ReturnCode::SUCCESS;
        }
        let passed = self.roles.get(at + 1..run.next_entry()).unwrap_or_default();
        if passed.iter().any(|role| matches!(role, Role::Code { .. })) {
            trace.passed_over.get_or_insert(at);
        }
        if passed.iter().any(|role| matches!(role, Role::Password)) {
            trace.past_password.get_or_insert(at);
        }
        if trace.failed.is_none() && run.has_failed() {
            trace.failed = Some(at);
        }
    }
}
