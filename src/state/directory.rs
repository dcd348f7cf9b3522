//! Access to the contents of `.layers/`: through directories and regular files, never through links.
//!
//! Owns the check of everything that is opened, written, or removed there. A repository may contain its own `.layers/`,
//! in which a link points elsewhere, or a pipe would block whoever opens it. A file with a second hard link may be one
//! from outside, so it is not used either. Changes during a check are out of scope: whoever can make them can write to
//! the directory anyway.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::base::file::write_whole;
use crate::base::path::STATE_DIRECTORY;
use crate::base::screen::visible_path;
use crate::base::text::shell_word;

/// A directory: `.layers` itself, or one below it.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
    path: PathBuf,
}

impl StateDir {
    /// Returns the state directory of the repository at `root`, whether it exists or not.
    pub fn of(root: &Path) -> StateDir {
        StateDir { root: root.to_owned(), path: root.join(STATE_DIRECTORY) }
    }

    /// Returns any directory as if it were a state directory. The directories above it are not checked.
    pub fn at(path: &Path) -> StateDir {
        StateDir { root: path.parent().unwrap_or(path).to_owned(), path: path.to_owned() }
    }

    /// Returns the subdirectory with the given name.
    pub fn below(&self, name: &str) -> StateDir {
        StateDir { root: self.root.clone(), path: self.path.join(name) }
    }

    /// The path of the directory, for messages. Use the other functions to open it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last component of its path.
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// Checks that it exists and is a directory, as well as all its parents from `.layers` down.
    ///
    /// # Errors
    /// Returns an error if one of them is missing or is not a directory.
    pub fn check(&self) -> io::Result<()> {
        self.steps().try_for_each(|step| check_directory(&step))
    }

    /// Returns the directories from `.layers` down to this one.
    fn steps(&self) -> impl Iterator<Item = PathBuf> {
        let below = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        let mut step = self.root.clone();
        below.components().map(move |part| {
            step.push(part);
            step.clone()
        })
    }

    /// Creates the directory, and its parents from `.layers` down. Returns whether it is new.
    ///
    /// # Errors
    /// Returns an error if it cannot be created, or if its path, or that of a parent, is something else.
    pub fn make(&self) -> io::Result<bool> {
        let mut is_new = false;
        for step in self.steps() {
            is_new = match check_directory(&step) {
                Err(error) if error.kind() == ErrorKind::NotFound => match fs::create_dir(&step) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        check_directory(&step).map(|()| false)?
                    }
                    result => result.map(|()| true)?,
                },
                checked => checked.map(|()| false)?,
            };
        }
        Ok(is_new)
    }

    /// Returns the names of its entries, or none if it cannot be read.
    pub fn names(&self) -> Vec<OsString> {
        if self.check().is_err() {
            return Vec::new();
        }
        fs::read_dir(&self.path).into_iter().flatten().flatten().map(|it| it.file_name()).collect()
    }

    /// Returns the path of a regular file in it, for reading.
    ///
    /// # Errors
    /// Returns an error if there is no such file.
    pub fn file(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.metadata(&name).map(|_| self.path.join(name))
    }

    /// Returns the path of a file in it, for writing: a regular file, or one that does not exist yet.
    ///
    /// # Errors
    /// Returns an error if its path is something else.
    pub fn writable_file(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.check()?;
        match self.metadata(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => found.map(|_| ())?,
        }
        Ok(self.path.join(name))
    }

    /// Returns the metadata of a regular file in it.
    ///
    /// # Errors
    /// Returns an error if there is no such file.
    pub fn metadata(&self, name: impl AsRef<Path>) -> io::Result<Metadata> {
        self.check()?;
        let path = self.path.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        match what_is_wrong(&metadata, false) {
            Some(what) => Err(refuse(&path, what)),
            None => Ok(metadata),
        }
    }

    /// Returns the content of a regular file in it.
    ///
    /// # Errors
    /// Returns an error if there is no such file, or if it cannot be read.
    pub fn read(&self, name: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        fs::read(self.file(name)?)
    }

    /// Writes a file in it atomically, with a temporary file and a rename. Replaces anything else of that name, but not
    /// what it points to.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        write_whole(&self.path.join(name), bytes)
    }

    /// Removes a name from it, whatever it refers to.
    ///
    /// # Errors
    /// Returns an error if it cannot be removed.
    pub fn remove_file(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.check()?;
        fs::remove_file(self.path.join(name))
    }

    /// Removes it with all its contents. Links are removed, but not what they point to.
    ///
    /// # Errors
    /// Returns an error if it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        self.check()?;
        fs::remove_dir_all(&self.path)
    }

    /// Returns why the state directory, or a part of it, is not used, and how to remove that part. Returns `None` if
    /// everything in it is as created here, or if it does not exist.
    pub fn trouble(&self, directories: &[&str]) -> Option<String> {
        let found = fs::symlink_metadata(&self.path).ok()?;
        let report = |path: &Path, what: &str| {
            let shown = path.strip_prefix(&self.root).unwrap_or(path);
            let shown = visible_path(shown);
            format!(
                "`{shown}` is {what}, so it is not used; `rm {}` removes it",
                shell_word(&shown)
            )
        };
        if let Some(what) = what_is_wrong(&found, true) {
            return Some(report(&self.path, what));
        }
        let mut names = self.names();
        names.sort();
        names.into_iter().find_map(|name| {
            let path = self.path.join(&name);
            let is_ours = name.to_str().is_some_and(|name| directories.contains(&name));
            let metadata = fs::symlink_metadata(&path).ok()?;
            what_is_wrong(&metadata, is_ours || metadata.is_dir()).map(|what| report(&path, what))
        })
    }
}

