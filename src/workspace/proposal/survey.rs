//! Where the Dockerfiles of a repository without `layers.toml` are.
//!
//! Owns the search, and the few globs that describe what it found. `naming` chooses how images are named.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use rayon::prelude::*;

use crate::base::RelPath;
use crate::parse;
use crate::scan::dockerfiles::{self, DEFAULT_GLOBS};
use crate::scan::glob;
use crate::scan::usual_names::{self, ANYWHERE, OTHER_FILES, TEMPLATES};

/// The maximum number of globs before they are merged.
const MOST_GLOBS: usize = 7;

/// What placeholders of template engines start with.
const PLACEHOLDERS: [&str; 4] = ["{{", "{%", "<%", "%%"];

/// Dockerfiles with similar paths.
pub(super) struct DockerfileGroup {
    /// The glob that finds them, or `None` if no glob has to be set.
    pub(super) glob: Option<String>,
    /// All paths that it finds.
    pub(super) paths: Vec<RelPath>,
}

/// A file that looks like a Dockerfile and is not proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutFile {
    /// The path.
    pub path: RelPath,
    /// Why it is not proposed, such as `a template`.
    pub reason: &'static str,
}

/// The Dockerfiles of a repository.
pub(super) struct Survey {
    pub(super) groups: Vec<DockerfileGroup>,
    pub(super) left_out: Vec<LeftOutFile>,
}

