//! The inputs of the Dockerfile frontend: the Dockerfile, the context, and the named contexts that are directories.
//!
//! Owns these small graphs in BuildKit's low-level format (LLB), and the reason for having several.
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
//! of its own, and the context is the engine's copy of it, synchronized over the session. The same `find` then shows
//! only the context's files, which the test `copying_everything_copies_only_the_context` checks.

use std::collections::BTreeMap;

use bollard_buildkit_proto::pb;
use bollard_buildkit_proto::pb::file_action::Action;
use prost::Message;

use super::{set, sha256_hex};
use crate::engine::EngineCopy;

/// The name of the step that sends the context.
pub(super) const LOAD_CONTEXT: &str = "[internal] load build context";

/// The name of a tar that contains a context.
pub(super) const PACKED: &str = "context";

const UNPACK_CONTEXT: &str = "[internal] unpack build context";

/// Returns the name of the input for a named context. The names `dockerfile` and `context` are taken, but can also be
/// those of named contexts.
pub(super) fn input_of(context: &str) -> String {
    format!("named-{context}")
}

/// Returns a graph of one file, `Dockerfile`.
pub(super) fn dockerfile(text: &str) -> pb::Definition {
    let file = make_file("/Dockerfile", text.as_bytes());
    graph_of(vec![action(-1, 0, file)], "[internal] load build definition")
}

/// Returns a graph of the engine's copy of a context, after its synchronization.
///
/// BuildKit (`source/local`) finds the copy by its name and a key of the session, which is empty here. The state makes
/// this operation another one for other files: operations of concurrent builds that are equal run once, with the files
/// of any of their sessions. The patterns are for a different reason the same text: BuildKit takes the copy for
/// synchronized if the session and the patterns are those of an earlier build, but a session here serves many. They
/// do not select anything. The engine only passes them on to the session, which recognizes the context by them.
///
/// If the files are packed, the copy has only their tar, [`PACKED`], which is unpacked.
pub(super) fn context(copy: &EngineCopy, is_packed: bool) -> pb::Definition {
    let attributes = BTreeMap::from([
        ("local.sharedkeyhint".to_owned(), copy.name.clone()),
        ("local.unique".to_owned(), copy.state.clone()),
        ("local.excludepatterns".to_owned(), format!("[\"{}\"]", copy.state)),
    ]);
    let source = LocalSource { identifier: "local://context".into(), attributes };
    let mut graph = LlbGraph::default();
    let mut files = graph.add(&LocalSourceOp { source: Some(source) }, LOAD_CONTEXT);
    if is_packed {
        let inputs = vec![pb::Input { digest: files, index: 0 }];
        let unpack = super::llb::files(vec![action(0, 0, unpack())]);
        files =
            graph.add(&pb::Op { inputs, op: Some(unpack), ..pb::Op::default() }, UNPACK_CONTEXT);
    }
    graph.finish(files)
}

/// An operation that is a source: `pb.Op`, with its attributes in a fixed order. The digest of its encoding identifies
/// it, so equal operations must have equal encodings.
#[derive(Clone, PartialEq, prost::Message)]
struct LocalSourceOp {
    #[prost(message, optional, tag = "3")]
    source: Option<LocalSource>,
}

/// `pb.SourceOp`.
#[derive(Clone, PartialEq, prost::Message)]
struct LocalSource {
    #[prost(string, tag = "1")]
    identifier: String,
    #[prost(btree_map = "string, string", tag = "2")]
    attributes: BTreeMap<String, String>,
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
    let output = graph.add(&pb::Op { op: Some(files(actions)), ..pb::Op::default() }, name);
    graph.finish(output)
}

#[derive(Default)]
struct LlbGraph {
    definition: pb::Definition,
}

impl LlbGraph {
    /// Adds an operation and returns its digest, by which other operations refer to it.
    fn add(&mut self, op: &impl Message, name: &str) -> String {
        let digest = self.push(op);
        let mut metadata = pb::OpMetadata::default();
        set(&mut metadata.description, "llb.customname", name);
        self.definition.metadata.insert(digest.clone(), metadata);
        digest
    }

    /// Ends the graph. An operation without a kind marks the last one.
    fn finish(mut self, last: String) -> pb::Definition {
        let last = pb::Input { digest: last, index: 0 };
        self.push(&pb::Op { inputs: vec![last], ..pb::Op::default() });
        self.definition
    }

    fn push(&mut self, op: &impl Message) -> String {
        let bytes = op.encode_to_vec();
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        self.definition.def.push(bytes);
        digest
    }
}
