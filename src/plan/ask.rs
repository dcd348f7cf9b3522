//! What is asked of the engine before anything is judged.
//!
//! Owns the questions: one for all images that carry a key, one for each external and for each
//! image that is needed and not looked at. Nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use super::held::Held;
use crate::base::{ExternalId, ImageId, Platform};
use crate::engine::{ImageStore, LabelFilter, StoredImage};
use crate::graph::reference::Reference;
use crate::graph::{Dependency, Graph};
use crate::inputs::{Externals, Identity, Inheritance, KEY_LABEL, Outside};

/// Asks the engine for the images that carry a key.
///
/// # Errors
/// Where it can't be asked.
pub fn ask_held(store: &dyn ImageStore) -> anyhow::Result<Held> {
    Ok(Held::read(store.list(LabelFilter::named(KEY_LABEL))?))
}

/// The externals of some images.
pub fn externals_of(graph: &Graph, images: &[ImageId]) -> BTreeSet<ExternalId> {
    let all = images.iter().flat_map(|image| &graph.images[*image].externals);
    all.map(|external| external.id).collect()
}

/// What an external is to a build for `platform`, given what the engine holds under its name.
pub fn judge_external(stored: Option<StoredImage>, platform: &Platform) -> Option<Outside> {
    let stored = stored?;
    // What is there for another platform may be what a `FROM --platform` takes; if it is not, no one has
    // seen what will be.
    let is_meant = stored.platform.is_like(platform);
    Some(Outside {
        identity: Identity::of(&stored),
        inheritance: Inheritance::of(&stored),
        triggers: is_meant.then(|| stored.on_build.clone()),
        image_id: is_meant.then_some(stored.id),
    })
}

/// An image of the repository that others need and that is taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchosen {
    /// Its ID.
    pub image_id: String,
    /// What it is.
    pub identity: Identity,
}

/// Asks the engine for the images that some of `chosen` need and that are not chosen themselves,
/// each once. They are taken as they are, so one whose triggers are not those of its Dockerfile
/// of today joins `externals`: nobody here knows what its triggers read.
///
/// # Errors
/// Where it can't be asked.
pub fn ask_unchosen(
    graph: &Graph,
    chosen: &[ImageId],
    store: &dyn ImageStore,
    externals: &mut Externals,
) -> anyhow::Result<BTreeMap<ImageId, Unchosen>> {
    let is_chosen: BTreeSet<ImageId> = chosen.iter().copied().collect();
    let of_chosen = chosen.iter().flat_map(|image| &graph.images[*image].parents);
    let needed: BTreeMap<&Reference, ImageId> = of_chosen
        .filter(|edge| !is_chosen.contains(&edge.parent))
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
        let known = graph.images[parent].evaluation.onbuild.iter().map(|trigger| &trigger.text);
        if !known.eq(&stored.on_build) {
            let outside = Outside {
                identity: identity.clone(),
                inheritance: Inheritance::of(&stored),
                triggers: None,
                image_id: None,
            };
            externals.insert(of, Some(outside));
        }
        found.insert(parent, Unchosen { image_id: stored.id, identity });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
