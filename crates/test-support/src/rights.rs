//! What a usersfile has besides its text: owner, mode, ACL and extended attributes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::program;

/// The account that gets the file: nobody's.
const OWNER: u32 = 65534;

/// Gives a file to another account, with an ACL and an attribute. Takes root.
pub fn give_away(path: &Path) {
    chown(path, Some(OWNER), Some(OWNER)).expect("to give a file away takes root");
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let name = path.to_str().unwrap();
    run(&["setfacl", "-m", "u:daemon:r", name], "acl");
    // Of the attributes this kind is there on any file system.
    let attribute = ["setfattr", "-n", "trusted.origin", "-v", "enrolled", name];
    run(&attribute, "attr");
}

/// All of it in one text.
pub fn rights(path: &Path) -> String {
    let metadata = path.metadata().unwrap();
    let name = path.to_str().unwrap();
    let acl = run(&["getfacl", "-np", name], "acl");
    let attributes = run(
        &["getfattr", "-d", "-m", "-", "--absolute-names", name],
        "attr",
    );
    let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    format!("{uid}:{gid} {mode:o}\n{acl}{attributes}")
}

fn run(command: &[&str], package: &str) -> String {
    let output = Command::new(program(command[0], package))
        .args(&command[1..])
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
