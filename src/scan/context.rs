//! The files of a context: one walk of its folder, after the ignore file.
//!
//! Owns the list of what a build may read, in a fixed order, with the facts that the disk keeps
//! of each entry. It opens no file, follows no symlink (save that the context's folder itself may
//! be one), and pays no heed to `.gitignore`: Docker does not.
//!
//! The order is that of a walk: a folder, then all that lies in it, the names of one folder in
//! the order of their bytes. So `a/b` comes before `a.txt`.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ignore_file::{IgnoreFile, Verdict};

use crate::base::screen::visible_path;

/// From how many names on those of one folder are looked at side by side. Fewer are looked at
/// faster than another thread is told of them, and folders are read side by side themselves.
const MANY_NAMES: usize = 256;

/// The files of a context.
#[derive(Debug, Clone)]
pub struct Context {
    /// The context's folder, absolute, with symlinks resolved.
    pub root: PathBuf,
    /// All that is sent, in the order of a walk; the root itself is not among it.
    pub entries: Vec<Entry>,
}

/// One file, folder or other thing of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path relative to the context, with `/`; any bytes but NUL.
    pub path: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// What the disk says of it.
    pub stat: Stat,
}

impl Entry {
    /// The path as bytes, as it stands in an archive.
    pub fn bytes(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symlink, with its text as it is written.
    Symlink(OsString),
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Which driver.
        major: u32,
        /// Which device of it.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Which driver.
        major: u32,
        /// Which device of it.
        minor: u32,
    },
}

/// What the disk says of an entry. Two equal ones of one path mean, as far as the disk can tell,
/// that nothing was changed in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// Bytes of content; of a symlink, of its text.
    pub size: u64,
    /// Permission bits with setuid, setgid and sticky: `mode & 0o7777`.
    pub mode: u32,
    /// Seconds since 1970 at which the content last changed.
    pub mtime: i64,
    /// Nanoseconds on top of `mtime`.
    pub mtime_nanos: i64,
    /// Seconds since 1970 at which content or permissions last changed.
    pub ctime: i64,
    /// Nanoseconds on top of `ctime`.
    pub ctime_nanos: i64,
    /// The file's number on its device.
    pub inode: u64,
    /// The device.
    pub device: u64,
}

impl Stat {
    /// The facts in the disk's answer.
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
    /// Walks the folder `root` and lists what `ignore` leaves in.
    ///
    /// Folders are listed when they are left in, and when they hold something that is. Sockets
    /// are left out, as in every tar that Docker makes. What vanishes during the walk is left
    /// out. Blocks; uses rayon's pool.
    ///
    /// # Errors
    /// Where the folder is missing or something in it can't be read.
    pub fn walk(root: &Path, ignore: &IgnoreFile) -> io::Result<Context> {
        let root = open_root(root)?;
        // Level by level instead of by recursion: no depth of folders overflows a stack, and the
        // folders of one level are read side by side.
        let mut level = vec![Folder { path: OsString::new(), verdict: None }];
        let mut found: Vec<Found> = Vec::new();
        while !level.is_empty() {
            let lists: io::Result<Vec<Vec<Found>>> =
                level.par_iter().map(|folder| read_folder(&root, folder, ignore)).collect();
            let first = found.len();
            found.extend(lists?.into_iter().flatten());
            let folders = found[first..].iter_mut().filter_map(|found| {
                let verdict = Some(found.verdict.take()?);
                Some(Folder { path: found.entry.path.clone(), verdict })
            });
            level = folders.collect();
        }
        found.par_sort_unstable_by(|a, b| walk_order(a.entry.bytes(), b.entry.bytes()));
        let found = found.into_iter().map(|Found { entry, ignored, .. }| (entry, ignored));
        Ok(Context { root, entries: keep_parents(found.collect()) })
    }

    /// Where an entry lies on the disk.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.path)
    }

    /// The number of the entry at a path, if it is sent.
    pub fn position(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| walk_order(entry.bytes(), path)).ok()
    }

    /// The numbers of all that lies in a folder, however deep; the folder itself is not among
    /// them. The empty path is the context.
    pub fn below(&self, folder: &[u8]) -> Range<usize> {
        if folder.is_empty() {
            return 0..self.entries.len();
        }
        let start = self
            .entries
            .partition_point(|entry| walk_order(entry.bytes(), folder) != Ordering::Greater);
        let count = self.entries[start..].partition_point(|entry| lies_in(folder, entry.bytes()));
        start..start + count
    }
}

/// The order of a walk: bytes, but `/` before all others.
pub fn walk_order(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(same), b.get(same)) {
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        (x, y) => x.cmp(&y),
    }
}

/// Whether a path lies in a folder, however deep.
pub fn lies_in(folder: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}

/// A folder that is still to be read.
struct Folder {
    path: OsString,
    /// What the ignore file says of it; nothing for the root.
    verdict: Option<Verdict>,
}

