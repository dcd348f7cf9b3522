//! `layers init` in repositories whose names follow from tags, arguments, or build files of other tools.

use crate::config::check;
use crate::git::{commit, git_in};
use crate::harness::Project;

/// Checks the images and edges that the proposed file describes, and returns the file without comments.
#[track_caller]
fn check_init(project: &Project, expected: &str) -> String {
    project.run("init").code(0).stdout("");
    check(project, expected);
    let text = project.read("layers.toml");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn parts_of_the_path_can_be_the_tag() {
    let mut project = Project::new();
    for (distro, release) in [("humble", "jammy"), ("jazzy", "noble")] {
        let base = format!("FROM ubuntu:{release}\n");
        let core = format!("FROM ros:{distro}-core-{release}\n");
        project = project
            .file(&format!("ros/{distro}/ubuntu/{release}/core/Dockerfile"), base)
            .file(&format!("ros/{distro}/ubuntu/{release}/base/Dockerfile"), core)
            .file(
                &format!("ros/{distro}/ubuntu/{release}/perception/Dockerfile"),
                format!("FROM ros:{distro}-base-{release}\n"),
            );
    }
    let text = check_init(
        &project,
        "jammy-base=ros:humble-base-jammy\n\
         jammy-core=ros:humble-core-jammy\n\
         jammy-perception=ros:humble-perception-jammy\n\
         noble-base=ros:jazzy-base-noble\n\
         noble-core=ros:jazzy-core-noble\n\
         noble-perception=ros:jazzy-perception-noble\n\
         jammy-core →from jammy-base\n\
         jammy-base →from jammy-perception\n\
         noble-core →from noble-base\n\
         noble-base →from noble-perception",
    );
    assert_eq!(
        text,
        "[[group]]\npattern = 'ros/(?<a>[^/]+)/[^/]+/[^/]+/[^/]+/Dockerfile'\nname = \"{parent}-{dir}\"\n\
         reference = \"ros:{a}-{dir}-{parent}\"\n"
    );
}

#[test]
fn an_image_does_not_take_the_tag_of_another_one() {
    let project = Project::new()
        .file("images/python/Dockerfile", "FROM debian:12\n")
        .file("images/python/2.7/Dockerfile", "FROM acme/python\n")
        .file("images/node/Dockerfile", "FROM acme/python:2.7\n")
        .file(
            "layers.toml",
            "[[group]]\ndockerfiles = [\"images/*/Dockerfile\"]\nreference = \"acme/{dir}\"\n\
             [[group]]\ndockerfiles = [\"images/*/*/Dockerfile\"]\nreference = \"acme/{parent}:{dir}\"\n",
        );
    check(
        &project,
        "2.7=acme/python:2.7\n\
         node=acme/node:latest\n\
         python=acme/python:latest\n\
         python →from 2.7\n\
         2.7 →from node",
    );
}

#[test]
fn a_coincidence_is_not_a_name() {
    // The version of a public image, an official image, and an image of others happen to match directories.
    let project = Project::new()
        .file("images/12/Dockerfile", "FROM debian:12\n")
        .file("images/python/Dockerfile", "FROM python:3.12\n")
        .file("images/base/Dockerfile", "FROM nvidia/cuda:12.0-base\n")
        .file("images/node/Dockerfile", "FROM bitnami/base\n");
    project.run("init").code(0).stdout("");
    let graph = project.run("graph --json").code(0).out();
    assert!(!graph.contains("\"image\":"), "{graph}");
}

#[test]
fn named_contexts_and_arguments_are_read_from_bake_files() {
    let project = Project::new()
        .file("java/Dockerfile", "ARG OS\nFROM $OS\n")
        .file("tomcat/Dockerfile", "FROM java_base\n")
        .file("app/Dockerfile", "ARG BASE=debian:12\nFROM $BASE\n")
        .file(
            "docker-bake.hcl",
            "variable \"OS\" { default = \"rockylinux:9\" }\n\
             target \"java\" {\n  context = \"java\"\n  args = { OS = OS }\n}\n\
             target \"tomcat\" {\n  context = \"tomcat\"\n  contexts = { java_base = \"target:java\" }\n  \
             tags = [\"acme/tomcat:1\"]\n}\n\
             target \"app\" {\n  context = \"app\"\n  args = { BASE = \"acme/tomcat:1\" }\n}\n",
        );
    project.run("init").code(0).stdout("");
    let text = project.read("layers.toml");
    assert!(
        text.contains("OS = \"rockylinux:9\"") && text.contains("java_base = \"java\""),
        "{text}"
    );
    let graph = project.run("graph --json").code(0).out();
    let edges = graph.matches("\"image\":").count();
    assert_eq!(edges, 2, "{text}{graph}");
}

#[test]
fn arguments_without_a_value_get_one_that_fits() {
    let from =
        |base: &str| format!("ARG NAMESPACE\nARG VERSION\nFROM $NAMESPACE/{base}:$VERSION\n");
    let project = Project::new()
        .file("base/Dockerfile", "FROM debian:12\n")
        .file("node/Dockerfile", from("base"))
        .file("chrome/Dockerfile", from("node"));
    project.run("init").code(0).stdout("");
    let graph = project.run("graph --json").code(0).out();
    assert_eq!(graph.matches("\"image\":").count(), 2, "{}{graph}", project.read("layers.toml"));
}

#[test]
fn what_is_no_dockerfile_is_left_out_and_listed() {
    let project = Project::new()
        .file("base/Dockerfile", "FROM debian:12\n")
        .file("base/Dockerfile.j2", "FROM {{ base }}\n")
        .file(
            "base/template/Dockerfile",
            "<%= message %>\nFROM debian:<%= version %>\n<% if x %>\nUSER x\n",
        )
        .file("docs/Dockerfile", "FROM debian:{{ version }}\n")
        .file("vendor/x/Dockerfile", "FROM debian:12\n")
        .file("_deprecated/old/Dockerfile", "FROM debian:12\n")
        .file("tests/testdata/Dockerfile", "FROM debian:12\n")
        .file("tools/Dockerfile.py", "import os\n")
        .file("tools/Dockerfile", "FROM debian:12\n");
    let printed = project.run("init").code(0).err();
    assert_eq!(
        printed,
        "wrote `layers.toml`: 2 images; 0 of 2 references resolved to images of this repository\n\
         images from elsewhere: `debian:12` (2 lines)\n\
         left out, a template: `base/Dockerfile.j2`, `base/template/Dockerfile` and `docs/Dockerfile`\n\
         left out, another kind of file: `tools/Dockerfile.py`\n\
         left out, code from elsewhere: `vendor/x/Dockerfile`\n\
         left out, data for tests: `tests/testdata/Dockerfile`\n\
         left out, no longer built: `_deprecated/old/Dockerfile`\n"
    );
}

#[test]
fn the_context_is_where_the_copied_files_are() {
    let project = Project::new()
        .file("go.mod", "module x\n")
        .file("docker/app/Dockerfile", "FROM scratch\nCOPY go.mod /\n")
        .file("docker/web/Dockerfile", "FROM scratch\nCOPY index.html /\n")
        .file("docker/web/index.html", "x")
        .file("docker/built/Dockerfile", "FROM scratch\nCOPY dist/app /\n");
    let list = project.run("list").code(0).out();
    let contexts: Vec<String> = list
        .lines()
        .map(|line| {
            line.split("  ")
                .filter(|it| !it.is_empty())
                .nth(3)
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(contexts, ["CONTEXT", ". (inferred)", "docker/built", "docker/web"], "{list}");
    // A setting wins.
    let project = project.file("layers.toml", "[image.app]\ncontext = \"docker/app\"\n");
    let json = project.run("list --json").code(0).out();
    assert!(json.contains("\"context\": \"docker/app\""), "{json}");
    assert!(json.contains("\"context_by\": \"setting\""), "{json}");
}

#[test]
fn a_revision_has_its_own_context() {
    let project = Project::new()
        .file("go.mod", "module x\n")
        .file("docker/app/Dockerfile", "FROM scratch\nCOPY go.mod /\n")
        .file("docker/web/Dockerfile", "FROM scratch\n");
    git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
    commit(&project);
    let project = project.file("docker/web/README.md", "x");
    let affected = project.run("affected --since HEAD").code(0).out();
    assert_eq!(affected, "0 of 2 images affected\n");
    let project = project.file("go.mod", "module y\n");
    let affected = project.run("affected --since HEAD").code(0).out();
    assert!(affected.contains("app") && !affected.contains("web"), "{affected}");
}
