//! Engines that cannot be reached or cannot build. These tests need no engine.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use layers::base::error;
use layers::engine::docker::Docker;
use layers::engine::docker::endpoint::EndpointEnvironment;
use layers::engine::{BuildRequest, Builder, Cancel, ImageStore, LabelFilter};

/// Returns the first line and the hint of the error of `describe` for an engine at `host`.
fn printed(host: &str) -> (String, String) {
    let environment =
        EndpointEnvironment { host: Some(host.to_owned()), ..EndpointEnvironment::default() };
    let docker = Docker::find(&environment).unwrap().answering_within(Duration::from_secs(2));
    let text = error::text(&docker.info().unwrap_err());
    let (message, hint) = text.split_once("\nhint: ").expect("an error ends with a hint");
    assert!(!message.contains('\n') && !hint.contains('\n') && !hint.is_empty(), "{text}");
    (message.to_owned(), hint.to_owned())
}

/// Starts a listener on loopback that responds to everything with `answer`. Returns its address.
fn answering(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok() {
                drop(stream.write_all(answer));
            }
        }
    });
    format!("tcp://{address}")
}

#[test]
fn unsuitable_engines_are_rejected_with_a_reason() {
    let check = |answer: &'static [u8], expected: &str| {
        let host = answering(answer);
        let (message, _) = printed(&host);
        assert_eq!(message.replace(&host, "HOST"), expected);
    };
    check(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.38\r\nOstype: linux\r\nContent-Length: 2\r\n\r\nOK",
        "the engine at `HOST` (DOCKER_HOST) is too old: it has API 1.38, but BuildKit \
         requires 1.41",
    );
    check(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nBuilder-Version: 1\r\nContent-Length: 0\r\n\r\n",
        "the engine at `HOST` does not have BuildKit enabled",
    );
    check(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n\
          Content-Length: 0\r\n\r\n",
        "the engine at `HOST` (DOCKER_HOST) is Podman, which has no BuildKit",
    );
    check(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nOstype: windows\r\nContent-Length: 0\r\n\r\n",
        "the engine at `HOST` (DOCKER_HOST) runs Windows containers and has no BuildKit",
    );
    check(
        b"HTTP/1.1 200 OK\r\nServer: web\r\nContent-Length: 5\r\n\r\nhello",
        "the server at `HOST` (DOCKER_HOST) is not a Docker engine",
    );
    check(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "the server at `HOST` (DOCKER_HOST) is not a Docker engine",
    );
    check(
        b"HTTP/1.1 503 Busy\r\nContent-Length: 22\r\n\r\n{\"message\":\"starting\"}",
        "the engine at `HOST` (DOCKER_HOST) rejected the request: starting (503 Service \
         Unavailable)",
    );
}

#[test]
fn a_server_that_does_not_speak_http_is_not_an_engine() {
    let (message, hint) = printed(&answering(b"SSH-2.0-OpenSSH_9.2\r\n"));
    assert!(
        message.starts_with("no response from a Docker engine at `tcp://127.0.0.1:"),
        "{message}"
    );
    assert!(hint.contains("DOCKER_TLS_VERIFY"), "{hint}");
    let (message, _) = printed(&answering(b""));
    assert!(
        message.starts_with("no response from a Docker engine at `tcp://127.0.0.1:"),
        "{message}"
    );
}

#[test]
fn an_engine_that_never_responds_times_out() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    // Connections wait in its queue and are not accepted.
    let _listener = UnixListener::bind(&socket).unwrap();
    let (message, _) = printed(&format!("unix://{}", socket.display()));
    assert!(message.ends_with("(DOCKER_HOST) does not respond"), "{message}");
}

#[test]
fn the_error_for_a_stopped_engine_says_how_to_start_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let host = format!("unix://{}", socket.display());
    let (message, hint) = printed(&host);
    let expected = format!("no engine is running: socket not found: `{host}` (DOCKER_HOST)");
    assert_eq!(message, expected);
    assert!(hint.contains("systemctl start docker"), "{hint}");
    drop(UnixListener::bind(&socket).unwrap());
    let (message, _) = printed(&host);
    let expected = format!("no engine is running: connection refused: `{host}`");
    assert!(message.starts_with(&expected), "{message}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (message, _) = printed(&format!("tcp://{free}"));
    assert_eq!(
        message,
        format!("no engine is running: connection refused: `tcp://{free}` (DOCKER_HOST)")
    );
}

#[test]
fn unknown_hosts_are_reported() {
    let (message, hint) = printed("tcp://no-such-engine.invalid:2375");
    assert!(message.contains("no-such-engine.invalid"), "{message}");
    assert!(hint.contains("DOCKER_HOST"), "{hint}");
}

#[test]
fn missing_tls_files_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let environment = EndpointEnvironment {
        host: Some(answering(b"")),
        tls_verify: Some("1".into()),
        cert_path: Some(directory.path().to_owned()),
        ..EndpointEnvironment::default()
    };
    let text = error::text(&Docker::find(&environment).unwrap().info().unwrap_err());
    assert!(text.starts_with("the TLS connection to the engine at `tcp://127.0.0.1:"), "{text}");
    assert!(text.contains("ca.pem"), "{text}");
}

/// Starts a listener on loopback that gives one answer after the other, and repeats the last one.
fn answering_in_turn(answers: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut answers: Vec<String> = answers.iter().rev().map(ToString::to_string).collect();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            while let Ok(1..) = stream.read(&mut request) {
                let last = answers.len() == 1;
                let answer = if last { answers[0].clone() } else { answers.pop().unwrap() };
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    format!("tcp://{address}")
}

#[test]
fn an_interrupted_image_list_is_an_error_not_an_empty_list() {
    let answer = |status: &str, body: &str| {
        let head = "Api-Version: 1.51\r\nOstype: linux\r\nContent-Length";
        format!("HTTP/1.1 {status}\r\n{head}: {}\r\n\r\n{body}", body.len())
    };
    let ping = answer("200 OK", "OK");
    let gone = answer("404 Not Found", "{\"message\":\"content digest sha256:00: not found\"}");
    let image =
        r#"[{"Id": "sha256:1", "Created": 0, "RepoTags": ["a:1"], "Labels": {}, "Size": 1}]"#;
    let list = answer("200 OK", image);
    let engine = |answers: &[&str]| {
        let host = Some(answering_in_turn(answers));
        Docker::find(&EndpointEnvironment { host, ..EndpointEnvironment::default() }).unwrap()
    };
    let listed =
        engine(&[&ping, &gone, &gone, &list]).list(LabelFilter::named("dev.layers.key")).unwrap();
    assert_eq!(listed[0].references, ["a:1"]);
    let error = engine(&[&ping, &gone]).list(LabelFilter::named("dev.layers.key")).unwrap_err();
    assert!(error::is_transient(&error), "{error}");
    assert!(error.to_string().contains("can't list its images"), "{error}");
}

#[test]
fn engines_without_buildkit_endpoints_are_reported() {
    let host = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let environment =
        EndpointEnvironment { host: Some(host.clone()), ..EndpointEnvironment::default() };
    let request = BuildRequest { dockerfile: "FROM scratch\n".into(), ..BuildRequest::default() };
    let docker = Docker::find(&environment).unwrap();
    let error = docker.build(&request, &mut |_| (), &Cancel::default()).unwrap_err();
    let error = error::text(&error);
    assert!(
        error
            .starts_with(&format!("the engine at `{host}` does not have BuildKit enabled\nhint: "))
    );
}
