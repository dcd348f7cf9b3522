//! What the Dockerfile frontend gets as its two inputs: the Dockerfile and the context.
//!
//! Owns the two small graphs of BuildKit's low-level format, and why they are two.
//!
//! A tar given as the body of `POST /build` has to hold the Dockerfile, since the frontend then
//! reads it out of the context, and `COPY . .` copies it along, even where it lies outside the
//! context or is ignored: a `.dockerignore` in such a tar is not applied to it. Measured on
//! Docker 20.10.24 with a tar of `.dockerignore`, `secret` and `.hidden.Dockerfile`, where the
//! first names the other two: `COPY . .` and a `find` in the image show all three. Nothing that
//! a client can set there makes it otherwise, for the daemon prefixes it all (`build-arg:`,
//! `label:`).
//!
//! The gRPC path that the docker command's own buildx uses takes *frontend inputs*: a graph for
//! `dockerfile` and one for `context` (BuildKit `frontend/dockerfile/builder`, since 0.7). So the
//! Dockerfile's text is one file made in a layer of its own, and the context is a tar, fetched
//! from us over the session and unpacked. The same `find` then shows the context's files alone;
//! `copying_all_copies_the_context_and_nothing_else` holds that.

use std::collections::HashMap;

use bollard_buildkit_proto::pb;
use bollard_buildkit_proto::pb::file_action::Action;
use prost::Message;

use super::{set, sha256_hex};

/// The name of the step that sends the context.
pub(super) const LOAD_CONTEXT: &str = "[internal] load build context";

const UNPACK_CONTEXT: &str = "[internal] unpack build context";

/// A graph of one file, `Dockerfile`.
pub(super) fn dockerfile(text: &str) -> pb::Definition {
    let file = make_file("/Dockerfile", text.as_bytes());
    graph_of(vec![action(-1, 0, file)], "[internal] load build definition")
}

/// A graph of the files in the tar that the session gives under `path`, with its SHA-256 where
/// the engine is to know it before.
///
/// The checksum is the cache key of the tar: where the engine has all steps that read the
/// context, it never asks for it, and keeps no further copy of it.
pub(super) fn context(path: &str, digest: Option<&str>) -> pb::Definition {
    let mut attrs = HashMap::new();
    set(&mut attrs, "http.filename", "context");
    if let Some(digest) = digest {
        set(&mut attrs, "http.checksum", format!("sha256:{digest}"));
    }
    let source = pb::SourceOp {
        // The host by which BuildKit knows that the session is meant (`session/upload`).
        identifier: format!("http://buildkit-session{path}"),
        attrs,
    };
    let mut graph = Graph::default();
    let tar = graph.add(pb::op::Op::Source(source), Vec::new(), LOAD_CONTEXT);
    let files = graph.add(files(vec![action(0, 0, unpack())]), vec![tar], UNPACK_CONTEXT);
    graph.finish(files)
}

/// A graph of the files in a tar that is a part of the graph itself: one operation makes a file of
/// it and unpacks that, so the engine asks nobody for it.
pub(super) fn small_context(tar: &[u8]) -> pb::Definition {
    // Nobody but the next action sees it, to which, without inputs, 0 is the first action's result.
    let write = action(-1, -1, make_file("/context", tar));
    graph_of(vec![write, action(0, 0, unpack())], UNPACK_CONTEXT)
}

fn make_file(path: &str, data: &[u8]) -> Action {
    let (path, data) = (path.into(), data.to_vec());
    Action::Mkfile(pb::FileActionMkFile { path, mode: 0o644, data, owner: None, timestamp: -1 })
}

fn unpack() -> Action {
    Action::Copy(pb::FileActionCopy {
        src: "/context".into(),
        dest: "/".into(),
        mode: -1,
        timestamp: -1,
        attempt_unpack_docker_compatibility: true,
        ..pb::FileActionCopy::default()
    })
}

/// A graph without files: what stands for a tar that holds none. BuildKit tells an archive by its
/// first entry, and would take an empty one for a file and copy it as it is.
pub(super) fn empty_context() -> pb::Definition {
    let root = pb::FileActionMkDir {
        path: "/".into(),
        mode: 0o755,
        make_parents: true,
        owner: None,
        timestamp: -1,
    };
    graph_of(vec![action(-1, 0, Action::Mkdir(root))], "[internal] empty build context")
}

/// One file action on scratch; `from` is the input or the earlier action that it copies from, and
/// `output` the number of its result; -1 is none.
fn action(from: i64, output: i64, action: Action) -> pb::FileAction {
    pb::FileAction { input: -1, secondary_input: from, output, action: Some(action) }
}

fn files(actions: Vec<pb::FileAction>) -> pb::op::Op {
    pb::op::Op::File(pb::FileOp { actions })
}

/// A graph of one operation without inputs.
fn graph_of(actions: Vec<pb::FileAction>, name: &str) -> pb::Definition {
    let mut graph = Graph::default();
    let made = graph.add(files(actions), Vec::new(), name);
    graph.finish(made)
}

#[derive(Default)]
struct Graph {
    definition: pb::Definition,
}

impl Graph {
    /// Adds an operation and gives its digest, by which others name it.
    fn add(&mut self, op: pb::op::Op, inputs: Vec<String>, name: &str) -> String {
        let digest = self.push(pb::Op { op: Some(op), ..pb::Op::default() }, inputs);
        let mut metadata = pb::OpMetadata::default();
        set(&mut metadata.description, "llb.customname", name);
        self.definition.metadata.insert(digest.clone(), metadata);
        digest
    }

    /// Ends the graph; an operation without a kind marks its last one.
    fn finish(mut self, last: String) -> pb::Definition {
        self.push(pb::Op::default(), vec![last]);
        self.definition
    }

    fn push(&mut self, mut op: pb::Op, inputs: Vec<String>) -> String {
        op.inputs = inputs.into_iter().map(|digest| pb::Input { digest, index: 0 }).collect();
        let bytes = op.encode_to_vec();
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        self.definition.def.push(bytes);
        digest
    }
}
