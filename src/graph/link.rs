//! Linking: resolves the references of each image to images of the repository.
//!
//! Owns the edges. Two references name the same image if they are equal after normalization. A
//! reference to the repository of a sibling with another tag or a digest is an external image, and
//! a warning reports it. The `ONBUILD` instructions of an image are passed to the images built on
//! it, where they add edges of their own.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::prelude::*;

use crate::base::screen::{is_unseen, visible};
use crate::base::{Diagnostic, Id, IdMap, Platform, Rule, Source, Span};
use crate::credentials::BuildProxies;
use crate::engine::Sandbox;
use crate::parse::Dockerfile;

use super::ContextOrigin;
use super::evaluate::{self, Evaluation, EvaluationSettings, Trigger};
use super::externals::ExternalTable;
use super::images::Candidate;
use super::naming::hidden::{self, HiddenReferences};
use super::naming::{
    self, ImageReferences, InferredPrefix, NameOrigin, Naming, NamingError, NamingSettings, Vote,
};
use super::reference::Reference;
use super::{Dependency, Edge, External, Graph, Image, SharedSettings};

mod removed_edges;
mod siblings;
mod triggers;

use siblings::{ResolvedParents, ResolvedReference, Siblings};

pub use triggers::ExternalTriggers;

/// The settings that apply to all images during evaluation.
#[derive(Debug, Clone, Default)]
pub struct LinkSettings {
    /// Build arguments from the command line, which take precedence over all others.
    pub build_args: BTreeMap<String, String>,
    /// The proxies from Docker's configuration. Build arguments take precedence over them, and they
    /// never become part of [`Image::build_args`].
    pub proxies: BuildProxies,
    /// The platform to build for. `None` means the build platform.
    pub platform: Option<Platform>,
    /// The platform that executes the build.
    pub build_platform: Platform,
    /// The stage to build in every image whose Dockerfile has it.
    pub target: Option<String>,
    /// Labels from the command line, which take precedence over all others.
    pub labels: BTreeMap<String, String>,
    /// The options of `RUN` instructions from the command line, which take precedence over all
    /// others.
    pub sandbox: Sandbox,
}

/// An image with its parsed Dockerfile.
pub struct ParsedImage {
    /// The image as configured.
    pub candidate: Candidate,
    /// The parsed Dockerfile.
    pub file: Dockerfile,
}

/// Returns the diagnostics of a Dockerfile and of its evaluation.
fn diagnostics_of(
    image: &ParsedImage,
    evaluation: &Evaluation,
) -> impl Iterator<Item = Diagnostic> {
    let target = image.candidate.spans.target.as_ref();
    // What is missing in a file that cannot be read is not known.
    let known = evaluation.diagnostics.iter().filter(|_| !image.candidate.is_unreadable);
    let evaluated = known.cloned().map(move |problem| match target {
        // The target is not in the Dockerfile, so point to the setting.
        Some((source, span)) if problem.rule == Rule::UnknownTarget => {
            problem.at(source, *span, "")
        }
        _ => problem,
    });
    image.file.diagnostics.iter().cloned().chain(evaluated)
}

/// Links images into a graph. Returns it with the diagnostics of the Dockerfiles and of the graph.
pub fn link(
    read: Vec<ParsedImage>,
    naming: &NamingSettings,
    link_settings: &LinkSettings,
) -> (Graph, Vec<Diagnostic>) {
    let shared_settings = shared_settings_of(link_settings);
    let mut settings: Vec<EvaluationSettings> =
        read.iter().map(|image| settings_of(image, link_settings, &shared_settings)).collect();
    let no_triggers = |_: &Reference| Vec::new();
    let mut evaluations: Vec<Evaluation> = read
        .par_iter()
        .zip(&settings)
        .map(|(image, settings)| evaluate::evaluate(&image.file, settings, &no_triggers))
        .collect();
    let (names, inferred, mut problems) = name_images(&read, &evaluations, naming);
    let open_names = open_names(&read, &evaluations, naming);
    let (siblings, doubles) = Siblings::new(&read, &names);
    problems.extend(doubles);
    problems.extend(siblings.stand_for_contexts(&read, &names, &mut settings, &mut evaluations));
    fire_triggers(&read, &settings, &siblings, &mut evaluations);
    let linked: Vec<ResolvedParents> =
        evaluations.par_iter().map(|evaluation| siblings.link(evaluation)).collect();
    let named = removed_edges::ConfiguredNames {
        read: &read,
        named: &names,
        inferred: inferred.as_ref(),
        naming,
    };
    problems.extend(removed_edges::doubts(&named, &evaluations, &linked));
    let mut externals = externals_of(&evaluations, &linked);
    for (image, evaluation) in read.iter().zip(&evaluations) {
        problems.extend(diagnostics_of(image, evaluation));
    }
    let parts = read.into_iter().zip(settings).zip(evaluations).zip(names).zip(linked);
    let images: IdMap<Image> = parts
        .zip(open_names)
        .map(|(((((read, settings), evaluation), named), linked), has_open_name)| {
            let mut image = unlinked((read, settings, evaluation), named, link_settings);
            image.has_open_name = has_open_name;
            problems.extend(image.depend(linked, &mut externals));
            image
        })
        .collect();
    let (graph, cycles) = Graph::new(images, externals, shared_settings);
    problems.extend(cycles);
    (graph, problems)
}

