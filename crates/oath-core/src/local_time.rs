//! Local time: what LAST-TIME means in a time zone. Pure; the system's zone is read by
//! [`clock`](crate::sys::clock).

#![forbid(unsafe_code)]

use tz::datetime::FoundDateTimeKind;
use tz::timezone::TransitionRule;
use tz::{DateTime, TimeZone};

/// A point in time that the calendar cannot name, or one before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system's clock is out of range")]
pub struct OutOfRange;

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

/// A time zone.
pub struct Zone(TimeZone);

impl Zone {
    /// Universal time.
    pub fn universal() -> Zone {
        Zone(TimeZone::utc())
    }

    /// The zone that a file of the time zone database describes (RFC 8536). As the C library has
    /// it, one that describes no zone stands for universal time.
    pub fn parse(file: &[u8]) -> Zone {
        TimeZone::from_tz_data(file)
            .and_then(endless)
            .map_or_else(|_| Zone::universal(), Zone)
    }

    /// The local time at `unix_time`, in seconds since 1970.
    ///
    /// # Errors
    /// The calendar ends before that time.
    pub fn local_time(&self, unix_time: u64) -> Result<LocalTime, OutOfRange> {
        let unix_time = i64::try_from(unix_time).map_err(|_| OutOfRange)?;
        let time =
            DateTime::from_timespec(unix_time, 0, self.0.as_ref()).map_err(|_| OutOfRange)?;
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
    pub fn unix_times(&self, local: LocalTime) -> Vec<u64> {
        let found = DateTime::find(
            local.year,
            local.month,
            local.day,
            local.hour,
            local.minute,
            local.second,
            0,
            self.0.as_ref(),
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
        times
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

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse(&std::fs::read(format!("/usr/share/zoneinfo/{name}")).unwrap())
    }

    fn berlin() -> Zone {
        zone("Europe/Berlin")
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
            assert_eq!(berlin().unix_times(time), [unix_time]);
        }
    }

    #[test]
    fn the_hour_that_is_left_out_is_no_time_and_the_one_that_comes_twice_is_two() {
        let times = |text| berlin().unix_times(at(text));
        assert!(times("2026-03-29T02:30:00").is_empty());
        assert_eq!(times("2026-10-25T02:30:00"), [1_792_888_200, 1_792_891_800]);
        assert!(times("2026-02-31T12:00:00").is_empty());
    }

    #[test]
    fn a_file_without_a_rule_for_the_future_goes_on_as_its_table_ends() {
        // RFC 8536 section 3.2, version 1: from 1970 on one hour ahead of universal time.
        let version_1 = |leap_seconds: &[[u32; 2]]| {
            let mut file = b"TZif\0".to_vec();
            file.extend([0; 15]);
            for count in [0, 0, leap_seconds.len() as u32, 1, 2, 8] {
                file.extend(count.to_be_bytes());
            }
            file.extend(0u32.to_be_bytes());
            file.push(1);
            for (offset, name) in [(0u32, 0u8), (3600, 4)] {
                file.extend(offset.to_be_bytes());
                file.extend([0, name]);
            }
            file.extend(b"UTC\0CET\0");
            let leap_seconds = leap_seconds.as_flattened().iter();
            file.extend(leap_seconds.flat_map(|number| number.to_be_bytes()));
            Zone::parse(&file)
        };
        let without = version_1(&[]);
        let time = without.local_time(4_102_444_800).unwrap();
        assert_eq!(time.to_string(), "2100-01-01T01:00:00L");
        for zone in [without, version_1(&[[78_796_800, 1], [94_694_401, 2]])] {
            for unix_time in [1_795_714_054, 2_145_916_800, 4_102_444_800] {
                let time = zone.local_time(unix_time).unwrap();
                assert_eq!(zone.unix_times(time), [unix_time]);
            }
        }
    }
}
