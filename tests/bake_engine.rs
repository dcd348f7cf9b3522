//! The files of `layers graph --bake` and `--compose`, used by those programs on a real engine: they have the
//! edges of the graph, and the images are built on each other.
//!
//! Skipped with a note if the programs are missing or the engine does not support named contexts.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a panic shows what failed")]
#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use layers::engine::Builder;
use serde_json::Value;

mod common;

use common::{NAMED_CONTEXTS, Name, TEST_LABEL, busybox, engine_or_skip};

/// The greeting contains everything that has a meaning in a string of HCL or YAML.
const GREETING: &str = r#"say "hi" \o/ ${x} $y"#;

/// The value of a label. Compose passes its dollar signs on to bake as they are, which takes `${x}` for a variable (2.40).
const LABEL: &str = r#"say "hi" \o/ {x}"#;

/// Whether the engine and the docker plugin support this. Prints the reason if they do not.
fn can_build(part: &str) -> bool {
    let Some(engine) = engine_or_skip() else { return false };
    if !common::takes_named_contexts(&engine) {
        let version = engine.info().unwrap().version;
        eprintln!("skipped: engine {version} has no named contexts; Docker {NAMED_CONTEXTS} has");
        return false;
    }
    let version = Command::new("docker").args([part, "version"]).output();
    let is_there = version.is_ok_and(|version| version.status.success());
    if !is_there {
        eprintln!("skipped: there is no `docker {part}`");
    }
    is_there
}

fn run(command: &mut Command) -> String {
    let output = command.env("TOK", "secret").output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn layers(root: &Path, arguments: &[&str]) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_layers")).args(arguments).current_dir(root))
}

fn docker(root: &Path, arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments).current_dir(root))
}

/// Escapes the braces of a text that are not placeholders.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// base ← py.3 (with its stage `slim`), tools; `default` uses all of them in every possible way.
fn lay_out(root: &Path, name: &Name) {
    let write = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let (ns, label) = (name.label(), format!("LABEL {TEST_LABEL}={}\n", name.label()));
    write("docker/base/bin/sh", &busybox());
    let base = "FROM scratch\nCOPY --chmod=755 bin /bin/\nARG GREETING\nENV GREETING=$GREETING\n\
                RUN [\"/bin/sh\", \"-c\", \"printf '%s' \\\"$GREETING\\\" > /greeting\"]\n\
                RUN echo \"$(ulimit -S -n) $(ulimit -H -n)\" > /limits\n\
                RUN while read -r a h; do if [ \"$h\" = db ]; then echo \"$a\"; fi; done < /etc/hosts > /db\n";
    write("docker/base/Dockerfile", format!("{base}{label}").as_bytes());
    let py = format!(
        "ARG V=latest\nFROM docker.io/{ns}/shop-base:${{V}} AS build\nRUN cat /greeting > /wheel\n\
         COPY src /\nFROM build AS slim\nRUN echo ' slim' >> /wheel\nFROM build AS fat\nRUN false\n"
    );
    write("docker/py.3/below/src/file", b"file");
    write("docker/py.3/Dockerfile", py.as_bytes());
    // The context of tools is the root, with the Dockerfile below. The context of py.3 is below its
    // Dockerfile.
    let tools = format!("FROM {ns}/shop-base:latest\nCOPY extra/tool /tool\n");
    write("extra/tool", b"tool\n");
    write("docker/tools/Dockerfile", tools.as_bytes());
    let all = format!(
        "FROM {ns}/shop-base\nCOPY --from={ns}/shop-py.3 /wheel /copied\n\
         RUN --mount=from=index.docker.io/{ns}/shop-py.3:latest,target=/m cat /m/wheel > /mounted\n\
         COPY --from=tools /tool /tool\nCOPY --from=extra x /extra\n\
         RUN --mount=type=secret,id=tok cat /run/secrets/tok > /told\nCOPY . /here/\n"
    );
    write("docker/default/Dockerfile", all.as_bytes());
    write("docker/default/.dockerignore", b"junk\nDockerfile\n.dockerignore\n");
    write("docker/default/junk", b"junk");
    write("docker/default/file", b"file");
    write("extra/x", b"x");
    let config = format!(
        "namespace = '{ns}'\napp = 'shop'\n[secrets]\ntok = {{ env = 'TOK' }}\n\
         [args]\nGREETING = '{}'\n[image.'py.3']\ntarget = 'slim'\n\
         context = 'docker/py.3/below'\n[image.base]\nlabels = {{ 'a.b' = '{}' }}\n\
         network = 'none'\nshm-size = '96m'\nulimits = ['nofile=123:456']\n\
         add-hosts = ['db:10.1.2.3']\n[image.tools]\ncontext = '.'\n\
         [image.default]\ncontexts = {{ tools = 'tools', extra = 'extra' }}\n",
        escaped(GREETING),
        escaped(LABEL),
    );
    write("layers.toml", config.as_bytes());
    fs::create_dir(root.join(".git")).unwrap();
}

