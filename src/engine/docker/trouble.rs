//! What goes wrong between us and the engine, in words.
//!
//! Owns the messages for an engine that can't be reached or can't build, each with one hint,
//! and the removal of the decoration that BuildKit puts around a failed step's message.

use std::io;

use hyper::StatusCode;

use super::endpoint::{Address, Endpoint};
use super::wire::Broken;
use crate::base::error::{ErrorKind, InfrastructureError, denied, permanent};
use crate::base::screen::visible;
use crate::engine::{BuildFailure, Step};

/// Says why an exchange with the engine failed.
pub(super) fn explain(broken: &Broken, endpoint: &Endpoint) -> anyhow::Error {
    let place = format!("`{}` ({})", endpoint.address, endpoint.named_by);
    let error = match broken {
        Broken::Connect(error) => explain_connect(error, endpoint, &place),
        Broken::Tls(cause) => {
            permanent(format!("no TLS connection to the engine at {place}: {cause}")).hint(
                "check `ca.pem`, `cert.pem` and `key.pem` in DOCKER_CERT_PATH, and that the engine \
                 speaks TLS on this port",
            )
        }
        Broken::Talk(cause) => unreachable(format!("no Docker engine answers at {place}: {cause}"))
            .hint(match (&endpoint.address, &endpoint.tls) {
                (Address::Tcp { .. }, None) => {
                    "check DOCKER_HOST; where the engine speaks TLS, set `DOCKER_TLS_VERIFY=1`"
                }
                // A server may refuse a client's certificate only after the handshake.
                (Address::Tcp { .. }, Some(_)) => {
                    "check `cert.pem` and `key.pem` in DOCKER_CERT_PATH, and that this is the \
                     engine's address"
                }
                _ => "check that this is the engine's address: `docker context ls`",
            }),
        Broken::Refused(status, said) => {
            let kind = match *status {
                StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Transient,
                _ => ErrorKind::Permanent,
            };
            let message = format!("the engine at {place} refused: {} ({status})", visible(said));
            InfrastructureError::new(kind, message)
                .hint("`docker version` shows whether the docker command can use this engine")
        }
    };
    error.into()
}

fn explain_connect(error: &io::Error, endpoint: &Endpoint, place: &str) -> InfrastructureError {
    match (error.kind(), &endpoint.address) {
        (io::ErrorKind::PermissionDenied, Address::Unix(_)) => {
            denied(format!("no permission to use the engine's socket {place}")).hint(
                "add yourself to its group, `sudo usermod -aG docker $USER`, and log in again; or \
                 run this with sudo",
            )
        }
        (io::ErrorKind::NotFound, Address::Unix(_)) => unreachable(format!(
            "no engine is running: there is no socket {place}"
        ))
        .hint(
            "start Docker, `sudo systemctl start docker`, or set DOCKER_HOST to where it listens",
        ),
        (io::ErrorKind::ConnectionRefused, Address::Unix(_)) => {
            unreachable(format!("no engine is running: nothing listens on the socket {place}"))
                .hint("start Docker, `sudo systemctl start docker`")
        }
        (io::ErrorKind::ConnectionRefused, Address::Tcp { .. }) => {
            unreachable(format!("no engine is running: nothing listens at {place}"))
                .hint("start Docker there, or unset DOCKER_HOST to use the local engine")
        }
        (_, Address::Tcp { host, .. }) if is_lookup(error) => {
            let named_by = &endpoint.named_by;
            permanent(format!("the engine's host `{host}` was not found ({named_by}): {error}"))
                .hint("check DOCKER_HOST, or unset it to use the local engine")
        }
        _ => unreachable(format!("can't reach the engine at {place}: {error}"))
            .hint("check that the engine is running and that DOCKER_HOST names it"),
    }
}

fn unreachable(message: String) -> InfrastructureError {
    InfrastructureError::new(ErrorKind::Unreachable, message)
}

/// The standard library has no kind of its own for a name that does not resolve.
fn is_lookup(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("lookup")
}

/// What stands in the messages of an engine that could not reach a registry or a server, or was
/// told by it to come back later.
const PASSING: [&str; 15] = [
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "connection refused",
    "connection reset by peer",
    "context deadline exceeded",
    "failed to do request",
    "i/o timeout",
    "network is unreachable",
    "no such host",
    "unexpected EOF",
];

