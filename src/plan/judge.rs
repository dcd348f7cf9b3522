//! Graph, inputs and what the engine holds become verdicts.
//!
//! Owns the rule of freshness: the engine holds an image that carries the key computed now, from
//! its inputs and from the identities of what it needs *now*. Where that image has lost a
//! reference, it gets it back, and nothing is built. The engine is
//! asked once for all images that carry a key, once for each external, and once for each image
//! that others need, as long as its ID is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::held::{Held, HeldImage, Holder};
use super::verdict::{Reason, Verdict};
use super::{Plan, carrier, origin};
use crate::base::{IdMap, ImageId};
use crate::engine::Engine;
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image};
use crate::inputs::{Externals, Identity, Inputs, KEY_LABEL, Memory, NeedOf, Own, diff};

/// All that verdicts are made of; also asked while a run goes on, when parents are done.
pub struct Judge<'a> {
    /// The images.
    pub graph: &'a Graph,
    /// The own inputs of those that were chosen.
    pub own: IdMap<Option<Result<Own, String>>>,
    /// The externals as the engine holds them.
    pub externals: Externals,
    /// What the engine holds of ours.
    pub held: Held,
    /// What is remembered.
    pub memory: Memory,
    /// What images are that were not chosen and are needed by some that were.
    pub unchosen: BTreeMap<ImageId, Identity>,
    /// The images that are built in any case.
    pub forced: BTreeSet<ImageId>,
    /// The IDs of images that are known to be built from their Dockerfiles.
    pub built: BTreeSet<String>,
}

/// What becomes of an image once all that it needs is there.
#[derive(Debug)]
pub enum Settled {
    /// There is nothing to build.
    Fresh {
        /// The image's ID.
        image_id: String,
        /// Its references that lead elsewhere or nowhere.
        lost: Vec<String>,
    },
    /// It is built.
    Build {
        /// Why.
        reason: Reason,
        /// Its inputs with the identities of what it needs.
        inputs: Box<Inputs>,
        /// Their key.
        key: String,
    },
}

