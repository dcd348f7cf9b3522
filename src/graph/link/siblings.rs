//! Resolving references to images of the repository.
//!
//! Owns what a reference means: an image of the repository, another tag of one, or an external image;
//! and what the values of named contexts mean.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};

use rayon::prelude::*;

use crate::base::text::{closest, list};
use crate::base::{Diagnostic, Id, ImageId, Rule, Source, Span};

use super::super::context_directory::{ContextDirectory, is_elsewhere};
use super::super::evaluate::{self, Evaluation, EvaluationSettings, StageDependency};
use super::super::images::NamedContext;
use super::super::naming::ImageReferences;
use super::super::reference::Reference;
use super::{ParsedImage, spot_of_name};

/// The references of all images, for resolving dependencies.
#[derive(Default)]
pub(super) struct Siblings<'a> {
    /// The images by registry and path, and then by tag.
    by_repository: HashMap<(&'a str, &'a str), BTreeMap<&'a str, ImageId>>,
}

/// The result of resolving a reference in this repository.
pub(super) enum ResolvedReference<'a> {
    Sibling(ImageId),
    /// The repository of a sibling with a tag or digest that no image has. Contains the nearest
    /// tags that exist.
    OtherTag(Vec<&'a str>),
    Stranger,
}

/// The resolved dependencies of one evaluation.
pub(super) struct ResolvedParents {
    /// For each dependency, the image of this repository, or `None` if it is an external.
    pub(super) parents: Vec<Option<ImageId>>,
    pub(super) problems: Vec<Diagnostic>,
}

impl ResolvedParents {
    /// Returns the dependencies that are external images.
    pub(super) fn externals<'a>(
        &self,
        evaluation: &'a Evaluation,
    ) -> impl Iterator<Item = &'a StageDependency> {
        let dependencies = evaluation.dependencies.iter().zip(&self.parents);
        dependencies.filter(|(_, parent)| parent.is_none()).map(|(dependency, _)| dependency)
    }
}

impl<'a> Siblings<'a> {
    /// Collects the references. Two images with one reference are an error, because only the one
    /// built last would keep it.
    pub(super) fn new(
        read: &[ParsedImage],
        names: &'a [ImageReferences],
    ) -> (Siblings<'a>, Vec<Diagnostic>) {
        let mut siblings = Siblings::default();
        let mut problems = Vec::new();
        for (at, named) in names.iter().enumerate() {
            for (which, reference) in named.references.iter().enumerate() {
                match siblings.entry(reference) {
                    Entry::Vacant(entry) => {
                        entry.insert(ImageId::from_index(at));
                    }
                    Entry::Occupied(entry) => {
                        let first = &read[entry.get().index()];
                        let spot = spot_of_name(&read[at], which);
                        problems.push(describe_double(reference, first, &read[at], spot));
                        break;
                    }
                }
            }
        }
        (siblings, problems)
    }

    pub(super) fn entry(&mut self, reference: &'a Reference) -> Entry<'_, &'a str, ImageId> {
        let repository = (reference.domain.as_str(), reference.path.as_str());
        self.by_repository.entry(repository).or_default().entry(tag_of(reference))
    }