/// Whether a failed build may do better at the next try. A `RUN` never does: what it runs may have
/// done half of its work elsewhere, and only its writer knows.
pub(super) fn may_pass(step: Option<&Step>, message: &str) -> bool {
    let runs = step.is_some_and(|step| step.text.starts_with("RUN"));
    !runs && PASSING.iter().any(|words| message.contains(words))
}

/// What an engine says besides where sending an image broke: more of a push than of a fetch depends
/// on connections that stay.
const PASSING_ON: [&str; 8] = [
    ": EOF",
    "Client.Timeout exceeded",
    "broken pipe",
    "no route to host",
    "server closed idle connection",
    "timed out",
    "toomanyrequests",
    "unavailable: ",
];

/// Whether a failed exchange with a registry may do better at the next try.
pub(super) fn is_passing(message: &str) -> bool {
    // A status of the server's own trouble has no name here where a proxy made it up.
    let is_status = |(at, _): (usize, &str)| {
        let code = message[at + 2..].split(' ').next().unwrap_or_default();
        code.len() == 3 && code.starts_with('5') && code.bytes().all(|byte| byte.is_ascii_digit())
    };
    message.match_indices(": ").any(is_status)
        || PASSING.iter().chain(&PASSING_ON).any(|words| message.contains(words))
}

/// Whether a build failed because the engine's cache has a step whose files it has lost. A build that is
/// interrupted while its last step is written may leave such a one behind on containerd's store, and every
/// later build that finds it fails alike (BuildKit 0.25, `cache/refs.go`, `finalize`).
pub(super) fn has_broken_cache(failure: &BuildFailure) -> bool {
    failure.message.contains("during finalize: failed to stat active key during commit: ")
}

/// Whether a build failed because files of an image that was removed meanwhile were missing when its own
/// image was unpacked: containerd's garbage collector may remove a snapshot between the moment at
/// which it is found and the moment at which it is used. The next build makes it anew.
pub(super) fn has_lost_snapshot(failure: &BuildFailure) -> bool {
    let message = &failure.message;
    message.contains("failed to prepare extraction snapshot ")
        && message.ends_with("does not exist: not found")
}

/// Whether a build failed because another one gave its image the same new name at the same moment:
/// containerd's store first looks whether a name is there, then creates it, and refuses where
/// another has come in between (BuildKit 0.25, `exporter/containerimage/export.go`). The next
/// build finds the name and moves it.
pub(super) fn has_raced_for_name(failure: &BuildFailure) -> bool {
    let is_export = failure.step.as_ref().is_some_and(|step| step.text.starts_with(EXPORT));
    is_export
        && failure.message.starts_with("image \"")
        && failure.message.ends_with("\": already exists")
}

/// What BuildKit calls the step in which it hands a built image to the engine's store.
const EXPORT: &str = "exporting to image";

/// Prefixes that engines put before the message of a failed build.
const DECORATION: [&str; 5] = [
    "failed to solve with frontend dockerfile.v0: ",
    "failed to solve with frontend gateway.v0: ",
    "failed to solve: ",
    "failed to build LLB: ",
    "failed to create LLB definition: ",
];

