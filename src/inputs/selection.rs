//! The files of a context that images read, ready for an engine.
//!
//! Owns what is sent: the selected entries with the metadata and the content that count. What was hashed is what is
//! sent, no matter how much later.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::sync::Arc;

use rayon::prelude::*;

use super::reading::{Buffer, digest_entry, read_entry};
use crate::base::screen::visible_path;
use crate::engine::{ContextFiles, FileHeader};
use crate::scan::context::{Context, ContextEntry, EntryKind};

/// The mode with which entries are sent whose modes do not count.
const ANY_MODE: u32 = 0o644;

/// Selected files of a context.
pub struct ContextSelection {
    context: Arc<Context>,
    /// The indexes of the selected entries, ascending.
    selected: Vec<usize>,
    /// The required digest of the content of each selected entry, if known.
    digests: Vec<Option<blake3::Hash>>,
    /// The content of some files that was already read, by index into `selected`.
    contents: HashMap<usize, Arc<[u8]>>,
    /// The entries whose modes do not count, by index into `selected`. They are sent with one mode: what is hashed is
    /// what is sent, and the engine's cache, which compares their modes, finds its results.
    without_mode: BTreeSet<usize>,
    /// Identifies how the entries were selected.
    patterns: Option<blake3::Hash>,
}

impl fmt::Debug for ContextSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = visible_path(&self.context.root);
        write!(f, "ContextSelection({root}, {} entries)", self.selected.len())
    }
}

impl ContextSelection {
    /// Selects everything that a walk found.
    pub fn all(context: impl Into<Arc<Context>>) -> ContextSelection {
        let context = context.into();
        let all = (0..context.entries.len()).collect();
        ContextSelection::of(context, all)
    }

    /// Selects some entries of a context, by the indexes that [`super::select`] returns.
    pub fn of(context: impl Into<Arc<Context>>, mut selected: Vec<usize>) -> ContextSelection {
        selected.sort_unstable();
        selected.dedup();
        ContextSelection {
            context: context.into(),
            digests: vec![None; selected.len()],
            contents: HashMap::new(),
            without_mode: BTreeSet::new(),
            patterns: None,
            selected,
        }
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
    /// From then on, exactly this content is sent, or reading fails. Reads in parallel on rayon's pool.
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

    /// Returns the digests that are known, one per entry.
    pub fn digests(&self) -> &[Option<blake3::Hash>] {
        &self.digests
    }

    /// Sets the digests that are already known, one per entry. Files without a digest must have the same times as
    /// during the walk.
    ///
    /// # Panics
    /// Panics if the number of digests is not the number of entries.
    #[must_use]
    pub fn with_digests(mut self, digests: Vec<Option<blake3::Hash>>) -> ContextSelection {
        assert_eq!(digests.len(), self.selected.len(), "one digest for each entry");
        self.digests = digests;
        self
    }

    /// Sets the content of files that was read along with their digests, by index into `selected`. This content is
    /// sent, and the files are not read again.
    #[must_use]
    pub fn with_contents(mut self, contents: HashMap<usize, Arc<[u8]>>) -> ContextSelection {
        self.contents = contents;
        self
    }

    /// Sets the entries whose modes do not count, by index into `selected`.
    #[must_use]
    pub fn without_modes(mut self, entries: BTreeSet<usize>) -> ContextSelection {
        self.without_mode = entries;
        self
    }

    /// Sets what identifies how the entries were selected: the sources and the ignore file, but not the entries. What
    /// is selected in the same way at different times is mostly the same.
    #[must_use]
    pub fn with_patterns(mut self, patterns: blake3::Hash) -> ContextSelection {
        self.patterns = Some(patterns);
        self
    }

    /// Returns what identifies how the entries were selected, if that is known.
    pub fn patterns(&self) -> Option<&blake3::Hash> {
        self.patterns.as_ref()
    }
}

impl ContextSelection {
    /// Identifies a state of the files: the headers with which they are sent, and the contents. `None` if a content is
    /// unknown.
    pub fn state_of(&self, headers: &[FileHeader]) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        for (header, digest) in headers.iter().zip(&self.digests) {
            let FileHeader { kind, mode, size, mtime, .. } = header;
            let (major, minor) = header.device().unwrap_or_default();
            let kind: u64 = match kind {
                EntryKind::File => 0,
                EntryKind::Directory => 1,
                EntryKind::Symlink(_) => 2,
                EntryKind::Fifo => 3,
                EntryKind::CharDevice { .. } => 4,
                EntryKind::BlockDevice { .. } => 5,
            };
            let content = match (kind, digest) {
                (0, None) => return None,
                (_, digest) => digest.as_ref().map(blake3::Hash::as_bytes),
            };
            let numbers = [(*mode).into(), major.into(), minor.into()];
            let [mode, major, minor]: [u64; 3] = numbers;
            let facts = [kind, mode, *size, mtime.cast_unsigned(), major, minor];
            hasher.update(facts.map(u64::to_le_bytes).as_flattened());
            hasher.update(content.unwrap_or(&[0; blake3::OUT_LEN]));
            for text in [header.bytes(), header.link()] {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text);
            }
        }
        Some(hasher.finalize().to_hex()[..32].to_owned())
    }
}

impl ContextFiles for ContextSelection {
    fn headers(&self) -> Vec<FileHeader> {
        let header = |(number, entry): (usize, &ContextEntry)| {
            let stat = &entry.stat;
            let has_size = matches!(entry.kind, EntryKind::File | EntryKind::Symlink(_));
            FileHeader {
                path: entry.path.clone(),
                kind: entry.kind.clone(),
                mode: if self.without_mode.contains(&number) { ANY_MODE } else { stat.mode },
                size: if has_size { stat.size } else { 0 },
                mtime: stat.mtime.saturating_mul(1_000_000_000).saturating_add(stat.mtime_nanos),
            }
        };
        self.entries().enumerate().map(header).collect()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(content) = self.contents.get(&index) {
            return piece(content);
        }
        let entry = &self.context.entries[self.selected[index]];
        let digest = self.digests[index].as_ref();
        Buffer::with(|buffer| read_entry(&self.context.root, entry, digest, buffer, piece))
    }
}
