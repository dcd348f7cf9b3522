//! The chain of images that decided when a run ended.
//!
//! Owns the walk back from the last image that ended: over what it needed, or over what gave it its
//! place where it waited for that. A link is always earlier than the one before, so the walk ends.

use serde::Serialize;

use super::{Moment, Timeline};

/// One image of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The image.
    pub image: usize,
    /// What it waited for: the link before it in the chain.
    pub waited: Wait,
}

/// What an image waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// For nothing: it began with the run.
    Nothing,
    /// For an image that it needs.
    Need,
    /// For an image that gave it its place.
    Place,
}

impl Timeline {
    /// The chain, the first image first. Empty where nothing was begun.
    pub fn chain(&self) -> Vec<Link> {
        let last_moment = Moment { order: usize::MAX, at: self.took };
        // What runs still, or ran when the process died, decides the end so far.
        let end = |image: usize| self.images[image].ended.unwrap_or(last_moment);
        let begun = (0..self.images.len()).filter(|image| self.images[*image].started.is_some());
        // Of several the first, so that the chain is the same each time.
        let mut next = begun.rev().max_by_key(|image| end(*image));
        let mut chain = Vec::new();
        while let Some(image) = next {
            let before = self.waited_for(image);
            let waited = before.map_or(Wait::Nothing, |(_, waited)| waited);
            chain.push(Link { image, waited });
            next = before.map(|(image, _)| image);
        }
        chain.reverse();
        chain
    }

    /// What ended last before an image began: what it needs, or, where that ended earlier, what gave it
    /// its place; for an image begins the moment that it can, so what came right before let it. A fresh
    /// image that never had a place gives none to others.
    fn waited_for(&self, image: usize) -> Option<(usize, Wait)> {
        let track = &self.images[image];
        let started = track.started?;
        let before = |other: usize| {
            let ended = self.images[other].ended.filter(|end| *end < started)?;
            self.images[other].started.map(|_| ended)
        };
        let needs = track.needs.iter().filter_map(|(need, _)| Some((before(*need)?, *need)));
        let need = needs.max();
        let others = (0..self.images.len()).filter_map(|other| Some((before(other)?, other)));
        let place = others.max();
        match (need, place) {
            (Some(need), Some(place)) if need < place => Some((place.1, Wait::Place)),
            (Some((_, need)), _) => Some((need, Wait::Need)),
            (None, Some((_, place))) => Some((place, Wait::Place)),
            (None, None) => None,
        }
    }
}
