//! The files of a build context: a walk of its directory, filtered by the ignore file.
//!
//! Owns the list of files that a build can read, in a fixed order, with the metadata of each entry.
//! It opens no files and follows no symlinks, except that the context's directory itself can be
//! one. Like Docker, it ignores `.gitignore`.
//!
//! The order is that of a walk: a directory, then everything in it, with the names of each
//! directory sorted by bytes. For example, `a/b` comes before `a.txt`.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ignore_file::{IgnoreFile, IgnoreVerdict};

pub use crate::base::EntryKind;
use crate::base::screen::visible_path;

/// The number of names from which those of one directory are examined in parallel. For fewer names,
/// the overhead of other threads is larger than the gain, because directories are already read in
/// parallel.
const MANY_NAMES: usize = 256;

/// The files of a context.
#[derive(Debug, Clone)]
pub struct Context {
    /// The absolute path of the context's directory, with symlinks resolved.
    pub root: PathBuf,
    /// All entries to send, in the order of a walk, without the root itself.
    pub entries: Vec<ContextEntry>,
    /// The directories among them that cannot be read, sorted by path. What they contain is not in
    /// `entries`.
    pub unreadable: Vec<UnreadableDirectory>,
}

/// A directory of a context that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableDirectory {
    /// The path relative to the context.
    pub path: OsString,
    /// The kind of the error.
    pub kind: io::ErrorKind,
    /// The message of the error, with the path.
    pub message: String,
}

impl UnreadableDirectory {
    /// Returns the error, for an instruction that reads the directory.
    pub fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.message.clone())
    }
}

/// A file, directory, or other entry of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    /// The path relative to the context, separated by `/`. It can contain any bytes except NUL.
    pub path: OsString,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The metadata of the entry.
    pub stat: Stat,
}

