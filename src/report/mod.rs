//! Saying what happened: one file per way of saying it.
//!
//! Owns every sentence about a run and every character that reaches the terminal; nothing else
//! prints. Each reporter is a function of the event stream. What a build wrote is not to be
//! trusted and passes through `clean` before it is shown.

use std::borrow::Cow;
use std::io;

use crate::event::Stamped;

pub mod affected;
pub mod annotations;
pub mod clean;
pub mod diagnostics;
pub mod diagnostics_json;
pub mod diff;
pub mod github;
pub mod journal;
pub mod json_lines;
pub mod live;
pub mod page;
pub mod paint;
pub mod pins;
pub mod plain;
pub mod plan;
pub mod reasons;
pub mod retell;
pub mod runs;
pub mod say;
pub mod summary;
pub mod table;
pub mod timeline;
pub mod trace;
pub mod why;
pub mod words;

/// A sentence, or a piece of one: many are always the same.
type Words = Cow<'static, str>;

/// Something that shows a run while it goes on.
pub trait Reporter {
    /// Shows one event.
    ///
    /// # Errors
    /// Where it can't be written.
    fn show(&mut self, event: &Stamped) -> io::Result<()>;
}
