//! What images are called, and where each name comes from.

use crate::harness::Project;

#[test]
fn siblings_give_the_names() {
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

/// The references of the images of a tree, `name=reference,reference` each.
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
fn the_folder_names_what_nothing_refers_to() {
    let alone = Project::new().dockerfile("base", "FROM debian:12\n");
    check(&alone, "", "base=shop-base:latest by repository folder");
}

#[test]
fn every_separator_is_understood() {
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
fn the_worlds_images_are_not_ours() {
    // A folder of the name of a public image does not take it over.
    let project = Project::new()
        .dockerfile("python", "FROM python:3.12\n")
        .dockerfile("app", "FROM python:3.12\n");
    let graph = project.run("graph --json").code(0).out();
    assert!(!graph.contains("\"image\": \"python\""), "{graph}");
}

#[test]
fn the_environment_and_options_win() {
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
fn the_configuration_names_images() {
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