    pub(super) fn find(&self, reference: &Reference) -> ResolvedReference<'a> {
        let repository = (reference.domain.as_str(), reference.path.as_str());
        let Some(images) = self.by_repository.get(&repository) else {
            return ResolvedReference::Stranger;
        };
        let tag = tag_of(reference);
        match images.get(tag) {
            Some(image) if reference.digest.is_none() => ResolvedReference::Sibling(*image),
            _ => {
                // Thousands of images can share a repository.
                let before = images.range::<str, _>((Unbounded, Excluded(tag))).rev().take(2);
                let after = images.range::<str, _>((Included(tag), Unbounded)).take(2);
                let mut near: Vec<&str> = before.chain(after).map(|(tag, _)| *tag).collect();
                near.sort_unstable();
                ResolvedReference::OtherTag(near)
            }
        }
    }

    /// Resolves the values of the named contexts, and evaluates the images that have some again.
    pub(super) fn stand_for_contexts(
        &self,
        read: &[ParsedImage],
        names: &[ImageReferences],
        settings: &mut [EvaluationSettings],
        evaluations: &mut [Evaluation],
    ) -> Vec<Diagnostic> {
        if read.iter().all(|image| image.candidate.contexts.is_empty()) {
            return Vec::new();
        }
        let by_name: HashMap<&str, &ImageReferences> = read
            .iter()
            .zip(names)
            .map(|(image, named)| (image.candidate.name.as_str(), named))
            .collect();
        let mut problems = Vec::new();
        for (image, settings) in read.iter().zip(settings.iter_mut()) {
            for context in &image.candidate.contexts {
                match self.stand_for(context, &by_name) {
                    Some(value) => {
                        settings.contexts.insert(context.name.clone(), value);
                    }
                    None => {
                        settings.contexts.remove(&context.name);
                        problems.push(describe_context(context, &by_name));
                    }
                }
            }
        }
        let no_triggers = |_: &Reference| Vec::new();
        evaluations.par_iter_mut().enumerate().for_each(|(at, evaluation)| {
            if !read[at].candidate.contexts.is_empty() {
                *evaluation = evaluate::evaluate(&read[at].file, &settings[at], &no_triggers);
            }
        });
        problems
    }

    /// Returns the value of a context: a URL unchanged, a directory in its normal form if it starts
    /// like a path, an image by its name or reference, or an existing directory.
    fn stand_for(
        &self,
        context: &NamedContext,
        by_name: &HashMap<&str, &ImageReferences>,
    ) -> Option<String> {
        let value = context.value.as_str();
        if is_elsewhere(value) {
            return Some(value.to_owned());
        }
        let directory = || ContextDirectory::at(value).to_string();
        if value.starts_with(['.', '/']) {
            return Some(directory());
        }
        if let Some(named) = by_name.get(value) {
            // An image without a valid reference has already been reported.
            let reference = named.references.first().map(Reference::familiar);
            return Some(format!("docker-image://{}", reference.unwrap_or_default()));
        }
        let reference = Reference::parse(value).ok();
        match reference.map(|reference| self.find(&reference)) {
            Some(ResolvedReference::Sibling(_)) => Some(format!("docker-image://{value}")),
            _ => context.is_directory.then(directory),
        }
    }

    pub(super) fn link(&self, evaluation: &Evaluation) -> ResolvedParents {
        let mut problems = Vec::new();
        let parents = evaluation.dependencies.iter().map(|dependency| {
            match self.find(&dependency.reference) {
                ResolvedReference::Sibling(parent) => Some(parent),
                ResolvedReference::OtherTag(tags) => {
                    problems.push(describe_other_tag(dependency, &tags));
                    None
                }
                ResolvedReference::Stranger => None,
            }
        });
        let parents = parents.collect();
        ResolvedParents { parents, problems }
    }
}

fn tag_of(reference: &Reference) -> &str {
    reference.tag.as_deref().unwrap_or("latest")
}

fn describe_other_tag(dependency: &StageDependency, tags: &[&str]) -> Diagnostic {
    let written = dependency.reference.familiar();
    let ours = list(tags);
    let what = if dependency.reference.digest.is_some() { "a digest" } else { "a tag" };
    let message = format!(
        "`{written}` names an image of this repository, but with {what} that is not built here"
    );
    let which = if tags.len() == 1 { "the tag" } else { "one of the tags" };
    Diagnostic::new(Rule::SiblingTag, message)
        .at(&dependency.source, dependency.span, "treated as an external image")
        .note(format!("the image is tagged {ours}"))
        .hint(format!("use {which} {ours} to depend on the image of this repository"))
}

fn describe_double(
    reference: &Reference,
    first: &ParsedImage,
    second: &ParsedImage,
    (source, span): (Source, Span),
) -> Diagnostic {
    let names = [first, second].map(|image| image.candidate.name.as_str());
    let message = format!("{} are both named `{}`", list(names), reference.familiar());
    let empty = |image: &ParsedImage| Source::new(image.candidate.dockerfile.clone(), "");
    let mut problem = Diagnostic::new(Rule::DuplicateReference, message);
    for image in [first, second] {
        problem = problem.at(&empty(image), Span::default(), format!("`{}`", image.candidate.name));
    }
    if !span.is_empty() {
        problem = problem.at(&source, span, "named here");
    }
    problem.hint("give each its own `reference` in `layers.toml`, such as one with `{name}`")
}

fn describe_context(
    context: &NamedContext,
    by_name: &HashMap<&str, &ImageReferences>,
) -> Diagnostic {
    let value = &context.value;
    let message = format!("`{value}` is neither an image of this repository nor a directory");
    let mut problem = Diagnostic::new(Rule::Config, message);
    if let Some((source, span)) = &context.spot {
        problem = problem.at(source, *span, "");
    }
    match closest(value, by_name.keys().copied()) {
        Some(closest) => problem.hint(format!("did you mean `{closest}`?")),
        None => problem.hint(format!("for an external image, write `docker-image://{value}`")),
    }
}
