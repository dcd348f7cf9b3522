//! The content of a picture: nodes and the edges between them, with their texts.
//!
//! Owns the conversion of a view to numbers. Several edges between the same images become one with all kinds,
//! so that no line covers another.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{ImageId, Location};
use crate::graph::evaluate::DependencyKind;
use crate::graph::reference::Reference;

use super::super::View;
use super::super::mark::Mark;

/// An image or an external.
pub struct DrawnNode {
    /// Its name, unique among nodes of its kind.
    pub name: String,
    /// The text in its box.
    pub label: String,
    /// The text of its tooltip.
    pub title: String,
    /// Whether it is an external.
    pub is_external: bool,
    /// Its mark.
    pub mark: Option<Mark>,
}

/// All edges from one node to another.
pub struct DrawnEdge {
    /// The parent.
    pub parent: usize,
    /// The child.
    pub child: usize,
    /// The kinds of dependency, the strongest first.
    pub kinds: Vec<DependencyKind>,
    /// The text of its tooltip: the positions in the Dockerfile.
    pub title: String,
}

/// All nodes and edges.
pub struct DrawnGraph {
    /// The images in the order of their names, then the externals.
    pub nodes: Vec<DrawnNode>,
    /// The edges, in the order of the children.
    pub edges: Vec<DrawnEdge>,
}

impl DrawnGraph {
    /// Collects the content of a view.
    pub fn read(view: &View<'_>) -> DrawnGraph {
        let mut numbers: BTreeMap<ImageId, usize> = BTreeMap::new();
        let mut nodes = Vec::new();
        for (id, image) in view.images() {
            numbers.insert(id, nodes.len());
            let references = image.references.iter().map(Reference::familiar);
            let title: Vec<String> =
                std::iter::once(image.dockerfile.to_string()).chain(references).collect();
            nodes.push(DrawnNode {
                name: image.name.clone(),
                label: image.name.clone(),
                title: title.join("\n"),
                is_external: false,
                mark: view.mark(id).cloned(),
            });
        }
        let mut externals: BTreeMap<String, usize> = BTreeMap::new();
        for name in view.all_externals() {
            externals.insert(name.clone(), nodes.len());
            nodes.push(external(name));
        }
        let mut edges: BTreeMap<(usize, usize), Vec<(DependencyKind, Location)>> = BTreeMap::new();
        for (id, child) in &numbers {
            let parents = view.parents(*id).iter();
            let parents = parents.map(|edge| (numbers[&edge.parent], edge.kind, edge.location()));
            let outside = view.externals(*id).iter();
            let outside = outside
                .map(|it| (externals[&view.reference(it).familiar()], it.kind, it.location()));
            for (parent, kind, location) in parents.chain(outside) {
                edges.entry((*child, parent)).or_default().push((kind, location));
            }
        }
        let edges = edges.into_iter().map(|((child, parent), ways)| {
            let kinds: BTreeSet<DependencyKind> = ways.iter().map(|(kind, _)| *kind).collect();
            let kinds = kinds.into_iter().collect();
            let (from, to) = (&nodes[parent].name, &nodes[child].name);
            let mut title = vec![format!("{to} depends on {from}")];
            title.extend(ways.iter().map(|(kind, at)| format!("{} at {at}", kind.word())));
            DrawnEdge { parent, child, kinds, title: title.join("\n") }
        });
        let edges = edges.collect();
        DrawnGraph { nodes, edges }
    }

    /// Returns the parents of each node, by number.
    pub fn parents(&self) -> Vec<Vec<usize>> {
        let mut parents = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            parents[edge.child].push(edge.parent);
        }
        parents
    }
}

/// Returns an external. The first digits of a digest are enough in a label.
fn external(name: String) -> DrawnNode {
    let label = match name.split_once('@') {
        Some((image, digest)) => {
            let (algorithm, digits) = digest.split_once(':').unwrap_or((digest, ""));
            format!("{image}@{algorithm}:{}…", digits.chars().take(7).collect::<String>())
        }
        None => name.clone(),
    };
    DrawnNode {
        label,
        title: format!("{name}\nexternal image"),
        name,
        is_external: true,
        mark: None,
    }
}
