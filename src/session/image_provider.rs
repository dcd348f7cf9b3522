//! The image provider of `build`, `plan`, and `why`: it queries the engine and decides which images are up to date.
//!
//! Owns how a repository becomes a plan, and the build requests of images when they are scheduled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::bail;

use crate::base::clock::UnixTime;
use crate::base::error::permanent;
use crate::base::{Platform, UnitId, clock};
use crate::cli::{EngineName, Push};
use crate::engine::docker::Docker;
#[cfg(any(debug_assertions, feature = "fake"))]
use crate::engine::fake::Fake;
use crate::engine::none::NoEngine;
use crate::engine::{
    BuildFailure, BuildRequest, Builder, BuilderInfo, ContextSource, Secrets, StoredImage,
};
use crate::event::Excerpt;
use crate::graph::evaluate::NeedKind;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Image, locate};
use crate::inputs::gather::Asked;
use crate::inputs::{KEY_LABEL, PROOF_LABEL};
use crate::plan::{Judge, Parent, Plan, Present, Reason, Registered, Settled, among, ask_unchosen};
use crate::report::say;
use crate::schedule::bring::{Wanted, bring};
use crate::schedule::{Prepared, Recipes, Turn};
use crate::state::Memory;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, proxies};

use super::ancestry::Ancestry;
use super::externals::Discovery;
use super::parent_aliases::{ContextOverrides, ParentAliases, redirect};
use super::planning::{look, make_plan};
use super::pull::{ExternalImages, Pull};
use super::selection::Selection;
use super::shared_names::SharedNames;
use super::{attest, pins};

/// What to do with a selection. The default only inspects and changes nothing.
#[derive(Default)]
pub struct Request {
    /// The selected images.
    pub chosen: Selection,
    /// Whether to rebuild the selected images even if they are up to date.
    pub force: bool,
    /// Whether to rebuild them without the engine's cache.
    pub no_cache: bool,
    /// What to pull before planning.
    pub pull: Pull,
    /// Whether to print what is pulled.
    pub tell: bool,
    /// What to push to the registry.
    pub push: Push,
    /// Whether the engine's store must have the selected images even if the registry has them.
    pub load: bool,
    /// Whether the engine must support the requested attestations.
    pub attests: bool,
    /// The digests that externals are built on, whatever their tags point to.
    pub pins: Pins,
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
    pub judge: Judge<'a>,
    workspace: &'a Workspace,
    engine: &'a dyn Builder,
    no_cache: bool,
    /// What builds may request.
    pub secrets: Secrets,
    /// When the engine's store was listed.
    begun: UnixTime,
    is_trouble_told: AtomicBool,
    parent_aliases: ParentAliases,
    ancestry: Ancestry,
    shared_names: SharedNames,
    /// The images that get an alias when they are scheduled, because they have children to build or are pushed later.
    /// Another run may move the references that keep them in the meantime.
    held: BTreeSet<UnitId>,
}

