//! The services that the engine uses during a build: the context, credentials, secrets, and a health check.
//!
//! Owns the gRPC services of a BuildKit session and the thread that writes the tar. A session serves one build
//! after the other, and ends with its line.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use bollard_buildkit_proto::moby::upload::v1::BytesMessage;
use bollard_buildkit_proto::moby::upload::v1::upload_server::{Upload, UploadServer};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::Connection;
use super::hex;
use super::secrets::{AGENT_METHODS, SECRET_METHODS, SecretProvider};
use crate::base::error;
use crate::credentials::CredentialStore;
use crate::engine::{ContextFiles, Secrets};

/// The methods that are always served.
const METHODS: [&str; 3] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.upload.v1.Upload/Pull",
];

/// Returns the methods to announce to the engine, in the headers of the session's request.
pub(super) fn methods(secrets: &Secrets) -> Vec<&'static str> {
    let mut methods = METHODS.to_vec();
    if secrets.value_ids().next().is_some() {
        methods.extend(SECRET_METHODS);
    }
    if secrets.agent_ids().next().is_some() {
        methods.extend(AGENT_METHODS);
    }
    methods
}

/// The size in bytes of one message of the context; BuildKit accepts up to 16 MiB.
const CHUNK: usize = 128 << 10;

/// How many chunks may wait for the engine.
const WAITING_CHUNKS: usize = 8;

/// Why the context could not be written, kept for the build to read.
#[derive(Clone, Default)]
pub(super) struct ContextFault(Arc<Mutex<Option<io::Error>>>);

impl ContextFault {
    /// Returns the error, if there was one.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The context that a session offers.
#[derive(Clone)]
pub(super) struct ContextOffer {
    /// The context's files.
    pub(super) files: Arc<dyn ContextFiles>,
    /// The SHA-256 of the tar when it was hashed.
    pub(super) digest: String,
    /// The path at which the tar is served.
    pub(super) path: String,
    /// Receives the error if the context cannot be written.
    pub(super) fault: ContextFault,
}

/// The current offer of a session, which serves one build after the other.
#[derive(Clone, Default)]
pub(super) struct CurrentOffer(Arc<Mutex<Option<ContextOffer>>>);

impl CurrentOffer {
    /// Offers the context of another build, or nothing.
    pub(super) fn set(&self, offer: Option<ContextOffer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = offer;
    }

    fn at(&self, path: &str) -> Option<ContextOffer> {
        let offer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        offer.filter(|offer| offer.path == path)
    }
}

/// Serves the session on a connection until either side closes it.
pub(super) async fn serve(
    connection: Connection,
    offered: CurrentOffer,
    credentials: Arc<CredentialStore>,
    secrets: Secrets,
) {
    let giver = SecretProvider(secrets);
    let gives_secrets = giver.0.value_ids().next().is_some();
    let gives_agents = giver.0.agent_ids().next().is_some();
    let connections = stream::iter([Ok::<_, io::Error>(connection)]);
    let ended = tonic::transport::Server::builder()
        .add_service(HealthServer::new(HealthService))
        .add_service(AuthServer::new(SessionCredentials { store: credentials }))
        .add_service(UploadServer::new(ContextUpload(offered)))
        .add_optional_service(gives_secrets.then(|| SecretsServer::new(giver.clone())))
        .add_optional_service(gives_agents.then(|| SshServer::new(giver)))
        .serve_with_incoming(connections)
        .await;
    // If the session breaks, so does the build, which reports a better cause.
    drop(ended);
}

struct HealthService;

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only health checks are supported"))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only health checks are supported"))
    }
}

/// Provides credentials. The engine fetches tokens itself, as it does for clients that cannot.
struct SessionCredentials {
    store: Arc<CredentialStore>,
}

#[tonic::async_trait]
impl Auth for SessionCredentials {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let store = Arc::clone(&self.store);
        // A credential helper is a program; the build continues while it runs.
        let found = tokio::task::spawn_blocking(move || store.lookup(&host)).await;
        match found {
            Ok(Ok(found)) => {
                let (username, secret) = found.map(|c| (c.username, c.secret)).unwrap_or_default();
                Ok(Response::new(CredentialsResponse { username, secret }))
            }
            Ok(Err(error)) => Err(Status::failed_precondition(error::text(&error))),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens"))
    }
}

struct ContextUpload(CurrentOffer);

#[tonic::async_trait]
impl Upload for ContextUpload {
    type PullStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn pull(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let url_path = request.metadata().get("urlpath").and_then(|path| path.to_str().ok());
        let Some(offer) = url_path.and_then(|path| self.0.at(path)) else {
            return Err(Status::not_found("no such upload"));
        };
        let (to, from) = mpsc::channel(WAITING_CHUNKS);
        let write = move || {
            let hash = ring::digest::Context::new(&ring::digest::SHA256);
            let mut chunks =
                Chunks { to, waiting: Vec::with_capacity(CHUNK), hash, is_complete: false };
            match offer.files.write_tar(&mut chunks).and_then(|()| chunks.finish(&offer.digest)) {
                Ok(()) => chunks.is_complete = true,
                Err(_) if chunks.to.is_closed() => {}
                Err(error) => offer.fault.keep(error),
            }
        };
        thread::Builder::new().name("context".into()).spawn(write)?;
        let messages = stream::unfold(from, |mut from| async {
            from.recv().await.map(|message| (message, from))
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// Splits written bytes into messages, and blocks while the engine is behind.
struct Chunks {
    to: mpsc::Sender<Result<BytesMessage, Status>>,
    waiting: Vec<u8>,
    hash: ring::digest::Context,
    is_complete: bool,
}

impl Chunks {
    /// Sends the rest, unless the content differs from what was hashed: a file that changes during the build must
    /// not end up under the digest of its former content.
    fn finish(&mut self, digest: &str) -> io::Result<()> {
        if hex(self.hash.clone().finish().as_ref()) != digest {
            return Err(io::Error::other("files changed while the context was sent"));
        }
        self.flush()
    }
}

impl Drop for Chunks {
    /// Reports a context that ends early, by an error or a panic, so that the engine does not mistake it for a
    /// smaller one.
    fn drop(&mut self) {
        if !self.is_complete {
            let status = Status::aborted("the context could not be written");
            // If the engine is gone, there is nothing to report.
            drop(self.to.blocking_send(Err(status)));
        }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..count]);
        self.hash.update(&bytes[..count]);
        if self.waiting.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let data = std::mem::replace(&mut self.waiting, Vec::with_capacity(CHUNK));
        self.to
            .blocking_send(Ok(BytesMessage { data }))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine stopped reading"))
    }
}
