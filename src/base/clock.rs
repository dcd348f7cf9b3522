//! Points in time, and the only access to the wall clock.
//!
//! No key, plan, or drawing depends on the current time.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, stored as the duration since 1970. Displayed in UTC with milliseconds:
/// `2026-11-25T08:31:12.345Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// Returns the point this long after the start of 1970.
    pub const fn after_epoch(time: Duration) -> UnixTime {
        UnixTime(time)
    }

    /// Returns the point this many seconds after the start of 1970. Negative values become 1970.
    pub fn from_seconds(seconds: i64) -> UnixTime {
        UnixTime(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// Converts a system time. Returns `None` if it is before 1970.
    pub fn of(time: SystemTime) -> Option<UnixTime> {
        time.duration_since(UNIX_EPOCH).ok().map(UnixTime)
    }

    /// Parses an RFC 3339 time. Returns `None` if it is not valid or before 1970.
    pub fn parse(text: &str) -> Option<UnixTime> {
        UnixTime::of(humantime::parse_rfc3339(text).ok()?)
    }

    /// Returns the duration from 1970 to this point.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Returns the duration from an earlier point to this one, or zero if that point is later.
    pub fn since(self, earlier: UnixTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(UNIX_EPOCH + self.0).fmt(f)
    }
}

/// Returns the current time, or 1970 if the system clock is set to an earlier time.
pub fn now() -> UnixTime {
    UnixTime::of(SystemTime::now()).unwrap_or_default()
}
