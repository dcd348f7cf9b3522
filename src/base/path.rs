//! Paths relative to the repository's root, written with `/` and without `.` or empty parts.
//!
//! Owns the normal form. It never reads the disk: `..` is resolved in the text.

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::screen::visible;

/// The state directory at the root of a repository. It is never an input of an image.
pub const STATE_DIRECTORY: &str = ".layers";

/// A path below the repository's root in its normal form. The root itself is `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RelPath(String);

impl TryFrom<String> for RelPath {
    type Error = String;

    fn try_from(text: String) -> Result<RelPath, String> {
        RelPath::new(&text).ok_or_else(|| format!("`{text}` is not a path in the repository"))
    }
}

impl RelPath {
    /// Returns the root.
    pub fn root() -> RelPath {
        RelPath(".".to_owned())
    }

    /// Returns the normal form of `text`, or `None` if it is absolute or leaves the root.
    pub fn new(text: &str) -> Option<RelPath> {
        if text.starts_with('/') {
            return None;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(if parts.is_empty() { RelPath::root() } else { RelPath(parts.join("/")) })
    }

    /// Returns the normal form of a path found by walking the directories below the root.
    ///
    /// Bytes that are not UTF-8 become replacement characters.
    pub fn from_path(path: &Path) -> Option<RelPath> {
        RelPath::new(&path.to_string_lossy())
    }

    /// Returns the path as text; the root is `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// Returns the last part, or `None` for the root.
    pub fn file_name(&self) -> Option<&str> {
        if self.is_root() { None } else { self.0.rsplit('/').next() }
    }

    /// Returns the directory that contains this path. The parent of the root is the root.
    pub fn parent(&self) -> RelPath {
        match self.0.rsplit_once('/') {
            Some((directory, _)) => RelPath(directory.to_owned()),
            None => RelPath::root(),
        }
    }

    /// Returns this path followed by `below`, or `None` if the result leaves the root.
    pub fn join(&self, below: &str) -> Option<RelPath> {
        RelPath::new(&format!("{}/{below}", self.0))
    }

    /// Iterates over the parts from the root down. The root has no parts.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| *part != ".")
    }

    /// Returns the path on disk, below `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(&self.0) }
    }

    /// Returns the rest of this path below a directory, `.` if they are equal, or `None` if the path is not
    /// in the directory.
    pub fn strip_directory(&self, directory: &RelPath) -> Option<&str> {
        if directory.is_root() {
            return Some(&self.0);
        }
        match self.0.strip_prefix(directory.as_str())? {
            "" => Some("."),
            rest => rest.strip_prefix('/'),
        }
    }
}

/// Displays the path on one line, with unusual characters escaped. Use [`RelPath::as_str`] for the path
/// itself.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for RelPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(RelPath::new(text).as_ref().map(RelPath::as_str), expected, "{text}");
    }

    #[test]
    fn paths_are_normalized() {
        check("docker/base", Some("docker/base"));
        check("./docker//base/", Some("docker/base"));
        check("docker/../lib", Some("lib"));
        check("", Some("."));
        check(".", Some("."));
        check("a/..", Some("."));
        check("..", None);
        check("a/../..", None);
        check("/etc", None);
    }

    #[test]
    fn paths_have_parts_and_parents() {
        let path = RelPath::new("docker/base/Dockerfile").unwrap();
        assert_eq!(path.file_name(), Some("Dockerfile"));
        assert_eq!(path.parent().as_str(), "docker/base");
        assert_eq!(path.parts().count(), 3);
        assert_eq!(RelPath::root().parts().count(), 0);
        assert_eq!(RelPath::root().join("x").unwrap().as_str(), "x");
        assert_eq!(path.strip_directory(&RelPath::new("docker").unwrap()), Some("base/Dockerfile"));
        assert_eq!(path.strip_directory(&RelPath::new("dock").unwrap()), None);
        assert_eq!(path.strip_directory(&RelPath::root()), Some("docker/base/Dockerfile"));
        assert_eq!(path.strip_directory(&path), Some("."));
    }
}
