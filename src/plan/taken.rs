//! What an image is built on in place of the names in its Dockerfile.
//!
//! Owns the rule: where the frontend takes named contexts, what only a registry holds and what is
//! pinned is named to it by digest. Any other looks names up in the engine's store.

use super::ask::same_platform;
use super::judge::among;
use super::{Judge, Parent};
use crate::base::ImageId;
use crate::graph::lint::frontend;
use crate::graph::reference::Reference;
use crate::inputs::{NeedInputs, NeedOf};

/// Which frontends of an engine take named contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contexts {
    /// None.
    None,
    /// Those that a Dockerfile names and that are new enough.
    OfNamedFrontends,
    /// Those and its own.
    All,
}

impl Judge<'_> {
    /// Where something that an image needs is by digest, when only a registry holds it.
    pub fn remote_of<'b>(&'b self, of: &NeedOf, needs: &'b [Parent]) -> Option<&'b str> {
        match of {
            NeedOf::Image(parent) => {
                let need = needs.iter().find(|need| need.image == *parent)?;
                need.remote.as_ref().map(|remote| remote.reference.as_str())
            }
            NeedOf::External(reference) => {
                let pinned = self.pinned.get(reference);
                pinned.or_else(|| self.remote_externals.get(reference)).map(String::as_str)
            }
        }
    }

    /// Whether what comes from a registry is built on by its digest, and not by its name in the engine:
    /// where the frontend that reads the Dockerfile knows named contexts.
    pub fn takes_by_digest(&self, image: ImageId) -> bool {
        match (self.contexts, self.image(image).named_frontend()) {
            (Contexts::None, _) | (Contexts::OfNamedFrontends, None) => false,
            (Contexts::All, None) => true,
            (_, Some(name)) => frontend::version_of(name).is_some_and(frontend::knows_contexts),
        }
    }

    /// The ID of something that an image needs, if it was planned with what the engine holds.
    pub fn held_id<'b>(&'b self, of: &NeedOf, needs: &'b [Parent]) -> Option<&'b str> {
        match of {
            NeedOf::Image(parent) => match needs.iter().find(|need| need.image == *parent) {
                Some(need) if need.remote.is_some() => None,
                Some(need) => Some(&need.image_id),
                None => self.unchosen.get(parent).map(|it| it.image_id.as_str()),
            },
            NeedOf::External(reference) => {
                let outside = self.externals.get(reference).and_then(Option::as_ref);
                outside.and_then(|outside| outside.image_id.as_deref())
            }
        }
    }

    /// The ID of something that an image needs, if its build gets it under a name that no one else moves: what
    /// the engine holds for the platform that is asked for, if the frontend takes named contexts. What is named
    /// by digest already needs no other name.
    pub fn lent_id<'b>(
        &'b self,
        image: ImageId,
        need: &NeedInputs,
        of: &NeedOf,
        needs: &'b [Parent],
    ) -> Option<&'b str> {
        let is_external = matches!(of, NeedOf::External(_));
        let is_meant = !is_external
            || need.platform.as_ref().is_none_or(|it| same_platform(it, &self.platform));
        let is_by_digest = self.remote_of(of, needs).is_some() || need.reference.contains('@');
        let is_lent = self.takes_by_digest(image) && !self.publishes_names;
        self.held_id(of, needs).filter(|_| is_lent && is_meant && !is_by_digest)
    }

    /// The references that an image is built on by name, in the form of an engine's events, and the IDs of the
    /// images that they were planned with. Whoever moves one of them during the build changes its outcome.
    pub fn shared_names(&self, image: ImageId, needs: &[Parent]) -> Vec<(String, String)> {
        let Some(Ok(own)) = &self.own[image] else { return Vec::new() };
        // A build that publishes names reports what it has resolved.
        if self.publishes_names {
            return Vec::new();
        }
        let own = self.complete(own, &among(needs));
        let mut names = Vec::new();
        for (need, of) in own.inputs.needs.iter().zip(&own.needs) {
            let is_by_name = self.lent_id(image, need, of, needs).is_none()
                && self.taken(image, need, of, needs).is_none()
                && need.layers.is_some();
            if let (true, Some(id)) = (is_by_name, self.held_id(of, needs))
                && let Ok(reference) = Reference::parse(&need.reference)
                && reference.digest.is_none()
            {
                names.push((reference.familiar(), id.to_owned()));
            }
        }
        names
    }

    /// The reference that an image is built on where a need of it is met from a registry by digest. A
    /// named context is left as the user has it, unless it is pinned.
    pub(super) fn taken<'b>(
        &'b self,
        image: ImageId,
        need: &NeedInputs,
        of: &NeedOf,
        needs: &'b [Parent],
    ) -> Option<&'b str> {
        let is_context = need.kind == "context";
        let is_pinned = matches!(of, NeedOf::External(it) if self.pinned.contains_key(it));
        let is_taken = if is_context { is_pinned } else { self.takes_by_digest(image) };
        self.remote_of(of, needs).filter(|_| is_taken)
    }
}

#[cfg(test)]
mod tests;
