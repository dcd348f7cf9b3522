//! Pulls of images from their registries into the engine's store.
//!
//! Owns `POST /images/create` of the Docker Engine API: its query, its credentials, and the interpretation of its
//! result. The response's status is sent before the pull begins, so it does not tell how the pull ends.

use hyper::{Method, StatusCode};

use super::connection::{EngineConnector, ExchangeError, message_of};
use super::errors::explain;
use super::responses::{query_of, split_reference};
use super::transfer::{MessageStream, encode, registry_of};
use crate::base::Platform;
use crate::base::error::permanent;
use crate::credentials::CredentialStore;

/// Pulls an image. Takes as long as the registry does.
pub(super) async fn pull(
    wire: &EngineConnector,
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
    let mut lines = MessageStream::new(on_start);
    let answered = wire.stream(Method::POST, &path, &headers, &mut |bytes| lines.take(bytes)).await;
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
