//! What a change of the repository means for its images: Markdown for a pull request, and JSON.
//!
//! Owns the sentences and their order. The Markdown is shortened so that a comment on GitHub holds it, and
//! says what it leaves out; the JSON holds all. What users wrote stands in it as code and as labels alone.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::base::ImageId;
use crate::base::text::{and, count};
use crate::graph::Graph;
use crate::graph::difference::{Difference, EdgeBetween, Moved};
use crate::inputs::since::Cause;

use super::{Words, affected, clean, words};

mod drawing;
mod markdown;

use markdown::{code, names, short_reference, within};

/// A comment on GitHub may have 65,536 characters; what a workflow writes around it needs some.
const MOST: usize = 60_000;

/// Of that, the most for each list but that of the images, which gets what is left.
const MOST_OF_A_LIST: usize = 8_000;

/// All that is told.
#[derive(Serialize)]
pub struct Told<'a> {
    /// What was compared.
    #[serde(flatten)]
    pub range: Range<'a>,
    /// How many errors the files of the earlier side have.
    pub base_errors: usize,
    /// The images of the later side; as data how many there are.
    #[serde(rename = "images", serialize_with = "write_count")]
    pub graph: &'a Graph,
    /// Those that are rebuilt, each after all that it needs.
    #[serde(rename = "affected")]
    pub rows: Vec<Row<'a>>,
    /// How long that takes, where it is known.
    pub estimate: Option<Estimate>,
    /// What differs between the graphs.
    #[serde(flatten)]
    pub difference: &'a Difference,
}

/// What was compared.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Range<'a> {
    /// As it was written.
    #[serde(skip)]
    pub text: &'a str,
    /// The earlier side.
    pub base: &'a str,
    /// The later side; the work tree where none is named.
    pub head: Option<&'a str>,
    /// Whether the earlier side is where both parted.
    #[serde(rename = "from_merge_base")]
    pub is_from_fork: bool,
}

/// An image that is rebuilt.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// Its number in the graph.
    #[serde(skip)]
    pub id: ImageId,
    /// Its name.
    pub image: &'a str,
    /// Its Dockerfile.
    pub dockerfile: &'a str,
    /// Why.
    pub because: Because,
    /// The name that it had, where it had another.
    pub was: Option<&'a str>,
    /// Why it differs itself.
    #[serde(flatten)]
    pub cause: Option<&'a Cause>,
    /// The rebuilt images that it needs directly.
    pub needs: Vec<&'a str>,
    /// How long it takes, where that is known.
    #[serde(flatten)]
    pub time: Option<Expected>,
}

/// Why an image is rebuilt, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// It differs itself.
    Changed,
    /// It has another name.
    Renamed,
    /// An image that it needs is rebuilt.
    Parent,
}

/// How long a build will take.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Expected {
    /// The time.
    #[serde(rename = "expected_ms", serialize_with = "words::write_millis")]
    pub time: Duration,
    /// Whether the image was never built here, so that its commands alone say so.
    #[serde(rename = "guessed")]
    pub is_guess: bool,
}

/// How long all builds will take.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Estimate {
    /// How many images are built at once.
    pub jobs: usize,
    /// How long that takes.
    #[serde(rename = "time_ms", serialize_with = "words::write_millis")]
    pub time: Duration,
    /// How long they take one after the other.
    #[serde(rename = "work_ms", serialize_with = "words::write_millis")]
    pub work: Duration,
}

fn write_count<S: Serializer>(graph: &Graph, to: S) -> Result<S::Ok, S::Error> {
    graph.images.len().serialize(to)
}

/// All of it as JSON.
///
/// # Errors
/// Never in practice: all of it is text and numbers.
pub fn draw_json(told: &Told<'_>) -> anyhow::Result<String> {
    clean::json(told)
}

/// Markdown as GitHub and GitLab read it.
pub fn draw(told: &Told<'_>) -> String {
    // The command that leaves nothing out.
    let all = code(&format!("layers diff {} --json", told.range.text));
    let difference = told.difference;
    let mut text = format!("## Images: {}\n\n{}\n", heading(told.range), summary(told));
    let mut after = String::new();
    if !told.rows.is_empty() {
        after.push_str(&drawing::draw(told.graph, &told.rows));
    }
    if !difference.externals.is_empty() {
        let rows: Vec<String> = difference.externals.iter().map(describe_moved).collect();
        after.push_str("\n### Externals\n\n| external | images |\n|---|---|\n");
        after.push_str(&within(&rows, MOST_OF_A_LIST, "external", &all));
    }
    let edges = [("new", &difference.new_edges), ("lost", &difference.lost_edges)];
    let edges: Vec<String> = edges
        .into_iter()
        .flat_map(|(what, edges)| edges.iter().map(move |edge| describe_edge(what, edge)))
        .collect();
    if !edges.is_empty() {
        after.push_str("\n### Needs\n\n");
        after.push_str(&within(&edges, MOST_OF_A_LIST, "need", &all));
    }
    let images = describe_images(difference);
    if !images.is_empty() {
        after.push_str("\n### New, lost and renamed\n\n");
        after.push_str(&within(&images, MOST_OF_A_LIST, "image", &all));
    }
    if !told.rows.is_empty() {
        let room = MOST.saturating_sub(text.len() + after.len());
        text.push_str(&table(told, room, &all));
    }
    text + &after
}

