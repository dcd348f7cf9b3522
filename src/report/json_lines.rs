//! A run as JSON lines.
//!
//! Owns the format of the stream, which is the same as that of a run's log: a line with the version and the
//! time when the run started, then one event per line. `docs/events.md` describes the events.

use std::io::{self, Write};

use super::Reporter;
use super::clean::visible_json;
use crate::base::clock::UnixTime;
use crate::event::TimedEvent;
use crate::state::runs::LogHeader;

/// Writes each event when it happens.
pub struct JsonLines<W> {
    to: W,
    head: Option<LogHeader>,
}

impl<W: Write> JsonLines<W> {
    /// Creates a reporter that writes to `to`, for a run that starts at this time.
    pub fn new(to: W, began: UnixTime) -> JsonLines<W> {
        JsonLines { to, head: Some(LogHeader::of(began)) }
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        // A single write, so that other output to the same stream does not split the line.
        let line = visible_json(serde_json::to_string(value)?) + "\n";
        self.to.write_all(line.as_bytes())
    }
}

impl<W: Write> Reporter for JsonLines<W> {
    fn show(&mut self, event: &TimedEvent) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            self.line(&head)?;
        }
        self.line(event)?;
        self.to.flush()
    }
}
