//! The builds of images that files of the repository describe for other tools.
//!
//! Owns finding and reading these files, and what they say about each Dockerfile. It runs nothing, and a
//! value that depends on what is outside the repository is unknown, never empty.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use ignore::{DirEntry, WalkBuilder};

use crate::base::RelPath;

use super::dockerfiles::what_else;

mod bake;
mod command;
mod compose;
mod documents;
mod expand;
mod functions;
mod partial;
mod shell;
mod workflows;
mod yaml;

pub use partial::{PartialText, TextPart};

/// The size of the largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The number of builds, arguments, and references of one file that are read.
const MAX_VALUES_PER_FILE: usize = 100_000;

/// The number of combinations that the matrices of one file have at most.
const MAX_COMBINATIONS: usize = 10_000;

/// Directories with files of other projects.
const SKIPPED_DIRECTORIES: [&str; 3] = [".git", "node_modules", "vendor"];

/// The line of a file that describes a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildOrigin {
    /// The file.
    pub file: RelPath,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for BuildOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A build of an image, as a file of the repository describes it. Its Dockerfile exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedBuild {
    /// Where the build is described.
    pub origin: BuildOrigin,
    /// The name of the Compose service or the bake target.
    pub name: Option<String>,
    /// The Dockerfile.
    pub dockerfile: RelPath,
    /// The context, or `None` if it is unknown or not a directory of the repository.
    pub context: Option<RelPath>,
    /// The target stage.
    pub target: Option<String>,
    /// The build arguments with known values.
    pub args: BTreeMap<String, String>,
    /// The tags and names of the image.
    pub references: Vec<PartialText>,
    /// The named contexts with known values: a directory relative to the root, or another source, such as
    /// `docker-image://NAME` or `service:NAME`. `target:NAME` is the build with this name in the same file.
    pub contexts: BTreeMap<String, String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// Whether it is only in documentation, which can also show how users build images of their own.
    pub is_example: bool,
}

/// A file, or a part of it, that was not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFileProblem {
    /// The file and the line.
    pub origin: BuildOrigin,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for BuildFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Returns the builds that the files below `root` describe, in the order of the files, and what could not be
/// read.
pub fn find(root: &Path) -> (Vec<DescribedBuild>, Vec<BuildFileProblem>) {
    let mut reader = BuildFileReader::new(root);
    let files = list(root);
    compose::read(&mut reader, &files);
    bake::read(&mut reader, &files);
    workflows::read(&mut reader, &files);
    shell::read(&mut reader, &files);
    documents::read(&mut reader, &files);
    reader.builds.sort_by(|a, b| a.origin.cmp(&b.origin));
    reader.builds.dedup();
    reader.problems.dedup();
    (reader.builds, reader.problems)
}

/// Returns the files of the repository, sorted, without those that git ignores.
fn list(root: &Path) -> Vec<RelPath> {
    let is_kept = |entry: &DirEntry| {
        let name = entry.file_name().to_str();
        !name.is_some_and(|name| SKIPPED_DIRECTORIES.contains(&name))
    };
    let walk =
        WalkBuilder::new(root).hidden(false).require_git(false).filter_entry(is_kept).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let below_root = |entry: DirEntry| RelPath::from_path(entry.path().strip_prefix(root).ok()?);
    let mut found: Vec<RelPath> = files.filter_map(below_root).collect();
    found.sort_unstable();
    found
}

/// What a file says where a context is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ContextSource {
    /// A directory of the repository.
    Directory(RelPath),
    /// A URL, another source, or a directory outside the repository.
    Elsewhere,
    /// A text with unknown parts.
    Unknown,
}

impl ContextSource {
    /// Returns what a text means as a context, relative to `base`.
    fn of(text: &PartialText, base: &RelPath) -> ContextSource {
        let Some(text) = text.as_known() else { return ContextSource::Unknown };
        match base.join(text) {
            Some(path) if !is_remote(text) => ContextSource::Directory(path),
            _ => ContextSource::Elsewhere,
        }
    }
}

