//! Builds one image at a time and knows nothing of the others.
//!
//! Owns the thread's side of the conversation: it takes an image, asks for its request, lets the
//! engine build it and reports each step. It decides nothing about the run.

use std::sync::mpsc::{Receiver, Sender};

use crate::base::ImageId;
use crate::engine::mask::Mask;
use crate::engine::{BuildFailure, BuildOutcome, BuildRequest, BuildUpdate, Cancel, Engine, Step};
use crate::event::{Excerpt, Failure, FailureKind, StepInfo};
use crate::inputs::Identity;
use crate::plan::Reason;

use super::lines::Lines;

/// What workers need to know of the images, asked for when an image starts.
pub trait Recipes: Sync {
    /// The image's name.
    fn name(&self, image: ImageId) -> &str;

    /// What is to be done for it, now that all that it needs is there: `needs` are the images of
    /// the run that it needs, as they are now.
    ///
    /// # Errors
    /// Where the image's files can't be read, or the engine can't be asked.
    fn prepare(
        &self,
        image: ImageId,
        needs: &[(ImageId, Identity)],
        engine: &dyn Engine,
    ) -> anyhow::Result<Prepared>;

    /// Makes sure, once an image is built, that all it was to be built on is still there under its
    /// references: whoever moves one of them meanwhile makes another image of it than its key says.
    ///
    /// # Errors
    /// Where something was moved, or the engine can't be asked.
    fn confirm(
        &self,
        image: ImageId,
        needs: &[(ImageId, Identity)],
        engine: &dyn Engine,
    ) -> anyhow::Result<()>;

    /// The instruction behind a failure as it is written, where it can be found.
    fn excerpt(&self, image: ImageId, failure: &BuildFailure) -> Option<Excerpt>;
}

/// What is to be done for an image.
pub enum Prepared {
    /// Nothing is built: the engine holds what would come out.
    Fresh {
        /// The image's ID.
        image_id: String,
        /// The references that it has lost, and gets back.
        lost: Vec<String>,
    },
    /// It is built.
    Build {
        /// All that the engine needs for it.
        request: Box<BuildRequest>,
        /// Why.
        reason: Reason,
    },
}

/// An image to be taken care of.
pub(super) struct Order {
    pub(super) image: ImageId,
    /// What the images are that it needs.
    pub(super) needs: Vec<(ImageId, Identity)>,
    /// Whether another image of the run needs it.
    pub(super) is_needed: bool,
}

/// What a worker says to the loop.
pub(super) enum Message {
    /// Something happened in the build of an image.
    Progress(ImageId, Progress),
    /// The build of an image ended, and the worker is free.
    Ended { worker: usize, image: ImageId, ending: Ending },
    /// The process got a signal.
    Signal(i32),
}

pub(super) enum Progress {
    Stale(Reason),
    StepStarted(StepInfo),
    StepFinished { step: StepInfo, cached: bool, took: std::time::Duration },
    Output { step: StepInfo, line: String },
    Warning(String),
}

pub(super) enum Ending {
    Built { image_id: String, references: Vec<String>, identity: Option<Identity> },
    Fresh { image_id: String, tagged: Vec<String>, identity: Option<Identity> },
    Failed(Failure),
    Cancelled,
}

/// Takes images until the loop hangs up.
pub(super) fn work(
    worker: usize,
    orders: &Receiver<Order>,
    to_loop: &Sender<Message>,
    engine: &dyn Engine,
    recipes: &dyn Recipes,
    cancel: &Cancel,
) {
    for order in orders {
        let image = order.image;
        let build = || build(&order, to_loop, engine, recipes, cancel);
        let build = std::panic::AssertUnwindSafe(build);
        // A panic must end one image with a word, not leave the loop waiting for this worker.
        let ending = std::panic::catch_unwind(build).unwrap_or_else(|_| {
            Ending::Failed(machinery("the worker panicked; this is a fault in layers".to_owned()))
        });
        if to_loop.send(Message::Ended { worker, image, ending }).is_err() {
            return;
        }
    }
}

