//! `layers log` and `layers runs`: the output of a run can be printed again, without the engine and the
//! files.

use std::fs;
use std::process::Output;

use regex::Regex;

use crate::harness::{Project, assert_same};

/// What precedes the log of the last run with one.
pub const HEADING: &str = "run [run], started [moment]\n";

/// builder fails after 25 lines in two steps, agent is built.
fn failing() -> Project {
    let lines: String = (3..=25).map(|number| format!("line {number}\\n")).collect();
    Project::shop().script(&format!(
        r#"{{"images": [{{"reference": "shop-builder", "warnings": ["odd"],
            "steps": [{{"text": "RUN fetch", "output": ["line 1\n", "line"]}},
                      {{"text": "RUN make wheels", "output": ["line 2\n", "{lines}"]}}],
            "fail": {{"step": 2, "message": "exit code: 2"}}}}]}}"#
    ))
}

/// Returns the unmodified output of a command.
fn raw(project: &Project, words: &str) -> Output {
    project.command(&words.split_whitespace().collect::<Vec<_>>()).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Returns the entries of `layers runs --json`, the newest first.
pub fn runs(project: &Project) -> Vec<serde_json::Value> {
    serde_json::from_str(&text(raw(project, "runs --json").stdout)).unwrap()
}

pub fn newest(project: &Project) -> String {
    runs(project)[0]["id"].as_str().unwrap().to_owned()
}

/// Returns the table of runs with constant spaces and times.
pub fn table(project: &Project) -> String {
    let printed = project.run("runs").code(0).out();
    Regex::new(" {2,}").unwrap().replace_all(&printed, "  ").into_owned()
}

#[test]
fn the_log_matches_the_output_of_the_run() {
    for words in ["-j2", "-j1 -k", "agent"] {
        let project = failing();
        let words =
            words.strip_prefix("agent").map_or(format!("--all {words}"), |_| "agent".into());
        let printed = text(raw(&project, &format!("build {words} --engine fake")).stderr);
        assert!(printed.contains(" built") && printed.contains(": started"), "{printed}");
        assert_eq!(printed.contains("layers log builder"), words != "agent");
        assert_same(&text(raw(&project, "log").stdout), &printed);
        project.run("log").code(0).stderr(HEADING);
    }
}

#[test]
fn the_command_to_try_again_is_complete() {
    let project = failing();
    let run = |arguments: &[&str]| {
        let output = project.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(output.stderr)
    };
    let words =
        ["-C", "docker/base", "build", "--all", "-k", "--engine", "fake", "--progress=quiet"];
    let given = ["--build-arg", "A=it's 1", "--build-arg=NPM_TOKEN=abc", "--app", "shop"];
    let printed = run(&[&words[..], &given].concat());
    let expected = "try again: layers -C docker/base build --all -k --engine fake --progress=quiet \
                    --build-arg 'A=it'\\''s 1' '--build-arg=NPM_TOKEN=***' --app shop\n";
    assert!(printed.ends_with(expected), "{printed}");
    // The log, the events, and the page have it too.
    assert!(text(raw(&project, "log").stdout).ends_with(expected));
    let id = newest(&project);
    let events = project.read(&format!(".layers/runs/{id}/events.jsonl"));
    let begun: serde_json::Value = serde_json::from_str(events.lines().nth(1).unwrap()).unwrap();
    let command = expected.trim_start_matches("try again: ").trim_end();
    assert_eq!(begun["command"], command);
    project.run("report").code(0);
    let page = project.read(&format!(".layers/runs/{id}/report.html"));
    assert!(page.contains("NPM_TOKEN=***") && !page.contains("abc"));
    // A log of an earlier version does not contain the command line.
    let old = events.replace(&format!("\"command\":{},", begun["command"]), "");
    assert!(old.len() < events.len());
    project.write(&format!(".layers/runs/{id}/events.jsonl"), &old);
    let shown = text(raw(&project, "log").stdout);
    assert!(shown.contains("1 failed") && !shown.contains("try again"), "{shown}");
}

#[test]
fn a_truncated_log_tail_points_to_the_full_log() {
    let project = failing();
    let cut = "  | line 24\n  | line 25\n  full log: layers log builder\n  skipped";
    let begin = "  last 20 lines of the log:\n  | line 6\n";
    let printed = project.run("build --all --engine fake --progress quiet").code(1).err();
    assert!(printed.contains(begin) && printed.contains(cut), "{printed}");
    project.run("log builder").code(0).stderr(HEADING).stdout(&format!(
        "\
==> started
==> no image in the engine
==> warning: odd
==> [1/2] RUN fetch
line 1
==> [1/2] done in 0.0s
==> [2/2] RUN make wheels
{}==> [1/2] RUN fetch
line
==> failed after 0.0s at docker/builder/Dockerfile:2
==> exit code: 2
",
        (2..=25).map(|number| format!("line {number}\n")).collect::<String>()
    ));
    // For an older run, the command contains the ID of the run.
    let id = newest(&project);
    project.run("build agent --engine fake").code(0);
    let shown = text(raw(&project, &format!("log --run {id}")).stdout);
    assert!(shown.contains(&format!("  full log: layers log builder --run {id}\n")), "{shown}");
    let log = text(raw(&project, &format!("log builder --run {id}")).stdout);
    assert!(log.ends_with("\n==> exit code: 2\n"), "{log}");
}

#[test]
fn a_short_log_is_printed_completely_in_the_summary() {
    let project = Project::shop().script(
        r#"{"images": [{"reference": "shop-base",
            "steps": [{"text": "RUN make", "output": ["one\n", "two\n"]}],
            "fail": {"step": 1, "message": "exit code: 2"}}]}"#,
    );
    let printed = project.run("build base --engine fake --progress quiet").code(1).err();
    assert!(printed.contains("  | two\n") && !printed.contains("whole log"), "{printed}");
    // A line that is too long for the summary is complete in the log.
    let long = "x".repeat(500);
    let project = project.script(&format!(
        r#"{{"images": [{{"reference": "shop-base",
            "steps": [{{"text": "RUN make", "output": ["{long}\n"]}}],
            "fail": {{"step": 1, "message": "exit code: 2"}}}}]}}"#
    ));
    let printed = project.run("build base --engine fake --progress quiet").code(1).err();
    assert!(printed.contains("…\n  full log: layers log base\n"), "{printed}");
    assert!(project.run("log base").out().contains(&long));
}

