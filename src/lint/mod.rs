//! What is suspicious in a repository that can be built nevertheless.
//!
//! Owns the rules about linked images: what references name (`externals`, `siblings`), what stages contain (`stages`), what an old
//! frontend does not support (`frontend`), which build arguments are not declared (`arguments`), which checks make
//! BuildKit refuse a file (`build_checks`), and which rules are silenced (`silence`). Reads no files; `inputs::missing` finds what a context lacks.
//!
//! There are two kinds. If the graph may not be what the author intended, every verb warns ([`doubts`]). Advice about
//! what works but is unwise is only for `layers check` ([`advice`]).

pub mod arguments;
pub mod build_checks;
pub mod frontend;
pub mod silence;

mod externals;
mod nearest_name;
mod siblings;
mod stages;

pub use silence::Silence;

use rayon::prelude::*;

use crate::base::{Diagnostic, Rule};
use crate::graph::Graph;
use crate::scan::config::Setting;

/// Rules whose diagnostics leave an image out of the graph. References to it then look as if they named something else,
/// which must not be reported.
const INCOMPLETE: [Rule; 6] = [
    Rule::UnreadableFile,
    Rule::NotUtf8,
    Rule::DuplicateImage,
    Rule::DuplicateReference,
    Rule::InvalidName,
    Rule::Config,
];

/// Returns warnings that the graph may not be what the author intended. `problems` are the diagnostics so far,
/// and `intended` are globs of external images with names like those of siblings.
pub fn doubts(graph: &Graph, problems: &[Diagnostic], intended: &[Setting]) -> Vec<Diagnostic> {
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
        doubts.extend(siblings::misspelt(graph, problems, intended));
    }
    doubts
}

/// Returns warnings about what works but is unwise. `problems` are the diagnostics so far.
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
