//! Graphs from names and needs, and their pipelines as text.

use std::collections::BTreeMap;

use layers::base::{RelPath, Rule, Source};
use layers::engine::Attestations;
use layers::export::ci::Pipeline;
use layers::export::ci::github::{self, Github};
use layers::export::ci::gitlab::{self, Gitlab};
use layers::export::{Recipe, View};
use layers::graph::Graph;
use layers::graph::images::Candidate;
use layers::graph::link::{Read, Wanted, link};
use layers::graph::naming::{Origin, Pattern, Wishes};
use layers::parse::parse;

/// A graph of images with these names, each of which needs those of the numbers beside it.
pub fn graph(images: &[(String, Vec<usize>)]) -> Graph {
    let read = images.iter().enumerate().map(|(number, (name, needs))| {
        let mut text = "FROM scratch\n".to_owned();
        for need in needs {
            text.push_str(&format!("COPY --from=acme/shop-i{need} /a /a\n"));
        }
        let dockerfile = RelPath::new(&format!("docker/i{number}/Dockerfile")).unwrap();
        let mut candidate = Candidate::new(name.as_str(), dockerfile.clone());
        candidate.references = vec![Pattern {
            text: format!("acme/shop-i{number}"),
            origin: Origin::CommandLine("--app"),
            spot: None,
            has_version: false,
        }];
        Read { candidate, file: parse(&Source::new(dockerfile, text)) }
    });
    let mut read: Vec<Read> = read.collect();
    read.sort_by(|one, other| one.candidate.name.cmp(&other.candidate.name));
    let wishes = Wishes { folder: "shop".to_owned(), ..Wishes::default() };
    let wanted = Wanted { build_platform: "linux/amd64".parse().unwrap(), ..Wanted::default() };
    let (graph, problems) = link(read, &wishes, &wanted);
    // Names with invisible characters are refused before anything is drawn; the drawing must not rely on it.
    let other = problems.iter().find(|problem| problem.rule != Rule::InvalidName);
    assert!(other.is_none(), "{other:?}");
    graph
}

/// Plain names for as many images as there are lists of needs.
pub fn numbered(needs: Vec<Vec<usize>>) -> Graph {
    let named = needs.into_iter().enumerate();
    graph(&named.map(|(number, needs)| (format!("i{number}"), needs)).collect::<Vec<_>>())
}

/// What each image needs, by names.
pub fn needs_of(graph: &Graph) -> BTreeMap<String, Vec<String>> {
    let name = |id| graph.images[id].name.clone();
    let ids = graph.images.ids();
    ids.map(|id| (name(id), graph.parents_of(id).into_iter().map(name).collect())).collect()
}

/// What is said beside the graph.
pub struct Said<'a> {
    pub packed: bool,
    pub registry: Option<&'a str>,
}

/// A workflow of one job for each image, without a registry.
pub const PLAIN: Said<'static> = Said { packed: false, registry: None };

/// The same, packed.
pub const PACKED: Said<'static> = Said { packed: true, registry: None };

pub fn github(graph: &Graph, said: &Said<'_>) -> anyhow::Result<String> {
    with_pipeline(said, |pipeline| {
        let branches = ["main".to_owned()];
        let github = Github {
            uses: "acme/layers@v1",
            runs_on: "ubuntu-latest",
            branches: &branches,
            packed: said.packed,
        };
        github::draw(&View::whole(graph), pipeline, &github)
    })
}

pub fn gitlab(graph: &Graph, said: &Said<'_>) -> anyhow::Result<String> {
    with_pipeline(said, |pipeline| {
        gitlab::draw(&View::whole(graph), pipeline, &Gitlab { image: "docker:28" })
    })
}

fn with_pipeline<T>(said: &Said<'_>, draw: impl FnOnce(&Pipeline<'_>) -> T) -> T {
    let (secrets, attestations) = (BTreeMap::new(), Attestations::default());
    let recipe = Recipe {
        attestations: &attestations,
        command: "layers ci".to_owned(),
        platform: None,
        secrets: &secrets,
        ssh: Vec::new(),
    };
    let registry = said.registry.map(str::to_owned);
    draw(&Pipeline { recipe, options: Vec::new(), allow: BTreeMap::new(), registry })
}
