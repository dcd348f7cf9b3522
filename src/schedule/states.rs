//! The state of each image of a run.
//!
//! Owns the one map of states, its only setter, and what is derived from the states: the number of images that have not
//! ended, the slots in use, and the queue of images that may start. It uses no clocks and no threads, so an estimate
//! can use it as well as a run.

use std::collections::BinaryHeap;
use std::time::Duration;

use crate::base::{Id, IdMap, UnitId};
use crate::plan::Plan;

/// The state of an image. It moves from the top of this list toward the bottom, and ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// Not part of the run.
    Absent,
    /// A dependency is not done.
    Waiting,
    /// All dependencies are done; it is queued for a slot.
    Ready,
    /// A worker is building it.
    Running,
    /// It is done.
    Done,
    /// It could not be built.
    Failed,
    /// It was started and canceled.
    Canceled,
    /// It was never started.
    Skipped,
}

impl ImageState {
    /// Returns whether the state of the image cannot change any more.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            ImageState::Absent
                | ImageState::Done
                | ImageState::Failed
                | ImageState::Canceled
                | ImageState::Skipped
        )
    }
}

/// The states of all images of a run.
pub struct States<'a> {
    plan: &'a Plan,
    states: IdMap<ImageState, UnitId>,
    /// The number of parents that are not done.
    missing: IdMap<usize, UnitId>,
    ready: BinaryHeap<QueuedImage>,
    open: usize,
    /// The number of slots, and how many are in use.
    slots: usize,
    in_use: usize,
    /// The image that waits for more slots than are free, and those that were started ahead of it.
    held_back: Option<(UnitId, Vec<UnitId>)>,
}

/// An image in the queue: longest remaining path first, then the order of the plan.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct QueuedImage {
    priority: Duration,
    earlier: std::cmp::Reverse<UnitId>,
}

