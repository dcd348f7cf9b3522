//! What `build`, `plan` and `why` share: asking the engine, and judging.
//!
//! Owns the way from a repository to a plan, and the requests of the images when their turn
//! comes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;

use crate::base::{IdMap, ImageId, clock};
use crate::cli::{EngineName, Push};
use crate::credentials::BuildProxies;
use crate::engine::docker::{Docker, endpoint};
use crate::engine::fake::Fake;
use crate::engine::none::NoEngine;
use crate::engine::{
    Attestations, BuildFailure, BuildRequest, Engine, EngineInfo, Secrets, StoredImage,
};
use crate::event::Excerpt;
use crate::graph::evaluate::NeedKind;
use crate::graph::link::ExternalTriggers;
use crate::graph::lint::frontend::knows_contexts;
use crate::graph::lock::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image, locate};
use crate::inputs::gather::Asked;
use crate::inputs::{Claimed, KEY_LABEL, Memory, Own, PROOF_LABEL, gather};
use crate::plan::{
    Contexts, Held, Judge, Parent, Plan, Reason, Registered, Settled, among, ask_held, ask_unchosen,
};
use crate::report::say;
use crate::schedule::bring::{Wanted, bring};
use crate::schedule::{Prepared, Recipes, Turn};
use crate::workspace::load::{self, Workspace};
use crate::workspace::{Invocation, proxies};

use super::ancestry::Ancestry;
use super::externals::Discovery;
use super::parent_aliases::{ContextOverrides, ParentAliases, redirect};
use super::pull::{ExternalImages, Pull};
use super::selection::Selection;
use super::shared_names::SharedNames;
use super::{attest, pins};

/// What is asked for.
pub struct Request {
    /// The images.
    pub chosen: Selection,
    /// Whether the named ones are built in any case.
    pub force: bool,
    /// Whether they are built without the engine's cache.
    pub no_cache: bool,
    /// What is fetched before.
    pub pull: Pull,
    /// Whether to say what is fetched.
    pub tell: bool,
    /// What of it is put into the registry.
    pub push: Push,
    /// Whether the engine is to have the named ones even if the registry has them.
    pub load: bool,
    /// Whether the engine must be able to attest what is requested of it.
    pub attests: bool,
    /// What externals are built on, whatever their tags lead to.
    pub pins: Pins,
}

impl Request {
    /// Only to look, and to do nothing.
    pub fn look(chosen: Selection) -> Request {
        Request {
            chosen,
            force: false,
            no_cache: false,
            pull: Pull::Nothing,
            tell: false,
            push: Push::No,
            load: false,
            attests: false,
            pins: Pins::default(),
        }
    }
}

/// Finds the engine that is meant. Nothing is asked of it yet.
pub fn connect(name: EngineName, at: &Invocation) -> anyhow::Result<Box<dyn Engine>> {
    Ok(match name {
        EngineName::Docker => {
            proxies::read(at)?;
            Box::new(Docker::find(&docker_environment(at))?)
        }
        EngineName::None => Box::new(NoEngine::on(load::machine_platform())),
        EngineName::Fake => Box::new(connect_fake(at)?),
    })
}

fn connect_fake(at: &Invocation) -> anyhow::Result<Fake> {
    match at.environment.path("LAYERS_FAKE_SCRIPT") {
        Some(script) => Fake::scripted(&script),
        None => Ok(Fake::new()),
    }
}

fn docker_environment(at: &Invocation) -> endpoint::Environment {
    endpoint::Environment::read(|name| at.environment.var(name).map(OsString::from))
}

/// Makes requests of images when their turn comes.
pub struct ImageProvider<'a> {
    /// What decides.
    pub judge: Judge<'a>,
    graph: &'a Graph,
    no_cache: bool,
    platform: Option<String>,
    attestations: &'a Attestations,
    proxies: &'a BuildProxies,
    secrets: Secrets,
    /// When the engine was asked what it holds, as time since 1970.
    begun: Duration,
    is_trouble_told: AtomicBool,
    parent_aliases: ParentAliases,
    ancestry: Ancestry,
    shared_names: SharedNames,
    triggers: &'a ExternalTriggers,
}