fn check_directory(path: &Path) -> io::Result<()> {
    match what_is_wrong(&fs::symlink_metadata(path)?, true) {
        Some(what) => Err(refuse(path, what)),
        None => Ok(()),
    }
}

/// Returns what something is if it is not a directory, or not a regular file.
fn what_is_wrong(metadata: &Metadata, is_directory: bool) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else if kind.is_dir() {
        (!is_directory).then_some("a directory")
    } else if is_directory {
        Some("not a directory")
    } else {
        (metadata.nlink() > 1).then_some("a file with more than one hard link")
    }
}

fn refuse(path: &Path, what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("`{}` is {what}", visible_path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_directories_and_regular_files_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let (root, outside) = (directory.path().join("root"), directory.path().join("outside"));
        fs::create_dir_all(outside.join("below")).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        let state = StateDir::of(&root);
        assert_eq!(state.check().unwrap_err().kind(), ErrorKind::NotFound);
        assert!(state.below("runs").make().unwrap() && !state.below("runs").make().unwrap());
        let runs = state.below("runs");
        runs.write("a", b"b").unwrap();
        assert_eq!(runs.read("a").unwrap(), b"b");
        assert!(runs.writable_file("new").is_ok() && runs.file("new").is_err());
        // Each of these is not a file.
        symlink(outside.join("file"), runs.path().join("link")).unwrap();
        symlink("nowhere", runs.path().join("dangling")).unwrap();
        fs::hard_link(outside.join("file"), runs.path().join("hard")).unwrap();
        let _socket = UnixListener::bind(runs.path().join("socket")).unwrap();
        fs::create_dir(runs.path().join("directory")).unwrap();
        for name in ["link", "dangling", "hard", "socket", "directory"] {
            let result = runs.writable_file(name).map_err(|error| error.kind());
            assert_eq!(result, Err(ErrorKind::InvalidInput), "{name}");
            assert!(runs.read(name).is_err() && runs.metadata(name).is_err(), "{name}");
        }
        // A new file replaces a link, but not what the link points to.
        for name in ["link", "hard"] {
            runs.write(name, b"ours").unwrap();
            assert_eq!(runs.read(name).unwrap(), b"ours", "{name}");
        }
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        // Instead of a directory.
        symlink(&outside, state.path().join("claims")).unwrap();
        for linked in [state.below("claims"), state.below("claims").below("below")] {
            assert!(linked.check().is_err() && linked.make().is_err() && linked.names().is_empty());
            assert!(linked.read("file").is_err() && linked.write("file", b"").is_err());
            assert!(linked.remove_file("file").is_err() && linked.remove().is_err());
        }
        symlink(&outside, runs.path().join("in")).unwrap();
        runs.remove().unwrap();
        assert!(outside.join("below").is_dir());
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
    }

    #[test]
    fn problems_are_reported_with_the_command_that_fixes_them() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        let trouble = || state.trouble(&["runs"]);
        assert_eq!(trouble(), None);
        fs::write(state.path(), "").unwrap();
        let expected = "`.layers` is not a directory, so it is not used; `rm .layers` removes it";
        assert_eq!(trouble().as_deref(), Some(expected));
        fs::remove_file(state.path()).unwrap();
        symlink("/", state.path()).unwrap();
        assert!(trouble().unwrap().starts_with("`.layers` is a symbolic link, "));
        fs::remove_file(state.path()).unwrap();
        state.below("keys").make().unwrap();
        state.write("files", b"").unwrap();
        assert_eq!(trouble(), None);
        state.write("runs", b"").unwrap();
        assert!(trouble().unwrap().starts_with("`.layers/runs` is not a directory, "));
    }
}
