//! What is told of an image beside it: annotations of its manifest, and what the engine attests.
//!
//! Owns the values of annotations, and the error for what an engine cannot attest. No annotation changes with time: equal inputs give equal values, but for the digest of a
//! base that is another one by then.

use std::collections::BTreeMap;

use crate::base::error::permanent;
use crate::engine::{Attestations, Builder, BuilderInfo, ImageStore};
use crate::graph::Image;
use crate::graph::reference::Reference;

/// The names of annotations (OCI image specification, `annotations.md`).
const TITLE: &str = "org.opencontainers.image.title";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Makes sure that the engine can attest what is wanted of it: an older one would pass over it without
/// a word.
///
/// # Errors
/// Where it can't; the error has a hint.
pub fn check(
    wanted: &Attestations,
    engine: &dyn Builder,
    info: &BuilderInfo,
) -> anyhow::Result<()> {
    if wanted.is_empty() || engine.features()?.attestations {
        return Ok(());
    }
    let options = |how: &str| {
        let options = wanted.wanted().map(|(kind, _)| format!("`--{kind}{how}`"));
        options.collect::<Vec<_>>().join(" and ")
    };
    Err(permanent(format!(
        "{} {} can't do {}: its image store keeps nothing beside the images",
        info.name,
        info.version,
        options(""),
    ))
    .hint(format!(
        "set `\"features\": {{\"containerd-snapshotter\": true}}` in its `daemon.json`, which \
             Docker 24 was the first to take, or say {}",
        options("=false")
    ))
    .into())
}

/// The annotations of an image that is about to be built; none where the engine keeps none.
///
/// # Errors
/// Where the engine can't be asked.
pub fn annotations(
    image: &Image,
    engine: &dyn Builder,
) -> anyhow::Result<BTreeMap<String, String>> {
    // That it does not say so is no reason not to build.
    if !engine.features().is_ok_and(|features| features.annotations) {
        return Ok(BTreeMap::new());
    }
    let mut annotations = BTreeMap::from([(TITLE.to_owned(), image.name.clone())]);
    if let Some(base) = image.base() {
        if let Some(digest) = digest_of(&base, engine.images())? {
            annotations.insert(BASE_DIGEST.to_owned(), digest);
        }
        annotations.insert(BASE_NAME.to_owned(), base.normalised());
    }
    Ok(annotations)
}

/// The digest of a base's manifest, as registries know it under its name; nothing where nobody has told
/// the engine.
fn digest_of(base: &Reference, store: &dyn ImageStore) -> anyhow::Result<Option<String>> {
    if base.digest.is_some() {
        return Ok(base.digest.clone());
    }
    let stored = store.inspect(&base.familiar())?;
    let known = stored.map(|stored| stored.digests).unwrap_or_default();
    let known = known.iter().filter_map(|known| Reference::parse(known).ok());
    let mut known = known.filter(|known| known.same_repository(base));
    Ok(known.find_map(|known| known.digest))
}
