//! What a run has to do: the chosen images, what each of them waits for, what waits behind it,
//! and whether there is anything to do at all.
//!
//! Owns the order of work and the verdicts as data. It starts nothing; only `judge` asks the
//! engine, and only what it holds.

mod ask;
mod carrier;
mod confirm;
mod explain;
mod fronts;
mod held;
mod judge;
pub mod lent;
pub mod origin;
mod shared;
mod taken;
#[cfg(test)]
mod tests;
mod verdict;

pub use ask::{Unchosen, ask_held, ask_unchosen, externals_of, judge_external};
pub use held::{Held, HeldImage, Holder};
pub use judge::{Judge, Settled, among};
pub use shared::{Home, Registered, SharedStore, remote};
pub use taken::Contexts;
pub use verdict::{Reason, Verdict};

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{IdMap, ImageId};
use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;
use crate::inputs::Identity;

/// The images of a run and what they need of one another.
#[derive(Debug)]
pub struct Plan {
    order: Vec<ImageId>,
    needs: IdMap<Vec<ImageId>>,
    edges: Vec<(ImageId, ImageId, NeedKind)>,
    children: IdMap<Vec<ImageId>>,
    costs: IdMap<Duration>,
    /// Whether costs are more than a guess.
    are_costs_known: bool,
    remaining: IdMap<Duration>,
    weights: IdMap<usize>,
    verdicts: IdMap<Option<Verdict>>,
    identities: IdMap<Option<Identity>>,
    registered: IdMap<Option<Registered>>,
}

/// An image that others need, once there is nothing more to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The image.
    pub image: ImageId,
    /// Its ID.
    pub image_id: String,
    /// What it is.
    pub identity: Identity,
    /// Where it is, when the registry holds it and the engine does not.
    pub remote: Option<Registered>,
}

impl Plan {
    /// The plan that builds `chosen`, and nothing else: what a chosen image needs must be chosen
    /// too, or it is taken from the engine as it is.
    pub fn new(graph: &Graph, chosen: &[ImageId]) -> Plan {
        let len = graph.images.len();
        let mut is_chosen = vec![false; len];
        for image in chosen {
            is_chosen[image.index()] = true;
        }
        let order: Vec<ImageId> =
            graph.order().iter().copied().filter(|image| is_chosen[image.index()]).collect();
        let needs = IdMap::from_fn(len, |image| {
            let parents = graph.parents_of(image).into_iter();
            parents.filter(|parent| is_chosen[image.index()] && is_chosen[parent.index()]).collect()
        });
        let mut plan = Plan::from_needs(order, needs);
        plan.set_weights(IdMap::from_fn(len, |image| graph.images[image].weight));
        let written = |image: &ImageId| {
            let edges = graph.images[*image].parents.iter();
            edges.map(|edge| (*image, edge.parent, edge.kind)).collect::<BTreeSet<_>>()
        };
        plan.edges = plan.order.iter().flat_map(written).collect();
        plan.edges.retain(|(_, parent, _)| is_chosen[parent.index()]);
        plan
    }

    /// The plan of the images `order`, each after all that it needs by `needs`.
    pub fn from_needs(order: Vec<ImageId>, needs: IdMap<Vec<ImageId>>) -> Plan {
        let mut children = IdMap::from_fn(needs.len(), |_| Vec::new());
        for image in &order {
            for parent in &needs[*image] {
                children[*parent].push(*image);
            }
        }
        // What an image takes is not known yet: all take the same.
        let costs = IdMap::from_fn(needs.len(), |_| Duration::from_secs(1));
        let remaining = longest_paths(&order, &children, &costs);
        let weights = IdMap::from_fn(needs.len(), |_| 1);
        let mut edges = Vec::new();
        for image in &order {
            edges.extend(needs[*image].iter().map(|need| (*image, *need, NeedKind::From)));
        }
        let verdicts = IdMap::from_fn(needs.len(), |_| None);
        let identities = IdMap::from_fn(needs.len(), |_| None);
        let registered = IdMap::from_fn(needs.len(), |_| None);
        Plan {
            order,
            needs,
            edges,
            children,
            costs,
            are_costs_known: false,
            remaining,
            weights,
            verdicts,
            identities,
            registered,
        }
    }

    /// What the plan says of an image; nothing where it was not judged, and is built.
    pub fn verdict(&self, image: ImageId) -> Option<&Verdict> {
        self.verdicts[image].as_ref()
    }

    /// Whether an image is not built, whatever becomes of the others.
    pub fn is_fresh(&self, image: ImageId) -> bool {
        matches!(self.verdicts[image], Some(Verdict::Fresh { .. }))
    }

