//! Graph, inputs and what the engine holds become verdicts.
//!
//! Owns the rule of freshness: the engine holds an image that carries the key computed now, from
//! its inputs and from the identities of what it needs *now*. Where that image has lost a
//! reference, it gets it back, and nothing is built. The engine is
//! asked once for all images that carry a key, once for each external, and once for each image
//! that others need, as long as its ID is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::fronts::fronts;
use super::held::{Held, HeldImage, Holder};
use super::origin;
use super::shared::{Registered, SharedStore};
use super::verdict::{Reason, Verdict};
use super::{Parent, Plan, Unchosen, carrier};
use crate::base::error::{self, InfrastructureError};
use crate::base::{ExternalId, IdMap, ImageId, UnitId, parallel};
use crate::engine::{ImageStore, LabelFilter, NamedContexts};
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::inputs::{Externals, Identity, Inputs, KEY_LABEL, Outside, Own};
use crate::registry;
use crate::state::Memory;

/// All that verdicts are made of; also asked while a run goes on, when parents are done.
pub struct Judge<'a> {
    /// The images.
    pub graph: &'a Graph,
    /// The engine's store.
    pub store: &'a dyn ImageStore,
    /// Their units.
    pub units: Units,
    /// The own inputs of those that were chosen.
    pub own: IdMap<Option<Result<Own, InfrastructureError>>, UnitId>,
    /// The externals as the engine holds them.
    pub externals: Externals,
    /// What the engine holds of ours.
    pub held: Held,
    /// What is remembered.
    pub memory: Memory,
    /// What images are that were not chosen and are needed by some that were.
    pub unchosen: BTreeMap<ImageId, Unchosen>,
    /// The images that are built in any case.
    pub forced: BTreeSet<UnitId>,
    /// The IDs of images that are known to be built from their Dockerfiles.
    pub built: BTreeSet<String>,
    /// The registry, where images are looked for in one.
    pub shared: Option<SharedStore>,
    /// The images that the engine is to have even if the registry has them.
    pub loads: BTreeSet<UnitId>,
    /// Where externals are by digest that only their registries hold.
    pub remote_externals: BTreeMap<ExternalId, String>,
    /// What stands by digest for externals, wherever those lead.
    pub pinned: BTreeMap<ExternalId, String>,
    /// Which Dockerfiles' frontends take named contexts.
    pub contexts: NamedContexts,
    /// Whether the names that a build is given are published in a provenance, so that parents keep their own.
    pub publishes_names: bool,
}

/// How many images are judged together: their inputs are all in memory meanwhile.
const JUDGED_TOGETHER: usize = 256;

/// An image with its key, of which is to be found out whether the registry has it.
struct Open {
    unit: UnitId,
    /// Its inputs with the identities of what it needs.
    own: Own,
    key: String,
    /// The image in the engine that carries the key, and the references that do not lead to it.
    here: Option<(String, Vec<String>)>,
}

/// An image for which there is nothing to build.
#[derive(Debug, PartialEq, Eq)]
pub struct Present {
    /// Its ID.
    pub image_id: String,
    /// Its references that lead elsewhere or nowhere in the engine, and are to lead to it.
    pub lost: Vec<String>,
    /// What the registry has of it, where it was asked.
    pub registered: Option<Registered>,
    /// Whether only the registry is known to hold it. The references that it has lost are then those for which
    /// it is to be brought into the engine.
    pub is_remote: bool,
}

/// What becomes of an image once all that it needs is there.
#[derive(Debug)]
pub enum Settled {
    /// There is nothing to build.
    Present(Present),
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
    pub fn plan(&self, chosen: &[UnitId]) -> anyhow::Result<Plan> {
        let mut plan = Plan::new(self.graph, &self.units, chosen);
        let mut identities = self.memory.identities();
        let known = identities.len();
        for front in fronts(&plan) {
            for images in front.chunks(JUDGED_TOGETHER) {
                self.judge_together(images, &mut plan, &mut identities)?;
            }
        }
        self.remember_built(&plan);
        if identities.len() > known {
            // Without them the engine is asked again, that is all.
            drop(self.memory.keep_identities(identities));
        }
        Ok(plan)
    }

