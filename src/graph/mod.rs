//! Which image needs which: names, edges, the acyclic graph, and choosing from it.
//!
//! Owns the truth that lies in the Dockerfiles. It hashes nothing and builds nothing. Stages of
//! this room: `evaluate` (one Dockerfile with its arguments), `naming` (what images are called),
//! `link` (needs become edges), `dag` (order and cycles), `tag`, `pins`, `select`, `difference`.

pub mod dag;
pub mod difference;
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
pub mod well_known;

use std::collections::BTreeMap;

use crate::base::{
    Diagnostic, ExternalId, IdMap, ImageId, Place, Platform, RelPath, Rule, Source, Span,
};
use crate::credentials::BuildProxies;
use crate::parse::Dockerfile;

use evaluate::{Bottom, Evaluation, Need, NeedKind, Settings};
use externals::ExternalTable;
use naming::Origin;
use reference::Reference;

/// All images of a repository and what they need.
#[derive(Debug, Default)]
pub struct Graph {
    /// The images in the order of their names.
    pub images: IdMap<Image>,
    /// The images that the repository does not build and some of its images need.
    pub externals: ExternalTable,
    order: Vec<ImageId>,
    by_name: BTreeMap<String, ImageId>,
    surroundings: Surroundings,
}

/// What images are evaluated with beside their own settings.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The platform that is built for.
    pub platform: Platform,
    /// The platform that builds.
    pub build_platform: Platform,
    /// The proxies of the docker configuration.
    pub proxies: BuildProxies,
}

impl Surroundings {
    /// What the Dockerfile of an image is evaluated with.
    fn settings(
        &self,
        mut build_args: BTreeMap<String, String>,
        target: Option<String>,
        contexts: BTreeMap<String, String>,
    ) -> Settings {
        build_args.extend(self.proxies.beside(&build_args));
        let (platform, build_platform) = (self.platform.clone(), self.build_platform.clone());
        let environments = BTreeMap::new();
        Settings { build_args, platform, build_platform, target, contexts, environments }
    }
}

/// One thing that we build.
#[derive(Debug)]
pub struct Image {
    /// Its name, unique in the repository.
    pub name: String,
    /// Its Dockerfile.
    pub dockerfile: RelPath,
    /// The folder whose files its build may read.
    pub context: RelPath,
    /// The stage to build; the last one where nothing is said.
    pub target: Option<String>,
    /// Build arguments that were set for it.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts: a name, and `docker-image://REFERENCE`, a folder relative to the root or
    /// an address.
    pub contexts: BTreeMap<String, String>,
    /// How many of a run's places its build takes.
    pub weight: usize,
    /// What it is tagged with; siblings know it by the first.
    pub references: Vec<Reference>,
    /// Where its name came from.
    pub named_by: Origin,
    /// Its Dockerfile, read.
    pub file: Dockerfile,
    /// What its Dockerfile means with its arguments.
    pub evaluation: Evaluation,
    /// The images of this repository that it needs, in the order written.
    pub parents: Vec<Edge>,
    /// The images that it needs and this repository does not build, in the order written.
    pub externals: Vec<External>,
    /// What each of the needs of its evaluation names.
    pub dependencies: Vec<Dependency>,
}

/// An image that another is built on or copies from; `I` says what stands for those of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency<I = ImageId> {
    /// An image of the repository.
    Image(I),
    /// An external image.
    External(ExternalId),
}

impl Image {
    /// The needs of its evaluation with what they name.
    pub fn needs(&self) -> impl Iterator<Item = (&Need, Dependency)> {
        self.evaluation.needs.iter().zip(self.dependencies.iter().copied())
    }

    /// Its needs of other images of the repository, with the platforms that they are wanted for.
    pub fn needs_of_images(&self) -> impl Iterator<Item = (&Need, ImageId)> {
        self.needs().filter_map(|(need, of)| match of {
            Dependency::Image(parent) => Some((need, parent)),
            Dependency::External(_) => None,
        })
    }

    /// Whether something else than the engine's own frontend reads its Dockerfile.
    pub fn names_frontend(&self) -> bool {
        self.named_frontend().is_some()
    }

    /// The image whose layers lie below its own: that which the target starts from, by way of other stages
    /// of the file.
    pub fn base(&self) -> Option<Reference> {
        match self.evaluation.chain()?.1 {
            Bottom::Image(reference) => Some(reference),
            Bottom::Scratch | Bottom::Other => None,
        }
    }

