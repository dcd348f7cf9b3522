//! Who builds a key: two runs at once in one repository never build the same.
//!
//! Owns `.layers/claims/`, a file for each image that is being built, with the system's advisory
//! lock on it. The system itself takes a lock from a process that dies, however it dies, so there
//! is nothing to clean up and nothing that can block a later run; the file that stays then is
//! taken over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::StateDir;
use crate::engine::Cancel;

/// The right to build a key; given back when it is dropped.
#[derive(Debug)]
pub struct Claim {
    // Closing the file gives the lock back.
    _file: File,
    path: PathBuf,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Under the lock: whoever waits for it sees that its file is no longer the one in the
        // folder, and opens the new one. One that can't be removed blocks nobody.
        drop(fs::remove_file(&self.path));
    }
}

/// Claims the file at `path`, in a folder that is there. `waits` is called when somebody else has
/// it; then this blocks until that one is done or gone. Returns whether it was waited for, and somebody
/// else may have built what is wanted; nothing where the waiting was cancelled.
///
/// # Errors
/// Where the disk refuses, or knows no locks.
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

/// Waits for a lock; nothing where the waiting was cancelled.
fn wait_for(file: File, cancel: &Cancel) -> io::Result<Option<File>> {
    let (tell, told) = mpsc::channel();
    let cancelled = tell.clone();
    let _guard = cancel.on_set(move || drop(cancelled.send(None)));
    // The system's wait can't be ended from outside. A thread that nobody listens to any more
    // gives the lock back as soon as it gets it.
    std::thread::spawn(move || {
        let locked = file.lock();
        drop(tell.send(Some(locked.map(|()| file))));
    });
    match told.recv() {
        Ok(Some(locked)) => locked.map(Some),
        Ok(None) | Err(_) => Ok(None),
    }
}

/// Whether an open file is the one that is found at a path, and not one that was there before.
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// Removes the files that dead processes left behind; says whether there were any.
pub(super) fn sweep(folder: &StateDir) -> bool {
    let mut found = false;
    for name in folder.names() {
        let Ok(path) = folder.file(name) else { continue };
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
        claimed.expect("it is not cancelled")
    }

    #[test]
    fn one_at_a_time_has_a_claim() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let holders = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let claimed = claim(&path, &|| {}, &Cancel::default()).unwrap();
                        let (held, _) = ours(claimed);
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert!(!path.exists(), "the last one leaves nothing behind");
    }

    #[test]
    fn waiting_is_told_and_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let (first, waited) =
            ours(claim(&path, &|| panic!("it is free"), &Cancel::default()).unwrap());
        assert!(!waited);
        let cancel = Cancel::default();
        let claimed = claim(&path, &|| cancel.set(), &cancel).unwrap();
        assert!(claimed.is_none());
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let second = scope.spawn(|| {
                let tell = tell;
                ours(claim(&path, &|| tell.send(()).unwrap(), &Cancel::default()).unwrap()).1
            });
            told.recv().unwrap();
            drop(first);
            assert!(second.join().unwrap(), "it was waited for");
        });
    }

    #[test]
    fn what_dead_processes_left_is_swept_and_what_is_held_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::of(folder.path());
        state.make().unwrap();
        let (left, held) = (state.path().join("left"), state.path().join("held"));
        fs::write(&left, "").unwrap();
        let claim = claim(&held, &|| {}, &Cancel::default()).unwrap();
        assert!(sweep(&state));
        assert!(!left.exists() && held.exists());
        assert!(!sweep(&state));
        drop(claim);
    }
}