/// Runs the image that is built on all others, and checks what it got from them.
fn check_built(root: &Path, name: &Name) {
    let image = format!("{}/shop-default", name.label());
    let script = "for f in /greeting /limits /db /copied /mounted /tool /extra /told; do \
                  read -r line < $f; echo \"$f $line\"; done; echo /here/*";
    let copied = docker(root, &["run", "--rm", &image, "sh", "-c", script]);
    let expected = format!(
        "/greeting {GREETING}\n/limits 123 456\n/db 10.1.2.3\n/copied {GREETING} slim\n/mounted {GREETING} slim\n\
         /tool tool\n/extra x\n/told secret\n/here/file\n"
    );
    assert_eq!(copied, expected);
    let label = docker(root, &["inspect", "--format", "{{index .Config.Labels \"a.b\"}}", &image]);
    assert_eq!(label.trim_end(), LABEL);
}

/// Returns the edges of `graph.json` as pairs of child and parent.
fn edges(root: &Path) -> BTreeSet<(String, String)> {
    let graph: Value = serde_json::from_str(&layers(root, &["graph", "--json"])).unwrap();
    let mut edges = BTreeSet::new();
    for image in graph["images"].as_array().unwrap() {
        for parent in image["parents"].as_array().unwrap() {
            let text = |of: &Value| of.as_str().unwrap().to_owned();
            edges.insert((text(&image["name"]), text(&parent["image"])));
        }
    }
    edges
}

#[test]
fn bake_builds_the_same_images_with_the_same_edges() {
    if !can_build("buildx") {
        return;
    }
    let (directory, name) = (tempfile::tempdir().unwrap(), Name::new());
    let root = directory.path();
    lay_out(root, &name);
    layers(root, &["graph", "--output", "docker-bake.hcl"]);
    let printed = docker(root, &["buildx", "bake", "--print"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    // Maps a target to the image that it builds.
    let image = |target: &str| {
        let tag = printed["target"][target]["tags"][0].as_str().unwrap();
        let image = tag.split_once("shop-").unwrap().1;
        image.trim_end_matches(":latest").to_owned()
    };
    let mut found = BTreeSet::new();
    for (target, described) in printed["target"].as_object().unwrap() {
        for stands in described["contexts"].as_object().into_iter().flat_map(|it| it.values()) {
            if let Some(parent) = stands.as_str().unwrap().strip_prefix("target:") {
                found.insert((image(target), image(parent)));
            }
        }
    }
    assert_eq!(found, edges(root));
    assert_eq!(found.len(), 5);
    docker(root, &["buildx", "bake", "--builder", "default", "--load"]);
    check_built(root, &name);
}

#[test]
fn compose_builds_the_same_images_with_the_same_edges() {
    if !can_build("compose") || !can_build("buildx") {
        return;
    }
    let (directory, name) = (tempfile::tempdir().unwrap(), Name::new());
    let root = directory.path();
    lay_out(root, &name);
    layers(root, &["graph", "--output", "compose.yaml"]);
    let read = docker(root, &["compose", "-p", name.label(), "config", "--format", "json"]);
    let read: Value = serde_json::from_str(&read).unwrap();
    let mut found = BTreeSet::new();
    for (service, described) in read["services"].as_object().unwrap() {
        let contexts = described["build"]["additional_contexts"].as_object();
        for stands in contexts.into_iter().flat_map(|it| it.values()) {
            if let Some(parent) = stands.as_str().unwrap().strip_prefix("service:") {
                found.insert((service.clone(), parent.to_owned()));
            }
        }
    }
    assert_eq!(found, edges(root));
    docker(root, &["compose", "-p", name.label(), "build"]);
    check_built(root, &name);
}
