//! Pins: the digests of externals that Dockerfiles name by tag.
//!
//! Owns the pins as data. `export::lock` writes them to graph.json and reads them from it.

use std::collections::BTreeMap;

use super::reference::Reference;

/// The digests of externals that are named by tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<Reference, String>);

impl Pins {
    /// Returns the digest to which an external is pinned. An external with a digest of its own is
    /// never pinned.
    pub fn digest(&self, external: &Reference) -> Option<&str> {
        self.0.get(external).filter(|_| external.digest.is_none()).map(String::as_str)
    }

    /// Returns the pinned reference of an external, by digest only.
    pub fn pinned(&self, external: &Reference) -> Option<Reference> {
        let digest = self.digest(external)?.to_owned();
        Some(Reference { tag: None, digest: Some(digest), ..external.clone() })
    }

    /// Pins an external. Returns the digest to which it was pinned before.
    pub fn pin(&mut self, external: &Reference, digest: String) -> Option<String> {
        self.0.insert(external.clone(), digest)
    }

    /// Returns all pins as references and digests.
    pub fn all(&self) -> impl Iterator<Item = (&Reference, &str)> {
        self.0.iter().map(|(reference, digest)| (reference, digest.as_str()))
    }
}
