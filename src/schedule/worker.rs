//! A worker, which builds one image at a time and knows nothing about the others.
//!
//! Owns the worker's side of the messages: it receives an image, gets its build request, lets the engine build it, and
//! reports each step. It decides nothing about the run.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::base::error::{self, transient};
use crate::base::{UnitId, backoff};
use crate::engine::mask::Mask;
use crate::engine::{
    BuildFailure, BuildOutcome, BuildRequest, BuildUpdate, Builder, Cancel, FailureCause,
    ImageStore, StoredImage, TimedUpdate,
};
use crate::event::{Event, Excerpt, Failure, FailureKind, Operation};
use crate::inputs::Identity;
use crate::plan::{FreshImage, ParentImage, Reason, RegistryImage};

use super::lines::BuildOutput;
use super::operations::OperationTracker;
use super::pull::{PullStage, RequiredImage, pull_image};
use super::upload_queue::{PublishedTags, UploadResult};

/// What workers need to know about images, requested when an image starts.
pub trait UnitProvider: Sync {
    /// The image's name.
    fn name(&self, image: UnitId) -> &str;

    /// Returns what is to be done for an image, now that all its dependencies are done. `parents` are its parents in
    /// the run, as they are now. If the image is to be built, the engine's store has them afterward.
    ///
    /// # Errors
    /// Returns an error if the image's files cannot be read, or if the engine or a registry cannot be reached.
    fn prepare(
        &self,
        image: UnitId,
        parents: &[ParentImage],
        turn: &ClaimContext<'_>,
    ) -> anyhow::Result<Preparation>;

    /// Checks, once an image is built, that it was built on the right images. If a reference moves during the build,
    /// the result does not match the key.
    ///
    /// `resolved` are the images that the build reports to have used, with their digests.
    ///
    /// # Errors
    /// Returns an error if something moved, or if the engine cannot be reached.
    fn confirm(
        &self,
        image: UnitId,
        built: &StoredImage,
        resolved: &BTreeSet<String>,
        parents: &[ParentImage],
    ) -> anyhow::Result<()>;

    /// Returns the error of a failed pull of an image of the run, given by its reference by digest. An image of which the
    /// registry has lost a part is not used any more.
    fn explain_pull(&self, _reference: &str, error: anyhow::Error) -> anyhow::Error {
        error
    }

    /// Returns the size in bytes of an image that the engine's store had before the run, if known.
    fn size(&self, _image_id: &str) -> Option<u64> {
        None
    }

    /// Returns why an image cannot be built, if that is known before anything is built for it.
    fn impossible(&self, _image: UnitId) -> Option<Failure> {
        None
    }

    /// Returns the instruction that failed, as written, if it can be found.
    fn excerpt(&self, _image: UnitId, _failure: &BuildFailure) -> Option<Excerpt> {
        None
    }
}

/// What is to be done for an image.
pub enum Preparation {
    /// Nothing: an image with its key exists.
    Fresh(FreshImage),
    /// It is built.
    Build {
        /// Everything that the engine needs.
        request: Box<BuildRequest>,
        /// Why it is built.
        reason: Reason,
        /// Prevents other runs from building the same image, until it is dropped.
        claim: ClaimGuard,
    },
    /// The run was canceled meanwhile.
    Canceled,
}

/// What is held while an image is built.
pub type ClaimGuard = Option<Box<dyn Any + Send>>;

/// How an image waits if another run is building the same one, and what is reported meanwhile.
pub struct ClaimContext<'a> {
    /// Called when it has to wait.
    pub waits: &'a dyn Fn(),
    /// Called when it has waited.
    pub waited: &'a dyn Fn(),
    /// Called when an image is pulled from a registry.
    pub pulls: &'a dyn Fn(PullStage),
    /// Ends the wait.
    pub cancel: &'a Cancel,
}

/// An image for a worker.
pub(super) struct BuildTask {
    pub(super) image: UnitId,
    /// Its parents.
    pub(super) parents: Vec<ParentImage>,
    /// Whether it has children in the run.
    pub(super) is_needed: bool,
    /// Cancels its build.
    pub(super) cancel: Cancel,
}

