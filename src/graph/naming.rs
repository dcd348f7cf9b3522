//! What images are called: the references they get, and where each part of a name came from.
//!
//! In this order: command line, environment, `layers.toml`, inference. Inference asks what the
//! repository's own FROM lines call their siblings: where `docker/dev` says
//! `FROM acme/shop-base:latest` and an image `base` exists, images are called
//! `acme/shop-{name}`. It owns names only; edges are drawn in `link`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::base::Place;

use super::evaluate::Need;
use super::reference::Reference;

/// Where a part of a name was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option.
    CommandLine,
    /// A variable of the environment.
    Environment(&'static str),
    /// A setting in `layers.toml`.
    Config(Place),
    /// A reference in a Dockerfile that names a sibling.
    Inferred(Place),
    /// The repository's folder.
    Folder,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::CommandLine => f.write_str("command line"),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::Config(place) => place.fmt(f),
            Origin::Inferred(place) => write!(f, "inferred from {place}"),
            Origin::Folder => f.write_str("repository folder"),
        }
    }
}

/// A part of a name and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The text.
    pub value: String,
    /// Where it was found.
    pub origin: Origin,
}

/// What is said about names outside the Dockerfiles.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// What stands before the app, such as `acme`.
    pub namespace: Option<Given>,
    /// What all images are called after, such as `shop`.
    pub app: Option<Given>,
    /// A further tag for every image.
    pub version: Option<Given>,
    /// The template, such as `{namespace}/{app}-{name}`.
    pub template: Option<Given>,
    /// The name of the repository's folder, the app of last resort.
    pub folder: String,
}

/// How references are made from images' names.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Text before and after the image's name.
    prefix: String,
    suffix: String,
    /// A tag that the template itself fixes.
    template_tag: Option<String>,
    /// The tag by which siblings name an image that no FROM line names.
    usual_tag: String,
    /// Tags that FROM lines use, by repository, where all of them agree.
    tags: BTreeMap<String, String>,
    version: Option<String>,
    origin: Origin,
}

/// What one image is called.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its references; siblings know it by the first.
    pub references: Vec<Reference>,
    /// Where its name came from.
    pub origin: Origin,
}

/// A need of one image, for the vote on what siblings are called.
pub struct Vote<'a> {
    /// The image that has it.
    pub image: &'a str,
    /// The need.
    pub need: &'a Need,
}

const LATEST: &str = "latest";

