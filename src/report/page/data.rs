//! What a page holds, as it is embedded: the structs behind the short keys, and what fills them.
//!
//! Owns the names that `*.js` reads. Images are named once and are numbers elsewhere; times are
//! milliseconds since the run began; what is not known is left out. All text that a build or a file
//! wrote is cleaned here, so that the page shows what it gets.

use serde::Serialize;

use super::super::timeline::Outcome;

/// The whole of a page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// What the page is of: the ID of a run, or the name of the repository.
    #[serde(rename = "n")]
    pub title: String,
    /// The run; a page of a graph has none.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub run: Option<RunData>,
    /// The images in dependency order.
    #[serde(rename = "i")]
    pub images: Vec<ImageData>,
    /// How many ranks and rows the drawing of the graph has.
    #[serde(rename = "g")]
    pub extent: (usize, f64),
    /// The lines of that drawing.
    #[serde(rename = "l")]
    pub lines: Vec<LineData>,
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub(super) struct RunData {
    /// The engine and its version.
    #[serde(rename = "e")]
    pub engine: String,
    /// When it began (RFC 3339, UTC).
    #[serde(rename = "b")]
    pub began: String,
    /// How many images were built at once at most.
    #[serde(rename = "j")]
    pub jobs: usize,
    /// When its last event happened.
    #[serde(rename = "t")]
    pub took: u64,
    /// How it stands: `finished`, `running`, `died`, or `stopped by SIGINT`.
    #[serde(rename = "s")]
    pub state: String,
    /// The counts in words.
    #[serde(rename = "k")]
    pub counts: String,
    /// The images that decided when it ended, the first first, each with what it waited for: 0 for
    /// nothing, 1 for the one before, which it needs, 2 for that one's place.
    #[serde(rename = "c")]
    pub chain: Vec<(usize, u8)>,
    /// The run that it is compared with.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorRun>,
}

/// The run that another is compared with.
#[derive(Debug, Serialize)]
pub(super) struct PriorRun {
    /// Its ID.
    #[serde(rename = "n")]
    pub id: String,
    /// When it began.
    #[serde(rename = "b")]
    pub began: String,
    /// How long it took.
    #[serde(rename = "t")]
    pub took: u64,
}

/// An image.
#[derive(Debug, Default, Serialize)]
pub(super) struct ImageData {
    /// Its name.
    #[serde(rename = "n")]
    pub name: String,
    /// What became of it, a letter: see [`letter`]; nothing on the page of a graph.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub outcome: Option<char>,
    /// When it got a place.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// When its fate was known.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// When all that it needs was there, if it got a place.
    #[serde(rename = "q", skip_serializing_if = "is_zero")]
    pub ready: u64,
    /// Its place, from 0.
    #[serde(rename = "k", skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// What it was expected to take.
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Why it was built, or was not, in words.
    #[serde(rename = "w", skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// All that differs, where the reason names only the first.
    #[serde(rename = "W", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// How many steps ran, and how many were cached.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    pub counts: Option<(u32, u32)>,
    /// Its steps.
    #[serde(rename = "m", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepData>,
    /// Its size in bytes, with all that it is built on.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How many bytes it adds to the one image that it is built on.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// What the run before made of it (a letter), and how long that took where it was built.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none")]
    pub prior: Option<(char, Option<u64>)>,
    /// Its references.
    #[serde(rename = "g", skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Its ID.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it needs: an image, a kind (see [`super::KINDS`]), and where that is written.
    #[serde(rename = "p", skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedData>,
    /// What the engine warned of, tries that failed, and what else is worth a line.
    #[serde(rename = "u", skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it failed.
    #[serde(rename = "f", skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureData>,
    /// The last lines that its steps wrote.
    #[serde(rename = "t", skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// Its Dockerfile, context and target, on the page of a graph.
    #[serde(rename = "D", skip_serializing_if = "Option::is_none")]
    pub files: Option<(String, String, Option<String>)>,
    /// What it needs from elsewhere: a reference, a kind, a place.
    #[serde(rename = "E", skip_serializing_if = "Vec::is_empty")]
    pub externals: Vec<(String, usize, String)>,
    /// Its rank and row in the drawing.
    #[serde(rename = "v")]
    pub spot: (usize, f64),
}

/// A need: the image, its kind, and where it is written.
#[derive(Debug, Serialize)]
pub(super) struct NeedData(
    pub usize,
    pub usize,
    #[serde(skip_serializing_if = "Option::is_none")] pub Option<String>,
);

/// A step: when it began, how long it ran, what is odd about it, and the instruction.
#[derive(Debug, Serialize)]
pub(super) struct StepData(pub u64, pub u64, pub u8, pub String);

/// The step was cached.
pub(super) const CACHED: u8 = 1;
/// The step came to no good end.
pub(super) const BROKE: u8 = 2;
/// The step runs, or ran when the process died.
pub(super) const OPEN: u8 = 4;

/// A line of the drawing: what is needed, what needs it, the kind that is drawn, and the rows at the
/// ranks between.
#[derive(Debug, Serialize)]
pub(super) struct LineData(pub usize, pub usize, pub usize, pub Vec<(usize, f64)>);

/// Why an image failed.
#[derive(Debug, Default, Serialize)]
pub(super) struct FailureData {
    /// What is wrong.
    #[serde(rename = "m")]
    pub message: String,
    /// Where.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The number of the first line of the excerpt, and its lines.
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<(u32, Vec<String>)>,
    /// The step, where no place is known.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The last lines of its log.
    #[serde(rename = "t")]
    pub tail: Vec<String>,
}

/// The letter of an outcome.
pub(super) fn letter(outcome: Outcome) -> char {
    match outcome {
        Outcome::Waiting => 'w',
        Outcome::Running => 'r',
        Outcome::Built => 'b',
        Outcome::Cached => 'c',
        Outcome::Fresh => 'f',
        Outcome::Failed => 'x',
        Outcome::Cancelled => 'a',
        Outcome::Skipped => 's',
    }
}

/// The hundredths of a row are enough for a drawing.
pub(super) fn rounded(row: f64) -> f64 {
    (row * 100.0).round() / 100.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
