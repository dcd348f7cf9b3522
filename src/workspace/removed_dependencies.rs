//! Dependencies that a variable of the environment removes.
//!
//! Owns the comparison of the graph with those without VERSION, IMAGE_NAME, and similar variables. Pipelines and shells
//! set them for purposes of their own. If one of them renames the images, a reference to a sibling becomes one to an
//! image in a registry, and the build uses whatever is there.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::base::screen::visible;
use crate::base::text::and;
use crate::base::{Diagnostic, RelPath, Rule};
use crate::cli::GlobalArgs;
use crate::graph::evaluate::StageDependency;
use crate::graph::reference::Reference;
use crate::graph::well_known::is_well_known;
use crate::graph::{Dependency, Graph, Image};
use crate::scan::config::ConfigFile;
use crate::scan::git::Head;

use super::Invocation;
use super::load::read_graph;
use super::root::directory_of;

/// The variables that are often set for another purpose.
const COMMON_NAMES: [&str; 4] = ["VERSION", "REPO_VERSION", "IMAGE_NAME", "APP_NAME"];

/// The variable that is not, but can remove a dependency together with the others.
const NAMESPACE: &str = "REPO_NS";

/// A value that may remove dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SuspectValue {
    Variable(&'static str),
    BuildArgument(&'static str),
}

/// Where a dependency is written: the image's Dockerfile, the file with the reference, and its position there.
type DependencyPosition = (RelPath, RelPath, u32);

/// Returns an error per dependency on an image of the repository that exists only without some of the variables.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub fn find(
    root: &Path,
    file: &ConfigFile,
    at: &Invocation,
    head: Option<&Head>,
    graph: &Graph,
) -> anyhow::Result<Vec<Diagnostic>> {
    let values = suspect_values(at);
    let mut suspects = suspects(graph);
    if values.is_empty() || suspects.is_empty() {
        return Ok(Vec::new());
    }
    let mut trials: Vec<Vec<SuspectValue>> = values.iter().map(|value| vec![*value]).collect();
    trials.push(values.clone());
    if at.environment.set_var(NAMESPACE).is_some() {
        let namespace = SuspectValue::Variable(NAMESPACE);
        trials.push(vec![namespace]);
        trials.push([vec![namespace], values].concat());
    }
    let mut problems = Vec::new();
    for trial in trials {
        if suspects.is_empty() {
            break;
        }
        let exists = |_: &RelPath| false;
        let trial_at = without(&trial, at);
        let Ok((other, ..)) =
            read_graph((root, directory_of(root)), file, &trial_at, head, &exists)
        else {
            continue;
        };
        let lost = lost_dependencies(graph, &other);
        suspects.retain(|(position, dependency)| {
            let Some(parent) = lost.get(position) else { return true };
            // The namespace alone is deliberate: a warning reports it.
            if trial != [SuspectValue::Variable(NAMESPACE)] {
                problems.push(describe(dependency, parent, &trial, graph, at));
            }
            false
        });
    }
    Ok(problems)
}

/// Returns the values that are given, for names that are common.
fn suspect_values(at: &Invocation) -> Vec<SuspectValue> {
    let is_argument = |name: &str| {
        let arguments = at.global.build_args.iter();
        arguments.map(|it| it.split_once('=').map_or(it.as_str(), |it| it.0)).any(|it| it == name)
    };
    let variables = COMMON_NAMES.into_iter().filter(|name| at.environment.set_var(name).is_some());
    let arguments = COMMON_NAMES.into_iter().filter(|name| is_argument(name));
    variables
        .map(SuspectValue::Variable)
        .chain(arguments.map(SuspectValue::BuildArgument))
        .collect()
}

fn without(values: &[SuspectValue], at: &Invocation) -> Invocation {
    let mut global: GlobalArgs = at.global.clone();
    let mut environment = at.environment.without("");
    for value in values {
        match value {
            SuspectValue::Variable(name) => environment = environment.without(name),
            SuspectValue::BuildArgument(name) => global
                .build_args
                .retain(|it| it.split_once('=').map_or(it.as_str(), |it| it.0) != *name),
        }
    }
    Invocation { global, environment, paint: at.paint }
}

