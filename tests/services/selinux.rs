//! The module for SELinux's policy, made by the guide's own commands.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_support::guide::Guide;

#[test]
#[ignore = "needs checkpolicy and semodule-utils: run make test"]
fn the_policy_module_is_made_by_the_guide_s_commands() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/selinux");
    let commands = Guide::named("services.md")
        .step("checkmodule")
        .replace("/usr/share/doc/pam_oath/contrib/selinux", "\"$1\"")
        .replace("/root", "\"$2\"");
    let output = Command::new("sh")
        .args(["-euc", &commands, "sh"])
        .args([&sources, folder.path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made = fs::metadata(folder.path().join("pam_oath.pp")).unwrap();
    assert!(made.len() > 0);
}
