//! From an image to all that an engine needs to build it.
//!
//! Owns the last step before the engine: it walks the context after the image's ignore file and
//! packs what is left. It reads no file's content; the archive does, when the engine asks.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use crate::engine::BuildRequest;
use crate::graph::Image;
use crate::graph::reference::Reference;
use crate::scan::context::Context;
use crate::scan::ignore_file::IgnoreFile;

use super::ContextArchive;

/// The request that builds `image` of the repository at `root`.
///
/// # Errors
/// Where the context is missing or can't be read, or its ignore file is wrong.
pub fn request(root: &Path, image: &Image) -> anyhow::Result<BuildRequest> {
    for (name, value) in &image.contexts {
        if !value.contains("://") {
            bail!(
                "the named context `{name}` is the folder `{value}`, and folders beside the \
                 context can't be sent\nhint: make a wider folder the context, or an image of it"
            );
        }
    }
    let folder = image.context.under(root);
    let ignore = read_ignore_file(root, image)?;
    let context = Context::walk(&folder, &ignore)?;
    Ok(BuildRequest {
        dockerfile: image.file.source.text().to_owned(),
        target: image.target.clone(),
        references: image.references.iter().map(Reference::familiar).collect(),
        labels: std::collections::BTreeMap::new(),
        build_args: image.build_args.clone(),
        contexts: image.contexts.clone(),
        platform: None,
        no_cache: false,
        pull: false,
        context: Arc::new(ContextArchive::new(context)),
    })
}

fn read_ignore_file(root: &Path, image: &Image) -> anyhow::Result<IgnoreFile> {
    let (ignore, problems) = IgnoreFile::load(root, &image.dockerfile, &image.context)?;
    match problems.first() {
        None => Ok(ignore),
        Some(problem) => {
            let place = problem.labels.first().map(|label| label.source.place(label.span));
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            bail!("{place}{}", problem.message)
        }
    }
}
