//! Links several Dockerfiles and draws the graph. Checks that nothing panics, that every dependency is an edge or an
//! external, that the order is topological, that the JSON is valid, and that all diagnostics can be drawn.
//!
//! The input is the Dockerfiles of the images `a`, `b`, `c`, …, separated by NUL.

#![no_main]

use layers::base::{Id, RelPath, Rule, Source};
use layers::export::{View, dot, lock, mermaid, tree};
use layers::graph::images::Candidate;
use layers::graph::link::{LinkSettings, ParsedImage, link};
use layers::graph::naming::NamingSettings;
use layers::graph::{Graph, locate};
use layers::report::diagnostics;
use layers::report::paint::Paint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let images = input.split('\0').zip('a'..='z').map(parsed_image).collect();
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let platform = "linux/amd64".parse().unwrap();
    let settings = LinkSettings { build_platform: platform, ..LinkSettings::default() };
    let (graph, problems) = link(images, &naming, &settings);
    for image in graph.images.values() {
        let edges = image.parents.len() + image.externals.len();
        assert_eq!(edges, image.evaluation.dependencies.len(), "edges and externals");
        image.parents.iter().for_each(|edge| drop(edge.location()));
        image.externals.iter().for_each(|external| drop(external.location()));
        for stage in &image.file.stages {
            for instruction in &stage.instructions {
                let name = stage.name.as_ref().map(|name| name.value.as_str());
                locate::find_step(&image.file, name, 2, &instruction.text);
            }
        }
    }
    check_order(&graph, problems.iter().any(|problem| problem.rule == Rule::Cycle));
    let view = View::whole(&graph);
    let text = lock::draw(&view);
    let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    assert_eq!(value["images"].as_array().map(Vec::len), Some(graph.images.len()));
    tree::draw(&view, &tree::plain);
    dot::draw(&view);
    mermaid::draw(&view);
    diagnostics::draw(&problems, Paint::plain());
});

fn parsed_image((text, name): (&str, char)) -> ParsedImage {
    let dockerfile = RelPath::new(&format!("docker/{name}/Dockerfile")).expect("a path");
    let candidate = Candidate::new(name, dockerfile.clone());
    ParsedImage { candidate, file: layers::parse::parse(&Source::new(dockerfile, text)) }
}

/// Checks that the order contains each image once, after its dependencies.
fn check_order(graph: &Graph, has_cycle: bool) {
    assert_eq!(graph.order().is_empty(), has_cycle || graph.images.is_empty());
    let mut seen = vec![false; graph.images.len()];
    for image in graph.order() {
        for parent in graph.parents_of(*image) {
            assert!(seen[parent.index()], "a parent is before its children");
        }
        assert!(!std::mem::replace(&mut seen[image.index()], true), "no image is repeated");
    }
    assert!(has_cycle || seen.iter().all(|seen| *seen), "all images are in the order");
}
