//! The folders of runs: which are kept, which are written, and which are forgotten.
//!
//! Owns `.layers/runs/`. A folder whose name is no ID of a run is somebody else's and is left
//! alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::read::Events;
use super::{EVENTS, Head, id_of, moment_of_id};
use crate::event::Event;
use crate::inputs::Memory;
use crate::inputs::claims::is_at;
use crate::inputs::memory::file_name_of;

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
    folder: PathBuf,
}

/// The runs that are kept, the oldest first.
pub fn all(memory: &Memory) -> Vec<Kept> {
    let folders = fs::read_dir(memory.runs()).into_iter().flatten().flatten();
    let mut runs: Vec<Kept> = folders.filter_map(|item| Kept::at(item.path())).collect();
    runs.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
    runs
}

impl Kept {
    fn at(folder: PathBuf) -> Option<Kept> {
        let id = folder.file_name()?.to_str()?.to_owned();
        let by_id = moment_of_id(&id)?;
        // Several runs may begin in one second; the head knows which was first.
        let began = began_of(&folder).unwrap_or(by_id);
        Some(Kept { id, began, folder })
    }

    /// Its events.
    ///
    /// # Errors
    /// Where they can't be read, or are of a form that a newer version writes.
    pub fn events(&self) -> anyhow::Result<Events> {
        Events::open(&self.folder.join(EVENTS))
    }

    /// Whether a process writes its log. Whoever wants to know whether it died asks this before
    /// reading the log, which ends before the lock on it is given back.
    pub fn is_written(&self) -> bool {
        let Ok(events) = File::open(self.folder.join(EVENTS)) else { return false };
        match events.try_lock_shared() {
            Ok(()) => false,
            // Where the disk knows no locks, no run is said to be dead.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// The folder of its log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log of an image, where it has one here.
    pub fn image_log(&self, image: &str) -> Option<PathBuf> {
        let path = self.folder.join(image_file(image));
        path.is_file().then_some(path)
    }

    /// Removes it, unless a process may be writing it.
    fn forget(&self) -> io::Result<()> {
        let events = match File::open(self.folder.join(EVENTS)) {
            Ok(events) => events,
            // What another process has not yet begun to write, or has begun to remove.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return fs::remove_dir_all(&self.folder);
            }
            Err(error) => return Err(error),
        };
        let is_over = match events.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => self.has_end(),
        };
        // Under the lock: whoever has just made the file and waits for it sees that it is gone.
        if is_over { fs::remove_dir_all(&self.folder) } else { Ok(()) }
    }

    fn has_end(&self) -> bool {
        let is_end = |event: &Event| matches!(event, Event::RunFinished);
        self.events().is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| is_end(&it.event))))
    }
}

fn began_of(folder: &Path) -> Option<Duration> {
    let mut line = String::new();
    BufReader::new(File::open(folder.join(EVENTS)).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str::<Head>(&line).ok()?.began()
}

/// The name of the file of an image's log.
pub(super) fn image_file(image: &str) -> String {
    format!("{}.log", file_name_of(image))
}

/// Makes the folder of a run that began at a moment, and its file of events, and holds the lock on
/// that for as long as the file is open.
pub(super) fn make(runs: &Path, began: Duration) -> io::Result<(PathBuf, File)> {
    for attempt in 1..=MOST_ATTEMPTS {
        let folder = runs.join(id_of(began, attempt));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        let path = folder.join(EVENTS);
        let events = match File::options().append(true).create_new(true).open(&path) {
            // Somebody who removes old runs took the folder for one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                drop(fs::remove_dir(&folder));
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