#[test]
fn runs_are_listed_newest_first() {
    let project = failing();
    project
        .run("runs")
        .code(0)
        .stdout("")
        .stderr("no runs found: no run that built something has left a log here\n");
    project.run("runs --json").code(0).stdout("[]\n").stderr("");
    project.run("build agent --engine fake").code(0);
    project.run("build --all --engine fake -j2").code(1);
    let expected = "\
RUN  STARTED  DURATION  IMAGES
[run]  [moment]  0.0s  2 built, 1 failed, 2 skipped of 5 images
[run]  [moment]  0.0s  1 built of 1 image
";
    assert_same(&table(&project), expected);
    let rows = runs(&project);
    let of = |row: &serde_json::Value, name: &str| row[name].clone();
    assert_eq!(rows.len(), 2);
    assert_eq!(of(&rows[0], "failed"), 1);
    assert_eq!(of(&rows[0], "state"), "finished");
    assert_eq!(of(&rows[1], "images"), 1);
    assert!(rows[0]["began"].as_str() > rows[1]["began"].as_str(), "{rows:?}");
}

#[test]
fn only_the_last_ten_runs_are_kept() {
    let project = Project::shop().script("{}");
    project.run("build agent --engine fake").code(0);
    let first = newest(&project);
    for _ in 0..9 {
        project.run("build agent --engine fake").code(0);
    }
    assert_eq!(runs(&project).len(), 10);
    project.run(&format!("log --run {first}")).code(0);
    project.run("build agent --engine fake").code(0);
    assert_eq!(runs(&project).len(), 10);
    assert_eq!(fs::read_dir(project.root().join(".layers/runs")).unwrap().count(), 10);
    let gone = project.run(&format!("log --run {first}")).code(2).err();
    assert!(gone.contains("run `[run]` not found\nhint: "), "{gone}");
}

