//! A module: the repository itself or one of its submodules, with its objects, index, and files.
//!
//! Owns the search for the git directory of a submodule, whether it is checked out or not, and the
//! settings that determine what a checkout writes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::attributes::CheckoutSettings;
use super::{Caller, option, split, split_once};

/// A repository: the main one, a submodule, or one that is nested without being a submodule.
#[derive(Debug, Clone)]
pub(super) struct Module {
    /// Runs git in this repository.
    pub(super) caller: Caller,
    /// The git directory.
    pub(super) dir: PathBuf,
    /// The prefix of its paths in the main repository, with a trailing `/`; empty for the main one.
    pub(super) prefix: OsString,
    /// The settings that a checkout depends on.
    pub(super) settings: CheckoutSettings,
}

impl Module {
    pub(super) fn main(top: &Path, dir: PathBuf) -> anyhow::Result<Module> {
        let caller = Caller::at(top);
        let settings = CheckoutSettings::read(&caller)?;
        Ok(Module { caller, dir, prefix: OsString::new(), settings })
    }

    /// Returns the repository whose files are at `path` in the work tree of this one, or `None` if
    /// none is checked out there or if it belongs to another user.
    pub(super) fn checked_out(&self, path: &OsStr) -> anyhow::Result<Option<Module>> {
        let at = self.top().join(path);
        // A configuration can name programs. git does not read that of another user
        // (`safe.directory`), but does not check when the git directory is specified.
        match git_dir_of(&at).filter(|dir| owner(dir) == owner(&self.dir)) {
            Some(dir) => Module::below(&at, dir, path).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the submodule `name` of this repository if only its objects are present.
    pub(super) fn kept(&self, name: &OsStr, path: &OsStr) -> anyhow::Result<Option<Module>> {
        let modules = self.caller.rev_parse(&["--git-path", "modules"])?;
        let dir = self.caller.at.join(modules).join(name);
        let is_plain = Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !is_plain || !dir.join("objects").is_dir() || owner(&dir) != owner(&self.dir) {
            return Ok(None);
        }
        Module::below(&dir.clone(), dir, path).map(Some)
    }

    fn below(at: &Path, dir: PathBuf, path: &OsStr) -> anyhow::Result<Module> {
        // Hooks run with variables that point to the main repository. They must not apply here.
        let options = vec![option("--git-dir=", &dir), option("--work-tree=", at)];
        let variables = vec![("GIT_INDEX_FILE", dir.join("index").into_os_string())];
        let caller = Caller { at: at.to_owned(), options, variables };
        let settings = CheckoutSettings::read(&caller)?;
        let mut prefix = path.to_owned();
        prefix.push("/");
        Ok(Module { caller, dir, prefix, settings })
    }

    /// Returns the top of its work tree.
    pub(super) fn top(&self) -> &Path {
        &self.caller.at
    }

    /// Converts a path in the main repository to one in this repository.
    pub(super) fn own_path<'a>(&self, path: &'a OsStr) -> &'a OsStr {
        let rest = path.as_bytes().strip_prefix(self.prefix.as_bytes());
        OsStr::from_bytes(rest.unwrap_or(path.as_bytes()))
    }

    /// Returns pairs of path and name of the submodules in the text of a `.gitmodules`.
    pub(super) fn names_in(&self, gitmodules: &[u8]) -> Vec<(OsString, OsString)> {
        let words = ["config", "-z", "--file", "-", "--get-regexp", r"^submodule\..*\.path$"];
        // If the text is invalid, no submodule is known by name.
        let answer = self.caller.query(&words, Some(gitmodules)).unwrap_or_default();
        let pairs = split(&answer).filter_map(|line| {
            let (key, path) = split_once(line, b'\n')?;
            let name = key.strip_prefix(b"submodule.")?.strip_suffix(b".path")?;
            Some((OsString::from_vec(path.to_vec()), OsString::from_vec(name.to_vec())))
        });
        pairs.collect()
    }
}

/// Returns the user who owns a directory.
fn owner(directory: &Path) -> Option<u32> {
    fs::metadata(directory).ok().map(|found| found.uid())
}

/// Returns the git directory of a repository whose files are in this directory, or `None`.
fn git_dir_of(at: &Path) -> Option<PathBuf> {
    let git = at.join(".git");
    let found = fs::metadata(&git).ok()?;
    if found.is_dir() {
        return git.join("HEAD").exists().then_some(git);
    }
    let text = fs::read(&git).ok()?;
    let path = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    let dir = at.join(OsStr::from_bytes(path));
    dir.is_dir().then_some(dir)
}
