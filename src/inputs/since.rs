//! What differs in an image between a revision and the work tree or another revision, in git's terms.
//!
//! Owns the comparison: both sides are snapshots and are read alike. Files count as a checkout would
//! write them: the content, and of the mode the one bit that git keeps. No
//! engine is asked, so what is needed from outside counts by its reference alone; a base is taken
//! to have no `ONBUILD` lines unless its reference says so. What git ignores is no change.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{Change, changes};
use super::files::FileList;
use super::gather::{Externals, Own};
use super::{ContextArchive, Use, own};
use crate::base::{IdMap, ImageId, Platform, UnitId};
use crate::engine::Attestations;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::scan::git::{Snapshot, Wanted, names_of_contents};

mod reading;
mod shown;

use reading::{Reading, Readings};

/// Both sides of the comparison.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The later one.
    pub now: Side<'a>,
    /// The earlier one.
    pub then: Side<'a>,
    /// The platform that is built for.
    pub platform: &'a Platform,
}

/// One side: a revision that was laid out, or the work tree.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Where its Dockerfiles and ignore files are.
    pub root: &'a Path,
    /// Its images.
    pub graph: &'a Graph,
    /// All its files.
    pub snapshot: &'a Snapshot,
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

/// For each image of now why it is another one than in the earlier state; nothing where it is not.
///
/// # Errors
/// Where git can't be asked about contents.
pub fn compare(sides: Sides<'_>) -> anyhow::Result<IdMap<Option<Cause>>> {
    let (now, then) = rayon::join(|| Readings::of(sides.now), || Readings::of(sides.then));
    let wanted = wanted(sides, &now, &then);
    let [names_now, names_then] =
        names_of_contents(sides.now.snapshot, sides.then.snapshot, &wanted)?;
    let now = Listed { files: now.lists(&names_now), readings: &now };
    let then = Listed { files: then.lists(&names_then), readings: &then };
    let graph = sides.now.graph;
    let ids: Vec<ImageId> = graph.images.ids().collect();
    let found: Vec<Option<Cause>> =
        ids.into_par_iter().map(|id| compare_one(sides, id, &now, &then)).collect();
    Ok(found.into_iter().collect())
}

/// What the images of a side read.
struct Listed<'a> {
    readings: &'a Readings,
    files: Vec<FileList>,
}

impl Listed<'_> {
    fn of(&self, image: ImageId) -> Result<(&Arc<Reading>, &FileList), &String> {
        let number = self.readings.by_image[image].as_ref()?;
        Ok((&self.readings.all[*number], &self.files[*number]))
    }
}

/// The files whose contents have to be known on both sides.
fn wanted<'a>(sides: Sides<'_>, now: &'a Readings, then: &'a Readings) -> Wanted<'a> {
    let mut wanted = Wanted::default();
    let mut done: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (id, image) in sides.now.graph.images.iter() {
        let Some(old) = sides.then.graph.find(&image.name) else { continue };
        let (Ok(number), Ok(old)) = (&now.by_image[id], &then.by_image[old]) else { continue };
        if !done.insert((*number, *old)) {
            continue;
        }
        let (now, then) = (&now.all[*number], &then.all[*old]);
        let paths = now.paths.iter().chain(&then.paths).map(OsString::as_os_str);
        if now.landing == then.landing {
            wanted.in_place.extend(paths);
        } else {
            wanted.moved.extend(paths);
        }
    }
    wanted
}

fn compare_one(
    sides: Sides<'_>,
    id: ImageId,
    now: &Listed<'_>,
    then: &Listed<'_>,
) -> Option<Cause> {
    let graph = sides.now.graph;
    let image = &graph.images[id];
    let Some(old) = sides.then.graph.find(&image.name) else { return Some(Cause::New) };
    let ((reading, files), old_files) = match (now.of(id), then.of(old)) {
        (Ok(found), Ok((_, old_files))) => (found, old_files),
        // Neither can be built.
        (Err(message), Err(old)) if message == old => return None,
        (Err(message), _) | (_, Err(message)) => {
            return Some(Cause::Unreadable { message: message.clone() });
        }
    };
    let old = &sides.then.graph.images[old];
    let with = (sides.platform, &Attestations::default());
    let (_, whole) = uses_of(graph, image);
    let units = Units::for_one(graph.images.len(), sides.platform.clone());
    let own = Own {
        inputs: own::inputs_of(image, with, files.clone(), whole),
        dependencies: own::dependencies_of(image, units.first_of(id), &units),
        archive: Arc::new(ContextArchive::of(Arc::clone(&reading.context), Vec::new())),
        places: own::places_of(image),
        context: image.context.clone(),
    };
    let (_, whole) = uses_of(sides.then.graph, old);
    let was = own::inputs_of(old, with, old_files.clone(), whole);
    if own.inputs != was {
        let name = |unit: UnitId| graph.images[units.image(unit)].name.clone();
        let changes = changes(&own, &was, &name);
        return Some(Cause::Changed { changes: shown::shorten(changes, sides) });
    }
    (image.references != old.references).then_some(Cause::Renamed)
}

/// What an image reads of its context. Nothing outside of the repository is known here.
fn uses_of(graph: &Graph, image: &Image) -> (Vec<Use>, own::Doubt) {
    let ids = image.externals.iter().map(|external| external.id);
    let says_so = ids.filter(|id| graph.externals[*id].normalised().contains("onbuild"));
    let externals: Externals = says_so.map(|id| (Dependency::External(id), None)).collect();
    own::uses_of(image, &externals)
}
