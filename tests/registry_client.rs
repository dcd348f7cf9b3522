//! The registry client with a real `docker-registry`: without TLS, with a login, with TLS, and with responses
//! that are broken on the way.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::fs;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layers::base::error;
use layers::registry::{Manifest, Registries, RegistrySettings, Remote, RemoteImage};

mod common;
#[path = "registry_client/logins.rs"]
mod logins;

use common::faults::{Fault, Faults};
use common::registry::{MANIFEST, Registry, USER, digest_of};

/// A directory for a docker configuration and certificates, and the client that reads them.
struct Client {
    directory: tempfile::TempDir,
    registries: Registries,
}

impl Client {
    fn new() -> Client {
        Client::with("{}")
    }

    /// Creates a client with this docker configuration.
    fn with(config: &str) -> Client {
        Client::set(config, |_| {})
    }

    fn set(config: &str, change: impl FnOnce(&mut RegistrySettings)) -> Client {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), config).unwrap();
        let mut settings = RegistrySettings {
            docker_config: Some(directory.path().to_owned()),
            certificates: Some(directory.path().join("certs.d")),
            ..RegistrySettings::default()
        };
        change(&mut settings);
        Client { registries: Registries::new(settings), directory }
    }

    /// Creates a client that trusts an authority for a registry.
    fn trusting(config: &str, registry: &str, authority: &PathBuf) -> Client {
        let client = Client::with(config);
        let place = client.directory.path().join("certs.d").join(registry);
        fs::create_dir_all(&place).unwrap();
        fs::copy(authority, place.join("ca.crt")).unwrap();
        client
    }

    fn digest(&self, registry: &str, version: &str) -> anyhow::Result<Option<String>> {
        self.registries.digest(&at(registry, version))
    }

    fn image(&self, registry: &str, version: &str) -> anyhow::Result<Option<RemoteImage>> {
        self.registries.image(&at(registry, version), &"linux/amd64".parse().unwrap())
    }

    /// Returns the error of a request, which must have a hint.
    fn fault(&self, registry: &str, version: &str) -> anyhow::Error {
        let error = self.image(registry, version).unwrap_err();
        assert!(error::hint(&error).is_some(), "{error}");
        error
    }
}

fn at(registry: &str, version: &str) -> Remote {
    Remote { registry: registry.into(), repository: "a/b".into(), version: version.into() }
}

/// Returns a docker configuration with a login.
fn login(registry: &str, (user, secret): (&str, &str)) -> String {
    let auth = STANDARD.encode(format!("{user}:{secret}"));
    format!(r#"{{"auths":{{"{registry}":{{"auth":"{auth}"}}}}}}"#)
}

#[test]
fn registries_without_tls_are_queried() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let client = Client::new();
    for address in [registry.address().to_owned(), registry.by_name()] {
        assert_eq!(client.digest(&address, "1").unwrap().as_ref(), Some(&digest));
        assert_eq!(client.digest(&address, &digest).unwrap().as_ref(), Some(&digest));
        assert_eq!(client.digest(&address, "2").unwrap(), None);
        assert_eq!(client.digest(&address, &digest_of(b"x")).unwrap(), None);
        let missing = Remote { repository: "no/such".into(), ..at(&address, "1") };
        assert_eq!(client.registries.digest(&missing).unwrap(), None);
        assert_eq!(
            client.registries.image(&missing, &"linux/amd64".parse().unwrap()).unwrap(),
            None
        );
    }
    let image = client.image(registry.address(), "1").unwrap().unwrap();
    assert_eq!((image.digest, &*image.platform.to_string()), (digest, "linux/amd64"));
    assert_eq!(image.config["Env"][0], "WORD=one");
    assert_eq!(image.history.last().map(String::as_str), Some("COPY one /word"));
    assert_eq!(image.size, 2048);
    assert_eq!(image.diff_ids.len(), 1);
    assert!(image.id.starts_with("sha256:"));
    let other =
        client.registries.image(&at(registry.address(), "1"), &"linux/arm64".parse().unwrap());
    assert_eq!(other.unwrap(), None);
}

#[test]
fn the_image_for_the_platform_is_read_from_an_index() {
    let Some(registry) = Registry::start() else { return };
    let platforms =
        [("arm", "linux/arm64/v8"), ("amd", "linux/amd64"), ("none", "unknown/unknown")];
    let (digest, _) = registry.push_index("a/b", "all", &platforms);
    let faults = Faults::before(registry.address(), |_| Fault::Pass);
    let client = Client::new();
    let check = |platform: &str, expected: Option<&str>| {
        let image = client
            .registries
            .image(&at(faults.address(), "all"), &platform.parse().unwrap())
            .unwrap();
        assert!(image.as_ref().is_none_or(|image| image.digest == digest), "{image:?}");
        let word = image.map(|image| image.config["Env"][0].as_str().unwrap().to_owned());
        assert_eq!(word.as_deref(), expected, "{platform}");
    };
    check("linux/amd64", Some("WORD=amd"));
    let seen = faults.seen();
    assert_eq!(seen.len(), 3, "three questions for an image behind an index: {seen:?}");
    check("linux/arm64", Some("WORD=arm"));
    check("linux/s390x", None);
    assert_eq!(client.digest(faults.address(), "all").unwrap(), Some(digest.clone()));
}

