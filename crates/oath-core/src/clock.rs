//! The time: now, and what LAST-TIME means in the system's time zone.
//!
//! The C library takes the zone from the environment variable TZ, which a setuid program
//! inherits from whoever calls it. So the zone is read from the system's own file here, by
//! [`tz`], whatever TZ says: no environment variable changes the answer to a login.

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tz::datetime::FoundDateTimeKind;
use tz::timezone::TransitionRule;
use tz::{DateTime, TimeZone};

/// The file that holds the system's time zone (localtime(5)), in the format of RFC 8536.
const SYSTEM_ZONE: &str = "/etc/localtime";

/// The largest file of a zone that is read, in bytes. Those of the time zone database have less
/// than 4 KiB.
const MAX_ZONE_FILE: u64 = 256 << 10;

/// Why the time, or the local time, is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clock stands before 1970, or past what the calendar can name.
    #[error("the system's clock is out of range")]
    OutOfRange,
    /// The file of the zone is there and cannot be read.
    #[error("cannot read the system's time zone, {}: {cause}", path.display())]
    Zone {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// A point in time as a clock on the wall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year of the common era.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 61: as far as strptime(3) reads.
    pub second: u8,
}

/// LAST-TIME, as it stands in a usersfile: `%Y-%m-%dT%H:%M:%SL`.
impl std::fmt::Display for LocalTime {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}L",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }
}

/// A time zone. Its file is read when the zone is first needed: a refused login needs none.
pub struct Zone {
    file: PathBuf,
    rules: OnceCell<TimeZone>,
}

impl Zone {
    /// The system's zone.
    pub fn system() -> Zone {
        Zone::of_file(Path::new(SYSTEM_ZONE))
    }

    /// Universal time.
    pub fn universal() -> Zone {
        Zone {
            file: PathBuf::new(),
            rules: OnceCell::from(TimeZone::utc()),
        }
    }

    /// The zone that a file of the time zone database describes.
    pub fn of_file(file: &Path) -> Zone {
        Zone {
            file: file.to_owned(),
            rules: OnceCell::new(),
        }
    }

    /// The local time at `unix_time`, in seconds since 1970.
    ///
    /// # Errors
    /// The zone cannot be read, or the calendar ends before that time.
    pub fn local_time(&self, unix_time: u64) -> Result<LocalTime, Error> {
        let unix_time = i64::try_from(unix_time).map_err(|_| Error::OutOfRange)?;
        let time = DateTime::from_timespec(unix_time, 0, self.rules()?.as_ref())
            .map_err(|_| Error::OutOfRange)?;
        Ok(LocalTime {
            year: time.year(),
            month: time.month(),
            day: time.month_day(),
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
        })
    }

    /// The points in time, in seconds since 1970, at which a clock shows `local`: none in the
    /// hour that summer time leaves out, two in the hour that it repeats. In ascending order.
    ///
    /// # Errors
    /// The zone cannot be read.
    pub fn unix_times(&self, local: LocalTime) -> Result<Vec<u64>, Error> {
        let found = DateTime::find(
            local.year,
            local.month,
            local.day,
            local.hour,
            local.minute,
            local.second,
            0,
            self.rules()?.as_ref(),
        );
        // An error means a date that no calendar has, such as the 31st of February.
        let found = found.map(|found| found.into_inner()).unwrap_or_default();
        let mut times: Vec<u64> = found
            .into_iter()
            .filter_map(|kind| match kind {
                FoundDateTimeKind::Normal(time) => u64::try_from(time.unix_time()).ok(),
                FoundDateTimeKind::Skipped { .. } => None,
            })
            .collect();
        times.sort_unstable();
        Ok(times)
    }