    /// Judges images of which none needs another.
    fn judge_together(
        &self,
        images: &[UnitId],
        plan: &mut Plan,
        identities: &mut BTreeMap<String, Identity>,
    ) -> anyhow::Result<()> {
        let questions = images.iter().map(|unit| self.ask(*unit, plan));
        let questions: Vec<Result<Open, Verdict>> = questions.collect::<anyhow::Result<_>>()?;
        // Without a registry no answer waits for anybody.
        let at_once = if self.shared.is_some() { registry::AT_ONCE } else { 1 };
        let found = parallel::each(&questions, at_once, |question| match question {
            Ok(open) => self.find_registered(open),
            Err(_) => Ok(None),
        });
        for ((unit, question), found) in images.iter().zip(questions).zip(found) {
            match question {
                Err(verdict) => plan.set_verdict(*unit, verdict),
                Ok(open) => {
                    let settled = self.close(open, found?)?;
                    self.note(*unit, settled, plan, identities)?;
                }
            }
        }
        Ok(())
    }

    /// What is to be found out about an image whose parents have been judged; or the verdict, where nothing is.
    fn ask(&self, unit: UnitId, plan: &Plan) -> anyhow::Result<Result<Open, Verdict>> {
        let needs = plan.needs(unit).iter();
        let stale: Vec<String> =
            needs.filter(|need| !plan.is_fresh(**need)).map(|need| self.name(*need)).collect();
        if stale.is_empty() {
            let of = |parent: UnitId| plan.identity(parent).cloned();
            return Ok(self.open(unit, &of)?.map_err(|reason| Verdict::Build { reason }));
        }
        Ok(Err(match self.certain_reason(unit)? {
            Some(reason) => Verdict::Build { reason },
            None => Verdict::Waits { on: stale },
        }))
    }

    /// Writes into the plan what became of an image.
    fn note(
        &self,
        unit: UnitId,
        settled: Settled,
        plan: &mut Plan,
        identities: &mut BTreeMap<String, Identity>,
    ) -> anyhow::Result<()> {
        let Present { image_id, lost, registered, is_remote } = match settled {
            Settled::Build { reason, .. } => {
                plan.set_verdict(unit, Verdict::Build { reason });
                return Ok(());
            }
            Settled::Present(present) => present,
        };
        let identity = match (is_remote, &registered) {
            (true, Some(registered)) => Some(registered.identity.clone()),
            _ if plan.children(unit).is_empty() => None,
            _ => self.identity_here(&image_id, identities)?,
        };
        if let Some(identity) = identity {
            plan.set_identity(unit, identity);
        }
        let registry = registered.as_ref().filter(|_| is_remote).map(|it| it.reference.clone());
        if let Some(registered) = registered {
            plan.set_registered(unit, registered);
        }
        plan.set_verdict(unit, Verdict::Fresh { image_id, lost, registry });
        Ok(())
    }

    /// What an image in the engine is: as remembered, else asked.
    fn identity_here(
        &self,
        image_id: &str,
        identities: &mut BTreeMap<String, Identity>,
    ) -> anyhow::Result<Option<Identity>> {
        if let Some(identity) = identities.get(image_id) {
            return Ok(Some(identity.clone()));
        }
        let identity = self.store.inspect(image_id)?.as_ref().map(Identity::of);
        if let Some(identity) = &identity {
            identities.insert(image_id.to_owned(), identity.clone());
        }
        Ok(identity)
    }

    /// Whether an image that carries an image's key was built from its Dockerfile.
    fn is_ours(&self, unit: UnitId, held: &HeldImage) -> anyhow::Result<bool> {
        let evidence = self.store.evidence(&held.id)?;
        Ok(evidence.is_some_and(|it| origin::is_proved(self.image(unit), &held.key, &it)))
    }

