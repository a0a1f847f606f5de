//! Who gets in by a stack: with the password alone, with the code alone, with nothing, at all.
//!
//! Where a good login under some combination of conditions is asked for no code, as from a local
//! network, that is what the administrator wants, and only the other combinations are evaluated.

use super::explore::{Code, Combination, Explorer, OTHER_REFUSALS, Outcome, Trace, User};
use super::modules::Role;
use super::{Entry, ReturnCode};

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
    /// With a wrong password and a wrong code. `by` ends the stack, or jumps, before the code.
    NothingNeeded { by: Option<usize> },
    /// `by` takes the refusal of `code` back, and lets in with the right password or, if `anybody`, with
    /// nothing right.
    Forgiven {
        code: usize,
        by: usize,
        anybody: bool,
    },
    /// A user without a token, with a wrong password.
    NothingNeededWithoutToken,
    /// With the right password: `code` returned this, or was passed over because of `by`.
    PasswordAlone {
        code: usize,
        returned: Option<ReturnCode>,
        by: Option<usize>,
    },
    /// With a wrong password, if the stack has a module for it.
    CodeAlone {
        code: usize,
        has_password: bool,
        /// What skips the line for the password.
        by: Option<usize>,
    },
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

/// What other modules return where they are no help to log in.
const REFUSES: &[ReturnCode] = &[ReturnCode::AUTH_ERR, ReturnCode::USER_UNKNOWN];
/// What other modules may return.
const ANYTHING: &[ReturnCode] = &[
    ReturnCode::SUCCESS,
    ReturnCode::AUTH_ERR,
    ReturnCode::USER_UNKNOWN,
    ReturnCode::IGNORE,
];
/// Evaluates a stack, given the role of the module of each entry. `None` if it has no line of
/// pam_oath, or is too large.
pub fn evaluate(stack: &[Entry], roles: &[Role]) -> Option<Evaluation> {
    let code = roles.iter().position(is_code)?;
    let explorer = Explorer { stack, roles };
    let combinations = explorer.combinations();
    let good = GoodLogins::find(&explorer, &combinations)?;
    let mut evaluation = Evaluation::default();
    good.evaluate(&mut evaluation);

    let relevant = Relevant {
        explorer: &explorer,
        combinations: match evaluation.problems.is_empty() {
            true => good.asked_for_code(&combinations),
            // Nobody gets in, or nobody is asked.
            false => combinations.iter().collect(),
        },
        others: good.others,
    };
    relevant.nothing_right(&mut evaluation)?;
    relevant.password_alone(&mut evaluation, code)?;
    relevant.code_alone(&mut evaluation)?;
    relevant.other_alone(&mut evaluation)?;
    relevant.without_token(&mut evaluation)?;
    evaluation.problems.extend(good.asked_twice());
    Some(evaluation)
}

fn is_code(role: &Role) -> bool {
    matches!(role, Role::Code { .. })
}

/// The logins with everything right.
struct GoodLogins {
    /// What other modules return in them.
    others: &'static [ReturnCode],
    /// By combination of conditions.
    outcomes: Vec<Vec<Outcome>>,
}

impl GoodLogins {
    /// The logins without the help of other modules, and if none succeeds, those with it.
    fn find(explorer: &Explorer, combinations: &[Combination]) -> Option<GoodLogins> {
        let with = |others| {
            let user = User {
                password: true,
                code: Code::Right,
                others,
            };
            let outcomes = explorer.outcomes_of_all(combinations, user)?;
            Some(GoodLogins { others, outcomes })
        };
        let alone = with(REFUSES)?;
        let succeeds = alone.successes().next().is_some();
        if succeeds {
            Some(alone)
        } else {
            with(ANYTHING)
        }
    }

    fn successes(&self) -> impl Iterator<Item = &Trace> {
        successes(self.outcomes.iter().flatten())
    }

    fn evaluate(&self, evaluation: &mut Evaluation) {
        evaluation.who.everything_right = self.successes().next().is_some();
        if !evaluation.who.everything_right {
            let mut outcomes = self.outcomes.iter().flatten();
            let by = outcomes.find_map(|outcome| outcome.trace.failed);
            evaluation.problems.push(Problem::NobodyGetsIn { by });
        } else if self.successes().all(|trace| trace.asked.is_none()) {
            let by = self.successes().find_map(|trace| trace.passed_over);
            evaluation.problems.push(Problem::CodeNeverAsked { by });
            evaluation.who.wrong_code = true;
        }
    }

    /// The combinations of conditions in which a good login is asked for a code.
    fn asked_for_code<'a>(&self, combinations: &'a [Combination]) -> Vec<&'a Combination> {
        let asks = |outcomes: &Vec<Outcome>| successes(outcomes).any(|trace| trace.asked.is_some());
        combinations
            .iter()
            .zip(&self.outcomes)
            .filter(|(_, outcomes)| asks(outcomes))
            .map(|(combination, _)| combination)
            .collect()
    }

    fn asked_twice(&self) -> Option<Problem> {
        let (first, second) = self.successes().find_map(|trace| trace.twice)?;
        Some(Problem::AskedTwice { first, second })
    }
}

