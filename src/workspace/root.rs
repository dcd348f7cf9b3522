//! Where a repository begins, and its state directory.
//!
//! Owns how the root of the repository is found from the directory of a command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::RelPath;
use crate::base::error::usage;
use crate::base::screen::visible_path;
use crate::base::text::inline_shell_word as shell_word;
use crate::graph::naming;
use crate::report::printer;
use crate::scan::config::FILE_NAME;
use crate::scan::dockerfiles;
use crate::state::RepositoryState;

use super::Invocation;

/// Where a command works.
#[derive(Debug, Clone)]
pub struct WorkspaceLocation {
    /// The directory in which the command runs.
    pub start: PathBuf,
    /// The root of the repository.
    pub root: PathBuf,
    /// The settings file, relative to the root. It may not exist.
    pub settings: RelPath,
}

impl WorkspaceLocation {
    /// Finds the repository that a command line specifies.
    ///
    /// # Errors
    /// Returns an error if the directory of `-C` or that of `--file` does not exist.
    pub fn of(at: &Invocation) -> anyhow::Result<WorkspaceLocation> {
        WorkspaceLocation::from(start_directory(at)?, at.global.file.as_deref())
    }

    /// Finds the repository of a directory, or that of a settings file, which is in the root.
    ///
    /// # Errors
    /// Returns an error if the directory of the file does not exist.
    pub fn from(start: PathBuf, file: Option<&Path>) -> anyhow::Result<WorkspaceLocation> {
        let settings = settings_of(file)?;
        let Some(file) = file else {
            return Ok(WorkspaceLocation { root: find_root(&start), start, settings });
        };
        let path = start.join(file);
        let directory = path.parent().unwrap_or(&start);
        let root = directory.canonicalize();
        let root = root.map_err(|error| usage(format!("`{}`: {error}", visible_path(file))))?;
        Ok(WorkspaceLocation { start, root, settings })
    }

    /// Checks that the file of `--file` has settings.
    ///
    /// # Errors
    /// Returns an error if it does not exist, or is another kind of file.
    pub fn check_settings(&self, at: &Invocation) -> anyhow::Result<()> {
        let Some(file) = &at.global.file else { return Ok(()) };
        let name = visible_path(file);
        let path = self.settings.under(&self.root);
        let error = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                usage(format!("`{name}` is a directory, but -f expects a settings file"))
                    .hint(format!("to run in it: layers -C {}", shell_word(&name)))
            }
            Ok(_) => match misnamed(file) {
                Some((kind, hint)) => usage(format!(
                    "`{name}` is a {kind}, but -f expects a settings file such as {FILE_NAME}"
                ))
                .hint(hint),
                None => return Ok(()),
            },
            Err(error) => usage(format!("`{name}`: {error}"))
                .hint("`layers init` writes a file that fits the Dockerfiles"),
        };
        Err(error.into())
    }
}

/// Returns what kind of file users of other tools pass to `-f`, and what to run instead, if a name is of that kind.
fn misnamed(file: &Path) -> Option<(&'static str, String)> {
    let name = file.file_name()?.to_string_lossy().to_ascii_lowercase();
    let is_named = |part: &str| name.split('.').any(|it| it == part);
    if is_named("dockerfile") || is_named("containerfile") {
        let directory = file.parent().map(visible_path).filter(|directory| !directory.is_empty());
        let image = directory.map_or("IMAGE".into(), |directory| shell_word(&directory));
        return Some(("Dockerfile", format!("to build its image: layers build {image}")));
    }
    let is_of_bake = matches!(name.rsplit('.').next()?, "hcl" | "json" | "yml" | "yaml");
    let hint = "Dockerfiles are found without it: layers build --all".to_owned();
    is_of_bake.then_some(("bake or Compose file", hint))
}

/// Returns the name of the settings file in the root: that of `--file`, or `layers.toml`.
///
/// # Errors
/// Returns an error if `--file` does not name a file.
pub fn settings_of(file: Option<&Path>) -> anyhow::Result<RelPath> {
    let Some(file) = file else {
        return RelPath::new(FILE_NAME).context("a file name is a relative path");
    };
    let name = file.file_name().and_then(|name| RelPath::from_path(Path::new(name)));
    name.ok_or_else(|| usage(format!("`{}` is not the name of a file", visible_path(file))).into())
}

/// Returns the directory in which the command runs.
///
/// # Errors
/// Returns an error if it does not exist.
pub fn start_directory(at: &Invocation) -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("can't determine the current directory")?;
    let Some(path) = &at.global.directory else { return Ok(current) };
    let directory = current.join(path);
    let found = directory.canonicalize();
    let found = found.map_err(|error| usage(format!("`{}`: {error}", visible_path(path))))?;
    if !found.is_dir() {
        return Err(usage(format!("`{}` is not a directory", visible_path(path))).into());
    }
    Ok(found)
}

/// Returns the nearest directory, from `start` upward, that has a `layers.toml`, or Dockerfiles in the default
/// locations. Does not search beyond the root of the git repository. Returns `start` if there is none.
fn find_root(start: &Path) -> PathBuf {
    for directory in start.ancestors() {
        if directory.join(FILE_NAME).is_file() || dockerfiles::has_any(directory) {
            return directory.to_owned();
        }
        if directory.join(".git").exists() {
            break;
        }
    }
    start.to_owned()
}

/// Returns the nearest directory, from `directory` upward, that is the root of a git work tree.
pub fn git_directory(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|directory| directory.join(".git").exists())
}

/// Returns the name of the repository's directory in the form that names of images use.
pub fn directory_of(root: &Path) -> String {
    let directory = root.file_name().map(|name| name.to_string_lossy().into_owned());
    naming::as_app(&directory.unwrap_or_default())
}

/// Returns the state directory of a root, and warns if a part of it is not used.
///
/// # Errors
/// Returns an error if the warning cannot be printed.
pub fn state(root: &Path, at: &Invocation) -> anyhow::Result<RepositoryState> {
    let state = RepositoryState::of(root);
    state.trouble().map_or(Ok(()), |trouble| printer::warning(&trouble, at.paint))?;
    Ok(state)
}

/// Returns the state directory of a root, for a command that needs all of it.
///
/// # Errors
/// Returns an error if a part of it is not used.
pub fn own_state(root: &Path) -> anyhow::Result<RepositoryState> {
    let state = RepositoryState::of(root);
    state.trouble().map_or(Ok(state), |trouble| Err(anyhow::anyhow!(trouble)))
}
