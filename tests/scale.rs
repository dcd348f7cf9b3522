//! Large inputs: deep chains, huge files, many images. benches/ measures their cost. Here, they only have to
//! end with the right result.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

use std::collections::BTreeSet;

use layers::base::{Diagnostic, RelPath, Rule, Source, UnitId};
use layers::export::{View, dot, lock, mermaid, tree};
use layers::graph::images::Candidate;
use layers::graph::link::{LinkSettings, ParsedImage, link};
use layers::graph::naming::{NameOrigin, NamingSettings, ReferencePattern};
use layers::graph::units::Units;
use layers::graph::{Graph, select};
use layers::inputs::gather::{GatherRequest, gather};
use layers::parse::parse;
use layers::report::diagnostics;
use layers::report::paint::Paint;
use layers::state::Digests;

/// Links this number of images. `text` returns the Dockerfile of an image number.
fn build(count: usize, text: impl Fn(usize) -> String) -> (Graph, Vec<Diagnostic>) {
    link_all((0..count).map(|number| read(number, text(number))).collect())
}

fn link_all(read: Vec<ParsedImage>) -> (Graph, Vec<Diagnostic>) {
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let settings =
        LinkSettings { build_platform: "linux/amd64".parse().unwrap(), ..LinkSettings::default() };
    link(read, &naming, &settings)
}

fn read(number: usize, text: String) -> ParsedImage {
    let name = name(number);
    let dockerfile = RelPath::new(&format!("docker/{name}/Dockerfile")).unwrap();
    let candidate = Candidate::new(name, dockerfile.clone());
    ParsedImage { candidate, file: parse(&Source::new(dockerfile, text)) }
}

fn name(number: usize) -> String {
    format!("i{number:05}")
}

#[test]
fn a_chain_of_ten_thousand_images_is_linked_and_drawn() {
    const COUNT: usize = 10_000;
    let (graph, problems) = build(COUNT, |number| match number.checked_sub(1) {
        None => "FROM debian\nONBUILD COPY conf /conf\n".to_owned(),
        Some(below) => format!("FROM acme/shop-{}\nRUN true\n", name(below)),
    });
    assert!(problems.is_empty(), "{:?}", problems.first());
    assert!(graph.order().iter().copied().eq(graph.images.ids()));
    let last = graph.find(&name(COUNT - 1)).unwrap();
    assert_eq!(select::with_needs(&graph, &[last]).len(), COUNT);
    let text = tree::draw(&View::new(&graph), &tree::plain);
    // Each image has a line, and lines do not grow with the chain.
    assert!(text.lines().count() >= COUNT);
    assert!(text.lines().all(|line| line.chars().count() < 250));
    let drawn: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches(['└', '─', ' ']).split("  ").next())
        .collect();
    assert!(graph.images.values().all(|image| drawn.contains(image.name.as_str())));
    assert!(lock::draw(&View::new(&graph)).contains("\"image\": \"i09998\""));
    assert!(dot::draw(&View::new(&graph)).contains("\"i09998\" -> \"i09999\""));
    assert!(mermaid::draw(&View::new(&graph)).contains("i9998 --> i9999"));
}

#[test]
fn a_cycle_of_ten_thousand_images_is_reported() {
    const COUNT: usize = 10_000;
    let (graph, problems) =
        build(COUNT, |number| format!("FROM acme/shop-{}\n", name((number + 1) % COUNT)));
    assert!(graph.order().is_empty());
    let [problem] = problems.as_slice() else { panic!("{} problems", problems.len()) };
    assert_eq!((problem.rule, problem.labels.len()), (Rule::Cycle, COUNT));
}

#[test]
fn ten_thousand_images_are_linked() {
    let (graph, problems) = build(10_000, |number| match number % 20 {
        0 => "ARG V=1\nFROM debian:$V\n".to_owned(),
        at @ 1..=3 => format!("FROM acme/shop-{} AS a\nRUN true\n", name(number - at)),
        at => format!(
            "FROM acme/shop-{}\nCOPY --from=acme/shop-{} /a /b\n",
            name(number - at),
            name(number - at + 1)
        ),
    });
    assert!(problems.is_empty(), "{:?}", problems.first());
    let edges: usize = graph.images.values().map(|image| image.parents.len()).sum();
    let externals: usize = graph.images.values().map(|image| image.externals.len()).sum();
    assert_eq!((edges, externals), (500 * (3 + 16 * 2), 500));
    assert_eq!(graph.order().len(), 10_000);
    // Every drawing ends, and none takes quadratic time.
    assert_eq!(tree::draw(&View::new(&graph), &tree::plain).lines().count(), 10_000);
    let lock: serde_json::Value = serde_json::from_str(&lock::draw(&View::new(&graph))).unwrap();
    assert_eq!(lock["images"].as_array().unwrap().len(), 10_000);
}

