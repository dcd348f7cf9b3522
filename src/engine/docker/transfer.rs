//! The common parts of pulls and pushes.
//!
//! Owns the credentials header and the parsing of the responses: streams of JSON lines, of which only an error, the
//! engine's first status, and the digest at the end matter.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;
use serde_json::Value;

use crate::base::text::names_registry;
use crate::credentials::Credential;
use crate::engine::TransferProgress;

/// The maximum length of a line in bytes; it limits what an untrusted server can send.
const LONGEST_LINE: usize = 1 << 20;

/// A line of a response (moby, `jsonmessage.JSONMessage`), with only the fields in use.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonMessage {
    status: Option<String>,
    error: Option<String>,
    error_detail: Value,
    /// The layer that the line is about.
    id: String,
    progress_detail: ProgressDetail,
    /// What the classic store adds at the end of a push (moby, `types.PushResult`). containerd's store adds other
    /// objects.
    aux: Value,
}

/// The bytes of a layer (moby, `jsonmessage.JSONProgress`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProgressDetail {
    current: u64,
    total: u64,
}

/// Returns the registry of a repository by the rule of Docker's references: the part before the first slash, if it
/// cannot be a name on Docker Hub.
pub(super) fn registry_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if names_registry(host) => host,
        _ => "docker.io",
    }
}

/// Encodes credentials for the engine's header (moby, `registry.AuthConfig`); also without credentials.
pub(super) fn encode(credential: Option<&Credential>) -> String {
    let object = match credential {
        None => serde_json::json!({}),
        Some(Credential { username, secret }) if username.is_empty() => {
            serde_json::json!({ "identitytoken": secret })
        }
        Some(Credential { username, secret }) => {
            serde_json::json!({ "username": username, "password": secret })
        }
    };
    URL_SAFE.encode(object.to_string())
}

/// Appends `bytes` to `rest` and passes each complete line to `read`; `rest` keeps the remainder.
pub(super) fn cut_lines(rest: &mut Vec<u8>, bytes: &[u8], mut read: impl FnMut(Vec<u8>)) {
    rest.extend_from_slice(bytes);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        read(rest.drain(..=end).collect());
    }
    rest.truncate(LONGEST_LINE);
}

/// A partially received response, split into lines.
pub(super) struct MessageStream<'a> {
    rest: Vec<u8>,
    result: TransferResult,
    /// The progress of each layer.
    layers: BTreeMap<String, TransferProgress>,
    /// Whether it has changed since it was last returned.
    has_progress: bool,
    on_start: &'a mut dyn FnMut(),
}

/// The relevant content of a response.
#[derive(Default)]
pub(super) struct TransferResult {
    /// The error message, if there was one.
    pub(super) error: Option<String>,
    /// The image's digest in the registry.
    pub(super) digest: Option<String>,
    /// The last line, for responses that are not streams.
    pub(super) last: Vec<u8>,
    /// The longest pause in seconds before the engine itself retries the transfer of a layer. The classic store pauses for 5
    /// seconds, and each time for 5 seconds more (moby, `distribution/xfer/upload.go`).
    pub(super) retried_after: u32,
}

impl<'a> MessageStream<'a> {
    /// Starts with an empty response. `on_start` is called at the engine's first status about the transfer.
    pub(super) fn new(on_start: &'a mut dyn FnMut()) -> MessageStream<'a> {
        MessageStream {
            rest: Vec::new(),
            result: TransferResult::default(),
            layers: BTreeMap::new(),
            has_progress: false,
            on_start,
        }
    }

    /// Adds a piece of the response.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let mut rest = std::mem::take(&mut self.rest);
        cut_lines(&mut rest, bytes, |line| self.read(line));
        self.rest = rest;
    }

    /// Returns the progress of all layers, if it has changed.
    pub(super) fn progress(&mut self) -> Option<TransferProgress> {
        let sum = |of: fn(&TransferProgress) -> u64| self.layers.values().map(of).sum();
        let progress = TransferProgress { sent: sum(|it| it.sent), total: sum(|it| it.total) };
        std::mem::take(&mut self.has_progress).then_some(progress)
    }

    /// Returns whether the engine itself retries the transfer of a layer.
    pub(super) fn is_retried(&self) -> bool {
        self.result.retried_after > 0
    }

    /// Ends the response and returns its content.
    pub(super) fn finish(mut self) -> TransferResult {
        let rest = std::mem::take(&mut self.rest);
        self.read(rest);
        self.result
    }

    fn read(&mut self, line: Vec<u8>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Ok(message) = serde_json::from_slice(&line) {
            let JsonMessage { status, error, error_detail, aux, id, progress_detail } = message;
            // The engine sends its first status once it has the image's manifest.
            if status.is_some() && self.result.last.is_empty() {
                (self.on_start)();
            }
            let ProgressDetail { current, total } = progress_detail;
            if total > 0 {
                // Compression may make a layer longer than announced.
                let progress = TransferProgress { sent: current.min(total), total };
                self.layers.insert(id, progress);
                self.has_progress = true;
            } else if status.as_deref() == Some("Pushed")
                && let Some(layer) = self.layers.get_mut(&id)
            {
                layer.sent = layer.total;
                self.has_progress = true;
            }
            let pause = status.as_deref().and_then(seconds_to_retry).unwrap_or_default();
            self.result.retried_after = self.result.retried_after.max(pause);
            // The first error is the cause of those that follow.
            if self.result.error.is_none() {
                self.result.error = error.or_else(|| text_at(&error_detail, "message"));
            }
            // Every store ends with a status text; only the classic one adds an object.
            let from_status = status.as_deref().and_then(digest_in).map(str::to_owned);
            if let Some(digest) = text_at(&aux, "Digest").or(from_status) {
                self.result.digest = Some(digest);
            }
        }
        self.result.last = line;
    }
}

