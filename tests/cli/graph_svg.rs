//! `layers graph --svg`: the elements of the picture and their positions.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};

use crate::harness::Project;

/// A box: left, top, right, bottom.
type Area = [f64; 4];

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// Returns the nodes of a picture by name. Names of externals start with `!`.
fn boxes(picture: &Document<'_>) -> BTreeMap<String, Area> {
    let mut boxes = BTreeMap::new();
    for group in picture.descendants() {
        let external = group.attribute("data-external").map(|name| format!("!{name}"));
        let Some(name) = group.attribute("data-image").map(str::to_owned).or(external) else {
            continue;
        };
        let rect = group.children().find(|it| it.has_tag_name("rect")).unwrap();
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|it| number(rect, it));
        assert!(boxes.insert(name, [x, y, x + width, y + height]).is_none(), "drawn twice");
    }
    boxes
}

/// Returns the lines: from, to, and the first and last point.
fn lines(picture: &Document<'_>) -> Vec<(String, String, [f64; 4])> {
    let needs = picture.descendants().filter(|it| it.has_attribute("data-from"));
    let lines = needs.map(|need| {
        let path = need.children().find(|it| it.has_tag_name("path")).unwrap();
        let d = path.attribute("d").unwrap();
        let numbers: Vec<f64> = d
            .split([' ', 'M', 'C', 'H'])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        let len = numbers.len();
        // `H` has no row: the previous one applies.
        let end = match d.rfind('H') > d.rfind('C') {
            true => [numbers[len - 1], numbers[len - 2]],
            false => [numbers[len - 2], numbers[len - 1]],
        };
        let name = |of: &str| need.attribute(of).unwrap().to_owned();
        (name("data-from"), name("data-to"), [numbers[0], numbers[1], end[0], end[1]])
    });
    lines.collect()
}

/// Checks a whole picture: it is well-formed, boxes do not overlap and are inside the picture, and lines
/// connect their boxes.
fn check(svg: &str) -> BTreeMap<String, Area> {
    let picture = Document::parse(svg).unwrap();
    let root = picture.root_element();
    let boxes = boxes(&picture);
    let size = [number(root, "width"), number(root, "height")];
    let all: Vec<_> = boxes.iter().collect();
    for (at, (name, area)) in all.iter().enumerate() {
        assert!(area[0] >= 0.0 && area[1] >= 0.0, "{name}");
        assert!(area[2] <= size[0] && area[3] <= size[1], "{name}");
        for (other, its) in &all[at + 1..] {
            let apart =
                area[2] <= its[0] || its[2] <= area[0] || area[3] <= its[1] || its[3] <= area[1];
            assert!(apart, "{name} lies on {other}: {area:?} {its:?}");
        }
    }
    let near = |one: f64, other: f64| (one - other).abs() <= 0.2;
    for (from, to, [x, y, end_x, end_y]) in lines(&picture) {
        let parent = boxes.get(&from).unwrap_or_else(|| &boxes[&format!("!{from}")]);
        let child = &boxes[&to];
        assert!(near(x, parent[2]) && y > parent[1] && y < parent[3], "{from} to {to}");
        assert!(near(end_x, child[0]) && end_y > child[1] && end_y < child[3], "{from} to {to}");
    }
    boxes
}

#[test]
fn the_svg_shows_every_image_and_every_edge_once() {
    let svg = Project::shop().run("graph --svg").code(0).stderr("").out();
    let boxes = check(&svg);
    let names: Vec<&str> = boxes.keys().map(String::as_str).collect();
    assert_eq!(names, ["!debian:bookworm-slim", "agent", "base", "builder", "dev", "release"]);
    let picture = Document::parse(&svg).unwrap();
    let joined: BTreeSet<(String, String)> =
        lines(&picture).into_iter().map(|(from, to, _)| (from, to)).collect();
    let expected = [
        ("base", "builder"),
        ("base", "release"),
        ("builder", "dev"),
        ("builder", "release"),
        ("debian:bookworm-slim", "agent"),
        ("debian:bookworm-slim", "base"),
    ];
    assert_eq!(joined, expected.map(|(from, to)| (from.to_owned(), to.to_owned())).into());
    assert_eq!(lines(&picture).len(), expected.len());
}

