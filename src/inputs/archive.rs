//! The tar archive of a context.
//!
//! Owns the format of the archive: sorted in walk order, owner 0:0 without names, GNU headers (which support names
//! of any length and any bytes, and files larger than 8 GiB), and hard links as copies, as BuildKit counts them.
//! Files are streamed. Sockets are left out because a tar cannot contain them. So are extended attributes: reading
//! them would take `unsafe` or another dependency, Git does not keep them, and BuildKit itself does not notice when
//! they change.
//!
//! Times are those on disk, in whole seconds, as in the contexts that Docker sends. They affect no keys, neither
//! BuildKit's nor those of this program, but they end up in the image's files, where programs compare them (make,
//! Python's bytecode). A fixed time would result in a different image than `docker build`.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rayon::prelude::*;
use tar::{EntryType, Header};

use super::reading::{Buffer, digest_entry, read_entry};
use crate::base::screen::visible_path;
use crate::engine::ContextFiles;
use crate::scan::context::{Context, ContextEntry, EntryKind};

/// The size in bytes of the blocks that a tar consists of; it ends with two blocks of zeros.
const BLOCK: usize = 512;
const ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The mode with which files are sent whose modes do not count.
const ANY_MODE: u32 = 0o644;

/// The files of a context, ready to send.
pub struct ContextArchive {
    context: Arc<Context>,
    /// The indexes of the entries to send, ascending.
    selected: Vec<usize>,
    /// The required digest of the content of each selected entry, if known.
    digests: Vec<Option<blake3::Hash>>,
    /// The content of some files that was already read, by index into `selected`.
    contents: HashMap<usize, Arc<[u8]>>,
    /// The files whose modes do not count, by index into `selected`. They are sent with one mode: what is hashed is
    /// what is sent, and the engine's cache, which compares their modes, finds its results.
    without_mode: BTreeSet<usize>,
}

impl fmt::Debug for ContextArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = visible_path(&self.context.root);
        write!(f, "ContextArchive({root}, {} entries)", self.selected.len())
    }
}

impl ContextArchive {
    /// Creates an archive of everything that a walk found.
    pub fn new(context: impl Into<Arc<Context>>) -> ContextArchive {
        let context = context.into();
        let all = (0..context.entries.len()).collect();
        ContextArchive::of(context, all)
    }

    /// Creates an archive of some entries of a context, by the indexes that [`super::select`] returns.
    pub fn of(context: impl Into<Arc<Context>>, mut selected: Vec<usize>) -> ContextArchive {
        selected.sort_unstable();
        selected.dedup();
        let digests = vec![None; selected.len()];
        let (contents, without_mode) = (HashMap::new(), BTreeSet::new());
        ContextArchive { context: context.into(), digests, contents, without_mode, selected }
    }

    /// Returns the entries in the order in which they are sent.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &ContextEntry> {
        self.selected.iter().map(|number| &self.context.entries[*number])
    }

    /// Returns the context that the entries come from.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the digest of each entry's content: `Some` for files, `None` for everything else.
    ///
    /// From then on, the archive sends exactly this content or fails, so that what was hashed is what is built, no
    /// matter how much later. Reads in parallel on rayon's pool.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or changes while it is read.
    pub fn digest_files(&mut self) -> io::Result<&[Option<blake3::Hash>]> {
        let context = &self.context;
        self.digests = self
            .selected
            .par_iter()
            .map_init(Buffer::default, |buffer, number| {
                let entry = &context.entries[*number];
                match entry.kind {
                    EntryKind::File => digest_entry(&context.root, entry, buffer, None).map(Some),
                    _ => Ok(None),
                }
            })
            .collect::<io::Result<_>>()?;
        Ok(&self.digests)
    }

    /// Sets the digests that are already known, one per entry. Files without a digest must have the same times as
    /// during the walk.
    ///
    /// # Panics
    /// Panics if the number of digests is not the number of entries.
    #[must_use]
    pub fn with_digests(mut self, digests: Vec<Option<blake3::Hash>>) -> ContextArchive {
        assert_eq!(digests.len(), self.selected.len(), "one digest for each entry");
        self.digests = digests;
        self
    }

    /// Sets the content of files that was read along with their digests, by index into `selected`. This content is
    /// sent, and the files are not read again.
    #[must_use]
    pub fn with_contents(mut self, contents: HashMap<usize, Arc<[u8]>>) -> ContextArchive {
        self.contents = contents;
        self
    }

    /// Sets the files whose modes do not count, by index into `selected`.
    #[must_use]
    pub fn without_modes(mut self, files: BTreeSet<usize>) -> ContextArchive {
        self.without_mode = files;
        self
    }

    /// Returns the size of the archive in bytes, computed from file sizes alone.
    pub fn len(&self) -> u64 {
        let blocks = |bytes: u64| bytes.div_ceil(BLOCK as u64) * BLOCK as u64;
        let long = |bytes: usize| {
            if bytes > LONGEST_PLAIN { BLOCK as u64 + blocks(bytes as u64 + 1) } else { 0 }
        };
        let entry_len = |entry: &ContextEntry| {
            let content = if entry.kind == EntryKind::File { entry.stat.size } else { 0 };
            BLOCK as u64 + long(name_of(entry).len()) + long(link_of(entry).len()) + blocks(content)
        };
        self.entries().map(entry_len).sum::<u64>() + ZEROS.len() as u64
    }

    /// Returns whether the archive has no entries.
    pub fn is_empty(&self) -> bool {
        self.selected.is_empty()
    }

    /// Writes the archive and returns the number of bytes written. Passes the content of each file piece by piece
    /// to `seen` as it is sent (the entry's index, and the bytes).
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or has changed since the walk (the message names it), or if `to`
    /// fails. Readers recognize the output up to then as incomplete: the end mark is missing.
    pub fn write(&self, to: &mut dyn Write, seen: &mut dyn FnMut(usize, &[u8])) -> io::Result<u64> {
        let mut to = CountingWriter { to, bytes: 0 };
        let mut buffer = Buffer::default();
        for (number, entry) in self.entries().enumerate() {
            let mode = if self.without_mode.contains(&number) { ANY_MODE } else { entry.stat.mode };
            write_head(&mut to, entry, mode)?;
            if let Some(content) = self.contents.get(&number) {
                seen(number, content);
                to.write_all(content)?;
                to.pad()?;
            } else if entry.kind == EntryKind::File {
                let digest = self.digests[number].as_ref();
                read_entry(&self.context.root, entry, digest, &mut buffer, &mut |bytes| {
                    seen(number, bytes);
                    to.write_all(bytes)
                })?;
                to.pad()?;
            }
        }
        to.write_all(&ZEROS)?;
        to.flush()?;
        Ok(to.bytes)
    }
}