/// Returns the references to external images that could name an image of the repository.
fn suspects(graph: &Graph) -> Vec<(DependencyPosition, &StageDependency)> {
    let names: HashSet<&str> = graph.images.values().map(|image| image.name.as_str()).collect();
    let references = graph.images.values().flat_map(|image| &image.references);
    let repositories: HashSet<String> = references.map(Reference::repository).collect();
    let is_suspect = |reference: &Reference| {
        let repository = reference.familiar_repository();
        reference.digest.is_none()
            && !is_well_known(&repository)
            && (repositories.contains(&reference.repository())
                || parts(&repository).any(|part| names.contains(part)))
    };
    let images = graph.images.values();
    let all = images.flat_map(|image| {
        let resolved = image.resolved_dependencies().map(move |(it, of)| (image, it, of));
        resolved.filter(|(_, _, of)| matches!(of, Dependency::External(_)))
    });
    all.filter(|(_, dependency, _)| is_suspect(&dependency.reference))
        .map(|(image, dependency, _)| (position(image, dependency), dependency))
        .collect()
}

/// Returns the parts of a repository's path between any two separators.
fn parts(repository: &str) -> impl Iterator<Item = &str> {
    let separators: Vec<usize> =
        repository.match_indices(['-', '_', '.', '/']).map(|(at, _)| at).collect();
    let ends: Vec<usize> = separators.iter().copied().chain([repository.len()]).collect();
    let starts = std::iter::once(0).chain(separators.into_iter().map(|at| at + 1));
    starts.flat_map(move |start| {
        let ends = ends.clone().into_iter().filter(move |end| *end >= start);
        ends.map(move |end| &repository[start..end])
    })
}

fn position(image: &Image, dependency: &StageDependency) -> DependencyPosition {
    (image.dockerfile.clone(), dependency.source.path().clone(), dependency.span.start)
}

/// Returns the dependencies on images of the repository that only the other graph has, with the names of these images.
/// If this graph has dependencies that the other one lacks, the values name the images correctly, and nothing is returned.
fn lost_dependencies(graph: &Graph, other: &Graph) -> BTreeMap<DependencyPosition, String> {
    let edges = |graph: &Graph| -> BTreeMap<DependencyPosition, String> {
        let images = graph.images.values();
        let all = images.flat_map(|image| {
            let on_images = image.dependencies_on_images();
            on_images.map(|(it, of)| (position(image, it), graph.images[of].name.clone()))
        });
        all.collect()
    };
    let (ours, mut theirs) = (edges(graph), edges(other));
    if ours.keys().any(|position| !theirs.contains_key(position)) {
        return BTreeMap::new();
    }
    theirs.retain(|position, _| !ours.contains_key(position));
    theirs
}

fn describe(
    dependency: &StageDependency,
    parent: &str,
    values: &[SuspectValue],
    graph: &Graph,
    at: &Invocation,
) -> Diagnostic {
    let name = |value: &SuspectValue| match value {
        SuspectValue::Variable(name) => (*name).to_owned(),
        SuspectValue::BuildArgument(name) => format!("`--build-arg {name}`"),
    };
    let causes = and(&values.iter().map(name).collect::<Vec<_>>());
    let verb = if values.len() == 1 { "removes" } else { "remove" };
    let message = format!("{causes} {verb} the dependency on the image `{}`", visible(parent));
    let mut problem = Diagnostic::new(Rule::RemovedDependency, message).at(
        &dependency.source,
        dependency.span,
        "names an external image",
    );
    for value in values {
        if let SuspectValue::Variable(name) = value
            && let Some(text) = at.environment.var(name)
        {
            problem = problem.note(format!("the environment sets {name} to `{}`", visible(text)));
        }
    }
    let written = dependency.reference.familiar();
    let own = graph.find(parent).and_then(|image| graph.images[image].references.first());
    let own = own.map(Reference::familiar).filter(|own| *own != written);
    let omit = match values {
        [SuspectValue::BuildArgument(_)] => format!("omit {causes}"),
        [SuspectValue::Variable(name)] => format!("`unset {name}`"),
        _ => format!("unset {causes}"),
    };
    problem.hint(match own {
        Some(own) => format!("{omit}, or write `{own}`"),
        None => omit,
    })
}
