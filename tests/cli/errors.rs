//! Mistakes in files: each is shown at its position, with a hint.

#![expect(clippy::disallowed_methods, reason = "a test needs a pipe")]

use std::process::Command;

use crate::harness::Project;

#[test]
fn a_cycle_shows_every_edge() {
    Project::new()
        .dockerfile("a", "FROM acme/b\n")
        .dockerfile("b", "FROM scratch\nCOPY --from=acme/c / /\n")
        .dockerfile("c", "FROM acme/a\n")
        .dockerfile("d", "FROM acme/a\n")
        .run("graph")
        .code(3)
        .stdout("")
        .stderr(
            "\
error[cycle]: dependency cycle: a → b → c → a
 --> docker/a/Dockerfile:1:6
  |
1 | FROM acme/b
  |      ^^^^^^ `a` depends on `b`
  |
 ::: docker/b/Dockerfile:2:13
  |
2 | COPY --from=acme/c / /
  |             ------ `b` depends on `c`
  |
 ::: docker/c/Dockerfile:1:6
  |
1 | FROM acme/a
  |      ------ `c` depends on `a`
  |
  = hint: remove one of these references, or move what both need into a separate image

1 error
",
        );
}

#[test]
fn an_image_that_depends_on_itself_is_a_cycle() {
    Project::new()
        .dockerfile("a", "FROM acme/x-a\n")
        .dockerfile("b", "FROM acme/x-a\n")
        .run("check")
        .code(3)
        .stdout("")
        .stderr(
            "\
error[cycle]: `a` depends on itself
 --> docker/a/Dockerfile:1:6
  |
1 | FROM acme/x-a
  |      ^^^^^^^^ `a` depends on `a`
  |
  = hint: remove one of these references, or move what both need into a separate image

1 error
",
        );
}

#[test]
fn errors_about_platforms_of_a_from_name_the_variable_or_its_value() {
    let check = |text: &str, title: &str, help: &[&str]| {
        let err = Project::new().dockerfile("a", text).run("graph").code(3).err();
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines[0], format!("error[invalid-platform]: {title}"), "{err}");
        let found = lines.iter().filter_map(|line| line.trim_start().strip_prefix("= "));
        assert_eq!(found.collect::<Vec<_>>(), help, "{err}");
    };
    let usual = ["hint: use one such as `linux/arm64`"];
    check("FROM --platform=what a\n", "`what` is not a valid platform", &usual);
    check(
        "FROM --platform=x/a,x/b a\n",
        "`x/a,x/b` is several platforms, but FROM takes one",
        &usual,
    );
    check(
        "ARG P=what\nFROM --platform=$P a\n",
        "`$P` expands to `what`, which is not a valid platform",
        &usual,
    );
    check("ARG P=\nFROM --platform=$P a\n", "the platform `$P` is empty", &usual);
    let unset = |name: &str| {
        format!(
            "note: `{name}` is not set; FROM can only use ARGs that are declared before the first FROM"
        )
    };
    check(
        "FROM --platform=$BUILDPLATFROM a\n",
        "the platform `$BUILDPLATFROM` is empty",
        &[&unset("BUILDPLATFROM"), "hint: did you mean `$BUILDPLATFORM`?"],
    );
    check(
        "FROM --platform=${P} a\nARG P=linux/arm64\n",
        "the platform `${P}` is empty",
        &[&unset("P"), "hint: declare it before the first FROM: `ARG P=linux/arm64`"],
    );
    check(
        "ARG P\nFROM --platform=$P a\n",
        "the platform `$P` is empty",
        &[
            "note: `P` has no value",
            "hint: pass `--build-arg P=linux/arm64`, or declare it with a default: `ARG P=linux/arm64`",
        ],
    );
    check(
        "FROM --platform=linux/$ARCH a\n",
        "`linux/$ARCH` expands to `linux/`, which is not a valid platform",
        &[&unset("ARCH"), "hint: declare it before the first FROM: `ARG ARCH=…`"],
    );
}

#[test]
fn a_list_of_platforms_is_one_error() {
    let err = Project::shop()
        .run("build --all --engine fake --platform linux/amd64,linux/arm64")
        .code(2)
        .err();
    assert_eq!(err.matches("error").count(), 1, "{err}");
    assert!(err.contains("several platforms, but a run builds for one"), "{err}");
}

#[test]
fn all_broken_files_are_reported() {
    Project::new()
        .dockerfile("a", "FORM scratch\n")
        .dockerfile("b", "FROM scratch\nCOPY --from=nowhere:x:y / /\n")
        .dockerfile("good", "FROM scratch\n")
        .file("docker/c/Dockerfile", b"FROM scratch\nRUN \xff\n")
        .run("check")
        .code(3)
        .stdout("")
        .stderr_file("broken-files.txt");
}

