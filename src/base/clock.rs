//! Points in time, and the only look at the wall clock.
//!
//! No key, plan or drawing may depend on what time it is.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, as the time since 1970. It is displayed in UTC, to the millisecond:
/// `2026-11-25T08:31:12.345Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The point a time after 1970 began.
    pub const fn after_epoch(time: Duration) -> UnixTime {
        UnixTime(time)
    }

    /// A point in seconds since 1970; those before it are 1970.
    pub fn from_seconds(seconds: i64) -> UnixTime {
        UnixTime(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// The point that the system means; nothing before 1970.
    pub fn of(time: SystemTime) -> Option<UnixTime> {
        time.duration_since(UNIX_EPOCH).ok().map(UnixTime)
    }

    /// Reads a point as RFC 3339 writes it; nothing before 1970.
    pub fn parse(text: &str) -> Option<UnixTime> {
        UnixTime::of(humantime::parse_rfc3339(text).ok()?)
    }

    /// The time from 1970 to this point.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The time from another point to this one; none where that is later.
    pub fn since(self, earlier: UnixTime) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(UNIX_EPOCH + self.0).fmt(f)
    }
}

/// The present; 1970 for a clock that is before it.
pub fn now() -> UnixTime {
    UnixTime::of(SystemTime::now()).unwrap_or_default()
}
