//! The image provider of `build`, `plan`, and `why`: it queries the engine and decides which images are up to date.
//!
//! Owns how a repository becomes a plan, and the build requests of images when they are scheduled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

use crate::base::clock::UnixTime;
use crate::base::error::permanent;
use crate::base::screen::visible;
use crate::base::{Platform, UnitId, clock};
use crate::cli::{EngineName, PushOption};
use crate::engine::build_option::Entitlement;
use crate::engine::docker::Docker;
#[cfg(any(debug_assertions, feature = "fake"))]
use crate::engine::fake::Fake;
use crate::engine::none::NoEngine;
use crate::engine::{
    BuildFailure, BuildRequest, Builder, BuilderInfo, ContextFiles, ContextSource, ImageStore,
    NoFiles, Secrets, StoredImage,
};
use crate::event::{Excerpt, Failure, FailureKind};
use crate::graph::context_directory::is_elsewhere;
use crate::graph::evaluate::DependencyKind;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Image, locate};
use crate::inputs::gather::GatherRequest;
use crate::inputs::{ContextSelection, KEY_LABEL, OwnInputs, PROOF_LABEL};
use crate::lint::frontend;
use crate::plan::{
    Decision, FreshImage, FreshnessCheck, LostImages, ParentImage, Plan, Reason, RegistryImage,
    among, inspect_unselected_parents,
};
use crate::report::printer;
use crate::schedule::pull::{RequiredImage, pull_image};
use crate::schedule::{ClaimContext, Preparation, UnitProvider};
use crate::state::RepositoryState;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, proxies};

use super::ancestry::Ancestry;
use super::externals::Discovery;
use super::parent_aliases::{ContextOverrides, ParentAliases, redirect};
use super::planning::{GatheredInputs, look, make_plan};
use super::pull::{ExternalImages, Pull};
use super::selection::Selection;
use super::shared_names::SharedNames;
use super::synchronized_context::SynchronizedContext;
use super::{attest, entitlements, pins};

/// What to do with a selection. The default only inspects and changes nothing.
#[derive(Default)]
pub struct ImageRequest {
    /// The selected images.
    pub selected: Selection,
    /// Whether to rebuild the selected images even if they are up to date.
    pub force: bool,
    /// Whether to rebuild them without the engine's cache.
    pub no_cache: bool,
    /// What to pull before planning.
    pub pull: Pull,
    /// Whether to print what is pulled.
    pub report: bool,
    /// What to push to the registry.
    pub push: PushOption,
    /// Whether the engine's store must have the selected images even if the registry has them.
    pub load: bool,
    /// Whether the engine must support the requested attestations.
    pub attests: bool,
    /// The digests that externals are built on, whatever their tags point to.
    pub pins: Pins,
    /// The images of which the registry has lost a part.
    pub lost: LostImages,
}

/// Finds an engine by its name. No request is made yet.
pub fn connect(name: EngineName, at: &Invocation) -> anyhow::Result<Box<dyn Builder>> {
    Ok(match name {
        EngineName::Docker => {
            proxies::read(at)?;
            Box::new(Docker::find(&proxies::docker_environment(at))?)
        }
        EngineName::None => Box::new(NoEngine::on(Platform::of_this_machine())),
        #[cfg(any(debug_assertions, feature = "fake"))]
        EngineName::Fake => Box::new(match at.environment.path("LAYERS_FAKE_SCRIPT") {
            Some(script) => Fake::scripted(&script)?,
            None => Fake::new(),
        }),
    })
}

/// Makes the build requests of images when they are scheduled.
pub struct ImageProvider<'a> {
    /// Decides which images are up to date.
    pub freshness: FreshnessCheck<'a>,
    workspace: &'a Workspace,
    engine: &'a dyn Builder,
    no_cache: bool,
    /// What builds may request.
    pub secrets: Secrets,
    /// What the `RUN` instructions of builds may do beyond the sandbox.
    pub entitlements: BTreeSet<Entitlement>,
    /// When the engine's store was listed.
    begun: UnixTime,
    is_registry_reported: AtomicBool,
    parent_aliases: ParentAliases,
    ancestry: Ancestry,
    shared_names: SharedNames,
    /// The images that get an alias when they are scheduled, because they have children to build or are pushed later.
    /// Another run may move the references that keep them in the meantime.
    aliased: BTreeSet<UnitId>,
}

