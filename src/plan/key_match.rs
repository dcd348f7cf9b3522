//! Which of the engine's images was built with a key.
//!
//! Owns the choice if several have the key. Labels are inherited: an image that starts from another one (`FROM`,
//! `docker commit`) gets its key along with its layers, and may also get its name. Such an image was not built by
//! `layers`, but on an image that was.

use std::collections::BTreeSet;

use super::snapshot::{SnapshotImage, StoreSnapshot};
use crate::graph::reference::Reference;

/// Returns the image that was built with a key, and those of `references` that do not point to it, in familiar form.
///
/// If several images qualify, returns one that has the first reference, or else the newest. `built` are the IDs of
/// images that are known to be built from their Dockerfiles; `is_ours` finds out whether another image was, rather than
/// on top of an image that was.
///
/// # Errors
/// Returns an error if the engine cannot be reached.
pub(super) fn find<'a>(
    snapshot: &'a StoreSnapshot,
    key: &str,
    references: &[Reference],
    built: &BTreeSet<String>,
    is_ours: &dyn Fn(&SnapshotImage) -> anyhow::Result<bool>,
) -> anyhow::Result<Option<(&'a SnapshotImage, Vec<String>)>> {
    // Every image built on one of ours has a key of ours, so there may be hundreds to check. None
    // of them is checked if the right one is known.
    let mut ours: Vec<&SnapshotImage> =
        snapshot.with_key(key).filter(|image| built.contains(&image.id)).collect();
    if ours.is_empty() {
        for image in snapshot.with_key(key) {
            if is_ours(image)? {
                ours.push(image);
            }
        }
    }
    let first = references.get(..1).unwrap_or_default();
    let has_first = |image: &&&SnapshotImage| snapshot.lost(image, first).is_empty();
    let selected = ours.iter().find(has_first).or(ours.first());
    Ok(selected.map(|image| (*image, snapshot.lost(image, references))))
}
