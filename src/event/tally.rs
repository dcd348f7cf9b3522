//! How a run stands, counted: the one fold over events that summaries, lists of runs, pages and exit
//! codes share.

use std::time::Duration;

use serde::Serialize;

use super::{Event, FailureKind, Listener, Stamped};

/// What became of a run and its images so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All images of the run.
    pub images: usize,
    /// Images that were built.
    pub built: usize,
    /// Images for which there was nothing to do.
    pub fresh: usize,
    /// Of those, the ones that only the registry holds.
    pub in_registry: usize,
    /// Images that could not be built.
    pub failed: usize,
    /// Images whose build was cancelled.
    pub cancelled: usize,
    /// Images that were not begun.
    pub skipped: usize,
    /// Images that have arrived in the registry.
    #[serde(skip)]
    pub pushed: usize,
    /// Images that could not be sent there.
    #[serde(skip)]
    pub unpushed: usize,
    /// Whether a failure was the machinery's.
    #[serde(skip)]
    pub machinery_failed: bool,
    /// The signal that stopped the run, if one did.
    #[serde(skip)]
    pub signal: Option<i32>,
    /// Whether the run came to its end, whatever that was.
    #[serde(skip)]
    pub is_over: bool,
    /// When the last event happened, since the run began.
    #[serde(skip)]
    pub took: Duration,
}

impl Tally {
    /// Counts an event.
    pub fn take(&mut self, event: &Stamped) {
        self.took = event.at;
        match &event.event {
            Event::RunStarted { images, .. } => self.images = images.len(),
            Event::ImageBuilt { .. } => self.built += 1,
            Event::ImageFresh { registry, .. } => {
                self.fresh += 1;
                self.in_registry += usize::from(registry.is_some());
            }
            Event::ImageFailed { failure, .. } => {
                self.failed += 1;
                self.machinery_failed |= failure.kind == FailureKind::Machinery;
            }
            Event::ImageCancelled { .. } => self.cancelled += 1,
            Event::ImageSkipped { .. } => self.skipped += 1,
            Event::ImagePushed { .. } => self.pushed += 1,
            Event::PushFailed { .. } => self.unpushed += 1,
            Event::NotReleased { message } => self.machinery_failed |= message.is_some(),
            Event::Interrupted { signal } => self.signal = Some(*signal),
            Event::RunFinished => self.is_over = true,
            _ => {}
        }
    }

    /// How many images have ended.
    pub fn ended(&self) -> usize {
        self.built + self.fresh + self.failed + self.cancelled + self.skipped
    }
}

impl Listener for Tally {
    fn hear(&mut self, event: &Stamped) {
        self.take(event);
    }
}
