//! A scripted engine that builds nothing, for tests of the whole program.
//!
//! Owns what happens, in which order, and what is recorded. The same script and the same requests result in the
//! same updates, IDs, and outcomes; only gates take time. `script` describes the format of the script.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use self::script::{Gate, Script, ScriptedImage, ScriptedStep};
use self::store::FakeStore;
use super::build_option::Entitlement;
use super::{
    BuildFailure, BuildOutcome, BuildRequest, BuildStep, BuildUpdate, Builder, BuilderInfo, Cancel,
    ContextFiles, FailureCause, Features, Frontend, HistoryEntry, ImageStore, LabelFilter,
    ListedImage, NamedContexts, Node, Sink, StoredImage, TimedUpdate, TransferProgress,
    context_tar,
};
use crate::base::Platform;
use crate::base::clock::UnixTime;
use crate::base::error::{permanent, transient};

mod script;
mod steps;
mod store;

/// How often a gate that waits for a file checks for it; there is no notification for new files.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The scripted engine.
#[derive(Default)]
pub struct Fake {
    script: Script,
    shared: Arc<FakeMonitor>,
}

#[derive(Default)]
struct FakeMonitor {
    state: Mutex<FakeState>,
    changed: Condvar,
}

#[derive(Default)]
struct FakeState {
    store: FakeStore,
    started: Vec<String>,
    finished: Vec<String>,
}

impl FakeState {
    /// Returns how often the build of an image was started.
    fn tries(&self, request: &BuildRequest) -> usize {
        let is_it = |started: &&String| request.references.first() == Some(*started);
        self.started.iter().filter(is_it).count()
    }
}

