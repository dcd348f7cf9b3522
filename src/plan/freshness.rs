//! The freshness check: graph, inputs, and store snapshot become verdicts.
//!
//! Owns the rule of freshness: an image is fresh if the engine's store has one with the key computed now, from its
//! inputs and from the *current* identities of its parents. If that image has lost a reference, the reference is
//! restored, and nothing is built. The engine gets one request for all images that have a key, one per external, and
//! one per parent whose identity is not known yet.

use std::collections::{BTreeMap, BTreeSet};

use super::levels::levels;
use super::origin;
use super::shared_store::{RegistryImage, SharedStore};
use super::snapshot::{ReferenceTarget, SnapshotImage, StoreSnapshot};
use super::verdict::{Reason, Verdict};
use super::{ParentImage, Plan, UnselectedParent, key_match};
use crate::base::error::{self, InfrastructureError};
use crate::base::{ExternalId, IdMap, ImageId, UnitId, parallel};
use crate::engine::{ImageStore, LabelFilter, NamedContexts};
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::inputs::{
    ExternalDescription, Externals, Identity, Inputs, KEY_LABEL, NamedDependency, OwnInputs,
};
use crate::registry;
use crate::state::RepositoryState;

/// Everything that verdicts are made from. Also used during a run, when parents are done.
pub struct FreshnessCheck<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The engine's store.
    pub store: &'a dyn ImageStore,
    /// The units of the graph's images.
    pub units: Units,
    /// The own inputs of the selected units.
    pub own: IdMap<Option<Result<OwnInputs, InfrastructureError>>, UnitId>,
    /// The externals as the engine's store has them.
    pub externals: Externals,
    /// The store snapshot.
    pub snapshot: StoreSnapshot,
    /// The state directory.
    pub state: RepositoryState,
    /// The parents of selected images that are not selected themselves.
    pub unselected_parents: BTreeMap<ImageId, UnselectedParent>,
    /// The units that are built even if they are up to date.
    pub forced: BTreeSet<UnitId>,
    /// The IDs of images that are known to be built from their Dockerfiles.
    pub built: BTreeSet<String>,
    /// The registry in which images are looked up, if any.
    pub shared: Option<SharedStore>,
    /// The units that the engine's store must have even if the registry has them.
    pub loads: BTreeSet<UnitId>,
    /// References by digest of the externals that only their registries have.
    pub remote_externals: BTreeMap<ExternalId, String>,
    /// References by digest of pinned externals, whatever their tags point to.
    pub pinned: BTreeMap<ExternalId, String>,
    /// Which Dockerfiles' frontends support named contexts.
    pub contexts: NamedContexts,
    /// Whether a provenance publishes the names that a build is given. Parents then keep their own names.
    pub publishes_names: bool,
}

/// How many images are checked together: their inputs are all in memory at the same time.
const DECIDED_TOGETHER: usize = 256;

/// An image with its key, before it is looked up in the registry.
struct UnresolvedImage {
    unit: UnitId,
    /// Its inputs with the identities of its parents.
    own: OwnInputs,
    key: String,
    /// The image in the engine's store that has the key, and the references that do not point to it.
    here: Option<(String, Vec<String>)>,
}

/// An image that does not have to be built.
#[derive(Debug, PartialEq, Eq)]
pub struct FreshImage {
    /// Its ID.
    pub image_id: String,
    /// Its references that point elsewhere or nowhere in the engine's store, and are to point to it.
    pub lost: Vec<String>,
    /// What the registry has of it, if it was looked up.
    pub registry_image: Option<RegistryImage>,
    /// Whether it is known to be only in the registry. It is then pulled if there are lost references.
    pub is_remote: bool,
}

/// The decision on an image when all its dependencies are done.
#[derive(Debug)]
pub enum Decision {
    /// There is nothing to build.
    Fresh(FreshImage),
    /// It is built.
    Build {
        /// Why it is built.
        reason: Reason,
        /// Its inputs with the identities of its parents.
        inputs: Box<Inputs>,
        /// The key of these inputs.
        key: String,
    },
}

