//! `layers.toml` describes repositories of any layout. The trees are small versions of large public
//! repositories.

use crate::harness::Project;

/// Checks the images of a tree with their references, and the edges as `parent →kind child`.
#[track_caller]
pub fn check(project: &Project, expected: &str) {
    let ran = project.run("graph --json").code(0);
    let graph: serde_json::Value = serde_json::from_str(&ran.out()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().replace("docker.io/", "");
    let mut shown = Vec::new();
    let mut edges = Vec::new();
    for image in graph["images"].as_array().unwrap() {
        let references: Vec<String> =
            image["references"].as_array().unwrap().iter().map(text).collect();
        shown.push(format!("{}={}", text(&image["name"]), references.join(",")));
        for parent in image["parents"].as_array().unwrap() {
            let (parent, kind) = (text(&parent["image"]), text(&parent["kind"]));
            edges.push(format!("{parent} →{kind} {}", text(&image["name"])));
        }
    }
    shown.extend(edges);
    assert_eq!(shown.join("\n").replace("library/", ""), expected);
}

/// Checks parts of the message about a mistake.
#[track_caller]
fn check_mistake(project: &Project, expected: &[&str]) {
    let printed = project.run("list").code(3).err();
    for part in expected {
        assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
    }
}

#[test]
fn build_arguments_can_name_parents_and_tags_can_name_variants() {
    // The layout of jupyter/docker-stacks.
    let notebook = |base: &str| {
        format!(
            "ARG REGISTRY=quay.io\nARG OWNER=org\nARG BASE=$REGISTRY/$OWNER/{base}\nFROM $BASE\n"
        )
    };
    let project = Project::new()
        .file("images/base/Dockerfile", "ARG ROOT=ubuntu:24.04\nFROM $ROOT\n")
        .file("images/sci/Dockerfile", notebook("base"))
        .file("images/torch/Dockerfile", notebook("sci"))
        .file("images/torch/cuda12/Dockerfile", notebook("sci"))
        .file("examples/x/Dockerfile", notebook("base"));
    let config = "namespace = 'quay.io/org'\nreference = '{namespace}/{name}'\n\
        [[group]]\ndockerfiles = ['images/*/Dockerfile']\n\
        [[group]]\npattern = 'images/(?<image>[^/]+)/(?<variant>cuda\\d+)/Dockerfile'\n\
        name = '{image}-{variant}'\nreference = '{namespace}/{image}:{variant}-latest'\n";
    let project = project.file("layers.toml", config);
    check(
        &project,
        "base=quay.io/org/base:latest\nsci=quay.io/org/sci:latest\ntorch=quay.io/org/torch:latest\n\
         torch-cuda12=quay.io/org/torch:cuda12-latest\n\
         base →from sci\nsci →from torch\nsci →from torch-cuda12",
    );
    // A build argument replaces the default, and the names of the images change with it.
    let args = "[args]\nREGISTRY = 'localhost:5000'\nOWNER = '{app}'\n";
    let config = config.replace("'quay.io/org'", "'localhost:5000/us'\napp = 'us'");
    let project = project.file(
        "layers.toml",
        config.replace("[[group]]\ndocker", &format!("{args}[[group]]\ndocker")),
    );
    check(
        &project,
        "base=localhost:5000/us/base:latest\nsci=localhost:5000/us/sci:latest\n\
         torch=localhost:5000/us/torch:latest\ntorch-cuda12=localhost:5000/us/torch:cuda12-latest\n\
         base →from sci\nsci →from torch\nsci →from torch-cuda12",
    );
}

#[test]
fn one_dockerfile_can_build_several_images_by_build_argument() {
    // The layout of SeleniumHQ/docker-selenium.
    let from = |base: &str| {
        format!("ARG NAMESPACE=grid\nARG VERSION=latest\nFROM ${{NAMESPACE}}/{base}:${{VERSION}}\n")
    };
    let project = Project::new()
        .file("Base/Dockerfile", "FROM ubuntu:24.04\n")
        .file("NodeBase/Dockerfile", from("base"))
        .file("NodeChrome/Dockerfile", from("node-base"))
        .file("NodeFirefox/Dockerfile", from("node-base"))
        .file("Standalone/Dockerfile", format!("ARG BASE=x\n{}", from("${BASE}")))
        .file(
            "layers.toml",
            "namespace = 'grid'\nname = '{dir:kebab}'\nreference = '{namespace}/{name}'\n\
             dockerfiles = ['*/Dockerfile']\nexclude = ['Standalone/**']\n\
             [args]\nNAMESPACE = '{namespace}'\nVERSION = '{version}'\n\
             [image.chrome]\ndockerfile = 'Standalone/Dockerfile'\nargs.BASE = 'node-chrome'\n\
             [image.firefox]\ndockerfile = 'Standalone/Dockerfile'\nargs.BASE = 'node-firefox'\n",
        );
    let edges = "base →from node-base\nnode-base →from node-chrome\nnode-base →from node-firefox\n";
    let graph = |namespace: &str, tag: &str| {
        let mut text = String::new();
        for name in ["base", "chrome", "firefox", "node-base", "node-chrome", "node-firefox"] {
            text.push_str(&format!("{name}={namespace}/{name}:{tag}\n"));
        }
        text + "node-chrome →from chrome\nnode-firefox →from firefox\n" + edges.trim_end()
    };
    check(&project, &graph("grid", "latest"));
    // A version is passed to the Dockerfiles through their argument, and becomes the tag.
    check(&project.var("VERSION", "4.2").var("REPO_NS", "mine"), &graph("mine", "4.2"));
}

#[test]
fn the_tag_determines_the_edge() {
    // The layout of osrf/docker_images: about a hundred images in two repositories.
    let mut project = Project::new();
    for (distro, release) in [("humble", "jammy"), ("jazzy", "noble")] {
        let path = |variant| format!("ros/{distro}/ubuntu/{release}/{variant}/Dockerfile");
        let from = |variant| format!("FROM ros:{distro}-{variant}-{release}\n");
        project = project
            .file(&path("core"), format!("FROM ubuntu:{release}\n"))
            .file(&path("base"), from("core"))
            .file(&path("desktop"), from("base"));
    }
    let project = project.file(
        "layers.toml",
        "name = '{distro}-{variant}-{release}'\n\
         [[group]]\npattern = 'ros/(?<distro>[^/]+)/[^/]+/(?<release>[^/]+)/(?<variant>core|base)/Dockerfile'\n\
         reference = 'ros:{name}'\n\
         [[group]]\npattern = 'ros/(?<distro>[^/]+)/[^/]+/(?<release>[^/]+)/(?<variant>[^/]+)/Dockerfile'\n\
         reference = 'osrf/ros:{name}'\n",
    );
    check(
        &project,
        "humble-base-jammy=ros:humble-base-jammy\nhumble-core-jammy=ros:humble-core-jammy\n\
         humble-desktop-jammy=osrf/ros:humble-desktop-jammy\njazzy-base-noble=ros:jazzy-base-noble\n\
         jazzy-core-noble=ros:jazzy-core-noble\njazzy-desktop-noble=osrf/ros:jazzy-desktop-noble\n\
         humble-core-jammy →from humble-base-jammy\nhumble-base-jammy →from humble-desktop-jammy\n\
         jazzy-core-noble →from jazzy-base-noble\njazzy-base-noble →from jazzy-desktop-noble",
    );
    // A version must not give the same reference to all images of a repository.
    let rows = project.run("list --json --tag 7").code(0).out();
    assert!(rows.contains("\"ros:jazzy-core-noble-7\""), "{rows}");
}

#[test]
fn dockerfiles_in_one_directory_can_share_a_context() {
    // The layout of rocker-org/rocker-versioned2.
    let project = Project::new()
        .file("dockerfiles/r-ver_4.6.Dockerfile", "FROM ubuntu:noble\nCOPY scripts /s\n")
        .file("dockerfiles/verse_4.6.Dockerfile", "FROM r/r-ver:4.6\n")
        .file("dockerfiles/verse_devel.Dockerfile", "FROM r/r-ver:latest\n")
        .file("dockerfiles/geo-dev.Dockerfile", "FROM r/verse:4.6\n")
        .file("scripts/s.sh", "")
        .file(
            "layers.toml",
            "context = '.'\n[[group]]\npattern = 'dockerfiles/(?<image>[^/_]+)_(?<tag>[^/]+)\\.Dockerfile'\n\
             name = '{image}-{tag}'\nreference = 'r/{image}:{tag}'\n\
             [[group]]\ndockerfiles = ['dockerfiles/*.Dockerfile']\nreference = 'r/geo:dev'\n",
        );
    check(
        &project,
        "geo-dev=r/geo:dev\nr-ver-4.6=r/r-ver:4.6\nverse-4.6=r/verse:4.6\nverse-devel=r/verse:devel\n\
         verse-4.6 →from geo-dev\nr-ver-4.6 →from verse-4.6",
    );
    let rows = project.run("list --json").code(0);
    assert_eq!(rows.out().matches("\"context\": \".\"").count(), 4);
    let printed = project.run("check").code(0).err();
    assert!(printed.contains("warning[sibling-tag]: `r/r-ver:latest`"), "{printed}");
}

#[test]
fn targets_are_separate_images() {
    let project = Project::new()
        .dockerfile(
            "app",
            "FROM debian:12 AS build\nFROM build AS dev\nFROM debian:12 AS release\nCOPY --from=build /x /x\n",
        )
        .dockerfile("app-tests", "FROM acme/app-dev\nCOPY --from=acme/app-release / /r\n")
        .file("layers.toml", "[image.app]\ntargets = ['dev', 'release']\n");
    check(
        &project,
        "app-dev=acme/app-dev:latest\napp-release=acme/app-release:latest\n\
         app-tests=acme/app-tests:latest\napp-dev →from app-tests\napp-release →copy app-tests",
    );
    let project = project.script(r#"{"record": "calls.jsonl"}"#);
    project.run("build docker/app --engine fake -j1 --progress quiet").code(0);
    let calls = project.read(".layers/calls.jsonl");
    assert_eq!(calls.matches("\"target\":\"dev\"").count(), 1, "{calls}");
    assert_eq!(calls.matches("\"target\":\"release\"").count(), 1, "{calls}");
}

#[test]
fn named_contexts_are_edges() {
    let project = Project::new()
        .dockerfile("product-base", "FROM debian:12\n")
        .dockerfile(
            "java",
            "FROM product-base AS x\nCOPY --from=tools /t /t\nCOPY --from=src . /s\n",
        )
        .dockerfile("tools", "FROM scratch\n")
        .file("src/x", "")
        .file(
            "layers.toml",
            "namespace = 'acme'\n[contexts]\nproduct-base = 'product-base'\n\
             [image.java.contexts]\ntools = 'acme/shop-tools'\nsrc = './src'\n",
        );
    check(
        &project,
        "java=acme/shop-java:latest\nproduct-base=acme/shop-product-base:latest\n\
         tools=acme/shop-tools:latest\nproduct-base →context java\ntools →context java",
    );
    let project = project.script(r#"{"record": "calls.jsonl"}"#);
    project.run("build java --engine fake -j1 --progress quiet").code(0);
    assert!(project.read(".layers/calls.jsonl").contains("\"src\":\"src\""));
    let config = project.read("layers.toml").replace("src = './src'\n", "");
    let project = project
        .file("layers.toml", config)
        .dockerfile("java", "FROM product-base\nCOPY --from=tools /t /t\n");
    project.run("build java --engine fake -j1 --progress quiet").code(0);
    let contexts = "{\"product-base\":\"docker-image://acme/shop-product-base:latest\",\
                    \"tools\":\"docker-image://acme/shop-tools\"}";
    let calls = project.read(".layers/calls.jsonl");
    assert!(calls.contains(contexts), "{calls}");
    // Images that do not use a context do not receive it.
    assert_eq!(calls.matches("\"contexts\":{}").count(), 4, "{calls}");
    let wrong = "[image.java.contexts]\nproduct-base = 'prodct-base'\n";
    check_mistake(
        &project.file("layers.toml", wrong),
        &[
            "error[config]: `prodct-base` is neither an image of this repository nor a directory",
            "--> layers.toml:2:16",
            "hint: did you mean `product-base`?",
        ],
    );
}

#[test]
fn an_image_can_have_several_references() {
    let project = Project::new()
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("app", "FROM acme/base:1\n")
        .dockerfile("dev", "FROM acme/base\nCOPY --from=mirror.example.com/us/app / /\n")
        .file(
            "layers.toml",
            "reference = ['acme/{name}', 'mirror.example.com/us/{name}']\n\
             [image.base]\nreference = ['acme/base:1', 'acme/base:latest', 'acme/base:1']\n",
        );
    check(
        &project,
        "app=acme/app:latest,mirror.example.com/us/app:latest\nbase=acme/base:1,acme/base:latest\n\
         dev=acme/dev:latest,mirror.example.com/us/dev:latest\n\
         base →from app\nbase →from dev\napp →copy dev",
    );
    // A version is an additional tag in each repository.
    let rows = project.run("list --tag 7").code(0).out();
    assert!(rows.contains("acme/base:1 acme/base:latest acme/base:7 "), "{rows}");
    assert!(rows.contains(" acme/app:7 mirror.example.com/us/app:7 "), "{rows}");
    let project = project.script(r#"{"record": "calls.jsonl"}"#);
    project.run("build base --engine fake -j1 --progress quiet").code(0);
    let calls = project.read(".layers/calls.jsonl");
    assert!(calls.contains(r#"["acme/base:1","acme/base:latest"]"#), "{calls}");
    let group = "[[group]]\ndockerfiles = ['docker/*/Dockerfile']\n";
    let grouped =
        project.file("layers.toml", format!("{group}reference = ['x/{{name}}', 'y/{{name}}']\n"));
    let rows = grouped.run("list").code(0).out();
    assert!(rows.contains("x/app:latest y/app:latest "), "{rows}");
    for (config, expected) in [
        ("reference = ['x/{name}', 'X Y']\n", ["`X Y` is not a valid reference", ":1:26", "hint"]),
        (
            "reference = ['x/{name}', 'x/all']\n",
            [
                "`app` and `base` are both named `x/all:latest`",
                ":1:26",
                "such as one with `{name}`",
            ],
        ),
    ] {
        check_mistake(
            &Project::new()
                .dockerfile("base", "FROM debian:12\n")
                .dockerfile("app", "FROM debian:12\n")
                .file("layers.toml", config),
            &expected,
        );
    }
}

#[test]
fn every_config_error_points_at_its_setting() {
    let pair = || Project::shop();
    for (config, expected) in [
        (
            "ap = 'x'
",
            ["unknown setting `ap`", ":1:1", "did you mean `app`?"],
        ),
        (
            "name = 'a-{dri}'
",
            ["unknown placeholder `dri`", ":1:11", "did you mean `dir`?"],
        ),
        (
            "context = 'nope'
",
            ["directory `nope` not found", ":1:11", "relative to the directory"],
        ),
        (
            "name = 'x'
",
            ["two images are named `x`", ":1:8", "set `name = "],
        ),
        (
            "reference = 'acme/x'\n",
            [
                "`agent` and `base` are both named `acme/x:latest`",
                ":1:13",
                "such as one with `{name}`",
            ],
        ),
        ("reference = 'acme/X-{name}'\n", ["must be lowercase", ":1:13", "{dir:kebab}"]),
        (
            "dockerfiles = ['a[']\n",
            ["`a[` is not a valid glob pattern: unclosed `[`", ":1:16", "`**` any number"],
        ),
        (
            "[[group]]\npattern = 'a(b'\n",
            ["not a valid regular expression: unclosed group", ":2:11", "single quotes"],
        ),
        (
            "[[group]]\nname = 'x'\n",
            ["the group has neither `dockerfiles` nor a `pattern`", ":1:1", "dockerfiles = ["],
        ),
        (
            "[image.x]\ndockerfile = 'x/Dockerfile'\n",
            ["file `x/Dockerfile` not found", ":2:14", "relative to the directory"],
        ),
        (
            "[image.base]\ntargets = ['nope']\n",
            [
                "error[unknown-target]: target stage `nope` not found",
                ":2:12",
                "no stage has a name",
            ],
        ),
        ("args.X = '{namespace}'\n", ["`{namespace}` is not set", ":1:11", "REPO_NS"]),
    ] {
        check_mistake(&pair().file("layers.toml", config), &expected);
    }
}

#[test]
fn a_group_without_dockerfiles_is_a_warning() {
    let project = Project::shop().file(
        "layers.toml",
        "dockerfiles = ['docker/*/Dockerfile']\n[[group]]\ndockerfiles = ['nothing/*']\n",
    );
    let printed = project.run("check").code(0).err();
    assert!(
        printed.contains("warning[empty-group]: this group matches no Dockerfile"),
        "{printed}"
    );
    assert!(printed.contains("--> layers.toml:3:16"), "{printed}");
}

#[test]
fn the_hint_for_a_duplicate_name_fixes_it() {
    let project = || {
        Project::new()
            .dockerfile("app", "FROM debian:12\n")
            .file("docker/web/app.Containerfile", "FROM debian:12\n")
    };
    let globs = "dockerfiles = ['docker/*/Dockerfile', 'docker/*/*.Containerfile']\n";
    let doubles = "two images are named `app`";
    let first = project().file("layers.toml", globs);
    check_mistake(&first, &[doubles, "hint: set `name = \"{dir:kebab}\"`"]);
    let first = first.file("layers.toml", format!("name = \"{{dir:kebab}}\"\n{globs}"));
    first.run("list").code(0);
    // The template is not suggested if other images would get the same reference.
    let second = first.file("docker/web/Dockerfile", "FROM debian:12\n");
    let second = second.file("layers.toml", globs);
    check_mistake(&second, &[doubles, "hint: add `docker/web/app.Containerfile` to `exclude`"]);
    let third = Project::new()
        .dockerfile("app", "FROM debian:12\n")
        .file("docker/app/Containerfile", "FROM debian:12\n");
    let hint = "hint: add `docker/app/Dockerfile` to `exclude` in `layers.toml`; to build it \
                under another name, add `[image.docker-app-dockerfile]` with `dockerfile = \
                \"docker/app/Dockerfile\"`";
    check_mistake(&third, &[doubles, hint]);
    let mended = "exclude = [\"docker/app/Dockerfile\"]\n\
                  [image.docker-app-dockerfile]\ndockerfile = \"docker/app/Dockerfile\"\n";
    third.file("layers.toml", mended).run("list").code(0);
}
