//! Pins: the digests of externals that Dockerfiles name by tag.
//!
//! Owns the pins as data. `export::lock` writes them to graph.json and reads them from it.

use std::collections::BTreeMap;

use super::Graph;
use super::reference::Reference;

/// The digests of externals that are named by tag, by their normalised references.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, String>);

impl Pins {
    /// The digest that an external is pinned to. One that names its digest itself is none.
    pub fn digest(&self, external: &Reference) -> Option<&str> {
        let by_tag = external.digest.is_none();
        self.0.get(&external.normalised()).filter(|_| by_tag).map(String::as_str)
    }

    /// What an external is pinned to, by digest alone.
    pub fn pinned(&self, external: &Reference) -> Option<Reference> {
        let digest = self.digest(external)?.to_owned();
        Some(Reference { tag: None, digest: Some(digest), ..external.clone() })
    }

    /// Pins an external. Returns the digest that it was pinned to.
    pub fn pin(&mut self, external: &Reference, digest: String) -> Option<String> {
        self.0.insert(external.normalised(), digest)
    }

    /// All of them: normalised references, and digests.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(reference, digest)| (reference.as_str(), digest.as_str()))
    }
}

/// The externals of a graph that can be pinned, those named by tag, each once.
pub fn externals_by_tag(graph: &Graph) -> BTreeMap<String, &Reference> {
    let all = graph.images.values().flat_map(|image| &image.externals);
    let by_tag = all.map(|external| &external.reference).filter(|it| it.digest.is_none());
    by_tag.map(|reference| (reference.normalised(), reference)).collect()
}
