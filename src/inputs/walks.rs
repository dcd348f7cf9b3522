//! The contexts that units read: each is walked once, and each of its files is read once.
//!
//! Owns the order of the work: units that share a context and an ignore file share one walk, and a file is read once for
//! all of them, or not at all if its digest is known. What is hashed is what is sent: the selection keeps the digests.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::files::FileList;
use super::gather::{FileDigests, describe_ignore_problem};
use super::reading::{Buffer, digest_entry};
use super::reads::ContextReads;
use super::select::{EntryPart, SelectedEntry};
use super::{ContextSelection, SourceUse, select};
use crate::base::clock;
use crate::base::error::{ErrorKind, InfrastructureError, permanent};
use crate::base::path::STATE_DIRECTORY;
use crate::graph::context_directory::ContextDirectory;
use crate::scan::context::{Context, ContextEntry, EntryKind};
use crate::scan::ignore_file::IgnoreFile;

/// The number of a unit, and that of a context among those that it reads.
pub(super) type ReaderId = (usize, usize);

/// The files of a context that a unit reads.
#[derive(Clone)]
pub(super) struct ContextFilesRead {
    /// The files, as inputs.
    pub(super) files: FileList,
    /// The files, ready to send.
    pub(super) selection: Arc<ContextSelection>,
    /// The context.
    pub(super) context: Arc<Context>,
}

/// A directory, and the ignore file that applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct WalkedContext {
    directory: ContextDirectory,
    ignore: Option<PathBuf>,
}

/// A context that a unit reads.
pub(super) struct ContextReader {
    id: ReaderId,
    uses: Vec<SourceUse>,
    place: Result<WalkedContext, InfrastructureError>,
}

impl ContextReader {
    /// Finds the ignore file of a context of an image.
    pub(super) fn of(root: &Path, reads: &ContextReads<'_>, id: ReaderId) -> ContextReader {
        let ignore = reads.ignore_file(root);
        let place = ignore
            .map(|ignore| WalkedContext { directory: reads.directory.clone(), ignore })
            .map_err(|error| permanent("can't look up the ignore file").source(error));
        ContextReader { id, uses: select::normalize(reads.uses.clone()), place }
    }
}

/// Returns what each reader reads, in order of their IDs.
pub(super) fn read_contexts(
    root: &Path,
    readers: Vec<ContextReader>,
    digests: &mut dyn FileDigests,
) -> Vec<(ReaderId, Result<ContextFilesRead, InfrastructureError>)> {
    let mut found = Vec::with_capacity(readers.len());
    let mut walks: BTreeMap<WalkedContext, Vec<ContextReader>> = BTreeMap::new();
    for reader in readers {
        match reader.place.clone() {
            Ok(place) => walks.entry(place).or_default().push(reader),
            Err(message) => found.push((reader.id, Err(message))),
        }
    }
    // The state directory is never an input: it changes with every run, so nothing would ever be up to date.
    let canonical = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let state_directory = canonical.join(STATE_DIRECTORY);
    let walks: Vec<ContextWalk> = walks
        .into_par_iter()
        .map(|(place, readers)| walk((root, &state_directory), &place, readers))
        .collect();
    let read = read_files(&walks, digests);
    let files: Vec<Vec<_>> =
        walks.into_par_iter().zip(read).map(|(walk, read)| walk.files(&read)).collect();
    found.extend(files.into_iter().flatten());
    found.sort_unstable_by_key(|(id, _)| *id);
    found
}

/// One walk, and what its readers take from it.
struct ContextWalk {
    /// The readers, each with the index of its choice.
    readers: Vec<(ContextReader, usize)>,
    context: Result<Arc<Context>, InfrastructureError>,
    /// The selections. Images with the same sources share one.
    choices: Vec<Choice>,
}

/// What some sources select.
struct Choice {
    /// Identifies the sources, the context, and the ignore file.
    patterns: blake3::Hash,
    /// The entries that are read, in the order of the context.
    selected: Vec<SelectedEntry>,
}

impl ContextWalk {
    fn files(
        self,
        read: &ReadFiles,
    ) -> Vec<(ReaderId, Result<ContextFilesRead, InfrastructureError>)> {
        let ContextWalk { readers, context, choices } = self;
        let context = match context {
            Ok(context) => context,
            Err(error) => {
                return readers.iter().map(|(it, _)| (it.id, Err(error.clone()))).collect();
            }
        };
        let results: Vec<Result<ContextFilesRead, InfrastructureError>> =
            choices.par_iter().map(|choice| take(&context, choice, read)).collect();
        readers.iter().map(|(reader, choice)| (reader.id, results[*choice].clone())).collect()
    }
}

