//! Pulls of images from their registries into the engine's store.
//!
//! Owns `POST /images/create` of the Docker Engine API: its query, its credentials, and the interpretation of its
//! result. The response's status is sent before the pull begins, so it does not tell how the pull ends.

use std::cell::Cell;
use std::pin::pin;

use hyper::{Method, StatusCode};
use tokio::time::Instant;

use super::connection::{EngineConnector, ExchangeError, message_of};
use super::errors::{explain, silent};
use super::patience::interruptible;
use super::responses::{query_of, split_reference};
use super::transfer::{MessageStream, encode, registry_of};
use crate::base::Platform;
use crate::base::error::permanent;
use crate::base::waiting::WaitError;
use crate::credentials::CredentialStore;
use crate::engine::buildkit::Watch;

/// Pulls an image. Takes as long as the registry does, unless the run is interrupted or the engine hangs.
pub(super) async fn pull(
    watch: Watch<'_, EngineConnector>,
    credentials: &CredentialStore,
    version: &str,
    (reference, platform): (&str, Option<&Platform>),
    on_start: &mut dyn FnMut(),
) -> anyhow::Result<()> {
    let (repository, tag) = split_reference(reference);
    let mut path =
        format!("{version}/images/create?fromImage={}&tag={}", query_of(repository), query_of(tag));
    if let Some(platform) = platform {
        path.push_str(&format!("&platform={}", query_of(&platform.to_string())));
    }
    let credential = credentials.lookup(registry_of(repository))?;
    let header = credential.map(|it| encode(Some(&it)));
    let headers: Vec<_> = header.iter().map(|value| ("X-Registry-Auth", value.as_str())).collect();
    let wire = watch.transport;
    let mut lines = MessageStream::new(on_start);
    let last_message = Cell::new(Instant::now());
    let mut take = |bytes: &[u8]| {
        last_message.set(Instant::now());
        lines.take(bytes);
    };
    let answered = {
        let mut receiving = pin!(wire.stream(Method::POST, &path, &headers, &mut take));
        let either = async {
            tokio::select! {
                _ = watch.until_unresponsive(&last_message) => Err(WaitError::TimedOut),
                answered = &mut receiving => Ok(answered),
            }
        };
        // The start of a pull is announced elsewhere.
        interruptible(None, either).await.and_then(|ended| ended)
    };
    let answered = answered.map_err(|error| silent(&wire.endpoint, error))?;
    let status = answered.map_err(|broken| explain(&broken, &wire.endpoint))?;
    let result = lines.finish();
    if status.is_success() && result.error.is_none() {
        return Ok(());
    }
    let why = result.error.unwrap_or_else(|| message_of(&result.last));
    if status.is_server_error() && why.is_empty() || status == StatusCode::BAD_REQUEST {
        return Err(explain(&ExchangeError::Refused(status, why), &wire.endpoint));
    }
    Err(permanent(format!("can't pull `{reference}`: {why}"))
        .hint("check the name and `docker login`, or omit `--pull` to use the engine's images")
        .into())
}
