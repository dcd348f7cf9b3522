//! How many ask one host at once.
//!
//! Owns a counting gate. It holds a lock only for as long as it counts.

use std::sync::{Condvar, Mutex, PoisonError};

/// Lets so many pass at once; the others wait.
pub(super) struct Gate {
    free: Mutex<usize>,
    left: Condvar,
}

/// A place within; it is free again when this is dropped.
pub(super) struct Passed<'a>(&'a Gate);

impl Gate {
    /// A gate with places for so many.
    pub(super) fn new(places: usize) -> Gate {
        Gate { free: Mutex::new(places), left: Condvar::new() }
    }

    /// Waits for a place.
    pub(super) fn pass(&self) -> Passed<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.left.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Passed(self)
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_pass_than_there_are_places() {
        let gate = Gate::new(3);
        let (inside, most, passed) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _passed = gate.pass();
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
