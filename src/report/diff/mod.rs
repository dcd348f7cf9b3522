//! The effect of a change on the repository's images: Markdown for a pull request, and JSON.
//!
//! Owns the sentences and their order. The Markdown is shortened so that it fits into a comment on GitHub,
//! and it says what is left out. The JSON is complete. Text from users appears only as code and in labels.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::base::ImageId;
use crate::base::text::{and, count};
use crate::graph::Graph;
use crate::graph::difference::{Difference, EdgeBetween, ExternalChange};
use crate::inputs::since::Cause;

use super::{Phrase, affected, clean, phrases};

mod drawing;
mod markdown;

use markdown::{code, names, short_reference, within};

/// The maximum size of the Markdown. A comment on GitHub can have 65,536 characters, and a workflow adds some
/// of its own.
const MOST: usize = 60_000;

/// The maximum size of each list except that of the images, which gets the remaining space.
const MOST_OF_A_LIST: usize = 8_000;

/// The content of the report.
#[derive(Serialize)]
pub struct DiffReport<'a> {
    /// The compared revisions.
    #[serde(flatten)]
    pub range: ComparedRange<'a>,
    /// The number of errors in the files of the base.
    pub base_errors: usize,
    /// The graph of the head. In JSON, only the number of images.
    #[serde(rename = "images", serialize_with = "write_count")]
    pub graph: &'a Graph,
    /// The rebuilt images in dependency order.
    #[serde(rename = "affected")]
    pub rows: Vec<RebuiltImage<'a>>,
    /// The estimated duration, if known.
    pub estimate: Option<DiffEstimate>,
    /// The difference between the graphs.
    #[serde(flatten)]
    pub difference: &'a Difference,
}

/// The compared revisions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ComparedRange<'a> {
    /// The range as the user wrote it.
    #[serde(skip)]
    pub text: &'a str,
    /// The base.
    pub base: &'a str,
    /// The head. `None` for the work tree.
    pub head: Option<&'a str>,
    /// Whether the base is the merge base.
    #[serde(rename = "from_merge_base")]
    pub is_from_fork: bool,
}

/// A rebuilt image.
#[derive(Debug, Serialize)]
pub struct RebuiltImage<'a> {
    /// Its number in the graph.
    #[serde(skip)]
    pub id: ImageId,
    /// Its name.
    pub image: &'a str,
    /// Its Dockerfile.
    pub dockerfile: &'a str,
    /// Why.
    pub because: RebuildKind,
    /// Its previous name, if it was renamed.
    pub was: Option<&'a str>,
    /// Why the image itself differs.
    #[serde(flatten)]
    pub cause: Option<&'a Cause>,
    /// The rebuilt images among its parents.
    #[serde(rename = "needs")]
    pub parents: Vec<&'a str>,
    /// The expected build time, if known.
    #[serde(flatten)]
    pub time: Option<ExpectedTime>,
}

/// The kind of reason for which an image is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildKind {
    /// The image itself changed.
    Changed,
    /// The image was renamed.
    Renamed,
    /// A parent is rebuilt.
    Parent,
}

/// The expected build time of an image.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ExpectedTime {
    /// The time.
    #[serde(rename = "expected_ms", serialize_with = "phrases::write_millis")]
    pub time: Duration,
    /// Whether the time is a guess based on the commands because the image was never built here.
    #[serde(rename = "guessed")]
    pub is_guess: bool,
}

/// The expected duration of all builds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DiffEstimate {
    /// The number of images built at the same time.
    pub jobs: usize,
    /// The expected duration.
    #[serde(rename = "time_ms", serialize_with = "phrases::write_millis")]
    pub time: Duration,
    /// The expected duration if the images are built one after the other.
    #[serde(rename = "work_ms", serialize_with = "phrases::write_millis")]
    pub work: Duration,
}

fn write_count<S: Serializer>(graph: &Graph, to: S) -> Result<S::Ok, S::Error> {
    graph.images.len().serialize(to)
}

/// Returns the report as JSON.
///
/// # Errors
/// Does not fail in practice: all content is text and numbers.
pub fn draw_json(report: &DiffReport<'_>) -> anyhow::Result<String> {
    clean::json(report)
}

/// Returns the report as Markdown for GitHub and GitLab.
pub fn draw(report: &DiffReport<'_>) -> String {
    // The command that shows everything.
    let all = code(&format!("layers diff {} --json", report.range.text));
    let difference = report.difference;
    let mut text = format!("## Images: {}\n\n{}\n", heading(report.range), summary(report));
    let mut after = String::new();
    if !report.rows.is_empty() {
        after.push_str(&drawing::draw(report.graph, &report.rows));
    }
    if !difference.externals.is_empty() {
        let rows: Vec<String> = difference.externals.iter().map(describe_moved).collect();
        after.push_str("\n### Externals\n\n| external | images |\n|---|---|\n");
        after.push_str(&within(&rows, MOST_OF_A_LIST, "external", &all));
    }
    let edges = [("added", &difference.added_edges), ("removed", &difference.removed_edges)];
    let edges: Vec<String> = edges
        .into_iter()
        .flat_map(|(what, edges)| edges.iter().map(move |edge| describe_edge(what, edge)))
        .collect();
    if !edges.is_empty() {
        after.push_str("\n### Dependencies\n\n");
        after.push_str(&within(&edges, MOST_OF_A_LIST, "edge", &all));
    }
    let images = describe_images(difference);
    if !images.is_empty() {
        after.push_str("\n### Added, removed, and renamed images\n\n");
        after.push_str(&within(&images, MOST_OF_A_LIST, "image", &all));
    }
    if !report.rows.is_empty() {
        let room = MOST.saturating_sub(text.len() + after.len());
        text.push_str(&table(report, room, &all));
    }
    text + &after
}

