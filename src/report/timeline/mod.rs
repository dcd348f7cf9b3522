//! The times of a run: when each image was built, in which slot, and what it waited for.
//!
//! Owns what the page and the trace of a run have in common, as a function of its events. It contains no
//! sentences and does not clean text; the code that shows it does. A log can be incomplete, damaged, or of an
//! older version, so nothing is assumed: an image that was not listed at the start is added.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{clean, phrases};
use crate::event::{Event, Failure, Skip, StepCounts, StepInfo, TAIL, Tally, TimedEvent};
use crate::graph::evaluate::DependencyKind;
use crate::plan::Reason;

mod critical_path;
#[cfg(test)]
pub(in crate::report) mod fixture;
mod operations;
#[cfg(test)]
mod tests;

pub use critical_path::{CriticalImage, WaitCause};
pub use operations::OperationSpan;

/// A run, by image.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The engine and its version.
    pub engine: String,
    /// The command line, if it is known.
    pub command: Option<String>,
    /// The maximum number of images built at the same time.
    pub jobs: usize,
    /// The images in dependency order.
    pub images: Vec<ImageTimeline>,
    /// The time of the last event.
    pub took: Duration,
    /// The counts.
    pub tally: Tally,
    by_name: HashMap<Arc<str>, usize>,
    /// The slots that are in use.
    slots: Vec<bool>,
    /// The number of events so far.
    events_seen: usize,
}

/// The outcome of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No outcome yet.
    #[default]
    Waiting,
    /// It was started, and there is no event about its end.
    Running,
    /// It was built.
    Built,
    /// It was built, and all steps were cached.
    Cached,
    /// It was up to date.
    Fresh,
    /// It could not be built.
    Failed,
    /// Its build was canceled.
    Canceled,
    /// It was not started.
    Skipped,
}

/// A moment of a run. Moments with the same time have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The number of earlier events.
    pub order: usize,
    /// The time since the start of the run.
    pub at: Duration,
}

/// The events about one image.
#[derive(Debug, Default)]
pub struct ImageTimeline {
    /// Its name.
    pub name: Arc<str>,
    /// Its parents among the images of the run, with the kinds of dependency.
    pub parents: Vec<(usize, DependencyKind)>,
    /// The expected build time.
    pub expected: Option<Duration>,
    /// Its outcome.
    pub outcome: Outcome,
    /// When it got a slot.
    pub started: Option<Moment>,
    /// When its outcome was known.
    pub ended: Option<Moment>,
    /// Its slot: the lowest one that was free.
    pub slot: Option<usize>,
    /// Why it was built.
    pub reason: Option<Reason>,
    /// Its steps in the order in which they started.
    pub steps: Vec<StepSpan>,
    /// The numbers of steps that ran and that were cached, if the build succeeded.
    pub counts: Option<StepCounts>,
    /// Its ID.
    pub image_id: Option<String>,
    /// Its references, including those that were restored.
    pub references: Vec<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The warnings of the engine.
    pub warnings: Vec<String>,
    /// The failed attempts, as text.
    pub retries: Vec<String>,
    /// Its operations in the order in which they started.
    pub operations: Vec<OperationSpan>,
    /// Its pulls and pushes, in order and as text.
    pub passages: Vec<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it was not started.
    pub because: Option<Skip>,
    /// The last output lines of its steps.
    pub tail: VecDeque<String>,
}

/// A step of an image.
#[derive(Debug, Default)]
pub struct StepSpan {
    /// The step.
    pub step: Arc<StepInfo>,
    /// When it started.
    pub from: Duration,
    /// When it or its image ended. `None` while it is running.
    pub to: Option<Duration>,
    /// Whether its result was cached.
    pub cached: bool,
    /// Whether it failed or was canceled.
    pub broke: bool,
}

impl ImageTimeline {
    /// Returns how long it had a slot, if it had one and released it.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.at.saturating_sub(self.started?.at))
    }

    fn begin_step(&mut self, step: &Arc<StepInfo>, at: Duration) {
        self.steps.push(StepSpan { step: Arc::clone(step), from: at, ..StepSpan::default() });
    }

    fn end_step(&mut self, step: &Arc<StepInfo>, cached: bool, (at, took): (Duration, Duration)) {
        let begun = self.started.map(|moment| moment.at).unwrap_or_default();
        let from = at.saturating_sub(as_written(took)).max(begun).min(at);
        let done = StepSpan { step: Arc::clone(step), from, to: Some(at), cached, broke: false };
        let is_it = |work: &&mut StepSpan| work.to.is_none() && work.step == *step;
        match self.steps.iter_mut().rev().find(is_it) {
            Some(open) => *open = done,
            // The start of a cached step is not reported.
            None => self.steps.push(done),
        }
    }

    /// Steps and operations that are still running when an image or an attempt ends have failed or were canceled.
    fn end_all(&mut self, at: Duration) {
        for work in self.steps.iter_mut().filter(|work| work.to.is_none()) {
            (work.to, work.broke) = (Some(at), true);
        }
        self.end_operations(at);
    }
}

/// Returns a time with the precision of a log, so that live runs and logs give the same result.
fn as_written(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX))
}

