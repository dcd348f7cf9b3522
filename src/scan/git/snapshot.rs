//! All files of one state of a repository as git sees it, including submodules.
//!
//! Owns resolving paths through the symlinks of that state, and listing directories. Paths are
//! relative to the top of git's work tree. Of paths outside of it, only the location is known.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::module::Module;
use super::{Git, join};
use crate::scan::context::lies_in;

/// The number of symlinks that the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// The files of a revision, or of the work tree without those that git ignores.
#[derive(Debug)]
pub struct Snapshot {
    /// All files and symlinks, and submodules without known files.
    pub files: BTreeMap<OsString, File>,
    /// The targets of the symlinks.
    pub links: BTreeMap<OsString, OsString>,
    /// Directories that exist without files that git knows.
    pub(super) directories: BTreeSet<OsString>,
    /// The repositories that the files belong to, starting with the main one.
    pub(super) modules: Vec<Module>,
    /// The top of git's work tree on disk.
    pub top: PathBuf,
    /// Whether the files are those on disk, at `top`.
    pub(super) is_work_tree: bool,
    /// The root of the workspace relative to the top; empty if they are the same.
    pub root: OsString,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The kind of the file.
    pub kind: FileKind,
    /// The id of its content in git, or `None` if the content on disk differs from that in the
    /// index.
    pub blob: Option<String>,
    /// Whether the file is on disk, in the work tree.
    pub on_disk: bool,
    /// The index of its module.
    pub(super) module: usize,
}

/// The kind of a file of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file that is not executable.
    Plain,
    /// An executable file.
    Executable,
    /// A symlink.
    Symlink,
    /// A submodule without known files. Its content is a commit.
    Submodule,
}

/// The result of resolving a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResolvedPath {
    /// A path in the repository that contains no symlinks. It does not necessarily exist.
    Inside(OsString),
    /// A path outside of the repository.
    Outside(PathBuf),
    /// Symlinks that form a loop.
    Loop,
}

impl ResolvedPath {
    /// Returns the path if it is in the repository.
    pub fn inside(self) -> Option<OsString> {
        match self {
            ResolvedPath::Inside(path) => Some(path),
            ResolvedPath::Outside(_) | ResolvedPath::Loop => None,
        }
    }
}

impl Snapshot {
    pub(super) fn empty(git: &Git, is_work_tree: bool) -> Snapshot {
        Snapshot {
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            directories: BTreeSet::new(),
            modules: vec![git.main.clone()],
            top: git.main.top().to_owned(),
            is_work_tree,
            root: git.root.clone(),
        }
    }

    /// Converts a path relative to the root of the workspace to one relative to the top.
    pub fn path_of(&self, below_root: &str) -> OsString {
        if below_root == "." {
            return self.root.clone();
        }
        join(&self.root, OsStr::new(below_root))
    }

    /// Resolves the symlinks in a path.
    pub fn resolve(&self, path: &OsStr) -> ResolvedPath {
        self.resolve_with(path, &mut |_| None)
    }

    /// Resolves the symlinks in a path. `link` can provide symlinks that the snapshot does not
    /// have; it is called for each path at which the snapshot has nothing.
    pub fn resolve_with(
        &self,
        path: &OsStr,
        link: &mut dyn FnMut(&OsStr) -> Option<OsString>,
    ) -> ResolvedPath {
        let mut at: Vec<u8> = Vec::new();
        let mut ahead: Vec<Vec<u8>> = parts(path.as_bytes());
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == b".." {
                if at.is_empty() {
                    let above = self.top.parent().unwrap_or(Path::new("/"));
                    match self.come_back(above, ahead) {
                        Ok(again) => ahead = again,
                        Err(outside) => return ResolvedPath::Outside(outside),
                    }
                }
                at.truncate(at.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                continue;
            }
            let before = at.len();
            if before > 0 {
                at.push(b'/');
            }
            at.extend_from_slice(&part);
            let here = OsStr::from_bytes(&at);
            let text = match self.links.get(here) {
                Some(text) => Some(text.clone()),
                None if self.holds(here) => None,
                None => link(here),
            };
            let Some(text) = text else { continue };
            links += 1;
            if links > MOST_LINKS {
                return ResolvedPath::Loop;
            }
            at.truncate(before);
            ahead.extend(parts(text.as_bytes()));
            if text.as_bytes().starts_with(b"/") {
                at.clear();
                match self.come_back(Path::new("/"), ahead) {
                    Ok(again) => ahead = again,
                    Err(outside) => return ResolvedPath::Outside(outside),
                }
            }
        }
        ResolvedPath::Inside(OsString::from_vec(at))
    }

