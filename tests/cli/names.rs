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
    let printed = project.run(&format!("graph {arguments}")).code(0).err();
    let lines = printed.lines().filter_map(|line| {
        line.strip_prefix("warning").or_else(|| line.trim_start().strip_prefix("= hint: "))
    });
    assert_eq!(lines.collect::<Vec<_>>(), expected, "{printed}");
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
    // An edge to an image with a reference of its own does not depend on the app.
    let other = pair("acme/shop-base")
        .dockerfile("tool", "FROM debian:12\n")
        .dockerfile("app", "FROM acme/tool\n")
        .file("layers.toml", "[image.tool]\nreference = 'acme/tool'\n");
    check(&other, "--app x", "acme/x-base", "`--app`");
}

/// Checks that commands that need the dependency of `dev` on `base` end with an error with these parts, and that it
/// exists without the variables.
#[track_caller]
fn check_removed(project: &Project, arguments: &str, causes: &str, parts: &[&str]) {
    let verb = if causes.contains(" and ") { "remove" } else { "removes" };
    let title =
        format!("error[removed-dependency]: {causes} {verb} the dependency on the image `base`\n");
    for command in ["graph", "check", "plan dev --engine fake", "build --all --engine fake"] {
        let err = project.run(&format!("{command} {arguments}")).code(3).err();
        assert!(err.contains(&title), "{command}: {err}");
        assert!(err.contains(" --> docker/dev/Dockerfile:"), "{command}: {err}");
        let is_doubted = err.contains("[unknown-sibling]") || err.contains("[sibling-tag]");
        assert!(!is_doubted, "{command}: {err}");
        parts.iter().for_each(|part| assert!(err.contains(part), "{part}: {err}"));
    }
    project.run(&format!("plan base --engine fake {arguments}")).code(0);
}

#[test]
fn dependencies_that_common_variables_remove_are_errors() {
    let pair = || pair("acme/shop-base");
    check_removed(
        &pair().var("IMAGE_NAME", "x"),
        "",
        "IMAGE_NAME",
        &["the environment sets IMAGE_NAME to `x`", "`unset IMAGE_NAME`, or write `acme/x-base"],
    );
    check_removed(&pair().var("APP_NAME", "x"), "", "APP_NAME", &[]);
    let both = pair().var("APP_NAME", "x").var("IMAGE_NAME", "y");
    check_removed(&both, "", "IMAGE_NAME and APP_NAME", &[]);
    let twice = pair().var("REPO_NS", "foo").var("APP_NAME", "x");
    check_removed(&twice, "", "REPO_NS and APP_NAME", &["unset REPO_NS and APP_NAME, or write"]);
    // An edge to an image with a reference of its own does not depend on the variable.
    let own = |text: &str| {
        pair()
            .dockerfile("tool", "FROM debian:12\n")
            .dockerfile("app", "FROM acme/tool\n")
            .file("layers.toml", text)
    };
    let tool = "[image.tool]\nreference = 'acme/tool'\n";
    check_removed(&own(tool).var("APP_NAME", "x"), "", "APP_NAME", &[]);
    let app =
        "[image.base]\nreference = 'acme/{app}-base'\n[image.tool]\nreference = 'acme/tool'\n";
    check_removed(&own(app).var("APP_NAME", "x"), "", "APP_NAME", &[]);
    let versions = "reference = 'acme/shop-{name}:{version}'\n";
    let versions = pair().file("layers.toml", versions);
    check_removed(&versions.var("VERSION", "1.2"), "", "VERSION", &["`unset VERSION`"]);
    let path = "reference = 'acme/{version}/{name}-img'\n";
    let path = self::pair("acme/latest/base-img").file("layers.toml", path);
    check_removed(&path.var("VERSION", "1.2"), "", "VERSION", &[]);
    let argument = |name: &str| {
        Project::new()
            .dockerfile("base", "FROM debian:12\n")
            .dockerfile("dev", &format!("ARG {name}=latest\nFROM acme/shop-base:${name}\n"))
            .dockerfile("app", "FROM acme/shop-base\n")
    };
    let hint = "omit `--build-arg VERSION`";
    check_removed(&argument("VERSION"), "--build-arg VERSION=2", "`--build-arg VERSION`", &[hint]);
    let variable = argument("VERSION").var("VERSION", "2");
    variable.run("graph --build-arg VERSION").code(0).stderr("");
    let variable = argument("REPO_VERSION").var("REPO_VERSION", "2").var("VERSION", "3");
    check_removed(&variable, "--build-arg REPO_VERSION", "VERSION", &[]);
}

#[test]
fn common_variables_that_remove_no_dependency_are_not_reported() {
    let all = |project: Project| project.var("APP_NAME", "shop").var("VERSION", "1.2");
    for project in [
        all(pair("acme/shop-base")),
        all(pair("acme/shop-base:1.2")),
        all(pair("acme/shop-base:1.1")),
        all(pair("elsewhere/app:1")),
        all(pair("python:3")).dockerfile("python", "FROM debian:12\n"),
        // Without the variable, other references would name siblings, and these would not.
        all(pair("acme/shop-base"))
            .dockerfile("app", "FROM a.example/long/name/base\n")
            .var("REPO_NS", "acme"),
    ] {
        let err = project.run("graph").code(0).err();
        assert!(!err.contains("removed-dependency"), "{err}");
    }
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