#[test]
fn tags_are_moved() {
    let Some(registry) = Registry::start() else { return };
    let (one, two) = (registry.push("a/b", "1", "one"), registry.push("a/b", "2", "two"));
    let client = Client::new();
    let read = |version: &str| {
        client.registries.manifest(&at(registry.address(), version)).unwrap().unwrap()
    };
    let manifest = read(&two);
    assert_eq!((manifest.media_type.as_str(), &manifest.digest), (MANIFEST, &two));
    client.registries.put(&at(registry.address(), "1"), &manifest).unwrap();
    assert_eq!(client.digest(registry.address(), "1").unwrap(), Some(two));
    assert_eq!(read(&one).digest, one);
    let mut incomplete: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    incomplete["config"]["digest"] = digest_of(b"never pushed").into();
    let bytes = serde_json::to_vec(&incomplete).unwrap();
    let broken = Manifest { digest: digest_of(&bytes), media_type: MANIFEST.into(), bytes };
    let error = client.registries.put(&at(registry.address(), "1"), &broken).unwrap_err();
    assert!(error.to_string().contains(" rejected the request for `127.0.0.1:"), "{error}");
}

#[test]
fn trusted_certificates_are_accepted_and_others_are_rejected() {
    let Some(registry) = Registry::plan().with_tls().with_auth().start() else { return };
    let digest = registry.push("a/b", "1", "one");
    for address in [registry.address().to_owned(), registry.by_name()] {
        let config = login(&address, USER);
        let client = Client::trusting(&config, &address, &registry.authority());
        assert_eq!(client.digest(&address, "1").unwrap().as_ref(), Some(&digest));
        assert_eq!(client.image(&address, "1").unwrap().unwrap().digest, digest);
        // Also on this machine: if a registry uses TLS, its certificate must be valid.
        let client = Client::set(&config, |settings| settings.plain_http = vec![address.clone()]);
        let error = error::text(&client.fault(&address, "1"));
        assert!(error.contains(" is not trusted: unknown issuer\nhint: save"), "{error}");
        assert!(error.contains(&format!("/certs.d/{address}/ca.crt`, or set SSL_CERT_FILE")));
        assert!(!error::is_transient(&client.fault(&address, "1")));
    }
}

#[test]
fn a_certificate_that_is_its_own_authority_is_accepted_if_it_is_trusted() {
    let Some(registry) = Registry::plan().with_own_authority().start() else { return };
    let digest = registry.push("a/b", "1", "one");
    for address in [registry.address().to_owned(), registry.by_name()] {
        let client = Client::trusting("{}", &address, &registry.authority());
        assert_eq!(client.digest(&address, "1").unwrap().as_ref(), Some(&digest));
        let error = error::text(&Client::new().fault(&address, "1"));
        assert!(error.contains(" is not trusted: unknown issuer\nhint: save"), "{error}");
    }
}

/// Returns a name of this machine that does not look local.
fn other_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_owned();
    let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect).unwrap_or(vec![]);
    if found.is_empty() || !found.iter().all(|address| address.ip().is_loopback()) {
        eprintln!("skipped: the name of this machine leads to no address that only it has");
        return None;
    }
    Some(name)
}

#[test]
fn plain_http_is_used_only_for_listed_registries() {
    let (Some(registry), Some(name)) = (Registry::start(), other_name()) else { return };
    let digest = registry.push("a/b", "1", "one");
    let address = registry.address().replace("127.0.0.1", &name);
    let error = Client::new().fault(&address, "1");
    assert!(error.to_string().contains("failed: the server does not use TLS"), "{error}");
    assert!(!error::is_transient(&error));
    let client = Client::set("{}", |settings| settings.plain_http = vec![address.clone()]);
    assert_eq!(client.digest(&address, "1").unwrap(), Some(digest));
}

#[test]
fn transient_errors_are_retried() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let check = |fault: fn() -> Fault, times: usize| {
        let faults = Faults::before(registry.address(), move |request| {
            let is_manifest = request.path.ends_with("/manifests/1") && request.method == "GET";
            if is_manifest && request.count <= times { fault() } else { Fault::Pass }
        });
        let client = Client::new();
        let image = client.image(faults.address(), "1").unwrap().unwrap();
        assert_eq!(image.digest, digest);
        assert_eq!(faults.seen().len(), 2 + times);
    };
    check(|| Fault::status(503), 2);
    check(|| Fault::CutAfter(20), 1);
    check(|| Fault::Close, 1);
    check(|| Fault::header(429, "Retry-After", "0"), 4);
    check(|| Fault::header(429, "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"), 1);
    check(|| Fault::Late(Duration::from_millis(50)), 0);
}

