//! Which image of the engine is the one that was built with a key.
//!
//! Owns the choice where several carry it. A label is inherited: whoever starts from an image
//! (`FROM`, `docker commit`) gets its key along with its layers, and may give the outcome its name.
//! Such an image is none of ours, and stands on one that is.

use std::collections::BTreeSet;

use super::held::{Held, HeldImage};
use crate::graph::reference::Reference;

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
    let first = references.get(..1).unwrap_or_default();
    let has_first = |image: &&&HeldImage| held.lost(image, first).is_empty();
    let chosen = ours.iter().find(has_first).or(ours.first());
    Ok(chosen.map(|image| (*image, held.lost(image, references))))
}
