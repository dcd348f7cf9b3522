//! Stops what runs: the one shared cell of the program, a flag and who waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells running builds to stop. Cheap to clone; set once, never unset.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

impl Cancel {
    /// Sets it and runs what waits for it.
    pub fn set(&self) {
        self.inner.set();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.inner.is_set()
    }

    /// Runs `wake` when it is set, at once where it is set already. Called by engines that wait
    /// for something else meanwhile. Dropping the guard forgets `wake`.
    #[must_use]
    pub fn on_set(&self, wake: impl Fn() + Send + 'static) -> CancelGuard {
        CancelGuard { key: self.inner.add(Box::new(wake)), cancel: self.clone() }
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
        self.cancel.inner.remove(self.key);
    }
}

type Wake = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Inner {
    flag: AtomicBool,
    waiting: Mutex<(u64, BTreeMap<u64, Wake>)>,
}

impl Inner {
    fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    fn set(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.flag.store(true, Ordering::SeqCst);
        for wake in waiting.1.values() {
            wake();
        }
    }

    fn add(&self, wake: Wake) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_set() {
            wake();
        }
        waiting.0 += 1;
        let key = waiting.0;
        waiting.1.insert(key, wake);
        key
    }

    fn remove(&self, key: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.1.remove(&key);
    }
}
