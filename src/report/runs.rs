//! The runs whose logs are kept: a line for each, or JSON.
//!
//! Owns what a line says: what became of a run as far as its log tells, and whether it died.

use serde::Serialize;

use crate::event::Event;

use super::clean::visible_json;
use super::journal::Events;
use super::paint::Paint;
use super::summary::{Counts, Summary};
use super::words;
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
    pub counts: Counts,
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
    let mut summary = Summary::default();
    let mut signal = None;
    let events = Events::of(run).and_then(|events| {
        events.only_facts().try_for_each(|event| {
            let event = event?;
            summary.take(&event);
            match event.event {
                Event::RunFinished => state = State::Finished,
                Event::Interrupted { signal: number } => signal = Some(number),
                _ => {}
            }
            Ok(())
        })
    });
    if events.is_err() {
        state = State::Unreadable;
    }
    Row {
        id: run.id.clone(),
        began: run.began.to_string(),
        took_ms: u64::try_from(summary.took().as_millis()).unwrap_or(u64::MAX),
        state,
        signal,
        counts: summary.counts(),
    }
}

/// A table, a line for each run below the headings.
pub fn draw(rows: &[Row]) -> String {
    let mut lines = vec![["RUN", "BEGAN", "TOOK", "IMAGES"].map(str::to_owned)];
    for row in rows {
        let time = std::time::Duration::from_millis(row.took_ms);
        let began = row.began.split('.').next().unwrap_or_default().replace('T', " ");
        lines.push([row.id.clone(), began + " UTC", words::duration(time), describe(row)]);
    }
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let [a, b, c]: [usize; 3] = std::array::from_fn(width);
    let lines = lines
        .iter()
        .map(|[id, began, took, images]| format!("{id:<a$}  {began:<b$}  {took:<c$}  {images}\n"));
    lines.collect()
}

/// `3 built, 1 failed of 5 images`, and before it what is odd.
fn describe(row: &Row) -> String {
    let counts = row.counts.draw(Paint::plain());
    let signal = row.signal.map(words::signal_name);
    match (row.state, signal) {
        (State::Finished, None) => counts,
        (State::Finished, Some(signal)) => format!("stopped by {signal}: {counts}"),
        (State::Running, _) => format!("running: {counts}"),
        (State::Died, _) => format!("died: {counts}"),
        (State::Unreadable, _) => "its log can't be read".to_owned(),
    }
}

/// All of it as JSON.
///
/// # Errors
/// Never in practice: all of it is text and numbers.
pub fn draw_json(rows: &[Row]) -> anyhow::Result<String> {
    Ok(visible_json(serde_json::to_string_pretty(rows)?) + "\n")
}
