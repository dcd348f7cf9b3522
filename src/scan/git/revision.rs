//! The files of a revision, including those of its submodules' commits.
//!
//! Owns reading trees and the targets of symlinks. A submodule whose commit is not present, or that
//! is not checked out, remains a single entry.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::Context;

use super::module::Module;
use super::snapshot::{File, FileKind, Snapshot, is_there};
use super::{Git, UNREADABLE, join, split, split_once};

/// The names of files above the root of the workspace that affect files below it.
pub(super) const ABOVE: [&str; 3] = [".gitattributes", ".gitignore", ".ignore"];

impl Snapshot {
    /// Reads all files of a tree below the root of the workspace, or of the whole repository if a
    /// symlink points out of the root.
    ///
    /// # Errors
    /// Returns an error if git cannot be run.
    pub fn of_revision(git: &Git, tree: &str) -> anyhow::Result<Snapshot> {
        let below = Snapshot::read_revision(git, tree, false)?;
        if below.leaves_root() { Snapshot::read_revision(git, tree, true) } else { Ok(below) }
    }

    fn read_revision(git: &Git, tree: &str, is_whole: bool) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot::empty(git, false);
        let (caller, prefix) = git.lister(is_whole);
        let listed = caller.query(&["ls-tree", "-r", "-z", tree], None)?;
        let mut submodules = snapshot.add_tree(0, prefix, &listed)?;
        if !is_whole && !git.root.is_empty() {
            let mut words: Vec<OsString> =
                ["ls-tree", "-z", "--full-tree", tree, "--"].map(OsString::from).to_vec();
            words.extend(paths_above(&git.root));
            let listed = git.main.caller.query(&words, None)?;
            snapshot.add_tree(0, OsStr::new(""), &listed)?;
        }
        while let Some((path, commit, around)) = submodules.pop() {
            let module = snapshot.find_module(&path, around)?;
            let tree = module.and_then(|module| {
                let words = ["ls-tree", "-r", "-z", "--full-tree", commit.as_str()];
                // A commit that was not fetched has no known files.
                Some((module.caller.query(&words, None).ok()?, module))
            });
            let Some((listed, module)) = tree else {
                let (kind, blob) = (FileKind::Submodule, Some(commit));
                let file = File { kind, blob, on_disk: false, module: around };
                snapshot.files.insert(path, file);
                continue;
            };
            snapshot.modules.push(module);
            let number = snapshot.modules.len() - 1;
            submodules.extend(snapshot.add_tree(number, &path, &listed)?);
        }
        snapshot.read_links()?;
        Ok(snapshot)
    }

    /// Adds the output of `ls-tree` with a prefix. Returns the submodules as path, commit, and
    /// index of the containing module.
    fn add_tree(
        &mut self,
        module: usize,
        prefix: &OsStr,
        listed: &[u8],
    ) -> anyhow::Result<Vec<(OsString, String, usize)>> {
        let has_links = self.modules[module].settings.symlinks;
        let mut submodules = Vec::new();
        for line in split(listed) {
            // `100644 blob 0123…\tpath`
            let (facts, path) = split_once(line, b'\t').context(UNREADABLE)?;
            let facts = std::str::from_utf8(facts).context(UNREADABLE)?;
            let mut facts = facts.split(' ');
            let (mode, id) = (facts.next(), facts.nth(1));
            let id = id.context(UNREADABLE)?.to_owned();
            let path = join(prefix, OsStr::from_bytes(path));
            let kind = match mode {
                Some("100755") => FileKind::Executable,
                Some("120000") if has_links => FileKind::Symlink,
                Some("160000") => {
                    submodules.push((path, id, module));
                    continue;
                }
                Some("040000") => continue,
                _ => FileKind::Plain,
            };
            self.files.insert(path, File { kind, blob: Some(id), on_disk: false, module });
        }
        Ok(submodules)
    }

    /// Returns the repository of a submodule if it is present.
    fn find_module(&self, path: &OsStr, around: usize) -> anyhow::Result<Option<Module>> {
        if let Some(module) = self.modules[0].checked_out(path)? {
            return Ok(Some(module));
        }
        if is_there(&self.top, path).is_some_and(|found| found.is_dir()) {
            // The work tree has the submodule without its files, and so would a checkout of the
            // revision.
            return Ok(None);
        }
        let around = &self.modules[around];
        let mut list = around.prefix.clone();
        list.push(".gitmodules");
        let list = self.files.get(&list).filter(|file| file.is_regular());
        let Some(id) = list.and_then(|file| file.blob.as_deref()) else { return Ok(None) };
        let text = around.caller.contents(&[id])?.pop().unwrap_or_default();
        let own = around.own_path(path);
        let name = around.names_in(&text).into_iter().find(|(path, _)| path == own);
        name.map_or(Ok(None), |(_, name)| around.kept(&name, path))
    }

    /// Reads the targets of all symlinks.
    fn read_links(&mut self) -> anyhow::Result<()> {
        let mut by_module: HashMap<usize, Vec<(&OsString, &str)>> = HashMap::new();
        for (path, file) in &self.files {
            if let (FileKind::Symlink, Some(blob)) = (file.kind, &file.blob) {
                by_module.entry(file.module).or_default().push((path, blob));
            }
        }
        let mut links = Vec::new();
        for (module, files) in by_module {
            let ids: Vec<&str> = files.iter().map(|(_, id)| *id).collect();
            let texts = self.modules[module].caller.contents(&ids)?;
            let texts = texts.into_iter().map(OsString::from_vec);
            links.extend(files.into_iter().map(|(path, _)| path.clone()).zip(texts));
        }
        self.links.extend(links);
        Ok(())
    }
}

/// Returns the possible paths of files above a root.
pub(super) fn paths_above(root: &OsStr) -> impl Iterator<Item = OsString> {
    let above = Path::new(root).ancestors().skip(1);
    above.flat_map(|it| ABOVE.map(|name| join(it.as_os_str(), OsStr::new(name))))
}
