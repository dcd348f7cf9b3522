//! What differs in an image between a revision and the work tree or another revision, in git's terms.
//!
//! Owns the comparison: both sides are read and evaluated alike, and the files that an image reads
//! are named by what git says of them: the content by its blob's name, the mode as one of two. No
//! engine is asked, so what is needed from outside counts by its reference alone; a base is taken
//! to have no `ONBUILD` lines unless its reference says so. What git ignores is nobody's change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{Change, changes};
use super::files::{FileInputs, FileList, readable};
use super::gather::{self, Externals, Own};
use super::{ContextArchive, Use, own, select};
use crate::base::{IdMap, ImageId, RelPath};
use crate::engine::Attestations;
use crate::graph::{Graph, Image};
use crate::scan::context::{Context, Entry, EntryKind};
use crate::scan::git::{Blob, BlobKind, WorkTree};
use crate::scan::ignore_file::{IgnoreFile, find_ignore_file};
use crate::scan::listing::{self, Listed};

/// Both sides of the comparison.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// What is asked about.
    pub now: Now<'a>,
    /// What it is compared with.
    pub then: Revision<'a>,
    /// The platform that is built for.
    pub platform: &'a str,
}

/// The later side.
#[derive(Clone, Copy)]
pub enum Now<'a> {
    /// What lies on the disk.
    WorkTree {
        /// Its root.
        root: &'a Path,
        /// Its images.
        graph: &'a Graph,
        /// What git says of it beside the revision.
        seen: &'a WorkTree,
    },
    /// A revision too.
    Revision(Revision<'a>),
}

/// A revision that was laid out and read.
#[derive(Clone, Copy)]
pub struct Revision<'a> {
    /// Where its Dockerfiles and ignore files lie.
    pub root: &'a Path,
    /// Its images.
    pub graph: &'a Graph,
    /// All its files.
    pub files: &'a BTreeMap<OsString, Blob>,
    /// The texts of its symlinks.
    pub links: &'a BTreeMap<OsString, OsString>,
}

impl<'a> Now<'a> {
    fn graph(self) -> &'a Graph {
        match self {
            Now::WorkTree { graph, .. } | Now::Revision(Revision { graph, .. }) => graph,
        }
    }
}

/// Why an image is not that of the revision, or would be built for another reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// The revision has no image of that name.
    New,
    /// These differ.
    Changed {
        /// What differs, what a person wants to know first first.
        changes: Vec<Change>,
    },
    /// It is called otherwise.
    Renamed,
    /// Something can't be read.
    Unreadable {
        /// What is wrong.
        message: String,
    },
    /// The registry holds none with its key.
    Missing,
    /// The tag of something from outside that it needs leads elsewhere than its pin.
    ExternalMoved {
        /// What it is called.
        external: String,
        /// The digest of the pin.
        was: String,
        /// The digest that the tag leads to.
        now: String,
    },
}

/// For each image of now why it is another one than in the revision; nothing where it is not.
pub fn compare(sides: Sides<'_>) -> IdMap<Option<Cause>> {
    let graph = sides.now.graph();
    let mut causes = IdMap::from_fn(graph.images.len(), |_| None);
    let found: Vec<(ImageId, Option<Cause>)> = match sides.now {
        Now::WorkTree { root, seen, .. } => {
            let mut groups: BTreeMap<(RelPath, Option<PathBuf>), Vec<ImageId>> = BTreeMap::new();
            for (id, image) in graph.images.iter() {
                let folder = image.context.under(root);
                match find_ignore_file(&image.dockerfile.under(root), &folder) {
                    Ok(file) => groups.entry((image.context.clone(), file)).or_default().push(id),
                    Err(error) => {
                        let message = format!("can't look for the ignore file: {error}");
                        causes[id] = Some(Cause::Unreadable { message });
                    }
                }
            }
            let groups: Vec<Vec<ImageId>> = groups.into_values().collect();
            let groups = groups.par_iter();
            groups.flat_map_iter(|images| compare_group(sides, root, seen, images)).collect()
        }
        Now::Revision(now) => {
            let all: Vec<ImageId> = graph.images.ids().collect();
            let read = |image: &Image, uses: &[Use]| now.read(image, uses, None);
            all.par_iter().map(|id| (*id, compare_one(sides, *id, &read))).collect()
        }
    };
    for (image, cause) in found {
        causes[image] = cause;
    }
    causes
}