/// Returns the externals of all images, sorted by reference.
fn externals_of(evaluations: &[Evaluation], linked: &[ResolvedParents]) -> ExternalTable {
    let all = evaluations.iter().zip(linked).flat_map(|(it, linked)| linked.externals(it));
    // Most images share a few externals.
    let distinct: HashSet<&Reference> = all.map(|dependency| &dependency.reference).collect();
    let mut externals = ExternalTable::default();
    for reference in distinct.into_iter().collect::<BTreeSet<_>>() {
        externals.add(reference);
    }
    externals
}

fn shared_settings_of(link_settings: &LinkSettings) -> SharedSettings {
    let build_platform = link_settings.build_platform.clone();
    let platform = link_settings.platform.clone().unwrap_or_else(|| build_platform.clone());
    SharedSettings { platform, build_platform, proxies: link_settings.proxies.clone() }
}

fn args_of(candidate: &Candidate, link_settings: &LinkSettings) -> BTreeMap<String, String> {
    let mut build_args = candidate.args.clone();
    build_args.extend(link_settings.build_args.clone());
    build_args
}

/// Returns an image without its edges.
fn unlinked(
    (read, settings, evaluation): (ParsedImage, EvaluationSettings, Evaluation),
    named: ImageReferences,
    link_settings: &LinkSettings,
) -> Image {
    let ParsedImage { candidate, file } = read;
    let (labels, sandbox) = options_of(&candidate, link_settings);
    let is_own_network = link_settings.sandbox.network.is_none();
    Image {
        build_args: args_of(&candidate, link_settings),
        name: candidate.name,
        dockerfile: candidate.dockerfile,
        context_by: match candidate.spans.context {
            Some(_) => ContextOrigin::Setting,
            None => ContextOrigin::Dockerfile,
        },
        context: candidate.context,
        target: settings.target,
        contexts: settings.contexts,
        labels,
        sandbox,
        network_setting: candidate.spans.network.filter(|_| is_own_network),
        weight: candidate.weight,
        references: named.references,
        released: if candidate.is_released { named.released } else { Vec::new() },
        named_by: named.origin,
        has_open_name: false,
        file,
        evaluation,
        parents: Vec::new(),
        externals: Vec::new(),
        dependencies: Vec::new(),
    }
}

/// Returns the labels of an image, and the options of its `RUN` instructions.
fn options_of(
    candidate: &Candidate,
    link_settings: &LinkSettings,
) -> (BTreeMap<String, String>, Sandbox) {
    let mut labels = candidate.labels.clone();
    labels.extend(link_settings.labels.clone());
    let mut sandbox = candidate.sandbox.clone();
    sandbox.extend(&link_settings.sandbox);
    (labels, sandbox)
}

fn settings_of(
    image: &ParsedImage,
    link_settings: &LinkSettings,
    shared_settings: &SharedSettings,
) -> EvaluationSettings {
    let ParsedImage { candidate, file } = image;
    // A stage from the command line is built if the Dockerfile has it. Other images are built as
    // usual.
    let has_stage = |target: &String| {
        let target = target.to_lowercase();
        file.stages.iter().any(|it| it.name.as_ref().is_some_and(|name| name.value == target))
    };
    let target = link_settings.target.clone().filter(has_stage).or(candidate.target.clone());
    // The values of contexts are not known yet. With a placeholder image, the evaluation records
    // the dependency.
    let names = candidate.contexts.iter().map(|context| context.name.clone());
    let contexts = names.map(|name| (name, "docker-image://not-known-yet".to_owned())).collect();
    shared_settings.settings(
        candidate.name.clone(),
        args_of(candidate, link_settings),
        target,
        contexts,
    )
}

fn votes_of<'a>(read: &'a [ParsedImage], evaluations: &'a [Evaluation]) -> Vec<Vote<'a>> {
    let images = read.iter().zip(evaluations);
    images
        .flat_map(|(image, evaluation)| {
            let image = image.candidate.name.as_str();
            evaluation.dependencies.iter().map(move |dependency| Vote { image, dependency })
        })
        .collect()
}

/// Returns for each image whether its name may depend on references that errors hide.
fn open_names(
    read: &[ParsedImage],
    evaluations: &[Evaluation],
    naming: &NamingSettings,
) -> Vec<bool> {
    let unnamed: Vec<&Candidate> = read.iter().map(|image| &image.candidate).collect();
    let has_errors = |image: &ParsedImage, evaluation: &Evaluation| {
        // A base that is not known is not hidden: its reference is complete only with the argument.
        diagnostics_of(image, evaluation)
            .any(|problem| problem.is_error() && !problem.rule.hides_base())
    };
    let names: HashSet<&str> = unnamed.iter().map(|image| image.name.as_str()).collect();
    let hidden = if unnamed.iter().any(|image| image.is_unreadable) {
        HiddenReferences::Any
    } else {
        let mut broken = read.iter().zip(evaluations).filter(|(it, of)| has_errors(it, of));
        match broken.any(|(image, _)| hidden::mentions_sibling(image, &names)) {
            true => HiddenReferences::Siblings,
            false => return vec![false; read.len()],
        }
    };
    hidden::open_names(naming, &unnamed, &votes_of(read, evaluations), hidden)
}

