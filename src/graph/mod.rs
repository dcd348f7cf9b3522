//! The dependency graph: names, edges, topological order, and selection.
//!
//! Owns the dependencies as the Dockerfiles define them. It hashes nothing and builds nothing. Its
//! stages are `evaluate` (one Dockerfile with its arguments), `naming` (the names of images),
//! `link` (dependencies become edges), `dag` (order and cycles), `unresolved` (bases that errors hide),
//! `tag`, `pins`, `select`, and `difference`.

pub mod context_directory;
pub mod dag;
pub mod difference;
pub mod entitlements;
pub mod evaluate;
pub mod externals;
pub mod images;
pub mod link;
pub mod locate;
pub mod naming;
pub mod pins;
pub mod reference;
pub mod select;
pub mod tag;
pub mod units;
pub mod unresolved;
pub mod well_known;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::{
    Diagnostic, ExternalId, IdMap, ImageId, Location, Platform, RelPath, Rule, Source, Span,
};
use crate::credentials::BuildProxies;
use crate::engine::Sandbox;
use crate::parse::Dockerfile;

use context_directory::is_elsewhere;
use evaluate::{ChainBase, DependencyKind, Evaluation, EvaluationSettings, StageDependency};
use externals::ExternalTable;
use images::FilePosition;
use naming::NameOrigin;
use reference::Reference;

/// Returns a key as TOML writes it: in quotes, unless it is a bare key.
pub fn toml_key(key: &str) -> Cow<'_, str> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.into(),
        false => format!("{key:?}").into(),
    }
}

/// All images of a repository and their dependencies.
#[derive(Debug, Default)]
pub struct Graph {
    /// The images, sorted by name.
    pub images: IdMap<Image>,
    /// The external images that images of the repository depend on.
    pub externals: ExternalTable,
    order: Vec<ImageId>,
    by_name: BTreeMap<String, ImageId>,
    unresolved: unresolved::Unbuildable,
    shared_settings: SharedSettings,
}

/// The settings of an evaluation that all images share.
#[derive(Debug, Clone, Default)]
pub struct SharedSettings {
    /// The platform to build for.
    pub platform: Platform,
    /// The platform that executes the build.
    pub build_platform: Platform,
    /// The proxies from Docker's configuration.
    pub proxies: BuildProxies,
}

impl SharedSettings {
    /// Returns the settings with which an image's Dockerfile is evaluated.
    fn settings(
        &self,
        image: String,
        mut build_args: BTreeMap<String, String>,
        target: Option<String>,
        contexts: BTreeMap<String, String>,
    ) -> EvaluationSettings {
        build_args.extend(self.proxies.beside(&build_args));
        let (platform, build_platform) = (self.platform.clone(), self.build_platform.clone());
        let environments = BTreeMap::new();
        EvaluationSettings {
            image,
            build_args,
            platform,
            build_platform,
            target,
            contexts,
            environments,
        }
    }
}

/// What determines the build context of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextOrigin {
    /// A setting.
    Setting,
    /// The location of the Dockerfile.
    Dockerfile,
    /// The location of the files that the image copies.
    Sources,
}

