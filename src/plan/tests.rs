//! Repositories and stores for the unit tests of this module.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::origin::proof;
use super::{
    FreshnessCheck, ParentImage, Plan, Reason, Verdict, describe_external, externals_of,
    inspect_unselected_parents, read_snapshot,
};
use crate::base::{ImageId, Platform, RelPath, Source, UnitId};
use crate::engine::stub::Stub;
use crate::engine::{Attestations, ImageStore, NamedContexts, StoredImage};
use crate::graph::images::Candidate;
use crate::graph::link::{LinkSettings, ParsedImage, link};
use crate::graph::naming::{NameOrigin, NamePart, NamingSettings};
use crate::graph::reference::Reference;
use crate::graph::units::Units;
use crate::graph::{Dependency, Graph};
use crate::inputs::gather::GatherRequest;
use crate::inputs::inheritance::without_ours;
use crate::inputs::{
    DependencyInputs, Externals, Identity, Inheritance, KEY_LABEL, PROOF_LABEL, gather,
};
use crate::state::{Digests, RepositoryState};

/// The platform of all builds.
pub(crate) fn platform() -> Platform {
    Platform::of("linux", "amd64", "")
}

/// A repository whose images are named `acme/shop-NAME`.
pub(crate) struct World {
    directory: TempDir,
    texts: Vec<(String, String)>,
    pub(crate) graph: Graph,
}

impl World {
    /// Returns a repository with Dockerfiles by the names of their images.
    pub(crate) fn new(dockerfiles: &[(&str, &str)]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let texts: Vec<(String, String)> =
            dockerfiles.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        for (name, _) in &texts {
            fs::create_dir_all(directory.path().join("docker").join(name)).unwrap();
        }
        World { graph: graph_of(&texts), directory, texts }
    }

    /// Changes a Dockerfile.
    pub(crate) fn edit(&mut self, name: &str, text: &str) {
        let (_, old) = self.texts.iter_mut().find(|(it, _)| it == name).unwrap();
        text.clone_into(old);
        self.graph = graph_of(&self.texts);
    }

    /// The ID of an image.
    pub(crate) fn id(&self, name: &str) -> ImageId {
        self.graph.find(name).unwrap()
    }

    /// The unit of an image.
    pub(crate) fn unit(&self, name: &str) -> UnitId {
        self.units().first_of(self.id(name))
    }

    /// The units of all images.
    pub(crate) fn units(&self) -> Units {
        Units::for_one(self.graph.images.len(), platform())
    }

    /// The planned units, in order.
    pub(crate) fn order(&self) -> Vec<UnitId> {
        self.units().of_all(self.graph.order())
    }

    /// Returns the freshness check of all images, with the current content of a store.
    pub(crate) fn freshness<'a>(&'a self, store: &'a Stub<'_>) -> FreshnessCheck<'a> {
        self.freshness_of(self.graph.order(), store)
    }

    /// Returns the freshness check of some images, with the current content of a store.
    pub(crate) fn freshness_of<'a>(
        &'a self,
        selected: &[ImageId],
        store: &'a Stub<'_>,
    ) -> FreshnessCheck<'a> {
        let graph = &self.graph;
        let mut externals: Externals = externals_of(graph, selected)
            .into_iter()
            .map(|id| {
                let stored = store.inspect(&graph.externals[id].familiar()).unwrap();
                (Dependency::External(id), describe_external(stored, &platform()))
            })
            .collect();
        let unselected_parents =
            inspect_unselected_parents(graph, selected, store, &mut externals).unwrap();
        let units = self.units();
        let gather_request = GatherRequest {
            root: self.directory.path(),
            graph,
            units: &units,
            externals: &externals,
            attestations: &Attestations::default(),
        };
        let own = gather(gather_request, &units.of_all(selected), &mut Digests::default());
        let state = RepositoryState::of(self.directory.path());
        FreshnessCheck {
            graph,
            store,
            own,
            externals,
            snapshot: read_snapshot(store).unwrap(),
            built: state.built(),
            state,
            unselected_parents,
            forced: [].into(),
            shared: None,
            loads: [].into(),
            remote_externals: [].into(),
            pinned: [].into(),
            contexts: NamedContexts::All,
            units,
            publishes_names: false,
        }
    }

    /// Builds an image on what the store has, as a run would. `content` is the content of its layer.
    pub(crate) fn build(&self, name: &str, content: &str, store: &Stub<'_>) -> ParentImage {
        let freshness = self.freshness(store);
        let parents = self.parents(name, store);
        let Some(Ok(own)) = &freshness.own[self.unit(name)] else {
            panic!("the inputs are readable")
        };
        let inputs = freshness.complete(own, &super::among(&parents)).inputs;
        let key = inputs.key();
        freshness.state.keep(name, &key, &inputs).unwrap();
        let image = &self.graph.images[self.id(name)];
        let base = image.base().map(|base| base.familiar());
        let below = base.as_ref().and_then(|base| store.image(base));
        let mut history: Vec<String> = match &below {
            Some(below) => {
                let entries = store.history(&below.id).unwrap().unwrap();
                entries.into_iter().map(|entry| entry.created_by).collect()
            }
            None => Vec::new(),
        };
        let below = below.unwrap_or_default();
        let inherited = Inheritance { history: Some(history.len()), ..Inheritance::of(&below) };
        let proof = proof(image, &image.evaluation, &key, &inherited).unwrap();
        let instructions = &image.file.stages.last().unwrap().instructions;
        history.extend(instructions.iter().map(|it| it.keyword.value.clone()));
        let mut labels = without_ours(&below.labels);
        labels.extend([(KEY_LABEL.to_owned(), key), (PROOF_LABEL.to_owned(), proof)]);
        let mut stored = stored(name, content);
        while store.image(&stored.id).is_some() {
            stored.id += "-again";
        }
        stored.diff_ids = [below.diff_ids, stored.diff_ids].concat();
        stored.references = image.references.iter().map(Reference::familiar).collect();
        stored.labels = labels;
        store.put(stored.clone(), &history);
        self.parent(name, &stored)
    }

    /// Returns an image of the repository as a parent.
    pub(crate) fn parent(&self, name: &str, stored: &StoredImage) -> ParentImage {
        let (image_id, identity) = (stored.id.clone(), Identity::of(stored));
        ParentImage { unit: self.unit(name), image_id, identity, remote: None }
    }

    /// Returns the parents of an image, as the store has them.
    pub(crate) fn parents(&self, name: &str, store: &Stub<'_>) -> Vec<ParentImage> {
        let parents = self.graph.parents_of(self.id(name)).into_iter();
        let parent = |parent: ImageId| {
            let image = &self.graph.images[parent];
            let stored = store.image(&image.references[0].familiar()).unwrap();
            self.parent(&image.name, &stored)
        };
        parents.map(parent).collect()
    }

    /// Returns the plan for all images, one line per image.
    pub(crate) fn plan(&self, freshness: &FreshnessCheck<'_>) -> Vec<String> {
        self.lines(&freshness.plan(&self.order()).unwrap())
    }

    /// Returns a plan as one line per image.
    pub(crate) fn lines(&self, plan: &Plan) -> Vec<String> {
        let line = |unit: &UnitId| {
            let verdict = plan.verdict(*unit).unwrap();
            let image = &self.graph.images[plan.units().image(*unit)];
            format!("{}: {}", image.name, describe(verdict))
        };
        plan.order().iter().map(line).collect()
    }
}