/// Compares images of the work tree that share a context and an ignore file, with one walk.
fn compare_group(
    sides: Sides<'_>,
    root: &Path,
    seen: &WorkTree,
    images: &[ImageId],
) -> Vec<(ImageId, Option<Cause>)> {
    let graph = sides.now.graph();
    let Some(first) = images.first().map(|image| &graph.images[*image]) else {
        return Vec::new();
    };
    let nothing = images.iter().all(|it| uses_of(&graph.images[*it]).0.is_empty());
    match gather::walk_for(root, first, nothing) {
        Ok(context) => {
            let context = Arc::new(context);
            let read = |image: &Image, uses: &[Use]| {
                Ok((files_now(sides.then, seen, image, &context, uses), Arc::clone(&context)))
            };
            images.par_iter().map(|id| (*id, compare_one(sides, *id, &read))).collect()
        }
        Err(message) => {
            let cause = Cause::Unreadable { message };
            images.iter().map(|image| (*image, Some(cause.clone()))).collect()
        }
    }
}

/// The files that an image reads, and the context that they lie in.
type Files = Result<(FileList, Arc<Context>), String>;

fn compare_one(
    sides: Sides<'_>,
    id: ImageId,
    read: &(dyn Fn(&Image, &[Use]) -> Files + Sync),
) -> Option<Cause> {
    let graph = sides.now.graph();
    let now = &graph.images[id];
    let Some(then) = sides.then.graph.find(&now.name) else { return Some(Cause::New) };
    let then = &sides.then.graph.images[then];
    let (uses, whole) = uses_of(now);
    let (files, context) = match read(now, &uses) {
        Ok(found) => found,
        Err(message) => return Some(Cause::Unreadable { message }),
    };
    let own = Own {
        inputs: own::inputs_of(now, (sides.platform, &Attestations::default()), files, whole),
        needs: own::needs_of(now),
        archive: Arc::new(ContextArchive::of(context, Vec::new())),
        places: own::places_of(now),
        context: now.context.clone(),
    };
    let (uses, whole) = uses_of(then);
    let seen = match sides.now {
        Now::WorkTree { seen, .. } => Some(seen),
        Now::Revision(_) => None,
    };
    let files = match sides.then.read(then, &uses, seen) {
        Ok((files, _)) => files,
        Err(message) => return Some(Cause::Unreadable { message }),
    };
    let was = own::inputs_of(then, (sides.platform, &Attestations::default()), files, whole);
    if own.inputs != was {
        let name = |image: ImageId| graph.images[image].name.clone();
        return Some(Cause::Changed { changes: changes(&own, &was, &name) });
    }
    (now.references != then.references).then_some(Cause::Renamed)
}

/// What an image reads of its context. Nothing outside of the repository is known here.
fn uses_of(image: &Image) -> (Vec<Use>, own::Doubt) {
    let says_so = image.externals.iter().map(|external| external.reference.normalised());
    let externals: Externals =
        says_so.filter(|name| name.contains("onbuild")).map(|name| (name, None)).collect();
    own::uses_of(image, &externals)
}

fn files_now(
    then: Revision<'_>,
    seen: &WorkTree,
    image: &Image,
    context: &Context,
    uses: &[Use],
) -> FileList {
    let WorkTree { changed, known, .. } = seen;
    let mut files = Vec::new();
    let mut nested: BTreeSet<&OsString> = BTreeSet::new();
    for number in select(context, uses) {
        let entry = &context.entries[number];
        if !matches!(entry.kind, EntryKind::File | EntryKind::Symlink(_)) {
            continue;
        }
        let path = below_root(&image.context, &entry.path);
        if !known.contains(&path) {
            // In a submodule git knows no files, only that something in it changed.
            let around = seen.nested_around(&path);
            nested.extend(around.filter(|folder| changed.contains(*folder)));
            continue;
        }
        match then.files.get(&path).filter(|_| !changed.contains(&path)) {
            Some(blob) => files.push(file_of_blob(&entry.path, blob)),
            None => files.push(file_of_disk(entry)),
        }
    }
    files.extend(nested.into_iter().map(|folder| submodule(&image.context, folder, "work tree")));
    FileList::new(&files)
}

