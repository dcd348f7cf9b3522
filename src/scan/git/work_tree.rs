//! The files of the work tree as git sees it: tracked files, and untracked ones that are not
//! ignored.
//!
//! Owns the decision which files are unchanged. Those have the content and the mode of the index,
//! whatever is on disk. Files marked as assume-unchanged do not count as unchanged. Submodules are
//! read as work trees of their own.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::contents::hash_files;
use super::revision::paths_above;
use super::snapshot::{File, FileKind, Snapshot, is_there};
use super::{Caller, Git, UNREADABLE, join, split, split_once};

/// The output of git for a work tree.
struct GitListing {
    tracked: Vec<u8>,
    changed: Vec<u8>,
    others: Vec<u8>,
}

/// An entry of the index.
struct TrackedFile<'a> {
    path: &'a OsStr,
    mode: &'a [u8],
    blob: String,
    /// Whether git examines the disk to determine that the file is unchanged.
    is_looked_at: bool,
    /// Whether git expects the file to be absent from the work tree.
    is_skipped: bool,
}

impl Snapshot {
    /// Reads all files of the work tree below the root of the workspace, or of the whole repository
    /// if a symlink points out of the root.
    ///
    /// # Errors
    /// Returns an error if git cannot be run.
    pub fn of_work_tree(git: &Git) -> anyhow::Result<Snapshot> {
        let below = Snapshot::read_work_tree(git, false)?;
        if below.leaves_root() { Snapshot::read_work_tree(git, true) } else { Ok(below) }
    }

    fn read_work_tree(git: &Git, is_whole: bool) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::empty(git, true);
        let (caller, prefix) = git.lister(is_whole);
        let listed = list(caller)?;
        let mut nested = snapshot.add_listed(0, prefix, &listed)?;
        if !is_whole && !git.root.is_empty() {
            snapshot.add_above(&git.root)?;
        }
        while let Some(path) = nested.pop() {
            let Some(module) = snapshot.modules[0].checked_out(&path)? else { continue };
            let listed = list(&module.caller)?;
            snapshot.modules.push(module);
            let number = snapshot.modules.len() - 1;
            nested.extend(snapshot.add_listed(number, &path, &listed)?);
        }
        let links = snapshot.files.iter().filter(|(_, file)| file.kind == FileKind::Symlink);
        let texts = links.filter_map(|(path, _)| {
            let text = fs::read_link(snapshot.top.join(path)).ok()?;
            Some((path.clone(), text.into_os_string()))
        });
        snapshot.links = texts.collect();
        Ok(snapshot)
    }

    /// Adds the files that git lists for a module, with a prefix. Returns the paths of nested
    /// repositories.
    fn add_listed(
        &mut self,
        module: usize,
        prefix: &OsStr,
        listed: &GitListing,
    ) -> anyhow::Result<Vec<OsString>> {
        let changed: HashSet<&[u8]> = split(&listed.changed).collect();
        let mut nested = Vec::new();
        for line in split(&listed.tracked) {
            let tracked = TrackedFile::read(line)?;
            let path = join(prefix, tracked.path);
            if tracked.mode == b"160000" {
                if let Some(path) = self.add_submodule(module, path, tracked.blob) {
                    nested.push(path);
                }
                continue;
            }
            let is_changed = changed.contains(tracked.path.as_bytes()) || !tracked.is_looked_at;
            let file = if is_changed {
                self.on_disk(module, &path, &tracked)
            } else {
                let kind = self.kind_of(module, tracked.mode);
                Some(File { kind, blob: Some(tracked.blob), on_disk: true, module })
            };
            self.files.extend(file.map(|file| (path, file)));
        }
        for path in split(&listed.others) {
            // git lists only the directory of a nested repository.
            if let Some(directory) = path.strip_suffix(b"/") {
                nested.push(join(prefix, OsStr::from_bytes(directory)));
                continue;
            }
            let path = join(prefix, OsStr::from_bytes(path));
            let kind = self.kind_on_disk(module, &path, b"100644");
            let file = kind.map(|kind| File { kind, blob: None, on_disk: true, module });
            self.files.extend(file.map(|file| (path, file)));
        }
        Ok(nested)
    }

    /// Returns a tracked file that differs, or may differ, from the index.
    fn on_disk(&self, module: usize, path: &OsStr, tracked: &TrackedFile<'_>) -> Option<File> {
        match self.kind_on_disk(module, path, tracked.mode) {
            Some(kind) => Some(File { kind, blob: None, on_disk: true, module }),
            // A file that a sparse checkout omits is as in the index.
            None if tracked.is_skipped && self.modules[module].settings.sparse => {
                let kind = self.kind_of(module, tracked.mode);
                let blob = Some(tracked.blob.clone());
                Some(File { kind, blob, on_disk: false, module })
            }
            None => None,
        }
    }

    /// Adds a submodule of the index. Returns its path if its files are present.
    fn add_submodule(&mut self, module: usize, path: OsString, commit: String) -> Option<OsString> {
        let found = is_there(&self.top, &path)?;
        if !found.is_dir() {
            let kind = self.kind_on_disk(module, &path, b"100644")?;
            self.files.insert(path, File { kind, blob: None, on_disk: true, module });
            return None;
        }
        if matches!(self.modules[0].checked_out(&path), Ok(Some(_))) {
            return Some(path);
        }
        let (kind, blob) = (FileKind::Submodule, Some(commit));
        self.files.insert(path, File { kind, blob, on_disk: true, module });
        None
    }

    fn kind_of(&self, module: usize, mode: &[u8]) -> FileKind {
        match mode {
            b"120000" if self.modules[module].settings.symlinks => FileKind::Symlink,
            b"100755" => FileKind::Executable,
            _ => FileKind::Plain,
        }
    }

    /// Returns the kind of a path on disk, or `None` if it is neither a file nor a symlink.
    fn kind_on_disk(&self, module: usize, path: &OsStr, mode: &[u8]) -> Option<FileKind> {
        let found = is_there(&self.top, path)?;
        let kind = found.file_type();
        if kind.is_symlink() {
            return Some(FileKind::Symlink);
        }
        let can_execute = match self.modules[module].settings.file_mode {
            true => found.permissions().mode() & 0o100 != 0,
            false => mode == b"100755",
        };
        let kind_of_file = if can_execute { FileKind::Executable } else { FileKind::Plain };
        kind.is_file().then_some(kind_of_file)
    }

    /// Adds the files above the root that affect files below it.
    fn add_above(&mut self, root: &OsStr) -> anyhow::Result<()> {
        let there = |path: &OsString| is_there(&self.top, path).is_some_and(|it| it.is_file());
        let above: Vec<OsString> = paths_above(root).filter(there).collect();
        let paths: Vec<&OsStr> = above.iter().map(OsString::as_os_str).collect();
        let ids = hash_files(&self.modules[0].caller, &self.top, &paths)?;
        for (path, blob) in above.into_iter().zip(ids) {
            let file = File { kind: FileKind::Plain, blob, on_disk: true, module: 0 };
            self.files.insert(path, file);
        }
        Ok(())
    }
}

