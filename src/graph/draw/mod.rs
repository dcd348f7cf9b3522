//! The graph as text: a tree, DOT, Mermaid, SVG, the JSON of `graph.json`, and files that let other
//! programs build it or a pipeline do so.
//!
//! Owns the drawings as pure functions from a view of the graph to a string. Every one of them is
//! the same for the same graph, to the byte.

pub mod bake;
pub mod ci;
pub mod compose;
pub mod dot;
pub mod json;
pub mod layout;
pub mod mark;
pub mod mermaid;
mod recipe;
pub mod svg;
pub mod tree;
pub mod view;
mod yaml;

pub use recipe::Recipe;
pub use view::View;

use super::evaluate::NeedKind;

/// The word for a kind of need in every drawing.
pub fn kind_word(kind: NeedKind) -> &'static str {
    match kind {
        NeedKind::From => "from",
        NeedKind::Copy => "copy",
        NeedKind::Mount => "mount",
        NeedKind::Add => "add",
        NeedKind::Context => "context",
    }
}
