//! Where files are, and whether they are inside the repository.
//!
//! Owns the comparison. Symbolic links, `.`, and `..` are resolved before paths are compared, so a link inside the
//! repository that points outside is outside.

use std::path::{Component, Path, PathBuf};

use crate::session::secrets::UnavailableSecret;

/// The canonical root of a repository.
#[derive(Debug, Clone)]
pub struct Boundary {
    root: PathBuf,
}

impl Boundary {
    /// Returns the boundary of a repository.
    ///
    /// # Errors
    /// Returns an error if its root cannot be resolved.
    pub fn of(root: &Path) -> std::io::Result<Boundary> {
        Ok(Boundary { root: root.canonicalize()? })
    }

    /// The canonical root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns whether a canonical path is outside.
    pub fn is_outside(&self, path: &Path) -> bool {
        !path.starts_with(&self.root)
    }
}

/// A path from `layers.toml` or the command line.
#[derive(Debug, Clone)]
pub struct LocatedPath<'a> {
    /// The path as written.
    pub written: &'a str,
    /// The path that it resolves to, or why that is unknown.
    pub path: Result<PathBuf, UnavailableSecret>,
}

/// Returns the canonical form of a path that exists. The directory of this process is written as `/proc/self`: with its
/// number, consent would not be valid for any other run.
///
/// # Errors
/// Returns an error if the path does not exist, or cannot be accessed.
pub fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    let found = path.canonicalize()?;
    let own = Path::new("/proc").join(std::process::id().to_string());
    Ok(match found.strip_prefix(own) {
        Ok(rest) => Path::new("/proc/self").join(rest),
        Err(_) => found,
    })
}

/// Resolves all symbolic links of a path, as far as it exists. The rest is appended as written, with `..` resolved
/// lexically.
pub fn resolve(path: &Path) -> PathBuf {
    let mut existing = path;
    let mut rest = Vec::new();
    loop {
        if let Ok(found) = canonical(existing) {
            rest.reverse();
            return rest.into_iter().fold(found, step);
        }
        let mut components = existing.components();
        match components.next_back() {
            Some(last) => rest.push(last),
            None => return path.to_owned(),
        }
        existing = components.as_path();
    }
}

fn step(mut path: PathBuf, component: Component<'_>) -> PathBuf {
    match component {
        Component::ParentDir => drop(path.pop()),
        Component::CurDir => {}
        other => path.push(other),
    }
    path
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_are_resolved_up_to_the_last_existing_component() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(resolve(&root.join(path)), root.join(expected), "{path}");
        };
        check("a/b", "a/b");
        check("a/./b/", "a/b");
        check("link", "a/b");
        // The link is resolved first, as the system does.
        check("link/..", "a");
        check("link/c/d", "a/b/c/d");
        check("link/c/../d", "a/b/d");
        check("missing/x", "missing/x");
        assert_eq!(resolve(Path::new("/")), Path::new("/"));
        assert_eq!(resolve(Path::new("/proc/self/environ")), Path::new("/proc/self/environ"));
    }

    #[test]
    fn a_sibling_directory_with_the_same_prefix_is_outside() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("shop");
        std::fs::create_dir(&root).unwrap();
        let boundary = Boundary::of(&root).unwrap();
        assert!(!boundary.is_outside(&root));
        assert!(!boundary.is_outside(&root.join("x/y")));
        assert!(boundary.is_outside(&root.with_file_name("shop-2")));
        assert!(boundary.is_outside(root.parent().unwrap()));
    }
}
