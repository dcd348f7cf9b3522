//! The usual names of Dockerfiles, in any directory, and of files that only look like one.
//!
//! Owns these names, and the search for Dockerfiles that no rule of the configuration covers.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use ignore::{WalkBuilder, WalkState};
use regex::Regex;

use super::{dockerfiles, glob};
use crate::base::RelPath;

/// The usual names of Dockerfiles, in any directory.
pub const ANYWHERE: [&str; 3] = [
    "**/{Dockerfile,Containerfile,dockerfile}",
    "**/{Dockerfile,Containerfile,dockerfile}[._-]*",
    "**/*.{Dockerfile,dockerfile,Containerfile}",
];

/// Extensions of files from which Dockerfiles are generated.
pub const TEMPLATES: [&str; 13] = [
    "tpl",
    "tmpl",
    "in",
    "template",
    "j2",
    "jinja",
    "jinja2",
    "erb",
    "mustache",
    "hbs",
    "ejs",
    "gotmpl",
    "blueprint",
];

/// Extensions of other files that are named after a Dockerfile.
pub const OTHER_FILES: [&str; 16] = [
    "dockerignore",
    "md",
    "py",
    "sh",
    "rb",
    "go",
    "rs",
    "json",
    "yml",
    "yaml",
    "bak",
    "backup",
    "orig",
    "disabled",
    "deprecated",
    "swp",
];

/// Directories of code from elsewhere.
const VENDORED: [&str; 4] = ["vendor", "node_modules", "third_party", "third-party"];

/// Directories of data for tests.
const FIXTURES: [&str; 3] = ["testdata", "fixtures", "__fixtures__"];

/// Directories of what is no longer built.
const RETIRED: [&str; 5] = ["archive", "archived", "deprecated", "obsolete", "attic"];

/// Returns why what is below a directory is not built by this repository, if it is not.
pub fn reason_to_skip(directory: &str) -> Option<&'static str> {
    let name = directory.trim_start_matches(['_', '-', '.']).to_lowercase();
    let is_one_of = |names: &[&str]| names.contains(&name.as_str());
    match () {
        () if is_one_of(&VENDORED) => Some("code from elsewhere"),
        () if is_one_of(&FIXTURES) => Some("data for tests"),
        () if is_one_of(&RETIRED) => Some("no longer built"),
        () => None,
    }
}

/// Returns whether a path is usual for a Dockerfile that is built.
fn is_usual(path: &str) -> bool {
    static NAMES: LazyLock<Vec<Regex>> =
        LazyLock::new(|| ANYWHERE.iter().filter_map(|it| glob::compile(it).ok()).collect());
    // Most files are none: that is cheaper to find out than by the globs.
    let name = path.rsplit('/').next().unwrap_or(path);
    if !name.contains("ockerfile") && !name.contains("ontainerfile") {
        return false;
    }
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    let is_other = |it: &str| TEMPLATES.contains(&it) || OTHER_FILES.contains(&it);
    NAMES.iter().any(|name| name.is_match(path)) && !extension.is_some_and(is_other)
}

/// Returns the sorted paths below `root` that are usual for Dockerfiles, or `None` if the tree has more than `most`
/// entries. Skips hidden and ignored directories, code from elsewhere, and data for tests.
pub fn find(root: &Path, most: usize) -> Option<Vec<RelPath>> {
    let left = AtomicUsize::new(most);
    let found = Mutex::new(Vec::new());
    let is_own = |name: &str| reason_to_skip(name).is_none();
    let walk = WalkBuilder::new(root)
        .require_git(false)
        .filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            !is_directory || entry.file_name().to_str().is_none_or(is_own)
        })
        .threads(rayon::current_num_threads())
        .build_parallel();
    walk.run(|| {
        Box::new(|entry| {
            let one_less = |left: usize| left.checked_sub(1);
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
                return WalkState::Quit;
            }
            // A directory that cannot be read is reported by what reads it.
            let Ok(entry) = entry else { return WalkState::Continue };
            let is_file = entry.file_type().is_some_and(|kind| !kind.is_dir());
            let path = entry.path().strip_prefix(root).ok().filter(|_| is_file);
            if let Some(path) = path.and_then(RelPath::from_path)
                && is_usual(path.as_str())
                && let Ok(mut found) = found.lock()
            {
                found.push(path);
            }
            WalkState::Continue
        })
    });
    let mut found = found.into_inner().ok()?;
    if left.into_inner() == 0 {
        return None;
    }
    found.sort_unstable();
    let second: HashSet<RelPath> = dockerfiles::second_names(root, found.iter());
    found.retain(|path| !second.contains(path));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_recognized() {
        let check = |path, expected| assert_eq!(is_usual(path), expected, "{path}");
        check("Dockerfile", true);
        check("a/b/Containerfile", true);
        check("a/Dockerfile.dev", true);
        check("a/Dockerfile-3.12", true);
        check("a/base.Dockerfile", true);
        check("a/Dockerfile.j2", false);
        check("a/Dockerfile.dev.tpl", false);
        check("a/Dockerfile.dockerignore", false);
        check("a/Dockerfiles", false);
        check("a/main.rs", false);
    }

    #[test]
    fn directories_of_other_code_are_recognized() {
        let check =
            |name, expected: Option<&str>| assert_eq!(reason_to_skip(name), expected, "{name}");
        check("images", None);
        check("vendor", Some("code from elsewhere"));
        check("testdata", Some("data for tests"));
        check("_deprecated", Some("no longer built"));
        check("Archive", Some("no longer built"));
    }
}
