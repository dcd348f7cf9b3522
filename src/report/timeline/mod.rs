//! A run as times: which image was built when, in which place, and what it waited for.
//!
//! Owns what the page and the trace of a run have in common, as a function of its events. It says
//! nothing in words and cleans nothing; whoever shows its texts does. A log may be torn, damaged or
//! of an older version, so nothing is taken for granted: an image that nobody announced is added.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{clean, words};
use crate::event::{Event, Failure, Skip, Stamped, StepCounts, StepInfo, TAIL, Tally};
use crate::graph::evaluate::NeedKind;
use crate::plan::Reason;

mod chain;
#[cfg(test)]
pub(in crate::report) mod fixture;
#[cfg(test)]
mod tests;

pub use chain::{Link, Wait};

/// All that a run did, by image.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The engine and its version.
    pub engine: String,
    /// How many images were built at once at most.
    pub jobs: usize,
    /// The images in dependency order.
    pub images: Vec<Track>,
    /// When the last event happened.
    pub took: Duration,
    /// How it stands, counted.
    pub tally: Tally,
    by_name: HashMap<Arc<str>, usize>,
    /// Which places are taken.
    places: Vec<bool>,
    /// How many events were taken.
    heard: usize,
}

/// What became of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing yet.
    #[default]
    Waiting,
    /// It has begun, and nobody said that it ended.
    Running,
    /// It was built.
    Built,
    /// It was built, and the engine had the results of all its steps already.
    Cached,
    /// There was nothing to do.
    Fresh,
    /// It could not be built.
    Failed,
    /// Its build was cancelled.
    Cancelled,
    /// It was not begun.
    Skipped,
}

/// A moment of a run, which knows its place among those of the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// How many events came before.
    pub order: usize,
    /// Since the run began.
    pub at: Duration,
}

/// What a run said of one image.
#[derive(Debug, Default)]
pub struct Track {
    /// Its name.
    pub name: Arc<str>,
    /// What it needs of the images of the run, and in which way.
    pub needs: Vec<(usize, NeedKind)>,
    /// How long it was expected to take.
    pub expected: Option<Duration>,
    /// What became of it.
    pub outcome: Outcome,
    /// When a place was given to it.
    pub started: Option<Moment>,
    /// When its fate was known.
    pub ended: Option<Moment>,
    /// The place that was given to it: the lowest that was free.
    pub place: Option<usize>,
    /// Why it was built.
    pub reason: Option<Reason>,
    /// Its steps in the order in which they began.
    pub steps: Vec<Work>,
    /// How many of them ran and were cached, as far as it ended well.
    pub counts: Option<StepCounts>,
    /// Its ID.
    pub image_id: Option<String>,
    /// The references that it has now, or has again.
    pub references: Vec<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What the engine warned of.
    pub warnings: Vec<String>,
    /// Tries that failed, in words.
    pub retries: Vec<String>,
    /// Whether it waited for another run that built the same.
    pub was_blocked: bool,
    /// What passed between it and registries, in order and in words.
    pub passages: Vec<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it was not begun.
    pub because: Option<Skip>,
    /// The last lines that its steps wrote.
    pub tail: VecDeque<String>,
}

/// One step of an image.
#[derive(Debug, Default)]
pub struct Work {
    /// The step.
    pub step: Arc<StepInfo>,
    /// When it began.
    pub from: Duration,
    /// When it ended, or its image did; nothing while it runs.
    pub to: Option<Duration>,
    /// Whether the engine had its result already.
    pub cached: bool,
    /// Whether it came to no good end.
    pub broke: bool,
}

impl Track {
    /// How long it had a place, where it had one and gave it back.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.at.saturating_sub(self.started?.at))
    }

    fn begin_step(&mut self, step: &Arc<StepInfo>, at: Duration) {
        self.steps.push(Work { step: Arc::clone(step), from: at, ..Work::default() });
    }

    fn end_step(&mut self, step: &Arc<StepInfo>, cached: bool, (at, took): (Duration, Duration)) {
        let begun = self.started.map(|moment| moment.at).unwrap_or_default();
        let from = at.saturating_sub(as_written(took)).max(begun).min(at);
        let done = Work { step: Arc::clone(step), from, to: Some(at), cached, broke: false };
        let is_it = |work: &&mut Work| work.to.is_none() && work.step == *step;
        match self.steps.iter_mut().rev().find(is_it) {
            Some(open) => *open = done,
            // Of a cached step nobody says that it begins.
            None => self.steps.push(done),
        }
    }

    /// What still runs when an image or a try of it ends came to no good end.
    fn end_steps(&mut self, at: Duration) {
        for work in self.steps.iter_mut().filter(|work| work.to.is_none()) {
            work.to = Some(at);
            work.broke = true;
        }
    }
}