#[test]
fn another_tag_of_a_sibling_is_external_with_a_warning() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\n")
        .dockerfile("dev", "FROM acme/shop-base:latest\n")
        .dockerfile("old", "FROM acme/shop-base:1.0\n");
    project.run("check").code(0).stdout("").stderr(
        "\
warning[sibling-tag]: `acme/shop-base:1.0` names an image of this repository, but with a tag that is not built here
 --> docker/old/Dockerfile:1:6
  |
1 | FROM acme/shop-base:1.0
  |      ^^^^^^^^^^^^^^^^^^ treated as an external image
  |
  = note: the image is tagged `latest`
  = hint: use the tag `latest` to depend on the image of this repository

1 warning
",
    );
}

#[test]
fn invalid_command_line_arguments_are_reported() {
    let project = Project::shop();
    project
        .run("build bsae --engine fake")
        .code(2)
        .stderr("error: image `bsae` not found\nhint: did you mean `base`?\n");
    project.run("build docker/nothing --engine fake").code(2).stderr(
        "error: image `docker/nothing` not found\nhint: run `layers list` to see all images\n",
    );
    project
        .run("build")
        .code(2)
        .stderr("error: no images specified: name at least one, or pass --all\nhint: `layers list` shows all images\n");
    project.run("build --keep-going").code(2);
    for argument in ["=x", "="] {
        let printed = project.run(&format!("graph --build-arg {argument}")).code(2).err();
        assert!(printed.contains("'--build-arg <NAME[=VALUE]>': the name is missing"), "{printed}");
    }
    project.run("build --all base").code(2);
    project.run("build --all --jobs 0").code(2);
    project.run("build --all --engine fake --progress tty").code(2).stderr(
        "error: `--progress tty` needs a terminal, but stderr is not a terminal\n\
         hint: omit it, or use `--progress plain`\n",
    );
    project
        .run("graph --target nothing")
        .code(2)
        .stderr("error: no Dockerfile has a stage `nothing`\n");
    project
        .run("graph -C nowhere")
        .code(2)
        .stderr("error: `nowhere`: No such file or directory (os error 2)\n");
    project
        .run("graph -C docker/base/Dockerfile")
        .code(2)
        .stderr("error: `docker/base/Dockerfile` is not a directory\n");
}

#[test]
fn selectors_accept_directory_paths_with_a_trailing_slash() {
    let project = Project::shop();
    for arguments in [
        "plan base/ --engine fake",
        "plan docker/base/ --engine fake",
        "plan base/ --engine fake -C docker",
        "plan +base/ --engine fake",
    ] {
        let out = project.run(arguments).code(0).out();
        assert!(out.contains("base"), "{arguments}: {out}");
        assert!(!out.contains("dev"), "{arguments}: {out}");
    }
    let out = project.run("plan base/+ --engine fake").code(0).out();
    assert!(out.contains("dev"), "{out}");
    project
        .run("plan bsae/ --engine fake")
        .code(2)
        .stderr("error: image `bsae/` not found\nhint: did you mean `base`?\n");
}

#[test]
fn undeclared_build_arguments_are_warned_about() {
    let project = || {
        Project::new()
            .dockerfile("base", "ARG TAG=12\nFROM debian:$TAG\nONBUILD ARG LATER\n")
            .dockerfile("dev", "FROM acme/shop-base\nARG DEBUG\n")
    };
    let check = |arguments: &str, expected: &str| {
        let project = project().var("EMPTY", "");
        project.run(&format!("plan {arguments} --engine fake")).code(0).stderr(expected);
    };
    check("--build-arg TAG=11 --build-arg DEBUG=1 --build-arg LATER=1", "");
    check("--build-arg HTTP_PROXY=x --build-arg BUILDKIT_X=1 --build-arg TARGETARCH=arm64", "");
    check("--build-arg UNSET", "");
    let warning = |rest: &str| {
        format!("warning[unused-argument]: no Dockerfile declares {rest}\n\n1 warning\n")
    };
    check(
        "--build-arg DEBGU=1",
        &warning("the build argument `DEBGU`\n |\n = hint: did you mean `DEBUG`?"),
    );
    check(
        "--build-arg NOPE=1 --build-arg EMPTY",
        &warning(
            "the build arguments `EMPTY` and `NOPE`\n |\n = hint: declare it where it is used: `ARG EMPTY`",
        ),
    );
    // Only the built images count.
    check(
        "base --build-arg DEBUG=1",
        &warning(
            "the build argument `DEBUG`\n |\n = hint: declare it where it is used: `ARG DEBUG`",
        ),
    );
    let other = project().dockerfile("x", "# syntax=example/other\nFROM x:1\n");
    other.run("plan --build-arg NOPE=1 --engine fake").code(0).stderr("");
}