/// Returns the graph of some Dockerfiles.
fn graph_of(texts: &[(String, String)]) -> Graph {
    let read = texts.iter().map(|(name, text)| {
        let path = RelPath::new(&format!("docker/{name}/Dockerfile")).unwrap();
        let file = crate::parse::parse(&Source::new(path.clone(), text.clone()));
        ParsedImage { candidate: Candidate::new(name, path), file }
    });
    let part = |value: &str| Some(NamePart { value: value.into(), origin: NameOrigin::Directory });
    let naming =
        NamingSettings { namespace: part("acme"), app: part("shop"), ..NamingSettings::default() };
    let settings = LinkSettings { build_platform: platform(), ..LinkSettings::default() };
    link(read.collect(), &naming, &settings).0
}

/// Returns an image in a store with one layer. Its ID consists of its name and content.
pub(crate) fn stored(name: &str, content: &str) -> StoredImage {
    StoredImage {
        id: format!("sha256:{name}-{content}"),
        platform: platform(),
        diff_ids: vec![format!("sha256:layer-{content}")],
        config: json!({"Env": [format!("OF={name}")]}),
        ..StoredImage::default()
    }
}

/// Returns an image that the repository does not build, under a reference.
pub(crate) fn external(reference: &str, content: &str) -> StoredImage {
    let references = vec![reference.to_owned()];
    StoredImage { references, ..stored("external", content) }
}

/// Returns the dependencies of an image, in the order of its inputs.
pub(crate) fn parents_of(
    freshness: &FreshnessCheck<'_>,
    unit: UnitId,
) -> Vec<(DependencyInputs, Dependency<UnitId>)> {
    let Some(Ok(own)) = &freshness.own[unit] else { panic!("the inputs are readable") };
    own.named_dependencies().map(|(dependency, named)| (dependency.clone(), named.of)).collect()
}

/// Formats a verdict on one line.
pub(crate) fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fresh { image_id, lost, registry } => {
            let mut line = format!("fresh {image_id}");
            if !lost.is_empty() {
                line += &format!(" lost {}", lost.join(" "));
            }
            if let Some(registry) = registry {
                line += &format!(" at {registry}");
            }
            line
        }
        Verdict::Build { reason } => format!("build {}", describe_reason(reason)),
        Verdict::Waits { on } => format!("waits {}", on.join(" ")),
    }
}

/// Formats a reason on one line: its name, then the names of the changes or the reference.
pub(crate) fn describe_reason(reason: &Reason) -> String {
    let value = serde_json::to_value(reason).unwrap();
    let changes = value["changes"].as_array().into_iter().flatten();
    let changes = changes.map(|change| &change["change"]);
    let words = [&value["reason"], &value["reference"], &value["message"]].into_iter();
    let words: Vec<&str> = words.chain(changes).filter_map(Value::as_str).collect();
    words.join(" ")
}
