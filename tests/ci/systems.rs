//! How the CI systems interpret a pipeline: jobs, their dependencies, and the arguments of their commands.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use layers::export::ci::{PUSH_KEYS, PUSH_TAGS, RELEASE};
use serde_json::Value;

/// A job of a pipeline. The jobs of a matrix are one job with several commands.
#[derive(Debug)]
pub struct Job {
    pub id: String,
    /// The jobs that must finish first.
    pub needs: Vec<String>,
    /// Its own commands as a shell receives them.
    pub commands: Vec<String>,
}

/// Returns the jobs of a workflow with evaluated expressions.
pub fn github(workflow: &Value) -> Vec<Job> {
    let jobs = workflow["jobs"].as_object().unwrap().iter();
    jobs.map(|(id, job)| {
        let entries = job["strategy"]["matrix"]["include"].as_array();
        let none = vec![serde_json::json!({})];
        let steps = job["steps"].as_array().unwrap();
        let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
        let [run] = runs.as_slice() else { panic!("{id} runs {runs:?}") };
        let command = |entry: &Value| {
            let value = |name: &str| evaluate(entry[name].as_str().unwrap(), &|it| panic!("{it}"));
            evaluate(job["name"].as_str().unwrap(), &value);
            evaluate(run, &value)
        };
        Job {
            id: id.clone(),
            needs: texts(&job["needs"]),
            commands: entries.unwrap_or(&none).iter().map(command).collect(),
        }
    })
    .collect()
}

/// Evaluates the expressions in a text. Only strings and `matrix.NAME` are supported.
fn evaluate(text: &str, matrix: &dyn Fn(&str) -> String) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, opened)) = rest.split_once("${{") {
        result.push_str(before);
        let mut is_text = false;
        let end = opened.char_indices().find(|(at, c)| {
            is_text ^= *c == '\'';
            !is_text && opened[*at..].starts_with("}}")
        });
        let (end, _) = end.unwrap_or_else(|| panic!("an expression has no end: {text}"));
        let expression = opened[..end].trim();
        match expression.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')) {
            Some(string) => result.push_str(&string.replace("''", "'")),
            None => {
                let name = expression.strip_prefix("matrix.");
                result.push_str(&matrix(name.unwrap_or_else(|| panic!("`{expression}`: {text}"))));
            }
        }
        rest = &opened[end + 2..];
    }
    result + rest
}

/// Returns the jobs of a GitLab pipeline. A job without `needs` waits for all earlier stages.
pub fn gitlab(pipeline: &Value) -> Vec<Job> {
    let stages = texts(&pipeline["stages"]);
    let stage = |job: &Value| {
        let name = job["stage"].as_str().unwrap();
        stages.iter().position(|it| it == name).unwrap_or_else(|| panic!("no stage {name}"))
    };
    let jobs = pipeline.as_object().unwrap().iter().filter(|(_, job)| job.get("script").is_some());
    let jobs: Vec<(&String, &Value)> = jobs.collect();
    let describe = |(id, job): &(&String, &Value)| {
        let earlier = jobs.iter().filter(|(_, other)| stage(other) < stage(job));
        let needs = match job.get("needs") {
            Some(needs) => texts(needs),
            None => earlier.map(|(id, _)| (*id).clone()).collect(),
        };
        for need in &needs {
            assert!(stage(&pipeline[need]) <= stage(job), "{id} needs {need} of a later stage");
        }
        Job { id: (*id).clone(), needs, commands: texts(&job["script"]) }
    };
    jobs.iter().map(describe).collect()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Returns the jobs in dependency order.
pub fn in_order(jobs: &[Job]) -> Vec<&Job> {
    let ids: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    for need in jobs.iter().flat_map(|job| &job.needs) {
        assert!(ids.contains(need.as_str()), "there is no job {need}");
    }
    let mut order: Vec<&Job> = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while order.len() < jobs.len() {
        let before = order.len();
        for job in jobs {
            let is_ready = job.needs.iter().all(|need| done.contains(need.as_str()));
            if is_ready && done.insert(&job.id) {
                order.push(job);
            }
        }
        assert!(order.len() > before, "the jobs need each other in a circle: {jobs:?}");
    }
    order
}

/// Returns the arguments that the program receives from each command, using a shell.
pub fn words(commands: &[&str]) -> Vec<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh")
        .arg("-s")
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = "layers() { printf '%s\\0' \"$#\" \"$@\"; }\n".to_owned();
    commands.iter().for_each(|command| script.push_str(&format!("{command}\n")));
    let mut input = shell.stdin.take().unwrap();
    // The output can fill the pipe before all input has been read.
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "a command did something else than to call the program");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut pieces = text.split_terminator('\0').map(str::to_owned);
    let mut calls = Vec::new();
    while let Some(count) = pieces.next() {
        calls.push(pieces.by_ref().take(count.parse().unwrap()).collect());
    }
    assert_eq!(calls.len(), commands.len(), "each command line is one call");
    calls
}

