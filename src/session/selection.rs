//! Which images a command applies to.
//!
//! Owns how the selectors of a command line become images of the graph, together with their dependencies.

use std::collections::HashSet;

use crate::base::ImageId;
use crate::base::error::{ErrorKind, InfrastructureError, as_usage};
use crate::base::text::{and, count};
use crate::exit::Exit;
use crate::graph::unresolved::Unbuildable;
use crate::graph::{Graph, select};
use crate::lint::arguments::undeclared;
use crate::report::{diagnostics, printer};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, build_settings, revisions};

/// The images that selectors choose, and their dependencies.
#[derive(Default)]
pub struct Selection {
    /// The selected images.
    pub named: Vec<ImageId>,
    /// The selected images and their dependencies.
    pub all: Vec<ImageId>,
    /// The excluded images.
    pub excluded: Vec<ImageId>,
    /// The images that cannot be built, and are therefore left out of all images.
    pub unbuildable: Unbuildable,
}

/// Returns the exit code of a command on all images but those that cannot be built.
///
/// # Errors
/// Returns an error that names them, if the command did not fail otherwise.
pub fn finish(exit: Exit, unbuildable: &Unbuildable, graph: &Graph) -> anyhow::Result<Exit> {
    if exit != Exit::Done || unbuildable.is_empty() {
        return Ok(exit);
    }
    Err(InfrastructureError::new(ErrorKind::Files, describe_unbuildable(unbuildable, graph))
        .hint(EXCLUDE)
        .into())
}

const EXCLUDE: &str = "correct the errors above, or leave these images out with `--exclude`";

/// Returns a sentence with the images that cannot be built, and the reasons.
pub fn describe_unbuildable(unbuildable: &Unbuildable, graph: &Graph) -> String {
    let reasons =
        unbuildable.iter().map(|(id, why)| format!("`{}` ({why})", graph.images[*id].name));
    let reasons: Vec<String> = reasons.collect();
    format!("{} can't be built: {}", count(reasons.len(), "image"), and(&reasons))
}

impl Selection {
    /// Returns a selection of images that include all their dependencies.
    pub fn all(images: Vec<ImageId>) -> Selection {
        Selection { named: images.clone(), all: images, ..Selection::default() }
    }

    /// Adds the dependencies of the selected images, after the graph has been extended.
    pub fn complete(&mut self, graph: &Graph) {
        self.all = select::with_needs(graph, &self.named);
        self.all.retain(|image| !self.excluded.contains(image));
    }
}

/// What chooses images on the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selectors<'a> {
    /// Selectors; all images if there are none.
    pub images: &'a [String],
    /// Selectors of images to exclude.
    pub excluded: &'a [String],
    /// A git revision: selects only images that changed since, and their dependents.
    pub since: Option<&'a str>,
}

/// Selects images.
///
/// # Errors
/// Returns an error if a selector matches nothing, or if the revision does not exist.
pub fn choose(
    workspace: &Workspace,
    words: Selectors<'_>,
    at: &Invocation,
) -> anyhow::Result<Selection> {
    let graph = &workspace.graph;
    let everything = words.images.is_empty();
    let by_words = |words: &[String]| {
        let selected = select::choose(graph, words, &workspace.current);
        selected.map_err(as_usage)
    };
    let mut named = if everything { graph.images.ids().collect() } else { by_words(words.images)? };
    let excluded = by_words(words.excluded)?;
    if let Some(revision) = words.since {
        let affected = revisions::affected(workspace, revision, at)?;
        named.retain(|image| affected.images.binary_search(image).is_ok());
    }
    // Excluded images are also excluded from the dependencies of the others.
    let mut all = select::with_needs(graph, &named);
    for images in [&mut named, &mut all] {
        images.retain(|image| !excluded.contains(image));
    }
    Ok(Selection { named, all, excluded, unbuildable: Unbuildable::new() })
}

/// Leaves the images that cannot be built out of a selection that does not name images.
pub fn leave_out_unbuildable(graph: &Graph, selected: &mut Selection) {
    let mut unbuildable = graph.unbuildable(&selected.excluded);
    let named: HashSet<ImageId> = selected.named.iter().copied().collect();
    unbuildable.retain(|id, _| named.contains(id));
    for images in [&mut selected.named, &mut selected.all] {
        images.retain(|image| !unbuildable.contains_key(image));
    }
    selected.unbuildable = unbuildable;
}

/// Reads the workspace and selects images. An error in a file stops only the images that it concerns; with a revision,
/// every error does, because what has changed is known only of files that can be read. Images whose base is not known,
/// and their dependents, are left out, unless they are named.
///
/// # Errors
/// As [`Workspace::open_in_part`] and [`choose`]; also returns an error if a file of a selected image or of one of its
/// dependencies has an error.
pub fn open(words: Selectors<'_>, at: &Invocation) -> anyhow::Result<(Workspace, Selection)> {
    let mut workspace = Workspace::open_in_part(at)?;
    workspace.report_uncovered_quickly();
    if words.since.is_some() {
        workspace.refuse_errors(at)?;
    }
    let mut selected = match choose(&workspace, words, at) {
        // The image may be the one of a file with an error.
        Err(_) if workspace.has_error() => {
            workspace.refuse_errors(at)?;
            choose(&workspace, words, at)?
        }
        selected => selected?,
    };
    if words.images.is_empty() || words.since.is_some() {
        leave_out_unbuildable(&workspace.graph, &mut selected);
    }
    if words.since.is_none() {
        workspace.refuse_errors_of(&selected.named, &selected.unbuildable, at)?;
    }
    Ok((workspace, selected))
}

/// Warns about build arguments of the command line that none of the images declares.
pub fn warn_of_arguments(
    workspace: &Workspace,
    selected: &Selection,
    at: &Invocation,
) -> anyhow::Result<()> {
    let arguments = build_settings::build_args_of(at);
    let images = selected.all.iter().map(|image| &workspace.graph.images[*image]);
    let problem = undeclared(arguments.keys().map(String::as_str), images);
    let problems = workspace.silence.apply(problem.into_iter().collect());
    printer::err(&diagnostics::draw(&problems, at.paint))
}