impl ContextFiles for ContextArchive {
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()> {
        self.write(to, &mut |_, _| {}).map(|_| ())
    }
}

struct CountingWriter<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
}

impl CountingWriter<'_> {
    /// Fills the last block with zeros.
    fn pad(&mut self) -> io::Result<()> {
        let used = usize::try_from(self.bytes % BLOCK as u64).unwrap_or(0);
        if used > 0 { self.write_all(&ZEROS[..BLOCK - used]) } else { Ok(()) }
    }
}

impl Write for CountingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The longest name or symlink target, in bytes, that fits into a header.
const LONGEST_PLAIN: usize = 100;

/// Returns the entry's name in the archive; directories end with `/`.
fn name_of(entry: &ContextEntry) -> Vec<u8> {
    let mut name = entry.bytes().to_vec();
    if entry.kind == EntryKind::Directory {
        name.push(b'/');
    }
    name
}

fn link_of(entry: &ContextEntry) -> &[u8] {
    match &entry.kind {
        EntryKind::Symlink(text) => text.as_bytes(),
        _ => &[],
    }
}

fn write_head(to: &mut CountingWriter<'_>, entry: &ContextEntry, mode: u32) -> io::Result<()> {
    let (name, link) = (name_of(entry), link_of(entry));
    let (kind, device) = match entry.kind {
        EntryKind::File => (EntryType::Regular, None),
        EntryKind::Directory => (EntryType::Directory, None),
        EntryKind::Symlink(_) => (EntryType::Symlink, None),
        EntryKind::Fifo => (EntryType::Fifo, None),
        EntryKind::CharDevice { major, minor } => (EntryType::Char, Some((major, minor))),
        EntryKind::BlockDevice { major, minor } => (EntryType::Block, Some((major, minor))),
    };
    let size = if entry.kind == EntryKind::File { entry.stat.size } else { 0 };
    // Tar readers do not agree on the representation of times before 1970.
    let mtime = u64::try_from(entry.stat.mtime).unwrap_or(0);
    let mut header = header_of(kind, mode, mtime, size);
    if let Some((major, minor)) = device {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    // The crate's setters normalize names (`a//b`, `./x`), but a symlink's target must stay as written. Names that
    // are too long are truncated here: the full name precedes the header.
    if link.len() > LONGEST_PLAIN {
        write_long(to, EntryType::GNULongLink, link)?;
    }
    if name.len() > LONGEST_PLAIN {
        write_long(to, EntryType::GNULongName, &name)?;
    }
    put(&mut header.as_old_mut().name, &name);
    put(&mut header.as_old_mut().linkname, link);
    header.set_cksum();
    to.write_all(header.as_bytes())
}

/// Writes a long name in the GNU format: a separate entry whose content is the name and a NUL.
fn write_long(to: &mut CountingWriter<'_>, kind: EntryType, name: &[u8]) -> io::Result<()> {
    let mut header = header_of(kind, 0o644, 0, name.len() as u64 + 1);
    put(&mut header.as_old_mut().name, b"././@LongLink");
    header.set_cksum();
    to.write_all(header.as_bytes())?;
    to.write_all(name)?;
    to.write_all(&[0])?;
    to.pad()
}

fn header_of(kind: EntryType, mode: u32, mtime: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    header
}

fn put(field: &mut [u8; LONGEST_PLAIN], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}
