//! Lines to the engine: a runtime, and the connections that are open on it.
//!
//! Owns which calls share what. A call has a line to itself from its beginning to its end, and runs
//! on the thread that calls. A line whose call came to a good end waits for the next one, with its
//! connections, so that a run of many builds opens a few and no more; one whose call did not, or
//! that something may still run on, is closed, and with it goes all that the call started. So does
//! one that nobody wanted for a while: nobody answers on it meanwhile, and the engine would take
//! its session for dead.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::solve::Open;

/// How long a line waits for a call. BuildKit asks a session every five seconds whether it lives.
const WAITS: Duration = Duration::from_secs(2);

/// The lines that wait for a call.
#[derive(Default)]
pub(in crate::engine) struct Lines<P> {
    idle: Mutex<Vec<Line<P>>>,
}

/// What is open on a line: `P` is what an engine keeps beside the connections of a build.
#[derive(Default)]
pub(in crate::engine) struct Kept<P> {
    /// For plain requests.
    pub(in crate::engine) plain: P,
    /// For builds.
    pub(super) open: Option<Open>,
    /// Whether something may run on it that must end with the call.
    pub(super) is_spent: bool,
}

struct Line<P> {
    runtime: Option<Runtime>,
    kept: Kept<P>,
    since: Instant,
}

impl<P> Drop for Line<P> {
    fn drop(&mut self) {
        // Not a plain drop, which would wait for a name lookup or a credential helper that hangs.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl<P: Default> Lines<P> {
    /// Runs one call to its end on this thread.
    pub(in crate::engine) fn call<T>(
        &self,
        call: impl AsyncFnOnce(&mut Kept<P>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut line = match self.youngest() {
            Some(line) => line,
            None => Line {
                runtime: Some(Builder::new_current_thread().enable_io().enable_time().build()?),
                kept: Kept::default(),
                since: Instant::now(),
            },
        };
        let Line { runtime: Some(runtime), kept, .. } = &mut line else {
            anyhow::bail!("a line without a runtime")
        };
        let result = runtime.block_on(call(kept));
        if result.is_ok() && !line.kept.is_spent {
            line.since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        result
    }

    /// The line that was used last. Closes those that have waited too long.
    fn youngest(&self) -> Option<Line<P>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|line| line.since.elapsed() < WAITS);
        idle.pop()
    }
}