/// A message to the loop.
pub(super) enum LoopMessage {
    /// Events of the build of an image, some time after they happened.
    Progress { image: UnitId, events: Vec<(Instant, Event)> },
    /// The build of an image ended, and the worker is free.
    Ended { worker: usize, image: UnitId, result: TaskResult },
    /// The push of an image ended, and the upload thread is free.
    Uploaded { uploader: usize, image: UnitId, result: UploadResult },
    /// The tags were moved, or not.
    TagsMoved(anyhow::Result<Option<PublishedTags>>),
    /// Something outside this process takes long to respond.
    Waiting(String),
    /// The process received a signal.
    Signal(i32),
}

/// Sends events with their times to the loop. Each message wakes the loop, so events that arrive together are sent
/// together.
type EventSender<'a> = &'a dyn Fn(Vec<(Instant, Event)>);

fn send_now(send: EventSender<'_>, event: Event) {
    send(vec![(Instant::now(), event)]);
}

pub(super) enum TaskResult {
    Built {
        image_id: String,
        references: Vec<String>,
        identity: Identity,
        size: u64,
    },
    /// Nothing had to be built. The identity is set if the image has children.
    Fresh(FreshImage, Option<Identity>),
    Failed(Failure),
    Canceled,
}

/// Builds images until the loop closes the channel.
pub(super) fn work(
    worker: usize,
    orders: &Receiver<BuildTask>,
    to_loop: &Sender<LoopMessage>,
    engine: &dyn Builder,
    provider: &dyn UnitProvider,
    retries: u32,
) {
    serve(orders, to_loop, |order| {
        let image = order.image;
        // The loop outlives every worker. If it does not take messages any more, none is needed.
        let send = |events| drop(to_loop.send(LoopMessage::Progress { image, events }));
        let work = ImageBuild { order, send: &send, engine, provider };
        let result = or_panicked(|| build(work, retries)).unwrap_or_else(|fault| {
            TaskResult::Failed(Failure::new(FailureKind::Machinery, fault))
        });
        LoopMessage::Ended { worker, image, result }
    });
}

/// Answers the messages of the loop, until it closes the channel.
pub(super) fn serve<T>(
    from_loop: &Receiver<T>,
    to_loop: &Sender<LoopMessage>,
    answer: impl Fn(&T) -> LoopMessage,
) {
    for work in from_loop {
        if to_loop.send(answer(&work)).is_err() {
            return;
        }
    }
}

/// Turns a panic into a failure of one image, so that the loop does not wait for this thread forever.
pub(super) fn or_panicked<T>(work: impl FnOnce() -> T) -> Result<T, &'static str> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .map_err(|_| "the worker panicked; this is a bug in layers")
}

/// An image to be built, and what builds it.
#[derive(Clone, Copy)]
struct ImageBuild<'a> {
    order: &'a BuildTask,
    send: EventSender<'a>,
    engine: &'a dyn Builder,
    provider: &'a dyn UnitProvider,
}

/// Builds an image, and retries after transient errors.
fn build(work: ImageBuild<'_>, retries: u32) -> TaskResult {
    let ImageBuild { order, send, .. } = work;
    for attempt in 1.. {
        let fault = match try_once(work) {
            Ok(result) => return result,
            Err(fault) => fault,
        };
        if order.cancel.is_set() && fault.failure.kind == FailureKind::Machinery {
            return TaskResult::Canceled;
        }
        if !fault.is_transient || attempt > retries {
            return TaskResult::Failed(fault.failure);
        }
        let wait = pause_after(attempt);
        send_now(send, Event::ImageRetried { attempt, message: fault.failure.message, wait });
        if !order.cancel.pause(wait) {
            break;
        }
    }
    TaskResult::Canceled
}

/// Why an attempt failed, and whether the error is transient.
struct AttemptFailure {
    failure: Failure,
    is_transient: bool,
}

/// The pause after an attempt: one second, then doubled each time, up to 30 seconds.
pub(super) fn pause_after(attempt: u32) -> Duration {
    backoff::pause_after(attempt, Duration::from_secs(1), Duration::from_secs(30))
}

