//! The runs with a log: one line per run, or JSON.
//!
//! Owns the content of a line: the result of a run, as far as its log contains it, and whether the run died.

use std::time::Duration;

use serde::Serialize;

use crate::event::Tally;

use super::journal::Events;
use super::paint::Paint;
use super::{Phrase, phrases, table};
use crate::state::runs::RunLog;

/// A run.
#[derive(Debug, Serialize)]
pub struct RunRow {
    /// Its ID.
    pub id: String,
    /// When it started.
    pub began: String,
    /// Its duration in milliseconds, or the time until its last event.
    pub took_ms: u64,
    /// Its state.
    pub state: RunState,
    /// The signal that stopped it, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The counts of its images.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It is complete, successfully or not.
    Finished,
    /// A process is writing its log.
    Running,
    /// Its log has no end, and no process is writing it.
    Died,
    /// Its log cannot be read.
    Unreadable,
}

/// Reads the result of a run.
pub fn read(run: &RunLog) -> RunRow {
    let mut state = if run.is_written() { RunState::Running } else { RunState::Died };
    let mut tally = Tally::default();
    let events = Events::of(run).and_then(|events| {
        events.only_facts().try_for_each(|event| {
            tally.take(&event?);
            Ok(())
        })
    });
    if tally.is_over {
        state = RunState::Finished;
    }
    if events.is_err() {
        state = RunState::Unreadable;
    }
    RunRow {
        id: run.id.clone(),
        began: run.began.to_string(),
        took_ms: phrases::millis(tally.took),
        state,
        signal: tally.signal,
        tally,
    }
}

/// Returns a table with one line per run.
pub fn draw(rows: &[RunRow]) -> String {
    let head = ["RUN", "STARTED", "DURATION", "IMAGES"].map(Phrase::from);
    let lines = rows.iter().map(|row| {
        let took = phrases::duration(Duration::from_millis(row.took_ms));
        let began = phrases::moment(&row.began);
        [row.id.clone().into(), began.into(), took.into(), describe(row)]
    });
    table::draw(std::iter::once(head).chain(lines))
}

/// Formats the counts, as in `3 built, 1 failed of 5 images`, after the state if it is unusual.
fn describe(row: &RunRow) -> Phrase {
    let counts = phrases::counts(&row.tally, Paint::plain());
    let signal = row.signal.map(phrases::signal_name);
    let words = match (row.state, signal) {
        (RunState::Finished, None) => counts,
        (RunState::Finished, Some(signal)) => format!("stopped by {signal}: {counts}"),
        (RunState::Running, _) => format!("running: {counts}"),
        (RunState::Died, _) => format!("died: {counts}"),
        (RunState::Unreadable, _) => return "unreadable log".into(),
    };
    words.into()
}
