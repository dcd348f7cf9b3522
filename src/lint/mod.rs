//! What is suspicious about a repository that could be built all the same.
//!
//! Owns the rules that look at linked images: what references name (`externals`), what stages say (`stages`), what an old frontend does not know (`frontend`),
//! which build arguments nobody declares (`arguments`), and who may keep quiet about what
//! (`silence`).
//! It reads no file; what a context lacks is found by `inputs::missing`.
//!
//! There are two kinds. Where the graph may not be what the author meant, every verb says so
//! ([`doubts`]). What is only unwise is for `layers check` ([`advice`]).

pub mod arguments;
pub mod frontend;
pub mod silence;

mod externals;
mod near;
mod stages;

pub use silence::Silence;

use rayon::prelude::*;

use crate::base::{Diagnostic, Rule};
use crate::graph::Graph;

/// Rules whose problems leave an image out of the graph. What refers to it looks then as if it
/// referred to something else, which must not be held against it.
const INCOMPLETE: [Rule; 6] = [
    Rule::UnreadableFile,
    Rule::NotUtf8,
    Rule::DuplicateImage,
    Rule::DuplicateReference,
    Rule::InvalidName,
    Rule::Config,
];

/// Warnings that the graph may not be what the author meant. `problems` are those known so far.
pub fn doubts(graph: &Graph, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut doubts: Vec<Diagnostic> = graph
        .images
        .values()
        .as_slice()
        .par_iter()
        .flat_map_iter(|image| {
            let mut found = stages::unset_variables(image);
            found.extend(stages::platforms(graph, image));
            found
        })
        .collect();
    doubts.extend(externals::misspelt_stages(graph));
    if is_complete(problems) {
        doubts.extend(externals::misspelt_siblings(graph, problems));
    }
    doubts
}

/// Warnings about what works and is unwise. `problems` are those known so far.
pub fn advice(graph: &Graph, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut advice = stages::unused(graph, problems);
    if is_complete(problems) {
        advice.extend(externals::without_tag(graph, problems));
    }
    advice
}

fn is_complete(problems: &[Diagnostic]) -> bool {
    !problems.iter().any(|problem| problem.is_error() && INCOMPLETE.contains(&problem.rule))
}
