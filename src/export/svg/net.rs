//! What a picture holds: nodes and the needs between them, with their words.
//!
//! Owns the way from a view to numbers. An image that needs another in several ways needs it once
//! here, with all its kinds, so that no line lies on another.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{ImageId, Place};
use crate::graph::evaluate::NeedKind;
use crate::graph::reference::Reference;

use super::super::View;
use super::super::mark::Mark;

/// An image or an external.
pub struct Node {
    /// Its name, which no other has of its kind.
    pub name: String,
    /// What is written in its box.
    pub label: String,
    /// What is told of it beside.
    pub title: String,
    /// Whether it comes from outside.
    pub is_external: bool,
    /// Its mark.
    pub mark: Option<Mark>,
}

/// All that one node needs of another.
pub struct Need {
    /// The node that is needed.
    pub parent: usize,
    /// The node that needs it.
    pub child: usize,
    /// In which ways, the strongest first.
    pub kinds: Vec<NeedKind>,
    /// Where that is written.
    pub title: String,
}

/// All nodes and needs.
pub struct Net {
    /// The images in the order of their names, then the externals.
    pub nodes: Vec<Node>,
    /// The needs, in the order of those that need.
    pub needs: Vec<Need>,
}

impl Net {
    /// What a view holds.
    pub fn read(view: &View<'_>) -> Net {
        let mut numbers: BTreeMap<ImageId, usize> = BTreeMap::new();
        let mut nodes = Vec::new();
        for (id, image) in view.images() {
            numbers.insert(id, nodes.len());
            let references = image.references.iter().map(Reference::familiar);
            let title: Vec<String> =
                std::iter::once(image.dockerfile.to_string()).chain(references).collect();
            nodes.push(Node {
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
        let mut needs: BTreeMap<(usize, usize), Vec<(NeedKind, Place)>> = BTreeMap::new();
        for (id, child) in &numbers {
            let parents = view.parents(*id).iter();
            let parents = parents.map(|edge| (numbers[&edge.parent], edge.kind, edge.place()));
            let outside = view.externals(*id).iter();
            let outside =
                outside.map(|it| (externals[&view.reference(it).familiar()], it.kind, it.place()));
            for (parent, kind, place) in parents.chain(outside) {
                needs.entry((*child, parent)).or_default().push((kind, place));
            }
        }
        let needs = needs.into_iter().map(|((child, parent), ways)| {
            let kinds: BTreeSet<NeedKind> = ways.iter().map(|(kind, _)| *kind).collect();
            let kinds = kinds.into_iter().collect();
            let (from, to) = (&nodes[parent].name, &nodes[child].name);
            let mut title = vec![format!("{to} needs {from}")];
            title.extend(ways.iter().map(|(kind, at)| format!("{} at {at}", kind.word())));
            Need { parent, child, kinds, title: title.join("\n") }
        });
        let needs = needs.collect();
        Net { nodes, needs }
    }

    /// What each node needs, by their numbers.
    pub fn parents(&self) -> Vec<Vec<usize>> {
        let mut parents = vec![Vec::new(); self.nodes.len()];
        for need in &self.needs {
            parents[need.child].push(need.parent);
        }
        parents
    }
}

/// An external; of a digest its first digits are enough to see.
fn external(name: String) -> Node {
    let label = match name.split_once('@') {
        Some((image, digest)) => {
            let (algorithm, digits) = digest.split_once(':').unwrap_or((digest, ""));
            format!("{image}@{algorithm}:{}…", digits.chars().take(7).collect::<String>())
        }
        None => name.clone(),
    };
    Node { label, title: format!("{name}\nfrom outside"), name, is_external: true, mark: None }
}
