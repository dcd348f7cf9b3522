//! Errors in the communication with the engine.
//!
//! Owns the messages for an engine that cannot be reached or cannot build, each with one hint.

use std::io;

use hyper::StatusCode;

use super::connection::ExchangeError;
use super::endpoint::{Endpoint, EndpointAddress};
use crate::base::error::{ErrorKind, InfrastructureError, denied, permanent};
use crate::base::screen::visible;
use crate::base::waiting::WaitError;

/// Returns the error for a failed exchange with the engine.
pub(super) fn explain(broken: &ExchangeError, endpoint: &Endpoint) -> anyhow::Error {
    let address = format!("`{}` ({})", endpoint.address, endpoint.named_by);
    let error = match broken {
        ExchangeError::Connect(error) => explain_connect(error, endpoint, &address),
        ExchangeError::Tls(cause) => {
            permanent(format!("the TLS connection to the engine at {address} failed: {cause}"))
                .hint(
                    "check `ca.pem`, `cert.pem`, and `key.pem` in DOCKER_CERT_PATH, and that the \
                 engine uses TLS on this port",
                )
        }
        ExchangeError::Talk(cause) => unreachable(format!(
            "no response from a Docker engine at {address}: {cause}"
        ))
        .hint(match (&endpoint.address, &endpoint.tls) {
            (EndpointAddress::Tcp { .. }, None) => {
                "check DOCKER_HOST, and set `DOCKER_TLS_VERIFY=1` if the engine uses TLS"
            }
            // A server may reject a client's certificate only after the handshake.
            (EndpointAddress::Tcp { .. }, Some(_)) => {
                "check `cert.pem` and `key.pem` in DOCKER_CERT_PATH, and the engine's address"
            }
            _ => "check the engine's address with `docker context ls`",
        }),
        ExchangeError::Refused(status, message) => {
            let kind = match *status {
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Transient,
                _ => ErrorKind::Permanent,
            };
            let message = format!(
                "the engine at {address} rejected the request: {} ({status})",
                visible(message)
            );
            InfrastructureError::new(kind, message)
                .hint("check whether `docker version` works with this engine")
        }
    };
    error.into()
}

fn explain_connect(error: &io::Error, endpoint: &Endpoint, address: &str) -> InfrastructureError {
    match (error.kind(), &endpoint.address) {
        (io::ErrorKind::PermissionDenied, EndpointAddress::Unix(_)) => {
            denied(format!("permission denied on the engine's socket {address}")).hint(
                "add yourself to its group with `sudo usermod -aG docker $USER` and log in again, \
                 or use sudo",
            )
        }
        (io::ErrorKind::NotFound, EndpointAddress::Unix(_)) => {
            let hint = "start Docker with `sudo systemctl start docker`, or set DOCKER_HOST to \
                        the engine's address";
            unreachable(format!("no engine is running: socket not found: {address}")).hint(hint)
        }
        (io::ErrorKind::ConnectionRefused, EndpointAddress::Unix(_)) => {
            unreachable(format!("no engine is running: connection refused: {address}"))
                .hint("start Docker with `sudo systemctl start docker`")
        }
        (io::ErrorKind::ConnectionRefused, EndpointAddress::Tcp { .. }) => {
            unreachable(format!("no engine is running: connection refused: {address}"))
                .hint("start Docker there, or unset DOCKER_HOST to use the local engine")
        }
        (_, EndpointAddress::Tcp { host, .. }) if is_lookup(error) => {
            let named_by = &endpoint.named_by;
            permanent(format!("the engine's host `{host}` was not found ({named_by}): {error}"))
                .hint("check DOCKER_HOST, or unset it to use the local engine")
        }
        _ => unreachable(format!("can't connect to the engine at {address}: {error}"))
            .hint("check that the engine is running, and that DOCKER_HOST is its address"),
    }
}

fn unreachable(message: String) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Unreachable, message)
}

/// Returns whether a name did not resolve, for which the standard library has no error kind.
fn is_lookup(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("lookup")
}

/// Returns the error for an engine that has no BuildKit, or has it disabled.
pub(super) fn no_buildkit(endpoint: &Endpoint) -> anyhow::Error {
    permanent(format!("the engine at `{}` does not have BuildKit enabled", endpoint.address))
        .hint("set `\"features\": {\"buildkit\": true}` in its `daemon.json`, or update Docker")
        .into()
}

/// Returns the error for an engine that does not answer in time.
/// Returns the error for a request without a response.
pub(super) fn silent(endpoint: &Endpoint, why: WaitError) -> anyhow::Error {
    match why {
        WaitError::TimedOut => never_answers(endpoint),
        WaitError::Interrupted => {
            let address = &endpoint.address;
            unreachable(format!("the engine at `{address}` was not waited for: interrupted"))
                .hint("run the command again")
                .into()
        }
    }
}

/// Returns the error for an engine that does not respond.
pub(super) fn never_answers(endpoint: &Endpoint) -> anyhow::Error {
    let Endpoint { address, named_by, .. } = endpoint;
    unreachable(format!("the engine at `{address}` ({named_by}) does not respond"))
        .hint(
            "check that it is a Docker engine, or restart it with `sudo systemctl restart docker`",
        )
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error;

    #[test]
    fn socket_permission_errors_have_a_hint() {
        let endpoint = Endpoint {
            address: EndpointAddress::Unix("/run/d.sock".into()),
            tls: None,
            named_by: "default".into(),
        };
        let denied = ExchangeError::Connect(io::ErrorKind::PermissionDenied.into());
        let text = error::text(&explain(&denied, &endpoint));
        let expected = "permission denied on the engine's socket `unix:///run/d.sock` (default)\n\
                        hint: add yourself to its group with `sudo usermod -aG docker $USER` and \
                        log in again, or use sudo";
        assert_eq!(text, expected);
    }
}
