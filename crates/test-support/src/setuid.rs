//! A setuid program of root's that anybody may call, as `su` and `sudo` are: whoever calls it
//! chooses its environment, its limits and its signals.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Scene, helper, program};

/// Who calls it: an account without a right of its own.
pub const CALLER: u32 = 65534;

/// A scene where a setuid program may be: it takes a file system that is not mounted `nosuid`.
pub fn scene() -> Scene {
    Scene::below(Path::new("/var/tmp"))
}

/// The process that logs in, as a setuid program beside the usersfile's folder.
pub fn setuid_program(scene: &Scene) -> PathBuf {
    let copy = scene.pam_folder().join("setuid");
    if !copy.exists() {
        // Not written by this process: what another test starts meanwhile would have the copy open
        // to write, and a file that is open to write cannot be executed.
        let mut install = Command::new(program("install", "coreutils"));
        install
            .args(["-m", "4755"])
            .arg(helper("pam_login"))
            .arg(&copy);
        assert!(install.status().unwrap().success(), "{install:?}");
    }
    copy
}

/// The same usersfile, for logins by a setuid program that the caller starts.
pub fn called(scene: &Scene, service: &str) -> Scene {
    called_by(scene, service, &[])
}

/// The same where the caller starts it with a program, such as `prlimit` with its arguments.
pub fn called_by(scene: &Scene, service: &str, starter: &[&str]) -> Scene {
    let starter = starter.iter().map(Into::into);
    let copy = setuid_program(scene).into_os_string();
    scene
        .twin(service)
        .started_by(starter.chain([copy]))
        .application_of(CALLER, CALLER)
}

/// Sends a signal with the caller's rights; tells whether they suffice.
pub fn caller_sends(signal: &str, process: u32) -> bool {
    let mut kill = Command::new(program("kill", "procps"));
    kill.args([format!("-{signal}"), process.to_string()]);
    let output = kill.uid(CALLER).gid(CALLER).output().unwrap();
    output.status.success()
}
