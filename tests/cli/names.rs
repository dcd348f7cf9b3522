//! The names of images and their sources.

use crate::harness::Project;

#[test]
fn names_are_inferred_from_references_of_siblings() {
    Project::shop().run("list").code(0).stderr("").stdout(
        "\
IMAGE    REFERENCES                DOCKERFILE                 NAMED BY
agent    acme/shop-agent:latest    docker/agent/Dockerfile    inferred from docker/builder/Dockerfile:1:6
base     acme/shop-base:latest     docker/base/Dockerfile     inferred from docker/builder/Dockerfile:1:6
builder  acme/shop-builder:latest  docker/builder/Dockerfile  inferred from docker/builder/Dockerfile:1:6
dev      acme/shop-dev:latest      docker/dev/Dockerfile      inferred from docker/builder/Dockerfile:1:6
release  acme/shop-release:latest  docker/release/Dockerfile  inferred from docker/builder/Dockerfile:1:6
",
    );
}

/// Checks the references of the images of a tree, as `name=reference,reference`.
#[track_caller]
fn check(project: &Project, arguments: &str, expected: &str) {
    let ran = project.run(&format!("list --json {arguments}")).code(0);
    let rows: serde_json::Value = serde_json::from_str(&ran.out()).unwrap();
    let shown: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let references = row["references"].as_array().unwrap();
            let references: Vec<&str> = references.iter().map(|it| it.as_str().unwrap()).collect();
            let (name, by) = (row["name"].as_str().unwrap(), row["named_by"].as_str().unwrap());
            format!("{name}={} by {by}", references.join(","))
        })
        .collect();
    assert_eq!(shown.join("\n"), expected);
}

fn pair(base: &str) -> Project {
    Project::new()
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("dev", &format!("FROM {base}\n"))
}

#[test]
fn unreferenced_images_are_named_after_the_repository_directory() {
    let alone = Project::new().dockerfile("base", "FROM debian:12\n");
    check(&alone, "", "base=shop-base:latest by repository directory");
}

#[test]
fn names_are_inferred_with_every_separator() {
    for (base, dev) in [
        ("acme/shop-base", "acme/shop-dev:latest"),
        ("acme/base", "acme/dev:latest"),
        ("base", "dev:latest"),
        ("shop_base", "shop_dev:latest"),
        ("registry.example:5000/acme/shop-base", "registry.example:5000/acme/shop-dev:latest"),
        ("acme/shop-base:stable", "acme/shop-dev:stable"),
        ("docker.io/acme/shop-base:latest", "acme/shop-dev:latest"),
    ] {
        let rows = pair(base).run("list --json").code(0).out();
        assert!(rows.contains(&format!("\"{dev}\"")), "{base}: {rows}");
        let graph = pair(base).run("graph --json").code(0).out();
        assert!(graph.contains("\"image\": \"base\""), "{base}: {graph}");
    }
}

#[test]
fn a_directory_does_not_shadow_a_public_image() {
    // A directory with the name of a public image does not replace that image.
    let project = Project::new()
        .dockerfile("python", "FROM python:3.12\n")
        .dockerfile("app", "FROM python:3.12\n");
    let graph = project.run("graph --json").code(0).out();
    assert!(!graph.contains("\"image\": \"python\""), "{graph}");
}

#[test]
fn the_environment_and_options_override_inferred_names() {
    let project = pair("cloudhotspot/sampledjangoapp-base:latest")
        .var("REPO_NS", "cloudhotspot")
        .var("IMAGE_NAME", "sampledjangoapp")
        .var("VERSION", "1.2");
    check(
        &project,
        "",
        "base=cloudhotspot/sampledjangoapp-base:latest,cloudhotspot/sampledjangoapp-base:1.2 by IMAGE_NAME\n\
         dev=cloudhotspot/sampledjangoapp-dev:latest,cloudhotspot/sampledjangoapp-dev:1.2 by IMAGE_NAME",
    );
    check(
        &project,
        "--namespace other --app x --tag 2",
        "base=other/x-base:latest,other/x-base:2 by command line\n\
         dev=other/x-dev:latest,other/x-dev:2 by command line",
    );
    let other_spelling =
        pair("acme/shop-base").var("APP_NAME", "shop").var("REPO_VERSION", "3").var("VERSION", "");
    check(
        &other_spelling,
        "",
        "base=acme/shop-base:latest,acme/shop-base:3 by APP_NAME\n\
         dev=acme/shop-dev:latest,acme/shop-dev:3 by APP_NAME",
    );
}