impl<'a> ImageProvider<'a> {
    /// Asks the engine what it holds, gathers the inputs of what is chosen, and judges.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    pub fn open(
        workspace: &'a Workspace,
        request: Request,
        discovery: Discovery,
        (engine, info): (&dyn Engine, &EngineInfo),
        at: &Invocation,
    ) -> anyhow::Result<(ImageProvider<'a>, Plan)> {
        let graph = &workspace.graph;
        let Request { chosen, force, no_cache, pull, load, pins, .. } = request;
        let Discovery { found, shared, platform: target } = discovery;
        let ExternalImages { mut externals, remote: remote_externals, strays } = found;
        let memory = Memory::of(&workspace.root);
        let begun = clock::now();
        let unchosen = ask_unchosen(graph, &chosen.all, engine, &mut externals)?;
        let asked = Asked {
            root: &workspace.root,
            graph,
            platform: &target,
            externals: &externals,
            attestations: &workspace.attestations,
        };
        let (own, held) = look(asked, &chosen.all, &memory, force, engine)?;
        if pull != Pull::Nothing {
            // Names that runs were given which died; one that cannot be removed does no harm.
            held.strays().iter().chain(&strays).for_each(|stray| drop(engine.remove(stray)));
        }
        let forced = if force { chosen.named.iter().copied().collect() } else { BTreeSet::new() };
        let judge = Judge {
            graph,
            own,
            externals,
            held,
            unchosen,
            forced,
            built: memory.built(),
            memory,
            shared,
            loads: chosen.named.iter().filter(|_| load).copied().collect(),
            remote_externals,
            pinned: pins::pinned(graph, &pins),
            contexts: contexts_of(info),
            platform: target,
            publishes_names: workspace.attestations.provenance.is_some(),
        };
        let mut plan = judge.plan(&chosen.all, engine)?;
        expect_costs(&judge, &mut plan);
        let platform = workspace.platform.clone();
        let secrets = Secrets::default();
        let is_trouble_told = AtomicBool::new(false);
        let attestations = &workspace.attestations;
        let provider = ImageProvider {
            judge,
            graph,
            no_cache,
            platform,
            attestations,
            proxies: &workspace.proxies,
            secrets,
            begun,
            is_trouble_told,
            parent_aliases: ParentAliases::default(),
            ancestry: Ancestry::default(),
            shared_names: SharedNames::default(),
            triggers: &workspace.triggers,
        };
        provider.tell_trouble(at)?;
        Ok((provider, plan))
    }

    /// Says that the registry is no longer asked, or lets us not at some of it, where that is so and has
    /// not been said.
    pub fn tell_trouble(&self, at: &Invocation) -> anyhow::Result<()> {
        let Some(shared) = &self.judge.shared else { return Ok(()) };
        let trouble = shared.trouble().map(|it| format!("the registry is left alone: {it}"));
        let Some(said) = trouble.or(shared.denied().map(str::to_owned)) else { return Ok(()) };
        if self.is_trouble_told.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        say::warning(&said, at.paint)
    }

    /// Removes the names that images were given for the time of a run.
    pub fn remove_names(&self, engine: &dyn Engine) {
        self.parent_aliases.remove_all(engine);
        self.shared_names.end(engine);
    }

    /// Hands over what builds may ask for.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> ImageProvider<'a> {
        self.secrets = secrets;
        self
    }

    /// Brings what an image needs and only registries hold, and lets its names lead to it.
    fn bring_needs(
        &self,
        image: ImageId,
        needs: &[Parent],
        engine: &dyn Engine,
        turn: &Turn<'_>,
    ) -> anyhow::Result<()> {
        let platform = self.platform.as_deref();
        for need in needs {
            let Some(Registered { reference, identity, .. }) = &need.remote else { continue };
            let names = &self.graph.images[need.image].references;
            let names: Vec<String> = names.iter().map(Reference::familiar).collect();
            let wanted = Wanted { reference, identity, platform, names: &names };
            bring(engine, wanted, turn.pulled)?;
        }
        for external in &self.graph.images[image].externals {
            let normalised = external.reference.normalised();
            if let Some(reference) = self.judge.pinned.get(&normalised) {
                let by_digest = self.judge.takes_by_digest(image);
                let is_context = external.kind == NeedKind::Context;
                let tag = Some(&external.reference).filter(|_| !by_digest && !is_context);
                pins::bring(engine, reference, tag, platform, turn.pulled)?;
                continue;
            }
            let Some(reference) = self.judge.remote_externals.get(&normalised) else { continue };
            let Some(Some(outside)) = self.judge.externals.get(&normalised) else { continue };
            // A digest needs no name to lead to it.
            let names = external.reference.digest.is_none().then(|| external.reference.familiar());
            let names: Vec<String> = names.into_iter().collect();
            let wanted = Wanted { reference, identity: &outside.identity, platform, names: &names };
            bring(engine, wanted, turn.pulled)?;
        }
        Ok(())
    }

    fn request(
        &self,
        image: ImageId,
        key: &str,
        overrides: &ContextOverrides,
        needs: &[Parent],
        engine: &dyn Engine,
    ) -> anyhow::Result<BuildRequest> {
        let Some(Ok(own)) = &self.judge.own[image] else { bail!("an image without inputs") };
        let proof = self.ancestry.proof(&self.judge, (image, key), needs, self.triggers, engine)?;
        let proof = proof.map(|proof| (PROOF_LABEL.to_owned(), proof));
        let described = &self.graph.images[image];
        let mut contexts = overrides.contexts.clone();
        let written = redirect(used_contexts(described), &self.judge.pinned);
        contexts.extend(redirect(written, &overrides.names));
        for (name, value) in &contexts {
            if !value.contains("://") {
                bail!(
                    "the named context `{name}` is the folder `{value}`, and folders beside the \
                     context can't be sent\nhint: make a wider folder the context, or an image of it"
                );
            }
        }
        let mut build_args = described.build_args.clone();
        build_args.extend(self.proxies.beside(&build_args));
        Ok(BuildRequest {
            dockerfile: described.file.source.text().to_owned(),
            target: described.target.clone(),
            references: described.references.iter().map(Reference::familiar).collect(),
            labels: [(KEY_LABEL.to_owned(), key.to_owned())].into_iter().chain(proof).collect(),
            annotations: attest::annotations(described, engine)?,
            attestations: self.attestations.clone(),
            build_args,
            contexts,
            platform: self.platform.clone(),
            no_cache: self.no_cache && self.judge.forced.contains(&image),
            secrets: self.secrets.clone(),
            context: Arc::clone(&own.archive) as _,
        })
    }
}

