//! What a builder reports: the steps of a build, and how it ended.
//!
//! Owns the vocabulary of progress. Events for the world are made of it in `schedule`.

use std::time::{Duration, Instant};

use super::buildkit::wording;

/// A step of a build as the engine names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// The stage it belongs to, where the engine names one.
    pub stage: Option<String>,
    /// Which step of its stage it is, from 1; 0 for what is no instruction (`exporting`, …).
    pub number: u32,
    /// How many steps the stage has; 0 likewise.
    pub total: u32,
    /// The instruction as the engine words it, such as `RUN make`.
    pub text: String,
}

impl Step {
    /// The image that a step takes from outside the build, with the digest that its name resolved to
    /// (`docker.io/acme/base:1@sha256:…`). Engines without manifests name none.
    pub fn resolved_image(&self) -> Option<&str> {
        wording::resolved_image(&self.text)
    }
}

/// Who is told what happens while an image is built: all that has come at once, in order.
pub type Sink<'a> = dyn FnMut(Vec<Told>) + 'a;

/// What happened, and when: an engine may tell a little later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// What.
    pub update: BuildUpdate,
}

impl Told {
    /// It has just happened.
    pub fn now(update: BuildUpdate) -> Told {
        Told { at: Instant::now(), update }
    }
}

/// What happens while an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// A step began to run.
    StepStarted(Step),
    /// A step ended well.
    StepFinished {
        /// Which.
        step: Step,
        /// Whether the engine had its result already.
        cached: bool,
        /// How long it ran in the engine.
        took: Duration,
    },
    /// A step wrote something: raw bytes, not yet cut into lines, not to be trusted.
    Output {
        /// Which.
        step: Step,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// The engine warns of something in the Dockerfile.
    Warning(String),
}

/// How the build of an image ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutcome {
    /// The image is in the engine under its references.
    Built {
        /// The image's ID in the engine (`sha256:…`).
        image_id: String,
    },
    /// The image could not be built.
    Failed(BuildFailure),
    /// The build was cancelled.
    Cancelled,
}

/// Why an image could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// The step that failed, where one did.
    pub step: Option<Step>,
    /// The engine's message, without its decoration.
    pub message: String,
    /// Whether another try may do better: a registry or the network was at fault, and no command
    /// of the Dockerfile.
    pub may_pass: bool,
}
