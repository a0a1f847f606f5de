//! A file system of a few pages, to be filled and made read-only.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// How long other processes may take to close what they have open on the disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Mounted in a namespace that only this thread and what it starts can see. Takes root.
pub struct SmallDisk {
    folder: PathBuf,
    is_writable: Cell<bool>,
}

impl SmallDisk {
    /// In the place of this folder, which is made if it is not there. To be mounted before the
    /// scene's first login.
    pub fn over(folder: &Path) -> SmallDisk {
        SmallDisk::with("size=64k", folder)
    }

    /// The same with other limits, as mount(8) has them for tmpfs.
    pub fn with(limits: &str, folder: &Path) -> SmallDisk {
        let nothing = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).expect("mounts of one's own take root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(nothing, "/", nothing, private, nothing).unwrap();
        fs::create_dir_all(folder).unwrap();
        let options = format!("mode=755,{limits}");
        let options = Some(options.as_str());
        mount(nothing, folder, Some("tmpfs"), MsFlags::empty(), options).unwrap();
        SmallDisk {
            folder: folder.into(),
            is_writable: Cell::new(true),
        }
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        self.remount(MsFlags::empty());
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        self.is_writable.set(false);
    }

    pub fn make_read_only(&self) {
        self.remount(MsFlags::MS_RDONLY);
        self.is_writable.set(false);
    }

    /// Gives all the room back, and the leave to write.
    pub fn make_writable(&self) {
        self.remount(MsFlags::empty());
        let _ = fs::remove_file(self.filler());
        self.is_writable.set(true);
    }

    pub fn is_writable(&self) -> bool {
        self.is_writable.get()
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    fn remount(&self, flags: MsFlags) {
        let nothing = None::<&str>;
        let flags = MsFlags::MS_REMOUNT | flags;
        let start = Instant::now();
        // A process that another test starts at this moment has a copy of every descriptor of
        // this one until it executes its program, and one of them may be open to write on here.
        while let Err(error) = mount(nothing, &self.folder, nothing, flags, nothing) {
            assert!(
                error == Errno::EBUSY && start.elapsed() < PATIENCE,
                "{}: {error}",
                self.folder.display()
            );
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}