impl TrackedFile<'_> {
    fn read(line: &[u8]) -> anyhow::Result<TrackedFile<'_>> {
        // `H 100644 0123… 0\tpath`
        let (facts, path) = split_once(line, b'\t').context(UNREADABLE)?;
        let mut facts = facts.split(|byte| *byte == b' ');
        let facts = (facts.next(), facts.next(), facts.next(), facts.next());
        let (Some([tag, ..]), Some(mode), Some(blob), Some(stage)) = facts else {
            anyhow::bail!(UNREADABLE);
        };
        Ok(TrackedFile {
            path: OsStr::from_bytes(path),
            mode,
            blob: String::from_utf8_lossy(blob).into_owned(),
            is_looked_at: tag.is_ascii_uppercase() && *tag != b'S' && stage == b"0",
            is_skipped: tag.eq_ignore_ascii_case(&b'S'),
        })
    }
}

/// Runs three slow commands in parallel.
fn list(caller: &Caller) -> anyhow::Result<GitListing> {
    let query = |words: &str| caller.query(&words.split(' ').collect::<Vec<_>>(), None);
    let changed = "diff --name-only -z --no-renames --no-ext-diff --relative \
                   --ignore-submodules=all -- .";
    let (tracked, (changed, others)) = rayon::join(
        || query("ls-files -z -v --stage -- ."),
        || rayon::join(|| query(changed), || query("ls-files -z --others --exclude-standard -- .")),
    );
    Ok(GitListing { tracked: tracked?, changed: changed?, others: others? })
}

/// Returns the target of a path on disk if it is a symlink.
pub(super) fn link_on_disk(top: &Path, path: &OsStr) -> Option<OsString> {
    is_there(top, path).filter(fs::Metadata::is_symlink)?;
    fs::read_link(top.join(path)).ok().map(PathBuf::into_os_string)
}
