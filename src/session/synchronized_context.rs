//! A context that is synchronized with an engine's copy of it.
//!
//! Owns the connection of the selected files, as they are on the disk, with the record of what was sent before.

use std::io;
use std::sync::Arc;

use crate::base::EntryKind;
use crate::engine::{ContextFiles, EngineCopy, FileHeader};
use crate::inputs::ContextSelection;
use crate::state::{RepositoryState, SentDirectory, SentFile};

/// The files of a context that an image reads.
pub struct SynchronizedContext {
    selection: Arc<ContextSelection>,
    state: RepositoryState,
}

impl SynchronizedContext {
    /// Returns the context of selected files, whose record is in the state directory.
    pub fn new(selection: Arc<ContextSelection>, state: RepositoryState) -> SynchronizedContext {
        SynchronizedContext { selection, state }
    }

    /// Returns the name of the engine's copy, if there is a record of it.
    fn copy_name(&self, headers: &mut [FileHeader]) -> Option<String> {
        let patterns = self.selection.patterns()?;
        let digests = self.selection.digests();
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        for (header, digest) in headers.iter_mut().zip(digests) {
            let FileHeader { path, kind, mode, size, mtime } = header;
            let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
            match (kind, digest) {
                (EntryKind::Directory, _) => directories.push(SentDirectory { path, mode: *mode }),
                (_, Some(digest)) => {
                    files.push(SentFile { path, size: *size, mtime, digest: *digest });
                }
                (_, None) => {}
            }
        }
        let copies = self.state.context_copies().ok()?;
        copies.record(&self.selection.context().root, patterns, &directories, &mut files).ok()
    }
}

impl ContextFiles for SynchronizedContext {
    fn headers(&self) -> Vec<FileHeader> {
        self.selection.headers()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.selection.read(index, piece)
    }

    fn engine_copy(&self, headers: &mut [FileHeader]) -> EngineCopy {
        let unshared = EngineCopy::unshared();
        // Without a record, everything is sent.
        let name = self.copy_name(headers).unwrap_or(unshared.name);
        let state = self.selection.state_of(headers).unwrap_or(unshared.state);
        EngineCopy { name, state }
    }
}
