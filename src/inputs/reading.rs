//! Reading one file of a context, once, and noticing when it changes meanwhile.
//!
//! Owns the promise that the bytes handed on are the whole content of one state of the file, with
//! the size that was announced. Both the digest and the archive are made from this reading. It
//! keeps no file in memory but where it is given the place for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::error::permanent;
use crate::scan::context::{Entry, Stat};

/// How much is read at once. Most files of a context fit.
const CHUNK: usize = 128 * 1024;

/// Memory to read through, kept from file to file.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Buffer(vec![0; CHUNK])
    }
}

/// Reads the file behind `entry` and hands each piece of its content to `piece`, in order.
///
/// `known` is the digest of its content, if that is known: the content must still have it, whatever its
/// times say. Otherwise the times must still be those that the walk saw. `root` is the context's folder. The size that is handed on is `entry.stat.size`, or there is
/// an error.
///
/// # Errors
/// Where the file can't be read, where it is not the one that the walk saw or changed while it was
/// being read (the message names it), and whatever `piece` returns.
pub fn read_entry(
    root: &Path,
    entry: &Entry,
    known: Option<&blake3::Hash>,
    buffer: &mut Buffer,
    piece: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = File::open(root.join(&entry.path)).map_err(|error| unreadable(entry, &error))?;
    let before = stat(&file, entry)?;
    let same_file = before.inode == entry.stat.inode && before.device == entry.stat.device;
    let seen = match known {
        None => same_file && same_state(&before, &entry.stat),
        // Editors that write a new file and rename it leave the same content behind another
        // inode; the digest is the better witness.
        Some(_) => before.size == entry.stat.size && before.mode == entry.stat.mode,
    };
    if !seen {
        return Err(changed(entry, "after the context was listed"));
    }
    let mut hasher = known.map(|_| blake3::Hasher::new());
    let mut left = before.size;
    // Where the digest is known, it vouches for what was read; all else asks the disk again.
    while left > 0 || hasher.is_none() {
        let count =
            read_some(&mut file, &mut buffer.0).map_err(|error| unreadable(entry, &error))?;
        if count == 0 {
            break;
        }
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| changed(entry, "while it was being read"))?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer.0[..count]);
        }
        piece(&buffer.0[..count])?;
    }
    if left > 0 || hasher.is_none() && !same_state(&before, &stat(&file, entry)?) {
        return Err(changed(entry, "while it was being read"));
    }
    match (known, hasher) {
        (Some(expected), Some(hasher)) if hasher.finalize() != *expected => {
            Err(changed(entry, "after it was first read"))
        }
        _ => Ok(()),
    }
}

/// The digest of the file's content, by the same reading; the content goes into `kept`, where there
/// is one.
///
/// # Errors
/// As [`read_entry`].
pub fn digest_entry(
    root: &Path,
    entry: &Entry,
    buffer: &mut Buffer,
    mut kept: Option<&mut Vec<u8>>,
) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    read_entry(root, entry, None, buffer, &mut |bytes| {
        hasher.update(bytes);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(bytes);
        }
        Ok(())
    })?;
    Ok(hasher.finalize())
}

/// What must not change while a file is read. The ctime is not part of it: a new hard link
/// elsewhere moves it and changes nothing.
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

fn stat(file: &File, entry: &Entry) -> io::Result<Stat> {
    let metadata = file.metadata().map_err(|error| unreadable(entry, &error))?;
    if metadata.is_file() {
        Ok(Stat::new(&metadata))
    } else {
        Err(changed(entry, "after the context was listed"))
    }
}

fn unreadable(entry: &Entry, error: &io::Error) -> io::Error {
    let path = String::from_utf8_lossy(entry.path.as_bytes());
    io::Error::new(error.kind(), format!("can't read `{path}`: {error}"))
}

fn changed(entry: &Entry, when: &str) -> io::Error {
    let path = String::from_utf8_lossy(entry.path.as_bytes());
    let error = permanent(format!("`{path}` changed {when}"));
    io::Error::other(error.hint("run it again when nothing writes to the context"))
}
