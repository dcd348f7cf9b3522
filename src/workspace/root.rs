//! Where a repository begins, and its state directory.
//!
//! Owns the way from the directory that a command is given in to the repository's root.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::error::usage;
use crate::base::screen::visible_path;
use crate::graph::naming;
use crate::report::say;
use crate::scan::{config, dockerfiles};
use crate::state::Memory;

use super::Invocation;

/// The folder that the command means.
///
/// # Errors
/// Where there is none.
pub fn start_folder(at: &Invocation) -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("can't tell the current folder")?;
    let Some(wanted) = &at.global.directory else { return Ok(current) };
    let folder = current.join(wanted);
    let found = folder.canonicalize();
    let found = found.map_err(|error| usage(format!("`{}`: {error}", visible_path(wanted))))?;
    if !found.is_dir() {
        return Err(usage(format!("`{}` is no folder", visible_path(wanted))).into());
    }
    Ok(found)
}

/// The nearest folder from `start` upwards that has a `layers.toml` or Dockerfiles where they
/// are looked for; it does not look beyond the repository that git knows. `start` itself where
/// there is none.
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

/// The folder at or above another that git takes for the top of its tree.
pub fn git_folder(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

/// What the repository's folder gives as a part of names.
pub fn folder_of(root: &Path) -> String {
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    naming::as_app(&folder.unwrap_or_default())
}

/// What is remembered at a root, with a warning where a part of it is not used.
///
/// # Errors
/// Where it can't be warned.
pub fn memory(root: &Path, at: &Invocation) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(()), |trouble| say::warning(&trouble, at.paint))?;
    Ok(memory)
}

/// The same for a command that is about nothing else.
///
/// # Errors
/// Where a part of it is not used.
pub fn own_memory(root: &Path) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(memory), |trouble| Err(anyhow::anyhow!(trouble)))
}
