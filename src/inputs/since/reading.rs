//! What the images of one side read from their contexts.
//!
//! Owns the selection of files, which works the same way for a revision and for the work tree: from the snapshot's
//! list of files. Images that share a context and an ignore file share one list, and those with the same sources
//! share everything.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::{ComparedSide, reads_without_engine};
use crate::base::path::STATE_DIRECTORY;
use crate::base::{IdMap, ImageId};
use crate::graph::context_directory::ContextDirectory;
use crate::inputs::files::{FileInputs, FileList, readable};
use crate::inputs::gather::describe_ignore_problem;
use crate::inputs::reads::ContextReads;
use crate::inputs::select::{EntryPart, SelectedEntry};
use crate::inputs::{SourceUse, select};
use crate::scan::context::{Context, EntryKind, join};
use crate::scan::git::{Contents, File, FileKind, ResolvedPath, Snapshot};
use crate::scan::ignore_file::IgnoreFile;
use crate::scan::listing::{self, ListingEntry};

/// What some images read.
#[derive(Debug)]
pub(super) struct Reading {
    /// What the context's path resolves to.
    pub(super) landing: ResolvedPath,
    /// The context.
    pub(super) context: Arc<Context>,
    /// The paths of the files that are read, relative to the top of Git's work tree.
    pub(super) paths: Vec<OsString>,
    selected: Vec<SelectedEntry>,
    /// What is read, but whose content is unknown: submodules, and what is outside the repository.
    unknown: Vec<FileInputs<'static>>,
}

/// Describes something of which only a name is known, at its path in the context.
fn unknown(path: &OsStr, kind: &'static str, name: String) -> FileInputs<'static> {
    let path = Cow::Owned(readable(path).into_owned());
    FileInputs { path, kind: kind.into(), mode: Some("0755".into()), content: Some(name.into()) }
}

/// What the images of a side read.
#[derive(Debug)]
pub(super) struct Readings {
    /// All readings, by index.
    pub(super) all: Vec<Arc<Reading>>,
    /// The readings of each image, one per context that it reads.
    pub(super) by_image: IdMap<Vec<ImageReading>>,
}

/// What an image reads from one of its contexts.
#[derive(Debug)]
pub(super) struct ImageReading {
    /// The name of a named context; `None` for the image's own context.
    pub(super) name: Option<String>,
    /// The index of the reading, or why there is none.
    pub(super) reading: Result<usize, String>,
}

/// A context and its ignore file.
type ContextKey = (ResolvedPath, Option<PathBuf>);

/// An image, and the index of one of its contexts.
type ReaderId = (ImageId, usize);

/// A context that an image reads.
type Reader<'a> = (ReaderId, ContextReads<'a>);

/// A reading, and the contexts of images that share it.
type GroupReading = (Result<Reading, String>, Vec<ReaderId>);

impl Readings {
    /// Reads a side.
    pub(super) fn of(side: ComparedSide<'_>) -> Readings {
        let images = &side.graph.images;
        let mut by_image = IdMap::from_fn(images.len(), |_| Vec::new());
        let mut groups: BTreeMap<ContextKey, Vec<Reader<'_>>> = BTreeMap::new();
        for (id, image) in images.iter() {
            let (contexts, _) = reads_without_engine(side.graph, image);
            for (number, reads) in contexts.into_iter().enumerate() {
                let name = reads.named.map(|(name, _)| name.to_owned());
                let mut reading = Err("this context was not read".to_owned());
                match reads.ignore_file(side.root) {
                    Ok(file) => {
                        let landing = landing_of(side.snapshot, &reads.directory);
                        groups.entry((landing, file)).or_default().push(((id, number), reads));
                    }
                    Err(error) => {
                        reading = Err(format!("can't look up the ignore file: {error}"));
                    }
                }
                by_image[id].push(ImageReading { name, reading });
            }
        }
        let read: Vec<Vec<GroupReading>> = groups
            .into_par_iter()
            .map(|((landing, file), readers)| read_group(side, &landing, file.as_deref(), readers))
            .collect();
        let mut all = Vec::new();
        for (reading, readers) in read.into_iter().flatten() {
            let number = reading.map(|reading| {
                all.push(Arc::new(reading));
                all.len() - 1
            });
            for (image, context) in readers {
                by_image[image][context].reading = number.clone();
            }
        }
        Readings { all, by_image }
    }

