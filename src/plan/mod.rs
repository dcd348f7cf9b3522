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
pub(crate) mod tests;
mod verdict;

pub use ask::{Unchosen, ask_held, ask_unchosen, externals_of, judge_external};
pub use confirm::MOVED;
pub use held::{Held, HeldImage, Holder};
pub use judge::{Judge, Present, Settled, among};
pub use shared::{Home, Registered, SharedStore, remote};
pub use verdict::{Reason, Verdict};

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{IdMap, ImageId, Platform, UnitId};
use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;
use crate::graph::units::Units;
use crate::inputs::Identity;

/// The units of a run and what they need of one another.
#[derive(Debug)]
pub struct Plan {
    units: Units,
    order: Vec<UnitId>,
    needs: IdMap<Vec<UnitId>, UnitId>,
    edges: Vec<(UnitId, UnitId, NeedKind)>,
    children: IdMap<Vec<UnitId>, UnitId>,
    costs: IdMap<Duration, UnitId>,
    /// Whether costs are more than a guess.
    are_costs_known: bool,
    remaining: IdMap<Duration, UnitId>,
    weights: IdMap<usize, UnitId>,
    verdicts: IdMap<Option<Verdict>, UnitId>,
    identities: IdMap<Option<Identity>, UnitId>,
    registered: IdMap<Option<Registered>, UnitId>,
}

/// An image that others need, once there is nothing more to do for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its unit.
    pub unit: UnitId,
    /// Its ID.
    pub image_id: String,
    /// What it is.
    pub identity: Identity,
    /// Where it is, when the registry holds it and the engine does not.
    pub remote: Option<Registered>,
}

impl Plan {
    /// The plan that builds `chosen`, and nothing else: what a chosen unit needs must be chosen
    /// too, or it is taken from the engine as it is.
    pub fn new(graph: &Graph, units: &Units, chosen: &[UnitId]) -> Plan {
        let mut is_chosen = IdMap::from_fn(units.len(), |_: UnitId| false);
        for unit in chosen {
            is_chosen[*unit] = true;
        }
        let order = units.of_all(graph.order()).into_iter().filter(|unit| is_chosen[*unit]);
        let order: Vec<UnitId> = order.collect();
        let mut needs = IdMap::from_fn(units.len(), |_: UnitId| Vec::new());
        let mut edges = Vec::new();
        for unit in &order {
            let image = &graph.images[units.image(*unit)];
            let parents = image.needs_of_images().map(|(need, parent)| {
                (units.parent(*unit, parent, need.platform.as_ref()), need.kind)
            });
            let mut written = BTreeSet::new();
            for (parent, kind) in parents.filter(|(parent, _)| is_chosen[*parent]) {
                if !needs[*unit].contains(&parent) {
                    needs[*unit].push(parent);
                }
                written.insert((*unit, parent, kind));
            }
            edges.extend(written);
        }
        let mut plan = Plan::from_needs(order, needs);
        plan.set_weights(IdMap::from_fn(units.len(), |unit| {
            graph.images[units.image(unit)].weight
        }));
        plan.edges = edges;
        plan.units = units.clone();
        plan
    }

    /// The plan of the units `order`, each after all that it needs by `needs`: one per image.
    pub fn from_needs(order: Vec<UnitId>, needs: IdMap<Vec<UnitId>, UnitId>) -> Plan {
        let mut children = IdMap::from_fn(needs.len(), |_| Vec::new());
        let mut edges = Vec::new();
        for unit in &order {
            for parent in &needs[*unit] {
                children[*parent].push(*unit);
                edges.push((*unit, *parent, NeedKind::From));
            }
        }
        // What a unit takes is not known yet: all take the same.
        let costs = IdMap::from_fn(needs.len(), |_| Duration::from_secs(1));
        Plan {
            units: Units::for_one(needs.len(), Platform::default()),
            remaining: longest_paths(&order, &children, &costs),
            weights: IdMap::from_fn(needs.len(), |_| 1),
            verdicts: IdMap::from_fn(needs.len(), |_| None),
            identities: IdMap::from_fn(needs.len(), |_| None),
            registered: IdMap::from_fn(needs.len(), |_| None),
            order,
            needs,
            edges,
            children,
            costs,
            are_costs_known: false,
        }
    }

    /// The units of the graph's images, in the run or not.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// The images of the units that are built or may be, in the order of the units.
    pub fn stale_images(&self) -> impl Iterator<Item = ImageId> + Clone {
        let stale = self.order.iter().filter(|unit| !self.is_fresh(**unit));
        stale.map(|unit| self.units.image(*unit))
    }

    /// What the plan says of an image; nothing where it was not judged, and is built.
    pub fn verdict(&self, unit: UnitId) -> Option<&Verdict> {
        self.verdicts[unit].as_ref()
    }