    /// Follows the rest of a path from a directory outside of the repository. Returns the parts
    /// that remain once it is back at the top, or the path outside if it never returns. Symlinks
    /// outside are not followed.
    fn come_back(&self, from: &Path, mut ahead: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, PathBuf> {
        let mut at = from.to_owned();
        loop {
            if at == self.top {
                return Ok(ahead);
            }
            match ahead.pop() {
                None => return Err(at),
                Some(part) if part == b".." => drop(at.pop()),
                Some(part) => at.push(OsStr::from_bytes(&part)),
            }
        }
    }

    /// Returns whether there is a file, a symlink, or a directory at a path.
    pub fn holds(&self, path: &OsStr) -> bool {
        self.files.contains_key(path)
            || self.directories.contains(path)
            || self.below(path).next().is_some()
    }

    /// Returns all files below a directory with their paths in it.
    pub fn below(&self, directory: &OsStr) -> impl Iterator<Item = (&OsStr, &File)> {
        let prefix = as_prefix(directory);
        let from = self.files.range(prefix.clone()..);
        from.map_while(move |(path, file)| Some((strip_prefix(path, &prefix)?, file)))
    }

    /// Returns the directories without files below a directory, with their paths in it.
    pub fn empty_below(&self, directory: &OsStr) -> impl Iterator<Item = &OsStr> {
        let prefix = as_prefix(directory);
        let from = self.directories.range(prefix.clone()..);
        from.map_while(move |path| strip_prefix(path, &prefix))
    }

    /// Returns the submodule without known files that contains a path or is at that path.
    pub fn submodule_around(&self, path: &OsStr) -> Option<&File> {
        let mut around =
            Path::new(path).ancestors().filter_map(|it| self.files.get(it.as_os_str()));
        around.find(|file| file.kind == FileKind::Submodule)
    }

    /// Returns the prefix of the submodule or nested repository that contains a path, without the
    /// trailing `/`.
    pub fn nested_around(&self, path: &OsStr) -> Option<&OsStr> {
        let prefixes = self.modules.iter().skip(1).map(|module| module.prefix.as_bytes());
        let around = prefixes.filter(|prefix| path.as_bytes().starts_with(prefix));
        // The main repository knows the outermost one.
        let outermost = around.min_by_key(|prefix| prefix.len())?;
        Some(OsStr::from_bytes(&outermost[..outermost.len() - 1]))
    }

    /// Returns whether a symlink points out of the root of the workspace, but not out of the work
    /// tree.
    pub(super) fn leaves_root(&self) -> bool {
        let root = self.root.as_bytes();
        let is_inside = |path: &OsStr| path == self.root || lies_in(root, path.as_bytes());
        let leaves =
            |link: &OsString| self.resolve(link).inside().is_some_and(|it| !is_inside(&it));
        !self.root.is_empty() && self.links.keys().any(leaves)
    }

    /// Returns the files that set attributes.
    pub(super) fn attribute_files(&self) -> impl Iterator<Item = (&OsStr, &File)> + Clone {
        let is_one = |path: &OsStr| {
            let above = path.as_bytes().strip_suffix(b".gitattributes");
            above.is_some_and(|above| above.is_empty() || above.ends_with(b"/"))
        };
        let all = self.files.iter().map(|(path, file)| (path.as_os_str(), file));
        all.filter(move |(path, file)| is_one(path) && file.is_regular())
    }

    /// Returns whether both snapshots set the same attributes in their files.
    pub fn has_attributes_of(&self, other: &Snapshot) -> bool {
        let own = self.attribute_files().map(|(path, file)| (path, &file.blob));
        let others = other.attribute_files().map(|(path, file)| (path, &file.blob));
        own.clone().all(|(_, blob)| blob.is_some()) && own.eq(others)
    }

    /// Adds the directories of another state that are still on disk although their files are not.
    pub fn keep_directories(&mut self, then: &Snapshot) {
        let mut kept = BTreeSet::new();
        for path in then.files.keys().filter(|path| !self.files.contains_key(*path)) {
            for directory in Path::new(path).ancestors().skip(1).map(Path::as_os_str) {
                if directory.is_empty() || kept.contains(directory) || self.holds(directory) {
                    break;
                }
                if is_there(&self.top, directory).is_some_and(|found| found.is_dir()) {
                    kept.insert(directory.to_owned());
                }
            }
        }
        self.directories.extend(kept);
    }
}

impl File {
    /// Returns whether it is a file with content and not a symlink.
    pub fn is_regular(&self) -> bool {
        matches!(self.kind, FileKind::Plain | FileKind::Executable)
    }
}

/// Returns the metadata of a path on disk, or `None` if a symlink is on the path to it.
pub(super) fn is_there(top: &Path, path: &OsStr) -> Option<fs::Metadata> {
    let is_directory =
        |above: &Path| fs::symlink_metadata(top.join(above)).is_ok_and(|found| found.is_dir());
    let above = Path::new(path).ancestors().skip(1);
    let is_reached = above.into_iter().filter(|it| !it.as_os_str().is_empty()).all(is_directory);
    if is_reached { fs::symlink_metadata(top.join(path)).ok() } else { None }
}

/// Returns the parts of a path in reverse order.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').rev();
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

fn as_prefix(directory: &OsStr) -> OsString {
    let mut prefix = directory.to_owned();
    if !prefix.is_empty() {
        prefix.push("/");
    }
    prefix
}

fn strip_prefix<'a>(path: &'a OsStr, prefix: &OsStr) -> Option<&'a OsStr> {
    path.as_bytes().strip_prefix(prefix.as_bytes()).map(OsStr::from_bytes)
}
