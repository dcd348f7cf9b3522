//! The differences between two graphs of one repository: images, edges, and externals.
//!
//! Owns the comparison, as data in a stable order. A removed and an added image count as one
//! renamed image if they have the same Dockerfile text, target, and build arguments. The files of
//! images are not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::pins::Pins;
use super::reference::Reference;
use super::{External, Graph, Image};
use crate::base::{ImageId, Location};

/// A graph with its pins.
#[derive(Clone, Copy)]
pub struct PinnedGraph<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The pins in its graph.json.
    pub pins: &'a Pins,
}

/// The differences between two graphs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Added images.
    #[serde(rename = "new")]
    pub added: Vec<DifferingImage>,
    /// Removed images.
    #[serde(rename = "lost")]
    pub removed: Vec<DifferingImage>,
    /// Renamed images.
    pub renamed: Vec<RenamedImage>,
    /// Added edges between images.
    #[serde(rename = "new_edges")]
    pub added_edges: Vec<EdgeBetween>,
    /// Removed edges between images.
    #[serde(rename = "lost_edges")]
    pub removed_edges: Vec<EdgeBetween>,
    /// Externals that were added, removed, or replaced.
    pub externals: Vec<ExternalChange>,
}

/// An image that was added or removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DifferingImage {
    /// The name of the image.
    pub image: String,
    /// The path of its Dockerfile.
    pub dockerfile: String,
}

/// A renamed image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RenamedImage {
    /// The old name.
    pub was: String,
    /// The new name.
    pub image: String,
}

/// An edge between two images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EdgeBetween {
    /// The dependent.
    pub image: String,
    /// The dependency.
    #[serde(rename = "needs")]
    pub parent: String,
    /// The kind of the edge.
    pub kind: &'static str,
    /// The position in the file that creates the edge.
    pub at: String,
}

/// An external that was added, removed, or replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ExternalChange {
    /// The old external, or `None` if it was added.
    pub from: Option<String>,
    /// The new external, or `None` if it was removed.
    pub to: Option<String>,
    /// The images that depend on it.
    pub images: Vec<String>,
    /// Whether only the pin in graph.json changed, and no Dockerfile.
    pub by_pin: bool,
}

impl Difference {
    /// Returns the differences from `then` to `now`.
    pub fn between(then: PinnedGraph<'_>, now: PinnedGraph<'_>) -> Difference {
        let renamed = find_renamed(then.graph, now.graph);
        let new_name: BTreeMap<&str, &str> =
            renamed.iter().map(|it| (it.was.as_str(), it.image.as_str())).collect();
        let is_new = |image: &Image| {
            then.graph.find(&image.name).is_none()
                && renamed.iter().all(|it| it.image != image.name)
        };
        let is_lost = |image: &Image| {
            now.graph.find(&image.name).is_none() && !new_name.contains_key(image.name.as_str())
        };
        let described = |graph: &Graph, is: &dyn Fn(&Image) -> bool| {
            let images = graph.images.values().filter(|image| is(image));
            let described = images.map(|image| DifferingImage {
                image: image.name.clone(),
                dockerfile: image.dockerfile.as_str().to_owned(),
            });
            described.collect()
        };
        let old_edges = edges(then.graph, &|name| new_name.get(name).copied().unwrap_or(name));
        let edges = edges(now.graph, &|name| name);
        let besides = |these: &Edges<'_>, those: &Edges<'_>| {
            let these = these.iter().filter(|(edge, _)| !those.contains_key(*edge));
            these.map(|(edge, at)| EdgeBetween::of(edge, at)).collect()
        };
        Difference {
            added: described(now.graph, &is_new),
            removed: described(then.graph, &is_lost),
            added_edges: besides(&edges, &old_edges),
            removed_edges: besides(&old_edges, &edges),
            externals: find_moved(then, now, &renamed),
            renamed,
        }
    }

    /// Returns whether the graphs are equal.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    /// Returns the old name of an image if it was renamed.
    pub fn old_name<'a>(&'a self, image: &'a str) -> Option<&'a str> {
        self.renamed.iter().find(|it| it.image == image).map(|it| it.was.as_str())
    }
}

/// Returns the pairs of a removed and an added image that are alike, unless the pair is ambiguous.
fn find_renamed(then: &Graph, now: &Graph) -> Vec<RenamedImage> {
    type Content<'a> = (&'a str, Option<&'a str>, &'a BTreeMap<String, String>);
    fn only_in<'a>(graph: &'a Graph, other: &Graph) -> BTreeMap<Content<'a>, Vec<&'a str>> {
        let mut found: BTreeMap<Content<'a>, Vec<&str>> = BTreeMap::new();
        let images = graph.images.values().filter(|image| other.find(&image.name).is_none());
        for image in images {
            let text = image.file.source.text();
            let content = (text, image.target.as_deref(), &image.build_args);
            found.entry(content).or_default().push(&image.name);
        }
        found
    }
    let (old, new) = (only_in(then, now), only_in(now, then));
    let pairs = old.iter().filter_map(|(content, old)| {
        let ([was], [image]) = (old.as_slice(), new.get(content)?.as_slice()) else {
            return None;
        };
        Some(RenamedImage { was: (*was).to_owned(), image: (*image).to_owned() })
    });
    let mut pairs: Vec<RenamedImage> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

