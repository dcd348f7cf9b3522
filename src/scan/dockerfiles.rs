//! Finds Dockerfiles by globs and reads them.
//!
//! Owns the selection of files and their order. It does not parse them and knows no images.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::WalkBuilder;
use rayon::prelude::*;

use crate::base::{Diagnostic, RelPath, Rule, Source, Span};

use super::context::is_missing;
use super::glob;

/// The default globs of Dockerfiles.
pub const DEFAULT_GLOBS: [&str; 2] = ["docker/*/Dockerfile", "docker/*/Containerfile"];

/// Returns the sorted paths below `root` that match one of `globs` and none of `exclude`.
///
/// # Errors
/// Returns an error if a glob is malformed or if a directory to search cannot be read.
pub fn find<S: AsRef<str>>(
    root: &Path,
    globs: &[S],
    exclude: &[S],
) -> anyhow::Result<Vec<RelPath>> {
    let exclude: Vec<_> =
        exclude.iter().map(|glob| glob::compile(glob.as_ref())).collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for glob in globs {
        let glob = glob.as_ref().trim_start_matches("./");
        found.extend(find_one(root, glob).with_context(|| format!("can't search for `{glob}`"))?);
    }
    found.retain(|path| !exclude.iter().any(|exclude| exclude.is_match(path.as_str())));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Returns which of the paths are a second name of a Dockerfile: each `Containerfile` that is the
/// same file as the `Dockerfile` next to it. Such a link lets both Docker and Podman find the file.
pub fn second_names<'a>(
    root: &Path,
    paths: impl Iterator<Item = &'a RelPath> + Clone,
) -> HashSet<RelPath> {
    let dockerfiles: HashSet<&RelPath> = paths.clone().collect();
    let is_second = |path: &&RelPath| {
        path.as_str().rsplit('/').next() == Some("Containerfile")
            && path.parent().join("Dockerfile").is_some_and(|other| {
                dockerfiles.contains(&other) && is_same_file(root, path, &other)
            })
    };
    paths.filter(is_second).cloned().collect()
}

fn is_same_file(root: &Path, a: &RelPath, b: &RelPath) -> bool {
    let id = |path: &RelPath| {
        let found = fs::metadata(path.under(root));
        found.map(|found| (found.dev(), found.ino())).map_err(|error| error.kind())
    };
    match (id(a), id(b)) {
        (Ok(a), Ok(b)) => a == b,
        // Both are unknown in a directory that cannot be searched, which is reported once.
        (a, b) => a == Err(io::ErrorKind::PermissionDenied) && a == b,
    }
}

/// Returns whether one of the default globs matches a file in `root`. Stops at the first match.
pub fn has_any(root: &Path) -> bool {
    DEFAULT_GLOBS.iter().filter_map(|glob| glob.split_once("/*/")).any(|(directory, name)| {
        let entries = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| {
            !entry.file_name().as_encoded_bytes().starts_with(b".")
                && is_there(&entry.path().join(name), false)
        })
    })
}

fn find_one(root: &Path, glob: &str) -> anyhow::Result<Vec<RelPath>> {
    let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty()).collect();
    let mut directories = vec![RelPath::root()];
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        if part.contains("**") {
            return walk(root, &directories, glob);
        }
        directories = if glob::is_glob(part) {
            let pattern = glob::compile(part)?;
            let below = directories
                .par_iter()
                .map(|directory| list(root, directory, is_last, |name| pattern.is_match(name)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            below.into_iter().flatten().collect()
        } else {
            let below = directories.par_iter().filter_map(|directory| directory.join(part));
            if is_last {
                // A directory with this exact name is probably a mistake. List it, so that reading
                // it reports the error.
                below.filter(|path| is_there(&path.under(root), true)).collect()
            } else {
                below.collect()
            }
        };
    }
    Ok(directories)
}