fn heading(range: ComparedRange<'_>) -> String {
    match range.head {
        Some(_) => code(range.text),
        None => format!("{} and the work tree", code(range.text)),
    }
}

/// Returns two sentences: how many images are rebuilt, why, and how long that takes.
fn summary(report: &DiffReport<'_>) -> String {
    let total = count(report.graph.images.len(), "image");
    let errors = match report.base_errors {
        0 => String::new(),
        errors => format!(
            "\n\nThe files of {} have {}. The parts with errors are not compared.",
            code(report.range.base),
            count(errors, "error")
        ),
    };
    if report.rows.is_empty() {
        let why = if report.difference.is_empty() { ": their inputs are the same" } else { "" };
        return format!("**None of {total} will be rebuilt**{why}.{errors}");
    }
    let for_parents = report.rows.iter().filter(|row| row.because == RebuildKind::Parent).count();
    let themselves = report.rows.len() - for_parents;
    let why = match for_parents {
        0 if themselves == 1 => Phrase::from("it changed"),
        0 => "all of them changed".into(),
        _ => format!("{themselves} changed, {for_parents} because of a dependency").into(),
    };
    let time: Phrase = match &report.estimate {
        None => "The duration is unknown: no past builds were found.".into(),
        Some(DiffEstimate { jobs, time, work }) => format!(
            "This takes about {} with `-j {jobs}`, and {} with `-j 1`.",
            phrases::rough(*time),
            phrases::rough(*work)
        )
        .into(),
    };
    format!("**{} of {total} will be rebuilt**: {why}. {time}{errors}", report.rows.len())
}

/// Returns the table of rebuilt images. Those that changed themselves come first because there may be no
/// space for the others.
fn table(report: &DiffReport<'_>, room: usize, all: &str) -> String {
    let (of_parents, themselves): (Vec<&RebuiltImage<'_>>, Vec<&RebuiltImage<'_>>) =
        report.rows.iter().partition(|row| row.because == RebuildKind::Parent);
    let has_times = report.estimate.is_some();
    let row = |row: &RebuiltImage<'_>| {
        let time = match row.time {
            None => String::new(),
            Some(ExpectedTime { time, is_guess: false }) => format!(" {} |", phrases::rough(time)),
            Some(ExpectedTime { time, is_guess: true }) => format!(" ~{} |", phrases::rough(time)),
        };
        format!("| {} | {} |{time}\n", code(row.image), why(row))
    };
    let rows: Vec<String> = themselves.into_iter().chain(of_parents).map(row).collect();
    let is_guessed = report.rows.iter().any(|row| row.time.is_some_and(|time| time.is_guess));
    let head = if has_times { ["| time ", "|---"] } else { [""; 2] };
    let mut text = format!("\n| image | reason {}|\n|---|---{}|\n", head[0], head[1]);
    text.push_str(&within(&rows, room.saturating_sub(500), "image", all));
    if is_guessed {
        text.push_str("\n`~` marks an estimate for an image that was never built here.\n");
    }
    text
}

fn why(row: &RebuiltImage<'_>) -> String {
    match (row.because, row.cause, row.was) {
        (RebuildKind::Renamed, _, Some(was)) => format!("renamed from {}", code(was)),
        (RebuildKind::Parent, ..) | (_, None, _) => format!("depends on {}", names(&row.parents)),
        (_, Some(cause), _) => affected::describe_by(cause, &code).into_owned(),
    }
}

fn describe_moved(moved: &ExternalChange) -> String {
    let short = |text: &String| code(&short_reference(text));
    let what = match (&moved.from, &moved.to) {
        (Some(from), Some(to)) => format!("{} → {}", short(from), short(to)),
        (Some(from), None) => format!("{} is no longer used", short(from)),
        (None, Some(to)) => format!("{} is new", short(to)),
        (None, None) => String::new(),
    };
    let by = if moved.by_pin { ", pinned in `graph.json`" } else { "" };
    format!("| {what}{by} | {} |\n", names(&moved.images))
}

fn describe_edge(what: &str, edge: &EdgeBetween) -> String {
    let EdgeBetween { image, parent, kind, at } = edge;
    format!("- {what}: {} depends on {} ({kind}, {})\n", code(image), code(parent), code(at))
}

fn describe_images(difference: &Difference) -> Vec<String> {
    let renamed = difference.renamed.iter();
    let renamed = renamed.map(|it| format!("- renamed: {} → {}\n", code(&it.was), code(&it.image)));
    let plain = [("added", &difference.added), ("removed", &difference.removed)];
    let plain = plain.into_iter().flat_map(|(what, images)| {
        images
            .iter()
            .map(move |it| format!("- {what}: {} ({})\n", code(&it.image), code(&it.dockerfile)))
    });
    plain.chain(renamed).collect()
}

/// The maximum number of names shown of a list.
const MOST_NAMES: usize = 8;

/// Formats a list: `a`, `b` and 12 more.
fn names_within(names: Vec<String>) -> String {
    let remaining = names.len().saturating_sub(MOST_NAMES);
    let mut shown: Vec<String> = names.into_iter().take(MOST_NAMES).collect();
    if remaining > 0 {
        shown.push(format!("{remaining} more"));
    }
    and(&shown)
}

#[cfg(test)]
mod tests;
