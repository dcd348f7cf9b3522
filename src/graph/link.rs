//! Linking: resolves the references of each image to images of the repository.
//!
//! Owns the edges. Two references name the same image if they are equal after normalization. A
//! reference to the repository of a sibling with another tag or a digest is an external image, and
//! a warning reports it. The `ONBUILD` instructions of an image are passed to the images built on
//! it, where they add edges of their own.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use rayon::prelude::*;

use crate::base::screen::{is_unseen, visible};
use crate::base::text::{closest, list};
use crate::base::{Diagnostic, Id, IdMap, ImageId, Platform, Rule, Source, Span};
use crate::credentials::BuildProxies;
use crate::parse::Dockerfile;

use super::evaluate::{self, Evaluation, Need, Settings, Trigger};
use super::externals::ExternalTable;
use super::images::{Candidate, NamedContext};
use super::naming::{self, Inferred, Misnamed, Named, Naming, Origin, Vote, Wishes};
use super::reference::Reference;
use super::{Dependency, Edge, External, Graph, Image, Surroundings};

mod renamed;
mod reported;

pub use reported::ExternalTriggers;

/// The settings that apply to all images during evaluation.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
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
}

/// An image with its parsed Dockerfile.
pub struct Read {
    /// The image as configured.
    pub candidate: Candidate,
    /// The parsed Dockerfile.
    pub file: Dockerfile,
}

/// Links images into a graph. Returns it with the diagnostics of the Dockerfiles and of the graph.
pub fn link(read: Vec<Read>, wishes: &Wishes, wanted: &Wanted) -> (Graph, Vec<Diagnostic>) {
    let surroundings = surroundings_of(wanted);
    let mut settings: Vec<Settings> =
        read.iter().map(|image| settings_of(image, wanted, &surroundings)).collect();
    let no_triggers = |_: &Reference| Vec::new();
    let mut evaluations: Vec<Evaluation> = read
        .par_iter()
        .zip(&settings)
        .map(|(image, settings)| evaluate::evaluate(&image.file, settings, &no_triggers))
        .collect();
    let (names, inferred, mut problems) = name_images(&read, &evaluations, wishes);
    let (siblings, doubles) = Siblings::new(&read, &names);
    problems.extend(doubles);
    problems.extend(siblings.stand_for_contexts(&read, &names, &mut settings, &mut evaluations));
    fire_triggers(&read, &settings, &siblings, &mut evaluations);
    let linked: Vec<Linked> =
        evaluations.par_iter().map(|evaluation| siblings.link(evaluation)).collect();
    let named = renamed::Names { read: &read, named: &names, inferred: inferred.as_ref(), wishes };
    problems.extend(renamed::doubts(&named, &evaluations, &linked));
    let mut externals = externals_of(&evaluations, &linked);
    for (image, evaluation) in read.iter().zip(&evaluations) {
        problems.extend(image.file.diagnostics.iter().cloned());
        let target = image.candidate.said.target.as_ref();
        problems.extend(evaluation.diagnostics.iter().cloned().map(|problem| match target {
            // The target is not in the Dockerfile, so point to the setting.
            Some((source, span)) if problem.rule == Rule::UnknownTarget => {
                problem.at(source, *span, "")
            }
            _ => problem,
        }));
    }
    let parts = read.into_iter().zip(settings).zip(evaluations).zip(names).zip(linked);
    let images: IdMap<Image> = parts
        .map(|((((read, settings), evaluation), named), linked)| {
            let build_args = args_of(&read.candidate, wanted);
            let mut image = Image {
                name: read.candidate.name,
                dockerfile: read.candidate.dockerfile,
                context: read.candidate.context,
                target: settings.target,
                build_args,
                contexts: settings.contexts,
                weight: read.candidate.weight,
                references: named.references,
                named_by: named.origin,
                file: read.file,
                evaluation,
                parents: Vec::new(),
                externals: Vec::new(),
                dependencies: Vec::new(),
            };
            problems.extend(image.depend(linked, &mut externals));
            image
        })
        .collect();
    let (graph, cycles) = Graph::new(images, externals, surroundings);
    problems.extend(cycles);
    (graph, problems)
}

