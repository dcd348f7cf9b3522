//! What the engine holds of the externals, and fetching what it lacks before a plan is made.
//!
//! Owns which images are fetched and what is said meanwhile. BuildKit fetches externals too, but
//! keeps them to itself: the engine's store then never knows what they are, and all that is built
//! on them would have to count more than it reads. A build that follows takes what is in the store.

use std::collections::BTreeMap;

use crate::base::{ExternalId, ImageId, Platform, parallel};
use crate::engine::ImageStore;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Dependency, Graph};
use crate::inputs::{Externals, Outside};
use crate::plan::{SharedStore, externals_of, judge_external, lent};
use crate::report::say;

/// How many are fetched at once: registries answer slowly, and the engine limits what it downloads.
const AT_ONCE: usize = 6;

/// What is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Nothing: the engine is only looked at.
    #[default]
    Nothing,
    /// What the engine lacks. One that can't be fetched is left to the build, which knows the
    /// instruction that needs it.
    Missing,
    /// All, where their registries have newer ones.
    Newer,
}

/// For whom externals are looked for, and what is done about them.
#[derive(Clone, Copy)]
pub struct ExternalQuery<'a> {
    /// The images.
    pub graph: &'a Graph,
    /// The platform that is asked for, where one is.
    pub asked: Option<&'a Platform>,
    /// The platform that is built for.
    pub platform: &'a Platform,
    /// What is fetched.
    pub pull: Pull,
    /// Whether to say what is fetched.
    pub tell: bool,
    /// What is looked for in place of externals.
    pub pins: &'a Pins,
    /// The engine's store.
    pub store: &'a dyn ImageStore,
}

/// The externals of some images.
#[derive(Default)]
pub struct ExternalImages {
    /// What they are.
    pub externals: Externals,
    /// Where those are by digest that only their registries hold.
    pub remote: BTreeMap<ExternalId, String>,
    /// Names that runs gave to some of them which have died.
    pub strays: Vec<String>,
}

impl ExternalImages {
    fn note(&mut self, id: ExternalId, outside: Option<Outside>) {
        self.externals.insert(Dependency::External(id), outside);
    }
}

/// Adds the externals that some images need to those that were `found` before, as the engine holds them, each
/// requested once. If images are shared through a registry, those that the engine lacks are looked up in
/// theirs: a machine on which nothing has to be built pulls none.
///
/// # Errors
/// Where the engine can't be asked, or one that must be fetched can't be.
pub fn find_externals(
    search: ExternalQuery<'_>,
    images: &[ImageId],
    shared: Option<&SharedStore>,
    found: &mut ExternalImages,
) -> anyhow::Result<()> {
    let reference = |id: ExternalId| {
        let named = &search.graph.externals[id];
        search.pins.pinned(named).unwrap_or_else(|| named.clone())
    };
    let wanted: Vec<(ExternalId, Reference)> = externals_of(search.graph, images)
        .into_iter()
        .filter(|id| !found.externals.contains_key(&Dependency::External(*id)))
        .map(|id| (id, reference(id)))
        .collect();
    if search.pull == Pull::Newer {
        let fetched = parallel::each(&wanted, AT_ONCE, |(_, it)| fetch_newer(search, it));
        fetched.into_iter().collect::<anyhow::Result<()>>()?;
    }
    let mut missing = Vec::new();
    for (id, reference) in wanted {
        let stored = search.store.inspect(&reference.familiar())?;
        match &stored {
            None => missing.push((id, reference)),
            Some(stored) => found.strays.extend(lent::strays(&stored.references).cloned()),
        }
        found.note(id, judge_external(stored, search.platform));
    }
    if let Some(shared) = shared {
        let seen = parallel::each(&missing, AT_ONCE, |(_, it)| shared.external(it));
        for ((id, _), seen) in missing.iter().zip(&seen) {
            let Some((outside, place)) = seen else { continue };
            found.note(*id, Some(outside.clone()));
            found.remote.insert(*id, place.clone());
        }
        missing =
            missing.into_iter().zip(seen).filter(|(_, it)| it.is_none()).map(|it| it.0).collect();
    }
    if search.pull == Pull::Missing {
        // One that can't be fetched is left to the build.
        parallel::each(&missing, AT_ONCE, |(_, it)| drop(fetch(search, it, true)));
        for (id, reference) in missing {
            let stored = search.store.inspect(&reference.familiar())?;
            found.note(id, judge_external(stored, search.platform));
        }
    }
    Ok(())
}

fn fetch_newer(search: ExternalQuery<'_>, reference: &Reference) -> anyhow::Result<()> {
    let name = reference.familiar();
    let before = search.store.inspect(&name)?.map(|image| image.id);
    // A digest names one image for ever.
    if before.is_some() && reference.digest.is_some() {
        return Ok(());
    }
    fetch(search, reference, before.is_none())?;
    let after = search.store.inspect(&name)?.map(|image| image.id);
    let news = if after == before { "up to date" } else { "pulled" };
    if search.tell { say::err(&format!("{name}: {news}\n")) } else { Ok(()) }
}

/// Fetches one, and says so when its registry has begun to answer.
fn fetch(search: ExternalQuery<'_>, reference: &Reference, tell: bool) -> anyhow::Result<()> {
    let name = reference.familiar();
    search.store.pull(&name, search.asked, &mut || {
        if search.tell && tell {
            // Where nobody reads it, the fetching is still wanted.
            drop(say::err(&format!("pulling {name}\n")));
        }
    })
}
