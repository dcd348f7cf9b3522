//! The public vocabulary of a run: all that is ever said of it, in order.
//!
//! Owns the events. Terminal views, plain lines, logs, summaries and exit codes are functions of
//! this stream and of nothing else, so an event carries all that telling it needs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::base::Place;
use crate::graph::evaluate::NeedKind;
use crate::plan::Reason;

mod tally;

pub use tally::Tally;

/// An event and when it happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamped {
    /// Time since the run began.
    #[serde(rename = "at_ms", with = "millis")]
    pub at: Duration,
    /// The image that it is about; nothing where it is about the run.
    #[serde(flatten)]
    pub image: Option<RunImage>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An image of a run. Its name is announced when the run begins; from then on its number is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    /// Its place among the images of the run, from 0.
    #[serde(default)]
    pub id: usize,
    /// Its name.
    #[serde(rename = "image")]
    pub name: Arc<str>,
}

impl RunImage {
    /// The image at a place of the run.
    pub fn new(id: usize, name: &str) -> RunImage {
        RunImage { id, name: name.into() }
    }
}

/// How many last lines of a step a failure shows.
pub const TAIL: usize = 20;

/// Who hears the events of a run while it goes on.
pub trait Listener {
    /// Hears one event.
    fn hear(&mut self, event: &Stamped);

    /// Nothing more has happened, for now or for hours: what waits to be written is written.
    fn rest(&mut self) {}
}

