//! Where the Dockerfiles of a repository without `layers.toml` are.
//!
//! Owns the search, and the few globs that describe what it found. `naming` chooses how images are named.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use crate::base::RelPath;
use crate::scan::dockerfiles::{self, DEFAULT_GLOBS};

/// The usual names of Dockerfiles, in any directory.
const ANYWHERE: [&str; 3] = [
    "**/{Dockerfile,Containerfile}",
    "**/{Dockerfile,Containerfile}.*",
    "**/*.{Dockerfile,dockerfile,Containerfile}",
];

/// The maximum number of globs before they are merged.
const MOST_GLOBS: usize = 8;

/// Dockerfiles with similar paths.
pub(super) struct DockerfileGroup {
    /// The glob that finds them, or `None` if no glob has to be set.
    pub(super) glob: Option<String>,
    /// All paths that it finds.
    pub(super) paths: Vec<RelPath>,
}

/// Returns all Dockerfiles. If the default globs find some, only those.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub(super) fn survey(root: &Path) -> anyhow::Result<Vec<DockerfileGroup>> {
    if dockerfiles::has_any(root) {
        let mut paths = dockerfiles::find(root, &DEFAULT_GLOBS, &[])?;
        let second = dockerfiles::second_names(root, paths.iter());
        paths.retain(|path| !second.contains(path));
        return Ok(vec![DockerfileGroup { glob: None, paths }]);
    }
    let is_missing = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
    let mut found = match dockerfiles::find(root, &ANYWHERE, &["**/*.dockerignore"]) {
        Ok(found) => found,
        Err(error) if error.downcast_ref().is_some_and(is_missing) => Vec::new(),
        Err(error) => return Err(error),
    };
    let second = dockerfiles::second_names(root, found.iter());
    found.retain(|path| path.file_name().is_some_and(|name| !name.ends_with(".md")));
    found.retain(|path| !second.contains(path));
    let mut parts = Vec::new();
    let mut seen: HashSet<RelPath> = HashSet::new();
    for glob in generalize(&found) {
        // A glob may find more paths than it was made from.
        let mut paths = dockerfiles::find(root, &[glob.as_str()], &[])?;
        paths.retain(|path| seen.insert(path.clone()));
        parts.push(DockerfileGroup { glob: Some(glob), paths });
    }
    Ok(parts)
}

/// Returns a few globs that find the paths. Paths with the same file name in sibling directories are combined, as are
/// similar names in one directory.
fn generalize(paths: &[RelPath]) -> Vec<String> {
    let mut by_shape: BTreeMap<String, Vec<&RelPath>> = BTreeMap::new();
    for path in paths {
        by_shape.entry(shape(path)).or_default().push(path);
    }
    let mut globs: BTreeSet<String> = BTreeSet::new();
    for (shape, paths) in &by_shape {
        match paths.as_slice() {
            [only] => globs.insert(only.as_str().to_owned()),
            _ => globs.insert(shape.clone()),
        };
    }
    if globs.len() <= MOST_GLOBS {
        return globs.into_iter().collect();
    }
    let deep = |path: &RelPath| {
        let file = path.file_name().unwrap_or_default();
        let file = file_shape(file).map_or(Cow::from(file), Cow::from);
        match path.as_str().split_once('/') {
            Some((top, _)) => format!("{top}/**/{file}"),
            None => file.into_owned(),
        }
    };
    paths.iter().map(deep).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the glob that finds a path and similar ones.
fn shape(path: &RelPath) -> String {
    let file = path.file_name().unwrap_or_default();
    let directory = path.parent();
    if let Some(shape) = file_shape(file) {
        return directory.join(&shape).map_or(shape, |path| path.as_str().to_owned());
    }
    if directory.is_root() {
        return file.to_owned();
    }
    let glob = format!("*/{file}");
    directory.parent().join(&glob).map_or(glob, |path| path.as_str().to_owned())
}

/// Returns the glob of a file name that has more in it than `Dockerfile`.
fn file_shape(file: &str) -> Option<String> {
    match file.split_once('.') {
        Some((word @ ("Dockerfile" | "Containerfile"), _)) => Some(format!("{word}.*")),
        Some(_) => file.rsplit_once('.').map(|(_, extension)| format!("*.{extension}")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expected: &[&str]) {
        let paths: Vec<RelPath> = paths.iter().map(|path| RelPath::new(path).unwrap()).collect();
        assert_eq!(generalize(&paths), expected);
    }

    #[test]
    fn paths_are_merged_into_globs() {
        check(&[], &[]);
        check(&["Dockerfile"], &["Dockerfile"]);
        check(
            &["images/a/Dockerfile", "images/b/Dockerfile", "x/Dockerfile"],
            &["images/*/Dockerfile", "x/Dockerfile"],
        );
        check(
            &["d/a.Dockerfile", "d/b.Dockerfile", "e/Dockerfile.dev", "e/Dockerfile.ci"],
            &["d/*.Dockerfile", "e/Dockerfile.*"],
        );
        let deep: Vec<String> =
            (0..20).map(|at| format!("ros/d{}/v{}/Dockerfile", at / 2, at % 2)).collect();
        check(&deep.iter().map(String::as_str).collect::<Vec<_>>(), &["ros/**/Dockerfile"]);
    }
}
