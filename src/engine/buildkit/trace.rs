//! Conversion of BuildKit's status messages into updates of a build.
//!
//! Owns the names of vertices, their starts and ends, which of them are operations instead of steps, and which one
//! failed. It does no I/O, so a recorded status is enough to test it.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexStatus};

use super::wording::{is_unpacking, operation_of, parse_name};
use crate::engine::{BuildOperation, BuildStep, BuildUpdate};

/// What the status messages of a build have reported so far.
#[derive(Default)]
pub(super) struct StatusTrace {
    vertices: HashMap<String, VertexState>,
    failed: Option<(BuildStep, String)>,
}

struct VertexState {
    step: BuildStep,
    kind: VertexKind,
    started: bool,
    finished: bool,
}

enum VertexKind {
    Step,
    Operation(VertexOperation),
}

struct VertexOperation {
    operation: BuildOperation,
    /// When it started, by the engine's clock, while it is running.
    since: Option<Timestamp>,
    /// The last start that was reported.
    last_start: Option<Timestamp>,
}

impl VertexState {
    fn of(name: &str) -> VertexState {
        let operation = |operation| VertexOperation { operation, since: None, last_start: None };
        let operation = operation_of(name).map(operation);
        let kind = operation.map_or(VertexKind::Step, VertexKind::Operation);
        VertexState { step: parse_name(name), kind, started: false, finished: false }
    }
}

impl StatusTrace {
    /// Processes one message and reports what is new to `sink`.
    pub(super) fn take(&mut self, status: StatusResponse, sink: &mut dyn FnMut(BuildUpdate)) {
        // A message may contain a step's output together with its end; the output comes first.
        for vertex in &status.vertexes {
            self.begin(vertex, sink);
        }
        for log in status.logs {
            if let Some(seen) = self.vertices.get(&log.vertex) {
                sink(BuildUpdate::Output { step: seen.step.clone(), bytes: log.msg });
            }
        }
        for status in &status.statuses {
            self.progress(status, sink);
        }
        for vertex in &status.vertexes {
            self.end(vertex, sink);
        }
        for warning in status.warnings {
            sink(BuildUpdate::Warning(String::from_utf8_lossy(&warning.short).into_owned()));
        }
    }

    /// Returns the step that failed and its message, if one did.
    pub(super) fn into_failed(self) -> Option<(BuildStep, String)> {
        self.failed
    }

    fn begin(&mut self, vertex: &Vertex, sink: &mut dyn FnMut(BuildUpdate)) {
        let new = || VertexState::of(&vertex.name);
        let seen = self.vertices.entry(vertex.digest.clone()).or_insert_with(new);
        if vertex.started.is_none() {
            return;
        }
        match &mut seen.kind {
            // A context is loaded twice: for its cache key, which takes no time, and then, if a step needs it, for its
            // files, which has a status.
            VertexKind::Operation(it) if it.operation != BuildOperation::SendingContext => {
                it.start(vertex.started, sink);
            }
            VertexKind::Step if !seen.started => {
                sink(BuildUpdate::StepStarted(seen.step.clone()));
            }
            _ => {}
        }
        seen.started = true;
    }

    /// Processes a part of an operation.
    fn progress(&mut self, status: &VertexStatus, sink: &mut dyn FnMut(BuildUpdate)) {
        let Some(seen) = self.vertices.get_mut(&status.vertex) else { return };
        let VertexKind::Operation(it) = &mut seen.kind else { return };
        if it.operation == BuildOperation::SendingContext && status.started.is_some() {
            it.start(status.started, sink);
        }
        // The names of an image are unpacked one after the other; only the first one takes time.
        if it.operation == BuildOperation::Exporting
            && status.started.is_some()
            && is_unpacking(&status.id)
        {
            it.finish(status.started, sink);
            (it.operation, it.since) = (BuildOperation::Unpacking, status.started);
            sink(BuildUpdate::OperationStarted(it.operation));
        }
    }

    /// Processes the end of a vertex. A vertex may end several times, once per edge that needs it; the first end
    /// counts.
    fn end(&mut self, vertex: &Vertex, sink: &mut dyn FnMut(BuildUpdate)) {
        let Some(seen) = self.vertices.get_mut(&vertex.digest) else { return };
        if !vertex.error.is_empty() {
            // Steps that ran in parallel to the failed one are canceled; they are not the cause.
            if self.failed.is_none() && !vertex.error.contains("context canceled") {
                self.failed = Some((seen.step.clone(), vertex.error.clone()));
            }
            return;
        }
        if vertex.completed.is_none() || !seen.started {
            return;
        }
        match &mut seen.kind {
            VertexKind::Operation(it) => it.finish(vertex.completed, sink),
            VertexKind::Step if !seen.finished => {
                seen.finished = true;
                let took = between(vertex.started.as_ref(), vertex.completed.as_ref());
                let (step, cached) = (seen.step.clone(), vertex.cached);
                sink(BuildUpdate::StepFinished { step, cached, took });
            }
            VertexKind::Step => {}
        }
    }
}

impl VertexOperation {
    /// Processes a start, which may have been reported before.
    fn start(&mut self, at: Option<Timestamp>, sink: &mut dyn FnMut(BuildUpdate)) {
        if let (Some(last), Some(at)) = (&self.last_start, &at)
            && nanoseconds(at) <= nanoseconds(last)
        {
            return;
        }
        self.last_start = at;
        if mem::replace(&mut self.since, at).is_none() {
            sink(BuildUpdate::OperationStarted(self.operation));
        }
    }

    fn finish(&mut self, at: Option<Timestamp>, sink: &mut dyn FnMut(BuildUpdate)) {
        // One message can contain the end of a lookup after the start of the transfer.
        let is_end = |since: &mut Timestamp| {
            at.as_ref().is_none_or(|at| nanoseconds(at) >= nanoseconds(since))
        };
        if let Some(since) = self.since.take_if(is_end) {
            let took = between(Some(&since), at.as_ref());
            sink(BuildUpdate::OperationFinished { operation: self.operation, took });
        }
    }
}

/// Returns the time between two timestamps; zero if one is missing or they are in the wrong order.
fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Duration {
    let (Some(from), Some(to)) = (from, to) else { return Duration::ZERO };
    let elapsed = nanoseconds(to).saturating_sub(nanoseconds(from));
    u64::try_from(elapsed).map(Duration::from_nanos).unwrap_or_default()
}

fn nanoseconds(stamp: &Timestamp) -> i128 {
    i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanos)
}

#[cfg(test)]
mod tests;
