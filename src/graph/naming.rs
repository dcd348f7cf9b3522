//! Naming: the references of images, and the origin of each part of a name.
//!
//! The sources of a name, in order of precedence, are the command line, the environment,
//! `layers.toml`, and inference. Inference uses the names by which the repository's own FROM lines
//! refer to siblings: if `docker/dev` has `FROM acme/shop-base:latest` and an image `base` exists,
//! images are named `acme/shop-{name}`. Owns names only; `link` creates the edges.

pub mod hidden;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use rayon::prelude::*;

use crate::base::{Location, Source, Span};

use super::evaluate::{DependencyKind, StageDependency};
use super::images::Candidate;
use super::reference::Reference;
use super::well_known::is_of_others;

/// The origin of a part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOrigin {
    /// A command-line option.
    CommandLine(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A setting in `layers.toml`.
    Config(Location),
    /// A reference to a sibling in a Dockerfile.
    Inferred(Location),
    /// The name of the repository's directory.
    Directory,
}

impl fmt::Display for NameOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameOrigin::CommandLine(_) => f.write_str("command line"),
            NameOrigin::Environment(variable) => f.write_str(variable),
            NameOrigin::Config(location) => location.fmt(f),
            NameOrigin::Inferred(location) => write!(f, "inferred from {location}"),
            NameOrigin::Directory => f.write_str("repository directory"),
        }
    }
}

impl NameOrigin {
    /// Returns what a user would change to get another name: an option, a variable, or a position
    /// in a file.
    pub fn cause(&self) -> String {
        match self {
            NameOrigin::CommandLine(option) => format!("`{option}`"),
            _ => self.to_string(),
        }
    }
}

/// A part of a name with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePart {
    /// The text.
    pub value: String,
    /// The origin.
    pub origin: NameOrigin,
}

/// The settings for names outside the Dockerfiles.
#[derive(Debug, Clone, Default)]
pub struct NamingSettings {
    /// The namespace before the app, such as `acme`.
    pub namespace: Option<NamePart>,
    /// The app, which is the prefix of all image names, such as `shop`.
    pub app: Option<NamePart>,
    /// Additional tags for every image. Where only one is possible, the first one is used.
    pub versions: Vec<NamePart>,
    /// Whether a release with additional tags also moves the names without them.
    pub moves_latest: bool,
    /// The name of the repository's directory, the default for the app.
    pub directory: String,
}

/// A reference that is configured for an image.
#[derive(Debug, Clone)]
pub struct ReferencePattern {
    /// The text, which may still contain `{namespace}` and `{app}`.
    pub text: String,
    /// The origin.
    pub origin: NameOrigin,
    /// The position of the setting.
    pub spot: Option<(Source, Span)>,
    /// Whether the text already includes the version.
    pub has_version: bool,
}

/// The references of one image.
#[derive(Debug, Clone)]
pub struct ImageReferences {
    /// The references. Siblings use the first one.
    pub references: Vec<Reference>,
    /// Those of them that a release moves in the registry.
    pub released: Vec<Reference>,
    /// The origin of the name.
    pub origin: NameOrigin,
}

/// The reason why an image cannot have its name.
#[derive(Debug, Clone)]
pub struct NamingError {
    /// The message.
    pub message: String,
    /// The position of the setting that causes it, if any.
    pub spot: Option<(Source, Span)>,
}

/// The names of all images.
#[derive(Debug)]
pub struct Naming {
    /// The references of each image, or the reason why they are not valid.
    pub images: Vec<Result<ImageReferences, NamingError>>,
    /// The prefix of sibling names in FROM lines, whether it is used or not.
    pub inferred: Option<InferredPrefix>,
}

/// A dependency of one image, from which the names of siblings are inferred.
pub struct Vote<'a> {
    /// The dependent.
    pub image: &'a str,
    /// The dependency.
    pub dependency: &'a StageDependency,
}

/// The tag of a reference that has none.
pub const LATEST: &str = "latest";

