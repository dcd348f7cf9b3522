//! The loop that runs a plan.
//!
//! In this module, "image" means a unit: an image for one platform. One thread owns all state. It receives messages
//! from workers and from the signal handler, decides what starts next, and emits events. A worker knows one image at a
//! time. There are no locks and there is no polling: an image starts as soon as all its dependencies are done and a
//! slot is free. This module never prints; the events are the only output of a run.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::base::{IdMap, UnitId, waiting};
use crate::engine::{Builder, Cancel};
use crate::event::{Event, EventSink, ImageEdge, RunImage, Skip, StepCounts, TimedEvent};
use crate::graph::evaluate::DependencyKind;
use crate::inputs::Identity;
use crate::plan::{FreshImage, ParentImage, Plan, RegistryImage, Verdict};

pub mod estimate;
mod failures;
mod lines;
mod operations;
pub mod pull;
mod states;
#[cfg(test)]
mod tests;
mod upload_queue;
mod uploads;
mod worker;

pub use states::ImageState;
pub use upload_queue::{PublishedImage, PublishedTags, Publisher};
pub use worker::{ClaimContext, ClaimGuard, Preparation, UnitProvider};

use states::States;
use upload_queue::{UploadQueue, UploadResult};
use worker::{BuildTask, LoopMessage, TaskResult};

/// The options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The engine's name, for the first event.
    pub engine: String,
    /// The command line, for the first event.
    pub command: Option<String>,
    /// The maximum number of images that are built at once, at least 1.
    pub jobs: usize,
    /// The maximum number of images that are pushed at once, at least 1.
    pub push_jobs: usize,
    /// What happens to the other images if one fails.
    pub on_failure: OnFailure,
    /// How often an image is retried after transient errors.
    pub retries: u32,
    /// How long an image may take, including retries and the pauses between them.
    pub timeout: Option<Duration>,
}

/// What happens to the other images if one fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Running builds finish, and nothing new starts.
    #[default]
    Finish,
    /// All images continue that do not depend on it.
    KeepGoing,
    /// Running builds and pushes are canceled too.
    Cancel,
}

/// Passes signals to a running loop from another thread.
#[derive(Clone)]
pub struct Interrupter {
    to_loop: Sender<LoopMessage>,
}

impl Interrupter {
    /// Stops the run: nothing new starts, and running builds are canceled in the engine. Returns whether there is
    /// anything to stop: not once the run is over.
    pub fn interrupt(&self, signal: i32) -> bool {
        self.to_loop.send(LoopMessage::Signal(signal)).is_ok()
    }
}

/// A run that is ready to start.
pub struct BuildRun<'a> {
    plan: &'a Plan,
    provider: &'a dyn UnitProvider,
    engine: &'a dyn Builder,
    publisher: Option<&'a dyn Publisher>,
    options: RunOptions,
    to_loop: Sender<LoopMessage>,
    messages: Receiver<LoopMessage>,
}

impl<'a> BuildRun<'a> {
    /// Creates a run of `plan`, whose images `publisher` pushes to a registry. Does not start anything.
    pub fn new(
        plan: &'a Plan,
        provider: &'a dyn UnitProvider,
        engine: &'a dyn Builder,
        publisher: Option<&'a dyn Publisher>,
        options: RunOptions,
    ) -> BuildRun<'a> {
        let (to_loop, messages) = mpsc::channel();
        BuildRun { plan, provider, engine, publisher, options, to_loop, messages }
    }

    /// Returns a handle with which another thread can stop the run.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { to_loop: self.to_loop.clone() }
    }

    /// Builds everything and passes the events to `listener`. Returns when every image has ended.
    pub fn execute(self, listener: &mut dyn EventSink) {
        let BuildRun { plan, provider, engine, publisher, options, to_loop, messages } = self;
        let workers = options.jobs.clamp(1, plan.order().len().max(1));
        std::thread::scope(|scope| {
            let (to_loop, retries) = (&to_loop, options.retries);
            let worker_channels = channels(scope, workers, move |number, orders| {
                worker::work(number, orders, to_loop, engine, provider, retries);
            });
            let uploaders = publisher.map_or_else(Vec::new, |publisher| {
                let uploads = options.push_jobs.clamp(1, plan.order().len().max(1));
                channels(scope, uploads, move |number, uploads| {
                    upload_queue::run_uploader(number, uploads, to_loop, publisher, retries);
                })
            });
            let idle = (0..workers).rev().collect();
            let mut the_loop = Loop {
                engine,
                publisher,
                uploads: UploadQueue::new(uploaders, plan.len()),
                plan,
                provider,
                states: States::new(plan, options.jobs.max(1)),
                options,
                running: IdMap::from_fn(plan.len(), |_| None),
                steps: IdMap::from_fn(plan.len(), |_| StepCounts::default()),
                parents: IdMap::from_fn(plan.len(), |image| plan.parent(image)),
                images: name_images(plan, provider),
                signal: None,
                stopping: false,
                channels: worker_channels,
                idle,
                clock: Instant::now(),
                listener,
            };
            // What takes long is reported as an event, because a live view owns the terminal.
            let _announcer = waiting::announce_to({
                let to_loop = to_loop.clone();
                move |what| drop(to_loop.send(LoopMessage::Waiting(what.to_owned())))
            });
            the_loop.run(&messages, to_loop);
        });
    }
}

