//! Images whose base is not known, because of an error that hides it.
//!
//! Owns which images these are, and which dependents cannot be built either. Such an image has no edge for what is not
//! known, so it must not be treated as one without dependencies.

use std::collections::{BTreeMap, HashMap};

use crate::base::{Diagnostic, ImageId, Span};

use super::{Graph, Image};

/// Images that cannot be built, each with the reason.
pub type Unbuildable = BTreeMap<ImageId, String>;

impl Graph {
    /// Records the images whose base the errors hide.
    pub fn record_unresolved(&mut self, problems: &[Diagnostic]) {
        let hiding: Vec<&Diagnostic> =
            problems.iter().filter(|it| it.is_error() && it.rule.hides_base()).collect();
        if hiding.is_empty() {
            return;
        }
        let messages: HashMap<(&str, Span), &str> =
            hiding.iter().filter_map(|it| Some((position(it)?, it.message.as_str()))).collect();
        let unresolved = self.images.iter().filter_map(|(id, image)| {
            let message = positions(image).find_map(|position| messages.get(&position));
            Some((id, (*message?).to_owned()))
        });
        self.unresolved = unresolved.collect();
    }

    /// Returns the images whose base is not known, with the messages of the errors.
    pub fn unresolved(&self) -> &Unbuildable {
        &self.unresolved
    }

    /// Returns the images whose base an error hides.
    pub fn hidden_by(&self, problem: &Diagnostic) -> Vec<ImageId> {
        let Some(position) = position(problem) else { return Vec::new() };
        let images = self.unresolved.keys().copied();
        images.filter(|id| positions(&self.images[*id]).any(|it| it == position)).collect()
    }

    /// Returns the images that cannot be built: those whose base is not known, and their dependents. Dependents of an
    /// excluded image use an existing one.
    pub fn unbuildable(&self, excluded: &[ImageId]) -> Unbuildable {
        let mut found = self.unresolved.clone();
        found.retain(|id, _| !excluded.contains(id));
        if found.is_empty() {
            return found;
        }
        let mut children = self.children();
        excluded.iter().for_each(|id| children[*id].clear());
        let mut next: Vec<(ImageId, ImageId)> = found.keys().map(|id| (*id, *id)).collect();
        while let Some((id, root)) = next.pop() {
            for child in children[id].iter().filter(|id| !excluded.contains(id)) {
                found.entry(*child).or_insert_with(|| {
                    next.push((*child, root));
                    format!("depends on `{}`", self.images[root].name)
                });
            }
        }
        found
    }
}

fn position(problem: &Diagnostic) -> Option<(&str, Span)> {
    problem.labels.first().map(|label| (label.source.path().as_str(), label.span))
}

/// Returns the positions at which an error can hide a base of an image.
fn positions(image: &Image) -> impl Iterator<Item = (&str, Span)> {
    let own = image.evaluation.diagnostics.iter().filter(|it| it.rule.hides_base());
    let externals = image.externals.iter().map(|it| (it.source.path().as_str(), it.span));
    own.filter_map(position).chain(externals)
}