/// Returns the number in `Retrying in 5 seconds`.
fn seconds_to_retry(status: &str) -> Option<u32> {
    status.strip_prefix("Retrying in ")?.split(' ').next()?.parse().ok()
}

fn text_at(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(str::to_owned)
}

/// Returns the digest in `TAG: digest: DIGEST size: BYTES`.
fn digest_in(status: &str) -> Option<&str> {
    let (_, rest) = status.split_once(": digest: ")?;
    let (digest, _) = rest.split_once(" size: ")?;
    digest.starts_with("sha256:").then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_however_the_response_is_split() {
        let answer =
            b"{\"status\":\"Pulling\"}\r\n{\"error\":\"no such tag\"}\r\n{\"error\":\"x\"}";
        let read = |parts: &[&[u8]]| {
            let mut times = 0;
            let mut on_start = || times += 1;
            let mut lines = MessageStream::new(&mut on_start);
            parts.iter().for_each(|part| lines.take(part));
            (lines.finish().error, times)
        };
        for cut in 0..answer.len() {
            let (error, starts) = read(&[&answer[..cut], &answer[cut..]]);
            assert_eq!((error.as_deref(), starts), (Some("no such tag"), 1), "cut at {cut}");
        }
        assert_eq!(read(&[b"{\"status\":\"done\"}\n"]), (None, 1));
        assert_eq!(read(&[b"{\"message\":\"", b"no\"}\n"]), (None, 0));
        assert_eq!(read(&[b"{\"error\":\"no\"}"]), (Some("no".to_owned()), 0));
    }

    #[test]
    fn the_progress_of_all_layers_is_added_up() {
        let mut on_start = || ();
        let mut lines = MessageStream::new(&mut on_start);
        let mut check = |line: &str, expected: Option<(u64, u64)>| {
            lines.take(format!("{line}\r\n").as_bytes());
            let found = lines.progress().map(|it| (it.sent, it.total));
            assert_eq!(found, expected, "{line}");
        };
        let pushing = |id, current| {
            format!(
                r#"{{"status":"Pushing","id":"{id}","progressDetail":{{"current":{current},"total":100}}}}"#
            )
        };
        check(r#"{"status":"Preparing","id":"a","progressDetail":{}}"#, None);
        check(&pushing("a", 40), Some((40, 100)));
        check(r#"{"status":"Layer already exists","id":"c","progressDetail":{}}"#, None);
        check(&pushing("b", 120), Some((140, 200)));
        check(r#"{"status":"Pushed","id":"a","progressDetail":{}}"#, Some((200, 200)));
    }

    #[test]
    fn digests_are_found_in_the_output_of_both_image_stores() {
        let read = |answer: &str| {
            let mut on_start = || ();
            let mut lines = MessageStream::new(&mut on_start);
            lines.take(answer.as_bytes());
            let result = lines.finish();
            (result.digest, result.error)
        };
        let classic = "{\"status\":\"1: digest: sha256:a size: 5\"}\r\n\
                       {\"progressDetail\":{},\"aux\":{\"Tag\":\"1\",\"Digest\":\"sha256:b\",\"Size\":5}}\r\n";
        assert_eq!(read(classic), (Some("sha256:b".to_owned()), None));
        let containerd = "{\"aux\":{\"manifestPushedInsteadOfIndex\":true}}\r\n\
                          {\"status\":\"1: digest: sha256:a size: 5\"}\r\n";
        assert_eq!(read(containerd), (Some("sha256:a".to_owned()), None));
        assert_eq!(read("{\"status\":\"Pushed\",\"aux\":[]}\n"), (None, None));
        let newest = "{\"errorDetail\":{\"message\":\"denied: no\"}}\n";
        assert_eq!(read(newest), (None, Some("denied: no".to_owned())));
    }

    #[test]
    fn registries_are_distinguished_from_repository_names() {
        let check = |repository, expected| assert_eq!(registry_of(repository), expected);
        check("debian", "docker.io");
        check("acme/base", "docker.io");
        check("ghcr.io/acme/base", "ghcr.io");
        check("localhost/base", "localhost");
        check("127.0.0.1:5000/a/b", "127.0.0.1:5000");
    }

    #[test]
    fn credentials_are_encoded_in_the_format_of_the_engine() {
        let check = |username: &str, expected| {
            let credential = Credential { username: username.into(), secret: "s".into() };
            let header = URL_SAFE.decode(encode(Some(&credential))).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header, expected);
        };
        check("me", serde_json::json!({"username": "me", "password": "s"}));
        check("", serde_json::json!({"identitytoken": "s"}));
    }
}
