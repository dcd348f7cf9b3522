//! Why an image is built.
//!
//! Owns the reasons: what differs between the inputs of today and those of the image that the engine
//! holds, or that it holds none. It decides nothing: that an image is built is known by then.

use super::Reason;
use super::held::Holder;
use super::judge::Judge;
use crate::base::UnitId;
use crate::base::error;
use crate::graph::reference::Reference;
use crate::inputs::{Own, diff};

impl Judge<'_> {
    /// Why an image is built whatever becomes of its parents; nothing where that is not certain.
    pub(super) fn certain_reason(&self, unit: UnitId) -> anyhow::Result<Option<Reason>> {
        let Some(Ok(own)) = &self.own[unit] else {
            let Some(Err(error)) = &self.own[unit] else { return Ok(None) };
            return Ok(Some(Reason::Unreadable { message: error::text(&error.clone().into()) }));
        };
        if self.forced.contains(&unit) {
            return Ok(Some(Reason::Forced));
        }
        let key = match self.held.holder(&self.image(unit).references) {
            Holder::One(held) => &held.key,
            Holder::Missing(reference) | Holder::Several(reference) => {
                return self.explain_missing(unit, reference).map(Some);
            }
        };
        let was = self.memory.recall(&self.name(unit), key);
        Ok(was.filter(|was| diff::differs_by_itself(&own.inputs, was)).map(|was| {
            let mut changes = diff::changes(own, &was, &|unit| self.name(unit));
            // What the parents are is not known yet.
            changes.retain(|it| {
                !matches!(it, diff::Change::Parent { .. } | diff::Change::External { .. })
            });
            if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
        }))
    }

    /// Why an image that carries another key is not the one of today.
    pub(super) fn explain(&self, unit: UnitId, own: &Own, key: &str, held_key: &str) -> Reason {
        let name = self.name(unit);
        // It only inherited its key from the image that it was built on.
        if key == held_key {
            let references = &self.image(unit).references;
            let reference = references.first().map(Reference::familiar).unwrap_or_default();
            return Reason::TagMoved { reference };
        }
        let changes = self
            .memory
            .recall(&name, held_key)
            .map(|was| diff::changes(own, &was, &|unit| self.name(unit)))
            .unwrap_or_default();
        if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
    }

    /// Why not all references of an image lead to one that carries a key.
    pub(super) fn explain_missing(
        &self,
        unit: UnitId,
        reference: String,
    ) -> anyhow::Result<Reason> {
        let references = &self.image(unit).references;
        if self.held.holds_any(references) {
            return Ok(Reason::TagMoved { reference });
        }
        // An image that somebody else put there is only looked for where one of ours has been:
        // the first build of a repository asks for nothing.
        let was_here = self.memory.knows(&self.name(unit));
        if was_here && self.store.inspect(&reference)?.is_some() {
            return Ok(Reason::TagMoved { reference });
        }
        Ok(Reason::NoImage)
    }
}

#[cfg(test)]
mod tests;
