//! The BuildKit client, for every engine that speaks BuildKit's protocol.
//!
//! Owns a build from the first read of its context to its outcome: the session that serves it, the solve call with
//! its status, and retries. A [`Transport`] defines how to reach BuildKit and to which store it exports.
//!
//! See `llb` for why this uses gRPC and not dockerd's `POST /build`. `COPY . .` finds the context's files, and
//! nothing else.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use self::connections::ConnectionPool;
use self::context::BuildContexts;
use self::outcome::AttemptResult;
use self::solve::ContextSharing;
use self::wording::{Remedy, remedy};
use super::{BuildOutcome, BuildRequest, BuildUpdate, Cancel, Sink, TimedUpdate};
use crate::base::error::transient;
use crate::credentials::CredentialStore;

pub(super) mod connections;
mod context;
mod file_sync;
mod llb;
mod outcome;
mod sandbox;
mod secrets;
mod session;
mod solve;
mod trace;
pub(super) mod wording;

pub(super) use solve::Watch;

/// How to reach one BuildKit.
pub(super) trait Transport {
    /// The exporter that puts images into the engine's store.
    const EXPORTER: &'static str;

    /// Returns the address to print.
    fn address(&self) -> String;

    /// Opens a connection on which BuildKit calls the session with this ID, whose services have these methods.
    async fn open_session(&self, id: &str, methods: &[&str]) -> anyhow::Result<Connection>;

    /// Opens a connection to BuildKit's `Control` service.
    async fn open_control(&self) -> anyhow::Result<Connection>;

    /// Returns once BuildKit has answered anything, or has refused to.
    async fn ping(&self);

    /// Returns the error for a BuildKit that does not answer.
    fn never_answers(&self) -> anyhow::Error;

    /// Returns the error for a server that answers, but does not speak BuildKit's protocol.
    fn talks_otherwise(&self, cause: String) -> anyhow::Error;
}

/// A bidirectional stream of bytes.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection for gRPC.
pub(super) struct Connection(Box<dyn Duplex>);

impl Connection {
    /// Returns a connection over a stream.
    pub(super) fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Connection {
        Connection(Box::new(stream))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

/// Builds one image, and retries once if the failure calls for it.
pub(super) fn build<P: Default, T: Transport>(
    lines: &ConnectionPool<P>,
    watch: Watch<'_, T>,
    credentials: &Arc<CredentialStore>,
    request: &BuildRequest,
    sink: &mut Sink<'_>,
    cancel: &Cancel,
) -> anyhow::Result<BuildOutcome> {
    let contexts = context::read_all(request, cancel);
    let Some(contexts) = contexts.context("can't read the context")? else {
        return Ok(BuildOutcome::Canceled);
    };
    let outcome = build_once(lines, watch, credentials, (&contexts, request), sink, cancel)?;
    let BuildOutcome::Failed(failure) = &outcome else { return Ok(outcome) };
    let no_cache = match remedy(failure) {
        Some(Remedy::Again) => request.no_cache,
        Some(Remedy::WithoutCache) if !request.no_cache => true,
        _ => return Ok(outcome),
    };
    sink(vec![TimedUpdate::now(BuildUpdate::Restarted(failure.message.clone()))]);
    let request = BuildRequest { no_cache, ..request.clone() };
    build_once(lines, watch, credentials, (&contexts, &request), sink, cancel)
}

/// Builds with the contexts as read before. If sharing the synchronization with other builds fails, synchronizes for
/// this build alone.
fn build_once<P: Default, T: Transport>(
    lines: &ConnectionPool<P>,
    watch: Watch<'_, T>,
    credentials: &Arc<CredentialStore>,
    (contexts, request): (&BuildContexts, &BuildRequest),
    sink: &mut Sink<'_>,
    cancel: &Cancel,
) -> anyhow::Result<BuildOutcome> {
    let mut why = String::new();
    for sending in [ContextSharing::Shared, ContextSharing::Alone] {
        let contexts = (contexts, sending);
        let end = lines.call(async |connections| {
            solve::build(connections, watch, credentials, request, contexts, sink, cancel).await
        })?;
        match end {
            AttemptResult::Done(outcome) => return Ok(outcome),
            AttemptResult::ContextLost(message) => why = message,
        }
    }
    Err(transient(format!("can't send the context: {why}")).hint("build again").into())
}

/// Sets an attribute of a request.
fn set(
    attributes: &mut HashMap<String, String>,
    name: impl Into<String>,
    value: impl Into<String>,
) {
    attributes.insert(name.into(), value.into());
}

/// Returns the SHA-256 of some bytes in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    hex(digest.as_ref())
}

/// Returns bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an error and its causes in one line, without causes that the text already quotes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        _ if text.contains(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}
