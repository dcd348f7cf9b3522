//! Gathering of the inputs of images, without the identities of their dependencies.
//!
//! Owns what the inputs of a unit consist of: the files of its context and of the directories of its named contexts,
//! which [`super::walks`] reads, and everything else in its Dockerfile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::reads::{ContextReads, Doubt, reads_of};
use super::walks::{ContextFilesRead, ContextReader, read_contexts};
use super::{ContextSelection, DependencyInputs, Inheritance, Inputs, missing, own};
use crate::base::clock::UnixTime;
use crate::base::error::{InfrastructureError, permanent};
use crate::base::{Diagnostic, IdMap, Location, RelPath, UnitId};
use crate::engine::Attestations;
use crate::graph::context_directory::ContextDirectory;
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::inputs::Identity;
use crate::scan::context::Stat;

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
    /// The directories of named contexts that the build may read, in the order of those in `inputs`.
    pub directories: Vec<NamedDirectory>,
    /// The locations of the instructions, for each stage in `inputs`.
    pub stage_locations: Vec<StageLocations>,
    /// The directory of the context, relative to the repository's root.
    pub context: RelPath,
    /// The first file that the build requires and the context lacks.
    pub missing: Option<Box<Diagnostic>>,
}

/// The directory of a named context.
#[derive(Debug, Clone)]
pub struct NamedDirectory {
    /// The value of the named context.
    pub value: String,
    /// Where it is.
    pub directory: ContextDirectory,
    /// The files that the build may read, ready for the engine.
    pub selection: Arc<ContextSelection>,
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
    let all: Vec<UnitReads<'_>> =
        units.par_iter().map(|unit| UnitReads::of(request, *unit)).collect();
    let mut readers = Vec::new();
    for (unit, reads) in all.iter().enumerate() {
        let of = |(context, reads)| ContextReader::of(request.root, reads, (unit, context));
        readers.extend(reads.contexts.iter().enumerate().map(of));
    }
    let mut read: Vec<Vec<Result<ContextFilesRead, InfrastructureError>>> =
        all.iter().map(|reads| Vec::with_capacity(reads.contexts.len())).collect();
    // Sorted by unit, and then by the number of the context.
    for ((unit, _), files) in read_contexts(request.root, readers, digests) {
        read[unit].push(files);
    }
    let owned: Vec<(UnitId, Result<OwnInputs, InfrastructureError>)> =
        all.into_par_iter().zip(read).map(|(reads, files)| reads.own(request, files)).collect();
    let mut gathered = IdMap::from_fn(request.units.len(), |_| None);
    for (unit, own) in owned {
        gathered[unit] = Some(own);
    }
    gathered
}

/// What a unit reads.
struct UnitReads<'a> {
    unit: UnitId,
    image: &'a Image,
    doubt: Doubt,
    /// Its own context, followed by the directories of named contexts.
    contexts: Vec<ContextReads<'a>>,
}

impl<'a> UnitReads<'a> {
    fn of(request: GatherRequest<'a>, unit: UnitId) -> UnitReads<'a> {
        let image = &request.graph.images[request.units.image(unit)];
        let (contexts, doubt) = reads_of(image, request.externals);
        UnitReads { unit, image, doubt, contexts }
    }

    fn own(
        self,
        request: GatherRequest<'_>,
        files: Vec<Result<ContextFilesRead, InfrastructureError>>,
    ) -> (UnitId, Result<OwnInputs, InfrastructureError>) {
        let UnitReads { unit, image, doubt, contexts } = self;
        let GatherRequest { root, graph, units, attestations, .. } = request;
        let read: Result<Vec<ContextFilesRead>, _> = files.into_iter().collect();
        let read = match read {
            Ok(read) => read,
            Err(error) => return (unit, Err(error)),
        };
        let missing = contexts
            .iter()
            .zip(&read)
            .find_map(|(reads, it)| missing::find_required(root, (image, reads), &it.context));
        let lists = read.iter().map(|it| it.files.clone()).collect();
        let directory = |(reads, it): (&ContextReads<'_>, &ContextFilesRead)| {
            let (_, value) = reads.named?;
            let (directory, selection) = (reads.directory.clone(), Arc::clone(&it.selection));
            Some(NamedDirectory { value: value.to_owned(), directory, selection })
        };
        let directories = contexts.iter().zip(&read).filter_map(directory).collect();
        let Some(own) = read.into_iter().next() else {
            return (unit, Err(permanent("the image has no context")));
        };
        let with = (units.platform(unit), attestations);
        let own = OwnInputs {
            inputs: own::inputs_of((graph, image), with, (&contexts, lists), doubt),
            dependencies: own::dependencies_of((graph, image), unit, units),
            selection: own.selection,
            directories,
            stage_locations: own::stage_locations(image),
            context: image.context.clone(),
            missing: missing.map(Box::new),
        };
        (unit, Ok(own))
    }
}

/// Returns what is wrong in an ignore file, and where.
pub(super) fn describe_ignore_problem(problem: &Diagnostic) -> String {
    match problem.labels.first() {
        Some(label) => format!("{}: {}", label.source.location(label.span), problem.message),
        None => problem.message.clone(),
    }
}
