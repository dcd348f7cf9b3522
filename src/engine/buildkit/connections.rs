//! Lines to the engine: each is a runtime with its open connections.
//!
//! Owns which calls share a line. A call has a line to itself from start to end and runs on the calling thread.
//! After a call that succeeds, its line waits for the next one and keeps its connections, so that a run of many
//! builds opens only a few. After a call that fails, or that may have left something running, the line is closed,
//! which ends everything that the call started. Each call also closes the lines that have been idle for a while: an
//! idle line answers nothing, and the engine would consider its session dead.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::solve::BuildConnection;

/// How long an idle line is kept. BuildKit checks the health of a session every five seconds.
const WAITS: Duration = Duration::from_secs(2);

/// The idle lines.
#[derive(Default)]
pub(in crate::engine) struct ConnectionPool<P> {
    idle: Mutex<Vec<PooledConnection<P>>>,
}

/// The connections of a line; `P` is what an engine keeps in addition to those of a build.
#[derive(Default)]
pub(in crate::engine) struct ConnectionState<P> {
    /// The connection for plain requests.
    pub(in crate::engine) plain: P,
    /// The connections for builds.
    pub(super) open: Option<BuildConnection>,
    /// Whether something may still run on the line that must end with the call.
    pub(super) is_spent: bool,
}

struct PooledConnection<P> {
    runtime: Option<Runtime>,
    connections: ConnectionState<P>,
    since: Instant,
}

impl<P> Drop for PooledConnection<P> {
    fn drop(&mut self) {
        // A plain drop would wait for a name lookup or a credential helper that hangs.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl<P: Default> ConnectionPool<P> {
    /// Runs one call to completion on this thread.
    pub(in crate::engine) fn call<T>(
        &self,
        call: impl AsyncFnOnce(&mut ConnectionState<P>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut line = match self.youngest() {
            Some(line) => line,
            None => PooledConnection {
                runtime: Some(Builder::new_current_thread().enable_io().enable_time().build()?),
                connections: ConnectionState::default(),
                since: Instant::now(),
            },
        };
        let PooledConnection { runtime: Some(runtime), connections, .. } = &mut line else {
            anyhow::bail!("a line without a runtime")
        };
        let result = runtime.block_on(call(connections));
        if result.is_ok() && !line.connections.is_spent {
            line.since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        result
    }

    /// Returns the line that was used last. Closes those that were idle for too long.
    fn youngest(&self) -> Option<PooledConnection<P>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|line| line.since.elapsed() < WAITS);
        idle.pop()
    }
}
