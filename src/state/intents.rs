//! Where a run writes which tags it is about to move.
//!
//! Owns the directories for that, in order of preference, and that only this user can write to them: another user's file
//! would move tags with this user's credentials. `session::tag_moves` owns what the files contain.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{RepositoryState, StateDir};

/// The directories of intents of one repository.
pub struct IntentDirs {
    state: RepositoryState,
    /// Those for a checkout that cannot be written to.
    elsewhere: Vec<StateDir>,
}

impl IntentDirs {
    /// Returns the directories for the repository at `root`: its state directory, the user's state directory (XDG Base
    /// Directory Specification), and the directory of temporary files.
    pub fn of(root: &Path, user_state: Option<PathBuf>, temporary: &Path) -> IntentDirs {
        let user = rustix::process::geteuid().as_raw();
        let parents = [
            user_state.map(|directory| directory.join("layers")),
            Some(temporary.join(format!("layers-{user}"))),
        ];
        let hash = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        let elsewhere =
            parents.into_iter().flatten().map(|parent| StateDir::at(&parent.join(&hash[..32])));
        IntentDirs { state: RepositoryState::of(root), elsewhere: elsewhere.collect() }
    }

    /// Writes a file to the first directory that it can be written to, and returns the directory.
    ///
    /// # Errors
    /// Returns the error of the first directory if it can be written to none of them.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<StateDir> {
        let written = |directory: StateDir| directory.write(name, bytes).map(|()| directory);
        let first = match self.state.prepare_releases().and_then(written) {
            Ok(directory) => return Ok(directory),
            Err(error) => error,
        };
        let prepared = |directory: &StateDir| prepare(directory).map(|()| directory.clone());
        let mut elsewhere = self.elsewhere.iter();
        elsewhere.find_map(|it| prepared(it).and_then(written).ok()).ok_or(first)
    }

    /// Returns the directories that exist.
    pub fn existing(&self) -> Vec<StateDir> {
        let elsewhere = self.elsewhere.iter().filter(|it| check(it).is_ok()).cloned();
        [self.state.releases()]
            .into_iter()
            .chain(elsewhere)
            .filter(|it| it.check().is_ok())
            .collect()
    }
}

/// Creates a directory outside the repository.
fn prepare(directory: &StateDir) -> io::Result<()> {
    if let Some(parent) = directory.path().parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    check(directory)?;
    directory.make().map(drop)
}

/// Checks that no one else can write to the parent of a directory outside the repository.
fn check(directory: &StateDir) -> io::Result<()> {
    let parent = directory.path().parent().unwrap_or(directory.path());
    let found = fs::symlink_metadata(parent)?;
    let is_own = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if found.is_dir() && is_own { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn intents_are_written_to_the_first_usable_directory() {
        let at = tempfile::tempdir().unwrap();
        let [root, user, temporary] = ["root", "user", "tmp"].map(|name| at.path().join(name));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&temporary).unwrap();
        let intents = IntentDirs::of(&root, Some(user.clone()), &temporary);
        assert!(intents.existing().is_empty());
        let place = || intents.write("a", b"x").map(|it| it.path().to_owned());
        assert_eq!(place().unwrap(), root.join(".layers/releases"));
        // A file instead of a directory stops root, too.
        fs::remove_dir_all(root.join(".layers")).unwrap();
        fs::write(root.join(".layers"), "").unwrap();
        assert!(place().unwrap().starts_with(user.join("layers")));
        fs::remove_dir_all(&user).unwrap();
        fs::write(&user, "").unwrap();
        let last = place().unwrap();
        assert!(last.starts_with(&temporary), "{last:?}");
        assert_eq!(intents.existing().len(), 1);
        let parent = last.parent().unwrap();
        fs::set_permissions(parent, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(intents.existing().is_empty(), "anyone could write there");
        assert!(place().is_err());
    }
}
