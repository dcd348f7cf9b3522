//! Building on pinned externals: what stands by digest for what a Dockerfile names by tag.
//!
//! Owns the ways in which that is done, of which none edits a file. A frontend that takes named
//! contexts is told what stands for a name. Any other looks the name up in the engine's store, so there
//! the name must lead to the pinned image: it is given to it where it is free, and never taken from
//! another image.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::hinted;
use crate::engine::{Engine, StoredImage};
use crate::graph::Graph;
use crate::graph::lock::{Pins, externals_by_tag};
use crate::graph::reference::Reference;

/// How a named context says that it is an image.
const IMAGE: &str = "docker-image://";

/// What stands for the externals of a graph, by their normalised references.
pub fn pinned(graph: &Graph, pins: &Pins) -> BTreeMap<String, String> {
    let externals = externals_by_tag(graph).into_iter();
    externals.filter_map(|(name, it)| Some((name, pins.pinned(it)?.familiar()))).collect()
}

/// Named contexts of a user's, with what is pinned by digest.
pub fn pin_contexts(
    mut contexts: BTreeMap<String, String>,
    pinned: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for value in contexts.values_mut() {
        let reference = value.strip_prefix(IMAGE).and_then(|it| Reference::parse(it).ok());
        if let Some(digest) = reference.and_then(|it| pinned.get(&it.normalised())) {
            *value = format!("{IMAGE}{digest}");
        }
    }
    contexts
}

/// Brings a pinned image into the engine where it lacks it, and has its name lead there where the build
/// looks it up by that. `pulled` is told how long the fetching took.
///
/// # Errors
/// Where it can't be fetched, or its name leads to another image.
pub fn bring(
    engine: &dyn Engine,
    pinned: &str,
    name: Option<&Reference>,
    platform: Option<&str>,
    pulled: &dyn Fn(String, Duration),
) -> anyhow::Result<()> {
    let image = match engine.inspect(pinned)? {
        Some(image) => image,
        None => fetch(engine, pinned, platform, pulled)?,
    };
    let Some(name) = name.map(Reference::familiar) else { return Ok(()) };
    match engine.inspect(&name)? {
        Some(other) if other.id != image.id => Err(hinted(
            format!(
                "`{name}` is another image in the engine than `{pinned}`, to which it is pinned, and \
                 what reads this Dockerfile takes no named contexts"
            ),
            format!(
                "use Docker 23 or newer, or let the name lead there: docker tag {pinned} {name}"
            ),
        )),
        Some(_) => Ok(()),
        None => engine.tag(&image.id, &name),
    }
}

fn fetch(
    engine: &dyn Engine,
    pinned: &str,
    platform: Option<&str>,
    pulled: &dyn Fn(String, Duration),
) -> anyhow::Result<StoredImage> {
    let since = Instant::now();
    engine.pull(pinned, platform, &mut || ())?;
    pulled(pinned.to_owned(), since.elapsed());
    match engine.inspect(pinned)? {
        Some(image) => Ok(image),
        None => anyhow::bail!("the engine does not hold `{pinned}`, which it has just pulled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_of_pinned_externals_are_pinned() {
        let pinned =
            BTreeMap::from([("docker.io/library/debian:12".into(), "debian@sha256:1".into())]);
        let check = |value: &str, expected: &str| {
            let contexts = BTreeMap::from([("base".to_owned(), value.to_owned())]);
            assert_eq!(pin_contexts(contexts, &pinned)["base"], expected);
        };
        check("docker-image://debian:12", "docker-image://debian@sha256:1");
        check("docker-image://docker.io/library/debian:12", "docker-image://debian@sha256:1");
        check("docker-image://debian:11", "docker-image://debian:11");
        check("debian:12", "debian:12");
        check("https://example.com/x.git", "https://example.com/x.git");
    }
}