fn name_images(
    read: &[ParsedImage],
    evaluations: &[Evaluation],
    naming: &NamingSettings,
) -> (Vec<ImageReferences>, Option<InferredPrefix>, Vec<Diagnostic>) {
    let unnamed: Vec<&Candidate> = read.iter().map(|image| &image.candidate).collect();
    let votes = votes_of(read, evaluations);
    let mut problems = Vec::new();
    let Naming { images, inferred } = naming::name_all(naming, &unnamed, &votes);
    let named = images.into_iter().zip(read);
    let named = named.map(|(named, image)| {
        named.unwrap_or_else(|NamingError { message, spot }| {
            let (source, span) = spot.unwrap_or_else(|| spot_of_name(image, 0));
            let hint =
                "rename the directory, or set `name = \"{dir:kebab}\"` or `reference` in `layers.toml`";
            let problem = Diagnostic::new(Rule::InvalidName, message).at(&source, span, "");
            problems.push(problem.hint(hint));
            ImageReferences { references: Vec::new(), released: Vec::new(), origin: NameOrigin::Directory }
        })
    });
    let named = named.collect();
    problems.extend(read.iter().filter_map(describe_unseen));
    (named, inferred, problems)
}

/// Reports a name with invisible characters, such as a line break, which would look like another
/// name in lists and on command lines.
fn describe_unseen(image: &ParsedImage) -> Option<Diagnostic> {
    let candidate = &image.candidate;
    if !candidate.name.chars().any(is_unseen) {
        return None;
    }
    let spot = candidate.spans.name.clone();
    let (source, span) = spot.unwrap_or_else(|| (image.file.source.clone(), Span::default()));
    let message =
        format!("the image name `{}` contains invisible characters", visible(&candidate.name));
    let problem = Diagnostic::new(Rule::InvalidName, message).at(&source, span, "");
    Some(problem.hint("rename the directory, or set `name` in `layers.toml`"))
}

/// Returns the position of the setting that one of an image's references comes from, or that of its
/// Dockerfile.
fn spot_of_name(image: &ParsedImage, reference: usize) -> (Source, Span) {
    let candidate = &image.candidate;
    // The configured references come first, followed by those with a version.
    let pattern = candidate.references.get(reference).or(candidate.references.first());
    let spot = pattern.and_then(|pattern| pattern.spot.clone());
    spot.or_else(|| candidate.spans.name.clone())
        .unwrap_or_else(|| (image.file.source.clone(), Span::default()))
}

/// Evaluates the images again that are built on an image with `ONBUILD` instructions.
fn fire_triggers(
    read: &[ParsedImage],
    settings: &[EvaluationSettings],
    siblings: &Siblings<'_>,
    evaluations: &mut [Evaluation],
) {
    let onbuild: Vec<Vec<Trigger>> =
        evaluations.iter().map(|evaluation| evaluation.onbuild.clone()).collect();
    if onbuild.iter().all(Vec::is_empty) {
        return;
    }
    let triggers = |reference: &Reference| match siblings.find(reference) {
        ResolvedReference::Sibling(image) => onbuild[image.index()].clone(),
        ResolvedReference::OtherTag(_) | ResolvedReference::Stranger => Vec::new(),
    };
    evaluations.par_iter_mut().enumerate().for_each(|(at, evaluation)| {
        // A named context can replace the base.
        let mut bases =
            evaluation.dependencies.iter().filter(|dependency| dependency.kind.is_base());
        if bases.any(|dependency| !triggers(&dependency.reference).is_empty()) {
            *evaluation = evaluate::evaluate(&read[at].file, &settings[at], &triggers);
        }
    });
}

impl Image {
    /// Records the resolved dependencies of its evaluation. Returns their diagnostics.
    fn depend(
        &mut self,
        linked: ResolvedParents,
        externals: &mut ExternalTable,
    ) -> Vec<Diagnostic> {
        self.parents.clear();
        self.externals.clear();
        self.dependencies.clear();
        for (dependency, parent) in self.evaluation.dependencies.iter().zip(linked.parents) {
            let (kind, source, span) =
                (dependency.kind, dependency.source.clone(), dependency.span);
            self.dependencies.push(match parent {
                Some(parent) => {
                    let reference = dependency.reference.clone();
                    self.parents.push(Edge { parent, kind, reference, source, span });
                    Dependency::Image(parent)
                }
                None => {
                    let id = externals.add(&dependency.reference);
                    self.externals.push(External { id, kind, source, span });
                    Dependency::External(id)
                }
            });
        }
        linked.problems
    }
}
