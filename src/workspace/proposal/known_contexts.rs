//! The build contexts of a proposal.
//!
//! Owns which contexts are written: those of the repository's own builds that would not be inferred.

use std::collections::BTreeSet;

use crate::base::{RelPath, Rule};
use crate::graph::Image;

use super::own_settings::OwnSettings;
use super::wording::quote;
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
    if draft.text.has_room_for(&settings) {
        return draft.extended(sources, &settings);
    }
    let Some(only) = contexts.first().filter(|_| contexts.len() == 1) else { return Ok(draft) };
    let text = draft.text.with_context(only.as_str());
    let extended = Draft::read(sources.root, sources.at, text)?;
    let missing =
        |draft: &Draft| draft.problems.iter().filter(|it| it.rule == Rule::MissingFile).count();
    let is_worse = extended.errors() > draft.errors() || missing(&extended) > missing(&draft);
    Ok(if is_worse { draft } else { extended })
}

/// Returns the context in which all builds of an image's Dockerfile agree.
fn context_of<'a>(image: &Image, sources: &'a Sources<'_>) -> Option<&'a RelPath> {
    let builds = sources.builds.of(&image.dockerfile).iter().filter(|it| !it.is_example);
    let contexts: BTreeSet<Option<&RelPath>> = builds.map(|it| it.context.as_ref()).collect();
    match contexts.into_iter().collect::<Vec<_>>().as_slice() {
        [only] => *only,
        _ => None,
    }
}
