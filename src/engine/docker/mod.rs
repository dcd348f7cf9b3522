//! The Docker engine, used directly through its API.
//!
//! Owns the plain requests of the Docker Engine API, and the connection to the daemon's BuildKit, which `buildkit`
//! uses.
//!
//! A call has a line to itself and runs on the calling thread (`buildkit/lines`). The line's connections serve the
//! next call, or are closed if the call fails, so nothing accumulates over a run of thousands of builds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::connection::{EngineConnector, EngineResponse, ExchangeError, PlainConnection};
use self::endpoint::{Endpoint, EndpointEnvironment};
use self::errors::{explain, no_buildkit, silent};
use self::moves::ReferenceMoves;
use self::patience::Patience;
use super::buildkit::connections::{ConnectionPool, ConnectionState};
use super::buildkit::{self, Watch};
use super::{
    BuildOutcome, BuildRequest, Builder, BuilderCapacity, BuilderInfo, Cancel, Features, Frontend,
    HistoryEntry, ImageStore, LabelFilter, ListedImage, NamedContexts, Node, ReferenceWatch, Sink,
    StoredImage, TransferProgress,
};
use crate::base::Platform;
use crate::base::error::{permanent, transient};
use crate::credentials::CredentialStore;

mod connection;
pub mod endpoint;
mod errors;
mod moves;
mod patience;
mod pull;
mod push;
mod responses;
mod transfer;
mod transport;

/// How long an engine may take to answer a cheap request.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// How many of these times a build may be silent before the engine is pinged, and how many the engine may then take
/// to answer: it may be busy.
const PATIENCE: u32 = 8;

/// How long an engine may take to answer a request about its images.
const LOOKUP_WITHIN: Duration = Duration::from_secs(60);

/// How many times a listing of images is attempted. If an image is removed during the listing, containerd's store
/// reports the whole list as not found (Docker 28).
const LISTINGS: usize = 5;

/// The oldest API version whose BuildKit accepts a Dockerfile separately from the context (Docker 20.10).
const OLDEST_API: (u32, u32) = (1, 41);

/// The API version of Docker 24, the first whose containerd store accepts what its BuildKit creates.
const FIRST_WITH_MANIFESTS: (u32, u32) = (1, 43);

/// The newest API version that this client knows; it is also used for newer engines.
const NEWEST_API: (u32, u32) = (1, 51);

/// A Docker engine.
pub struct Docker {
    wire: EngineConnector,
    pool: ConnectionPool<PlainConnection>,
    credentials: Arc<CredentialStore>,
    api: OnceLock<(u32, u32)>,
    version: OnceLock<Version>,
    system_info: OnceLock<Value>,
    features: OnceLock<Features>,
    answer_within: Duration,
    patience: Patience,
}

impl Docker {
    /// Creates a client for the engine at an endpoint, without connecting.
    pub fn new(endpoint: Endpoint, credentials: CredentialStore) -> Docker {
        Docker {
            wire: EngineConnector::new(endpoint),
            pool: ConnectionPool::default(),
            credentials: Arc::new(credentials),
            api: OnceLock::new(),
            version: OnceLock::new(),
            system_info: OnceLock::new(),
            features: OnceLock::new(),
            answer_within: ANSWER_WITHIN,
            patience: Patience::default(),
        }
    }

    /// Creates a client for the engine that the docker command would use.
    ///
    /// # Errors
    /// Returns an error with a hint if the configured engine cannot be used.
    pub fn find(environment: &EndpointEnvironment) -> anyhow::Result<Docker> {
        let credentials = CredentialStore::new(environment.config.clone());
        Ok(Docker::new(endpoint::resolve(environment)?, credentials))
    }

    /// Sets how long the engine may take to answer a cheap request.
    #[must_use]
    pub fn answering_within(mut self, time: Duration) -> Docker {
        self.answer_within = time;
        self
    }

