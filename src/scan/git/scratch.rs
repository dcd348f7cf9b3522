//! A temporary work tree with its own index, for some files of a revision.
//!
//! Owns writing files exactly as a checkout of the revision would, and querying the attributes of
//! the revision. git does both, without touching the user's work tree or index.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::Context;

use super::attributes::conversions;
use super::module::Module;
use super::snapshot::{FileKind, Snapshot};
use super::{Caller, list_of, option};

/// Overrides of settings of the user's work tree that would have effects beyond this one.
const NEVER: [&str; 5] = [
    "core.splitIndex=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.hooksPath=/dev/null",
    "core.sparseCheckout=false",
];

/// The temporary work tree of one repository of a snapshot.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    snapshot: &'a Snapshot,
    module: &'a Module,
    caller: Caller,
    _index: tempfile::TempDir,
}

impl<'a> Scratch<'a> {
    /// Creates a work tree at `top` for the module of the snapshot with this index. It has the
    /// module's attributes and the `files` to write, by their paths in the main repository.
    ///
    /// # Errors
    /// Returns an error if git cannot be run or if no temporary directory can be created.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        number: usize,
        top: &Path,
        files: &[&OsStr],
    ) -> anyhow::Result<Scratch<'a>> {
        let module = &snapshot.modules[number];
        let index = tempfile::tempdir().context("can't create a temporary directory")?;
        let mut options = vec![option("--git-dir=", &module.dir), option("--work-tree=", top)];
        for setting in NEVER {
            options.extend(["-c".into(), setting.into()]);
        }
        options.extend(filters_at(module));
        let variables = vec![
            ("GIT_INDEX_FILE", index.path().join("index").into_os_string()),
            // git-lfs then keeps pointers whose contents are not present instead of downloading
            // them (git-lfs-smudge(1)).
            ("GIT_LFS_SKIP_SMUDGE", "1".into()),
        ];
        let caller = Caller { at: top.to_owned(), options, variables };
        let scratch = Scratch { snapshot, module, caller, _index: index };
        let attributes = snapshot.attribute_files().filter(|(_, file)| file.module == number);
        let files = files.iter().filter_map(|path| Some((*path, snapshot.files.get(*path)?)));
        let all =
            attributes.chain(files).filter_map(|(path, file)| Some((path, &**file.blob.as_ref()?)));
        let all: BTreeMap<&OsStr, &str> = all.collect();
        scratch.add(&all)?;
        Ok(scratch)
    }

    fn add(&self, files: &BTreeMap<&OsStr, &str>) -> anyhow::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for (path, blob) in files {
            let kind = self.snapshot.files.get(*path).map(|file| file.kind);
            let mode = if kind == Some(FileKind::Executable) { "100755" } else { "100644" };
            lines.extend_from_slice(format!("{mode} {blob} 0\t").as_bytes());
            lines.extend_from_slice(self.module.own_path(path).as_bytes());
            lines.push(0);
        }
        self.caller.query(&["update-index", "-z", "--index-info"], Some(&lines)).map(drop)
    }

    /// Returns the conversions of files by their paths in the main repository.
    pub(super) fn conversions(
        &self,
        paths: &[&OsStr],
    ) -> anyhow::Result<HashMap<OsString, String>> {
        conversions(&self.caller, self.module, paths)
    }

    /// Writes files as a checkout would. Returns those that git could not write because a filter
    /// failed. They do not exist afterwards.
    ///
    /// # Errors
    /// Returns an error if git cannot be run.
    pub(super) fn check_out<'p>(&self, paths: &[&'p OsStr]) -> anyhow::Result<Vec<&'p OsStr>> {
        if paths.is_empty() || self.write(paths)? {
            return Ok(Vec::new());
        }
        // A file that fails stops git before it has written the others.
        let mut failed = Vec::new();
        for path in paths {
            if !self.write(&[*path])? {
                drop(fs::remove_file(self.caller.at.join(self.module.own_path(path))));
                failed.push(*path);
            }
        }
        Ok(failed)
    }

    fn write(&self, paths: &[&OsStr]) -> anyhow::Result<bool> {
        let input = list_of(paths.iter().map(|path| self.module.own_path(path)));
        let words = ["checkout-index", "-z", "--stdin", "--force", "--quiet"];
        Ok(self.caller.run(&words, Some(&input))?.status.success())
    }
}

/// Returns settings that run the filters in the directory in which a checkout runs them, because
/// their commands can name programs in the work tree.
fn filters_at(module: &Module) -> Vec<OsString> {
    let mut options = Vec::new();
    for (name, command) in &module.settings.filters {
        if command.is_empty() {
            continue;
        }
        // git expands `%` in a smudge command and passes the rest to a shell.
        let percent: &[u8] = if name.ends_with(".smudge") { b"%%" } else { b"%" };
        let mut setting = format!("{name}=cd '").into_bytes();
        for byte in module.top().as_os_str().as_bytes() {
            match byte {
                b'\'' => setting.extend_from_slice(b"'\\''"),
                b'%' => setting.extend_from_slice(percent),
                byte => setting.push(*byte),
            }
        }
        setting.extend_from_slice(b"' && ");
        setting.extend_from_slice(command.as_bytes());
        options.extend(["-c".into(), OsString::from_vec(setting)]);
    }
    options
}

impl Snapshot {
    /// Writes files below a directory as a checkout would. Their directories must exist. A file
    /// that git cannot write because a filter fails is written as in the repository.
    ///
    /// # Errors
    /// Returns an error if git cannot be run or if a file cannot be written.
    pub fn check_out(&self, top: &Path, paths: &[&OsStr]) -> anyhow::Result<()> {
        for (number, paths) in self.by_module(paths.iter().copied(), |_| true) {
            let module = &self.modules[number];
            let scratch = Scratch::new(self, number, &top.join(&module.prefix), &paths)?;
            let failed = scratch.check_out(&paths)?;
            let blob = |path: &&OsStr| self.files.get(*path)?.blob.as_deref();
            let ids: Vec<&str> = failed.iter().filter_map(blob).collect();
            for (path, content) in failed.iter().zip(module.caller.contents(&ids)?) {
                fs::write(top.join(path), content)
                    .context("can't write to the temporary directory")?;
            }
        }
        Ok(())
    }

    /// Copies the ignore rules in the git directory, which are not in any file of the work tree.
    ///
    /// # Errors
    /// Returns an error if they cannot be written.
    pub fn copy_excludes(&self, top: &Path) -> anyhow::Result<()> {
        let caller = &self.modules[0].caller;
        let from = caller.at.join(caller.rev_parse(&["--git-path", "info/exclude"])?);
        let to = top.join(".git/info");
        fs::create_dir_all(&to).context("can't write to the temporary directory")?;
        // Most repositories have this file, but it is optional.
        drop(fs::copy(from, to.join("exclude")));
        Ok(())
    }
}
