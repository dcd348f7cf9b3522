//! One build: a solve call, its status stream, and the session that serves it.
//!
//! Owns the call to BuildKit's control service and the interpretation of its result. After a build that completes,
//! its two connections, session and control, serve the next build; see [`super::connections`].

use std::cell::Cell;
use std::collections::HashMap;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
};
use bollard_buildkit_proto::pb;
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint as GrpcEndpoint, Uri};
use tonic::{Response, Status};

use super::connections::ConnectionState;
use super::context::{BuildContext, BuildContexts};
use super::file_sync::{ContextFault, ContextOffer, CurrentOffers, SentBytes};
use super::outcome::{AttemptResult, failed, image_of};
use super::sandbox;
use super::session;
use super::trace::StatusTrace;
use super::{Connection, Transport, chain, llb, set};
use crate::credentials::CredentialStore;
use crate::engine::build_option::Entitlement;
use crate::engine::context_files::random_id;
use crate::engine::{
    BuildOutcome, BuildRequest, BuildUpdate, Cancel, ContextSource, Secrets, Sink, TimedUpdate,
};

/// How long the last status messages may take after the build has ended.
const STATUS_TAIL: Duration = Duration::from_secs(3);

/// How long updates from the engine may be held to be reported together: users do not notice such a short delay,
/// and each report wakes the receiver.
const REPORT_WITHIN: Duration = Duration::from_millis(100);

/// How long the thread sleeps after an update, so that the following ones are read together, like interrupt
/// coalescing in network cards. For a small image, the engine sends a dozen updates in 60 ms, and waking up for
/// each costs more than reading it.
const GATHER: Duration = Duration::from_millis(12);

/// How long opening the connections of a build may take.
const OPEN_WITHIN: Duration = Duration::from_secs(60);

/// How long the engine may take to end a canceled build.
const CANCEL_TAIL: Duration = Duration::from_secs(10);

/// BuildKit's own limit on the size of a message in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// How the engine gets the context.
///
/// Concurrent builds whose contexts have the same state synchronize the same copy. BuildKit then runs one step for all
/// of them and requests the files from one of their sessions, so they are sent only once. But if the build that sends
/// them ends early, the step fails for the others as well. They then retry with a state of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContextSharing {
    /// Together with other builds of the same context.
    Shared,
    /// Alone.
    Alone,
}

type Control = ControlClient<Channel>;

/// Detects an engine that is gone: a step may work for an hour without any output, and an engine that hangs looks
/// the same.
pub(in crate::engine) struct Watch<'a, T> {
    pub(in crate::engine) transport: &'a T,
    /// How long the engine may be silent before it is pinged, and how long it may then take to answer.
    pub(in crate::engine) patience: Duration,
}

impl<T> Copy for Watch<'_, T> {}

impl<T> Clone for Watch<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Transport> Watch<'_, T> {
    /// Returns once the engine no longer answers; `last_message` is the time of its last message.
    pub(in crate::engine) async fn until_unresponsive(
        self,
        last_message: &Cell<Instant>,
    ) -> Status {
        loop {
            let ask_at = last_message.get() + self.patience;
            if ask_at > Instant::now() {
                sleep_until(ask_at).await;
                continue;
            }
            // An engine that refuses or closes the ping's connection also closes the build's.
            if timeout(self.patience, self.transport.ping()).await.is_err() {
                let silent = last_message.get().elapsed().as_secs();
                return Status::unavailable(format!("no response for {silent} s"));
            }
            last_message.set(Instant::now());
        }
    }
}

/// The connections of a build.
pub(in crate::engine) struct BuildConnection {
    control: Control,
    /// The session's ID.
    session: String,
    offered: CurrentOffers,
}

