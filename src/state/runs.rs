//! The directories of runs: which are kept, which are written, and which are forgotten.
//!
//! Owns `.layers/runs/`, the IDs of runs, and the first line of a log. A directory whose name is not the
//! ID of a run is left alone. What a log says is `report::journal`'s affair.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process;

use serde::{Deserialize, Serialize};

use super::claims::is_at;
use super::{Memory, StateDir};
use crate::base::clock::UnixTime;

/// How many runs are kept, the newest one included.
const MOST_KEPT: usize = 10;

/// How many processes of one number may begin a run in one second.
const MOST_ATTEMPTS: u32 = 100;

/// A run whose log is kept.
#[derive(Debug, Clone)]
pub struct RunLog {
    /// What it is called.
    pub id: String,
    /// When it began.
    pub began: UnixTime,
    folder: StateDir,
}

/// The runs that are kept, the oldest first.
pub fn all(memory: &Memory) -> Vec<RunLog> {
    let folder = memory.runs();
    let names = folder.names();
    let mut runs: Vec<RunLog> =
        names.iter().filter_map(|name| RunLog::at(folder.below(name.to_str()?))).collect();
    runs.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
    runs
}

impl RunLog {
    fn at(folder: StateDir) -> Option<RunLog> {
        let id = folder.name()?.to_owned();
        let by_id = moment_of_id(&id)?;
        folder.check().ok()?;
        // Several runs may begin in one second; the head knows which was first.
        let began = began_of(&folder).unwrap_or(by_id);
        Some(RunLog { id, began, folder })
    }

    /// The path of its file of events, to be read.
    ///
    /// # Errors
    /// Where there is none.
    pub fn events_file(&self) -> io::Result<PathBuf> {
        self.folder.file(EVENTS)
    }

    /// Whether a process writes its log. Whoever wants to know whether it died asks this before
    /// reading the log, which ends before the lock on it is given back.
    pub fn is_written(&self) -> bool {
        let Ok(events) = self.events_file().and_then(File::open) else { return false };
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

    /// Removes it, unless a process may be writing it. Where the disk knows no locks, `has_end` decides.
    fn forget(&self, has_end: &dyn Fn(&RunLog) -> bool) -> io::Result<()> {
        let events = match self.events_file().and_then(File::open) {
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
            Err(TryLockError::Error(_)) => has_end(self),
        };
        // Under the lock: whoever has just made the file and waits for it sees that it is gone.
        if is_over { self.folder.remove() } else { Ok(()) }
    }
}

fn began_of(folder: &StateDir) -> Option<UnixTime> {
    let mut line = String::new();
    BufReader::new(File::open(folder.file(EVENTS).ok()?).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str::<Head>(&line).ok()?.began()
}

/// Makes the folder of a run that began at a moment, and its file of events, and holds the lock on
/// that for as long as the file is open.
///
/// # Errors
/// Where it can't be made.
pub fn make(runs: &StateDir, began: UnixTime) -> io::Result<(StateDir, File)> {
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

/// Removes the oldest runs that are too many. `has_end` reads whether a log says how its run ended.
pub fn forget_oldest(memory: &Memory, has_end: &dyn Fn(&RunLog) -> bool) {
    let runs = all(memory);
    let too_many = runs.len().saturating_sub(MOST_KEPT);
    for run in runs.iter().take(too_many) {
        // Another process may be about the same; what stays is removed by a later run.
        drop(run.forget(has_end));
    }
}

/// The file of the events.
pub const EVENTS: &str = "events.jsonl";

/// The form that is written; a reader of it refuses any newer one.
pub const FORM: u32 = 2;

/// The first line of the events.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    /// The form of the log.
    pub version: u32,
    /// The moment from which the times of the events count.
    began: String,
}

impl Head {
    /// The head of the log of a run that begins at a moment.
    pub fn of(began: UnixTime) -> Head {
        Head { version: FORM, began: began.to_string() }
    }

    fn began(&self) -> Option<UnixTime> {
        UnixTime::parse(&self.began)
    }
}

/// `20261125-083112-4711`: the moment, so that names sort, and the process. Containers may share a
/// folder and not their numbers of processes, so there can be a second and a third `attempt`.
fn id_of(began: UnixTime, attempt: u32) -> String {
    let time = began.to_string();
    let seconds = time.split('.').next().unwrap_or(&time);
    let time = seconds.replace(['-', ':'], "").replace('T', "-");
    let id = format!("{time}-{}", process::id());
    if attempt == 1 { id } else { format!("{id}-{attempt}") }
}

/// The moment in an ID, to the second; nothing where a name is no ID.
fn moment_of_id(id: &str) -> Option<UnixTime> {
    let mut parts = id.split('-');
    let (date, time) = (parts.next()?, parts.next()?);
    let numbers: Vec<&str> = parts.collect();
    let are_digits = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_id = (date.len(), time.len()) == (8, 6)
        && (1..=2).contains(&numbers.len())
        && [date, time].iter().chain(&numbers).all(are_digits);
    if !is_id {
        return None;
    }
    let ((year, month, day), (hour, minute, second)) =
        ((&date[..4], &date[4..6], &date[6..]), (&time[..2], &time[2..4], &time[4..]));
    UnixTime::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_read_with_care() {
        let check = |id: &str, expected| {
            assert_eq!(moment_of_id(id).map(|it| it.since_epoch().as_secs()), expected, "{id}");
        };
        check("19700101-000102-1", Some(62));
        check("19700101-000102-1-2", Some(62));
        for id in ["", "1", "19700101-000102", "19700101-000102-", "19700101-000102-1-2-3"] {
            check(id, None);
        }
        for id in ["19701301-000102-1", "1970é01-000102-1", "19700101-0é102-1", "../../x-y-z"] {
            check(id, None);
        }
    }
}
