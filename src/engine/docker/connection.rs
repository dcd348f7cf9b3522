//! Connections to the engine: plain requests, and connections upgraded to gRPC.
//!
//! Owns sockets, TLS, and HTTP/1.1. It passes paths and headers without interpreting them. `trouble` turns its
//! failures into messages.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, UPGRADE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::endpoint::{Endpoint, EndpointAddress};
use crate::base::screen::visible_path;
use crate::engine::buildkit::{Connection, Duplex, chain};

/// The maximum length of a plain response in bytes; it limits what an untrusted server can send.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why an exchange with the engine failed.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The connection could not be established.
    Connect(io::Error),
    /// The TLS files cannot be used, or the handshake failed.
    Tls(String),
    /// The connection was established, but broke or did not carry HTTP.
    Talk(String),
    /// The engine refused the request; contains its status and message.
    Refused(StatusCode, String),
}

/// A complete response.
pub(super) struct EngineResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

type Sender = http1::SendRequest<Empty<Bytes>>;

/// The connection for plain requests that is kept for the next one, if any.
#[derive(Default)]
pub(super) struct PlainConnection(Option<Sender>);

/// Opens connections to one endpoint.
pub(super) struct EngineConnector {
    pub(super) endpoint: Endpoint,
    tls: std::sync::OnceLock<TlsConnector>,
}

impl EngineConnector {
    pub(super) fn new(endpoint: Endpoint) -> EngineConnector {
        EngineConnector { endpoint, tls: std::sync::OnceLock::new() }
    }

    /// Sends a request without a body and reads the whole response, whatever its status. Only for requests that are
    /// safe to repeat: if a kept connection turns out to be closed, the request is sent again on a new one.
    pub(super) async fn call(
        &self,
        plain: &mut PlainConnection,
        method: Method,
        path: &str,
    ) -> Result<EngineResponse, ExchangeError> {
        if let Some(mut connection) = plain.0.take()
            && let Ok(answer) = self.exchange(&mut connection, &method, path).await
        {
            plain.0 = Some(connection);
            return Ok(answer);
        }
        let mut fresh = self.connect().await?;
        let answer = self.exchange(&mut fresh, &method, path).await?;
        plain.0 = Some(fresh);
        Ok(answer)
    }

    async fn exchange(
        &self,
        sender: &mut Sender,
        method: &Method,
        path: &str,
    ) -> Result<EngineResponse, ExchangeError> {
        let request = self.request(method.clone(), path, &[]).body(Empty::new()).map_err(talk)?;
        sender.ready().await.map_err(talk)?;
        let response = sender.send_request(request).await.map_err(talk)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| ExchangeError::Talk(chain(&*error)))?.to_bytes();
        Ok(EngineResponse { status: parts.status, headers: parts.headers, body })
    }

    /// Sends a request without a body and passes on the response piece by piece, without a time limit.
    pub(super) async fn stream(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        piece: &mut dyn FnMut(&[u8]),
    ) -> Result<StatusCode, ExchangeError> {
        let request = self.request(method, path, headers);
        let response = self.send(request.body(Empty::new()).map_err(talk)?).await?;
        let (parts, mut body) = response.into_parts();
        while let Some(frame) = body.frame().await {
            if let Some(bytes) = frame.map_err(talk)?.data_ref() {
                piece(bytes);
            }
        }
        Ok(parts.status)
    }

    /// Sends a POST that upgrades the connection to gRPC, and returns the connection.
    pub(super) async fn upgrade(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Connection, ExchangeError> {
        let request = self.request(Method::POST, path, headers);
        let request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "h2c");
        let response = self.send(request.body(Empty::new()).map_err(talk)?).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let text = body.map(|body| message_of(&body.to_bytes())).unwrap_or_default();
            return Err(ExchangeError::Refused(status, text));
        }
        Ok(Connection::over(TokioIo::new(hyper::upgrade::on(response).await.map_err(talk)?)))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> hyper::http::request::Builder {
        let host = match &self.endpoint.address {
            EndpointAddress::Unix(_) => "docker",
            EndpointAddress::Tcp { host, .. } => host,
        };
        let agent = concat!("layers/", env!("CARGO_PKG_VERSION"));
        let request = Request::builder().method(method).uri(path);
        let request = request.header(HOST, host).header(USER_AGENT, agent);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    async fn send(
        &self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, ExchangeError> {
        self.connect().await?.send_request(request).await.map_err(talk)
    }

    async fn connect(&self) -> Result<Sender, ExchangeError> {
        let stream = self.open().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(talk)?;
        // This task ends with its sender or its runtime, whichever ends first.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    async fn open(&self) -> Result<Box<dyn Duplex>, ExchangeError> {
        match &self.endpoint.address {
            EndpointAddress::Unix(path) => {
                Ok(Box::new(UnixStream::connect(path).await.map_err(ExchangeError::Connect)?))
            }
            EndpointAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(ExchangeError::Connect)?;
                stream.set_nodelay(true).map_err(ExchangeError::Connect)?;
                let Some(directory) = &self.endpoint.tls else { return Ok(Box::new(stream)) };
                let name = ServerName::try_from(host.clone()).map_err(tls)?;
                let stream = self.tls(directory)?.connect(name, stream).await;
                Ok(Box::new(stream.map_err(tls)?))
            }
        }
    }

    fn tls(&self, directory: &Path) -> Result<TlsConnector, ExchangeError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let tls = TlsConnector::from(Arc::new(read_tls(directory)?));
        Ok(self.tls.get_or_init(|| tls).clone())
    }
}

/// Reads `ca.pem`, and `cert.pem` with `key.pem` if they exist.
fn read_tls(directory: &Path) -> Result<ClientConfig, ExchangeError> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path)
            .map_err(|error| tls(format!("can't read `{}`: {error}", visible_path(&path))))
    };
    let unreadable = |name: &str, error: pem::Error| {
        tls(format!("`{}`: {error}", visible_path(&directory.join(name))))
    };
    let certificates = |name: &str| {
        CertificateDer::pem_slice_iter(&read(name)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(name, error))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.pem")? {
        roots.add(certificate).map_err(|error| tls(format!("`ca.pem`: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots);
    if !directory.join("cert.pem").exists() {
        return Ok(config.with_no_client_auth());
    }
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")?)
        .map_err(|error| unreadable("key.pem", error))?;
    config.with_client_auth_cert(certificates("cert.pem")?, key).map_err(tls)
}

/// Returns the `message` of the engine's JSON response, or the response's text, truncated.
pub(super) fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct ErrorMessage {
        message: String,
    }
    match serde_json::from_slice::<ErrorMessage>(body) {
        Ok(answer) => answer.message,
        Err(_) => String::from_utf8_lossy(body).trim().chars().take(200).collect(),
    }
}

fn tls(error: impl Display) -> ExchangeError {
    ExchangeError::Tls(error.to_string())
}

fn talk(error: impl std::error::Error) -> ExchangeError {
    ExchangeError::Talk(chain(&error))
}
