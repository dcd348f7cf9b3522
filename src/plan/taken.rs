//! What an image is built on in place of the names in its Dockerfile.
//!
//! Owns the rule: where the frontend takes named contexts, what only a registry holds and what is
//! pinned is named to it by digest. Any other looks names up in the engine's store.

use super::{Judge, Parent};
use crate::base::ImageId;
use crate::graph::lint::frontend;
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

    /// Whether an image is built on a parent under a name of its own, that nobody else moves: one that the
    /// engine holds, where the frontend takes named contexts.
    pub fn is_lent(&self, image: ImageId, of: &NeedOf, needs: &[Parent]) -> bool {
        let NeedOf::Image(parent) = of else { return false };
        let need = needs.iter().find(|need| need.image == *parent);
        need.is_some_and(|need| need.remote.is_none()) && self.takes_by_digest(image)
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
