//! Files for others, generated from the graph: a tree, DOT, Mermaid, SVG, the lock file `graph.json`,
//! files for other builders, and CI pipelines.
//!
//! Owns the drawings as pure functions from a view of the graph to a string. Every one of them is
//! the same for the same graph, to the byte.

pub mod bake;
pub mod ci;
pub mod compose;
pub mod dot;
pub mod layout;
pub mod lock;
pub mod mark;
pub mod mermaid;
mod recipe;
pub mod svg;
pub mod tree;
pub mod view;
mod yaml;

pub use recipe::Recipe;
pub use view::View;