    /// Remembers which images are ours, so that the engine is asked once for each.
    fn remember_built(&self, plan: &Plan) {
        let fresh = plan.order().iter().filter_map(|unit| match plan.verdict(*unit) {
            Some(Verdict::Fresh { image_id, registry: None, .. }) => Some(image_id.clone()),
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
    /// Where the engine can't be asked, or the registry in which images are to be put.
    pub fn settle(
        &self,
        unit: UnitId,
        identity_of: &dyn Fn(UnitId) -> Option<Identity>,
    ) -> anyhow::Result<Settled> {
        match self.open(unit, identity_of)? {
            Ok(open) => {
                let found = self.find_registered(&open)?;
                self.close(open, found)
            }
            Err(reason) => {
                Ok(Settled::Build { reason, inputs: Box::default(), key: String::new() })
            }
        }
    }

    /// Says what is to be done for an image that the engine held when it was asked and no longer holds: `needs` are
    /// the images that it needs.
    ///
    /// # Errors
    /// Where the registry can't be asked.
    pub fn settle_gone(&self, unit: UnitId, needs: &[Parent]) -> anyhow::Result<Settled> {
        let Some(Ok(own)) = &self.own[unit] else { anyhow::bail!("an image without inputs") };
        let own = self.complete(own, &among(needs));
        let open = Open { unit, key: own.inputs.key(), own, here: None };
        if let Some(found) = self.find_registered(&open)? {
            return Ok(self.settle_remote(unit, found));
        }
        let Open { key, own, .. } = open;
        Ok(Settled::Build { reason: Reason::NoImage, inputs: Box::new(own.inputs), key })
    }

    /// An image with its key and what the engine holds of it; or why it has none.
    fn open(
        &self,
        unit: UnitId,
        identity_of: &dyn Fn(UnitId) -> Option<Identity>,
    ) -> anyhow::Result<Result<Open, Reason>> {
        let own = match &self.own[unit] {
            Some(Ok(own)) => self.complete(own, identity_of),
            Some(Err(error)) => {
                let message = error::text(&error.clone().into());
                return Ok(Err(Reason::Unreadable { message }));
            }
            None => anyhow::bail!("the inputs of `{}` were never gathered", self.name(unit)),
        };
        let key = own.inputs.key();
        let references = &self.image(unit).references;
        let here = match self.forced.contains(&unit) {
            true => None,
            false => {
                let is_ours = |held: &HeldImage| self.is_ours(unit, held);
                carrier::find(&self.held, &key, references, &self.built, &is_ours)?
            }
        };
        let here = here.map(|(held, lost)| (held.id.clone(), lost));
        Ok(Ok(Open { unit, own, key, here }))
    }

    /// What the registry has of an image: it is asked where the engine has none, and in any case where
    /// it is to have all.
    fn find_registered(&self, open: &Open) -> anyhow::Result<Option<Registered>> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let is_wanted = open.here.is_none() || shared.is_needed();
        if !is_wanted || self.forced.contains(&open.unit) {
            return Ok(None);
        }
        shared.find(self.image(open.unit), &open.key)
    }

    /// What becomes of an image, with what the registry has of it.
    fn close(&self, open: Open, found: Option<Registered>) -> anyhow::Result<Settled> {
        let Open { unit, own, key, here } = open;
        let name = self.name(unit);
        if (here.is_some() || found.is_some()) && !self.memory.keeps(&name, &key) {
            // Built from elsewhere, or forgotten: what it was made of is known now.
            drop(self.memory.keep(&name, &key, &own.inputs));
        }
        match (here, found) {
            (Some((image_id, lost)), None) => {
                let (registered, is_remote) = (None, false);
                return Ok(Settled::Present(Present { image_id, lost, registered, is_remote }));
            }
            (Some((image_id, lost)), Some(found)) => {
                let identity = self.store.inspect(&image_id)?.as_ref().map(Identity::of);
                if identity.as_ref() == Some(&found.identity) {
                    let (registered, is_remote) = (Some(found), false);
                    return Ok(Settled::Present(Present { image_id, lost, registered, is_remote }));
                }
                // Both were built from the same and came out different. The one that all others
                // have wins, or theirs and ours would be built on different images for ever.
                return Ok(self.settle_remote(unit, found));
            }
            (None, Some(found)) => return Ok(self.settle_remote(unit, found)),
            (None, None) => {}
        }
        let references = &self.image(unit).references;
        let reason = match self.held.holder(references) {
            _ if self.forced.contains(&unit) => Reason::Forced,
            Holder::One(held) => self.explain(unit, &own, &key, &held.key),
            Holder::Missing(reference) | Holder::Several(reference) => {
                self.explain_missing(unit, reference)?
            }
        };
        Ok(Settled::Build { reason, inputs: Box::new(own.inputs), key })
    }

    fn settle_remote(&self, unit: UnitId, registered: Registered) -> Settled {
        let references = self.image(unit).references.iter().filter(|_| self.loads.contains(&unit));
        Settled::Present(Present {
            image_id: registered.image_id.clone(),
            lost: references.map(Reference::familiar).collect(),
            registered: Some(registered),
            is_remote: true,
        })
    }

    /// Looks again for an image that carries a key, which another run may have built meanwhile:
    /// its ID, and the references that do not lead to it.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    pub fn look_again(
        &self,
        unit: UnitId,
        key: &str,
    ) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let held = Held::read(self.store.list(LabelFilter { name: KEY_LABEL, value: Some(key) })?);
        let references = &self.image(unit).references;
        let is_ours = |held: &HeldImage| self.is_ours(unit, held);
        let found = carrier::find(&held, key, references, &self.memory.built(), &is_ours)?;
        Ok(found.map(|(held, lost)| (held.id.clone(), lost)))
    }

