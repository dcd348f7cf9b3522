//! The files of a directory or an image, to compare them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::common::{disk_files::DiskFiles, program};
use layers::base::EntryKind;
use layers::engine::ContextFiles;

/// What is known about files, by path.
#[derive(Debug, PartialEq, Eq)]
pub struct FileStates(BTreeMap<PathBuf, FileState>);

#[derive(Debug, PartialEq, Eq)]
struct FileState {
    kind: String,
    mode: u32,
    /// In seconds; only of files in images. Times do not count: an image is up to date after `touch`.
    mtime: Option<i64>,
    content: Vec<u8>,
}

impl FileStates {
    /// Returns the files of a context on the disk.
    pub fn of_disk(root: &Path) -> FileStates {
        let files = DiskFiles::all_in(root.to_owned());
        let state = |header: layers::engine::FileHeader| {
            let path = PathBuf::from(&header.path);
            let metadata = fs::symlink_metadata(root.join(&path)).unwrap();
            let is_file = metadata.is_file();
            let kind = match header.kind {
                _ if is_file => "file".to_owned(),
                EntryKind::Directory => "directory".to_owned(),
                EntryKind::Symlink(target) => format!("symlink to {}", target.display()),
                _ => "special".to_owned(),
            };
            let content = if is_file { fs::read(root.join(&path)).unwrap() } else { Vec::new() };
            let mode = if metadata.is_symlink() { 0o777 } else { header.mode };
            (path, FileState { kind, mode, mtime: None, content })
        };
        FileStates(files.headers().into_iter().map(state).collect())
    }

    /// Returns the files in `/c` of an image, and the list that a step may have written.
    pub fn of_image(image: &str) -> FileStates {
        let id = program::output_of(&mut program::docker(&["create", image, "none"]));
        let exported = program::docker(&["export", id.trim()]).output().unwrap();
        program::output_of(&mut program::docker(&["rm", id.trim()]));
        assert!(exported.status.success());
        let mut archive = tar::Archive::new(exported.stdout.as_slice());
        let (mut states, mut linked) = (BTreeMap::new(), Vec::new());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path_bytes()));
            let path = match path.strip_prefix("c") {
                Ok(below) if below.as_os_str().is_empty() => continue,
                Ok(below) => below.to_owned(),
                Err(_) if path == Path::new("list") => path,
                Err(_) => continue,
            };
            let kind = entry.header().entry_type();
            let (mode, mtime) =
                (entry.header().mode().unwrap() & 0o7777, entry.header().mtime().unwrap());
            let is_file = kind.is_file() || kind.is_hard_link();
            let target =
                entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
            if kind.is_hard_link() {
                let target = Path::new(std::ffi::OsStr::from_bytes(&target))
                    .strip_prefix("c")
                    .unwrap()
                    .to_owned();
                linked.push((path, target));
                continue;
            }
            let kind = match kind {
                tar::EntryType::Regular => "file".to_owned(),
                tar::EntryType::Directory => "directory".to_owned(),
                tar::EntryType::Symlink => {
                    format!("symlink to {}", String::from_utf8_lossy(&target))
                }
                _ => "special".to_owned(),
            };
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let mtime = is_file.then(|| mtime.cast_signed());
            // The list is different in time only.
            let mtime = mtime.filter(|_| path != Path::new("list"));
            states.insert(path, FileState { kind, mode, mtime, content });
        }
        for (path, target) in linked {
            let FileState { kind, mode, mtime, content } = &states[&target];
            let state = FileState {
                kind: kind.clone(),
                mode: *mode,
                mtime: *mtime,
                content: content.clone(),
            };
            states.insert(path, state);
        }
        FileStates(states)
    }

    /// Returns the files without their times.
    pub fn without_times(mut self) -> FileStates {
        self.0.values_mut().for_each(|state| state.mtime = None);
        self
    }

    /// Returns the permission bits of a file or directory.
    pub fn mode(&self, path: &str) -> u32 {
        self.0[Path::new(path)].mode
    }

    /// Returns the content of a file.
    pub fn content(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.0[Path::new(path)].content).into_owned()
    }

    /// Describes how these files differ from others.
    pub fn differences(&self, other: &FileStates) -> String {
        let describe = |state: Option<&FileState>| match state {
            Some(FileState { kind, mode, mtime, content }) => {
                let start = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
                format!("{kind} {mode:o} {mtime:?} {} bytes {start:?}", content.len())
            }
            None => "missing".to_owned(),
        };
        let paths = self.0.keys().chain(other.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let differ = paths.into_iter().filter(|path| self.0.get(*path) != other.0.get(*path));
        let lines = differ.map(|path| {
            format!(
                "{}: {}, not {}",
                path.display(),
                describe(self.0.get(path)),
                describe(other.0.get(path))
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
