//! The observers of a run's events: the log, the view, the summary, and the state that later runs use.
//!
//! Owns their order, and that none of them can end a run: what one of them failed to do is reported after the run.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::base::clock::UnixTime;
use crate::cli::Progress;
use crate::event::{Event, EventSink, Operation, Tally, TimedEvent};
use crate::exit::Exit;
use crate::plan::FreshnessCheck;
use crate::report::github::Groups;
use crate::report::journal::Journal;
use crate::report::json_lines::JsonLines;
use crate::report::live::{Live, Terminal};
use crate::report::plain::PlainPrinter;
use crate::report::summary::{LogLocation, Summary};
use crate::report::timeline::Timeline;
use crate::report::{Reporter, printer};
use crate::state::RepositoryState;
use crate::workspace::Invocation;

/// All observers of a run.
pub struct Observers {
    journal: Journal,
    /// Why the log is incomplete.
    unkept: Option<io::Error>,
    view: Option<Box<dyn Reporter>>,
    /// Whether the view could be shown.
    shown: io::Result<()>,
    summary: Summary,
    /// The images of the run that are now known to be built from their Dockerfiles, by name.
    images: BTreeMap<Arc<str>, CompletedImage>,
    /// How long builds took.
    took: Vec<(Arc<str>, Duration)>,
    /// How long images waited for other runs, which is not part of their builds.
    waited: BTreeMap<Arc<str>, Duration>,
    /// The timeline of the run, if it is to be shown.
    timeline: Option<Timeline>,
}

/// What remains of a run when all observers are done.
pub struct RunRecord {
    /// The counts of how its images ended.
    pub tally: Tally,
    /// Its timeline, if requested.
    pub timeline: Option<Timeline>,
    /// Its images that were built or found, by name.
    pub images: BTreeMap<Arc<str>, CompletedImage>,
    /// The directory of its log, if there is one.
    pub directory: Option<PathBuf>,
    /// Whether its log could not be written.
    pub lacks_log: bool,
}

/// An image that was built or found.
pub struct CompletedImage {
    /// Its ID in the engine.
    pub image_id: String,
    /// Its reference by digest, if only the registry has it.
    pub registry: Option<String>,
}

impl EventSink for Observers {
    fn receive(&mut self, event: &TimedEvent) {
        // The log comes first: it is kept whatever happens to the screen.
        if self.unkept.is_none() {
            self.unkept = self.journal.show(event).err();
        }
        self.remember(event);
        self.summary.take(event);
        if let Some(timeline) = &mut self.timeline {
            timeline.take(event);
        }
        if let Some(view) = self.view.as_mut().filter(|_| self.shown.is_ok()) {
            self.shown = view.show(event);
        }
        if matches!(event.event, Event::RunFinished) {
            self.view = None;
        }
    }

    fn flush(&mut self) {
        if self.unkept.is_none() {
            self.unkept = self.journal.flush().err();
        }
    }
}

impl Observers {
    /// Returns the observers of a run that starts at the given time and is shown by `view`. With `keeps_timeline`, they
    /// record a timeline, to be shown after the run.
    pub fn new(
        view: Option<Box<dyn Reporter>>,
        began: UnixTime,
        state: &RepositoryState,
        keeps_timeline: bool,
    ) -> Observers {
        Observers {
            journal: Journal::new(state, began),
            unkept: None,
            view,
            shown: Ok(()),
            summary: Summary::default(),
            images: BTreeMap::new(),
            took: Vec::new(),
            waited: BTreeMap::new(),
            timeline: keeps_timeline.then(Timeline::default),
        }
    }

    fn remember(&mut self, event: &TimedEvent) {
        match &event.event {
            // A build with all steps cached does not predict how long the next one takes.
            Event::ImageBuilt { image_id, steps, took, .. } => {
                self.complete(event, image_id, None);
                if let Some(image) = event.image.as_ref().filter(|_| steps.ran > 0) {
                    let waited = self.waited.get(&image.name).copied().unwrap_or_default();
                    self.took.push((Arc::clone(&image.name), took.saturating_sub(waited)));
                }
            }
            Event::OperationFinished { operation: Operation::WaitingForRun, took, .. } => {
                if let Some(image) = &event.image {
                    *self.waited.entry(Arc::clone(&image.name)).or_default() += *took;
                }
            }
            Event::ImageFresh { image_id, registry, .. } => {
                self.complete(event, image_id, registry.as_ref());
            }
            _ => {}
        }
    }

