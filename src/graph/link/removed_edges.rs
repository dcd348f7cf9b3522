//! References that would name an image of this repository if its name were not configured.
//!
//! Owns the warnings about edges that an option, the environment, or `layers.toml` removes. With
//! `REPO_NS=foo`, the image `base` is `foo/shop-base`, so `FROM acme/shop-base` in the same
//! repository names an external image. The setting applies, and a warning reports the missing edge.

use std::collections::HashMap;

use crate::base::text::and;
use crate::base::{Diagnostic, Id, ImageId, Rule};
use crate::graph::evaluate::{Evaluation, StageDependency};
use crate::graph::naming::{ImageReferences, InferredPrefix, LATEST, NamePart, NamingSettings};
use crate::graph::reference::Reference;
use crate::graph::well_known::is_well_known;

use super::{ParsedImage, ResolvedParents};

/// The images with their actual names and with those that they would have by default.
pub(super) struct ConfiguredNames<'a> {
    pub(super) read: &'a [ParsedImage],
    pub(super) named: &'a [ImageReferences],
    pub(super) inferred: Option<&'a InferredPrefix>,
    pub(super) naming: &'a NamingSettings,
}

/// Returns a warning per external that looks like an image with a configured name.
pub(super) fn doubts(
    names: &ConfiguredNames<'_>,
    evaluations: &[Evaluation],
    linked: &[ResolvedParents],
) -> Vec<Diagnostic> {
    let ConfiguredNames { read, naming, .. } = names;
    let is_set = naming.namespace.is_some()
        || naming.app.is_some()
        || read.iter().any(|image| !image.candidate.references.is_empty());
    if !is_set {
        return Vec::new();
    }
    let lookalikes = Lookalikes::of(names, linked);
    let mut problems = Vec::new();
    for (at, (evaluation, linked)) in evaluations.iter().zip(linked).enumerate() {
        let externals = linked.externals(evaluation);
        for external in externals.filter(|it| it.reference.digest.is_none()) {
            let image = lookalikes.find(&external.reference).filter(|image| *image != at);
            problems.extend(image.and_then(|image| names.describe(external, image)));
        }
    }
    problems
}

/// The other names by which images are recognized.
struct Lookalikes {
    /// The images by their default repositories.
    by_repository: HashMap<String, usize>,
    /// The images by the last part of their repositories, such as `shop-base`, if the namespace is
    /// configured and that part differs from the image's name. `None` if two images share it.
    by_last_part: HashMap<String, Option<usize>>,
}

impl Lookalikes {
    fn of(names: &ConfiguredNames<'_>, linked: &[ResolvedParents]) -> Lookalikes {
        let mut by_repository = HashMap::new();
        let mut by_last_part: HashMap<String, Option<usize>> = HashMap::new();
        // If the configured names result in edges, they are correct, and a different prefix in FROM
        // lines belongs to unrelated images, unless images really have it. Edges to an image with a
        // reference of its own say nothing about the namespace and the app of the others.
        let is_set = names.naming.namespace.is_some() || names.naming.app.is_some();
        let has_parts = |image: &ImageId| {
            let image = image.index();
            !is_set || names.namespace_of(image).is_some() || names.app_of(image).is_some()
        };
        let is_cut = !linked.iter().flat_map(|it| it.parents.iter().flatten()).any(has_parts);
        let usual: Vec<Option<String>> =
            (0..names.read.len()).map(|at| names.usual_repository(at)).collect();
        let own = |at: usize| names.named[at].references.first().map(Reference::repository);
        let is_heeded =
            is_cut || usual.iter().enumerate().any(|(at, it)| it.is_some() && *it == own(at));
        for (at, usual) in usual.into_iter().enumerate() {
            let Some(reference) = names.named[at].references.first() else { continue };
            if let Some(usual) = usual.filter(|_| is_heeded) {
                by_repository.insert(usual, at);
            }
            let last = last_part(reference);
            if last != names.read[at].candidate.name && names.namespace_of(at).is_some() {
                let images = by_last_part.entry(last.to_owned()).or_insert(Some(at));
                *images = images.filter(|other| *other == at);
            }
        }
        Lookalikes { by_repository, by_last_part }
    }

    /// Returns the image that looks like this reference, which does not name an image of the
    /// repository.
    fn find(&self, reference: &Reference) -> Option<usize> {
        if is_well_known(&reference.familiar_repository()) {
            return None;
        }
        let by_last_part = || self.by_last_part.get(last_part(reference)).copied().flatten();
        self.by_repository.get(&reference.repository()).copied().or_else(by_last_part)
    }
}

fn last_part(reference: &Reference) -> &str {
    reference.path.rsplit('/').next().unwrap_or(&reference.path)
}

impl ConfiguredNames<'_> {
    fn usual_repository(&self, image: usize) -> Option<String> {
        let name = &self.read[image].candidate.name;
        let reference = Reference::parse(&format!("{}{name}", self.inferred?.prefix)).ok()?;
        Some(reference.repository())
    }

    /// Returns the configured namespace if the image's name contains it.
    fn namespace_of(&self, image: usize) -> Option<&NamePart> {
        self.naming.namespace.as_ref().filter(|_| self.takes_part(image, "{namespace}"))
    }

    /// Returns the configured app if the image's name contains it.
    fn app_of(&self, image: usize) -> Option<&NamePart> {
        self.naming.app.as_ref().filter(|_| self.takes_part(image, "{app}"))
    }

    fn takes_part(&self, image: usize, placeholder: &str) -> bool {
        let patterns = &self.read[image].candidate.references;
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.text.contains(placeholder))
    }

    /// Returns the settings that determine the image's name.
    fn causes(&self, image: usize) -> Vec<String> {
        let (namespace, app) = self.inferred.map(InferredPrefix::parts).unwrap_or_default();
        let settings = [(self.namespace_of(image), namespace), (self.app_of(image), app)];
        let causes: Vec<String> = settings
            .into_iter()
            .filter_map(|(setting, usual)| Some((setting?, usual)))
            .filter(|(setting, usual)| Some(setting.value.as_str()) != *usual)
            .map(|(setting, _)| setting.origin.cause())
            .collect();
        if causes.is_empty() { vec![self.named[image].origin.cause()] } else { causes }
    }

    /// Returns the warning, or `None` if the image has the same repository as the external and only
    /// the tag differs.
    fn describe(&self, external: &StageDependency, image: usize) -> Option<Diagnostic> {
        let references = &self.named[image].references;
        let own = references.first()?;
        if references.iter().any(|it| it.same_repository(&external.reference)) {
            return None;
        }
        let written = external.reference.familiar_repository();
        let name = &self.read[image].candidate.name;
        let called = own.familiar_repository();
        let causes = and(&self.causes(image));
        let message = format!(
            "`{written}` looks like the image `{name}`, which is named `{called}` because of {causes}"
        );
        let reference = match own.tag.as_deref() {
            Some(LATEST) | None => called,
            Some(tag) => format!("{called}:{tag}"),
        };
        let problem = Diagnostic::new(Rule::UnknownSibling, message)
            .at(&external.source, external.span, "treated as an external image")
            .hint(format!("use `{reference}` here, or change {causes}"));
        Some(problem)
    }
}
