//! The script of the fake engine: a JSON file that defines what happens to which image.
//!
//! Owns the format of scripts and the errors in them. All fields are optional. Unknown fields are errors, so that a
//! test with a misspelled field does not pass by accident.
//!
//! ```json
//! {
//!   "describe_error": "no engine today", "describe_hint": "start one",
//!   "platform": "linux/amd64",
//!   "name": "docker",
//!   "frontend": "1.2",
//!   "keeps_manifests": true,
//!   "record": "calls.jsonl",
//!   "store": "store.json",
//!   "registry": {"debian:bookworm-slim": "what the image holds"},
//!   "images": [{
//!     "reference": "shop-base", "label": "name=value",
//!     "gate": "started:shop-dev",
//!     "steps": [{"text": "RUN make", "stage": "build", "cached": false, "millis": 1200,
//!                "output": ["line\n"], "secret": "npm", "gate": "file:go"},
//!               {"operation": "sending-context", "sent": [[1000, 2000]], "gate": "file:go", "millis": 1200}],
//!     "warnings": ["odd"],
//!     "content": "what the image holds",
//!     "fail": {"step": 1, "message": "exit code: 1"},
//!     "error": "the engine went away",
//!     "passes_after": 1
//!   }]
//! }
//! ```
//!
//! - `name`: the engine's name; with `docker`, its frontend supports named contexts.
//! - `frontend`: the version of its frontend; by default, it is unknown.
//! - `registry`: the images that can be pulled.
//! - `images`: the first matching entry applies. An entry matches if its `reference` is part of one of the
//!   requested references and its `label` (`name` or `name=value`) is one of the requested labels.
//! - `gate`: what a build waits for before its first step, or a step before its output: `started:PART` or
//!   `finished:PART` (another image, by a part of its reference; failed images count as finished), `file:PATH`
//!   (until it exists), `canceled`. A canceled build passes every gate.
//! - `steps`: replaces the default of one step per instruction of the Dockerfile.
//! - `operation`: makes an entry of `steps` an operation (`sending-context`, `exporting`, `unpacking`). `sent` are the
//!   bytes of the context that were sent, and all bytes, each reported before the gate.
//! - `secret`: the ID of a secret that the step writes after its output, in two pieces.
//! - `content`: replaces the request, the base, and the context as the content of the image. Two builds with the
//!   same content result in the same image, except for its labels.
//! - `fail`: the step that fails, from 1; 0 fails without a step. `error`: a failure of the engine instead of the
//!   image.
//! - `passes_after`: how many times the build fails before it succeeds. Such failures are the engine's, and
//!   can be retried.
//! - `record`: a file to which each call appends one line of JSON at its start, and a build another one at its end.
//!   `store`: a file that keeps the images between processes. Both are relative to the script's directory, as is
//!   `file:PATH`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::base::Platform;
use crate::base::screen::visible_path;
use crate::engine::BuildOperation;

/// A script as written in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Script {
    pub(super) describe_error: Option<String>,
    pub(super) describe_hint: String,
    pub(super) platform: Option<Platform>,
    pub(super) name: Option<String>,
    pub(super) frontend: Option<String>,
    pub(super) keeps_manifests: bool,
    pub(super) record: Option<PathBuf>,
    pub(super) store: Option<PathBuf>,
    pub(super) registry: BTreeMap<String, String>,
    pub(super) images: Vec<ScriptedImage>,
}

/// What happens to one image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ScriptedImage {
    pub(super) reference: Option<String>,
    pub(super) label: Option<String>,
    pub(super) gate: Option<Gate>,
    pub(super) steps: Option<Vec<ScriptedStep>>,
    pub(super) warnings: Vec<String>,
    pub(super) content: Option<String>,
    pub(super) fail: Option<ScriptedFailure>,
    pub(super) error: Option<String>,
    pub(super) passes_after: Option<usize>,
}

/// One step of an image.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ScriptedStep {
    pub(super) operation: Option<BuildOperation>,
    pub(super) sent: Vec<(u64, u64)>,
    pub(super) text: String,
    pub(super) stage: Option<String>,
    pub(super) cached: bool,
    pub(super) millis: u64,
    pub(super) output: Vec<String>,
    pub(super) secret: Option<String>,
    pub(super) gate: Option<Gate>,
}

/// How an image fails.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ScriptedFailure {
    pub(super) step: usize,
    pub(super) message: String,
}

/// What a gate waits for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Gate {
    Started(String),
    Finished(String),
    File(PathBuf),
    Canceled,
}

impl TryFrom<String> for Gate {
    type Error = String;

    fn try_from(text: String) -> Result<Gate, String> {
        match text.split_once(':').unwrap_or((&text, "")) {
            ("started", part) if !part.is_empty() => Ok(Gate::Started(part.to_owned())),
            ("finished", part) if !part.is_empty() => Ok(Gate::Finished(part.to_owned())),
            ("file", path) if !path.is_empty() => Ok(Gate::File(path.into())),
            ("canceled", "") => Ok(Gate::Canceled),
            _ => Err(format!("unknown gate `{text}`")),
        }
    }
}

impl Script {
    /// Reads a script and resolves its paths.
    pub(super) fn read(path: &Path) -> anyhow::Result<Script> {
        let text =
            fs::read(path).with_context(|| format!("can't read `{}`", visible_path(path)))?;
        let mut script: Script = serde_json::from_slice(&text)
            .with_context(|| format!("`{}` is not a valid script", visible_path(path)))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let resolve = |path: &mut PathBuf| *path = directory.join(&*path);
        script.record.as_mut().map(resolve);
        script.store.as_mut().map(resolve);
        for image in &mut script.images {
            let of_steps = image.steps.iter_mut().flatten().filter_map(|step| step.gate.as_mut());
            for gate in of_steps.chain(image.gate.as_mut()) {
                if let Gate::File(path) = gate {
                    resolve(path);
                }
            }
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_parsed() {
        let check = |text: &str, expected: Result<Gate, &str>| {
            assert_eq!(Gate::try_from(text.to_owned()), expected.map_err(str::to_owned));
        };
        check("started:a:b", Ok(Gate::Started("a:b".into())));
        check("finished:a", Ok(Gate::Finished("a".into())));
        check("file:/x/y", Ok(Gate::File("/x/y".into())));
        check("canceled", Ok(Gate::Canceled));
        check("started:", Err("unknown gate `started:`"));
        check("soon", Err("unknown gate `soon`"));
    }

    #[test]
    fn unknown_fields_are_errors_and_paths_become_absolute() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script.json");
        fs::write(&path, r#"{"imagez": []}"#).unwrap();
        assert!(format!("{:#}", Script::read(&path).unwrap_err()).contains("imagez"));
        fs::write(&path, r#"{"record": "r", "images": [{"steps": [{"gate": "file:g"}]}]}"#)
            .unwrap();
        let script = Script::read(&path).unwrap();
        assert_eq!(script.record, Some(directory.path().join("r")));
        let gate = script.images[0].steps.as_ref().unwrap()[0].gate.clone();
        assert_eq!(gate, Some(Gate::File(directory.path().join("g"))));
    }
}
