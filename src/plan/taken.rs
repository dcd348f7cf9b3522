//! What an image is built on in place of the names in its Dockerfile.
//!
//! Owns the rule: where the frontend takes named contexts, what only a registry holds and what is
//! pinned is named to it by digest. Any other looks names up in the engine's store.

use super::judge::among;
use super::{Judge, Parent};
use crate::base::UnitId;
use crate::engine::{Frontend, NamedContexts};
use crate::graph::Dependency;
use crate::graph::evaluate::NeedKind;
use crate::inputs::NeedInputs;
use crate::lint::frontend;

impl Judge<'_> {
    /// Where something that an image needs is by digest, when only a registry holds it.
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

    /// Whether what comes from a registry is built on by its digest, and not by its name in the engine:
    /// where the frontend that reads the Dockerfile knows named contexts.
    pub fn takes_by_digest(&self, unit: UnitId) -> bool {
        match (self.contexts, self.image(unit).named_frontend()) {
            (NamedContexts::None, _) | (NamedContexts::OfNamedFrontends, None) => false,
            (NamedContexts::All, None) => true,
            (_, Some(name)) => frontend::version_of(name).is_some_and(Frontend::knows_contexts),
        }
    }

    /// The ID of something that an image needs, if it was planned with what the engine holds.
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

    /// The ID of something that an image needs, if its build gets it under a name that no one else moves: what
    /// the engine holds for the platform that is asked for, if the frontend takes named contexts. What is named
    /// by digest already needs no other name.
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

    /// The references that an image is built on by name, in the form of an engine's events, and the IDs of the
    /// images that they were planned with. Whoever moves one of them during the build changes its outcome.
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

    /// The reference that an image is built on where a need of it is met from a registry by digest. A
    /// named context is left as the user has it, unless it is pinned.
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
