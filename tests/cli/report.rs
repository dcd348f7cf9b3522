//! `layers report`, and the page and the trace that `layers build` writes of its run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Project;
use crate::log::newest;

/// builder fails, and its output would be markup.
fn failing() -> Project {
    Project::shop().script(
        r#"{"store": "store.json", "images": [{"reference": "shop-builder",
            "steps": [{"text": "RUN make wheels", "output": ["</script><b>\n"]}],
            "fail": {"step": 1, "message": "exit code: 2"}}]}"#,
    )
}

/// Returns the data of a page.
fn data(page: &str) -> Value {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// Compares whole pages, which are too long for a message.
#[track_caller]
fn assert_same_page(found: &str, expected: &str) {
    assert_eq!(data(found), data(expected));
    assert!(found == expected, "they differ beside the data");
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn image<'a>(data: &'a Value, name: &str) -> &'a Value {
    data["images"].as_array().unwrap().iter().find(|image| image["name"] == name).unwrap()
}

#[test]
fn report_shows_the_last_run_by_default() {
    let project = failing();
    project.run("build --all --engine fake -k --progress quiet").code(1);
    let path = "[root]/.layers/runs/[run]/report.html\n";
    project.run("report").code(0).stdout(path).stderr("");
    let id = newest(&project);
    let page = read(project.root().join(".layers/runs").join(&id).join("report.html"));
    let held = data(&page);
    assert_eq!(held["title"], id);
    assert_eq!(held["run"]["counts"], "2 built, 1 failed, 2 skipped of 5 images");
    let builder = image(&held, "builder");
    assert_eq!(
        (&builder["outcome"], &builder["failure"]["tail"][0]),
        (&"failed".into(), &"</script><b>".into())
    );
    assert_eq!(builder["failure"]["excerpt"]["lines"][0], "RUN make wheels");
    assert_eq!(image(&held, "release")["why"], "builder failed");
    // The output path can be set. Neither an engine nor valid files are needed.
    let project = project.dockerfile("base", "FROM\n");
    let again = project.run("report --output -").code(0).out();
    assert_eq!(data(&again)["images"], data(&page)["images"]);
    project.run("report --output page.html").code(0).stdout("page.html\n");
    assert_same_page(&read(project.root().join("page.html")), &page);
    project.run(&format!("-C docker report {id} -o ../again.html")).code(0);
    assert_same_page(&read(project.root().join("again.html")), &page);
}

#[test]
fn a_run_is_compared_with_the_previous_run_that_shares_an_image() {
    let project = Project::shop().script("{}");
    project.run("build base --engine fake --progress quiet").code(0);
    let first = newest(&project);
    project.run("build agent --engine fake --progress quiet").code(0);
    let shown = project.run("report --output -").code(0).out();
    assert_eq!(data(&shown)["run"]["prior"], Value::Null, "agent and base share nothing");
    project.run("build builder --engine fake --progress quiet --timings=page.html").code(0);
    let page = project.read("page.html");
    let held = data(&page);
    assert_eq!(held["run"]["prior"]["id"], first);
    assert_eq!(image(&held, "base")["prior"]["outcome"], "built");
    assert_eq!(image(&held, "builder")["prior"], Value::Null);
    // Created later, it is the same page.
    project.run("report -o later.html").code(0);
    assert_same_page(&project.read("later.html"), &page);
}

#[test]
fn a_build_writes_a_report_and_a_trace() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    let printed =
        project.run("build --all --engine fake --timings --trace t.json --progress json -j2");
    let printed = printed.code(0);
    assert!(printed.err().contains("trace: t.json\n"), "{}", printed.err());
    assert!(
        printed.err().ends_with("report: [root]/.layers/runs/[run]/report.html\n"),
        "{}",
        printed.err()
    );
    assert!(printed.out().lines().all(|line| line.starts_with('{')), "the events are alone there");
    let page = project.root().join(".layers/runs").join(newest(&project)).join("report.html");
    assert_eq!(data(&read(page))["run"]["counts"], "5 built of 5 images");
    let trace: Value = serde_json::from_str(&project.read("t.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let images = events.iter().filter(|event| event["cat"] == "image");
    assert_eq!(images.count(), 5);
    // The trace from the log is the same. No page is written with it.
    project.run("report --trace again.json").code(0).stdout("again.json\n");
    assert_eq!(project.read("again.json"), project.read("t.json"));
    project.run("report --trace a.json -o b.html").code(0).stdout("a.json\nb.html\n");
}

#[test]
fn a_run_that_builds_nothing_writes_a_report_only_to_an_explicit_path() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.run("build agent --engine fake").code(0);
    let printed = project.run("build agent --engine fake --timings").code(0).err();
    assert!(
        printed.ends_with("no report: nothing was built, so the run has no log\n"),
        "{printed}"
    );
    project.run("build agent --engine fake --timings=p.html").code(0);
    assert_eq!(image(&data(&project.read("p.html")), "agent")["outcome"], "fresh");
}

#[test]
fn missing_runs_and_unwritable_reports_are_errors() {
    let project = Project::shop().script("{}");
    let nothing = "error: no runs found: no run that built something has left a log here\nhint: `layers plan` shows what a run would build\n";
    project.run("report").code(2).stdout("").stderr(nothing);
    project.run("build agent --engine fake").code(0);
    project
        .run("report 7")
        .code(2)
        .stderr("error: run `7` not found\nhint: `layers runs` lists the runs that are kept\n");
    let printed = project.run("report -o nowhere/page.html").code(4).err();
    assert!(printed.contains("can't write `[root]/nowhere/page.html`"), "{printed}");
    project.run("build agent --engine fake --dry-run --timings").code(2);
    project.run("build agent --engine fake --timings p.html").code(2);
}

#[test]
fn an_html_graph_needs_no_run() {
    let project = Project::shop();
    let page = project.run("graph --html").code(0).stderr("").out();
    let shown = data(&page);
    assert_eq!((&shown["title"], &shown["run"]), (&"shop".into(), &Value::Null));
    let release = image(&shown, "release");
    assert_eq!(release["files"]["dockerfile"], "docker/release/Dockerfile");
    assert_eq!(release["parents"][1]["location"], "docker/release/Dockerfile:2:13");
    assert_eq!(image(&shown, "base")["externals"][0]["name"], "debian:bookworm-slim");
    assert_eq!(image(&shown, "base")["outcome"], Value::Null);
    project.run("graph --output graph.html").code(0).stdout("");
    assert_eq!(data(&project.read("graph.html")), shown);
    project.run("graph --check --output graph.html").code(0);
}