    /// Whether its Dockerfile is read by something else than Docker's own frontend of version 1.
    pub fn has_unknown_frontend(&self) -> bool {
        let Some(syntax) = self.named_frontend() else { return false };
        // What follows the name are options of that frontend.
        let name = syntax.split_whitespace().next().unwrap_or_default();
        let Ok(reference) = Reference::parse(name) else { return true };
        let is_version_one = |tag: &str| {
            tag.strip_prefix('1')
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        };
        reference.repository() != "docker.io/docker/dockerfile"
            || !reference.tag.as_deref().is_some_and(is_version_one)
    }

    /// The image of the frontend that reads its Dockerfile, where it is not the engine's own. The
    /// build argument wins over the directive.
    pub fn named_frontend(&self) -> Option<&str> {
        let written = self.file.directives.syntax.as_ref().map(|it| it.value.as_str());
        self.build_args.get("BUILDKIT_SYNTAX").map(String::as_str).or(written)
    }
}

/// A need of an image that another image of the repository meets.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The image that is needed.
    pub parent: ImageId,
    /// In which way.
    pub kind: NeedKind,
    /// The reference, normalised.
    pub reference: Reference,
    /// The file that says so.
    pub source: Source,
    /// Where it says so.
    pub span: Span,
}

impl Edge {
    /// Where the need is written.
    pub fn place(&self) -> Place {
        self.source.place(self.span)
    }
}

/// A need of an image that this repository does not build.
#[derive(Debug, Clone)]
pub struct External {
    /// What is needed.
    pub id: ExternalId,
    /// In which way.
    pub kind: NeedKind,
    /// The file that says so.
    pub source: Source,
    /// Where it says so.
    pub span: Span,
}

impl External {
    /// Where the need is written.
    pub fn place(&self) -> Place {
        self.source.place(self.span)
    }
}

impl Graph {
    /// A graph of linked images. A cycle becomes an error that shows every edge of it; the order is empty then.
    pub fn new(
        images: IdMap<Image>,
        externals: ExternalTable,
        surroundings: Surroundings,
    ) -> (Graph, Vec<Diagnostic>) {
        let by_name = images.iter().map(|(id, image)| (image.name.clone(), id)).collect();
        let mut graph = Graph { images, externals, order: Vec::new(), by_name, surroundings };
        let problems = graph.sort();
        (graph, problems)
    }

    /// Sorts the images. Returns an error for each cycle.
    fn sort(&mut self) -> Vec<Diagnostic> {
        let images = &self.images;
        let parents = IdMap::from_fn(images.len(), |image| {
            images[image].parents.iter().map(|edge| edge.parent).collect()
        });
        let sorted = dag::sort(&parents);
        let cycles = sorted.as_ref().err().into_iter().flatten();
        let problems = cycles.map(|cycle| describe_cycle(images, cycle)).collect();
        self.order = sorted.unwrap_or_default();
        problems
    }

    /// All images, each after all that it needs; names decide where needs do not. Empty where
    /// the graph has a cycle.
    pub fn order(&self) -> &[ImageId] {
        &self.order
    }

    /// The image of that name.
    pub fn find(&self, name: &str) -> Option<ImageId> {
        self.by_name.get(name).copied()
    }

    /// The images that an image needs directly, each once, in the order written.
    pub fn parents_of(&self, image: ImageId) -> Vec<ImageId> {
        let mut parents: Vec<ImageId> = Vec::new();
        for edge in &self.images[image].parents {
            if !parents.contains(&edge.parent) {
                parents.push(edge.parent);
            }
        }
        parents
    }

    /// For every image those that need it directly, each once, in the order of names.
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

/// An error that shows every edge of a cycle: `a` needs `b` needs … needs `a`.
fn describe_cycle(images: &IdMap<Image>, cycle: &[ImageId]) -> Diagnostic {
    let names: Vec<&str> =
        cycle.iter().chain(cycle.first()).map(|image| images[*image].name.as_str()).collect();
    let message = match names.as_slice() {
        [name, _] => format!("`{name}` needs itself"),
        _ => format!("images need one another in a circle: {}", names.join(" → ")),
    };
    let mut problem = Diagnostic::new(Rule::Cycle, message);
    for (at, image) in cycle.iter().enumerate() {
        let next = cycle[(at + 1) % cycle.len()];
        let edge = images[*image].parents.iter().find(|edge| edge.parent == next);
        if let Some(edge) = edge {
            let text = format!("`{}` needs `{}`", images[*image].name, images[next].name);
            problem = problem.at(&edge.source, edge.span, text);
        }
    }
    problem
        .hint("take one of these references out, or move what both need into an image of its own")
}
