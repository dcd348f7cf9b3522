//! The log of a run, stored in the run's directory (`state::runs`).
//!
//! Owns its format. `events.jsonl` starts with a line that contains the format's version and the time when
//! the run started, followed by one event per line. It contains the output of steps only once. The file only
//! grows, by complete lines, in one write whenever no event is pending, so that a crash leaves at most an
//! incomplete last line. Readers skip what they cannot parse. In logs of the first format, each line contains
//! all fields of its step; they are still supported.
//!
//! The writer of a log holds a file lock on `events.jsonl`, which the operating system releases if the
//! process dies. So a log without an end and without a lock belongs to a dead run.

mod announced;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Events, has_log_of};
pub use write::Journal;