    /// Whether an image is not built, whatever becomes of the others.
    pub fn is_fresh(&self, unit: UnitId) -> bool {
        matches!(self.verdicts[unit], Some(Verdict::Fresh { .. }))
    }

    /// Whether there is nothing at all to do for an image: it is fresh and has its references.
    pub fn is_settled(&self, unit: UnitId) -> bool {
        matches!(&self.verdicts[unit], Some(Verdict::Fresh { lost, .. }) if lost.is_empty())
    }

    /// Whether there is nothing to do for any image.
    pub fn is_all_settled(&self) -> bool {
        self.order.iter().all(|unit| self.is_settled(*unit))
    }

    /// What a fresh image is that others need.
    pub fn identity(&self, unit: UnitId) -> Option<&Identity> {
        self.identities[unit].as_ref()
    }

    /// What the registry holds of a fresh image, where it was asked and has it.
    pub fn registered(&self, unit: UnitId) -> Option<&Registered> {
        self.registered[unit].as_ref()
    }

    /// Whether a fresh image is in the registry and not in the engine.
    pub fn is_remote(&self, unit: UnitId) -> bool {
        matches!(self.verdicts[unit], Some(Verdict::Fresh { registry: Some(_), .. }))
    }

    /// A fresh image as others need it; nothing where it is not known yet what it is.
    pub fn parent(&self, unit: UnitId) -> Option<Parent> {
        let Some(Verdict::Fresh { image_id, .. }) = &self.verdicts[unit] else { return None };
        let (image_id, identity) = (image_id.clone(), self.identities[unit].clone()?);
        let remote = self.registered[unit].clone().filter(|_| self.is_remote(unit));
        Some(Parent { unit, image_id, identity, remote })
    }

    /// Says what the registry holds of a fresh image.
    pub fn set_registered(&mut self, unit: UnitId, registered: Registered) {
        self.registered[unit] = Some(registered);
    }

    /// Says what is to be done for an image.
    pub fn set_verdict(&mut self, unit: UnitId, verdict: Verdict) {
        self.verdicts[unit] = Some(verdict);
    }

    /// Says what a fresh image is.
    pub fn set_identity(&mut self, unit: UnitId, identity: Identity) {
        self.identities[unit] = Some(identity);
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
    pub fn order(&self) -> &[UnitId] {
        &self.order
    }

    /// The chosen images that `image` needs directly, each once.
    pub fn needs(&self, unit: UnitId) -> &[UnitId] {
        &self.needs[unit]
    }

    /// The chosen images that need `image` directly, each once.
    pub fn children(&self, unit: UnitId) -> &[UnitId] {
        &self.children[unit]
    }

    /// What the chosen images need of one another: who needs whom in which way, each once, in the order of
    /// those that need.
    pub fn edges(&self) -> &[(UnitId, UnitId, NeedKind)] {
        &self.edges
    }

    /// Says how long each image is expected to take.
    pub fn set_costs(&mut self, costs: IdMap<Duration, UnitId>) {
        self.remaining = longest_paths(&self.order, &self.children, &costs);
        self.costs = costs;
    }

    /// Says that the costs come from what builds took, of some of the images at least.
    pub fn know_costs(&mut self) {
        self.are_costs_known = true;
    }

    /// How long the images are expected to take that may be built, as far as past builds say.
    pub fn expected(&self) -> impl Iterator<Item = (UnitId, Duration)> {
        let images = self.order.iter().filter(|_| self.are_costs_known);
        images.map(|unit| (*unit, self.costs[*unit])).filter(|(_, cost)| !cost.is_zero())
    }

    /// Says how many places each image takes while it is built.
    pub fn set_weights(&mut self, weights: IdMap<usize, UnitId>) {
        self.weights = weights;
    }

    /// How long an image is expected to take.
    pub fn cost(&self, unit: UnitId) -> Duration {
        self.costs[unit]
    }

    /// How many of the places of a run an image takes while it is built; at least one.
    pub fn weight(&self, unit: UnitId) -> usize {
        self.weights[unit].max(1)
    }

    /// How long the longest chain is expected to take that begins with `image`, itself included.
    pub fn remaining(&self, unit: UnitId) -> Duration {
        self.remaining[unit]
    }
}

fn longest_paths(
    order: &[UnitId],
    children: &IdMap<Vec<UnitId>, UnitId>,
    costs: &IdMap<Duration, UnitId>,
) -> IdMap<Duration, UnitId> {
    let mut remaining = IdMap::from_fn(children.len(), |_| Duration::ZERO);
    for unit in order.iter().rev() {
        let behind = children[*unit].iter().map(|child| remaining[*child]).max();
        remaining[*unit] = costs[*unit] + behind.unwrap_or_default();
    }
    remaining
}
