//! All output about what happened, with one file per format.
//!
//! Owns every sentence about a run and every character that is sent to the terminal; no other module prints.
//! Each reporter is a function of the event stream. Output of a build is not trusted and passes through
//! `clean` before it is shown.

use std::borrow::Cow;
use std::io;

use crate::event::TimedEvent;

pub mod affected;
pub mod annotations;
pub mod clean;
pub mod comparison;
pub mod diagnostics;
pub mod diagnostics_json;
pub mod diff;
pub mod github;
pub mod images;
pub mod journal;
pub mod json_lines;
pub mod live;
pub mod page;
pub mod paint;
pub mod phrases;
pub mod pins;
pub mod plain;
pub mod plan;
pub mod printer;
pub mod reasons;
pub mod references;
pub mod replay;
pub mod runs;
pub mod summary;
pub mod table;
pub mod timeline;
pub mod trace;
pub mod why;

/// A sentence or a part of one. Many are constants.
type Phrase = Cow<'static, str>;

/// A format that shows a run while it is in progress.
pub trait Reporter {
    /// Shows an event.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    fn show(&mut self, event: &TimedEvent) -> io::Result<()>;
}