    /// Returns the file list of each reading, with the names of the contents.
    pub(super) fn lists(&self, names: &Contents<'_>) -> Vec<FileList> {
        self.all.par_iter().map(|reading| reading.list(names)).collect()
    }
}

/// Returns what the directory of a context resolves to.
fn landing_of(snapshot: &Snapshot, directory: &ContextDirectory) -> ResolvedPath {
    match directory {
        ContextDirectory::Inside(path) => snapshot.resolve(&snapshot.path_of(path.as_str())),
        ContextDirectory::Outside(path) => match path.strip_prefix(&snapshot.top) {
            Ok(below) => snapshot.resolve(below.as_os_str()),
            Err(_) if path.is_absolute() => ResolvedPath::Outside(path.clone()),
            Err(_) => snapshot.resolve(&join(&snapshot.root, path.as_os_str())),
        },
    }
}

fn read_group(
    side: ComparedSide<'_>,
    landing: &ResolvedPath,
    ignore: Option<&Path>,
    readers: Vec<Reader<'_>>,
) -> Vec<GroupReading> {
    let Some(directory) = readers.first().map(|(_, reads)| reads.directory.under(side.root)) else {
        return Vec::new();
    };
    let mut by_uses: HashMap<Vec<SourceUse>, Vec<ReaderId>> = HashMap::new();
    for (id, reads) in readers {
        by_uses.entry(reads.uses).or_default().push(id);
    }
    let by_uses: Vec<(Vec<SourceUse>, Vec<ReaderId>)> = by_uses.into_iter().collect();
    let nothing_is_read = by_uses.iter().all(|(uses, _)| uses.is_empty());
    match list(side, landing, (directory, ignore), nothing_is_read) {
        Ok(context) => {
            let context = Arc::new(context);
            let read = |(uses, readers): (Vec<SourceUse>, Vec<ReaderId>)| {
                (Ok(Reading::of(side.snapshot, landing, &context, &uses)), readers)
            };
            by_uses.into_par_iter().map(read).collect()
        }
        Err(message) => {
            vec![(Err(message), by_uses.into_iter().flat_map(|(_, readers)| readers).collect())]
        }
    }
}

/// Lists what a context contains after applying its ignore file.
fn list(
    side: ComparedSide<'_>,
    landing: &ResolvedPath,
    (root, ignore): (PathBuf, Option<&Path>),
    nothing_is_read: bool,
) -> Result<Context, String> {
    let (ResolvedPath::Inside(directory), false) = (landing, nothing_is_read) else {
        return Ok(Context { root, entries: Vec::new(), unreadable: Vec::new() });
    };
    let (ignore, problems) = IgnoreFile::read(side.root, ignore)
        .map_err(|error| without_root(&error.to_string(), side))?;
    match problems.first() {
        Some(problem) => Err(describe_ignore_problem(problem)),
        None => Ok(listing::list(root, &paths_below(side.snapshot, directory), &ignore)),
    }
}

/// Makes a message independent of where the repository is checked out.
fn without_root(message: &str, side: ComparedSide<'_>) -> String {
    message.replace(&format!("{}/", side.root.display()), "")
}

