//! The folders of runs: which are kept, which are written, and which are forgotten.
//!
//! Owns `.layers/runs/`. A folder whose name is no ID of a run is somebody else's and is left
//! alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::read::Events;
use super::{EVENTS, Head, id_of, moment_of_id};
use crate::event::{Event, Stamped};
use crate::inputs::claims::is_at;
use crate::inputs::{Memory, StateDir};

/// How many runs are kept, the newest one included.
const MOST_KEPT: usize = 10;

/// How many processes of one number may begin a run in one second.
const MOST_ATTEMPTS: u32 = 100;

/// A run whose log is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What it is called.
    pub id: String,
    /// When it began, as time since 1970.
    pub began: Duration,
    folder: StateDir,
}

/// The runs that are kept, the oldest first.
pub fn all(memory: &Memory) -> Vec<Kept> {
    let folder = memory.runs();
    let names = folder.names();
    let mut runs: Vec<Kept> =
        names.iter().filter_map(|name| Kept::at(folder.below(name.to_str()?))).collect();
    runs.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
    runs
}

impl Kept {
    fn at(folder: StateDir) -> Option<Kept> {
        let id = folder.name()?.to_owned();
        let by_id = moment_of_id(&id)?;
        folder.check().ok()?;
        // Several runs may begin in one second; the head knows which was first.
        let began = began_of(&folder).unwrap_or(by_id);
        Some(Kept { id, began, folder })
    }

    /// Its events.
    ///
    /// # Errors
    /// Where they can't be read, or are of a form that a newer version writes.
    pub fn events(&self) -> anyhow::Result<Events> {
        Events::open(&self.folder, EVENTS)
    }

    /// Whether a process writes its log. Whoever wants to know whether it died asks this before
    /// reading the log, which ends before the lock on it is given back.
    pub fn is_written(&self) -> bool {
        let Ok(events) = self.folder.file(EVENTS).and_then(File::open) else { return false };
        match events.try_lock_shared() {
            Ok(()) => false,
            // Where the disk knows no locks, no run is said to be dead.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// The folder of its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether an image was begun in it, so that there is something of it to be read.
    pub fn has_log_of(&self, image: &str) -> bool {
        let is_start = |it: &Stamped| {
            matches!(it.event, Event::ImageStarted)
                && it.image.as_ref().is_some_and(|it| *it.name == *image)
        };
        self.events().is_ok_and(|all| all.only_facts().any(|it| it.is_ok_and(|it| is_start(&it))))
    }

    /// Removes it, unless a process may be writing it.
    fn forget(&self) -> io::Result<()> {
        let events = match self.folder.file(EVENTS).and_then(File::open) {
            Ok(events) => events,
            // What another process has not yet begun to write, or has begun to remove.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.folder.remove();
            }
            Err(error) => return Err(error),
        };
        let is_over = match events.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => self.has_end(),
        };
        // Under the lock: whoever has just made the file and waits for it sees that it is gone.
        if is_over { self.folder.remove() } else { Ok(()) }
    }

    fn has_end(&self) -> bool {
        let is_end = |event: &Event| matches!(event, Event::RunFinished);
        self.events().is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| is_end(&it.event))))
    }
}

fn began_of(folder: &StateDir) -> Option<Duration> {
    let mut line = String::new();
    BufReader::new(File::open(folder.file(EVENTS).ok()?).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str::<Head>(&line).ok()?.began()
}

/// Makes the folder of a run that began at a moment, and its file of events, and holds the lock on
/// that for as long as the file is open.
pub(super) fn make(runs: &StateDir, began: Duration) -> io::Result<(StateDir, File)> {
    for attempt in 1..=MOST_ATTEMPTS {
        let folder = runs.below(&id_of(began, attempt));
        match fs::create_dir(folder.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let path = folder.place(EVENTS)?;
        let events = match File::options().append(true).create_new(true).open(&path) {
            // Somebody who removes old runs took the folder for one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                drop(fs::remove_dir(folder.path()));
                return Err(error);
            }
            Ok(events) => events,
        };
        // A disk without locks is no reason to keep no log. Others hold it only to look.
        drop(events.lock());
        if is_at(&events, &path) {
            return Ok((folder, events));
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many runs began at once"))
}

/// Removes the oldest runs that are too many.
pub(super) fn forget_oldest(memory: &Memory) {
    let runs = all(memory);
    let too_many = runs.len().saturating_sub(MOST_KEPT);
    for run in runs.iter().take(too_many) {
        // Another process may be about the same; what stays is removed by a later run.
        drop(run.forget());
    }
}
