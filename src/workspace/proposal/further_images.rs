//! Further images of Dockerfiles that the repository builds in several ways.
//!
//! Owns which of these builds become images: those that add a dependency between two Dockerfiles. The graph decides: it is
//! read with all of them, and then with those that are worth a line. The image that is there already is the build that
//! has its name.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::base::RelPath;
use crate::graph::images::templates::is_name;
use crate::graph::naming::{LATEST, as_app};
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image};
use crate::scan::build_files::DescribedBuild;

use super::known_builds::BuildVariant;
use super::own_settings::OwnSettings;
use super::wording::{key, quote};
use super::{Draft, Sources};

/// The maximum number of builds that are tried.
const MOST_TRIED: usize = 400;

/// An image that could be added.
struct FurtherImage {
    name: String,
    dockerfile: RelPath,
    variant: BuildVariant,
    /// The context, if it is not that of the other image of the Dockerfile.
    context: Option<RelPath>,
    reference: Option<Reference>,
}

/// A dependency of one Dockerfile on another.
type FilePair = (RelPath, RelPath);

/// Returns a draft with further images, if some are worth a line.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub(super) fn add(draft: Draft, sources: &Sources<'_>) -> anyhow::Result<Draft> {
    let images = further_images(&draft.graph, sources);
    let draft = match images.is_empty() {
        true => draft,
        false => add_best(draft, &images.iter().collect::<Vec<_>>(), sources)?,
    };
    let arguments = arguments_by_name(&draft.graph, sources);
    match draft.text.has_room_for(&arguments) {
        true => draft.extended(sources, &arguments),
        false => Ok(draft),
    }
}

/// Adds the images that are worth a line. All of them are tried at once.
fn add_best(
    draft: Draft,
    images: &[&FurtherImage],
    sources: &Sources<'_>,
) -> anyhow::Result<Draft> {
    let trial = draft.with_own(sources, &settings_of(images))?;
    let known: BTreeSet<FilePair> = pairs(&draft.graph).into_values().collect();
    let chosen = choose(images, &pairs(&trial.graph), &known, draft.text.lines_left());
    draft.extended(sources, &settings_of(&chosen))
}

fn settings_of(images: &[&FurtherImage]) -> OwnSettings {
    let mut settings = OwnSettings::default();
    for image in images {
        image.settings().into_iter().for_each(|setting| settings.add(&image.name, setting));
    }
    settings
}

impl FurtherImage {
    fn settings(&self) -> Vec<String> {
        let mut settings = vec![format!("dockerfile = {}", quote(self.dockerfile.as_str()))];
        let context = self.context.iter().map(|it| format!("context = {}", quote(it.as_str())));
        settings.extend(context);
        settings.extend(self.variant.target.iter().map(|it| format!("target = {}", quote(it))));
        let args = self.variant.args.iter();
        settings.extend(args.map(|(name, value)| format!("args.{} = {}", key(name), quote(value))));
        let reference = self.reference.as_ref().map(Reference::familiar);
        settings.extend(reference.map(|it| format!("reference = {}", quote(&it))));
        settings
    }
}

/// Returns settings for the arguments that distinguish the build with an image's name from other builds of its Dockerfile.
fn arguments_by_name(graph: &Graph, sources: &Sources<'_>) -> OwnSettings {
    let mut settings = OwnSettings::default();
    for image in graph.images.values() {
        // The arguments of FROM lines were chosen before.
        let mut differing = sources.builds.differing_args(&image.dockerfile);
        for name in sources.arguments.used(&image.dockerfile) {
            differing.remove(&name);
        }
        let has_name = |build: &&DescribedBuild| {
            reference_of(build).is_some_and(|it| image.references.first() == Some(&it))
        };
        let build = sources.builds.real(&image.dockerfile).find(has_name);
        let Some(build) = build else { continue };
        let args = build.args.iter().filter(|(name, value)| {
            differing.contains(*name) && image.build_args.get(*name) != Some(value)
        });
        for (name, value) in args {
            settings.add(&image.name, format!("args.{} = {}", key(name), quote(value)));
        }
    }
    settings
}

