//! The two inputs of the Dockerfile frontend: the Dockerfile and the context.
//!
//! Owns the two small graphs in BuildKit's low-level format (LLB), and the reason for having two.
//!
//! A tar in the body of `POST /build` has to contain the Dockerfile, because the frontend reads it from the
//! context. `COPY . .` then copies the Dockerfile as well, even if it is outside the context or ignored: a
//! `.dockerignore` in such a tar does not apply to it. On Docker 20.10.24, with a tar of `.dockerignore`, `secret`,
//! and `.hidden.Dockerfile`, where the first names the other two, `COPY . .` followed by `find` in the image shows
//! all three. No setting of the client can change that, because the daemon prefixes them all (`build-arg:`,
//! `label:`).
//!
//! The gRPC path, which Docker's buildx uses, takes *frontend inputs*: one graph for `dockerfile` and one for
//! `context` (BuildKit `frontend/dockerfile/builder`, since 0.7). The Dockerfile is therefore one file in a layer
//! of its own, and the context is a tar that the engine requests over the session and unpacks. The same `find` then
//! shows only the context's files, which the test `copying_everything_copies_only_the_context` checks.

use std::collections::HashMap;

use bollard_buildkit_proto::pb;
use bollard_buildkit_proto::pb::file_action::Action;
use prost::Message;

use super::{set, sha256_hex};

/// The name of the step that sends the context.
pub(super) const LOAD_CONTEXT: &str = "[internal] load build context";

const UNPACK_CONTEXT: &str = "[internal] unpack build context";

/// Returns a graph of one file, `Dockerfile`.
pub(super) fn dockerfile(text: &str) -> pb::Definition {
    let file = make_file("/Dockerfile", text.as_bytes());
    graph_of(vec![action(-1, 0, file)], "[internal] load build definition")
}

/// Returns a graph of the files in the tar that the session serves at `path`, with the tar's SHA-256 if the engine
/// should know it in advance.
///
/// The checksum is the tar's cache key. If all steps that read the context are cached, the engine never requests
/// the tar and keeps no further copy of it.
pub(super) fn context(path: &str, digest: Option<&str>) -> pb::Definition {
    let mut attrs = HashMap::new();
    set(&mut attrs, "http.filename", "context");
    if let Some(digest) = digest {
        set(&mut attrs, "http.checksum", format!("sha256:{digest}"));
    }
    let source = pb::SourceOp {
        // The host that tells BuildKit to use the session (`session/upload`).
        identifier: format!("http://buildkit-session{path}"),
        attrs,
    };
    let mut graph = LlbGraph::default();
    let tar = graph.add(pb::op::Op::Source(source), Vec::new(), LOAD_CONTEXT);
    let files = graph.add(files(vec![action(0, 0, unpack())]), vec![tar], UNPACK_CONTEXT);
    graph.finish(files)
}

/// Returns a graph of the files in a tar that is part of the graph itself. One operation writes the tar to a file
/// and unpacks it, so the engine does not request it.
pub(super) fn small_context(tar: &[u8]) -> pb::Definition {
    // Only the next action sees this file. Without inputs, index 0 is the first action's result.
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

/// Returns a graph without files, for a tar without entries. BuildKit recognizes an archive by its first entry, and
/// would copy an empty one as a file.
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

/// Returns a file action on scratch. `from` is the index of the input or earlier action that it copies from, and
/// `output` the index of its result; -1 means none.
fn action(from: i64, output: i64, action: Action) -> pb::FileAction {
    pb::FileAction { input: -1, secondary_input: from, output, action: Some(action) }
}

fn files(actions: Vec<pb::FileAction>) -> pb::op::Op {
    pb::op::Op::File(pb::FileOp { actions })
}

/// Returns a graph of one operation without inputs.
fn graph_of(actions: Vec<pb::FileAction>, name: &str) -> pb::Definition {
    let mut graph = LlbGraph::default();
    let output = graph.add(files(actions), Vec::new(), name);
    graph.finish(output)
}

#[derive(Default)]
struct LlbGraph {
    definition: pb::Definition,
}

impl LlbGraph {
    /// Adds an operation and returns its digest, by which other operations refer to it.
    fn add(&mut self, op: pb::op::Op, inputs: Vec<String>, name: &str) -> String {
        let digest = self.push(pb::Op { op: Some(op), ..pb::Op::default() }, inputs);
        let mut metadata = pb::OpMetadata::default();
        set(&mut metadata.description, "llb.customname", name);
        self.definition.metadata.insert(digest.clone(), metadata);
        digest
    }

    /// Ends the graph. An operation without a kind marks the last one.
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