impl<'a> States<'a> {
    /// Returns the states of a plan's images before anything runs, with `slots` slots, at least one.
    pub fn new(plan: &'a Plan, slots: usize) -> States<'a> {
        let mut states = States {
            plan,
            states: IdMap::from_fn(plan.len(), |_| ImageState::Absent),
            missing: IdMap::from_fn(plan.len(), |image| {
                plan.parents(image)
                    .iter()
                    .filter(|dependency| !plan.is_decided(**dependency))
                    .count()
            }),
            ready: BinaryHeap::new(),
            open: 0,
            slots,
            in_use: 0,
            held_back: None,
        };
        for image in plan.order() {
            states.set(
                *image,
                match states.missing[*image] {
                    _ if plan.is_decided(*image) => ImageState::Done,
                    0 => ImageState::Ready,
                    _ => ImageState::Waiting,
                },
            );
        }
        states
    }

    /// Returns whether an image has ended.
    pub fn has_ended(&self, image: UnitId) -> bool {
        self.states[image].is_final()
    }

    /// Returns whether every image has ended.
    pub fn all_ended(&self) -> bool {
        self.open == 0
    }

    /// Starts the next image: the one with the longest remaining path. If it needs more slots than are free, others
    /// start ahead of it, as long as they leave enough slots for it when the images that run now have ended.
    pub fn start_next(&mut self) -> Option<UnitId> {
        let mut passed = Vec::new();
        let mut found = None;
        while let Some(next) = self.ready.pop() {
            let image = next.earlier.0;
            if self.states[image] != ImageState::Ready {
                continue;
            }
            if self.fits(image, passed.first()) {
                found = Some(image);
                break;
            }
            passed.push(next);
            if self.in_use == self.slots {
                break;
            }
        }
        match (&found, passed.first()) {
            (_, None) => self.held_back = None,
            (found, Some(first)) => self.hold_back(first.earlier.0, *found),
        }
        self.ready.extend(passed);
        self.set(found?, ImageState::Running);
        found
    }

    /// Returns whether there are slots for an image, and also for `first`, which is ahead of it in the queue.
    fn fits(&self, image: UnitId, first: Option<&QueuedImage>) -> bool {
        let free = self.slots - self.in_use;
        let Some(first) = first.map(|ready| ready.earlier.0) else {
            return self.weight(image) <= free;
        };
        let past = match &self.held_back {
            Some((unit, past)) if *unit == first => past.as_slice(),
            _ => &[],
        };
        let runs = |image: &&UnitId| self.states[**image] == ImageState::Running;
        let past: usize = past.iter().filter(runs).map(|image| self.weight(*image)).sum();
        let weight = self.weight(image);
        weight <= free && past + weight + self.weight(first) <= self.slots
    }

    /// Records that an image waits for slots, and which image was started ahead of it.
    fn hold_back(&mut self, image: UnitId, begun: Option<UnitId>) {
        match &mut self.held_back {
            Some((unit, past)) if *unit == image => past.extend(begun),
            _ => self.held_back = Some((image, begun.into_iter().collect())),
        }
    }

    /// The number of slots that an image takes, up to all of them.
    fn weight(&self, image: UnitId) -> usize {
        self.plan.weight(image).min(self.slots)
    }

    /// Records that a running image is done. Its dependents may become ready.
    pub fn finish(&mut self, image: UnitId) {
        self.set(image, ImageState::Done);
        for child in self.plan.children(image) {
            self.missing[*child] -= 1;
            if self.missing[*child] == 0 && self.states[*child] == ImageState::Waiting {
                self.set(*child, ImageState::Ready);
            }
        }
    }

    /// Records that an image failed, or cannot be built at all. Returns its dependents, which are now skipped, in the order of the plan.
    pub fn fail(&mut self, image: UnitId) -> Vec<UnitId> {
        self.set(image, ImageState::Failed);
        let mut lost = vec![false; self.plan.len()];
        let mut stack = vec![image];
        while let Some(next) = stack.pop() {
            for child in self.plan.children(next) {
                if !std::mem::replace(&mut lost[child.index()], true) {
                    stack.push(*child);
                }
            }
        }
        self.skip_where(|image, state| lost[image.index()] && !state.is_final())
    }

    /// Records that a running image was canceled.
    pub fn cancel(&mut self, image: UnitId) {
        self.set(image, ImageState::Canceled);
    }

    /// Skips all images that have not started. Returns them in the order of the plan.
    pub fn skip_rest(&mut self) -> Vec<UnitId> {
        self.skip_where(|_, state| matches!(state, ImageState::Waiting | ImageState::Ready))
    }

    fn skip_where(&mut self, is_match: impl Fn(UnitId, ImageState) -> bool) -> Vec<UnitId> {
        let plan = self.plan;
        let skipped: Vec<UnitId> = plan
            .order()
            .iter()
            .copied()
            .filter(|image| is_match(*image, self.states[*image]))
            .collect();
        for image in &skipped {
            self.set(*image, ImageState::Skipped);
        }
        skipped
    }

    /// The only place where a state changes.
    fn set(&mut self, image: UnitId, to: ImageState) {
        let from = std::mem::replace(&mut self.states[image], to);
        let legal = match to {
            ImageState::Absent => false,
            ImageState::Waiting => from == ImageState::Absent,
            ImageState::Ready => matches!(from, ImageState::Absent | ImageState::Waiting),
            ImageState::Running => from == ImageState::Ready,
            ImageState::Done => matches!(from, ImageState::Absent | ImageState::Running),
            ImageState::Canceled => from == ImageState::Running,
            ImageState::Failed => {
                matches!(from, ImageState::Waiting | ImageState::Ready | ImageState::Running)
            }
            ImageState::Skipped => matches!(from, ImageState::Waiting | ImageState::Ready),
        };
        assert!(legal, "image {} can't go from {from:?} to {to:?}", image.index());
        self.open += usize::from(from == ImageState::Absent);
        self.open -= usize::from(to.is_final());
        if to == ImageState::Running {
            self.in_use += self.weight(image);
        } else if from == ImageState::Running {
            self.in_use -= self.weight(image);
        }
        if to == ImageState::Ready {
            let priority = self.plan.remaining(image);
            self.ready.push(QueuedImage { priority, earlier: std::cmp::Reverse(image) });
        }
    }
}
