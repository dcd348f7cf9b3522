//! Dockerfiles compared with the results of BuildKit's own parser and frontend.
//!
//! Each case compares everything that it expects, and no case is skipped.

#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

use std::collections::{BTreeMap, BTreeSet};

use layers::base::{Diagnostic, RelPath, Rule, Source};
use layers::graph::evaluate::{
    Base, ContextKind, Evaluation, EvaluationSettings, Trigger, evaluate, triggers_of,
};
use layers::graph::reference::Reference;
use layers::parse::{Dockerfile, InstructionKind, parse};
use serde_json::{Map, Value, json};

fn texts(value: &Value) -> BTreeMap<String, String> {
    let object = value.as_object().cloned().unwrap_or_default();
    object.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
}

fn read(case: &Value) -> (Dockerfile, Evaluation) {
    let text = case["dockerfile"].as_str().unwrap();
    let file = parse(&Source::new(RelPath::new("Dockerfile").unwrap(), text));
    let target = case["target"].as_str().unwrap();
    let settings = EvaluationSettings {
        build_args: texts(&case["args"]),
        platform: case["platform"].as_str().unwrap().parse().unwrap(),
        build_platform: case["build_platform"].as_str().unwrap().parse().unwrap(),
        target: (!target.is_empty()).then(|| target.to_owned()),
        contexts: texts(&case["build_contexts"]),
        ..EvaluationSettings::default()
    };
    let carried = case["image_onbuild"].as_object().cloned().unwrap_or_default();
    let triggers = |image: &Reference| -> Vec<Trigger> {
        let of_image = carried.iter().find(|(name, _)| {
            Reference::parse(name).is_ok_and(|reference| reference.same_image(image))
        });
        let lines = of_image.map(|(_, lines)| lines.as_array().unwrap().clone());
        let parent = RelPath::new("parent/Dockerfile").unwrap();
        let triggers = lines.unwrap_or_default().into_iter().map(|line| Trigger {
            text: line.as_str().unwrap().to_owned(),
            source: Source::new(parent.clone(), format!("ONBUILD {}\n", line.as_str().unwrap())),
            span: layers::base::Span::new(0, 7),
            map: None,
        });
        triggers.collect()
    };
    let evaluation = evaluate(&file, &settings, &triggers);
    (file, evaluation)
}

fn name_base(base: Option<&Base>, into: &mut Map<String, Value>, stage_key: &str) {
    match base {
        Some(Base::Image(reference)) => {
            into.insert("kind".into(), json!("image"));
            into.insert("ref".into(), json!(reference.normalized()));
        }
        Some(Base::Stage(index)) => {
            into.insert("kind".into(), json!("stage"));
            into.insert(stage_key.into(), json!(index));
        }
        Some(Base::Scratch) => {
            into.insert("kind".into(), json!("scratch"));
        }
        Some(Base::Context(_)) => {
            into.insert("kind".into(), json!("context"));
        }
        None => {}
    }
}

/// Describes the stages in the format of the cases.
fn describe_stages(file: &Dockerfile, evaluation: &Evaluation) -> Value {
    let stages = evaluation.stages.iter().zip(&file.stages).enumerate();
    let stages = stages.map(|(index, (view, stage))| {
        let mut shown = Map::new();
        shown.insert("index".into(), json!(index));
        shown.insert("name".into(), json!(view.name.clone().unwrap_or_default()));
        shown.insert("orig_base".into(), json!(stage.base.value));
        shown.insert("base".into(), json!(view.base_text));
        shown.insert("line".into(), json!(view.line));
        name_base(view.base.as_ref(), &mut shown, "base_stage");
        if let Some(platform) = &view.platform {
            shown.insert("platform".into(), json!(platform));
        }
        let froms = view.froms.iter().map(|from| {
            let mut shown = Map::new();
            shown.insert("instr".into(), json!(if from.mount { "RUN" } else { "COPY" }));
            shown.insert("from".into(), json!(from.written));
            // The cases contain the line on which the instruction starts.
            let holds = |span: layers::base::Span| span.to(from.span) == span;
            let instruction = stage.instructions.iter().find(|one| holds(one.span)).unwrap();
            shown.insert("line".into(), json!(file.source.line_of(instruction.span.start)));
            name_base(from.names.as_ref(), &mut shown, "stage");
            Value::Object(shown)
        });
        let froms: Vec<Value> = froms.collect();
        if !froms.is_empty() {
            shown.insert("froms".into(), json!(froms));
        }
        let onbuild = triggers_of(file, index);
        let onbuild: Vec<&str> = onbuild.iter().map(|trigger| trigger.text.as_str()).collect();
        if !onbuild.is_empty() {
            shown.insert("onbuild".into(), json!(onbuild));
        }
        let downloads = evaluation.downloads.iter().filter(|download| download.stage == index);
        let downloads: Vec<String> = downloads
            .map(|one| format!("{} {}", if one.git { "git" } else { "http" }, one.address))
            .collect();
        if !downloads.is_empty() {
            shown.insert("add_remote".into(), json!(downloads));
        }
        Value::Object(shown)
    });
    stages.collect()
}

