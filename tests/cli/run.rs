//! Runs: order, transient failures, limits, and two concurrent runs.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use crate::harness::Project;
use crate::log::newest;

/// Returns the builds that the fake engine started and finished: `shop-base`, `/shop-base`.
fn builds(project: &Project) -> Vec<String> {
    let record = project.read(".layers/calls.jsonl");
    let calls = record.lines().map(|line| serde_json::from_str(line).unwrap());
    calls
        .filter_map(|call: serde_json::Value| {
            let reference = call["references"][0].as_str()?.trim_start_matches("acme/");
            match call["call"].as_str()? {
                "build" => Some(reference.to_owned()),
                "build-ended" => Some(format!("/{reference}")),
                _ => None,
            }
        })
        .collect()
}

fn scripted(images: &str) -> Project {
    Project::shop().script(&format!(
        r#"{{"record": "calls.jsonl", "store": "store.json", "images": {images}}}"#
    ))
}

#[test]
fn transient_errors_are_retried() {
    let failing = r#"[{"reference": "shop-base", "passes_after": 2,
        "fail": {"step": 1, "message": "503 Service Unavailable"}}]"#;
    let project = scripted(failing);
    project.run("build base --engine fake --retries 2 --progress plain").code(0).stderr(
        "[0.0s] building 1 image with fake 0.1.0, 2 slots\n\
         [0.0s] base: started\n\
         [0.0s] base: no image in the engine\n\
         [0.0s] base: attempt 1 failed: 503 Service Unavailable; retrying in 0.0s\n\
         [0.0s] base: no image in the engine\n\
         [0.0s] base: attempt 2 failed: 503 Service Unavailable; retrying in 0.0s\n\
         [0.0s] base: no image in the engine\n\
         [0.0s] base: [1/2] FROM debian:bookworm-slim (0.0s)\n\
         [0.0s] base: [2/2] RUN true (0.0s)\n\
         [0.0s] base: built in 0.0s (1 step, 0 cached)\n\
         1 built of 1 image in 0.0s\n",
    );
    assert_eq!(builds(&project).len(), 6);
    let project = scripted(failing);
    project.run("build base --engine fake").code(4);
    assert_eq!(builds(&project).len(), 2, "no retry was requested");
}

#[test]
fn engine_errors_are_retried_but_failing_commands_are_not() {
    let gone = r#"[{"reference": "shop-base", "passes_after": 1, "error": "lost the engine"}]"#;
    scripted(gone).run("build base --engine fake --retries 1").code(0);
    scripted(gone).run("build base --engine fake").code(4);
    let project =
        scripted(r#"[{"reference": "shop-base", "fail": {"step": 1, "message": "exit code: 1"}}]"#);
    project.run("build base --engine fake --retries 9").code(1);
    assert_eq!(builds(&project), ["shop-base:latest", "/shop-base:latest"]);
}

#[test]
fn an_image_that_times_out_fails_and_other_images_are_built() {
    let project = scripted(r#"[{"reference": "shop-base", "gate": "canceled"}]"#);
    let ran = project.run("build --all --engine fake -k --timeout 200ms --progress plain").code(1);
    let printed = ran.err();
    assert!(printed.contains("error: base failed\n  timed out after 200ms\n"), "{printed}");
    assert!(printed.contains("skipped dependents: builder, dev, release\n"), "{printed}");
    assert!(printed.contains("agent: built"), "{printed}");
    for (time, why) in [("soon", "expected number at 0"), ("0s", "must be longer than zero")] {
        let printed = project.run(&format!("build --all --timeout {time}")).code(2).err();
        assert!(printed.contains(why), "{printed}");
    }
}

#[test]
fn a_failure_cancels_running_builds_only_with_fail_fast() {
    let project = |gate: &str| {
        scripted(&format!(
            r#"[{{"reference": "shop-base", "gate": "started:shop-agent",
                  "fail": {{"step": 1, "message": "exit code: 1"}}}},
                {{"reference": "shop-agent", "gate": "{gate}"}}]"#
        ))
    };
    let printed =
        project("canceled").run("build --all --engine fake -j2 --fail-fast").code(1).err();
    assert!(
        printed.contains("agent: canceled") && printed.contains("1 failed, 1 canceled"),
        "{printed}"
    );
    let printed = project("finished:shop-base").run("build --all --engine fake -j2").code(1).err();
    assert!(printed.contains("agent: built") && printed.contains("1 built, 1 failed"), "{printed}");
    project("canceled").run("build --all --engine fake --fail-fast -k").code(2);
}

#[test]
fn heavy_images_are_not_built_in_parallel() {
    let project =
        scripted("[]").file("layers.toml", "[image.base]\nweight = 2\n[image.agent]\nweight = 9\n");
    project.run("build base agent --engine fake -j3").code(0);
    let builds = builds(&project);
    assert!(builds[1].starts_with('/'), "one after the other: {builds:?}");
    let project = scripted("[]").file("layers.toml", "[image.base]\nweight = 0\n");
    let printed = project.run("build --all --engine fake").code(3).err();
    assert!(printed.contains("layers.toml:2:10"), "{printed}");
}