#[test]
fn settings_define_image_names() {
    let project = pair("acme/x.base.img:7").file(
        "layers.toml",
        "namespace = 'acme'\napp = 'x'\nreference = '{namespace}/{app}.{name}.img:7'\n\
         [image.dev]\nreference = 'else/where:1'\n",
    );
    check(
        &project,
        "",
        "base=acme/x.base.img:7 by layers.toml:3:13\ndev=else/where:1 by layers.toml:5:13",
    );
    let graph = project.run("graph --json").code(0).out();
    assert!(graph.contains("\"image\": \"base\""), "{graph}");
}

/// Checks the messages and hints of all commands in a tree, without the drawings.
#[track_caller]
fn check_doubts(project: &Project, arguments: &str, expected: &[&str]) {
    let said = project.run(&format!("graph {arguments}")).code(0).err();
    let lines = said.lines().filter_map(|line| {
        line.strip_prefix("warning").or_else(|| line.trim_start().strip_prefix("= hint: "))
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected, "{said}");
}

#[test]
fn a_renamed_image_that_loses_an_edge_is_warned_about() {
    let renamed = |called: &str, cause: &str| {
        [
            format!(
                "[unknown-sibling]: `acme/shop-base` looks like the image `base`, which is \
                 named `{called}` because of {cause}"
            ),
            format!("use `{called}` here, or change {cause}"),
        ]
    };
    let check = |project: &Project, arguments: &str, called: &str, cause: &str| {
        let [message, hint] = renamed(called, cause);
        check_doubts(project, arguments, &[&message, &hint]);
    };
    check(&pair("acme/shop-base").var("REPO_NS", "foo"), "", "foo/shop-base", "REPO_NS");
    check(&pair("acme/shop-base:1").var("REPO_NS", "foo"), "", "foo/shop-base", "REPO_NS");
    check(&pair("acme/shop-base").var("IMAGE_NAME", "x"), "", "acme/x-base", "IMAGE_NAME");
    let twice = pair("acme/shop-base").var("REPO_NS", "foo").var("APP_NAME", "x");
    check(&twice, "", "foo/x-base", "REPO_NS and APP_NAME");
    let half = pair("acme/shop-base").var("REPO_NS", "foo").var("APP_NAME", "shop");
    check(&half, "", "foo/shop-base", "REPO_NS");
    check(&pair("acme/shop-base"), "--namespace foo", "foo/shop-base", "`--namespace`");
    check(&pair("acme/shop-base"), "--app x", "acme/x-base", "`--app`");
    let configured = |text: &str| pair("acme/shop-base").file("layers.toml", text);
    check(&configured("namespace = 'foo'\n"), "", "foo/shop-base", "layers.toml:1:13");
    let template = "reference = '{namespace}/{app}.{name}'\n";
    check(&configured(template).var("REPO_NS", "foo"), "", "foo/shop.base", "REPO_NS");
    let single = "[image.base]\nreference = 'foo/other'\n";
    check(&configured(single), "", "foo/other", "layers.toml:2:13");
    // If some lines use the name and others do not, the others are reported.
    let half = pair("acme/shop-base").dockerfile("app", "FROM foo/shop-base\n");
    check(&half.var("REPO_NS", "foo"), "", "foo/shop-base", "REPO_NS");
}

#[test]
fn a_name_that_loses_no_edge_is_not_warned_about() {
    check_doubts(&pair("acme/shop-base").var("REPO_NS", "acme"), "", &[]);
    check_doubts(&pair("debian:12").var("REPO_NS", "foo"), "", &[]);
    let digest = format!("acme/shop-base@sha256:{}", "a".repeat(64));
    check_doubts(&pair(&digest).var("REPO_NS", "foo"), "", &[]);
    // If settings result in edges, they are right about the names of images.
    let stranger = pair("acme/base")
        .dockerfile("app", "FROM mcr.example.com/devcontainers/base:1\n")
        .file("layers.toml", "namespace = 'acme'\nreference = '{namespace}/{name}'\n");
    check_doubts(&stranger, "", &[]);
    let worlds = Project::new()
        .dockerfile("python", "FROM debian:12\n")
        .dockerfile("app", "FROM python\n")
        .var("REPO_NS", "foo");
    check_doubts(&worlds, "", &[]);
}

#[test]
fn another_tag_of_a_sibling_is_warned_about_once() {
    let project = Project::new()
        .dockerfile("spark-base", "FROM debian:12\n")
        .dockerfile("spark-bass", "FROM prestodb/spark-base:3.5.1\n")
        .file("layers.toml", "reference = 'prestodb/{name}:unlabelled'\n");
    check_doubts(
        &project,
        "",
        &[
            "[sibling-tag]: `prestodb/spark-base:3.5.1` names an image of this repository, but with \
             a tag that is not built here",
            "use the tag `unlabelled` to depend on the image of this repository",
        ],
    );
}