fn successes<'a>(
    outcomes: impl IntoIterator<Item = &'a Outcome>,
) -> impl Iterator<Item = &'a Trace> {
    outcomes
        .into_iter()
        .filter(|outcome| outcome.gets_in)
        .map(|outcome| &outcome.trace)
}

/// The combinations of conditions that are evaluated. Each method evaluates the users who lack
/// something; `None` if the stack is too large.
struct Relevant<'a> {
    explorer: &'a Explorer<'a>,
    combinations: Vec<&'a Combination>,
    /// What other modules return in a good login. With one factor alone they refuse where a good
    /// login does without them: a security key in place of the code is a second factor as well.
    others: &'static [ReturnCode],
}

impl Relevant<'_> {
    /// How the user gets in, if that is possible.
    fn login(&self, user: User) -> Option<Option<Trace>> {
        self.login_in(user, &self.combinations)
    }

    /// The same, for who is not root already: root needs no password to become somebody else.
    fn login_unless_root(&self, user: User) -> Option<Option<Trace>> {
        let mut combinations = self.combinations.clone();
        combinations.retain(|combination| !self.explorer.is_root(combination));
        self.login_in(user, &combinations)
    }

    fn login_in(&self, user: User, combinations: &[&Combination]) -> Option<Option<Trace>> {
        for combination in combinations {
            let outcomes = self.explorer.outcomes(combination, user)?;
            if let Some(outcome) = outcomes.into_iter().find(|outcome| outcome.gets_in) {
                return Some(Some(outcome.trace));
            }
        }
        Some(None)
    }

    fn nothing_right(&self, evaluation: &mut Evaluation) -> Option<()> {
        let login = self.login(User {
            password: false,
            code: Code::Wrong(ReturnCode::AUTH_ERR),
            others: REFUSES,
        })?;
        if let Some(trace) = login {
            evaluation.who.nothing_right = true;
            evaluation
                .problems
                .push(match (trace.refused, trace.forgave) {
                    (Some((code, _)), Some(by)) => Problem::Forgiven {
                        code,
                        by,
                        anybody: true,
                    },
                    _ => Problem::NothingNeeded {
                        by: trace.passed_over,
                    },
                });
        }
        Some(())
    }

    /// The first return code of the module, a wrong code first, with which the password is enough.
    /// `first_code` is the module's first entry.
    fn password_alone(&self, evaluation: &mut Evaluation, first_code: usize) -> Option<()> {
        // Where good logins with the help of other modules are asked for no code, those without it may
        // be, and then a wrong one must not do.
        let others = match evaluation.who.wrong_code {
            false => self.others,
            true if self.others != REFUSES => REFUSES,
            true => return Some(()),
        };
        for returned in std::iter::once(ReturnCode::AUTH_ERR).chain(OTHER_REFUSALS) {
            let login = self.login(User {
                password: true,
                code: Code::Wrong(returned),
                others,
            })?;
            let Some(trace) = login.filter(|trace| others == self.others || trace.asked.is_some())
            else {
                continue;
            };
            evaluation.who.wrong_code |= returned == ReturnCode::AUTH_ERR;
            if evaluation.who.nothing_right {
                break;
            }
            if let (Some((code, _)), Some(by)) = (trace.refused, trace.forgave) {
                evaluation.problems.push(Problem::Forgiven {
                    code,
                    by,
                    anybody: false,
                });
            } else {
                evaluation.problems.push(Problem::PasswordAlone {
                    code: trace.refused.map_or(first_code, |(line, _)| line),
                    returned: trace.refused.map(|(_, code)| code),
                    by: trace.passed_over,
                });
            }
            break;
        }
        Some(())
    }

    fn code_alone(&self, evaluation: &mut Evaluation) -> Option<()> {
        let login = self.login_unless_root(User {
            password: false,
            code: Code::Right,
            others: REFUSES,
        })?;
        if let Some(trace) = login {
            evaluation.who.wrong_password = true;
            if let (false, Some(code)) = (evaluation.who.nothing_right, trace.accepted) {
                let mut roles = self.explorer.roles.iter();
                evaluation.problems.push(Problem::CodeAlone {
                    code,
                    has_password: roles.any(|role| matches!(role, Role::Password)),
                    by: trace.past_password,
                });
            }
        }
        Some(())
    }

    /// Another factor alone. Where every login needs the other modules, they may be those for the
    /// password.
    fn other_alone(&self, evaluation: &mut Evaluation) -> Option<()> {
        let who = evaluation.who;
        if self.others != REFUSES || who.nothing_right || who.wrong_code {
            return Some(());
        }
        let login = self.login(User {
            password: false,
            code: Code::Wrong(ReturnCode::AUTH_ERR),
            others: ANYTHING,
        })?;
        let by = login.and_then(|trace| trace.passed_over);
        evaluation
            .problems
            .extend(by.map(|by| Problem::OtherAlone { by }));
        Some(())
    }

    fn without_token(&self, evaluation: &mut Evaluation) -> Option<()> {
        let user = |password, others| User {
            password,
            code: Code::NoToken,
            others,
        };
        evaluation.who.without_token = self.login(user(true, self.others))?.is_some();
        if !evaluation.who.nothing_right && self.login_unless_root(user(false, REFUSES))?.is_some()
        {
            evaluation.problems.push(Problem::NothingNeededWithoutToken);
        }
        Some(())
    }
}
