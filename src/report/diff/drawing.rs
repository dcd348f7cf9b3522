//! The Mermaid drawing of what a change rebuilds.
//!
//! Owns the choice of what is drawn. A small graph is drawn whole. From a larger one, the rebuilt images and
//! their direct neighbors are drawn, or only the images that changed themselves and their neighbors. Nothing
//! is drawn if even that would be too large to read.

use std::collections::BTreeSet;

use crate::base::text::count;
use crate::base::{IdMap, ImageId};
use crate::export::mark::{Mark, Marks, Shade};
use crate::export::{View, mermaid};
use crate::graph::Graph;
use crate::inputs::since::Cause;

use super::{Phrase, RebuildKind, RebuiltImage};

/// A graph with up to this many images is drawn whole.
const SMALL: usize = 30;

/// The maximum number of images that is readable in a comment.
const MOST_IMAGES: usize = 80;

/// The maximum size of the text and the maximum number of arrows. Mermaid's own limit is 500 arrows
/// (<https://mermaid.js.org/config/schema-docs/config.html#maxedges>).
const MOST_TEXT: usize = 16_000;
const MOST_ARROWS: usize = 400;

/// Returns the drawing in a code block, with a note on what is left out.
pub(super) fn draw(graph: &Graph, rows: &[RebuiltImage<'_>]) -> Phrase {
    let rebuilt: Vec<ImageId> = rows.iter().map(|row| row.id).collect();
    let themselves: Vec<ImageId> =
        rows.iter().filter(|row| row.because != RebuildKind::Parent).map(|row| row.id).collect();
    let all: Vec<ImageId> = graph.images.ids().collect();
    let choices = [
        (all, ""),
        (with_neighbors(graph, &rebuilt), "the rebuilt images and their direct dependencies"),
        (with_neighbors(graph, &themselves), "the changed images and their direct neighbors"),
    ];
    for (at, (images, which)) in choices.iter().enumerate() {
        let most = if at == 0 { SMALL } else { MOST_IMAGES };
        if images.len() > most {
            continue;
        }
        let text = mermaid::draw(&View::new(graph).of(images).marked(marks(graph, rows)));
        let arrows = text.lines().filter(|line| line.contains("-->") || line.contains(".->"));
        if text.len() > MOST_TEXT || arrows.count() > MOST_ARROWS {
            continue;
        }
        let note = match images.len() == graph.images.len() {
            true => String::new(),
            false => format!(
                "\nThe graph shows {} of {}: {which}.\n",
                images.len(),
                count(graph.images.len(), "image")
            ),
        };
        return format!("\n```mermaid\n{text}```\n{note}").into();
    }
    "\nThe graph is too large to show here. `layers graph --html` writes a page with it.\n".into()
}

/// Returns images with their parents and children.
fn with_neighbors(graph: &Graph, images: &[ImageId]) -> Vec<ImageId> {
    let children = graph.children();
    let mut selected: BTreeSet<ImageId> = images.iter().copied().collect();
    for image in images {
        selected.extend(graph.parents_of(*image));
        selected.extend(&children[*image]);
    }
    selected.into_iter().collect()
}

fn marks(graph: &Graph, rows: &[RebuiltImage<'_>]) -> Marks {
    let mark = |word: &'static str, shade| Mark { word: word.into(), shade };
    let untouched = || mark("unchanged", Shade::Good);
    let mut marks = IdMap::from_fn(graph.images.len(), |_| Some(untouched()));
    for row in rows {
        marks[row.id] = Some(match (row.because, row.cause) {
            (RebuildKind::Parent, _) => mark("rebuilt", Shade::Waiting),
            (RebuildKind::Renamed, _) => mark("renamed", Shade::Careful),
            (RebuildKind::Changed, Some(Cause::New)) => mark("new", Shade::Careful),
            (RebuildKind::Changed, _) => mark("changed", Shade::Careful),
        });
    }
    let legend = vec![
        mark("changed", Shade::Careful),
        mark("rebuilt because of a dependency", Shade::Waiting),
        untouched(),
    ];
    Marks { about: "reason", legend, marks }
}
