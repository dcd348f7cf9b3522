//! Content names, with which two states of a repository are compared: if the names are equal,
//! checkouts of both states contain the same bytes.
//!
//! Owns the decision whether ids suffice for that or bytes must be compared. If a checkout writes a
//! blob unchanged, its id is the name. Other contents are written by git as in a checkout, or read
//! from the disk, and named by the id that they would have as a blob. A file that git considers
//! unchanged has the same name on both sides, whatever bytes are on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;

use super::Caller;
use super::attributes::conversions;
use super::scratch::Scratch;
use super::snapshot::{File, Snapshot};

/// The name of an unknown content of the work tree, which equals no other content.
const UNKNOWN: &str = "work tree";

/// The files of two states to compare, by path.
#[derive(Debug, Default)]
pub struct ComparedPaths<'a> {
    /// Files to compare with the file at the same path.
    pub in_place: BTreeSet<&'a OsStr>,
    /// Files to compare with files at other paths.
    pub moved: BTreeSet<&'a OsStr>,
}

/// The content names of a snapshot.
#[derive(Debug)]
pub struct Contents<'a> {
    snapshot: &'a Snapshot,
    /// The names that are not the id of the blob.
    others: HashMap<&'a OsStr, String>,
}

impl Contents<'_> {
    /// Returns the content name of a file.
    pub fn name(&self, path: &OsStr) -> &str {
        if let Some(name) = self.others.get(path) {
            return name;
        }
        let blob = self.snapshot.files.get(path).and_then(|file| file.blob.as_deref());
        blob.unwrap_or(UNKNOWN)
    }
}

/// Two states, and the conversions of the compared files in checkouts of them.
struct SnapshotPair<'a> {
    snapshots: [&'a Snapshot; 2],
    conversions: [HashMap<OsString, String>; 2],
}

/// Returns the content names of `now` and `then` for the compared files.
///
/// # Errors
/// Returns an error if git cannot be run.
pub fn names_of_contents<'a>(
    now: &'a Snapshot,
    then: &'a Snapshot,
    paths: &ComparedPaths<'a>,
) -> anyhow::Result<[Contents<'a>; 2]> {
    let have_same_attributes = now.has_attributes_of(then);
    let is_open = |path: &&&OsStr| {
        let (now, then) = (now.files.get(**path), then.files.get(**path));
        let (Some(now), Some(then)) = (now, then) else { return false };
        let is_same = now.blob.is_some() && now.blob == then.blob;
        now.is_regular() && then.is_regular() && !(is_same && have_same_attributes)
    };
    let mut open: BTreeSet<&OsStr> = paths.in_place.iter().filter(is_open).copied().collect();
    open.extend(&paths.moved);
    let (of_now, of_then) = rayon::join(|| now.conversions(&open), || then.conversions(&open));
    let pair = SnapshotPair { snapshots: [now, then], conversions: [of_now?, of_then?] };
    let shared: HashMap<&OsStr, String> =
        open.iter().filter_map(|path| Some((*path, pair.shared_name(path)?))).collect();
    let unshared: Vec<&OsStr> =
        open.into_iter().filter(|path| !shared.contains_key(path)).collect();
    let read = |side| {
        let unread = unshared.iter().copied().filter(|path| pair.must_read(side, path));
        pair.read(side, &unread.collect::<Vec<_>>())
    };
    let (of_now, of_then) = rayon::join(|| read(0), || read(1));
    let (mut of_now, mut of_then) = (of_now?, of_then?);
    of_now.extend(shared.clone());
    of_then.extend(shared);
    Ok([Contents { snapshot: now, others: of_now }, Contents { snapshot: then, others: of_then }])
}

