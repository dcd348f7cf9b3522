//! Images packed into jobs: one job builds a chain of images, and jobs are in layers, so that each depends
//! only on jobs of lower layers.
//!
//! Owns the partition. Nothing here recurses because there are chains of 10,000 images.

use std::collections::BTreeSet;

use crate::base::{IdMap, ImageId};
use crate::graph::dag;

use super::super::View;

/// Images that one job builds one after the other.
pub(super) struct JobChain {
    /// The images; each one is a child of the previous one.
    pub images: Vec<ImageId>,
    /// The maximum number of chains that must be built one after the other before this one.
    pub layer: usize,
}

/// Returns the parents of each image of a view, without duplicates, in the order of names.
pub(super) fn parents(view: &View<'_>) -> IdMap<Vec<ImageId>> {
    let mut parents = IdMap::from_fn(view.graph_len(), |_| Vec::new());
    for (id, _) in view.images() {
        let needs: BTreeSet<ImageId> = view.parents(id).iter().map(|edge| edge.parent).collect();
        parents[id] = needs.into_iter().collect();
    }
    parents
}

/// Returns all images of a view in dependency order.
///
/// # Errors
/// Returns an error if the images have a cycle. No pipeline can build them.
pub(super) fn order(
    view: &View<'_>,
    parents: &IdMap<Vec<ImageId>>,
) -> anyhow::Result<Vec<ImageId>> {
    let order = dag::sort(parents)
        .map_err(|_| anyhow::anyhow!("images have a dependency cycle: run `layers check`"))?;
    let mut is_shown = IdMap::from_fn(view.graph_len(), |_| false);
    view.images().for_each(|(id, _)| is_shown[id] = true);
    Ok(order.into_iter().filter(|image| is_shown[*image]).collect())
}

/// Returns the chains of a view by layer, each layer in the order of the names of its first images. An image
/// is in the chain of its parent if it has no other parent and the parent no other dependent.
///
/// # Errors
/// Returns an error if the images have a cycle.
pub(super) fn chains(view: &View<'_>) -> anyhow::Result<Vec<Vec<JobChain>>> {
    let parents = parents(view);
    let mut dependents = IdMap::from_fn(parents.len(), |_| 0_usize);
    parents.values().flatten().for_each(|parent| dependents[*parent] += 1);
    let mut chains: Vec<JobChain> = Vec::new();
    let mut chain_of = IdMap::from_fn(parents.len(), |_| 0_usize);
    for image in order(view, &parents)? {
        let only_parent = match parents[image].as_slice() {
            [only] if dependents[*only] == 1 => Some(*only),
            _ => None,
        };
        if let Some(parent) = only_parent {
            chain_of[image] = chain_of[parent];
            chains[chain_of[parent]].images.push(image);
            continue;
        }
        let below = parents[image].iter().map(|parent| chains[chain_of[*parent]].layer + 1).max();
        chain_of[image] = chains.len();
        chains.push(JobChain { images: vec![image], layer: below.unwrap_or(0) });
    }
    let mut layers: Vec<Vec<JobChain>> = Vec::new();
    chains.sort_by_key(|chain| (chain.layer, chain.images[0]));
    for chain in chains {
        if layers.len() == chain.layer {
            layers.push(Vec::new());
        }
        layers[chain.layer].push(chain);
    }
    Ok(layers)
}