impl ContextEntry {
    /// Returns the path as bytes, as it is stored in an archive.
    pub fn bytes(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

/// The metadata of an entry. If it is equal for one path at two times, nothing changed in between,
/// as far as the file system can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// The size of the content in bytes; for a symlink, that of its target.
    pub size: u64,
    /// The permission bits with setuid, setgid, and sticky: `mode & 0o7777`.
    pub mode: u32,
    /// The time of the last change to the content, in seconds since 1970.
    pub mtime: i64,
    /// The nanoseconds of `mtime`.
    pub mtime_nanos: i64,
    /// The time of the last change to the content or the permissions, in seconds since 1970.
    pub ctime: i64,
    /// The nanoseconds of `ctime`.
    pub ctime_nanos: i64,
    /// The inode number of the file on its device.
    pub inode: u64,
    /// The device number.
    pub device: u64,
}

impl Stat {
    /// Converts the metadata of the file system.
    pub fn new(metadata: &Metadata) -> Stat {
        Stat {
            size: metadata.len(),
            mode: metadata.mode() & 0o7777,
            mtime: metadata.mtime(),
            mtime_nanos: metadata.mtime_nsec(),
            ctime: metadata.ctime(),
            ctime_nanos: metadata.ctime_nsec(),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

impl Context {
    /// Walks the directory `root` and lists the entries that `ignore` keeps.
    ///
    /// Directories are listed if they are kept or contain kept entries. Sockets are omitted, as in
    /// every tar that Docker creates, and so are entries that are deleted during the walk. Blocks;
    /// uses rayon's thread pool.
    ///
    /// A directory below the root that cannot be read is an error only for those that read it: the
    /// data directory of a database next to the sources belongs to another user.
    ///
    /// # Errors
    /// Returns an error if the directory does not exist or cannot be read.
    pub fn walk(root: &Path, ignore: &IgnoreFile) -> io::Result<Context> {
        let root = open_root(root)?;
        // Walk level by level instead of recursively. Deep directories then cannot overflow the
        // stack, and the directories of one level are read in parallel.
        let mut level = vec![PendingDirectory { path: OsString::new(), verdict: None }];
        let mut found: Vec<FoundEntry> = Vec::new();
        let mut unreadable: Vec<UnreadableDirectory> = Vec::new();
        while !level.is_empty() {
            let lists: Vec<io::Result<Vec<FoundEntry>>> = level
                .par_iter()
                .map(|directory| read_directory(&root, directory, ignore))
                .collect();
            let first = found.len();
            for (directory, list) in level.iter().zip(lists) {
                match list {
                    Ok(list) => found.extend(list),
                    Err(error) if directory.path.is_empty() => return Err(error),
                    Err(error) => unreadable.push(UnreadableDirectory {
                        path: directory.path.clone(),
                        kind: error.kind(),
                        message: error.to_string(),
                    }),
                }
            }
            let directories = found[first..].iter_mut().filter_map(|found| {
                let verdict = Some(found.verdict.take()?);
                Some(PendingDirectory { path: found.entry.path.clone(), verdict })
            });
            level = directories.collect();
        }
        found.par_sort_unstable_by(|a, b| walk_order(a.entry.bytes(), b.entry.bytes()));
        unreadable.sort_unstable_by(|a, b| walk_order(a.path.as_bytes(), b.path.as_bytes()));
        let found = found.into_iter().map(|FoundEntry { entry, ignored, .. }| {
            // What an ignored directory contains that is not ignored would be sent, if it could be read.
            let is_unknown = unreadable
                .binary_search_by(|it| walk_order(it.path.as_bytes(), entry.bytes()))
                .is_ok();
            (entry, ignored && !is_unknown)
        });
        let entries = keep_parents(found.collect());
        Ok(Context { root, entries, unreadable })
    }

    /// Returns the path of an entry on disk.
    pub fn path_of(&self, entry: &ContextEntry) -> PathBuf {
        self.root.join(&entry.path)
    }

    /// Returns the index of the entry with a path, if it is sent.
    pub fn position(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| walk_order(entry.bytes(), path)).ok()
    }

    /// Returns whether a directory, or one in it, cannot be read. The empty path is the context.
    pub fn has_unreadable(&self, directory: &[u8]) -> bool {
        let paths = self.unreadable.iter().map(|it| it.path.as_bytes());
        let mut inside =
            paths.filter(|it| directory.is_empty() || *it == directory || lies_in(directory, it));
        inside.next().is_some()
    }

    /// Returns the indexes of all entries in a directory and its subdirectories, without the
    /// directory itself. The empty path is the context.
    pub fn below(&self, directory: &[u8]) -> Range<usize> {
        if directory.is_empty() {
            return 0..self.entries.len();
        }
        let start = self
            .entries
            .partition_point(|entry| walk_order(entry.bytes(), directory) != Ordering::Greater);
        let count =
            self.entries[start..].partition_point(|entry| lies_in(directory, entry.bytes()));
        start..start + count
    }
}

/// Compares two paths in the order of a walk: by bytes, but with `/` before all others.
pub fn walk_order(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(same), b.get(same)) {
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        (x, y) => x.cmp(&y),
    }
}

/// Returns whether a path is in a directory or its subdirectories.
pub fn lies_in(directory: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// A directory that has yet to be read.
struct PendingDirectory {
    path: OsString,
    /// The ignore file's verdict on it; `None` for the root.
    verdict: Option<IgnoreVerdict>,
}

/// A name in a directory that the ignore file keeps, or a subdirectory that may contain kept
/// entries.
struct CandidateEntry {
    item: DirEntry,
    path: OsString,
    verdict: IgnoreVerdict,
}

struct FoundEntry {
    entry: ContextEntry,
    ignored: bool,
    /// The verdict on a directory, until the directory is read.
    verdict: Option<IgnoreVerdict>,
}

fn open_root(root: &Path) -> io::Result<PathBuf> {
    let path = visible_path(root);
    match fs::canonicalize(root) {
        Ok(resolved) if resolved.is_dir() => Ok(resolved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("context directory `{path}` not found")))
        }
        Err(error) if error.kind() != io::ErrorKind::NotADirectory => Err(unreadable(root, &error)),
        _ => {
            let message = format!("context `{path}` is not a directory");
            Err(io::Error::new(io::ErrorKind::NotADirectory, message))
        }
    }
}

/// Adds the path to the message of an error.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("can't read `{}`: {error}", visible_path(path)))
}

/// Returns the entries of a directory that are sent or may contain entries that are.
fn read_directory(
    root: &Path,
    directory: &PendingDirectory,
    ignore: &IgnoreFile,
) -> io::Result<Vec<FoundEntry>> {
    let names = list_directory(root, directory, ignore)?;
    let looked: io::Result<Vec<Option<FoundEntry>>> = if names.len() < MANY_NAMES {
        names.into_iter().map(look_at).collect()
    } else {
        names.into_par_iter().with_min_len(MANY_NAMES / 4).map(look_at).collect()
    };
    Ok(looked?.into_iter().flatten().collect())
}

