//! Concurrent work on several items, for work that waits for something else.
//!
//! Owns the threads of such work. Computations belong on rayon's pool, which waiting would starve.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Calls `work` for each item, with at most `most` calls at a time. Returns the results in the order of the
/// items.
///
/// # Panics
/// Panics if `work` panics.
pub fn each<T: Sync, R: Send>(items: &[T], most: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 || most < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..most.clamp(1, items.len())).map(|_| scope.spawn(take)).collect();
        let join = |it: thread::ScopedJoinHandle<'_, Vec<(usize, R)>>| {
            it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, Mutex};

    #[test]
    fn results_are_in_order_and_concurrency_is_limited() {
        let items: Vec<usize> = (0..100).collect();
        let running = Mutex::new((0, 0));
        let results = each(&items, 7, |item| {
            let mut now = running.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
            drop(now);
            thread::yield_now();
            running.lock().unwrap().0 -= 1;
            item * 2
        });
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(running.lock().unwrap().1 <= 7);
        assert_eq!(each(&[] as &[usize], 7, |item| *item), [0; 0]);
    }

    #[test]
    fn all_allowed_threads_run_concurrently() {
        // This would block forever with fewer than four threads.
        let barrier = Barrier::new(4);
        let leaders = each(&[0; 8], 4, |_| barrier.wait().is_leader());
        assert_eq!(leaders.iter().filter(|is_leader| **is_leader).count(), 2);
    }
}