/// Determines the references of each image.
///
/// Versions are additional tags after the one that siblings use. If several images share a
/// repository, the tag identifies the image, and the version follows it: `ros:jazzy-1.2`.
///
/// A release moves the references with these versions, and the others only with
/// [`NamingSettings::moves_latest`]. Without versions, it moves all references.
pub fn name_all(naming: &NamingSettings, images: &[&Candidate], votes: &[Vote<'_>]) -> Naming {
    let names: HashSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let inferred = infer_prefix(&names, votes);
    let (prefix, origin) = prefix_of(naming, inferred.as_ref());
    let drafts = drafts_of(naming, images, inferred.as_ref(), (&prefix, &origin));
    let tags = SiblingTags::infer(images, &drafts, votes);
    let mut shared: HashMap<&str, u32> = HashMap::new();
    for drafts in drafts.iter().flatten() {
        let own: BTreeSet<&str> = drafts.iter().map(|draft| draft.normal.as_str()).collect();
        own.into_iter().for_each(|repository| *shared.entry(repository).or_default() += 1);
    }
    let named = drafts
        .par_iter()
        .map(|drafts| {
            let drafts = drafts.as_ref().map_err(Clone::clone)?;
            let (mut references, mut released) = (Vec::new(), Vec::new());
            let mut put = |draft: &ReferenceDraft, tag: &str, is_released: bool| {
                let reference = parse(&format!("{}:{tag}", draft.repository), draft.spot.as_ref())?;
                if is_released && !released.contains(&reference) {
                    released.push(reference.clone());
                }
                if !references.contains(&reference) {
                    references.push(reference);
                }
                Ok(())
            };
            let moves_all = naming.versions.is_empty() || naming.moves_latest;
            let is_version = |tag: &str| naming.versions.iter().any(|version| version.value == tag);
            for draft in drafts {
                let tag = tags.of(draft);
                put(draft, tag, moves_all || draft.has_version || is_version(tag))?;
            }
            for draft in drafts.iter().filter(|draft| !draft.has_version) {
                let tag = tags.of(draft);
                let is_shared = shared.get(draft.normal.as_str()).is_some_and(|count| *count > 1);
                let before = if is_shared { format!("{tag}-") } else { String::new() };
                let versions = naming.versions.iter().map(|version| version.value.as_str());
                for version in versions.filter(|version| *version != tag) {
                    put(draft, &format!("{before}{version}"), true)?;
                }
            }
            let origin = drafts.first().map_or(NameOrigin::Directory, |draft| draft.origin.clone());
            Ok(ImageReferences { references, released, origin })
        })
        .collect();
    Naming { images: named, inferred }
}

fn drafts_of(
    naming: &NamingSettings,
    images: &[&Candidate],
    inferred: Option<&InferredPrefix>,
    (prefix, origin): (&str, &NameOrigin),
) -> Vec<Result<Vec<ReferenceDraft>, NamingError>> {
    let images = images.par_iter();
    images
        .map(|image| match image.references.as_slice() {
            [] => Ok(vec![ReferenceDraft::of_name(prefix, &image.name, origin.clone())?]),
            patterns => {
                let drafts = patterns.iter();
                drafts.map(|it| ReferenceDraft::of_pattern(it, naming, inferred)).collect()
            }
        })
        .collect()
}

/// A reference of an image before its tag is inferred.
struct ReferenceDraft {
    repository: String,
    /// The normalized repository.
    normal: String,
    tag: Option<String>,
    origin: NameOrigin,
    spot: Option<(Source, Span)>,
    has_version: bool,
    /// Whether references in FROM lines can determine the tag.
    takes_votes: bool,
}

impl ReferenceDraft {
    fn of_name(
        prefix: &str,
        name: &str,
        origin: NameOrigin,
    ) -> Result<ReferenceDraft, NamingError> {
        let repository = format!("{prefix}{name}");
        let normal = parse(&repository, None)?.repository();
        // Without a prefix, `python:3.12` is more likely the official image than an image of this
        // repository.
        let takes_votes = !prefix.is_empty();
        let (tag, spot, has_version) = (None, None, false);
        Ok(ReferenceDraft { repository, normal, tag, origin, spot, has_version, takes_votes })
    }

    fn of_pattern(
        pattern: &ReferencePattern,
        naming: &NamingSettings,
        inferred: Option<&InferredPrefix>,
    ) -> Result<ReferenceDraft, NamingError> {
        let text = fill(&pattern.text, naming, inferred);
        let reference = parse(&text, pattern.spot.as_ref())?;
        if reference.digest.is_some() {
            let message = format!("`{text}` has a digest, which is not known before the build");
            return Err(NamingError { message, spot: pattern.spot.clone() });
        }
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (text.as_str(), None),
        };
        Ok(ReferenceDraft {
            repository: repository.to_owned(),
            normal: reference.repository(),
            takes_votes: tag.is_none() && repository.contains(['/', '-', '_', '.']),
            tag,
            origin: pattern.origin.clone(),
            spot: pattern.spot.clone(),
            has_version: pattern.has_version,
        })
    }
}

