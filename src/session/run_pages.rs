//! The page and the trace of a run.
//!
//! Owns where `layers build` writes them, and which earlier run a page compares its run with.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::base::clock::UnixTime;
use crate::base::screen::visible_path;
use crate::report::journal::Events;
use crate::report::page::{self, PreviousRun, RunMetadata};
use crate::report::timeline::Timeline;
use crate::report::{printer, trace};
use crate::state::RepositoryState;
use crate::state::runs::{self, RunLog};
use crate::workspace::Invocation;

use super::observers::RunRecord;

/// The file name of a run's page in its directory.
pub const PAGE: &str = "report.html";

/// Reads a run from its log.
///
/// # Errors
/// Returns an error if the log cannot be read.
pub fn read(run: &RunLog) -> anyhow::Result<Timeline> {
    timeline_of(Events::of(run)?)
}

fn timeline_of(mut events: Events) -> anyhow::Result<Timeline> {
    let mut timeline = Timeline::default();
    events.try_for_each(|event| event.map(|event| timeline.take(&event)))?;
    Ok(timeline)
}

/// Draws the page of a run, compared with the first of the older runs that shares an image with it.
pub fn draw<'a>(
    run: &Timeline,
    metadata: &RunMetadata<'_>,
    older: impl IntoIterator<Item = &'a RunLog>,
) -> String {
    let shares = |other: &Timeline| {
        let begun = run.images.iter().filter(|track| track.started.is_some());
        begun.into_iter().any(|track| other.find(&track.name).is_some())
    };
    // The output of steps is not needed. Runs that cannot be read any more are skipped.
    let facts = |run: &RunLog| timeline_of(Events::of(run)?.only_facts());
    let mut read = older.into_iter().filter_map(|older| Some((older, facts(older).ok()?)));
    let found = read.find(|(_, other)| shares(other));
    let prior =
        found.as_ref().map(|(kept, run)| PreviousRun { id: &kept.id, began: kept.began, run });
    page::of_run(run, metadata, prior.as_ref())
}

/// What `layers build` writes after the run.
pub struct PagesOption<'a> {
    /// The page, with its path if that is not in the run's directory.
    pub page: Option<&'a Option<PathBuf>>,
    /// The path of the trace.
    pub trace: Option<&'a PathBuf>,
    /// The directory that these paths are relative to.
    pub start: &'a Path,
}

impl PagesOption<'_> {
    /// Returns whether anything is to be written.
    pub fn is_any(&self) -> bool {
        self.page.is_some() || self.trace.is_some()
    }

    /// Writes the files, and prints their paths to stderr: stdout may carry the events. Only warns if the page cannot be
    /// written to the run's directory, like a log.
    ///
    /// # Errors
    /// Returns an error if a file that the command line names cannot be written.
    pub fn write(
        &self,
        record: RunRecord,
        began: UnixTime,
        state: &RepositoryState,
        at: &Invocation,
    ) -> anyhow::Result<()> {
        let Some(run) = record.timeline else { return Ok(()) };
        let id = record.directory.as_deref().and_then(Path::file_name).unwrap_or_default();
        let id = id.to_string_lossy().into_owned();
        if let Some(file) = self.trace {
            printer::file(&self.start.join(file), &trace::draw(&run, &id))?;
            printer::note(&format!("trace: {}\n", visible_path(file)))?;
        }
        let Some(page) = self.page else { return Ok(()) };
        let (path, name) = match (page, &record.directory) {
            (Some(file), _) => (self.start.join(file), file.clone()),
            (None, Some(directory)) => (directory.join(PAGE), directory.join(PAGE)),
            (None, None) if record.lacks_log => {
                return warn_unwritten(
                    &"the run has no directory, because its log can't be written",
                    at,
                );
            }
            (None, None) => {
                return printer::note("no report: nothing was built, so the run has no log\n");
            }
        };
        let metadata = RunMetadata { id: &id, began, is_written: false };
        let kept = runs::all(state);
        let older = kept.iter().rev().filter(|kept| kept.id != id && kept.began <= began);
        match (printer::file(&path, &draw(&run, &metadata, older)), page) {
            (Err(error), None) => warn_unwritten(&format!("{error:#}"), at),
            (written, _) => {
                written?;
                printer::note(&format!("report: {}\n", visible_path(&name)))
            }
        }
    }
}

fn warn_unwritten(why: &dyn Display, at: &Invocation) -> anyhow::Result<()> {
    let message = format!("no report: {why}\nhint: to write it elsewhere, pass --timings=FILE");
    printer::warning(&message, at.paint)
}