impl<'a> ImageProvider<'a> {
    /// Lists the engine's images, gathers the inputs of the selected images, and decides what to build.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn open(
        workspace: &'a Workspace,
        request: ImageRequest,
        discovery: Discovery,
        (engine, info): (&'a dyn Builder, &BuilderInfo),
        at: &Invocation,
    ) -> anyhow::Result<(ImageProvider<'a>, Plan)> {
        let (graph, store) = (&workspace.graph, engine.images());
        let ImageRequest { selected, force, no_cache, pull, load, pins, .. } = request;
        let Discovery { found, shared, platform: target } = discovery;
        let ExternalImages { mut externals, remote: remote_externals, stale_aliases } = found;
        let (state, begun) = (RepositoryState::of(&workspace.root), clock::now());
        let unselected_parents =
            inspect_unselected_parents(graph, &selected.all, store, &mut externals)?;
        let units = Units::for_one(graph.images.len(), target);
        let all = units.of_all(&selected.all);
        let gather_request = GatherRequest {
            root: &workspace.root,
            graph,
            units: &units,
            externals: &externals,
            attestations: &workspace.attestations,
        };
        let (mut own, snapshot) = look(gather_request, &all, &state, force, store)?;
        silence_missing_files(&mut own, workspace);
        if pull != Pull::Nothing {
            remove_stale(snapshot.stale_aliases().iter().chain(&stale_aliases), store);
        }
        let named = units.of_all(&selected.named);
        let of_named = |is_meant: bool| named.iter().filter(|_| is_meant).copied().collect();
        let mut freshness = FreshnessCheck {
            graph,
            store,
            own,
            externals,
            snapshot,
            unselected_parents,
            forced: of_named(force),
            built: state.built(),
            state,
            shared,
            loads: of_named(load),
            remote_externals,
            pinned: pins::pinned(graph, &pins),
            contexts: info.contexts,
            units,
            publishes_names: workspace.attestations.provenance.is_some(),
        };
        let parent_aliases = ParentAliases::default();
        let aliases = Some(&parent_aliases).filter(|_| pull != Pull::Nothing);
        let (plan, aliased) = make_plan(&mut freshness, &all, aliases)?;
        let provider = ImageProvider {
            freshness,
            workspace,
            engine,
            no_cache,
            secrets: Secrets::default(),
            entitlements: BTreeSet::new(),
            begun,
            is_registry_reported: AtomicBool::new(false),
            parent_aliases,
            ancestry: Ancestry::default(),
            shared_names: SharedNames::default(),
            aliased,
        };
        provider.warn_about_state(at)?;
        Ok((provider, plan))
    }

    /// Warns, once, that the registry is not used any more, or that it denies access to some images.
    pub fn warn_about_state(&self, at: &Invocation) -> anyhow::Result<()> {
        let Some(shared) = &self.freshness.shared else { return Ok(()) };
        let trouble = shared.trouble().map(|it| format!("the registry is not used: {it}"));
        let Some(message) = trouble.or(shared.denied().map(str::to_owned)) else { return Ok(()) };
        if self.is_registry_reported.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        printer::warning(&message, at.paint)
    }

    /// Makes sure that a fresh image stays until the end of the run. Builds it if it has disappeared since the engine's
    /// store was listed.
    fn replan_if_missing(
        &self,
        unit: UnitId,
        decision: Decision,
        parents: &[ParentImage],
    ) -> anyhow::Result<Decision> {
        match &decision {
            Decision::Fresh(FreshImage { image_id, is_remote: false, .. })
                if self.aliased.contains(&unit) =>
            {
                if self.parent_aliases.hold(image_id, self.freshness.store)? {
                    return Ok(decision);
                }
                self.freshness.decide_missing(unit, parents)
            }
            _ => Ok(decision),
        }
    }

