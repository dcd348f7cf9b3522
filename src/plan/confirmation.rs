//! Whether an image was built on what its key says.
//!
//! Owns the check after a build. A build that got its parents under aliases cannot have used anything else. Any other
//! build may have used what a reference pointed to a moment earlier.

use std::collections::BTreeSet;

use super::freshness::among;
use super::{FreshnessCheck, ParentImage};
use crate::base::UnitId;
use crate::base::error::permanent;
use crate::engine::{ImageStore, StoredImage};
use crate::graph::reference::Reference;
use crate::inputs::{DependencyInputs, Identity, NamedDependency, PROOF_LABEL};

impl FreshnessCheck<'_> {
    /// Checks that everything that an image was built on is what it was when its key was computed. `resolved` are the
    /// images that the build reports to have used, with their digests.
    ///
    /// # Errors
    /// Returns an error if a reference points to another image by now, or did during the build, or if the engine cannot
    /// be reached.
    pub fn confirm(
        &self,
        (unit, built): (UnitId, &StoredImage),
        resolved: &BTreeSet<String>,
        parents: &[ParentImage],
    ) -> anyhow::Result<()> {
        let Some(Ok(own)) = &self.own[unit] else { return Ok(()) };
        let own = self.complete(own, &among(parents));
        let base = self.image(unit).base();
        for (dependency, NamedDependency { reference: named, of, .. }) in own.named_dependencies() {
            let of = *of;
            // The build itself pulled what the engine's store did not have.
            if dependency.layers.is_none() || self.alias_id(unit, dependency, of, parents).is_some()
            {
                continue;
            }
            let override_of = self.override_of(unit, dependency, of, parents);
            let reference = override_of.map_or_else(|| named.familiar(), str::to_owned);
            let mut now = dependency.clone();
            let found = self.store.inspect(&reference)?;
            now.identify(found.as_ref().map(Identity::of).as_ref());
            let is_base = base.as_ref() == Some(named);
            let is_right = match &found {
                Some(found) if is_base && is_for(dependency, found) => {
                    stands_on(built, found, self.store)?
                }
                Some(_) => true,
                None => !is_base,
            };
            let is_resolved = match self.stored_id(of, parents) {
                Some(id) if self.publishes_names => has_resolved(resolved, named, id),
                _ => true,
            };
            if now != *dependency || !is_right || !is_resolved {
                let what = if found.is_some() { MOVED } else { "removed" };
                return Err(self.changed(unit, &reference, what));
            }
        }
        if !built.labels.contains_key(PROOF_LABEL) {
            // Without its ID, the image is built again; nothing else depends on it.
            drop(self.state.note_built(&built.id));
        }
        Ok(())
    }

    /// Returns the error for a unit whose build may have used something other than the image that `reference` was
    /// planned with, because of `what` happened to that reference.
    pub fn changed(&self, unit: UnitId, reference: &str, what: &str) -> anyhow::Error {
        let name = self.name(unit);
        permanent(format!("`{reference}` was {what} while `{name}` was built on it"))
            .hint("build again when no other process builds, tags, or removes these images")
            .into()
    }
}

/// What happened to a reference that points, or pointed for a moment, to something else.
pub const MOVED: &str = "moved to another image";

/// Returns whether an image is for the requested platform.
fn is_for(dependency: &DependencyInputs, found: &StoredImage) -> bool {
    dependency.platform.as_ref().is_none_or(|platform| platform.is_like(&found.platform))
}

/// Returns whether a build used the image with an ID wherever it resolved a reference. An engine that reports digests
/// has containerd's image store, where the digests are the IDs.
fn has_resolved(resolved: &BTreeSet<String>, reference: &Reference, id: &str) -> bool {
    let parsed = resolved.iter().filter_map(|image| Reference::parse(image).ok());
    let mut digests = parsed.filter_map(|image| {
        let named = Reference { digest: None, ..image.clone() };
        image.digest.filter(|_| named == *reference)
    });
    digests.all(|digest| digest == id)
}

/// Returns whether an image was built on another: its layers start with the other's layers, and its history starts with
/// the other's history, which differs even if only the configuration does.
fn stands_on(
    image: &StoredImage,
    base: &StoredImage,
    store: &dyn ImageStore,
) -> anyhow::Result<bool> {
    if !image.diff_ids.starts_with(&base.diff_ids) {
        return Ok(false);
    }
    let (own, below) = (store.history(&image.id)?, store.history(&base.id)?);
    let (own, below) = (own.unwrap_or_default(), below.unwrap_or_default());
    Ok(own.starts_with(&below))
}

#[cfg(test)]
mod tests;
