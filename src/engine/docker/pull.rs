//! Fetching an image from its registry into the engine's store.
//!
//! Owns `POST /images/create` of the Docker Engine API: its query, the credentials that go along,
//! and its answer, a stream of JSON lines of which only an `error` matters here. The status of the
//! answer is sent before the fetching begins and says nothing of how it ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::stored::{query_of, split_reference};
use super::trouble::{explain, hinted};
use super::wire::{Broken, Wire, message_of};
use crate::credentials::{Credential, CredentialStore};

/// More than this no line of the answer holds; it bounds what a stranger can send.
const LONGEST_LINE: usize = 1 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Fetches an image. Takes as long as its registry does.
pub(super) async fn pull(
    wire: &Wire,
    credentials: &CredentialStore,
    version: &str,
    (reference, platform): (&str, Option<&str>),
    begun: &mut dyn FnMut(),
) -> anyhow::Result<()> {
    let (repository, tag) = split_reference(reference);
    let mut path =
        format!("{version}/images/create?fromImage={}&tag={}", query_of(repository), query_of(tag));
    if let Some(platform) = platform {
        path.push_str(&format!("&platform={}", query_of(platform)));
    }
    let credential = credentials.lookup(registry_of(repository))?;
    let header = credential.map(|it| ("X-Registry-Auth", encode(&it)));
    let headers: Vec<(&str, &str)> =
        header.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines = Lines { rest: Vec::new(), said: Said::default(), begun };
    let answered = wire.stream(Method::POST, &path, &headers, &mut |bytes| lines.take(bytes)).await;
    let status = answered.map_err(|broken| explain(&broken, wire.endpoint()))?;
    let said = lines.finish();
    if status.is_success() && said.error.is_none() {
        return Ok(());
    }
    let why = said.error.unwrap_or_else(|| message_of(&said.last));
    if status.is_server_error() && why.is_empty() || status == StatusCode::BAD_REQUEST {
        return Err(explain(&Broken::Refused(status, why), wire.endpoint()));
    }
    Err(hinted(
        format!("can't pull `{reference}`: {why}"),
        "check its name and `docker login`, or leave out `--pull` to take what the engine has",
    ))
}

/// The registry of a repository, by the rule of Docker's references: what stands before the first
/// slash where it can't be a name on Docker Hub.
fn registry_of(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// Credentials as the engine takes them in a header (moby, `registry.AuthConfig`).
fn encode(credential: &Credential) -> String {
    let Credential { username, secret } = credential;
    let object = match username.as_str() {
        "" => serde_json::json!({ "identitytoken": secret }),
        name => serde_json::json!({ "username": name, "password": secret }),
    };
    URL_SAFE.encode(object.to_string())
}

/// The answer so far, cut into lines.
struct Lines<'a> {
    rest: Vec<u8>,
    said: Said,
    begun: &'a mut dyn FnMut(),
}

#[derive(Default)]
struct Said {
    error: Option<String>,
    /// The last line, for an answer that is no stream.
    last: Vec<u8>,
}

impl Lines<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.read(line);
        }
        self.rest.truncate(LONGEST_LINE);
    }

    fn finish(mut self) -> Said {
        let rest = std::mem::take(&mut self.rest);
        self.read(rest);
        self.said
    }

    fn read(&mut self, line: Vec<u8>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Ok(Line { status, error }) = serde_json::from_slice(&line) {
            // The engine's first word comes when it has the image's description.
            if status.is_some() && self.said.last.is_empty() {
                (self.begun)();
            }
            // The first error is the cause of those that follow.
            if self.said.error.is_none() {
                self.said.error = error;
            }
        }
        self.said.last = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_wherever_the_answer_is_cut() {
        let answer =
            b"{\"status\":\"Pulling\"}\r\n{\"error\":\"no such tag\"}\r\n{\"error\":\"x\"}";
        let read = |parts: &[&[u8]]| {
            let mut times = 0;
            let mut begun = || times += 1;
            let mut lines = Lines { rest: Vec::new(), said: Said::default(), begun: &mut begun };
            parts.iter().for_each(|part| lines.take(part));
            (lines.finish().error, times)
        };
        for cut in 0..answer.len() {
            let (error, begun) = read(&[&answer[..cut], &answer[cut..]]);
            assert_eq!((error.as_deref(), begun), (Some("no such tag"), 1), "cut at {cut}");
        }
        assert_eq!(read(&[b"{\"status\":\"done\"}\n"]), (None, 1));
        assert_eq!(read(&[b"{\"message\":\"", b"no\"}\n"]), (None, 0));
        assert_eq!(read(&[b"{\"error\":\"no\"}"]), (Some("no".to_owned()), 0));
    }

    #[test]
    fn a_registry_is_told_from_a_name() {
        let check = |repository, expected| assert_eq!(registry_of(repository), expected);
        check("debian", "docker.io");
        check("acme/base", "docker.io");
        check("ghcr.io/acme/base", "ghcr.io");
        check("localhost/base", "localhost");
        check("127.0.0.1:5000/a/b", "127.0.0.1:5000");
    }

    #[test]
    fn credentials_are_sent_as_the_engine_reads_them() {
        let check = |username: &str, expected| {
            let credential = Credential { username: username.into(), secret: "s".into() };
            let sent = URL_SAFE.decode(encode(&credential)).unwrap();
            let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
            assert_eq!(sent, expected);
        };
        check("me", serde_json::json!({"username": "me", "password": "s"}));
        check("", serde_json::json!({"identitytoken": "s"}));
    }
}