/// Lists the names in a directory that are sent or may contain entries that are.
fn list_directory(
    root: &Path,
    directory: &PendingDirectory,
    ignore: &IgnoreFile,
) -> io::Result<Vec<CandidateEntry>> {
    let full_path = root.join(&directory.path);
    let fail = |error| unreadable(&full_path, &error);
    let ignored = directory.verdict.as_ref().is_some_and(IgnoreVerdict::is_ignored);
    let list = match fs::read_dir(&full_path) {
        Ok(list) => list,
        Err(error) if is_missing(&error) && directory.verdict.is_some() => return Ok(Vec::new()),
        // Docker reports no errors for directories that it would not send.
        Err(error) if ignored && error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for item in list {
        let item = item.map_err(fail)?;
        let path = join(&directory.path, &item.file_name());
        let verdict = ignore.judge(path.as_bytes(), directory.verdict.as_ref());
        if verdict.is_ignored() {
            // The system returns the type with the name, so the files in `.git` or `node_modules`
            // are never examined.
            let is_directory = item.file_type().map_err(fail)?.is_dir();
            if !is_directory || ignore.can_skip(path.as_bytes(), &verdict) {
                continue;
            }
        }
        names.push(CandidateEntry { item, path, verdict });
    }
    Ok(names)
}

/// Joins a directory and a name. The empty path is the context.
pub fn join(directory: &OsStr, name: &OsStr) -> OsString {
    let mut path = OsString::with_capacity(directory.len() + 1 + name.len());
    path.push(directory);
    if !directory.is_empty() {
        path.push("/");
    }
    path.push(name);
    path
}

/// Returns the entry with a name, or `None` for a socket and for an entry that no longer exists.
///
/// The metadata is queried by name in the open directory, which avoids resolving the path from the
/// root. A plan of an unchanged tree spends most of its time here.
fn look_at(name: CandidateEntry) -> io::Result<Option<FoundEntry>> {
    let looked = name
        .item
        .metadata()
        .and_then(|metadata| Ok((kind_of(&name.item, &metadata)?, Stat::new(&metadata))));
    let (kind, stat) = match looked {
        Ok((Some(kind), stat)) => (kind, stat),
        Ok((None, _)) => return Ok(None),
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(unreadable(&name.item.path(), &error)),
    };
    let ignored = name.verdict.is_ignored();
    let is_directory = kind == EntryKind::Directory;
    if ignored && !is_directory {
        return Ok(None);
    }
    let entry = ContextEntry { path: name.path, kind, stat };
    Ok(Some(FoundEntry { entry, ignored, verdict: is_directory.then_some(name.verdict) }))
}

/// Returns whether an error means that the path does not exist.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn kind_of(item: &DirEntry, metadata: &Metadata) -> io::Result<Option<EntryKind>> {
    let kind = metadata.file_type();
    let (major, minor) = device_numbers(metadata.rdev());
    Ok(if kind.is_file() {
        Some(EntryKind::File)
    } else if kind.is_dir() {
        Some(EntryKind::Directory)
    } else if kind.is_symlink() {
        Some(EntryKind::Symlink(fs::read_link(item.path())?.into_os_string()))
    } else if kind.is_fifo() {
        Some(EntryKind::Fifo)
    } else if kind.is_char_device() {
        Some(EntryKind::CharDevice { major, minor })
    } else if kind.is_block_device() {
        Some(EntryKind::BlockDevice { major, minor })
    } else {
        None
    })
}

/// Splits a device number into major and minor, which Linux encodes as in `makedev(3)`.
fn device_numbers(device: u64) -> (u32, u32) {
    let low = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX);
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    (low(major), low(minor))
}

/// Removes ignored directories that contain nothing to send. `found` is in the order of a walk,
/// with a flag per entry that tells whether it is ignored.
pub(super) fn keep_parents(found: Vec<(ContextEntry, bool)>) -> Vec<ContextEntry> {
    let mut kept: Vec<ContextEntry> = Vec::with_capacity(found.len());
    // Iterate from the end, so that the entries of a directory come before the directory.
    for (entry, ignored) in found.into_iter().rev() {
        let holds_last = kept.last().is_some_and(|last| lies_in(entry.bytes(), last.bytes()));
        if !ignored || holds_last {
            kept.push(entry);
        }
    }
    kept.reverse();
    kept
}
