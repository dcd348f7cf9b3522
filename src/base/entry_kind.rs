//! What an entry of a directory is.
//!
//! Owns the kinds of entries that a build context can contain.

use std::ffi::OsString;

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink with its target, as stored.
    Symlink(OsString),
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// The major number, which identifies the driver.
        major: u32,
        /// The minor number, which identifies the device.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number, which identifies the driver.
        major: u32,
        /// The minor number, which identifies the device.
        minor: u32,
    },
}
