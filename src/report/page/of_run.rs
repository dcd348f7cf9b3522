//! The data of a run's page, from its events.
//!
//! Owns what the page shows about each image, the comparison with the previous run, and the limits on the
//! length of texts.

use crate::base::clock::UnixTime;
use crate::event::Failure;
use crate::export::layout::{Layout, lay_out};
use crate::graph::evaluate::DependencyKind;
use crate::plan::Reason;

use super::super::paint::Paint;
use super::super::timeline::{ImageTimeline, OperationSpan, Outcome, StepSpan, Timeline};
use super::super::{Phrase, clean, phrases, reasons};
use super::data::{
    ExcerptData, FailureData, ImageData, LineData, OperationData, PageData, ParentData, PriorImage,
    PriorRun, RunData, StepData, rounded,
};

/// The maximum width of an instruction, enough to recognize it.
const LONGEST_STEP: usize = 160;

/// The maximum width of an output line. The log contains the complete line.
const LONGEST_LINE: usize = 400;

/// The maximum number of steps shown per image.
const MOST_STEPS: usize = 400;

/// The maximum number of differences listed per image.
const MOST_CHANGES: usize = 50;

/// The facts about a run that its log does not contain.
#[derive(Debug, Clone, Copy)]
pub struct RunMetadata<'a> {
    /// The ID of the run. Empty if it has no log.
    pub id: &'a str,
    /// When it started.
    pub began: UnixTime,
    /// Whether a process is writing its log.
    pub is_written: bool,
}

/// A run that another run is compared with.
#[derive(Debug, Clone, Copy)]
pub struct PreviousRun<'a> {
    /// Its ID.
    pub id: &'a str,
    /// When it started.
    pub began: UnixTime,
    /// Its content.
    pub run: &'a Timeline,
}

/// Returns the data of a run's page.
pub(super) fn describe<'a>(
    run: &Timeline,
    metadata: &RunMetadata<'a>,
    prior: Option<&PreviousRun<'a>>,
) -> PageData<'a> {
    let parents = |track: &ImageTimeline| track.parents.iter().map(|(other, _)| *other).collect();
    let layout = lay_out(&run.images.iter().map(parents).collect::<Vec<_>>());
    let images = (0..run.images.len()).map(|image| ImageData {
        rank: layout.spots[image].rank,
        row: rounded(layout.spots[image].row),
        prior: prior.and_then(|prior| before(prior.run, &run.images[image].name)),
        ..describe_image(run, image)
    });
    let title = if metadata.id.is_empty() { "run" } else { metadata.id };
    PageData {
        title: title.into(),
        images: images.collect(),
        extent: (layout.ranks, rounded(layout.rows)),
        lines: lines(&layout, |child, parent| kinds(&run.images[child], parent)),
        run: Some(RunData {
            engine: clean::line(&run.engine),
            command: run.command.as_deref().map(clean::line),
            began: metadata.began.to_string(),
            jobs: run.jobs,
            took: phrases::millis(run.took),
            state: state(run, metadata.is_written),
            counts: phrases::counts(&run.tally, Paint::plain()),
            chain: run.chain(),
            prior: prior.map(|prior| PriorRun {
                id: prior.id,
                began: prior.began.to_string(),
                took: phrases::millis(prior.run.took),
            }),
        }),
    }
}

/// Returns the lines of a drawing. `kinds` returns the kinds of the edges between two images.
pub(super) fn lines(
    layout: &Layout,
    kinds: impl Fn(usize, usize) -> Vec<DependencyKind>,
) -> Vec<LineData> {
    let line = |line: &crate::export::layout::EdgeLine| {
        // If there are several edges, draw the strongest kind.
        let kind = kinds(line.child, line.parent).into_iter().min().unwrap_or(DependencyKind::From);
        let inner = line.through.get(1..line.through.len().saturating_sub(1)).unwrap_or_default();
        let bends = inner.iter().map(|spot| (spot.rank, rounded(spot.row))).collect();
        LineData { parent: line.parent, child: line.child, kind, bends }
    };
    layout.lines.iter().map(line).collect()
}

fn kinds(track: &ImageTimeline, parent: usize) -> Vec<DependencyKind> {
    let parents = track.parents.iter().filter(|(other, _)| *other == parent);
    parents.map(|(_, kind)| *kind).collect()
}

fn state(run: &Timeline, is_written: bool) -> Phrase {
    match (run.tally.is_over, run.tally.signal) {
        // A run that was interrupted waits for its builds to end.
        (false, _) if is_written => "still running".into(),
        (_, Some(signal)) => format!("stopped by {}", phrases::signal_name(signal)).into(),
        (true, None) => "finished".into(),
        (false, None) => "died".into(),
    }
}

/// Returns the result of an image in an earlier run, with its duration if it was built.
fn before(prior: &Timeline, image: &str) -> Option<PriorImage> {
    let track = prior.find(image)?;
    let was_built = matches!(track.outcome, Outcome::Built | Outcome::Cached);
    let took = track.took().filter(|_| was_built).map(phrases::millis);
    Some(PriorImage { outcome: track.outcome, took })
}