#[test]
fn persistent_errors_are_reported() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let check = |fault: fn() -> Fault, count: usize, passing: bool, expected: &str| {
        let faults = Faults::before(registry.address(), move |_| fault());
        let error = Client::new().fault(faults.address(), "1");
        assert!(error::text(&error).contains(expected), "{error}");
        assert_eq!(faults.seen().len(), count, "{error}");
        assert_eq!(error::is_transient(&error), passing, "{error}");
    };
    check(|| Fault::status(500), 5, true, "returned 500 (5 attempts)");
    check(|| Fault::Close, 5, true, "is unreachable: the connection was closed (5 attempts)");
    let many = || Fault::header(429, "Retry-After", "0");
    check(many, 5, true, "returned 429 Too Many Requests (5 attempts)\nhint: try again later");
    let later = || Fault::header(429, "Retry-After", "3600");
    check(later, 1, true, "retry after 3600 seconds\nhint: try again");
    check(|| Fault::Lie, 1, false, "digest mismatch: expected sha256:");
    check(|| Fault::status(404), 1, false, "`: 404 for `127.0.0.1:");
    check(|| Fault::status(418), 1, false, "rejected the request for `127.0.0.1:");
    let unknown = || Fault::json(403, r#"{"errors":[{"code":"DENIED","message":"no\u001b[1m"}]}"#);
    check(unknown, 1, false, "was denied: no[1m\nhint: run `docker login");
    let long = || Fault::Answer { status: 200, headers: vec![], body: vec![b' '; (4 << 20) + 1] };
    check(long, 1, false, "the response exceeds 4194304 bytes");
    let page = || Fault::Answer { status: 200, headers: vec![], body: b"<html>".to_vec() };
    check(page, 1, false, ":1` is not a manifest (no media type)");

    // After a failure, a registry is not contacted for some seconds. If the machine stalls for that long, the
    // client tries again.
    let is_left_alone = || {
        let faults = Faults::before(registry.address(), |_| Fault::Close);
        let client = Client::new();
        let twice = [client.fault(faults.address(), "1"), client.fault(faults.address(), "1")];
        assert_eq!(twice[0].to_string(), twice[1].to_string());
        faults.seen().len() == 5
    };
    assert!((0..3).any(|_| is_left_alone()));

    // Even without the header, the bytes must be the requested ones.
    let faults = Faults::before(registry.address(), |_| Fault::Lie);
    let error = error::text(&Client::new().fault(faults.address(), &digest));
    assert!(error.contains("digest mismatch: expected sha256:"), "{error}");
    let gone = Client::new().fault("127.0.0.1:1", "1");
    assert!(gone.to_string().contains("is unreachable: connection refused (5 attempts)"), "{gone}");
    assert!(error::is_transient(&gone));
    let unknown = Client::new().fault("nowhere.invalid", "1");
    assert!(unknown.to_string().contains("host not found (5 attempts)"), "{unknown}");
    assert!(error::is_transient(&unknown));
    let strange = Client::new().fault(registry.address(), &format!("sha512:{}", "0".repeat(128)));
    assert!(strange.to_string().contains(": the digest algorithm `sha512` is not supported"));
}

#[test]
fn image_configurations_are_verified_by_digest() {
    let Some(registry) = Registry::start() else { return };
    registry.push("a/b", "1", "one");
    let faults =
        Faults::before(registry.address(), |request| match request.path.contains("/blobs/") {
            true => Fault::Lie,
            false => Fault::Pass,
        });
    let error = error::text(&Client::new().fault(faults.address(), "1"));
    assert!(error.contains("digest mismatch: expected sha256:"), "{error}");
    assert_eq!(faults.seen().len(), 2);
}

#[test]
fn the_manifest_is_fetched_if_the_registry_omits_the_digest() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let faults = Faults::before(registry.address(), |_| Fault::Without("Docker-Content-Digest"));
    assert_eq!(Client::new().digest(faults.address(), "1").unwrap(), Some(digest));
    let seen: Vec<String> = faults.seen();
    assert_eq!(seen, ["HEAD /v2/a/b/manifests/1", "GET /v2/a/b/manifests/1"]);
}

#[test]
fn at_most_eight_requests_per_registry_run_in_parallel() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let faults = Faults::before(registry.address(), |_| Fault::Late(Duration::from_millis(30)));
    let client = Client::new();
    std::thread::scope(|scope| {
        let ask =
            || assert_eq!(client.digest(faults.address(), "1").unwrap().as_ref(), Some(&digest));
        (0..24).for_each(|_| drop(scope.spawn(ask)));
    });
    assert_eq!(faults.seen().len(), 24);
    assert!((2..=8).contains(&faults.most_at_once()), "{}", faults.most_at_once());
}
