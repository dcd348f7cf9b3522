//! In which state each image of a run is.
//!
//! Owns the one map of states, its one setter, and what is derived from them: the count of open
//! images, the places that are taken, and the queue of images that may start. It knows neither
//! clocks nor threads, so that an estimate can be made with it as well as a run.

use std::collections::BinaryHeap;
use std::time::Duration;

use crate::base::{Id, IdMap, UnitId};
use crate::plan::Plan;

/// The state of an image. It moves from the top of this list to the bottom and ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not part of the run.
    Absent,
    /// Something it needs is not done.
    Waiting,
    /// All that it needs is done; it waits for a place.
    Ready,
    /// A worker has it.
    Running,
    /// It is in the engine.
    Done,
    /// It could not be built.
    Failed,
    /// It was begun and cancelled.
    Cancelled,
    /// It was never begun.
    Skipped,
}

impl State {
    /// Whether nothing more can happen to the image.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            State::Absent | State::Done | State::Failed | State::Cancelled | State::Skipped
        )
    }
}

/// The states of all images of a run.
pub struct States<'a> {
    plan: &'a Plan,
    states: IdMap<State, UnitId>,
    /// How many of its needs are not done.
    missing: IdMap<usize, UnitId>,
    ready: BinaryHeap<Ready>,
    open: usize,
    /// How many places there are, and how many are taken.
    places: usize,
    taken: usize,
    /// The image that waits for more places than are free, and those that were begun past it.
    held_back: Option<(UnitId, Vec<UnitId>)>,
}

/// Longest remaining path first, then the order of the plan.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ready {
    priority: Duration,
    earlier: std::cmp::Reverse<UnitId>,
}

impl<'a> States<'a> {
    /// All images of the plan before anything ran, with `places` for those that run; at least 1.
    pub fn new(plan: &'a Plan, places: usize) -> States<'a> {
        let mut states = States {
            plan,
            states: IdMap::from_fn(plan.len(), |_| State::Absent),
            missing: IdMap::from_fn(plan.len(), |image| {
                plan.needs(image).iter().filter(|need| !plan.is_settled(**need)).count()
            }),
            ready: BinaryHeap::new(),
            open: 0,
            places,
            taken: 0,
            held_back: None,
        };
        for image in plan.order() {
            states.set(
                *image,
                match states.missing[*image] {
                    _ if plan.is_settled(*image) => State::Done,
                    0 => State::Ready,
                    _ => State::Waiting,
                },
            );
        }
        states
    }

    /// Whether every image has ended.
    pub fn all_ended(&self) -> bool {
        self.open == 0
    }

    /// Takes the next image that may start and sets it running: the one with the longest path
    /// behind it. Where that needs more places than are free, others go past it, as long as they
    /// leave enough places for it when those end that run now.
    pub fn start_next(&mut self) -> Option<UnitId> {
        let mut passed = Vec::new();
        let mut found = None;
        while let Some(next) = self.ready.pop() {
            let image = next.earlier.0;
            if self.states[image] != State::Ready {
                continue;
            }
            if self.fits(image, passed.first()) {
                found = Some(image);
                break;
            }
            passed.push(next);
            if self.taken == self.places {
                break;
            }
        }
        match (&found, passed.first()) {
            (_, None) => self.held_back = None,
            (found, Some(first)) => self.hold_back(first.earlier.0, *found),
        }
        self.ready.extend(passed);
        self.set(found?, State::Running);
        found
    }

    /// Whether there are places for an image, and for `first`, which is to have its turn before it.
    fn fits(&self, image: UnitId, first: Option<&Ready>) -> bool {
        let free = self.places - self.taken;
        let Some(first) = first.map(|ready| ready.earlier.0) else {
            return self.weight(image) <= free;
        };
        let past = match &self.held_back {
            Some((held, past)) if *held == first => past.as_slice(),
            _ => &[],
        };
        let runs = |image: &&UnitId| self.states[**image] == State::Running;
        let past: usize = past.iter().filter(runs).map(|image| self.weight(*image)).sum();
        let weight = self.weight(image);
        weight <= free && past + weight + self.weight(first) <= self.places
    }

    /// Notes that an image waits for places, and which one was begun past it.
    fn hold_back(&mut self, image: UnitId, begun: Option<UnitId>) {
        match &mut self.held_back {
            Some((held, past)) if *held == image => past.extend(begun),
            _ => self.held_back = Some((image, begun.into_iter().collect())),
        }
    }

    /// How many places an image takes; never more than there are.
    fn weight(&self, image: UnitId) -> usize {
        self.plan.weight(image).min(self.places)
    }

    /// Records that a running image is in the engine; its dependents may become ready.
    pub fn finish(&mut self, image: UnitId) {
        self.set(image, State::Done);
        for child in self.plan.children(image) {
            self.missing[*child] -= 1;
            if self.missing[*child] == 0 && self.states[*child] == State::Waiting {
                self.set(*child, State::Ready);
            }
        }
    }

    /// Records that a running image failed. Returns all that can never be built because of it,
    /// now skipped, in the order of the plan.
    pub fn fail(&mut self, image: UnitId) -> Vec<UnitId> {
        self.set(image, State::Failed);
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

    /// Records that a running image was cancelled.
    pub fn cancel(&mut self, image: UnitId) {
        self.set(image, State::Cancelled);
    }

    /// Skips all that has not begun. Returns it in the order of the plan.
    pub fn skip_rest(&mut self) -> Vec<UnitId> {
        self.skip_where(|_, state| matches!(state, State::Waiting | State::Ready))
    }

    fn skip_where(&mut self, wanted: impl Fn(UnitId, State) -> bool) -> Vec<UnitId> {
        let plan = self.plan;
        let skipped: Vec<UnitId> = plan
            .order()
            .iter()
            .copied()
            .filter(|image| wanted(*image, self.states[*image]))
            .collect();
        for image in &skipped {
            self.set(*image, State::Skipped);
        }
        skipped
    }

    /// The only place where a state changes.
    fn set(&mut self, image: UnitId, to: State) {
        let from = std::mem::replace(&mut self.states[image], to);
        let legal = match to {
            State::Absent => false,
            State::Waiting => from == State::Absent,
            State::Ready => matches!(from, State::Absent | State::Waiting),
            State::Running => from == State::Ready,
            State::Done => matches!(from, State::Absent | State::Running),
            State::Failed | State::Cancelled => from == State::Running,
            State::Skipped => matches!(from, State::Waiting | State::Ready),
        };
        assert!(legal, "image {} can't go from {from:?} to {to:?}", image.index());
        self.open += usize::from(from == State::Absent);
        self.open -= usize::from(to.is_final());
        if to == State::Running {
            self.taken += self.weight(image);
        } else if from == State::Running {
            self.taken -= self.weight(image);
        }
        if to == State::Ready {
            let priority = self.plan.remaining(image);
            self.ready.push(Ready { priority, earlier: std::cmp::Reverse(image) });
        }
    }
}
