//! What is requested from the engine before anything is decided.
//!
//! Owns the requests: one for all images that have a key, and one per external and per parent that is not selected.
//! Decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::StoreSnapshot;
use crate::base::{ExternalId, ImageId, Platform};
use crate::engine::{ImageStore, LabelFilter, StoredImage};
use crate::graph::reference::Reference;
use crate::graph::{Dependency, Graph};
use crate::inputs::{ExternalDescription, Externals, Identity, Inheritance, KEY_LABEL};

/// Lists the engine's images that have a key.
///
/// # Errors
/// Returns an error if the engine cannot be reached.
pub fn read_snapshot(store: &dyn ImageStore) -> anyhow::Result<StoreSnapshot> {
    Ok(StoreSnapshot::read(store.list(LabelFilter::named(KEY_LABEL))?))
}

/// Returns the externals of some images.
pub fn externals_of(graph: &Graph, images: &[ImageId]) -> BTreeSet<ExternalId> {
    let all = images.iter().flat_map(|image| &graph.images[*image].externals);
    all.map(|external| external.id).collect()
}

/// Describes an external for a build for `platform`, given what the engine's store has under its name.
pub fn describe_external(
    stored: Option<StoredImage>,
    platform: &Platform,
) -> Option<ExternalDescription> {
    let stored = stored?;
    // An image for another platform may be what a `FROM --platform` uses. If it is not, the image
    // that the build will use is unknown.
    let is_meant = stored.platform.is_like(platform);
    Some(ExternalDescription {
        identity: Identity::of(&stored),
        inheritance: Inheritance::of(&stored),
        triggers: is_meant.then(|| stored.on_build.clone()),
        image_id: is_meant.then_some(stored.id),
    })
}

/// An image of the repository that is a parent of selected images, but is not selected itself, and is used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnselectedParent {
    /// Its ID.
    pub image_id: String,
    /// Its identity.
    pub identity: Identity,
}

/// Inspects the parents of the `chosen` images that are not chosen themselves, once each.
///
/// They are used as they are, so one whose triggers are not those of its current Dockerfile is added to `externals`:
/// what its triggers read is unknown.
///
/// # Errors
/// Returns an error if the engine cannot be reached.
pub fn inspect_unselected_parents(
    graph: &Graph,
    selected: &[ImageId],
    store: &dyn ImageStore,
    externals: &mut Externals,
) -> anyhow::Result<BTreeMap<ImageId, UnselectedParent>> {
    let is_selected: BTreeSet<ImageId> = selected.iter().copied().collect();
    let of_selected = selected.iter().flat_map(|image| &graph.images[*image].parents);
    let needed: BTreeMap<&Reference, ImageId> = of_selected
        .filter(|edge| !is_selected.contains(&edge.parent))
        .map(|edge| (&edge.reference, edge.parent))
        .collect();
    let mut found = BTreeMap::new();
    for (reference, parent) in needed {
        let of = Dependency::Image(parent);
        let stored = store.inspect(&reference.familiar())?;
        let Some(stored) = stored else {
            externals.insert(of, None);
            continue;
        };
        let identity = Identity::of(&stored);
        let triggers = graph.images[parent].evaluation.onbuild.iter().map(|trigger| &trigger.text);
        if !triggers.eq(&stored.on_build) {
            let outside = ExternalDescription {
                identity: identity.clone(),
                inheritance: Inheritance::of(&stored),
                triggers: None,
                image_id: None,
            };
            externals.insert(of, Some(outside));
        }
        found.insert(parent, UnselectedParent { image_id: stored.id, identity });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
