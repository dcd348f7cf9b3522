//! Several Dockerfiles go all the way to the drawings: nothing panics, every need becomes an edge
//! or an external, the order is one, the JSON is valid, and all diagnostics can be drawn.
//!
//! The input is the Dockerfiles of the images `a`, `b`, `c`, …, with a NUL between them.

#![no_main]


use layers::base::{RelPath, Rule, Source};
use layers::export::{View, dot, lock, mermaid, tree};
use layers::graph::images::Candidate;
use layers::graph::link::{ParsedImage, LinkSettings, link};
use layers::graph::naming::NamingSettings;
use layers::graph::{Graph, locate};
use layers::report::diagnostics;
use layers::report::paint::Paint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let read = input.split('\0').zip('a'..='z').map(|(text, name)| read(name, text)).collect();
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let wanted = LinkSettings { build_platform: "linux/amd64".parse().unwrap(), ..LinkSettings::default() };
    let (graph, problems) = link(read, &naming, &wanted);
    for image in graph.images.values() {
        let edges = image.parents.len() + image.externals.len();
        assert_eq!(edges, image.evaluation.dependencies.len(), "a need is an edge or an external");
        image.parents.iter().for_each(|edge| drop(edge.place()));
        image.externals.iter().for_each(|external| drop(external.place()));
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
    tree::draw(&view);
    dot::draw(&view);
    mermaid::draw(&view);
    diagnostics::draw(&problems, Paint::plain());
});

fn read(name: char, text: &str) -> ParsedImage {
    let dockerfile = RelPath::new(&format!("docker/{name}/Dockerfile")).expect("a path");
    let candidate = Candidate::new(name, dockerfile.clone());
    ParsedImage { candidate, file: layers::parse::parse(&Source::new(dockerfile, text)) }
}

/// The order holds each image once, after all that it needs.
fn check_order(graph: &Graph, has_cycle: bool) {
    assert_eq!(graph.order().is_empty(), has_cycle || graph.images.is_empty());
    let mut seen = vec![false; graph.images.len()];
    for image in graph.order() {
        for parent in graph.parents_of(*image) {
            assert!(seen[parent.index()], "a parent comes first");
        }
        assert!(!std::mem::replace(&mut seen[image.index()], true), "each image comes once");
    }
    assert!(has_cycle || seen.iter().all(|seen| *seen), "all images come");
}
