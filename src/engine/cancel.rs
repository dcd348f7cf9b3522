//! Stops what runs: the one shared cell of the program, a flag and who waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells running builds to stop. Cheap to clone; set once, never unset.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

type Wake = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Inner {
    flag: AtomicBool,
    /// What waits for it, by the numbers of their guards, and the last of those numbers.
    waiting: Mutex<(u64, BTreeMap<u64, Wake>)>,
}

impl Cancel {
    /// Sets it and runs what waits for it.
    pub fn set(&self) {
        let waiting = self.waiting();
        self.inner.flag.store(true, Ordering::SeqCst);
        waiting.1.values().for_each(|wake| wake());
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.inner.flag.load(Ordering::SeqCst)
    }

    /// Runs `wake` when it is set, at once where it is set already. Called by engines that wait
    /// for something else meanwhile. Dropping the guard forgets `wake`.
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

/// Forgets a wake-up when dropped.
pub struct CancelGuard {
    key: u64,
    cancel: Cancel,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancel.waiting().1.remove(&self.key);
    }
}