/// One fact of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The engine and its version, such as `docker 20.10.24`.
        engine: String,
        /// How many images are built at once at most.
        jobs: usize,
        /// All images of the run in dependency order.
        images: Vec<Arc<str>>,
        /// What they need of one another.
        #[serde(default)]
        edges: Vec<Edge>,
        /// How long those are expected to take that are built, or may be.
        #[serde(rename = "expected_ms", default, with = "millis_by_image")]
        expected: BTreeMap<Arc<str>, Duration>,
    },
    /// An image begins to be built.
    ImageStarted,
    /// There is nothing to build for an image, as planned or as it turned out when all that it
    /// needs was there.
    ImageFresh {
        /// Its ID in the engine.
        image_id: String,
        /// The references that it had lost and has now again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tagged: Vec<String>,
        /// How many bytes it takes, as the engine or the registry counts, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Where it is by digest, when only the registry holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// An image that began is not fresh, and is built.
    ImageStale {
        /// Why.
        reason: Reason,
    },
    /// Another run builds the very same image; what comes out of that is waited for.
    ImageBlocked,
    /// Something that an image is built on, or the image itself, was brought from a registry.
    ImagePulled {
        /// What was brought.
        reference: String,
        /// How long that took.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// A build failed for a cause that may pass, and is tried again.
    ImageRetried {
        /// Which try failed, from 1.
        attempt: u32,
        /// What was wrong, in one line or a few.
        message: String,
        /// How long is waited before the next try.
        #[serde(rename = "wait_ms", with = "millis")]
        wait: Duration,
    },
    /// A step of an image begins to run.
    StepStarted {
        /// The step.
        step: Arc<StepInfo>,
    },
    /// A step of an image ended well.
    StepFinished {
        /// The step.
        step: Arc<StepInfo>,
        /// Whether the engine had its result already.
        cached: bool,
        /// How long it ran.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// A step wrote a line. It is what the build wrote and not to be trusted: whoever shows it
    /// must clean it first.
    Output {
        /// The step: in JSON its number alone.
        #[serde(with = "step_id")]
        step: Arc<StepInfo>,
        /// The line without its end.
        line: String,
    },
    /// The engine warns of something.
    Warning {
        /// What it says; not to be trusted either.
        message: String,
    },
    /// An image was built.
    ImageBuilt {
        /// Its ID in the engine.
        image_id: String,
        /// The references it now has.
        references: Vec<String>,
        /// How many of its steps ran, and how many the engine had already.
        steps: StepCounts,
        /// How many bytes it takes with all that it is built on, as the engine counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// From start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image could not be built.
    ImageFailed {
        /// Why.
        failure: Failure,
        /// From start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image was not begun.
    ImageSkipped {
        /// Why.
        because: Skip,
    },
    /// The build of an image was cancelled in the engine.
    ImageCancelled {
        /// From start to end.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image begins to be sent to the registry.
    PushStarted,
    /// An image has arrived in the registry, under its key; no other name leads to it yet.
    ImagePushed {
        /// Where it is, by digest.
        reference: String,
        /// How long sending it took.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// An image could not be sent to the registry.
    PushFailed {
        /// Why.
        message: String,
    },
    /// The references of all images lead in the registry to what this run has made.
    Released {
        /// Those that led elsewhere or nowhere before.
        moved: Vec<String>,
        /// How many led there already.
        kept: usize,
    },
    /// No reference was moved in the registry.
    NotReleased {
        /// Why; nothing where not all images came so far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The run was asked to stop.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// The run ended; nothing follows.
    RunFinished,
}

impl Event {
    /// Whether it is the end of its image.
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Event::ImageBuilt { .. }
                | Event::ImageFresh { .. }
                | Event::ImageFailed { .. }
                | Event::ImageSkipped { .. }
                | Event::ImageCancelled { .. }
        )
    }
}

/// A need of an image that another image of the run meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The image that needs.
    pub image: Arc<str>,
    /// The image that is needed.
    pub parent: Arc<str>,
    /// In which way.
    pub kind: NeedKind,
}

/// How many steps ran and how many were cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Steps that ran.
    pub ran: u32,
    /// Steps whose result the engine had already.
    pub cached: u32,
}

impl StepCounts {
    /// Whether the engine had the results of all steps already.
    pub fn are_all_cached(self) -> bool {
        self.ran == 0 && self.cached > 0
    }
}

/// A step as events name it. What begins or ends it announces all of it, its lines only its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepInfo {
    /// Its number among the steps of one try of its image, from 0.
    #[serde(default)]
    pub id: usize,
    /// The stage, where the engine names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Which step of its stage, from 1; 0 for what is no instruction.
    pub number: u32,
    /// How many steps the stage has; 0 likewise.
    pub total: u32,
    /// The instruction, or what the engine does.
    pub text: String,
}

/// Why an image could not be built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What is wrong, in one line or a few.
    pub message: String,
    /// The step that failed, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<StepInfo>>,
    /// The failing instruction as it is written, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// The last lines that the step wrote; not to be trusted. A log has them as output already, so
    /// whoever reads it puts them here again.
    #[serde(default, skip_serializing)]
    pub log_tail: Vec<String>,
}

impl Failure {
    /// A failure that is not of a step.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), step: None, excerpt: None, log_tail: Vec::new() }
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The build said no: a step failed, a file is not there.
    Build,
    /// The machinery did: the engine went away, the context could not be read.
    Machinery,
}

/// A piece of a Dockerfile, carried along so that it can be drawn without the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Where the piece begins.
    pub place: Place,
    /// The whole lines that it stands on.
    pub text: String,
}

/// Why an image was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// Something it needs, at any distance, failed.
    NeedFailed {
        /// What failed.
        image: Arc<str>,
    },
    /// The run stopped starting images after another failure or a signal.
    Stopped,
}

/// Times as milliseconds with a fraction.
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

/// The same by the names of images.
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

/// A step by its number. Logs of the first version hold all of it.
mod step_id {
    use super::{Arc, Deserialize, Deserializer, StepInfo};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        ById(usize),
        Whole(Arc<StepInfo>),
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
        Ok(match Named::deserialize(deserializer)? {
            Named::ById(id) => Arc::new(StepInfo { id, ..StepInfo::default() }),
            Named::Whole(step) => step,
        })
    }
}