/// Returns whether a path exists and is not a directory, or is one and `directories_count` is set.
/// Symlinks are followed. Special files and broken symlinks count too: the path is meant to be a
/// Dockerfile, and reading it reports the error.
fn is_there(path: &Path, directories_count: bool) -> bool {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            directories_count || fs::metadata(path).map_or(true, |target| !target.is_dir())
        }
        Ok(found) => directories_count || !found.is_dir(),
        // What a directory contains that cannot be searched is unknown: it may be a Dockerfile.
        Err(error) => directories_count && error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// Returns the kind of a path that exists and is not a regular file, or `None`. Such a path cannot
/// be read: reading from a pipe would block until another process writes to it.
pub fn what_else(path: &Path) -> Option<&'static str> {
    let kind = fs::metadata(path).ok()?.file_type();
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a pipe"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Lists the files (or directories) in a directory whose names match. A missing directory has
/// none.
fn list(
    root: &Path,
    directory: &RelPath,
    files: bool,
    is_match: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<RelPath>> {
    let entries = match fs::read_dir(directory.under(root)) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).context(format!("can't read directory `{directory}`")),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("can't read directory `{directory}`"))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // As in a shell's glob, symlinks to files and directories count, and hidden directories do
        // not. The system returns the type with the name, but not the type of a symlink's target.
        let is_no_directory = || match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => !kind.is_dir(),
            _ => is_there(&entry.path(), false),
        };
        if !name.starts_with('.') && is_match(name) && is_no_directory() == files {
            found.extend(directory.join(name));
        }
    }
    Ok(found)
}

/// Returns the files below the directories that match the whole glob. Skips hidden directories and
/// those that git ignores, which often contain copies of Dockerfiles.
fn walk(root: &Path, directories: &[RelPath], glob: &str) -> anyhow::Result<Vec<RelPath>> {
    let pattern = glob::compile(glob)?;
    let mut found = Vec::new();
    for directory in directories {
        let start = directory.under(root);
        if !start.is_dir() {
            continue;
        }
        for entry in WalkBuilder::new(&start).require_git(false).build() {
            let path = match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_dir()) => continue,
                Ok(entry) => entry.into_path(),
                Err(error) => hidden_dockerfile(&error, glob).ok_or(error)?,
            };
            let path = path.strip_prefix(root).unwrap_or(&path);
            found.extend(RelPath::from_path(path).filter(|path| pattern.is_match(path.as_str())));
        }
    }
    Ok(found)
}

/// Returns the path of the Dockerfile that a directory may contain that cannot be read, or `None` for other errors. As
/// for a file that cannot be read, reading it reports the error, unless the path is excluded.
fn hidden_dockerfile(error: &ignore::Error, glob: &str) -> Option<PathBuf> {
    let name = glob.rsplit('/').next().filter(|name| !glob::is_glob(name))?;
    let is_denied = error.io_error()?.kind() == io::ErrorKind::PermissionDenied;
    let mut error = error;
    loop {
        error = match error {
            ignore::Error::WithDepth { err, .. } => err,
            ignore::Error::WithPath { path, .. } => return is_denied.then(|| path.join(name)),
            _ => return None,
        };
    }
}

/// The text of a Dockerfile.
#[derive(Debug, Clone)]
pub struct DockerfileText {
    /// The text, with U+FFFD in place of bytes that are not UTF-8.
    pub source: Source,
    /// The spans of these replacements.
    pub replaced: Vec<Span>,
}

impl DockerfileText {
    fn new(path: &RelPath, bytes: &[u8]) -> DockerfileText {
        let mut text = String::with_capacity(bytes.len());
        let mut replaced = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                let start = text.len();
                text.push(char::REPLACEMENT_CHARACTER);
                replaced.push(Span::new(start, text.len()));
            }
        }
        DockerfileText { source: Source::new(path.clone(), text), replaced }
    }
}