    /// Pulls the dependencies of an image that only registries have, and points their names to them.
    fn pull_parents(
        &self,
        unit: UnitId,
        parents: &[ParentImage],
        turn: &ClaimContext<'_>,
    ) -> anyhow::Result<()> {
        let platform = self.workspace.builds.platform.as_ref();
        let store = self.freshness.store;
        for parent in parents {
            let Some(RegistryImage { reference, identity, .. }) = &parent.remote else { continue };
            let names = &self.freshness.image(parent.unit).references;
            let names: Vec<String> = names.iter().map(Reference::familiar).collect();
            let required_image = RequiredImage { reference, identity, platform, names: &names };
            pull_image(store, required_image, turn.pulls)
                .map_err(|error| self.explain_pull(reference, error))?;
        }
        for external in &self.freshness.image(unit).externals {
            let named = &self.freshness.graph.externals[external.id];
            if let Some(reference) = self.freshness.pinned.get(&external.id) {
                let by_digest = self.freshness.resolves_by_digest(unit);
                let is_context = external.kind == DependencyKind::Context;
                let tag = Some(named).filter(|_| !by_digest && !is_context);
                pins::pull_image(store, reference, tag, platform, turn.pulls)?;
                continue;
            }
            let Some(reference) = self.freshness.remote_externals.get(&external.id) else {
                continue;
            };
            let Some(outside) = self.freshness.external(external.id) else { continue };
            // A reference with a digest does not need a tag that points to it.
            let names = named.digest.is_none().then(|| named.familiar());
            let names: Vec<String> = names.into_iter().collect();
            let required_image =
                RequiredImage { reference, identity: &outside.identity, platform, names: &names };
            pull_image(store, required_image, turn.pulls)?;
        }
        Ok(())
    }

    /// Returns the line that names a file that the context lacks.
    fn excerpt_of_missing_file(&self, unit: UnitId) -> Option<Excerpt> {
        let Some(Ok(own)) = &self.freshness.own[unit] else { return None };
        let label = own.missing.as_ref()?.labels.first()?;
        let location = label.source.location(label.span);
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let text = label.source.text().lines().nth(line)?.trim_end().to_owned();
        Some(Excerpt { location, text })
    }

    fn request(
        &self,
        unit: UnitId,
        key: &str,
        overrides: &ContextOverrides,
        parents: &[ParentImage],
    ) -> anyhow::Result<BuildRequest> {
        let Some(Ok(own)) = &self.freshness.own[unit] else { bail!("the image has no inputs") };
        let proof =
            self.ancestry.proof(&self.freshness, (unit, key), parents, &self.workspace.triggers)?;
        let proof = proof.map(|proof| (PROOF_LABEL.to_owned(), proof));
        let ours = [(KEY_LABEL.to_owned(), key.to_owned())].into_iter().chain(proof);
        let described = self.freshness.image(unit);
        let mut contexts = overrides.contexts.clone();
        let pinned =
            |it: &Reference| self.freshness.pinned.get(&self.freshness.graph.externals.find(it)?);
        let written = redirect(used_contexts(described, own), pinned);
        let written = redirect(written, |it| overrides.names.get(it)).into_iter();
        let source = |value: String| self.context_source(own, value);
        contexts.extend(written.map(|(name, value)| (name, source(value))));
        check_frontend(described, !contexts.is_empty())?;
        let mut build_args = described.build_args.clone();
        build_args.extend(self.workspace.builds.proxies.beside(&build_args));
        Ok(BuildRequest {
            dockerfile: described.file.source.text().to_owned(),
            frontend: described.named_frontend().map(str::to_owned),
            target: described.target.clone(),
            references: described.references.iter().map(Reference::familiar).collect(),
            alias: self.aliased.contains(&unit).then(|| self.parent_aliases.promise()),
            labels: described.labels.clone().into_iter().chain(ours).collect(),
            annotations: attest::annotations(described, self.engine)?,
            attestations: self.workspace.attestations.clone(),
            build_args,
            contexts,
            sandbox: described.sandbox.clone(),
            entitlements: entitlements::used(&self.entitlements, described, own),
            platform: self.workspace.builds.platform.clone(),
            no_cache: self.no_cache && self.freshness.forced.contains(&unit),
            secrets: self.secrets.clone(),
            context: self.synchronized(&own.selection),
        })
    }

