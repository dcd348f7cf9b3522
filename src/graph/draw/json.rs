//! `graph.json`: the committed lock of the graph.
//!
//! Owns its format, version 1, which `graph::lock` reads. No volatile data, stable order, one line a
//! fact, so that a reviewer sees an edge appear. An external has the digest that its Dockerfile names,
//! else the one that it is pinned to.

use serde::{Serialize, Serializer};

use crate::base::ImageId;
use crate::base::screen::visible_json;
use crate::graph::reference::Reference;
use crate::graph::{Edge, External, Image};

use super::{View, kind_word};

/// The format's version.
pub const VERSION: u32 = 1;

/// Enough for most images, so that a long text is not moved while it grows.
const BYTES_AN_IMAGE: usize = 1024;

#[derive(Serialize)]
struct Lock<'a> {
    version: u32,
    #[serde(serialize_with = "each_in_turn")]
    images: &'a View<'a>,
}

#[derive(Serialize)]
struct LockImage<'a> {
    name: &'a str,
    dockerfile: &'a str,
    context: &'a str,
    target: Option<&'a str>,
    references: Vec<String>,
    parents: Vec<LockParent<'a>>,
    externals: Vec<LockExternal>,
}

#[derive(Serialize)]
struct LockParent<'a> {
    image: &'a str,
    kind: &'static str,
    reference: String,
    at: String,
}

#[derive(Serialize)]
struct LockExternal {
    reference: String,
    kind: &'static str,
    at: String,
    digest: Option<String>,
}

/// The graph as JSON with a line end.
pub fn draw(view: &View<'_>) -> String {
    let lock = Lock { version: VERSION, images: view };
    let mut text = Vec::with_capacity(view.images().len() * BYTES_AN_IMAGE);
    // It is all text, and writing to memory does not fail.
    serde_json::to_writer_pretty(&mut text, &lock).unwrap_or_default();
    text.push(b'\n');
    visible_json(String::from_utf8(text).unwrap_or_default())
}

/// One image after the other, so that only one is described at a time.
fn each_in_turn<S: Serializer>(view: &View<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(view.images().map(|(id, image)| describe(view, id, image)))
}

fn describe<'a>(view: &View<'a>, id: ImageId, image: &'a Image) -> LockImage<'a> {
    LockImage {
        name: &image.name,
        dockerfile: image.dockerfile.as_str(),
        context: image.context.as_str(),
        target: image.target.as_deref(),
        references: image.references.iter().map(Reference::familiar).collect(),
        parents: view.parents(id).iter().map(|edge| describe_parent(view, edge)).collect(),
        externals: view.externals(id).iter().map(|it| describe_external(view, it)).collect(),
    }
}

fn describe_parent<'a>(view: &View<'a>, edge: &Edge) -> LockParent<'a> {
    LockParent {
        image: &view.image(edge.parent).name,
        kind: kind_word(edge.kind),
        reference: edge.reference.normalised(),
        at: edge.place().to_string(),
    }
}

fn describe_external(view: &View<'_>, external: &External) -> LockExternal {
    let reference = view.reference(external);
    let pinned = || view.pin(reference).map(str::to_owned);
    LockExternal {
        reference: reference.normalised(),
        kind: kind_word(external.kind),
        at: external.place().to_string(),
        digest: reference.digest.clone().or_else(pinned),
    }
}
