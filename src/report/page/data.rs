//! What a page holds, as it is embedded.
//!
//! Owns the names that `*.js` reads. Images are named once and are numbers elsewhere; times are
//! milliseconds since the run began; what is not known is left out. All text that a build or a file
//! wrote is cleaned here, so that the page shows what it gets.

use std::borrow::Cow;

use serde::Serialize;

use super::super::Words;
use super::super::timeline::{Link, Outcome};
use crate::event::StepCounts;
use crate::graph::evaluate::NeedKind;

/// The whole of a page.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    /// What the page is of: the ID of a run, or the name of the repository.
    pub title: Cow<'a, str>,
    /// The run; a page of a graph has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunData<'a>>,
    /// The images in dependency order.
    pub images: Vec<ImageData>,
    /// How many ranks and rows the drawing of the graph has.
    pub extent: (usize, f64),
    /// The lines of that drawing.
    pub lines: Vec<LineData>,
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub(super) struct RunData<'a> {
    /// The engine and its version.
    pub engine: String,
    /// When it began (RFC 3339, UTC).
    pub began: String,
    /// How many images were built at once at most.
    pub jobs: usize,
    /// When its last event happened.
    pub took: u64,
    /// How it stands: `finished`, `running`, `died`, or `stopped by SIGINT`.
    pub state: Words,
    /// The counts in words.
    pub counts: String,
    /// The images that decided when it ended, the first first, each with what it waited for.
    pub chain: Vec<Link>,
    /// The run that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorRun<'a>>,
}

/// The run that another is compared with.
#[derive(Debug, Serialize)]
pub(super) struct PriorRun<'a> {
    /// Its ID.
    pub id: &'a str,
    /// When it began.
    pub began: String,
    /// How long it took.
    pub took: u64,
}

/// An image.
#[derive(Debug, Default, Serialize)]
pub(super) struct ImageData {
    /// Its name.
    pub name: String,
    /// What became of it; nothing on the page of a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it got a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// When its fate was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// When all that it needs was there, if it got a place.
    pub ready: u64,
    /// Its place, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// What it was expected to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Why it was built, or was not, in words.
    pub why: Words,
    /// All that differs, where the reason names only the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Words>,
    /// How many steps ran, and how many were cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<StepCounts>,
    /// Its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepData>,
    /// Its size in bytes, with all that it is built on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How many bytes it adds to the one image that it is built on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// What the run before made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorImage>,
    /// Its references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Its ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it needs of the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedData>,
    /// What the engine warned of, tries that failed, and what else is worth a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Words>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureData>,
    /// The last lines that its steps wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// Its Dockerfile, context and target, on the page of a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesData>,
    /// What it needs from elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub externals: Vec<ExternalData>,
    /// Its rank in the drawing.
    pub rank: usize,
    /// Its row there.
    pub row: f64,
}

/// What an earlier run made of an image.
#[derive(Debug, Serialize)]
pub(super) struct PriorImage {
    /// What became of it.
    pub outcome: Outcome,
    /// How long that took, where it was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
}

/// A need.
#[derive(Debug, Serialize)]
pub(super) struct NeedData {
    /// The image that is needed.
    pub image: usize,
    /// In which way.
    pub kind: NeedKind,
    /// Where that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A need from elsewhere.
#[derive(Debug, Serialize)]
pub(super) struct ExternalData {
    /// The reference.
    pub name: String,
    /// In which way it is needed.
    pub kind: NeedKind,
    /// Where that is written.
    pub place: String,
}

/// What an image is built from.
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
    /// When it began.
    pub from: u64,
    /// How long it ran.
    pub took: u64,
    /// Whether its result was there already.
    #[serde(skip_serializing_if = "is_false")]
    pub cached: bool,
    /// Whether it came to no good end.
    #[serde(skip_serializing_if = "is_false")]
    pub broke: bool,
    /// Whether it runs, or ran when the process died.
    #[serde(skip_serializing_if = "is_false")]
    pub open: bool,
    /// The instruction.
    pub text: String,
}

/// A line of the drawing.
#[derive(Debug, Serialize)]
pub(super) struct LineData {
    /// The image that is needed.
    pub parent: usize,
    /// The image that needs it.
    pub child: usize,
    /// The kind of need that is drawn.
    pub kind: NeedKind,
    /// The rows at the ranks between.
    pub bends: Vec<(usize, f64)>,
}

/// A piece of a Dockerfile.
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
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The instruction as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<ExcerptData>,
    /// The step, where no place is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The last lines of its log.
    pub tail: Vec<String>,
}

/// The hundredths of a row are enough for a drawing.
pub(super) fn rounded(row: f64) -> f64 {
    (row * 100.0).round() / 100.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
