//! The pipelines of the example in `docker/`: each as a whole, and its commands executed.

use std::collections::BTreeMap;

use layers::export::ci::{PUSH_KEYS, PUSH_TAGS};
use serde_json::Value;

use crate::expect::expect_file;
use crate::schema::{self, fitting};
use crate::shown::Shop;
use crate::systems::{self, Job, check, check_edges, in_order};

/// The default depends on the package, which could later name its repository.
const USES: &str = "--uses acme/layers@v1";

/// Returns the output of a command in the example, which must succeed.
fn say(shop: &Shop, command: &str) -> String {
    let output = shop.run(command);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`{command}`: {printed}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the parents of each image in the committed graph.
fn needs() -> BTreeMap<String, Vec<String>> {
    let graph: Value = serde_json::from_str(include_str!("../../graph.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let images = graph["images"].as_array().unwrap().iter();
    images
        .map(|image| {
            let parents = image["parents"].as_array().unwrap();
            (text(&image["name"]), parents.iter().map(|it| text(&it["image"])).collect())
        })
        .collect()
}

#[test]
fn the_example_pipeline_is_generated_for_each_ci_system() {
    let shop = Shop::new();
    let text = say(&shop, &format!("layers ci github {USES}"));
    expect_file("tests/ci/expected/example-github.yml", &text);
    let jobs = systems::github(&fitting(schema::GITHUB, &text));
    check_edges(&jobs, &needs());
    check(&jobs, &needs());

    let text = say(&shop, &format!("layers ci github --packed {USES}"));
    expect_file("tests/ci/expected/example-packed.yml", &text);
    check(&systems::github(&fitting(schema::GITHUB, &text)), &needs());

    let text = say(&shop, "layers ci gitlab");
    expect_file("tests/ci/expected/example-gitlab.yml", &text);
    let jobs = systems::gitlab(&fitting(schema::GITLAB, &text));
    check_edges(&jobs, &needs());
    check(&jobs, &needs());
}

/// Removes the option that needs a registry from a command: the fake engine cannot push.
/// `tests/registry_engine` runs the commands with it, on engines and a registry.
fn without_push(command: &str) -> String {
    let words = command.split(' ').filter(|word| ![PUSH_KEYS, PUSH_TAGS].contains(word));
    words.collect::<Vec<_>>().join(" ")
}

/// Runs all commands in the order of their jobs. Each image is built in its own job, after its parents, and
/// nothing remains to be done after the last job.
fn run(shop: &Shop, jobs: &[Job]) {
    for job in in_order(jobs) {
        for command in &job.commands {
            assert!(command.ends_with(PUSH_KEYS) || command.ends_with(PUSH_TAGS), "{command}");
            let output = shop.run(&without_push(command));
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "`{command}`: {printed}");
            let built = printed.lines().filter(|line| line.contains(": built in ")).count();
            let words = command.split(' ').skip(2).filter(|word| !word.starts_with('-')).count();
            assert_eq!(built, words, "`{command}` builds what it names and no more:\n{printed}");
        }
    }
    say(shop, "layers plan --check");
}

#[test]
fn the_commands_of_the_pipeline_build_all_images() {
    for command in ["layers ci github", "layers ci github --packed"] {
        let shop = Shop::with_store();
        let jobs = systems::github(&fitting(schema::GITHUB, &say(&shop, command)));
        run(&shop, &jobs);
    }
    let shop = Shop::with_store();
    run(&shop, &systems::gitlab(&fitting(schema::GITLAB, &say(&shop, "layers ci gitlab"))));
}