/// Returns the builds that are not those of the images of a graph.
fn further_images(graph: &Graph, sources: &Sources<'_>) -> Vec<FurtherImage> {
    let mut names: HashSet<String> = graph.images.values().map(|it| it.name.clone()).collect();
    let references = graph.images.values().flat_map(|it| &it.references);
    let mut references: HashSet<Reference> = references.cloned().collect();
    let mut found = Vec::new();
    for image in graph.images.values() {
        let is_built = |variant: &BuildVariant| {
            variant.target == image.target
                && variant
                    .args
                    .iter()
                    .all(|(name, value)| image.build_args.get(name) == Some(value))
        };
        let mut used = sources.arguments.used(&image.dockerfile);
        used.extend(sources.builds.differing_args(&image.dockerfile));
        let last = sources.arguments.last_stage(&image.dockerfile);
        for (variant, build) in sources.builds.variants(&image.dockerfile, &used, last) {
            if is_built(&variant) || found.len() == MOST_TRIED {
                continue;
            }
            let reference = reference_of(build).filter(|it| references.insert(it.clone()));
            let Some(name) = free_name(image, &variant, build, reference.as_ref(), &mut names)
            else {
                continue;
            };
            let dockerfile = image.dockerfile.clone();
            let context = build.context.clone().filter(|it| *it != image.context);
            found.push(FurtherImage { name, dockerfile, variant, context, reference });
        }
    }
    found
}

/// Returns the first name of a build that is completely known.
fn reference_of(build: &DescribedBuild) -> Option<Reference> {
    let known = build.references.iter().filter_map(|it| it.as_known());
    known.filter_map(|it| Reference::parse(it).ok()).find(|it| it.digest.is_none())
}

/// Returns a name for an image, and adds it to those that are taken.
fn free_name(
    image: &Image,
    variant: &BuildVariant,
    build: &DescribedBuild,
    reference: Option<&Reference>,
    taken: &mut HashSet<String>,
) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    if let Some(reference) = reference {
        let repository = reference.familiar_repository();
        let last = repository.rsplit('/').next().unwrap_or_default().to_owned();
        let tag = reference.tag.as_deref().filter(|it| *it != LATEST);
        names.extend(tag.is_none().then(|| last.clone()));
        names.extend(tag.map(|tag| format!("{last}-{tag}")));
    }
    names.extend(build.name.clone());
    let value = |text: &str| {
        let last = text.rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default().to_owned()
    };
    let values: Vec<String> = variant.args.values().map(|it| value(it)).collect();
    let parts = std::iter::once(image.name.clone()).chain(variant.target.clone()).chain(values);
    names.push(parts.collect::<Vec<_>>().join("-"));
    let names = names.into_iter().map(|name| as_app(&name));
    let numbered = (2..100).map(|number| format!("{}-{number}", image.name));
    let name = names.chain(numbered).find(|name| is_name(name) && !taken.contains(name))?;
    taken.insert(name.clone());
    Some(name)
}

/// Returns the dependencies between Dockerfiles, by the images that have them.
fn pairs(graph: &Graph) -> BTreeMap<(String, String), FilePair> {
    let mut pairs = BTreeMap::new();
    for image in graph.images.values() {
        for edge in &image.parents {
            let parent = &graph.images[edge.parent];
            let files = (image.dockerfile.clone(), parent.dockerfile.clone());
            if files.0 != files.1 {
                pairs.insert((image.name.clone(), parent.name.clone()), files);
            }
        }
    }
    pairs
}

/// Chooses at most this many images: again and again the one that adds the most dependencies.
fn choose<'a>(
    images: &[&'a FurtherImage],
    pairs: &BTreeMap<(String, String), FilePair>,
    known: &BTreeSet<FilePair>,
    most: usize,
) -> Vec<&'a FurtherImage> {
    let further: BTreeMap<&str, &'a FurtherImage> =
        images.iter().map(|it| (it.name.as_str(), *it)).collect();
    let mut known = known.clone();
    let mut chosen: BTreeMap<&str, &'a FurtherImage> = BTreeMap::new();
    loop {
        // The files of new dependencies, by the images that they need.
        let mut gains: BTreeMap<BTreeSet<&str>, BTreeSet<&FilePair>> = BTreeMap::new();
        for ((child, parent), files) in pairs.iter().filter(|(_, files)| !known.contains(*files)) {
            let ends = [child.as_str(), parent.as_str()].into_iter();
            let missing =
                ends.filter(|it| further.contains_key(it) && !chosen.contains_key(it)).collect();
            gains.entry(missing).or_default().insert(files);
        }
        gains.retain(|missing, _| chosen.len() + missing.len() <= most);
        let best = gains
            .into_iter()
            .rev()
            .max_by_key(|(missing, files)| (files.len(), std::cmp::Reverse(missing.len())));
        let Some((missing, files)) = best else { break };
        known.extend(files.into_iter().cloned());
        chosen.extend(missing.into_iter().filter_map(|it| further.get_key_value(it)));
    }
    chosen.into_values().collect()
}
