//! A build argument without a value: it stops its image and the dependents, and nothing else.

use crate::harness::Project;

/// `app` needs a base from outside, `dev` is built on it, and `tools` is alone.
fn project() -> Project {
    Project::new()
        .dockerfile("app", "ARG BASE\nFROM $BASE\n")
        .dockerfile("dev", "FROM acme/shop-app\n")
        .dockerfile("tools", "FROM debian:12\nRUN true\n")
}

const PROBLEM: &str = "\
error[missing-argument]: the build argument `BASE` has no value
 --> docker/app/Dockerfile:2:6
  |
2 | FROM $BASE
  |      ^^^^^ expands to nothing
  |
  = hint: pass `--build-arg BASE=…`, or set `args.BASE = \"…\"` under `[image.app]` in `layers.toml`

1 error
";

const LEFT_OUT: &str = "2 images can't be built: `app` (the build argument `BASE` has no value) and `dev` (depends on `app`)";

fn end() -> String {
    format!(
        "error: {LEFT_OUT}\nhint: correct the errors above, or leave these images out with `--exclude`\n"
    )
}

#[test]
fn a_missing_argument_is_reported_with_both_ways_to_set_it() {
    project().run("check").code(3).stdout("").stderr(PROBLEM);
    project().run("check --build-arg BASE=debian:12").code(0);
    project().file("layers.toml", "[image.app]\nargs.BASE = \"debian:12\"\n").run("check").code(0);
}

/// Checks the message about a Dockerfile.
#[track_caller]
fn check(dockerfile: &str, expected: &str) {
    let printed = Project::new().dockerfile("app", dockerfile).run("list").code(0).err();
    assert_eq!(printed.lines().next(), Some(expected), "{dockerfile}");
}

#[test]
fn arguments_are_named_wherever_their_values_are_needed() {
    let one = "error[missing-argument]: the build argument `TAG` has no value";
    check("ARG TAG\nFROM acme/x:$TAG\n", one);
    check("ARG TAG\nFROM acme/${TAG}/x\n", one);
    check("ARG TAG=\nFROM acme/x:$TAG\n", one);
    check("ARG NS=acme TAG\nFROM ${NS:-x}/y:$TAG\n", one);
    check("ARG TAG\nARG BASE=acme/x:$TAG\nFROM $BASE\n", one);
    check("ARG TAG\nARG FLAVOR\nFROM x:1${FLAVOR:+-$FLAVOR} AS a\nFROM x:$TAG\n", one);
    check(
        "ARG NS\nARG TAG\nFROM $NS/y:$TAG\n",
        "error[missing-argument]: the build arguments `NS` and `TAG` have no value",
    );
    check(
        "ARG TAG\nFROM acme/x:${TAG:?unset}\n",
        "error[required-variable]: can't expand `acme/x:${TAG:?unset}`: TAG: unset",
    );
}

#[test]
fn an_undeclared_variable_is_not_a_build_argument() {
    Project::new().dockerfile("app", "FROM $BASE\n").run("list").code(0).stderr(
        "\
error[blank-base]: the base image `$BASE` is blank after expansion
 --> docker/app/Dockerfile:1:6
  |
1 | FROM $BASE
  |      ^^^^^
  |
  = note: `BASE` is not set; FROM can only use ARGs that are declared before the first FROM
  = hint: declare it before the first FROM: `ARG BASE=…`

1 error
",
    );
}

#[test]
fn the_graph_and_the_list_are_complete() {
    let ran = project().run("graph").code(0).stderr(PROBLEM);
    ran.stdout("app  (error)\n└── dev\ntools  (from debian:12)\n");
    let names = project().run("list -q").code(0).stderr(PROBLEM);
    names.stdout("app\ndev\ntools\n");
    let json = project().run("graph --json").code(0).stderr(PROBLEM).out();
    let error = "\"error\": \"the build argument `BASE` has no value\"";
    assert_eq!(json.matches(error).count(), 1, "{json}");
}

#[test]
fn all_other_images_are_planned_and_built() {
    let project = project();
    let plan = project.run("plan --engine fake").code(3);
    assert!(plan.out().starts_with("tools  build"), "{}", plan.out());
    plan.stderr(&(PROBLEM.to_owned() + &end()));
    let built = project.run("build --all --engine fake --progress plain").code(3).err();
    assert!(built.starts_with(PROBLEM) && built.ends_with(&end()), "{built}");
    assert!(built.contains("1 built"), "{built}");
    let others = project.run("build --all --exclude app --exclude dev --engine fake").code(0).err();
    assert!(others.contains("1 error in files of other images"), "{others}");
    project.run("build tools --engine fake").code(0);
    project.run("build dev --engine fake").code(3).stderr(PROBLEM);
    project.run("why app --engine fake").code(3).stderr(PROBLEM);
    project.run("build --all --engine fake --build-arg BASE=debian:12").code(0);
}

#[test]
fn files_for_other_programs_leave_the_images_out_and_say_so() {
    for command in ["graph --bake", "graph --compose", "ci github", "ci gitlab"] {
        let ran = project().run(command).code(3);
        let text = ran.out();
        assert!(text.contains("# Left out because of errors: `app` and `dev`.\n"), "{text}");
        assert!(text.contains("tools") && !text.contains("shop-dev"), "{text}");
        assert!(ran.err().contains(LEFT_OUT), "{command}: {}", ran.err());
    }
    project().run("graph --bake --focus dev").code(3).stdout("").stderr(PROBLEM);
    project().run("ci github dev").code(3).stdout("").stderr(PROBLEM);
    project().run("ci github tools").code(0);
}

#[test]
fn a_reference_that_is_not_valid_stops_its_image_only() {
    let project = project().dockerfile("app", "ARG BASE=:latest\nFROM $BASE\n");
    let error = "error[invalid-reference]: `:latest` is not a valid image name";
    for command in ["graph", "list"] {
        let out = project.run(command).code(0);
        assert!(out.err().starts_with(error), "{}", out.err());
        assert!(out.out().contains("tools") && out.out().contains("dev"), "{}", out.out());
    }
    project.run("build tools --engine fake").code(0);
    project.run("build --all --engine fake").code(3);
    project.run("check").code(3);
}