    /// Whether there is nothing at all to do for an image: it is fresh and has its references.
    pub fn is_settled(&self, image: ImageId) -> bool {
        matches!(&self.verdicts[image], Some(Verdict::Fresh { lost, .. }) if lost.is_empty())
    }

    /// Whether there is nothing to do for any image.
    pub fn is_all_settled(&self) -> bool {
        self.order.iter().all(|image| self.is_settled(*image))
    }

    /// What a fresh image is that others need.
    pub fn identity(&self, image: ImageId) -> Option<&Identity> {
        self.identities[image].as_ref()
    }

    /// What the registry holds of a fresh image, where it was asked and has it.
    pub fn registered(&self, image: ImageId) -> Option<&Registered> {
        self.registered[image].as_ref()
    }

    /// Whether a fresh image is in the registry and not in the engine.
    pub fn is_remote(&self, image: ImageId) -> bool {
        matches!(self.verdicts[image], Some(Verdict::Fresh { registry: Some(_), .. }))
    }

    /// A fresh image as others need it; nothing where it is not known yet what it is.
    pub fn parent(&self, image: ImageId) -> Option<Parent> {
        let Some(Verdict::Fresh { image_id, .. }) = &self.verdicts[image] else { return None };
        let (image_id, identity) = (image_id.clone(), self.identities[image].clone()?);
        let remote = self.registered[image].clone().filter(|_| self.is_remote(image));
        Some(Parent { image, image_id, identity, remote })
    }

    /// Says what the registry holds of a fresh image.
    pub fn set_registered(&mut self, image: ImageId, registered: Registered) {
        self.registered[image] = Some(registered);
    }

    /// Says what is to be done for an image.
    pub fn set_verdict(&mut self, image: ImageId, verdict: Verdict) {
        self.verdicts[image] = Some(verdict);
    }

    /// Says what a fresh image is.
    pub fn set_identity(&mut self, image: ImageId, identity: Identity) {
        self.identities[image] = Some(identity);
    }

    /// How many images the graph has, chosen or not.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether the run has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The chosen images, each after all that it needs.
    pub fn order(&self) -> &[ImageId] {
        &self.order
    }

    /// The chosen images that `image` needs directly, each once.
    pub fn needs(&self, image: ImageId) -> &[ImageId] {
        &self.needs[image]
    }

    /// The chosen images that need `image` directly, each once.
    pub fn children(&self, image: ImageId) -> &[ImageId] {
        &self.children[image]
    }

    /// What the chosen images need of one another: who needs whom in which way, each once, in the order of
    /// those that need.
    pub fn edges(&self) -> &[(ImageId, ImageId, NeedKind)] {
        &self.edges
    }

    /// Says how long each image is expected to take.
    pub fn set_costs(&mut self, costs: IdMap<Duration>) {
        self.remaining = longest_paths(&self.order, &self.children, &costs);
        self.costs = costs;
    }

    /// Says that the costs come from what builds took, of some of the images at least.
    pub fn know_costs(&mut self) {
        self.are_costs_known = true;
    }

    /// How long the images are expected to take that may be built, as far as past builds say.
    pub fn expected(&self) -> impl Iterator<Item = (ImageId, Duration)> {
        let images = self.order.iter().filter(|_| self.are_costs_known);
        images.map(|image| (*image, self.costs[*image])).filter(|(_, cost)| !cost.is_zero())
    }

    /// Says how many places each image takes while it is built.
    pub fn set_weights(&mut self, weights: IdMap<usize>) {
        self.weights = weights;
    }

    /// How long an image is expected to take.
    pub fn cost(&self, image: ImageId) -> Duration {
        self.costs[image]
    }

    /// How many of the places of a run an image takes while it is built; at least one.
    pub fn weight(&self, image: ImageId) -> usize {
        self.weights[image].max(1)
    }

    /// How long the longest chain is expected to take that begins with `image`, itself included.
    pub fn remaining(&self, image: ImageId) -> Duration {
        self.remaining[image]
    }
}

fn longest_paths(
    order: &[ImageId],
    children: &IdMap<Vec<ImageId>>,
    costs: &IdMap<Duration>,
) -> IdMap<Duration> {
    let mut remaining = IdMap::from_fn(children.len(), |_| Duration::ZERO);
    for image in order.iter().rev() {
        let behind = children[*image].iter().map(|child| remaining[*child]).max();
        remaining[*image] = costs[*image] + behind.unwrap_or_default();
    }
    remaining
}
