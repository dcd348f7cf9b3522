//! The files of a revision that define its images, written to a temporary directory.
//!
//! Owns the selection of those files: the configuration, all possible Dockerfiles according to the
//! revision's own configuration, ignore files, symlinks, and directories. A revision can thus be
//! read by the same code as the work tree, without writing the many files of its contexts. Files
//! are written as a checkout would write them. A file that git considers unchanged in the work tree
//! is copied from the disk.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use regex::Regex;

use super::config::{self, ConfigFile};
use super::context::lies_in;
use super::dockerfiles::DEFAULT_GLOBS;
use super::git::{FileKind, Local, ResolvedPath, Snapshot};
use super::{glob, groups};
use crate::base::RelPath;

/// The temporary directory, which is removed on drop.
#[derive(Debug)]
pub struct Skeleton {
    _directory: tempfile::TempDir,
    top: PathBuf,
    root: PathBuf,
}

/// The work tree that belongs to a revision.
#[derive(Debug, Clone, Copy)]
pub struct WorkTree<'a> {
    /// The files of the work tree.
    pub snapshot: &'a Snapshot,
    /// The files that git ignores.
    pub local: &'a Local,
}

const UNWRITABLE: &str = "can't write to the temporary directory";

impl Skeleton {
    /// Writes the files of a revision, and those of the work tree that git ignores. The directory
    /// has the same name as the top of git's work tree, because names are inferred from it.
    ///
    /// # Errors
    /// Returns an error if git cannot be run or if the directory cannot be written.
    pub fn lay_out(
        snapshot: &Snapshot,
        settings: &RelPath,
        beside: Option<WorkTree<'_>>,
    ) -> anyhow::Result<Skeleton> {
        let directory = tempfile::tempdir().context("can't create a temporary directory")?;
        let name = snapshot.top.file_name().unwrap_or(OsStr::new("repository"));
        let top = directory.path().join(name);
        let root = top.join(&snapshot.root);
        fs::create_dir_all(&root).context("can't create a temporary directory")?;
        let skeleton = Skeleton { _directory: directory, top, root };
        skeleton.make_directories(snapshot).context(UNWRITABLE)?;
        skeleton.write_links(snapshot).context(UNWRITABLE)?;
        snapshot.copy_excludes(&skeleton.top)?;
        if let Some(beside) = beside {
            skeleton.write_local(snapshot, beside).context(UNWRITABLE)?;
        }
        let unchanged = beside.map(|beside| beside.snapshot);
        let unchanged = unchanged.filter(|it| it.has_attributes_of(snapshot));
        let config = snapshot.path_of(settings.as_str());
        skeleton.write_files(snapshot, unchanged, &|path| path == config)?;
        let (file, _) = config::read(&skeleton.root, settings)?;
        let required_files = RequiredFiles::of(snapshot, &file);
        skeleton.write_files(snapshot, unchanged, &|path| required_files.has(path))?;
        Ok(skeleton)
    }

    /// Returns the root of the workspace in the temporary directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates all directories that contain files, because they can be contexts.
    fn make_directories(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        let mut last = None;
        for (path, file) in &snapshot.files {
            let path = Path::new(path);
            let is_submodule = file.kind == FileKind::Submodule;
            let directory = if is_submodule { Some(path) } else { path.parent() };
            if directory != last {
                fs::create_dir_all(self.top.join(directory.unwrap_or(Path::new(""))))?;
                last = directory;
            }
        }
        Ok(())
    }

    /// Creates the symlinks. One that points out of the repository keeps its target, and one that
    /// returns to it by the repository's own path points into this directory.
    fn write_links(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        for (path, text) in &snapshot.links {
            if snapshot.files.contains_key(path) {
                symlink(self.target_of(snapshot, path, text), self.top.join(path))?;
            }
        }
        Ok(())
    }

    /// Returns the target that a symlink needs here to resolve as in the repository.
    fn target_of(&self, snapshot: &Snapshot, path: &OsStr, text: &OsStr) -> PathBuf {
        let bytes = text.as_bytes();
        let climbs = bytes.split(|byte| *byte == b'/').any(|part| part == b"..");
        match if climbs || bytes.starts_with(b"/") {
            snapshot.resolve(path)
        } else {
            ResolvedPath::Loop
        } {
            ResolvedPath::Inside(path) => self.top.join(path),
            ResolvedPath::Outside(path) => path,
            ResolvedPath::Loop => PathBuf::from(text),
        }
    }