/// Returns the externals of all images, sorted by reference.
fn externals_of(evaluations: &[Evaluation], linked: &[Linked]) -> ExternalTable {
    let all = evaluations.iter().zip(linked).flat_map(|(it, linked)| linked.externals(it));
    // Most images share a few externals.
    let distinct: HashSet<&Reference> = all.map(|need| &need.reference).collect();
    let mut externals = ExternalTable::default();
    for reference in distinct.into_iter().collect::<BTreeSet<_>>() {
        externals.add(reference);
    }
    externals
}

fn surroundings_of(wanted: &Wanted) -> Surroundings {
    let build_platform = wanted.build_platform.clone();
    let platform = wanted.platform.clone().unwrap_or_else(|| build_platform.clone());
    Surroundings { platform, build_platform, proxies: wanted.proxies.clone() }
}

fn args_of(candidate: &Candidate, wanted: &Wanted) -> BTreeMap<String, String> {
    let mut build_args = candidate.args.clone();
    build_args.extend(wanted.build_args.clone());
    build_args
}

fn settings_of(image: &Read, wanted: &Wanted, surroundings: &Surroundings) -> Settings {
    let Read { candidate, file } = image;
    // A stage from the command line is built if the Dockerfile has it. Other images are built as
    // usual.
    let has_stage = |target: &String| {
        let wanted = target.to_lowercase();
        file.stages.iter().any(|it| it.name.as_ref().is_some_and(|name| name.value == wanted))
    };
    let target = wanted.target.clone().filter(has_stage).or(candidate.target.clone());
    // The values of contexts are not known yet. With a placeholder image, the evaluation records
    // the dependency.
    let names = candidate.contexts.iter().map(|context| context.name.clone());
    let contexts = names.map(|name| (name, "docker-image://not-known-yet".to_owned())).collect();
    surroundings.settings(args_of(candidate, wanted), target, contexts)
}

fn name_images(
    read: &[Read],
    evaluations: &[Evaluation],
    wishes: &Wishes,
) -> (Vec<Named>, Option<Inferred>, Vec<Diagnostic>) {
    let unnamed: Vec<&Candidate> = read.iter().map(|image| &image.candidate).collect();
    let votes: Vec<Vote<'_>> = read
        .iter()
        .zip(evaluations)
        .flat_map(|(image, evaluation)| {
            let image = image.candidate.name.as_str();
            evaluation.needs.iter().map(move |need| Vote { image, need })
        })
        .collect();
    let mut problems = Vec::new();
    let Naming { images, inferred } = naming::name_all(wishes, &unnamed, &votes);
    let named = images.into_iter().zip(read);
    let named = named.map(|(named, image)| {
        named.unwrap_or_else(|Misnamed { message, spot }| {
            let (source, span) = spot.unwrap_or_else(|| spot_of_name(image, 0));
            let hint =
                "rename the directory, or set `name = \"{dir:kebab}\"` or `reference` in `layers.toml`";
            let problem = Diagnostic::new(Rule::InvalidName, message).at(&source, span, "");
            problems.push(problem.hint(hint));
            Named { references: Vec::new(), origin: Origin::Folder }
        })
    });
    let named = named.collect();
    problems.extend(read.iter().filter_map(describe_unseen));
    (named, inferred, problems)
}

/// Reports a name with invisible characters, such as a line break, which would look like another
/// name in lists and on command lines.
fn describe_unseen(image: &Read) -> Option<Diagnostic> {
    let candidate = &image.candidate;
    if !candidate.name.chars().any(is_unseen) {
        return None;
    }
    let spot = candidate.said.name.clone();
    let (source, span) = spot.unwrap_or_else(|| (image.file.source.clone(), Span::default()));
    let message =
        format!("the image name `{}` contains invisible characters", visible(&candidate.name));
    let problem = Diagnostic::new(Rule::InvalidName, message).at(&source, span, "");
    Some(problem.hint("rename the directory, or set `name` in `layers.toml`"))
}

/// Returns the position of the setting that one of an image's references comes from, or that of its
/// Dockerfile.
fn spot_of_name(image: &Read, reference: usize) -> (Source, Span) {
    let candidate = &image.candidate;
    // The configured references come first, followed by those with a version.
    let pattern = candidate.references.get(reference).or(candidate.references.first());
    let spot = pattern.and_then(|pattern| pattern.spot.clone());
    spot.or_else(|| candidate.said.name.clone())
        .unwrap_or_else(|| (image.file.source.clone(), Span::default()))
}