/// Starts threads, and returns a channel to each. A thread works on what it receives until the loop closes the channel.
fn channels<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    count: usize,
    work: impl Fn(usize, &Receiver<T>) + Copy + Send + 's,
) -> Vec<Sender<T>> {
    let start = |number| {
        let (to_thread, from_loop) = mpsc::channel();
        scope.spawn(move || work(number, &from_loop));
        to_thread
    };
    (0..count).map(start).collect()
}

/// Returns the images of a run as events name them: numbered in the order of the plan.
fn name_images(plan: &Plan, provider: &dyn UnitProvider) -> IdMap<Option<RunImage>, UnitId> {
    let mut images = IdMap::from_fn(plan.len(), |_| None);
    for (id, image) in plan.order().iter().enumerate() {
        images[*image] = Some(RunImage { id, name: provider.name(*image).into() });
    }
    images
}

/// All state of a run, owned by one thread.
struct Loop<'a, 's> {
    engine: &'a dyn Builder,
    plan: &'a Plan,
    provider: &'a dyn UnitProvider,
    options: RunOptions,
    states: States<'a>,
    running: IdMap<Option<ActiveBuild>, UnitId>,
    steps: IdMap<StepCounts, UnitId>,
    /// The images that are done and are parents.
    parents: IdMap<Option<ParentImage>, UnitId>,
    /// The images as events name them; `None` for images that are not part of the run.
    images: IdMap<Option<RunImage>, UnitId>,
    publisher: Option<&'a dyn Publisher>,
    uploads: UploadQueue,
    /// The signal that stopped the run, if any.
    signal: Option<i32>,
    /// Whether nothing new may start.
    stopping: bool,
    channels: Vec<Sender<BuildTask>>,
    idle: Vec<usize>,
    clock: Instant,
    listener: &'s mut dyn EventSink,
}

/// An image that a worker is building.
struct ActiveBuild {
    since: Instant,
    /// When it times out.
    until: Option<Instant>,
    /// Whether it timed out and was canceled for that.
    timed_out: bool,
    cancel: Cancel,
}