    /// Returns the engine's endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.wire.endpoint
    }

    /// Returns what the engine reports about its machine and its store; requested once.
    fn system_info(&self) -> anyhow::Result<&Value> {
        if let Some(info) = self.system_info.get() {
            return Ok(info);
        }
        let info: Option<Value> = self.pool.call(async |connections| {
            self.request_json(connections, "/info", LOOKUP_WITHIN).await
        })?;
        Ok(self.system_info.get_or_init(|| info.unwrap_or_default()))
    }

    /// Returns the newest API version that both sides know; requested once.
    async fn api(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
    ) -> anyhow::Result<(u32, u32)> {
        if let Some(api) = self.api.get() {
            return Ok(*api);
        }
        let answer = self.call(connections, Method::GET, "/_ping", self.answer_within).await?;
        let api = check_version(&answer, self.endpoint())?;
        Ok(*self.api.get_or_init(|| api))
    }

    /// Sends a plain request in the negotiated API version.
    async fn request(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
        method: Method,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<EngineResponse> {
        let path = format!("{}{path}", self.version_path(connections).await?);
        self.call(connections, method, &path, within).await
    }

    /// Returns the path prefix of requests in the negotiated API version.
    async fn version_path(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
    ) -> anyhow::Result<String> {
        let (major, minor) = self.api(connections).await?;
        Ok(format!("/v{major}.{minor}"))
    }

    async fn call(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
        method: Method,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<EngineResponse> {
        let request = self.wire.call(&mut connections.plain, method, path);
        self.patience
            .wait(within, self.answer_within, request)
            .await
            .map_err(|error| silent(self.endpoint(), error))?
            .map_err(|broken| explain(&broken, self.endpoint()))
    }

    /// Sends a plain request whose response is JSON; `None` if the engine responds with "not found".
    async fn request_json<T: DeserializeOwned>(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<Option<T>> {
        let answer = self.request(connections, Method::GET, path, within).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        let value = serde_json::from_slice(&answer.body);
        value.map(Some).with_context(|| format!("the engine's response to `{path}` is not valid"))
    }

    /// Returns the version that the engine reports; requested once.
    async fn version(
        &self,
        connections: &mut ConnectionState<PlainConnection>,
    ) -> anyhow::Result<&Version> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        // A daemon whose containerd hangs answers the ping, but not this request. `/info` would count all images
        // and containers first, and contains nothing needed here.
        let version: Option<Version> =
            self.request_json(connections, "/version", self.answer_within).await?;
        Ok(self.version.get_or_init(|| version.unwrap_or_default()))
    }

    /// Checks that the engine supports the request's named contexts. They need BuildKit 0.10, which first came with
    /// Docker 23; older versions silently ignore them and build something else.
    fn check_contexts(&self, request: &BuildRequest) -> anyhow::Result<()> {
        if request.contexts.is_empty() || replaces_old_frontend(request) {
            return Ok(());
        }
        self.pool.call(async |connections| {
            let version = self.version(connections).await?;
            if version.frontend().is_none_or(Frontend::knows_contexts) {
                return Ok(());
            }
            let message =
                format!("the engine is too old for named contexts: Docker {}", version.version);
            let hint = "use Docker 23 or newer, or start the Dockerfile with \
                        `# syntax=docker/dockerfile:1`";
            Err(permanent(message).hint(hint).into())
        })
    }

    fn watch(&self) -> Watch<'_, EngineConnector> {
        Watch { transport: &self.wire, patience: PATIENCE * self.answer_within }
    }

    fn refused(&self, answer: &EngineResponse) -> anyhow::Error {
        let message = connection::message_of(&answer.body);
        explain(&ExchangeError::Refused(answer.status, message), self.endpoint())
    }
}

impl Builder for Docker {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        self.pool.call(async |connections| {
            self.api(connections).await?;
            let version = self.version(connections).await?;
            let frontend = version.frontend();
            Ok(BuilderInfo {
                name: "docker".into(),
                version: version.version.clone(),
                nodes: vec![Node {
                    name: "docker".into(),
                    platforms: vec![Platform::of(&version.os, &version.arch, "")],
                }],
                frontend,
                contexts: NamedContexts::of_buildkit(frontend),
            })
        })
    }

    fn features(&self) -> anyhow::Result<Features> {
        if let Some(features) = self.features.get() {
            return Ok(*features);
        }
        let api = self.pool.call(async |connections| self.api(connections).await)?;
        let keeps_manifests =
            api >= FIRST_WITH_MANIFESTS && responses::is_containerd(self.system_info()?);
        let features = Features { annotations: keeps_manifests, attestations: keeps_manifests };
        Ok(*self.features.get_or_init(|| features))
    }

    fn capacity(&self) -> anyhow::Result<Option<BuilderCapacity>> {
        let info = self.system_info()?;
        let cpus = info["NCPU"].as_u64().and_then(|cpus| usize::try_from(cpus).ok());
        // containerd's metadata is written to disk several times per image.
        let waits_for_disk = responses::is_containerd(info);
        let capacity = |cpus| BuilderCapacity { cpus, waits_for_disk };
        Ok(cpus.filter(|cpus| *cpus > 0).map(capacity))
    }

    fn build(
        &self,
        request: &BuildRequest,
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        self.check_contexts(request)?;
        buildkit::build(&self.pool, self.watch(), &self.credentials, request, sink, cancel)
    }

    fn store(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }
}