/// The tags by which FROM lines name siblings whose tag is not configured.
struct SiblingTags<'a> {
    /// The tags of images on which all lines agree, by repository.
    by_repository: HashMap<String, &'a str>,
    /// The configured tags, by repository: other images in the repository do not get them.
    owned: HashMap<String, HashSet<String>>,
    /// The tag of images that no line names.
    usual: &'a str,
    /// Whether the usual tag stays the same, whatever other references there are.
    usual_is_final: bool,
}

impl<'a> SiblingTags<'a> {
    /// Infers the tags. If all lines agree on one tag, it is the default. If the lines about an
    /// image disagree, its tag is `latest`.
    fn infer(
        images: &[&Candidate],
        drafts: &[Result<Vec<ReferenceDraft>, NamingError>],
        votes: &[Vote<'a>],
    ) -> SiblingTags<'a> {
        let mut siblings: HashMap<&str, &str> = HashMap::new();
        for (image, drafts) in images.iter().zip(drafts) {
            for draft in drafts.iter().flatten().filter(|draft| draft.takes_votes) {
                siblings.insert(&draft.normal, &image.name);
            }
        }
        let mut owned: HashMap<String, HashSet<String>> = HashMap::new();
        for draft in drafts.iter().flatten().flatten() {
            if let Some(tag) = &draft.tag {
                owned.entry(draft.normal.clone()).or_default().insert(tag.clone());
            }
        }
        let is_owned = |repository: &str, tag: &str| {
            owned.get(repository).is_some_and(|tags| tags.contains(tag))
        };
        let mut seen: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for Vote { image, dependency } in
            votes.iter().filter(|vote| vote.dependency.kind != DependencyKind::Context)
        {
            let repository = dependency.reference.repository();
            let is_other = siblings.get(repository.as_str()).is_some_and(|name| name != image);
            if is_other && dependency.reference.digest.is_none() {
                let tag = dependency.reference.tag.as_deref().unwrap_or(LATEST);
                if !is_owned(&repository, tag) {
                    seen.entry(repository).or_default().insert(tag);
                }
            }
        }
        let only = |tags: &BTreeSet<&'a str>| tags.first().copied().filter(|_| tags.len() == 1);
        let all: BTreeSet<&str> = seen.values().flatten().copied().collect();
        let usual = only(&all).unwrap_or(LATEST);
        let usual_is_final = all.contains(LATEST) || all.len() > 1;
        let agreed = seen.into_iter().filter_map(|(repository, tags)| {
            let latest = tags.contains(LATEST).then_some(LATEST);
            Some((repository, only(&tags).or(latest)?))
        });
        SiblingTags { by_repository: agreed.collect(), owned, usual, usual_is_final }
    }

    /// Returns the tag of an image: its own, or the one by which siblings name it.
    fn of<'s>(&'s self, draft: &'s ReferenceDraft) -> &'s str {
        let is_owned =
            |tag: &str| self.owned.get(&draft.normal).is_some_and(|tags| tags.contains(tag));
        let usual = if is_owned(self.usual) { LATEST } else { self.usual };
        let inferred = self.by_repository.get(&draft.normal).copied().unwrap_or(usual);
        draft.tag.as_deref().unwrap_or(inferred)
    }
}

fn parse(text: &str, spot: Option<&(Source, Span)>) -> Result<Reference, NamingError> {
    Reference::parse(text).map_err(|error| {
        let message = format!("`{text}` is not a valid reference: {error}");
        NamingError { message, spot: spot.cloned() }
    })
}

/// The prefix of sibling names, and the dependency that shows it.
#[derive(Debug)]
pub struct InferredPrefix {
    /// The prefix, such as `acme/shop-`.
    pub prefix: String,
    location: Location,
}

impl InferredPrefix {
    /// Returns the namespace and the app, such as those in `acme/shop-`.
    pub fn parts(&self) -> (Option<&str>, Option<&str>) {
        let (namespace, last) = match self.prefix.rsplit_once('/') {
            Some((namespace, last)) => (Some(namespace), last),
            None => (None, self.prefix.as_str()),
        };
        let app = last.trim_end_matches(['-', '_', '.']);
        (namespace, (!app.is_empty()).then_some(app))
    }
}

