//! `layers graph` with a part of the graph, without implied edges, and with marks.

#![expect(clippy::disallowed_methods, reason = "a test needs a pipe")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::Project;

/// `O_NONBLOCK` on Linux.
const NONBLOCK: i32 = 0o4000;

/// base ← builder ← dev, release on base and builder, agent alone; all are based on one external.
fn tools() -> Project {
    Project::shop().dockerfile("tools", "FROM debian:bookworm-slim\n").dockerfile(
        "dev",
        "FROM acme/shop-builder:latest\nCOPY --from=acme/shop-tools /a /a\n\
         COPY --from=acme/shop-base /a /a\nCOPY --from=debian:bookworm-slim /b /b\n",
    )
}

#[test]
fn a_focus_shows_the_dependencies_and_dependents_of_an_image() {
    let project = tools();
    let check = |focus: &str, expected: &[&str]| {
        let json = project.run(&format!("graph --json {focus}")).code(0).stderr("").out();
        let graph: serde_json::Value = serde_json::from_str(&json).unwrap();
        let images = graph["images"].as_array().unwrap();
        let names: Vec<&str> = images.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{focus}");
        for parent in images.iter().flat_map(|it| it["parents"].as_array().unwrap()) {
            assert!(names.contains(&parent["image"].as_str().unwrap()), "{focus}");
        }
    };
    check("--focus builder", &["base", "builder", "dev", "release"]);
    check("--focus +builder", &["base", "builder"]);
    check("--focus builder+", &["builder", "dev", "release"]);
    check("--focus docker/tools", &["dev", "tools"]);
    check("--focus agent --focus t*", &["agent", "dev", "tools"]);
    project
        .run("graph --focus bulider")
        .code(2)
        .stderr("error: image `bulider` not found\nhint: did you mean `builder`?\n");
}

#[test]
fn reduce_omits_edges_implied_by_longer_paths() {
    let project = tools();
    project.run("graph --dot --reduce").code(0).stderr("").stdout(
        r#"digraph layers {
  rankdir=LR;
  node [shape=box, style=rounded, fontname="Helvetica"];
  edge [fontname="Helvetica", fontsize=10];
  "agent";
  "base";
  "builder";
  "dev";
  "release";
  "tools";
  subgraph externals {
    rank=source;
    node [shape=plaintext, style="", fontcolor=gray40];
    "external debian:bookworm-slim" [label="debian:bookworm-slim"];
  }
  "external debian:bookworm-slim" -> "agent" [style=solid, color=gray60];
  "external debian:bookworm-slim" -> "base" [style=solid, color=gray60];
  "base" -> "builder" [style=solid];
  "builder" -> "dev" [style=solid];
  "tools" -> "dev" [style=dashed, label="copy"];
  "builder" -> "release" [style=dashed, label="copy"];
  "external debian:bookworm-slim" -> "tools" [style=solid, color=gray60];
}
"#,
    );
    // Images outside of the focus do not imply edges.
    let near = project.run("graph --mermaid --reduce --focus base --focus dev").code(0).out();
    assert!(!near.contains("agent"), "{near}");
}

#[test]
fn check_uses_the_same_options_as_the_written_graph() {
    let project = tools();
    project.run("graph --focus dev --reduce --output dev.json").code(0);
    project
        .run("graph --focus dev --reduce --check --output dev.json")
        .code(0)
        .stdout("")
        .stderr("");
    let printed = project.run("graph --focus dev --check --output dev.json").code(1);
    assert_eq!(
        printed.err(),
        "`dev.json` is out of date\nhint: layers graph --focus dev --output dev.json\n"
    );
    project.run("graph --svg --focus 'dev-*' --check --output x").code(2);
    project
        .run("graph --svg --focus d* --check --output x.svg")
        .code(1)
        .stderr("`x.svg` not found\nhint: layers graph --svg --focus 'd*' --output x.svg\n");
}

#[test]
fn depths_are_labeled_with_a_legend() {
    let project = Project::shop();
    project.run("graph --color-by depth").code(0).stderr("").stdout(
        "\
agent  [depth 0]  (from debian:bookworm-slim)
base  [depth 0]  (from debian:bookworm-slim)
├── builder  [depth 1]
│   └── dev  [depth 2]
└── release  [depth 2]  (copy builder)

depth: 0 (2 images), 1 (1 image), 2 (2 images)
",
    );
    let mermaid = project.run("graph --mermaid --color-by depth --focus +builder").code(0).out();
    assert!(mermaid.contains("  i0[\"base<br/>depth 0\"]:::step0\n"), "{mermaid}");
    assert!(mermaid.contains("  subgraph legend[\"depth\"]\n    l0[\"0\"]:::step0\n"), "{mermaid}");
    assert!(mermaid.contains("  classDef step1 fill:#"), "{mermaid}");
    let dot = project.run("graph --dot --color-by depth").code(0).out();
    assert!(dot.contains("\"dev\" [label=\"dev\\ndepth 2\", style=\"rounded,filled\""), "{dot}");
    assert!(dot.contains("subgraph cluster_legend {\n    label=\"depth\";"), "{dot}");
}