fn heading(range: Range<'_>) -> String {
    match range.head {
        Some(_) => code(range.text),
        None => format!("{} and the work tree", code(range.text)),
    }
}

/// How many images, why and how long, in two sentences.
fn summary(told: &Told<'_>) -> String {
    let total = count(told.graph.images.len(), "image");
    let errors = match told.base_errors {
        0 => String::new(),
        errors => format!(
            "\n\nThe files of {} have {}; what they were meant to say is not compared.",
            code(told.range.base),
            count(errors, "error")
        ),
    };
    if told.rows.is_empty() {
        let why =
            if told.difference.is_empty() { ": nothing that they are made of differs" } else { "" };
        return format!("**None of {total} is rebuilt**{why}.{errors}");
    }
    let for_parents = told.rows.iter().filter(|row| row.because == Because::Parent).count();
    let themselves = told.rows.len() - for_parents;
    let why = match for_parents {
        0 if themselves == 1 => Words::from("for itself"),
        0 => "each for itself".into(),
        _ => format!("{themselves} for themselves, {for_parents} because of what they need").into(),
    };
    let time: Words = match &told.estimate {
        None => "How long that takes is not known: nothing of it was built here yet.".into(),
        Some(Estimate { jobs, time, work }) => format!(
            "That takes about {} with `-j {jobs}`, and {} one after the other.",
            words::rough(*time),
            words::rough(*work)
        )
        .into(),
    };
    let are = if told.rows.len() == 1 { "is" } else { "are" };
    format!("**{} of {total} {are} rebuilt**: {why}. {time}{errors}", told.rows.len())
}

/// The images that are rebuilt: those that changed themselves first, since they may be all there is
/// room for.
fn table(told: &Told<'_>, room: usize, all: &str) -> String {
    let (of_parents, themselves): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
        told.rows.iter().partition(|row| row.because == Because::Parent);
    let has_times = told.estimate.is_some();
    let row = |row: &Row<'_>| {
        let time = match row.time {
            None => String::new(),
            Some(Expected { time, is_guess: false }) => format!(" {} |", words::rough(time)),
            Some(Expected { time, is_guess: true }) => format!(" ~{} |", words::rough(time)),
        };
        format!("| {} | {} |{time}\n", code(row.image), why(row))
    };
    let rows: Vec<String> = themselves.into_iter().chain(of_parents).map(row).collect();
    let is_guessed = told.rows.iter().any(|row| row.time.is_some_and(|time| time.is_guess));
    let head = if has_times { ["| time ", "|---"] } else { [""; 2] };
    let mut text = format!("\n| image | why {}|\n|---|---{}|\n", head[0], head[1]);
    text.push_str(&within(&rows, room.saturating_sub(500), "image", all));
    if is_guessed {
        text.push_str("\n`~` is a guess: that image was never built here.\n");
    }
    text
}

fn why(row: &Row<'_>) -> String {
    match (row.because, row.cause, row.was) {
        (Because::Renamed, _, Some(was)) => format!("is called otherwise, was {}", code(was)),
        (Because::Parent, ..) | (_, None, _) => format!("needs {}", names(&row.needs)),
        (_, Some(cause), _) => affected::describe_by(cause, &code).into_owned(),
    }
}

fn describe_moved(moved: &Moved) -> String {
    let short = |text: &String| code(&short_reference(text));
    let what = match (&moved.from, &moved.to) {
        (Some(from), Some(to)) => format!("{} → {}", short(from), short(to)),
        (Some(from), None) => format!("{} is not needed any more", short(from)),
        (None, Some(to)) => format!("{} is new", short(to)),
        (None, None) => String::new(),
    };
    let by = if moved.by_pin { ", by `graph.json`" } else { "" };
    format!("| {what}{by} | {} |\n", names(&moved.images))
}

fn describe_edge(what: &str, edge: &EdgeBetween) -> String {
    let EdgeBetween { image, needs, kind, at } = edge;
    format!("- {what}: {} needs {} ({kind}, {})\n", code(image), code(needs), code(at))
}

fn describe_images(difference: &Difference) -> Vec<String> {
    let renamed = difference.renamed.iter();
    let renamed = renamed.map(|it| format!("- renamed: {} → {}\n", code(&it.was), code(&it.image)));
    let plain = [("new", &difference.new), ("lost", &difference.lost)];
    let plain = plain.into_iter().flat_map(|(what, images)| {
        images
            .iter()
            .map(move |it| format!("- {what}: {} ({})\n", code(&it.image), code(&it.dockerfile)))
    });
    plain.chain(renamed).collect()
}

/// How many names of a list are written out.
const MOST_NAMES: usize = 8;

/// `a`, `b` and 12 more
fn names_within(written: Vec<String>) -> String {
    let left = written.len().saturating_sub(MOST_NAMES);
    let mut shown: Vec<String> = written.into_iter().take(MOST_NAMES).collect();
    if left > 0 {
        shown.push(format!("{left} more"));
    }
    and(&shown)
}

#[cfg(test)]
mod tests;
