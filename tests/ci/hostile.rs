//! Names that could be interpreted as something else: expressions, commands, options, reserved words.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::graphs::{PACKED, PLAIN, PipelineOptions, github, gitlab, graph, needs_of};
use crate::schema::{self, fitting};
use crate::systems::{self, check};

fn images(names: &[&str]) -> Vec<(String, Vec<usize>)> {
    let after = |at: usize| if at == 0 { Vec::new() } else { vec![at - 1] };
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), after(at))).collect()
}

#[test]
fn image_names_are_never_expressions_commands_or_options() {
    let graph = graph(&images(&[
        "${{ secrets.NPM_TOKEN }}",
        "${{ github.event.issue.title }}${{",
        "x }}${{ 'y",
        "$(touch pwned)",
        "`touch pwned`",
        "a; touch pwned",
        "a' || touch pwned '",
        "a\ntouch pwned\n",
        "--all",
        "--push",
        "-C",
        "a: b # \"c\" {d}",
        "*x &y !z",
        "${IFS}",
    ]));
    let needs = needs_of(&graph);
    for printed in [PLAIN, PACKED] {
        let text = github(&graph, &printed).unwrap();
        // `systems` evaluates only string and matrix expressions, and a shell shows which commands are
        // called.
        check(&systems::github(&fitting(schema::GITHUB, &text)), &needs);
    }
    check(&systems::gitlab(&fitting(schema::GITLAB, &gitlab(&graph, &PLAIN).unwrap())), &needs);
}

#[test]
fn job_ids_are_valid_and_unique_in_each_ci_system() {
    let long = "a".repeat(300);
    let names = [
        "image", "true", "nil", "pages", ".hidden", "3.12", "__x", "release", "a.b", "a/b", "a-b",
        "A-b",
    ];
    let graph = graph(&images(&[names.as_slice(), &[&long, &format!("{long}b")]].concat()));
    let ids_of = |jobs: &[systems::Job]| -> BTreeMap<String, String> {
        let built = systems::built(jobs);
        built.into_iter().map(|(id, built)| (built[0][0].clone(), id.to_owned())).collect()
    };
    let text = github(&graph, &PLAIN).unwrap();
    let ids = ids_of(&systems::github(&fitting(schema::GITHUB, &text)));
    for (image, id) in [
        ("image", "build-image"),
        ("3.12", "build-3-12"),
        (".hidden", "build--hidden"),
        ("release", "build-release"),
        ("A-b", "build-A-b"),
        // GitHub does not distinguish `a-b` from `A-b`.
        ("a-b", "build-a-b-2"),
        ("a.b", "build-a-b-3"),
        ("a/b", "build-a-b-4"),
        ("--all", "release"),
    ] {
        assert_eq!(ids[image], id, "{image}");
    }
    let text = gitlab(&graph, &PLAIN).unwrap();
    let ids = ids_of(&systems::gitlab(&fitting(schema::GITLAB, &text)));
    for (image, id) in [("nil", "build-nil"), ("a.b", "build-a.b"), ("a/b", "build-a/b")] {
        assert_eq!(ids[image], id, "{image}");
    }
}

#[test]
fn jobs_log_in_to_the_registry() {
    let graph = graph(&images(&["base"]));
    let drawn =
        |registry| github(&graph, &PipelineOptions { packed: false, registry: Some(registry) });
    let step = |registry: &'static str| -> (Value, Value) {
        let workflow = fitting(schema::GITHUB, &drawn(registry).unwrap());
        let step = workflow["jobs"]["build-base"]["steps"][1].clone();
        (step, workflow["permissions"].clone())
    };
    let workflow = fitting(schema::GITHUB, &drawn("ghcr.io/acme").unwrap());
    let checkout = &workflow["jobs"]["build-base"]["steps"][0];
    // `COPY . .` must read the same files in each job, and no token.
    assert_eq!(checkout["with"]["persist-credentials"], false);
    let (own, permissions) = step("ghcr.io/acme");
    assert_eq!(
        own,
        serde_json::json!({"uses": "docker/login-action@v3", "with": {
            "registry": "ghcr.io",
            "username": "${{ github.actor }}",
            "password": "${{ secrets.GITHUB_TOKEN }}",
        }})
    );
    assert_eq!(permissions, serde_json::json!({"contents": "read", "packages": "write"}));
    let (other, permissions) = step("registry.example.com:5000/acme");
    assert_eq!(other["with"]["registry"], "registry.example.com:5000");
    assert_eq!(other["with"]["password"], "${{ secrets.REGISTRY_PASSWORD }}");
    assert_eq!(permissions, serde_json::json!({"contents": "read"}));
    assert_eq!(step("acme").0["with"]["registry"], "docker.io");
    let none = github(&graph, &PLAIN).unwrap();
    assert!(!none.contains("login-action"), "{none}");

    let printed = PipelineOptions { packed: false, registry: Some("registry.example.com/acme") };
    let pipeline = fitting(schema::GITLAB, &gitlab(&graph, &printed).unwrap());
    let commands = pipeline["default"]["before_script"].as_array().unwrap();
    let log_in = commands[1].as_str().unwrap();
    assert!(log_in.ends_with("--password-stdin registry.example.com"), "{log_in}");
    let none = fitting(schema::GITLAB, &gitlab(&graph, &PLAIN).unwrap());
    assert_eq!(none["default"]["before_script"].as_array().unwrap().len(), 1);
}
