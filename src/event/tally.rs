//! The counts and the state of a run: the only fold over events. Summaries, lists of runs, pages, and exit
//! codes share it.

use std::time::Duration;

use serde::Serialize;

use super::{Event, EventSink, FailureKind, TimedEvent};

/// What happened to a run and its images so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All images of the run.
    pub images: usize,
    /// Images that were built.
    pub built: usize,
    /// Images that were up to date.
    pub fresh: usize,
    /// The up-to-date images that only the registry has.
    pub in_registry: usize,
    /// Images that could not be built.
    pub failed: usize,
    /// Images whose build was canceled.
    pub canceled: usize,
    /// Images that were not started.
    pub skipped: usize,
    /// Images that were pushed to the registry.
    #[serde(skip)]
    pub pushed: usize,
    /// Images whose push failed.
    #[serde(skip)]
    pub unpushed: usize,
    /// Images that were queued for a push, whether it has ended or not.
    #[serde(skip)]
    pub queued: usize,
    /// Images whose push was canceled.
    #[serde(skip)]
    pub push_canceled: usize,
    /// Whether the infrastructure caused a failure.
    #[serde(skip)]
    pub machinery_failed: bool,
    /// The signal that interrupted the run, if any.
    #[serde(skip)]
    pub signal: Option<i32>,
    /// Whether the run is complete, successfully or not.
    #[serde(skip)]
    pub is_over: bool,
    /// The time of the last event, since the start of the run.
    #[serde(skip)]
    pub took: Duration,
}

impl Tally {
    /// Counts an event.
    pub fn take(&mut self, event: &TimedEvent) {
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
            Event::ImageCanceled { .. } => self.canceled += 1,
            Event::ImageSkipped { .. } => self.skipped += 1,
            Event::PushQueued => self.queued += 1,
            Event::ImagePushed { .. } => self.pushed += 1,
            Event::PushFailed { .. } => self.unpushed += 1,
            Event::PushCanceled => self.push_canceled += 1,
            Event::NotReleased { message } => self.machinery_failed |= message.is_some(),
            Event::Interrupted { signal } => self.signal = Some(*signal),
            Event::RunFinished => self.is_over = true,
            _ => {}
        }
    }

    /// Returns how many images are finished, and in the registry if they are pushed.
    pub fn arrived(&self) -> usize {
        let pending = self.queued.saturating_sub(self.pushed + self.unpushed + self.push_canceled);
        self.ended().saturating_sub(pending)
    }

    /// Returns how many images are finished.
    pub fn ended(&self) -> usize {
        self.built + self.fresh + self.failed + self.canceled + self.skipped
    }
}

impl EventSink for Tally {
    fn receive(&mut self, event: &TimedEvent) {
        self.take(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_are_pushed_arrive_in_the_registry() {
        let mut tally = Tally::default();
        let mut check = |event: Event, expected: usize| {
            tally.take(&TimedEvent { at: Duration::ZERO, image: None, event });
            assert_eq!(tally.arrived(), expected);
        };
        let fresh = || Event::ImageFresh {
            image_id: String::new(),
            tagged: Vec::new(),
            size: None,
            registry: None,
        };
        check(Event::PushQueued, 0);
        check(fresh(), 0);
        check(fresh(), 1);
        check(Event::PushStarted, 1);
        let pushed = Event::ImagePushed { reference: String::new(), took: Duration::ZERO };
        check(pushed, 2);
    }
}
