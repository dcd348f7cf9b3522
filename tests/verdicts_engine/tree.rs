//! The files of the repository: creating, saving, and restoring them.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::common::dice::Dice;

/// Large and never edited.
pub const SHELL: &str = "busybox";

/// A saved file, directory, or symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedEntry {
    pub path: PathBuf,
    pub mode: u32,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Folder,
    File(Vec<u8>, SystemTime),
    Link(PathBuf),
}

/// Reads everything below a directory except the shell and the program's own files, directories before their
/// contents.
pub fn read(root: &Path) -> Vec<SavedEntry> {
    let mut kept = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for item in fs::read_dir(&directory).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap();
            if name == SHELL || name == ".layers" {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let what = if metadata.is_dir() {
                waiting.push(path.clone());
                What::Folder
            } else if metadata.is_symlink() {
                What::Link(fs::read_link(&path).unwrap())
            } else {
                What::File(fs::read(&path).unwrap(), metadata.modified().unwrap())
            };
            let mode = metadata.mode() & 0o7777;
            kept.push(SavedEntry { path: path.strip_prefix(root).unwrap().to_owned(), mode, what });
        }
    }
    kept.sort_by(|a, b| a.path.cmp(&b.path));
    kept
}

/// Restores a directory. Unchanged entries are not written.
pub fn put_back(root: &Path, then: &[SavedEntry]) {
    let now = read(root);
    for entry in now.iter().rev().filter(|entry| !then.contains(entry)) {
        let path = root.join(&entry.path);
        match entry.what {
            // A directory with the shell in it remains.
            What::Folder => drop(fs::remove_dir(path)),
            _ => fs::remove_file(path).unwrap(),
        }
    }
    for entry in then.iter().filter(|entry| !now.contains(entry)) {
        let path = root.join(&entry.path);
        match &entry.what {
            What::Folder => drop(fs::create_dir(&path)),
            What::Link(to) => symlink(to, &path).unwrap(),
            What::File(content, time) => {
                fs::write(&path, content).unwrap();
                set_mode(&path, entry.mode);
                set_time(&path, *time);
            }
        }
        if entry.what == What::Folder {
            set_mode(&path, entry.mode);
        }
    }
}

/// Describes the tree, for a failure message.
pub fn describe(root: &Path) -> String {
    let mut text = String::new();
    for SavedEntry { path, mode, what } in read(root) {
        let what = match what {
            What::Folder => "/".to_owned(),
            What::Link(to) => format!(" -> {}", to.display()),
            What::File(content, _) => {
                let name = path.file_name().unwrap().as_bytes();
                let is_text = [&b"Dockerfile"[..], b"ignore", b"toml"];
                if is_text.iter().any(|end| name.ends_with(end)) {
                    format!(":\n{}", String::from_utf8_lossy(&content))
                } else {
                    format!(" = {}", content[..content.len().min(24)].escape_ascii())
                }
            }
        };
        text.push_str(&format!("{mode:04o} {}{what}\n", path.to_string_lossy().escape_debug()));
    }
    text
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn set_time(path: &Path, time: SystemTime) {
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Creates the initial files of an image's own directory.
pub fn lay_out(directory: &Path, dice: &mut Dice, is_base: bool) {
    for part in ["dir/sub", "empty"] {
        fs::create_dir_all(directory.join(part)).unwrap();
    }
    for name in ["id", "f1", "f2", "a b", "dir/x", "dir/y", "dir/sub/z", "keep.log", "junk"] {
        // Few different contents, so that several files have the same content.
        let content = format!("{}\n", dice.below(4));
        fs::write(directory.join(name), content).unwrap();
    }
    fs::write(directory.join("run.sh"), "#!/bin/sh\n").unwrap();
    set_mode(&directory.join("run.sh"), 0o755);
    fs::hard_link(directory.join("f2"), directory.join("h2")).unwrap();
    for (name, to) in [("link", "f1"), ("dirlink", "dir"), ("dir/up", "../f2"), ("away", "/f1")] {
        symlink(to, directory.join(name)).unwrap();
    }
    fs::write(directory.join(std::ffi::OsStr::from_bytes(b"odd\xff*[x] \n")), "odd").unwrap();
    fs::write(directory.join("t.tar"), archive(dice)).unwrap();
    if is_base {
        fs::copy("/bin/busybox", directory.join(SHELL)).expect("Debian's busybox-static is there");
    }
}

/// Returns a small archive for `ADD` to unpack.
pub fn archive(dice: &mut Dice) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let content = format!("{}", dice.below(10));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "in/f", content.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

/// Returns the entries of an image's own directory that edits can choose from.
pub fn choices(directory: &Path) -> Vec<PathBuf> {
    let is_free = |path: &PathBuf| {
        let name = path.file_name().unwrap().as_bytes();
        !name.starts_with(b"Dockerfile") && name != b".dockerignore" && path.as_os_str() != "id"
    };
    read(directory).into_iter().map(|entry| entry.path).filter(is_free).collect()
}