fn try_once(work: ImageBuild<'_>) -> Result<TaskResult, Box<AttemptFailure>> {
    let ImageBuild { order, send, provider, .. } = work;
    let waits_since = Cell::new(Instant::now());
    let start = |operation| send_now(send, Event::OperationStarted { operation });
    let finish = |operation, took| {
        send_now(send, Event::OperationFinished { operation, sent: None, took });
    };
    let turn = ClaimContext {
        waits: &|| {
            waits_since.set(Instant::now());
            start(Operation::WaitingForRun);
        },
        waited: &|| finish(Operation::WaitingForRun, waits_since.get().elapsed()),
        pulls: &|stage| match stage {
            PullStage::Started => start(Operation::Pulling),
            PullStage::Finished { reference, took } => {
                finish(Operation::Pulling, took);
                send_now(send, Event::ImagePulled { reference, took });
            }
        },
        cancel: &order.cancel,
    };
    let broke = |error: anyhow::Error| machinery_fault(&error, &Mask::default());
    match provider.prepare(order.image, &order.parents, &turn).map_err(broke)? {
        Preparation::Fresh(present) => restore(work, present, &turn).map_err(broke),
        Preparation::Build { request, reason, claim } => {
            send_now(send, Event::ImageStale { reason });
            let result = perform(work, &request);
            drop(claim);
            result
        }
        Preparation::Canceled => Ok(TaskResult::Canceled),
    }
}

/// Restores the references that an image has lost. If only the registry has the image, it is pulled if it needs
/// references in the engine's store.
fn restore(
    work: ImageBuild<'_>,
    present: FreshImage,
    turn: &ClaimContext<'_>,
) -> anyhow::Result<TaskResult> {
    let FreshImage { image_id, lost, registry_image, is_remote } = &present;
    let ImageBuild { order, provider, .. } = work;
    let store = work.engine.images();
    let identity = match registry_image {
        Some(RegistryImage { reference, identity, .. }) if *is_remote => {
            let required_image = RequiredImage { reference, identity, platform: None, names: lost };
            if !lost.is_empty() {
                pull_image(store, required_image, turn.pulls)
                    .map_err(|error| provider.explain_pull(reference, error))?;
            }
            Some(identity.clone())
        }
        _ => {
            lost.iter().try_for_each(|reference| store.tag(image_id, reference))?;
            let found = order.is_needed.then(|| look_at(image_id, store)).transpose()?;
            found.as_ref().map(Identity::of)
        }
    };
    let is_remote = *is_remote && lost.is_empty();
    Ok(TaskResult::Fresh(FreshImage { is_remote, ..present }, identity))
}

/// Lets the engine build an image, and checks the result.
fn perform(
    work: ImageBuild<'_>,
    request: &BuildRequest,
) -> Result<TaskResult, Box<AttemptFailure>> {
    let ImageBuild { order, send, engine, provider } = work;
    let mask = request.secrets.mask();
    let broke = |error: &anyhow::Error| machinery_fault(error, mask);
    let mut progress = BuildProgress::hiding(mask);
    let mut resolved = BTreeSet::new();
    let mut sink = |timed: Vec<TimedUpdate>| {
        let mut events = Vec::with_capacity(timed.len());
        resolved.extend(timed.iter().filter_map(|timed| match &timed.update {
            BuildUpdate::StepStarted(step) => step.resolved_image().map(str::to_owned),
            _ => None,
        }));
        timed.into_iter().for_each(|timed| progress.take(timed, &mut events));
        send(events);
    };
    let outcome = engine.build(request, &mut sink, &order.cancel);
    let mut lines = progress.lines;
    // The last output of a step may lack a line feed, and is the most informative.
    lines.finish(|event| send_now(send, event));
    match outcome.map_err(|error| broke(&error))? {
        BuildOutcome::Built { image_id } => {
            let image = look_at(&image_id, engine.images()).map_err(|error| broke(&error))?;
            let confirmed = provider.confirm(order.image, &image, &resolved, &order.parents);
            if let Err(error) = confirmed {
                // The image does not match its key.
                engine.images().remove(&image_id).map_err(|error| broke(&error))?;
                return Err(broke(&error));
            }
            let (identity, size) = (Identity::of(&image), image.size);
            Ok(TaskResult::Built {
                image_id,
                references: request.references.clone(),
                identity,
                size,
            })
        }
        BuildOutcome::Canceled => Ok(TaskResult::Canceled),
        BuildOutcome::Failed(failure) => {
            let step = failure.step.as_ref();
            Err(Box::new(AttemptFailure {
                is_transient: failure.cause == FailureCause::Engine { may_retry: true },
                failure: Failure {
                    kind: match failure.cause {
                        FailureCause::Image => FailureKind::Build,
                        FailureCause::Engine { .. } => FailureKind::Machinery,
                    },
                    excerpt: provider.excerpt(order.image, &failure),
                    log_tail: step.map(|step| lines.tail(step)).unwrap_or_default(),
                    step: step.map(|step| lines.name(step)),
                    message: mask.hide_in(failure.message.clone()),
                    hint: None,
                },
            }))
        }
    }
}