#[test]
fn a_plan_estimates_the_time_from_previous_build_durations() {
    let project = scripted("[]").file(
        ".layers/durations.json",
        r#"{"images": {"base": [60000, 1000, 60000], "builder": [90000], "agent": [100000],
            "dev": [30000], "release": [10000]}}"#,
    );
    let printed = project.run("plan --engine fake --estimate -j1").code(0).out();
    let end =
        "about 4m50s with -j 1; 3m00s with -j 2\ncritical path: base → builder → dev, 3m00s\n";
    assert!(printed.ends_with(end), "{printed}");
    let printed = project.run("plan --engine fake --estimate -j2").code(0).out();
    assert!(printed.contains("about 3m00s with -j 2; -j 3 is no faster\n"), "{printed}");
    let printed = project.run("plan --engine fake --estimate -j2 --json").code(0).out();
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["estimate"]["time_ms"], 180_000);
    assert_eq!(json["estimate"]["chain"][1], "builder");
    assert_eq!(json["images"].as_array().unwrap().len(), 5);
    project.run("build --all --engine fake").code(0);
    let printed = project.run("plan --engine fake --estimate").code(0).out();
    assert!(printed.ends_with("nothing to build\n"), "{printed}");
}

#[test]
fn previous_build_durations_determine_the_start_order() {
    let order = |durations: &str| {
        let project = scripted("[]").file(".layers/durations.json", durations);
        project.run("build base agent --engine fake -j1").code(0);
        builds(&project)[0].clone()
    };
    assert_eq!(order(r#"{"images": {"base": [9], "agent": [10]}}"#), "shop-agent:latest");
    assert_eq!(order(r#"{"images": {"base": [10], "agent": [9]}}"#), "shop-base:latest");
}

/// Starts a build of base and waits until its output contains a text.
fn start(project: &Project, until: &str) -> (Child, BufReader<ChildStderr>, String) {
    let arguments = ["build", "base", "--engine", "fake", "--progress", "plain"];
    let mut child = project.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains(until) {
        assert!(stderr.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    (child, stderr, printed)
}

fn finish((mut child, mut stderr, mut printed): (Child, BufReader<ChildStderr>, String)) -> String {
    stderr.read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success(), "{printed}");
    printed
}

const GATED: &str = r#"[{"reference": "shop-base", "gate": "file:go"}]"#;

#[test]
fn concurrent_runs_do_not_build_the_same_image() {
    let project = scripted(GATED);
    let first = start(&project, "base: no image in the engine");
    let second = start(&project, "base: waiting for another run that builds this image");
    fs::write(project.root().join(".layers/go"), "").unwrap();
    let (first, second) = (finish(first), finish(second));
    assert!(first.contains("base: built"), "{first}");
    assert!(second.contains("base: fresh"), "{second}");
    // The wait has a start and an end in the log of the second run.
    let log = project.root().join(".layers/runs").join(newest(&project)).join("events.jsonl");
    let log = fs::read_to_string(log).unwrap();
    let waits: Vec<&str> =
        log.lines().filter(|line| line.contains(r#""operation":"waiting-for-run""#)).collect();
    assert_eq!(waits.len(), 2, "{log}");
    assert!(waits[0].contains("operation-started"), "{log}");
    assert!(waits[1].contains("operation-finished") && waits[1].contains("took_ms"), "{log}");
    assert_eq!(builds(&project), ["shop-base:latest", "/shop-base:latest"]);
    let left = fs::read_dir(project.root().join(".layers/claims")).unwrap().count();
    assert_eq!(left, 0, "a claim is given back");
}

#[test]
fn the_claim_of_a_killed_run_is_taken_over() {
    let project = scripted(GATED);
    let (mut first, ..) = start(&project, "base: no image in the engine");
    let second = start(&project, "base: waiting for another run that builds this image");
    first.kill().unwrap();
    first.wait().unwrap();
    fs::write(project.root().join(".layers/go"), "").unwrap();
    let printed = finish(second);
    assert!(printed.contains("base: built"), "{printed}");
    let left = fs::read_dir(project.root().join(".layers/claims")).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[test]
fn github_actions_output_has_groups_and_annotations() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nRUN true\n")
        .dockerfile("dev", "FROM acme/shop-base\nRUN make all\n")
        .script(
            r#"{"images": [{"reference": "shop-dev",
                "steps": [{"text": "FROM acme/shop-base"},
                          {"text": "RUN make all", "output": ["::error::not ours\n"]}],
                "fail": {"step": 2, "message": "exit code: 2"}}]}"#,
        )
        .var("GITHUB_ACTIONS", "true");
    let workspace = project.root().parent().unwrap().display().to_string();
    let project = project.var("GITHUB_WORKSPACE", workspace);
    let ran = project.run("build --all --engine fake -j1").code(1);
    let printed = ran.err();
    let begin = "\
[0.0s] building 2 images with fake 0.1.0, 1 slot
[0.0s] base: started
::group::[   0.0s] base: built in 0.0s (1 step, 0 cached)
[0.0s] base: no image in the engine
[0.0s] base: [1/2] FROM scratch (0.0s)
[0.0s] base: [2/2] RUN true (0.0s)
::endgroup::
[0.0s] dev: started
::group::[   0.0s] dev: failed after 0.0s at docker/dev/Dockerfile:2
[0.0s] dev: no image in the engine
[0.0s] dev: [1/2] FROM acme/shop-base (0.0s)
[0.0s] dev: | ::error::not ours
::endgroup::
::error file=shop/docker/dev/Dockerfile,line=2,title=dev failed at docker/dev/Dockerfile%3A2\
::exit code: 2%0A::error::not ours

error: dev failed at docker/dev/Dockerfile:2
";
    assert!(printed.starts_with(begin), "{printed}");
}