#[test]
fn the_svg_contains_source_locations_as_titles() {
    let svg = Project::shop().run("graph --svg").code(0).out();
    let picture = Document::parse(&svg).unwrap();
    let titles: Vec<&str> = picture
        .descendants()
        .filter(|it| it.has_tag_name("title"))
        .filter_map(|it| it.text())
        .collect();
    assert!(titles.contains(&"docker/base/Dockerfile\nacme/shop-base:latest"), "{titles:?}");
    let need = "release depends on builder\ncopy at docker/release/Dockerfile:2:13";
    assert!(titles.contains(&need), "{titles:?}");
    let root = picture.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    let described = picture.descendants().find(|it| it.has_tag_name("desc")).unwrap().text();
    assert_eq!(described, Some("5 images and 1 external image, connected by 6 edges"));
    let labels: Vec<&str> = picture
        .descendants()
        .filter(|it| it.attribute("class") == Some("need copy"))
        .flat_map(|need| need.children().filter(|it| it.has_tag_name("text")))
        .filter_map(|it| it.text())
        .collect();
    assert_eq!(labels, ["copy"]);
}

#[test]
fn edges_of_several_kinds_share_one_line_and_text_is_escaped() {
    let project = Project::new()
        .file(
            "layers.toml",
            "[image.\"a<b>&\"]\ndockerfile = 'x/Dockerfile'\nreference = 'acme/x'\n",
        )
        .file("x/Dockerfile", "FROM acme/shop-base\nCOPY --from=acme/shop-base /a /b\n")
        .dockerfile("base", "FROM scratch\n");
    let svg = project.run("graph --svg").code(0).out();
    assert!(check(&svg).contains_key("a<b>&"), "{svg}");
    let picture = Document::parse(&svg).unwrap();
    let need = picture.descendants().find(|it| it.has_attribute("data-from")).unwrap();
    assert_eq!(lines(&picture).len(), 1);
    assert_eq!(need.attribute("class"), Some("need from"));
    let label = need.children().find(|it| it.has_tag_name("text")).unwrap();
    assert_eq!(label.text(), Some("copy"));
}

#[test]
fn a_large_graph_is_drawn_without_overlaps_and_deterministically() {
    let mut project = Project::new();
    for at in 0..150_usize {
        let mut text = match at {
            0..5 => format!("FROM debian:{at}\n"),
            _ => format!("FROM acme/shop-i{}\n", at * 7 % at.min(40)),
        };
        if at > 10 {
            text.push_str(&format!("COPY --from=acme/shop-i{} /a /a\n", at * 31 % at));
            text.push_str(&format!("RUN --mount=from=acme/shop-i{},target=/x true\n", at / 2));
        }
        project = project.dockerfile(&format!("i{at}"), &text);
    }
    let svg = project.run("graph --svg").code(0).out();
    assert_eq!(check(&svg).len(), 155);
    project.run("graph --output g.svg").code(0);
    assert_eq!(project.read("g.svg"), svg);
    project.run("graph --check --output g.svg").code(0).stdout("").stderr("");
}

#[test]
fn verdicts_are_labeled_boxes_with_a_legend() {
    let project = Project::shop().script("{}");
    let svg = project.run("graph --svg --color-by verdict --engine fake").code(0).out();
    check(&svg);
    let picture = Document::parse(&svg).unwrap();
    let words: Vec<&str> = picture
        .descendants()
        .filter(|it| it.attribute("class") == Some("word"))
        .filter_map(|it| it.text())
        .collect();
    assert_eq!(words, ["build"; 5]);
    let legend = picture.descendants().find(|it| it.attribute("class") == Some("legend")).unwrap();
    let texts: Vec<&str> = legend
        .descendants()
        .filter(|it| it.has_tag_name("text"))
        .filter_map(|it| it.text())
        .collect();
    assert_eq!(texts, ["verdict", "fresh", "build", "waits"]);
    let style = picture.descendants().find(|it| it.has_tag_name("style")).unwrap();
    let style = style.text().unwrap();
    for class in ["good", "careful", "waiting"] {
        assert!(style.contains(&format!(".layers .image.{class} rect")), "{style}");
    }
    assert!(style.contains("@media (prefers-color-scheme: dark)"));
}
