//! `--progress json` prints events as described in docs/events.md and its schema, and nothing else to stdout.
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

#[path = "common/program.rs"]
mod program;

const SCHEMA: &str = include_str!("../docs/events.schema.json");
const PAGE: &str = include_str!("../docs/events.md");

/// Returns the events in the schema.
fn known() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let kinds = schema["$defs"]["event"]["oneOf"].as_array().unwrap();
    let names = kinds.iter().flat_map(|kind| {
        let event = &kind["properties"]["event"];
        let several = event["enum"].as_array().cloned().unwrap_or_default();
        several.into_iter().chain(event.get("const").cloned())
    });
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn image(root: &Path, image: &str, dockerfile: &str) {
    let directory = root.join("docker").join(image);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
}

fn build(root: &Path, script: &str, words: &str) -> Output {
    let script_file = root.join("script.json");
    fs::write(&script_file, script).unwrap();
    let mut command = program::layers();
    command.args(words.split(' ')).args(["--engine", "fake", "--progress", "json", "-C"]).arg(root);
    command.env("LAYERS_FAKE_SCRIPT", script_file).output().unwrap()
}

#[test]
fn every_event_matches_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    image(root, "base", "FROM scratch\nRUN true\n");
    image(root, "dev", "FROM acme/shop-base\nRUN make\n");
    image(root, "release", "FROM acme/shop-dev\n");
    image(root, "agent", "FROM acme/shop-base\n");
    let script = r#"{"store": "store.json", "images": [
        {"reference": "shop-dev", "fail": {"step": 2, "message": "exit code: 2"},
         "steps": [{"text": "FROM acme/shop-base"}, {"text": "RUN make", "output": ["\u001b[31mred"]}]}
    ]}"#;
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let mut seen = BTreeSet::new();
    for words in ["build --all --keep-going", "build --all", "build base --force"] {
        let output = build(root, script, words);
        let printed = String::from_utf8(output.stdout).unwrap();
        for line in printed.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let errors: Vec<String> =
                schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}\n{errors:?}");
            seen.extend(value["event"].as_str().map(str::to_owned));
        }
        assert!(printed.starts_with("{\"version\":2,\"began\":"), "{printed}");
        assert!(printed.ends_with("\"event\":\"run-finished\"}\n"), "{printed}");
        assert!(!printed.contains('\u{1b}'), "{printed}");
    }
    for event in ["image-built", "image-failed", "image-skipped", "image-stale", "output"] {
        assert!(seen.contains(event), "{event}: {seen:?}");
    }
}

#[test]
fn the_schema_rejects_invalid_events() {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for wrong in [
        r#"{}"#,
        r#"{"at_ms": 1, "event": "image-started"}"#,
        r#"{"at_ms": 1, "event": "image-started", "id": 0, "image": "a", "more": 1}"#,
        r#"{"at_ms": 1, "event": "image-started", "image": "a"}"#,
        r#"{"at_ms": 1, "event": "run-finished", "id": 0, "image": "a"}"#,
        r#"{"at_ms": 1, "event": "unheard-of", "id": 0, "image": "a"}"#,
        r#"{"event": "run-finished"}"#,
        r#"{"version": 3, "began": "2026-11-25T08:31:12.345Z"}"#,
    ] {
        assert!(!schema.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}

#[test]
fn every_event_is_documented() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<String> =
        rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(told, known());
}
