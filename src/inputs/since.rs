//! What differs in an image between a revision and the work tree or another revision, in Git's terms.
//!
//! Owns the comparison: both sides are snapshots and are read in the same way. Files count as a checkout would
//! write them: their content, and the one mode bit that Git keeps. No engine is called, so externals count by their
//! reference alone. A base is assumed to have no `ONBUILD` triggers, unless its reference says so. Files that Git
//! ignores do not count.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{Change, changes};
use super::files::FileList;
use super::gather::{Externals, NamedDirectory, OwnInputs};
use super::reads::{ContextReads, Doubt, reads_of};
use super::{ContextSelection, own};
use crate::base::{IdMap, ImageId, Platform, UnitId};
use crate::engine::Attestations;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::scan::context::Context;
use crate::scan::git::{ComparedPaths, Snapshot, names_of_contents};

mod reading;
mod shortening;

use reading::{Reading, Readings};

/// The two sides of a comparison.
#[derive(Clone, Copy)]
pub struct ComparedSides<'a> {
    /// The later side.
    pub now: ComparedSide<'a>,
    /// The earlier side.
    pub then: ComparedSide<'a>,
    /// The target platform.
    pub platform: &'a Platform,
}

/// One side: a revision that was checked out, or the work tree.
#[derive(Clone, Copy)]
pub struct ComparedSide<'a> {
    /// The directory that contains the Dockerfiles and ignore files.
    pub root: &'a Path,
    /// The images.
    pub graph: &'a Graph,
    /// All files.
    pub snapshot: &'a Snapshot,
}

/// Why an image differs from the revision's, or would be built for another reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// The revision has no image with that name.
    New,
    /// The image has changes.
    Changed {
        /// The changes, the most interesting ones first.
        changes: Vec<Change>,
    },
    /// The image has a different full name.
    Renamed,
    /// Something cannot be read.
    Unreadable {
        /// The error message.
        message: String,
    },
    /// The registry has no image with its key.
    Missing,
    /// Whether the registry has an image with its key is not known.
    Unknown {
        /// Why it is not known.
        message: String,
    },
    /// The tag of an external that it depends on no longer points to the pinned digest.
    ExternalMoved {
        /// The external's name.
        external: String,
        /// The pinned digest.
        was: String,
        /// The digest that the tag points to.
        now: String,
    },
}

/// Returns for each current image why it differs from the earlier state; `None` if it does not.
///
/// # Errors
/// Returns an error if Git cannot provide file contents.
pub fn compare(sides: ComparedSides<'_>) -> anyhow::Result<IdMap<Option<Cause>>> {
    let (now, then) = rayon::join(|| Readings::of(sides.now), || Readings::of(sides.then));
    let paths = compared_paths(sides, &now, &then);
    let [names_now, names_then] =
        names_of_contents(sides.now.snapshot, sides.then.snapshot, &paths)?;
    let now = SideFiles { files: now.lists(&names_now), readings: &now };
    let then = SideFiles { files: then.lists(&names_then), readings: &then };
    let graph = sides.now.graph;
    let ids: Vec<ImageId> = graph.images.ids().collect();
    let found: Vec<Option<Cause>> =
        ids.into_par_iter().map(|id| compare_one(sides, id, &now, &then)).collect();
    Ok(found.into_iter().collect())
}

/// What the images of a side read.
struct SideFiles<'a> {
    readings: &'a Readings,
    files: Vec<FileList>,
}

impl SideFiles<'_> {
    /// Returns what an image reads from each of its contexts.
    fn of(&self, image: ImageId) -> Result<Vec<(&Arc<Reading>, &FileList)>, &String> {
        let readings = self.readings.by_image[image].iter();
        readings
            .map(|context| {
                let number = context.reading.as_ref()?;
                Ok((&self.readings.all[*number], &self.files[*number]))
            })
            .collect()
    }
}