impl SnapshotPair<'_> {
    fn file(&self, side: usize, path: &OsStr) -> Option<&File> {
        self.snapshots[side].files.get(path).filter(|file| file.is_regular())
    }

    fn conversion(&self, side: usize, path: &OsStr) -> &str {
        self.conversions[side].get(path).map_or("", String::as_str)
    }

    /// Returns the name of a content that is converted from the same blob in the same way on both
    /// sides. A content without conversion has the id of its blob.
    fn shared_name(&self, path: &OsStr) -> Option<String> {
        let (now, then) = (self.file(0, path)?, self.file(1, path)?);
        let (blob, other) = (now.blob.as_deref()?, then.blob.as_deref()?);
        let conversion = self.conversion(0, path);
        if blob != other || conversion != self.conversion(1, path) {
            return None;
        }
        Some(if conversion.is_empty() { blob.to_owned() } else { format!("{blob} {conversion}") })
    }

    /// Returns whether the content has a name other than the id of its blob.
    fn must_read(&self, side: usize, path: &OsStr) -> bool {
        let Some(file) = self.file(side, path) else { return false };
        // The disk may still have the bytes that were written for the other side.
        let is_stale = || file.on_disk && !self.conversion(1 - side, path).is_empty();
        file.blob.is_none() || !self.conversion(side, path).is_empty() || is_stale()
    }

    /// Returns content names, reading files on disk and having git write the others.
    fn read<'p>(
        &self,
        side: usize,
        paths: &[&'p OsStr],
    ) -> anyhow::Result<HashMap<&'p OsStr, String>> {
        let snapshot = self.snapshots[side];
        let mut names = HashMap::new();
        let by_module = |on_disk: bool| {
            let is_wanted = |file: &File| file.is_regular() && file.on_disk == on_disk;
            snapshot.by_module(paths.iter().copied(), is_wanted)
        };
        for (module, paths) in by_module(true) {
            let caller = &snapshot.modules[module].caller;
            let ids = hash_files(caller, &snapshot.top, &paths)?;
            let ids = ids.into_iter().map(|id| id.unwrap_or_else(|| UNKNOWN.to_owned()));
            names.extend(paths.into_iter().zip(ids));
        }
        for (module, paths) in by_module(false) {
            let directory = tempfile::tempdir().context("can't create a temporary directory")?;
            let scratch = Scratch::new(snapshot, module, directory.path(), &paths)?;
            let failed = scratch.check_out(&paths)?;
            let own: Vec<&OsStr> =
                paths.iter().map(|path| snapshot.modules[module].own_path(path)).collect();
            let caller = &snapshot.modules[module].caller;
            let ids = hash_files(caller, directory.path(), &own)?;
            for (path, id) in paths.into_iter().zip(ids) {
                let id = id.filter(|_| !failed.contains(&path)).unwrap_or_else(|| {
                    let blob = self.file(side, path).and_then(|file| file.blob.as_deref());
                    format!("{} {}", blob.unwrap_or(UNKNOWN), self.conversion(side, path))
                });
                names.insert(path, id);
            }
        }
        Ok(names)
    }
}

impl Snapshot {
    /// Returns the wanted ones of several files, by module.
    pub(super) fn by_module<'p>(
        &self,
        paths: impl Iterator<Item = &'p OsStr>,
        is_wanted: impl Fn(&File) -> bool,
    ) -> BTreeMap<usize, Vec<&'p OsStr>> {
        let mut by_module: BTreeMap<usize, Vec<&OsStr>> = BTreeMap::new();
        for path in paths {
            if let Some(file) = self.files.get(path).filter(|file| is_wanted(file)) {
                by_module.entry(file.module).or_default().push(path);
            }
        }
        by_module
    }

    /// Returns the conversions of files by path, for files that have one.
    fn conversions(&self, paths: &BTreeSet<&OsStr>) -> anyhow::Result<HashMap<OsString, String>> {
        let mut all = HashMap::new();
        for (number, paths) in self.by_module(paths.iter().copied(), File::is_regular) {
            let module = &self.modules[number];
            let found = if self.is_work_tree {
                conversions(&module.caller, module, &paths)?
            } else {
                let directory =
                    tempfile::tempdir().context("can't create a temporary directory")?;
                Scratch::new(self, number, directory.path(), &[])?.conversions(&paths)?
            };
            let whole = |path: &OsStr| {
                let mut whole = module.prefix.clone();
                whole.push(path);
                whole
            };
            all.extend(found.into_iter().map(|(path, conversion)| (whole(&path), conversion)));
        }
        Ok(all)
    }
}

/// Returns the ids that files in a directory would have as blobs, or `None` for those that cannot
/// be read.
pub(super) fn hash_files(
    caller: &Caller,
    directory: &Path,
    paths: &[&OsStr],
) -> anyhow::Result<Vec<Option<String>>> {
    let can_be_read = |path: &&OsStr| {
        let path = directory.join(path);
        fs::metadata(&path).is_ok_and(|found| found.is_file()) && fs::File::open(path).is_ok()
    };
    let readable: Vec<bool> = paths.iter().map(can_be_read).collect();
    if !readable.contains(&true) {
        return Ok(vec![None; paths.len()]);
    }
    let mut input = String::new();
    for path in paths.iter().zip(&readable).filter(|(_, readable)| **readable).map(|it| it.0) {
        input.push_str(&quote(&directory.join(path)));
        input.push('\n');
    }
    let words = ["hash-object", "--no-filters", "--stdin-paths"];
    let answer = caller.query(&words, Some(input.as_bytes()))?;
    let answer = String::from_utf8_lossy(&answer);
    let mut ids = answer.lines().map(str::to_owned);
    Ok(readable.iter().map(|readable| if *readable { ids.next() } else { None }).collect())
}

/// Quotes a path in git's format, so that it is one line of text for any bytes.
fn quote(path: &Path) -> String {
    let mut quoted = String::from("\"");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' | 0..=31 | 127.. => {
                // Writing to a string never fails.
                write!(quoted, "\\{byte:03o}").unwrap_or_default();
            }
            byte => quoted.push(char::from(*byte)),
        }
    }
    quoted.push('"');
    quoted
}
