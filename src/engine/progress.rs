//! What a builder reports during a build: its steps, what it does besides them, and how it ended.
//!
//! Owns the types for progress. `schedule` turns them into public events.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::buildkit::wording;

/// A step of a build, as the engine names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildStep {
    /// The stage that the step belongs to, if the engine names one.
    pub stage: Option<String>,
    /// The number of the step in its stage, from 1; 0 for steps that are not instructions (`exporting`, …).
    pub number: u32,
    /// The number of steps in the stage; 0 for steps that are not instructions.
    pub total: u32,
    /// The instruction in the engine's wording, such as `RUN make`.
    pub text: String,
}

impl BuildStep {
    /// Returns the external image that a step uses, with the digest that its name resolved to
    /// (`docker.io/acme/base:1@sha256:…`). Engines without manifests do not name one.
    pub fn resolved_image(&self) -> Option<&str> {
        wording::resolved_image(&self.text)
    }
}

/// What an engine does for a build besides its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildOperation {
    /// It receives the context.
    SendingContext,
    /// It writes the built image to its store.
    Exporting,
    /// It unpacks the written image, so that containers and builds can use it.
    Unpacking,
}

/// Receives the progress of a build: all updates that arrived together, in order.
pub type Sink<'a> = dyn FnMut(Vec<TimedUpdate>) + 'a;

/// An update and the time at which it happened; an engine may report it slightly later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedUpdate {
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub update: BuildUpdate,
}

impl TimedUpdate {
    /// Returns the update with the current time.
    pub fn now(update: BuildUpdate) -> TimedUpdate {
        TimedUpdate { at: Instant::now(), update }
    }
}

/// One update about the progress of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// A step started.
    StepStarted(BuildStep),
    /// A step succeeded.
    StepFinished {
        /// The step.
        step: BuildStep,
        /// Whether the result came from the engine's cache.
        cached: bool,
        /// How long the step ran in the engine.
        took: Duration,
    },
    /// An operation started.
    OperationStarted(BuildOperation),
    /// An operation succeeded.
    OperationFinished {
        /// The operation.
        operation: BuildOperation,
        /// How long it took in the engine.
        took: Duration,
    },
    /// A part of the context was sent.
    ContextProgress {
        /// The bytes that were sent.
        sent: u64,
        /// The bytes that the engine has requested so far.
        total: u64,
    },
    /// A step wrote output: raw bytes, not split into lines, and not trusted.
    Output {
        /// The step.
        step: BuildStep,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// The engine's warning about the Dockerfile.
    Warning(String),
    /// The build starts again, after a failure of the engine with this message. The steps so far do not count.
    Restarted(String),
}

/// How the build of an image ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutcome {
    /// The engine has the image, under its references.
    Built {
        /// The ID of the image in the engine (`sha256:…`).
        image_id: String,
    },
    /// The image could not be built.
    Failed(BuildFailure),
    /// The build was canceled.
    Canceled,
}

/// Why an image could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// The step that failed, if one did.
    pub step: Option<BuildStep>,
    /// The engine's message, without its prefixes.
    pub message: String,
    /// What caused it.
    pub cause: FailureCause,
}

/// What caused a failed build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCause {
    /// The image's own files: a command failed, or a file does not exist.
    Image,
    /// The engine: its network, its disk, or its own state.
    Engine {
        /// Whether the build may be retried.
        may_retry: bool,
    },
}
