//! `readonly_ok=` where the usersfile is a link that is switched to another copy.

#[path = "support/small_disk.rs"]
mod small_disk;
mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use small_disk::SmallDisk;
use support::codes::Token;
use support::{Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_code_used_before_kubernetes_switches_the_folder_is_refused_after_it() {
    let scene = Scene::new();
    let journal = scene.folder().with_file_name("journal");
    let scene = scene.args(&format!("window=5 readonly_ok={}", journal.display()));
    let disk = SmallDisk::over(&scene.folder());
    let switch_to = |version: &str| {
        let folder = scene.folder().join(version);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let data = scene.folder().join("..data");
        let _ = fs::remove_file(&data);
        symlink(version, &data).unwrap();
        let _ = fs::remove_file(scene.path());
        symlink("..data/users.oath", scene.path()).unwrap();
        scene.write_usersfile(format!("HOTP\talice\t-\t{SECRET}\n"));
    };
    let code = |n| Token::new(SECRET).code(n);
    switch_to("..2026_1");
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "SUCCESS");
    disk.make_writable();
    switch_to("..2026_2");
    disk.make_read_only();
    assert_rc(&scene.login("alice").types(code(0)), "AUTH_ERR");
    assert_rc(&scene.login("alice").types(code(1)), "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn one_usersfile_by_two_paths_shares_what_is_used() {
    let scene = Scene::new().usersfile("");
    let journal = scene.folder().with_file_name("journal");
    let scene = scene.args(&format!("window=5 readonly_ok={}", journal.display()));
    let disk = SmallDisk::over(&scene.folder());
    scene.write_usersfile(format!("HOTP\talice\t-\t{SECRET}\n"));
    disk.make_read_only();
    let link = scene.folder().with_file_name("link.oath");
    symlink(scene.path(), &link).unwrap();
    let dots = scene.folder().join("../users/users.oath");
    let code = Token::new(SECRET).code(0);
    assert_rc(&scene.login("alice").types(&code), "SUCCESS");
    for (name, path) in [("link", link), ("dots", dots)] {
        let option = format!("usersfile={}", path.display());
        let other = scene.twin(name).usersfile_option(&option);
        assert_rc(&other.login("alice").types(&code), "AUTH_ERR");
    }
}
