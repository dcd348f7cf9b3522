//! The plan of a run: the selected images, what each of them waits for, what waits for it, and whether there is
//! anything to do at all.
//!
//! Owns the order of work, and the verdicts as data. Starts nothing. Only `freshness` makes requests to the engine, and
//! only to read its store.

pub mod alias;
mod confirmation;
mod explanation;
mod freshness;
mod inspection;
mod key_match;
mod levels;
pub mod origin;
mod overrides;
mod shared_store;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;
mod verdict;

pub use confirmation::MOVED;
pub use freshness::{Decision, FreshImage, FreshnessCheck, among};
pub use inspection::{
    UnselectedParent, describe_external, externals_of, inspect_unselected_parents, read_snapshot,
};
pub use shared_store::{
    LostImages, MOST_NAMES, RegistryImage, RegistryNamespace, SharedStore, remote,
};
pub use snapshot::{ReferenceTarget, SnapshotImage, StoreSnapshot};
pub use verdict::{Reason, Verdict};

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{IdMap, ImageId, Platform, UnitId};
use crate::graph::Graph;
use crate::graph::evaluate::DependencyKind;
use crate::graph::units::Units;
use crate::inputs::Identity;

/// The units of a run and their dependencies.
#[derive(Debug)]
pub struct Plan {
    units: Units,
    order: Vec<UnitId>,
    parents: IdMap<Vec<UnitId>, UnitId>,
    edges: Vec<(UnitId, UnitId, DependencyKind)>,
    children: IdMap<Vec<UnitId>, UnitId>,
    costs: IdMap<Duration, UnitId>,
    /// Whether costs are based on earlier builds.
    are_costs_known: bool,
    remaining: IdMap<Duration, UnitId>,
    weights: IdMap<usize, UnitId>,
    verdicts: IdMap<Option<Verdict>, UnitId>,
    identities: IdMap<Option<Identity>, UnitId>,
    registry_image: IdMap<Option<RegistryImage>, UnitId>,
}

/// A parent of other images, when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentImage {
    /// Its unit.
    pub unit: UnitId,
    /// Its ID.
    pub image_id: String,
    /// Its identity.
    pub identity: Identity,
    /// Where it is, if the registry has it and the engine's store does not.
    pub remote: Option<RegistryImage>,
}

impl Plan {
    /// Returns the plan that builds `chosen`, and nothing else: the parents of a chosen unit must be chosen too, or
    /// they are used as the engine's store has them.
    pub fn new(graph: &Graph, units: &Units, selected: &[UnitId]) -> Plan {
        let mut is_selected = IdMap::from_fn(units.len(), |_: UnitId| false);
        for unit in selected {
            is_selected[*unit] = true;
        }
        let order = units.of_all(graph.order()).into_iter().filter(|unit| is_selected[*unit]);
        let order: Vec<UnitId> = order.collect();
        let mut parents = IdMap::from_fn(units.len(), |_: UnitId| Vec::new());
        let mut edges = Vec::new();
        for unit in &order {
            let image = &graph.images[units.image(*unit)];
            let found = image.dependencies_on_images().map(|(dependency, parent)| {
                (units.parent(*unit, parent, dependency.platform.as_ref()), dependency.kind)
            });
            let mut written = BTreeSet::new();
            for (parent, kind) in found.filter(|(parent, _)| is_selected[*parent]) {
                if !parents[*unit].contains(&parent) {
                    parents[*unit].push(parent);
                }
                written.insert((*unit, parent, kind));
            }
            edges.extend(written);
        }
        let mut plan = Plan::from_parents(order, parents);
        plan.set_weights(IdMap::from_fn(units.len(), |unit| {
            graph.images[units.image(unit)].weight
        }));
        plan.edges = edges;
        plan.units = units.clone();
        plan
    }

    /// Returns the plan of the units in `order`, each after all its dependencies in `parents`, with one unit per image.
    pub fn from_parents(order: Vec<UnitId>, parents: IdMap<Vec<UnitId>, UnitId>) -> Plan {
        let mut children = IdMap::from_fn(parents.len(), |_| Vec::new());
        let mut edges = Vec::new();
        for unit in &order {
            for parent in &parents[*unit] {
                children[*parent].push(*unit);
                edges.push((*unit, *parent, DependencyKind::From));
            }
        }
        // It is not known yet how long units take: all take the same time.
        let costs = IdMap::from_fn(parents.len(), |_| Duration::from_secs(1));
        Plan {
            units: Units::for_one(parents.len(), Platform::default()),
            remaining: longest_paths(&order, &children, &costs),
            weights: IdMap::from_fn(parents.len(), |_| 1),
            verdicts: IdMap::from_fn(parents.len(), |_| None),
            identities: IdMap::from_fn(parents.len(), |_| None),
            registry_image: IdMap::from_fn(parents.len(), |_| None),
            order,
            parents,
            edges,
            children,
            costs,
            are_costs_known: false,
        }
    }

