//! What the work tree has though git does not know it, as far as images are made by it: a configuration,
//! Dockerfiles, ignore files, and links on the way to them that git ignores.
//!
//! Owns finding them. What git ignores is no change, so a revision is taken to have them, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::snapshot::{Landing, Snapshot, is_there};
use super::work_tree::link_on_disk;

/// Files and links of the work tree that git ignores, by their paths from its top.
#[derive(Debug, Default)]
pub struct Local {
    /// Files.
    pub files: BTreeSet<OsString>,
    /// Links, with their texts.
    pub links: BTreeMap<OsString, OsString>,
}

impl Local {
    /// What `paths` (from the top) lead to or through, and `snapshot` does not have.
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
            if let Landing::Inside(path) = landing
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
    /// Takes links that git ignores, where it has nothing in their place.
    pub fn take_links(&mut self, local: &Local) {
        for (path, text) in &local.links {
            if !self.holds(path) {
                self.links.insert(path.clone(), text.clone());
            }
        }
    }
}
