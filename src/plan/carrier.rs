//! Which image of the engine is the one that was built with a key.
//!
//! Owns the choice where several carry it. A label is inherited: whoever starts from an image
//! (`FROM`, `docker commit`) gets its key along with its layers, and may give the outcome its name.
//! Such an image is none of ours, and stands on one that is.

use std::collections::BTreeSet;

use super::held::{Held, HeldImage};
use crate::engine::{Engine, StoredImage};
use crate::graph::reference::Reference;
use crate::inputs::Identity;

/// The image that was built with a key, and those of `references` that do not lead to it, as people
/// write them. Of several that may be it, one that has the first reference is taken, else the
/// youngest. `built` are the IDs of those that are known to be built from their Dockerfiles;
/// `is_ours` finds out of another whether it was, and not only on an image that was.
///
/// # Errors
/// Where the engine can't be asked.
pub(super) fn find<'a>(
    held: &'a Held,
    key: &str,
    references: &[Reference],
    built: &BTreeSet<String>,
    is_ours: &dyn Fn(&HeldImage) -> anyhow::Result<bool>,
    engine: &dyn Engine,
) -> anyhow::Result<Option<(&'a HeldImage, Vec<String>)>> {
    // All that is built on ours carries a key of ours: hundreds of images may have to be asked
    // about, and none where the right one is known.
    let mut ours: Vec<&HeldImage> =
        held.carriers(key).filter(|image| built.contains(&image.id)).collect();
    if ours.is_empty() {
        for image in held.carriers(key) {
            if is_ours(image)? {
                ours.push(image);
            }
        }
    }
    if ours.len() > 1 {
        ours = originals(ours, engine)?;
    }
    let first = references.get(..1).unwrap_or_default();
    let has_first = |image: &&&HeldImage| held.lost(image, first).is_empty();
    let chosen = ours.iter().find(has_first).or(ours.first());
    Ok(chosen.map(|image| (*image, held.lost(image, references))))
}

/// Those that do not stand on another of them.
fn originals<'a>(
    carriers: Vec<&'a HeldImage>,
    engine: &dyn Engine,
) -> anyhow::Result<Vec<&'a HeldImage>> {
    let mut known = Vec::with_capacity(carriers.len());
    for image in carriers {
        if let Some(stored) = engine.inspect(&image.id)? {
            known.push((image, stored));
        }
    }
    let is_original = |(image, stored): &&(&HeldImage, StoredImage)| {
        !known.iter().any(|(other, below)| {
            image.id != other.id && stands_on((image, stored), (other, below))
        })
    };
    Ok(known.iter().filter(is_original).map(|(image, _)| *image).collect())
}

fn stands_on(
    (image, stored): (&HeldImage, &StoredImage),
    (other, below): (&HeldImage, &StoredImage),
) -> bool {
    if !stored.diff_ids.starts_with(&below.diff_ids) {
        return false;
    }
    // With the same layers only the configuration was changed, by whoever came later.
    stored.diff_ids.len() > below.diff_ids.len()
        || (Identity::of(stored) != Identity::of(below) && other.created < image.created)
}