    /// As the C library has it, a system without the file, or with one that describes no zone,
    /// keeps universal time. What else hinders reading may be the caller's doing (a limit of
    /// descriptors), and must not move the meaning of LAST-TIME.
    fn rules(&self) -> Result<&TimeZone, Error> {
        if let Some(rules) = self.rules.get() {
            return Ok(rules);
        }
        let rules = match self.read() {
            Ok(bytes) => TimeZone::from_tz_data(&bytes)
                .and_then(endless)
                .unwrap_or_else(|_| TimeZone::utc()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => TimeZone::utc(),
            Err(error) => {
                return Err(Error::Zone {
                    path: self.file.clone(),
                    cause: error,
                });
            }
        };
        Ok(self.rules.get_or_init(|| rules))
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&self.file)?;
        let mut bytes = Vec::new();
        file.take(MAX_ZONE_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The same zone, with the last local time it names going on for ever, where the file has no rule
/// for what follows its table: one of version 1, or of a system whose clock counts leap seconds
/// (`right/`). The C library reads such a file so.
fn endless(rules: TimeZone) -> Result<TimeZone, tz::TzError> {
    let zone = rules.as_ref();
    let (Some(last), None) = (zone.transitions().last(), zone.extra_rule()) else {
        return Ok(rules);
    };
    let types = zone.local_time_types();
    let last_type = types[last.local_time_type_index()];
    TimeZone::new(
        zone.transitions().to_vec(),
        types.to_vec(),
        zone.leap_seconds().to_vec(),
        Some(TransitionRule::Fixed(last_type)),
    )
}

/// Now, in seconds since 1970.
///
/// # Errors
/// The clock stands before 1970.
pub fn unix_time() -> Result<u64, Error> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Error::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::of_file(Path::new("/usr/share/zoneinfo/Europe/Berlin"))
    }

    fn at(text: &str) -> LocalTime {
        let number = |range: std::ops::Range<usize>| text[range].parse::<u16>().unwrap();
        LocalTime {
            year: number(0..4).into(),
            month: number(5..7) as u8,
            day: number(8..10) as u8,
            hour: number(11..13) as u8,
            minute: number(14..16) as u8,
            second: number(17..19) as u8,
        }
    }

    #[test]
    fn a_local_time_is_written_and_read_as_the_zone_has_it_also_past_its_tables() {
        for (unix_time, local) in [
            (1_768_478_400, "2026-01-15T13:00:00L"),
            (1_784_116_800, "2026-07-15T14:00:00L"),
            (4_120_891_200, "2100-08-02T14:00:00L"),
        ] {
            let time = berlin().local_time(unix_time).unwrap();
            assert_eq!(time.to_string(), local);
            assert_eq!(berlin().unix_times(time).unwrap(), [unix_time]);
        }
    }

    #[test]
    fn the_hour_that_is_left_out_is_no_time_and_the_one_that_comes_twice_is_two() {
        let times = |text| berlin().unix_times(at(text)).unwrap();
        assert!(times("2026-03-29T02:30:00").is_empty());
        assert_eq!(times("2026-10-25T02:30:00"), [1_792_888_200, 1_792_891_800]);
        assert!(times("2026-02-31T12:00:00").is_empty());
    }

    #[test]
    fn a_file_without_a_rule_for_the_future_goes_on_as_its_table_ends() {
        let folder = tempfile::tempdir().unwrap();
        // RFC 8536 section 3.2, version 1: from 1970 on one hour ahead of universal time.
        let mut version_1 = b"TZif\0".to_vec();
        version_1.extend([0; 15]);
        for count in [0u32, 0, 0, 1, 2, 8] {
            version_1.extend(count.to_be_bytes());
        }
        version_1.extend(0u32.to_be_bytes());
        version_1.push(1);
        for (offset, name) in [(0u32, 0u8), (3600, 4)] {
            version_1.extend(offset.to_be_bytes());
            version_1.extend([0, name]);
        }
        version_1.extend(b"UTC\0CET\0");
        let file = folder.path().join("version-1");
        std::fs::write(&file, version_1).unwrap();
        let time = Zone::of_file(&file).local_time(4_102_444_800).unwrap();
        assert_eq!(time.to_string(), "2100-01-01T01:00:00L");
        let right = Path::new("/usr/share/zoneinfo/right/Europe/Berlin");
        for zone in [Zone::of_file(&file), Zone::of_file(right)] {
            for unix_time in [1_795_714_054, 2_145_916_800, 4_102_444_800] {
                let time = zone.local_time(unix_time).unwrap();
                assert_eq!(zone.unix_times(time).unwrap(), [unix_time]);
            }
        }
    }

    #[test]
    fn without_the_file_or_with_one_that_is_none_it_is_universal_time() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "TZif").unwrap();
        for file in [folder.path().join("missing"), broken] {
            let time = Zone::of_file(&file).local_time(1_768_478_400).unwrap();
            assert_eq!(time.to_string(), "2026-01-15T12:00:00L");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_no_other_zone() {
        // A folder opens, and reading it fails.
        let zone = Zone::of_file(Path::new("/"));
        assert!(matches!(zone.local_time(0), Err(Error::Zone { .. })));
        assert!(matches!(
            zone.unix_times(at("2026-01-15T12:00:00")),
            Err(Error::Zone { .. })
        ));
    }
}
