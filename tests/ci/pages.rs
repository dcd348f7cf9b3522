//! The pipelines in the guide.

use serde_json::Value;

use crate::schema::{self, faults, read};
use crate::shown::blocks;

const PAGE: &str = include_str!("../../docs/ci.md");

/// Returns the problems in a block of a page, interpreted as the kind of file that its first lines indicate.
fn judge(text: &str) -> (&'static str, Vec<String>) {
    let value = read(text);
    let has = |key: &str| value.get(key).is_some();
    match &value {
        Value::Array(_) => ("steps", faults(schema::GITHUB, Some("steps"), &value)),
        _ if has("jobs") => ("workflow", faults(schema::GITHUB, None, &value)),
        _ if has("steps") => ("steps", faults(schema::GITHUB, Some("steps"), &value["steps"])),
        _ => ("pipeline", faults(schema::GITLAB, None, &value)),
    }
}

#[test]
fn pipelines_in_the_guide_match_the_schemas() {
    let mut kinds = Vec::new();
    for text in blocks(PAGE, "yaml") {
        let (kind, faults) = judge(&text);
        assert!(faults.is_empty(), "{faults:#?}\n{text}");
        kinds.push(kind);
    }
    let count = |wanted: &str| kinds.iter().filter(|kind| **kind == wanted).count();
    assert!(count("workflow") >= 4 && count("pipeline") >= 2 && count("steps") >= 2, "{kinds:?}");
}

/// The GitLab jobs that a page's pipelines refer to exist.
#[test]
fn jobs_and_artifacts_that_the_guide_refers_to_exist() {
    for text in blocks(PAGE, "yaml") {
        let value = read(&text);
        if value.get("jobs").is_some() || !value.is_object() || value.get("steps").is_some() {
            continue;
        }
        let jobs = value.as_object().unwrap();
        for job in jobs.values() {
            let triggers = job["trigger"]["include"].as_array().cloned().unwrap_or_default();
            let needs = job["needs"].as_array().cloned().unwrap_or_default();
            let named = needs.iter().chain(triggers.iter().map(|it| &it["job"]));
            for name in named.chain(job.get("extends")) {
                assert!(jobs.contains_key(name.as_str().unwrap()), "there is no {name}:\n{text}");
            }
            for include in &triggers {
                let paths = &jobs[include["job"].as_str().unwrap()]["artifacts"]["paths"];
                assert!(paths.as_array().unwrap().contains(&include["artifact"]), "{text}");
            }
        }
    }
}