/// A failed build's message without what engines of several ages put around it.
///
/// BuildKit 0.8 says `executor failed running [/bin/sh -c exit 3]: exit code: 3`, later ones
/// `process "/bin/sh -c exit 3" did not complete successfully: exit code: 3`; the step is known,
/// so only the end is news.
pub(super) fn plain_message(message: &str) -> String {
    let mut rest = message.trim();
    loop {
        let before = rest;
        for prefix in DECORATION {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        if let Some((_, after)) =
            rest.strip_prefix("rpc error: code = ").and_then(|coded| coded.split_once(" desc = "))
        {
            rest = after;
        }
        if rest == before {
            break;
        }
    }
    split_command(rest).map_or(rest, |(_, after)| after).trim().to_owned()
}

/// The command that a failed build's message names, as the shell got it: all that is known of
/// the step where a build that shared it with another failed before it was told of it.
pub(super) fn failed_command(message: &str) -> Option<String> {
    let start = COMMANDS.iter().filter_map(|(start, _)| message.find(start)).min()?;
    let (command, _) = split_command(&message[start..])?;
    let command = command.trim_end_matches(['"', ' ']);
    Some(command.strip_prefix("/bin/sh -c ").unwrap_or(command).to_owned())
}

/// What stands around the command in the messages of several ages.
const COMMANDS: [(&str, &str); 2] =
    [("executor failed running [", "]: "), ("process \"", "did not complete successfully: ")];

/// The command in a message that begins with naming one, and what follows it.
fn split_command(message: &str) -> Option<(&str, &str)> {
    COMMANDS.iter().find_map(|(start, end)| {
        let rest = message.strip_prefix(start)?;
        let at = rest.rfind(end)?;
        Some((&rest[..at], &rest[at + end.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error;

    #[test]
    fn a_message_names_the_command_that_failed() {
        let check = |message: &str, command: Option<&str>, plain: &str| {
            assert_eq!(failed_command(message).as_deref(), command, "{message}");
            assert_eq!(plain_message(message), plain, "{message}");
        };
        check(
            "executor failed running [/bin/sh -c make]: exit code: 2",
            Some("make"),
            "exit code: 2",
        );
        check(
            "process \"/bin/sh -c make all\" did not complete successfully: exit code: 3",
            Some("make all"),
            "exit code: 3",
        );
        check("failed to solve: no such thing", None, "no such thing");
    }

    #[test]
    fn a_socket_without_permission_says_how_to_get_it() {
        let endpoint = Endpoint {
            address: Address::Unix("/run/d.sock".into()),
            tls: None,
            named_by: "default".into(),
        };
        let denied = Broken::Connect(io::ErrorKind::PermissionDenied.into());
        let text = error::text(&explain(&denied, &endpoint));
        let expected = "no permission to use the engine's socket `unix:///run/d.sock` (default)\n\
                        hint: add yourself to its group, `sudo usermod -aG docker $USER`, and log \
                        in again; or run this with sudo";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_snapshot_that_was_removed_meanwhile_is_told_from_other_failures() {
        let check = |message: &str, expected| {
            let message = message.to_owned();
            let failure = BuildFailure { step: None, message, may_pass: false };
            assert_eq!(has_lost_snapshot(&failure), expected);
        };
        check(
            "failed to prepare extraction snapshot \"extract-346123781-7NbI sha256:0408\": parent \
             snapshot sha256:702b does not exist: not found",
            true,
        );
        check(
            "failed to prepare extraction snapshot \"extract-3\": no space left on device",
            false,
        );
        check("parent snapshot sha256:702b does not exist: not found", false);
    }

    #[test]
    fn a_name_that_another_build_created_first_is_told_from_other_failures() {
        let check = |step: &str, message: &str, expected| {
            let step = Step { stage: None, number: 0, total: 0, text: step.to_owned() };
            let failure =
                BuildFailure { step: Some(step), message: message.to_owned(), may_pass: false };
            assert_eq!(has_raced_for_name(&failure), expected, "{message}");
        };
        let message = "image \"docker.io/shop/base:latest\": already exists";
        check("exporting to image", message, true);
        check("RUN create-image", message, false);
        check("exporting to image", "image \"docker.io/shop/base:latest\": not found", false);
    }

    #[test]
    fn a_step_that_the_cache_has_lost_is_told_from_one_that_fails() {
        let check = |message: &str, expected| {
            let message = message.to_owned();
            let failure = BuildFailure { step: None, message, may_pass: false };
            assert_eq!(has_broken_cache(&failure), expected);
        };
        check(
            "failed to commit tmcd3 to 7nc6i during finalize: failed to stat active key during \
             commit: snapshot tmcd3 does not exist: not found",
            true,
        );
        check("failed to commit tmcd3 to 7nc6i during finalize: no space left on device", false);
        check("exit code: 1", false);
    }

    #[test]
    fn messages_lose_their_decoration() {
        let check = |message, expected| assert_eq!(plain_message(message), expected, "{message}");
        check(
            "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed \
             running [/bin/sh -c exit 3]: exit code: 3",
            "exit code: 3",
        );
        check(
            "rpc error: code = Unknown desc = failed to solve: process \"/bin/sh -c [ -f a ]: \
             exit\" did not complete successfully: exit code: 127",
            "exit code: 127",
        );
        check(
            "failed to solve: rpc error: code = Unknown desc = executor failed running [sh -c \
             echo ]: x]: runc did not terminate successfully",
            "runc did not terminate successfully",
        );
        check(
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: \
             dockerfile parse error line 2: unknown instruction: FRM",
            "dockerfile parse error line 2: unknown instruction: FRM",
        );
        check("context canceled", "context canceled");
    }
}
