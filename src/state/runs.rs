//! The directories of runs: which are kept, which are being written, and which are removed.
//!
//! Owns `.layers/runs/`, the IDs of runs, and the first line of a log. A directory whose name is not the ID of a run is
//! left alone. `report::journal` owns the content of a log.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process;

use serde::{Deserialize, Serialize};

use super::claims::is_at;
use super::{RepositoryState, StateDir};
use crate::base::clock::UnixTime;

/// How many runs are kept, including the latest.
const MOST_KEPT: usize = 10;

/// How many processes with the same number may start a run in the same second.
const MOST_ATTEMPTS: u32 = 100;

/// A run whose log is kept.
#[derive(Debug, Clone)]
pub struct RunLog {
    /// Its ID.
    pub id: String,
    /// When it started.
    pub began: UnixTime,
    directory: StateDir,
}

/// Returns the runs that are kept, oldest first.
pub fn all(state: &RepositoryState) -> Vec<RunLog> {
    let directory = state.runs();
    let names = directory.names();
    let mut runs: Vec<RunLog> =
        names.iter().filter_map(|name| RunLog::at(directory.below(name.to_str()?))).collect();
    runs.sort_by(|a, b| (a.began, &a.id).cmp(&(b.began, &b.id)));
    runs
}

impl RunLog {
    fn at(directory: StateDir) -> Option<RunLog> {
        let id = directory.name()?.to_owned();
        let by_id = moment_of_id(&id)?;
        directory.check().ok()?;
        // Several runs may start in one second. The first line of the log has the exact time.
        let began = began_of(&directory).unwrap_or(by_id);
        Some(RunLog { id, began, directory })
    }

    /// Returns the path of its event file, for reading.
    ///
    /// # Errors
    /// Returns an error if there is no such file.
    pub fn events_file(&self) -> io::Result<PathBuf> {
        self.directory.file(EVENTS)
    }

    /// Returns whether a process is writing its log. To find out whether a run died, call this before reading the log:
    /// a log is complete before its lock is released.
    pub fn is_written(&self) -> bool {
        let Ok(events) = self.events_file().and_then(File::open) else { return false };
        match events.try_lock_shared() {
            Ok(()) => false,
            // If the file system does not support locks, no run is considered dead.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// The directory of its log.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Removes the run, unless a process may be writing it. If the file system does not support locks, `has_end`
    /// decides.
    fn forget(&self, has_end: &dyn Fn(&RunLog) -> bool) -> io::Result<()> {
        let events = match self.events_file().and_then(File::open) {
            Ok(events) => events,
            // Another process has not created the file yet, or is already removing the run.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.directory.remove();
            }
            Err(error) => return Err(error),
        };
        let is_over = match events.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => has_end(self),
        };
        // Removed under the lock: a process that has just created the file and waits for the lock
        // sees that it is gone.
        if is_over { self.directory.remove() } else { Ok(()) }
    }
}

fn began_of(directory: &StateDir) -> Option<UnixTime> {
    let mut line = String::new();
    BufReader::new(File::open(directory.file(EVENTS).ok()?).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str::<LogHeader>(&line).ok()?.began()
}

/// Creates the directory of a run that started at the given time, and its event file, which stays locked while it is
/// open.
///
/// # Errors
/// Returns an error if they cannot be created.
pub fn make(runs: &StateDir, began: UnixTime) -> io::Result<(StateDir, File)> {
    for attempt in 1..=MOST_ATTEMPTS {
        let directory = runs.below(&id_of(began, attempt));
        match fs::create_dir(directory.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            result => result?,
        }
        let path = directory.writable_file(EVENTS)?;
        let events = match File::options().append(true).create_new(true).open(&path) {
            // A process that removes old runs has removed the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                drop(fs::remove_dir(directory.path()));
                return Err(error);
            }
            Ok(events) => events,
        };
        // A file system without locks is not a reason to keep no log. Other processes hold the lock
        // only briefly, to test it.
        drop(events.lock());
        if is_at(&events, &path) {
            return Ok((directory, events));
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many runs started at once"))
}

/// Removes the oldest runs in excess of the limit. `has_end` returns whether a log contains the end of its run.
pub fn forget_oldest(state: &RepositoryState, has_end: &dyn Fn(&RunLog) -> bool) {
    let runs = all(state);
    let too_many = runs.len().saturating_sub(MOST_KEPT);
    for run in runs.iter().take(too_many) {
        // Another process may be removing the same runs. A later run removes those that stay.
        drop(run.forget(has_end));
    }
}

/// The name of the event file.
pub const EVENTS: &str = "events.jsonl";

/// The version of the format that is written. Readers refuse newer versions.
pub const FORM: u32 = 2;

/// The first line of the event file.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogHeader {
    /// The version of the log's format.
    pub version: u32,
    /// The time that the times of the events are relative to.
    began: String,
}

impl LogHeader {
    /// Returns the first line of the log of a run that started at the given time.
    pub fn of(began: UnixTime) -> LogHeader {
        LogHeader { version: FORM, began: began.to_string() }
    }

    fn began(&self) -> Option<UnixTime> {
        UnixTime::parse(&self.began)
    }
}

/// Returns the ID of a run, such as `20261125-083112-4711`: the start time, so that IDs sort, and the process.
/// Containers may share a directory but not their process numbers, so there can be a second and a third `attempt`.
fn id_of(began: UnixTime, attempt: u32) -> String {
    let time = began.to_string();
    let seconds = time.split('.').next().unwrap_or(&time);
    let time = seconds.replace(['-', ':'], "").replace('T', "-");
    let id = format!("{time}-{}", process::id());
    if attempt == 1 { id } else { format!("{id}-{attempt}") }
}

/// Returns the time in an ID, to the second, or `None` if the name is not an ID.
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
    fn only_valid_run_ids_are_parsed() {
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
