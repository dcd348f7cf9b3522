//! What the references of a repository's Dockerfiles mean, as a note for someone who has just configured it.
//!
//! Owns the classes of references, and which are named.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::text::{and, count};
use crate::graph::Graph;
use crate::graph::reference::Reference;

/// The number of references that are named per class.
const NAMED: usize = 3;

/// Why a reference is, or is not, an image of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ReferenceClass {
    /// It is one.
    Resolved,
    /// It has the repository of one, but another tag or digest.
    OtherTag,
    /// It has the namespace of one, but another name.
    OtherName,
    /// It has neither.
    Elsewhere,
}

impl ReferenceClass {
    fn title(self) -> &'static str {
        match self {
            ReferenceClass::Resolved => "resolved",
            ReferenceClass::OtherTag => "not resolved, because images here have other tags",
            ReferenceClass::OtherName => "not resolved, because no image here has this name",
            ReferenceClass::Elsewhere => "images from elsewhere",
        }
    }
}

/// A reference with what it means, and the lines with it.
type ReferenceLines = BTreeMap<(ReferenceClass, String), Vec<String>>;

/// Returns a line per class, with its most frequent references. Ends with a newline, unless it is empty.
pub fn describe(graph: &Graph) -> String {
    let mut by_class: BTreeMap<ReferenceClass, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for ((class, reference), lines) in classify(graph) {
        by_class.entry(class).or_default().push((reference, lines));
    }
    let describe = |(class, mut references): (ReferenceClass, Vec<(String, Vec<String>)>)| {
        references.sort_by_key(|(_, lines)| Reverse(lines.len()));
        let mut named: Vec<String> = references
            .iter()
            .take(NAMED)
            .map(|(reference, lines)| match lines.as_slice() {
                [only] => format!("{reference} ({only})"),
                lines => format!("{reference} ({})", count(lines.len(), "line")),
            })
            .collect();
        if references.len() > NAMED {
            named.push(format!("{} more", references.len() - NAMED));
        }
        format!("{}: {}\n", class.title(), and(&named))
    };
    by_class.into_iter().map(describe).collect()
}

/// Returns all references, with the lines that have them.
fn classify(graph: &Graph) -> ReferenceLines {
    let own: Vec<&Reference> = graph.images.values().flat_map(|it| &it.references).collect();
    let repositories: BTreeSet<String> = own.iter().map(|it| it.familiar_repository()).collect();
    let namespaces: BTreeSet<&str> =
        repositories.iter().filter_map(|it| it.rsplit_once('/')).map(|(it, _)| it).collect();
    let mut lines = ReferenceLines::new();
    for image in graph.images.values() {
        for edge in &image.parents {
            let parent = &graph.images[edge.parent].name;
            let what = format!("`{}` is `{parent}`", edge.reference.familiar());
            let location = edge.location();
            let line = format!("{}:{}", location.file, location.line);
            lines.entry((ReferenceClass::Resolved, what)).or_default().push(line);
        }
        for external in &image.externals {
            let reference = &graph.externals[external.id];
            let repository = reference.familiar_repository();
            let class = if repositories.contains(&repository) {
                ReferenceClass::OtherTag
            } else if repository.rsplit_once('/').is_some_and(|(it, _)| namespaces.contains(it)) {
                ReferenceClass::OtherName
            } else {
                ReferenceClass::Elsewhere
            };
            let location = external.location();
            let line = format!("{}:{}", location.file, location.line);
            let what = format!("`{}`", reference.familiar());
            lines.entry((class, what)).or_default().push(line);
        }
    }
    lines.values_mut().for_each(|lines| {
        lines.sort_unstable();
        lines.dedup();
    });
    lines
}
