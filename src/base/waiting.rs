//! Waits for something outside this process: a registry, an engine, a program.
//!
//! Owns that every such wait is limited, announced if it takes long, and ended by a signal that interrupts the run.
//! Signals and stderr belong to the process, and so does this state.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Cancel;

/// How long a wait takes before it is announced.
pub const ANNOUNCED_AFTER: Duration = Duration::from_secs(3);

/// How long a wait for the same thing is not announced again.
const ANNOUNCED_AGAIN: Duration = Duration::from_secs(20);

/// What a wait is announced to. The argument says what is waited for, such as "`ghcr.io` to respond".
type Announcer = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct WaitState {
    announcer: Option<Announcer>,
    /// What was announced, and when.
    announced: HashMap<String, Instant>,
    /// Set by the next interruption, and then replaced: later waits are not affected.
    interruption: Cancel,
}

static STATE: Mutex<Option<WaitState>> = Mutex::new(None);

/// Why a wait ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitError {
    /// The time limit was reached.
    TimedOut,
    /// [`interrupt`] was called.
    Interrupted,
}

fn with_state<T>(work: impl FnOnce(&mut WaitState) -> T) -> T {
    let mut state: MutexGuard<'_, Option<WaitState>> =
        STATE.lock().unwrap_or_else(PoisonError::into_inner);
    work(state.get_or_insert_default())
}

/// Restores the previous announcer when dropped.
pub struct AnnouncerGuard(Option<Announcer>);

impl Drop for AnnouncerGuard {
    fn drop(&mut self) {
        let previous = self.0.take();
        with_state(|state| state.announcer = previous);
    }
}

/// Announces waits to this function until the guard is dropped.
#[must_use]
pub fn announce_to(announcer: impl Fn(&str) + Send + Sync + 'static) -> AnnouncerGuard {
    AnnouncerGuard(with_state(|state| state.announcer.replace(Arc::new(announcer))))
}

/// Announces a wait that already takes long.
pub fn announce(what: &str) {
    let announcer = with_state(|state| {
        let now = Instant::now();
        let is_new = state.announced.get(what).is_none_or(|at| at.elapsed() >= ANNOUNCED_AGAIN);
        if is_new {
            state.announced.insert(what.to_owned(), now);
        }
        state.announcer.clone().filter(|_| is_new)
    });
    if let Some(announcer) = announcer {
        announcer(what);
    }
}

/// Ends all current waits. Later ones are not affected: a run that is interrupted still cleans up.
pub fn interrupt() {
    with_state(|state| std::mem::take(&mut state.interruption)).set();
}

/// Returns the flag that the next interruption sets.
pub fn interruption() -> Cancel {
    with_state(|state| state.interruption.clone())
}

/// Does some work on another thread and waits for its result. Work that takes too long is abandoned; it ends with
/// the process at the latest.
///
/// # Errors
/// Returns an error if there is no result within the limit, or if the wait is interrupted.
pub fn wait<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WaitError> {
    let (to_waiter, results) = mpsc::channel();
    let of_interruption = to_waiter.clone();
    let _guard = interruption().on_set(move || {
        // The waiter may have its result already.
        drop(of_interruption.send(None));
    });
    thread::spawn(move || {
        let result = panic::catch_unwind(AssertUnwindSafe(work));
        drop(to_waiter.send(Some(result)));
    });
    let first = ANNOUNCED_AFTER.min(limit);
    let mut result = results.recv_timeout(first);
    if result.is_err() && limit > first {
        announce(what);
        result = results.recv_timeout(limit - first);
    }
    match result {
        Ok(Some(Ok(result))) => Ok(result),
        Ok(Some(Err(panic))) => panic::resume_unwind(panic),
        Ok(None) => Err(WaitError::Interrupted),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(WaitError::TimedOut),
    }
}

/// Pauses for this long.
///
/// # Errors
/// Returns an error if the pause is interrupted.
pub fn pause(what: &str, time: Duration) -> Result<(), WaitError> {
    let interruption = interruption();
    if time >= ANNOUNCED_AFTER {
        announce(what);
    }
    if interruption.pause(time) { Ok(()) } else { Err(WaitError::Interrupted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn work_that_takes_too_long_is_abandoned() {
        assert_eq!(wait("x", LONG, || 1), Ok(1));
        let (hold, held) = mpsc::channel::<()>();
        let limit = Duration::from_millis(10);
        assert_eq!(wait("x", limit, move || held.recv().is_ok()), Err(WaitError::TimedOut));
        drop(hold);
    }

    #[test]
    fn an_interruption_ends_current_waits_but_not_later_ones() {
        let (started, starts) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        let waits = thread::spawn(move || {
            wait("x", LONG, move || {
                started.send(()).unwrap();
                held.recv().is_ok()
            })
        });
        starts.recv().unwrap();
        interrupt();
        assert_eq!(waits.join().unwrap(), Err(WaitError::Interrupted));
        drop(hold);
        let pauses = thread::spawn(|| pause("x", LONG));
        while !pauses.is_finished() {
            // The pause may not have begun yet.
            interrupt();
            thread::yield_now();
        }
        assert_eq!(pauses.join().unwrap(), Err(WaitError::Interrupted));
        assert_eq!(pause("x", Duration::from_millis(1)), Ok(()));
    }

    #[test]
    fn a_wait_is_announced_once() {
        let (to_test, announced) = mpsc::channel();
        let guard = announce_to(move |what| to_test.send(what.to_owned()).unwrap());
        announce("a");
        announce("b");
        announce("a");
        drop(guard);
        announce("c");
        assert_eq!(announced.iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
