//! The scripted engine: the behavior that tests of the whole program rely on.

#![cfg(any(debug_assertions, feature = "fake"))]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use common::{Files, build, output};
use layers::engine::fake::Fake;
use layers::engine::{
    BuildOutcome, BuildRequest, BuildUpdate, Builder, Cancel, ImageStore, LabelFilter,
};
use serde_json::Value;

fn request(reference: &str, dockerfile: &str) -> BuildRequest {
    BuildRequest {
        dockerfile: dockerfile.to_owned(),
        references: vec![reference.to_owned()],
        labels: BTreeMap::from([("key".to_owned(), reference.to_owned())]),
        context: Arc::new(Files::new().and("a", "1").and("sub/b", "2")),
        ..BuildRequest::default()
    }
}

struct ScriptDirectory {
    directory: tempfile::TempDir,
}

impl ScriptDirectory {
    fn new(script: &str) -> ScriptDirectory {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("script.json"), script).unwrap();
        ScriptDirectory { directory }
    }

    fn engine(&self) -> Fake {
        Fake::scripted(&self.path("script.json")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("record")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn id(outcome: &BuildOutcome) -> &str {
    match outcome {
        BuildOutcome::Built { image_id } => image_id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unscripted_builds_succeed_and_are_cached_the_second_time() {
    let engine = Fake::new();
    let request = request("shop-base", "FROM scratch\nRUN make\n");
    let (first, updates) = build(&engine, &request);
    let cached = |updates: &[BuildUpdate]| {
        let finished = updates.iter().filter_map(|update| match update {
            BuildUpdate::StepFinished { step, cached, .. } => Some((step.text.clone(), *cached)),
            _ => None,
        });
        finished.collect::<Vec<_>>()
    };
    let steps = |at| vec![("FROM scratch".to_owned(), at), ("RUN make".to_owned(), at)];
    assert_eq!(cached(&updates), steps(false));
    let (second, updates) = build(&engine, &request);
    assert_eq!(cached(&updates), steps(true));
    assert_eq!(first, second);
    let image = engine.inspect("shop-base:latest").unwrap().unwrap();
    assert_eq!((image.id.as_str(), image.labels["key"].as_str()), (id(&first), "shop-base"));
    assert_eq!(engine.inspect(&image.id).unwrap().unwrap(), image);
    assert_eq!(engine.list(LabelFilter::named("key")).unwrap().len(), 1);
    assert_eq!(engine.list(LabelFilter::named("other")).unwrap(), []);
    engine.remove("shop-base").unwrap();
    assert_eq!(engine.inspect("shop-base").unwrap(), None);
}

#[test]
fn images_are_determined_by_their_request_and_base() {
    let engine = Fake::new();
    let child = request("child", "FROM base\nRUN x\n");
    let of_child = || id(&build(&engine, &child).0).to_owned();
    let alone = of_child();
    build(&engine, &request("base", "FROM scratch\nRUN one\n"));
    let on_one = of_child();
    build(&engine, &request("base", "FROM scratch\nRUN two\n"));
    let on_two = of_child();
    assert!(alone != on_one && on_one != on_two && alone != on_two);
    build(&engine, &request("base", "FROM scratch\nRUN one\n"));
    assert_eq!(of_child(), on_one);
    let mut labeled = child.clone();
    labeled.labels.insert("more".into(), "x".into());
    build(&engine, &labeled);
    let image = engine.inspect("child").unwrap().unwrap();
    assert_ne!(image.id, on_one);
    assert_eq!(image.diff_ids.len(), 2);
}

#[test]
fn scripts_determine_build_results() {
    let scripted = ScriptDirectory::new(
        r#"{"images": [
            {"reference": "bad", "warnings": ["odd"], "fail": {"step": 2, "message": "exit code: 1"},
             "steps": [{"text": "FROM x", "cached": true, "millis": 7},
                       {"text": "RUN no", "stage": "s", "output": ["one\n", "two\n"]}]},
            {"reference": "gone", "error": "the engine went away"},
            {"label": "key=early", "fail": {"message": "no such stage"}},
            {"reference": "same", "content": "x"}
        ]}"#,
    );
    let engine = scripted.engine();
    let (outcome, updates) = build(&engine, &request("a/bad:1", "FROM y\n"));
    let BuildOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    let step = failure.step.unwrap();
    assert_eq!((step.number, step.total, step.stage.as_deref()), (2, 2, Some("s")));
    assert_eq!(failure.message, "exit code: 1");
    assert_eq!(output(&updates), b"one\ntwo\n");
    assert_eq!(updates[0], BuildUpdate::Warning("odd".into()));
    assert_eq!(engine.inspect("a/bad:1").unwrap(), None);
    let error = engine.build(&request("gone", "FROM y\n"), &mut |_| (), &Cancel::default());
    assert_eq!(error.unwrap_err().to_string(), "the engine went away");
    let (outcome, _) = build(&engine, &request("early", "FROM y\n"));
    assert!(matches!(outcome, BuildOutcome::Failed(failure) if failure.step.is_none()));
    build(&engine, &request("same", "FROM y\nRUN one\n"));
    let one = engine.inspect("same").unwrap().unwrap();
    build(&engine, &request("same", "FROM y\nRUN two\n"));
    assert_eq!(engine.inspect("same").unwrap().unwrap(), one);
}

#[test]
fn gates_synchronize_builds() {
    let scripted = ScriptDirectory::new(
        r#"{"record": "record", "images": [
            {"reference": "one", "gate": "started:two"},
            {"reference": "watch", "gate": "started:one"},
            {"reference": "two", "gate": "finished:one"},
            {"reference": "three", "steps": [{"text": "RUN x", "gate": "file:go"}]}
        ]}"#,
    );
    let engine = scripted.engine();
    let build = |name| build(&engine, &request(name, "FROM x\n"));
    thread::scope(|scope| {
        scope.spawn(|| build("three"));
        scope.spawn(|| build("one"));
        build("watch");
        // `one` has started and cannot continue.
        build("two");
        fs::write(scripted.path("go"), "").unwrap();
    });
    let record = scripted.record();
    let at = |call: &str, name: &str| {
        let line = |line: &Value| line["call"] == call && line["references"][0] == name;
        record.iter().position(line).unwrap()
    };
    assert!(at("build", "one") < at("build-ended", "watch"));
    assert!(at("build", "two") < at("build-ended", "one"));
    assert!(at("build-ended", "one") < at("build-ended", "two"));
    assert!(at("build-ended", "two") < at("build-ended", "three"));
    assert_eq!(record[at("build", "three")]["context"], serde_json::json!(["a", "sub/", "sub/b"]));
}

#[test]
fn canceled_builds_stop_waiting_at_their_gate() {
    for gate in ["canceled", "started:nobody", "finished:nobody", "file:never"] {
        let scripted = ScriptDirectory::new(&format!(
            r#"{{"images": [{{"steps": [{{"gate": "{gate}"}}]}}]}}"#
        ));
        let engine = scripted.engine();
        let cancel = Cancel::default();
        let outcome = engine
            .build(
                &request("x", "FROM y\n"),
                // After a step has started, the build waits at its gate.
                &mut |_| {
                    let cancel = cancel.clone();
                    thread::spawn(move || cancel.set());
                },
                &cancel,
            )
            .unwrap();
        assert_eq!(outcome, BuildOutcome::Canceled, "{gate}");
        assert_eq!(engine.inspect("x").unwrap(), None);
    }
}

#[test]
fn the_store_persists_between_processes() {
    let scripted = ScriptDirectory::new(r#"{"store": "store"}"#);
    build(&scripted.engine(), &request("x", "FROM y\nONBUILD RUN z\n"));
    let image = scripted.engine().inspect("x").unwrap().unwrap();
    assert_eq!(image.on_build, ["RUN z"]);
    assert_eq!(image.references, ["x:latest"]);
}
