//! The log of a run, which outlives it: `.layers/runs/<id>/`.
//!
//! Owns its form. `events.jsonl` holds a line that says the form and when the run began, then the
//! events, one a line; what the steps wrote is in it once. The file only
//! grows, by whole lines, in one write whenever the run comes to rest, so that whatever ends the process leaves at most a
//! torn last line; a reader passes over what it can't make sense of. Logs of the first form, in which
//! each line holds all of its step, are read like those of today.
//!
//! Whoever writes a log holds the system's lock on its `events.jsonl`, and the system takes it
//! from a process that dies. So a log without an end that nobody holds is that of a dead run.

use std::process;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

mod announced;
mod folders;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use folders::{Kept, all};
pub use read::Events;
pub use write::Journal;

/// The file of the events.
const EVENTS: &str = "events.jsonl";

/// The form that is written; a reader of it refuses any newer one.
const FORM: u32 = 2;

/// The first line of the events.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// The form of the log.
    version: u32,
    /// The moment from which the times of the events count.
    began: String,
}

impl Head {
    pub(super) fn of(began: Duration) -> Head {
        Head { version: FORM, began: moment(began) }
    }

    fn began(&self) -> Option<Duration> {
        read_moment(&self.began)
    }
}

/// `2026-11-25T08:31:12.345Z`
pub(super) fn moment(since_1970: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_1970).to_string()
}

fn read_moment(text: &str) -> Option<Duration> {
    humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

/// `20261125-083112-4711`: the moment, so that names sort, and the process. Containers may share a
/// folder and not their numbers of processes, so there can be a second and a third `attempt`.
fn id_of(began: Duration, attempt: u32) -> String {
    let seconds = Duration::from_secs(began.as_secs());
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + seconds).to_string();
    let time = time.trim_end_matches('Z').replace(['-', ':'], "").replace('T', "-");
    let id = format!("{time}-{}", process::id());
    if attempt == 1 { id } else { format!("{id}-{attempt}") }
}

/// The moment in an ID, to the second; nothing where a name is no ID.
fn moment_of_id(id: &str) -> Option<Duration> {
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
    read_moment(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}