/// Evaluates the images again that are built on an image with `ONBUILD` instructions.
fn fire_triggers(
    read: &[Read],
    settings: &[Settings],
    siblings: &Siblings<'_>,
    evaluations: &mut [Evaluation],
) {
    let onbuild: Vec<Vec<Trigger>> =
        evaluations.iter().map(|evaluation| evaluation.onbuild.clone()).collect();
    if onbuild.iter().all(Vec::is_empty) {
        return;
    }
    let triggers = |reference: &Reference| match siblings.find(reference) {
        Meaning::Sibling(image) => onbuild[image.index()].clone(),
        Meaning::OtherTag(_) | Meaning::Stranger => Vec::new(),
    };
    evaluations.par_iter_mut().enumerate().for_each(|(at, evaluation)| {
        // A named context can replace the base.
        let mut bases = evaluation.needs.iter().filter(|need| need.kind.is_base());
        if bases.any(|need| !triggers(&need.reference).is_empty()) {
            *evaluation = evaluate::evaluate(&read[at].file, &settings[at], &triggers);
        }
    });
}

/// The references of all images, for resolving dependencies.
#[derive(Default)]
struct Siblings<'a> {
    /// The images by registry and path, and then by tag.
    by_repository: HashMap<(&'a str, &'a str), BTreeMap<&'a str, ImageId>>,
}

/// The result of resolving a reference in this repository.
enum Meaning<'a> {
    Sibling(ImageId),
    /// The repository of a sibling with a tag or digest that no image has. Contains the nearest
    /// tags that exist.
    OtherTag(Vec<&'a str>),
    Stranger,
}

/// The resolved dependencies of one evaluation.
struct Linked {
    /// For each dependency, the image of this repository, or `None` if it is an external.
    parents: Vec<Option<ImageId>>,
    problems: Vec<Diagnostic>,
}

impl Linked {
    /// Returns the dependencies that are external images.
    fn externals<'a>(&self, evaluation: &'a Evaluation) -> impl Iterator<Item = &'a Need> {
        let needs = evaluation.needs.iter().zip(&self.parents);
        needs.filter(|(_, parent)| parent.is_none()).map(|(need, _)| need)
    }
}

impl Image {
    /// Records the resolved dependencies of its evaluation. Returns their diagnostics.
    fn depend(&mut self, linked: Linked, externals: &mut ExternalTable) -> Vec<Diagnostic> {
        self.parents.clear();
        self.externals.clear();
        self.dependencies.clear();
        for (need, parent) in self.evaluation.needs.iter().zip(linked.parents) {
            let (kind, source, span) = (need.kind, need.source.clone(), need.span);
            self.dependencies.push(match parent {
                Some(parent) => {
                    let reference = need.reference.clone();
                    self.parents.push(Edge { parent, kind, reference, source, span });
                    Dependency::Image(parent)
                }
                None => {
                    let id = externals.add(&need.reference);
                    self.externals.push(External { id, kind, source, span });
                    Dependency::External(id)
                }
            });
        }
        linked.problems
    }
}

impl<'a> Siblings<'a> {
    /// Collects the references. Two images with one reference are an error, because only the one
    /// built last would keep it.
    fn new(read: &[Read], names: &'a [Named]) -> (Siblings<'a>, Vec<Diagnostic>) {
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

    fn entry(&mut self, reference: &'a Reference) -> Entry<'_, &'a str, ImageId> {
        let repository = (reference.domain.as_str(), reference.path.as_str());
        self.by_repository.entry(repository).or_default().entry(tag_of(reference))
    }

    fn find(&self, reference: &Reference) -> Meaning<'a> {
        let repository = (reference.domain.as_str(), reference.path.as_str());
        let Some(images) = self.by_repository.get(&repository) else { return Meaning::Stranger };
        let tag = tag_of(reference);
        match images.get(tag) {
            Some(image) if reference.digest.is_none() => Meaning::Sibling(*image),
            _ => {
                // Thousands of images can share a repository.
                let before = images.range::<str, _>((Unbounded, Excluded(tag))).rev().take(2);
                let after = images.range::<str, _>((Included(tag), Unbounded)).take(2);
                let mut near: Vec<&str> = before.chain(after).map(|(tag, _)| *tag).collect();
                near.sort_unstable();
                Meaning::OtherTag(near)
            }
        }
    }

