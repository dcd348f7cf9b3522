//! Claims: two runs in one repository never build the same key at the same time.
//!
//! Owns `.layers/claims/`, which has a file for each image that is being built, with the system's advisory lock on it.
//! The system releases the locks of a process that dies, however it dies, so nothing has to be cleaned up and nothing
//! can block a later run. A file that is left behind is reused.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::StateDir;
use crate::engine::Cancel;

/// The right to build a key, which is released on drop.
#[derive(Debug)]
pub struct Claim {
    // Closing the file releases the lock.
    _file: File,
    path: PathBuf,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Removed under the lock: a run that waits for it sees that its file is not the one in the
        // directory any more, and opens the new one. A file that cannot be removed does not block
        // other runs.
        drop(fs::remove_file(&self.path));
    }
}

/// Claims the file at `path`, in a directory that exists.
///
/// Calls `waits` if another run has the claim, and then blocks until that run is done or dead. Returns whether it
/// waited, in which case the other run may have built the image. Returns `None` if the wait was canceled.
///
/// # Errors
/// Returns an error if the file cannot be written, or if the file system does not support locks.
pub(super) fn claim(
    path: &Path,
    waits: &dyn Fn(),
    cancel: &Cancel,
) -> io::Result<Option<(Claim, bool)>> {
    let mut waited = false;
    loop {
        let options = OpenOptions::new().write(true).create(true).truncate(false).clone();
        let mut file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut waited, true) {
                    waits();
                }
                match wait_for(file, cancel)? {
                    Some(locked) => file = locked,
                    None => return Ok(None),
                }
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if is_at(&file, path) {
            let claim = Claim { _file: file, path: path.to_owned() };
            return Ok(Some((claim, waited)));
        }
    }
}

/// Waits for a lock. Returns `None` if the wait was canceled.
fn wait_for(file: File, cancel: &Cancel) -> io::Result<Option<File>> {
    let (sender, receiver) = mpsc::channel();
    let canceled = sender.clone();
    let _guard = cancel.on_set(move || drop(canceled.send(None)));
    // The system's wait cannot be interrupted. A thread whose receiver is gone releases the lock as
    // soon as it gets it.
    std::thread::spawn(move || {
        let locked = file.lock();
        drop(sender.send(Some(locked.map(|()| file))));
    });
    match receiver.recv() {
        Ok(Some(locked)) => locked.map(Some),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// Returns whether an open file is the one at a path now, and not one that was there before.
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// Removes the files that dead processes left behind. Returns whether there were any.
pub(super) fn sweep(directory: &StateDir) -> bool {
    let mut found = false;
    for name in directory.names() {
        let Ok(path) = directory.file(name) else { continue };
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() && is_at(&file, &path) {
            drop(Claim { _file: file, path });
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn ours(claimed: Option<(Claim, bool)>) -> (Claim, bool) {
        claimed.expect("it is not canceled")
    }

    #[test]
    fn a_claim_has_only_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let holders = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let claimed = claim(&path, &|| {}, &Cancel::default()).unwrap();
                        let (guard, _) = ours(claimed);
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(guard);
                    }
                });
            }
        });
        assert!(!path.exists(), "the last one leaves nothing behind");
    }

    #[test]
    fn waiting_for_a_claim_is_reported_and_can_be_canceled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let (first, waited) =
            ours(claim(&path, &|| panic!("it is free"), &Cancel::default()).unwrap());
        assert!(!waited);
        let cancel = Cancel::default();
        let claimed = claim(&path, &|| cancel.set(), &cancel).unwrap();
        assert!(claimed.is_none());
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let second = scope.spawn(|| {
                let sender = sender;
                ours(claim(&path, &|| sender.send(()).unwrap(), &Cancel::default()).unwrap()).1
            });
            receiver.recv().unwrap();
            drop(first);
            assert!(second.join().unwrap(), "it was waited for");
        });
    }

    #[test]
    fn stale_claims_are_removed_and_active_claims_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        state.make().unwrap();
        let (stale, active) = (state.path().join("left"), state.path().join("held"));
        fs::write(&stale, "").unwrap();
        let claim = claim(&active, &|| {}, &Cancel::default()).unwrap();
        assert!(sweep(&state));
        assert!(!stale.exists() && active.exists());
        assert!(!sweep(&state));
        drop(claim);
    }
}
