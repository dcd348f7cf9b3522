//! What an image is built on in place of the names in its Dockerfile.
//!
//! Owns the rule: a frontend that supports named contexts gets images that only a registry has, and pinned images, by
//! digest. Any other frontend looks names up in the engine's store.

use super::judge::among;
use super::{Judge, Parent};
use crate::base::UnitId;
use crate::engine::{Frontend, NamedContexts};
use crate::graph::Dependency;
use crate::graph::evaluate::NeedKind;
use crate::inputs::NeedInputs;
use crate::lint::frontend;

impl Judge<'_> {
    /// Returns the reference by digest of a dependency that only a registry has.
    pub fn remote_of<'b>(&'b self, of: Dependency<UnitId>, needs: &'b [Parent]) -> Option<&'b str> {
        match of {
            Dependency::Image(parent) => {
                let need = needs.iter().find(|need| need.unit == parent)?;
                need.remote.as_ref().map(|remote| remote.reference.as_str())
            }
            Dependency::External(id) => {
                let pinned = self.pinned.get(&id);
                pinned.or_else(|| self.remote_externals.get(&id)).map(String::as_str)
            }
        }
    }

    /// Returns whether the frontend that reads a Dockerfile supports named contexts. If it does, images from a registry
    /// are used by their digests, and not by their names in the engine's store.
    pub fn takes_by_digest(&self, unit: UnitId) -> bool {
        match (self.contexts, self.image(unit).named_frontend()) {
            (NamedContexts::None, _) | (NamedContexts::OfNamedFrontends, None) => false,
            (NamedContexts::All, None) => true,
            (_, Some(name)) => frontend::version_of(name).is_some_and(Frontend::knows_contexts),
        }
    }

    /// Returns the ID of a dependency, if it was planned with what the engine's store has.
    pub fn held_id<'b>(&'b self, of: Dependency<UnitId>, needs: &'b [Parent]) -> Option<&'b str> {
        match of {
            Dependency::Image(parent) => match needs.iter().find(|need| need.unit == parent) {
                Some(need) if need.remote.is_some() => None,
                Some(need) => Some(&need.image_id),
                None => self.unchosen(parent).map(|it| it.image_id.as_str()),
            },
            Dependency::External(id) => self.outside(id)?.image_id.as_deref(),
        }
    }

    /// Returns the ID of a dependency, if its build gets it under an alias: the engine's store has it for the requested
    /// platform, and the frontend supports named contexts.
    ///
    /// A dependency that is named by digest does not need an alias.
    pub fn lent_id<'b>(
        &'b self,
        unit: UnitId,
        need: &NeedInputs,
        of: Dependency<UnitId>,
        needs: &'b [Parent],
    ) -> Option<&'b str> {
        let is_external = matches!(of, Dependency::External(_));
        let is_meant = !is_external
            || need.platform.as_ref().is_none_or(|it| it.is_like(self.units.platform(unit)));
        let is_by_digest = self.remote_of(of, needs).is_some() || need.reference.digest.is_some();
        let is_lent = self.takes_by_digest(unit) && !self.publishes_names;
        self.held_id(of, needs).filter(|_| is_lent && is_meant && !is_by_digest)
    }

    /// Returns the references that an image is built on by name, in the form of an engine's events, and the IDs of the
    /// images that they were planned with. If one of them moves during the build, the result changes.
    pub fn shared_names(&self, unit: UnitId, needs: &[Parent]) -> Vec<(String, String)> {
        let Some(Ok(own)) = &self.own[unit] else { return Vec::new() };
        // A build that publishes names reports what it has resolved.
        if self.publishes_names {
            return Vec::new();
        }
        let own = self.complete(own, &among(needs));
        let mut names = Vec::new();
        for (need, of) in own.needs() {
            let is_by_name = need.reference.digest.is_none()
                && self.lent_id(unit, need, of, needs).is_none()
                && self.taken(unit, need, of, needs).is_none()
                && need.layers.is_some();
            if let (true, Some(id)) = (is_by_name, self.held_id(of, needs)) {
                names.push((need.reference.familiar(), id.to_owned()));
            }
        }
        names
    }

    /// Returns the reference by digest that an image is built on, if this dependency comes from a registry. A named
    /// context stays as the user wrote it, unless it is pinned.
    pub(super) fn taken<'b>(
        &'b self,
        unit: UnitId,
        need: &NeedInputs,
        of: Dependency<UnitId>,
        needs: &'b [Parent],
    ) -> Option<&'b str> {
        let is_context = need.kind == NeedKind::Context;
        let is_pinned = matches!(of, Dependency::External(it) if self.pinned.contains_key(&it));
        let is_taken = if is_context { is_pinned } else { self.takes_by_digest(unit) };
        self.remote_of(of, needs).filter(|_| is_taken)
    }
}

#[cfg(test)]
mod tests;