impl FreshnessCheck<'_> {
    /// Decides on the `chosen` units, which include all their dependencies.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn plan(&self, selected: &[UnitId]) -> anyhow::Result<Plan> {
        let mut plan = Plan::new(self.graph, &self.units, selected);
        let mut identities = self.state.identities();
        let before = identities.len();
        for level in levels(&plan) {
            for images in level.chunks(DECIDED_TOGETHER) {
                self.decide_together(images, &mut plan, &mut identities)?;
            }
        }
        self.remember_built(&plan);
        if identities.len() > before {
            // Without them, the engine gets the requests again; nothing else depends on them.
            drop(self.state.keep_identities(identities));
        }
        Ok(plan)
    }

    /// Decides on images that do not depend on each other.
    fn decide_together(
        &self,
        images: &[UnitId],
        plan: &mut Plan,
        identities: &mut BTreeMap<String, Identity>,
    ) -> anyhow::Result<()> {
        let questions = images.iter().map(|unit| self.prepare_lookup(*unit, plan));
        let questions: Vec<Result<UnresolvedImage, Verdict>> =
            questions.collect::<anyhow::Result<_>>()?;
        // Without a registry, there is nothing to wait for.
        let at_once = if self.shared.is_some() { registry::AT_ONCE } else { 1 };
        let found = parallel::each(&questions, at_once, |question| match question {
            Ok(open) => self.find_in_registry(open),
            Err(_) => Ok(None),
        });
        for ((unit, question), found) in images.iter().zip(questions).zip(found) {
            match question {
                Err(verdict) => plan.set_verdict(*unit, verdict),
                Ok(open) => {
                    let decision = self.close(open, found?)?;
                    self.note(*unit, decision, plan, identities)?;
                }
            }
        }
        Ok(())
    }

    /// Returns what is to be looked up about an image whose parents have been decided, or the verdict if there is
    /// nothing to look up.
    fn prepare_lookup(
        &self,
        unit: UnitId,
        plan: &Plan,
    ) -> anyhow::Result<Result<UnresolvedImage, Verdict>> {
        let parents = plan.parents(unit).iter();
        let stale: Vec<String> = parents
            .filter(|dependency| !plan.is_fresh(**dependency))
            .map(|dependency| self.name(*dependency))
            .collect();
        if stale.is_empty() {
            let of = |parent: UnitId| plan.identity(parent).cloned();
            return Ok(self.open(unit, &of)?.map_err(|reason| Verdict::Build { reason }));
        }
        Ok(Err(match self.certain_reason(unit)? {
            Some(reason) => Verdict::Build { reason },
            None => Verdict::Waits { on: stale },
        }))
    }

    /// Records the decision on an image in the plan.
    fn note(
        &self,
        unit: UnitId,
        decision: Decision,
        plan: &mut Plan,
        identities: &mut BTreeMap<String, Identity>,
    ) -> anyhow::Result<()> {
        let FreshImage { image_id, lost, registry_image, is_remote } = match decision {
            Decision::Build { reason, .. } => {
                plan.set_verdict(unit, Verdict::Build { reason });
                return Ok(());
            }
            Decision::Fresh(present) => present,
        };
        let identity = match (is_remote, &registry_image) {
            (true, Some(registry_image)) => Some(registry_image.identity.clone()),
            _ if plan.children(unit).is_empty() => None,
            _ => self.identity_here(&image_id, identities)?,
        };
        if let Some(identity) = identity {
            plan.set_identity(unit, identity);
        }
        let registry = registry_image.as_ref().filter(|_| is_remote).map(|it| it.reference.clone());
        if let Some(registry_image) = registry_image {
            plan.set_registry_image(unit, registry_image);
        }
        plan.set_verdict(unit, Verdict::Fresh { image_id, lost, registry });
        Ok(())
    }

    /// Returns the identity of an image in the engine's store, from the state directory or else from the engine.
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

    /// Returns whether an image that has the key of a unit was built from its Dockerfile.
    fn is_ours(&self, unit: UnitId, image: &SnapshotImage) -> anyhow::Result<bool> {
        let evidence = self.store.evidence(&image.id)?;
        Ok(evidence.is_some_and(|it| origin::is_proved(self.image(unit), &image.key, &it)))
    }

    /// Remembers which images were built from their Dockerfiles, so that the engine gets one request for each.
    fn remember_built(&self, plan: &Plan) {
        let fresh = plan.order().iter().filter_map(|unit| match plan.verdict(*unit) {
            Some(Verdict::Fresh { image_id, registry: None, .. }) => Some(image_id.clone()),
            _ => None,
        });
        let new: BTreeSet<String> = fresh.filter(|id| !self.built.contains(id)).collect();
        // Without them, the engine gets the requests again; nothing else depends on them.
        drop(self.state.keep_built(&self.built, new));
    }

    /// Decides on an image, given the identities of its parents in the repository.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached, or the registry if images are to be pushed to it.
    pub fn decide(
        &self,
        unit: UnitId,
        identity_of: &dyn Fn(UnitId) -> Option<Identity>,
    ) -> anyhow::Result<Decision> {
        match self.open(unit, identity_of)? {
            Ok(open) => {
                let found = self.find_in_registry(&open)?;
                self.close(open, found)
            }
            Err(reason) => {
                Ok(Decision::Build { reason, inputs: Box::default(), key: String::new() })
            }
        }
    }

    /// Decides on an image that was in the store snapshot and has disappeared from the store.
    ///
    /// # Errors
    /// Returns an error if the registry cannot be reached.
    pub fn decide_missing(
        &self,
        unit: UnitId,
        parents: &[ParentImage],
    ) -> anyhow::Result<Decision> {
        let Some(Ok(own)) = &self.own[unit] else { anyhow::bail!("an image without inputs") };
        let own = self.complete(own, &among(parents));
        let open = UnresolvedImage { unit, key: own.inputs.key(), own, here: None };
        if let Some(found) = self.find_in_registry(&open)? {
            return Ok(self.decide_remote(unit, found));
        }
        let UnresolvedImage { key, own, .. } = open;
        Ok(Decision::Build { reason: Reason::NoImage, inputs: Box::new(own.inputs), key })
    }

    /// Returns an image with its key and what the engine's store has of it, or why it has no key.
    fn open(
        &self,
        unit: UnitId,
        identity_of: &dyn Fn(UnitId) -> Option<Identity>,
    ) -> anyhow::Result<Result<UnresolvedImage, Reason>> {
        let own = match &self.own[unit] {
            Some(Ok(own)) => {
                if let Some(reason) = Reason::of_missing_file(own) {
                    return Ok(Err(reason));
                }
                self.complete(own, identity_of)
            }
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
                let is_ours = |image: &SnapshotImage| self.is_ours(unit, image);
                key_match::find(&self.snapshot, &key, references, &self.built, &is_ours)?
            }
        };
        let here = here.map(|(image, lost)| (image.id.clone(), lost));
        Ok(Ok(UnresolvedImage { unit, own, key, here }))
    }

    /// Looks up an image in the registry if the engine's store does not have it, or if the registry must have all
    /// images.
    fn find_in_registry(&self, open: &UnresolvedImage) -> anyhow::Result<Option<RegistryImage>> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let is_wanted = open.here.is_none() || shared.is_needed();
        if !is_wanted || self.forced.contains(&open.unit) {
            return Ok(None);
        }
        shared.find(self.image(open.unit), &open.key)
    }

    /// Decides on an image, with what the registry has of it.
    fn close(
        &self,
        open: UnresolvedImage,
        found: Option<RegistryImage>,
    ) -> anyhow::Result<Decision> {
        let UnresolvedImage { unit, own, key, here } = open;
        let name = self.name(unit);
        if (here.is_some() || found.is_some()) && !self.state.keeps(&name, &key) {
            // The image was built elsewhere, or the state directory was deleted. Its inputs are
            // known now.
            drop(self.state.keep(&name, &key, &own.inputs));
        }
        match (here, found) {
            (Some((image_id, lost)), None) => {
                let (registry_image, is_remote) = (None, false);
                return Ok(Decision::Fresh(FreshImage {
                    image_id,
                    lost,
                    registry_image,
                    is_remote,
                }));
            }
            (Some((image_id, lost)), Some(found)) => {
                let identity = self.store.inspect(&image_id)?.as_ref().map(Identity::of);
                if identity.as_ref() == Some(&found.identity) {
                    let (registry_image, is_remote) = (Some(found), false);
                    return Ok(Decision::Fresh(FreshImage {
                        image_id,
                        lost,
                        registry_image,
                        is_remote,
                    }));
                }
                // Both were built from the same inputs and differ. The one that all machines share
                // wins, or other machines and this one would always build on different images.
                return Ok(self.decide_remote(unit, found));
            }
            (None, Some(found)) => return Ok(self.decide_remote(unit, found)),
            (None, None) => {}
        }
        let references = &self.image(unit).references;
        let reason = match self.snapshot.target_of(references) {
            _ if self.forced.contains(&unit) => Reason::Forced,
            _ if !self.store.is_queried() => self.explain_without_engine(unit, &own),
            ReferenceTarget::One(image) => self.explain(unit, &own, &key, &image.key),
            ReferenceTarget::Missing(reference) | ReferenceTarget::Several(reference) => {
                self.explain_missing(unit, reference)?
            }
        };
        Ok(Decision::Build { reason, inputs: Box::new(own.inputs), key })
    }

    fn decide_remote(&self, unit: UnitId, registry_image: RegistryImage) -> Decision {
        let references = self.image(unit).references.iter().filter(|_| self.loads.contains(&unit));
        Decision::Fresh(FreshImage {
            image_id: registry_image.image_id.clone(),
            lost: references.map(Reference::familiar).collect(),
            registry_image: Some(registry_image),
            is_remote: true,
        })
    }

    /// Looks up an image with a key again, because another run may have built it meanwhile. Returns its ID, and the
    /// references that do not point to it.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn look_again(
        &self,
        unit: UnitId,
        key: &str,
    ) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let snapshot = StoreSnapshot::read(
            self.store.list(LabelFilter { name: KEY_LABEL, value: Some(key) })?,
        );
        let references = &self.image(unit).references;
        let is_ours = |image: &SnapshotImage| self.is_ours(unit, image);
        let found = key_match::find(&snapshot, key, references, &self.state.built(), &is_ours)?;
        Ok(found.map(|(image, lost)| (image.id.clone(), lost)))
    }

    /// Completes own inputs with the identities of all parents.
    pub fn complete(
        &self,
        own: &OwnInputs,
        identity_of: &dyn Fn(UnitId) -> Option<Identity>,
    ) -> OwnInputs {
        let mut own = own.clone();
        let mut unresolved = Vec::new();
        for NamedDependency { of, index, reference } in &own.dependencies {
            let identity = match of {
                Dependency::Image(parent) => {
                    let override_of = || Some(self.unselected_parent(*parent)?.identity.clone());
                    identity_of(*parent).or_else(override_of)
                }
                Dependency::External(id) => self.external(*id).map(|it| it.identity.clone()),
            };
            own.inputs.dependencies[*index].identify(identity.as_ref());
            if identity.is_none() && matches!(of, Dependency::Image(_)) {
                unresolved.push((*index, reference.clone()));
            }
        }
        for (index, reference) in unresolved {
            own.inputs.dependencies[index].unresolved.push(reference);
        }
        own
    }

    /// Returns the image of a unit that was not selected, if the engine's store has it.
    pub(super) fn unselected_parent(&self, unit: UnitId) -> Option<&UnselectedParent> {
        self.unselected_parents.get(&self.units.image(unit))
    }

    /// Returns an external image, if it was found.
    pub fn external(&self, id: ExternalId) -> Option<&ExternalDescription> {
        self.externals.get(&Dependency::External(id)).and_then(Option::as_ref)
    }

    /// Returns the key of an image with these parents.
    pub fn key_of(&self, unit: UnitId, parents: &[ParentImage]) -> Option<String> {
        let Some(Ok(own)) = &self.own[unit] else { return None };
        Some(self.complete(own, &among(parents)).inputs.key())
    }

    pub(super) fn name(&self, unit: UnitId) -> String {
        self.image(unit).name.clone()
    }

    /// Returns the image of a unit.
    pub fn image(&self, unit: UnitId) -> &Image {
        &self.graph.images[self.units.image(unit)]
    }
}

/// Returns a function that finds the identity of a unit among the parents of an image.
pub fn among(parents: &[ParentImage]) -> impl Fn(UnitId) -> Option<Identity> {
    move |unit| {
        parents.iter().find(|it| it.unit == unit).map(|dependency| dependency.identity.clone())
    }
}

#[cfg(test)]
mod tests;
