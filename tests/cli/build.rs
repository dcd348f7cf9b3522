//! `layers build` on the scripted engine: order, failures, and messages.

use crate::harness::Project;

#[test]
fn all_images_are_built_in_order() {
    Project::shop()
        .script("{}")
        .run("build --all --engine fake -j1")
        .code(0)
        .stdout("")
        .stderr_file("built-in-order.txt");
}

#[test]
fn an_image_is_built_with_its_dependencies() {
    let built = |words: &str| -> String {
        let project = Project::shop().script(r#"{"record": "calls.jsonl"}"#);
        project.run(&format!("build {words} --engine fake -j1 --progress quiet")).code(0);
        let calls = project.read(".layers/calls.jsonl");
        let calls = calls.lines().map(|line| serde_json::from_str(line).unwrap());
        let begun = calls.filter_map(|call: serde_json::Value| {
            let reference = call["references"][0].as_str()?.to_owned();
            (call["call"] == "build").then_some(reference)
        });
        begun.collect::<Vec<_>>().join(" ")
    };
    let chain = "acme/shop-base:latest acme/shop-builder:latest";
    assert_eq!(built("dev"), format!("{chain} acme/shop-dev:latest"));
    assert_eq!(built("docker/release"), format!("{chain} acme/shop-release:latest"));
    assert_eq!(built("docker/base/"), "acme/shop-base:latest");
    assert_eq!(built("./docker/base/Dockerfile"), "acme/shop-base:latest");
    assert_eq!(built("a* base"), "acme/shop-agent:latest acme/shop-base:latest");
}

#[test]
fn independent_images_are_built_in_parallel() {
    // Each image waits until the other has started. Building one after the other would never end.
    let project = Project::shop().script(
        r#"{"images": [
            {"reference": "shop-builder", "gate": "started:shop-agent"},
            {"reference": "shop-agent", "gate": "started:shop-builder"}
        ]}"#,
    );
    project.run("build --all --engine fake -j2").code(0);
}

#[test]
fn dependents_start_as_soon_as_their_dependencies_finish() {
    // agent ends only after dev. In a build level by level, dev would wait for agent.
    let project = Project::shop()
        .script(r#"{"images": [{"reference": "shop-agent", "gate": "finished:shop-dev"}]}"#);
    project.run("build --all --engine fake -j2").code(0);
}

#[test]
fn a_failure_shows_the_location_output_and_retry_command() {
    let project = Project::shop()
        .dockerfile("builder", "FROM acme/shop-base\n\n# wheels\nRUN make \\\n    wheels\n")
        .script(
            r#"{"images": [
                {"reference": "shop-builder", "gate": "started:shop-agent",
                 "steps": [{"text": "RUN make     wheels", "output": ["\u001b[31mmake: *** no rule\u001b[0m\n", "stop\n"]}],
                 "fail": {"step": 1, "message": "exit code: 2"}}
            ]}"#,
        );
    project.run("build --all --engine fake -j2 --progress quiet").code(1).stdout("").stderr(
        "
error: builder failed at docker/builder/Dockerfile:4
 --> docker/builder/Dockerfile:4:1
  |
4 | / RUN make \\
5 | |     wheels
  | |__________^ exit code: 2
  last 2 lines of the log:
  | make: *** no rule
  | stop
  skipped dependents: dev, release

2 built, 1 failed, 2 skipped of 5 images in 0.0s
try again: layers build --all --engine fake -j2 --progress quiet
",
    );
}

#[test]
fn keep_going_builds_images_that_do_not_depend_on_the_failure() {
    let script =
        r#"{"images": [{"reference": "shop-agent", "fail": {"step": 0, "message": "no"}}]}"#;
    let project = Project::shop().script(script);
    let stopped = project.run("build --all --engine fake -j1").code(1).err();
    assert!(stopped.contains("not started:"), "{stopped}");
    let went_on = project.run("build --all --engine fake -j1 -k").code(1).err();
    assert!(went_on.contains("4 built, 1 failed of 5 images"), "{went_on}");
}

#[test]
fn engine_errors_are_distinguished_from_build_failures() {
    let script = r#"{"images": [{"reference": "shop-base", "error": "the engine went away"}]}"#;
    let ran = Project::shop().script(script).run("build base --engine fake --progress quiet");
    ran.code(4).stdout("").stderr(
        "
error: base failed
  the engine went away

0 built, 1 failed of 1 image in 0.0s
try again: layers build base --engine fake --progress quiet
",
    );
}

#[test]
fn an_unavailable_engine_is_reported_with_a_hint() {
    let script = r#"{"describe_error": "no engine today", "describe_hint": "start one"}"#;
    let ran = Project::shop().script(script).run("build base --engine fake");
    ran.code(4).stdout("").stderr("error: no engine today\nhint: start one\n");
}

#[test]
fn build_options_are_passed_to_the_engine() {
    let project = Project::shop()
        .dockerfile("base", "ARG PY=1\nFROM debian AS slim\nARG PY\nFROM slim AS full\n")
        .file(
            "layers.toml",
            "platform = 'linux/arm64'\n[args]\nPY = 3.12\n[image.base]\ntarget = 'slim'\n",
        )
        .var("VERSION", "1.2")
        .var("TOKEN", "from-environment")
        .script(r#"{"record": "calls.jsonl"}"#);
    let words =
        "build base --engine fake --build-arg A=b=c --build-arg TOKEN --build-arg UNSET --no-cache";
    project.run(words).code(0);
    let calls = project.read(".layers/calls.jsonl");
    let call: serde_json::Value = calls
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|call: &serde_json::Value| call["call"] == "build")
        .unwrap();
    assert_eq!(
        call["references"],
        serde_json::json!(["acme/shop-base:latest", "acme/shop-base:1.2"])
    );
    let args = serde_json::json!({"A": "b=c", "PY": "3.12", "TOKEN": "from-environment"});
    assert_eq!(call["build_args"], args);
    assert_eq!(call["target"], "slim");
    assert_eq!(call["no_cache"], true);
    assert_eq!(call["platform"], "linux/arm64");
}
