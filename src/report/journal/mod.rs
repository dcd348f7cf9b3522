//! The log of a run, which outlives it, in its directory (`state::runs`).
//!
//! Owns its form. `events.jsonl` holds a line that says the form and when the run began, then the
//! events, one a line; what the steps wrote is in it once. The file only
//! grows, by whole lines, in one write whenever the run comes to rest, so that whatever ends the process leaves at most a
//! torn last line; a reader passes over what it can't make sense of. Logs of the first form, in which
//! each line holds all of its step, are read like those of today.
//!
//! Whoever writes a log holds the system's lock on its `events.jsonl`, and the system takes it
//! from a process that dies. So a log without an end that nobody holds is that of a dead run.

mod announced;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Events, has_log_of};
pub use write::Journal;
