//! The measured logins of tests/conformance/cases.jsonl, through libpam again.

use serde::Deserialize;
use test_support::answer::Answer;
use test_support::{Module, Scene};

#[derive(Deserialize)]
struct Case {
    id: String,
    note: String,
    usersfile: Option<String>,
    args: String,
    user: String,
    responses: Vec<String>,
    preset_authtok: Option<String>,
    now: i64,
    reference: Answer,
    expect: Answer,
}

/// OATH Toolkit's module accepts these, and this module refuses them on purpose: the code of a
/// counter that is used up, typed in another length.
const USED_IN_ANOTHER_LENGTH: [&str; 1] = ["1-816"];

#[test]
fn ours_gives_the_expected_answer_to_every_case() {
    ask_every_case(Module::This, |case| {
        let mut expect = case.expect.clone();
        if USED_IN_ANOTHER_LENGTH.contains(&case.id.as_str()) {
            assert_eq!(expect.rc, "SUCCESS");
            expect.rc = "AUTH_ERR".into();
            expect.after.clone_from(&case.usersfile);
        }
        expect
    });
}

#[test]
#[ignore = "needs the package libpam-oath: run `make test`"]
fn oath_toolkits_module_gives_its_recorded_answer_to_every_case() {
    ask_every_case(Module::OathToolkit, |case| case.reference.clone());
}

fn ask_every_case(module: Module, recorded: impl Fn(&Case) -> Answer) {
    let cases = include_str!("cases.jsonl").lines();
    let cases: Vec<Case> = cases
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut scene = Scene::new().module(module);
    let mut failures = Vec::new();
    for case in &cases {
        let answer;
        (scene, answer) = ask(scene, case);
        let difference = answer.difference(&recorded(case));
        if !difference.is_empty() {
            let Case { id, note, .. } = case;
            failures.push(format!(
                "case {id} ({note}) {}\n{difference}",
                scene_of(case)
            ));
        }
    }
    let (failed, all) = (failures.len(), cases.len());
    assert!(
        failed == 0,
        "{failed} of {all} cases differ\n\n{}",
        failures.join("\n")
    );
}

fn ask(scene: Scene, case: &Case) -> (Scene, Answer) {
    // PAM splits its line at spaces; brackets keep an argument together.
    let scene = scene
        .args(&case.args.replace("window= 5", "[window= 5]"))
        .at(case.now);
    let scene = match &case.usersfile {
        Some(text) => scene.usersfile(text),
        None => scene.without_usersfile(),
    };
    let responses = case.responses.iter().map(|r| (r != "@NULL").then_some(r));
    let mut login = scene.login(&case.user).answering(responses);
    if let Some(token) = &case.preset_authtok {
        login = login.stacked(token);
    }
    let outcome = login.run();
    let answer = Answer::of(outcome, &scene);
    (scene, answer)
}

fn scene_of(case: &Case) -> String {
    let Case {
        user,
        args,
        responses,
        preset_authtok,
        ..
    } = case;
    format!("user {user:?} args {args:?} responses {responses:?} stacked {preset_authtok:?}")
}
