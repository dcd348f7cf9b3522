//! The graph as a tree for the terminal.
//!
//! An image is drawn below its main parent, and its line names the other parents. So each image has one line,
//! however many paths end at it. Only the images at which a very deep tree is cut appear again where the
//! tree continues.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};

use crate::base::text::count;
use crate::base::{IdMap, ImageId};
use crate::graph::evaluate::DependencyKind;

use super::View;
use super::mark::{Mark, Marks};

/// The maximum depth of a tree. Deeper levels start again at the left margin: otherwise, a chain of thousands
/// of images would be mostly spaces, with a megabyte for every few lines.
const DEEPEST: usize = 50;

/// A line that is not drawn yet.
struct TreeRow {
    image: ImageId,
    level: usize,
    /// The prefix of the image's name.
    branch: String,
    /// The prefix of all lines below the image.
    indent: String,
}

/// Colors text as its mark requires, or returns it unchanged.
pub type Ink<'a> = &'a dyn for<'b> Fn(&Mark, &'b str) -> Cow<'b, str>;

/// Returns text unchanged.
pub fn plain<'a>(_: &Mark, text: &'a str) -> Cow<'a, str> {
    text.into()
}

/// Returns the graph as lines with branches.
pub fn draw(view: &View<'_>, ink: Ink<'_>) -> String {
    let mut below: IdMap<Vec<ImageId>> = IdMap::from_fn(view.graph_len(), |_| Vec::new());
    let mut roots = VecDeque::new();
    for (id, _) in view.images() {
        match trunk(view, id) {
            Some(parent) => below[parent].push(id),
            None => roots.push_back((id, line(view, id, ink))),
        }
    }
    let mut text = String::new();
    while let Some((root, title)) = roots.pop_front() {
        let cut = draw_root(view, &below, (root, &title), ink, &mut text);
        for image in cut.into_iter().rev() {
            roots.push_front((image, format!("{}  (continued)", view.image(image).name)));
        }
    }
    text.extend(view.marks().map(|marks| legend(view, marks, ink)));
    text
}

/// Returns the number of images per mark of the legend.
fn legend(view: &View<'_>, marks: &Marks, ink: Ink<'_>) -> String {
    let number = |shade| {
        let of_it = |(id, _): &(ImageId, _)| view.mark(*id).is_some_and(|mark| mark.shade == shade);
        view.images().filter(of_it).count()
    };
    let counts = marks.legend.iter().map(|mark| (mark, number(mark.shade)));
    let counts = counts.filter(|(_, number)| *number > 0);
    let words = counts
        .map(|(mark, number)| format!("{} ({})", ink(mark, &mark.word), count(number, "image")));
    let words: Vec<String> = words.collect();
    format!("\n{}: {}\n", marks.about, words.join(", "))
}

/// Draws an image and everything below it. Returns the images whose children were left out.
fn draw_root(
    view: &View<'_>,
    below: &IdMap<Vec<ImageId>>,
    (root, title): (ImageId, &str),
    ink: Ink<'_>,
    text: &mut String,
) -> Vec<ImageId> {
    let mut cut = Vec::new();
    // A stack instead of recursion: chains of 10,000 images must work.
    let mut stack =
        vec![TreeRow { image: root, level: 0, branch: String::new(), indent: String::new() }];
    while let Some(TreeRow { image, level, branch, indent }) = stack.pop() {
        text.push_str(&branch);
        if level == 0 {
            text.push_str(title);
        } else {
            text.push_str(&line(view, image, ink));
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
            stack.push(TreeRow {
                image: *child,
                level: level + 1,
                branch: format!("{indent}{corner}"),
                indent: format!("{indent}{bar}"),
            });
        }
    }
    cut
}

/// Returns the image below which another is drawn: the one of its last FROM because that is what it is based
/// on, or otherwise its first parent.
fn trunk(view: &View<'_>, image: ImageId) -> Option<ImageId> {
    let edges = view.parents(image);
    let base = edges.iter().rev().find(|edge| edge.kind == DependencyKind::From);
    base.or(edges.first()).map(|edge| edge.parent)
}

/// Returns the line of an image.
fn line(view: &View<'_>, id: ImageId, ink: Ink<'_>) -> String {
    let mut line = view.image(id).name.clone();
    if let Some(mark) = view.mark(id) {
        line.push_str(&format!("  [{}]", ink(mark, &mark.word)));
    }
    let notes = notes(view, id);
    if !notes.is_empty() {
        line.push_str(&format!("  ({})", notes.join(", ")));
    }
    line
}

/// Returns all parents and externals of an image, except the parent that it is drawn below, without
/// duplicates, and whether some are not known because of an error.
fn notes(view: &View<'_>, id: ImageId) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut first = trunk(view, id);
    for edge in view.parents(id) {
        if first == Some(edge.parent) && edge.kind == DependencyKind::From {
            first = None;
            continue;
        }
        notes.push(format!("{} {}", edge.kind.word(), view.image(edge.parent).name));
    }
    for external in view.externals(id) {
        notes.push(format!("{} {}", external.kind.word(), view.reference(external).familiar()));
    }
    notes.extend(view.error(id).map(|_| "error".to_owned()));
    let mut seen = BTreeSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    notes
}
