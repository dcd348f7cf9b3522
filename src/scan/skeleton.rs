//! A revision's files that say what the images are, laid out in a temporary folder.
//!
//! Owns which files those are: the configuration, all that may be a Dockerfile by the revision's
//! own configuration, ignore files, symlinks and folders. So a revision is read by the same code
//! as the work tree, and not one of the many files of its contexts is written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::config;
use super::git::{Blob, BlobKind, Git};
use super::groups;
use crate::base::RelPath;

/// The folder, which is removed with this.
#[derive(Debug)]
pub struct Skeleton {
    _folder: tempfile::TempDir,
    root: PathBuf,
    links: BTreeMap<OsString, OsString>,
}

impl Skeleton {
    /// Lays out the `files` of a revision. The folder is called as `root` is: names are inferred
    /// from it.
    ///
    /// # Errors
    /// Where git can't be asked, or the folder can't be written.
    pub fn lay_out(
        git: &Git,
        files: &BTreeMap<OsString, Blob>,
        root: &Path,
    ) -> anyhow::Result<Skeleton> {
        let folder = tempfile::tempdir().context("can't make a temporary folder")?;
        let name = root.file_name().unwrap_or(OsStr::new("repository"));
        let root = folder.path().join(name);
        fs::create_dir(&root).context("can't make a temporary folder")?;
        make_folders(&root, files).context("can't write to the temporary folder")?;
        let links = read_links(git, files)?;
        for (path, text) in &links {
            symlink(text, root.join(path)).context("can't write to the temporary folder")?;
        }
        let wanted = |path: &str| path == config::FILE_NAME;
        write_files(git, &root, files, &links, &wanted)?;
        let (file, _) = config::read(&root)?;
        let finds = groups::finder(&file);
        let images = file.config.image.values().filter_map(|image| image.dockerfile.as_ref());
        let named: BTreeSet<RelPath> =
            images.filter_map(|dockerfile| RelPath::new(dockerfile.get_ref())).collect();
        let wanted = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name.ends_with(".dockerignore")
                || name == ".gitignore"
                || finds(path)
                || RelPath::new(path).is_some_and(|path| named.contains(&path))
        };
        write_files(git, &root, files, &links, &wanted)?;
        Ok(Skeleton { _folder: folder, root, links })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The texts of all symlinks of the revision.
    pub fn links(&self) -> &BTreeMap<OsString, OsString> {
        &self.links
    }
}

/// All folders that hold files, since contexts are looked for.
fn make_folders(root: &Path, files: &BTreeMap<OsString, Blob>) -> std::io::Result<()> {
    let mut last = None;
    for (path, blob) in files {
        let path = Path::new(path);
        let folder = if blob.kind == BlobKind::Submodule { Some(path) } else { path.parent() };
        if folder != last {
            fs::create_dir_all(root.join(folder.unwrap_or(Path::new(""))))?;
            last = folder;
        }
    }
    Ok(())
}

fn read_links(
    git: &Git,
    files: &BTreeMap<OsString, Blob>,
) -> anyhow::Result<BTreeMap<OsString, OsString>> {
    let links: Vec<(&OsString, &Blob)> =
        files.iter().filter(|(_, blob)| blob.kind == BlobKind::Symlink).collect();
    let ids: Vec<&str> = links.iter().map(|(_, blob)| blob.id.as_str()).collect();
    let texts = git.contents(&ids)?.into_iter().map(OsString::from_vec);
    Ok(links.into_iter().map(|(path, _)| path.clone()).zip(texts).collect())
}

/// Writes the files whose paths are wanted, and those to which wanted symlinks lead.
fn write_files(
    git: &Git,
    root: &Path,
    files: &BTreeMap<OsString, Blob>,
    links: &BTreeMap<OsString, OsString>,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let mut chosen: BTreeMap<&OsStr, &str> = BTreeMap::new();
    for path in files.keys().filter(|path| path.to_str().is_some_and(wanted)) {
        let Some((path, blob)) = follow(files, links, path) else { continue };
        if matches!(blob.kind, BlobKind::Plain | BlobKind::Executable) {
            chosen.insert(path, &blob.id);
        }
    }
    let ids: Vec<&str> = chosen.values().copied().collect();
    for (path, content) in chosen.keys().zip(git.contents(&ids)?) {
        fs::write(root.join(path), content).context("can't write to the temporary folder")?;
    }
    Ok(())
}

/// What a path leads to, through symlinks of files.
fn follow<'a>(
    files: &'a BTreeMap<OsString, Blob>,
    links: &BTreeMap<OsString, OsString>,
    path: &OsStr,
) -> Option<(&'a OsStr, &'a Blob)> {
    let mut at = path.to_owned();
    // The kernel follows no more than this.
    for _ in 0..40 {
        let Some(text) = links.get(&at) else {
            return files.get_key_value(&at).map(|(path, blob)| (path.as_os_str(), blob));
        };
        let folder = at.as_bytes().iter().rposition(|byte| *byte == b'/');
        let folder = folder.map_or("", |slash| at.to_str().map_or("", |at| &at[..slash]));
        let text = text.to_str().filter(|text| !text.starts_with('/'))?;
        let target = if folder.is_empty() { text.to_owned() } else { format!("{folder}/{text}") };
        at = OsString::from(RelPath::new(&target)?.as_str());
    }
    None
}