    /// Returns the source of a named context. What a build cannot read of a directory is not sent.
    fn context_source(&self, own: &OwnInputs, value: String) -> ContextSource {
        if is_elsewhere(&value) {
            return ContextSource::parse(value);
        }
        let directory = own.directories.iter().find(|directory| directory.value == value);
        let files = directory.map(|directory| self.synchronized(&directory.selection));
        ContextSource::Directory(value, files.unwrap_or_else(|| Arc::new(NoFiles)))
    }

    fn synchronized(&self, selection: &Arc<ContextSelection>) -> Arc<dyn ContextFiles> {
        let state = self.freshness.state.clone();
        Arc::new(SynchronizedContext::new(Arc::clone(selection), state))
    }
}

/// Removes aliases that dead runs left behind. One that cannot be removed is harmless.
fn remove_stale<'a>(aliases: impl Iterator<Item = &'a String>, store: &dyn ImageStore) {
    aliases.for_each(|alias| drop(store.remove(alias)));
}

/// Forgets missing files that `layers check` does not report: a silenced warning may mean that a file is created later.
fn silence_missing_files(own: &mut GatheredInputs, workspace: &Workspace) {
    for own in own.values_mut().filter_map(|own| own.as_mut()?.as_mut().ok()) {
        own.missing.take_if(|it| workspace.silence.apply(vec![(**it).clone()]).is_empty());
    }
}

/// Checks that the frontend that an image names supports named contexts, if it has any: an older one ignores them, and
/// uses images from a registry instead.
fn check_frontend(image: &Image, has_contexts: bool) -> anyhow::Result<()> {
    let name = image.named_frontend().filter(|_| has_contexts);
    let version = name.and_then(frontend::version_of);
    match (name, version) {
        (Some(name), Some(version)) if !version.knows_contexts() => {
            let message =
                format!("the frontend `{}` does not support named contexts", visible(name));
            Err(permanent(message).hint("use `docker/dockerfile:1.4` or later").into())
        }
        _ => Ok(()),
    }
}

