//! The files of a context that is not on disk: a list of paths, filtered by the ignore file.
//!
//! Owns the same selection that a walk of the directory would make. Directories are those in the
//! paths, and modes are those in the list.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::context::{Context, ContextEntry, EntryKind, Stat, keep_parents, lies_in, walk_order};
use super::ignore_file::{IgnoreFile, IgnoreVerdict};

/// A path of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingEntry {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The permission bits.
    pub mode: u32,
}

/// Returns the context with the paths that `ignore` keeps. `root` is only the name of the context's
/// directory; nothing is read from it.
pub fn list(
    root: PathBuf,
    paths: &BTreeMap<OsString, ListingEntry>,
    ignore: &IgnoreFile,
) -> Context {
    let mut all: Vec<(&OsStr, ListingEntry)> = with_directories(paths);
    all.sort_unstable_by(|a, b| walk_order(a.0.as_bytes(), b.0.as_bytes()));
    // The directories on the path to an entry with their verdicts, or `None` for a directory that a
    // walk would not enter.
    let mut open: Vec<(&OsStr, Option<IgnoreVerdict>)> = Vec::new();
    let mut found = Vec::new();
    for (path, listed) in all {
        while open
            .last()
            .is_some_and(|(directory, _)| !lies_in(directory.as_bytes(), path.as_bytes()))
        {
            open.pop();
        }
        let verdict = match open.last() {
            Some((_, None)) => continue,
            Some((_, verdict)) => ignore.judge(path.as_bytes(), verdict.as_ref()),
            None => ignore.judge(path.as_bytes(), None),
        };
        let ignored = verdict.is_ignored();
        if listed.kind == EntryKind::Directory {
            let closed = ignored && ignore.can_skip(path.as_bytes(), &verdict);
            open.push((path, (!closed).then_some(verdict)));
            if closed {
                continue;
            }
        } else if ignored {
            continue;
        }
        let stat = Stat { mode: listed.mode, ..Stat::default() };
        found.push((ContextEntry { path: path.to_owned(), kind: listed.kind, stat }, ignored));
    }
    Context { root, entries: keep_parents(found), unreadable: Vec::new() }
}

fn with_directories(paths: &BTreeMap<OsString, ListingEntry>) -> Vec<(&OsStr, ListingEntry)> {
    let mut all: BTreeMap<&OsStr, ListingEntry> = BTreeMap::new();
    for (path, listed) in paths {
        all.insert(path, listed.clone());
        let bytes = path.as_bytes();
        let slashes = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        for (slash, _) in slashes {
            let directory = ListingEntry { kind: EntryKind::Directory, mode: 0o755 };
            if all.insert(OsStr::from_bytes(&bytes[..slash]), directory).is_some() {
                break;
            }
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::{RelPath, Source};

    /// Checks that a list gives the same result as a walk of the same files.
    #[track_caller]
    fn check(ignore: &str, paths: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let mut listed = BTreeMap::new();
        for path in paths {
            let on_disk = directory.path().join(path);
            fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
            fs::write(on_disk, "").unwrap();
            let file = ListingEntry { kind: EntryKind::File, mode: 0o644 };
            listed.insert(OsString::from(path), file);
        }
        let source = Source::new(RelPath::new(".dockerignore").unwrap(), ignore);
        let (ignore_file, _) = IgnoreFile::parse(&source);
        let names = |context: &Context| -> Vec<(OsString, EntryKind)> {
            context.entries.iter().map(|it| (it.path.clone(), it.kind.clone())).collect()
        };
        let walked = Context::walk(directory.path(), &ignore_file).unwrap();
        let from_list = list(PathBuf::from("/"), &listed, &ignore_file);
        assert_eq!(names(&from_list), names(&walked), "{ignore:?} {paths:?}");
    }

    #[test]
    fn listing_finds_the_same_files_as_walking() {
        let paths = ["a", "a.txt", "b/c", "b/d/e", "b/d/f.txt", "g/h/i/j", "k/l"];
        for ignore in [
            "",
            "*",
            "b",
            "b\n!b/d/e",
            "*\n!b/d",
            "**/*.txt",
            "*\n!**/*.txt",
            "g/h\n!g/h/i/j\nk",
            "b/*\n!b/d\nb/d/e",
            "*\n!*/d/*",
        ] {
            check(ignore, &paths);
        }
    }
}
