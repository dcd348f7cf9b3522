//! What an image is built on in place of the names in its Dockerfile.
//!
//! Owns the rule: a frontend that supports named contexts gets images that only a registry has, and pinned images, by
//! digest. Any other frontend looks names up in the engine's store.

use super::freshness::among;
use super::{FreshnessCheck, ParentImage};
use crate::base::UnitId;
use crate::engine::{Frontend, NamedContexts};
use crate::graph::Dependency;
use crate::graph::evaluate::DependencyKind;
use crate::inputs::{DependencyInputs, NamedDependency};
use crate::lint::frontend;

impl FreshnessCheck<'_> {
    /// Returns the reference by digest of a dependency that only a registry has.
    pub fn remote_of<'b>(
        &'b self,
        of: Dependency<UnitId>,
        parents: &'b [ParentImage],
    ) -> Option<&'b str> {
        match of {
            Dependency::Image(parent) => {
                let dependency = parents.iter().find(|it| it.unit == parent)?;
                dependency.remote.as_ref().map(|remote| remote.reference.as_str())
            }
            Dependency::External(id) => {
                let pinned = self.pinned.get(&id);
                pinned.or_else(|| self.remote_externals.get(&id)).map(String::as_str)
            }
        }
    }

    /// Returns whether the frontend that reads a Dockerfile supports named contexts. If it does, images from a registry
    /// are used by their digests, and not by their names in the engine's store.
    pub fn resolves_by_digest(&self, unit: UnitId) -> bool {
        match (self.contexts, self.image(unit).named_frontend()) {
            (NamedContexts::None, _) | (NamedContexts::OfNamedFrontends, None) => false,
            (NamedContexts::All, None) => true,
            (_, Some(name)) => frontend::version_of(name).is_some_and(Frontend::knows_contexts),
        }
    }

    /// Returns the ID of a dependency, if it was planned with what the engine's store has.
    pub fn stored_id<'b>(
        &'b self,
        of: Dependency<UnitId>,
        parents: &'b [ParentImage],
    ) -> Option<&'b str> {
        match of {
            Dependency::Image(parent) => match parents.iter().find(|it| it.unit == parent) {
                Some(dependency) if dependency.remote.is_some() => None,
                Some(dependency) => Some(&dependency.image_id),
                None => self.unselected_parent(parent).map(|it| it.image_id.as_str()),
            },
            Dependency::External(id) => self.external(id)?.image_id.as_deref(),
        }
    }

    /// Returns the ID of a dependency, if its build gets it under an alias: the engine's store has it for the requested
    /// platform, and the frontend supports named contexts.
    ///
    /// A dependency that is named by digest does not need an alias.
    pub fn alias_id<'b>(
        &'b self,
        unit: UnitId,
        dependency: &DependencyInputs,
        of: Dependency<UnitId>,
        parents: &'b [ParentImage],
    ) -> Option<&'b str> {
        let is_external = matches!(of, Dependency::External(_));
        let is_meant = !is_external
            || dependency.platform.as_ref().is_none_or(|it| it.is_like(self.units.platform(unit)));
        let has_digest = dependency.reference().is_some_and(|it| it.digest.is_some());
        let is_by_digest = has_digest || self.remote_of(of, parents).is_some();
        let uses_alias = self.resolves_by_digest(unit) && !self.publishes_names;
        self.stored_id(of, parents).filter(|_| uses_alias && is_meant && !is_by_digest)
    }

    /// Returns the references that an image is built on by name, in the form of an engine's events, and the IDs of the
    /// images that they were planned with. If one of them moves during the build, the result changes.
    pub fn shared_names(&self, unit: UnitId, parents: &[ParentImage]) -> Vec<(String, String)> {
        let Some(Ok(own)) = &self.own[unit] else { return Vec::new() };
        // A build that publishes names reports what it has resolved.
        if self.publishes_names {
            return Vec::new();
        }
        let own = self.complete(own, &among(parents));
        let mut names = Vec::new();
        for (dependency, NamedDependency { reference, of, .. }) in own.named_dependencies() {
            let of = *of;
            let is_by_name = reference.digest.is_none()
                && self.alias_id(unit, dependency, of, parents).is_none()
                && self.override_of(unit, dependency, of, parents).is_none()
                && dependency.layers.is_some();
            if let (true, Some(id)) = (is_by_name, self.stored_id(of, parents)) {
                names.push((reference.familiar(), id.to_owned()));
            }
        }
        names
    }

    /// Returns the reference by digest that an image is built on, if this dependency comes from a registry. A named
    /// context stays as the user wrote it, unless it is pinned.
    pub(super) fn override_of<'b>(
        &'b self,
        unit: UnitId,
        dependency: &DependencyInputs,
        of: Dependency<UnitId>,
        parents: &'b [ParentImage],
    ) -> Option<&'b str> {
        let is_context = dependency.kind == DependencyKind::Context;
        let is_pinned = matches!(of, Dependency::External(it) if self.pinned.contains_key(&it));
        let is_taken = if is_context { is_pinned } else { self.resolves_by_digest(unit) };
        self.remote_of(of, parents).filter(|_| is_taken)
    }
}

#[cfg(test)]
mod tests;