impl Survey {
    /// Returns all Dockerfiles, sorted.
    pub(super) fn paths(&self) -> Vec<RelPath> {
        let mut paths: Vec<RelPath> =
            self.groups.iter().flat_map(|group| group.paths.iter().cloned()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Returns globs for the files left out that one of these globs matches.
    pub(super) fn excludes(&self, globs: &[&str]) -> Vec<String> {
        let regexes: Vec<_> = globs.iter().filter_map(|glob| glob::compile(glob).ok()).collect();
        let is_matched = |path: &RelPath| regexes.iter().any(|it| it.is_match(path.as_str()));
        let matched = self.left_out.iter().map(|it| &it.path).filter(|path| is_matched(path));
        let mut excludes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in matched {
            let exclude = exclude_of(path);
            let extension = exclude.rsplit_once('.').map(|(_, it)| format!("**/*.{it}"));
            excludes.entry(extension.unwrap_or_default()).or_default().insert(exclude);
        }
        let merge = |(extension, excludes): (String, BTreeSet<String>)| {
            let is_safe = || {
                let glob = glob::compile(&extension).ok();
                let paths = self.groups.iter().flat_map(|group| &group.paths);
                glob.is_some_and(|glob| !paths.into_iter().any(|it| glob.is_match(it.as_str())))
            };
            match excludes.len() > 2 && !extension.is_empty() && is_safe() {
                true => BTreeSet::from([extension]),
                false => excludes,
            }
        };
        excludes.into_iter().flat_map(merge).collect()
    }
}

/// Returns the glob that excludes a file: all of a directory such as `vendor`, or the file.
fn exclude_of(path: &RelPath) -> String {
    let mut before = Vec::new();
    for part in path.parent().parts() {
        before.push(part.to_owned());
        if usual_names::reason_to_skip(part).is_some() {
            return format!("{}/**", before.join("/"));
        }
    }
    path.as_str().to_owned()
}

/// Returns all Dockerfiles, and the files that only look like one.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub(super) fn survey(root: &Path) -> anyhow::Result<Survey> {
    let is_missing = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
    let mut found = match dockerfiles::find(root, &ANYWHERE, &[]) {
        Ok(found) => found,
        Err(error) if error.downcast_ref().is_some_and(is_missing) => Vec::new(),
        Err(error) => return Err(error),
    };
    let second = dockerfiles::second_names(root, found.iter());
    found.retain(|path| !second.contains(path));
    let reasons: Vec<_> = found.par_iter().map(|path| reason_to_leave_out(root, path)).collect();
    let mut left_out = Vec::new();
    let mut paths = Vec::new();
    for (path, reason) in found.into_iter().zip(reasons) {
        match reason {
            Some(reason) => left_out.push(LeftOutFile { path, reason }),
            None => paths.push(path),
        }
    }
    let excluded: HashSet<&RelPath> = left_out.iter().map(|it| &it.path).collect();
    let default = dockerfiles::find(root, &DEFAULT_GLOBS, &[])?;
    if !default.is_empty()
        && paths.iter().all(|path| default.contains(path) && !excluded.contains(path))
    {
        let groups = vec![DockerfileGroup { glob: None, paths }];
        return Ok(Survey { groups, left_out });
    }
    let mut groups = Vec::new();
    let mut seen: HashSet<RelPath> = HashSet::new();
    for glob in generalize(&paths) {
        // A glob may find more paths than it was made from.
        let mut paths = dockerfiles::find(root, &[glob.as_str()], &[])?;
        paths.retain(|path| !excluded.contains(path) && seen.insert(path.clone()));
        groups.push(DockerfileGroup { glob: Some(glob), paths });
    }
    Ok(Survey { groups, left_out })
}

/// Returns why a file is not proposed as a Dockerfile, if it is not.
fn reason_to_leave_out(root: &Path, path: &RelPath) -> Option<&'static str> {
    let extension = path.file_name().and_then(|name| name.rsplit_once('.')).map(|(_, it)| it);
    let has_extension = |extensions: &[&str]| extension.is_some_and(|it| extensions.contains(&it));
    if let Some(reason) = path.parent().parts().find_map(usual_names::reason_to_skip) {
        return Some(reason);
    }
    if has_extension(&TEMPLATES) {
        return Some("a template");
    }
    if has_extension(&OTHER_FILES) {
        return Some("another kind of file");
    }
    // A Dockerfile that cannot be read is reported like any other.
    let text = dockerfiles::read(root, path).ok()?.source;
    let file = parse::parse(&text);
    // A file with exactly this name is meant to be a Dockerfile, and its errors are reported.
    let is_plain =
        path.file_name().is_some_and(|name| name == "Dockerfile" || name == "Containerfile");
    let mut bases = file.stages.iter().map(|stage| stage.base.value.as_str());
    // A here-document can have such lines, but then the file has no errors.
    let starts = |line: &str| PLACEHOLDERS.iter().any(|it| line.trim_start().starts_with(it));
    let is_template = bases.any(|base| PLACEHOLDERS.iter().any(|it| base.contains(it)))
        || file.has_errors() && text.text().lines().any(starts);
    if is_template {
        return Some("a template");
    }
    let is_other = file.has_errors() || file.stages.is_empty() && !text.text().trim().is_empty();
    (is_other && !is_plain).then_some("another kind of file")
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
    let below = |top: Option<&str>, path: &RelPath| {
        let file = path.file_name().unwrap_or_default();
        let file = file_shape(file).map_or(Cow::from(file), Cow::from);
        match top {
            Some(top) => format!("{top}/**/{file}"),
            None => format!("**/{file}"),
        }
    };
    let top = |path: &RelPath| path.as_str().split_once('/').map(|(top, _)| top.to_owned());
    let per_tree: BTreeSet<String> = paths
        .iter()
        .map(|path| top(path).map_or_else(|| shape(path), |top| below(Some(&top), path)))
        .collect();
    if per_tree.len() <= MOST_GLOBS {
        return per_tree.into_iter().collect();
    }
    paths.iter().map(|path| below(None, path)).collect::<BTreeSet<_>>().into_iter().collect()
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
    for word in ["Dockerfile", "Containerfile", "dockerfile"] {
        let rest = file.strip_prefix(word).filter(|rest| rest.starts_with(['.', '-', '_']));
        if let Some(separator) = rest.and_then(|rest| rest.chars().next()) {
            return Some(format!("{word}{separator}*"));
        }
    }
    file.rsplit_once('.').map(|(_, extension)| format!("*.{extension}"))
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
