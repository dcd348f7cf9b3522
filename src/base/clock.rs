//! What time it is, for the one question that needs it: was a file touched just now?
//!
//! Owns the only look at the wall clock. No key, plan or drawing may depend on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970; zero for a clock that stands before it.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