#[test]
fn many_depths_are_grouped_into_five_ranges() {
    let mut project = Project::new().dockerfile("i00", "FROM scratch\n");
    for at in 1..12 {
        let text = format!("FROM acme/shop-i{:02}\n", at - 1);
        project = project.dockerfile(&format!("i{at:02}"), &text);
    }
    let tree = project.run("graph --color-by depth").code(0).out();
    let legend = tree.lines().last().unwrap();
    assert_eq!(
        legend,
        "depth: 0 to 2 (3 images), 3 to 4 (2 images), 5 to 7 (3 images), 8 to 9 (2 images), \
         10 to 11 (2 images)"
    );
}

#[test]
fn verdict_labels_match_the_plan() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nCOPY a /\n")
        .file("docker/base/a", "1")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .dockerfile("alone", "FROM scratch\n")
        .script(r#"{"store": "store.json"}"#);
    let tree = "graph --color-by verdict --engine fake";
    project.run("build --all --engine fake --progress quiet").code(0);
    project.run(tree).code(0).stderr("").stdout(
        "\
alone  [fresh]
base  [fresh]
└── dev  [fresh]

verdict: fresh (3 images)
",
    );
    let project = project.file("docker/base/a", "2");
    project.run(tree).code(0).stderr("").stdout(
        "\
alone  [fresh]
base  [build]
└── dev  [waits]

verdict: fresh (1 image), build (1 image), waits (1 image)
",
    );
    // An image that is not drawn is still checked if a verdict depends on it.
    let part = project.run(&format!("{tree} --focus dev --reduce")).code(0).out();
    assert!(part.starts_with("base  [build]\n└── dev  [waits]\n"), "{part}");
    let colored = project.var("CLICOLOR_FORCE", "1").run(tree).code(0).out();
    assert!(colored.contains("alone  [\u{1b}[32mfresh\u{1b}[0m]"), "{colored:?}");
}

#[test]
fn a_graph_with_verdicts_is_read_once() {
    let project = Project::shop().script("{}");
    let settings = project.root().join("layers.toml");
    assert!(Command::new("mkfifo").arg(&settings).status().unwrap().success());
    let reads = Arc::new(AtomicUsize::new(0));
    let (counter, path) = (Arc::clone(&reads), settings.clone());
    // Writes the settings once to each reader. When the program has ended, waits for the next one until the test ends.
    std::thread::spawn(move || {
        loop {
            let mut pipe = File::options().write(true).open(&path).unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            pipe.write_all(b"app = 'shop'\n").unwrap();
            drop(pipe);
            // Without a reader, the pipe cannot be opened without waiting.
            let has_reader =
                || File::options().write(true).custom_flags(NONBLOCK).open(&path).is_ok();
            while has_reader() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let count = |words: &str| {
        let before = reads.load(Ordering::SeqCst);
        project.run(words).code(0);
        reads.load(Ordering::SeqCst) - before
    };
    let once = count("graph");
    assert!(once > 0);
    assert_eq!(count("graph --color-by verdict --engine fake"), once);
}

#[test]
fn sizes_are_labeled_with_a_legend() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    let tree = project.run("graph --color-by size --engine fake").code(0).out();
    assert!(tree.contains("base  [not found]"), "{tree}");
    project.run("build base --engine fake --progress quiet").code(0);
    let tree = project.run("graph --color-by size --engine fake").code(0).out();
    let base = tree.lines().find(|line| line.starts_with("base")).unwrap();
    assert!(base.contains("B]"), "{tree}");
    assert!(tree.ends_with("(1 image), not found (4 images)\n"), "{tree}");
}

#[test]
fn sizes_need_no_contexts() {
    let project = Project::shop();
    let ignore = project.root().join("docker/base/.dockerignore");
    assert!(Command::new("mkfifo").arg(&ignore).status().unwrap().success());
    fs::remove_dir_all(project.root().join("docker/dev")).unwrap();
    let tree = project.run("graph --color-by size --engine fake").code(0).out();
    assert!(tree.contains("base  [not found]"), "{tree}");
    project.run("graph --color-by verdict --engine fake").code(3);
}

#[test]
fn formats_without_colors_or_reduced_edges_reject_those_options() {
    let project = Project::shop();
    for format in ["--json", "--bake", "--compose"] {
        project.run(&format!("graph {format} --color-by depth")).code(2).stderr(
            "error: `--color-by` works only with trees, DOT, Mermaid, and SVG\n\
             hint: add --dot, --mermaid, or --svg, or omit the format\n",
        );
    }
    for format in ["--bake", "--compose"] {
        project
            .run(&format!("graph {format} --reduce"))
            .code(2)
            .stderr("error: `--reduce` omits edges, but a build needs all of them\n");
    }
}

#[test]
fn names_are_escaped_for_mermaid() {
    let project = Project::new()
        .file(
            "layers.toml",
            "[image.'a<b>#\"']\ndockerfile = 'x/Dockerfile'\nreference = 'acme/x'\n",
        )
        .file("x/Dockerfile", "FROM scratch\n");
    let mermaid = project.run("graph --mermaid").code(0).out();
    assert!(mermaid.contains("  i0[\"a#lt;b#gt;#35;#quot;\"]\n"), "{mermaid}");
}