/// Returns the selected files of a context, as inputs and ready to send.
fn take(
    context: &Arc<Context>,
    Choice { patterns, selected }: &Choice,
    read: &ReadFiles,
) -> Result<ContextFilesRead, InfrastructureError> {
    if let Some(message) = selected.iter().find_map(|one| read.failures.get(&one.index)) {
        return Err(message.clone());
    }
    let counted = selected.iter().filter(|one| one.part != EntryPart::Path);
    let files = FileList::of(counted.map(|one| {
        let entry = &context.entries[one.index];
        (entry, one.mode(entry), read.digests[one.index])
    }));
    let digests = selected.iter().map(|one| read.digests[one.index]).collect();
    let numbered = || selected.iter().enumerate();
    let content =
        |(at, one): (usize, &SelectedEntry)| Some((at, Arc::clone(read.contents.get(&one.index)?)));
    let contents = numbered().filter_map(content).collect();
    let without_mode =
        numbered().filter(|(_, one)| one.mode(&context.entries[one.index]).is_none());
    let without_mode = without_mode.map(|(at, _)| at).collect();
    let indexes = selected.iter().map(|one| one.index).collect();
    let selection = ContextSelection::of(Arc::clone(context), indexes);
    let selection = selection.with_digests(digests).with_contents(contents);
    let selection = selection.without_modes(without_mode).with_patterns(*patterns);
    Ok(ContextFilesRead { files, selection: Arc::new(selection), context: Arc::clone(context) })
}

fn walk(
    (root, state_directory): (&Path, &Path),
    place: &WalkedContext,
    readers: Vec<ContextReader>,
) -> ContextWalk {
    let nothing_is_read = readers.iter().all(|it| it.uses.is_empty());
    let context = walk_for(root, place, nothing_is_read);
    let mut numbers: HashMap<Vec<SourceUse>, usize> = HashMap::new();
    let readers: Vec<(ContextReader, usize)> = readers
        .into_iter()
        .map(|reader| {
            let next = numbers.len();
            let number = *numbers.entry(reader.uses.clone()).or_insert(next);
            (reader, number)
        })
        .collect();
    let mut uses: Vec<(Vec<SourceUse>, usize)> = numbers.into_iter().collect();
    uses.sort_unstable_by_key(|(_, number)| *number);
    let choices = match &context {
        Ok(context) => {
            let state_entries = state_entries_of(context, state_directory);
            let choose = |(uses, _): &(Vec<SourceUse>, usize)| {
                let mut selected = select(context, uses);
                selected.retain(|one| !state_entries.contains(&one.index));
                Choice { patterns: hash_patterns(root, place, uses), selected }
            };
            uses.par_iter().map(choose).collect()
        }
        Err(_) => Vec::new(),
    };
    ContextWalk { readers, context: context.map(Arc::new), choices }
}

/// Identifies how files are selected: by sources, from the context of a directory after an ignore file.
fn hash_patterns(root: &Path, place: &WalkedContext, uses: &[SourceUse]) -> blake3::Hash {
    let ignore = place.ignore.as_ref().map(|path| path.strip_prefix(root).unwrap_or(path));
    let context: &dyn std::fmt::Debug = match &place.directory {
        ContextDirectory::Inside(path) => path,
        // Never equal to a path below the root.
        ContextDirectory::Outside(path) => path,
    };
    blake3::hash(format!("{context:?} {ignore:?} {uses:?}").as_bytes())
}

/// Returns the entries of a context that are inside the state directory.
fn state_entries_of(context: &Context, state_directory: &Path) -> Range<usize> {
    if context.root.starts_with(state_directory) {
        return 0..context.entries.len();
    }
    let Ok(below) = state_directory.strip_prefix(&context.root) else { return 0..0 };
    let below = below.as_os_str().as_bytes();
    let inside = context.below(below);
    context.position(below).unwrap_or(inside.start)..inside.end
}

