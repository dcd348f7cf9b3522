//! The way to what `.layers/` holds: through directories and plain files, never through links.
//!
//! Owns the check of everything that is opened, written, or removed there. A repository may hold a
//! `.layers/` of its own, in which a link leads elsewhere or a pipe would block whoever opens it. A
//! file with a second name may be one from outside, so it is not used either. Trees that change
//! while they are looked at are out of scope: whoever can do that can write to the directory anyway.

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
    /// That of the repository at `root`, whether or not it is there.
    pub fn of(root: &Path) -> StateDir {
        StateDir { root: root.to_owned(), path: root.join(STATE_DIRECTORY) }
    }

    /// Any directory, taken for one of these. What is above it is not checked.
    pub fn at(path: &Path) -> StateDir {
        StateDir { root: path.parent().unwrap_or(path).to_owned(), path: path.to_owned() }
    }

    /// The directory of that name in it.
    pub fn below(&self, name: &str) -> StateDir {
        StateDir { root: self.root.clone(), path: self.path.join(name) }
    }

    /// Its path, for messages. What opens it takes one of the other functions.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last part of its path.
    pub fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// Makes sure that it is there, and a directory, as are all on the way to it.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check(&self) -> io::Result<()> {
        self.steps().try_for_each(|step| check_directory(&step))
    }

    /// The directories from `.layers` down to this one.
    fn steps(&self) -> impl Iterator<Item = PathBuf> {
        let below = self.path.strip_prefix(&self.root).unwrap_or(&self.path);
        let mut step = self.root.clone();
        below.components().map(move |part| {
            step.push(part);
            step.clone()
        })
    }

    /// Makes it, and those on the way to it. Returns whether it was made now.
    ///
    /// # Errors
    /// Where that can't be, or something else is in the place of one.
    pub fn make(&self) -> io::Result<bool> {
        let mut is_new = false;
        for step in self.steps() {
            is_new = match check_directory(&step) {
                Err(error) if error.kind() == ErrorKind::NotFound => match fs::create_dir(&step) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        check_directory(&step).map(|()| false)?
                    }
                    made => made.map(|()| true)?,
                },
                checked => checked.map(|()| false)?,
            };
        }
        Ok(is_new)
    }

    /// The names of what is in it; none where it can't be read.
    pub fn names(&self) -> Vec<OsString> {
        if self.check().is_err() {
            return Vec::new();
        }
        fs::read_dir(&self.path).into_iter().flatten().flatten().map(|it| it.file_name()).collect()
    }

    /// The path of a plain file in it, to be read.
    ///
    /// # Errors
    /// Where there is none.
    pub fn file(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.metadata(&name).map(|_| self.path.join(name))
    }

    /// The path of a file in it, to be written: a plain one, or none is there.
    ///
    /// # Errors
    /// Where something else is in its place.
    pub fn place(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.check()?;
        match self.metadata(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => found.map(|_| ())?,
        }
        Ok(self.path.join(name))
    }

    /// What the disk says of a plain file in it.
    ///
    /// # Errors
    /// Where there is none.
    pub fn metadata(&self, name: impl AsRef<Path>) -> io::Result<Metadata> {
        self.check()?;
        let path = self.path.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        match what_is_wrong(&metadata, false) {
            Some(what) => Err(refuse(&path, what)),
            None => Ok(metadata),
        }
    }

    /// The content of a plain file in it.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    pub fn read(&self, name: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        fs::read(self.file(name)?)
    }

    /// Writes a file in it beside its place and renames it: whoever reads finds a whole one. What else
    /// is there under that name goes, and nothing that it led to.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        write_whole(&self.path.join(name), bytes)
    }

    /// Removes a name from it, whatever it stands for.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn remove_file(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.check()?;
        fs::remove_file(self.path.join(name))
    }

    /// Removes it with all that is in it. Links go, what they lead to stays.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn remove(&self) -> io::Result<()> {
        self.check()?;
        fs::remove_dir_all(&self.path)
    }

    /// What keeps the state directory, or a part of it, from being used, and how to remove it; nothing where
    /// all of it is as it was made here, or is not there.
    pub fn trouble(&self, directories: &[&str]) -> Option<String> {
        let found = fs::symlink_metadata(&self.path).ok()?;
        let tell = |path: &Path, what: &str| {
            let shown = path.strip_prefix(&self.root).unwrap_or(path);
            let shown = visible_path(shown);
            format!(
                "`{shown}` is {what}, so it is not used; `rm {}` removes it",
                shell_word(&shown)
            )
        };
        if let Some(what) = what_is_wrong(&found, true) {
            return Some(tell(&self.path, what));
        }
        let mut names = self.names();
        names.sort();
        names.into_iter().find_map(|name| {
            let path = self.path.join(&name);
            let is_ours = name.to_str().is_some_and(|name| directories.contains(&name));
            let metadata = fs::symlink_metadata(&path).ok()?;
            what_is_wrong(&metadata, is_ours || metadata.is_dir()).map(|what| tell(&path, what))
        })
    }
}

fn check_directory(path: &Path) -> io::Result<()> {
    match what_is_wrong(&fs::symlink_metadata(path)?, true) {
        Some(what) => Err(refuse(path, what)),
        None => Ok(()),
    }
}

/// What something is that is no directory, or no plain file.
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
        (metadata.nlink() > 1).then_some("a file with a second name (a hard link)")
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
    fn only_directories_and_plain_files_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(outside.join("below")).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        let state = StateDir::of(&root);
        assert_eq!(state.check().unwrap_err().kind(), ErrorKind::NotFound);
        assert!(state.below("runs").make().unwrap() && !state.below("runs").make().unwrap());
        let runs = state.below("runs");
        runs.write("a", b"b").unwrap();
        assert_eq!(runs.read("a").unwrap(), b"b");
        assert!(runs.place("new").is_ok() && runs.file("new").is_err());
        // Each of these in the place of a file.
        symlink(outside.join("file"), runs.path().join("link")).unwrap();
        symlink("nowhere", runs.path().join("dangling")).unwrap();
        fs::hard_link(outside.join("file"), runs.path().join("hard")).unwrap();
        let _socket = UnixListener::bind(runs.path().join("socket")).unwrap();
        fs::create_dir(runs.path().join("directory")).unwrap();
        for name in ["link", "dangling", "hard", "socket", "directory"] {
            let place = runs.place(name).map_err(|error| error.kind());
            assert_eq!(place, Err(ErrorKind::InvalidInput), "{name}");
            assert!(runs.read(name).is_err() && runs.metadata(name).is_err(), "{name}");
        }
        // A whole file takes the place of a link, and leaves alone what that led to.
        for name in ["link", "hard"] {
            runs.write(name, b"ours").unwrap();
            assert_eq!(runs.read(name).unwrap(), b"ours", "{name}");
        }
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        // In the place of a directory.
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
    fn trouble_is_named_with_what_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::of(folder.path());
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