/// Returns a snapshot's files in a context, by their paths in it.
fn paths_below(snapshot: &Snapshot, directory: &OsStr) -> BTreeMap<OsString, ListingEntry> {
    let files = snapshot.below(directory).map(|(below, file)| {
        let kind = match file.kind {
            FileKind::Plain | FileKind::Executable => EntryKind::File,
            FileKind::Submodule => EntryKind::Directory,
            FileKind::Symlink => {
                let text = snapshot.links.get(&join(directory, below));
                EntryKind::Symlink(text.cloned().unwrap_or_default())
            }
        };
        (below.to_owned(), ListingEntry { kind, mode: mode_of(file) })
    });
    let empty = snapshot.empty_below(directory);
    let empty = empty
        .map(|path| (path.to_owned(), ListingEntry { kind: EntryKind::Directory, mode: 0o755 }));
    empty.chain(files).collect()
}

impl Reading {
    fn of(
        snapshot: &Snapshot,
        landing: &ResolvedPath,
        context: &Arc<Context>,
        uses: &[SourceUse],
    ) -> Reading {
        let mut reading = Reading {
            landing: landing.clone(),
            context: Arc::clone(context),
            paths: Vec::new(),
            selected: Vec::new(),
            unknown: Vec::new(),
        };
        if uses.is_empty() {
            return reading;
        }
        let unknown_context = |kind, name| unknown(OsStr::new("."), kind, name);
        match landing {
            ResolvedPath::Inside(directory) => reading.choose(snapshot, directory, uses),
            ResolvedPath::Outside(path) => {
                let name = readable(path.as_os_str()).into_owned();
                reading.unknown.push(unknown_context("outside", name));
            }
            ResolvedPath::Loop => reading.unknown.push(unknown_context("loop", String::new())),
        }
        if let ResolvedPath::Inside(directory) = landing
            && let Some(file) = snapshot.submodule_around(directory)
        {
            reading
                .unknown
                .push(unknown_context("submodule", file.blob.clone().unwrap_or_default()));
        }
        reading
    }

    fn choose(&mut self, snapshot: &Snapshot, directory: &OsStr, uses: &[SourceUse]) {
        self.selected = select(&self.context, uses);
        // As in a plan, the state directory is not an input.
        let state_directory = snapshot.path_of(STATE_DIRECTORY);
        let is_state_path = |path: &OsStr| Path::new(path).starts_with(&state_directory);
        let entries = &self.context.entries;
        self.selected.retain(|one| !is_state_path(&join(directory, &entries[one.index].path)));
        for SelectedEntry { index, .. } in &self.selected {
            let entry = &self.context.entries[*index];
            let path = join(directory, &entry.path);
            match entry.kind {
                EntryKind::File => self.paths.push(path),
                EntryKind::Directory => {
                    let file = snapshot.files.get(&path);
                    let file = file.filter(|file| file.kind == FileKind::Submodule);
                    let blob = file.map(|file| file.blob.clone().unwrap_or_default());
                    self.unknown.extend(blob.map(|it| unknown(&entry.path, "submodule", it)));
                }
                _ => {}
            }
        }
    }

    /// Returns the file list with the names of the contents.
    fn list(&self, names: &Contents<'_>) -> FileList {
        let mut paths = self.paths.iter();
        let counted = self.selected.iter().filter(|one| one.part != EntryPart::Path);
        let entries = counted.map(|one| {
            let entry = &self.context.entries[one.index];
            let (kind, content) = match &entry.kind {
                EntryKind::Symlink(text) => ("symlink", Some(readable(text))),
                EntryKind::File => {
                    let name = paths.next().map(|path| Cow::Borrowed(names.name(path)));
                    ("file", name)
                }
                _ => ("directory", None),
            };
            let mode = one.mode(entry).map(|mode| Cow::Owned(format!("{mode:04o}")));
            FileInputs { path: readable(&entry.path), kind: Cow::Borrowed(kind), mode, content }
        });
        let files: Vec<FileInputs<'_>> = entries.chain(self.unknown.iter().cloned()).collect();
        FileList::new(&files)
    }
}

/// Returns the mode of a file; Git keeps only one bit of it.
fn mode_of(file: &File) -> u32 {
    if file.kind == FileKind::Plain { 0o644 } else { 0o755 }
}
