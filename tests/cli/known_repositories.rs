//! `layers init` on what is known of public repositories: the paths and `FROM` lines of their Dockerfiles, how their own
//! files build them, and the dependencies that follow. The files in `tests/cases/repositories/` are facts that were
//! written down by reading the repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::program::layers_without_settings;

/// How many of the dependencies are found at least. Raise it when more are.
const FOUND_AT_LEAST: usize = 1289;

/// The maximum number of lines of a proposed file that are settings.
const MOST_LINES: usize = 25;

/// What is known of a repository.
#[derive(Deserialize)]
struct KnownRepository {
    repository: String,
    /// The lines of Dockerfiles that name images.
    dockerfiles: BTreeMap<String, Vec<String>>,
    builds: Vec<KnownBuild>,
    /// The Dockerfiles of a child and of its parent.
    edges: BTreeSet<(String, String)>,
    /// Those of which it is not clear whether the parent is meant.
    uncertain: BTreeSet<(String, String)>,
}

/// A build that a file of the repository describes. `…` is a part that is not known.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct KnownBuild {
    file: String,
    name: Option<String>,
    dockerfile: String,
    context: Option<String>,
    target: Option<String>,
    args: BTreeMap<String, String>,
    tags: Vec<String>,
    contexts: BTreeMap<String, String>,
    example: bool,
}

/// How well a repository was read.
struct Score {
    repository: String,
    found: usize,
    known: usize,
    wrong: Vec<(String, String)>,
    lines: usize,
    /// The proposed file.
    text: String,
}

#[test]
fn dependencies_of_known_repositories_are_found() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/repositories");
    let files: Vec<_> = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    let mut scores: Vec<Score> = files.par_iter().map(|file| score(file)).collect();
    scores.sort_by(|a, b| a.repository.cmp(&b.repository));
    for Score { repository, found, known, lines, .. } in &scores {
        println!("{repository}: {found} of {known} dependencies, {lines} lines");
    }
    let found: usize = scores.iter().map(|it| it.found).sum();
    let known: usize = scores.iter().map(|it| it.known).sum();
    println!("{found} of {known}");
    let wrong: Vec<_> = scores.iter().flat_map(|it| &it.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let long: Vec<_> = scores.iter().filter(|it| it.lines > MOST_LINES).collect();
    assert!(long.is_empty(), "{}", long.iter().map(|it| it.text.as_str()).collect::<String>());
    assert!(found >= FOUND_AT_LEAST, "{found}");
}

/// Creates a repository with these facts and proposes a file for it.
fn score(facts: &Path) -> Score {
    let known: KnownRepository = serde_json::from_slice(&fs::read(facts).unwrap())
        .unwrap_or_else(|e| panic!("{facts:?}: {e}"));
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join(known.repository.rsplit('/').next().unwrap());
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (path, lines) in &known.dockerfiles {
        write(path, &(lines.join("\n") + "\n"));
    }
    write("docker-bake.json", &bake_file(&known.builds).to_string());
    write("README.md", &examples(&known.builds));
    fs::create_dir_all(root.join(".git")).unwrap();
    let layers = |command: &[&str]| {
        layers_without_settings().args(command).current_dir(&root).output().unwrap()
    };
    layers(&["init"]);
    let text = fs::read_to_string(root.join("layers.toml")).unwrap();
    let is_setting = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let lines = text.lines().filter(is_setting).count();
    let output = layers(&["graph", "--json"]);
    let graph: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}:\n{text}\n{}", known.repository, String::from_utf8_lossy(&output.stderr))
    });
    let edges = edges(&graph);
    let wrong = edges.difference(&known.edges).filter(|it| !known.uncertain.contains(*it));
    Score {
        found: edges.intersection(&known.edges).count(),
        known: known.edges.len(),
        wrong: wrong.cloned().collect(),
        repository: known.repository,
        lines,
        text,
    }
}

/// Returns the dependencies between different Dockerfiles.
fn edges(graph: &Value) -> BTreeSet<(String, String)> {
    let images = graph["images"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files: BTreeMap<String, String> =
        images.iter().map(|it| (text(&it["name"]), text(&it["dockerfile"]))).collect();
    let of = |image: &Value| {
        let child = text(&image["dockerfile"]);
        let parents = image["parents"].as_array().cloned().unwrap_or_default();
        let parents = parents.into_iter().map(|it| files[it["image"].as_str().unwrap()].clone());
        parents.filter(|it| *it != child).map(|it| (child.clone(), it)).collect::<Vec<_>>()
    };
    images.iter().flat_map(of).collect()
}

/// Returns a bake file with the builds that are not examples.
fn bake_file(builds: &[KnownBuild]) -> Value {
    let key = |number: usize| format!("t{number}");
    let named = |file: &str, name: &str| {
        let found =
            builds.iter().position(|it| it.file == file && it.name.as_deref() == Some(name));
        found.map(|at| format!("target:{}", key(at)))
    };
    let targets = builds.iter().enumerate().filter(|(_, build)| !build.example);
    let target = |(number, build): (usize, &KnownBuild)| {
        let contexts = build.contexts.iter().map(|(name, value)| {
            let sibling = value.strip_prefix("target:").or(value.strip_prefix("service:"));
            let value = sibling.and_then(|it| named(&build.file, it)).unwrap_or(value.clone());
            (name.clone(), json!(value))
        });
        let context = build.context.clone().unwrap_or_default();
        let up = "../".repeat(context.split('/').filter(|it| !matches!(*it, "" | ".")).count());
        let mut target = json!({
            "context": if context.is_empty() { "." } else { &context },
            "dockerfile": format!("{up}{}", build.dockerfile),
            "args": build.args.iter().map(|(name, it)| (name.clone(), json!(escaped(it)))).collect::<serde_json::Map<_, _>>(),
            "tags": build.tags.iter().map(|it| escaped(it)).collect::<Vec<_>>(),
            "contexts": contexts.collect::<serde_json::Map<_, _>>(),
        });
        if let Some(stage) = &build.target {
            target["target"] = json!(stage);
        }
        (key(number), target)
    };
    json!({ "target": targets.map(target).collect::<serde_json::Map<_, _>>() })
}

/// Escapes a text for a bake file, in which a variable that is not set is not known.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{").replace('…', "${unknown}")
}

/// Returns documentation with the builds that are examples.
fn examples(builds: &[KnownBuild]) -> String {
    let mut text = String::from("```\n");
    for build in builds.iter().filter(|it| it.example) {
        let context = build.context.as_deref().filter(|it| !it.is_empty()).unwrap_or(".");
        let tags: String = build.tags.iter().map(|it| format!(" -t {it}")).collect();
        let tags = tags.replace('…', "<unknown>");
        text += &format!("docker build -f {}{tags} {context}\n", build.dockerfile);
    }
    text + "```\n"
}
