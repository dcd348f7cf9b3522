//! A work tree for a few files of a revision, with an index of its own.
//!
//! Owns writing files exactly as a checkout of the revision would write them, and asking for the
//! revision's own attributes. Git does both; no file of the user's work tree or index is touched.

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

/// Settings that a user may have for their own work tree and that would reach beyond this one.
const NEVER: [&str; 5] = [
    "core.splitIndex=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.hooksPath=/dev/null",
    "core.sparseCheckout=false",
];

/// The work tree of one repository of a snapshot.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    snapshot: &'a Snapshot,
    module: &'a Module,
    caller: Caller,
    _index: tempfile::TempDir,
}

impl<'a> Scratch<'a> {
    /// One at `top` for the files of the snapshot's module of a number. It knows their attributes and
    /// the `files` to be written, by their paths in the main repository.
    ///
    /// # Errors
    /// Where git can't be asked, or no temporary directory can be made.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        number: usize,
        top: &Path,
        files: &[&OsStr],
    ) -> anyhow::Result<Scratch<'a>> {
        let module = &snapshot.modules[number];
        let index = tempfile::tempdir().context("can't make a temporary directory")?;
        let mut options = vec![option("--git-dir=", &module.dir), option("--work-tree=", top)];
        for setting in NEVER {
            options.extend(["-c".into(), setting.into()]);
        }
        options.extend(filters_at(module));
        let variables = vec![
            ("GIT_INDEX_FILE", index.path().join("index").into_os_string()),
            // A pointer stays one where its content is not here (git-lfs-smudge(1)): no network.
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
        self.caller.ask(&["update-index", "-z", "--index-info"], Some(&lines)).map(drop)
    }

    /// What a checkout does to each of some files, by their paths in the main repository.
    pub(super) fn conversions(
        &self,
        paths: &[&OsStr],
    ) -> anyhow::Result<HashMap<OsString, String>> {
        conversions(&self.caller, self.module, paths)
    }

    /// Writes files as a checkout would. Those that git refuses to write, since a filter fails, are
    /// returned; nothing is written of them.
    ///
    /// # Errors
    /// Where git can't be run.
    pub(super) fn check_out<'p>(&self, paths: &[&'p OsStr]) -> anyhow::Result<Vec<&'p OsStr>> {
        if paths.is_empty() || self.write(paths)? {
            return Ok(Vec::new());
        }
        // One that fails ends git before it has written the others.
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
        let asked = list_of(paths.iter().map(|path| self.module.own_path(path)));
        let words = ["checkout-index", "-z", "--stdin", "--force", "--quiet"];
        Ok(self.caller.run(&words, Some(&asked))?.status.success())
    }
}

/// The commands of filters so that they run where a checkout runs them: they may name programs of the
/// work tree.
fn filters_at(module: &Module) -> Vec<OsString> {
    let mut options = Vec::new();
    for (name, command) in &module.settings.filters {
        if command.is_empty() {
            continue;
        }
        // In the command for one file `%` is special, and the rest is for a shell.
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
    /// Writes files below a directory as a checkout would, by their paths. The directories are there.
    /// What git can't write, since a filter fails, is written as it is in the repository.
    ///
    /// # Errors
    /// Where git can't be asked, or they can't be written.
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

    /// Copies what git ignores by a file of its own directory, and no file of the work tree says.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn copy_excludes(&self, top: &Path) -> anyhow::Result<()> {
        let caller = &self.modules[0].caller;
        let from = caller.at.join(caller.rev_parse(&["--git-path", "info/exclude"])?);
        let to = top.join(".git/info");
        fs::create_dir_all(&to).context("can't write to the temporary directory")?;
        // Most repositories have one, but none needs it.
        drop(fs::copy(from, to.join("exclude")));
        Ok(())
    }
}