    /// Copies what git ignores, unless the revision has something at the path or a symlink on it.
    fn write_local(&self, snapshot: &Snapshot, beside: WorkTree<'_>) -> std::io::Result<()> {
        let free = |path: &OsStr| -> std::io::Result<Option<PathBuf>> {
            let above = Path::new(path).parent().unwrap_or(Path::new("")).as_os_str();
            let is_reached = snapshot.resolve(above) == ResolvedPath::Inside(above.to_owned());
            let at = self.top.join(path);
            let is_taken = snapshot.files.contains_key(path) || fs::symlink_metadata(&at).is_ok();
            if !is_reached || is_taken {
                return Ok(None);
            }
            // The revision may have a file where the work tree has a directory.
            let is_made = fs::create_dir_all(self.top.join(above)).is_ok();
            Ok(is_made.then_some(at))
        };
        for (path, text) in &beside.local.links {
            if let Some(at) = free(path)? {
                symlink(self.target_of(snapshot, path, text), at)?;
            }
        }
        for path in &beside.local.files {
            if let Some(at) = free(path)? {
                fs::copy(beside.snapshot.top.join(path), at)?;
            }
        }
        Ok(())
    }

    /// Writes the files whose paths are selected, and the targets of selected symlinks.
    fn write_files(
        &self,
        snapshot: &Snapshot,
        unchanged: Option<&Snapshot>,
        is_selected: &dyn Fn(&OsStr) -> bool,
    ) -> anyhow::Result<()> {
        let mut selected: BTreeSet<&OsStr> = BTreeSet::new();
        for path in snapshot.files.keys().filter(|path| is_selected(path)) {
            let target = if snapshot.links.contains_key(path) {
                let Some(target) = snapshot.resolve(path).inside() else { continue };
                snapshot.files.get_key_value(&target)
            } else {
                snapshot.files.get_key_value(path)
            };
            let target = target.filter(|(_, file)| file.is_regular());
            selected.extend(target.map(|(path, _)| path.as_os_str()));
        }
        let is_kept = |path: &OsStr| {
            let (was, now) = (snapshot.files.get(path), unchanged?.files.get(path)?);
            let is_same = now.on_disk && now.blob.is_some() && now.blob == was?.blob;
            (is_same && now.is_regular()).then_some(unchanged?.top.join(path))
        };
        let copies: Vec<(&OsStr, PathBuf)> =
            selected.iter().filter_map(|path| Some((*path, is_kept(path)?))).collect();
        let copied: Vec<&OsStr> = copies
            .par_iter()
            .filter(|(path, from)| fs::copy(from, self.top.join(path)).is_ok())
            .map(|(path, _)| *path)
            .collect();
        for path in copied {
            selected.remove(path);
        }
        snapshot.check_out(&self.top, &selected.into_iter().collect::<Vec<_>>())
    }
}

/// The files that may be read to determine the images of a revision.
struct RequiredFiles {
    root: OsString,
    /// The last parts of globs. The files of a linked directory also have other paths.
    names: Vec<Regex>,
    finds: Box<dyn Fn(&str) -> bool>,
    /// The targets of symlinks, if Dockerfiles may be found at any depth below them.
    linked: Vec<OsString>,
    /// Files named in the configuration, with symlinks resolved.
    named: BTreeSet<OsString>,
}

impl RequiredFiles {
    fn of(snapshot: &Snapshot, file: &ConfigFile) -> RequiredFiles {
        let mut globs = file.globs(&DEFAULT_GLOBS);
        let groups = file.config.group.iter().map(toml::Spanned::get_ref);
        let is_pattern =
            |group: &config::Group| group.pattern.is_some() && group.dockerfiles.is_empty();
        let mut is_deep = groups.clone().any(is_pattern);
        globs.extend(groups.flat_map(|it| &it.dockerfiles).map(|glob| glob.get_ref().as_str()));
        let mut names = Vec::new();
        for glob in &globs {
            let last = glob.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
            is_deep |= last.contains("**");
            names.extend(glob::compile(last).ok().filter(|_| !last.contains("**")));
        }
        let targets =
            || snapshot.links.keys().filter_map(|it| snapshot.resolve(it).inside()).collect();
        let images = file.config.image.values().filter_map(|image| image.dockerfile.as_ref());
        let named = images.filter_map(|path| RelPath::new(path.get_ref()));
        let graph = RelPath::new(GRAPH);
        let named = named
            .chain(graph)
            .filter_map(|path| snapshot.resolve(&snapshot.path_of(path.as_str())).inside());
        RequiredFiles {
            root: snapshot.root.clone(),
            names,
            finds: Box::new(groups::finder(file)),
            linked: if is_deep { targets() } else { Vec::new() },
            named: named.collect(),
        }
    }

    fn has(&self, path: &OsStr) -> bool {
        let bytes = path.as_bytes();
        let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
        if name.ends_with(b".dockerignore") || matches!(name, b".gitignore" | b".ignore") {
            return true;
        }
        let is_below =
            |directory: &OsString| directory.is_empty() || lies_in(directory.as_bytes(), bytes);
        let is_named = std::str::from_utf8(name)
            .is_ok_and(|name| self.names.iter().any(|regex| regex.is_match(name)));
        let below_root = Path::new(path).strip_prefix(&self.root).ok().and_then(Path::to_str);
        let below_root = below_root.filter(|path| !path.is_empty());
        is_named
            || below_root.is_some_and(|path| (self.finds)(path))
            || self.named.contains(path)
            || self.linked.iter().any(is_below)
    }
}

/// The committed lock file, whose pins apply.
const GRAPH: &str = "graph.json";
