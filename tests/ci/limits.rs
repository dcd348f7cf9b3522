//! Graphs beyond the limits of the CI systems: the order is kept, or the command says what to do.

use std::collections::BTreeSet;

use layers::base::error;

use crate::graphs::{PACKED, PLAIN, github, gitlab, needs_of, numbered};
use crate::schema::{self, fitting};
use crate::systems::{self, check};

/// Returns this number of images without parents, a child of all of them, and a child of that.
fn fan(width: usize) -> Vec<Vec<usize>> {
    let mut needs = vec![Vec::new(); width];
    needs.push((0..width).collect());
    needs.push(vec![width]);
    needs
}

#[test]
fn an_image_with_over_fifty_dependencies_starts_a_gitlab_stage() {
    let graph = numbered(fan(50));
    let within = fitting(schema::GITLAB, &gitlab(&graph, &PLAIN).unwrap());
    assert_eq!(within["stages"], serde_json::json!(["build", "release"]));
    assert_eq!(within["build-i50"]["needs"].as_array().unwrap().len(), 50);

    let graph = numbered(fan(51));
    let beyond = fitting(schema::GITLAB, &gitlab(&graph, &PLAIN).unwrap());
    assert_eq!(beyond["stages"], serde_json::json!(["build", "build-2", "release"]));
    assert_eq!(beyond["build-i51"].get("needs"), None, "it waits for the stages before it");
    assert_eq!(beyond["build-i51"]["stage"], "build-2");
    assert_eq!(beyond["build-i52"]["stage"], "build-2");
    assert_eq!(beyond["build-i52"]["needs"], serde_json::json!(["build-i51"]));
    check(&systems::gitlab(&beyond), &needs_of(&graph));
}

#[test]
fn a_level_with_many_images_is_split_into_several_matrices() {
    let graph = numbered(fan(300));
    let workflow = fitting(schema::GITHUB, &github(&graph, &PACKED).unwrap());
    let jobs = systems::github(&workflow);
    check(&jobs, &needs_of(&graph));
    let ids: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["layer-0", "layer-0-2", "layer-1", "release"].into());
    assert_eq!(jobs.iter().map(|job| job.commands.len()).max(), Some(256));
    let last = jobs.iter().find(|job| job.id == "layer-1").unwrap();
    assert_eq!(last.needs, ["layer-0", "layer-0-2"]);
    assert_eq!(last.commands, ["layers build i300 i301 --push=keys"], "a chain is one job");
}

#[test]
fn workflows_over_the_github_size_limit_are_errors() {
    let graph = numbered(vec![Vec::new(); 2000]);
    let error = error::text(&github(&graph, &PLAIN).unwrap_err());
    assert!(error.starts_with("the workflow for 2000 images has "), "{error}");
    assert!(error.contains(" KB, more than GitHub's limit of 500 KB\n"), "{error}");
    assert!(error.ends_with("\nhint: pass --packed for fewer jobs, or select fewer images"));
    let packed = github(&graph, &PACKED).unwrap();
    check(&systems::github(&fitting(schema::GITHUB, &packed)), &needs_of(&graph));
    let error = github(&numbered(vec![Vec::new(); 9000]), &PACKED).unwrap_err();
    let error = error::text(&error);
    assert!(error.ends_with("\nhint: select fewer images, and generate one workflow per part"));
}

#[test]
fn a_long_chain_is_one_job() {
    const LENGTH: usize = 5000;
    let chain = (0..LENGTH).map(|at| at.checked_sub(1).into_iter().collect());
    let graph = numbered(chain.collect());
    let jobs = systems::github(&fitting(schema::GITHUB, &github(&graph, &PACKED).unwrap()));
    assert_eq!(jobs.len(), 2);
    check(&jobs, &needs_of(&graph));
    gitlab(&graph, &PLAIN).unwrap();
}
