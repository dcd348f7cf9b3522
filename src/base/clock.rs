//! Points in time, and the only look at the wall clock.
//!
//! No key, plan or drawing may depend on what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, as the time since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// A point in seconds since 1970; those before it are 1970.
    pub fn from_seconds(seconds: i64) -> UnixTime {
        UnixTime(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }
}

/// Time since 1970; zero for a clock that stands before it.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