/// A name in a folder that the ignore file leaves in, or a folder that it may have to be asked
/// about.
struct Name {
    item: DirEntry,
    path: OsString,
    verdict: Verdict,
}

struct Found {
    entry: Entry,
    ignored: bool,
    /// Of a folder, until it is read.
    verdict: Option<Verdict>,
}

fn open_root(root: &Path) -> io::Result<PathBuf> {
    let path = visible_path(root);
    match fs::canonicalize(root) {
        Ok(resolved) if resolved.is_dir() => Ok(resolved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("the context folder `{path}` does not exist")))
        }
        Err(error) if error.kind() != io::ErrorKind::NotADirectory => Err(unreadable(root, &error)),
        _ => {
            let message = format!("the context `{path}` is no folder");
            Err(io::Error::new(io::ErrorKind::NotADirectory, message))
        }
    }
}

/// The same error with the path in its message.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("can't read `{}`: {error}", visible_path(path)))
}

/// What lies in a folder, as far as it is sent or may hold something that is.
fn read_folder(root: &Path, folder: &Folder, ignore: &IgnoreFile) -> io::Result<Vec<Found>> {
    let names = list_folder(root, folder, ignore)?;
    let looked: io::Result<Vec<Option<Found>>> = if names.len() < MANY_NAMES {
        names.into_iter().map(look_at).collect()
    } else {
        names.into_par_iter().with_min_len(MANY_NAMES / 4).map(look_at).collect()
    };
    Ok(looked?.into_iter().flatten().collect())
}

/// The names in a folder that are sent or may hold something that is.
fn list_folder(root: &Path, folder: &Folder, ignore: &IgnoreFile) -> io::Result<Vec<Name>> {
    let place = root.join(&folder.path);
    let fail = |error| unreadable(&place, &error);
    let ignored = folder.verdict.as_ref().is_some_and(Verdict::is_ignored);
    let list = match fs::read_dir(&place) {
        Ok(list) => list,
        Err(error) if is_missing(&error) && folder.verdict.is_some() => return Ok(Vec::new()),
        // Docker does not complain of what it would not have sent.
        Err(error) if ignored && error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for item in list {
        let item = item.map_err(fail)?;
        let path = join(&folder.path, &item.file_name());
        let verdict = ignore.judge(path.as_bytes(), folder.verdict.as_ref());
        if verdict.is_ignored() {
            // The system tells the type along with the name, so that what lies in `.git` or
            // `node_modules` is never asked for.
            let is_folder = item.file_type().map_err(fail)?.is_dir();
            if !is_folder || ignore.can_skip(path.as_bytes(), &verdict) {
                continue;
            }
        }
        names.push(Name { item, path, verdict });
    }
    Ok(names)
}

/// A path in a folder; the empty path is the context.
pub fn join(folder: &OsStr, name: &OsStr) -> OsString {
    let mut path = OsString::with_capacity(folder.len() + 1 + name.len());
    path.push(folder);
    if !folder.is_empty() {
        path.push("/");
    }
    path.push(name);
    path
}

/// What lies behind a name; nothing for a socket and for what has vanished.
///
/// The item asks the system by its name in the open folder, which spares the way from the root
/// to it: of all that a plan does with an unchanged tree, this is most.
fn look_at(name: Name) -> io::Result<Option<Found>> {
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
    let is_folder = kind == EntryKind::Folder;
    if ignored && !is_folder {
        return Ok(None);
    }
    let entry = Entry { path: name.path, kind, stat };
    Ok(Some(Found { entry, ignored, verdict: is_folder.then_some(name.verdict) }))
}

/// Whether nothing is at the path that an error is about.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn kind_of(item: &DirEntry, metadata: &Metadata) -> io::Result<Option<EntryKind>> {
    let kind = metadata.file_type();
    let (major, minor) = device_numbers(metadata.rdev());
    Ok(if kind.is_file() {
        Some(EntryKind::File)
    } else if kind.is_dir() {
        Some(EntryKind::Folder)
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

/// Linux packs the two numbers of a device into one, as `makedev(3)` tells.
fn device_numbers(device: u64) -> (u32, u32) {
    let low = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(u32::MAX);
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    (low(major), low(minor))
}

/// Drops the ignored folders that turned out to hold nothing that is sent. `found` is in the order
/// of a walk, and says of each entry whether it is ignored.
pub(super) fn keep_parents(found: Vec<(Entry, bool)>) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::with_capacity(found.len());
    // From the end, so that what lies in a folder is known before the folder.
    for (entry, ignored) in found.into_iter().rev() {
        let holds_last = kept.last().is_some_and(|last| lies_in(entry.bytes(), last.bytes()));
        if !ignored || holds_last {
            kept.push(entry);
        }
    }
    kept.reverse();
    kept
}
