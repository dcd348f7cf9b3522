//! Slow operations of images: sending a context, exporting, unpacking, and waiting for another run.

use std::fs;

use serde_json::Value;

use crate::harness::Project;
use crate::log::newest;
use crate::terminal::Session;

/// A project whose only image takes long for everything but its steps. It is exported when the file `go` exists.
fn slow() -> Project {
    Project::new().dockerfile("base", "FROM scratch\nRUN dd\n").script(
        r#"{"store": "store.json", "images": [{"reference": "shop-base", "steps": [
            {"operation": "sending-context", "sent": [[12300000, 300000000], [300000000, 300000000]],
             "gate": "file:sent", "millis": 1200},
            {"text": "FROM scratch"},
            {"text": "RUN dd", "output": ["300+0 records out\n"]},
            {"operation": "exporting", "gate": "file:go", "millis": 4100},
            {"operation": "unpacking", "millis": 999}]}]}"#,
    )
}

fn pass(project: &Project, gate: &str) {
    fs::write(project.root().join(".layers").join(gate), "").unwrap();
}

/// Returns a project in which nothing waits.
fn open() -> Project {
    let project = slow();
    pass(&project, "sent");
    pass(&project, "go");
    project
}

/// What is printed, with all times as `0.0s`.
const LINES: &str = "\
[0.0s] building 1 image with fake 0.1.0, 1 slot
[0.0s] base: started
[0.0s] base: no image in the engine
[0.0s] base: sent 300 MB of context in 0.0s
[0.0s] base: [1/2] FROM scratch (0.0s)
[0.0s] base: | 300+0 records out
[0.0s] base: [2/2] RUN dd (0.0s)
[0.0s] base: exported in 0.0s
[0.0s] base: built in 0.0s (1 step, 0 cached)
1 built of 1 image in 0.0s
";

#[test]
fn slow_operations_have_plain_lines_and_fast_ones_have_none() {
    let project = open();
    project.run("build --all --engine fake --progress plain -j1").code(0).stderr(LINES);
    // The log shows the same.
    project.run("log").code(0).stdout(LINES);
    let log = project.run("log base").code(0).out();
    assert!(log.contains("==> sent 300 MB of context in 0.0s\n"), "{log}");
    assert!(log.contains("==> exported in 0.0s\n") && !log.contains("unpacked"), "{log}");
}

#[test]
fn every_operation_is_in_the_json_lines_the_report_and_the_trace() {
    let project = open();
    let printed = project.run("build --all --engine fake --progress json --trace t.json").code(0);
    let events: Vec<Value> =
        printed.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let operations: Vec<String> = events
        .iter()
        .filter(|event| !event["operation"].is_null())
        .map(|event| format!("{} {} {}", event["event"], event["operation"], event["took_ms"]))
        .collect();
    let expected = [
        r#""operation-started" "sending-context" null"#,
        r#""operation-progress" "sending-context" null"#,
        r#""operation-finished" "sending-context" 1200.0"#,
        r#""operation-started" "exporting" null"#,
        r#""operation-finished" "exporting" 4100.0"#,
        r#""operation-started" "unpacking" null"#,
        r#""operation-finished" "unpacking" 999.0"#,
    ];
    assert_eq!(operations, expected);
    let finished = events.iter().find(|event| event["event"] == "operation-finished").unwrap();
    assert_eq!(finished["sent"], 300_000_000);
    // No step is an operation, too.
    let steps = events.iter().filter(|event| event["event"] == "step-started");
    assert_eq!(steps.count(), 2);
    let trace: Value = serde_json::from_str(&project.read("t.json")).unwrap();
    let slices = trace["traceEvents"].as_array().unwrap().iter();
    let names: Vec<&Value> =
        slices.filter(|event| event["cat"] == "operation").map(|event| &event["name"]).collect();
    assert_eq!(names, ["sending context", "exporting", "unpacking"]);
    let page = project.run("report --output -").code(0).out();
    assert!(page.contains(r#""operations":[{"kind":"sending-context""#), "{page}");
}

#[test]
fn live_view_shows_operations_instead_of_the_last_step() {
    for columns in [100, 80, 40] {
        let project = slow();
        let arguments = ["build", "--all", "--engine", "fake"];
        let mut session = Session::launch(&project, &arguments, (12, columns), &[]);
        session.until(|screen| screen.contains("12.3 MB"));
        pass(&project, "sent");
        let screen = session.until(|screen| screen.contains("base  exporting"));
        assert!(!screen.contains("RUN dd"), "{screen}");
        pass(&project, "go");
        let (status, screen, _) = session.end();
        assert!(status.success() && !screen.contains("exporting"), "{screen}");
    }
}

/// A log of an earlier version, without the ends of waits and with an export that is a step.
#[test]
fn logs_of_earlier_versions_are_shown() {
    let project = open();
    project.run("build --all --engine fake --progress quiet").code(0);
    let directory = project.root().join(".layers/runs").join(newest(&project));
    let lines = [
        r#"{"version":2,"began":"2026-11-25T08:31:12.345Z"}"#,
        r#"{"at_ms":0.1,"event":"run-started","engine":"docker 28","jobs":1,"images":["base"],"edges":[],"expected_ms":{}}"#,
        r#"{"at_ms":1.0,"id":0,"image":"base","event":"image-started"}"#,
        r#"{"at_ms":2.0,"id":0,"image":"base","event":"image-blocked"}"#,
        r#"{"at_ms":5000.0,"id":0,"image":"base","event":"image-stale","reason":{"reason":"no-image"}}"#,
        r#"{"at_ms":5001.0,"id":0,"image":"base","event":"step-started","step":{"id":0,"number":0,"total":0,"text":"exporting to image"}}"#,
        r#"{"at_ms":9001.0,"id":0,"image":"base","event":"step-finished","step":{"id":0,"number":0,"total":0,"text":"exporting to image"},"cached":false,"took_ms":4000.0}"#,
        r#"{"at_ms":9002.0,"id":0,"image":"base","event":"image-built","image_id":"sha256:1","references":[],"steps":{"ran":1,"cached":0},"took_ms":9001.0}"#,
        r#"{"at_ms":9003.0,"event":"run-finished"}"#,
    ];
    fs::write(directory.join("events.jsonl"), lines.join("\n") + "\n").unwrap();
    let expected = "\
[0.0s] building 1 image with docker 28, 1 slot
[0.0s] base: started
[0.0s] base: waiting for another run that builds this image
[0.0s] base: no image in the engine
[0.0s] base: exporting to image (0.0s)
[0.0s] base: built in 0.0s (1 step, 0 cached)
1 built of 1 image in 0.0s
";
    project.run("log").code(0).stdout(expected);
    let log = project.run("log base").code(0).out();
    assert!(log.contains("==> exporting to image (0.0s)\n"), "{log}");
    let page = project.run("report --output -").code(0).out();
    let wait = r#""operations":[{"kind":"waiting-for-run","from":2,"took":4998}]"#;
    assert!(page.contains(wait), "{page}");
    assert!(page.contains("exporting to image"), "it is a step there");
    project.run("runs").code(0);
}
