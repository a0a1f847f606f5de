//! Whether a file is still the one that was read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Tells one state of a file from the next.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// How long an editor may take between emptying a file and filling it.
    pub(crate) const REST: Duration = Duration::from_millis(50);

    /// The length of the file, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn of(file: &File) -> io::Result<Stamp> {
        file.metadata().map(|metadata| Stamp::from(&metadata))
    }

    pub(super) fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it has the same text as when `earlier` was taken. Of the same file the time of
    /// change moves also when it gets or loses a name.
    pub(super) fn is_same_text(&self, earlier: &Stamp) -> bool {
        (self.inode, self.length, self.modified)
            == (earlier.inode, earlier.length, earlier.modified)
    }

    /// Whether the last change is longer ago than [`Self::REST`]. Of a change in the future, as a
    /// clock set back or another machine's clock leaves it, nobody knows.
    pub(super) fn is_at_rest(&self) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (
            u64::try_from(self.modified.0),
            u32::try_from(self.modified.1),
        ) else {
            return true; // before 1970
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age > Self::REST)
    }
}
