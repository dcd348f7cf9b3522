//! A limit on concurrent requests to one host.
//!
//! Owns a counting semaphore. It holds a lock only while it counts.

use std::sync::{Condvar, Mutex, PoisonError};

/// Admits a limited number of callers at once; the others wait.
pub(super) struct RequestLimit {
    free: Mutex<usize>,
    release: Condvar,
}

/// A permit, which is released when dropped.
pub(super) struct RequestPermit<'a>(&'a RequestLimit);

impl RequestLimit {
    /// Creates a limit with this many permits.
    pub(super) fn new(permits: usize) -> RequestLimit {
        RequestLimit { free: Mutex::new(permits), release: Condvar::new() }
    }

    /// Waits for a permit.
    pub(super) fn acquire(&self) -> RequestPermit<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .release
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        RequestPermit(self)
    }
}

impl Drop for RequestPermit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.release.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn concurrent_requests_never_exceed_the_limit() {
        let limit = RequestLimit::new(3);
        let (inside, most, passed) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _permit = limit.acquire();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1000);
        assert!(most.into_inner() <= 3);
    }
}
