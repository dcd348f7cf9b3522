//! The files of a build context, as an engine gets them.
//!
//! Owns the interface to the files: their metadata, their content, and the copy that an engine keeps of them. Files are
//! owned by 0:0 in every image, and extended attributes are left out: reading them would take `unsafe` or another
//! dependency, Git does not keep them, and BuildKit does not notice when they change.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::base::EntryKind;

/// The metadata of a file, directory, or other entry of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    /// The path relative to the context, separated by `/`. It can contain any bytes except NUL.
    pub path: OsString,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The permission bits with setuid, setgid, and sticky: `mode & 0o7777`.
    pub mode: u32,
    /// The size of the content in bytes; for a symlink, that of its target; 0 for everything else.
    pub size: u64,
    /// The time of the last change to the content, in nanoseconds since 1970.
    pub mtime: i64,
}

impl FileHeader {
    /// Returns the path as bytes.
    pub fn bytes(&self) -> &[u8] {
        self.path.as_bytes()
    }

    /// Returns the target of a symlink, or nothing for everything else.
    pub fn link(&self) -> &[u8] {
        match &self.kind {
            EntryKind::Symlink(target) => target.as_bytes(),
            _ => &[],
        }
    }

    /// Returns the major and minor numbers of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        match self.kind {
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
                Some((major, minor))
            }
            _ => None,
        }
    }
}

/// The files of a context.
///
/// May be called any number of times from any thread.
pub trait ContextFiles: Send + Sync {
    /// Returns all entries, in the order of a walk ([`walk_order`](crate::scan::context::walk_order)), with the
    /// directories that contain them.
    fn headers(&self) -> Vec<FileHeader>;

    /// Passes the content of the file with an index in [`ContextFiles::headers`] to `piece`, in order. The pieces of a
    /// call have the size in its header together, and the pieces of all calls are the same.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has changed (the message names it), and if `piece` does. What
    /// was passed on until then is not the file's content.
    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;

    /// Returns the copy of these files that the engine keeps and synchronizes. It may change times in the headers: the
    /// engine does not request a file if its copy has one with the same metadata.
    ///
    /// By default, the copy is used only once.
    fn engine_copy(&self, _headers: &mut [FileHeader]) -> EngineCopy {
        EngineCopy::unshared()
    }
}

/// A copy of a context's files, which an engine keeps from one build to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineCopy {
    /// The name of the copy. In all headers ever sent under one name, a path with a size and a time means one content.
    pub name: String,
    /// Identifies the state of the files: all metadata that is sent, and the contents.
    pub state: String,
}

impl EngineCopy {
    /// Returns a copy that no other build uses.
    pub fn unshared() -> EngineCopy {
        EngineCopy { name: random_id(), state: random_id() }
    }
}

/// Returns 128 random bits in hexadecimal.
pub fn random_id() -> String {
    // Every `RandomState` has its own keys, from the system's random source.
    let part = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", part(), part())
}

/// A context without files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl ContextFiles for NoFiles {
    fn headers(&self) -> Vec<FileHeader> {
        Vec::new()
    }

    fn read(&self, _: usize, _: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}
