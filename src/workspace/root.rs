//! Where a repository begins, and its state directory.
//!
//! Owns how the root of the repository is found from the directory of a command.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::error::usage;
use crate::base::screen::visible_path;
use crate::graph::naming;
use crate::report::say;
use crate::scan::{config, dockerfiles};
use crate::state::Memory;

use super::Invocation;

/// Returns the directory in which the command runs.
///
/// # Errors
/// Returns an error if it does not exist.
pub fn start_folder(at: &Invocation) -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("can't determine the current directory")?;
    let Some(wanted) = &at.global.directory else { return Ok(current) };
    let folder = current.join(wanted);
    let found = folder.canonicalize();
    let found = found.map_err(|error| usage(format!("`{}`: {error}", visible_path(wanted))))?;
    if !found.is_dir() {
        return Err(usage(format!("`{}` is not a directory", visible_path(wanted))).into());
    }
    Ok(found)
}

/// Returns the nearest directory, from `start` upward, that has a `layers.toml`, or Dockerfiles in the default
/// locations. Does not search beyond the root of the git repository. Returns `start` if there is none.
pub fn find_root(start: &Path) -> PathBuf {
    for folder in start.ancestors() {
        if folder.join(config::FILE_NAME).is_file() || dockerfiles::has_any(folder) {
            return folder.to_owned();
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    start.to_owned()
}

/// Returns the nearest directory, from `folder` upward, that is the root of a git work tree.
pub fn git_folder(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

/// Returns the name of the repository's directory in the form that names of images use.
pub fn folder_of(root: &Path) -> String {
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    naming::as_app(&folder.unwrap_or_default())
}

/// Returns the state directory of a root, and warns if a part of it is not used.
///
/// # Errors
/// Returns an error if the warning cannot be printed.
pub fn memory(root: &Path, at: &Invocation) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(()), |trouble| say::warning(&trouble, at.paint))?;
    Ok(memory)
}

/// Returns the state directory of a root, for a command that needs all of it.
///
/// # Errors
/// Returns an error if a part of it is not used.
pub fn own_memory(root: &Path) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(memory), |trouble| Err(anyhow::anyhow!(trouble)))
}