    /// The units of the graph's images, whether they are part of the run or not.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Returns the images of the units that are or may be built, in the order of the units.
    pub fn stale_images(&self) -> impl Iterator<Item = ImageId> + Clone {
        let stale = self.order.iter().filter(|unit| !self.is_fresh(**unit));
        stale.map(|unit| self.units.image(*unit))
    }

    /// Returns the verdict on an image, or `None` if there is none, and it is built.
    pub fn verdict(&self, unit: UnitId) -> Option<&Verdict> {
        self.verdicts[unit].as_ref()
    }

    /// Returns whether an image is not built, whatever happens to the others.
    pub fn is_fresh(&self, unit: UnitId) -> bool {
        matches!(self.verdicts[unit], Some(Verdict::Fresh { .. }))
    }

    /// Returns whether there is nothing to do for an image: it is fresh and has its references.
    pub fn is_decided(&self, unit: UnitId) -> bool {
        matches!(&self.verdicts[unit], Some(Verdict::Fresh { lost, .. }) if lost.is_empty())
    }

    /// Returns whether there is nothing to do for any image.
    pub fn is_all_decided(&self) -> bool {
        self.order.iter().all(|unit| self.is_decided(*unit))
    }

    /// The identity of a fresh image that has children.
    pub fn identity(&self, unit: UnitId) -> Option<&Identity> {
        self.identities[unit].as_ref()
    }

    /// What the registry has of a fresh image, if it was looked up and found.
    pub fn registry_image(&self, unit: UnitId) -> Option<&RegistryImage> {
        self.registry_image[unit].as_ref()
    }

    /// Returns whether a fresh image is in the registry and not in the engine's store.
    pub fn is_remote(&self, unit: UnitId) -> bool {
        matches!(self.verdicts[unit], Some(Verdict::Fresh { registry: Some(_), .. }))
    }

    /// Returns a fresh image as a parent of others, or `None` if its identity is not known yet.
    pub fn parent(&self, unit: UnitId) -> Option<ParentImage> {
        let Some(Verdict::Fresh { image_id, .. }) = &self.verdicts[unit] else { return None };
        let (image_id, identity) = (image_id.clone(), self.identities[unit].clone()?);
        let remote = self.registry_image[unit].clone().filter(|_| self.is_remote(unit));
        Some(ParentImage { unit, image_id, identity, remote })
    }

    /// Sets what the registry has of a fresh image.
    pub fn set_registry_image(&mut self, unit: UnitId, registry_image: RegistryImage) {
        self.registry_image[unit] = Some(registry_image);
    }

    /// Sets the verdict on an image.
    pub fn set_verdict(&mut self, unit: UnitId, verdict: Verdict) {
        self.verdicts[unit] = Some(verdict);
    }

    /// Sets the identity of a fresh image.
    pub fn set_identity(&mut self, unit: UnitId, identity: Identity) {
        self.identities[unit] = Some(identity);
    }

    /// The number of images in the graph, selected or not.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Returns whether the run has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The selected images, each after all its dependencies.
    pub fn order(&self) -> &[UnitId] {
        &self.order
    }

    /// The selected parents of a unit, once each.
    pub fn parents(&self, unit: UnitId) -> &[UnitId] {
        &self.parents[unit]
    }

    /// The selected children of a unit, once each.
    pub fn children(&self, unit: UnitId) -> &[UnitId] {
        &self.children[unit]
    }

    /// The edges between the selected images: child, parent, and kind, once each, in the order of the children.
    pub fn edges(&self) -> &[(UnitId, UnitId, DependencyKind)] {
        &self.edges
    }

    /// Sets how long each image is expected to take.
    pub fn set_costs(&mut self, costs: IdMap<Duration, UnitId>) {
        self.remaining = longest_paths(&self.order, &self.children, &costs);
        self.costs = costs;
    }

    /// Records that the costs are based on earlier builds of at least some of the images.
    pub fn know_costs(&mut self) {
        self.are_costs_known = true;
    }

    /// Returns how long the images that may be built are expected to take, if that is known from earlier builds.
    pub fn expected(&self) -> impl Iterator<Item = (UnitId, Duration)> {
        let images = self.order.iter().filter(|_| self.are_costs_known);
        images.map(|unit| (*unit, self.costs[*unit])).filter(|(_, cost)| !cost.is_zero())
    }

    /// Sets how many slots each image takes while it is built.
    pub fn set_weights(&mut self, weights: IdMap<usize, UnitId>) {
        self.weights = weights;
    }

    /// How long an image is expected to take.
    pub fn cost(&self, unit: UnitId) -> Duration {
        self.costs[unit]
    }

    /// How many slots an image takes while it is built, at least one.
    pub fn weight(&self, unit: UnitId) -> usize {
        self.weights[unit].max(1)
    }

    /// How long the longest chain that starts with an image is expected to take, including the image.
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