#[test]
fn ten_thousand_tags_of_one_repository_are_linked() {
    // If the tag is the name, all images are in one repository.
    let read = (0..10_000).map(|number| {
        let text = match number {
            0 => "FROM debian\n".to_owned(),
            5_000 => "FROM acme/shop:other\n".to_owned(),
            number => format!("FROM acme/shop:{}\n", name(number / 2)),
        };
        let mut read = read(number, text);
        read.candidate.references = vec![ReferencePattern {
            text: format!("acme/shop:{}", name(number)),
            origin: NameOrigin::CommandLine("--app"),
            spot: None,
            has_version: false,
        }];
        read
    });
    let (graph, problems) = link_all(read.collect());
    let [problem] = problems.as_slice() else { panic!("{:?}", problems.first()) };
    // One message does not list ten thousand tags.
    assert!(problem.rule == Rule::SiblingTag && problem.notes[0].len() < 200, "{problem:?}");
    let edges: usize = graph.images.values().map(|image| image.parents.len()).sum();
    assert_eq!(edges, 9_998);
}

#[test]
fn a_one_megabyte_dockerfile_is_read() {
    let mut text = String::from("FROM debian AS s0\n");
    let mut stages = 1;
    while text.len() < 1_000_000 {
        let below = stages - 1;
        text.push_str(&format!("FROM s{below} AS s{stages}\nARG V{stages}=${{V{below}:-x}}\n"));
        text.push_str(&format!("COPY --from=s{below} /a /b\nENV E{stages}=\"$E{below}\"\n"));
        text.push_str("RUN true \\\n    # a comment within\n    && true\n");
        text.push_str("RUN <<END\necho \"$HOME\"\nEND\n");
        stages += 1;
    }
    let (graph, problems) = build(1, |_| text.clone());
    assert!(problems.is_empty(), "{:?}", problems.first());
    let image = &graph.images.values().next().unwrap();
    assert_eq!(image.evaluation.stages.len(), stages);
    assert!(image.evaluation.stages.iter().all(|stage| stage.reached));
    assert_eq!(image.externals.len(), 1);
}

#[test]
fn extreme_repetition_of_any_construct_is_handled() {
    let check = |name: &str, text: String| {
        let (graph, problems) = build(1, |_| text.clone());
        drop((lock::draw(&View::new(&graph)), problems));
        assert_eq!(graph.images.len(), 1, "{name}");
    };
    check("comments", "# x\n".repeat(250_000));
    check("blank lines", "\n".repeat(1_000_000));
    check("stages", "FROM a\n".repeat(70_000));
    check("stages of one name", "FROM a AS a\n".repeat(40_000));
    check("mistakes", "X\n".repeat(50_000));
    check("a continuation", format!("FROM a\nRUN true{}", " \\\n&& a".repeat(140_000)));
    check("pairs", format!("FROM a\nENV{}\n", " A=b \\\n".repeat(140_000)));
    check("variables", format!("FROM a\nENV A={}\n", "${A:-b} \\\n".repeat(100_000)));
    check("open braces", format!("FROM a\nENV A={}\n", "${A:-".repeat(10_000)));
    check("brackets", format!("FROM a\nCMD {}\n", "[".repeat(60_000)));
    check("here-documents", format!("FROM a\n{}", "RUN <<A\nx\nA\n".repeat(80_000)));
    check("openings", format!("FROM a\nRUN {}\n", "<<A ".repeat(16_000)));
    check("unclosed openings", format!("FROM a\n{}", "RUN <<A\n".repeat(120_000)));
    check(
        "mounts",
        format!("FROM a\nRUN {} true\n", "--mount=type=cache,target=/a ".repeat(2_000)),
    );
    check("sources", format!("FROM a\nCOPY {} /\n", "a ".repeat(30_000)));
    check("exposed ports", format!("FROM a\n{}", "EXPOSE 1\n".repeat(110_000)));
}

#[test]
fn twenty_thousand_stages_of_one_name_are_inputs() {
    const COUNT: usize = 20_000;
    let (graph, problems) =
        build(1, |_| format!("FROM debian AS a\n{}", "FROM a AS a\nRUN true\n".repeat(COUNT)));
    // Each stage after the first one is reported with the first one.
    assert_eq!(problems.len(), COUNT);
    let is_first =
        |problem: &Diagnostic| problem.labels[1].span.range().start == "FROM debian AS ".len();
    assert!(
        problems.iter().all(|problem| problem.rule == Rule::DuplicateStage && is_first(problem))
    );
    let directory = tempfile::tempdir().unwrap();
    let units = Units::for_one(1, "linux/amd64".parse().unwrap());
    let request = GatherRequest {
        root: directory.path(),
        graph: &graph,
        units: &units,
        externals: &std::collections::BTreeMap::new(),
        attestations: &layers::engine::Attestations::default(),
    };
    std::fs::create_dir_all(directory.path().join("docker/i00000")).unwrap();
    let mut own = gather(request, &[UnitId(0)], &mut Digests::default());
    let own = own[UnitId(0)].take().unwrap().unwrap();
    assert_eq!(own.inputs.stages.len(), COUNT + 1);
}

#[test]
fn problems_with_labels_far_apart_are_drawn() {
    const COUNT: usize = 10_000;
    let names = (0..COUNT).map(|number| format!("FROM debian AS s{number}\n")).collect::<String>();
    let (_, problems) = build(1, |_| names.repeat(2));
    assert_eq!(problems.len(), COUNT);
    let text = diagnostics::draw(&problems, Paint::plain());
    // Both lines are shown, and none between them.
    assert_eq!(text.matches("FROM debian AS ").count(), 2 * COUNT);
    assert!(!text.contains("..."));
}
