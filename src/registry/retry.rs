//! Retries of requests, and the pauses between them.
//!
//! Owns the length of the pauses and the parsing of `Retry-After` (RFC 9110, 10.2.3). It sends no requests.

use std::time::Duration;

use crate::base::clock::UnixTime;

use crate::base::backoff;

/// The maximum number of attempts.
pub(super) const TRIES: u32 = 5;

/// The pause after the first attempt.
const FIRST: Duration = Duration::from_millis(200);

/// The maximum pause, unless a registry requests a longer one.
const LONGEST: Duration = Duration::from_secs(5);

/// How many times longer the pauses are if a registry limits the rate of requests without saying for how long.
pub(super) const LIMITED: u32 = 5;

/// The maximum sum of the pauses that a registry requests during one request.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a request may take with all its attempts and pauses, except those that the registry requests.
pub(super) const TOTAL: Duration = Duration::from_secs(60);

/// Returns the pause after an attempt, which doubles each time. Part of it is random (`chance` out of 255), so that
/// requests that failed together are not retried together.
pub(super) fn pause_after(attempt: u32, chance: u8) -> Duration {
    let pause = backoff::pause_after(attempt, FIRST, LONGEST);
    pause / 2 + pause / 2 * u32::from(chance) / 255
}

/// Returns a random byte.
pub(super) fn chance() -> u8 {
    use ring::rand::SecureRandom;
    let mut byte = [0];
    // Without randomness, the pause is still long enough.
    ring::rand::SystemRandom::new().fill(&mut byte).ok();
    byte[0]
}

/// Returns the pause that a registry requests: `Retry-After` in seconds or as a date.
pub(super) fn retry_after(value: &str, now: UnixTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = UnixTime::of(httpdate::parse_http_date(value).ok()?)?;
    Some(date.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_double_up_to_a_maximum() {
        let check = |attempt, least, most| {
            assert_eq!(pause_after(attempt, 0), Duration::from_millis(least), "{attempt}");
            assert_eq!(pause_after(attempt, 255), Duration::from_millis(most), "{attempt}");
        };
        check(1, 100, 200);
        check(2, 200, 400);
        check(3, 400, 800);
        check(4, 800, 1600);
        check(9, 2500, 5000);
        check(u32::MAX, 2500, 5000);
    }

    #[test]
    fn retry_after_headers_are_parsed() {
        let now = UnixTime::from_seconds(784_111_777);
        let check = |value, expected: Option<u64>| {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:30 GMT", Some(0));
        check("soon", None);
        check("-1", None);
        check("", None);
    }
}