/// Inspects an image that the engine has just built. containerd's store removes it if its only name moves to another
/// image, as happens if a second run builds other files under the same name.
fn look_at(image_id: &str, store: &dyn ImageStore) -> anyhow::Result<StoredImage> {
    match store.inspect(image_id)? {
        Some(image) => Ok(image),
        None => {
            Err(transient(format!("the engine no longer has `{image_id}`, which it just built"))
                .hint("build again; another run may be building images with the same names")
                .into())
        }
    }
}

/// Converts updates from the engine into events.
struct BuildProgress<'a> {
    lines: BuildOutput,
    operations: OperationTracker,
    mask: &'a Mask,
}

impl BuildProgress<'_> {
    fn hiding(mask: &Mask) -> BuildProgress<'_> {
        let lines = BuildOutput::hiding(mask.clone());
        BuildProgress { lines, operations: OperationTracker::default(), mask }
    }

    fn take(&mut self, timed: TimedUpdate, events: &mut Vec<(Instant, Event)>) {
        let BuildProgress { lines, operations, mask } = self;
        let at = timed.at;
        let mut send = |event| events.push((at, event));
        match timed.update {
            BuildUpdate::StepStarted(step) => send(Event::StepStarted { step: lines.name(&step) }),
            BuildUpdate::StepFinished { step, cached, took } => {
                // Its lines do not have to wait for further output.
                lines.end(&step, &mut send);
                send(Event::StepFinished { step: lines.name(&step), cached, took });
            }
            BuildUpdate::OperationStarted(operation) => operations.start(operation, at, send),
            BuildUpdate::OperationFinished { operation, took } => {
                operations.finish(operation, took, send);
            }
            BuildUpdate::ContextProgress { sent, total } => {
                operations.progress((sent, total), at, send);
            }
            BuildUpdate::Output { step, bytes } => lines.push(&step, &bytes, send),
            BuildUpdate::Warning(message) => {
                send(Event::Warning { message: mask.hide_in(message) });
            }
            BuildUpdate::Restarted(message) => {
                // Steps are numbered from the start again.
                std::mem::replace(lines, BuildOutput::hiding(mask.clone())).finish(&mut send);
                *operations = OperationTracker::default();
                let (message, wait) = (mask.hide_in(message), Duration::ZERO);
                send(Event::ImageRetried { attempt: 1, message, wait });
            }
        }
    }
}

fn machinery_fault(error: &anyhow::Error, mask: &Mask) -> Box<AttemptFailure> {
    let message = mask.hide_in(format!("{error:#}"));
    let hint = error::hint(error).map(|hint| mask.hide_in(hint.to_owned()));
    let failure = Failure { hint, ..Failure::new(FailureKind::Machinery, message) };
    Box::new(AttemptFailure { failure, is_transient: error::is_transient(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{BuildOperation, BuildStep};

    #[test]
    fn steps_start_again_if_the_engine_restarts_a_build() {
        let step = BuildStep { stage: None, number: 1, total: 1, text: "RUN make".into() };
        let bytes = b"half a line".to_vec();
        let output = BuildUpdate::Output { step: step.clone(), bytes };
        let finished = BuildUpdate::StepFinished { step, cached: false, took: Duration::ZERO };
        let restarted = BuildUpdate::Restarted("lost a snapshot".into());
        let exporting = BuildUpdate::OperationStarted(BuildOperation::Exporting);
        let updates = [finished.clone(), output, exporting.clone(), restarted, finished, exporting];
        let mask = Mask::default();
        let (mut progress, mut events) = (BuildProgress::hiding(&mask), Vec::new());
        for update in updates {
            progress.take(TimedUpdate::now(update), &mut events);
        }
        let described: Vec<String> = events
            .into_iter()
            .map(|(_, event)| match event {
                Event::Output { step, .. } => format!("output of {}", step.id),
                Event::StepFinished { step, .. } => format!("end of {}", step.id),
                Event::ImageRetried { attempt, message, .. } => format!("{attempt}: {message}"),
                Event::OperationStarted { operation } => format!("{operation:?}"),
                other => format!("{other:?}"),
            })
            .collect();
        // An unfinished line is not lost.
        let expected =
            ["end of 0", "Exporting", "output of 0", "1: lost a snapshot", "end of 0", "Exporting"];
        assert_eq!(described, expected);
    }
}
