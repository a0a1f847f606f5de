//! Who gets in by a stack: with the password alone, with the code alone, with nothing, at all.
//!
//! A run asks each module what it returns, and where that is open, every answer is followed
//! (`explore`). Conditions (the account's number, the address) are fixed first, each combination
//! of them in turn: where a good login under one of them is asked for no code, as from a local
//! network, somebody wanted it so, and only the other combinations are judged.

use std::collections::{BTreeMap, HashSet};

use super::modules::Role;
use super::walk::Run;
use super::{Entry, ReturnCode};

/// So many combinations of conditions are tried; of more conditions the rest hold.
const MOST_COMBINATIONS: usize = 512;
/// So many states of a run are followed. A stack that needs more is not judged.
const MOST_STATES: usize = 50_000;

/// What a person has, and what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WhoGetsIn {
    pub everything_right: bool,
    pub wrong_code: bool,
    pub wrong_password: bool,
    pub nothing_right: bool,
    /// With the right password.
    pub without_token: bool,
}

/// What is wrong with a stack. Numbers are those of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
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

/// The answer about a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub who: WhoGetsIn,
    pub problems: Vec<Problem>,
}

/// What a person has right.
#[derive(Clone, Copy)]
struct Person {
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

/// What a run went through, as far as a problem is told with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Trail {
    asked: Option<usize>,
    /// The last line of ours that did not return success.
    refused: Option<(usize, ReturnCode)>,
    accepted: Option<usize>,
    twice: Option<(usize, usize)>,
    /// What passed over a line of ours.
    passed_over: Option<usize>,
    /// What made the run fail.
    failed: Option<usize>,
    /// Whether a module has asked for a password, so that there is a token to use.
    has_token: bool,
}

struct Ending {
    gets_in: bool,
    trail: Trail,
}

const REFUSES: &[ReturnCode] = &[ReturnCode::AUTH_ERR, ReturnCode::USER_UNKNOWN];
const ANYTHING: &[ReturnCode] = &[
    ReturnCode::SUCCESS,
    ReturnCode::AUTH_ERR,
    ReturnCode::USER_UNKNOWN,
    ReturnCode::IGNORE,
];
/// What the module may return besides when it lets nobody in: a prompt that was cancelled, a file
/// that can't be read.
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

/// Judges a stack, given the role of the module of each entry. `None` if it has no line of ours, or
/// is too large.
pub fn judge(stack: &[Entry], roles: &[Role]) -> Option<Verdict> {
    let is_code = |role: &Role| matches!(role, Role::Code { .. });
    roles.iter().find(|role| is_code(role))?;
    let judge = Judge { stack, roles };
    let mut verdict = Verdict::default();

    let combinations = judge.combinations();
    let good = |others| Person {
        password: true,
        code: Code::Right,
        others,
    };
    let mut others = REFUSES;
    let mut logins = judge.endings_of_all(&combinations, good(others))?;
    if !logins.iter().flatten().any(|ending| ending.gets_in) {
        others = ANYTHING;
        logins = judge.endings_of_all(&combinations, good(others))?;
    }
    let entered = |endings: &[Ending]| endings.iter().any(|ending| ending.gets_in);
    verdict.who.everything_right = logins.iter().any(|endings| entered(endings));
    if !verdict.who.everything_right {
        let failed = logins.iter().flatten();
        let by = failed.into_iter().find_map(|ending| ending.trail.failed);
        verdict.problems.push(Problem::NobodyGetsIn { by });
    }
    let asks = |endings: &&Vec<Ending>| {
        let mut good = endings.iter().filter(|ending| ending.gets_in);
        good.any(|ending| ending.trail.asked.is_some())
    };
    if verdict.who.everything_right && logins.iter().find(asks).is_none() {
        let by = logins
            .iter()
            .flatten()
            .filter(|ending| ending.gets_in)
            .find_map(|ending| ending.trail.passed_over);
        verdict.problems.push(Problem::CodeNeverAsked { by });
        verdict.who.wrong_code = true;
    }
    let judged: Vec<&Combination> = combinations
        .iter()
        .zip(&logins)
        .filter(|(_, endings)| {
            !verdict.who.everything_right || verdict.who.wrong_code || asks(endings)
        })
        .map(|(combination, _)| combination)
        .collect();
    let who_enters = |person| -> Option<Option<Trail>> {
        for combination in &judged {
            let endings = judge.explore(combination, person)?;
            if let Some(ending) = endings.into_iter().find(|ending| ending.gets_in) {
                return Some(Some(ending.trail));
            }
        }
        Some(None)
    };
    let refused = Code::Wrong(ReturnCode::AUTH_ERR);

    // One factor alone. Other modules refuse where a good login does without them: a security key
    // in place of the code is a second factor as well.
    let nothing = who_enters(Person {
        password: false,
        code: refused,
        others: REFUSES,
    })?;
    verdict.who.nothing_right = nothing.is_some();
    if nothing.is_some() {
        verdict.problems.push(Problem::NothingNeeded);
    }
    if !verdict.who.wrong_code {
        for code in std::iter::once(ReturnCode::AUTH_ERR).chain(OTHER_REFUSALS) {
            let password_alone = who_enters(Person {
                password: true,
                code: Code::Wrong(code),
                others,
            })?;
            let Some(trail) = password_alone else {
                continue;
            };
            verdict.who.wrong_code |= code == ReturnCode::AUTH_ERR;
            if !verdict.who.nothing_right {
                let first = roles.iter().position(is_code)?;
                verdict.problems.push(Problem::PasswordAlone {
                    code: trail.refused.map_or(first, |(line, _)| line),
                    returned: trail.refused.map(|(_, code)| code),
                    by: trail.passed_over,
                });
            }
            break;
        }
    }
    let code_alone = who_enters(Person {
        password: false,
        code: Code::Right,
        others: REFUSES,
    })?;
    if let Some(trail) = code_alone {
        verdict.who.wrong_password = true;
        if let (false, Some(code)) = (verdict.who.nothing_right, trail.accepted) {
            verdict.problems.push(Problem::CodeAlone {
                code,
                has_password: roles.iter().any(|role| matches!(role, Role::Password)),
            });
        }
    }
    // Where every login needs them, they may as well be the password's.
    if others == REFUSES && !verdict.who.nothing_right && !verdict.who.wrong_code {
        let other_alone = who_enters(Person {
            password: false,
            code: refused,
            others: ANYTHING,
        })?;
        if let Some(by) = other_alone.and_then(|trail| trail.passed_over) {
            verdict.problems.push(Problem::OtherAlone { by });
        }
    }
    let without_token = |password, others| {
        who_enters(Person {
            password,
            code: Code::NoToken,
            others,
        })
    };
    verdict.who.without_token = without_token(true, others)?.is_some();
    if !verdict.who.nothing_right && without_token(false, REFUSES)?.is_some() {
        verdict.problems.push(Problem::NothingNeededWithoutToken);
    }
    let mut good_endings = logins.iter().flatten().filter(|ending| ending.gets_in);
    if let Some((first, second)) = good_endings.find_map(|ending| ending.trail.twice) {
        verdict.problems.push(Problem::AskedTwice { first, second });
    }
    Some(verdict)
}

