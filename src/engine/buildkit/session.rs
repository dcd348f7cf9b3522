//! The services that the engine uses during a build: the context, credentials, secrets, and a health check.
//!
//! Owns the gRPC services of a BuildKit session, except for the context's ([`super::file_sync`]). A session serves one
//! build after the other, and ends with its line.

use std::io;
use std::sync::Arc;

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use futures_util::stream::{self, BoxStream};
use tonic::{Request, Response, Status};

use super::Connection;
use super::file_sync::{self, CurrentOffers, FileSyncService};
use super::secrets::{AGENT_METHODS, SECRET_METHODS, SecretProvider};
use crate::base::error;
use crate::credentials::CredentialStore;
use crate::engine::Secrets;

/// The methods that are always served.
const METHODS: [&str; 3] =
    ["/grpc.health.v1.Health/Check", "/moby.filesync.v1.Auth/Credentials", file_sync::METHOD];

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

/// Serves the session on a connection until either side closes it.
pub(super) async fn serve(
    connection: Connection,
    offered: CurrentOffers,
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
        .add_service(FileSyncServer::new(FileSyncService(offered)))
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
