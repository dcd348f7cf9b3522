//! The `layers.toml` that a repository's Dockerfiles suggest.
//!
//! Owns the proposal: `survey` finds the Dockerfiles, `naming` chooses how their names are made, and `wording` writes
//! the file.

use std::path::Path;

use anyhow::Context;

use crate::base::{Diagnostic, RelPath, Source};
use crate::graph::Graph;
use crate::graph::evaluate::DependencyKind;
use crate::scan::config::{self, FILE_NAME};
use crate::scan::git::Head;

use super::Invocation;
use super::load::{once_each, read_graph, read_unnamed};
use super::root::directory_of;

mod naming;
mod survey;
mod wording;

use naming::RepositoryMention;
use survey::DockerfileGroup;
use wording::ProposalText;

/// A proposed `layers.toml`.
pub struct Proposal {
    /// The content of the file.
    pub text: String,
    /// The graph that it describes.
    pub graph: Graph,
    /// The diagnostics with this file.
    pub problems: Vec<Diagnostic>,
}

/// Proposes a file for the repository at `root`. Returns `None` if there is no Dockerfile.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub fn propose(root: &Path, at: &Invocation) -> anyhow::Result<Option<Proposal>> {
    let parts = survey::survey(root)?;
    if parts.iter().all(|part| part.paths.is_empty()) {
        return Ok(None);
    }
    let mentions = mentions(root, &parts, at);
    let choice = naming::choose(&parts, &mentions, &directory_of(root));
    let text = ProposalText::of(&parts, &choice);
    let file = RelPath::new(FILE_NAME).context("a file name is a relative path")?;
    let (file, _) = config::parse(&Source::new(file, text.settings()));
    let (graph, _, problems) = read_graph(root, &file, at, Some(&Head::of(root)))?;
    let problems = once_each(problems.into_iter());
    Ok(Some(Proposal { text: text.compose(&graph), graph, problems }))
}

/// Returns the images that the Dockerfiles name.
fn mentions(root: &Path, parts: &[DockerfileGroup], at: &Invocation) -> Vec<RepositoryMention> {
    let paths = parts.iter().flat_map(|part| part.paths.iter().cloned()).collect();
    let graph = read_unnamed(root, paths, at);
    let images = graph.images.values();
    images
        .flat_map(|image| {
            let dependencies = image.evaluation.dependencies.iter();
            dependencies.filter(|dependency| dependency.kind != DependencyKind::Context).map(
                |dependency| RepositoryMention {
                    by: image.dockerfile.clone(),
                    repository: dependency.reference.familiar_repository(),
                },
            )
        })
        .collect()
}
