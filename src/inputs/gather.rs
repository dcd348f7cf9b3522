//! Gathering of the inputs of images, without the identities of their dependencies.
//!
//! Owns the order of the work: images that share a context and an ignore file share one walk, and a file is read
//! once for all images, or not at all if its digest is known. What is hashed is what is sent: the selection keeps
//! the digests.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::files::FileList;
use super::reading::{Buffer, digest_entry};
use super::select::{EntryPart, SelectedEntry};
use super::{
    ContextSelection, DependencyInputs, Inheritance, Inputs, SourceUse, missing, own, select,
};
use crate::base::clock::UnixTime;
use crate::base::error::{ErrorKind, InfrastructureError, permanent};
use crate::base::path::STATE_DIRECTORY;
use crate::base::{Diagnostic, IdMap, Location, RelPath, UnitId, clock};
use crate::engine::Attestations;
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::inputs::Identity;
use crate::scan::context::{Context, ContextEntry, EntryKind, Stat};
use crate::scan::ignore_file::{IgnoreFile, find_ignore_file};

/// The digests of files that earlier runs and this one have read.
pub trait FileDigests: Sync {
    /// Returns the digest of the file at a path, if the file's metadata has not changed since it was read.
    fn find(&self, path: &Path, stat: &Stat) -> Option<blake3::Hash>;

    /// Records a digest from a read that began at `read_at`.
    fn note(&mut self, path: &Path, stat: &Stat, read_at: UnixTime, digest: &blake3::Hash);
}

/// The inputs of a unit, and where they come from.
#[derive(Debug, Clone)]
pub struct OwnInputs {
    /// All inputs; dependencies do not have identities yet.
    pub inputs: Inputs,
    /// The dependencies as the Dockerfile names them, each once per reference, kind, and platform.
    pub dependencies: Vec<NamedDependency>,
    /// The files, ready for the engine.
    pub selection: Arc<ContextSelection>,
    /// The locations of the instructions, for each stage in `inputs`.
    pub stage_locations: Vec<StageLocations>,
    /// The directory of the context, relative to the repository's root.
    pub context: RelPath,
    /// The first file that the build requires and the context lacks.
    pub missing: Option<Box<Diagnostic>>,
}

/// A dependency as a Dockerfile names it.
#[derive(Debug, Clone)]
pub struct NamedDependency {
    /// The reference.
    pub reference: Reference,
    /// The image that it refers to.
    pub of: Dependency<UnitId>,
    /// The index in the dependencies of the inputs. Different references to one image of the repository share it.
    pub index: usize,
}

impl OwnInputs {
    /// Returns the dependencies as the Dockerfile names them, with their inputs.
    pub fn named_dependencies(
        &self,
    ) -> impl Iterator<Item = (&DependencyInputs, &NamedDependency)> {
        self.dependencies.iter().map(|named| (&self.inputs.dependencies[named.index], named))
    }

    /// Returns the base that a `FROM` names.
    pub fn base(&self, reference: &Reference) -> Option<Dependency<UnitId>> {
        let mut bases = self.named_dependencies().filter(|(it, _)| it.kind.is_base());
        bases.find(|(_, named)| named.reference == *reference).map(|(_, named)| named.of)
    }
}

/// The locations of a stage's `FROM` and instructions.
#[derive(Debug, Clone)]
pub struct StageLocations {
    /// The `FROM`.
    pub from: Location,
    /// The instructions.
    pub instructions: Vec<Location>,
}

/// An external image as the engine or its registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDescription {
    /// The image's identity.
    pub identity: Identity,
    /// Its `ONBUILD` triggers; `None` if they are unknown, because the description is for another platform.
    pub triggers: Option<Vec<String>>,
    /// What its children inherit.
    pub inheritance: Inheritance,
    /// Its ID if the engine has it for the target platform.
    pub image_id: Option<String>,
}

