//! A name service that takes one account's name in several spellings.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bind::bind;
use crate::{Scene, library};

/// What it takes for alice, whose number is 65534.
pub const SPELLINGS: [&str; 5] = ["ALICE", "Alice", "alice@corp", "CORP\\alice", "alice"];

const NAME_SERVICES: &str = "passwd: files spelling\ngroup: files\n";

/// The scene on a machine that has it, where this is alice's home. While `HOME.away` is there, the
/// service is not.
pub fn with_spellings(scene: Scene, home: &Path) -> Scene {
    let libraries = scene.pam_folder();
    let library = library("libnss_spelling.so");
    symlink(library, libraries.join("libnss_spelling.so.2")).unwrap();
    let configuration = libraries.join("nsswitch.conf");
    // Once for all machines of a test; what is bound stays when the scene's folder goes.
    if fs::read_to_string("/etc/nsswitch.conf").unwrap() != NAME_SERVICES {
        fs::write(&configuration, NAME_SERVICES).unwrap();
        bind(&configuration, "/etc/nsswitch.conf");
    }
    scene
        .env("LD_LIBRARY_PATH", libraries.to_str().unwrap())
        .env("NSS_SPELLING", home.to_str().unwrap())
}