    /// Own inputs with the identities of all that is needed.
    pub fn complete(&self, own: &Own, identity_of: &dyn Fn(UnitId) -> Option<Identity>) -> Own {
        let mut own = own.clone();
        for (need, of) in own.inputs.needs.iter_mut().zip(&own.dependencies) {
            let identity = match of {
                Dependency::Image(parent) => {
                    let taken = || Some(self.unchosen(*parent)?.identity.clone());
                    identity_of(*parent).or_else(taken)
                }
                Dependency::External(id) => self.outside(*id).map(|it| it.identity.clone()),
            };
            need.identify(identity.as_ref());
        }
        own
    }

    /// The image of a unit that was not chosen, if the engine holds it.
    pub(super) fn unchosen(&self, unit: UnitId) -> Option<&Unchosen> {
        self.unchosen.get(&self.units.image(unit))
    }

    /// An external image, if it was found.
    pub fn outside(&self, id: ExternalId) -> Option<&Outside> {
        self.externals.get(&Dependency::External(id)).and_then(Option::as_ref)
    }

    /// The key of an image on what it needs.
    pub fn key_of(&self, unit: UnitId, needs: &[Parent]) -> Option<String> {
        let Some(Ok(own)) = &self.own[unit] else { return None };
        Some(self.complete(own, &among(needs)).inputs.key())
    }

    pub(super) fn name(&self, unit: UnitId) -> String {
        self.image(unit).name.clone()
    }

    /// The image of a unit.
    pub fn image(&self, unit: UnitId) -> &Image {
        &self.graph.images[self.units.image(unit)]
    }
}

/// Finds what an image is among those that another needs.
pub fn among(needs: &[Parent]) -> impl Fn(UnitId) -> Option<Identity> {
    move |unit| needs.iter().find(|need| need.unit == unit).map(|need| need.identity.clone())
}

#[cfg(test)]
mod tests;
