//! The graph as text: a tree, DOT, Mermaid, and the JSON of `graph.json`.
//!
//! Owns the drawings as pure functions from a graph to a string. Every one of them is the same
//! for the same graph, to the byte.

pub mod dot;
pub mod json;
pub mod layout;
pub mod mermaid;
pub mod tree;

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
