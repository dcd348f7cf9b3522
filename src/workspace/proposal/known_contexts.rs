//! The build contexts of a proposal.
//!
//! Owns which contexts are written: those of the repository's own builds that would not be inferred, and their named
//! contexts that are directories of the repository.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{RelPath, Rule};
use crate::graph::{External, Graph, Image};

use super::own_settings::OwnSettings;
use super::wording::{key, quote};
use super::{Draft, Sources};

/// Returns a draft with the contexts of the repository's own builds, if they fit.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub(super) fn add(draft: Draft, sources: &Sources<'_>) -> anyhow::Result<Draft> {
    let mut contexts: BTreeSet<&RelPath> = BTreeSet::new();
    let mut settings = OwnSettings::default();
    for image in draft.graph.images.values() {
        let Some(context) = context_of(image, sources) else { continue };
        contexts.insert(context);
        if *context != image.context {
            settings.add(&image.name, format!("context = {}", quote(context.as_str())));
        }
    }
    let draft = add_directories(draft, sources)?;
    if draft.text.has_room_for(&settings) {
        return draft.extended(sources, &settings);
    }
    let Some(only) = contexts.first().filter(|_| contexts.len() == 1) else { return Ok(draft) };
    let text = draft.text.with_context(only.as_str());
    let extended = sources.read(text)?;
    let missing =
        |draft: &Draft| draft.problems.iter().filter(|it| it.rule == Rule::MissingFile).count();
    let is_worse = missing(&extended) > missing(&draft);
    Ok(if is_worse { draft } else { draft.replaced_by(extended) })
}

/// Returns a draft with the named contexts that are directories, if they fit. One that is the same for several images is
/// set for all of them.
fn add_directories(draft: Draft, sources: &Sources<'_>) -> anyhow::Result<Draft> {
    let mut by_name: BTreeMap<&String, BTreeMap<&String, Vec<&str>>> = BTreeMap::new();
    for image in draft.graph.images.values() {
        for (name, directory) in directories_of(image, &draft.graph, sources) {
            by_name.entry(name).or_default().entry(directory).or_default().push(&image.name);
        }
    }
    let stages = sources.arguments.stages();
    let (mut general, mut own) = (BTreeMap::new(), OwnSettings::default());
    for (name, directories) in by_name {
        for (directory, images) in &directories {
            if images.len() > 1 && directories.len() == 1 && !stages.contains(name) {
                general.insert(name.clone(), (*directory).clone());
                continue;
            }
            for image in images {
                own.add(image, format!("contexts.{} = {}", key(name), quote(directory)));
            }
        }
    }
    let draft = match general.is_empty() {
        true => draft,
        false => {
            let text = draft.text.with_contexts(general);
            draft.replaced_by(sources.read(text)?)
        }
    };
    match draft.text.has_room_for(&own) {
        true => draft.extended(sources, &own),
        false => Ok(draft),
    }
}

/// Returns the named contexts that an image uses and that all builds of its Dockerfile set to one directory.
fn directories_of<'a>(
    image: &Image,
    graph: &Graph,
    sources: &'a Sources<'_>,
) -> Vec<(&'a String, &'a String)> {
    let builds = || sources.builds.real(&image.dockerfile);
    let Some(first) = builds().next() else { return Vec::new() };
    let is_known = |(name, value): &(&String, &String)| {
        let names = |it: &External| graph.externals[it.id].familiar_repository() == **name;
        let is_directory = || {
            let path = RelPath::new(value.as_str());
            path.is_some_and(|path| path.under(sources.root).is_dir())
        };
        image.externals.iter().any(names)
            && builds().all(|build| build.contexts.get(*name) == Some(value))
            && is_directory()
    };
    first.contexts.iter().filter(is_known).collect()
}

/// Returns the context in which all builds of an image's Dockerfile agree.
fn context_of<'a>(image: &Image, sources: &'a Sources<'_>) -> Option<&'a RelPath> {
    let builds = sources.builds.real(&image.dockerfile);
    let contexts: BTreeSet<Option<&RelPath>> = builds.map(|it| it.context.as_ref()).collect();
    match contexts.into_iter().collect::<Vec<_>>().as_slice() {
        [only] => *only,
        _ => None,
    }
}
