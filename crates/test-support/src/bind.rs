//! A file in the place of another, for the tests of one thread only.

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Puts `file` in the place of `over`, for this thread and what it starts. Takes root.
pub fn bind(file: &Path, over: &str) {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("mounts of one's own take root");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).unwrap();
    mount(Some(file), over, nothing, MsFlags::MS_BIND, nothing).unwrap();
}
