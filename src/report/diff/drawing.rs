//! The drawing of what a change rebuilds, for Mermaid.
//!
//! Owns how much is drawn: the whole graph where it is small; else what is rebuilt with its direct
//! neighbours; else only what changed itself with them; and nothing where even that is too much to be read.

use std::collections::BTreeSet;

use crate::base::text::count;
use crate::base::{IdMap, ImageId};
use crate::export::mark::{Mark, Marks, Shade};
use crate::export::{View, mermaid};
use crate::graph::Graph;
use crate::inputs::since::Cause;

use super::{Because, Row, Words};

/// A graph of so many images is drawn whole.
const SMALL: usize = 30;

/// More images than this nobody reads in a comment.
const MOST_IMAGES: usize = 80;

/// More text than this is not drawn, and Mermaid itself stops at 500 arrows
/// (<https://mermaid.js.org/config/schema-docs/config.html#maxedges>).
const MOST_TEXT: usize = 16_000;
const MOST_ARROWS: usize = 400;

/// The drawing in its block, and a word about what is left out.
pub(super) fn draw(graph: &Graph, rows: &[Row<'_>]) -> Words {
    let rebuilt: Vec<ImageId> = rows.iter().map(|row| row.id).collect();
    let themselves: Vec<ImageId> =
        rows.iter().filter(|row| row.because != Because::Parent).map(|row| row.id).collect();
    let all: Vec<ImageId> = graph.images.ids().collect();
    let choices = [
        (all, ""),
        (with_neighbours(graph, &rebuilt), "those that are rebuilt, and what they need directly"),
        (
            with_neighbours(graph, &themselves),
            "those that changed themselves, and their direct neighbours",
        ),
    ];
    for (at, (images, which)) in choices.iter().enumerate() {
        let most = if at == 0 { SMALL } else { MOST_IMAGES };
        if images.len() > most {
            continue;
        }
        let text = mermaid::draw(&View::whole(graph).of(images).marked(marks(graph, rows)));
        let arrows = text.lines().filter(|line| line.contains("-->") || line.contains(".->"));
        if text.len() > MOST_TEXT || arrows.count() > MOST_ARROWS {
            continue;
        }
        let left = match images.len() == graph.images.len() {
            true => String::new(),
            false => format!(
                "\n{} of {} are drawn: {which}.\n",
                images.len(),
                count(graph.images.len(), "image")
            ),
        };
        return format!("\n```mermaid\n{text}```\n{left}").into();
    }
    "\nThe graph is too large to be drawn here: `layers graph --html` makes a page of it.\n".into()
}

/// Images, what they need directly and what needs them directly.
fn with_neighbours(graph: &Graph, images: &[ImageId]) -> Vec<ImageId> {
    let children = graph.children();
    let mut chosen: BTreeSet<ImageId> = images.iter().copied().collect();
    for image in images {
        chosen.extend(graph.parents_of(*image));
        chosen.extend(&children[*image]);
    }
    chosen.into_iter().collect()
}

fn marks(graph: &Graph, rows: &[Row<'_>]) -> Marks {
    let mark = |word: &'static str, shade| Mark { word: word.into(), shade };
    let untouched = || mark("untouched", Shade::Good);
    let mut marks = IdMap::from_fn(graph.images.len(), |_| Some(untouched()));
    for row in rows {
        marks[row.id] = Some(match (row.because, row.cause) {
            (Because::Parent, _) => mark("rebuilt", Shade::Waiting),
            (Because::Renamed, _) => mark("renamed", Shade::Careful),
            (Because::Changed, Some(Cause::New)) => mark("new", Shade::Careful),
            (Because::Changed, _) => mark("changed", Shade::Careful),
        });
    }
    let legend = vec![
        mark("changed itself", Shade::Careful),
        mark("rebuilt because of what it needs", Shade::Waiting),
        untouched(),
    ];
    Marks { about: "why", legend, marks }
}
