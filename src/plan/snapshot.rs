//! The store snapshot: the engine's images that have a key.
//!
//! Owns the answer to a single request, indexed by reference and by key.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::alias;
use crate::engine::ListedImage;
use crate::graph::reference::Reference;
use crate::inputs::KEY_LABEL;

/// The images that have a key.
#[derive(Debug, Clone, Default)]
pub struct StoreSnapshot {
    images: Vec<SnapshotImage>,
    by_reference: HashMap<Reference, usize>,
    by_key: HashMap<String, Vec<usize>>,
    by_id: HashMap<String, usize>,
    stale_aliases: Vec<String>,
}

/// An image that has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotImage {
    /// Its ID.
    pub id: String,
    /// Its key, from its label.
    pub key: String,
    /// Its size in bytes, as the engine reports it.
    pub size: u64,
}

/// What the references of an image point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceTarget<'a> {
    /// All point to one image.
    One(&'a SnapshotImage),
    /// This reference, and perhaps others, does not point to an image that has a key.
    Missing(String),
    /// They point to several images. This is the first reference that differs.
    Several(String),
}

impl StoreSnapshot {
    /// Reads a list of images that was filtered by [`KEY_LABEL`].
    pub fn read(mut listed: Vec<ListedImage>) -> StoreSnapshot {
        // If several images have the same key, the newest comes first.
        listed.sort_by_key(|image| Reverse(image.created));
        let mut snapshot = StoreSnapshot::default();
        for mut image in listed {
            let Some(key) = image.labels.remove(KEY_LABEL) else { continue };
            snapshot.stale_aliases.extend(alias::stale_aliases(&image.references).cloned());
            for reference in &image.references {
                if let Ok(reference) = Reference::parse(reference) {
                    snapshot.by_reference.insert(reference, snapshot.images.len());
                }
            }
            snapshot.by_key.entry(key.clone()).or_default().push(snapshot.images.len());
            snapshot.by_id.insert(image.id.clone(), snapshot.images.len());
            snapshot.images.push(SnapshotImage { id: image.id, key, size: image.size });
        }
        snapshot
    }

    /// Returns the size of an image in bytes, by its ID.
    pub fn size(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).map(|at| self.images[*at].size)
    }

    /// References that processes left behind that died while they were building.
    pub fn stale_aliases(&self) -> &[String] {
        &self.stale_aliases
    }

    /// Returns what references point to.
    pub fn target_of(&self, references: &[Reference]) -> ReferenceTarget<'_> {
        let mut found = None;
        for reference in references {
            let Some(at) = self.by_reference.get(reference) else {
                return ReferenceTarget::Missing(reference.familiar());
            };
            if *found.get_or_insert(*at) != *at {
                return ReferenceTarget::Several(reference.familiar());
            }
        }
        match found {
            Some(at) => ReferenceTarget::One(&self.images[at]),
            None => ReferenceTarget::Missing(String::new()),
        }
    }

    /// Returns whether any of some references points to an image that has a key.
    pub fn holds_any(&self, references: &[Reference]) -> bool {
        references.iter().any(|it| self.by_reference.contains_key(it))
    }

    /// Returns the images that have a key, newest first.
    pub fn with_key(&self, key: &str) -> impl Iterator<Item = &SnapshotImage> {
        let with_key = self.by_key.get(key).into_iter().flatten();
        with_key.map(|at| &self.images[*at])
    }

    /// Returns those of some references that do not point to an image, in familiar form.
    pub fn lost(&self, image: &SnapshotImage, references: &[Reference]) -> Vec<String> {
        let leads_to = |reference: &&Reference| {
            let at = self.by_reference.get(reference);
            at.is_some_and(|at| self.images[*at].id == image.id)
        };
        let lost = references.iter().filter(|reference| !leads_to(reference));
        lost.map(Reference::familiar).collect()
    }
}

#[cfg(test)]
mod tests;