impl Judge<'_> {
    /// The verdicts on `chosen`, which holds all that its images need.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    pub fn plan(&self, chosen: &[ImageId], engine: &dyn Engine) -> anyhow::Result<Plan> {
        let mut plan = Plan::new(self.graph, chosen);
        let mut identities = self.memory.identities();
        let known = identities.len();
        for image in plan.order().to_vec() {
            let stale: Vec<String> = plan
                .needs(image)
                .iter()
                .filter(|need| !plan.is_fresh(**need))
                .map(|need| self.name(*need))
                .collect();
            let verdict = if stale.is_empty() {
                let of = |parent: ImageId| plan.identity(parent).cloned();
                match self.settle(image, &of, engine)? {
                    Settled::Fresh { image_id, lost } => Verdict::Fresh { image_id, lost },
                    Settled::Build { reason, .. } => Verdict::Build { reason },
                }
            } else {
                match self.certain_reason(image, engine)? {
                    Some(reason) => Verdict::Build { reason },
                    None => Verdict::Waits { on: stale },
                }
            };
            if let (Verdict::Fresh { image_id, .. }, false) =
                (&verdict, plan.children(image).is_empty())
            {
                let identity = match identities.get(image_id) {
                    Some(identity) => Some(identity.clone()),
                    None => engine.inspect(image_id)?.as_ref().map(Identity::of),
                };
                if let Some(identity) = identity {
                    identities.insert(image_id.clone(), identity.clone());
                    plan.set_identity(image, identity);
                }
            }
            plan.set_verdict(image, verdict);
        }
        self.remember_built(&plan);
        if identities.len() > known {
            // Without them the engine is asked again, that is all.
            drop(self.memory.keep_identities(identities));
        }
        Ok(plan)
    }

    /// Whether an image that carries an image's key was built from its Dockerfile: it ends with its
    /// last instruction.
    fn is_ours(
        &self,
        image: ImageId,
        held: &HeldImage,
        engine: &dyn Engine,
    ) -> anyhow::Result<bool> {
        let newest = engine.newest_step(&held.id)?;
        Ok(newest.is_none_or(|newest| origin::ends_with_target(self.image(image), &newest)))
    }

    /// Remembers which images are ours, so that the engine is asked once for each.
    fn remember_built(&self, plan: &Plan) {
        let fresh = plan.order().iter().filter_map(|image| match plan.verdict(*image) {
            Some(Verdict::Fresh { image_id, .. }) => Some(image_id.clone()),
            _ => None,
        });
        let new: BTreeSet<String> = fresh.filter(|id| !self.built.contains(id)).collect();
        // Without them the engine is asked again, that is all.
        drop(self.memory.keep_built(&self.built, new));
    }

    /// What becomes of an image, given the identities of the images of the repository that it
    /// needs.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    pub fn settle(
        &self,
        image: ImageId,
        identity_of: &dyn Fn(ImageId) -> Option<Identity>,
        engine: &dyn Engine,
    ) -> anyhow::Result<Settled> {
        let own = match &self.own[image] {
            Some(Ok(own)) => own,
            Some(Err(message)) => {
                let reason = Reason::Unreadable { message: message.clone() };
                return Ok(Settled::Build { reason, inputs: Box::default(), key: String::new() });
            }
            None => anyhow::bail!("the inputs of `{}` were never gathered", self.name(image)),
        };
        let own = self.complete(own, identity_of);
        let key = own.inputs.key();
        let references = &self.graph.images[image].references;
        let is_forced = self.forced.contains(&image);
        let carrier = match is_forced {
            true => None,
            false => {
                let is_ours = |held: &HeldImage| self.is_ours(image, held, engine);
                carrier::find(&self.held, &key, references, &self.built, &is_ours, engine)?
            }
        };
        if let Some((held, lost)) = carrier {
            if !self.memory.keeps(&self.name(image), &key) {
                // Built from elsewhere, or forgotten: what it was made of is known now.
                drop(self.memory.keep(&self.name(image), &key, &own.inputs));
            }
            return Ok(Settled::Fresh { image_id: held.id.clone(), lost });
        }
        let reason = match self.held.holder(references) {
            _ if is_forced => Reason::Forced,
            Holder::One(held) => self.explain(image, &own, &key, &held.key),
            Holder::Missing(reference) | Holder::Several(reference) => {
                self.explain_missing(image, reference, engine)?
            }
        };
        Ok(Settled::Build { reason, inputs: Box::new(own.inputs), key })
    }

    /// Looks again for an image that carries a key, which another run may have built meanwhile:
    /// its ID, and the references that do not lead to it.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    pub fn look_again(
        &self,
        image: ImageId,
        key: &str,
        engine: &dyn Engine,
    ) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let held = Held::read(engine.list(&format!("{KEY_LABEL}={key}"))?);
        let references = &self.graph.images[image].references;
        let is_ours = |held: &HeldImage| self.is_ours(image, held, engine);
        let found = carrier::find(&held, key, references, &self.built, &is_ours, engine)?;
        Ok(found.map(|(held, lost)| (held.id.clone(), lost)))
    }

    /// Own inputs with the identities of all that is needed.
    pub fn complete(&self, own: &Own, identity_of: &dyn Fn(ImageId) -> Option<Identity>) -> Own {
        let mut own = own.clone();
        for (need, of) in own.inputs.needs.iter_mut().zip(&own.needs) {
            let identity = match of {
                NeedOf::Image(parent) => {
                    identity_of(*parent).or_else(|| self.unchosen.get(parent).cloned())
                }
                NeedOf::External(reference) => {
                    let outside = self.externals.get(reference).and_then(Option::as_ref);
                    outside.map(|outside| outside.identity.clone())
                }
            };
            need.identify(identity.as_ref());
        }
        own
    }

    /// Makes sure that all that an image was built on is what it was when its key was made.
    ///
    /// # Errors
    /// Where a reference leads elsewhere by now, or the engine can't be asked.
    pub fn confirm(
        &self,
        image: ImageId,
        identity_of: &dyn Fn(ImageId) -> Option<Identity>,
        engine: &dyn Engine,
    ) -> anyhow::Result<()> {
        let Some(Ok(own)) = &self.own[image] else { return Ok(()) };
        let own = self.complete(own, identity_of);
        for need in &own.inputs.needs {
            // What the engine did not hold was fetched by the build itself.
            if need.layers.is_none() {
                continue;
            }
            let reference = Reference::parse(&need.reference)
                .map_or_else(|_| need.reference.clone(), |reference| reference.familiar());
            let mut now = need.clone();
            let found = engine.inspect(&reference)?;
            now.identify(found.as_ref().map(Identity::of).as_ref());
            if now != *need {
                let what = if found.is_some() { "moved to another image" } else { "removed" };
                anyhow::bail!(
                    "`{reference}` was {what} while `{}` was built on it\n\
                     hint: build again when nothing else builds, tags or removes these images",
                    self.name(image)
                );
            }
        }
        Ok(())
    }

    /// Why an image is built whatever becomes of its parents; nothing where that is not certain.
    fn certain_reason(
        &self,
        image: ImageId,
        engine: &dyn Engine,
    ) -> anyhow::Result<Option<Reason>> {
        let Some(Ok(own)) = &self.own[image] else {
            let Some(Err(message)) = &self.own[image] else { return Ok(None) };
            return Ok(Some(Reason::Unreadable { message: message.clone() }));
        };
        if self.forced.contains(&image) {
            return Ok(Some(Reason::Forced));
        }
        let key = match self.held.holder(&self.graph.images[image].references) {
            Holder::One(held) => &held.key,
            Holder::Missing(reference) | Holder::Several(reference) => {
                return self.explain_missing(image, reference, engine).map(Some);
            }
        };
        let was = self.memory.recall(&self.name(image), key);
        Ok(was.filter(|was| diff::differs_by_itself(&own.inputs, was)).map(|was| {
            let mut changes = diff::changes(own, &was, &|image| self.name(image));
            // What the parents are is not known yet.
            changes.retain(|it| {
                !matches!(it, diff::Change::Parent { .. } | diff::Change::External { .. })
            });
            if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
        }))
    }

    /// Why an image that carries another key is not the one of today.
    fn explain(&self, image: ImageId, own: &Own, key: &str, held_key: &str) -> Reason {
        let name = self.name(image);
        // It only inherited its key from the image that it was built on.
        if key == held_key {
            let references = &self.graph.images[image].references;
            let reference = references.first().map(Reference::familiar).unwrap_or_default();
            return Reason::TagMoved { reference };
        }
        let changes = self
            .memory
            .recall(&name, held_key)
            .map(|was| diff::changes(own, &was, &|image| self.name(image)))
            .unwrap_or_default();
        if changes.is_empty() { Reason::OtherInputs } else { Reason::Changed { changes } }
    }

    /// Why not all references of an image lead to one that carries a key.
    fn explain_missing(
        &self,
        image: ImageId,
        reference: String,
        engine: &dyn Engine,
    ) -> anyhow::Result<Reason> {
        let references = &self.graph.images[image].references;
        if self.held.holds_any(references) {
            return Ok(Reason::TagMoved { reference });
        }
        // An image that somebody else put there is only looked for where one of ours has been:
        // the first build of a repository asks for nothing.
        let was_here = self.memory.knows(&self.name(image));
        if was_here && engine.inspect(&reference)?.is_some() {
            return Ok(Reason::TagMoved { reference });
        }
        Ok(Reason::NoImage)
    }

    fn name(&self, image: ImageId) -> String {
        self.image(image).name.clone()
    }

    fn image(&self, image: ImageId) -> &Image {
        &self.graph.images[image]
    }
}