#[test]
fn a_dockerfile_that_is_not_a_regular_file_is_an_error() {
    let project = Project::shop().file("docker/web/Dockerfile/x", "");
    let pipe = project.root().join("docker/pipe/Dockerfile");
    std::fs::create_dir(pipe.parent().unwrap()).unwrap();
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    project.run("list").code(3).stdout("").stderr(
        "\
error[unreadable-file]: `docker/pipe/Dockerfile` is a pipe
--> docker/pipe/Dockerfile
 = hint: replace it with a file, or set `exclude = [\"docker/pipe/Dockerfile\"]` in `layers.toml`

error[unreadable-file]: `docker/web/Dockerfile` is a directory
--> docker/web/Dockerfile
 = hint: replace it with a file, or set `exclude = [\"docker/web/Dockerfile\"]` in `layers.toml`

2 errors
",
    );
    let config = "exclude = ['docker/{pipe,web}/Dockerfile']\n";
    let excluded = project.file("layers.toml", config);
    excluded.run("list").code(0).stderr("");
    let named = format!("{config}[image.web]\ndockerfile = 'docker/web/Dockerfile'\n");
    let printed = excluded.file("layers.toml", named).run("list").code(3).err();
    assert!(
        printed.contains("`docker/web/Dockerfile` is a directory\n --> layers.toml:3:14"),
        "{printed}"
    );
}

#[test]
fn an_unknown_target_stage_is_an_error() {
    let project = Project::shop().dockerfile("app", "FROM debian:12 AS Builder\nFROM builder\n");
    project
        .run("graph --target bulider")
        .code(2)
        .stdout("")
        .stderr("error: no Dockerfile has a stage `bulider`\nhint: did you mean `builder`?\n");
    // The file that cannot be read could be the one that contains it.
    let printed = project.dockerfile("dev", "FORM x\n").run("graph --target nothing").code(3).err();
    assert!(
        printed.starts_with("error[unknown-instruction]: unknown instruction `FORM`"),
        "{printed}"
    );
    assert!(!printed.contains("stage `nothing`"), "{printed}");
}

#[test]
fn invalid_parts_of_image_names_are_errors() {
    let check = |project: Project, arguments: &str, expected: &str| {
        let printed = project.run(&format!("list {arguments}")).code(2).stdout("").err();
        let first = printed.lines().next().unwrap();
        assert_eq!(first, format!("error: {expected}"));
        assert!(printed.contains("\nhint: "), "{printed}");
    };
    let shop = Project::shop;
    check(shop().var("VERSION", "a:b"), "", "VERSION is `a:b`, which is not a valid tag");
    check(shop().var("REPO_VERSION", "-a"), "", "REPO_VERSION is `-a`, which is not a valid tag");
    check(shop(), "--tag 5000/x", "`--tag` is `5000/x`, which is not a valid tag");
    check(shop().var("REPO_NS", "a/"), "", "REPO_NS is `a/`, which is not a valid namespace");
    check(shop(), "--namespace a:b", "`--namespace` is `a:b`, which is not a valid namespace");
    check(shop(), "--app Shop", "`--app` is `Shop`, which is not a valid part of an image name");
    check(
        shop().var("APP_NAME", "a_"),
        "",
        "APP_NAME is `a_`, which is not a valid part of an image name",
    );
    // Templates decide which values are possible.
    let template = "reference = '{namespace}{app}{name}'\n";
    let templates = shop().file("layers.toml", template);
    templates.run("list --namespace acme/ --app shop-").code(0);
    let without = shop().file("layers.toml", "reference = '{namespace}/{name}'\n");
    without.run("list --namespace acme --app (").code(0);
    let configured = shop().file("layers.toml", "version = 'a:b'\n");
    configured.run("list").code(3).stdout("").stderr(
        "\
error[invalid-name]: `a:b` is not a valid tag
 --> layers.toml:1:11
  |
1 | version = 'a:b'
  |           ^^^^^
  |
  = hint: a tag consists of letters, digits, `_`, `.`, and `-`, and can't start with `.` or `-`

1 error
",
    );
    configured.run("list --tag 1").code(0);
}

#[test]
fn a_repository_without_dockerfiles_reports_the_searched_paths() {
    Project::new().run("build --all").code(2).stdout("").stderr(
        "error: no Dockerfile found in `[root]`: searched for `docker/*/Dockerfile` and `docker/*/Containerfile`\n\
         hint: set their location in `layers.toml`: dockerfiles = [\"images/*/Dockerfile\"]\n",
    );
}

#[test]
fn an_unknown_setting_is_shown_with_its_location() {
    Project::shop()
        .file("layers.toml", "namespace = 'acme'\nap = 'x'\n")
        .run("list")
        .code(3)
        .stdout("")
        .stderr(
            "\
error[config]: unknown setting `ap`
 --> layers.toml:2:1
  |
2 | ap = 'x'
  | ^^
  |
  = hint: did you mean `app`?

1 error
",
        );
}
