//! How long an engine is waited for.
//!
//! Owns that each request to the engine is limited, announced if it takes long, and ended by a signal that interrupts
//! the run, and that an engine that has stopped responding is given less time from then on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::base::waiting::{self, WaitError};

/// How long an engine that did not respond before may take.
const AFTER_SILENCE: Duration = Duration::from_secs(2);

/// What is announced while an engine does not respond.
const TO_RESPOND: &str = "the engine to respond";

/// What is known about how an engine responds.
#[derive(Default)]
pub(super) struct Patience {
    is_silent: AtomicBool,
    /// Whether only cleanup is left.
    is_cleanup: AtomicBool,
}

impl Patience {
    /// From now on, limits each request to the time for cleanup.
    pub(super) fn begin_cleanup(&self) {
        self.is_cleanup.store(true, Ordering::Relaxed);
    }

    /// Waits for the response to a request, at most until `limit`, or `cleanup` if only cleanup is left.
    pub(super) async fn wait<T>(
        &self,
        limit: Duration,
        cleanup: Duration,
        request: impl Future<Output = T>,
    ) -> Result<T, WaitError> {
        let limit =
            match (self.is_silent.load(Ordering::Relaxed), self.is_cleanup.load(Ordering::Relaxed))
            {
                (true, _) => limit.min(AFTER_SILENCE),
                (false, true) => limit.min(cleanup),
                (false, false) => limit,
            };
        let result = match timeout(limit, interruptible(Some(TO_RESPOND), request)).await {
            Ok(result) => result,
            Err(_) => Err(WaitError::TimedOut),
        };
        self.is_silent.store(result.is_err(), Ordering::Relaxed);
        result
    }
}

/// Waits for a result, announces what is waited for if that takes long, and ends the wait at an interruption.
pub(super) async fn interruptible<T>(
    what: Option<&str>,
    work: impl Future<Output = T>,
) -> Result<T, WaitError> {
    let interrupted = Arc::new(Notify::new());
    let wake = Arc::clone(&interrupted);
    let _guard = waiting::interruption().on_set(move || wake.notify_one());
    let announced = async {
        sleep(waiting::ANNOUNCED_AFTER).await;
        what.into_iter().for_each(waiting::announce);
        std::future::pending().await
    };
    let (mut work, mut announced) = (pin!(work), pin!(announced));
    tokio::select! {
        result = &mut work => Ok(result),
        () = interrupted.notified() => Err(WaitError::Interrupted),
        never = &mut announced => never,
    }
}
