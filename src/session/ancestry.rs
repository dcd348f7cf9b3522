//! What images pass on to the images built on them, looked up once per image and run.
//!
//! Owns how the current base of an image is found, and the proof of origin that this makes possible (`plan::origin`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::base::UnitId;
use crate::engine::{ImageStore, StoredImage};
use crate::graph::Dependency;
use crate::graph::evaluate::Bottom;
use crate::graph::link::ExternalTriggers;
use crate::graph::reference::Reference;
use crate::inputs::Inheritance;
use crate::plan::origin;
use crate::plan::{Judge, Parent};

/// What the images of an engine pass on to their children, by image ID.
#[derive(Default)]
pub struct Ancestry {
    known: Mutex<BTreeMap<String, Inheritance>>,
}

impl Ancestry {
    /// Returns the proof of an image's origin, for its label, or `None` if the result of the build cannot be predicted.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn proof(
        &self,
        judge: &Judge<'_>,
        (unit, key): (UnitId, &str),
        needs: &[Parent],
        triggers: &ExternalTriggers,
    ) -> anyhow::Result<Option<String>> {
        let described = judge.image(unit);
        let (base, environments) = match described.evaluation.chain().map(|(_, bottom)| bottom) {
            Some(Bottom::Scratch) => (Inheritance::of_nothing(), BTreeMap::new()),
            Some(Bottom::Image(reference)) => {
                let base = self.base_of(judge, (unit, &reference), needs)?;
                let Some(base) = base else { return Ok(None) };
                let environments = [(reference, base.environment.clone())].into();
                (base, environments)
            }
            Some(Bottom::Other) | None => return Ok(None),
        };
        if origin::has_certain_labels(described) {
            return Ok(origin::proof(described, &described.evaluation, key, &base));
        }
        let evaluation = judge.graph.evaluate_on(judge.units.image(unit), environments, triggers);
        Ok(origin::proof(described, &evaluation, key, &base))
    }

    /// Returns what the base of an image passes on to it.
    fn base_of(
        &self,
        judge: &Judge<'_>,
        (unit, reference): (UnitId, &Reference),
        needs: &[Parent],
    ) -> anyhow::Result<Option<Inheritance>> {
        let Some(Ok(own)) = &judge.own[unit] else { return Ok(None) };
        let mut bases = own.needs().filter(|(need, _)| need.kind.is_base());
        let found = bases.find(|(need, _)| need.reference == *reference);
        let Some((_, of)) = found else { return Ok(None) };
        let remote = match of {
            Dependency::Image(parent) => {
                let need = needs.iter().find(|need| need.unit == parent);
                need.and_then(|need| need.remote.as_ref()).map(|remote| &*remote.inheritance)
            }
            Dependency::External(id) => {
                let outside = judge.outside(id).map(|outside| &outside.inheritance);
                outside.filter(|it| it.history.is_some())
            }
        };
        match (remote, judge.held_id(of, needs)) {
            (Some(remote), _) => Ok(Some(remote.clone())),
            (None, Some(id)) => self.of_stored(id, judge.store),
            (None, None) => Ok(None),
        }
    }

    /// Records what an image that was just built passes on, except for its history.
    pub fn note(&self, built: &StoredImage) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(built.id.clone(), Inheritance::of(built));
    }

    /// Returns what an image in the engine's store passes on. Makes at most two requests, once per image.
    fn of_stored(&self, id: &str, store: &dyn ImageStore) -> anyhow::Result<Option<Inheritance>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match known().get(id) {
            Some(found) if found.history.is_some() => return Ok(Some(found.clone())),
            found => found.cloned(),
        };
        let found = match found {
            Some(found) => Some(found),
            None => store.inspect(id)?.as_ref().map(Inheritance::of),
        };
        let (Some(found), Some(history)) = (found, store.history(id)?) else { return Ok(None) };
        let found = Inheritance { history: Some(history.len()), ..found };
        known().insert(id.to_owned(), found.clone());
        Ok(Some(found))
    }
}