    /// Resolves the values of the named contexts, and evaluates the images that have some again.
    fn stand_for_contexts(
        &self,
        read: &[Read],
        names: &[Named],
        settings: &mut [Settings],
        evaluations: &mut [Evaluation],
    ) -> Vec<Diagnostic> {
        if read.iter().all(|image| image.candidate.contexts.is_empty()) {
            return Vec::new();
        }
        let by_name: HashMap<&str, &Named> = read
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

    /// Returns the value of a context: a URL unchanged, a directory if it starts like a path, an
    /// image by its name or reference, or an existing directory.
    fn stand_for(&self, context: &NamedContext, by_name: &HashMap<&str, &Named>) -> Option<String> {
        let value = context.value.as_str();
        if value.contains("://") || value.starts_with(['.', '/']) {
            return Some(value.to_owned());
        }
        if let Some(named) = by_name.get(value) {
            // An image without a valid reference has already been reported.
            let reference = named.references.first().map(Reference::familiar);
            return Some(format!("docker-image://{}", reference.unwrap_or_default()));
        }
        let reference = Reference::parse(value).ok();
        match reference.map(|reference| self.find(&reference)) {
            Some(Meaning::Sibling(_)) => Some(format!("docker-image://{value}")),
            _ => context.is_folder.then(|| value.to_owned()),
        }
    }

    fn link(&self, evaluation: &Evaluation) -> Linked {
        let mut problems = Vec::new();
        let parents = evaluation.needs.iter().map(|need| match self.find(&need.reference) {
            Meaning::Sibling(parent) => Some(parent),
            Meaning::OtherTag(tags) => {
                problems.push(describe_other_tag(need, &tags));
                None
            }
            Meaning::Stranger => None,
        });
        let parents = parents.collect();
        Linked { parents, problems }
    }
}

fn tag_of(reference: &Reference) -> &str {
    reference.tag.as_deref().unwrap_or("latest")
}

fn describe_other_tag(need: &Need, tags: &[&str]) -> Diagnostic {
    let written = need.reference.familiar();
    let ours = list(tags);
    let what = if need.reference.digest.is_some() { "a digest" } else { "a tag" };
    let message = format!(
        "`{written}` names an image of this repository, but with {what} that is not built here"
    );
    Diagnostic::new(Rule::SiblingTag, message)
        .at(&need.source, need.span, "treated as an external image")
        .note(format!("the image is tagged {ours}"))
        .hint(format!("use the tag {ours} to depend on the image of this repository"))
}

fn describe_double(
    reference: &Reference,
    first: &Read,
    second: &Read,
    (source, span): (Source, Span),
) -> Diagnostic {
    let names = [first, second].map(|image| image.candidate.name.as_str());
    let message = format!("{} are both named `{}`", list(names), reference.familiar());
    let empty = |image: &Read| Source::new(image.candidate.dockerfile.clone(), "");
    let mut problem = Diagnostic::new(Rule::DuplicateReference, message);
    for image in [first, second] {
        problem = problem.at(&empty(image), Span::default(), format!("`{}`", image.candidate.name));
    }
    if !span.is_empty() {
        problem = problem.at(&source, span, "named here");
    }
    problem.hint("give each its own `reference` in `layers.toml`, such as one with `{name}`")
}

fn describe_context(context: &NamedContext, by_name: &HashMap<&str, &Named>) -> Diagnostic {
    let value = &context.value;
    let (source, span) = &context.spot;
    let message = format!("`{value}` is neither an image of this repository nor a directory");
    let problem = Diagnostic::new(Rule::Config, message).at(source, *span, "");
    match closest(value, by_name.keys().copied()) {
        Some(closest) => problem.hint(format!("did you mean `{closest}`?")),
        None => problem.hint(format!("for an external image, write `docker-image://{value}`")),
    }
}
