//! Reading of a file in a context, with detection of concurrent changes.
//!
//! Owns the guarantee that the bytes passed on are the complete content of one state of the file, with the
//! announced size. Both the digest and what is sent come from this read. File content is kept in memory only
//! if the caller provides a buffer for it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::error::permanent;
use crate::scan::context::{ContextEntry, Stat};

/// The number of bytes read at once. Most files of a context fit.
const CHUNK: usize = 128 * 1024;

/// The number of bytes of a large file that are read at once to hash them on all cores: enough to keep them busy, and
/// few compared with the memory of any machine, since each core may read a file.
const LARGE_CHUNK: usize = 4 << 20;

/// The size in bytes from which on a file is large.
const LARGE: u64 = 16 << 20;

/// A read buffer, reused from file to file.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Buffer(vec![0; CHUNK])
    }
}

thread_local! {
    static SPARE: Cell<Option<Buffer>> = const { Cell::new(None) };
}

impl Buffer {
    /// Calls a function with a buffer that the thread keeps. To clear a new one for each file would cost more than to read
    /// a small file.
    pub fn with<T>(read: impl FnOnce(&mut Buffer) -> T) -> T {
        let mut buffer = SPARE.take().unwrap_or_default();
        let result = read(&mut buffer);
        SPARE.set(Some(buffer));
        result
    }

    /// Returns space for the pieces of a file of which only the digest is needed.
    fn for_digest(&mut self, size: u64) -> &mut Buffer {
        if size >= LARGE && self.0.len() < LARGE_CHUNK {
            self.0.resize(LARGE_CHUNK, 0);
        }
        self
    }
}

/// Reads the file of `entry` and passes its content piece by piece to `piece`, in order.
///
/// `digest` is the digest of the content, if it is known: the content must still have it, whatever the file's times
/// are. Otherwise, the times must be those that the walk saw. `root` is the directory of the context. Unless there
/// is an error, the total size is `entry.stat.size`.
///
/// # Errors
/// Returns an error if the file cannot be read, if it is not the one that the walk saw or changes while it is read
/// (the message names it), and if `piece` does.
pub fn read_entry(
    root: &Path,
    entry: &ContextEntry,
    digest: Option<&blake3::Hash>,
    buffer: &mut Buffer,
    piece: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::open(root.join(&entry.path)).map_err(|error| unreadable(entry, &error))?;
    let before = stat(&file, entry)?;
    let same_file = before.inode == entry.stat.inode && before.device == entry.stat.device;
    let is_unchanged = match digest {
        None => same_file && same_state(&before, &entry.stat),
        // Editors that write a new file and rename it leave the same content with a different inode, so the digest
        // is the better evidence.
        Some(_) => before.size == entry.stat.size && before.mode == entry.stat.mode,
    };
    if !is_unchanged {
        return Err(changed(entry, "after the context was listed"));
    }
    let mut hasher = digest.map(|_| blake3::Hasher::new());
    let mut remaining = before.size;
    // A known digest verifies what was read. Otherwise, read to the end of the file and check its metadata again.
    while remaining > 0 || hasher.is_none() {
        let count =
            read_some(&mut file, &mut buffer.0).map_err(|error| unreadable(entry, &error))?;
        if count == 0 {
            break;
        }
        remaining = remaining
            .checked_sub(count as u64)
            .ok_or_else(|| changed(entry, "while it was being read"))?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer.0[..count]);
        }
        piece(&buffer.0[..count])?;
    }
    if remaining > 0 || hasher.is_none() && !same_state(&before, &stat(&file, entry)?) {
        return Err(changed(entry, "while it was being read"));
    }
    match (digest, hasher) {
        (Some(expected), Some(hasher)) if hasher.finalize() != *expected => {
            Err(changed(entry, "after it was first read"))
        }
        _ => Ok(()),
    }
}

/// Returns the digest of the file's content, and appends the content itself to `content`, if any.
///
/// # Errors
/// Returns the same errors as [`read_entry`].
pub fn digest_entry(
    root: &Path,
    entry: &ContextEntry,
    buffer: &mut Buffer,
    mut content: Option<&mut Vec<u8>>,
) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let buffer = buffer.for_digest(entry.stat.size);
    read_entry(root, entry, None, buffer, &mut |bytes| {
        if bytes.len() > CHUNK {
            hasher.update_rayon(bytes);
        } else {
            hasher.update(bytes);
        }
        if let Some(content) = &mut content {
            content.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    Ok(hasher.finalize())
}

/// Returns whether nothing relevant changed while a file was read. The ctime is not relevant: a new hard link
/// elsewhere changes it, but not the content.
fn same_state(a: &Stat, b: &Stat) -> bool {
    let facts = |stat: &Stat| (stat.size, stat.mode, stat.mtime, stat.mtime_nanos);
    facts(a) == facts(b)
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn stat(file: &File, entry: &ContextEntry) -> io::Result<Stat> {
    let metadata = file.metadata().map_err(|error| unreadable(entry, &error))?;
    if metadata.is_file() {
        Ok(Stat::new(&metadata))
    } else {
        Err(changed(entry, "after the context was listed"))
    }
}

fn unreadable(entry: &ContextEntry, error: &io::Error) -> io::Error {
    let path = String::from_utf8_lossy(entry.path.as_bytes());
    io::Error::new(error.kind(), format!("can't read `{path}`: {error}"))
}

fn changed(entry: &ContextEntry, when: &str) -> io::Error {
    let path = String::from_utf8_lossy(entry.path.as_bytes());
    let error = permanent(format!("`{path}` changed {when}"));
    io::Error::other(error.hint("run the command again when nothing writes to the context"))
}