/// Returns the images that the arguments of a call select. For the last job, these can be all images.
fn images(words: &[String], push: &str) -> Vec<String> {
    let rest = words.strip_prefix(&["build".to_owned()]).unwrap();
    let (names, others) = match rest.first() {
        Some(first) if first == push => {
            let [dashes, names @ ..] = &rest[1..] else { panic!("{words:?}") };
            assert_eq!(dashes, "--");
            (names, [].as_slice())
        }
        _ => rest.split_at(rest.iter().position(|word| word == push).unwrap()),
    };
    assert!(others.is_empty() || others == [push], "{words:?}");
    let is_all = push == PUSH_TAGS && names == ["--all"];
    let is_bare = others == [push] && names.iter().any(|name| name.starts_with('-'));
    assert!(is_all || !is_bare, "a name is taken for an option: {words:?}");
    names.to_vec()
}

/// Returns the images that each job builds, with one list per command.
pub fn built(jobs: &[Job]) -> BTreeMap<&str, Vec<Vec<String>>> {
    let all: Vec<&str> = jobs.iter().flat_map(|job| &job.commands).map(String::as_str).collect();
    let mut calls = words(&all).into_iter();
    let built = jobs.iter().map(|job| {
        let push = if job.id == RELEASE { PUSH_TAGS } else { PUSH_KEYS };
        let calls = calls.by_ref().take(job.commands.len());
        (job.id.as_str(), calls.map(|words| images(&words, push)).collect())
    });
    built.collect()
}

/// Checks that a pipeline agrees with a graph: each image is built once, by a job that comes after all its
/// direct and indirect dependencies, and the last job waits for all others.
#[track_caller]
pub fn check(jobs: &[Job], needs: &BTreeMap<String, Vec<String>>) {
    let built = built(jobs);
    assert_eq!(built[RELEASE], [["--all"]]);
    let mut done: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for job in in_order(jobs) {
        let before = job.needs.iter().flat_map(|need| done[need.as_str()].iter().copied());
        let mut before: BTreeSet<&str> = before.collect();
        if job.id == RELEASE {
            assert_eq!(before.len(), needs.len(), "the last job comes after all");
            continue;
        }
        let earlier = before.clone();
        for chain in &built[job.id.as_str()] {
            let mut there = earlier.clone();
            for image in chain {
                for need in &needs[image] {
                    assert!(there.contains(need.as_str()), "{image} is built before {need}");
                }
                assert!(seen.insert(image.clone()), "{image} is built twice");
                there.insert(image);
                before.insert(image);
            }
        }
        done.insert(&job.id, before);
    }
    assert_eq!(seen.len(), needs.len(), "all images are built");
}

/// Checks that jobs of one image each depend exactly on the jobs of the image's parents.
#[track_caller]
pub fn check_edges(jobs: &[Job], needs: &BTreeMap<String, Vec<String>>) {
    let built = built(jobs);
    let image = |id: &str| built[id][0][0].clone();
    for job in jobs.iter().filter(|job| job.id != RELEASE) {
        let found: BTreeSet<String> = job.needs.iter().map(|id| image(id)).collect();
        let expected: BTreeSet<String> = needs[&image(&job.id)].iter().cloned().collect();
        assert_eq!(found, expected, "{}", job.id);
    }
}

#[test]
fn wrong_pipelines_are_detected() {
    let job = |id: &str, needs: &[&str], commands: &[&str]| Job {
        id: id.to_owned(),
        needs: needs.iter().map(|it| (*it).to_owned()).collect(),
        commands: commands.iter().map(|it| format!("layers build {it}")).collect(),
    };
    let needs = BTreeMap::from([("a".to_owned(), vec![]), ("b".to_owned(), vec!["a".to_owned()])]);
    let wrong = |jobs: Vec<Job>| {
        let checked = std::panic::catch_unwind(|| check(&jobs, &needs));
        assert!(checked.is_err(), "{jobs:?}");
    };
    let (a, b) = ("a --push=keys", "b --push=keys");
    let release = |needs: &[&str]| job("release", needs, &["--all --push"]);
    check(&[job("x", &[], &[a]), job("y", &["x"], &[b]), release(&["x", "y"])], &needs);
    check(&[job("x", &[], &["a b --push=keys"]), release(&["x"])], &needs);
    wrong(vec![job("x", &[], &[a]), job("y", &[], &[b]), release(&["x", "y"])]);
    wrong(vec![job("x", &[], &[a]), job("y", &["x"], &[b]), release(&["x"])]);
    wrong(vec![job("x", &["y"], &[a]), job("y", &["x"], &[b]), release(&["x", "y"])]);
    wrong(vec![job("x", &[], &[a]), release(&["x"])]);
    wrong(vec![job("x", &[], &[a, b]), release(&["x"])]);
    wrong(vec![job("x", &[], &["b a --push=keys"]), release(&["x"])]);
    wrong(vec![job("x", &[], &[a]), job("y", &["z"], &[b]), release(&["x", "y"])]);
    wrong(vec![
        job("x", &[], &["a; true --push=keys"]),
        job("y", &["x"], &[b]),
        release(&["x", "y"]),
    ]);
}
