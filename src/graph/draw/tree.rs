//! The graph as a tree for the terminal.
//!
//! An image stands under the first image that it needs; where it needs more, the line says so.
//! So each image has one line, however many ways lead to it.

use crate::base::{IdMap, ImageId};
use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;

use super::kind_word;

/// The graph as lines with branches.
pub fn draw(graph: &Graph) -> String {
    let mut below: IdMap<Vec<ImageId>> = IdMap::from_fn(graph.images.len(), |_| Vec::new());
    let mut roots = Vec::new();
    for (id, _) in graph.images.iter() {
        match trunk(graph, id) {
            Some(parent) => below[parent].push(id),
            None => roots.push(id),
        }
    }
    let mut text = String::new();
    // A stack, not recursion: chains of 10,000 images are drawn too.
    let mut stack: Vec<(ImageId, String, String)> = Vec::new();
    for root in roots {
        stack.push((root, String::new(), String::new()));
        while let Some((image, branch, indent)) = stack.pop() {
            text.push_str(&branch);
            text.push_str(&line(graph, image));
            text.push('\n');
            let children = &below[image];
            for (at, child) in children.iter().enumerate().rev() {
                let is_last = at + 1 == children.len();
                let (corner, bar) =
                    if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
                stack.push((*child, format!("{indent}{corner}"), format!("{indent}{bar}")));
            }
        }
    }
    text
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
