//! Building on pinned externals: what stands by digest for what a Dockerfile names by tag.
//!
//! Owns the ways in which that is done, of which none edits a file. A frontend that takes named
//! contexts is told what stands for a name. Any other looks the name up in the engine's store, so there
//! the name must lead to the pinned image: it is given to it where it is free, and never taken from
//! another image.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::error::permanent;
use crate::base::{ExternalId, Platform};
use crate::engine::ImageStore;
use crate::graph::Graph;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::schedule::bring::hold;

/// What stands for the externals of a graph.
pub fn pinned(graph: &Graph, pins: &Pins) -> BTreeMap<ExternalId, String> {
    let externals = graph.externals_by_tag().into_iter();
    externals.filter_map(|(id, it)| Some((id, pins.pinned(it)?.familiar()))).collect()
}

/// Brings a pinned image into the engine where it lacks it, and has its name lead there where the build
/// looks it up by that. `pulled` is told how long the fetching took.
///
/// # Errors
/// Where it can't be fetched, or its name leads to another image.
pub fn bring(
    store: &dyn ImageStore,
    pinned: &str,
    name: Option<&Reference>,
    platform: Option<&Platform>,
    pulled: &dyn Fn(String, Duration),
) -> anyhow::Result<()> {
    let image = hold(store, pinned, platform, pulled)?;
    let Some(name) = name.map(Reference::familiar) else { return Ok(()) };
    match store.inspect(&name)? {
        Some(other) if other.id != image.id => Err(permanent(format!(
            "`{name}` is another image in the engine than `{pinned}`, to which it is pinned, and \
                 what reads this Dockerfile takes no named contexts"
        ))
        .hint(format!(
            "use Docker 23 or newer, or let the name lead there: docker tag {pinned} {name}"
        ))
        .into()),
        Some(_) => Ok(()),
        None => store.tag(&image.id, &name),
    }
}