/// Builds one image with its contexts as read before.
pub(super) async fn build<P, T: Transport>(
    connections: &mut ConnectionState<P>,
    watch: Watch<'_, T>,
    credentials: &Arc<CredentialStore>,
    request: &BuildRequest,
    (contexts, sending): (&BuildContexts, ContextSharing),
    sink: &mut Sink<'_>,
    cancel: &Cancel,
) -> anyhow::Result<AttemptResult> {
    let transport = watch.transport;
    let canceled = Arc::new(Notify::new());
    let wake = Arc::clone(&canceled);
    let _guard = cancel.on_set(move || wake.notify_one());
    let id = random_id();
    let fault = ContextFault::default();
    let bytes = Arc::new(watch::Sender::new(SentBytes::default()));
    let alone = (sending == ContextSharing::Alone).then_some(id.as_str());
    let (inputs, offers) = inputs_of(contexts, alone, (&fault, &bytes));
    // The line is reusable only if this build completes.
    connections.is_spent = true;
    let reusable = request.secrets.is_empty();
    let open = match connections.open.take().filter(|_| reusable) {
        Some(open) => open,
        None => tokio::select! {
            () = canceled.notified() => return Ok(AttemptResult::Done(BuildOutcome::Canceled)),
            opened = timeout(OPEN_WITHIN, open(transport, credentials, &request.secrets)) => {
                opened.map_err(|_| transport.never_answers())??
            }
        },
    };
    let is_sent = !offers.is_empty();
    open.offered.set(offers);
    let lookup = sandbox::attributes(&request.sandbox, open.control.clone());
    let sandbox = tokio::select! {
        () = canceled.notified() => return Ok(AttemptResult::Done(BuildOutcome::Canceled)),
        found = timeout(OPEN_WITHIN, lookup) => found.map_err(|_| transport.never_answers())??,
    };
    let solve = solve_request(request, (id, open.session.clone()), T::EXPORTER, inputs, sandbox);
    let mut trace = StatusTrace::default();
    let sent = is_sent.then(|| bytes.subscribe());
    let control = open.control.clone();
    let end = follow(control, solve, sent, &mut trace, sink, &canceled, watch).await;
    open.offered.set(Vec::new());
    if cancel.is_set() {
        return Ok(AttemptResult::Done(BuildOutcome::Canceled));
    }
    let end = match end {
        Some(Ok(response)) => image_of(&response.into_inner())?,
        Some(Err(status)) => match fault.take() {
            Some(error) => return Err(anyhow::Error::new(error).context("can't read the context")),
            None => failed(&status, trace, transport)?,
        },
        None => return Ok(AttemptResult::Done(BuildOutcome::Canceled)),
    };
    if reusable && matches!(end, AttemptResult::Done(_)) {
        connections.open = Some(open);
        connections.is_spent = false;
    }
    Ok(end)
}

/// The frontend inputs of a build by name, and the contexts that its session offers for them.
type BuildInputs = (HashMap<String, pb::Definition>, Vec<ContextOffer>);

/// Returns the inputs of a build. With an ID, its contexts are not shared with other builds.
fn inputs_of(
    contexts: &BuildContexts,
    alone: Option<&str>,
    (fault, bytes): (&ContextFault, &Arc<watch::Sender<SentBytes>>),
) -> BuildInputs {
    let mut offers = Vec::new();
    let mut input = |context: &BuildContext| match context {
        BuildContext::Empty => llb::empty_context(),
        BuildContext::Small(tar) => llb::small_context(tar),
        BuildContext::Synchronized(list) => {
            let mut list = list.clone();
            if let Some(id) = alone {
                list.copy.state = format!("{} {id}", list.copy.state);
            }
            let files = llb::context(&list.copy, list.is_packed);
            let (fault, bytes) = (fault.clone(), Arc::clone(bytes));
            offers.push(ContextOffer { list, fault, bytes });
            files
        }
    };
    let own = [("context".to_owned(), input(&contexts.own))];
    let named = contexts.named.iter().map(|(name, it)| (llb::input_of(name), input(it)));
    let inputs = own.into_iter().chain(named).collect();
    (inputs, offers)
}

/// Opens the session and the control connection of a build.
async fn open<T: Transport>(
    transport: &T,
    credentials: &Arc<CredentialStore>,
    secrets: &Secrets,
) -> anyhow::Result<BuildConnection> {
    let session = random_id();
    let connection = transport.open_session(&session, &session::methods(secrets)).await?;
    let credentials = Arc::clone(credentials);
    let offered = CurrentOffers::default();
    tokio::spawn(session::serve(connection, offered.clone(), credentials, secrets.clone()));
    let connection = transport.open_control().await?;
    let channel = GrpcEndpoint::from_static("http://buildkit")
        .connect_with_connector(SingleConnector(Some(connection)))
        .await
        .map_err(|error| transport.talks_otherwise(chain(&error)))?;
    let control = ControlClient::new(channel)
        .max_decoding_message_size(LONGEST_MESSAGE)
        .max_encoding_message_size(LONGEST_MESSAGE);
    Ok(BuildConnection { control, session, offered })
}

/// Gives gRPC the one connection that is already open; there is never a second one.
struct SingleConnector(Option<Connection>);

impl Service<Uri> for SingleConnector {
    type Response = hyper_util::rt::TokioIo<Connection>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connection = self.0.take().map(hyper_util::rt::TokioIo::new);
        std::future::ready(connection.ok_or_else(|| std::io::ErrorKind::NotConnected.into()))
    }
}

