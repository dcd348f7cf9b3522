//! What is recorded alongside an image: the annotations of its manifest, and the attestations of the engine.
//!
//! Owns the values of annotations, and the error for an engine that cannot attest. Annotations do not depend on the
//! time: equal inputs give equal values, except for the digest of a base that has changed.

use std::collections::BTreeMap;

use crate::base::error::permanent;
use crate::engine::{Attestations, Builder, BuilderInfo, ImageStore};
use crate::graph::Image;
use crate::graph::reference::Reference;

/// The names of annotations (OCI image specification, `annotations.md`).
const TITLE: &str = "org.opencontainers.image.title";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Checks that the engine supports the requested attestations: an older engine would silently omit them.
///
/// # Errors
/// Returns an error with a hint if the engine does not support them.
pub fn check(
    attestations: &Attestations,
    engine: &dyn Builder,
    info: &BuilderInfo,
) -> anyhow::Result<()> {
    if attestations.is_empty() || engine.features()?.attestations {
        return Ok(());
    }
    let options = |how: &str| {
        let options = attestations.enabled().map(|(kind, _)| format!("`--{kind}{how}`"));
        options.collect::<Vec<_>>().join(" and ")
    };
    Err(permanent(format!(
        "{} {} does not support {}: its image store keeps no attestations",
        info.name,
        info.version,
        options(""),
    ))
    .hint(format!(
        "with Docker 24 or newer, set `\"features\": {{\"containerd-snapshotter\": true}}` in \
             `daemon.json`, or pass {}",
        options("=false")
    ))
    .into())
}

/// Returns the annotations of an image that is about to be built, which are empty if the engine keeps none.
///
/// # Errors
/// Returns an error if the engine cannot be reached.
pub fn annotations(
    image: &Image,
    engine: &dyn Builder,
) -> anyhow::Result<BTreeMap<String, String>> {
    // An engine that does not report its features can still build.
    if !engine.features().is_ok_and(|features| features.annotations) {
        return Ok(BTreeMap::new());
    }
    let mut annotations = BTreeMap::from([(TITLE.to_owned(), image.name.clone())]);
    if let Some(base) = image.base() {
        if let Some(digest) = digest_of(&base, engine.images())? {
            annotations.insert(BASE_DIGEST.to_owned(), digest);
        }
        annotations.insert(BASE_NAME.to_owned(), base.normalized());
    }
    Ok(annotations)
}

/// Returns the digest of a base's manifest in its registry, or `None` if the engine does not know it.
fn digest_of(base: &Reference, store: &dyn ImageStore) -> anyhow::Result<Option<String>> {
    if base.digest.is_some() {
        return Ok(base.digest.clone());
    }
    let stored = store.inspect(&base.familiar())?;
    let digests = stored.map(|stored| stored.digests).unwrap_or_default();
    let references = digests.iter().filter_map(|digest| Reference::parse(digest).ok());
    let mut references = references.filter(|reference| reference.same_repository(base));
    Ok(references.find_map(|reference| reference.digest))
}
