//! Files on the disk as a context, read here and not by the program.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use layers::base::EntryKind;
use layers::engine::{ContextFiles, FileHeader};

/// Some files and directories below a directory.
pub struct DiskFiles {
    root: PathBuf,
    /// Relative to the root, in the order of a walk.
    paths: Vec<PathBuf>,
}

impl DiskFiles {
    /// Returns these files, which do not include special files.
    pub fn new(root: PathBuf, mut paths: Vec<PathBuf>) -> DiskFiles {
        // Paths are compared component by component.
        paths.sort();
        DiskFiles { root, paths }
    }

    /// Returns everything in a directory.
    pub fn all_in(root: PathBuf) -> DiskFiles {
        let (mut paths, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(root.join(&directory)).unwrap() {
                let entry = entry.unwrap();
                let path = directory.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(path.clone());
                }
                paths.push(path);
            }
        }
        DiskFiles::new(root, paths)
    }
}

impl ContextFiles for DiskFiles {
    fn headers(&self) -> Vec<FileHeader> {
        let header = |path: &PathBuf| {
            let place = self.root.join(path);
            let metadata = fs::symlink_metadata(&place).unwrap();
            let kind = if metadata.is_symlink() {
                EntryKind::Symlink(fs::read_link(&place).unwrap().into())
            } else if metadata.is_dir() {
                EntryKind::Directory
            } else {
                EntryKind::File
            };
            FileHeader {
                path: path.clone().into(),
                size: if metadata.is_dir() { 0 } else { metadata.len() },
                mode: metadata.mode() & 0o7777,
                mtime: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(),
                kind,
            }
        };
        self.paths.iter().map(header).collect()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        piece(&fs::read(self.root.join(&self.paths[index]))?)
    }
}