fn build(
    order: &Order,
    to_loop: &Sender<Message>,
    engine: &dyn Engine,
    recipes: &dyn Recipes,
    cancel: &Cancel,
) -> Ending {
    let image = order.image;
    // The loop outlives every worker; a message that it no longer takes needs no answer.
    let say = |progress| drop(to_loop.send(Message::Progress(image, progress)));
    let mut mask = Mask::default();
    let mut lines = Lines::default();
    let result = recipes.prepare(image, &order.needs, engine).and_then(|prepared| {
        let (request, reason) = match prepared {
            Prepared::Fresh { image_id, lost } => {
                for reference in &lost {
                    engine.tag(&image_id, reference)?;
                }
                let identity = identify(order, &image_id, engine)?;
                return Ok(Ending::Fresh { image_id, tagged: lost, identity });
            }
            Prepared::Build { request, reason } => (request, reason),
        };
        say(Progress::Stale(reason));
        mask = request.secrets.mask().clone();
        lines = Lines::hiding(mask.clone());
        let mut sink = |update| tell(update, &mut lines, &mask, &say);
        let outcome = engine.build(&request, &mut sink, cancel);
        // What a step wrote last may have no line end, and says most.
        lines.finish(|step, line| say(Progress::Output { step: name(step, &mask), line }));
        match outcome? {
            BuildOutcome::Built { image_id } => {
                if let Err(error) = recipes.confirm(image, &order.needs, engine) {
                    // It carries a key that it does not deserve.
                    engine.remove(&image_id)?;
                    return Err(error);
                }
                let identity = identify(order, &image_id, engine)?;
                Ok(Ending::Built { image_id, references: request.references, identity })
            }
            BuildOutcome::Cancelled => Ok(Ending::Cancelled),
            BuildOutcome::Failed(failure) => Ok(Ending::Failed(Failure {
                kind: FailureKind::Build,
                excerpt: recipes.excerpt(image, &failure),
                message: mask.hide_in(failure.message),
                log_tail: failure.step.as_ref().map(|step| lines.tail(step)).unwrap_or_default(),
                step: failure.step.as_ref().map(|step| name(step, &mask)),
            })),
        }
    });
    match result {
        Ok(ending) => ending,
        Err(_) if cancel.is_set() => Ending::Cancelled,
        Err(error) => Ending::Failed(machinery(mask.hide_in(format!("{error:#}")))),
    }
}

/// A step as events name it: an engine may put the values of variables into the instruction.
fn name(step: &Step, mask: &Mask) -> StepInfo {
    let mut info = StepInfo::from(step);
    info.text = mask.hide_in(info.text);
    info
}

/// What an image is to those that need it, where any does.
fn identify(
    order: &Order,
    image_id: &str,
    engine: &dyn Engine,
) -> anyhow::Result<Option<Identity>> {
    if !order.is_needed {
        return Ok(None);
    }
    match engine.inspect(image_id)? {
        Some(image) => Ok(Some(Identity::of(&image))),
        None => anyhow::bail!("the engine does not hold `{image_id}`, which it has just named"),
    }
}

fn tell(update: BuildUpdate, lines: &mut Lines, mask: &Mask, say: &dyn Fn(Progress)) {
    match update {
        BuildUpdate::StepStarted(step) => say(Progress::StepStarted(name(&step, mask))),
        BuildUpdate::StepFinished { step, cached, took } => {
            say(Progress::StepFinished { step: name(&step, mask), cached, took });
        }
        BuildUpdate::Output { step, bytes } => lines.push(&step, &bytes, |line| {
            say(Progress::Output { step: name(&step, mask), line });
        }),
        BuildUpdate::Warning(message) => say(Progress::Warning(mask.hide_in(message))),
    }
}

fn machinery(message: String) -> Failure {
    Failure {
        kind: FailureKind::Machinery,
        message,
        step: None,
        excerpt: None,
        log_tail: Vec::new(),
    }
}