/// The edges as dependent, dependency, and kind, each with the first place that creates it.
type Edges<'a> = BTreeMap<(&'a str, &'a str, &'static str), Location>;

fn edges<'a>(graph: &'a Graph, name: &dyn Fn(&'a str) -> &'a str) -> Edges<'a> {
    let mut found = Edges::new();
    for image in graph.images.values() {
        for edge in &image.parents {
            let parent = name(&graph.images[edge.parent].name);
            let ends = (name(&image.name), parent, edge.kind.word());
            found.entry(ends).or_insert_with(|| edge.location());
        }
    }
    found
}

impl EdgeBetween {
    fn of((image, parent, kind): &(&str, &str, &'static str), at: &Location) -> EdgeBetween {
        let [image, parent] = [image, parent].map(|name| String::from(*name));
        EdgeBetween { image, parent, kind, at: at.to_string() }
    }
}

/// An external as written and as pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExternalUse<'a> {
    reference: &'a Reference,
    kind: &'static str,
    pin: Option<&'a str>,
}

impl<'a> ExternalUse<'a> {
    fn of(external: &External, side: PinnedGraph<'a>) -> ExternalUse<'a> {
        let reference = &side.graph.externals[external.id];
        ExternalUse { reference, kind: external.kind.word(), pin: side.pins.digest(reference) }
    }

    fn text(&self) -> String {
        let pin = self.pin.map(|pin| format!("@{pin}")).unwrap_or_default();
        format!("{}{pin}", self.reference.familiar())
    }

    fn all(image: &Image, side: PinnedGraph<'a>) -> Vec<ExternalUse<'a>> {
        let mut all: Vec<ExternalUse<'_>> = Vec::new();
        for external in &image.externals {
            let external_use = ExternalUse::of(external, side);
            if all.iter().all(|it| it.text() != external_use.text()) {
                all.push(external_use);
            }
        }
        all
    }
}

fn find_moved(
    then: PinnedGraph<'_>,
    now: PinnedGraph<'_>,
    renamed: &[RenamedImage],
) -> Vec<ExternalChange> {
    let mut moved: BTreeMap<(Option<String>, Option<String>, bool), BTreeSet<String>> =
        BTreeMap::new();
    for image in now.graph.images.values() {
        let was = renamed.iter().find(|it| it.image == image.name).map(|it| it.was.as_str());
        let Some(old) = then.graph.find(was.unwrap_or(&image.name)) else { continue };
        let old = &then.graph.images[old];
        for pair in pairs(ExternalUse::all(old, then), ExternalUse::all(image, now)) {
            moved.entry(pair).or_default().insert(image.name.clone());
        }
    }
    let moved = moved.into_iter().map(|((from, to, by_pin), images)| {
        let images = images.into_iter().collect();
        ExternalChange { from, to, images, by_pin }
    });
    moved.collect()
}

/// Pairs the old externals with those that replace them: first the same reference, then the same
/// repository, then the same kind of dependency, each in source order.
fn pairs(
    mut old: Vec<ExternalUse<'_>>,
    mut new: Vec<ExternalUse<'_>>,
) -> Vec<(Option<String>, Option<String>, bool)> {
    let texts =
        |list: &[ExternalUse<'_>]| list.iter().map(ExternalUse::text).collect::<BTreeSet<_>>();
    let (old_texts, new_texts) = (texts(&old), texts(&new));
    old.retain(|it| !new_texts.contains(&it.text()));
    new.retain(|it| !old_texts.contains(&it.text()));
    type Comparison = fn(&ExternalUse<'_>, &ExternalUse<'_>) -> bool;
    let comparisons: [Comparison; 3] = [
        |one, other| one.reference == other.reference,
        |one, other| one.reference.same_repository(other.reference),
        |one, other| one.kind == other.kind,
    ];
    let mut pairs = Vec::new();
    for is_alike in comparisons {
        new.retain(|it| {
            let Some(at) = old.iter().position(|was| is_alike(was, it)) else { return true };
            let was = old.remove(at);
            let by_pin = was.reference == it.reference;
            pairs.push((Some(was.text()), Some(it.text()), by_pin));
            false
        });
    }
    pairs.extend(old.iter().map(|was| (Some(was.text()), None, false)));
    pairs.extend(new.iter().map(|it| (None, Some(it.text()), false)));
    pairs
}

/// Returns the images of `now` with their externals that are pinned to another digest than in
/// `then`. A new pin is not a change.
pub fn moved_pins(
    then: PinnedGraph<'_>,
    now: PinnedGraph<'_>,
) -> BTreeMap<ImageId, Vec<Reference>> {
    let mut moved: BTreeMap<ImageId, Vec<Reference>> = BTreeMap::new();
    for (id, image) in now.graph.images.iter() {
        for external in &image.externals {
            let reference = &now.graph.externals[external.id];
            let pins = [then, now].map(|side| side.pins.digest(reference));
            let [Some(was), Some(is)] = pins else { continue };
            let references = moved.entry(id).or_default();
            if was != is && !references.contains(reference) {
                references.push(reference.clone());
            }
        }
    }
    moved.retain(|_, references| !references.is_empty());
    moved
}
