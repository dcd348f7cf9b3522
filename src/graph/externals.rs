//! The external images of a graph, each once.
//!
//! Owns their ids. An id does not change when the graph gains more externals.

use std::collections::{BTreeSet, HashMap};
use std::ops::Index;

use super::Graph;
use super::reference::Reference;
use crate::base::{ExternalId, IdMap};

/// The references of external images by id, and the ids by reference.
#[derive(Debug, Default)]
pub struct ExternalTable {
    references: IdMap<Reference, ExternalId>,
    ids: HashMap<Reference, ExternalId>,
}

impl ExternalTable {
    /// Returns the id of an external image, or `None` if the graph does not have it.
    pub fn find(&self, reference: &Reference) -> Option<ExternalId> {
        self.ids.get(reference).copied()
    }

    /// Returns the number of externals.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Returns whether there are no externals.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// Returns the id of an external image, adding the image if it is new.
    pub(super) fn add(&mut self, reference: &Reference) -> ExternalId {
        if let Some(id) = self.find(reference) {
            return id;
        }
        let id = self.references.push(reference.clone());
        self.ids.insert(reference.clone(), id);
        id
    }
}

impl Index<ExternalId> for ExternalTable {
    type Output = Reference;

    fn index(&self, id: ExternalId) -> &Reference {
        &self.references[id]
    }
}

impl Graph {
    /// Returns the externals that can be pinned, which are those named by tag, sorted by reference.
    pub fn externals_by_tag(&self) -> Vec<(ExternalId, &Reference)> {
        let used: BTreeSet<ExternalId> =
            self.images.values().flat_map(|image| &image.externals).map(|it| it.id).collect();
        let all = used.into_iter().map(|id| (id, &self.externals[id]));
        let mut by_tag: Vec<_> = all.filter(|(_, reference)| reference.digest.is_none()).collect();
        by_tag.sort_unstable_by_key(|(_, reference)| *reference);
        by_tag
    }
}
