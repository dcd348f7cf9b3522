//! Pushes of images from the engine's store to their registries.
//!
//! Owns `POST /images/{name}/push` of the Docker Engine API and its result: the image's digest in the registry, or
//! the reason of the failure. The engine ends a push when its connection closes, so closing the connection cancels
//! the push.

use std::borrow::Cow;
use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hyper::{Method, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::{EngineConnector, ExchangeError, message_of};
use super::errors::explain;
use super::responses::{path_of, query_of, split_reference};
use super::transfer::{MessageStream, TransferResult, encode, registry_of};
use crate::base::error::{self, ErrorKind, InfrastructureError, permanent, transient};
use crate::base::waiting;
use crate::credentials::{Credential, CredentialStore};
use crate::engine::buildkit::Watch;
use crate::engine::buildkit::wording::{self, is_rate_limited};
use crate::engine::mask::Mask;
use crate::engine::{Cancel, TransferProgress};

/// Pushes an image. Takes as long as the registry does, unless the push is canceled or the engine hangs.
pub(super) async fn push(
    watch: Watch<'_, EngineConnector>,
    credentials: &Arc<CredentialStore>,
    version: &str,
    reference: &str,
    on_progress: &mut dyn FnMut(TransferProgress),
    cancel: &Cancel,
) -> anyhow::Result<String> {
    let canceled = Arc::new(Notify::new());
    let wake = Arc::clone(&canceled);
    let _guard = cancel.on_set(move || wake.notify_one());
    let stopped = || {
        permanent(format!("the push of `{reference}` was canceled"))
            .hint("push again to continue; layers that the registry has are skipped")
            .into()
    };
    let (repository, _) = split_reference(reference);
    let store = Arc::clone(credentials);
    let host = registry_of(repository).to_owned();
    // A credential helper is a program, and may wait for user input.
    let found = tokio::task::spawn_blocking(move || store.lookup(&host));
    let credential = tokio::select! {
        () = canceled.notified() => return Err(stopped()),
        found = found => found.context("the credential lookup failed")??,
    };
    let last_message = Cell::new(Instant::now());
    let accepts = format!("`{}` to accept the upload of `{reference}`", registry_of(repository));
    let mut on_start = || ();
    let mut lines = MessageStream::new(&mut on_start);
    let mut take = |bytes: &[u8]| {
        last_message.set(Instant::now());
        lines.take(bytes);
        if let Some(progress) = lines.progress() {
            on_progress(progress);
        }
        if lines.is_retried() {
            waiting::announce(&accepts);
        }
    };
    let answered = {
        let mut sending = pin!(send(watch, version, reference, credential.as_ref(), &mut take));
        tokio::select! {
            () = canceled.notified() => return Err(stopped()),
            silence = watch.until_unresponsive(&last_message) => return Err(lost_connection(watch, silence.message())),
            answered = &mut sending => answered,
        }
    };
    match answered {
        Ok(status) => check_response(status, lines.finish(), reference, credential.as_ref(), watch),
        Err(ExchangeError::Talk(cause)) => Err(lost_connection(watch, &cause)),
        Err(broken) => Err(explain(&broken, &watch.transport.endpoint)),
    }
}

/// Sends the request and passes on the response piece by piece.
async fn send(
    watch: Watch<'_, EngineConnector>,
    version: &str,
    reference: &str,
    credential: Option<&Credential>,
    take: &mut dyn FnMut(&[u8]),
) -> Result<StatusCode, ExchangeError> {
    let (repository, tag) = split_reference(reference);
    let path = format!("{version}/images/{}/push?tag={}", path_of(repository), query_of(tag));
    // The API requires the header even without credentials; Docker 20.10 enforces it.
    let header = encode(credential);
    watch.transport.stream(Method::POST, &path, &[("X-Registry-Auth", &header)], take).await
}

fn lost_connection(watch: Watch<'_, EngineConnector>, cause: &str) -> anyhow::Error {
    let address = &watch.transport.endpoint.address;
    transient(format!("lost the connection to the engine at `{address}` during the push: {cause}"))
        .hint("check that the engine is still running, and push again")
        .into()
}

/// The pause in seconds of the classic store after which it has retried the upload of a layer for long enough.
const LAST_PAUSE: u32 = 20;

/// Interprets the end of a response.
fn check_response(
    status: StatusCode,
    result: TransferResult,
    reference: &str,
    credential: Option<&Credential>,
    watch: Watch<'_, EngineConnector>,
) -> anyhow::Result<String> {
    let is_given_up = result.retried_after >= LAST_PAUSE;
    let why = match (result.error, status.is_success()) {
        (Some(error), _) => error,
        (None, false) => message_of(&result.last),
        (None, true) => {
            return result.digest.ok_or_else(|| {
                // A response that was cut off between two lines looks complete.
                lost_connection(watch, "the response is incomplete")
            });
        }
    };
    let why = hide(credential, why)?;
    if status == StatusCode::NOT_FOUND || is_missing(&why) {
        return Err(permanent(format!("can't push `{reference}`: no such image in the engine"))
            .hint("build it first, or check its name with `docker image ls`")
            .into());
    }
    // Docker 20.10 reports a malformed name as a server error.
    if status.is_server_error() && !why.starts_with("invalid reference format") {
        return Err(explain(&ExchangeError::Refused(status, why), &watch.transport.endpoint));
    }
    let error = refused(reference, &why);
    match is_given_up && error::is_transient(&error) {
        true => Err(InfrastructureError::restate(ErrorKind::Permanent, &error).into()),
        false => Err(error),
    }
}

/// Returns the error for a push that the engine or the registry refused, with a matching hint.
fn refused(reference: &str, why: &str) -> anyhow::Error {
    let (repository, _) = split_reference(reference);
    let registry = registry_of(repository);
    let login = match registry {
        "docker.io" => Cow::from("docker login"),
        host => format!("docker login {host}").into(),
    };
    let message = format!("can't push `{reference}`: {why}");
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let hint = if says(&DENIED) {
        format!("run `{login}` with an account that may push to `{repository}`")
    } else if says(&["HTTP response to HTTPS client", "does not look like a TLS handshake"]) {
        format!("add `{registry}` to `insecure-registries` in the engine's `daemon.json`")
    } else if says(&["x509: ", "tls: "]) {
        format!(
            "add the certificate of the registry's authority to the engine's host as \
             `/etc/docker/certs.d/{registry}/ca.crt`"
        )
    } else if is_rate_limited(why) {
        let hint = format!("`{registry}` limits the rate of requests; push again later");
        return InfrastructureError::new(ErrorKind::RateLimited, message).hint(hint).into();
    } else if wording::is_transient(why) {
        let hint = format!("check that the engine can reach `{registry}`, and push again");
        return transient(message).hint(hint).into();
    } else {
        format!("check the name, or run `{login}`")
    };
    permanent(message).hint(hint).into()
}

/// Parts of messages about denied access: the wording of Docker's distribution and of containerd, and the codes of
/// the OCI Distribution Specification.
const DENIED: [&str; 9] = [
    "401 Unauthorized",
    "403 Forbidden",
    "access denied",
    "authorization failed",
    "denied: ",
    "error from registry: denied",
    "error from registry: unauthorized",
    "no basic auth credentials",
    "unauthorized: ",
];

/// Returns whether the engine reports that it does not have the image: the classic store names the repository or
/// the tag, containerd's the tag (moby, `distribution/push_v2.go` and `daemon/containerd/image_push.go`).
fn is_missing(why: &str) -> bool {
    why.starts_with("An image does not exist locally with the tag: ")
        || why.starts_with("tag does not exist: ")
}

/// Masks credentials: a registry may repeat what it received, and the engine repeats the registry's message.
fn hide(credential: Option<&Credential>, why: String) -> anyhow::Result<String> {
    let Some(Credential { username, secret }) = credential else { return Ok(why) };
    let pair = format!("{username}:{secret}");
    let forms = [secret.clone(), STANDARD.encode(&pair), URL_SAFE.encode(&pair)];
    Ok(Mask::new(forms.iter().map(String::as_bytes))?.hide_in(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::{self, is_transient};

    #[track_caller]
    fn check_refusals(hint: &str, passes: bool, all: &[&str]) {
        for why in all {
            let error = refused("host:5000/a/b:1", why);
            let text = error::text(&error);
            let (result, hinted) = text.split_once("\nhint: ").unwrap();
            assert_eq!(result, format!("can't push `host:5000/a/b:1`: {why}"));
            assert_eq!((hinted, is_transient(&error)), (hint, passes), "{why}");
        }
    }

    #[test]
    fn rejected_pushes_have_a_hint_and_are_classified_for_retries() {
        let login = "run `docker login host:5000` with an account that may push to `host:5000/a/b`";
        let denials = [
            "no basic auth credentials",
            "denied: requested access to the resource is denied",
            "unauthorized: authentication required",
            "unknown: unexpected status from HEAD request to http://h/v2/: 401 Unauthorized",
            "push access denied, repository does not exist or may require authorization: \
             authorization failed: no basic auth credentials",
            "error from registry: unauthorized\nunauthorized",
            "error from registry: denied\ndenied",
        ];
        check_refusals(login, false, &denials);
        let reach = "check that the engine can reach `host:5000`, and push again";
        let failures = [
            "Get \"http://h/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            "failed to do request: Head \"https://h/v2/\": EOF",
            "Put \"http://h/v2/\": EOF",
            "received unexpected HTTP status: 503 Service Unavailable",
            "unexpected status from PUT request to https://h/v2/: 520 ",
            "write tcp 127.0.0.1:2->127.0.0.1:1: write: broken pipe",
            "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        ];
        check_refusals(reach, true, &failures);
        let name = "check the name, or run `docker login host:5000`";
        let mistakes = [
            "name invalid: invalid repository name",
            "manifest invalid: manifest invalid",
            "error from registry: invalid repository name",
            "error from registry: the tag is immutable",
        ];
        check_refusals(name, false, &mistakes);
    }

    #[test]
    fn rate_limits_are_recognized_on_both_image_stores() {
        let later = "`host:5000` limits the rate of requests; push again later";
        let limits = [
            "toomanyrequests: slow down",
            "unexpected status from PUT request to http://h/v2/: 429 Too Many Requests",
            "received unexpected HTTP status: 429 Too Many Requests",
            "error parsing HTTP 429 response body: invalid character 's'",
            // containerd's store passes on the registry's message without its code.
            "error from registry: slow down",
            "error from registry: Rate exceeded",
            "error from registry: toomanyrequests\ntoomanyrequests",
        ];
        check_refusals(later, true, &limits);
    }

    #[test]
    fn refusals_name_the_setting_that_helps() {
        let text = error::text(&refused("acme/b", "denied: no"));
        assert!(
            text.ends_with("\nhint: run `docker login` with an account that may push to `acme/b`")
        );
        let insecure = "add `host:5000` to `insecure-registries` in the engine's `daemon.json`";
        let why = "failed to do request: Head \"https://h/v2/\": http: server gave HTTP response to HTTPS client";
        check_refusals(insecure, false, &[why]);
        let error = refused("host:5000/a", "tls: failed to verify certificate: x509: unknown");
        let text = error::text(&error);
        assert!(text.ends_with("`/etc/docker/certs.d/host:5000/ca.crt`"), "{text}");
    }

    #[test]
    fn credentials_in_registry_messages_are_masked() {
        let credential = Credential { username: "me".into(), secret: "open sesame".into() };
        let why = "denied: `Basic bWU6b3BlbiBzZXNhbWU=` is not `open sesame`".to_owned();
        assert_eq!(hide(Some(&credential), why).unwrap(), "denied: `Basic ***` is not `***`");
    }
}
