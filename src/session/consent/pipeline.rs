//! The `--allow` options of a CI pipeline.
//!
//! Owns the options that the job of each image gets, because a job has no terminal. Paths are written as in
//! `layers.toml`, so that the file is the same on every machine. A path that starts with `/` or `~` may be outside the
//! repository wherever the job runs, so it is always allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::text::shell_word;
use crate::base::{IdMap, ImageId, RelPath};
use crate::graph::Image;
use crate::graph::context_directory::ContextDirectory;
use crate::session::secrets::{ConfiguredSecret, SecretOrigin, SecretRequests};
use crate::workspace::Invocation;
use crate::workspace::build_contexts::build_contexts_of;
use crate::workspace::load::Workspace;

use super::{Boundary, LocatedPath, canonical};

/// Returns the options for the builds of images. A job may have to build the dependencies of its image, so it also has
/// their options.
///
/// # Errors
/// Returns an error if the root of the repository cannot be resolved, or if an option is not valid.
pub fn allow_options(
    workspace: &Workspace,
    at: &Invocation,
) -> anyhow::Result<BTreeMap<ImageId, Vec<String>>> {
    let configured = ConfiguredSecret::all(workspace, &at.environment);
    // The jobs get the options of this command line, so these contexts need no consent.
    let options: BTreeSet<String> = build_contexts_of(at)?
        .iter()
        .map(|option| ContextDirectory::at(&option.value).to_string())
        .collect();
    let boundary = Boundary::of(&workspace.root)?;
    let graph = &workspace.graph;
    let mut of_image: IdMap<BTreeSet<String>> =
        IdMap::from_fn(graph.images.len(), |_| BTreeSet::new());
    for image in graph.order() {
        let image_of = &graph.images[*image];
        let mut allowed = own(workspace, image_of, &configured, &boundary);
        allowed.extend(directories(workspace, image_of, &boundary, &options));
        for parent in graph.parents_of(*image) {
            allowed.extend(of_image[parent].iter().cloned());
        }
        of_image[*image] = allowed;
    }
    let ids = graph.images.ids();
    let options = ids.map(|image| (image, of_image[image].iter().cloned().collect()));
    Ok(options.filter(|(_, options): &(_, Vec<String>)| !options.is_empty()).collect())
}

fn own(
    workspace: &Workspace,
    image: &Image,
    configured: &[ConfiguredSecret<'_>],
    boundary: &Boundary,
) -> BTreeSet<String> {
    let needed = SecretRequests::of([image]);
    let mut options = BTreeSet::new();
    let secrets = configured.iter().filter(|one| !needed.by(one.kind, one.id).is_empty());
    for one in secrets {
        match &one.origin {
            SecretOrigin::Variable(_) => {}
            SecretOrigin::Agent { .. } => drop(options.insert("--allow ssh".to_owned())),
            SecretOrigin::Paths(paths) => {
                let outside = paths.iter().filter(|path| is_outside(path, boundary));
                options.extend(outside.map(|path| allow(path.written)));
            }
        }
    }
    for path in [&image.context, &image.dockerfile] {
        let found = canonical(&path.under(&workspace.root));
        if found.is_ok_and(|found| boundary.is_outside(&found)) {
            options.insert(allow(path.as_str()));
        }
    }
    let uses = image.entitlement_uses().into_iter();
    options.extend(uses.map(|it| format!("--allow {}", it.entitlement)));
    options
}

/// Returns the options for the directories of named contexts.
fn directories(
    workspace: &Workspace,
    image: &Image,
    boundary: &Boundary,
    allowed: &BTreeSet<String>,
) -> BTreeSet<String> {
    let is_outside = |value: &&str| {
        let found = canonical(&ContextDirectory::at(value).under(&workspace.root));
        value.starts_with('/') || leaves(value) || found.is_ok_and(|it| boundary.is_outside(&it))
    };
    let values = image.directories().into_keys().filter(|value| !allowed.contains(*value));
    values.filter(is_outside).map(allow).collect()
}

fn is_outside(path: &LocatedPath<'_>, boundary: &Boundary) -> bool {
    path.written.starts_with(['/', '~'])
        || match &path.path {
            Ok(path) => boundary.is_outside(path),
            Err(_) => leaves(path.written),
        }
}

/// Returns whether a relative path leaves the root, judging by its text.
fn leaves(path: &str) -> bool {
    RelPath::new(path).is_none()
}

fn allow(path: &str) -> String {
    format!("--allow {}", shell_word(&format!("fs.read={path}")))
}
