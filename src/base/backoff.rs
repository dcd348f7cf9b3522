//! The pause between two attempts of an operation that can succeed later.

use std::time::Duration;

/// Returns the pause after an attempt (from 1): `first`, doubled after each further attempt, at most
/// `longest`.
pub fn pause_after(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(longest)
}