impl Revision<'_> {
    /// The files that one of its images reads. Of submodules git knows no files: beside a work tree those
    /// count that differ there, beside another revision all do, by their commits.
    fn read(self, image: &Image, uses: &[Use], beside: Option<&WorkTree>) -> Files {
        let (ignore, _) = IgnoreFile::load(self.root, &image.dockerfile, &image.context)
            .map_err(|error| error.to_string())?;
        let paths = self.paths_below(&image.context);
        let context = listing::list(image.context.under(self.root), &paths, &ignore);
        let mut files = Vec::new();
        for number in select(&context, uses) {
            let entry = &context.entries[number];
            let path = below_root(&image.context, &entry.path);
            let Some(blob) = self.files.get(&path) else { continue };
            if blob.kind != BlobKind::Submodule {
                files.push(file_of_blob(&entry.path, blob));
            } else if beside.is_none_or(|seen| seen.changed.contains(&path)) {
                files.push(submodule(&image.context, &path, &blob.id));
            }
        }
        if beside.is_none() && !uses.is_empty() {
            // The context may itself lie in a submodule, of which nothing is listed.
            let around = Path::new(image.context.as_str()).ancestors();
            let around = around.filter_map(|folder| self.files.get_key_value(folder.as_os_str()));
            let around = around.filter(|(_, blob)| blob.kind == BlobKind::Submodule);
            files.extend(around.map(|(path, blob)| submodule(&image.context, path, &blob.id)));
        }
        let files = FileList::new(&files);
        Ok((files, Arc::new(context)))
    }

    /// Its files in a context, by their paths in it.
    fn paths_below(self, context: &RelPath) -> BTreeMap<OsString, Listed> {
        let prefix =
            if context.is_root() { String::new() } else { format!("{}/", context.as_str()) };
        let from = self.files.range(OsString::from(&prefix)..);
        let inside = from.map_while(|(path, blob)| {
            let below = path.as_bytes().strip_prefix(prefix.as_bytes())?;
            let kind = match blob.kind {
                BlobKind::Plain | BlobKind::Executable => EntryKind::File,
                BlobKind::Submodule => EntryKind::Folder,
                BlobKind::Symlink => {
                    EntryKind::Symlink(self.links.get(path).cloned().unwrap_or_default())
                }
            };
            Some((OsStr::from_bytes(below).to_owned(), Listed { kind, mode: mode_of(blob.kind) }))
        });
        inside.collect()
    }
}

fn below_root(context: &RelPath, path: &OsStr) -> OsString {
    if context.is_root() {
        return path.to_owned();
    }
    let mut whole = OsString::from(context.as_str());
    whole.push("/");
    whole.push(path);
    whole
}

fn mode_of(kind: BlobKind) -> u32 {
    if kind == BlobKind::Plain { 0o644 } else { 0o755 }
}

fn file_of_blob<'a>(path: &'a OsStr, blob: &'a Blob) -> FileInputs<'a> {
    let kind = if blob.kind == BlobKind::Symlink { "symlink" } else { "file" };
    FileInputs {
        path: readable(path),
        kind: Cow::Borrowed(kind),
        mode: Cow::Owned(format!("{:04o}", mode_of(blob.kind))),
        content: Some(Cow::Borrowed(&blob.id)),
    }
}

/// A file that differs from the revision in some way, or that the revision does not have.
fn file_of_disk(entry: &Entry) -> FileInputs<'_> {
    let is_symlink = matches!(entry.kind, EntryKind::Symlink(_));
    let can_run = is_symlink || entry.stat.mode & 0o100 != 0;
    FileInputs {
        path: readable(&entry.path),
        kind: Cow::Borrowed(if is_symlink { "symlink" } else { "file" }),
        mode: Cow::Borrowed(if can_run { "0755" } else { "0644" }),
        content: Some(Cow::Borrowed("work tree")),
    }
}

fn submodule<'a>(context: &RelPath, folder: &OsStr, content: &'a str) -> FileInputs<'a> {
    let whole = RelPath::from_path(Path::new(folder));
    let prefix = if context.is_root() { String::new() } else { format!("{}/", context.as_str()) };
    let whole = whole.map(|whole| whole.as_str().to_owned()).unwrap_or_default();
    FileInputs {
        // A context that lies in the submodule is named as a whole.
        path: Cow::Owned(whole.strip_prefix(&prefix).unwrap_or(".").to_owned()),
        kind: Cow::Borrowed("submodule"),
        mode: Cow::Borrowed("0755"),
        content: Some(Cow::Borrowed(content)),
    }
}
