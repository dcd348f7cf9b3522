//! The marks of `layers graph --color-by`.
//!
//! Owns what the words and shades of each kind of mark mean. Verdicts need a plan, sizes need only the engine's list of
//! images, and depths need no engine.

use std::borrow::Cow;

use crate::base::{IdMap, ImageId};
use crate::cli::{ColorBy, EngineName};
use crate::export::mark::{Mark, Marks, STEPS, Shade};
use crate::graph::{Graph, select};
use crate::plan::{Plan, ReferenceTarget, StoreSnapshot, Verdict, read_snapshot};
use crate::report::paint::Paint;
use crate::report::phrases;
use crate::session::Session;
use crate::session::image_provider::{ImageRequest, connect};
use crate::session::selection::{Selection, leave_out_unbuildable};
use crate::workspace::Invocation;
use crate::workspace::load::Workspace;

/// The upper bound of each size step in bytes, except for the last step.
const SIZES: [(u64, &str); 4] = [
    (10_000_000, "under 10 MB"),
    (100_000_000, "under 100 MB"),
    (500_000_000, "under 500 MB"),
    (1_000_000_000, "under 1 GB"),
];

/// Returns the marks of some images.
///
/// # Errors
/// Returns an error if the engine is needed and cannot be reached.
pub fn make(
    workspace: &mut Workspace,
    images: &[ImageId],
    by: ColorBy,
    engine: EngineName,
    at: &Invocation,
) -> anyhow::Result<Marks> {
    if by == ColorBy::Depth {
        return Ok(by_depth(&workspace.graph, images));
    }
    let engine = connect(engine, at)?;
    if by == ColorBy::Size {
        // Fails if the engine does not answer, instead of waiting for it.
        engine.info()?;
        return Ok(by_size(&workspace.graph, &read_snapshot(engine.images())?));
    }
    let all = select::with_needs(&workspace.graph, images);
    let mut selected = Selection { named: images.to_vec(), all, ..Selection::default() };
    leave_out_unbuildable(&workspace.graph, &mut selected);
    selected.complete(&workspace.graph);
    let request = ImageRequest { selected, ..ImageRequest::default() };
    let marks = by_verdict(&Session::open(workspace, request, engine.as_ref(), at)?.plan);
    // The engine added to the graph what only the engine knows. The graph that is drawn stays as written.
    workspace.forget_triggers();
    Ok(marks)
}

/// Paints a text in the color of a mark, on a terminal.
pub fn paint<'a>(paint: Paint, mark: &Mark, text: &'a str) -> Cow<'a, str> {
    match mark.shade {
        Shade::Good => paint.good(text),
        Shade::Careful => paint.careful(text),
        Shade::Waiting | Shade::Unknown => paint.faint(text),
        Shade::Step(step) if step + 1 == STEPS => paint.strong(text),
        Shade::Step(_) => text.into(),
    }
}

fn mark(word: impl Into<Cow<'static, str>>, shade: Shade) -> Mark {
    Mark { word: word.into(), shade }
}

fn by_verdict(plan: &Plan) -> Marks {
    let fresh = || mark("fresh", Shade::Good);
    let build = || mark("build", Shade::Careful);
    let waits = || mark("waits", Shade::Waiting);
    let mut marks = IdMap::from_fn(plan.units().images(), |_| None);
    for unit in plan.order() {
        marks[plan.units().image(*unit)] = Some(match plan.verdict(*unit) {
            Some(Verdict::Fresh { .. }) => fresh(),
            Some(Verdict::Waits { .. }) => waits(),
            Some(Verdict::Build { .. }) | None => build(),
        });
    }
    Marks { about: "verdict", legend: vec![fresh(), build(), waits()], marks }
}

/// Marks each image with the length of the longest path below it, in as many steps as there are.
fn by_depth(graph: &Graph, images: &[ImageId]) -> Marks {
    let mut depths = IdMap::from_fn(graph.images.len(), |_| 0_usize);
    for image in graph.order() {
        let below = graph.images[*image].parents.iter().map(|edge| depths[edge.parent] + 1).max();
        depths[*image] = below.unwrap_or(0);
    }
    let most = images.iter().map(|image| depths[*image]).max().unwrap_or(0);
    let steps = usize::from(STEPS).min(most + 1);
    let step = |depth: usize| depth * steps / (most + 1);
    let shade = |step: usize| Shade::Step(u8::try_from(step).unwrap_or(STEPS - 1));
    let legend = (0..steps).filter_map(|index| {
        let first = (0..=most).find(|depth| step(*depth) == index)?;
        let last = (0..=most).rfind(|depth| step(*depth) == index)?;
        let word = if first == last { format!("{first}") } else { format!("{first} to {last}") };
        Some(mark(word, shade(index)))
    });
    let legend = legend.collect();
    let mut marks = IdMap::from_fn(graph.images.len(), |_| None);
    for image in images {
        let depth = depths[*image];
        marks[*image] = Some(mark(format!("depth {depth}"), shade(step(depth))));
    }
    Marks { about: "depth", legend, marks }
}

/// Marks each image with its size in the engine's store, whether it is fresh or not.
fn by_size(graph: &Graph, snapshot: &StoreSnapshot) -> Marks {
    let largest = || mark("1 GB and more", Shade::Step(STEPS - 1));
    let steps = SIZES.iter().zip(0_u8..);
    let legend = steps.map(|((_, word), step)| mark(*word, Shade::Step(step)));
    let legend = legend.chain([largest(), mark("not found", Shade::Unknown)]).collect();
    let of = |id: ImageId| match snapshot.target_of(&graph.images[id].references) {
        ReferenceTarget::One(image) => {
            let step = SIZES.iter().zip(0_u8..).find(|((most, _), _)| image.size < *most);
            let shade = step.map_or(largest().shade, |(_, step)| Shade::Step(step));
            mark(phrases::size(image.size), shade)
        }
        ReferenceTarget::Missing(_) | ReferenceTarget::Several(_) => {
            mark("not found", Shade::Unknown)
        }
    };
    let marks = IdMap::from_fn(graph.images.len(), |id| Some(of(id)));
    Marks { about: "size", legend, marks }
}
