//! Selection of images by name, path, or glob, with their dependencies or dependents.
//!
//! Owns the meaning of selectors on the command line. A selector that matches no image is an error,
//! so that a typo does not build less than intended.

use anyhow::bail;

use crate::base::error::{ErrorKind, InfrastructureError};
use crate::base::{ImageId, RelPath, text};
use crate::scan::glob;

use super::{Graph, Image, dag};

/// Returns the images that the selectors match, each once, sorted by name.
///
/// A selector is the name of an image, with or without a trailing slash, the path of its directory
/// or Dockerfile, a glob of names, or a regular expression for names between slashes. `WORD+` adds
/// all dependents of the image and `+WORD` all its dependencies, direct or indirect. Paths are
/// relative to the root or to `current`, which is itself relative to the root.
///
/// # Errors
/// Returns an error with a suggestion if a selector matches no image.
pub fn choose(
    graph: &Graph,
    selectors: &[String],
    current: &RelPath,
) -> anyhow::Result<Vec<ImageId>> {
    let mut selected = Vec::new();
    for selector in selectors {
        let (bare, up, down) = split_marks(graph, selector);
        let images = choose_one(graph, bare, current)?;
        if images.is_empty() {
            bail!(describe_miss(graph, bare));
        }
        if up {
            selected.extend(with_needs(graph, &images));
        }
        if down {
            selected.extend(with_dependents(graph, &images));
        }
        selected.extend(images);
    }
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

/// Returns the images that the selectors match with all their dependencies and dependents, sorted
/// by name. For a selector with a `+`, only the side that it names is added.
///
/// # Errors
/// Returns the same errors as [`choose`].
pub fn neighborhood(
    graph: &Graph,
    selectors: &[String],
    current: &RelPath,
) -> anyhow::Result<Vec<ImageId>> {
    let mut selected = Vec::new();
    for selector in selectors {
        let images = choose(graph, std::slice::from_ref(selector), current)?;
        let (_, up, down) = split_marks(graph, selector);
        if !up && !down {
            selected.extend(with_needs(graph, &images));
            selected.extend(with_dependents(graph, &images));
        }
        selected.extend(images);
    }
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

/// Returns the selected images and all their dependencies, direct or indirect, sorted by name.
pub fn with_needs(graph: &Graph, selected: &[ImageId]) -> Vec<ImageId> {
    let parents = crate::base::IdMap::from_fn(graph.images.len(), |image| graph.parents_of(image));
    let reached = dag::reach(&parents, selected);
    graph.images.ids().filter(|image| reached[*image]).collect()
}

/// Returns the selected images and all their dependents, direct or indirect, sorted by name.
pub fn with_dependents(graph: &Graph, selected: &[ImageId]) -> Vec<ImageId> {
    let reached = dag::reach(&graph.children(), selected);
    graph.images.ids().filter(|image| reached[*image]).collect()
}

/// Splits the `+`s off a selector. Returns the rest, and whether there was one before and one after
/// it. A `+` that is part of an image's name is kept.
fn split_marks<'a>(graph: &Graph, selector: &'a str) -> (&'a str, bool, bool) {
    if graph.find(selector).is_some() {
        return (selector, false, false);
    }
    let (up, rest) = selector.strip_prefix('+').map_or((false, selector), |rest| (true, rest));
    if graph.find(rest).is_some() {
        return (rest, up, false);
    }
    rest.strip_suffix('+').map_or((rest, up, false), |bare| (bare, up, true))
}

fn choose_one(graph: &Graph, selector: &str, current: &RelPath) -> anyhow::Result<Vec<ImageId>> {
    if let Some(image) = graph.find(selector) {
        return Ok(vec![image]);
    }
    if let Some(pattern) = selector.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        let pattern = regex::Regex::new(pattern).map_err(|error| {
            anyhow::anyhow!("`{selector}` is not a valid regular expression: {error}")
        })?;
        return Ok(images_that(graph, |image| pattern.is_match(&image.name)));
    }
    for path in [current.join(selector), RelPath::new(selector)].into_iter().flatten() {
        let is_at = |image: &Image| image.dockerfile == path || image.dockerfile.parent() == path;
        let at_path = images_that(graph, is_at);
        if !at_path.is_empty() {
            return Ok(at_path);
        }
    }
    // A shell completes the name of an image to that of a directory with a trailing slash.
    if let Some(image) = selector.strip_suffix('/').and_then(|name| graph.find(name)) {
        return Ok(vec![image]);
    }
    if glob::is_glob(selector) {
        let pattern = glob::compile(selector)?;
        return Ok(images_that(graph, |image| pattern.is_match(&image.name)));
    }
    Ok(Vec::new())
}

fn images_that(graph: &Graph, is_match: impl Fn(&Image) -> bool) -> Vec<ImageId> {
    graph.images.iter().filter(|(_, image)| is_match(image)).map(|(id, _)| id).collect()
}

fn describe_miss(graph: &Graph, selector: &str) -> InfrastructureError {
    let names = graph.images.values().map(|image| image.name.as_str());
    let last_part = selector.trim_end_matches('/').rsplit('/').next().unwrap_or(selector);
    let error =
        InfrastructureError::new(ErrorKind::NotFound, format!("image `{selector}` not found"));
    match text::closest(last_part, names) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint("run `layers list` to see all images"),
    }
}