/// What each condition is this time, by the entry.
type Combination = BTreeMap<usize, ReturnCode>;

struct Judge<'a> {
    stack: &'a [Entry],
    roles: &'a [Role],
}

impl Judge<'_> {
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

    fn endings_of_all(
        &self,
        combinations: &[Combination],
        person: Person,
    ) -> Option<Vec<Vec<Ending>>> {
        let endings = |combination| self.explore(combination, person);
        combinations.iter().map(endings).collect()
    }

    /// Follows every way that a login of this person may go; `None` if there are too many.
    fn explore(&self, combination: &Combination, person: Person) -> Option<Vec<Ending>> {
        let mut seen = HashSet::new();
        let mut ahead = vec![(Run::start(), Trail::default())];
        let mut endings = Vec::new();
        while let Some((mut run, trail)) = ahead.pop() {
            if seen.len() > MOST_STATES {
                return None;
            }
            let Some(at) = run.advance(self.stack) else {
                endings.push(Ending {
                    gets_in: run.result() == ReturnCode::SUCCESS,
                    trail,
                });
                continue;
            };
            // The last that is pushed is followed first: where everybody accepts.
            for &answer in self.answers(at, combination, person, &trail).iter().rev() {
                let (mut run, mut trail) = (run.clone(), trail.clone());
                run.returned(self.stack, answer);
                self.note(&mut trail, at, answer, &run);
                if seen.insert((run.clone(), trail.clone())) {
                    ahead.push((run, trail));
                }
            }
        }
        Some(endings)
    }

    /// What the entry may return to this person.
    fn answers<'b>(
        &'b self,
        at: usize,
        combination: &'b Combination,
        person: Person,
        trail: &Trail,
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
                needs_token: true, ..
            } if !trail.has_token => &[ReturnCode::AUTH_ERR],
            Role::Code { without_token, .. } => match person.code {
                Code::Right => ACCEPTS,
                Code::NoToken => std::slice::from_ref(without_token),
                Code::Wrong(code) => OTHER_REFUSALS
                    .iter()
                    .position(|known| *known == code)
                    .map_or(&[ReturnCode::AUTH_ERR], |at| &OTHER_REFUSALS[at..=at]),
            },
            Role::Password if person.password => ONE_OF_SEVERAL,
            Role::Password => NOT_THIS,
            Role::Condition(answers) => match combination.get(&at) {
                Some(answer) => std::slice::from_ref(answer),
                None => answers,
            },
            Role::Returns(answers) => answers,
            Role::OtherFactor | Role::Unknown => person.others,
        }
    }

    fn note(&self, trail: &mut Trail, at: usize, answer: ReturnCode, run: &Run) {
        if let Role::Code { usersfile, .. } = &self.roles[at] {
            trail.asked.get_or_insert(at);
            if answer == ReturnCode::SUCCESS {
                let before = trail.accepted.filter(|&before| {
                    matches!(&self.roles[before], Role::Code { usersfile: same, .. }
                        if same == usersfile)
                });
                trail.twice = trail.twice.or(before.map(|before| (before, at)));
                trail.accepted = Some(at);
            } else {
                trail.refused = Some((at, answer));
            }
        }
        if !matches!(self.roles[at], Role::Condition(_) | Role::Returns(_)) {
            trail.has_token = true;
        }
        let passed = at + 1..run.next_entry();
        let passes_over = |role: &Role| matches!(role, Role::Code { .. });
        if trail.passed_over.is_none() && self.roles[passed].iter().any(passes_over) {
            trail.passed_over = Some(at);
        }
        if trail.failed.is_none() && run.has_failed() {
            trail.failed = Some(at);
        }
    }
}
