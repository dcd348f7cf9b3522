//! Detection of TLS at an address.
//!
//! Owns one check of hosts that may be used without TLS: it sends the first message of a TLS handshake and looks at
//! the first byte of the response. It does not verify the other side's identity, and sends nothing confidential.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::address::{host_of, port_of};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the response may take. A server that waits for the end of a line does not support TLS.
const ANSWER: Duration = Duration::from_secs(5);

/// The possible first bytes of a response (RFC 8446, 5.1): a handshake, or an alert.
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;

/// Returns whether TLS is supported at `host:port`; the port is 443 by default.
///
/// # Errors
/// Returns an error if nothing answers at all.
pub(super) fn speaks_tls(authority: &str) -> io::Result<bool> {
    let (host, port) = (host_of(authority), port_of(authority));
    let mut stream = match (connect(host, port.unwrap_or(443)), port) {
        (Ok(stream), _) => stream,
        (Err(error), Some(_)) => return Err(error),
        // Without an explicit port, HTTP uses another one.
        (Err(_), None) => return Ok(false),
    };
    let hello = hello(host)?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut byte = [0];
    // A server that disconnects or does not respond does not support TLS.
    let answered = stream.write_all(&hello).and_then(|()| stream.read_exact(&mut byte));
    Ok(answered.is_ok() && matches!(byte[0], HANDSHAKE | ALERT))
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the bytes of a handshake's first message.
fn hello(host: &str) -> io::Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered_with(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(first[0], HANDSHAKE);
            stream.write_all(answer).unwrap();
        });
        let speaks = speaks_tls(&authority).unwrap();
        server.join().unwrap();
        speaks
    }

    #[test]
    fn tls_is_detected_from_the_first_byte() {
        assert!(answered_with(&[22, 3, 3]));
        assert!(answered_with(&[21, 3, 3, 0, 2, 2, 40]));
        assert!(!answered_with(b"HTTP/1.1 400 Bad Request\r\n"));
        assert!(!answered_with(b""));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert_eq!(speaks_tls(&closed).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