/// Returns the prefix with which the most siblings are named. Of prefixes with equally many
/// siblings, the longest one is used.
fn infer_prefix(names: &HashSet<&str>, votes: &[Vote<'_>]) -> Option<InferredPrefix> {
    let mut by_prefix: BTreeMap<String, (HashSet<&str>, Location)> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| vote.dependency.kind != DependencyKind::Context) {
        let repository = vote.dependency.reference.familiar_repository();
        if is_of_others(&repository) {
            continue;
        }
        let Some((prefix, name)) = split_sibling(&repository, vote.image, names) else { continue };
        let tag = vote.dependency.reference.tag.as_deref().unwrap_or(LATEST);
        if prefix.is_empty() && (tag != LATEST || vote.dependency.reference.digest.is_some()) {
            // Next to a directory `python`, `FROM python:3.12` means the official image.
            continue;
        }
        by_prefix
            .entry(prefix.to_owned())
            .or_insert_with(|| {
                (HashSet::new(), vote.dependency.source.location(vote.dependency.span))
            })
            .0
            .insert(name);
    }
    by_prefix
        .into_iter()
        .max_by_key(|(prefix, (siblings, _))| (siblings.len(), prefix.len()))
        .map(|(prefix, (_, location))| InferredPrefix { prefix, location })
}

/// Splits a repository's path into a prefix and the name of another image. The longest name takes
/// precedence: `shop-base-dev` is `base-dev`, not `dev`.
fn split_sibling<'r, 'n>(
    repository: &'r str,
    image: &str,
    names: &HashSet<&'n str>,
) -> Option<(&'r str, &'n str)> {
    let starts = repository.char_indices().filter(|(_, character)| "-_./".contains(*character));
    std::iter::once(0).chain(starts.map(|(at, _)| at + 1)).find_map(|at| {
        let (prefix, name) = repository.split_at(at);
        Some((prefix, *names.get(name).filter(|name| **name != image)?))
    })
}

/// Returns the prefix of names without a template.
fn prefix_of(naming: &NamingSettings, inferred: Option<&InferredPrefix>) -> (String, NameOrigin) {
    let part = naming.app.as_ref().or(naming.namespace.as_ref());
    match (part, inferred) {
        (None, Some(inferred)) => {
            (inferred.prefix.clone(), NameOrigin::Inferred(inferred.location.clone()))
        }
        (None, None) => (format!("{}-", naming.directory), NameOrigin::Directory),
        (Some(part), inferred) => {
            let (namespace, app) = inferred.map(InferredPrefix::parts).unwrap_or_default();
            let namespace = naming.namespace.as_ref().map(|it| it.value.as_str()).or(namespace);
            let app = match (&naming.app, inferred) {
                (Some(app), _) => Some(app.value.as_str()),
                (None, Some(_)) => app,
                (None, None) => Some(naming.directory.as_str()),
            };
            let mut prefix = namespace.map(|it| format!("{it}/")).unwrap_or_default();
            if let Some(app) = app {
                prefix.push_str(app);
                prefix.push('-');
            }
            (prefix, part.origin.clone())
        }
    }
}

/// Fills everything in a template except `{name}`.
fn fill(template: &str, naming: &NamingSettings, inferred: Option<&InferredPrefix>) -> String {
    let (namespace, app) = inferred.map(InferredPrefix::parts).unwrap_or_default();
    let namespace = naming.namespace.as_ref().map(|it| it.value.as_str()).or(namespace);
    let app = naming.app.as_ref().map(|it| it.value.as_str()).or(app).unwrap_or(&naming.directory);
    let filled = match namespace {
        Some(namespace) => template.replace("{namespace}", namespace),
        None => template.replace("{namespace}/", "").replace("{namespace}", ""),
    };
    filled.replace("{app}", app)
}

/// Returns the name of a directory as part of a reference: in lowercase, with `-` for characters
/// that are not allowed.
pub fn as_app(directory: &str) -> String {
    let lower = directory.to_lowercase();
    let mut app = String::new();
    for character in lower.chars() {
        if character.is_ascii_alphanumeric() {
            app.push(character);
        } else if !app.is_empty() && !app.ends_with('-') {
            app.push('-');
        }
    }
    let app = app.trim_end_matches('-');
    if app.is_empty() { "app" } else { app }.to_owned()
}
