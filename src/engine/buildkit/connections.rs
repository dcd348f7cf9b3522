//! A pool of connections to the engine. Each entry is a runtime with its open connections.
//!
//! Owns which calls share an entry. A call has an entry to itself from start to end, and runs on the calling thread.
//! After a call that succeeds, the entry is kept with its connections for the next call, so that a run of many builds
//! opens only a few. After a call that fails, or that may have left something running, its connections are closed,
//! which ends everything that the call started. Each call also closes those that have been idle for a while: nothing
//! answers on them, and the engine would consider their session dead.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::solve::BuildConnection;

/// How long an idle entry is kept. BuildKit checks the health of a session every five seconds.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// The idle entries.
#[derive(Default)]
pub(in crate::engine) struct ConnectionPool<P> {
    idle: Mutex<Vec<PooledConnection<P>>>,
}

/// The connections of an entry; `P` is what an engine keeps in addition to those of a build.
#[derive(Default)]
pub(in crate::engine) struct ConnectionState<P> {
    /// The connection for plain requests.
    pub(in crate::engine) plain: P,
    /// The connections for builds.
    pub(super) open: Option<BuildConnection>,
    /// Whether something may still run that must end with the call.
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
        let mut entry = match self.take_newest() {
            Some(entry) => entry,
            None => PooledConnection {
                runtime: Some(Builder::new_current_thread().enable_io().enable_time().build()?),
                connections: ConnectionState::default(),
                since: Instant::now(),
            },
        };
        let PooledConnection { runtime: Some(runtime), connections, .. } = &mut entry else {
            anyhow::bail!("a connection without a runtime")
        };
        let result = runtime.block_on(call(connections));
        if result.is_ok() && !entry.connections.is_spent {
            entry.since = Instant::now();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        result
    }

    /// Takes the entry that was used last. Closes those that were idle for too long.
    fn take_newest(&self) -> Option<PooledConnection<P>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|entry| entry.since.elapsed() < KEPT_FOR);
        idle.pop()
    }
}
