//! The measured logins of tests/google/cases.jsonl, through libpam again.

use serde::Deserialize;
use test_support::Module;

use crate::accounts::{Setting, Step, World};
use crate::answer::{Answer, of_case};
use crate::table;

#[derive(Deserialize)]
struct Case {
    id: String,
    note: String,
    #[serde(flatten)]
    setting: Setting,
    steps: Vec<Step>,
}

#[test]
#[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
fn ours_gives_the_answer_of_googles_module_to_every_case_but_for_what_the_table_says() {
    ask_every_case(Module::Google);
}

#[test]
#[ignore = "needs root and the package libpam-google-authenticator: run `make test`"]
fn googles_module_gives_its_recorded_answer_to_every_case() {
    ask_every_case(Module::DebiansGoogle);
}

/// Google's module hangs at this one: tests/google/differences.rs shows it.
const HANGS: &str = "h586";

fn ask_every_case(module: Module) {
    let mut world = World::new();
    let cases = include_str!("cases.jsonl").lines();
    let cases = cases.map(|line| serde_json::from_str::<Case>(&of_case(line)).unwrap());
    let (mut failures, mut all) = (Vec::new(), 0);
    for case in cases {
        all += 1;
        if module == Module::DebiansGoogle && case.id == HANGS {
            continue;
        }
        if let Some(difference) = differs(&case, &mut world, module) {
            let Case { id, note, .. } = &case;
            failures.push(format!(
                "case {id} ({note}) {:?}\n{difference}",
                case.setting.args
            ));
        }
    }
    let failed = failures.len();
    assert!(
        failed == 0,
        "{failed} of {all} cases differ\n\n{}",
        failures.join("\n")
    );
}

/// How the first login that is not answered as expected differs.
fn differs(case: &Case, world: &mut World, module: Module) -> Option<String> {
    let setting = &case.setting;
    world.prepare(setting);
    let mut recorded_before = world.file_now(setting);
    for (n, step) in case.steps.iter().enumerate() {
        let recorded: &Answer = step.reference.as_ref().expect("a recorded answer");
        let before = world.file_now(setting);
        // After a login that the table has differ, Google's module is asked what it makes of the
        // file as it is now.
        let theirs = match before.is(&recorded_before) {
            true => recorded.clone(),
            false => {
                let theirs = world.log_in(setting, step, Module::DebiansGoogle);
                world.put_back(setting, &before);
                theirs
            }
        };
        recorded_before = recorded.file();
        let expected = match module {
            Module::Google => table::expected(&case.id, setting, step, &before, theirs),
            _ => theirs,
        };
        let got = world.log_in(setting, step, module);
        let difference = got.difference(&expected);
        if !difference.is_empty() {
            let log = got.log.join("\n  log: ");
            return Some(format!(
                "login {n}: {:?}\n{difference}  log: {log}\n",
                step.responses
            ));
        }
    }
    None
}
