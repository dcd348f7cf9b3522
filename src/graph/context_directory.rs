//! The directories of named contexts.
//!
//! Owns which values of named contexts are directories, where these are, and which part of a URL is confidential. It
//! reads nothing from the disk.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::base::RelPath;

/// The directory of a named context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextDirectory {
    /// A directory below the root of the repository.
    Inside(RelPath),
    /// Any other directory: an absolute path, or one that leaves the root.
    Outside(PathBuf),
}

impl ContextDirectory {
    /// Returns the directory at a path that is absolute or relative to the root.
    pub fn at(path: &str) -> ContextDirectory {
        match RelPath::new(path) {
            Some(path) => ContextDirectory::Inside(path),
            None => ContextDirectory::Outside(path.into()),
        }
    }

    /// Returns the directory that the value of a named context names, or `None` if that is an image or a URL.
    pub fn in_context(value: &str) -> Option<ContextDirectory> {
        (!is_elsewhere(value)).then(|| ContextDirectory::at(value))
    }

    /// Returns the path on disk. `root` is the root of the repository.
    pub fn under(&self, root: &Path) -> PathBuf {
        match self {
            ContextDirectory::Inside(path) => path.under(root),
            ContextDirectory::Outside(path) => root.join(path),
        }
    }
}

/// Returns whether the value of a named context is an image or a URL, which the frontend resolves
/// (BuildKit, `frontend/dockerui/namedcontext.go`).
pub fn is_elsewhere(value: &str) -> bool {
    value.contains("://") || value.starts_with("docker-image:") || value.starts_with("git@")
}

/// Returns the range of the user name and password in the value of a named context, if it is a URL that has them. The
/// user of an SSH URL is not confidential without a password.
pub fn credentials_in(value: &str) -> Option<Range<usize>> {
    if value.starts_with("docker-image:") {
        return None;
    }
    let start = value.find("://")? + "://".len();
    let host = value[start..].split(['/', '?', '#']).next()?;
    let end = start + host.rfind('@')?;
    let is_public = value.starts_with("ssh://") && !value[start..end].contains(':');
    (!is_public).then_some(start..end)
}

/// Displays the directory as the value of a named context.
impl fmt::Display for ContextDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContextDirectory::Inside(path) => f.write_str(path.as_str()),
            ContextDirectory::Outside(path) => f.write_str(&path.to_string_lossy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_directories_unless_the_frontend_resolves_them() {
        let check = |value: &str, expected: Option<&str>| {
            let found = ContextDirectory::in_context(value).map(|it| format!("{it} {it:?}"));
            assert_eq!(found.as_deref(), expected, "{value}");
        };
        check("./a/../b/", Some("b Inside(\"b\")"));
        check(".", Some(". Inside(\".\")"));
        check("../x", Some("../x Outside(\"../x\")"));
        check("/x/y", Some("/x/y Outside(\"/x/y\")"));
        check("docker-image://debian", None);
        check("docker-image:debian", None);
        check("https://example.com/x.git", None);
        check("git@example.com:x/y", None);
    }

    #[test]
    fn credentials_in_urls_are_found() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(credentials_in(value).map(|range| &value[range]), expected, "{value}");
        };
        check("https://ann:pass@example.com/x.git#main", Some("ann:pass"));
        check("https://token@example.com", Some("token"));
        check("https://a:p@ss@example.com/x", Some("a:p@ss"));
        check("https://example.com/x@2", None);
        check("https://example.com?a=b@c", None);
        check("ssh://git@example.com/x", None);
        check("ssh://git:pass@example.com/x", Some("git:pass"));
        check("docker-image://acme/tools@sha256:00", None);
        check("docker-image://tools@sha256:00", None);
    }
}
