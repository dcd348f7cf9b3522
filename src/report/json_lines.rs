//! A run as lines of JSON, for programs.
//!
//! Owns the form of that stream, which is the form of the log of a run: a line that says the version
//! and when the run began, then an event a line. `docs/events.md` describes them.

use std::io::{self, Write};

use super::Reporter;
use super::clean::visible_json;
use crate::base::clock::UnixTime;
use crate::event::Stamped;
use crate::state::runs::Head;

/// Writes each event as it happens.
pub struct JsonLines<W> {
    to: W,
    head: Option<Head>,
}

impl<W: Write> JsonLines<W> {
    /// The lines of a run that begins at a moment, to `to`.
    pub fn new(to: W, began: UnixTime) -> JsonLines<W> {
        JsonLines { to, head: Some(Head::of(began)) }
    }

    fn line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        // In one piece: what else is written to the same place comes before or after it.
        let line = visible_json(serde_json::to_string(value)?) + "\n";
        self.to.write_all(line.as_bytes())
    }
}

impl<W: Write> Reporter for JsonLines<W> {
    fn show(&mut self, event: &Stamped) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            self.line(&head)?;
        }
        self.line(event)?;
        self.to.flush()
    }
}
