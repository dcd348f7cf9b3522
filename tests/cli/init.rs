//! `layers init` on trees with the layouts of public repositories: the file that it writes must be
//! sufficient.

use crate::config::check;
use crate::harness::Project;

#[test]
fn init_writes_the_inferred_settings() {
    for project in [
        Project::shop(),
        Project::new().dockerfile("base", "FROM scratch\n"),
        Project::new().dockerfile("base", "FROM scratch\n").dockerfile("dev", "FROM acme/base:7\n"),
        Project::new()
            .file("a/base/Dockerfile", "FROM scratch\n")
            .file("b/base/Dockerfile", "FROM acme/a-base\n"),
        Project::new()
            .file("Base/Dockerfile", "FROM scratch\n")
            .file("EventBus/Dockerfile", "FROM acme/base\n"),
    ] {
        let usual = project.run("list --json").out();
        project.run("init").code(0).stdout("");
        let text = project.read("layers.toml");
        let list = project.run("list --json").code(0).out();
        let references = |rows: &str| -> Vec<String> {
            rows.lines().filter(|line| line.contains(':')).map(str::to_owned).collect::<Vec<_>>()
        };
        let kept = |rows: &str| -> Vec<String> {
            references(rows).into_iter().filter(|line| !line.contains("named_by")).collect()
        };
        if !usual.is_empty() {
            assert_eq!(kept(&usual), kept(&list), "{text}");
        }
        project.run("init").code(2);
        assert_eq!(project.run("init --print").code(0).out(), text);
    }
}

#[test]
fn init_writes_explanatory_comments() {
    Project::new()
        .file("images/a/base/Dockerfile", "FROM debian:12\n")
        .file("images/a/dev/Dockerfile", "FROM acme/shop-a-base\n")
        .file("images/b/base/Dockerfile", "FROM debian:12\n")
        .file("images/b/dev/Dockerfile", "FROM acme/shop-b-base\n")
        .run("init --print")
        .code(0)
        .stdout(
            r#"# Settings that `layers` can't infer from the Dockerfiles. Dependencies are not listed here:
# they come from FROM, COPY --from, and RUN --mount=from=.

# Where the Dockerfiles are. To leave some out: exclude = ["old/**"]
dockerfiles = ["images/a/*/Dockerfile", "images/b/*/Dockerfile"]

# How image names are derived from directories.
name = "{parent}-{dir}"

# How images are named: inferred from images/a/dev/Dockerfile:1:6.
namespace = "acme"
app = "shop"
reference = "{namespace}/{app}-{name}"

# The images and their current references. To configure one, for example:
# [image.NAME]
# context = "."
# target = "release"
#
#   a-base  acme/shop-a-base:latest
#   a-dev   acme/shop-a-dev:latest
#   b-base  acme/shop-b-base:latest
#   b-dev   acme/shop-b-dev:latest
"#,
        );
}

/// Checks that the file that `init` writes describes a tree: these are its images and edges.
#[track_caller]
fn check_init(project: &Project, expected: &str) -> String {
    project.run("init").code(0).stdout("");
    check(project, expected);
    project.read("layers.toml")
}

#[test]
fn init_gives_each_image_a_distinct_name() {
    // The layout of SeleniumHQ/docker-selenium: two files in one directory, and a deeper directory with the
    // same name.
    let project = Project::new()
        .file("Base/Dockerfile", "FROM ubuntu:24.04\n")
        .file("NodeBase/Dockerfile", "ARG NS=grid\nFROM ${NS}/base:latest\n")
        .file("tests/Dockerfile", "FROM ubuntu:24.04\n")
        .file("tests/Dockerfile.emulator", "FROM ubuntu:24.04\n")
        .file("charts/x/Dockerfile", "FROM ubuntu:24.04\n")
        .file("charts/y/tests/Dockerfile", "FROM grid/node-base\n");
    check_init(
        &project,
        "base=grid/base:latest\n\
         node-base=grid/node-base:latest\n\
         tests=grid/tests:latest\n\
         tests-emulator=grid/tests-emulator:latest\n\
         x=grid/x:latest\n\
         y-tests=grid/y-tests:latest\n\
         base →from node-base\n\
         node-base →from y-tests",
    );
}

#[test]
fn init_infers_name_templates_from_from_instructions() {
    // The layout of big-data-europe/docker-spark.
    let from = |base: &str| format!("FROM acme/spark-{base}:3.3\n");
    let project = Project::new()
        .file("base/Dockerfile", "FROM alpine:3.10\n")
        .file("master/Dockerfile", from("base"))
        .file("submit/Dockerfile", from("base"))
        .file("template/java/Dockerfile", from("submit"))
        .file("template/python/Dockerfile", from("submit"))
        .file("examples/java/Dockerfile", from("java-template"))
        .file("examples/python/Dockerfile", from("python-template"));
    let text = check_init(
        &project,
        "base=acme/spark-base:3.3\n\
         java=acme/spark-java:3.3\n\
         java-template=acme/spark-java-template:3.3\n\
         master=acme/spark-master:3.3\n\
         python=acme/spark-python:3.3\n\
         python-template=acme/spark-python-template:3.3\n\
         submit=acme/spark-submit:3.3\n\
         java-template →from java\n\
         submit →from java-template\n\
         base →from master\n\
         python-template →from python\n\
         submit →from python-template\n\
         base →from submit",
    );
    let expected = "reference = \"{namespace}/{app}-{name}\"\n\n\
        # Where the Dockerfiles are, and how image names are derived from directories.\n\
        [[group]]\ndockerfiles = [\"*/Dockerfile\", \"examples/*/Dockerfile\"]\n\n\
        [[group]]\ndockerfiles = [\"template/*/Dockerfile\"]\nname = \"{dir}-{parent}\"\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn init_names_images_that_no_template_distinguishes() {
    let project = Project::new()
        .dockerfile("base", "FROM debian:12\n")
        .dockerfile("dev", "FROM acme/shop-base\n")
        .file("docker/base/Containerfile", "FROM debian:12\n");
    check_init(
        &project,
        "base=acme/shop-base:latest\n\
         dev=acme/shop-dev:latest\n\
         docker-base-dockerfile=acme/shop-docker-base-dockerfile:latest\n\
         base →from dev",
    );
}

#[test]
fn init_writes_settings_despite_broken_dockerfiles() {
    let project =
        Project::new().file("a/Dockerfile", "FORM x\n").file("b/Dockerfile", "FROM debian:12\n");
    let printed = project.run("init").code(3).err();
    assert!(printed.contains("error[unknown-instruction]"), "{printed}");
    let end = "wrote `layers.toml`: 2 images; 0 of 1 references resolved to images of this repository\n\
               images from elsewhere: `debian:12` (b/Dockerfile:1)\n\
               hint: fix the Dockerfiles above, or leave them out with `exclude`\n";
    assert!(printed.ends_with(end), "{printed}");
    project.file("a/Dockerfile", "FROM x:1\n").run("list").code(0).stderr("");
}