impl Naming {
    /// Works out how the images `names` are called.
    pub fn infer(wishes: &Wishes, names: &[&str], votes: &[Vote<'_>]) -> Naming {
        let inferred = infer_prefix(names, votes);
        let (before, after, origin) = match &wishes.template {
            Some(template) => {
                let filled = fill(&template.value, wishes, inferred.as_ref());
                let (before, after) = filled.split_once("{name}").unwrap_or((&filled, ""));
                (before.to_owned(), after.to_owned(), template.origin.clone())
            }
            None => {
                let (prefix, origin) = prefix_of(wishes, inferred.as_ref());
                (prefix, String::new(), origin)
            }
        };
        let (suffix, template_tag) = match after.rsplit_once(':') {
            Some((suffix, tag)) => (suffix.to_owned(), Some(tag.to_owned())),
            None => (after, None),
        };
        let mut naming = Naming {
            prefix: before,
            suffix,
            template_tag,
            usual_tag: LATEST.to_owned(),
            tags: BTreeMap::new(),
            version: wishes.version.as_ref().map(|version| version.value.clone()),
            origin,
        };
        naming.infer_tags(names, votes);
        naming
    }

    /// The references of the image called `name`.
    ///
    /// # Errors
    /// Where they are no valid references; the message says why.
    pub fn references(&self, name: &str) -> Result<Named, String> {
        let repository = format!("{}{name}{}", self.prefix, self.suffix);
        let plain = parse(&repository)?;
        let usual = match &self.template_tag {
            Some(tag) => tag,
            None => self.tags.get(&plain.repository()).unwrap_or(&self.usual_tag),
        };
        let mut references = vec![parse(&format!("{repository}:{usual}"))?];
        if let Some(version) = self.version.as_ref().filter(|version| *version != usual) {
            references.push(parse(&format!("{repository}:{version}"))?);
        }
        Ok(Named { references, origin: self.origin.clone() })
    }

    /// The references of an image whose reference is given whole.
    ///
    /// # Errors
    /// Where it is no valid reference; the message says why.
    pub fn given(&self, reference: &Given) -> Result<Named, String> {
        let first = parse(&reference.value)?;
        let mut references = vec![first.clone()];
        let tag = first.tag.as_deref().unwrap_or(LATEST);
        if let Some(version) = self.version.as_ref().filter(|version| *version != tag) {
            references.push(Reference { tag: Some(version.clone()), ..first });
        }
        Ok(Named { references, origin: reference.origin.clone() })
    }

    /// Which tags the FROM lines use for siblings. One tag that all of them agree on is the
    /// usual one; where they disagree about an image, `latest` is.
    fn infer_tags(&mut self, names: &[&str], votes: &[Vote<'_>]) {
        if self.prefix.is_empty() {
            // Without any prefix `python:3.12` is more likely the world's python than ours.
            return;
        }
        let mut siblings = BTreeMap::new();
        for name in names {
            if let Ok(reference) = parse(&format!("{}{name}{}", self.prefix, self.suffix)) {
                siblings.insert(reference.repository(), *name);
            }
        }
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for vote in votes {
            let repository = vote.need.reference.repository();
            let is_other = siblings.get(&repository).is_some_and(|name| *name != vote.image);
            if !is_other || vote.need.reference.digest.is_some() {
                continue;
            }
            let tag = vote.need.reference.tag.clone().unwrap_or_else(|| LATEST.to_owned());
            let tags = seen.entry(repository).or_default();
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        let mut agreed: Vec<&String> = seen.values().flatten().collect();
        agreed.sort_unstable();
        agreed.dedup();
        if let [only] = agreed.as_slice() {
            self.usual_tag = (*only).clone();
        }
        self.tags = seen
            .into_iter()
            .filter_map(|(repository, tags)| match <[String; 1]>::try_from(tags) {
                Ok([only]) => Some((repository, only)),
                Err(tags) => {
                    tags.contains(&LATEST.to_owned()).then(|| (repository, LATEST.to_owned()))
                }
            })
            .collect();
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    Reference::parse(text).map_err(|error| format!("`{text}` is no valid reference: {error}"))
}

/// What stands before the names of siblings, and the need that shows it best.
struct Inferred {
    prefix: String,
    place: Place,
}

impl Inferred {
    /// The namespace and the app in `acme/shop-`.
    fn parts(&self) -> (Option<&str>, Option<&str>) {
        let (namespace, last) = match self.prefix.rsplit_once('/') {
            Some((namespace, last)) => (Some(namespace), last),
            None => (None, self.prefix.as_str()),
        };
        let app = last.trim_end_matches(['-', '_', '.']);
        (namespace, (!app.is_empty()).then_some(app))
    }
}

/// The prefix that most different siblings are called by; the longer one where two tie.
fn infer_prefix(names: &[&str], votes: &[Vote<'_>]) -> Option<Inferred> {
    let names: HashSet<&str> = names.iter().copied().collect();
    let mut by_prefix: BTreeMap<String, (HashSet<String>, Place)> = BTreeMap::new();
    for vote in votes {
        let repository = vote.need.reference.familiar_repository();
        let Some(at) = sibling_at(&repository, vote.image, &names) else { continue };
        let (prefix, name) = repository.split_at(at);
        let tag = vote.need.reference.tag.as_deref().unwrap_or(LATEST);
        if prefix.is_empty() && (tag != LATEST || vote.need.reference.digest.is_some()) {
            // `FROM python:3.12` beside a folder `python` means the world's python.
            continue;
        }
        by_prefix
            .entry(prefix.to_owned())
            .or_insert_with(|| (HashSet::new(), vote.need.source.place(vote.need.span)))
            .0
            .insert(name.to_owned());
    }
    by_prefix
        .into_iter()
        .max_by_key(|(prefix, (siblings, _))| (siblings.len(), prefix.len()))
        .map(|(prefix, (_, place))| Inferred { prefix, place })
}

/// Where in a repository's path the name of another image begins. The longest name wins:
/// `shop-base-dev` is `base-dev`, not `dev`.
fn sibling_at(repository: &str, image: &str, names: &HashSet<&str>) -> Option<usize> {
    let starts = repository.char_indices().filter(|(_, character)| "-_./".contains(*character));
    std::iter::once(0)
        .chain(starts.map(|(at, _)| at + 1))
        .find(|at| repository[*at..] != *image && names.contains(&repository[*at..]))
}

/// The prefix when no template is given.
fn prefix_of(wishes: &Wishes, inferred: Option<&Inferred>) -> (String, Origin) {
    let given = wishes.app.as_ref().or(wishes.namespace.as_ref());
    match (given, inferred) {
        (None, Some(inferred)) => {
            (inferred.prefix.clone(), Origin::Inferred(inferred.place.clone()))
        }
        (None, None) => (format!("{}-", wishes.folder), Origin::Folder),
        (Some(given), inferred) => {
            let (namespace, app) = inferred.map(Inferred::parts).unwrap_or_default();
            let namespace = wishes.namespace.as_ref().map(|it| it.value.as_str()).or(namespace);
            let app = match (&wishes.app, inferred) {
                (Some(app), _) => Some(app.value.as_str()),
                (None, Some(_)) => app,
                (None, None) => Some(wishes.folder.as_str()),
            };
            let mut prefix = namespace.map(|it| format!("{it}/")).unwrap_or_default();
            if let Some(app) = app {
                prefix.push_str(app);
                prefix.push('-');
            }
            (prefix, given.origin.clone())
        }
    }
}

/// A template with everything but `{name}` filled in.
fn fill(template: &str, wishes: &Wishes, inferred: Option<&Inferred>) -> String {
    let (namespace, app) = inferred.map(Inferred::parts).unwrap_or_default();
    let namespace = wishes.namespace.as_ref().map(|it| it.value.as_str()).or(namespace);
    let app = wishes.app.as_ref().map(|it| it.value.as_str()).or(app).unwrap_or(&wishes.folder);
    let filled = match namespace {
        Some(namespace) => template.replace("{namespace}", namespace),
        None => template.replace("{namespace}/", "").replace("{namespace}", ""),
    };
    filled.replace("{app}", app)
}

/// A folder's name as a part of a reference: lower case, and `-` for what is not allowed.
pub fn as_app(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let mut app = String::new();
    for character in lower.chars() {
        if character.is_ascii_alphanumeric() {
            app.push(character);
        } else if !app.is_empty() && !app.ends_with('-') {
            app.push('-');
        }
    }
    let app = app.trim_end_matches('-');
    if app.is_empty() { "app".to_owned() } else { app.to_owned() }
}
