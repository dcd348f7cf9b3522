//! The inputs of one image: what is in its Dockerfile, and the files that it reads.
//!
//! Owns the step from an evaluated Dockerfile to [`Inputs`].

use std::collections::BTreeMap;

use super::canonical::{Froms, ResolvedNames, describe, stored_context};
use super::files::FileList;
use super::gather::{NamedDependency, StageLocations};
use super::key::{
    ArgumentInputs, DependencyInputs, DependencyName, DirectoryInputs, DownloadInputs, FORMAT,
    Inputs, StageInputs,
};
use super::reads::{ContextReads, Doubt};
use crate::base::{Platform, Span, UnitId};
use crate::credentials::is_proxy;
use crate::engine::Attestations;
use crate::graph::evaluate::{Base, StageDependency, StageView};
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph, Image};
use crate::parse::InstructionKind;

/// Returns the inputs of an image with the files that it reads.
pub(super) fn inputs_of(
    (graph, image): (&Graph, &Image),
    (platform, attestations): (&Platform, &Attestations),
    (contexts, lists): (&[ContextReads<'_>], Vec<FileList>),
    doubt: Doubt,
) -> Inputs {
    let evaluation = &image.evaluation;
    let unknown = image.has_unknown_frontend();
    // Options of the builder. All other arguments, including proxies, count only where they are declared.
    let is_setting = |name: &str| {
        doubt.instructions || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
    };
    let settings = image.build_args.iter().filter(|(name, _)| is_setting(name));
    // All named contexts count if triggers name their sources, or if it is unknown which instructions run.
    let named = image.contexts.iter().filter(|_| doubt.instructions || has_triggers(image));
    let settings = settings.map(|(name, value)| (name.clone(), stored_value(name, value)));
    // Attestations affect the stored image, although a child cannot observe them: if an SBOM is requested, an image
    // without one is not up to date.
    let attested = attestations.enabled().map(|(kind, with)| {
        let with = if with.is_empty() { "true" } else { with };
        (format!("attest:{kind}"), with.to_owned())
    });
    let labels = image.labels.iter().map(|(name, value)| (format!("label {name}"), value.clone()));
    let settings = settings.chain(attested).chain(labels);
    let runs_commands = doubt.instructions || image.runs_commands();
    let options = image.sandbox.described().into_iter().filter(|_| runs_commands);
    let settings = settings.chain(options.map(|(name, value)| (format!("option {name}"), value)));
    let names = resolve_names(graph, image);
    // Of a directory, its files count, and not where it is.
    let value = |to: &String| match names.directories.get(to.as_str()) {
        Some(_) => names.describe_context(to),
        None => stored_context(to).into_owned(),
    };
    let settings = settings.chain(named.map(|(name, to)| (format!("context {name}"), value(to))));
    // Triggers refer to stages by name, so if any stage runs one, names count.
    let names_count = has_triggers(image);
    let stages = evaluation.stages.iter().enumerate().filter(|(_, stage)| stage.reached);
    let downloads = evaluation.downloads.iter().map(|download| DownloadInputs {
        address: download.address.clone(),
        checksum: download.checksum.clone(),
    });
    let mut lists = lists.into_iter();
    let files = lists.next().unwrap_or_default();
    let named = contexts.iter().filter_map(|reads| Some((reads, reads.named?.0)));
    let directories = named.zip(lists).map(|((reads, name), files)| DirectoryInputs {
        name: name.to_owned(),
        whole_context: reads.is_whole,
        files,
    });
    Inputs {
        format: FORMAT,
        syntax: image.named_frontend().map(str::to_owned),
        escape: image.file.directives.escape,
        platform: platform.clone(),
        text: unknown.then(|| image.file.source.text().to_owned()),
        settings: settings.collect(),
        stages: stages
            .map(|(index, stage)| {
                let name = stage.name.clone().filter(|_| names_count);
                StageInputs { name, ..stage_inputs(image, index, stage, &names) }
            })
            .collect(),
        target: evaluation.target.and_then(|target| names.positions[target]),
        dependencies: distinct_inputs(graph, image),
        downloads: downloads.collect(),
        whole_context: contexts.first().is_some_and(|reads| reads.is_whole),
        files,
        directories: directories.collect(),
    }
}

/// Returns how many commands the build of an image runs.
pub fn commands_of(image: &Image) -> usize {
    let views = image.evaluation.stages.iter().zip(&image.file.stages);
    let reached = views.filter(|(view, _)| view.reached);
    let instructions = reached.flat_map(|(_, stage)| &stage.instructions);
    instructions.filter(|it| matches!(it.kind, InstructionKind::Run(_))).count()
}

/// Returns the dependencies of a unit as its Dockerfile names them.
pub(super) fn dependencies_of(
    (graph, image): (&Graph, &Image),
    unit: UnitId,
    units: &Units,
) -> Vec<NamedDependency> {
    let inputs = distinct_inputs(graph, image);
    let named = |(dependency, of): (&StageDependency, Dependency)| {
        let own = dependency_inputs(graph, dependency, of);
        let of = match of {
            Dependency::Image(parent) => {
                Dependency::Image(units.parent(unit, parent, dependency.platform.as_ref()))
            }
            Dependency::External(id) => Dependency::External(id),
        };
        let index = inputs.iter().position(|it| *it == own)?;
        Some(NamedDependency { reference: dependency.reference.clone(), of, index })
    };
    distinct_dependencies(image).into_iter().filter_map(named).collect()
}

/// Returns the locations of the instructions in the inputs.
pub(super) fn stage_locations(image: &Image) -> Vec<StageLocations> {
    let views = image.evaluation.stages.iter().zip(&image.file.stages);
    let location = |span: Span| image.file.source.location(span);
    views
        .filter(|(view, _)| view.reached)
        .map(|(_, stage)| StageLocations {
            from: location(stage.from),
            instructions: stage.instructions.iter().map(|it| location(it.span)).collect(),
        })
        .collect()
}

/// Returns the value of an argument as it is stored. A proxy's URL may contain a password, which must not appear in
/// any key, file, or output, so only its hash is stored. It counts only where it is declared, as in BuildKit, which
/// then records it in the image's history.
fn stored_value(name: &str, value: &str) -> String {
    if !is_proxy(name) {
        return value.to_owned();
    }
    let hash = blake3::hash(value.as_bytes()).to_hex();
    format!("(hash {})", &hash[..16])
}

fn positions_among_reached(stages: &[StageView]) -> Vec<Option<usize>> {
    let mut next = 0..;
    stages.iter().map(|stage| if stage.reached { next.next() } else { None }).collect()
}

/// Returns what the names in the Dockerfile of an image mean.
fn resolve_names<'a>(graph: &'a Graph, image: &'a Image) -> ResolvedNames<'a> {
    let images = image.dependencies_on_images();
    let images = images.map(|(it, parent)| (&it.reference, graph.images[parent].name.as_str()));
    let positions = positions_among_reached(&image.evaluation.stages);
    ResolvedNames { positions, images: images.collect(), directories: image.directories() }
}

/// Returns whether triggers run in any stage that counts.
fn has_triggers(image: &Image) -> bool {
    image.evaluation.stages.iter().any(|it| it.reached && !it.triggers.is_empty())
}

/// Returns the inputs of a stage, without its name.
fn stage_inputs(
    image: &Image,
    index: usize,
    view: &StageView,
    names: &ResolvedNames<'_>,
) -> StageInputs {
    let base = match (&view.context, &view.base) {
        (Some(context), _) => format!("named {}", names.describe_context(context)),
        (None, Some(base)) => names.describe_base(base),
        (None, None) => view.base_text.clone(),
    };
    let mut froms = Froms::new(&view.froms, names);
    let instructions = image.file.stages.get(index).into_iter().flat_map(|it| &it.instructions);
    // What `FROM` makes of its arguments counts as the base. The arguments themselves only explain why an external
    // image is another one.
    let is_external = match (&view.context, &view.base) {
        (None, Some(Base::Image(reference))) => !names.images.contains_key(reference),
        _ => false,
    };
    let of_from = view.from_arguments.iter().filter(|_| is_external);
    let arguments = of_from.chain(&view.arguments).map(|(name, value)| {
        let value = value.as_ref().map(|value| stored_value(name, value));
        ArgumentInputs { name: name.clone(), value }
    });
    StageInputs {
        base,
        platform: view.platform.clone(),
        name: None,
        triggers: view.triggers.iter().map(|trigger| trigger.text.clone()).collect(),
        arguments: arguments.collect(),
        instructions: instructions.map(|it| describe(it, &mut froms)).collect(),
    }
}

/// Returns the inputs of the dependencies of an image, sorted by name, each once per kind and platform.
fn distinct_inputs(graph: &Graph, image: &Image) -> Vec<DependencyInputs> {
    let inputs = image.resolved_dependencies().map(|(dependency, of)| {
        let inputs = dependency_inputs(graph, dependency, of);
        ((inputs.name.clone(), inputs.kind, inputs.platform.clone()), inputs)
    });
    inputs.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Returns the dependencies of an image, each once per reference, kind, and platform.
fn distinct_dependencies(image: &Image) -> Vec<(&StageDependency, Dependency)> {
    let mut dependencies: BTreeMap<_, (&StageDependency, Dependency)> = BTreeMap::new();
    for (dependency, of) in image.resolved_dependencies() {
        let same = (&dependency.reference, dependency.kind, &dependency.platform);
        dependencies.entry(same).or_insert((dependency, of));
    }
    dependencies.into_values().collect()
}

fn dependency_inputs(
    graph: &Graph,
    dependency: &StageDependency,
    of: Dependency,
) -> DependencyInputs {
    let name = match of {
        Dependency::Image(parent) => DependencyName::Image(graph.images[parent].name.clone()),
        Dependency::External(_) => DependencyName::Reference(dependency.reference.clone()),
    };
    let platform = dependency.platform.clone();
    let (layers, config, unresolved) = (None, None, Vec::new());
    DependencyInputs { name, kind: dependency.kind, platform, layers, config, unresolved }
}

#[cfg(test)]
mod tests;
