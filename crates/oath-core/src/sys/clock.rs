//! The time: now, and the system's time zone.
//!
//! The C library takes the zone from the environment variable TZ, which a setuid program
//! inherits from whoever calls it. So the zone is read from the system's own file here, by
//! [`tz`], whatever TZ says: no environment variable changes the answer to a login.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::local_time::{OutOfRange, Zone};

/// The file that holds the system's time zone (localtime(5)), in the format of RFC 8536.
const SYSTEM_ZONE: &str = "/etc/localtime";

/// The largest file of a zone that is read, in bytes. Those of the time zone database have less
/// than 4 KiB.
const MAX_ZONE_FILE: u64 = 256 << 10;

/// Why the time, or the local time, is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clock stands before 1970, or past what the calendar can name.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The file of the zone is there and cannot be read.
    #[error("cannot read the system's time zone, {}: {cause}", path.display())]
    Zone {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Now, in seconds since 1970.
///
/// # Errors
/// The clock stands before 1970.
pub fn unix_time() -> Result<u64, Error> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| OutOfRange.into())
}

/// The system's time zone. As the C library has it, a system without the file keeps universal
/// time.
///
/// # Errors
/// The file is there and cannot be read. That may be the caller's doing (a limit of descriptors),
/// and must not move the meaning of LAST-TIME.
pub fn system_zone() -> Result<Zone, Error> {
    zone_of(Path::new(SYSTEM_ZONE))
}

fn zone_of(file: &Path) -> Result<Zone, Error> {
    match read(file) {
        Ok(bytes) => Ok(Zone::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zone::universal()),
        Err(error) => Err(Error::Zone {
            path: file.to_owned(),
            cause: error,
        }),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)?;
    // Room for all of it at once, as a rule.
    let mut bytes = Vec::with_capacity(4 << 10);
    file.take(MAX_ZONE_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_file_or_with_one_that_is_none_it_is_universal_time() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "TZif").unwrap();
        for file in [folder.path().join("missing"), broken] {
            let time = zone_of(&file).unwrap().local_time(1_768_478_400).unwrap();
            assert_eq!(time.to_string(), "2026-01-15T12:00:00L");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_no_other_zone() {
        // A folder opens, and reading it fails.
        assert!(matches!(zone_of(Path::new("/")), Err(Error::Zone { .. })));
    }
}
