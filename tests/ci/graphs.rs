//! Graphs from names and edges, and their pipelines as text.

use std::collections::BTreeMap;

use layers::base::{RelPath, Rule, Source};
use layers::engine::Attestations;
use layers::export::ci::Pipeline;
use layers::export::ci::github::{self, Github};
use layers::export::ci::gitlab::{self, Gitlab};
use layers::export::{Recipe, View};
use layers::graph::Graph;
use layers::graph::images::Candidate;
use layers::graph::link::{LinkSettings, ParsedImage, link};
use layers::graph::naming::{NameOrigin, NamingSettings, ReferencePattern};
use layers::parse::parse;

/// Returns a graph of images with these names and the numbers of their parents.
pub fn graph(images: &[(String, Vec<usize>)]) -> Graph {
    let read = images.iter().enumerate().map(|(number, (name, needs))| {
        let mut text = "FROM scratch\n".to_owned();
        for need in needs {
            text.push_str(&format!("COPY --from=acme/shop-i{need} /a /a\n"));
        }
        let dockerfile = RelPath::new(&format!("docker/i{number}/Dockerfile")).unwrap();
        let mut candidate = Candidate::new(name.as_str(), dockerfile.clone());
        candidate.references = vec![ReferencePattern {
            text: format!("acme/shop-i{number}"),
            origin: NameOrigin::CommandLine("--app"),
            spot: None,
            has_version: false,
        }];
        ParsedImage { candidate, file: parse(&Source::new(dockerfile, text)) }
    });
    let mut read: Vec<ParsedImage> = read.collect();
    read.sort_by(|one, other| one.candidate.name.cmp(&other.candidate.name));
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let settings =
        LinkSettings { build_platform: "linux/amd64".parse().unwrap(), ..LinkSettings::default() };
    let (graph, problems) = link(read, &naming, &settings);
    // Names with invisible characters are rejected before anything is drawn, but the drawing must not rely on
    // that.
    let other = problems.iter().find(|problem| problem.rule != Rule::InvalidName);
    assert!(other.is_none(), "{other:?}");
    graph
}

/// Returns a graph of images with simple names and these parents.
pub fn numbered(needs: Vec<Vec<usize>>) -> Graph {
    let named = needs.into_iter().enumerate();
    graph(&named.map(|(number, needs)| (format!("i{number}"), needs)).collect::<Vec<_>>())
}

/// Returns the names of each image's parents.
pub fn needs_of(graph: &Graph) -> BTreeMap<String, Vec<String>> {
    let name = |id| graph.images[id].name.clone();
    let ids = graph.images.ids();
    ids.map(|id| (name(id), graph.parents_of(id).into_iter().map(name).collect())).collect()
}

/// The options of a pipeline.
pub struct PipelineOptions<'a> {
    pub packed: bool,
    pub registry: Option<&'a str>,
}

/// A workflow with one job per image, without a registry.
pub const PLAIN: PipelineOptions<'static> = PipelineOptions { packed: false, registry: None };

/// The same workflow, packed.
pub const PACKED: PipelineOptions<'static> = PipelineOptions { packed: true, registry: None };

pub fn github(graph: &Graph, printed: &PipelineOptions<'_>) -> anyhow::Result<String> {
    with_pipeline(printed, |pipeline| {
        let branches = ["main".to_owned()];
        let github = Github {
            uses: "acme/layers@v1",
            runs_on: "ubuntu-latest",
            branches: &branches,
            packed: printed.packed,
        };
        github::draw(&View::new(graph), pipeline, &github)
    })
}

pub fn gitlab(graph: &Graph, printed: &PipelineOptions<'_>) -> anyhow::Result<String> {
    with_pipeline(printed, |pipeline| {
        gitlab::draw(&View::new(graph), pipeline, &Gitlab { image: "docker:28" })
    })
}

fn with_pipeline<T>(printed: &PipelineOptions<'_>, draw: impl FnOnce(&Pipeline<'_>) -> T) -> T {
    let (secrets, attestations) = (BTreeMap::new(), Attestations::default());
    let recipe = Recipe {
        attestations: &attestations,
        left_out: Vec::new(),
        command: "layers ci".to_owned(),
        platform: None,
        secrets: &secrets,
        ssh: Vec::new(),
    };
    let registry = printed.registry.map(str::to_owned);
    draw(&Pipeline {
        recipe,
        options: Vec::new(),
        allow: BTreeMap::new(),
        registry,
        has_ref_versions: true,
    })
}
