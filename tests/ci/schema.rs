//! YAML as the CI systems parse it, and the schemas of the files that they accept.

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

pub const GITHUB: &str = include_str!("../schemas/github-workflow.json");
pub const ACTION: &str = include_str!("../schemas/github-action.json");
pub const GITLAB: &str = include_str!("../schemas/gitlab-ci.json");

/// Parses a document. No CI system accepts a key that is not text.
pub fn read(text: &str) -> Value {
    let documents = YamlLoader::load_from_str(text).unwrap_or_else(|it| panic!("{it}:\n{text}"));
    let [document] = documents.as_slice() else { panic!("not one document:\n{text}") };
    as_json(document)
}

fn as_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(truth) => Value::from(*truth),
        Yaml::Null => Value::Null,
        Yaml::Array(items) => items.iter().map(as_json).collect(),
        Yaml::Hash(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let before = map.insert(key.as_str().unwrap().to_owned(), as_json(value));
                assert!(before.is_none(), "{key:?} stands there twice");
            }
            Value::Object(map)
        }
        other => panic!("{other:?} is not used"),
    }
}

/// Returns the violations of the schema, or of a definition in it (`part`).
pub fn faults(schema: &str, part: Option<&str>, value: &Value) -> Vec<String> {
    let mut schema: Value = serde_json::from_str(schema).unwrap();
    if let Some(part) = part {
        // The other top-level keywords apply to the whole document. Definitions can refer to each other, so
        // all of them remain.
        let whole = schema.as_object_mut().unwrap();
        let kept =
            serde_json::json!({ "$defs": whole["$defs"], "$ref": format!("#/$defs/{part}") });
        *whole = kept.as_object().unwrap().clone();
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect()
}

/// Parses a document, which must be valid.
#[track_caller]
pub fn fitting(schema: &str, text: &str) -> Value {
    let value = read(text);
    let faults = faults(schema, None, &value);
    assert!(faults.is_empty(), "{faults:#?}\n{text}");
    value
}

#[test]
fn invalid_files_fail_schema_validation() {
    let check = |schema: &str, right: &str, wrong: &[&str]| {
        fitting(schema, right);
        for text in wrong {
            assert!(!faults(schema, None, &read(text)).is_empty(), "{text}");
        }
    };
    let steps = "runs-on: x, steps: [{run: a}]";
    let job = |job: &str| format!("on: push\njobs: {{{job}}}");
    check(
        GITHUB,
        &job(&format!("a: {{{steps}}}")),
        &[
            "jobs: {a: {runs-on: x, steps: [{run: a}]}}",
            "on: push\njobs: {}",
            &job("a: {runs-on: x}"),
            &job("a: {runs-on: x, steps: [{run: a, uses: b/c@v1}]}"),
            &job("a: {runs-on: x, steps: [{uses: nowhere}]}"),
            &job(&format!("a.b: {{{steps}}}")),
            &job(&format!("3: {{{steps}}}")).replace('3', "'3'"),
            &job(&format!("__a: {{{steps}}}")),
            &job(&format!("{}: {{{steps}}}", "a".repeat(100))),
            &job(&format!("a: {{{steps}, needs: []}}")),
            &job(&format!("a: {{{steps}, needs: [b, b]}}")),
            &job(&format!("a: {{{steps}, else: 1}}")),
            &job(&format!("a: {{{steps}, strategy: {{matrix: {{include: []}}}}}}")),
        ],
    );
    check(
        GITLAB,
        "a: {script: [b], needs: []}",
        &[
            "image: {script: [b]}",
            ".a: {script: [b]}",
            "a: {needs: []}",
            "a: {script: []}",
            "a: {script: [b], needs: [b, b]}",
            "a: {script: [b], trigger: {include: [{artifact: x, job: y}]}}",
            "a: {trigger: {include: [{artifact: x}]}}",
            "stages: []\na: {script: [b]}",
            "variables: {A: 1}\na: {script: [b]}",
        ],
    );
    check(
        ACTION,
        "name: a\ndescription: b\nruns: {using: composite, steps: [{run: a, shell: bash}]}",
        &[
            "name: a\nruns: {using: composite, steps: [{run: a, shell: bash}]}",
            "name: a\ndescription: b\nruns: {using: composite, steps: [{run: a}]}",
            "name: a\ndescription: b\nruns: {using: node, steps: [{run: a, shell: bash}]}",
            "name: a\ndescription: b\nruns: {using: composite, steps: [{run: 'a ${{ b }}', shell: bash}]}",
        ],
    );
}
