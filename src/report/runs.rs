//! The runs whose logs are kept: a line for each, or JSON.
//!
//! Owns what a line says: what became of a run as far as its log tells, and whether it died.

use std::time::Duration;

use serde::Serialize;

use crate::event::Tally;

use super::journal::Events;
use super::paint::Paint;
use super::{Words, table, words};
use crate::state::runs::RunLog;

/// A run.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What it is called.
    pub id: String,
    /// When it began.
    pub began: String,
    /// How long it took, or was seen to live, in milliseconds.
    pub took_ms: u64,
    /// How it stands.
    pub state: State,
    /// The signal that stopped it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// What became of its images.
    #[serde(flatten)]
    pub tally: Tally,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It came to its end, whatever that was.
    Finished,
    /// A process writes its log.
    Running,
    /// Its log has no end, and no process writes it.
    Died,
    /// Its log can't be read.
    Unreadable,
}

/// Reads what became of a run.
pub fn read(run: &RunLog) -> Row {
    let mut state = if run.is_written() { State::Running } else { State::Died };
    let mut tally = Tally::default();
    let events = Events::of(run).and_then(|events| {
        events.only_facts().try_for_each(|event| {
            tally.take(&event?);
            Ok(())
        })
    });
    if tally.is_over {
        state = State::Finished;
    }
    if events.is_err() {
        state = State::Unreadable;
    }
    Row {
        id: run.id.clone(),
        began: run.began.to_string(),
        took_ms: words::millis(tally.took),
        state,
        signal: tally.signal,
        tally,
    }
}

/// A table, a line for each run below the headings.
pub fn draw(rows: &[Row]) -> String {
    let head = ["RUN", "BEGAN", "TOOK", "IMAGES"].map(Words::from);
    let lines = rows.iter().map(|row| {
        let took = words::duration(Duration::from_millis(row.took_ms));
        let began = row.began.split('.').next().unwrap_or_default().replace('T', " ");
        [row.id.clone().into(), (began + " UTC").into(), took.into(), describe(row)]
    });
    table::draw(std::iter::once(head).chain(lines))
}

/// `3 built, 1 failed of 5 images`, and before it what is odd.
fn describe(row: &Row) -> Words {
    let counts = words::counts(&row.tally, Paint::plain());
    let signal = row.signal.map(words::signal_name);
    let words = match (row.state, signal) {
        (State::Finished, None) => counts,
        (State::Finished, Some(signal)) => format!("stopped by {signal}: {counts}"),
        (State::Running, _) => format!("running: {counts}"),
        (State::Died, _) => format!("died: {counts}"),
        (State::Unreadable, _) => return "its log can't be read".into(),
    };
    words.into()
}