fn describe_context(evaluation: &Evaluation) -> Value {
    let paths: BTreeSet<&str> =
        evaluation.context_uses.iter().map(|one| one.pattern.as_str()).collect();
    if paths.contains(".") { json!("all") } else { json!(paths) }
}

fn check(case: &Value) -> Result<(), String> {
    let (file, evaluation) = read(case);
    let expected = &case["expect"];
    let all: Vec<&Diagnostic> = file
        .diagnostics
        .iter()
        .chain(&evaluation.diagnostics)
        .filter(|one| one.is_error())
        .collect();
    if expected["error"].is_object() {
        return check_error(&expected["error"], &file, &evaluation);
    }
    if !all.is_empty() {
        return Err(format!("unexpected errors {all:#?}"));
    }
    let same = |what: &str, found: Value, expected: &Value| {
        if found == *expected {
            return Ok(());
        }
        Err(format!("{what}: found {found:#}, expected {expected:#}"))
    };
    same("stages", describe_stages(&file, &evaluation), &expected["stages"])?;
    let images: BTreeSet<String> = evaluation
        .dependencies
        .iter()
        .map(|dependency| dependency.reference.normalized())
        .collect();
    same("external_refs", json!(images), &expected["external_refs"])?;
    same("used_images", json!(images), &expected["used_images"])?;
    let resolved: BTreeSet<(String, Option<String>)> = evaluation
        .dependencies
        .iter()
        .map(|dependency| {
            (
                dependency.reference.normalized(),
                dependency.platform.as_ref().map(ToString::to_string),
            )
        })
        .collect();
    let resolved = resolved.into_iter();
    let resolved: Vec<Value> =
        resolved.map(|(name, platform)| json!({"ref": name, "platform": platform})).collect();
    same("resolved", json!(resolved), &expected["resolved"])?;
    same("context_paths", describe_context(&evaluation), &expected["context_paths"])?;
    let directives = &file.directives;
    same("escape", json!(directives.escape.to_string()), &expected["escape"])?;
    let syntax = directives.syntax.as_ref().map(|syntax| &syntax.value);
    same("syntax", json!(syntax), &expected["syntax"])?;
    // A lint in BuildKit is a warning here.
    let lints = expected["lint"].as_array().cloned().unwrap_or_default();
    let is_twice = |lint: &Value| lint.as_str().unwrap().starts_with("DuplicateStageName");
    let warned = file.diagnostics.iter().any(|one| one.rule == Rule::DuplicateStage);
    same("duplicate-stage", json!(warned), &json!(lints.iter().any(is_twice)))
}

/// Checks that there is an error in the right phase, on the line that BuildKit reports.
fn check_error(expected: &Value, file: &Dockerfile, evaluation: &Evaluation) -> Result<(), String> {
    let syntactic = expected["syntactic"].as_bool().unwrap();
    let diagnostics = if syntactic { &file.diagnostics } else { &evaluation.diagnostics };
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|one| one.is_error()).collect();
    if errors.is_empty() {
        return Err(format!("no error; expected {expected}"));
    }
    if !syntactic && file.has_errors() {
        return Err(format!("found an error of syntax: {:#?}", file.diagnostics));
    }
    let line = u32::try_from(expected["line"].as_u64().unwrap()).unwrap();
    let lines: Vec<u32> = errors
        .iter()
        .flat_map(|error| &error.labels)
        .map(|label| label.source.line_of(label.span.start))
        .collect();
    if line > 0 && !lines.contains(&line) {
        return Err(format!("errors at {lines:?}, expected one at {line}: {errors:#?}"));
    }
    Ok(())
}

#[test]
fn dockerfiles_are_interpreted_as_buildkit_does() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases/dockerfile.json")).unwrap();
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(failure) = check(case) {
            let (id, text) = (&case["id"], &case["dockerfile"]);
            failures.push(format!("{id} {}\n{text}\n{failure}\n", case["rule"]));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn instructions_keep_their_text_and_locations() {
    let (file, _) = read(&json!({
        "dockerfile": "FROM a\nCOPY x \\\n  y /z\n", "args": {}, "platform": "linux/amd64",
        "build_platform": "linux/amd64", "target": "",
    }));
    let instruction = &file.stages[0].instructions[0];
    let InstructionKind::Copy(copy) = &instruction.kind else { panic!("{instruction:?}") };
    assert_eq!(file.source.location(copy.files.sources[1].span).to_string(), "Dockerfile:3:3");
    assert_eq!(instruction.text, "COPY x   y /z");
}

#[test]
fn a_tmpfs_mount_does_not_read_the_context() {
    let (_, evaluation) = read(&json!({
        "dockerfile": "FROM a\nRUN --mount=type=tmpfs,target=/t true\n", "args": {},
        "platform": "linux/amd64", "build_platform": "linux/amd64", "target": "",
    }));
    let kinds: Vec<ContextKind> = evaluation.context_uses.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [ContextKind::Sent]);
}
