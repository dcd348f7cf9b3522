//! Which images a command is about.
//!
//! Owns the way from the words of a command line to images of the graph, and what these need.

use crate::base::ImageId;
use crate::base::error::as_usage;
use crate::graph::{Graph, select};
use crate::lint::arguments::undeclared;
use crate::report::{diagnostics, say};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, build_settings, revisions};

/// The images that words choose, and all that is to be looked at because of them.
#[derive(Default)]
pub struct Selection {
    /// Those that were named.
    pub named: Vec<ImageId>,
    /// Those and what they need.
    pub all: Vec<ImageId>,
    /// Those that are left out.
    pub excluded: Vec<ImageId>,
}

impl Selection {
    /// Some images, with all that they need among them.
    pub fn all(images: Vec<ImageId>) -> Selection {
        Selection { named: images.clone(), all: images, excluded: Vec::new() }
    }

    /// Adds what the images need, now that more of the graph is known.
    pub fn complete(&mut self, graph: &Graph) {
        self.all = select::with_needs(graph, &self.named);
        self.all.retain(|image| !self.excluded.contains(image));
    }
}

/// The words by which images are chosen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selectors<'a> {
    /// Images; all where there is none.
    pub images: &'a [String],
    /// Images that are left out.
    pub excluded: &'a [String],
    /// A git revision: only images that differ from it, and those that need them.
    pub since: Option<&'a str>,
}

/// Chooses images by words.
///
/// # Errors
/// Where a word chooses nothing, or there is no such revision.
pub fn choose(
    workspace: &Workspace,
    words: Selectors<'_>,
    at: &Invocation,
) -> anyhow::Result<Selection> {
    let graph = &workspace.graph;
    let everything = words.images.is_empty();
    let by_words = |words: &[String]| {
        let chosen = select::choose(graph, words, &workspace.current);
        chosen.map_err(as_usage)
    };
    let mut named = if everything { graph.images.ids().collect() } else { by_words(words.images)? };
    let excluded = by_words(words.excluded)?;
    if let Some(revision) = words.since {
        let affected = revisions::affected(workspace, revision, at)?;
        named.retain(|image| affected.images.binary_search(image).is_ok());
    }
    // What is left out is left out of what the others need, too.
    let mut all = select::with_needs(graph, &named);
    for images in [&mut named, &mut all] {
        images.retain(|image| !excluded.contains(image));
    }
    Ok(Selection { named, all, excluded })
}

/// Says which build arguments of the command line none of the images declares.
pub fn warn_of_arguments(
    workspace: &Workspace,
    chosen: &Selection,
    at: &Invocation,
) -> anyhow::Result<()> {
    let given = build_settings::build_args_of(at);
    let images = chosen.all.iter().map(|image| &workspace.graph.images[*image]);
    let problem = undeclared(given.keys().map(String::as_str), images);
    let problems = workspace.silence.apply(problem.into_iter().collect());
    say::err(&diagnostics::draw(&problems, at.paint))
}