/// The inputs of images, or why they can't be read.
type Gathered = IdMap<Option<Result<Own, String>>>;

/// The inputs of images, and what the engine holds: it takes as long to list its images as the files
/// take to be looked at. With `reads_all` every file is read, whatever is remembered of it.
fn look(
    asked: Asked<'_>,
    images: &[ImageId],
    memory: &Memory,
    reads_all: bool,
    engine: &dyn Engine,
) -> anyhow::Result<(Gathered, Held)> {
    std::thread::scope(|scope| {
        let held = scope.spawn(|| ask_held(engine));
        let mut digests = memory.digests();
        if reads_all {
            // A file that changes through a shared mapping may keep its times.
            digests.distrust();
        }
        let own = gather(asked, images, &mut digests);
        // Without them all is read again next time, that is all.
        drop(memory.keep_digests(&digests));
        let held = held.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((own, held))
    })
}

/// Says how long each image of a plan is expected to take: nothing where nothing is built.
fn expect_costs(judge: &Judge<'_>, plan: &mut Plan) {
    let mut costs = IdMap::from_fn(plan.len(), |_| Duration::ZERO);
    let stale: Vec<ImageId> =
        plan.order().iter().copied().filter(|image| !plan.is_fresh(*image)).collect();
    if stale.is_empty() {
        return plan.set_costs(costs);
    }
    let commands = |image: ImageId| match &judge.own[image] {
        Some(Ok(own)) => {
            let instructions = own.inputs.stages.iter().flat_map(|stage| &stage.instructions);
            instructions.filter(|instruction| instruction.starts_with("RUN ")).count()
        }
        _ => 0,
    };
    let described: Vec<(&str, usize)> = stale
        .iter()
        .map(|image| (judge.graph.images[*image].name.as_str(), commands(*image)))
        .collect();
    let durations = judge.memory.durations();
    for (image, cost) in stale.iter().zip(durations.expect(&described)) {
        costs[*image] = cost;
    }
    if durations.knows_any(described.iter().map(|(name, _)| *name)) {
        plan.know_costs();
    }
    plan.set_costs(costs);
}

