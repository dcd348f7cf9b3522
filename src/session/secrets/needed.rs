//! Which images may ask for which secrets and agents.
//!
//! Owns what can be told from the Dockerfiles. What `layers.toml` gives is given to builds that may
//! ask for it, and where none may, not at all.

use crate::engine::secret::DEFAULT_AGENT;
use crate::graph::Image;
use crate::graph::evaluate::SecretKind;
use crate::inputs::Externals;

/// The secrets that BuildKit asks for when it fetches a repository or a file (its `source/git` and
/// `source/http`).
const OF_DOWNLOADS: [&str; 2] = ["GIT_AUTH_", "HTTP_AUTH_"];

/// Some images, and what their builds may ask for.
pub struct Needed<'a> {
    images: Vec<&'a Image>,
}

impl<'a> Needed<'a> {
    /// What the builds of these images may ask for.
    pub fn of(images: impl IntoIterator<Item = &'a Image>) -> Needed<'a> {
        Needed { images: images.into_iter().collect() }
    }

    /// The names of the images that ask for something, or may do so by what their Dockerfiles say.
    pub fn by(&self, kind: SecretKind, id: &str) -> Vec<&'a str> {
        self.names(|image| mounts(image, kind, id) || may_ask(image, kind, id))
    }

    /// The names of those that certainly ask for it.
    pub fn mounted_by(&self, kind: SecretKind, id: &str) -> Vec<&'a str> {
        self.names(|image| mounts(image, kind, id))
    }

    /// The names of those that start from an external with `ONBUILD` instructions that were not
    /// read: one of them may mount anything.
    pub fn hidden(&self, externals: &Externals) -> Vec<&'a str> {
        self.names(|image| has_hidden_triggers(image, externals))
    }

    fn names(&self, is_meant: impl Fn(&Image) -> bool) -> Vec<&'a str> {
        let images = self.images.iter().filter(|image| is_meant(image));
        images.map(|image| image.name.as_str()).collect()
    }
}

fn mounts(image: &Image, kind: SecretKind, id: &str) -> bool {
    let mut uses = image.evaluation.secret_uses.iter();
    uses.any(|one| one.kind == kind && one.certain && one.id == id)
}

/// Whether an image may ask for it though no instruction says so for certain.
fn may_ask(image: &Image, kind: SecretKind, id: &str) -> bool {
    let mut uses = image.evaluation.secret_uses.iter();
    uses.any(|one| one.kind == kind && !one.certain)
        || image.has_unknown_frontend()
        || (fetches(image) && is_of_downloads(kind, id))
}

fn is_of_downloads(kind: SecretKind, id: &str) -> bool {
    match kind {
        SecretKind::Agent => id == DEFAULT_AGENT,
        SecretKind::Value => OF_DOWNLOADS.iter().any(|start| id.starts_with(start)),
    }
}

/// Whether a build fetches something besides images.
fn fetches(image: &Image) -> bool {
    let is_image = |value: &str| value.starts_with("docker-image://");
    !image.evaluation.downloads.is_empty() || image.contexts.values().any(|it| !is_image(it))
}

fn has_hidden_triggers(image: &Image, externals: &Externals) -> bool {
    let mut bases = image.needs().filter(|(need, _)| need.kind.is_base());
    bases.any(|(_, of)| match externals.get(&of) {
        Some(Some(outside)) => outside.triggers.is_none(),
        Some(None) => true,
        // It is built here, where its instructions are known.
        None => false,
    })
}