/// Returns the named contexts that an image's Dockerfile uses, or all of them if it is read by a frontend other than
/// the engine's own.
fn used_contexts(image: &Image, own: &OwnInputs) -> BTreeMap<String, String> {
    let names_frontend = image.names_frontend();
    // Triggers, which the Dockerfile does not show, may read directories too.
    let is_read = |value: &String| own.directories.iter().any(|it| it.value == *value);
    let is_used = |value: &String| image.evaluation.uses_context(value) || is_read(value);
    let contexts = image.contexts.iter();
    contexts
        .filter(|(_, value)| names_frontend || is_used(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Drop for ImageProvider<'_> {
    /// Removes the aliases of a run, however the run ends.
    fn drop(&mut self) {
        let store = self.engine.images();
        store.begin_cleanup();
        self.parent_aliases.remove_all(store);
        self.shared_names.end(store);
    }
}

impl UnitProvider for ImageProvider<'_> {
    fn name(&self, unit: UnitId) -> &str {
        &self.freshness.image(unit).name
    }

    fn impossible(&self, unit: UnitId) -> Option<Failure> {
        let own = self.freshness.own[unit].as_ref()?.as_ref().ok()?;
        match Reason::of_missing_file(own)? {
            Reason::MissingFile { message, hint, .. } => {
                let excerpt = self.excerpt_of_missing_file(unit);
                Some(Failure { hint, excerpt, ..Failure::new(FailureKind::Build, message) })
            }
            _ => None,
        }
    }

    fn prepare(
        &self,
        unit: UnitId,
        parents: &[ParentImage],
        turn: &ClaimContext<'_>,
    ) -> anyhow::Result<Preparation> {
        let decision = self.freshness.decide(unit, &among(parents))?;
        match self.replan_if_missing(unit, decision, parents)? {
            Decision::Fresh(present) => Ok(Preparation::Fresh(present)),
            Decision::Build {
                // An image that lacks a file has failed at the start of the run.
                reason: Reason::Unreadable { message } | Reason::MissingFile { message, .. },
                ..
            } => bail!("{message}"),
            Decision::Build { reason, inputs, key } => {
                let (state, name) = (&self.freshness.state, self.name(unit));
                let is_shared = state.kept_since(name, &key, self.begun);
                let (claim, waited) = match state.claim(name, &key, turn.waits, turn.cancel) {
                    Ok(Some((claim, waited))) => (Some(claim), waited),
                    Ok(None) => return Ok(Preparation::Canceled),
                    // A file system without locks is not a reason to fail: the engine shares the
                    // steps of parallel builds.
                    Err(_) => (None, false),
                };
                if waited {
                    (turn.waited)();
                }
                if (is_shared || waited)
                    && !self.freshness.forced.contains(&unit)
                    && let Some((image_id, lost)) = self.freshness.look_again(unit, &key)?
                {
                    let (registry_image, is_remote) = (None, false);
                    return Ok(Preparation::Fresh(FreshImage {
                        image_id,
                        lost,
                        registry_image,
                        is_remote,
                    }));
                }
                // Without them, a later plan cannot say what changed; nothing else depends on them.
                drop(state.keep(name, &key, &inputs));
                self.pull_parents(unit, parents, turn)?;
                let overrides =
                    ContextOverrides::of(&self.freshness, unit, parents, &self.parent_aliases)?;
                let request = Box::new(self.request(unit, &key, &overrides, parents)?);
                self.shared_names.note(&self.freshness, unit, parents)?;
                let claim = claim.map(|claim| Box::new(claim) as _);
                Ok(Preparation::Build { request, reason, claim })
            }
        }
    }

    fn confirm(
        &self,
        unit: UnitId,
        built: &StoredImage,
        resolved: &BTreeSet<String>,
        parents: &[ParentImage],
    ) -> anyhow::Result<()> {
        self.parent_aliases.note(built);
        self.freshness.confirm((unit, built), resolved, parents)?;
        self.shared_names.confirm(&self.freshness, unit, parents)?;
        self.ancestry.note(built);
        Ok(())
    }

    fn explain_pull(&self, reference: &str, error: anyhow::Error) -> anyhow::Error {
        // Checked only after a failure: a request per layer would be too much for every plan.
        match self.freshness.shared.as_ref().map(|shared| shared.check_lost(reference)) {
            Some(Ok(true)) => {
                permanent(format!("the registry has lost a part of `{reference}`: {error:#}"))
                    .hint("the image is built again")
                    .into()
            }
            _ => error,
        }
    }

    fn size(&self, image_id: &str) -> Option<u64> {
        self.freshness.snapshot.size(image_id)
    }

    fn excerpt(&self, unit: UnitId, failure: &BuildFailure) -> Option<Excerpt> {
        let step = failure.step.as_ref().map(|step| locate::StepName {
            stage: step.stage.as_deref(),
            number: step.number,
            text: &step.text,
        });
        let image = self.freshness.image(unit);
        let (source, span) = locate::find_failure(image, step, &failure.message)?;
        Some(Excerpt {
            location: source.location(span),
            text: source.slice(span).trim_end().to_owned(),
        })
    }
}
