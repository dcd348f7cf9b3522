//! Conversion of BuildKit's status messages into updates of a build.
//!
//! Owns the names of vertices, their starts and ends, and which one failed. It does no I/O, so a recorded status is
//! enough to test it.

use std::collections::HashMap;
use std::time::Duration;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use super::wording::parse_name;
use crate::engine::{BuildStep, BuildUpdate};

/// What the status messages of a build have reported so far.
#[derive(Default)]
pub(super) struct StatusTrace {
    vertices: HashMap<String, VertexState>,
    failed: Option<(BuildStep, String)>,
}

struct VertexState {
    step: BuildStep,
    started: bool,
    finished: bool,
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
        let new =
            || VertexState { step: parse_name(&vertex.name), started: false, finished: false };
        let seen = self.vertices.entry(vertex.digest.clone()).or_insert_with(new);
        if vertex.started.is_some() && !seen.started {
            seen.started = true;
            sink(BuildUpdate::StepStarted(seen.step.clone()));
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
        if vertex.completed.is_some() && seen.started && !seen.finished {
            seen.finished = true;
            let took = between(vertex.started.as_ref(), vertex.completed.as_ref());
            let (step, cached) = (seen.step.clone(), vertex.cached);
            sink(BuildUpdate::StepFinished { step, cached, took });
        }
    }
}

/// Returns the time between two timestamps; zero if one is missing or they are in the wrong order.
fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Duration {
    let nanoseconds =
        |stamp: &Timestamp| i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanos);
    let (Some(from), Some(to)) = (from, to) else { return Duration::ZERO };
    let elapsed = nanoseconds(to).saturating_sub(nanoseconds(from));
    u64::try_from(elapsed).map(Duration::from_nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests;