fn walk_for(
    root: &Path,
    place: &WalkedContext,
    nothing_is_read: bool,
) -> Result<Context, InfrastructureError> {
    let directory = place.directory.under(root);
    if nothing_is_read && directory.is_dir() {
        return Ok(Context { root: directory, entries: Vec::new(), unreadable: Vec::new() });
    }
    let (ignore, problems) = IgnoreFile::read(root, place.ignore.as_deref()).map_err(unreadable)?;
    match problems.first() {
        Some(problem) => Err(permanent(describe_ignore_problem(problem))),
        None => Context::walk(&directory, &ignore).map_err(permanent),
    }
}

fn unreadable(error: io::Error) -> InfrastructureError {
    InfrastructureError::restate(ErrorKind::Permanent, &error.into())
}

/// The maximum number of bytes of file content kept in memory between reading and sending, in total and per file.
/// The files of small images are therefore read only once.
const MOST_KEPT: u64 = 32 << 20;
const LARGEST_KEPT: u64 = 256 << 10;

/// The content of the files of a walk that images read.
#[derive(Default)]
struct ReadFiles {
    /// The digests, by entry index.
    digests: Vec<Option<blake3::Hash>>,
    /// The content that was kept, by entry index.
    contents: HashMap<usize, Arc<[u8]>>,
    /// Why files cannot be read, by entry index.
    failures: BTreeMap<usize, InfrastructureError>,
}

/// Reads the files that images need, for each walk.
fn read_files(walks: &[ContextWalk], digests: &mut dyn FileDigests) -> Vec<ReadFiles> {
    let looked_up: Vec<(ReadFiles, Vec<usize>)> =
        walks.par_iter().map(|walk| look_up(walk, digests)).collect();
    let mut read = Vec::with_capacity(walks.len());
    let mut missing: Vec<(usize, usize, &Context, &ContextEntry)> = Vec::new();
    for ((files, unknown), walk) in looked_up.into_iter().zip(walks) {
        if let Ok(context) = &walk.context {
            let of = |number: usize| (read.len(), number, &**context, &context.entries[number]);
            missing.extend(unknown.into_iter().map(of));
        }
        read.push(files);
    }
    // Taken before the first byte is read, so that any later change has a later time.
    let read_at = clock::now();
    let used = AtomicU64::new(0);
    let has_space =
        |size| size <= LARGEST_KEPT && used.fetch_add(size, Ordering::Relaxed) + size <= MOST_KEPT;
    let found: Vec<Result<_, InfrastructureError>> = missing
        .par_iter()
        .map_init(Buffer::default, |buffer, (_, _, context, entry)| {
            let mut content = has_space(entry.stat.size).then(Vec::new);
            digest_entry(&context.root, entry, buffer, content.as_mut())
                .map(|digest| (digest, content))
                .map_err(unreadable)
        })
        .collect();
    for ((at, number, context, entry), digest) in missing.into_iter().zip(found) {
        match digest {
            Ok((digest, content)) => {
                digests.note(&context.path_of(entry), &entry.stat, read_at, &digest);
                read[at].digests[number] = Some(digest);
                if let Some(content) = content {
                    read[at].contents.insert(number, content.into());
                }
            }
            Err(message) => drop(read[at].failures.insert(number, message)),
        }
    }
    read
}

/// Returns the known digests of the files that images read, and the indexes of the files that have to be read.
fn look_up(walk: &ContextWalk, digests: &dyn FileDigests) -> (ReadFiles, Vec<usize>) {
    let Ok(context) = &walk.context else {
        return (ReadFiles::default(), Vec::new());
    };
    let mut marks = vec![false; context.entries.len()];
    for SelectedEntry { index, .. } in walk.choices.iter().flat_map(|it| &it.selected) {
        marks[*index] = context.entries[*index].kind == EntryKind::File;
    }
    let find = |(entry, mark): (&ContextEntry, &bool)| {
        mark.then(|| digests.find(&context.path_of(entry), &entry.stat)).flatten()
    };
    let entries = context.entries.par_iter().zip(&marks).with_min_len(1024);
    let digests: Vec<Option<blake3::Hash>> = entries.map(find).collect();
    let is_unknown = |number: &usize| marks[*number] && digests[*number].is_none();
    let unknown = (0..digests.len()).filter(is_unknown).collect();
    let failures = context.unreadable.iter().filter_map(|directory| {
        Some((context.position(directory.path.as_bytes())?, unreadable(directory.error())))
    });
    (ReadFiles { digests, failures: failures.collect(), ..ReadFiles::default() }, unknown)
}
