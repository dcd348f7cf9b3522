//! Builds one image at a time and knows nothing of the others.
//!
//! Owns the thread's side of the conversation: it takes an image, asks for its request, lets the
//! engine build it and reports each step. It decides nothing about the run.

use std::sync::mpsc::{Receiver, Sender};

use crate::base::ImageId;
use crate::engine::{BuildOutcome, BuildRequest, BuildUpdate, Cancel, Engine, Step};
use crate::event::{Excerpt, Failure, FailureKind, StepInfo};

use super::lines::Lines;

/// What workers need to know of the images, asked for when an image starts.
pub trait Recipes: Sync {
    /// The image's name.
    fn name(&self, image: ImageId) -> &str;

    /// All that the engine needs to build it.
    ///
    /// # Errors
    /// Where the image's files can't be read.
    fn request(&self, image: ImageId) -> anyhow::Result<BuildRequest>;

    /// The instruction behind a step as it is written, where it can be found.
    fn excerpt(&self, image: ImageId, step: &Step) -> Option<Excerpt>;
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
    StepStarted(StepInfo),
    StepFinished { step: StepInfo, cached: bool, took: std::time::Duration },
    Output { step: StepInfo, line: String },
    Warning(String),
}

pub(super) enum Ending {
    Built { image_id: String, references: Vec<String> },
    Failed(Failure),
    Cancelled,
}

/// Takes images until the loop hangs up.
pub(super) fn work(
    worker: usize,
    images: &Receiver<ImageId>,
    to_loop: &Sender<Message>,
    engine: &dyn Engine,
    recipes: &dyn Recipes,
    cancel: &Cancel,
) {
    for image in images {
        let build = std::panic::AssertUnwindSafe(|| build(image, to_loop, engine, recipes, cancel));
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
    image: ImageId,
    to_loop: &Sender<Message>,
    engine: &dyn Engine,
    recipes: &dyn Recipes,
    cancel: &Cancel,
) -> Ending {
    // The loop outlives every worker; a message that it no longer takes needs no answer.
    let say = |progress| drop(to_loop.send(Message::Progress(image, progress)));
    let mut lines = Lines::default();
    let result = recipes.request(image).and_then(|request| {
        let outcome = engine.build(&request, &mut |update| tell(update, &mut lines, &say), cancel);
        outcome.map(|outcome| (outcome, request.references))
    });
    lines.finish(|step, line| say(Progress::Output { step: step.into(), line }));
    match result {
        Ok((BuildOutcome::Built { image_id }, references)) => {
            Ending::Built { image_id, references }
        }
        Ok((BuildOutcome::Cancelled, _)) => Ending::Cancelled,
        Ok((BuildOutcome::Failed(failure), _)) => Ending::Failed(Failure {
            kind: FailureKind::Build,
            message: failure.message,
            excerpt: failure.step.as_ref().and_then(|step| recipes.excerpt(image, step)),
            log_tail: failure.step.as_ref().map(|step| lines.tail(step)).unwrap_or_default(),
            step: failure.step.as_ref().map(StepInfo::from),
        }),
        Err(_) if cancel.is_set() => Ending::Cancelled,
        Err(error) => Ending::Failed(machinery(format!("{error:#}"))),
    }
}

fn tell(update: BuildUpdate, lines: &mut Lines, say: &dyn Fn(Progress)) {
    match update {
        BuildUpdate::StepStarted(step) => say(Progress::StepStarted((&step).into())),
        BuildUpdate::StepFinished { step, cached, took } => {
            say(Progress::StepFinished { step: (&step).into(), cached, took });
        }
        BuildUpdate::Output { step, bytes } => lines.push(&step, &bytes, |line| {
            say(Progress::Output { step: (&step).into(), line });
        }),
        BuildUpdate::Warning(message) => say(Progress::Warning(message)),
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