/// An image that the repository builds.
#[derive(Debug)]
pub struct Image {
    /// The name, unique in the repository.
    pub name: String,
    /// The path of the Dockerfile.
    pub dockerfile: RelPath,
    /// The directory of the build context.
    pub context: RelPath,
    /// What determines the context.
    pub context_by: ContextOrigin,
    /// The stage to build. `None` means the last stage.
    pub target: Option<String>,
    /// The build arguments that are set for the image.
    pub build_args: BTreeMap<String, String>,
    /// The values of named contexts by name: `docker-image://REFERENCE`, a URL, or a
    /// [`ContextDirectory`](context_directory::ContextDirectory).
    pub contexts: BTreeMap<String, String>,
    /// The labels that are set for the image, in addition to those of its Dockerfile and its base.
    pub labels: BTreeMap<String, String>,
    /// What its `RUN` instructions run in.
    pub sandbox: Sandbox,
    /// The setting of its network, unless the command line sets it.
    pub network_setting: Option<FilePosition>,
    /// The number of slots that its build takes.
    pub weight: usize,
    /// The references with which the image is tagged. Siblings use the first one.
    pub references: Vec<Reference>,
    /// Those of them that a release moves in the registry; none with `push = false`.
    pub released: Vec<Reference>,
    /// The origin of its name.
    pub named_by: NameOrigin,
    /// Whether its references could be others if a Dockerfile with an error had none.
    pub has_open_name: bool,
    /// The parsed Dockerfile.
    pub file: Dockerfile,
    /// The evaluation of its Dockerfile with its arguments.
    pub evaluation: Evaluation,
    /// The edges to images of this repository, in source order.
    pub parents: Vec<Edge>,
    /// The external images that it depends on, in source order.
    pub externals: Vec<External>,
    /// The resolved dependencies, in the order of those of the evaluation.
    pub dependencies: Vec<Dependency>,
}

/// An image that another one is built on or copies from. `I` is the type that identifies an image
/// of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency<I = ImageId> {
    /// An image of the repository.
    Image(I),
    /// An external image.
    External(ExternalId),
}

impl Image {
    /// Returns whether a release moves tags to it.
    pub fn is_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Returns the dependencies of its evaluation with the images that they resolve to.
    pub fn resolved_dependencies(&self) -> impl Iterator<Item = (&StageDependency, Dependency)> {
        self.evaluation.dependencies.iter().zip(self.dependencies.iter().copied())
    }

    /// Returns the dependencies that are images of the repository, with the platforms for which
    /// they are used.
    pub fn dependencies_on_images(&self) -> impl Iterator<Item = (&StageDependency, ImageId)> {
        self.resolved_dependencies().filter_map(|(dependency, of)| match of {
            Dependency::Image(parent) => Some((dependency, parent)),
            Dependency::External(_) => None,
        })
    }

    /// Returns the values of its named contexts that are directories, each with its first name.
    pub fn directories(&self) -> BTreeMap<&str, &str> {
        let mut directories = BTreeMap::new();
        for (name, value) in self.contexts.iter().filter(|(_, value)| !is_elsewhere(value)) {
            directories.entry(value.as_str()).or_insert(name.as_str());
        }
        directories
    }

    /// Returns whether a frontend other than the engine's own reads its Dockerfile.
    pub fn names_frontend(&self) -> bool {
        self.named_frontend().is_some()
    }

    /// Returns the base image: the image that the target starts from, directly or through other
    /// stages of the file.
    pub fn base(&self) -> Option<Reference> {
        match self.evaluation.chain()?.1 {
            ChainBase::Image(reference) => Some(reference),
            ChainBase::Scratch | ChainBase::Other => None,
        }
    }

    /// Returns whether a frontend other than version 1 of Docker's own reads its Dockerfile.
    pub fn has_unknown_frontend(&self) -> bool {
        let Some(syntax) = self.named_frontend() else { return false };
        // The text after the name is options for the frontend.
        let name = syntax.split_whitespace().next().unwrap_or_default();
        let Ok(reference) = Reference::parse(name) else { return true };
        let is_version_one = |tag: &str| {
            tag.strip_prefix('1')
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        };
        reference.repository() != "docker.io/docker/dockerfile"
            || !reference.tag.as_deref().is_some_and(is_version_one)
    }

    /// Returns the frontend image that reads its Dockerfile, or `None` if it is the engine's own.
    /// The build argument takes precedence over the directive. Its value `dockerfile.v0` means the
    /// engine's own, whatever the directive says (moby/buildkit#6594).
    pub fn named_frontend(&self) -> Option<&str> {
        let written = self.file.directives.syntax.as_ref().map(|it| it.value.as_str());
        let argument = self.build_args.get("BUILDKIT_SYNTAX").map(String::as_str);
        argument.or(written).filter(|_| argument != Some("dockerfile.v0"))
    }
}

