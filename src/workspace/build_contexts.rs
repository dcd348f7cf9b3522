//! The named contexts of the command line: `--build-context NAME=VALUE`.
//!
//! Owns what their values mean. As in `docker build`, a value is an image with `docker-image://`, a URL, or else a
//! directory relative to the one in which the command runs. They take precedence over those of `layers.toml`.

use std::path::{Component, Path, PathBuf};

use crate::base::error::usage;
use crate::base::screen::visible;
use crate::graph::context_directory::is_elsewhere;
use crate::graph::images::{Candidate, NamedContext};
use crate::graph::reference::Reference;

use super::Invocation;
use super::root::WorkspaceLocation;

/// Makes the directories in the options of a command line relative to the root of the repository, or absolute: files that
/// are generated, and commands that are printed, are used there.
pub fn settle(at: &mut Invocation) {
    if at.global.build_contexts.is_empty() {
        return;
    }
    // A repository that cannot be found is an error later.
    let Ok(location) = WorkspaceLocation::of(at) else { return };
    for argument in &mut at.global.build_contexts {
        if let Some((name, path)) = argument.split_once('=')
            && !is_elsewhere(path)
        {
            *argument = format!("{name}={}", from_root(path, &location));
        }
    }
}

/// Returns the named contexts of the command line: names in the form in which BuildKit looks them up, and values as in
/// `layers.toml`.
///
/// # Errors
/// Returns an error if a name is not valid, or if a directory does not exist.
pub fn build_contexts_of(at: &Invocation) -> anyhow::Result<Vec<NamedContext>> {
    if at.global.build_contexts.is_empty() {
        return Ok(Vec::new());
    }
    let root = WorkspaceLocation::of(at)?.root;
    at.global.build_contexts.iter().map(|argument| read(argument, &root)).collect()
}

/// Adds the named contexts of the command line to all images.
///
/// # Errors
/// As [`build_contexts_of`].
pub fn add(candidates: &mut [Candidate], at: &Invocation) -> anyhow::Result<()> {
    for context in build_contexts_of(at)? {
        for image in candidates.iter_mut() {
            image.contexts.retain(|it| it.name != context.name);
            image.contexts.push(context.clone());
        }
    }
    Ok(())
}

fn read(argument: &str, root: &Path) -> anyhow::Result<NamedContext> {
    let (written, value) = argument.split_once('=').unwrap_or((argument, ""));
    let Some(name) = Reference::context_key(written) else {
        let message = format!("`{}` is not a valid context name", visible(written));
        return Err(usage(message).hint("use the name of a stage or an image").into());
    };
    let path = root.join(value);
    if !is_elsewhere(value) && !path.is_dir() {
        let what = if path.exists() { "not a directory" } else { "directory not found" };
        let hint = "write NAME=DIR, NAME=docker-image://IMAGE, or NAME=URL";
        let message = format!("`--build-context {}`: {what}", visible(argument));
        return Err(usage(message).hint(hint).into());
    }
    Ok(NamedContext { name, value: value.to_owned(), is_directory: false, spot: None })
}

/// Returns a path from the root. It starts with `.` or `/`, so that it cannot be the name of an image.
fn from_root(path: &str, location: &WorkspaceLocation) -> String {
    let path = normal(&location.start.join(path));
    let below = path.strip_prefix(&location.root).ok();
    let path = below.map(|below| Path::new(".").join(below)).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// Returns a path without `.` and `..`, which docker resolves in the text too.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            component => normal.push(component),
        }
    }
    normal
}
