//! The public vocabulary of a run: everything that is reported about it, in order.
//!
//! Owns the events. Terminal views, plain output, logs, summaries, and exit codes are functions of this
//! stream alone, so each event contains everything needed to show it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::Location;
use crate::graph::evaluate::DependencyKind;
use crate::plan::Reason;

mod operation;
mod tally;

pub use operation::Operation;
pub use tally::Tally;

/// An event and the time at which it happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimedEvent {
    /// The time since the start of the run.
    #[serde(rename = "at_ms", with = "millis")]
    pub at: Duration,
    /// The image that the event is about. `None` if it is about the run.
    #[serde(flatten)]
    pub image: Option<RunImage>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An image of a run. The event that starts the run lists its name; from then on its number identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    /// Its position among the images of the run, from 0.
    #[serde(default)]
    pub id: usize,
    /// Its name.
    #[serde(rename = "image")]
    pub name: Arc<str>,
}

impl RunImage {
    /// Creates the image at a position of the run.
    pub fn new(id: usize, name: &str) -> RunImage {
        RunImage { id, name: name.into() }
    }
}

/// The number of a step's last output lines that a failure shows.
pub const TAIL: usize = 20;

/// A receiver of a run's events while the run is in progress.
pub trait EventSink {
    /// Receives an event.
    fn receive(&mut self, event: &TimedEvent);

    /// Called when no further event is pending. The next one can be hours away, so buffered output is
    /// flushed.
    fn flush(&mut self) {}
}

/// A fact about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run started.
    RunStarted {
        /// The engine and its version, such as `docker 20.10.24`.
        engine: String,
        /// The command line as given, for a shell, with `***` in place of secrets. `None` if it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The maximum number of images built at the same time.
        jobs: usize,
        /// All images of the run, in dependency order.
        images: Vec<Arc<str>>,
        /// The edges between the images of the run.
        #[serde(default)]
        edges: Vec<ImageEdge>,
        /// The expected build times of the images that are built, or could be.
        #[serde(rename = "expected_ms", default, with = "millis_by_image")]
        expected: BTreeMap<Arc<str>, Duration>,
    },
    /// The build of an image started.
    ImageStarted,
    /// An image is up to date, either as planned or as found once its dependencies were available.
    ImageFresh {
        /// Its ID in the engine.
        image_id: String,
        /// The missing references that were added to it again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tagged: Vec<String>,
        /// Its size in bytes as the engine or the registry counts, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Its reference by digest, if only the registry has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// An image that was started is stale and is built.
    ImageStale {
        /// Why.
        reason: Reason,
    },
    /// An operation of an image started.
    // Logs of earlier versions report only that the image waits for another run.
    #[serde(alias = "image-blocked")]
    OperationStarted {
        /// The operation.
        #[serde(default = "Operation::of_earlier_versions")]
        operation: Operation,
    },
    /// A part of an operation is done.
    OperationProgress {
        /// The operation.
        operation: Operation,
        /// The bytes that were sent.
        sent: u64,
        /// The bytes that were requested so far.
        total: u64,
    },
    /// An operation of an image succeeded.
    OperationFinished {
        /// The operation.
        operation: Operation,
        /// The bytes that were sent, if they were counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<u64>,
        /// How long it took.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image, or something that an image is built on, was pulled from a registry.
    ImagePulled {
        /// The reference that was pulled.
        reference: String,
        /// How long the pull took.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// A build failed with a transient error and is retried.
    ImageRetried {
        /// The attempt that failed, from 1.
        attempt: u32,
        /// What went wrong, in one or a few lines.
        message: String,
        /// The pause before the next attempt.
        #[serde(rename = "wait_ms", with = "millis")]
        wait: Duration,
    },
    /// A step of an image started.
    StepStarted {
        /// The step.
        step: Arc<StepInfo>,
    },
    /// A step of an image succeeded.
    StepFinished {
        /// The step.
        step: Arc<StepInfo>,
        /// Whether the engine had the result in its cache.
        cached: bool,
        /// How long the step ran.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// A step printed a line. The text comes from the build and is not trusted: clean it before showing it.
    Output {
        /// The step; in JSON, only its number.
        #[serde(with = "step_id")]
        step: Arc<StepInfo>,
        /// The line without its line ending.
        line: String,
    },
    /// The engine reported a warning.
    Warning {
        /// The warning. The text is not trusted.
        message: String,
    },
    /// An image was built.
    ImageBuilt {
        /// Its ID in the engine.
        image_id: String,
        /// The references that it now has.
        references: Vec<String>,
        /// How many of its steps ran, and how many were cached.
        steps: StepCounts,
        /// Its size in bytes with everything that it is built on, as the engine counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// The time from start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// The build of an image failed.
    ImageFailed {
        /// The reason.
        failure: Failure,
        /// The time from start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image was not started.
    ImageSkipped {
        /// The reason.
        because: Skip,
    },
    /// The build of an image was canceled in the engine.
    // Older logs have the British spelling.
    #[serde(alias = "image-cancelled")]
    ImageCanceled {
        /// The time from start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image waits to be pushed.
    PushQueued,
    /// The push of an image started.
    PushStarted,
    /// A part of an image was uploaded.
    PushProgress {
        /// The bytes that were uploaded, as the engine counts them.
        sent: u64,
        /// The bytes of all layers whose upload has started.
        total: u64,
    },
    /// An image was pushed under its key. Its tags are not moved yet.
    ImagePushed {
        /// Its reference by digest.
        reference: String,
        /// How long the push took.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// The push of an image failed.
    PushFailed {
        /// The reason.
        message: String,
    },
    /// The push of an image was canceled.
    PushCanceled,
    /// The references of all images in the registry now point to the images of this run.
    Released {
        /// The references that pointed to something else or did not exist before.
        moved: Vec<String>,
        /// The number of references that were already correct.
        #[serde(rename = "kept")]
        unchanged: usize,
    },
    /// No reference was moved in the registry.
    NotReleased {
        /// The reason. `None` if only because not all images were pushed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Something outside the process takes long.
    Waiting {
        /// What the run waits for, such as "`ghcr.io` to respond".
        what: String,
    },
    /// The run was interrupted by a signal.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// The run ended. No event follows.
    RunFinished,
}

impl Event {
    /// Whether the event is the result of an image: built, fresh, failed, skipped, or canceled.
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Event::ImageBuilt { .. }
                | Event::ImageFresh { .. }
                | Event::ImageFailed { .. }
                | Event::ImageSkipped { .. }
                | Event::ImageCanceled { .. }
        )
    }
}

/// An edge between two images of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEdge {
    /// The dependent.
    pub image: Arc<str>,
    /// The dependency.
    pub parent: Arc<str>,
    /// The kind of dependency.
    pub kind: DependencyKind,
}

/// The numbers of steps that ran and that were cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Steps that ran.
    pub ran: u32,
    /// Steps whose result was in the engine's cache.
    pub cached: u32,
}

impl StepCounts {
    /// Whether all steps were cached.
    pub fn are_all_cached(self) -> bool {
        self.ran == 0 && self.cached > 0
    }
}

/// A step as events refer to it. The events that start and finish it contain all fields, those of its output
/// only its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepInfo {
    /// Its number among the steps of one attempt to build its image, from 0.
    #[serde(default)]
    pub id: usize,
    /// The stage, if the engine names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The number of the step in its stage, from 1; 0 if it is not an instruction.
    pub number: u32,
    /// The number of steps in the stage; 0 if it is not an instruction.
    pub total: u32,
    /// The instruction, or what the engine is doing.
    pub text: String,
}

/// Why an image could not be built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What caused it.
    pub kind: FailureKind,
    /// What went wrong, in one or a few lines. Logs of earlier versions also contain the hint here.
    pub message: String,
    /// A command or an edit that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The step that failed, if a step did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<StepInfo>>,
    /// The failing instruction as written in the Dockerfile, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// The last output lines of the step; not trusted. A log already contains them as output, so the reader
    /// of a log adds them here again.
    #[serde(default, skip_serializing)]
    pub log_tail: Vec<String>,
}

impl Failure {
    /// Creates a failure without a step.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            hint: None,
            step: None,
            excerpt: None,
            log_tail: Vec::new(),
        }
    }

    /// Returns the message, followed by the hint on a separate line.
    pub fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\nhint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The build itself: a step failed, or a file does not exist.
    Build,
    /// The infrastructure: the engine became unavailable, or the context could not be read.
    Machinery,
}

