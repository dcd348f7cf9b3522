//! The part of the graph to draw: images, edges, and marks.
//!
//! Owns the choice, as a value that all drawings take instead of the graph. It draws nothing.

use std::collections::BTreeSet;

use crate::base::{Id, IdMap, ImageId};
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Edge, External, Graph, Image, dag};

use super::mark::{Mark, Marks};

/// A graph to draw.
#[derive(Debug)]
pub struct View<'a> {
    graph: &'a Graph,
    shown: Vec<ImageId>,
    parents: IdMap<Vec<&'a Edge>>,
    externals: IdMap<Vec<&'a External>>,
    marks: Option<Marks>,
    pins: Pins,
}

impl<'a> View<'a> {
    /// Returns a view of a whole graph, without marks.
    pub fn new(graph: &'a Graph) -> View<'a> {
        let images = graph.images.values();
        View {
            graph,
            shown: graph.images.ids().collect(),
            parents: images.clone().map(|image| image.parents.iter().collect()).collect(),
            externals: images.map(|image| image.externals.iter().collect()).collect(),
            marks: None,
            pins: Pins::default(),
        }
    }

    /// Restricts the view to these images, with their externals and the edges between them.
    #[must_use]
    pub fn of(mut self, images: &[ImageId]) -> View<'a> {
        let mut is_shown = IdMap::from_fn(self.graph.images.len(), |_| false);
        images.iter().for_each(|image| is_shown[*image] = true);
        self.shown.retain(|image| is_shown[*image]);
        for edges in self.parents.values_mut() {
            edges.retain(|edge| is_shown[edge.parent]);
        }
        self
    }

    /// Removes edges that a longer path implies: an image that another parent depends on is not drawn as a
    /// parent. This includes externals.
    #[must_use]
    pub fn reduced(mut self) -> View<'a> {
        let count = self.graph.images.len();
        let number = |external: &External| ImageId::from_index(count + external.id.index());
        let edges = IdMap::from_fn(count + self.graph.externals.len(), |id: ImageId| {
            if id.index() >= count {
                return Vec::new();
            }
            let parents = self.parents[id].iter().map(|edge| edge.parent);
            parents.chain(self.externals[id].iter().map(|it| number(it))).collect()
        });
        let reduction = dag::reduce(&edges);
        for image in &self.shown {
            let targets: BTreeSet<ImageId> = reduction[*image].iter().copied().collect();
            self.parents[*image].retain(|edge| targets.contains(&edge.parent));
            self.externals[*image].retain(|it| targets.contains(&number(it)));
        }
        self
    }

    /// Adds marks to the images.
    #[must_use]
    pub fn marked(mut self, marks: Marks) -> View<'a> {
        self.marks = Some(marks);
        self
    }

    /// Adds the digests of externals.
    #[must_use]
    pub fn pinned(mut self, pins: Pins) -> View<'a> {
        self.pins = pins;
        self
    }

    /// Returns the digest that an external is pinned to.
    pub fn pin(&self, external: &Reference) -> Option<&str> {
        self.pins.digest(external)
    }

    /// Iterates over the images in the order of their names.
    pub fn images(&self) -> impl ExactSizeIterator<Item = (ImageId, &'a Image)> {
        self.shown.iter().map(|id| (*id, &self.graph.images[*id]))
    }

    /// Returns an image of the graph, even if it is not in the view.
    pub fn image(&self, id: ImageId) -> &'a Image {
        &self.graph.images[id]
    }

    /// Returns why not all parents and externals of an image are known.
    pub fn error(&self, image: ImageId) -> Option<&'a str> {
        self.graph.unresolved().get(&image).map(String::as_str)
    }

    /// Returns the number of images in the graph, including those that are not in the view.
    pub fn graph_len(&self) -> usize {
        self.graph.images.len()
    }

    /// Returns the edges from an image to its parents in the view, in the order written.
    pub fn parents(&self, image: ImageId) -> &[&'a Edge] {
        &self.parents[image]
    }

    /// Returns the externals of an image in the view, in the order written.
    pub fn externals(&self, image: ImageId) -> &[&'a External] {
        &self.externals[image]
    }

    /// Returns the reference of an external.
    pub fn reference(&self, external: &External) -> &'a Reference {
        &self.graph.externals[external.id]
    }

    /// Returns the externals of all images in the view, in the form that people write, sorted and without
    /// duplicates.
    pub fn all_externals(&self) -> BTreeSet<String> {
        let all = self.shown.iter().flat_map(|image| &self.externals[*image]);
        all.map(|external| self.reference(external).familiar()).collect()
    }

    /// Returns the marks, if there are any.
    pub fn marks(&self) -> Option<&Marks> {
        self.marks.as_ref()
    }

    /// Returns the mark of an image.
    pub fn mark(&self, image: ImageId) -> Option<&Mark> {
        self.marks.as_ref().and_then(|marks| marks.marks[image].as_ref())
    }
}