/// The named contexts that an image's Dockerfile uses, or all where another frontend than the
/// engine's reads it.
fn used_contexts(image: &Image) -> BTreeMap<String, String> {
    let names_frontend = image.names_frontend();
    let contexts = image.contexts.iter();
    contexts
        .filter(|(_, value)| names_frontend || image.evaluation.uses_context(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Which frontends take named contexts: BuildKit's, the engine's own from Docker 23 on.
fn contexts_of(info: &EngineInfo) -> Contexts {
    let is_known = info.frontend.is_none_or(knows_contexts);
    match info.name.as_str() {
        "docker" if is_known => Contexts::All,
        "docker" => Contexts::OfNamedFrontends,
        _ => Contexts::None,
    }
}

impl Recipes for ImageProvider<'_> {
    fn name(&self, image: ImageId) -> &str {
        &self.graph.images[image].name
    }

    fn prepare(
        &self,
        image: ImageId,
        needs: &[Parent],
        engine: &dyn Engine,
        turn: &Turn<'_>,
    ) -> anyhow::Result<Prepared> {
        match self.judge.settle(image, &among(needs), engine)? {
            Settled::Fresh { image_id, lost, registered } => {
                Ok(Prepared::Fresh { image_id, lost, registered })
            }
            Settled::Remote { registered, lost } => Ok(Prepared::Remote { registered, lost }),
            Settled::Build { reason: Reason::Unreadable { message }, .. } => bail!("{message}"),
            Settled::Build { reason, inputs, key } => {
                let (memory, name) = (&self.judge.memory, self.name(image));
                let is_shared = memory.kept_since(name, &key, self.begun);
                let (claim, waited) = match memory.claim(name, &key, turn.waits, turn.cancel) {
                    Ok(Claimed::Ours { claim, waited }) => (Some(claim), waited),
                    Ok(Claimed::Cancelled) => return Ok(Prepared::Cancelled),
                    // A disk without locks is no reason not to build: the engine shares the steps.
                    Err(_) => (None, false),
                };
                if (is_shared || waited)
                    && !self.judge.forced.contains(&image)
                    && let Some((image_id, lost)) = self.judge.look_again(image, &key, engine)?
                {
                    return Ok(Prepared::Fresh { image_id, lost, registered: None });
                }
                // Without them a later plan can't name what differs, that is all.
                drop(memory.keep(name, &key, &inputs));
                self.bring_needs(image, needs, engine, turn)?;
                let overrides =
                    ContextOverrides::of(&self.judge, image, needs, &self.parent_aliases, engine)?;
                let request = Box::new(self.request(image, &key, &overrides, needs, engine)?);
                self.shared_names.note(&self.judge, image, needs, engine)?;
                let claim = claim.map(|claim| Box::new(claim) as _);
                Ok(Prepared::Build { request, reason, claim })
            }
        }
    }

    fn confirm(
        &self,
        image: ImageId,
        built: &StoredImage,
        resolved: &BTreeSet<String>,
        needs: &[Parent],
        engine: &dyn Engine,
    ) -> anyhow::Result<()> {
        self.judge.confirm((image, built), resolved, needs, engine)?;
        self.shared_names.confirm(&self.judge, image, needs, engine)?;
        self.ancestry.note(built);
        Ok(())
    }

    fn size(&self, image_id: &str) -> Option<u64> {
        self.judge.held.size(image_id)
    }

    fn excerpt(&self, image: ImageId, failure: &BuildFailure) -> Option<Excerpt> {
        let step = failure.step.as_ref().map(|step| locate::StepName {
            stage: step.stage.as_deref(),
            number: step.number,
            text: &step.text,
        });
        let image = &self.graph.images[image];
        let (source, span) = locate::find_failure(image, step, &failure.message)?;
        Some(Excerpt { place: source.place(span), text: source.slice(span).trim_end().to_owned() })
    }
}