fn describe_image(run: &Timeline, image: usize) -> ImageData {
    let track = &run.images[image];
    let (why, changes) = why(track);
    let begun = track.started.is_some();
    let is_shown = begun || track.outcome == Outcome::Fresh;
    ImageData {
        name: clean::line(&track.name),
        outcome: Some(track.outcome),
        start: track.started.map(|moment| phrases::millis(moment.at)),
        end: track.ended.filter(|_| is_shown).map(|moment| phrases::millis(moment.at)),
        ready: if begun { phrases::millis(run.ready(image)) } else { 0 },
        slot: track.slot,
        expected: track.expected.map(phrases::millis),
        why,
        changes,
        counts: track.counts,
        steps: track.steps.iter().take(MOST_STEPS).map(|work| describe_step(run, work)).collect(),
        operations: track.operations.iter().map(|work| describe_operation(run, work)).collect(),
        size: track.size,
        added: added(run, track),
        references: track.references.iter().map(|text| clean::line(text)).collect(),
        id: track.image_id.as_deref().map(clean::line),
        parents: track
            .parents
            .iter()
            .map(|(image, kind)| ParentData { image: *image, kind: *kind, location: None })
            .collect(),
        notes: notes(track),
        failure: track.failure.as_ref().map(describe_failure),
        tail: match track.failure {
            // The failure already contains the lines of the failed step.
            Some(_) => Vec::new(),
            None => lines_of(track.tail.iter().map(String::as_str)),
        },
        ..ImageData::default()
    }
}

fn describe_step(run: &Timeline, work: &StepSpan) -> StepData {
    let from = phrases::millis(work.from);
    let to = phrases::millis(work.to.unwrap_or(run.took)).max(from);
    let text = clean::fit(&phrases::describe_step(&work.step), LONGEST_STEP).into_owned();
    let StepSpan { cached, broke, .. } = *work;
    StepData { from, took: to - from, cached, broke, open: work.to.is_none(), text }
}

fn describe_operation(run: &Timeline, work: &OperationSpan) -> OperationData {
    let from = phrases::millis(work.from);
    let to = phrases::millis(work.to.unwrap_or(run.took)).max(from);
    OperationData {
        kind: work.operation,
        from,
        took: to - from,
        sent: work.sent,
        broke: work.broke,
        open: work.to.is_none(),
    }
}

/// Returns why an image was built or not started, and the list of differences if there are several.
fn why(track: &ImageTimeline) -> (Phrase, Vec<Phrase>) {
    if let Some(because) = &track.because {
        return (clean::line(&phrases::why_skipped(because)).into(), Vec::new());
    }
    match &track.reason {
        Some(reason @ Reason::Changed { changes }) if changes.len() > 1 => {
            let all = changes.iter().take(MOST_CHANGES).map(reasons::describe_change);
            (reasons::describe(reason), all.collect())
        }
        Some(reason) => (reasons::describe(reason), Vec::new()),
        None if track.outcome == Outcome::Fresh => ("nothing changed".into(), Vec::new()),
        None => (Phrase::default(), Vec::new()),
    }
}

/// Returns the size that an image adds to its base, if it has exactly one base in the run.
fn added(run: &Timeline, track: &ImageTimeline) -> Option<u64> {
    let mut bases = track.parents.iter().filter(|(_, kind)| *kind == DependencyKind::From);
    let (base, _) = bases.next()?;
    let is_single = bases.all(|(other, _)| other == base);
    // An image that is smaller than its base is based on another image.
    run.images[*base].size.filter(|_| is_single).and_then(|base| track.size?.checked_sub(base))
}

fn notes(track: &ImageTimeline) -> Vec<Phrase> {
    let mut notes = Vec::new();
    notes.extend(track.retries.iter().chain(&track.passages).cloned().map(Phrase::from));
    for warning in &track.warnings {
        let lines = lines_of(warning.lines()).into_iter();
        notes.extend(lines.map(|line| Phrase::from(format!("warning: {line}"))));
    }
    notes
}

fn describe_failure(failure: &Failure) -> FailureData {
    let excerpt = failure.excerpt.as_ref();
    FailureData {
        message: lines_of(failure.text().lines()).join("\n"),
        location: excerpt.map(|excerpt| clean::line(&excerpt.location.to_string())),
        excerpt: excerpt
            .map(|it| ExcerptData { line: it.location.line, lines: lines_of(it.text.lines()) }),
        step: failure.step.as_deref().map(phrases::describe_step),
        tail: lines_of(failure.log_tail.iter().map(String::as_str)),
    }
}

fn lines_of<'a>(untrusted: impl Iterator<Item = &'a str>) -> Vec<String> {
    untrusted.map(|line| clean::fit(&clean::line(line), LONGEST_LINE).into_owned()).collect()
}