impl<'a> ImageProvider<'a> {
    /// Lists the engine's images, gathers the inputs of the selected images, and decides what to build.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    pub fn open(
        workspace: &'a Workspace,
        request: Request,
        discovery: Discovery,
        (engine, info): (&'a dyn Builder, &BuilderInfo),
        at: &Invocation,
    ) -> anyhow::Result<(ImageProvider<'a>, Plan)> {
        let (graph, store) = (&workspace.graph, engine.images());
        let Request { chosen, force, no_cache, pull, load, pins, .. } = request;
        let Discovery { found, shared, platform: target } = discovery;
        let ExternalImages { mut externals, remote: remote_externals, strays } = found;
        let memory = Memory::of(&workspace.root);
        let begun = clock::now();
        let unchosen = ask_unchosen(graph, &chosen.all, store, &mut externals)?;
        let units = Units::for_one(graph.images.len(), target);
        let all = units.of_all(&chosen.all);
        let asked = Asked {
            root: &workspace.root,
            graph,
            units: &units,
            externals: &externals,
            attestations: &workspace.attestations,
        };
        let (own, held) = look(asked, &all, &memory, force, store)?;
        if pull != Pull::Nothing {
            // Aliases that dead runs left behind. One that cannot be removed is harmless.
            held.strays().iter().chain(&strays).for_each(|stray| drop(store.remove(stray)));
        }
        let named = units.of_all(&chosen.named);
        let of_named = |is_meant: bool| named.iter().filter(|_| is_meant).copied().collect();
        let mut judge = Judge {
            graph,
            store,
            own,
            externals,
            held,
            unchosen,
            forced: of_named(force),
            built: memory.built(),
            memory,
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
        let (plan, held) = make_plan(&mut judge, &all, aliases)?;
        let provider = ImageProvider {
            judge,
            workspace,
            engine,
            no_cache,
            secrets: Secrets::default(),
            begun,
            is_trouble_told: AtomicBool::new(false),
            parent_aliases,
            ancestry: Ancestry::default(),
            shared_names: SharedNames::default(),
            held,
        };
        provider.tell_trouble(at)?;
        Ok((provider, plan))
    }

    /// Warns, once, that the registry is not used any more, or that it denies access to some images.
    pub fn tell_trouble(&self, at: &Invocation) -> anyhow::Result<()> {
        let Some(shared) = &self.judge.shared else { return Ok(()) };
        let trouble = shared.trouble().map(|it| format!("the registry is not used: {it}"));
        let Some(said) = trouble.or(shared.denied().map(str::to_owned)) else { return Ok(()) };
        if self.is_trouble_told.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        say::warning(&said, at.paint)
    }

    /// Makes sure that a fresh image stays until the end of the run. Builds it if it has disappeared since the engine's
    /// store was listed.
    fn hold(&self, unit: UnitId, settled: Settled, needs: &[Parent]) -> anyhow::Result<Settled> {
        match &settled {
            Settled::Present(Present { image_id, is_remote: false, .. })
                if self.held.contains(&unit) =>
            {
                if self.parent_aliases.hold(image_id, self.judge.store)? {
                    return Ok(settled);
                }
                self.judge.settle_gone(unit, needs)
            }
            _ => Ok(settled),
        }
    }

    /// Pulls the dependencies of an image that only registries have, and points their names to them.
    fn bring_needs(&self, unit: UnitId, needs: &[Parent], turn: &Turn<'_>) -> anyhow::Result<()> {
        let platform = self.workspace.builds.platform.as_ref();
        let store = self.judge.store;
        for need in needs {
            let Some(Registered { reference, identity, .. }) = &need.remote else { continue };
            let names = &self.judge.image(need.unit).references;
            let names: Vec<String> = names.iter().map(Reference::familiar).collect();
            let wanted = Wanted { reference, identity, platform, names: &names };
            bring(store, wanted, turn.pulled)?;
        }
        for external in &self.judge.image(unit).externals {
            let named = &self.judge.graph.externals[external.id];
            if let Some(reference) = self.judge.pinned.get(&external.id) {
                let by_digest = self.judge.takes_by_digest(unit);
                let is_context = external.kind == NeedKind::Context;
                let tag = Some(named).filter(|_| !by_digest && !is_context);
                pins::bring(store, reference, tag, platform, turn.pulled)?;
                continue;
            }
            let Some(reference) = self.judge.remote_externals.get(&external.id) else { continue };
            let Some(outside) = self.judge.outside(external.id) else { continue };
            // A reference with a digest does not need a tag that points to it.
            let names = named.digest.is_none().then(|| named.familiar());
            let names: Vec<String> = names.into_iter().collect();
            let wanted = Wanted { reference, identity: &outside.identity, platform, names: &names };
            bring(store, wanted, turn.pulled)?;
        }
        Ok(())
    }

    fn request(
        &self,
        unit: UnitId,
        key: &str,
        overrides: &ContextOverrides,
        needs: &[Parent],
    ) -> anyhow::Result<BuildRequest> {
        let Some(Ok(own)) = &self.judge.own[unit] else { bail!("the image has no inputs") };
        let proof =
            self.ancestry.proof(&self.judge, (unit, key), needs, &self.workspace.triggers)?;
        let proof = proof.map(|proof| (PROOF_LABEL.to_owned(), proof));
        let described = self.judge.image(unit);
        let mut contexts = overrides.contexts.clone();
        let pinned = |it: &Reference| self.judge.pinned.get(&self.judge.graph.externals.find(it)?);
        let written = redirect(used_contexts(described), pinned);
        let written = redirect(written, |it| overrides.names.get(it)).into_iter();
        contexts.extend(written.map(|(name, value)| (name, ContextSource::parse(value))));
        for (name, source) in &contexts {
            if let ContextSource::Directory(value) = source {
                let message = format!(
                    "the named context `{name}` is the directory `{value}`, but directories are \
                     not supported as named contexts"
                );
                bail!(
                    permanent(message)
                        .hint("use a context that contains it, or build an image from it")
                );
            }
        }
        let mut build_args = described.build_args.clone();
        build_args.extend(self.workspace.builds.proxies.beside(&build_args));
        Ok(BuildRequest {
            dockerfile: described.file.source.text().to_owned(),
            target: described.target.clone(),
            references: described.references.iter().map(Reference::familiar).collect(),
            alias: self.held.contains(&unit).then(|| self.parent_aliases.promise()),
            labels: [(KEY_LABEL.to_owned(), key.to_owned())].into_iter().chain(proof).collect(),
            annotations: attest::annotations(described, self.engine)?,
            attestations: self.workspace.attestations.clone(),
            build_args,
            contexts,
            platform: self.workspace.builds.platform.clone(),
            no_cache: self.no_cache && self.judge.forced.contains(&unit),
            secrets: self.secrets.clone(),
            context: Arc::clone(&own.archive) as _,
        })
    }
}

/// Returns the named contexts that an image's Dockerfile uses, or all of them if it is read by a frontend other than
/// the engine's own.
fn used_contexts(image: &Image) -> BTreeMap<String, String> {
    let names_frontend = image.names_frontend();
    let contexts = image.contexts.iter();
    contexts
        .filter(|(_, value)| names_frontend || image.evaluation.uses_context(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Drop for ImageProvider<'_> {
    /// Removes the aliases of a run, however the run ends.
    fn drop(&mut self) {
        let store = self.engine.images();
        self.parent_aliases.remove_all(store);
        self.shared_names.end(store);
    }
}

impl Recipes for ImageProvider<'_> {
    fn name(&self, unit: UnitId) -> &str {
        &self.judge.image(unit).name
    }

    fn prepare(&self, unit: UnitId, needs: &[Parent], turn: &Turn<'_>) -> anyhow::Result<Prepared> {
        let settled = self.judge.settle(unit, &among(needs))?;
        match self.hold(unit, settled, needs)? {
            Settled::Present(present) => Ok(Prepared::Present(present)),
            Settled::Build { reason: Reason::Unreadable { message }, .. } => bail!("{message}"),
            Settled::Build { reason, inputs, key } => {
                let (memory, name) = (&self.judge.memory, self.name(unit));
                let is_shared = memory.kept_since(name, &key, self.begun);
                let (claim, waited) = match memory.claim(name, &key, turn.waits, turn.cancel) {
                    Ok(Some((claim, waited))) => (Some(claim), waited),
                    Ok(None) => return Ok(Prepared::Canceled),
                    // A file system without locks is not a reason to fail: the engine shares the
                    // steps of parallel builds.
                    Err(_) => (None, false),
                };
                if (is_shared || waited)
                    && !self.judge.forced.contains(&unit)
                    && let Some((image_id, lost)) = self.judge.look_again(unit, &key)?
                {
                    let (registered, is_remote) = (None, false);
                    return Ok(Prepared::Present(Present {
                        image_id,
                        lost,
                        registered,
                        is_remote,
                    }));
                }
                // Without them, a later plan cannot say what changed; nothing else depends on them.
                drop(memory.keep(name, &key, &inputs));
                self.bring_needs(unit, needs, turn)?;
                let overrides =
                    ContextOverrides::of(&self.judge, unit, needs, &self.parent_aliases)?;
                let request = Box::new(self.request(unit, &key, &overrides, needs)?);
                self.shared_names.note(&self.judge, unit, needs)?;
                let claim = claim.map(|claim| Box::new(claim) as _);
                Ok(Prepared::Build { request, reason, claim })
            }
        }
    }

    fn confirm(
        &self,
        unit: UnitId,
        built: &StoredImage,
        resolved: &BTreeSet<String>,
        needs: &[Parent],
    ) -> anyhow::Result<()> {
        self.parent_aliases.note(built);
        self.judge.confirm((unit, built), resolved, needs)?;
        self.shared_names.confirm(&self.judge, unit, needs)?;
        self.ancestry.note(built);
        Ok(())
    }

    fn size(&self, image_id: &str) -> Option<u64> {
        self.judge.held.size(image_id)
    }

    fn excerpt(&self, unit: UnitId, failure: &BuildFailure) -> Option<Excerpt> {
        let step = failure.step.as_ref().map(|step| locate::StepName {
            stage: step.stage.as_deref(),
            number: step.number,
            text: &step.text,
        });
        let image = self.judge.image(unit);
        let (source, span) = locate::find_failure(image, step, &failure.message)?;
        Some(Excerpt { place: source.place(span), text: source.slice(span).trim_end().to_owned() })
    }
}