#[test]
fn a_run_with_nothing_to_do_leaves_no_log() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.run("build agent --engine fake").code(0);
    let id = newest(&project);
    project.run("build agent --engine fake").code(0);
    project.run("build agent --engine fake --dry-run").code(0);
    assert_eq!(runs(&project).len(), 1);
    project.run("build agent base --engine fake").code(0);
    assert_eq!(runs(&project).len(), 2);
    project
        .run("log agent --run none")
        .code(2)
        .stderr("error: run `none` not found\nhint: `layers runs` lists the runs that are kept\n");
    // A fresh image has no log in this run, but in an older one.
    let error = text(raw(&project, "log agent").stderr);
    let last = newest(&project);
    let hint = format!("layers log agent --run {id}");
    let expected =
        format!("error: run `{last}` has no log of `agent`: it was up to date\nhint: `{hint}`\n");
    assert_same(&error, &expected);
    project.run(hint.trim_start_matches("layers ")).code(0).stderr("");
}

#[test]
fn the_log_names_its_run_because_a_later_run_may_have_no_log() {
    let project = Project::shop().script(r#"{"store": "store.json"}"#);
    project.run("build agent --engine fake").code(0);
    let id = newest(&project);
    project.run("build agent --engine fake").code(0);
    let printed = text(raw(&project, "log").stderr);
    assert!(printed.starts_with(&format!("run {id}, started 20")), "{printed}");
    project.run(&format!("log --run {id}")).code(0).stderr("");
    // Everything is fresh, but there is no run with a log: no log is claimed, and nothing is to be built.
    fs::remove_dir_all(project.root().join(".layers/runs")).unwrap();
    project.run("build agent --engine fake").code(0);
    for words in ["log", "log agent", "report"] {
        project.run(words).code(2).stdout("").stderr(
            "error: no runs found: no run that built something has left a log here\n\
             hint: `layers plan` shows what a run would build\n",
        );
    }
}

#[test]
fn missing_runs_and_logs_are_errors() {
    let project = failing();
    for words in ["log", "log base", "log --run 1"] {
        project
            .run(words)
            .code(2)
            .stdout("")
            .stderr("error: no runs found: no run that built something has left a log here\nhint: `layers plan` shows what a run would build\n");
    }
    project.run("build --all --engine fake -j2").code(1);
    let check = |words: &str, expected: &str| {
        project.run(words).code(2).stdout("").stderr(expected);
    };
    check(
        "log bulider",
        "error: no image `bulider` in run `[run]`\nhint: did you mean `builder`?\n",
    );
    check(
        "log ../x",
        "error: no image `../x` in run `[run]`\nhint: `layers log` shows what the run did\n",
    );
    check(
        "log dev",
        "error: run `[run]` has no log of `dev`: a dependency failed\n\
         hint: `layers build dev`\n",
    );
    let id = newest(&project);
    let near = format!("{}x", &id[..id.len() - 1]);
    let printed = text(raw(&project, &format!("log --run {near}")).stderr);
    assert_same(&printed, &format!("error: run `{near}` not found\nhint: did you mean `{id}`?\n"));
}

#[test]
fn logs_are_shown_without_valid_files_or_an_engine() {
    let project = failing();
    project.run("build --all --engine fake -j2").code(1);
    let shown = project.run("log").code(0).out();
    let project = project
        .script(r#"{"describe_error": "no request is expected"}"#)
        .dockerfile("base", "FROM\n")
        .file("layers.toml", "[[[")
        .var("DOCKER_HOST", "unix:///nobody/listens");
    project.run("build --all --engine fake").code(3);
    project.run("log").code(0).stdout(&shown).stderr(HEADING);
    project.run("-C docker/base log agent").code(0).stderr(HEADING);
    assert_eq!(runs(&project).len(), 1);
    project.run("runs").code(0).stderr("");
}
