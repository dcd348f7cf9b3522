//! The graph as a tree for the terminal.
//!
//! An image stands under the first image that it needs; where it needs more, the line says so.
//! So each image has one line, however many ways lead to it; only one at which a very deep tree
//! is cut comes again where it goes on.

use std::collections::VecDeque;

use crate::base::{IdMap, ImageId};
use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;

use super::kind_word;

/// How many levels are drawn within each other. What lies deeper is drawn anew at the margin: a
/// chain of thousands would otherwise be mostly blanks, a megabyte for every few lines.
const DEEPEST: usize = 50;

/// A line that is still to be drawn.
struct Row {
    image: ImageId,
    level: usize,
    /// What stands before the image's name.
    branch: String,
    /// What stands before all that is below it.
    indent: String,
}

/// The graph as lines with branches.
pub fn draw(graph: &Graph) -> String {
    let mut below: IdMap<Vec<ImageId>> = IdMap::from_fn(graph.images.len(), |_| Vec::new());
    let mut roots = VecDeque::new();
    for (id, _) in graph.images.iter() {
        match trunk(graph, id) {
            Some(parent) => below[parent].push(id),
            None => roots.push_back((id, line(graph, id))),
        }
    }
    let mut text = String::new();
    while let Some((root, title)) = roots.pop_front() {
        let cut = draw_root(graph, &below, root, &title, &mut text);
        for image in cut.into_iter().rev() {
            roots.push_front((image, format!("{}  (continued)", graph.images[image].name)));
        }
    }
    text
}

/// Draws an image and what is below it, and gives the images whose children were left out.
fn draw_root(
    graph: &Graph,
    below: &IdMap<Vec<ImageId>>,
    root: ImageId,
    title: &str,
    text: &mut String,
) -> Vec<ImageId> {
    let mut cut = Vec::new();
    // A stack, not recursion: chains of 10,000 images are drawn too.
    let mut stack =
        vec![Row { image: root, level: 0, branch: String::new(), indent: String::new() }];
    while let Some(Row { image, level, branch, indent }) = stack.pop() {
        text.push_str(&branch);
        if level == 0 {
            text.push_str(title);
        } else {
            text.push_str(&line(graph, image));
        }
        let children = &below[image];
        if level == DEEPEST && !children.is_empty() {
            text.push_str("  …\n");
            cut.push(image);
            continue;
        }
        text.push('\n');
        for (at, child) in children.iter().enumerate().rev() {
            let is_last = at + 1 == children.len();
            let (corner, bar) =
                if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
            stack.push(Row {
                image: *child,
                level: level + 1,
                branch: format!("{indent}{corner}"),
                indent: format!("{indent}{bar}"),
            });
        }
    }
    cut
}

/// The image under which another is drawn: the one of its last FROM, for that is what it is
/// made of, else the first that it needs.
fn trunk(graph: &Graph, image: ImageId) -> Option<ImageId> {
    let edges = &graph.images[image].parents;
    let base = edges.iter().rev().find(|edge| edge.kind == NeedKind::From);
    base.or(edges.first()).map(|edge| edge.parent)
}

fn line(graph: &Graph, id: ImageId) -> String {
    let image = &graph.images[id];
    let mut notes: Vec<String> = Vec::new();
    let mut first = trunk(graph, id);
    for edge in &image.parents {
        if first == Some(edge.parent) && edge.kind == NeedKind::From {
            first = None;
            continue;
        }
        notes.push(format!("{} {}", kind_word(edge.kind), graph.images[edge.parent].name));
    }
    for external in &image.externals {
        notes.push(format!("{} {}", kind_word(external.kind), external.reference.familiar()));
    }
    let mut seen = Vec::new();
    notes.retain(|note| {
        let is_new = !seen.contains(note);
        seen.push(note.clone());
        is_new
    });
    if notes.is_empty() {
        image.name.clone()
    } else {
        format!("{}  ({})", image.name, notes.join(", "))
    }
}
