//! How long is waited between tries of what may succeed later.

use std::time::Duration;

/// The pause after a try, counted from 1: `first`, then twice as long each time, up to `longest`.
pub fn pause_after(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(longest)
}
