//! What images pass on to the images built on them, looked up once per image and run.
//!
//! Owns how the current base of an image is found, and the proof of origin that this makes possible (`plan::origin`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::base::UnitId;
use crate::engine::{ImageStore, StoredImage};
use crate::graph::Dependency;
use crate::graph::evaluate::ChainBase;
use crate::graph::link::ExternalTriggers;
use crate::graph::reference::Reference;
use crate::inputs::Inheritance;
use crate::plan::origin;
use crate::plan::{FreshnessCheck, ParentImage};

/// What the images of an engine pass on to their children, by image ID.
#[derive(Default)]
pub struct Ancestry {
    inheritances: Mutex<BTreeMap<String, Inheritance>>,
}

impl Ancestry {
    /// Returns the proof of an image's origin, for its label, or `None` if the result of the build cannot be predicted.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn proof(
        &self,
        freshness: &FreshnessCheck<'_>,
        (unit, key): (UnitId, &str),
        parents: &[ParentImage],
        triggers: &ExternalTriggers,
    ) -> anyhow::Result<Option<String>> {
        let described = freshness.image(unit);
        let (base, environments) = match described.evaluation.chain().map(|(_, bottom)| bottom) {
            Some(ChainBase::Scratch) => (Inheritance::of_nothing(), BTreeMap::new()),
            Some(ChainBase::Image(reference)) => {
                let base = self.base_of(freshness, (unit, &reference), parents)?;
                let Some(base) = base else { return Ok(None) };
                let environments = [(reference, base.environment.clone())].into();
                (base, environments)
            }
            Some(ChainBase::Other) | None => return Ok(None),
        };
        if origin::has_certain_labels(described) {
            return Ok(origin::proof(described, &described.evaluation, key, &base));
        }
        let evaluation =
            freshness.graph.evaluate_on(freshness.units.image(unit), environments, triggers);
        Ok(origin::proof(described, &evaluation, key, &base))
    }

    /// Returns what the base of an image passes on to it.
    fn base_of(
        &self,
        freshness: &FreshnessCheck<'_>,
        (unit, reference): (UnitId, &Reference),
        parents: &[ParentImage],
    ) -> anyhow::Result<Option<Inheritance>> {
        let Some(Ok(own)) = &freshness.own[unit] else { return Ok(None) };
        let Some(of) = own.base(reference) else { return Ok(None) };
        let remote = match of {
            Dependency::Image(parent) => {
                let dependency = parents.iter().find(|it| it.unit == parent);
                dependency
                    .and_then(|dependency| dependency.remote.as_ref())
                    .map(|remote| &*remote.inheritance)
            }
            Dependency::External(id) => {
                let outside = freshness.external(id).map(|outside| &outside.inheritance);
                outside.filter(|it| it.history.is_some())
            }
        };
        match (remote, freshness.stored_id(of, parents)) {
            (Some(remote), _) => Ok(Some(remote.clone())),
            (None, Some(id)) => self.of_stored(id, freshness.store),
            (None, None) => Ok(None),
        }
    }

    /// Records what an image that was just built passes on, except for its history.
    pub fn note(&self, built: &StoredImage) {
        let mut inheritances = self.inheritances.lock().unwrap_or_else(PoisonError::into_inner);
        inheritances.insert(built.id.clone(), Inheritance::of(built));
    }

    /// Returns what an image in the engine's store passes on. Makes at most two requests, once per image.
    fn of_stored(&self, id: &str, store: &dyn ImageStore) -> anyhow::Result<Option<Inheritance>> {
        let inheritances = || self.inheritances.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match inheritances().get(id) {
            Some(found) if found.history.is_some() => return Ok(Some(found.clone())),
            found => found.cloned(),
        };
        let found = match found {
            Some(found) => Some(found),
            None => store.inspect(id)?.as_ref().map(Inheritance::of),
        };
        let (Some(found), Some(history)) = (found, store.history(id)?) else { return Ok(None) };
        let found = Inheritance { history: Some(history.len()), ..found };
        inheritances().insert(id.to_owned(), found.clone());
        Ok(Some(found))
    }
}
