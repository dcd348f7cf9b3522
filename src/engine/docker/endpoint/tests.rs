//! Table tests of `endpoint`.
use std::collections::HashMap;

use std::fs;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> EndpointEnvironment {
    let pairs: HashMap<_, _> = pairs.iter().copied().collect();
    EndpointEnvironment::read(|name| pairs.get(name).map(OsString::from))
}

fn describe(pairs: &[(&str, &str)]) -> String {
    match resolve(&environment(pairs)) {
        Ok(Endpoint { address, tls: None, named_by }) => format!("{address} ({named_by})"),
        Ok(Endpoint { address, tls: Some(tls), named_by }) => {
            format!("{address} ({named_by}) tls {}", tls.display())
        }
        Err(error) => {
            let text = crate::base::error::text(&error);
            assert_eq!(text.matches("\nhint: ").count(), 1, "{text}");
            text.lines().next().unwrap_or_default().to_owned()
        }
    }
}

#[test]
fn hosts_are_parsed_like_docker() {
    let check = |host, expected: &str| assert_eq!(describe(&[("DOCKER_HOST", host)]), expected);
    check("unix:///run/a.sock", "unix:///run/a.sock (DOCKER_HOST)");
    check("tcp://build:1234", "tcp://build:1234 (DOCKER_HOST)");
    check("tcp://build", "tcp://build:2375 (DOCKER_HOST)");
    check("build:99", "tcp://build:99 (DOCKER_HOST)");
    check("http://build:99/x", "tcp://build:99 (DOCKER_HOST)");
    check("tcp://[::1]:99", "tcp://[::1]:99 (DOCKER_HOST)");
    check("", "unix:///var/run/docker.sock (default)");
    check("unix://", "no path in the engine address `unix://` (DOCKER_HOST)");
    check("tcp://build:port", "invalid engine address `tcp://build:port` (DOCKER_HOST)");
    check("tcp://a b:1", "invalid engine address `tcp://a b:1` (DOCKER_HOST)");
    check("tcp://", "invalid engine address `tcp://` (DOCKER_HOST)");
    check("ssh://me@h", "can't connect to an engine over ssh: `ssh://me@h` (DOCKER_HOST)");
    check("npipe://x", "unsupported scheme in the engine address `npipe://x` (DOCKER_HOST)");
}

#[test]
fn tls_is_enabled_by_environment_variables() {
    let check = |pairs: &[(&str, &str)], expected: &str| assert_eq!(describe(pairs), expected);
    let host = ("DOCKER_HOST", "tcp://build");
    check(
        &[host, ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")],
        "tcp://build:2376 (DOCKER_HOST) tls /c",
    );
    check(
        &[host, ("DOCKER_TLS_VERIFY", "1"), ("HOME", "/h")],
        "tcp://build:2376 (DOCKER_HOST) tls /h/.docker",
    );
    check(
        &[host, ("DOCKER_TLS_VERIFY", "1")],
        "TLS is enabled, but the directory with the certificates is not set",
    );
    check(&[host, ("DOCKER_CERT_PATH", "/c")], "tcp://build:2375 (DOCKER_HOST)");
    check(
        &[host, ("DOCKER_TLS", "1"), ("DOCKER_CERT_PATH", "/c")],
        "DOCKER_TLS without DOCKER_TLS_VERIFY is not supported: the engine's certificate would \
         not be verified",
    );
    check(&[("DOCKER_HOST", "unix:///s"), ("DOCKER_TLS_VERIFY", "1")], "unix:///s (DOCKER_HOST)");
}

/// Creates a Docker configuration with a current context `far`, and a context `odd` that names no engine.
fn configuration() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), r#"{"currentContext": "far"}"#).unwrap();
    let add = |name: &str, meta: &str, tls: bool| {
        let hash = sha256_hex(name.as_bytes());
        let meta_directory = directory.path().join("contexts/meta").join(&hash);
        fs::create_dir_all(&meta_directory).unwrap();
        fs::write(meta_directory.join("meta.json"), meta).unwrap();
        if tls {
            fs::create_dir_all(directory.path().join("contexts/tls").join(&hash).join("docker"))
                .unwrap();
        }
    };
    add("far", r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:7"}}}"#, false);
    add("safe", r#"{"Name":"safe","Endpoints":{"docker":{"Host":"tcp://safe:7"}}}"#, true);
    add("odd", r#"{"Name":"odd","Endpoints":{}}"#, false);
    directory
}

#[test]
fn docker_contexts_are_resolved_in_dockers_order() {
    let directory = configuration();
    let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let pairs: Vec<_> = pairs.iter().copied().chain([config]).collect();
        assert_eq!(describe(&pairs), expected);
    };
    check(&[], "tcp://far:7 (the docker context `far`)");
    check(&[("DOCKER_CONTEXT", "default")], "unix:///var/run/docker.sock (default)");
    check(&[("DOCKER_CONTEXT", "far"), ("DOCKER_HOST", "h:1")], "tcp://h:1 (DOCKER_HOST)");
    check(
        &[("DOCKER_CONTEXT", "none")],
        "the docker context `none` was not found (set by DOCKER_CONTEXT)",
    );
    check(&[("DOCKER_CONTEXT", "odd")], "the docker context `odd` has no Docker endpoint");
    let safe = sha256_hex(b"safe");
    let tls = directory.path().join(format!("contexts/tls/{safe}/docker"));
    check(
        &[("DOCKER_CONTEXT", "safe")],
        &format!("tcp://safe:7 (the docker context `safe`) tls {}", tls.display()),
    );
}

#[test]
fn invalid_configurations_are_errors_and_missing_ones_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
    assert_eq!(describe(&[config]), "unix:///var/run/docker.sock (default)");
    fs::write(directory.path().join("config.json"), "{").unwrap();
    assert!(describe(&[config]).contains("config.json` is not a valid Docker configuration"));
}
