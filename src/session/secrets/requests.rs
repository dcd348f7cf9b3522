//! Which images may request which secrets and agents.
//!
//! Owns what the Dockerfiles reveal about that. What `layers.toml` names is given only to builds that may request it.

use crate::engine::secret::DEFAULT_AGENT;
use crate::graph::Image;
use crate::graph::evaluate::SecretKind;
use crate::inputs::Externals;

/// The secrets that BuildKit requests when it fetches a repository or a file (its `source/git` and `source/http`).
const OF_DOWNLOADS: [&str; 2] = ["GIT_AUTH_", "HTTP_AUTH_"];

/// Some images, and what their builds may request.
pub struct SecretRequests<'a> {
    images: Vec<&'a Image>,
}

impl<'a> SecretRequests<'a> {
    /// Returns what the builds of these images may request.
    pub fn of(images: impl IntoIterator<Item = &'a Image>) -> SecretRequests<'a> {
        SecretRequests { images: images.into_iter().collect() }
    }

    /// Returns the names of the images that request a secret, or may do so according to their Dockerfiles.
    pub fn by(&self, kind: SecretKind, id: &str) -> Vec<&'a str> {
        self.names(|image| mounts(image, kind, id) || may_ask(image, kind, id))
    }

    /// Returns the names of the images that certainly request it.
    pub fn mounted_by(&self, kind: SecretKind, id: &str) -> Vec<&'a str> {
        self.names(|image| mounts(image, kind, id))
    }

    /// Returns the names of the images that start from an external whose `ONBUILD` instructions were not read: one of
    /// these instructions may mount anything.
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

/// Returns whether an image may request it although no instruction certainly does.
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

/// Returns whether a build fetches anything besides images.
fn fetches(image: &Image) -> bool {
    let is_image = |value: &str| value.starts_with("docker-image://");
    !image.evaluation.downloads.is_empty() || image.contexts.values().any(|it| !is_image(it))
}

fn has_hidden_triggers(image: &Image, externals: &Externals) -> bool {
    let mut bases =
        image.resolved_dependencies().filter(|(dependency, _)| dependency.kind.is_base());
    bases.any(|(_, of)| match externals.get(&of) {
        Some(Some(outside)) => outside.triggers.is_none(),
        Some(None) => true,
        // The image is built here, so its instructions are known.
        None => false,
    })
}