/// A time as a log holds it, so that a run is the same when it is heard and when it is read.
fn as_written(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX))
}

impl Timeline {
    /// All events of a run.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Stamped>) -> Timeline {
        let mut timeline = Timeline::default();
        events.into_iter().for_each(|event| timeline.take(event));
        timeline
    }

    /// Takes note of an event.
    pub fn take(&mut self, event: &Stamped) {
        let now = Moment { order: self.heard, at: as_written(event.at).max(self.took) };
        self.heard += 1;
        self.tally.take(event);
        self.took = now.at;
        let at = event.at;
        match &event.event {
            Event::RunStarted { engine, jobs, images, edges, expected } => {
                self.engine.clone_from(engine);
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
                    self.images[image].needs.push((parent, edge.kind));
                }
            }
            happened => {
                let Some(image) = &event.image else { return };
                let image = self.index(&image.name);
                if matches!(happened, Event::ImageStarted) {
                    self.start(image, now);
                // What happened within a build is heard of a little later than it happened.
                } else if let Some(outcome) = self.images[image].take(happened, as_written(at)) {
                    self.end(image, outcome, now);
                }
            }
        }
    }

    /// When all that an image needs was there.
    pub fn ready(&self, image: usize) -> Duration {
        let needs = self.images[image].needs.iter();
        let ends = needs.filter_map(|(need, _)| self.images.get(*need)?.ended);
        ends.map(|end| end.at).max().unwrap_or_default()
    }

    /// The image of that name.
    pub fn find(&self, name: &str) -> Option<&Track> {
        self.by_name.get(name).map(|index| &self.images[*index])
    }

    fn index(&mut self, image: &Arc<str>) -> usize {
        *self.by_name.entry(Arc::clone(image)).or_insert_with(|| {
            self.images.push(Track { name: Arc::clone(image), ..Track::default() });
            self.images.len() - 1
        })
    }

    fn start(&mut self, image: usize, now: Moment) {
        let place = self.places.iter().position(|taken| !taken).unwrap_or_else(|| {
            self.places.push(false);
            self.places.len() - 1
        });
        self.places[place] = true;
        let track = &mut self.images[image];
        track.started = Some(now);
        track.place = Some(place);
        track.outcome = Outcome::Running;
    }

    fn end(&mut self, image: usize, outcome: Outcome, now: Moment) {
        let track = &mut self.images[image];
        track.outcome = outcome;
        track.ended = Some(now);
        track.end_steps(now.at);
        if let Some(place) = track.place {
            self.places[place] = false;
        }
    }
}

impl Track {
    /// Takes note of an event about it, and says what became of it where that is the end.
    fn take(&mut self, event: &Event, at: Duration) -> Option<Outcome> {
        match event {
            Event::ImageStale { reason } => self.reason = Some(reason.clone()),
            Event::ImageBlocked => self.was_blocked = true,
            Event::ImageRetried { attempt, message, wait } => {
                self.end_steps(at);
                self.retries.push(words::tried_again(*attempt, message, *wait));
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
            Event::ImagePulled { reference, took } => {
                let (what, took) = (clean::line(reference), words::duration(*took));
                self.passages.push(format!("pulled {what} in {took}"));
            }
            Event::ImagePushed { reference, took } => {
                let (what, took) = (clean::line(reference), words::duration(*took));
                self.passages.push(format!("pushed as {what} in {took}"));
            }
            Event::PushFailed { message } => self.passages.push(words::push_failed(message)),
            Event::ImageFresh { image_id, tagged, size, registry, .. } => {
                let held = registry.as_deref().map(clean::line);
                self.passages.extend(held.map(|at| format!("in the registry as {at}")));
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
            Event::ImageCancelled { .. } => return Some(Outcome::Cancelled),
            Event::ImageStarted
            | Event::PushStarted
            | Event::Released { .. }
            | Event::NotReleased { .. }
            | Event::RunStarted { .. }
            | Event::Interrupted { .. }
            | Event::RunFinished => {}
        }
        None
    }
}