/// Returns whether a context is not a path: a URL, standard input, or another target, service, or image.
fn is_remote(text: &str) -> bool {
    text == "-"
        || text.starts_with('/')
        || text.contains("://")
        || ["git@", "github.com/", "target:", "service:", "oci-layout:"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

/// Returns the text of a named context, with a directory relative to the root.
fn named_context(text: &PartialText, base: &RelPath) -> Option<String> {
    match ContextSource::of(text, base) {
        ContextSource::Directory(path) => Some(path.as_str().to_owned()),
        ContextSource::Elsewhere => {
            text.as_known().filter(|text| is_remote(text)).map(str::to_owned)
        }
        ContextSource::Unknown => None,
    }
}

/// Returns the entries whose values are known.
fn known_values(values: &BTreeMap<String, PartialText>) -> BTreeMap<String, String> {
    let known =
        |(name, value): (&String, &PartialText)| Some((name.clone(), value.as_known()?.to_owned()));
    values.iter().filter_map(known).collect()
}

/// Returns the texts that are known.
fn known_texts(values: &[PartialText]) -> Vec<String> {
    values.iter().filter_map(PartialText::as_known).map(str::to_owned).collect()
}

/// Reads files below the root and collects what they describe.
struct BuildFileReader<'a> {
    root: &'a Path,
    builds: Vec<DescribedBuild>,
    problems: Vec<BuildFileProblem>,
    values: BTreeMap<RelPath, usize>,
    combinations: BTreeMap<RelPath, usize>,
}

impl<'a> BuildFileReader<'a> {
    fn new(root: &'a Path) -> BuildFileReader<'a> {
        {
            let (builds, problems) = (Vec::new(), Vec::new());
            let (values, combinations) = (BTreeMap::new(), BTreeMap::new());
            BuildFileReader { root, builds, problems, values, combinations }
        }
    }

    /// Returns the text of a file, or `None` after reporting why it is not read.
    fn read(&mut self, path: &RelPath) -> Option<String> {
        let on_disk = path.under(self.root);
        let result = match what_else(&on_disk) {
            Some(kind) => Err(format!("not read: it is {kind}")),
            None => match fs::metadata(&on_disk) {
                Ok(found) if found.len() > MAX_BYTES => {
                    Err("not read: it is larger than 1 MiB".to_owned())
                }
                _ => fs::read(&on_disk).map_err(|error| format!("not read: {error}")),
            },
        };
        match result {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(message) => {
                self.report(path, 1, message);
                None
            }
        }
    }

    fn report(&mut self, file: &RelPath, line: u32, message: impl Into<String>) {
        let origin = BuildOrigin { file: file.clone(), line };
        self.problems.push(BuildFileProblem { origin, message: message.into() });
    }

    /// Counts combinations of a matrix or a loop. Returns whether the file has at most the limit.
    fn allows(&mut self, origin: &BuildOrigin, combinations: usize) -> bool {
        let counted = self.combinations.entry(origin.file.clone()).or_default();
        let was_within = *counted <= MAX_COMBINATIONS;
        *counted = counted.saturating_add(combinations);
        let is_within = *counted <= MAX_COMBINATIONS;
        if was_within && !is_within {
            let message = "the rest is not read: its matrices and loops have too many combinations";
            self.report(&origin.file, origin.line, message);
        }
        is_within
    }

    fn is_file(&self, path: &RelPath) -> bool {
        path.under(self.root).is_file()
    }

    /// Returns the Dockerfile with this path relative to `directory`, if it exists.
    fn dockerfile(&self, directory: &RelPath, path: Option<&str>) -> Option<RelPath> {
        let names: &[&str] = match &path {
            Some(path) => &[path],
            None => &["Dockerfile", "Containerfile"],
        };
        let paths = names.iter().filter_map(|name| directory.join(name));
        paths.into_iter().find(|path| self.is_file(path))
    }

    /// Adds a build, unless its file describes too many.
    fn add(&mut self, build: DescribedBuild) {
        let size = 1 + build.args.len() + build.references.len() + build.contexts.len();
        let values = self.values.entry(build.origin.file.clone()).or_default();
        let is_within = *values <= MAX_VALUES_PER_FILE;
        *values += size;
        if *values <= MAX_VALUES_PER_FILE {
            self.builds.push(build);
        } else if is_within {
            self.report(
                &build.origin.file,
                build.origin.line,
                "the rest is not read: it describes too many builds",
            );
        }
    }
}

#[cfg(test)]
mod tests;
