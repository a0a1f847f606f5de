//! What happens to the usersfile while a person is asked for the code. The login has looked at it
//! before; what is there when the answer comes counts.

use std::fs;
use std::os::unix::fs::symlink;

use test_support::codes::Generator;
use test_support::{Outcome, Scene};

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const CAROL: &str = "HOTP carol - 3333333333333333333333333333333333333333\n";

fn line(secret: &str) -> String {
    format!("HOTP alice - {secret}\n")
}

/// Alice types a code of this secret, while the command is done in the usersfile's folder.
fn types_code_of(secret: &str, scene: &Scene, while_asked: &str) -> Outcome {
    let code = Generator::new(secret).code(0);
    scene.login("alice").while_asked(while_asked).types(code)
}

/// Accepted, and recorded in the file that the path now names.
fn is_let_in_with(secret: &str, line: &str, scene: &Scene, while_asked: &str) {
    let outcome = types_code_of(secret, scene, while_asked);
    let log = outcome.log_text();
    assert_eq!(outcome.rc, "SUCCESS", "{log}");
    assert!(log.contains(line), "{log}");
    let recorded = scene.usersfile_now().unwrap();
    assert!(recorded.contains(&format!("{secret}\t0\t")), "{recorded}");
}

/// Puts `text` over what stands at this place, and the time of the last change back.
fn overwrite(at: usize, text: &str) -> String {
    format!(
        "touch -r users.oath ../before; \
         printf '%s' '{text}' | dd of=users.oath bs=1 seek={at} conv=notrunc status=none; \
         touch -r ../before users.oath"
    )
}

#[test]
fn a_line_put_before_the_users_other_one_is_tried() {
    let disabled = line(NEW).replace("HOTP", "####");
    let scene = Scene::new().usersfile(disabled + &line(OLD));
    is_let_in_with(NEW, "line=1", &scene, &overwrite(0, "HOTP"));
}

#[test]
fn a_line_that_has_been_disabled_lets_nobody_in() {
    let scene = Scene::new().usersfile(CAROL.to_owned() + &line(OLD));
    let outcome = types_code_of(OLD, &scene, &overwrite(CAROL.len(), "####"));
    assert_eq!(outcome.rc, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("the user has no token"), "{log}");
    let unchanged = CAROL.to_owned() + &line(OLD).replace("HOTP", "####");
    assert_eq!(scene.usersfile_now().unwrap(), unchanged);
}

#[test]
fn another_file_in_its_place_is_the_one_that_counts() {
    let scene = Scene::new().usersfile(CAROL.to_owned() + &line(OLD));
    fs::write(scene.folder().join("next"), line(NEW) + CAROL).unwrap();
    let replace = "chmod 600 next; touch -r users.oath next; mv next users.oath";
    is_let_in_with(NEW, "line=1", &scene, replace);
}

#[test]
fn another_folder_in_its_place_is_the_one_that_counts() {
    let scene = Scene::new().usersfile(line(OLD));
    fs::write(scene.folder().join("next"), line(NEW)).unwrap();
    let replace = "chmod 600 next; cd ..; mv users gone; mkdir users; \
                   mv gone/next users/users.oath";
    is_let_in_with(NEW, "line=1", &scene, replace);
    let gone = scene.folder().join("../gone/users.oath");
    assert_eq!(fs::read_to_string(gone).unwrap(), line(OLD));
}

#[test]
fn a_link_that_leads_elsewhere_by_then_is_followed_there() {
    let scene = Scene::new().usersfile(line(NEW));
    let (link, old) = (scene.folder().join("link"), scene.folder().join("old"));
    fs::write(&old, line(OLD)).unwrap();
    symlink("old", &link).unwrap();
    let scene = scene.usersfile_option(&format!("usersfile={}", link.display()));
    let lead_elsewhere = "chmod 600 old; ln -sfn users.oath link";
    is_let_in_with(NEW, "line=1", &scene, lead_elsewhere);
    assert_eq!(fs::read_to_string(old).unwrap(), line(OLD));
}

#[test]
fn what_is_used_is_recorded_where_the_path_leads_by_then() {
    // The same file in two folders, by hard links.
    let scene = Scene::new();
    let folder = scene.folder();
    fs::create_dir(folder.join("first")).unwrap();
    fs::write(folder.join("first/users.oath"), line(OLD)).unwrap();
    symlink("first", folder.join("link")).unwrap();
    let usersfile = folder.join("link/users.oath");
    let scene = scene.usersfile_option(&format!("usersfile={}", usersfile.display()));
    let switch = "cp -al first second; ln -sfn second link";
    let outcome = types_code_of(
        OLD,
        &scene,
        &format!("chmod 600 first/users.oath; {switch}"),
    );
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    let again = types_code_of(OLD, &scene, "true");
    assert_eq!(again.rc, "AUTH_ERR", "{}", again.log_text());
    assert!(again.log_text().contains("used before"));
}

#[test]
fn a_folder_that_everybody_can_write_by_then_is_refused() {
    let scene = Scene::new().usersfile(line(OLD));
    let outcome = types_code_of(OLD, &scene, "chmod 777 .");
    assert_eq!(outcome.rc, "AUTH_ERR");
    let log = outcome.log_text();
    assert!(log.contains("everybody can write to"), "{log}");
}