/// A direct dependency on another image of the repository.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The image that is depended on.
    pub parent: ImageId,
    /// The kind of the dependency.
    pub kind: DependencyKind,
    /// The normalized reference.
    pub reference: Reference,
    /// The file that contains the reference.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
}

impl Edge {
    /// Returns the position of the reference.
    pub fn location(&self) -> Location {
        self.source.location(self.span)
    }
}

/// A direct dependency on an external image.
#[derive(Debug, Clone)]
pub struct External {
    /// The external image.
    pub id: ExternalId,
    /// The kind of the dependency.
    pub kind: DependencyKind,
    /// The file that contains the reference.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
}

impl External {
    /// Returns the position of the reference.
    pub fn location(&self) -> Location {
        self.source.location(self.span)
    }
}

impl Graph {
    /// Returns a graph of linked images. If there are cycles, each is an error that shows all its
    /// edges, and the order does not include its images.
    pub fn new(
        images: IdMap<Image>,
        externals: ExternalTable,
        shared_settings: SharedSettings,
    ) -> (Graph, Vec<Diagnostic>) {
        let by_name = images.iter().map(|(id, image)| (image.name.clone(), id)).collect();
        let mut graph = Graph {
            images,
            externals,
            order: Vec::new(),
            by_name,
            unresolved: BTreeMap::new(),
            shared_settings,
        };
        let problems = graph.sort();
        (graph, problems)
    }

    /// Sorts the images. Returns an error per cycle.
    fn sort(&mut self) -> Vec<Diagnostic> {
        let images = &self.images;
        let parents = IdMap::from_fn(images.len(), |image| {
            images[image].parents.iter().map(|edge| edge.parent).collect()
        });
        let sorted = dag::sort(&parents);
        let cycles = sorted.as_ref().err().into_iter().flatten();
        let problems = cycles.map(|cycle| describe_cycle(images, cycle)).collect();
        self.order = sorted.unwrap_or_else(|_| dag::sort_rest(&parents));
        problems
    }

    /// Returns all images in topological order, each after its dependencies; otherwise sorted by
    /// name. Images in a cycle and their dependents are not included.
    pub fn order(&self) -> &[ImageId] {
        &self.order
    }

    /// Returns the image with this name.
    pub fn find(&self, name: &str) -> Option<ImageId> {
        self.by_name.get(name).copied()
    }

    /// Returns the parents of an image, each once, in source order.
    pub fn parents_of(&self, image: ImageId) -> Vec<ImageId> {
        let mut parents: Vec<ImageId> = Vec::new();
        for edge in &self.images[image].parents {
            if !parents.contains(&edge.parent) {
                parents.push(edge.parent);
            }
        }
        parents
    }

    /// Returns the children of every image, each once, sorted by name.
    pub fn children(&self) -> IdMap<Vec<ImageId>> {
        let mut children = IdMap::from_fn(self.images.len(), |_| Vec::new());
        for image in self.images.ids() {
            for parent in self.parents_of(image) {
                children[parent].push(image);
            }
        }
        children
    }
}

/// Returns an error that shows every edge of a cycle: `a` depends on `b`, … depends on `a`.
fn describe_cycle(images: &IdMap<Image>, cycle: &[ImageId]) -> Diagnostic {
    let names: Vec<&str> =
        cycle.iter().chain(cycle.first()).map(|image| images[*image].name.as_str()).collect();
    let message = match names.as_slice() {
        [name, _] => format!("`{name}` depends on itself"),
        _ => format!("dependency cycle: {}", names.join(" → ")),
    };
    let mut problem = Diagnostic::new(Rule::Cycle, message);
    for (at, image) in cycle.iter().enumerate() {
        let next = cycle[(at + 1) % cycle.len()];
        let edge = images[*image].parents.iter().find(|edge| edge.parent == next);
        if let Some(edge) = edge {
            let text = format!("`{}` depends on `{}`", images[*image].name, images[next].name);
            problem = problem.at(&edge.source, edge.span, text);
        }
    }
    problem.hint("remove one of these references, or move what both need into a separate image")
}
