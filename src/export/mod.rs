//! Files for other programs, generated from the graph: a tree, DOT, Mermaid, SVG, the lock file `graph.json`,
//! files for other builders, and CI pipelines.
//!
//! Owns the drawings as pure functions from a view of the graph to a string. The same graph always gives the
//! same bytes.

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
