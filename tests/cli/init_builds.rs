//! `layers init` in repositories that build one Dockerfile in several ways, and what it tells about references.

use crate::harness::Project;

/// Returns the settings that `layers init` writes, without comments, and what it prints.
fn init(project: &Project) -> (String, String) {
    let printed = project.run("init").code(0).err();
    let text = project.read("layers.toml");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    (lines.map(|line| format!("{line}\n")).collect(), printed)
}

/// Returns the edges of the graph, as `child parent` lines.
fn edges(project: &Project) -> Vec<String> {
    let graph: serde_json::Value =
        serde_json::from_str(&project.run("graph --json").code(0).out()).unwrap();
    let images = graph["images"].as_array().unwrap();
    let of = |image: &serde_json::Value| {
        let child = image["name"].as_str().unwrap().to_owned();
        let parents = image["parents"].as_array().unwrap().clone();
        parents.into_iter().map(move |it| format!("{child} {}", it["image"].as_str().unwrap()))
    };
    images.iter().flat_map(of).collect()
}

#[test]
fn builds_with_other_parents_are_images_of_their_own() {
    let project = Project::new()
        .file("chrome/Dockerfile", "FROM debian:12\n")
        .file("firefox/Dockerfile", "FROM debian:12\n")
        .file("standalone/Dockerfile", "ARG BASE\nFROM acme/$BASE\n")
        .file(
            "Makefile",
            "all:\n\tdocker build -t acme/chrome chrome\n\tdocker build -t acme/firefox firefox\n\
             \tdocker build --build-arg BASE=chrome -t acme/standalone-chrome standalone\n\
             \tdocker build --build-arg BASE=chrome -t acme/same standalone\n\
             \tdocker build --build-arg BASE=firefox -t acme/standalone-firefox standalone\n",
        );
    let (text, _) = init(&project);
    let line = "standalone-firefox = { dockerfile = \"standalone/Dockerfile\", \
                args.BASE = \"firefox\", reference = \"acme/standalone-firefox:latest\" }\n";
    assert!(text.contains(line) && !text.contains("acme/same"), "{text}");
    assert_eq!(edges(&project), ["standalone chrome", "standalone-firefox firefox"], "{text}");
}

#[test]
fn stages_that_others_are_built_on_are_images_of_their_own() {
    let project = Project::new()
        .file("lib/Dockerfile", "FROM debian:12\n")
        .file("app/Dockerfile", "FROM acme/lib AS full\nFROM debian:12 AS slim\n")
        .file("site/Dockerfile", "FROM acme/app:full\n")
        .file(
            "docker-bake.json",
            r#"{"target": {
                "lib": {"context": "lib", "tags": ["acme/lib"]},
                "slim": {"context": "app", "target": "slim", "tags": ["acme/app:slim"]},
                "full": {"context": "app", "target": "full", "tags": ["acme/app:full"]},
                "site": {"context": "site", "tags": ["acme/site"]}}}"#,
        );
    let (text, _) = init(&project);
    assert!(text.contains("target = \"full\""), "{text}");
    let edges = edges(&project);
    assert!(edges.iter().any(|it| it.ends_with(" lib")), "{text}{edges:?}");
    assert!(edges.iter().any(|it| it.starts_with("site app")), "{text}{edges:?}");
}

#[test]
fn documentation_names_images_but_contradicts_nothing() {
    let project = Project::new()
        .file("base/Dockerfile", "FROM debian:12\n")
        .file("web/Dockerfile", "FROM acme/base\n")
        .file("jobs/Dockerfile", "FROM acme/runtime:3\n")
        .file("lang/jdk/Dockerfile", "FROM debian:12\n")
        .file("base/README.md", "Build your own:\n\n```\n$ docker build -t my-app .\n```\n")
        .file("README.md", "```\ndocker build -t acme/runtime:3 lang/jdk\n```\n");
    let (text, _) = init(&project);
    assert_eq!(edges(&project), ["jobs jdk", "web base"], "{text}");
}

#[test]
fn references_are_told_with_what_they_mean() {
    let project = Project::new()
        .file("docker/base/Dockerfile", "FROM debian:12\n")
        .file("docker/dev/Dockerfile", "FROM acme/base\nCOPY --from=acme/tools /t /t\n")
        .file("docker/web/Dockerfile", "FROM acme/dev:1\n")
        .file("docker/job/Dockerfile", "FROM acme/dev:1\nCOPY --from=acme/base:0.9 /t /t\n");
    let (_, printed) = init(&project);
    let lines: Vec<&str> = printed.lines().skip_while(|it| !it.starts_with("wrote")).collect();
    assert_eq!(
        lines,
        [
            "wrote `layers.toml`: 4 images; 3 of 6 references resolved to images of this repository",
            "resolved: `acme/dev:1` is `dev` (2 lines) and `acme/base:latest` is `base` (docker/dev/Dockerfile:1)",
            "not resolved, because images here have other tags: `acme/base:0.9` (docker/job/Dockerfile:2)",
            "not resolved, because no image here has this name: `acme/tools:latest` (docker/dev/Dockerfile:2)",
            "images from elsewhere: `debian:12` (docker/base/Dockerfile:1)",
        ]
    );
}