impl Timeline {
    /// Returns the timeline of all events of a run.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a TimedEvent>) -> Timeline {
        let mut timeline = Timeline::default();
        events.into_iter().for_each(|event| timeline.take(event));
        timeline
    }

    /// Records an event.
    pub fn take(&mut self, event: &TimedEvent) {
        let now = Moment { order: self.events_seen, at: as_written(event.at).max(self.took) };
        self.events_seen += 1;
        self.tally.take(event);
        self.took = now.at;
        let at = event.at;
        match &event.event {
            Event::RunStarted { engine, command, jobs, images, edges, expected } => {
                self.engine.clone_from(engine);
                self.command.clone_from(command);
                self.jobs = *jobs;
                for image in images {
                    self.index(image);
                }
                for (image, time) in expected {
                    let image = self.index(image);
                    self.images[image].expected = Some(*time);
                }
                for edge in edges {
                    let (image, parent) = (self.index(&edge.image), self.index(&edge.parent));
                    self.images[image].parents.push((parent, edge.kind));
                }
            }
            happened => {
                let Some(image) = &event.image else { return };
                let image = self.index(&image.name);
                self.images[image].take_operation(happened, as_written(at));
                if matches!(happened, Event::ImageStarted) {
                    self.start(image, now);
                // Events inside a build are reported with a delay.
                } else if let Some(outcome) = self.images[image].take(happened, as_written(at)) {
                    self.end(image, outcome, now);
                }
            }
        }
    }

    /// Returns the time at which all dependencies of an image were available.
    pub fn ready(&self, image: usize) -> Duration {
        let parents = self.images[image].parents.iter();
        let ends = parents.filter_map(|(dependency, _)| self.images.get(*dependency)?.ended);
        ends.map(|end| end.at).max().unwrap_or_default()
    }

    /// Returns the image with this name.
    pub fn find(&self, name: &str) -> Option<&ImageTimeline> {
        self.by_name.get(name).map(|index| &self.images[*index])
    }

    fn index(&mut self, image: &Arc<str>) -> usize {
        *self.by_name.entry(Arc::clone(image)).or_insert_with(|| {
            self.images.push(ImageTimeline { name: Arc::clone(image), ..ImageTimeline::default() });
            self.images.len() - 1
        })
    }

    fn start(&mut self, image: usize, now: Moment) {
        let slot = self.slots.iter().position(|is_used| !is_used).unwrap_or_else(|| {
            self.slots.push(false);
            self.slots.len() - 1
        });
        self.slots[slot] = true;
        let track = &mut self.images[image];
        track.started = Some(now);
        track.slot = Some(slot);
        track.outcome = Outcome::Running;
    }

    fn end(&mut self, image: usize, outcome: Outcome, now: Moment) {
        let track = &mut self.images[image];
        track.outcome = outcome;
        track.ended = Some(now);
        track.end_all(now.at);
        if let Some(slot) = track.slot {
            self.slots[slot] = false;
        }
    }
}

impl ImageTimeline {
    /// Records a pull or a push.
    fn pass(&mut self, what: &str, reference: &str, took: Duration) {
        let (reference, took) = (clean::line(reference), phrases::duration(took));
        self.passages.push(format!("{what} {reference} in {took}"));
    }

    /// Records an event about the image. Returns its outcome if the event is its end.
    fn take(&mut self, event: &Event, at: Duration) -> Option<Outcome> {
        match event {
            Event::ImageStale { reason } => self.reason = Some(reason.clone()),
            Event::ImageRetried { attempt, message, wait } => {
                self.end_all(at);
                self.retries.push(phrases::tried_again(*attempt, message, *wait));
            }
            Event::StepStarted { step } => self.begin_step(step, at),
            Event::StepFinished { step, cached, took } => {
                self.end_step(step, *cached, (at, *took));
            }
            Event::Output { line, .. } => {
                if self.tail.len() == TAIL {
                    self.tail.pop_front();
                }
                self.tail.push_back(line.clone());
            }
            Event::Warning { message } => self.warnings.push(message.clone()),
            Event::ImagePulled { reference, took } => self.pass("pulled", reference, *took),
            Event::ImagePushed { reference, took } => self.pass("pushed as", reference, *took),
            Event::PushFailed { message } => self.passages.push(phrases::push_failed(message)),
            Event::PushCanceled => self.passages.push("push canceled".to_owned()),
            Event::ImageFresh { image_id, tagged, size, registry, .. } => {
                let location = registry.as_deref().map(clean::line);
                self.passages.extend(location.map(|at| format!("in the registry as {at}")));
                self.image_id = Some(image_id.clone());
                self.references.clone_from(tagged);
                self.size = *size;
                return Some(Outcome::Fresh);
            }
            Event::ImageBuilt { image_id, references, steps, size, .. } => {
                self.image_id = Some(image_id.clone());
                self.references.clone_from(references);
                self.counts = Some(*steps);
                self.size = *size;
                return Some(if steps.are_all_cached() { Outcome::Cached } else { Outcome::Built });
            }
            Event::ImageFailed { failure, .. } => {
                self.failure = Some(failure.clone());
                return Some(Outcome::Failed);
            }
            Event::ImageSkipped { because } => {
                self.because = Some(because.clone());
                return Some(Outcome::Skipped);
            }
            Event::ImageCanceled { .. } => return Some(Outcome::Canceled),
            Event::OperationStarted { .. }
            | Event::OperationProgress { .. }
            | Event::OperationFinished { .. }
            | Event::ImageStarted
            | Event::PushQueued
            | Event::PushStarted
            | Event::PushProgress { .. }
            | Event::Released { .. }
            | Event::NotReleased { .. }
            | Event::RunStarted { .. }
            | Event::Waiting { .. }
            | Event::Interrupted { .. }
            | Event::RunFinished => {}
        }
        None
    }
}