/// Reads a Dockerfile. Returns a diagnostic if it cannot be read.
pub fn read(root: &Path, path: &RelPath) -> Result<DockerfileText, Box<Diagnostic>> {
    let empty = || Source::new(path.clone(), "");
    let problem = |rule, message: String| {
        Box::new(Diagnostic::new(rule, message).at(&empty(), Span::default(), ""))
    };
    if let Some(what) = what_else(&path.under(root)) {
        let problem = problem(Rule::UnreadableFile, format!("`{path}` is {what}"));
        let hint =
            format!("replace it with a file, or set `exclude = [\"{path}\"]` in `layers.toml`");
        return Err(Box::new(problem.hint(hint)));
    }
    let bytes = fs::read(path.under(root)).map_err(|error| {
        let hint = format!("make it readable, or set `exclude = [\"{path}\"]` in `layers.toml`");
        let problem = problem(Rule::UnreadableFile, format!("can't read `{path}`: {error}"));
        Box::new(problem.hint(hint))
    })?;
    // A replacement is longer than the byte that it replaces.
    if u32::try_from(bytes.len().saturating_mul(3)).is_err() {
        return Err(problem(Rule::UnreadableFile, format!("`{path}` is larger than 1.3 GiB")));
    }
    Ok(DockerfileText::new(path, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(globs: &[&str], exclude: &[&str], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "Dockerfile",
            "docker/base/Dockerfile",
            "docker/dev/Containerfile",
            "docker/dev/Dockerfile.test",
            "docker/.hidden/Dockerfile",
            "images/a/b/Dockerfile",
            "docker/README.md",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "FROM scratch\n").unwrap();
        }
        let found = find(root.path(), globs, exclude).unwrap();
        assert_eq!(found.iter().map(RelPath::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn globs_find_dockerfiles() {
        check(&DEFAULT_GLOBS, &[], &["docker/base/Dockerfile", "docker/dev/Containerfile"]);
        check(&DEFAULT_GLOBS, &["docker/dev/**"], &["docker/base/Dockerfile"]);
        check(
            &["**/Dockerfile"],
            &[],
            &["Dockerfile", "docker/base/Dockerfile", "images/a/b/Dockerfile"],
        );
        check(&["docker/*/Dockerfile.*"], &[], &["docker/dev/Dockerfile.test"]);
        check(&["./Dockerfile", "Dockerfile"], &[], &["Dockerfile"]);
        check(&["none/*/Dockerfile"], &[], &[]);
    }

    #[test]
    fn dockerfiles_that_are_not_readable_files_are_errors() {
        let root = tempfile::tempdir().unwrap();
        for (name, target) in [("gone", "nowhere"), ("folder", "."), ("file", "file.txt")] {
            let directory = root.path().join("docker").join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("file.txt"), "FROM scratch\n").unwrap();
            std::os::unix::fs::symlink(target, directory.join("Dockerfile")).unwrap();
        }
        let socket = root.path().join("docker/file/Dockerfile.socket");
        let _socket = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let check = |glob: &str, expected: &[&str]| {
            let found = find(root.path(), &[glob], &[]).unwrap();
            let found = found.iter().map(|path| path.as_str().trim_start_matches("docker/"));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{glob}");
        };
        let (file, gone) = ("file/Dockerfile", "gone/Dockerfile");
        check("docker/*/Dockerfile", &[file, "folder/Dockerfile", gone]);
        // A directory that matches a `*` was not necessarily meant as a Dockerfile.
        check("docker/*/Dockerfil*", &[file, "file/Dockerfile.socket", gone]);
        for (path, message) in [
            ("gone/Dockerfile", "can't read `docker/gone/Dockerfile`: No such file"),
            ("folder/Dockerfile", "`docker/folder/Dockerfile` is a directory"),
            ("file/Dockerfile.socket", "`docker/file/Dockerfile.socket` is a socket"),
        ] {
            let path = RelPath::new(&format!("docker/{path}")).unwrap();
            let problem = read(root.path(), &path).unwrap_err();
            assert_eq!(problem.rule, Rule::UnreadableFile);
            assert!(problem.message.starts_with(message), "{}", problem.message);
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("Dockerfile"), b"FROM a\nRUN \xff \xe9\n").unwrap();
        let text = read(root.path(), &RelPath::new("Dockerfile").unwrap()).unwrap();
        assert_eq!(text.source.text(), "FROM a\nRUN \u{fffd} \u{fffd}\n");
        assert_eq!(text.replaced, [Span::new(11, 14), Span::new(15, 18)]);
    }
}
