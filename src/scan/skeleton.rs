//! A revision's files that say what the images are, laid out in a temporary directory.
//!
//! Owns which files those are: the configuration, all that may be a Dockerfile by the revision's
//! own configuration, ignore files, symlinks and directories. So a revision is read by the same code
//! as the work tree, and not one of the many files of its contexts is written. Files are written as a
//! checkout would write them; where git takes a file of the work tree to be unchanged, that is the file
//! as it is on the disk.

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
use super::git::{FileKind, Landing, Local, Snapshot};
use super::{glob, groups};

/// The directory, which is removed with this.
#[derive(Debug)]
pub struct Skeleton {
    _directory: tempfile::TempDir,
    top: PathBuf,
    root: PathBuf,
}

/// The work tree beside which a revision is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Its files.
    pub snapshot: &'a Snapshot,
    /// What it has that git does not know.
    pub local: &'a Local,
}

const UNWRITABLE: &str = "can't write to the temporary directory";

impl Skeleton {
    /// Lays out the files of a revision, and those that the work tree has though git ignores them. The
    /// directory is called as the top of git's work tree is: names are inferred from it.
    ///
    /// # Errors
    /// Where git can't be asked, or the directory can't be written.
    pub fn lay_out(snapshot: &Snapshot, beside: Option<Beside<'_>>) -> anyhow::Result<Skeleton> {
        let directory = tempfile::tempdir().context("can't make a temporary directory")?;
        let name = snapshot.top.file_name().unwrap_or(OsStr::new("repository"));
        let top = directory.path().join(name);
        let root = top.join(&snapshot.root);
        fs::create_dir_all(&root).context("can't make a temporary directory")?;
        let skeleton = Skeleton { _directory: directory, top, root };
        skeleton.make_directories(snapshot).context(UNWRITABLE)?;
        skeleton.write_links(snapshot).context(UNWRITABLE)?;
        snapshot.copy_excludes(&skeleton.top)?;
        if let Some(beside) = beside {
            skeleton.write_local(snapshot, beside).context(UNWRITABLE)?;
        }
        let unchanged = beside.map(|beside| beside.snapshot);
        let unchanged = unchanged.filter(|it| it.has_attributes_of(snapshot));
        let config = snapshot.path_of(config::FILE_NAME);
        skeleton.write_files(snapshot, unchanged, &|path| path == config)?;
        let (file, _) = config::read(&skeleton.root)?;
        let wanted = Wanted::of(snapshot, &file);
        skeleton.write_files(snapshot, unchanged, &|path| wanted.has(path))?;
        Ok(skeleton)
    }

    /// The root of `layers` in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All directories that hold files, since contexts are looked for.
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

    /// The links. One that leaves the repository goes on leading where it leads from there, and one that
    /// comes back into it by the repository's own path leads into this directory.
    fn write_links(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        for (path, text) in &snapshot.links {
            if snapshot.files.contains_key(path) {
                symlink(self.target_of(snapshot, path, text), self.top.join(path))?;
            }
        }
        Ok(())
    }

    /// What a link has to say here to lead where it leads in the repository.
    fn target_of(&self, snapshot: &Snapshot, path: &OsStr, text: &OsStr) -> PathBuf {
        let bytes = text.as_bytes();
        let climbs = bytes.split(|byte| *byte == b'/').any(|part| part == b"..");
        match if climbs || bytes.starts_with(b"/") { snapshot.resolve(path) } else { Landing::Loop }
        {
            Landing::Inside(path) => self.top.join(path),
            Landing::Outside(path) => path,
            Landing::Loop => PathBuf::from(text),
        }
    }

    /// What git does not know, where the revision has nothing in its place, and no link on the way.
    fn write_local(&self, snapshot: &Snapshot, beside: Beside<'_>) -> std::io::Result<()> {
        let free = |path: &OsStr| -> std::io::Result<Option<PathBuf>> {
            let above = Path::new(path).parent().unwrap_or(Path::new("")).as_os_str();
            let is_reached = snapshot.resolve(above) == Landing::Inside(above.to_owned());
            let at = self.top.join(path);
            let is_taken = snapshot.files.contains_key(path) || fs::symlink_metadata(&at).is_ok();
            if !is_reached || is_taken {
                return Ok(None);
            }
            // A file of the revision may be where the work tree has a directory.
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

    /// Writes the files whose paths are wanted, and those to which wanted symlinks lead.
    fn write_files(
        &self,
        snapshot: &Snapshot,
        unchanged: Option<&Snapshot>,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> anyhow::Result<()> {
        let mut chosen: BTreeSet<&OsStr> = BTreeSet::new();
        for path in snapshot.files.keys().filter(|path| wanted(path)) {
            let target = if snapshot.links.contains_key(path) {
                let Some(target) = snapshot.resolve(path).inside() else { continue };
                snapshot.files.get_key_value(&target)
            } else {
                snapshot.files.get_key_value(path)
            };
            let target = target.filter(|(_, file)| file.is_regular());
            chosen.extend(target.map(|(path, _)| path.as_os_str()));
        }
        let is_kept = |path: &OsStr| {
            let (was, now) = (snapshot.files.get(path), unchanged?.files.get(path)?);
            let is_same = now.on_disk && now.blob.is_some() && now.blob == was?.blob;
            (is_same && now.is_regular()).then_some(unchanged?.top.join(path))
        };
        let copies: Vec<(&OsStr, PathBuf)> =
            chosen.iter().filter_map(|path| Some((*path, is_kept(path)?))).collect();
        let copied: Vec<&OsStr> = copies
            .par_iter()
            .filter(|(path, from)| fs::copy(from, self.top.join(path)).is_ok())
            .map(|(path, _)| *path)
            .collect();
        for path in copied {
            chosen.remove(path);
        }
        snapshot.check_out(&self.top, &chosen.into_iter().collect::<Vec<_>>())
    }
}

/// What may be read to know the images of a revision.
struct Wanted {
    root: OsString,
    /// What the last parts of globs match: what a linked directory holds has other paths, too.
    names: Vec<Regex>,
    finds: Box<dyn Fn(&str) -> bool>,
    /// Directories that links lead to, where anything below may be found.
    linked: Vec<OsString>,
    /// Files that are named, and what links on the way to them lead to.
    named: BTreeSet<OsString>,
}

impl Wanted {
    fn of(snapshot: &Snapshot, file: &ConfigFile) -> Wanted {
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
        let named = images.filter_map(|path| crate::base::RelPath::new(path.get_ref()));
        let graph = crate::base::RelPath::new(GRAPH);
        let named = named
            .chain(graph)
            .filter_map(|path| snapshot.resolve(&snapshot.path_of(path.as_str())).inside());
        Wanted {
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

/// The committed lock of the graph, whose pins count.
const GRAPH: &str = "graph.json";
