//! `readonly_ok=` where the usersfile is a link that is switched to another copy.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use test_support::codes::Generator;
use test_support::small_disk::SmallDisk;
use test_support::{Outcome, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

#[track_caller]
fn assert_rc(outcome: &Outcome, rc: &str) {
    assert_eq!(outcome.rc, rc, "{}", outcome.log_text());
}

fn line() -> String {
    format!("HOTP\talice\t-\t{SECRET}\n")
}

fn code(n: u64) -> String {
    Generator::new(SECRET).code(n)
}

fn scene() -> Scene {
    let scene = Scene::new();
    let journal = scene.folder().with_file_name("journal");
    scene.args(&format!("window=5 readonly_ok={}", journal.display()))
}

/// Writes the usersfile of a version, and lets the links lead to it: each a link's path and what
/// it leads to, relative to the scene's folder.
fn switch_to(scene: &Scene, file: &str, links: &[(&str, &str)]) {
    let path = |name: &str| scene.folder().join(name);
    let folder = path(file).parent().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    for folder in folder
        .ancestors()
        .take_while(|above| **above != scene.folder())
    {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    for (link, target) in links {
        let link = path(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
    }
    fs::write(path(file), line()).unwrap();
    fs::set_permissions(path(file), Permissions::from_mode(0o600)).unwrap();
}

/// A code used while the usersfile could not be written is refused after the switch to another
/// version of it. The path of the usersfile is relative to the scene's folder.
fn is_used_after_the_switch(usersfile: &str, versions: [(&str, &[(&str, &str)]); 2]) {
    let scene = scene();
    let disk = SmallDisk::over(&scene.folder());
    let option = format!("usersfile={}", scene.folder().join(usersfile).display());
    let scene = scene.usersfile_option(&option);
    for (n, (file, links)) in (0..).zip(versions) {
        disk.make_writable();
        switch_to(&scene, file, links);
        disk.make_read_only();
        for used in 0..n {
            assert_rc(&scene.login("alice").types(code(used)), "AUTH_ERR");
        }
        assert_rc(&scene.login("alice").types(code(n)), "SUCCESS");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_code_used_before_kubernetes_switches_the_folder_is_refused_after_it() {
    let first: &[_] = &[("..data", "..2026_1"), ("users.oath", "..data/users.oath")];
    let second: &[_] = &[("..data", "..2026_2")];
    let versions = [
        ("..2026_1/users.oath", first),
        ("..2026_2/users.oath", second),
    ];
    is_used_after_the_switch("users.oath", versions);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_code_used_before_nixos_switches_the_generation_is_refused_after_it() {
    let first: &[_] = &[
        ("etc/static", "../store/1-etc"),
        ("etc/users.oath", "static/users.oath"),
    ];
    let second: &[_] = &[("etc/static", "../store/2-etc")];
    let versions = [
        ("store/1-etc/users.oath", first),
        ("store/2-etc/users.oath", second),
    ];
    is_used_after_the_switch("etc/users.oath", versions);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_code_used_before_stow_switches_the_package_is_refused_after_it() {
    let first: &[_] = &[("etc/users.oath", "../stow/otp-1/etc/users.oath")];
    let second: &[_] = &[("etc/users.oath", "../stow/otp-2/etc/users.oath")];
    let versions = [
        ("stow/otp-1/etc/users.oath", first),
        ("stow/otp-2/etc/users.oath", second),
    ];
    is_used_after_the_switch("etc/users.oath", versions);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn two_usersfiles_with_the_same_user_and_secret_are_two() {
    let scene = scene();
    let disk = SmallDisk::over(&scene.folder());
    let other = scene.folder().join("other.oath");
    for path in [scene.path(), other.clone()] {
        fs::write(&path, line()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    disk.make_read_only();
    let other = scene
        .twin("second")
        .usersfile_option(&format!("usersfile={}", other.display()));
    for scene in [&scene, &other] {
        assert_rc(&scene.login("alice").types(code(2)), "SUCCESS");
        assert_rc(&scene.login("alice").types(code(2)), "AUTH_ERR");
    }
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
    let code = Generator::new(SECRET).code(0);
    assert_rc(&scene.login("alice").types(&code), "SUCCESS");
    for (name, path) in [("link", link), ("dots", dots)] {
        let option = format!("usersfile={}", path.display());
        let other = scene.twin(name).usersfile_option(&option);
        assert_rc(&other.login("alice").types(&code), "AUTH_ERR");
    }
}