/// Returns the files whose content must be known on both sides.
fn compared_paths<'a>(
    sides: ComparedSides<'_>,
    now: &'a Readings,
    then: &'a Readings,
) -> ComparedPaths<'a> {
    let mut all = ComparedPaths::default();
    let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (id, image) in sides.now.graph.images.iter() {
        let Some(old) = sides.then.graph.find(&image.name) else { continue };
        for context in &now.by_image[id] {
            let old = then.by_image[old].iter().find(|old| old.name == context.name);
            let Some((Ok(number), Ok(old))) = old.map(|old| (&context.reading, &old.reading))
            else {
                continue;
            };
            if !done.insert((*number, *old)) {
                continue;
            }
            let (now, then) = (&now.all[*number], &then.all[*old]);
            let paths = now.paths.iter().chain(&then.paths).map(OsString::as_os_str);
            if now.landing == then.landing {
                all.in_place.extend(paths);
            } else {
                all.moved.extend(paths);
            }
        }
    }
    all
}

fn compare_one(
    sides: ComparedSides<'_>,
    id: ImageId,
    now: &SideFiles<'_>,
    then: &SideFiles<'_>,
) -> Option<Cause> {
    let graph = sides.now.graph;
    let image = &graph.images[id];
    let Some(old) = sides.then.graph.find(&image.name) else { return Some(Cause::New) };
    if let Some(message) = graph.unresolved().get(&id) {
        // What it is built on may have changed.
        return Some(Cause::Unreadable { message: message.clone() });
    }
    let (read, old_files) = match (now.of(id), then.of(old)) {
        (Ok(read), Ok(old_read)) => (read, old_read.into_iter().map(|(_, files)| files.clone())),
        // Neither side can be built.
        (Err(message), Err(old)) if message == old => return None,
        (Err(message), _) | (_, Err(message)) => {
            return Some(Cause::Unreadable { message: message.clone() });
        }
    };
    let old = &sides.then.graph.images[old];
    let with = (sides.platform, &Attestations::default());
    let own = own_inputs(sides, id, &read);
    let (contexts, doubt) = reads_without_engine(sides.then.graph, old);
    let old_files = (contexts.as_slice(), old_files.collect());
    let was = own::inputs_of((sides.then.graph, old), with, old_files, doubt);
    if own.inputs != was {
        let units = Units::for_one(graph.images.len(), sides.platform.clone());
        let name = |unit: UnitId| graph.images[units.image(unit)].name.clone();
        let changes = changes(&own, &was, &name);
        return Some(Cause::Changed { changes: shortening::shorten(changes, sides) });
    }
    (image.references != old.references).then_some(Cause::Renamed)
}

/// Returns the inputs of an image of the later side, with what it reads from each of its contexts.
fn own_inputs(
    sides: ComparedSides<'_>,
    id: ImageId,
    read: &[(&Arc<Reading>, &FileList)],
) -> OwnInputs {
    let graph = sides.now.graph;
    let image = &graph.images[id];
    let with = (sides.platform, &Attestations::default());
    let (contexts, doubt) = reads_without_engine(graph, image);
    let units = Units::for_one(graph.images.len(), sides.platform.clone());
    let files = read.iter().map(|(_, files)| (*files).clone()).collect();
    let nothing = |(reading, _): &(&Arc<Reading>, &FileList)| {
        Arc::new(ContextSelection::of(Arc::clone(&reading.context), Vec::new()))
    };
    let directory = |(reads, read): (&ContextReads<'_>, _)| {
        let (value, directory) = (reads.named?.1.to_owned(), reads.directory.clone());
        Some(NamedDirectory { value, directory, selection: nothing(read) })
    };
    let no_files = || Context { root: sides.now.root.into(), entries: vec![], unreadable: vec![] };
    OwnInputs {
        inputs: own::inputs_of((graph, image), with, (&contexts, files), doubt),
        dependencies: own::dependencies_of((graph, image), units.first_of(id), &units),
        selection: Arc::new(ContextSelection::all(no_files())),
        directories: contexts.iter().zip(read).filter_map(directory).collect(),
        stage_locations: own::stage_locations(image),
        context: image.context.clone(),
        missing: None,
    }
}

/// Returns what an image reads from its contexts. Nothing outside the repository is known here.
fn reads_without_engine<'a>(graph: &Graph, image: &'a Image) -> (Vec<ContextReads<'a>>, Doubt) {
    let ids = image.externals.iter().map(|external| external.id);
    let says_so = ids.filter(|id| graph.externals[*id].normalized().contains("onbuild"));
    let externals: Externals = says_so.map(|id| (Dependency::External(id), None)).collect();
    reads_of(image, &externals)
}
