//! Files in the work tree that git ignores but that define images: configuration, Dockerfiles,
//! ignore files, and symlinks on the paths to them.
//!
//! Owns the search for them. Ignored files do not count as changes, so a revision is assumed to
//! have them too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::snapshot::{ResolvedPath, Snapshot, is_there};
use super::work_tree::link_on_disk;

/// Files and symlinks of the work tree that git ignores, by their paths from its top.
#[derive(Debug, Default)]
pub struct Local {
    /// The files.
    pub files: BTreeSet<OsString>,
    /// The symlinks with their targets.
    pub links: BTreeMap<OsString, OsString>,
}

impl Local {
    /// Finds the files and symlinks that `paths` (from the top) resolve to or through, and that
    /// `snapshot` does not have.
    pub fn find(snapshot: &Snapshot, paths: &BTreeSet<OsString>) -> Local {
        let mut local = Local::default();
        for path in paths {
            let mut links = Vec::new();
            let landing = snapshot.resolve_with(path, &mut |path| {
                let text = link_on_disk(&snapshot.top, path)?;
                links.push((path.to_owned(), text.clone()));
                Some(text)
            });
            local.links.extend(links);
            if let ResolvedPath::Inside(path) = landing
                && !snapshot.files.contains_key(&path)
                && is_there(&snapshot.top, &path).is_some_and(|found| found.is_file())
            {
                local.files.insert(path);
            }
        }
        local
    }
}

impl Snapshot {
    /// Adds the symlinks that git ignores, unless the snapshot has something at their paths.
    pub fn take_links(&mut self, local: &Local) {
        for (path, text) in &local.links {
            if !self.holds(path) {
                self.links.insert(path.clone(), text.clone());
            }
        }
    }
}