fn solve_request(
    request: &BuildRequest,
    (id, session): (String, String),
    exporter: &str,
    mut inputs: HashMap<String, pb::Definition>,
    sandbox: Vec<(&'static str, String)>,
) -> SolveRequest {
    let mut attributes = HashMap::new();
    for (name, value) in &request.labels {
        set(&mut attributes, format!("label:{name}"), value);
    }
    for (name, value) in &request.build_args {
        set(&mut attributes, format!("build-arg:{name}"), value);
    }
    for (name, source) in &request.contexts {
        let value = match source {
            ContextSource::Directory(..) => format!("input:{}", llb::input_of(name)),
            ContextSource::Image(_) | ContextSource::Url(_) => source.to_string(),
        };
        set(&mut attributes, format!("context:{name}"), value);
    }
    for (kind, parameters) in request.attestations.enabled() {
        set(&mut attributes, format!("attest:{kind}"), parameters);
    }
    for (name, value) in sandbox {
        set(&mut attributes, name, value);
    }
    if let Some(target) = &request.target {
        set(&mut attributes, "target", target);
    }
    if let Some(platform) = &request.platform {
        set(&mut attributes, "platform", platform.to_string());
    }
    if request.no_cache {
        set(&mut attributes, "no-cache", "");
    }
    // Prefer the engine's images to a registry's, with the value that the daemon's own build endpoint uses. Newer
    // externals are pulled before planning and never by a build, which would also look for the repository's own
    // images in a registry.
    set(&mut attributes, "image-resolve-mode", "default");
    let mut export = HashMap::new();
    let names = request.names();
    if !names.is_empty() {
        set(&mut export, "name", names.join(","));
    }
    for (name, value) in &request.annotations {
        set(&mut export, format!("annotation.{name}"), value);
        // Annotations belong in OCI manifests; by default, BuildKit puts them into Docker's.
        set(&mut export, "oci-mediatypes", "true");
    }
    inputs.insert("dockerfile".to_owned(), llb::dockerfile(&request.dockerfile));
    SolveRequest {
        r#ref: id,
        session,
        frontend: "dockerfile.v0".into(),
        frontend_attrs: attributes,
        frontend_inputs: inputs,
        exporter_deprecated: exporter.into(),
        exporter_attrs_deprecated: export,
        cache: Some(CacheOptions::default()),
        entitlements: request.entitlements.iter().map(Entitlement::to_string).collect(),
        // Do not record the build in the engine, as the run has its own log. The engine would write a record during
        // the build and its trace three seconds later, which took a sixth of the time for a hundred small images
        // (Docker 28).
        internal: true,
        ..SolveRequest::default()
    }
}

/// Runs the build and reports its status. Returns `None` if the build was canceled; the engine has then ended it,
/// or took too long to do so.
async fn follow<T: Transport>(
    control: Control,
    request: SolveRequest,
    mut sent: Option<watch::Receiver<SentBytes>>,
    trace: &mut StatusTrace,
    sink: &mut Sink<'_>,
    canceled: &Notify,
    watch: Watch<'_, T>,
) -> Option<Result<Response<SolveResponse>, Status>> {
    let last_message = Cell::new(Instant::now());
    let mut watchdog = pin!(watch.until_unresponsive(&last_message));
    let mut updates = pin!(status(control.clone(), request.r#ref.clone()));
    let mut control = control;
    let mut solve = Some(Box::pin(async move { control.solve(request).await }));
    let mut end = None;
    let mut is_at_end = false;
    let mut last = Instant::now();
    let mut waiting = Vec::new();
    let mut report_at = Instant::now();
    while solve.is_some() || !is_at_end {
        tokio::select! {
            () = canceled.notified(), if solve.is_some() => {
                // Dropping the call resets its stream, which makes the engine end the build.
                solve = None;
                last = Instant::now() + CANCEL_TAIL;
            }
            answer = async { Some(solve.as_mut()?.await) }, if solve.is_some() => {
                end = answer;
                solve = None;
                last = Instant::now() + STATUS_TAIL;
            }
            update = updates.next(), if !is_at_end => {
                last_message.set(Instant::now());
                if waiting.is_empty() {
                    report_at = Instant::now() + REPORT_WITHIN;
                }
                // The engine reports several times per second that it receives the context, but not how much is left.
                if let Some(sent) = sent.as_mut().filter(|it| it.has_changed().unwrap_or_default()) {
                    let SentBytes { sent, total } = *sent.borrow_and_update();
                    waiting.push(TimedUpdate::now(BuildUpdate::ContextProgress { sent, total }));
                }
                let mut next_update = Some(update);
                while let Some(message) = next_update {
                    let mut report = |update| waiting.push(TimedUpdate::now(update));
                    is_at_end = message.map(|message| trace.take(message, &mut report)).is_none();
                    next_update = if is_at_end { None } else { updates.next().now_or_never() };
                }
                match sent {
                    // The context is sent meanwhile.
                    Some(_) => sleep(GATHER).await,
                    None => gather(),
                }
            }
            () = sleep_until(report_at), if !waiting.is_empty() => sink(mem::take(&mut waiting)),
            silence = &mut watchdog, if solve.is_some() => {
                end = Some(Err(silence));
                break;
            }
            () = sleep_until(last), if solve.is_none() => break,
        }
    }
    if !waiting.is_empty() {
        sink(waiting);
    }
    end
}

/// Waits for more updates before any are read. Everything else on this thread waits too.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for is more of what has come already"
)]
fn gather() {
    thread::sleep(GATHER);
}

/// Returns the status messages of a build, up to its end. The stream also ends if the status call fails: the build
/// itself reports the cause.
fn status(mut control: Control, id: String) -> impl Stream<Item = StatusResponse> {
    stream::once(async move { control.status(StatusRequest { r#ref: id }).await.ok() })
        .filter_map(std::future::ready)
        .flat_map(|response| {
            stream::unfold(response.into_inner(), |mut messages| async {
                let message = messages.message().await.ok()??;
                Some((message, messages))
            })
        })
}
