//! Cancellation: a shared flag, and the callbacks that run when it is set.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A flag that stops work. Cheap to clone; once set, it stays set.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<CancelState>,
}

type Wake = Box<dyn Fn() + Send>;

#[derive(Default)]
struct CancelState {
    flag: AtomicBool,
    /// The last number given to a guard, and the callbacks by the numbers of their guards.
    waiting: Mutex<(u64, BTreeMap<u64, Wake>)>,
}

impl Cancel {
    /// Sets the flag and runs the registered callbacks.
    pub fn set(&self) {
        let waiting = self.waiting();
        self.inner.flag.store(true, Ordering::SeqCst);
        waiting.1.values().for_each(|wake| wake());
    }

    /// Returns whether the flag is set.
    pub fn is_set(&self) -> bool {
        self.inner.flag.load(Ordering::SeqCst)
    }

    /// Pauses until the flag is set. Returns whether the time passed without that.
    pub fn pause(&self, time: Duration) -> bool {
        let (wake, woken) = mpsc::channel();
        // If the waiter is gone, it does not have to be woken.
        let _guard = self.on_set(move || wake.send(()).unwrap_or_default());
        woken.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
    }

    /// Runs `wake` when the flag is set, immediately if it already is. Engines call this while they wait for
    /// something else. Dropping the guard unregisters `wake`.
    #[must_use]
    pub fn on_set(&self, wake: impl Fn() + Send + 'static) -> CancelGuard {
        let mut waiting = self.waiting();
        if self.is_set() {
            wake();
        }
        waiting.0 += 1;
        let key = waiting.0;
        waiting.1.insert(key, Box::new(wake));
        CancelGuard { key, cancel: self.clone() }
    }

    fn waiting(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Wake>)> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_set())
    }
}

/// Unregisters a callback when dropped.
pub struct CancelGuard {
    key: u64,
    cancel: Cancel,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancel.waiting().1.remove(&self.key);
    }
}