#[test]
fn a_build_with_a_name_that_others_use_is_an_image_with_its_arguments() {
    let build = |name: &str| {
        format!(
            "\tdocker build --build-arg MODULE={name} -t acme/{name}-base -f base/Dockerfile.nf base\n"
        )
    };
    let project = Project::new()
        .file("base/Dockerfile.nf", "FROM debian:12\nARG MODULE\nRUN make $MODULE\n")
        .file("nf_amf/Dockerfile", "FROM acme/amf-base\n")
        .file("nf_smf/Dockerfile", "FROM acme/smf-base\n")
        .file("Makefile", format!("all:\n{}{}", build("amf"), build("smf")));
    let (text, _) = init(&project);
    let edges = edges(&project);
    assert_eq!(edges.len(), 2, "{text}{edges:?}");
    assert!(text.contains("MODULE = \"smf\"") && text.contains("MODULE = \"amf\""), "{text}");
}

#[test]
fn the_last_directory_can_be_the_same_for_all_images_of_a_rule() {
    let mut project = Project::new().file("base/Dockerfile", "FROM debian:12\n");
    for version in ["8.1", "8.2", "8.3"] {
        project = project
            .file(&format!("{version}/run/Dockerfile"), "FROM acme/shop-base\n")
            .file(&format!("{version}/build/Dockerfile"), format!("FROM acme/shop:{version}\n"));
    }
    let (text, _) = init(&project);
    let edges = edges(&project);
    assert_eq!(edges.len(), 6, "{text}{edges:?}");
    assert!(edges.contains(&"8.1-build 8.1-run".to_owned()), "{text}{edges:?}");
}

#[test]
fn a_name_that_ends_like_a_directory_belongs_to_its_namesake() {
    let project = Project::new()
        .file("images/base-notebook/Dockerfile", "FROM debian:12\n")
        .file("examples/notebook/Dockerfile", "FROM debian:12\n")
        .file("docs/old/Dockerfile", "FROM acme/base-notebook\n");
    let (text, _) = init(&project);
    assert_eq!(edges(&project), ["old base-notebook"], "{text}");
}

#[test]
fn the_contexts_of_builds_are_written_where_they_would_not_be_inferred() {
    let project = Project::new()
        .file("a/Dockerfile", "FROM scratch\nCOPY . /\n")
        .file("b/Dockerfile", "FROM scratch\nCOPY x /\n")
        .file("b/x", "x")
        .file("Makefile", "all:\n\tdocker build -f a/Dockerfile .\n\tdocker build b\n");
    let (text, _) = init(&project);
    assert!(text.contains("a.context = \".\"\n") && !text.contains("b.context"), "{text}");
    project.run("list").code(0);
}

#[test]
fn exact_names_in_build_files_win_over_coincidences() {
    let mut project = Project::new();
    let mut script = String::new();
    for (version, patch) in [("8.1", "34"), ("8.2", "30"), ("8.3", "29")] {
        let (full, node) = (format!("{version}.{patch}"), format!("{version}/node/Dockerfile"));
        project = project
            .file(&format!("{version}/Dockerfile"), "FROM debian:12\n")
            .file(&node, format!("FROM acme/php:{full}\n"));
        script += &format!("docker build -t acme/php:{full} -t acme/php:{version} {version}\n");
        script += &format!("docker build -f {node} -t acme/php:{full}-node .\n");
    }
    let project = project.file("build.sh", script);
    let (text, _) = init(&project);
    assert_eq!(edges(&project).len(), 3, "{text}");
}

#[test]
fn names_do_not_depend_on_where_the_checkout_is() {
    let config = "[remote \"origin\"]\n\turl = https://example.com/acme/grid.git\n";
    let project = Project::new()
        .file(".git/config", config)
        .file("docker/base/Dockerfile", "FROM debian:12\n")
        .file("docker/tools/Dockerfile", "FROM debian:12\n");
    let (text, _) = init(&project);
    assert!(text.contains("app = \"grid\""), "{text}");
    let list = project.run("list").code(0).out();
    assert!(list.contains("grid-base") && !list.contains("shop"), "{list}");
}

#[test]
fn named_contexts_that_are_directories_are_written() {
    let target = |name: &str, more: &str| {
        format!(
            "target \"{name}\" {{\n  context = \"{name}\"\n  contexts = {{ src = \"./\"{more} }}\n}}\n"
        )
    };
    let project = Project::new()
        .file("a/Dockerfile", "FROM scratch\nCOPY --from=src go.mod /\n")
        .file("b/Dockerfile", "FROM scratch\nCOPY --from=src go.mod /\nCOPY --from=docs x /\n")
        .file("go.mod", "")
        .file("manual/x", "")
        .file(
            "docker-bake.hcl",
            target("a", "") + &target("b", "\n docs = \"./manual\"\n gone = \"./gone\""),
        );
    let (text, _) = init(&project);
    assert!(text.contains("[contexts]\nsrc = \".\"\n"), "{text}");
    assert!(text.contains("b.contexts.docs = \"manual\"\n") && !text.contains("gone"), "{text}");
    project.run("check").code(0).stderr("2 images, no problems found\n");
}
