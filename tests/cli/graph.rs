//! `layers graph` in all output formats.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::Project;

#[test]
fn the_tree_has_one_line_per_image() {
    Project::shop().run("graph").code(0).stderr("").stdout(
        "\
agent  (from debian:bookworm-slim)
base  (from debian:bookworm-slim)
├── builder
│   └── dev
└── release  (copy builder)
",
    );
}

#[test]
fn json_output_has_the_format_of_the_lock() {
    let project = Project::new()
        .dockerfile("base", "FROM debian:bookworm-slim@sha256:ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11\n")
        .dockerfile(
            "dev",
            "FROM acme/shop-base\nCOPY --from=docker.io/nginx /a /b\nRUN --mount=type=bind,from=acme/shop-tools,target=/t true\n",
        )
        .dockerfile("tools", "FROM scratch\nCOPY . /\n");
    project.run("graph --json").code(0).stderr("").stdout_file("lock.json");
}

#[test]
fn graphviz_renders_the_dot_output() {
    let project = Project::shop();
    let marked = project.run("graph --dot --color-by depth").code(0).out();
    assert!(drawn(&marked).contains(">depth 2</text>"), "{marked}");
    let dot = project.run("graph --dot").code(0).stderr("").out();
    assert!(dot.contains("\"base\" -> \"builder\" [style=solid];"), "{dot}");
    assert!(dot.contains("\"builder\" -> \"release\" [style=dashed, label=\"copy\"];"), "{dot}");
    let svg = drawn(&dot);
    for name in ["agent", "base", "builder", "dev", "release", "debian:bookworm-slim"] {
        assert!(svg.contains(&format!(">{name}</text>")), "{name} is missing in {svg}");
    }
}

/// Returns what Graphviz renders from a DOT document. Graphviz must print no warnings.
fn drawn(dot: &str) -> String {
    let mut graphviz = Command::new("dot")
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("graphviz is installed (Debian package graphviz)");
    graphviz.stdin.take().unwrap().write_all(dot.as_bytes()).unwrap();
    let output = graphviz.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap().replace("&#45;", "-")
}

#[test]
fn the_graph_is_printed_as_mermaid() {
    Project::shop().run("graph --mermaid").code(0).stderr("").stdout(
        r#"flowchart LR
  i0["agent"]
  i1["base"]
  i2["builder"]
  i3["dev"]
  i4["release"]
  x0(["debian:bookworm-slim"]):::external
  x0 --> i0
  x0 --> i1
  i1 --> i2
  i2 --> i3
  i1 --> i4
  i2 -. copy .-> i4
  classDef external stroke-dasharray: 4 3
"#,
    );
}

#[test]
fn the_graph_file_is_written_and_checked() {
    let project = Project::shop();
    project
        .run("graph --check")
        .code(1)
        .stdout("")
        .stderr("`graph.json` not found\nhint: layers graph --output graph.json\n");
    project.run("graph --output graph.json").code(0).stdout("").stderr("");
    assert_eq!(project.read("graph.json"), project.run("graph --json").out());
    project.run("graph --check").code(0).stdout("").stderr("");
    let project = project.dockerfile("dev", "FROM acme/shop-base\n");
    project
        .run("graph --check")
        .code(1)
        .stderr("`graph.json` is out of date\nhint: layers graph --output graph.json\n")
        .stdout(
            r#"--- graph.json (committed)
+++ graph.json (from the Dockerfiles)
@@ -65,9 +65,9 @@
       ],
       "parents": [
         {
-          "image": "builder",
+          "image": "base",
           "kind": "from",
-          "reference": "docker.io/acme/shop-builder:latest",
+          "reference": "docker.io/acme/shop-base:latest",
           "at": "docker/dev/Dockerfile:1:6"
         }
       ],
"#,
        );
}

#[test]
fn onbuild_triggers_of_a_sibling_run_in_its_children() {
    let graph = Project::new()
        .dockerfile("base", "FROM scratch\nONBUILD COPY --from=acme/shop-tools /a /a\n")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .dockerfile("tools", "FROM scratch\n")
        .run("graph --json")
        .code(0)
        .out();
    let graph: serde_json::Value = serde_json::from_str(&graph).unwrap();
    let parents = |image: usize| graph["images"][image]["parents"].clone();
    assert_eq!(parents(0), serde_json::json!([]), "the trigger does not run in base itself");
    let shown: Vec<String> = parents(1)
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| format!("{} {} {}", edge["kind"], edge["image"], edge["at"]).replace('"', ""))
        .collect();
    assert_eq!(
        shown,
        ["from base docker/dev/Dockerfile:1:6", "copy tools docker/base/Dockerfile:2:21"]
    );
}

#[test]
fn the_file_extension_selects_the_format() {
    let project = Project::shop();
    project.run("graph --output g.dot").code(0);
    assert!(project.read("g.dot").starts_with("digraph"));
    project.run("graph --output g.mmd").code(0);
    assert!(project.read("g.mmd").starts_with("flowchart"));
    project.run("graph --mermaid --output g.txt").code(0);
    assert!(project.read("g.txt").starts_with("flowchart"));
    project.run("graph --output g").code(2).stderr(
        "error: can't infer a format from the name `g`\nhint: add an option such as --svg, --html, or --json\n",
    );
}

#[test]
fn the_command_works_from_a_subdirectory() {
    let project = Project::shop();
    let output =
        project.command(&["graph"]).current_dir(project.root().join("docker/dev")).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), project.run("graph").out());
    let from_elsewhere = project.command(&["graph", "-C", project.root().to_str().unwrap()]);
    let mut from_elsewhere = from_elsewhere;
    let output = from_elsewhere.current_dir("/").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), project.run("graph").out());
}

#[test]
fn a_dash_as_the_output_file_means_stdout() {
    let project = Project::shop();
    for (arguments, same) in [
        ("graph -o -", "graph"),
        ("graph --dot -o -", "graph --dot"),
        ("graph --json --output -", "graph --json"),
    ] {
        let expected = project.run(same).code(0).out();
        project.run(arguments).code(0).stdout(&expected).stderr("");
    }
    assert!(!project.root().join("-").exists());
    project
        .run("graph --check -o -")
        .code(2)
        .stderr("error: `--check` compares with a file, but `-` is stdout\n");
}