impl FakeMonitor {
    fn lock(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut FakeState) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl Fake {
    /// Creates an engine without a script: every build succeeds, with one step per instruction.
    pub fn new() -> Fake {
        Fake::default()
    }

    /// Creates an engine that follows a script.
    ///
    /// # Errors
    /// Returns an error if the script or its store cannot be read.
    pub fn scripted(path: &Path) -> anyhow::Result<Fake> {
        let script = Script::read(path)?;
        let fake = Fake { shared: Arc::default(), script };
        fake.shared.lock().store = FakeStore::open(fake.script.store.clone())?;
        Ok(fake)
    }

    /// Appends one line to the record in a single write, so that lines of several processes never mix.
    fn record(&self, line: &Value) -> anyhow::Result<()> {
        let Some(path) = &self.script.record else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    fn scripted_image(&self, request: &BuildRequest) -> ScriptedImage {
        let fits = |image: &&ScriptedImage| {
            let reference = image.reference.as_ref().is_none_or(|part| {
                request.references.iter().any(|reference| reference.contains(part))
            });
            let label = image.label.as_ref().is_none_or(|label| {
                let (name, value) = label
                    .split_once('=')
                    .map_or((label.as_str(), None), |(name, value)| (name, Some(value)));
                LabelFilter { name, value }.matches(&request.labels)
            });
            reference && label
        };
        let mut scripted = self.script.images.iter().find(fits).cloned().unwrap_or_default();
        let tries = self.shared.lock().tries(request);
        if scripted.passes_after.is_some_and(|most| tries >= most) {
            (scripted.fail, scripted.error) = (None, None);
        }
        scripted
    }

    fn platform(&self) -> Platform {
        self.script.platform.clone().unwrap_or_else(|| Platform::of("linux", "amd64", ""))
    }

    /// Waits until the gate is open, or the build is canceled.
    fn pass(&self, gate: &Gate, cancel: &Cancel) {
        let shared = Arc::clone(&self.shared);
        // The lock ensures that a thread that is about to wait has checked the flag before.
        let _guard = cancel.on_set(move || shared.change(|_| ()));
        let named = |names: &[String], part: &str| names.iter().any(|name| name.contains(part));
        let mut state = self.shared.lock();
        while !cancel.is_set() {
            let open = match gate {
                Gate::Started(part) => named(&state.started, part),
                Gate::Finished(part) => named(&state.finished, part),
                Gate::File(path) => path.exists(),
                Gate::Canceled => false,
            };
            if open {
                return;
            }
            state = match gate {
                Gate::File(_) => {
                    let waited = self.shared.changed.wait_timeout(state, LOOK_EVERY);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn run(
        &self,
        request: &BuildRequest,
        scripted: &ScriptedImage,
        context: &[u8],
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        if let Some(gate) = &scripted.gate {
            self.pass(gate, cancel);
        }
        if cancel.is_set() {
            return Ok(BuildOutcome::Canceled);
        }
        let content = scripted.content.as_deref();
        let image = self.shared.lock().store.derive(request, context, content, &self.platform());
        let image_id = image.image.id.clone();
        let is_stored = !request.no_cache && self.shared.lock().store.find(&image_id).is_some();
        for warning in &scripted.warnings {
            sink(vec![TimedUpdate::now(BuildUpdate::Warning(warning.clone()))]);
        }
        for (index, (step, scripted_step)) in
            plan(request, scripted, is_stored).into_iter().enumerate()
        {
            let fail = scripted.fail.as_ref().filter(|fail| fail.step == index + 1);
            let mut report = |update| sink(vec![TimedUpdate::now(update)]);
            begin(&step, &scripted_step, &mut report);
            if let Some(gate) = &scripted_step.gate {
                self.pass(gate, cancel);
            }
            if cancel.is_set() {
                return Ok(BuildOutcome::Canceled);
            }
            let secret = scripted_step.secret.as_ref().and_then(|id| request.secrets.value(id));
            let (begin, end) = secret.map_or(Default::default(), |it| it.split_at(it.len() / 2));
            let pieces = scripted_step.output.iter().map(String::as_bytes).chain([begin, end]);
            for bytes in pieces.map(<[u8]>::to_vec) {
                report(BuildUpdate::Output { step: step.clone(), bytes });
            }
            if let Some(fail) = fail {
                return Ok(failed(scripted, Some(step), &fail.message));
            }
            let took = Duration::from_millis(scripted_step.millis);
            report(match scripted_step.operation {
                Some(operation) => BuildUpdate::OperationFinished { operation, took },
                None => BuildUpdate::StepFinished { step, cached: scripted_step.cached, took },
            });
        }
        match &scripted.error {
            Some(error) if scripted.passes_after.is_some() => return Err(transient(error).into()),
            Some(error) => anyhow::bail!("{error}"),
            None => {}
        }
        if let Some(fail) = &scripted.fail {
            return Ok(failed(scripted, None, &fail.message));
        }
        self.shared.change(|state| state.store.put(&image, &request.names()))?;
        Ok(BuildOutcome::Built { image_id })
    }
}

/// Reports the start of a step or an operation.
fn begin(step: &BuildStep, scripted: &ScriptedStep, report: &mut dyn FnMut(BuildUpdate)) {
    report(match scripted.operation {
        Some(operation) => BuildUpdate::OperationStarted(operation),
        None => BuildUpdate::StepStarted(step.clone()),
    });
    for (sent, total) in &scripted.sent {
        report(BuildUpdate::ContextProgress { sent: *sent, total: *total });
    }
}

fn failed(scripted: &ScriptedImage, step: Option<BuildStep>, message: &str) -> BuildOutcome {
    let cause = match scripted.passes_after {
        Some(_) => FailureCause::Engine { may_retry: true },
        None => FailureCause::Image,
    };
    BuildOutcome::Failed(BuildFailure { step, message: message.to_owned(), cause })
}

/// Returns the steps of a build with the script's entry for each.
fn plan(
    request: &BuildRequest,
    scripted: &ScriptedImage,
    is_stored: bool,
) -> Vec<(BuildStep, ScriptedStep)> {
    let Some(scripted_steps) = &scripted.steps else {
        let plain = ScriptedStep { cached: is_stored, ..ScriptedStep::default() };
        let steps = steps::steps(&request.dockerfile);
        return steps.into_iter().map(|step| (step, plain.clone())).collect();
    };
    let steps = scripted_steps.iter().filter(|it| it.operation.is_none());
    let total = u32::try_from(steps.count()).unwrap_or(u32::MAX);
    let mut last = 0;
    let step = |scripted_step: &ScriptedStep| {
        let (stage, text) = (scripted_step.stage.clone(), scripted_step.text.clone());
        let step = match scripted_step.operation {
            Some(_) => BuildStep { stage: None, number: 0, total: 0, text },
            None => {
                last += 1;
                BuildStep { stage, number: last, total, text }
            }
        };
        (step, scripted_step.clone())
    };
    scripted_steps.iter().map(step).collect()
}

/// Returns the attestations for the record.
fn attested(request: &BuildRequest) -> BTreeMap<String, &str> {
    request.attestations.enabled().map(|(kind, with)| (kind.to_string(), with)).collect()
}

/// Returns the named contexts for the record.
fn contexts(request: &BuildRequest) -> BTreeMap<&str, String> {
    let contexts = request.contexts.iter();
    contexts.map(|(name, source)| (name.as_str(), source.to_string())).collect()
}

/// Returns a context as a tar, without times: as in BuildKit's cache, they do not make it another one.
fn read(files: &dyn ContextFiles) -> anyhow::Result<Vec<u8>> {
    let (mut headers, mut tar) = (files.headers(), Vec::new());
    headers.iter_mut().for_each(|header| header.mtime = 0);
    context_tar::write(files, &headers, &mut tar).context("can't read the context")?;
    Ok(tar)
}

/// Returns the paths in a tar for the record.
fn paths(tar: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        paths.push(entry.path()?.to_string_lossy().into_owned());
        std::io::copy(&mut entry.by_ref(), &mut std::io::sink())?;
    }
    Ok(paths)
}

impl Builder for Fake {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        self.record(&json!({ "call": "describe" }))?;
        if let Some(error) = &self.script.describe_error {
            return Err(permanent(error).hint(&self.script.describe_hint).into());
        }
        let name = self.script.name.clone().map_or("fake".into(), Cow::Owned);
        let contexts = match &*name {
            "docker" => NamedContexts::All,
            _ => NamedContexts::None,
        };
        let version = env!("CARGO_PKG_VERSION").into();
        let nodes = vec![Node { name: name.clone(), platforms: vec![self.platform()] }];
        let frontend = self.script.frontend.as_deref().and_then(Frontend::parse);
        Ok(BuilderInfo { name, version, nodes, frontend, contexts })
    }

    fn features(&self) -> anyhow::Result<Features> {
        let keeps_manifests = self.script.keeps_manifests;
        Ok(Features { annotations: keeps_manifests, attestations: keeps_manifests })
    }

    fn build(
        &self,
        request: &BuildRequest,
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        let mut context = read(request.context.as_ref())?;
        let sent = paths(&context)?;
        let mut directories = BTreeMap::new();
        for (name, source) in &request.contexts {
            let Some(files) = source.files() else { continue };
            let tar = read(files.as_ref())?;
            directories.insert(name.as_str(), paths(&tar)?);
            context.extend(tar);
        }
        self.record(&json!({
            "call": "build",
            "references": request.references,
            "target": request.target,
            "labels": request.labels,
            "build_args": request.build_args,
            "annotations": request.annotations,
            "attestations": attested(request),
            "contexts": contexts(request),
            "sandbox": request.sandbox.described(),
            "entitlements": request.entitlements.iter().map(Entitlement::to_string).collect::<Vec<_>>(),
            "platform": request.platform,
            "no_cache": request.no_cache,
            "secrets": request.secrets.value_ids().collect::<Vec<_>>(),
            "ssh": request.secrets.agent_ids().collect::<Vec<_>>(),
            "dockerfile": request.dockerfile,
            "context": sent,
            "directories": directories,
        }))?;
        let scripted = self.scripted_image(request);
        self.shared.change(|state| state.started.extend(request.references.iter().cloned()));
        let result = self.run(request, &scripted, &context, sink, cancel);
        let outcome = match &result {
            Ok(BuildOutcome::Built { image_id }) => json!({ "built": image_id }),
            Ok(BuildOutcome::Failed(failure)) => json!({ "failed": failure.message }),
            Ok(BuildOutcome::Canceled) => json!("canceled"),
            Err(error) => json!({ "error": error.to_string() }),
        };
        self.record(&json!({
            "call": "build-ended", "references": request.references, "outcome": outcome,
        }))?;
        self.shared.change(|state| state.finished.extend(request.references.iter().cloned()));
        result
    }

    fn store(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }
}

impl ImageStore for Fake {
    fn inspect(&self, reference: &str) -> anyhow::Result<Option<StoredImage>> {
        self.record(&json!({ "call": "inspect", "reference": reference }))?;
        Ok(self.shared.lock().store.find(reference).map(|it| it.image))
    }

    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        self.record(&json!({ "call": "history", "id": id }))?;
        Ok(self.shared.lock().store.find(id).map(|it| it.history))
    }

    fn list(&self, label: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>> {
        self.record(&json!({ "call": "list", "label": label.to_string() }))?;
        let images = self.shared.change(|state| {
            state.store.refresh()?;
            anyhow::Ok(state.store.all())
        })?;
        let labeled = images.into_iter().filter(|image| label.matches(&image.labels));
        let created = UnixTime::default();
        let listed = labeled.map(|StoredImage { id, references, labels, size, .. }| ListedImage {
            id,
            created,
            references,
            labels,
            size,
        });
        Ok(listed.collect())
    }

    fn pull(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        on_start: &mut dyn FnMut(),
    ) -> anyhow::Result<()> {
        self.record(&json!({ "call": "pull", "reference": reference, "platform": platform }))?;
        let Some(content) = self.script.registry.get(reference) else {
            anyhow::bail!("can't pull `{reference}`: the registry has no such image");
        };
        on_start();
        let platform = platform.cloned().unwrap_or_else(|| self.platform());
        self.shared
            .change(|state| state.store.put(&FakeStore::external(content, &platform), &[reference]))
    }

    fn tag(&self, id: &str, reference: &str) -> anyhow::Result<()> {
        self.record(&json!({ "call": "tag", "id": id, "reference": reference }))?;
        self.shared.change(|state| {
            let image = state.store.find(id).with_context(|| format!("there is no `{id}`"))?;
            state.store.put(&image, &[reference])
        })
    }

    fn push(
        &self,
        reference: &str,
        _: &mut dyn FnMut(TransferProgress),
        _: &Cancel,
    ) -> anyhow::Result<String> {
        anyhow::bail!("the fake engine pushes nothing: `{reference}`")
    }

    fn remove(&self, reference: &str) -> anyhow::Result<()> {
        self.record(&json!({ "call": "remove", "reference": reference }))?;
        self.shared.change(|state| state.store.remove(reference))
    }
}
