//! One HTTP exchange with one host.
//!
//! Owns the HTTP client: besides `tls`, the only file that uses `ureq`. It follows no redirects, does not retry, and
//! knows nothing about registries. It distinguishes transient errors from permanent ones.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Read};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
pub(super) use ureq::http::Method;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};

use super::address::Address;
use super::tls::TlsConnector;

/// How long connecting may take, including the name lookup.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a read or a write may make no progress.
const SILENCE: Duration = Duration::from_secs(15);

/// How long one exchange may take in total, however slowly data arrives.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// The message for a host name that does not resolve.
const UNKNOWN: &str = "host not found";

/// The message for a host that does not respond in time.
pub(super) const TIMED_OUT: &str = "timed out";

/// A request. It does not implement `Debug`, because it may contain credentials.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) address: Address,
    /// The value of the `Authorization` header.
    pub(super) authorization: Option<String>,
    pub(super) accept: Option<Cow<'static, str>>,
    /// The media type of the body, and the body.
    pub(super) content: Option<(Cow<'static, str>, Vec<u8>)>,
    /// The maximum size of the response's body in bytes.
    pub(super) most: usize,
}

/// A response.
pub(super) struct Response {
    pub(super) status: u16,
    headers: ureq::http::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// Returns the value of a header, if it is readable.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns all values of a header.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

/// Why there is no response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HttpError {
    /// A transient error.
    Transient(Cow<'static, str>),
    /// The certificate is not trusted.
    Untrusted(Cow<'static, str>),
    /// A permanent error.
    Permanent(Cow<'static, str>),
}

/// A client for one host; keeps its connections open.
pub(super) struct Client {
    agent: ureq::Agent,
}

impl Client {
    /// Creates a client that trusts these certificates, and uses a proxy if one is given. Keeps at most `lines`
    /// connections.
    ///
    /// # Errors
    /// Returns an error if the proxy's URL is invalid.
    pub(super) fn new(
        trusted: &[CertificateDer<'static>],
        proxy: Option<&str>,
        lines: usize,
    ) -> Result<Client, HttpError> {
        let proxy = proxy.map(ureq::Proxy::new).transpose().map_err(|_| {
            // The URL is not printed, because it may contain a password.
            HttpError::Permanent("invalid proxy address".into())
        })?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(concat!("layers/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(lines)
            .max_idle_connections_per_host(lines)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .timeout_global(Some(LONGEST))
            .build();
        // As ureq's default, except for what TLS accepts.
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(TlsConnector::new(trusted).map_err(permanent)?);
        Ok(Client { agent: ureq::Agent::with_parts(config, connector, DefaultResolver::default()) })
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// Returns an error if there is no complete response. An error status is a response.
    pub(super) fn exchange(&self, request: &Request) -> Result<Response, HttpError> {
        let mut builder =
            ureq::http::Request::builder().method(&request.method).uri(request.address.to_string());
        let headers = [
            ("authorization", request.authorization.as_deref()),
            ("accept", request.accept.as_deref()),
            ("content-type", request.content.as_ref().map(|(media_type, _)| &**media_type)),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                builder = builder.header(name, value);
            }
        }
        let answer = match &request.content {
            Some((_, bytes)) => self.agent.run(builder.body(bytes.as_slice()).map_err(permanent)?),
            None => self.agent.run(builder.body(()).map_err(permanent)?),
        };
        let (parts, body) = answer.map_err(broken)?.into_parts();
        let mut bytes = Vec::new();
        let most = u64::try_from(request.most).unwrap_or(u64::MAX);
        let mut reader =
            body.into_with_config().limit(u64::MAX).reader().take(most.saturating_add(1));
        reader.read_to_end(&mut bytes).map_err(|error| broken(ureq::Error::from(error)))?;
        if bytes.len() > request.most {
            return Err(permanent(format!("the response exceeds {most} bytes")));
        }
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body: bytes })
    }
}

/// Classifies the client's errors.
fn broken(error: ureq::Error) -> HttpError {
    match error {
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => of_tls(tls),
            None => HttpError::Transient(in_words(&error)),
        },
        ureq::Error::Rustls(error) => of_tls(&error),
        ureq::Error::Timeout(_) => HttpError::Transient(TIMED_OUT.into()),
        ureq::Error::HostNotFound => HttpError::Transient(UNKNOWN.into()),
        ureq::Error::ConnectionFailed => HttpError::Transient("connection failed".into()),
        ureq::Error::ConnectProxyFailed(error_text) => {
            HttpError::Transient(format!("the proxy failed to connect: {error_text}").into())
        }
        ureq::Error::Protocol(error) => {
            HttpError::Transient(format!("invalid response: {error}").into())
        }
        other => permanent(other),
    }
}

fn permanent(why: impl Display) -> HttpError {
    HttpError::Permanent(why.to_string().into())
}

fn of_tls(error: &rustls::Error) -> HttpError {
    match error {
        rustls::Error::InvalidCertificate(error) => HttpError::Untrusted(match error {
            rustls::CertificateError::UnknownIssuer => "unknown issuer".into(),
            other => other.to_string().into(),
        }),
        rustls::Error::InvalidMessage(_) => {
            HttpError::Permanent("the server does not use TLS".into())
        }
        other => permanent(other),
    }
}

/// Returns the message for a connection error, without the system's error numbers.
pub(super) fn in_words(error: &io::Error) -> Cow<'static, str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TIMED_OUT.into(),
        // The standard library has no error kind for this, but starts the message with its own words.
        _ if error.to_string().starts_with("failed to lookup address") => UNKNOWN.into(),
        _ => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn request(address: &str) -> Request {
        Request {
            method: Method::GET,
            address: Address::parse(address).unwrap(),
            authorization: Some("Basic x".to_owned()),
            accept: None,
            content: None,
            most: 10,
        }
    }

    /// Starts a server that answers one request after the other with these responses. Returns its address, and the
    /// heads of the requests that it received.
    fn serve(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut heads = Vec::new();
            for answer in answers {
                let head = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty());
                heads.push(head.collect::<Vec<_>>().join("\n"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
            heads
        });
        (address, served)
    }

    #[test]
    fn proxies_tunnel_requests_without_seeing_registry_credentials() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok";
        let (proxy, served) = serve(vec!["HTTP/1.1 200 OK\r\n\r\n", answer]);
        let client = Client::new(&[], Some(&format!("http://u:p@{proxy}")), 1).unwrap();
        let response = client.exchange(&request("http://a.invalid:5000/v2/")).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()));
        assert_eq!(response.header("x"), Some("y"));
        let heads = served.join().unwrap();
        assert!(heads[0].starts_with("CONNECT a.invalid:5000 HTTP/1.1\n"), "{heads:?}");
        assert!(heads[0].to_lowercase().contains("proxy-authorization: basic dtpw"), "{heads:?}");
        assert!(!heads[0].contains("Basic x"), "{heads:?}");
        assert!(heads[1].starts_with("GET /v2/ HTTP/1.1\n"), "{heads:?}");
        assert!(Client::new(&[], Some("not an address"), 1).is_err());
    }

    #[test]
    fn responses_must_be_complete_and_limited_in_size() {
        let check = |answer: &'static str, expected: HttpError| {
            let (address, served) = serve(vec![answer]);
            let client = Client::new(&[], None, 1).unwrap();
            let broken = client.exchange(&request(&format!("http://{address}/")));
            assert_eq!(broken.err(), Some(expected), "{answer}");
            served.join().unwrap();
        };
        let broke = || HttpError::Transient("the connection was closed".into());
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", broke());
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", broke());
        check("HTTP/1.1 200 OK\r\nContent-Le", broke());
        check("", broke());
        let long = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890";
        check(long, HttpError::Permanent("the response exceeds 10 bytes".into()));
    }
}
