//! The references that builds share with everyone else who uses the engine.
//!
//! Owns the check that none of them moved while an image was built on it. With a frontend that supports named contexts,
//! nothing is shared: an image is built on aliases. With older ones, a reference may be moved and moved back during a
//! build, and only the engine's events show what was copied from it.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::base::UnitId;
use crate::engine::{ImageStore, LabelFilter, ReferenceWatch};
use crate::inputs::KEY_LABEL;
use crate::plan::{FreshnessCheck, MOVED, ParentImage, alias};

/// Watches such references during a run.
pub struct SharedNames {
    marker: String,
    watch: OnceLock<Box<dyn ReferenceWatch>>,
    /// How often the references of each image had moved when its build started.
    before: Mutex<BTreeMap<UnitId, Vec<u64>>>,
}

impl Default for SharedNames {
    fn default() -> SharedNames {
        let marker = alias::new_alias();
        SharedNames { marker, watch: OnceLock::new(), before: Mutex::default() }
    }
}

impl SharedNames {
    /// Records how often the references of an image have moved before its build starts.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn note(
        &self,
        freshness: &FreshnessCheck<'_>,
        unit: UnitId,
        parents: &[ParentImage],
    ) -> anyhow::Result<()> {
        let names = freshness.shared_names(unit, parents);
        if names.is_empty() {
            return Ok(());
        }
        if self.watch.get().is_none() {
            let Some(watch) = freshness.store.watch_references(&self.marker)? else {
                return Ok(());
            };
            // Another image may have set it first.
            drop(self.watch.set(watch));
        }
        let Some(watch) = self.watch.get() else { return Ok(()) };
        let counts = watch.counts(&names, freshness.store)?;
        self.before.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, counts);
        Ok(())
    }

    /// Checks that none of the references of an image has moved since [`SharedNames::note`].
    ///
    /// # Errors
    /// Returns an error if one has moved, or if the engine cannot be reached.
    pub fn confirm(
        &self,
        freshness: &FreshnessCheck<'_>,
        unit: UnitId,
        parents: &[ParentImage],
    ) -> anyhow::Result<()> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit);
        let (Some(before), Some(watch)) = (before, self.watch.get()) else { return Ok(()) };
        let names = freshness.shared_names(unit, parents);
        let now = watch.counts(&names, freshness.store)?;
        let mut counted = names.iter().zip(before.iter().zip(&now));
        match counted.find(|(_, (before, now))| before != now) {
            None => Ok(()),
            Some(((reference, _), _)) => Err(freshness.changed(unit, reference, MOVED)),
        }
    }

    /// Ends the watch at the end of a run.
    pub fn end(&self, store: &dyn ImageStore) {
        if self.watch.get().is_none() {
            return;
        }
        // An engine removes an image along with its last name, so the marker first moves to an
        // image with another name. A later run removes a marker that stays.
        let Ok(marked) = store.inspect(&self.marker) else { return };
        if let Some(marked) = marked.filter(|marked| marked.references.len() < 2) {
            let mut named =
                store.list(LabelFilter::named(KEY_LABEL)).unwrap_or_default().into_iter();
            let other = named.find(|it| it.id != marked.id && !it.references.is_empty());
            drop(other.map(|other| store.tag(&other.id, &self.marker)));
        }
        drop(store.remove(&self.marker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::NamedContexts;
    use crate::engine::stub::Stub;
    use crate::plan::tests::{World, stored};

    /// Returns the result of a build on `base` during which `change` is applied to the store.
    fn outcome(contexts: NamedContexts, change: impl FnOnce(&Stub<'_>)) -> Result<(), String> {
        let base = ("base", "FROM scratch\nENV A=1\n");
        let world = World::new(&[base, ("dev", "FROM acme/shop-base\nENV B=1\n")]);
        let store = Stub::default();
        world.build("base", "one", &store);
        store.put(stored("other", "x"), &[]);
        let (dev, parents) = (world.unit("dev"), world.parents("dev", &store));
        let mut freshness = world.freshness(&store);
        freshness.contexts = contexts;
        let names = SharedNames::default();
        names.note(&freshness, dev, &parents).unwrap();
        change(&store);
        let confirmed = names.confirm(&freshness, dev, &parents);
        names.end(&store);
        assert_eq!(store.image(&names.marker), None, "the marker is taken away");
        confirmed.map_err(|error| error.to_string())
    }

    fn moves_and_moves_back(store: &Stub<'_>) {
        store.tag("sha256:other-x", "acme/shop-base:latest").unwrap();
        store.tag("sha256:base-one", "acme/shop-base:latest").unwrap();
    }

    #[test]
    fn a_reference_that_moves_and_moves_back_is_detected() {
        let failure = outcome(NamedContexts::None, moves_and_moves_back).unwrap_err();
        assert!(failure.contains("moved to another image while `dev` was built"), "{failure}");
    }

    #[test]
    fn an_unchanged_reference_is_not_an_error() {
        let moves_another = |store: &Stub<'_>| store.tag("sha256:other-x", "acme/x:1").unwrap();
        assert_eq!(outcome(NamedContexts::None, moves_another), Ok(()));
    }

    #[test]
    fn a_parent_with_an_alias_may_lose_its_other_references() {
        assert_eq!(outcome(NamedContexts::All, moves_and_moves_back), Ok(()));
    }
}