impl Loop<'_, '_> {
    fn run(&mut self, messages: &Receiver<LoopMessage>, to_loop: &Sender<LoopMessage>) {
        self.emit(self.beginning());
        for image in self.plan.order() {
            self.report_decided(*image);
        }
        self.fail_what_cannot_be_built();
        self.start_what_can();
        while !(self.states.all_ended() && self.uploads.are_done()) {
            match self.next_message(messages) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => self.cancel_overdue(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.start_what_can();
        }
        self.move_tags(messages, to_loop);
        self.emit(Event::RunFinished);
        self.listener.flush();
    }

    /// Emits the event of an image for which, according to the plan, there is nothing to do.
    fn report_decided(&mut self, image: UnitId) {
        let Some(Verdict::Fresh { image_id, lost, registry }) = self.plan.verdict(image) else {
            return;
        };
        // A worker restores lost references.
        if !lost.is_empty() {
            return;
        }
        let registry_image = self.plan.registry_image(image);
        let size = match registry {
            Some(_) => registry_image.map(|it| it.size),
            None => self.provider.size(image_id),
        };
        let (image_id, registry) = (image_id.clone(), registry.clone());
        let tagged = Vec::new();
        let event = Event::ImageFresh { image_id: image_id.clone(), tagged, size, registry };
        self.emit_of(image, event);
        self.queue_upload(image, &image_id, registry_image);
    }

    fn beginning(&self) -> Event {
        let plan = self.plan;
        let order = plan.order().iter().copied();
        let edge = |(image, parent, kind): &(UnitId, UnitId, DependencyKind)| ImageEdge {
            image: self.name(*image),
            parent: self.name(*parent),
            kind: *kind,
        };
        Event::RunStarted {
            engine: self.options.engine.clone(),
            command: self.options.command.clone(),
            jobs: self.options.jobs,
            images: order.map(|image| self.name(image)).collect(),
            edges: plan.edges().iter().map(edge).collect(),
            expected: plan.expected().map(|(image, cost)| (self.name(image), cost)).collect(),
        }
    }

    fn next_message(
        &mut self,
        messages: &Receiver<LoopMessage>,
    ) -> Result<LoopMessage, RecvTimeoutError> {
        if let Ok(message) = messages.try_recv() {
            return Ok(message);
        }
        self.listener.flush();
        // The loop itself holds a sender, so the channel is never disconnected.
        match self.next_deadline() {
            Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn handle(&mut self, message: LoopMessage) {
        match message {
            LoopMessage::Progress { image, events } => {
                events.into_iter().for_each(|(at, event)| self.report(image, at, event));
            }
            LoopMessage::Ended { worker, image, result } => {
                self.idle.push(worker);
                self.end(image, result);
            }
            LoopMessage::Uploaded { uploader, image, result } => {
                let is_pushed = matches!(result, UploadResult::Pushed { .. });
                self.uploads.end(uploader, image, is_pushed);
                if matches!(result, UploadResult::Canceled) {
                    self.emit_of(image, Event::PushCanceled);
                }
                self.finish_upload(image, result);
            }
            LoopMessage::Waiting(what) => self.emit(Event::Waiting { what }),
            LoopMessage::Signal(signal) => self.interrupt(signal),
            // They are moved after everything else, by `move_tags`.
            LoopMessage::TagsMoved(_) => {}
        }
    }

    fn start_what_can(&mut self) {
        while let Some(image) = self.uploads.start_next() {
            self.emit_of(image, Event::PushStarted);
        }
        while !self.stopping && !self.idle.is_empty() {
            let Some(image) = self.states.start_next() else { return };
            let Some(worker) = self.idle.pop() else { return };
            let (since, cancel) = (Instant::now(), Cancel::default());
            let until = self.options.timeout.and_then(|time| since.checked_add(time));
            let running = ActiveBuild { since, until, timed_out: false, cancel: cancel.clone() };
            self.running[image] = Some(running);
            self.emit_of(image, Event::ImageStarted);
            let order = BuildTask {
                image,
                parents: self.parents_of(image),
                is_needed: !self.plan.children(image).is_empty(),
                cancel,
            };
            self.channels[worker].send(order).expect("a worker ends when its channel does");
        }
    }

    /// Returns the parents of an image, as they are now.
    fn parents_of(&self, image: UnitId) -> Vec<ParentImage> {
        self.plan
            .parents(image)
            .iter()
            .filter_map(|dependency| self.parents[*dependency].clone())
            .collect()
    }

    fn report(&mut self, image: UnitId, at: Instant, event: Event) {
        match &event {
            // The steps of a failed attempt are not part of the image.
            Event::ImageRetried { .. } => self.steps[image] = StepCounts::default(),
            // `FROM` runs nothing, and engines differ in whether they report it as cached.
            Event::StepFinished { step, cached, .. }
                if step.number > 0 && !step.text.starts_with("FROM ") =>
            {
                self.steps[image].cached += u32::from(*cached);
                self.steps[image].ran += u32::from(!*cached);
            }
            _ => {}
        }
        let (at, image) = (at.saturating_duration_since(self.clock), self.images[image].clone());
        self.listener.receive(&TimedEvent { at, image, event });
    }

    fn end(&mut self, image: UnitId, result: TaskResult) {
        let running = self.running[image].take();
        let took = running.as_ref().map(|it| it.since.elapsed()).unwrap_or_default();
        let timed_out = running.is_some_and(|it| it.timed_out) && self.signal.is_none();
        match result {
            TaskResult::Fresh(present, identity) => self.end_present(image, present, identity),
            TaskResult::Built { image_id, references, identity, size } => {
                let (unit, id) = (image, image_id.clone());
                self.parents[image] =
                    Some(ParentImage { unit, image_id: id, identity, remote: None });
                self.states.finish(image);
                self.queue_upload(image, &image_id, None);
                let (steps, size) = (self.steps[image], Some(size));
                let event = Event::ImageBuilt { image_id, references, steps, size, took };
                self.emit_of(image, event);
            }
            TaskResult::Canceled if timed_out => self.fail(image, self.overdue(), took),
            TaskResult::Canceled => {
                self.states.cancel(image);
                self.emit_of(image, Event::ImageCanceled { took });
                self.stop();
            }
            TaskResult::Failed(failure) => self.fail(image, failure, took),
        }
    }

    fn end_present(&mut self, image: UnitId, present: FreshImage, identity: Option<Identity>) {
        let FreshImage { image_id, lost: tagged, registry_image, is_remote } = present;
        let remote = registry_image.clone().filter(|_| is_remote);
        let size = match &remote {
            Some(remote) => Some(remote.size),
            None => self.provider.size(&image_id),
        };
        let registry = remote.as_ref().map(|it| it.reference.clone());
        let parent =
            |identity| ParentImage { unit: image, image_id: image_id.clone(), identity, remote };
        self.parents[image] = identity.map(parent);
        self.states.finish(image);
        self.queue_upload(image, &image_id, registry_image.as_ref());
        self.emit_of(image, Event::ImageFresh { image_id, tagged, size, registry });
    }

    /// Returns when the next image times out.
    fn next_deadline(&self) -> Option<Instant> {
        self.options.timeout?;
        let running = self.running.values().flatten().filter(|it| !it.timed_out);
        running.filter_map(|it| it.until).min()
    }

    fn cancel_overdue(&mut self) {
        let now = Instant::now();
        let is_overdue =
            |it: &ActiveBuild| !it.timed_out && it.until.is_some_and(|until| until <= now);
        for running in self.running.values_mut().flatten().filter(|it| is_overdue(it)) {
            running.timed_out = true;
            running.cancel.set();
        }
    }

    fn cancel_where(&self, is_match: impl Fn(&ActiveBuild) -> bool) {
        self.running.values().flatten().filter(|it| is_match(it)).for_each(|it| it.cancel.set());
    }

    fn interrupt(&mut self, signal: i32) {
        if self.signal.is_none() {
            self.signal = Some(signal);
            self.emit(Event::Interrupted { signal });
            self.cancel_where(|_| true);
            self.cancel_uploads();
            self.stop();
            // What is requested from now on is cleanup.
            self.engine.images().begin_cleanup();
            waiting::interrupt();
        }
    }

    /// From here on, nothing new starts.
    fn stop(&mut self) {
        self.stopping = true;
        let rest = self.states.skip_rest();
        self.skip(&rest, &Skip::Stopped);
    }

    fn skip(&mut self, images: &[UnitId], because: &Skip) {
        for image in images {
            self.emit_of(*image, Event::ImageSkipped { because: because.clone() });
        }
    }

    fn emit(&mut self, event: Event) {
        self.listener.receive(&TimedEvent { at: self.clock.elapsed(), image: None, event });
    }

    fn emit_of(&mut self, image: UnitId, event: Event) {
        let image = self.images[image].clone();
        self.listener.receive(&TimedEvent { at: self.clock.elapsed(), image, event });
    }

    fn name(&self, image: UnitId) -> Arc<str> {
        self.images[image].as_ref().map_or_else(Arc::default, |image| Arc::clone(&image.name))
    }
}
