//! What the engine's store has of the externals, and pulling what it lacks before a plan is made.
//!
//! Owns which images are pulled and what is printed meanwhile. BuildKit pulls externals too, but keeps them to itself:
//! the engine's store would never know what they are, and everything built on them would have to be treated as reading
//! more than it does. A later build takes what is in the store.

use std::collections::BTreeMap;

use crate::base::{ExternalId, ImageId, Platform, parallel};
use crate::engine::ImageStore;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Dependency, Graph};
use crate::inputs::{ExternalDescription, Externals};
use crate::plan::{SharedStore, alias, describe_external, externals_of};
use crate::report::printer;

/// How many images are pulled at once: registries answer slowly, and the engine limits its downloads.
const AT_ONCE: usize = 6;

/// What to pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Nothing: the engine's store is only inspected.
    #[default]
    Nothing,
    /// What the store lacks. An image that cannot be pulled is left to the build, which knows the instruction that
    /// needs it.
    Missing,
    /// All images for which their registries have newer ones.
    Newer,
}

/// Which externals to look up, and what to do about them.
#[derive(Clone, Copy)]
pub struct ExternalQuery<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The requested platform, if any.
    pub requested_platform: Option<&'a Platform>,
    /// The target platform.
    pub platform: &'a Platform,
    /// What to pull.
    pub pull: Pull,
    /// Whether to print what is pulled.
    pub report: bool,
    /// The pins, which are looked up in place of the externals' tags.
    pub pins: &'a Pins,
    /// The engine's store.
    pub store: &'a dyn ImageStore,
}

/// The externals of some images.
#[derive(Default)]
pub struct ExternalImages {
    /// The externals.
    pub externals: Externals,
    /// References by digest of those that only their registries have.
    pub remote: BTreeMap<ExternalId, String>,
    /// Aliases of some of them that dead runs left behind.
    pub stale_aliases: Vec<String>,
}

impl ExternalImages {
    fn note(&mut self, id: ExternalId, outside: Option<ExternalDescription>) {
        self.externals.insert(Dependency::External(id), outside);
    }
}

/// Adds the externals of some images to those that were `found` before, as the engine's store has them, each requested
/// once.
///
/// If images are shared through a registry, those that the store lacks are looked up in their registries: a machine on
/// which nothing has to be built pulls nothing.
///
/// # Errors
/// Returns an error if the engine cannot be reached, or if an external that must be pulled cannot be.
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
    let references: Vec<(ExternalId, Reference)> = externals_of(search.graph, images)
        .into_iter()
        .filter(|id| !found.externals.contains_key(&Dependency::External(*id)))
        .map(|id| (id, reference(id)))
        .collect();
    if search.pull == Pull::Newer {
        let results = parallel::each(&references, AT_ONCE, |(_, it)| fetch_newer(search, it));
        results.into_iter().collect::<anyhow::Result<()>>()?;
    }
    let mut missing = Vec::new();
    for (id, reference) in references {
        let stored = search.store.inspect(&reference.familiar())?;
        match &stored {
            None => missing.push((id, reference)),
            Some(stored) => {
                found.stale_aliases.extend(alias::stale_aliases(&stored.references).cloned());
            }
        }
        found.note(id, describe_external(stored, search.platform));
    }
    if let Some(shared) = shared {
        let seen = parallel::each(&missing, AT_ONCE, |(_, it)| shared.external(it));
        for ((id, _), seen) in missing.iter().zip(&seen) {
            let Some((outside, by_digest)) = seen else { continue };
            found.note(*id, Some(outside.clone()));
            found.remote.insert(*id, by_digest.clone());
        }
        missing =
            missing.into_iter().zip(seen).filter(|(_, it)| it.is_none()).map(|it| it.0).collect();
    }
    if search.pull == Pull::Missing {
        // An external that cannot be pulled is left to the build.
        parallel::each(&missing, AT_ONCE, |(_, it)| drop(fetch(search, it, true)));
        for (id, reference) in missing {
            let stored = search.store.inspect(&reference.familiar())?;
            found.note(id, describe_external(stored, search.platform));
        }
    }
    Ok(())
}

fn fetch_newer(search: ExternalQuery<'_>, reference: &Reference) -> anyhow::Result<()> {
    let name = reference.familiar();
    let before = search.store.inspect(&name)?.map(|image| image.id);
    // A digest always names the same image.
    if before.is_some() && reference.digest.is_some() {
        return Ok(());
    }
    fetch(search, reference, before.is_none())?;
    let after = search.store.inspect(&name)?.map(|image| image.id);
    let news = if after == before { "up to date" } else { "pulled" };
    if search.report { printer::note(&format!("{name}: {news}\n")) } else { Ok(()) }
}

/// Pulls an external, and prints so once its registry has started to answer.
fn fetch(search: ExternalQuery<'_>, reference: &Reference, report: bool) -> anyhow::Result<()> {
    let name = reference.familiar();
    search.store.pull(&name, search.requested_platform, &mut || {
        if search.report && report {
            // If the message cannot be printed, the pull still goes on.
            drop(printer::note(&format!("pulling {name}\n")));
        }
    })
}