    fn complete(&mut self, event: &TimedEvent, image_id: &str, registry: Option<&String>) {
        let Some(image) = &event.image else { return };
        let completed =
            CompletedImage { image_id: image_id.to_owned(), registry: registry.cloned() };
        self.images.insert(Arc::clone(&image.name), completed);
    }

    /// Ends the run: saves the state that later runs use, and prints how the run ended.
    ///
    /// # Errors
    /// Returns an error if that cannot be printed, or if the run could not be shown.
    pub fn leave(
        mut self,
        freshness: &FreshnessCheck<'_>,
        at: &Invocation,
    ) -> anyhow::Result<RunRecord> {
        let state = &freshness.state;
        // Without them, the next run sends the engine one more request per image; nothing else depends
        // on them.
        let built = self.images.values().map(|image| image.image_id.clone()).collect();
        drop(state.keep_built(&freshness.built, built));
        if !self.took.is_empty() {
            // Without them, the next run starts images in a worse order; nothing else depends on
            // them.
            drop(state.keep_durations(&self.took));
        }
        state.sweep();
        let lacks_log = self.unkept.is_some();
        match (self.unkept, state.trouble()) {
            (Some(_), Some(why)) => warn_unkept(&why, at)?,
            (Some(error), None) => warn_unkept(&error, at)?,
            (None, trouble) => {
                trouble.map_or(Ok(()), |trouble| printer::warning(&trouble, at.paint))?;
                if self.journal.is_begun() {
                    self.summary.log = Some(LogLocation::Last);
                }
            }
        }
        let summary = self.summary.draw(at.paint);
        match Exit::from(&self.summary.tally) {
            Exit::Done => printer::note(&summary)?,
            _ => printer::err(&summary)?,
        }
        printer::unless_closed(self.shown).context("can't show the progress")?;
        let directory = self.journal.directory().map(Path::to_owned);
        let Observers { summary, timeline, images, .. } = self;
        Ok(RunRecord { tally: summary.tally, timeline, images, directory, lacks_log })
    }
}

fn warn_unkept(why: &dyn Display, at: &Invocation) -> anyhow::Result<()> {
    printer::warning(&format!("can't write the log of this run: {why}"), at.paint)
}

/// Returns what shows a run that starts at the given time, or `None` if the run is quiet.
pub fn view_of(
    progress: Progress,
    began: UnixTime,
    root: &Path,
    at: &Invocation,
) -> Option<Box<dyn Reporter>> {
    let live = match progress {
        Progress::Auto => at.environment.can_draw(),
        Progress::Tty => true,
        Progress::Plain => false,
        Progress::Json => return Some(Box::new(JsonLines::new(printer::data_stream(), began))),
        Progress::Quiet => return None,
    };
    Some(if live {
        Box::new(Live::start(Terminal::of_stderr(at.environment.rewraps()), at.paint))
    } else if at.environment.is_in_actions() {
        Box::new(Groups::new(io::stderr(), at.environment.below_workspace(root)))
    } else {
        Box::new(PlainPrinter(printer::words_stream()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RunImage, StepCounts};

    #[test]
    fn waiting_for_another_run_does_not_count_as_build_time() {
        let directory = tempfile::tempdir().unwrap();
        let state = RepositoryState::of(directory.path());
        let mut observers = Observers::new(None, UnixTime::default(), &state, false);
        let operated = |operation, seconds| {
            let (sent, took) = (None, Duration::from_secs(seconds));
            Event::OperationFinished { operation, sent, took }
        };
        let built = Event::ImageBuilt {
            image_id: "sha256:1".to_owned(),
            references: Vec::new(),
            steps: StepCounts { ran: 1, cached: 0 },
            size: None,
            took: Duration::from_secs(9),
        };
        let events =
            [operated(Operation::WaitingForRun, 5), operated(Operation::Exporting, 3), built];
        for event in events {
            let image = Some(RunImage::new(0, "base"));
            observers.receive(&TimedEvent { at: Duration::ZERO, image, event });
        }
        assert_eq!(observers.took, [("base".into(), Duration::from_secs(4))]);
    }
}