/// The images that are used as they are; `None` for those that the engine lacks. Images of the repository are
/// included only if their triggers differ from those in their Dockerfiles.
pub type Externals = BTreeMap<Dependency, Option<ExternalDescription>>;

/// What to gather inputs from.
#[derive(Debug, Clone, Copy)]
pub struct GatherRequest<'a> {
    /// The repository's root.
    pub root: &'a Path,
    /// The images of the repository.
    pub graph: &'a Graph,
    /// The units of the images.
    pub units: &'a Units,
    /// The externals of all requested images.
    pub externals: &'a Externals,
    /// The attestations of the images.
    pub attestations: &'a Attestations,
}

/// Gathers the inputs of some units; the others are `None`. If something cannot be read, the units that read it get
/// an error.
pub fn gather(
    request: GatherRequest<'_>,
    units: &[UnitId],
    digests: &mut dyn FileDigests,
) -> IdMap<Option<Result<OwnInputs, InfrastructureError>>, UnitId> {
    let mut gathered = IdMap::from_fn(request.units.len(), |_| None);
    let readers: Vec<Result<ContextReader<'_>, InfrastructureError>> =
        units.par_iter().map(|unit| ContextReader::of(request, *unit)).collect();
    let mut walks: BTreeMap<(RelPath, Option<PathBuf>), Vec<ContextReader<'_>>> = BTreeMap::new();
    for (unit, reader) in units.iter().zip(readers) {
        match reader {
            Ok(reader) => walks.entry(reader.walk.clone()).or_default().push(reader),
            Err(message) => gathered[*unit] = Some(Err(message)),
        }
    }
    // The state directory is never an input: it changes with every run, so nothing would ever be up to date.
    let root = request.root.canonicalize().unwrap_or_else(|_| request.root.to_owned());
    let state_directory = root.join(STATE_DIRECTORY);
    let walks: Vec<ContextWalk<'_>> = walks
        .into_par_iter()
        .map(|(directory, readers)| walk((request.root, &state_directory), directory, readers))
        .collect();
    let read = read_files(&walks, digests);
    let owned: Vec<Vec<(UnitId, Result<OwnInputs, InfrastructureError>)>> =
        walks.into_par_iter().zip(read).map(|(walk, read)| walk.own(request, &read)).collect();
    for (unit, own) in owned.into_iter().flatten() {
        gathered[unit] = Some(own);
    }
    gathered
}

/// A unit that reads a context.
struct ContextReader<'a> {
    unit: UnitId,
    image: &'a Image,
    uses: Vec<SourceUse>,
    doubt: own::Doubt,
    /// The directory, and the ignore file that applies.
    walk: (RelPath, Option<PathBuf>),
}

impl<'a> ContextReader<'a> {
    fn of(
        request: GatherRequest<'a>,
        unit: UnitId,
    ) -> Result<ContextReader<'a>, InfrastructureError> {
        let image = &request.graph.images[request.units.image(unit)];
        let (uses, doubt) = own::uses_of(image, request.externals);
        let uses = select::normalize(uses);
        let directory = image.context.under(request.root);
        let ignore = find_ignore_file(&image.dockerfile.under(request.root), &directory)
            .map_err(|error| permanent("can't look up the ignore file").source(error))?;
        Ok(ContextReader { unit, image, uses, doubt, walk: (image.context.clone(), ignore) })
    }

    fn own(
        &self,
        request: GatherRequest<'_>,
        files: FileList,
        selection: Arc<ContextSelection>,
        context: &Context,
    ) -> OwnInputs {
        let GatherRequest { graph, units, attestations, .. } = request;
        let with = (units.platform(self.unit), attestations);
        OwnInputs {
            inputs: own::inputs_of((graph, self.image), with, files, self.doubt),
            dependencies: own::dependencies_of((graph, self.image), self.unit, units),
            selection,
            stage_locations: own::stage_locations(self.image),
            context: self.image.context.clone(),
            missing: missing::find_required(request.root, self.image, context).map(Box::new),
        }
    }
}

