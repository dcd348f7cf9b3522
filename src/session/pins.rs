//! Building on pinned externals: the digests that replace the tags in a Dockerfile.
//!
//! Owns how that is done without editing a file. A frontend that supports named contexts gets one per name. Any other
//! frontend looks the name up in the engine's store, so the name must point to the pinned image there: the image gets
//! the name if it is free, but never takes it from another image.

use std::collections::BTreeMap;

use crate::base::error::permanent;
use crate::base::{ExternalId, Platform};
use crate::engine::ImageStore;
use crate::graph::Graph;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::schedule::pull::{PullStage, hold};

/// Returns the pinned references of a graph's externals.
pub fn pinned(graph: &Graph, pins: &Pins) -> BTreeMap<ExternalId, String> {
    let externals = graph.externals_by_tag().into_iter();
    externals.filter_map(|(id, it)| Some((id, pins.pinned(it)?.familiar()))).collect()
}

/// Pulls a pinned image if the engine's store lacks it, and gives it its name if the build looks it up by name.
/// `pulls` is called only if it is pulled.
///
/// # Errors
/// Returns an error if the image cannot be pulled, or if its name points to another image.
pub fn pull_image(
    store: &dyn ImageStore,
    pinned: &str,
    name: Option<&Reference>,
    platform: Option<&Platform>,
    pulls: &dyn Fn(PullStage),
) -> anyhow::Result<()> {
    let image = hold(store, pinned, platform, pulls)?;
    let Some(name) = name.map(Reference::familiar) else { return Ok(()) };
    match store.inspect(&name)? {
        Some(other) if other.id != image.id => Err(permanent(format!(
            "`{name}` is pinned to `{pinned}`, but is a different image in the engine, and the \
                 frontend of this Dockerfile does not support named contexts"
        ))
        .hint(format!("use Docker 23 or newer, or move the tag: docker tag {pinned} {name}"))
        .into()),
        Some(_) => Ok(()),
        None => store.tag(&image.id, &name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::StoredImage;
    use crate::engine::stub::Stub;
    use crate::plan::tests::stored;

    const PINNED: &str = "debian@sha256:1";

    /// Returns the error of building on a pinned image, if any, with its tag on the image with this ID, if any.
    fn failure(tagged: Option<&str>) -> Option<String> {
        let name = Reference::parse("debian:12").unwrap();
        let store = Stub::default();
        // Images are found by digest as by any other reference.
        let pinned = StoredImage { references: vec![PINNED.to_owned()], ..stored("debian", "one") };
        store.put(pinned, &[]);
        store.put(stored("debian", "two"), &[]);
        tagged.iter().for_each(|id| store.tag(id, "debian:12").unwrap());
        let result = pull_image(&store, PINNED, Some(&name), None, &|_| ());
        if result.is_ok() {
            assert_eq!(store.image("debian:12").unwrap().id, "sha256:debian-one");
        }
        result.err().map(|error| error.to_string())
    }

    #[test]
    fn the_pinned_image_is_tagged_unless_the_tag_is_on_another_image() {
        assert_eq!(failure(None), None);
        assert_eq!(failure(Some("sha256:debian-one")), None);
        let failure = failure(Some("sha256:debian-two")).unwrap();
        assert!(
            failure.starts_with(
                "`debian:12` is pinned to `debian@sha256:1`, but is a different image in the engine"
            ),
            "{failure}"
        );
    }
}
