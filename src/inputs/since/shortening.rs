//! Selection of an image's changes that are worth printing.
//!
//! Owns the shortening of the list: a submodule changes as a whole, and a directory that is added or removed along
//! with its files is left out.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use super::ComparedSides;
use crate::inputs::Change;
use crate::scan::git::Snapshot;

/// Returns the changes without those that others imply, in order.
pub(super) fn shorten(changes: Vec<Change>, sides: ComparedSides<'_>) -> Vec<Change> {
    let added = directories(&changes, |change| match change {
        Change::FileAdded { path } => Some(path),
        _ => None,
    });
    let removed = directories(&changes, |change| match change {
        Change::FileRemoved { path } => Some(path),
        _ => None,
    });
    let mut result: Vec<Change> = Vec::new();
    for change in changes {
        let is_implied = match &change {
            Change::FileAdded { path } => added.contains(path),
            Change::FileRemoved { path } => removed.contains(path),
            _ => false,
        };
        let change = as_submodule(change, sides);
        if !is_implied && !result.contains(&change) {
            result.push(change);
        }
    }
    result
}

/// Returns all directories that contain any of the paths.
fn directories(
    changes: &[Change],
    path_of: impl Fn(&Change) -> Option<&String>,
) -> BTreeSet<String> {
    let paths = changes.iter().filter_map(path_of);
    let slashes = |path: &String| -> Vec<String> {
        path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect()
    };
    paths.flat_map(slashes).collect()
}

/// Turns a change of a file in a submodule into a change of the submodule.
fn as_submodule(change: Change, sides: ComparedSides<'_>) -> Change {
    let (Change::FileChanged { path }
    | Change::FileAdded { path }
    | Change::FileRemoved { path }
    | Change::ModeChanged { path, .. }) = &change
    else {
        return change;
    };
    let around = |snapshot: &Snapshot| -> Option<String> {
        let full_path = snapshot.path_of(path);
        let around = snapshot.nested_around(&full_path)?;
        let root = snapshot.root.as_bytes();
        let below = around.as_bytes().strip_prefix(root)?;
        let below = below.strip_prefix(b"/").unwrap_or(below);
        Some(String::from_utf8_lossy(below).into_owned())
    };
    match around(sides.now.snapshot).or_else(|| around(sides.then.snapshot)) {
        Some(path) => Change::FileChanged { path },
        None => change,
    }
}