/// A part of a Dockerfile, stored in the event so that it can be shown without the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The start of the part.
    #[serde(rename = "place")]
    pub location: Location,
    /// The complete lines that contain it.
    pub text: String,
}

/// Why an image was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// A direct or indirect dependency failed.
    #[serde(rename = "need-failed")]
    ParentFailed {
        /// The dependency.
        image: Arc<str>,
    },
    /// The run stopped starting images after another failure or a signal.
    Stopped,
}

/// (De)serializes durations as milliseconds with a fraction.
mod millis {
    use super::{Deserialize, Deserializer, Duration};

    pub(super) fn serialize<S: serde::Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(millis / 1e3).map_err(serde::de::Error::custom)
    }
}

/// The same for maps keyed by image name.
mod millis_by_image {
    use std::collections::BTreeMap;

    use super::{Arc, Deserialize, Deserializer, Duration, Serialize, millis};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Millis(#[serde(with = "millis")] Duration);

    pub(super) fn serialize<S: serde::Serializer>(
        times: &BTreeMap<Arc<str>, Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(times.iter().map(|(image, time)| (image, Millis(*time))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Arc<str>, Duration>, D::Error> {
        let times = BTreeMap::<Arc<str>, Millis>::deserialize(deserializer)?;
        Ok(times.into_iter().map(|(image, Millis(time))| (image, time)).collect())
    }
}

/// Serializes a step as its number. Logs of the first format version contain all fields.
mod step_id {
    use super::{Arc, Deserialize, Deserializer, StepInfo};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum StepReference {
        ById(usize),
        Full(Arc<StepInfo>),
    }

    pub(super) fn serialize<S: serde::Serializer>(
        step: &StepInfo,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(step.id as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<StepInfo>, D::Error> {
        Ok(match StepReference::deserialize(deserializer)? {
            StepReference::ById(id) => Arc::new(StepInfo { id, ..StepInfo::default() }),
            StepReference::Full(step) => step,
        })
    }
}
