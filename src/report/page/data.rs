//! The data of a page, as it is embedded.
//!
//! Owns the field names that `*.js` reads. Each image is named once and otherwise referred to by number.
//! Times are milliseconds since the start of the run. Unknown values are left out. All text from builds and
//! files is cleaned here, so that the page can show it unchanged.

use std::borrow::Cow;

use serde::Serialize;

use super::super::Phrase;
use super::super::timeline::{CriticalImage, Outcome};
use crate::event::{Operation, StepCounts};
use crate::graph::evaluate::DependencyKind;

/// The content of a page.
#[derive(Debug, Serialize)]
pub(super) struct PageData<'a> {
    /// The subject of the page: the ID of a run or the name of the repository.
    pub title: Cow<'a, str>,
    /// The run. `None` on the page of a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunData<'a>>,
    /// The images in dependency order.
    pub images: Vec<ImageData>,
    /// The numbers of ranks and rows in the drawing of the graph.
    pub extent: (usize, f64),
    /// The lines of the drawing.
    pub lines: Vec<LineData>,
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub(super) struct RunData<'a> {
    /// The engine and its version.
    pub engine: String,
    /// The command line, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it started (RFC 3339, UTC).
    pub began: String,
    /// The maximum number of images built at the same time.
    pub jobs: usize,
    /// The time of its last event.
    pub took: u64,
    /// The state: `finished`, `still running`, `died`, or `stopped by SIGINT`.
    pub state: Phrase,
    /// The counts as text.
    pub counts: String,
    /// The critical path from its start, with what each image waited for.
    pub chain: Vec<CriticalImage>,
    /// The run that this run is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorRun<'a>>,
}

/// A run that another run is compared with.
#[derive(Debug, Serialize)]
pub(super) struct PriorRun<'a> {
    /// Its ID.
    pub id: &'a str,
    /// When it started.
    pub began: String,
    /// How long it took.
    pub took: u64,
}

/// An image.
#[derive(Debug, Default, Serialize)]
pub(super) struct ImageData {
    /// Its name.
    pub name: String,
    /// Its outcome. `None` on the page of a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it got a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// When its outcome was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// When all its dependencies were available, if it got a slot.
    pub ready: u64,
    /// Its slot, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<usize>,
    /// Its expected build time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Why it was built or not, as text.
    pub why: Phrase,
    /// All differences, if the reason names only the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Phrase>,
    /// The numbers of steps that ran and that were cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<StepCounts>,
    /// Its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepData>,
    /// Its operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationData>,
    /// Its size in bytes, with everything that it is built on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The bytes that it adds to its only base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// Its result in the previous run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorImage>,
    /// Its references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Its ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The edges to its parents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentData>,
    /// Warnings of the engine, failed attempts, and other notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Phrase>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureData>,
    /// The last output lines of its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// Its Dockerfile, context, and target, on the page of a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesData>,
    /// The externals that it uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub externals: Vec<ExternalData>,
    /// Its rank in the drawing.
    pub rank: usize,
    /// Its row in the drawing.
    pub row: f64,
}

/// The result of an image in an earlier run.
#[derive(Debug, Serialize)]
pub(super) struct PriorImage {
    /// Its outcome.
    pub outcome: Outcome,
    /// How long the build took, if it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
}

/// An edge to a parent.
#[derive(Debug, Serialize)]
pub(super) struct ParentData {
    /// The parent.
    pub image: usize,
    /// The kind of dependency.
    pub kind: DependencyKind,
    /// Its position in the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// An external that an image uses.
#[derive(Debug, Serialize)]
pub(super) struct ExternalData {
    /// The reference.
    pub name: String,
    /// The kind of dependency.
    pub kind: DependencyKind,
    /// Its position in the Dockerfile.
    pub location: String,
}

/// The files that an image is built from.
#[derive(Debug, Serialize)]
pub(super) struct FilesData {
    /// Its Dockerfile.
    pub dockerfile: String,
    /// Its context.
    pub context: String,
    /// Its target.
    pub target: Option<String>,
}

/// A step.
#[derive(Debug, Serialize)]
pub(super) struct StepData {
    /// When it started.
    pub from: u64,
    /// How long it ran.
    pub took: u64,
    /// Whether its result was cached.
    #[serde(skip_serializing_if = "is_false")]
    pub cached: bool,
    /// Whether it failed or was canceled.
    #[serde(skip_serializing_if = "is_false")]
    pub broke: bool,
    /// Whether it is running, or was running when the process died.
    #[serde(skip_serializing_if = "is_false")]
    pub open: bool,
    /// The instruction.
    pub text: String,
}

/// An operation.
#[derive(Debug, Serialize)]
pub(super) struct OperationData {
    /// Its kind.
    pub kind: Operation,
    /// When it started.
    pub from: u64,
    /// How long it took.
    pub took: u64,
    /// The bytes that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Whether it failed or was canceled.
    #[serde(skip_serializing_if = "is_false")]
    pub broke: bool,
    /// Whether it is running, or was running when the process died.
    #[serde(skip_serializing_if = "is_false")]
    pub open: bool,
}

/// A line of the drawing.
#[derive(Debug, Serialize)]
pub(super) struct LineData {
    /// The parent.
    pub parent: usize,
    /// The child.
    pub child: usize,
    /// The kind of dependency that is drawn.
    pub kind: DependencyKind,
    /// The rows at the ranks in between.
    pub bends: Vec<(usize, f64)>,
}

/// A part of a Dockerfile.
#[derive(Debug, Serialize)]
pub(super) struct ExcerptData {
    /// The number of its first line.
    pub line: u32,
    /// Its lines.
    pub lines: Vec<String>,
}

/// Why an image failed.
#[derive(Debug, Default, Serialize)]
pub(super) struct FailureData {
    /// What went wrong.
    pub message: String,
    /// The position in the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The instruction as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<ExcerptData>,
    /// The step, if the position is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The last lines of its output.
    pub tail: Vec<String>,
}

/// Rounds a row to two decimal places, which is enough for a drawing.
pub(super) fn rounded(row: f64) -> f64 {
    (row * 100.0).round() / 100.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