/// One walk, and what its readers take from it.
struct ContextWalk<'a> {
    /// The readers, each with the index of its choice.
    readers: Vec<(ContextReader<'a>, usize)>,
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

impl ContextWalk<'_> {
    fn own(
        self,
        request: GatherRequest<'_>,
        read: &ReadFiles,
    ) -> Vec<(UnitId, Result<OwnInputs, InfrastructureError>)> {
        let ContextWalk { readers, context, choices } = self;
        let context = match context {
            Ok(context) => context,
            Err(error) => {
                let of = |(reader, _): &(ContextReader<'_>, _)| (reader.unit, Err(error.clone()));
                return readers.iter().map(of).collect();
            }
        };
        let results: Vec<Result<_, InfrastructureError>> =
            choices.par_iter().map(|choice| take(&context, choice, read)).collect();
        readers
            .into_par_iter()
            .map(|(reader, choice)| {
                let own = results[choice].clone();
                let own = own.map(|(files, it)| reader.own(request, files, it, &context));
                (reader.unit, own)
            })
            .collect()
    }
}

/// Returns the selected files of a context, as inputs and ready to send.
fn take(
    context: &Arc<Context>,
    Choice { patterns, selected }: &Choice,
    read: &ReadFiles,
) -> Result<(FileList, Arc<ContextSelection>), InfrastructureError> {
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
    Ok((files, Arc::new(selection.without_modes(without_mode).with_patterns(*patterns))))
}

fn walk<'a>(
    (root, state_directory): (&Path, &Path),
    directory: (RelPath, Option<PathBuf>),
    readers: Vec<ContextReader<'a>>,
) -> ContextWalk<'a> {
    let context = readers.first().map_or_else(
        || Err(permanent("no image reads this context")),
        |reader| walk_for(root, reader.image, readers.iter().all(|it| it.uses.is_empty())),
    );
    let mut numbers: HashMap<Vec<SourceUse>, usize> = HashMap::new();
    let readers: Vec<(ContextReader<'a>, usize)> = readers
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
                Choice { patterns: hash_patterns(root, &directory, uses), selected }
            };
            uses.par_iter().map(choose).collect()
        }
        Err(_) => Vec::new(),
    };
    ContextWalk { readers, context: context.map(Arc::new), choices }
}

/// Identifies how files are selected: by sources, from the context of a directory after an ignore file.
fn hash_patterns(
    root: &Path,
    (context, ignore): &(RelPath, Option<PathBuf>),
    uses: &[SourceUse],
) -> blake3::Hash {
    let ignore = ignore.as_ref().map(|path| path.strip_prefix(root).unwrap_or(path));
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

pub(super) fn walk_for(
    root: &Path,
    image: &Image,
    nothing_is_read: bool,
) -> Result<Context, InfrastructureError> {
    let directory = image.context.under(root);
    if nothing_is_read && directory.is_dir() {
        return Ok(Context { root: directory, entries: Vec::new(), unreadable: Vec::new() });
    }
    let (ignore, problems) =
        IgnoreFile::load(root, &image.dockerfile, &image.context).map_err(unreadable)?;
    match problems.first() {
        Some(problem) => Err(permanent(describe_ignore_problem(problem))),
        None => Context::walk(&directory, &ignore).map_err(permanent),
    }
}

/// Returns what is wrong in an ignore file, and where.
pub(super) fn describe_ignore_problem(problem: &Diagnostic) -> String {
    match problem.labels.first() {
        Some(label) => format!("{}: {}", label.source.location(label.span), problem.message),
        None => problem.message.clone(),
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
fn read_files(walks: &[ContextWalk<'_>], digests: &mut dyn FileDigests) -> Vec<ReadFiles> {
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
fn look_up(walk: &ContextWalk<'_>, digests: &dyn FileDigests) -> (ReadFiles, Vec<usize>) {
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