impl ImageStore for Docker {
    fn inspect(&self, reference: &str) -> anyhow::Result<Option<StoredImage>> {
        let path = format!("/images/{}/json", responses::path_of(reference));
        let image = self
            .pool
            .call(async |connections| self.request_json(connections, &path, LOOKUP_WITHIN).await)?;
        image.map(responses::read_image).transpose()
    }

    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        let path = format!("/images/{}/history", responses::path_of(id));
        let history = self
            .pool
            .call(async |connections| self.request_json(connections, &path, LOOKUP_WITHIN).await)?;
        Ok(history.map(responses::read_history))
    }

    fn list(&self, label: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>> {
        let filters = serde_json::json!({ "label": [label.to_string()] }).to_string();
        let path = format!("/images/json?filters={}", responses::query_of(&filters));
        for _ in 0..LISTINGS {
            let images = self.pool.call(async |connections| {
                self.request_json(connections, &path, LOOKUP_WITHIN).await
            })?;
            if let Some(images) = images {
                return Ok(responses::read_list(images));
            }
        }
        let address = &self.endpoint().address;
        let message = format!(
            "the engine at `{address}` can't list its images: some were removed in the meantime"
        );
        Err(transient(message)
            .hint("run the command again when no other process removes images")
            .into())
    }

    fn tag(&self, id: &str, reference: &str) -> anyhow::Result<()> {
        let (repository, tag) = responses::split_reference(reference);
        let (repository, tag) = (responses::query_of(repository), responses::query_of(tag));
        let path = format!("/images/{}/tag?repo={repository}&tag={tag}", responses::path_of(id));
        let answer = self.pool.call(async |connections| {
            self.request(connections, Method::POST, &path, LOOKUP_WITHIN).await
        })?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(permanent(format!("the engine no longer has `{id}`"))
                .hint("run the command again; another process removed the image")
                .into());
        }
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(&answer)) }
    }

    fn pull(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        on_start: &mut dyn FnMut(),
    ) -> anyhow::Result<()> {
        self.pool.call(async |connections| {
            let version = self.version_path(connections).await?;
            let what = (reference, platform);
            pull::pull(self.watch(), &self.credentials, &version, what, on_start).await
        })
    }

    fn push(
        &self,
        reference: &str,
        on_progress: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<String> {
        self.pool.call(async |connections| {
            let version = self.version_path(connections).await?;
            let credentials = &self.credentials;
            push::push(self.watch(), credentials, &version, reference, on_progress, cancel).await
        })
    }

    fn watch_references(&self, marker: &str) -> anyhow::Result<Option<Box<dyn ReferenceWatch>>> {
        let version = self.pool.call(async |connections| self.version_path(connections).await)?;
        Ok(Some(Box::new(ReferenceMoves::watch(self, &version, marker)?)))
    }

    fn begin_cleanup(&self) {
        self.patience.begin_cleanup();
    }

    fn remove(&self, reference: &str) -> anyhow::Result<()> {
        let path = format!("/images/{}?force=true", responses::path_of(reference));
        let answer = self.pool.call(async |connections| {
            self.request(connections, Method::DELETE, &path, LOOKUP_WITHIN).await
        })?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(self.refused(&answer))
    }
}

/// The response to `GET /version`, with only the fields in use.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Version {
    version: String,
    os: String,
    arch: String,
}

impl Version {
    /// Returns the engine's built-in frontend: that of its BuildKit (according to both release notes). `None` if it
    /// is unknown, or too new to matter.
    fn frontend(&self) -> Option<Frontend> {
        let minor = match self.version.split('.').next()?.parse::<u32>().ok()? {
            ..23 => 2,
            23 => 4,
            24 => 5,
            25 => 6,
            26 => 7,
            27 => 8,
            28 => 14,
            _ => return None,
        };
        Some(Frontend::new(1, minor))
    }
}

/// Returns whether a request names its frontend in a way that engines without named contexts recognize too.
///
/// These engines read the build argument (moby/buildkit#1633), and directives that start at the first line. They ignore
/// directives after a `#!` line, and those in other kinds of comments.
fn replaces_old_frontend(request: &BuildRequest) -> bool {
    let text = &request.dockerfile;
    request.frontend.is_some()
        && (request.build_args.contains_key("BUILDKIT_SYNTAX")
            || text.starts_with('#') && !text.starts_with("#!"))
}

/// Checks that the response to the ping comes from an engine that can build, and returns the API version to use.
fn check_version(answer: &EngineResponse, endpoint: &Endpoint) -> anyhow::Result<(u32, u32)> {
    let address = format!("`{}` ({})", endpoint.address, endpoint.named_by);
    if header(&answer.headers, "libpod-api-version").is_some() {
        return Err(permanent(format!("the engine at {address} is Podman, which has no BuildKit"))
            .hint("set DOCKER_HOST to a Docker engine")
            .into());
    }
    let api = header(&answer.headers, "api-version").and_then(parse_api);
    let (Some(api), true) = (api, answer.status.is_success()) else {
        if answer.status.is_server_error() {
            let message = connection::message_of(&answer.body);
            return Err(explain(&ExchangeError::Refused(answer.status, message), endpoint));
        }
        return Err(permanent(format!("the server at {address} is not a Docker engine"))
            .hint("check DOCKER_HOST and `docker context ls`, or unset DOCKER_HOST")
            .into());
    };
    if header(&answer.headers, "ostype").is_some_and(|os| os == "windows") {
        let message =
            format!("the engine at {address} runs Windows containers and has no BuildKit");
        return Err(permanent(message).hint("switch it to Linux containers").into());
    }
    if api < OLDEST_API {
        let ((major, minor), (first, least)) = (api, OLDEST_API);
        let message = format!(
            "the engine at {address} is too old: it has API {major}.{minor}, but BuildKit requires \
             {first}.{least}"
        );
        return Err(permanent(message).hint("update Docker to 20.10 or newer").into());
    }
    if header(&answer.headers, "builder-version").is_some_and(|builder| builder == "1") {
        return Err(no_buildkit(endpoint));
    }
    Ok(api.min(NEWEST_API))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
