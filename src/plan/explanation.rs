//! Why an image is built.
//!
//! Owns the reasons: how the current inputs differ from those of the image in the engine's store, or that there is no
//! such image. Decides nothing: that the image is built is already known.

use super::Reason;
use super::freshness::FreshnessCheck;
use super::snapshot::ReferenceTarget;
use crate::base::UnitId;
use crate::base::error;
use crate::graph::reference::Reference;
use crate::inputs::{DependencyInputs, OwnInputs, diff};

impl FreshnessCheck<'_> {
    /// Returns why an image is built whatever its parents turn out to be, or `None` if that is not certain.
    pub(super) fn certain_reason(&self, unit: UnitId) -> anyhow::Result<Option<Reason>> {
        let Some(Ok(own)) = &self.own[unit] else {
            let Some(Err(error)) = &self.own[unit] else { return Ok(None) };
            return Ok(Some(Reason::Unreadable { message: error::text(&error.clone().into()) }));
        };
        if let Some(reason) = Reason::of_missing_file(own) {
            return Ok(Some(reason));
        }
        if self.forced.contains(&unit) {
            return Ok(Some(Reason::Forced));
        }
        let key = match self.snapshot.target_of(&self.image(unit).references) {
            ReferenceTarget::One(image) => &image.key,
            ReferenceTarget::Missing(reference) | ReferenceTarget::Several(reference) => {
                // Without an engine, an image with the key may be in the registry, whatever the key turns out to be.
                let is_known = self.store.is_queried();
                return is_known.then(|| self.explain_missing(unit, reference)).transpose();
            }
        };
        let was = self.state.recall(&self.name(unit), key);
        Ok(was.filter(|was| diff::differs_by_itself(&own.inputs, was)).map(|was| {
            let mut changes = diff::changes(own, &was, &|unit| self.name(unit));
            // The identities of the parents are not known yet.
            changes.retain(|it| {
                !matches!(it, diff::Change::Parent { .. } | diff::Change::External { .. })
            });
            if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
        }))
    }

    /// Returns why an image with another key is not up to date.
    pub(super) fn explain(
        &self,
        unit: UnitId,
        own: &OwnInputs,
        key: &str,
        held_key: &str,
    ) -> Reason {
        let name = self.name(unit);
        // The image only inherited its key from the image that it was built on.
        if key == held_key {
            let references = &self.image(unit).references;
            let reference = references.first().map(Reference::familiar).unwrap_or_default();
            return Reason::TagMoved { reference };
        }
        let changes = self
            .state
            .recall(&name, held_key)
            .map(|was| diff::changes(own, &was, &|unit| self.name(unit)))
            .unwrap_or_default();
        if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
    }

    /// Returns why not all references of an image point to one that has a key.
    pub(super) fn explain_missing(
        &self,
        unit: UnitId,
        reference: String,
    ) -> anyhow::Result<Reason> {
        let references = &self.image(unit).references;
        if self.snapshot.holds_any(references) {
            return Ok(Reason::TagMoved { reference });
        }
        // An image from elsewhere is looked up only if `layers` built one here before. The first
        // build of a repository makes no requests.
        let was_here = self.state.knows(&self.name(unit));
        if was_here && self.store.inspect(&reference)?.is_some() {
            return Ok(Reason::TagMoved { reference });
        }
        Ok(Reason::NoImage)
    }

    /// Returns why an image is built that neither the registry has, as far as it was queried, nor an engine, which was
    /// not queried at all.
    pub(super) fn explain_without_engine(&self, unit: UnitId, own: &OwnInputs) -> Reason {
        let Some(shared) = &self.shared else {
            return Reason::Unknown { message: "no engine or registry was queried".into() };
        };
        // Without its externals, the image has no key.
        let missing = own.inputs.dependencies.iter().filter(|it| it.layers.is_none());
        if let Some(external) = missing.filter_map(DependencyInputs::reference).next() {
            let name = external.familiar();
            let why = shared.why_unknown(&name).unwrap_or_else(|| "not found".to_owned());
            return Reason::Unknown { message: format!("external `{name}`: {why}") };
        }
        match shared.why_unknown(&self.image(unit).name) {
            Some(message) => Reason::Unknown { message },
            None => Reason::NotInRegistry,
        }
    }
}

#[cfg(test)]
mod tests;
