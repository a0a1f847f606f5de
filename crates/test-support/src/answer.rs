//! All of a login that two modules can be compared in.

use serde::Deserialize;

use crate::{Outcome, Scene};

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Answer {
    pub rc: String,
    /// How many prompts; whether the first one echoes, and its text.
    pub prompts: usize,
    pub echo: Option<bool>,
    pub prompt: String,
    /// The usersfile afterwards, `None` if there is none.
    pub after: Option<String>,
    /// PAM_AUTHTOK for the next module, `(unset)` if there is none.
    pub authtok: String,
    /// Other files in the usersfile's folder.
    pub left_behind: Vec<String>,
}

impl Answer {
    /// To be asked before the next login in this scene.
    pub fn of(outcome: Outcome, scene: &Scene) -> Answer {
        let prompt = outcome.prompts.first();
        Answer {
            rc: outcome.rc.into(),
            prompts: outcome.prompts.len(),
            echo: prompt.map(|prompt| prompt.echoes()),
            prompt: prompt.map(|prompt| prompt.text.clone()).unwrap_or_default(),
            after: scene.usersfile_now(),
            authtok: outcome.authtok.unwrap_or("(unset)".into()),
            left_behind: scene.left_behind(),
        }
    }

    /// Two lines for each field that is not as expected, the values one below the other; empty if
    /// everything is.
    pub fn difference(&self, expected: &Answer) -> String {
        macro_rules! differences {
            ($($field:ident)*) => {
                [$((self.$field != expected.$field).then(|| {
                    let field = stringify!($field);
                    let (got, expected) = (&self.$field, &expected.$field);
                    format!("  {field}: expected {expected:?}\n  {field}: got      {got:?}\n")
                })),*]
            };
        }
        differences!(rc prompts echo prompt after authtok left_behind)
            .into_iter()
            .flatten()
            .collect()
    }
}
