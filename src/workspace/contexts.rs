//! The build contexts of images without a `context` setting.
//!
//! Owns the inference: the context is the nearest directory, from that of the Dockerfile up to the root, that has the files
//! that the image copies. It is the directory of the Dockerfile if that has all of them, or if no other directory has
//! more.

use rayon::prelude::*;

use crate::base::RelPath;
use crate::graph::evaluate::{ContextKind, ContextUse};
use crate::graph::{ContextOrigin, Graph, Image};
use crate::inputs::missing::required_path;

/// Returns whether a path exists in the state of the repository that is read.
pub type PathExists<'a> = &'a (dyn Fn(&RelPath) -> bool + Sync);

/// Determines the contexts of images for which none is configured.
pub fn infer(graph: &mut Graph, exists: PathExists<'_>) {
    graph.images.values_mut().into_slice().par_iter_mut().for_each(|image| {
        if image.context_by == ContextOrigin::Dockerfile
            && let Some(context) = context_of(image, exists)
        {
            image.context = context;
            image.context_by = ContextOrigin::Sources;
        }
    });
}

/// Returns the directory that has more of the files that an image copies than that of its Dockerfile, if there is one.
fn context_of(image: &Image, exists: PathExists<'_>) -> Option<RelPath> {
    let own = image.dockerfile.parent();
    if own.is_root() || image.has_unknown_frontend() {
        return None;
    }
    let sources: Vec<String> = image
        .evaluation
        .context_uses
        .iter()
        .filter(|it| tells(it))
        .filter_map(required_path)
        .collect();
    let count = |directory: &RelPath| {
        let paths = sources.iter().filter_map(|source| directory.join(source));
        paths.filter(|path| exists(path)).count()
    };
    let in_own = count(&own);
    if in_own == sources.len() {
        return None;
    }
    let mut best: Option<(usize, RelPath)> = None;
    let mut directory = own;
    while !directory.is_root() {
        directory = directory.parent();
        let found = count(&directory);
        // Where some files are next to the Dockerfile, those that are not are more likely made by a step before the build.
        let is_better = found == sources.len() || in_own == 0 && found > 0;
        if is_better && best.as_ref().is_none_or(|(most, _)| found > *most) {
            best = Some((found, directory.clone()));
        }
    }
    best.map(|(_, directory)| directory)
}

/// Returns whether a use says something about where the context is: it is certain, and not the whole context.
fn tells(one: &ContextUse) -> bool {
    one.certain && one.pattern != "." && !matches!(one.kind, ContextKind::Sent)
}
