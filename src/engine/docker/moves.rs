//! Moves of references in the engine's store.
//!
//! Owns one stream of the engine's events (`GET /events`) for as long as a run needs it. Every way to move a
//! reference is an event, with one exception: Docker 20.10 reports nothing when BuildKit names an image that it has
//! built (moby 20.10, `builder/builder-next/exporter/export.go`).

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Docker;
use super::connection::EngineConnector;
use super::endpoint::Endpoint;
use super::errors::never_answers;
use super::responses::query_of;
use super::transfer::cut_lines;
use crate::engine::{ImageStore, ReferenceWatch};

/// How long to wait for an event before it is caused again: the engine may answer before it listens.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How long to wait before requesting the events again after their stream has ended.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// What the engine has reported so far.
#[derive(Default)]
struct MoveCounts {
    /// How often each reference was put on an image, and how often each image was loaded, by its ID: events about
    /// loaded images do not name their references.
    moves: HashMap<String, u64>,
    /// How often the stream was interrupted; during an interruption, any reference may have moved.
    interruptions: u64,
}

impl MoveCounts {
    /// Processes an event about an image (moby, `api/types/events`).
    fn take(&mut self, event: &Value) {
        let actor = &event["Actor"];
        let moved = match event["Action"].as_str() {
            Some("tag") => &actor["Attributes"]["name"],
            // For a pull, the ID is the reference that was pulled.
            Some("pull" | "load") => &actor["ID"],
            _ => return,
        };
        if let Some(moved) = moved.as_str() {
            *self.moves.entry(moved.to_owned()).or_default() += 1;
        }
    }

    fn count(&self, reference: &str) -> u64 {
        self.moves.get(reference).copied().unwrap_or_default()
    }
}

#[derive(Default)]
struct WatchState {
    seen: Mutex<MoveCounts>,
    changed: Condvar,
    stop: Notify,
}

impl WatchState {
    fn seen(&self) -> MutexGuard<'_, MoveCounts> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moves of references since this was created.
pub(super) struct ReferenceMoves {
    endpoint: Endpoint,
    answer_within: Duration,
    /// A reference that nothing else uses.
    marker: String,
    /// How often the marker was put on an image.
    tag_count: Mutex<u64>,
    shared: Arc<WatchState>,
    thread: Option<JoinHandle<()>>,
}

impl ReferenceMoves {
    /// Starts listening to an engine, in an API version.
    pub(super) fn watch(
        docker: &Docker,
        version: &str,
        marker: &str,
    ) -> anyhow::Result<ReferenceMoves> {
        let shared = Arc::new(WatchState::default());
        let path = format!("{version}/events?filters={}", query_of(r#"{"type":["image"]}"#));
        let endpoint = docker.endpoint().clone();
        let wire = EngineConnector::new(endpoint.clone());
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listener.stop.notified() => {}
                    () = listen(&wire, &path, &listener) => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(ReferenceMoves {
            endpoint,
            answer_within: docker.answer_within,
            marker: marker.to_owned(),
            tag_count: Mutex::default(),
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for ReferenceMoves {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        self.thread.take().map(JoinHandle::join);
    }
}

/// Reads events, and reconnects whenever their stream ends.
async fn listen(wire: &EngineConnector, path: &str, shared: &WatchState) {
    loop {
        let mut rest = Vec::new();
        let mut piece = |bytes: &[u8]| {
            cut_lines(&mut rest, bytes, |line| {
                if let Ok(event) = serde_json::from_slice::<Value>(&line) {
                    shared.seen().take(&event);
                    shared.changed.notify_all();
                }
            });
        };
        // The caller of `counts` finds out why the engine cannot be reached.
        drop(wire.stream(Method::GET, path, &[], &mut piece).await);
        shared.seen().interruptions += 1;
        sleep(RECONNECT_AFTER).await;
    }
}

impl ReferenceWatch for ReferenceMoves {
    fn counts(
        &self,
        references: &[(String, String)],
        engine: &dyn ImageStore,
    ) -> anyhow::Result<Vec<u64>> {
        let Some((_, image_id)) = references.first() else { return Ok(Vec::new()) };
        let deadline = Instant::now() + self.answer_within;
        // Events arrive in order. Once there are more events of the marker than were caused before this call, one
        // of them is from this call, and all events before it have arrived too.
        let mut tag_count = self.tag_count.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *tag_count;
        loop {
            engine.tag(image_id, &self.marker)?;
            *tag_count += 1;
            let seen = self.shared.seen();
            let is_missing = |seen: &mut MoveCounts| seen.count(&self.marker) <= before;
            // Some events may have been lost; as many more are needed.
            let can_suffice = seen.count(&self.marker) + (*tag_count - before) > before;
            let wait = if can_suffice { AGAIN_AFTER } else { Duration::ZERO };
            let waited = self.shared.changed.wait_timeout_while(seen, wait, is_missing);
            let (mut seen, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !is_missing(&mut seen) {
                let count = |(reference, image_id): &(String, String)| {
                    seen.count(reference) + seen.count(image_id) + seen.interruptions
                };
                return Ok(references.iter().map(count).collect());
            }
            if Instant::now() > deadline {
                return Err(never_answers(&self.endpoint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_references_are_counted_from_events() {
        let mut seen = MoveCounts::default();
        for line in [
            r#"{"Action":"tag","Actor":{"ID":"sha256:1","Attributes":{"name":"acme/base:1"}}}"#,
            r#"{"Action":"pull","Actor":{"ID":"debian:12","Attributes":{"name":"debian"}}}"#,
            r#"{"Action":"untag","Actor":{"ID":"sha256:1","Attributes":{"name":"sha256:1"}}}"#,
            r#"{"Action":"load","Actor":{"ID":"sha256:2","Attributes":{"name":"sha256:2"}}}"#,
        ] {
            seen.take(&serde_json::from_str(line).unwrap());
        }
        let names = ["acme/base:1", "debian:12", "acme/dev:1", "sha256:1", "sha256:2"];
        assert_eq!(names.map(|name| seen.count(name)), [1, 1, 0, 0, 1]);
    }
}
