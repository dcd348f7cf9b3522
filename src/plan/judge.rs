//! Graph, inputs and what the engine holds become verdicts.
//!
//! Owns the rule of freshness: every reference of an image leads to one image that carries the
//! key computed now, from its inputs and from the identities of what it needs *now*. The engine is
//! asked once for all images that carry a key, once for each external, and once for each image
//! that others need, as long as its ID is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::held::{Held, HeldImage, Holder};
use super::verdict::{Reason, Verdict};
use crate::base::{IdMap, ImageId};
use crate::engine::Engine;
use crate::graph::reference::Reference;
use crate::graph::{Edge, Graph, Image};
use crate::inputs::{Externals, Identity, Inputs, KEY_LABEL, Memory, NeedOf, Outside, Own, diff};

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
}

/// What becomes of an image once all that it needs is there.
#[derive(Debug)]
pub enum Settled {
    /// There is nothing to do.
    Fresh {
        /// The image's ID.
        image_id: String,
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

/// Asks the engine for the images that carry a key.
///
/// # Errors
/// Where it can't be asked.
pub fn ask_held(engine: &dyn Engine) -> anyhow::Result<Held> {
    Ok(Held::read(engine.list(KEY_LABEL)?))
}

/// Asks the engine for the externals of some images, each once.
///
/// # Errors
/// Where it can't be asked.
pub fn ask_externals(
    graph: &Graph,
    images: &[ImageId],
    platform: &str,
    engine: &dyn Engine,
) -> anyhow::Result<Externals> {
    let all = images.iter().flat_map(|image| &graph.images[*image].externals);
    let by_name: BTreeMap<String, &Reference> =
        all.map(|it| (it.reference.normalised(), &it.reference)).collect();
    let mut externals = Externals::new();
    for (name, reference) in by_name {
        let stored = engine.inspect(&reference.familiar())?;
        // What is there for another platform may be what a `FROM --platform` takes; if it is not,
        // nobody has seen what will be.
        let outside = stored.map(|image| Outside {
            identity: Identity::of(&image),
            has_triggers: !image.on_build.is_empty() || !same_platform(&image.platform, platform),
        });
        externals.insert(name, outside);
    }
    Ok(externals)
}

/// Asks the engine for the images that some of `chosen` need and that are not chosen themselves,
/// each once. They are taken as they are, so one whose triggers are not those of its Dockerfile
/// of today joins `externals`: nobody here knows what its triggers read.
///
/// # Errors
/// Where it can't be asked.
pub fn ask_unchosen(
    graph: &Graph,
    chosen: &[ImageId],
    engine: &dyn Engine,
    externals: &mut Externals,
) -> anyhow::Result<BTreeMap<ImageId, Identity>> {
    let is_chosen: BTreeSet<ImageId> = chosen.iter().copied().collect();
    let of_chosen = chosen.iter().flat_map(|image| &graph.images[*image].parents);
    let needed: BTreeMap<String, &Edge> = of_chosen
        .filter(|edge| !is_chosen.contains(&edge.parent))
        .map(|edge| (edge.reference.normalised(), edge))
        .collect();
    let mut identities = BTreeMap::new();
    for (name, Edge { parent, reference, .. }) in needed {
        let stored = engine.inspect(&reference.familiar())?;
        let Some(stored) = stored else {
            externals.insert(name, None);
            continue;
        };
        let identity = Identity::of(&stored);
        let known = graph.images[*parent].evaluation.onbuild.iter().map(|trigger| &trigger.text);
        if !known.eq(&stored.on_build) {
            let outside = Outside { identity: identity.clone(), has_triggers: true };
            externals.insert(name, Some(outside));
        }
        identities.insert(*parent, identity);
    }
    Ok(identities)
}

/// System and architecture; engines disagree on when to name a variant.
fn same_platform(a: &str, b: &str) -> bool {
    a.split('/').take(2).eq(b.split('/').take(2))
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
                    Settled::Fresh { image_id } => Verdict::Fresh { image_id },
                    Settled::Build { reason, .. } => Verdict::Build { reason },
                }
            } else {
                match self.certain_reason(image, engine)? {
                    Some(reason) => Verdict::Build { reason },
                    None => Verdict::Waits { on: stale },
                }
            };
            if let (Verdict::Fresh { image_id }, false) =
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
        if identities.len() > known {
            // Without them the engine is asked again, that is all.
            drop(self.memory.keep_identities(identities));
        }
        Ok(plan)
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
        let holder = self.held.holder(references);
        let reason = match holder {
            _ if self.forced.contains(&image) => Reason::Forced,
            Holder::One(held) if held.key == key && self.is_built_upon(held, engine)? => {
                let reference = references.first().map(Reference::familiar).unwrap_or_default();
                Reason::TagMoved { reference }
            }
            Holder::One(held) if held.key == key => {
                if self.memory.recall(&self.name(image), &key).is_none() {
                    // Built from elsewhere, or forgotten: what it was made of is known now.
                    drop(self.memory.keep(&self.name(image), &key, &own.inputs));
                }
                return Ok(Settled::Fresh { image_id: held.id.clone() });
            }
            Holder::One(held) => self.explain(image, &own, &key, &held.key),
            Holder::Missing(reference) | Holder::Several(reference) => {
                self.explain_missing(image, reference, engine)?
            }
        };
        Ok(Settled::Build { reason, inputs: Box::new(own.inputs), key })
    }

    /// Whether an image only inherited its key: somebody started from the image that was built
    /// with it (`FROM`, `docker commit`), added layers, and gave the outcome its name.
    fn is_built_upon(&self, held: &HeldImage, engine: &dyn Engine) -> anyhow::Result<bool> {
        let mut namesakes = self.held.namesakes(held).peekable();
        if namesakes.peek().is_none() {
            return Ok(false);
        }
        let Some(own) = engine.inspect(&held.id)? else { return Ok(false) };
        for other in namesakes {
            let Some(other) = engine.inspect(&other.id)? else { continue };
            let (below, all) = (&other.diff_ids, &own.diff_ids);
            if below.len() < all.len() && all.starts_with(below) {
                return Ok(true);
            }
        }
        Ok(false)
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
        // The right one is there without its name.
        if self.held.carries(key) {
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
