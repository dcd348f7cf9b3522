//! The critical path of a run.
//!
//! Owns the walk back from the image that finished last: to the dependency that it waited for, or, if it
//! waited for a slot, to the image that released the slot. Each link is earlier than the one after it, so the
//! walk ends.

use serde::Serialize;

use super::{Moment, Timeline};

/// An image on the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CriticalImage {
    /// The image.
    pub image: usize,
    /// What it waited for, which is the previous image on the path.
    pub waited: WaitCause,
}

/// What an image waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitCause {
    /// Nothing: it started with the run.
    Nothing,
    /// A dependency.
    Dependency,
    /// A slot, which another image released.
    Slot,
}

impl Timeline {
    /// Returns the critical path from its start. Empty if no image was started.
    pub fn chain(&self) -> Vec<CriticalImage> {
        let last_moment = Moment { order: usize::MAX, at: self.took };
        // An image that is still running, or was running when the process died, determines the end so far.
        let end = |image: usize| self.images[image].ended.unwrap_or(last_moment);
        let begun = (0..self.images.len()).filter(|image| self.images[*image].started.is_some());
        // Choose the first of several, so that the result is deterministic.
        let mut next = begun.rev().max_by_key(|image| end(*image));
        let mut chain = Vec::new();
        while let Some(image) = next {
            let before = self.waited_for(image);
            let waited = before.map_or(WaitCause::Nothing, |(_, waited)| waited);
            chain.push(CriticalImage { image, waited });
            next = before.map(|(image, _)| image);
        }
        chain.reverse();
        chain
    }

    /// Returns what an image waited for: the last dependency to finish before it started, or, if another
    /// image finished after that, the image that released its slot. An image starts as soon as it can, so the
    /// last image that finished before permitted its start. Fresh images that never had a slot do not release
    /// one.
    fn waited_for(&self, image: usize) -> Option<(usize, WaitCause)> {
        let track = &self.images[image];
        let started = track.started?;
        let before = |other: usize| {
            let ended = self.images[other].ended.filter(|end| *end < started)?;
            self.images[other].started.map(|_| ended)
        };
        let parents = track
            .parents
            .iter()
            .filter_map(|(dependency, _)| Some((before(*dependency)?, *dependency)));
        let dependency = parents.max();
        let others = (0..self.images.len()).filter_map(|other| Some((before(other)?, other)));
        let slot = others.max();
        match (dependency, slot) {
            (Some(dependency), Some(slot)) if dependency < slot => Some((slot.1, WaitCause::Slot)),
            (Some((_, dependency)), _) => Some((dependency, WaitCause::Dependency)),
            (None, Some((_, slot))) => Some((slot, WaitCause::Slot)),
            (None, None) => None,
        }
    }
}
